"""What sells and is known nowhere, and orders of which a channel and Extensiv do not tell the same.

What differs is told to people. Neither lowers what Extensiv itself holds: its stock rows count that beside all orders.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import import_max_ms
from reconcilerd.domain.facts import FindingRaised, OrderStatus
from reconcilerd.domain.feeds import EXTENSIV_ORDERS
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.domain.orders import Order


@dataclass(frozen=True, slots=True)
class Missing:
    """An order of a channel that Extensiv should have by now, and has not."""

    order: Order
    placed: Instant


def missing_orders(book: Book, channel: ChannelName, now: Instant) -> Iterator[Missing]:
    """Orders that a reading of Extensiv's orders lacks though it began after the longest import, the oldest first.

    Only those that still take units: what was cancelled, or shipped before anybody counted, is missed by nobody.
    """
    read, limits, longest = book.sweeps.get(EXTENSIV_ORDERS), book.policy.limits, import_max_ms(book, channel)
    rate = book.orders.match_rate(channel, now, longest, limits.match_window_ms, limits.match_orders)
    if read is None or not rate.unmatched:
        return
    found = (order for order in book.orders.unsettled() if order.key.channel == channel)
    lost = [
        Missing(order, theirs.placed)
        for order in found
        if (theirs := order.on_channel) is not None
        and order.in_extensiv is None
        and theirs.eligible
        and theirs.status in {OrderStatus.OPEN, OrderStatus.UNKNOWN}
        and read.began > theirs.placed + longest
    ]
    yield from sorted(lost, key=lambda each: (each.placed, each.order.key))


def unmapped_that_sold(
    book: Book, found: Iterable[FindingRaised], since: Instant
) -> Iterator[tuple[ChannelName, str]]:
    """(channel, code) of listings that sold since a moment and are mapped to no SKU, of those that were found so."""
    for each in found:
        channel, _, code = each.subject.partition(":")
        if book.orders.taken_since(ChannelName(channel), code, since):
            yield ChannelName(channel), code
