"""What nobody can need again of what the ledger holds of each subject: orders that ended long ago, findings that were
cleared, alerts that are over, rails that were released, approvals that ended.

An order, a listing or a value that was refused has alerts and rails of its own, so these would grow for ever. Whatever
the daemon decides, or still has to tell, is the same without them.
"""

from collections.abc import Collection, Iterable, Iterator
from heapq import heappop, heappush
from typing import Final

from reconcilerd.domain.facts import (
    EXTENSIV,
    AlertChanged,
    AlertStage,
    AlertTold,
    ConsentGiven,
    EnvelopeApproved,
    Fact,
    FindingRaised,
    OrderObserved,
    RailLatched,
    SilenceSet,
    Transition,
)
from reconcilerd.domain.latches import SUSPICIONS
from reconcilerd.domain.names import ChannelName, Instant, OrderKey, Sku
from reconcilerd.domain.orders import LINES_KEPT

KINDS: Final = ("alert", "consent", "envelope", "finding", "rail", "silence", "told")
"""The kinds that may be bygone, orders apart."""
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
            case FindingRaised():
                if fact.cleared and fact.as_of < before:
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


def ended_orders(sides: Iterable[OrderObserved], before: Instant) -> dict[OrderKey, set[str]]:
    """Orders of which a side ended and was last heard of before a moment, with what these sides are about.

    Whoever lets one go must see that it has no others. Two kinds of orders stay though they ended: the newest of each
    channel, whose lines say what one customer may take, and the newest by which Extensiv named a SKU for a listing.
    """
    ended: dict[OrderKey, set[str]] = {}
    newest: dict[ChannelName, list[tuple[Instant, OrderKey]]] = {}
    naming: dict[tuple[ChannelName, str, Sku], tuple[Instant, OrderKey]] = {}
    for side in sides:
        told = side.as_of, side.key
        if side.source == EXTENSIV:
            for line in side.lines:
                if line.sku is not None:
                    name = side.key.channel, line.listing_sku, line.sku
                    naming[name] = max(naming.get(name, told), told)
        else:
            kept = newest.setdefault(side.key.channel, [])
            heappush(kept, told)
            if len(kept) > LINES_KEPT:
                heappop(kept)
        if side.as_of < before and side.status.is_over:
            ended.setdefault(side.key, set()).add(side.about)
    for _, key in (*naming.values(), *(each for kept in newest.values() for each in kept)):
        ended.pop(key, None)
    return ended
