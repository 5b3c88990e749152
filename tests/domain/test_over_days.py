"""What comes to orders, rows and clocks over hours and days: nothing that may still leave a shelf is in no claim."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.domain import orders
from reconcilerd.domain.book import Book
from reconcilerd.domain.change import Rails
from reconcilerd.domain.claims import order_claims, settle_orders
from reconcilerd.domain.facts import (
    EXTENSIV,
    ListingDeclared,
    OrderLine,
    OrderObserved,
    OrderStatus,
    ProductObserved,
    ProductType,
    StockObserved,
)
from reconcilerd.domain.names import Instant, LocationName, OrderKey, Sku
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import LocationRule, Mode
from reconcilerd.domain.position import ClaimKind
from tests.domain.books import (
    LAG_MS,
    MIRROR_MAX_MS,
    UK,
    claimed,
    order,
    position_at,
    row,
    see,
    shop_book,
    swept,
)
from tests.domain.test_clocks import FEEDS, HOUR, shop

OPEN, SHIPPED, CANCELLED = OrderStatus.OPEN, OrderStatus.SHIPPED, OrderStatus.CANCELLED
DAY = 24 * HOUR
T = 100_000_000


def done_long_ago(book: Book, days: int, at: int = T) -> int:
    """An order of two that was shipped and proven, and so many days; what o'clock it is then."""
    first = order(UK, OPEN, at + 2_000, placed=at + 2_000, units=2)
    book.take(first)
    book.take(order(EXTENSIV, SHIPPED, at + 2_010, place="1", units=2))
    book.take(replace(first, status=SHIPPED, as_of=Instant(at + 2_020), modified=Instant(at + 2_020)))
    now = at + days * DAY
    row(book, "1", 48, now)
    row(book, "2", 50, now)
    for feed in FEEDS:
        swept(book, feed, now)
    settle_orders(book, Instant(now))
    return now


def added(now: int) -> OrderObserved:
    """A customer exchanges: one is added to the order of then."""
    return order(UK, OPEN, now, placed=T + 2_000, units=3)


@pytest.mark.parametrize("days", [7, 10, 400])
def test_what_is_added_to_an_order_that_is_long_done_is_taken_for_sold(days: int) -> None:
    book = shop_book(T)
    swept(book, "extensiv.orders", T)
    now = done_long_ago(book, days)
    assert (OrderKey(UK, "1") in book.orders.orders) == (days == 7)
    book.take(added(now + 10))
    assert OrderKey(UK, "1") not in book.orders._put_by
    assert claimed(book, now + 20, ClaimKind.IN_FLIGHT) == 1
    other = replace(order(EXTENSIV, OPEN, now + 30, place="1"), part="9")
    book.take(other)
    assert claimed(book, now + 40, ClaimKind.COMMITTED, ClaimKind.IN_FLIGHT) == 1
    book.take(replace(other, status=SHIPPED, as_of=Instant(now + 50), ended_at=Instant(now + 50)))
    row(book, "1", 47, now + 60)
    assert claimed(book, now + 70, *ClaimKind) == 0


def test_nothing_is_raised_by_a_unit_that_was_added_to_an_order_of_ten_days_ago() -> None:
    book = shop(T, shown=98)
    now = done_long_ago(book, 10)
    see(book, 98, now)
    see(book, 97, now + 60_000)
    book.take(added(now + 200_000))
    for later in (200_000, 320_000):
        for feed in FEEDS:
            swept(book, feed, now + later)
        row(book, "1", 48, now + later)
        row(book, "2", 50, now + later)
        see(book, 97, now + later)
    plan = make_plan(position_at(book, now + 320_500), Rails(Mode.AUTO))
    assert [each for each in plan.sends if not each.lowers] == [], "98 lie there, and one of them is sold"


def test_an_order_that_is_long_done_and_sent_once_more_changes_nothing() -> None:
    book = shop_book(T)
    swept(book, "extensiv.orders", T)
    now = done_long_ago(book, 10)
    theirs = replace(
        order(UK, OPEN, T + 2_000, placed=T + 2_000, units=2), status=SHIPPED, modified=Instant(T + 2_020)
    )
    for side in (theirs, order(EXTENSIV, SHIPPED, T + 2_010, place="1", units=2)):
        book.take(replace(side, as_of=Instant(now + 10)))
        assert (claimed(book, now + 20, *ClaimKind), book.orders.orders) == (0, {})


def test_an_old_reading_of_an_order_that_is_long_done_loses_nothing_of_it() -> None:
    book = shop_book(T)
    swept(book, "extensiv.orders", T)
    now = done_long_ago(book, 10)
    book.take(order(UK, OPEN, T + 2_001, placed=T + 2_000, units=9))
    assert claimed(book, now + 5, *ClaimKind) == 0
    book.take(added(now + 10))
    assert claimed(book, now + 20, ClaimKind.IN_FLIGHT) == 1, "of three, two have left"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "PUT_BY", 3)
    monkeypatch.setattr(orders, "FORGOTTEN", 4)


@pytest.mark.usefixtures("few")
def test_of_orders_that_are_long_done_so_many_are_kept_and_no_more() -> None:
    book = shop_book(T)
    swept(book, "extensiv.orders", T)
    for number in range(12):
        at = T + number * DAY
        book.take(order(UK, CANCELLED, at, placed=at, number=str(number)))
        swept(book, "extensiv.orders", at + HOUR)
        settle_orders(book, Instant(at + HOUR))
    last = T + 30 * DAY
    settle_orders(book, Instant(last))
    kept = [f"{n}" for n in (9, 10, 11)], [f"{n}" for n in (5, 6, 7, 8)]
    assert ([k.number for k in book.orders._put_by], [k.number for k in book.orders._forgotten]) == kept
    # Of one that is only known to have been there nobody can say what changed; of one nobody knows at all, all is news.
    for name, units in (("6", 0), ("10", 2), ("1", 2)):
        book.take(order(UK, OPEN, last + 10, placed=T, units=2, number=name))
        assert claimed(book, last + 20, ClaimKind.IN_FLIGHT) == units
        book.take(order(UK, CANCELLED, last + 30, placed=T, units=2, number=name))
        swept(book, "extensiv.orders", last + HOUR)
        last += HOUR
    book.take(order(EXTENSIV, OPEN, last + 10, placed=T, number="6"))
    assert claimed(book, last + 20, ClaimKind.COMMITTED) == 1, "Extensiv says all of it"
    assert OrderKey(UK, "6") not in book.orders._forgotten


def test_a_clock_that_goes_back_keeps_no_news_of_an_order_that_is_long_done_out() -> None:
    book = shop_book(T)
    swept(book, "extensiv.orders", T)
    now = done_long_ago(book, 10)
    book.turn_back(Instant(T - DAY), Instant(now))
    book.take(added(T - DAY + 10))
    assert claimed(book, T - DAY + 20, ClaimKind.IN_FLIGHT) == 1


def test_what_extensiv_cancelled_hides_nothing_that_the_channel_adds_later() -> None:
    """It was made anew under another id, or one of two alike was cancelled by hand."""
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order(UK, OPEN, 1_500, placed=1_500, units=2))
    for status, at, part in ((OPEN, 1_600, "7"), (CANCELLED, 5_000, "7"), (OPEN, 5_100, "8")):
        book.take(replace(order(EXTENSIV, status, at, units=2), part=part))
    assert claimed(book, 5_200, ClaimKind.COMMITTED, ClaimKind.IN_FLIGHT) == 2
    book.take(order(UK, OPEN, DAY, placed=1_500, units=3))
    swept(book, "extensiv.orders", DAY + 1)
    assert claimed(book, DAY + 2, ClaimKind.COMMITTED, ClaimKind.IN_FLIGHT) == 3
    swept(book, "extensiv.orders", DAY + HOUR)
    assert claimed(book, DAY + HOUR, ClaimKind.COMMITTED, ClaimKind.IN_FLIGHT) == 2, (
        "it must have heard by then"
    )


def test_what_extensiv_cancelled_after_the_channels_last_word_is_added_by_nobody() -> None:
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order(UK, OPEN, 1_500, placed=1_500, units=4))
    for status, at, part in ((OPEN, 1_510, "7"), (OPEN, 1_520, "8"), (CANCELLED, 1_530, "7")):
        book.take(replace(order(EXTENSIV, status, at, units=2), part=part))
    assert claimed(book, 1_540, ClaimKind.COMMITTED, ClaimKind.IN_FLIGHT) == 2


def gone(book: Book, place: str, at: int) -> None:
    """The row of SKU a at a place is away."""
    now = Instant(at)
    book.take(StockObserved(Sku("a"), LocationName(place), 0, 0, 0, now, now, gone=True))


def test_a_copys_row_that_was_away_for_a_while_was_not_counted_anew() -> None:
    book = shop_book(1_000, copied=True)
    book.take(order(EXTENSIV, SHIPPED, 2_000, place="2"))
    row(book, "2", 50, 2_200)
    gone(book, "2", 2_500)
    row(book, "2", 50, 3_000)
    assert claimed(book, 3_001, ClaimKind.SHIPPED) == 1
    row(book, "2", 49, 3_500)
    row(book, "2", 49, 4_000)
    assert claimed(book, 4_001, ClaimKind.SHIPPED) == 0


@pytest.mark.parametrize("read_before", [False, True])
def test_what_left_a_place_whose_copy_comes_later_is_not_settled_by_the_other_places(
    read_before: bool,
) -> None:
    book = shop_book(1_000, copied=True)
    place = LocationName("3")
    book.policy = replace(book.policy, locations=MappingProxyType({place: LocationRule(True, MIRROR_MAX_MS)}))
    swept(book, "extensiv.orders", 1_500)
    if read_before:
        row(book, "3", 50, 1_600)
    book.take(order(EXTENSIV, SHIPPED, 2_000, place="3"))
    if read_before:
        gone(book, "3", 2_500)
    for other in ("1", "2"):
        row(book, other, 50, 2_600)
    settle_orders(book, Instant(2_700))
    row(book, "3", 50, 3_000)
    assert claimed(book, 3_001, ClaimKind.SHIPPED) == 1
    late = 2_000 + MIRROR_MAX_MS + 1
    gone(book, "3", 3_500)
    for other in ("1", "2"):
        row(book, other, 50, late)
    settle_orders(book, Instant(late))
    assert not list(book.orders.unsettled())


def test_no_row_that_was_read_before_the_clock_went_back_proves_what_left_after_it() -> None:
    book = shop_book(10 * HOUR)
    swept(book, "extensiv.orders", 10 * HOUR)
    book.take(order(EXTENSIV, OPEN, 10 * HOUR + 1_000, place="1"))
    back = 8 * HOUR + 60_000
    book.turn_back(Instant(back), Instant(10 * HOUR + 60_000))
    left = Instant(8 * HOUR + 30_000)  # by the clock of then it was ten
    sent = replace(order(EXTENSIV, SHIPPED, back + 5_000, place="1"), modified=left, ended_at=left)
    book.take(sent)
    assert claimed(book, back + 6_000, ClaimKind.SHIPPED) == 1
    row(book, "1", 49, back + 7_000)
    assert claimed(book, back + 8_000, ClaimKind.SHIPPED) == 0


def test_claims_that_are_kept_from_look_to_look_know_that_the_clock_went_back() -> None:
    book = shop_book(1_000)
    book.take(order(EXTENSIV, SHIPPED, 2_000, place="1"))
    row(book, "1", 49, 3_000)
    kept = order_claims(book, Sku("a"))
    assert kept.claims == ()
    book.turn_back(Instant(4_000), Instant(9_000))
    assert order_claims(book, Sku("a"), kept).claims == order_claims(book, Sku("a")).claims != ()


def test_no_count_of_before_the_clock_went_back_proves_what_left_a_copy_after_it() -> None:
    book = shop_book(5 * HOUR, copied=True)
    swept(book, "extensiv.orders", 5 * HOUR)
    row(book, "2", 49, 7 * HOUR)
    row(book, "2", 47, 7 * HOUR + 60_000)
    book.take(order(EXTENSIV, OPEN, 7 * HOUR + 70_000, place="2"))
    back = 7 * HOUR + 600_000
    book.turn_back(Instant(back), Instant(9 * HOUR + 600_000))
    left = Instant(7 * HOUR - 300_000)
    book.take(replace(order(EXTENSIV, SHIPPED, back + 5_000, place="2"), modified=left, ended_at=left))
    row(book, "2", 47, back + 6_000)
    assert claimed(book, back + 7_000, ClaimKind.SHIPPED) == 1, "read anew, and counted as before"
    row(book, "2", 46, back + 8_000)
    assert claimed(book, back + 9_000, ClaimKind.SHIPPED) == 0


def test_orders_with_something_that_lies_nowhere_are_settled_once_all_stock_was_read() -> None:
    """A service, a printed card: with it every order of it would be looked at for ever, by all that it sold beside."""
    book = shop_book(1_000)
    book.take(ProductObserved(Sku("c"), "c", 3, "c", ProductType.CORE, "", True, (), Instant(0)))
    book.take(ListingDeclared(1, 3, "c", Sku("c"), False, True, Instant(0)))
    swept(book, "extensiv.orders", 1_000)
    swept(book, "extensiv.stock", 1_500)
    both = (OrderLine("a", 1), OrderLine("c", 1))
    for number in range(3):
        book.take(replace(order(EXTENSIV, SHIPPED, 2_000, number=str(number)), lines=both))
    for place in ("1", "2"):
        row(book, place, 50, 3_000)
    settle_orders(book, Instant(4_000))
    assert len(list(book.orders.unsettled())) == 3, "a row of it may not have been read yet"
    swept(book, "extensiv.stock", 5_000)
    settle_orders(book, Instant(6_000))
    assert list(book.orders.unsettled()) == []


def test_a_large_order_that_is_dated_ahead_is_believed_once_its_channel_was_read_beyond_its_record() -> None:
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    for number in range(20):
        book.take(order(UK, CANCELLED, 1_200, placed=1_100, number=f"x{number}"))
    swept(book, "uk.orders", LAG_MS + 1_500)
    book.take(order(EXTENSIV, OPEN, 2_000, placed=2_000 + 8 * HOUR, units=40))
    assert claimed(book, 2_500, ClaimKind.COMMITTED) == 1
    long_ago = order(EXTENSIV, OPEN, 2_100, placed=1_400, units=30, number="2")
    book.take(long_ago)
    assert claimed(book, 2_500, ClaimKind.COMMITTED) == 1 + 30, (
        "its channel was read beyond that, and lacks it"
    )
    book.take(replace(long_ago, status=CANCELLED, as_of=Instant(2_600)))
    swept(book, "uk.orders", 2_000 + HOUR)
    assert claimed(book, 2_000 + HOUR, ClaimKind.COMMITTED) == 40
