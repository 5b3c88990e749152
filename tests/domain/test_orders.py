"""Each order once, whatever the order in which its readings arrive."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.claims import settle_orders
from reconcilerd.domain.facts import EXTENSIV, OrderLine, OrderObserved, OrderStatus, side_of
from reconcilerd.domain.names import ChannelName, Instant, OrderKey
from reconcilerd.domain.orders import RECORD_MS, MatchRate, OrderBook, Stage, more_than_sold, stage_of
from tests.domain.books import UK, order, shop_book, swept

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
        ([seen("uk", OrderStatus.CANCELLED, 500)], 1_500, Stage.IN_FLIGHT),
        ([seen("uk", OrderStatus.CANCELLED, 500)], 1_501, Stage.ENDED),
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
    assert not MatchRate(5_000, 5).bad(9_990, 5), "what is asked for is reached"
    assert MatchRate(4_999, 5).bad(9_990, 5)


@pytest.mark.parametrize("over", [OrderStatus.SHIPPED, OrderStatus.CANCELLED])
@pytest.mark.parametrize("source", [EXTENSIV, "uk"])
def test_what_was_seen_to_have_ended_had_by_then_whatever_its_record_says(
    source: str, over: OrderStatus
) -> None:
    """A date in the future would keep its units off the shelf until then, and one that moves for ever."""
    book = OrderBook()
    for as_of, ended, then in ((4, 10**9, 4), (9, 3, 3), (12, 10**9, 3), (13, None, 3)):
        book.take(seen(source, over, as_of, ended))
        (side,) = book.orders[KEY].sides
        assert side.ended_at == (4 if over is OrderStatus.SHIPPED else then), (
            "a parcel left no earlier than was said"
        )


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


@pytest.mark.parametrize(("whole_began", "stage"), [(1_500, Stage.IN_FLIGHT), (1_501, Stage.ENDED)])
def test_what_a_channel_has_shipped_may_be_imported_as_late_as_any_order(
    whole_began: int, stage: Stage
) -> None:
    book = OrderBook()
    book.take(replace(seen("uk", OrderStatus.SHIPPED, 600, 600), placed=Instant(500)))
    assert stage_of(book.orders[KEY], Instant(1_600), IMPORT_MAX, Instant(whole_began)) is stage


def test_of_two_readings_of_one_moment_the_later_counts() -> None:
    """One page may show an order twice, as it was changed."""
    book = OrderBook()
    book.take(seen(EXTENSIV, OrderStatus.OPEN, 4))
    book.take(seen(EXTENSIV, OrderStatus.CANCELLED, 4, 4))
    assert stage_of(book.orders[KEY], None, IMPORT_MAX) is Stage.ENDED


@pytest.mark.parametrize(
    ("status", "more", "rate"),
    [
        (OrderStatus.OPEN, {}, MatchRate(1, 1)),
        (OrderStatus.CANCELLED, {}, MatchRate(0, 0)),
        (OrderStatus.OPEN, {"eligible": False}, MatchRate(0, 0)),
    ],
    ids=["open", "cancelled", "never sent there"],
)
def test_what_extensiv_need_not_have_is_no_order_that_it_lacks(
    status: OrderStatus, more: dict[str, bool], rate: MatchRate
) -> None:
    book = OrderBook()
    book.take(seen("uk", OrderStatus.OPEN, 1))
    book.take(replace(seen("uk", status, 2), **more))  # type: ignore[arg-type]
    assert book.match_rate(KEY.channel, Instant(9_999), IMPORT_MAX, 9_999, 2_000) == rate


def test_an_order_is_old_enough_to_be_missed_once_the_longest_import_is_over() -> None:
    book = OrderBook()
    book.take(replace(seen("uk", OrderStatus.OPEN, 500), placed=Instant(500)))
    for now, old in ((1_499, 0), (1_500, 1)):
        assert book.match_rate(KEY.channel, Instant(now), IMPORT_MAX, 9_999, 2_000).old == old


def test_the_newest_orders_tell_how_many_are_missed() -> None:
    book = OrderBook()
    for number in range(10):
        key, now = replace(KEY, number=str(number)), Instant(number)
        book.take(replace(seen("uk", OrderStatus.OPEN, number), key=key, placed=now))
        if number >= 7:
            book.take(replace(seen(EXTENSIV, OrderStatus.OPEN, number), key=key, part=str(number)))
    assert book.match_rate(KEY.channel, Instant(9_999), IMPORT_MAX, 99_999, 3) == MatchRate(3, 0)
    assert book.match_rate(KEY.channel, Instant(9_999), IMPORT_MAX, 99_999, 4) == MatchRate(4, 1)


def test_one_customer_in_ten_makes_no_line_a_usual_one() -> None:
    book = OrderBook()
    for number, units in enumerate([1] * 9 + [100]):
        order = replace(seen("uk", OrderStatus.OPEN, number), key=replace(KEY, number=str(number)))
        book.take(replace(order, lines=(OrderLine("a", units),)))
    assert book.large_line(KEY.channel) == 1
    for number in range(20, 140):
        order = replace(seen("uk", OrderStatus.CANCELLED, number), key=replace(KEY, number=str(number)))
        book.take(replace(order, lines=(OrderLine("a", 0),)))
    assert book.large_line(KEY.channel) == 1, "nor does one of whose lines nothing is left"


def test_an_order_is_forgotten_by_when_either_side_told_of_it_last() -> None:
    book = OrderBook()
    book.take(seen("uk", OrderStatus.OPEN, 1))
    book.take(seen(EXTENSIV, OrderStatus.SHIPPED, 9, 9))
    book.settle(book.orders[KEY])
    assert book.forget(Instant(9)) == 0
    assert book.forget(Instant(10)) == 1


def test_an_order_that_was_taken_up_again_is_not_forgotten_for_having_been_settled() -> None:
    book = OrderBook()
    book.take(seen(EXTENSIV, OrderStatus.CANCELLED, 1, 1))
    book.settle(book.orders[KEY])
    book.take(seen(EXTENSIV, OrderStatus.OPEN, 2))
    assert book.forget(Instant(9)) == 0
    assert [each.key for each in book.standing(KEY.channel, "a")] == [KEY]


@pytest.mark.parametrize(("status", "told"), [(OrderStatus.OPEN, True), (OrderStatus.CANCELLED, False)])
def test_nobody_is_told_that_a_cancelled_order_says_more_than_was_sold(
    status: OrderStatus, told: bool
) -> None:
    book = OrderBook()
    book.take(seen("uk", OrderStatus.OPEN, 1))
    book.take(replace(seen(EXTENSIV, status, 2, 2), lines=(OrderLine("a", 5),)))
    finding = more_than_sold(book.orders[KEY], Instant(3))
    assert finding is not None
    assert finding.cleared is not told


def takes(
    units: int, as_of: int, status: OrderStatus = OrderStatus.OPEN, ended: int | None = None
) -> OrderObserved:
    """The order as its channel shows it, changed just then."""
    return replace(seen("uk", status, as_of, ended), lines=(OrderLine("a", units),))


def test_an_order_gives_back_what_it_once_took_and_takes_no_more_when_that_came_about() -> None:
    book, apart = OrderBook(), 2 * RECORD_MS
    moments = [Instant(number * apart) for number in range(8)]

    def returned(number: int) -> int:
        return book.returned(KEY.channel, "a", Instant(moments[number] - 1), moments[number])

    book.take(seen(EXTENSIV, OrderStatus.OPEN, moments[0]))
    book.take(takes(5, moments[0]))
    assert returned(0) == 0
    book.take(takes(3, moments[1]))
    book.take(takes(3, moments[2], OrderStatus.SHIPPED))
    assert [returned(each) for each in range(3)] == [0, 2, 0], "a parcel gives nothing back"
    book.take(takes(4, moments[3]))
    assert [returned(each) for each in range(4)] == [0, 0, 0, 1]
    book.take(takes(0, moments[5], OrderStatus.CANCELLED, ended=moments[4]))
    assert [returned(each) for each in range(6)] == [0, 0, 0, 0, 5, 0]
    book.take(
        replace(takes(4, moments[6], OrderStatus.CANCELLED, ended=moments[4]), lines=(OrderLine("a", 4),))
    )
    assert returned(4) == 5, "some channels leave the lines of a cancelled order as they were"
    assert book.returned(KEY.channel, "b", moments[0], moments[7]) == 0


def test_what_an_order_gave_back_counts_a_little_before_and_after_its_record() -> None:
    book = OrderBook()
    book.take(takes(2, 0))
    book.take(takes(0, 100_000, OrderStatus.CANCELLED, ended=100_000))
    spans = [(100_000, 200_000), (100_000 + RECORD_MS, 200_000), (0, 99_999), (0, 100_000 - RECORD_MS - 1)]
    found = [book.returned(KEY.channel, "a", Instant(since), Instant(until)) for since, until in spans]
    assert found == [2, 0, 2, 0]


def test_a_cancel_that_is_dated_later_has_ended_since_then() -> None:
    book = shop_book(0)
    gone = replace(order("uk", OrderStatus.CANCELLED, 5_000, placed=2_000), ended_at=None)
    book.take(gone)
    book.take(replace(gone, ended_at=Instant(4_000), as_of=Instant(6_000), modified=Instant(6_000)))
    (known,) = book.orders.orders.values()
    assert known.on_channel is not None
    assert known.on_channel.ended_at == 4_000


@pytest.mark.parametrize("then", ["settled", "turned back", "forgotten"])
def test_a_code_that_is_told_of_later_alone_is_followed_like_any_other(then: str) -> None:
    """Read again as it was, but for what was once taken off it."""
    book = shop_book(0)
    swept(book, "extensiv.orders", 500)
    first = order("uk", OrderStatus.CANCELLED, 1_000, units=1)
    book.take(first)
    book.take(replace(first, as_of=Instant(2_000), most=(OrderLine("b", 1),)))
    if then == "turned back":
        book.turn_back(Instant(500), Instant(2_000))
    else:
        swept(book, "extensiv.orders", 1_000_000)
        settle_orders(book, Instant(1_000_001 if then == "settled" else 100 * 86_400_000))
    assert (first.key in book.orders.orders) is (then != "forgotten")
    assert list(book.orders.standing(UK, "b")) == (
        [book.orders.orders[first.key]] if then == "turned back" else []
    )
