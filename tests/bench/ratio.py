"""What every benchmark returns, and the list of them. A benchmark may report several ratios."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure against its bar: at most that much. ``detail`` says of what, with the numbers behind it."""

    name: str
    ratio: float
    bar: float
    detail: str

    @property
    def ok(self) -> bool:
        return self.ratio <= self.bar


Benchmark = Callable[[], Sequence[Ratio]]
