"""What nobody can need again of what the ledger holds of each subject: alerts that are over, rails that were released,
approvals that ended.

An order, a listing or a value that was refused has alerts and rails of its own, so these would grow for ever. Whatever
the daemon decides, or still has to tell, is the same without them.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from reconcilerd.domain.facts import (
    AlertChanged,
    AlertStage,
    AlertTold,
    ConsentGiven,
    EnvelopeApproved,
    Fact,
    RailLatched,
    SilenceSet,
    Transition,
)
from reconcilerd.domain.latches import SUSPICIONS
from reconcilerd.domain.names import Instant

KINDS: Final = ("alert", "consent", "envelope", "rail", "silence", "told")
"""The kinds that may be bygone."""
_ENDED: Final = frozenset({Transition.RESOLVED, Transition.WITHHELD})


def bygone(old: Collection[Fact], young: Iterable[Fact], before: Instant) -> list[Fact]:
    """Those of ``old`` that are over since a moment before ``before``. ``young``: all others of these kinds.

    An alert goes with all that was told of it, or not at all: what is left would be taken for an episode of another.
    """
    young = tuple(young)
    touched = {fact.key for fact in young if isinstance(fact, AlertChanged | AlertTold)}
    consents = (fact for fact in (*old, *young) if isinstance(fact, ConsentGiven))
    waiting = {fact.id for fact in consents if fact.until > before}
    told: dict[str, list[AlertTold]] = {}
    for fact in old:
        if isinstance(fact, AlertTold):
            told.setdefault(fact.key, []).append(fact)
    gone: list[Fact] = []
    for fact in old:
        match fact:
            case AlertChanged():
                if fact.key not in touched:
                    gone += _with_all_told(fact, told.get(fact.key, []), before)
            case RailLatched():
                # When a suspicion was lifted says which readings are a measure.
                suspicion = fact.name.partition(":")[0] in SUSPICIONS
                if not suspicion and fact.at < before and not fact.holds(before):
                    gone.append(fact)
            case SilenceSet():
                if fact.at < before and not fact.holds(before):
                    gone.append(fact)
            case ConsentGiven():
                if fact.until <= before:
                    gone.append(fact)
            case EnvelopeApproved():
                # Without it, what one of two people agreed to would wait for the other again.
                if fact.until <= before and fact.id not in waiting:
                    gone.append(fact)
            case _:
                pass
    return gone


def _with_all_told(alert: AlertChanged, told: Collection[AlertTold], before: Instant) -> Iterator[Fact]:
    """An alert and what was told of it, if it is over for everybody who ever heard of it."""
    over = not alert.firing and alert.stage is not AlertStage.PENDING and not alert.past
    heard = all(each.at < before and each.transition in _ENDED for each in told)
    if over and heard and alert.at < before:
        yield alert
        yield from told
