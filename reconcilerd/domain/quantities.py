"""Unknown is not zero: ``Known(n) | Unknown(reason) | Gone``, and sums that keep the difference.

Also the integer arithmetic of expected sales, so that no decision ever depends on a float.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import isqrt
from typing import Final

MAX_UNITS: Final = 1_000_000_000
"""Shopify's own ceiling for one quantity; nothing larger is believed from anyone."""

_MICRO: Final = 1_000_000
_HOUR_MS: Final = 3_600_000


class Why(StrEnum):
    """Why a quantity is not known."""

    NEVER_READ = "never_read"
    INCOMPLETE = "incomplete"
    STALE = "stale"
    MALFORMED = "malformed"
    UNTRACKED = "untracked"
    UNMAPPED = "unmapped"
    CONFLICTING = "conflicting"


def units(value: object, what: str = "quantity") -> int:
    """A whole number of units from 0 to MAX_UNITS. Raises ValueError for all else; ``True`` is not 1."""
    if type(value) is not int:
        raise ValueError(f"{what} must be a whole number, not {value!r}")
    if not 0 <= value <= MAX_UNITS:
        raise ValueError(f"{what} must be from 0 to {MAX_UNITS}, not {value}")
    return value


@dataclass(frozen=True, slots=True)
class Known:
    """A quantity somebody answerable has stated."""

    n: int

    def __post_init__(self) -> None:
        units(self.n)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A quantity nobody has stated, with the reason. Never to be read as zero."""

    why: Why


@dataclass(frozen=True, slots=True)
class Gone:
    """The thing counted is confirmed not to exist any more."""


Quantity = Known | Unknown | Gone


def total(parts: Iterable[Quantity]) -> Quantity:
    """The sum of all parts; Unknown as soon as one is. Gone adds nothing."""
    amount = 0
    for part in parts:
        match part:
            case Known(n):
                amount += n
            case Unknown():
                return part
            case Gone():
                pass
    return Known(amount)


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
