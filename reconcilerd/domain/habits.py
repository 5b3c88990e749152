"""What one slot's writes have met lately: other hands that change it back, refusals, how often it was written."""

from dataclasses import dataclass, field
from typing import NamedTuple

from reconcilerd.domain.names import Instant

HOUR_MS = 3_600_000
NEVER_REFUSED = (-1, 0)


class Hand(NamedTuple):
    """Somebody else changed a number of ours that had been read back: in (since, at], by so many units."""

    since: Instant
    at: Instant
    by: int


@dataclass(slots=True)
class Habits:
    """Moments and counts of one slot, kept in memory: what tripped stays latched.

    A start recalls the writes of the longest sliding window, and begins the rest anew.
    """

    hands: list[Hand] = field(default_factory=list)
    tries: list[Instant] = field(default_factory=list)
    """When we planned a write."""
    refused: tuple[int, int] = NEVER_REFUSED
    """The value that was refused last, and how often in a row."""
    last_good: int = 0
    """The most it showed when first read, or that we decided since: however it was sold down, that much is normal."""

    def good(self, number: int) -> None:
        self.last_good = max(self.last_good, number)

    def changed_away(self, hand: Hand, window_ms: int) -> list[Hand]:
        """Somebody else did it again; all that did within the window."""
        self.hands = [each for each in self.hands if each.at > hand.at - window_ms] + [hand]
        return self.hands

    def no_hand(self, since: Instant) -> None:
        """What was seen after ``since`` was a reading that proved wrong, and nobody's doing."""
        self.hands = [each for each in self.hands if each.at <= since]

    def recall(self, at: Instant, target: int) -> None:
        """A write that was decided before this start."""
        if at not in self.tries:
            self.tried(at)
        self.good(target)

    def turn_back(self, now: Instant) -> None:
        """The clock went back: another hand that was seen later than now counts no longer than one seen now.

        Writes that are stamped later would count once that moment comes again: they are forgotten.
        """
        self.hands = [Hand(min(each.since, now), min(each.at, now), each.by) for each in self.hands]
        self.tries = [each for each in self.tries if each <= now]

    def tried(self, at: Instant) -> None:
        self.tries = [each for each in self.tries if each > at - HOUR_MS] + [at]

    def attempts(self, now: Instant) -> int:
        """How many writes of the last hour.

        Those that are later than now were stamped before the clock was set back: counted, they would hold the slot
        for as long as it was set back.
        """
        return sum(now - HOUR_MS < each <= now for each in self.tries) if self.tries else 0

    def refuse(self, value: int) -> int:
        """The channel would not take a value; how often in a row it refused this one."""
        last, times = self.refused
        self.refused = (value, times + 1 if value == last else 1)
        return self.refused[1]
