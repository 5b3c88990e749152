"""What is checked at rest: a start stands where the daemon stood, but for what no ledger tells."""

from dataclasses import replace

import pytest

from reconcilerd.daemon.audit import rebuilt
from reconcilerd.domain.facts import EXTENSIV, Fact, OrderLine, OrderStatus
from reconcilerd.domain.feeds import EXTENSIV_ORDERS, STOCK_FEED
from reconcilerd.domain.names import Instant
from reconcilerd.domain.suspicion import trip
from tests.domain.books import order
from tests.domain.test_suspicion import MINUTE, NEXT, listings, products, read, shop, slots, stock, swept

NOW = Instant(NEXT + 1)


def broken(told: int, kept: int) -> list[str]:
    """A running daemon reads so many of each SKU where there were 50, and its ledger holds another number.

    It sold 20 of one of them: placed long ago, and heard of just now.
    """
    book = shop(window_ms=MINUTE)
    book.take(swept(EXTENSIV_ORDERS, NEXT, 0))
    late = order(EXTENSIV, OrderStatus.SHIPPED, NEXT, placed=NEXT - 2 * MINUTE, place="1")
    late = replace(late, lines=(OrderLine("s01", 20),))
    book.take(late)
    found = read(book, STOCK_FEED, NEXT, stock(told, NEXT))
    doubt = trip(found, book, STOCK_FEED, NOW) if found else []
    state: list[Fact] = [*products(), *listings(), *slots(50, NEXT), *doubt, late, *stock(kept, NEXT)]
    return [each.invariant for each in rebuilt(book, state, NOW)]


@pytest.mark.parametrize(("told", "kept", "said"), [(50, 50, False), (50, 49, True), (30, 30, False)])
def test_a_start_gives_other_shares_only_where_a_row_is_doubted(told: int, kept: int, said: bool) -> None:
    """Of what a doubtful row said before, what was sold lately is taken off, by when it was heard of."""
    assert set(broken(told, kept)) == ({"I6"} if said else set())
