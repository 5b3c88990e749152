"""What was changed on each channel within the sliding window, beyond what orders explain (I15).

Kept in memory and refilled from the ledger's recent intents at start, so that a restart does not reset a rail.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.domain.guards import Rails, Spent
from reconcilerd.domain.names import ChannelName, Instant, SlotKey


@dataclass(slots=True)
class Windows:
    """One deque of unexplained changes per channel."""

    window_ms: int
    listings: Mapping[ChannelName, int] = field(default_factory=dict)
    _changes: dict[ChannelName, deque[tuple[Instant, SlotKey, int, bool]]] = field(default_factory=dict)

    def spend(self, correction: CorrectionPlanned) -> None:
        """Count a correction that goes out, or that went out before this start."""
        if correction.unexplained:
            self._changes.setdefault(correction.slot.channel, deque()).append(
                (correction.at, correction.slot, correction.unexplained, correction.sold_out)
            )

    def onto(self, rails: Rails, now: Instant) -> Rails:
        """The rails with what this window has seen."""
        return replace(
            rails, spent={name: self.spent(name, now) for name in {*self.listings, *self._changes}}
        )

    def spent(self, channel: ChannelName, now: Instant) -> Spent:
        changes = self._changes.setdefault(channel, deque())
        while changes and changes[0][0] <= now - self.window_ms:
            changes.popleft()
        return Spent(
            slots=len({slot for _, slot, _, _ in changes}),
            units=sum(units for _, _, units, _ in changes),
            zeros=len({slot for _, slot, _, zero in changes if zero}),
            listings=self.listings.get(channel, 0),
        )
