"""How far open orders that may still come to nothing (quotes, unpaid, awaiting approval) take units off the shelf.

Firm is the default: an order counts whole. Soft ones count for a time after they were placed and, the oldest first,
only while all soft ones together take no more than their share of what firm demand leaves. Ignored ones take nothing.
What is not held back is still known to be ordered: units that Extensiv has allocated to it are not counted as those of
some order we cannot name.
"""

from collections.abc import Iterator
from dataclasses import replace

from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import (
    added_claims,
    as_heard,
    claims_of_orders,
    reserve_claims,
    safety_claims,
)
from reconcilerd.domain.names import Instant, Sku, after
from reconcilerd.domain.orders import Order
from reconcilerd.domain.policy import DemandRule, Firmness
from reconcilerd.domain.position import OPEN, Claim


def demand_claims(book: Book, component: Sku, now: Instant) -> Iterator[Claim]:
    """Open demand on one component, each order as firm as policy says."""
    soft: list[tuple[Claim, Order, DemandRule, int]] = []
    firm = 0
    for claim, order, unheard in claims_of_orders(book, component):
        rule = _rule_of(book, claim, order, now)
        match rule.firmness:
            case Firmness.FIRM:
                firm += claim.units - unheard
                yield from as_heard(claim, unheard)
            case Firmness.IGNORED:
                yield replace(claim, units=0, waived=claim.units)
            case Firmness.SOFT:
                soft.append((claim, order, rule, unheard))
    if soft:
        yield from _softened(soft, _available(book, component, now) - firm)
    yield from added_claims(book, component)


def _rule_of(book: Book, claim: Claim, order: Order, now: Instant) -> DemandRule:
    if claim.kind not in OPEN:
        return DemandRule()
    rule = book.policy.demand_rule(order.key.channel, order.newest.raw_status)
    if rule.firmness is Firmness.SOFT and after(order.newest.placed, rule.expires_ms) <= now:
        return DemandRule(Firmness.IGNORED)
    return rule


def _available(book: Book, component: Sku, now: Instant) -> int:
    """What is sellable of a component anywhere, less what is held for other things than orders."""
    barred = book.policy.sku_rule(component).excluded_locations
    rows = [book.stock[component, place].row for place in book.stocked(component) - barred]
    held = [*safety_claims(book, component)]
    held += reserve_claims(book, [component], now) if book.policy.reserves else ()
    return sum(row.sellable for row in rows) - sum(claim.units for claim in held)


def _softened(soft: list[tuple[Claim, Order, DemandRule, int]], available: int) -> Iterator[Claim]:
    """Each as far as the share of its rule reaches beyond all that came before it, the oldest first.

    What of it was not heard of its channel comes last, and takes nothing from those after it.
    """
    taken = 0
    for claim, order, rule, unheard in sorted(
        soft, key=lambda each: (each[1].newest.placed, each[1].key, each[0].about)
    ):
        left = max(0, max(0, available) * rule.share_permille // 1000 - taken)
        held = min(claim.units, left)
        apart = max(0, held - (claim.units - unheard))
        taken += held - apart
        ends = after(order.newest.placed, rule.expires_ms)
        yield from as_heard(replace(claim, units=held, waived=claim.units - held, until=ends), apart)
