"""What a listing showed and should have shown over time, as two stepped lines in a box of fixed size."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconcilerd.domain.names import Instant, format_second

WIDTH, HEIGHT = 600, 120

Step = tuple[Instant, int | None]
"""From this moment on it was so much; None: not counted."""


@dataclass(frozen=True, slots=True)
class Chart:
    """``observed`` and ``desired``: paths in a box of ``WIDTH`` by ``HEIGHT``, 0 at its bottom, ``top`` at its top."""

    observed: str
    desired: str
    top: int
    since: str
    until: str


def chart(observed: Sequence[Step], desired: Sequence[Step], until: Instant) -> Chart | None:
    """Both lines up to a moment; None where nothing was ever seen."""
    starts = [at for at, _ in (*observed, *desired) if at < until]
    if not starts:
        return None
    since = min(starts)
    top = max((value for _, value in (*observed, *desired) if value is not None), default=0)

    def line(steps: Iterable[Step]) -> str:
        return _line([step for step in steps if step[0] <= until], since, until, max(top, 1))

    return Chart(line(observed), line(desired), top, format_second(since), format_second(until))


def _line(steps: Sequence[Step], since: Instant, until: Instant, top: int) -> str:
    """A path: level until the next step, broken where it was not counted."""
    parts: list[str] = []
    drawing = False
    for at, value in sorted(steps, key=lambda step: step[0]):
        x = _rounded((at - since) * WIDTH / (until - since))
        if drawing:
            parts.append(f"H{x}")
        if value is not None:
            y = _rounded(HEIGHT - value * HEIGHT / top)
            parts.append(f"V{y}" if drawing else f"M{x} {y}")
        drawing = value is not None
    return " ".join([*parts, f"H{WIDTH}"] if drawing else parts)


def _rounded(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
