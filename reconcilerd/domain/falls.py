"""What may have sold unseen: falls that orders explain or not, and windows in which nobody could see."""

from collections.abc import Iterable

from reconcilerd.domain.facts import SaleInferred, SalesBuried
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.domain.orders import OrderBook
from reconcilerd.domain.quantities import Rate, expected

SIGMAS_OF_A_FALL = 3


def may_have_sold(orders: OrderBook, channel: ChannelName, rate: Rate, span_ms: int) -> int:
    """Units that may have been sold of a listing within a span, whatever orders say of it.

    What one customer often takes at once may have been taken, however slowly it sells.
    """
    return max(1, expected(rate, span_ms, SIGMAS_OF_A_FALL), orders.large_line(channel))


def overlap(one: SaleInferred, other: SaleInferred) -> bool:
    """Whether one sale may lie in both windows."""
    return one.since < other.to and other.since < one.to


def turn(fall: SaleInferred) -> tuple[Instant, SlotKey]:
    """In which order falls of one listing are explained."""
    return fall.to, fall.slot


def buried_units(
    slot: SlotKey, windows: Iterable[SalesBuried], orders: OrderBook, code: str, rate: Rate
) -> int:
    """Units that may have sold unseen on a slot in these windows: mu + sqrt(mu), less the orders known in them.

    What several windows cover is counted once, and chance evens out over all of them: each by itself, rounded up,
    would keep back the more the oftener something is written. It is never more than could be taken in them.
    """
    blind_ms = known = most = 0
    end = Instant(0)
    for each in sorted(windows, key=lambda window: (window.since, window.to)):
        most += expected(rate, each.to - each.since, 1) if each.most is None else each.most
        if each.to > end:
            first = max(each.since, end)
            blind_ms += each.to - first
            known += orders.placed(slot.channel, code, first, each.to)
            end = each.to
    return min(most, max(0, expected(rate, blind_ms, 1) - known))
