"""Orders of which a channel and Extensiv do not tell the same."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import order_claims
from reconcilerd.domain.discrepancies import missing_orders, unmapped_that_sold
from reconcilerd.domain.facts import (
    EXTENSIV,
    Fact,
    FindingKind,
    FindingRaised,
    OrderLine,
    OrderStatus,
    StockObserved,
)
from reconcilerd.domain.names import Instant, LocationName, Sku
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.room import Shelf, level_of, room_of
from tests.domain.books import LAG_MS, UK, claimed, order, position_at, row, see, shop_book, swept

OPEN, CANCELLED = OrderStatus.OPEN, OrderStatus.CANCELLED
NOW = 3_000


def taken(book: Book) -> int:
    """Units of SKU a's hundred that nobody is offered."""
    return 100 - level_of(position_at(book, NOW), Sku("a"))


def allocated(units: int, at: int) -> StockObserved:
    return StockObserved(Sku("a"), LocationName("1"), 50, 0, units, Instant(at), Instant(at))


@given(st.integers(1, 10), st.integers(1, 200), st.integers(0, 50), st.integers(0, 10))
def test_each_unit_is_taken_once_if_the_channel_sold_it_or_extensiv_holds_it(
    sold: int, more: int, held: int, before: int
) -> None:
    """Whatever Extensiv says of an order, and in whichever order all this is read. ``before``: sold until an edit."""
    facts: list[Fact] = [
        order("uk", OPEN, 2_000, units=sold + before),
        order("uk", OPEN, 2_200, units=sold),
        order(EXTENSIV, OPEN, 2_100, units=sold + before + more),
        allocated(held, 2_300),
    ]
    for way in permutations(facts):
        if way.index(facts[0]) < way.index(facts[1]):  # an older reading of the same side says nothing
            book = shop_book(1_000)
            for fact in way:
                book.take(fact)
            assert taken(book) == max(sold + before, held)


@pytest.mark.parametrize("then", [OPEN, CANCELLED])
def test_neither_edit_nor_cancel_on_the_channel_raises_what_is_left(then: OrderStatus) -> None:
    """Rule 5.8: what Extensiv still shows as open is taken."""
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 2_000, units=5))
    book.take(order(EXTENSIV, OPEN, 2_100, units=5))
    book.take(order("uk", then, 2_200, units=2))
    book.take(replace(order("uk", then, 2_300), lines=()))
    assert taken(book) == 5


def test_the_most_that_was_sold_outlives_a_restart() -> None:
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 2_000, units=5))
    kept = book.take(order("uk", OPEN, 2_200, units=2)).instead
    assert kept is not None
    again = shop_book(1_000)
    again.load((kept, order(EXTENSIV, OPEN, 2_300, units=5)), Instant(2_400))
    assert taken(again) == 5


def test_a_line_that_the_channel_never_had_is_taken_whole() -> None:
    """Somebody added it in Extensiv."""
    book = shop_book(1_000)
    book.take(replace(order("uk", OPEN, 2_000), lines=(OrderLine("b", 1),)))
    book.take(order(EXTENSIV, OPEN, 2_100, units=7))
    assert taken(book) == 7


def test_an_order_that_only_extensiv_has_is_taken_whole() -> None:
    book = shop_book(1_000)
    book.take(order(EXTENSIV, OPEN, 2_100, units=70))
    assert taken(book) == 70


def test_units_that_were_never_sold_explain_no_fall_of_stock() -> None:
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 2_000, placed=1_900, units=2))
    book.take(order(EXTENSIV, OPEN, 2_100, placed=1_900, units=200))
    assert dict(position_at(book, NOW).sold)[Sku("a")] == 2
    assert claimed(book, NOW, ClaimKind.COMMITTED) == 2


def test_a_person_is_told_of_both_numbers_until_they_agree() -> None:
    book = shop_book(1_000)

    def told(fact: Fact) -> list[tuple[str, bool]]:
        return [(f.detail, f.cleared) for f in book.take(fact).derived if isinstance(f, FindingRaised)]

    assert told(order(EXTENSIV, OPEN, 2_000, units=200)) == []
    ((detail, cleared),) = told(order("uk", OPEN, 2_100, units=2))
    assert not cleared
    assert "200" in detail
    assert "more than 2" in detail
    assert "extensiv.orders" in detail
    assert told(order(EXTENSIV, OPEN, 2_200, units=200)) == []
    assert [cleared for _, cleared in told(order(EXTENSIV, OPEN, 2_300, units=2))] == [True]


def missing(book: Book) -> list[str]:
    return [each.order.key.number for each in missing_orders(book, UK, Instant(NOW))]


@pytest.mark.parametrize(("read", "found"), [(2_100, []), (2_101, ["1"])])
def test_an_order_is_missing_once_a_reading_begun_after_the_longest_import_lacks_it(
    read: int, found: list[str]
) -> None:
    """Imports take at most 100 ms here."""
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 2_050, placed=2_000))
    swept(book, EXTENSIV + ".orders", read)
    assert missing(book) == found


def test_what_extensiv_has_or_nobody_needs_is_not_missing() -> None:
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 2_050, placed=2_002, number="2"))
    book.take(order("uk", OPEN, 2_050, placed=2_001, number="1"))
    book.take(order("uk", OPEN, 2_050, placed=2_000, number="there"))
    book.take(order(EXTENSIV, OPEN, 2_060, placed=2_000, number="there"))
    book.take(order("uk", CANCELLED, 2_050, placed=2_000, number="cancelled"))
    book.take(order("uk", OrderStatus.SHIPPED, 2_050, placed=2_000, number="shipped"))
    book.take(replace(order("uk", OPEN, 2_050, placed=2_000, number="counter"), eligible=False))
    assert missing(book) == []
    swept(book, EXTENSIV + ".orders", 2_900)
    assert missing(book) == ["1", "2"]


def early_order(units: int) -> Book:
    """Extensiv has an order of a channel on which two units are usual, and which was read up to just before it."""
    book = shop_book(1_000)
    for number in range(10):
        book.take(order("uk", OPEN, 1_500, placed=500, units=2, number=f"old {number}"))
        book.take(order(EXTENSIV, CANCELLED, 1_500, placed=500, units=2, number=f"old {number}"))
    swept(book, "uk.orders", 2_099 + LAG_MS)
    book.take(order(EXTENSIV, OPEN, 2_200, placed=2_100, units=units))
    return book


def both_claims(book: Book) -> tuple[int, int]:
    return claimed(book, NOW, ClaimKind.COMMITTED), claimed(book, NOW, ClaimKind.UNHEARD)


@pytest.mark.parametrize(("units", "found"), [(10, (10, 0)), (11, (2, 9)), (5_000, (2, 4_998))])
def test_what_is_far_beyond_all_that_a_channel_sells_waits_for_its_word(
    units: int, found: tuple[int, int]
) -> None:
    """An order feed that says a hundred times too much comes before the channel's own list often enough."""
    assert both_claims(early_order(units)) == found


def test_the_word_of_the_channel_is_believed_and_so_is_its_silence() -> None:
    assert both_claims(early_order(200)) == (2, 198)
    for said, found in ((2, (2, 0)), (200, (200, 0))):
        book = early_order(200)
        book.take(order("uk", OPEN, 2_300, placed=2_100, units=said))
        assert both_claims(book) == found
    silent = early_order(200)
    swept(silent, "uk.orders", 2_100 + LAG_MS)
    assert both_claims(silent) == (200, 0), "somebody made it in Extensiv, in the channel's name"


def test_units_that_wait_for_a_channels_word_are_not_there_for_raises_and_are_taken_once_allocated() -> None:
    def shelf() -> Shelf:
        (found,) = room_of(position_at(book, NOW)).shelves
        return found

    book = early_order(90)
    see(book, 10, 2_250)
    assert (shelf().left, shelf().left_for_raises) == (98, 10)
    row(book, "1", 50, 2_900, allocated=50)
    assert shelf().left == 50


def test_orders_are_counted_anew_once_their_channel_was_read() -> None:
    book = early_order(200)
    kept = order_claims(book, Sku("a"))
    assert order_claims(book, Sku("a"), kept) is kept
    assert kept.awaited
    swept(book, "uk.orders", 2_100 + LAG_MS)
    assert [each.units for each in order_claims(book, Sku("a"), kept).claims] == [200]


def test_a_listing_that_sold_since_and_is_mapped_nowhere_is_named_and_no_other() -> None:
    book = shop_book(1_000)
    book.take(replace(order("uk", OPEN, 2_000, placed=2_000), lines=(OrderLine("strange", 2),)))
    found = [
        FindingRaised(FindingKind.UNMAPPED_SKU, f"uk:{code}", "", Instant(1_500))
        for code in ("strange", "idle")
    ]
    assert list(unmapped_that_sold(book, found, Instant(1_000))) == [(UK, "strange")]
    assert list(unmapped_that_sold(book, found, Instant(2_500))) == []
