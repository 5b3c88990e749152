"""Counts that any room keeps where a thing happens: plain numbers, read by whoever shows them.

Knows nothing of how they are shown, or of whom they count.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds for calls and steps of work: marketplaces are slow."""

WAITS: Final = (0.05, 0.5, 2.5, 10.0, 60.0)
"""Bounds for waiting for a turn: how many wait long matters, not how long to the tenth of a second."""

MINUTES: Final = (30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
"""Bounds in seconds for what takes readings and writes to end."""


class Histogram:
    """How often a value fell between which bounds, and the sum of all. Nothing is kept of single values."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """One for each bound (up to it and above the one before), and one for what is above all."""
        self.total = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def observe(self, value: float) -> None:
        """Count one value; a clock that went back makes none that is below zero."""
        value = max(0.0, value)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
