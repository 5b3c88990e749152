"""What people said that nothing but a person takes back, and what waits for their word.

Freezes, approvals and pins end by their time or by a newer word; a plan that was applied stays so; a broken invariant
stands until somebody lifts it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from reconcilerd.domain.clocks import released_by, said_by
from reconcilerd.domain.facts import (
    BreachLifted,
    ConsentGiven,
    CorrectionEnd,
    CorrectionSent,
    CorrectionSettled,
    EnvelopeApproved,
    EnvelopeRevoked,
    Fact,
    FreezeSet,
    InvariantBroken,
    Outcome,
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
IN_VAIN = frozenset({Outcome.NOT_SENT, Outcome.STALE, Outcome.REFUSED, CorrectionEnd.MISSED})
"""Answers and ends of a correction that has not brought, and will not bring, the number it was to bring."""
UNPINNED_BY = "reconcilerd"


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
    _moved: list[Word] = field(default_factory=list)

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

    def unpin(self, facts: Iterable[Fact]) -> tuple[SlotPinned, ...]:
        """Let go of each pin whose correction came to nothing by one of these: nobody wants the number it has instead.

        Returns the words that say so, for the ledger.
        """
        told = []
        for fact in facts:
            match fact:
                case (
                    CorrectionSent(id=id_, slot=slot, outcome=how)
                    | CorrectionSettled(id=id_, slot=slot, end=how)
                ) if how in IN_VAIN:
                    pin = self.pins.get(slot)
                    if pin is not None and pin.on and pin.correction == id_:
                        reason = "what it was to keep did not come about"
                        over = replace(
                            pin, on=False, by=UNPINNED_BY, reason=reason, at=fact.at, until=fact.at
                        )
                        self.take(over)
                        told.append(over)
        return tuple(told)

    def stay_over(self, now: Instant, before: Instant) -> None:
        """The clock is about to be taken from ``before`` to ``now``: no release that was over is in force again."""
        released: list[ConsentGiven | EnvelopeApproved] = [*self.consents.values(), *self.approvals.values()]
        for word in released:
            if now < word.until <= before:
                over = replace(word, at=min(word.at, now), until=now)
                self.take(over)
                self._moved.append(over)

    def turn_back(self, now: Instant, before: Instant | None = None) -> None:
        """The clock went back from ``before`` (None: unknown): nothing that was said holds longer than it was to."""
        turned: list[tuple[Word, Word]] = [
            *((word, said_by(word, now)) for word in self.freezes.values()),
            *((word, said_by(word, now)) for word in self.pins.values()),
            *((word, released_by(word, now, before)) for word in self.consents.values()),
            *((word, released_by(word, now, before)) for word in self.approvals.values()),
        ]
        for old, new in turned:
            if new != old:
                self.take(new)
                self._moved.append(new)

    def moved(self) -> list[Word]:
        """What holds otherwise since the clock went back and this was asked last, for the ledger."""
        moved, self._moved = self._moved, []
        return moved

    def freeze_of(self, channel: str, now: Instant) -> FreezeSet | None:
        """The freeze of a channel, or (the empty name) of all, that holds now."""
        freeze = self.freezes.get(channel)
        return freeze if freeze is not None and freeze.holds(now) else None

    def outlasting(self, said: FreezeSet) -> FreezeSet | None:
        """The freeze that holds as long as one that somebody says now, or longer: then there is nothing to say.

        Of two the later end counts, and none is the latest; only an unfreeze ends one before its time.
        """
        held = self.freeze_of(said.channel, said.at)
        if held is None or held.until is None:
            return held
        return held if said.until is not None and said.until <= held.until else None

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
