"""What was changed on each channel within the sliding windows, beyond what orders explain (I15).

Kept in memory and refilled from the ledger's recent intents at start, so that a restart does not reset a rail.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from reconcilerd.domain.book import Book
from reconcilerd.domain.change import Rails, Spent
from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.domain.names import ChannelName, Instant, SlotKey


@dataclass(slots=True)
class Windows:
    """One deque of unexplained changes per channel. Zeros are counted over a window of their own."""

    window_ms: int
    zeros_ms: int
    listings: Mapping[ChannelName, int] = field(default_factory=dict)
    _changes: dict[ChannelName, deque[CorrectionPlanned]] = field(default_factory=dict)
    _counted: int = -1

    def count(self, book: Book) -> Mapping[ChannelName, int]:
        """How many listings of each channel we may write: a part of them is what a window allows.

        Neither those that are gone or mapped to nothing nor what other people's places show. Counted anew where
        things hang together otherwise.
        """
        joins, channels = book.joins(), book.policy.channels
        if self._counted != book.shape:
            self._counted = book.shape
            self.listings = Counter(
                slot.channel
                for slot in joins.sku_of.keys() - joins.lapsing
                if slot.place in channels[slot.channel].places
            )
        return self.listings

    def spend(self, correction: CorrectionPlanned) -> None:
        """Count a correction that goes out, or that went out before this start."""
        if correction.unexplained:
            self._changes.setdefault(correction.slot.channel, deque()).append(correction)

    def resize(self, window_ms: int, zeros_ms: int, before: Iterable[CorrectionPlanned]) -> None:
        """Look back so far from here on. ``before``: what went out in the longer time, part of which was let go."""
        self.window_ms, self.zeros_ms = window_ms, zeros_ms
        known = {each.id: each for each in before}
        known |= {each.id: each for changes in self._changes.values() for each in changes}
        self._changes.clear()
        for each in sorted(known.values(), key=lambda one: (one.at, one.id)):
            self.spend(each)

    def onto(self, rails: Rails, now: Instant) -> Rails:
        """The rails with what these windows have seen."""
        return replace(
            rails, spent={name: self.spent(name, now) for name in {*self.listings, *self._changes}}
        )

    def spent(self, channel: ChannelName, now: Instant) -> Spent:
        changes = self._changes.setdefault(channel, deque())
        if any(each.at > now for each in changes):
            # By a clock that was set back since: it counts for its window from now on, and no longer.
            changes = deque(replace(each, at=min(each.at, now)) for each in changes)
            self._changes[channel] = changes
        while changes and changes[0].at <= now - max(self.window_ms, self.zeros_ms):
            changes.popleft()
        slots, zeros, units, value = set[SlotKey](), set[SlotKey](), 0, 0
        for each in changes:
            if each.sold_out and each.at > now - self.zeros_ms:
                zeros.add(each.slot)
            if each.at > now - self.window_ms:
                slots.add(each.slot)
                units += each.unexplained
                value += each.value
        return Spent(len(slots), units, len(zeros), value, self.listings.get(channel, 0))
