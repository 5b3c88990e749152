"""What a number of units may be, and how many are likely sold in a time: integers, so that nothing depends on a float.

What nobody has stated is None where it is kept, never 0: not of a slot (``SlotObserved.quantity``), nor of a component
(``Position.unknown``).
"""

from dataclasses import dataclass
from math import isqrt
from typing import Final

MAX_UNITS: Final = 1_000_000_000
"""Shopify's own ceiling for one quantity; nothing larger is believed from anyone."""

_MICRO: Final = 1_000_000
_HOUR_MS: Final = 3_600_000


def units(value: object, what: str = "quantity") -> int:
    """A whole number of units from 0 to MAX_UNITS. Raises ValueError for all else; ``True`` is not 1."""
    if type(value) is not int:
        raise ValueError(f"{what} must be a whole number, not {value!r}")
    if not 0 <= value <= MAX_UNITS:
        raise ValueError(f"{what} must be from 0 to {MAX_UNITS}, not {value}")
    return value


@dataclass(frozen=True, slots=True)
class Rate:
    """Sales speed in thousandths of a unit an hour (an integer, so that decisions replay exactly)."""

    milli_per_hour: int

    def __post_init__(self) -> None:
        if type(self.milli_per_hour) is not int or self.milli_per_hour < 0:
            raise ValueError(f"a rate is a whole number of milli-units an hour, not {self.milli_per_hour!r}")

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.milli_per_hour + other.milli_per_hour)


def expected(rate: Rate, window_ms: int, sigmas: int) -> int:
    """Units likely sold in ``window_ms``: mu + sigmas * sqrt(mu), rounded up."""
    return expected_tenths(rate, window_ms, 10 * sigmas)


def expected_tenths(rate: Rate, window_ms: int, tenths: int) -> int:
    """The same with the deviations counted in tenths."""
    mu = rate.milli_per_hour * max(0, window_ms) * (_MICRO // 1000) // _HOUR_MS
    spread = tenths * isqrt(mu * _MICRO) // 10
    return -(-(mu + spread) // _MICRO)
