"""Copies of somebody else's count that stand still while orders leave: they show stock that is gone."""

from dataclasses import dataclass
from typing import Final

from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import ended
from reconcilerd.domain.facts import OrderStatus
from reconcilerd.domain.names import Instant, LocationName

SHIPMENTS: Final = 3
"""One or two may have been made good by what came in at the same time."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """``since``: when a row of the place was last seen to have changed, or else we were started; ``shipped``: orders
    that left it since then and should have been seen by now, the ``first`` of them when.
    """

    since: Instant
    shipped: int
    first: Instant


def frozen_mirrors(book: Book, now: Instant) -> dict[LocationName, Frozen | None]:
    """Every mirror; with what tells against it where nothing changed though several shipments should have shown.

    A shipment should be seen within ``mirror_max_ms``, after which it is not subtracted any more.
    """
    changed = {name: Instant(0) for name, rule in book.policy.locations.items() if rule.mirror}
    if not changed:
        return {}
    for (_, name), track in book.stock.items():
        if name in changed:
            changed[name] = max(changed[name], track.changed)
    since = {name: at or book.awake_since for name, at in changed.items()}
    left: dict[LocationName, list[Instant]] = {name: [] for name in changed}
    for order in book.orders.orders.values():
        for part in order.parts:
            if part.location not in left or part.status is not OrderStatus.SHIPPED:
                continue
            at, late = ended(part), book.policy.locations[part.location].mirror_max_ms
            if since[part.location] < at < now - late:
                left[part.location].append(at)
    return {
        name: Frozen(since[name], len(moments), min(moments)) if len(moments) >= SHIPMENTS else None
        for name, moments in sorted(left.items())
    }
