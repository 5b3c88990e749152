"""Each order once, whatever the order in which its readings arrive."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.facts import EXTENSIV, OrderLine, OrderObserved, OrderStatus, side_of
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


@pytest.mark.parametrize("source", ["uk", EXTENSIV])
@pytest.mark.parametrize("known", [OrderStatus.OPEN, OrderStatus.SHIPPED, OrderStatus.CANCELLED])
@pytest.mark.parametrize("changed", [0, 1])
def test_a_status_that_nobody_knows_says_nothing_of_an_order_that_did_not_change(
    source: str, known: OrderStatus, changed: int
) -> None:
    book, ended = OrderBook(), None if known is OrderStatus.OPEN else 4
    book.take(seen(source, known, 4, ended))
    later = replace(seen(source, OrderStatus.UNKNOWN, 9), modified=Instant(4 + changed))
    book.take(later)
    side = book.side(later)
    assert side is not None
    assert side.as_of == 9
    assert (side.status, side.ended_at) == ((OrderStatus.UNKNOWN, None) if changed else (known, ended))
    book.take(seen(source, OrderStatus.CANCELLED, 10, 10))
    assert (side := book.side(later)) is not None
    assert side.status is OrderStatus.CANCELLED


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


@given(
    st.lists(
        st.tuples(
            st.sampled_from([EXTENSIV, "uk"]),
            st.text("1|\\", min_size=1, max_size=4),
            st.sampled_from(["", "1", "11"]),
        ),
        unique=True,
    )
)
def test_no_order_is_filed_as_another_or_as_its_part(sides: list[tuple[str, str, str]]) -> None:
    """A shop may give its order numbers any ending."""
    key = {side: side_of(side[0], OrderKey(KEY.channel, side[1]), side[2]) for side in sides}
    assert len(set(key.values())) == len(sides)
    for (source, number, part), about in key.items():
        whole = side_of(source, OrderKey(KEY.channel, number))
        mine = {
            (source, number, other) for (where, named, other) in key if (where, named) == (source, number)
        }
        below = {side for side, each in key.items() if each == whole or f"{whole}|" < each < f"{whole}}}"}
        assert below == mine, about
        assert part == "" or about.startswith(f"{whole}|")
