"""What people said that nothing but a person takes back, and what waits for their word.

Freezes, approvals and pins end by their time or by a newer word; a plan that was applied stays so; a broken invariant
stands until somebody lifts it.
"""

from dataclasses import dataclass, field

from reconcilerd.domain.facts import (
    BreachLifted,
    ConsentGiven,
    EnvelopeApproved,
    EnvelopeRevoked,
    FreezeSet,
    InvariantBroken,
    PlanApplied,
    SlotPinned,
)
from reconcilerd.domain.names import Instant, SlotKey

Word = (
    FreezeSet
    | ConsentGiven
    | EnvelopeApproved
    | EnvelopeRevoked
    | SlotPinned
    | PlanApplied
    | InvariantBroken
    | BreachLifted
)


@dataclass(slots=True)
class Words:
    """The last word on everything that a person may say."""

    freezes: dict[str, FreezeSet] = field(default_factory=dict)
    """By channel; the empty name is all of them."""
    consents: dict[str, ConsentGiven] = field(default_factory=dict)
    """What one of two people agreed to."""
    approvals: dict[str, EnvelopeApproved] = field(default_factory=dict)
    revoked: dict[str, EnvelopeRevoked] = field(default_factory=dict)
    """Approvals that were taken back, whenever they would have ended."""
    pins: dict[SlotKey, SlotPinned] = field(default_factory=dict)
    applied: dict[str, PlanApplied] = field(default_factory=dict)
    """Plans that a person had carried out: none goes twice."""
    breaches: dict[str, InvariantBroken] = field(default_factory=dict)
    """Broken invariants that nobody has lifted: while there is one, nothing is written."""

    def take(self, word: Word) -> None:
        """Fold one word."""
        match word:
            case FreezeSet():
                self.freezes[word.channel] = word
            case ConsentGiven():
                self.consents[word.id] = word
            case EnvelopeApproved():
                self.approvals[word.id] = word
            case EnvelopeRevoked():
                self.revoked[word.id] = word
            case SlotPinned():
                self.pins[word.slot] = word
            case PlanApplied():
                self.applied[word.id] = word
            case InvariantBroken():
                self.breaches[word.id] = word
            case BreachLifted():
                self.breaches.pop(word.id, None)

    def frozen(self, now: Instant) -> frozenset[str]:
        """The channels to which nothing may be written now; the empty name stands for all of them."""
        return frozenset(each.channel for each in self.freezes.values() if each.holds(now))

    def in_force(self, now: Instant) -> tuple[EnvelopeApproved, ...]:
        """The approvals under which something may go now, the newest last."""
        held = (e for e in self.approvals.values() if e.until > now and e.id not in self.revoked)
        return tuple(sorted(held, key=lambda each: (each.at, each.id)))

    def half_approved(self, now: Instant) -> tuple[ConsentGiven, ...]:
        """What waits for a second person now, the newest last."""
        held = (c for c in self.consents.values() if c.until > now and c.id not in self.approvals)
        return tuple(sorted(held, key=lambda each: (each.at, each.id)))

    def pinned(self, now: Instant) -> frozenset[SlotKey]:
        """The slots that are to be left at their numbers now."""
        return frozenset(each.slot for each in self.pins.values() if each.holds(now))
