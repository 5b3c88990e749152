"""Each order once, whatever the order in which its readings arrive."""

from itertools import permutations

import pytest

from reconcilerd.domain.facts import EXTENSIV, OrderLine, OrderObserved, OrderStatus
from reconcilerd.domain.names import ChannelName, Instant, OrderKey
from reconcilerd.domain.orders import MatchRate, OrderBook, Stage, stage_of

KEY = OrderKey(ChannelName("uk"), "1")
IMPORT_MAX = 1_000


def seen(source: str, status: OrderStatus, as_of: int, ended: int | None = None) -> OrderObserved:
    return OrderObserved(
        source, KEY, Instant(0), Instant(as_of), status, "", (OrderLine("a", 2),), Instant(as_of),
        ended_at=None if ended is None else Instant(ended),
    )  # fmt: skip


READINGS = (
    seen("uk", OrderStatus.OPEN, 1),
    seen(EXTENSIV, OrderStatus.OPEN, 2),
    seen("uk", OrderStatus.OPEN, 3),
    seen(EXTENSIV, OrderStatus.SHIPPED, 4, 4),
    seen("uk", OrderStatus.SHIPPED, 5),
)


@pytest.mark.parametrize("order", list(permutations(READINGS)))
def test_every_interleaving_ends_in_the_same_one_class(order: tuple[OrderObserved, ...]) -> None:
    book = OrderBook()
    for each in order:
        book.take(each)
    assert len(book.orders) == 1
    assert stage_of(book.orders[KEY], Instant(10), IMPORT_MAX) is Stage.SHIPPED


@pytest.mark.parametrize(
    ("readings", "extensiv_began", "stage"),
    [
        ([seen("uk", OrderStatus.OPEN, 1)], None, Stage.IN_FLIGHT),
        ([seen("uk", OrderStatus.CANCELLED, 1, 1)], None, Stage.IN_FLIGHT),
        ([seen("uk", OrderStatus.CANCELLED, 1, 1)], 1_001, Stage.IN_FLIGHT),
        ([seen("uk", OrderStatus.CANCELLED, 1, 1)], 1_002, Stage.ENDED),
        (
            [seen("uk", OrderStatus.CANCELLED, 1, 1), seen(EXTENSIV, OrderStatus.OPEN, 2)],
            9_999,
            Stage.COMMITTED,
        ),
        ([seen(EXTENSIV, OrderStatus.UNKNOWN, 2)], None, Stage.COMMITTED),
        ([seen(EXTENSIV, OrderStatus.CANCELLED, 2, 2)], None, Stage.ENDED),
    ],
)
def test_where_an_order_stands(
    readings: list[OrderObserved], extensiv_began: int | None, stage: Stage
) -> None:
    book = OrderBook()
    for each in readings:
        book.take(each)
    began = None if extensiv_began is None else Instant(extensiv_began)
    assert stage_of(book.orders[KEY], began, IMPORT_MAX) is stage


def test_one_unmatched_order_of_900_does_not_stop_raises() -> None:
    assert not MatchRate(900, 1).bad(9_990, 5)
    assert MatchRate(900, 5).bad(9_990, 5)


def test_what_was_seen_shipped_had_left_by_then_whatever_its_record_says() -> None:
    """A date in the future would keep its units off the shelf until then."""
    book = OrderBook()
    book.take(seen(EXTENSIV, OrderStatus.SHIPPED, 4, 10**9))
    assert (side := book.orders[KEY].in_extensiv) is not None
    assert side.ended_at == 4
    book.take(seen(EXTENSIV, OrderStatus.SHIPPED, 9, 3))
    assert (side := book.orders[KEY].in_extensiv) is not None
    assert side.ended_at == 4
