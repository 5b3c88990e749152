"""What became of the corrections that were planned in a stretch of time, by channel. Pure: it is given the facts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconcilerd.domain.facts import (
    CorrectionEnd,
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    Fact,
    Outcome,
)
from reconcilerd.domain.names import ChannelName, Instant

TOLD = (CorrectionPlanned, CorrectionSent, CorrectionSettled)
"""The facts that tell it."""


CURED, MISSED, REFUSED, REPLACED = "cured", "missed", "refused", "replaced"
ENDS = (CURED, MISSED, REFUSED, REPLACED)
"""Compared and set by the channel, or read back as written; taken and never seen; refused by the channel; not sent, or
a newer one took its place."""


@dataclass(slots=True)
class Corrected:
    """Of one channel."""

    planned: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    slots: set[str] = field(default_factory=set)

    @property
    def under_way(self) -> int:
        """Planned, and nobody knows yet what became of them."""
        return self.planned - self.ends.total()


def corrected(written: Iterable[tuple[int, Instant, Fact]]) -> Mapping[ChannelName, Corrected]:
    """By channel. What was planned before is not counted, whatever became of it since."""
    planned: dict[str, CorrectionPlanned] = {}
    ends: dict[str, str] = {}
    for _, _, fact in written:
        match fact:
            case CorrectionPlanned():
                planned[fact.id] = fact
            case CorrectionSent() if fact.outcome in _AT_ONCE:
                ends[fact.id] = _AT_ONCE[fact.outcome]
            case CorrectionSettled():
                ends[fact.id] = _AT_LAST[fact.end]
            case _:
                pass
    found: dict[ChannelName, Corrected] = {}
    for id_, fact in planned.items():
        one = found.setdefault(fact.slot.channel, Corrected())
        one.planned += 1
        one.causes[fact.cause] += 1
        one.slots.add(fact.slot.path)
        if id_ in ends:
            one.ends[ends[id_]] += 1
    return dict(sorted(found.items()))


_AT_ONCE: Mapping[Outcome, str] = {
    Outcome.APPLIED: CURED,
    Outcome.STALE: REPLACED,
    Outcome.NOT_SENT: REPLACED,
    Outcome.REFUSED: REFUSED,
}
_AT_LAST: Mapping[CorrectionEnd, str] = {
    CorrectionEnd.CONFIRMED: CURED,
    CorrectionEnd.MISSED: MISSED,
    CorrectionEnd.SUPERSEDED: REPLACED,
    CorrectionEnd.REFUSED: REFUSED,
}
