"""What a whole reading says of what it did not report, and which of two readings counts."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    EXTENSIV,
    FindingKind,
    FindingRaised,
    OrderStatus,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.feeds import STOCK_FEED
from reconcilerd.domain.names import FeedName, Instant, LocationName, Sku
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.quantities import Rate
from tests.domain.books import SLOT, UK, claimed, order, position_at, see, shop_book, swept

ONE = LocationName("1")
SHIPPED = OrderStatus.SHIPPED


def stock_sweep(book: Book, began: int, *, full: bool = True, complete: bool = True) -> None:
    now = Instant(began)
    book.take(SweepRead(STOCK_FEED, now, now, complete, 4, 0, full=full))


def on_hand(book: Book, now: int) -> int:
    return next(each.on_hand for each in position_at(book, now).stock if each.location == ONE)


def test_a_row_that_tells_of_an_earlier_moment_changes_nothing_however_late_it_was_asked_for() -> None:
    book = shop_book(1_000)
    for units, age_of, as_of in ((40, 2_000, 3_000), (50, 4_000, 2_999)):
        book.take(StockObserved(Sku("a"), ONE, units, 0, 0, Instant(age_of), Instant(as_of)))
    assert on_hand(book, 4_001) == 40


@pytest.mark.parametrize(
    ("began", "more", "left"),
    [
        (2_001, {}, 0),
        (2_000, {}, 1),
        (2_001, {"full": False}, 1),
        (2_001, {"complete": False}, 1),
    ],
    ids=["after", "not after", "of some rows", "cut short"],
)
def test_a_whole_reading_proves_shipments_by_rows_that_it_found_unchanged(
    began: int, more: dict[str, bool], left: int
) -> None:
    book = shop_book(1_000)
    book.take(order(EXTENSIV, SHIPPED, 2_000, place="1"))
    stock_sweep(book, began, **more)
    assert claimed(book, 3_000, ClaimKind.SHIPPED) == left


def test_what_a_whole_reading_could_not_read_is_as_old_as_it_was_and_proves_no_shipment() -> None:
    book = shop_book(1_000)
    book.take(order(EXTENSIV, SHIPPED, 2_000, place="1"))
    read = SweepRead(STOCK_FEED, Instant(3_000), Instant(3_000), True, 4, 0, unread=("a",))
    book.take(read)
    assert claimed(book, 4_000, ClaimKind.SHIPPED) == 1
    again = shop_book(1_000)
    again.load([read], Instant(4_000))
    for each in (book, again):
        ages = {(sku, track.row.age_of, track.row.as_of) for (sku, _), track in each.stock.items()}
        assert ages == {("a", 1_000, 1_000), ("b", 3_000, 3_000)}
    stock_sweep(book, 5_000)
    assert claimed(book, 6_000, ClaimKind.SHIPPED) == 0


def test_a_listing_that_a_whole_reading_could_not_read_is_as_old_as_it_was() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    for began, unread in ((3_000, (SLOT.listing,)), (2_500, ())):
        at = Instant(began)
        book.take(SweepRead(FeedName("uk.slots"), at, at, True, 1, 0, unread=unread))
        track = book.slots[SLOT]
        assert (track.age_of, track.as_of) == ((1_000, 1_000) if unread else (2_500, 2_500))


def test_a_listing_that_a_whole_reading_found_unchanged_is_told_of_less_the_lag_of_its_feed() -> None:
    book = shop_book(1_000)
    channels = {UK: replace(book.policy.channels[UK], read_lag_ms=500)}
    book.policy = replace(book.policy, channels=MappingProxyType(channels))
    see(book, 50, 1_000)
    swept(book, "uk.slots", 3_000)
    track = book.slots[SLOT]
    assert (track.age_of, track.as_of) == (3_000, 2_500)


def test_a_reading_that_began_earlier_takes_nothing_back_however_late_it_ends() -> None:
    book = shop_book(1_000)
    for began, ended in ((5_000, 6_000), (4_000, 9_000)):
        book.take(SweepRead(FeedName("uk.orders"), Instant(began), Instant(ended), True, 0, 0))
    assert book.through(UK) == 5_000 - book.policy.channels[UK].order_lag_ms


def test_a_reading_of_a_time_that_is_yet_to_come_tells_of_no_orders() -> None:
    book = shop_book(1_000)
    swept(book, "uk.orders", 20_000)
    book.turn_back(Instant(5_000))
    assert book.through(UK) == -book.policy.channels[UK].order_lag_ms
    swept(book, "uk.orders", 6_000)
    assert book.through(UK) == 6_000 - book.policy.channels[UK].order_lag_ms


def test_how_fast_a_listing_sells_does_not_depend_on_which_order_was_read_first() -> None:
    hour, rates = 3_600_000, []
    for ways in ((1, 3), (3, 1)):
        book = shop_book(1_000)
        for ago in ways:
            placed = 9 * hour - ago * hour
            book.take(order("uk", OrderStatus.OPEN, 9 * hour, placed=placed, number=str(ago)))
        rates.append(book.rate(UK, "a", Instant(9 * hour), Rate(0)))
    assert rates[0] == rates[1]


def test_an_older_finding_does_not_come_back_over_a_newer_word() -> None:
    book = shop_book(1_000)
    raised = FindingRaised(FindingKind.REJECTED_ROW, "stock:1", "odd", Instant(2_000))
    book.take(replace(raised, cleared=True, as_of=Instant(3_000)))
    assert not book.take(raised).news
    assert book.findings[raised.about].cleared
