"""What a catalogue makes of names: products called otherwise, codes mapped twice, bundles that contain themselves."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    EXTENSIV,
    FindingKind,
    ListingDeclared,
    OrderLine,
    OrderStatus,
    ProductObserved,
    ProductType,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.names import Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.survey import position_of, weather_of
from tests.domain.books import UK, order, shop_book, swept

PARTS = (("a", 1), ("b", 2))


def product(
    sku: str, number: int, at: int, parts: Sequence[tuple[str, int]] = (), *, active: bool = True
) -> ProductObserved:
    kind = ProductType.BUNDLE if parts else ProductType.CORE
    components = tuple((Sku(name), count) for name, count in parts)
    return ProductObserved(Sku(sku), sku, number, sku, kind, "", active, components, Instant(at))


def taken(book: Book, sku: str, now: int) -> int:
    """Units of a SKU that orders take."""
    group = book.joins().groups.of.get(Sku(sku), Sku(sku))
    claims = position_of(book, group, weather_of(book, Instant(now))).claims
    return sum(each.units for each in claims if each.component == sku and each.kind is ClaimKind.COMMITTED)


def ordered(book: Book, sku: str, units: int) -> None:
    """An open order of a SKU, which Extensiv names."""
    line = (OrderLine(sku, units, Sku(sku)),)
    book.take(replace(order(EXTENSIV, OrderStatus.OPEN, 1_000, units=units), lines=line))
    swept(book, "extensiv.orders", 1_500)


@pytest.mark.parametrize("started", [False, True])
def test_orders_go_with_a_product_that_is_called_otherwise_and_come_back_with_it(started: bool) -> None:
    book = shop_book(0)
    ordered(book, "a", 5)
    assert taken(book, "a", 2_000) == 5
    there = [product("aa", 1, 3_000), product("a", 1, 3_000, active=False)]
    for each in reversed(there) if started else there:
        book.take(each)
    book.take(ListingDeclared(1, 1, "a", Sku("aa"), False, True, Instant(3_000)))
    assert (taken(book, "aa", 4_000), taken(book, "a", 4_000)) == (5, 0)
    book.take(product("a", 1, 5_000))
    book.take(product("aa", 1, 5_000, active=False))
    book.take(ListingDeclared(1, 1, "a", Sku("a"), False, True, Instant(5_000)))
    assert (taken(book, "aa", 6_000), taken(book, "a", 6_000)) == (0, 5)


def test_they_go_with_it_where_nobody_said_that_its_old_name_ended_and_no_listing_leads_there() -> None:
    book = shop_book(0)
    ordered(book, "a", 5)
    book.take(product("aa", 1, 3_000))
    book.take(ListingDeclared(1, 1, "a", Sku("a"), False, False, Instant(3_000)))
    assert (taken(book, "aa", 4_000), taken(book, "a", 4_000)) == (5, 0)


def test_orders_of_a_product_that_is_no_longer_active_stay_its_own() -> None:
    book = shop_book(0)
    ordered(book, "a", 5)
    book.take(product("a", 1, 3_000, active=False))
    assert taken(book, "a", 4_000) == 5


def test_a_code_that_is_mapped_twice_goes_by_the_same_listing_in_whatever_order_they_are_read() -> None:
    some = [
        ListingDeclared(1, number, "x", Sku(sku), False, True, Instant(1))
        for number, sku in ((20, "a"), (10, "b"), (5, "b"))
    ]
    found = set()
    for each in permutations(some):
        book = shop_book(0)
        for listing in each:
            book.take(listing)
        slot = SlotKey(UK, "x", "")
        book.take(SlotObserved(slot, "x", "X", 30, SlotState.BUYABLE, False, Instant(3), Instant(3)))
        found.add(book.joins().sku_of[slot])
        assert slot in book.joins().ambiguous
    assert found == {"a"}


def looped(at: int) -> ProductObserved:
    return product("set", 9, at, (*PARTS, ("set", 1)))


def test_orders_of_a_bundle_that_contains_itself_take_of_its_other_parts_and_it_is_not_written() -> None:
    book = shop_book(0)
    slot = SlotKey(UK, "s", "")
    book.take(product("set", 9, 0, PARTS))
    book.take(ListingDeclared(1, 9, "set", Sku("set"), False, True, Instant(0)))
    book.take(SlotObserved(slot, "set", "S", 5, SlotState.BUYABLE, False, Instant(0), Instant(0)))
    ordered(book, "set", 5)
    assert (taken(book, "a", 2_000), taken(book, "b", 2_000)) == (5, 10)
    book.take(looped(3_000))
    assert (taken(book, "a", 4_000), taken(book, "b", 4_000)) == (5, 10)
    where = position_of(book, Sku("a"), weather_of(book, Instant(4_000)))
    assert where.unknown == ("set",), "and what is made of unknown stock is held"
    assert LocationName("1") in where.all_locations


def test_a_bundle_that_contains_itself_no_longer_is_told_no_longer() -> None:
    book = shop_book(0)
    for at, parts, told in (
        (1_000, (*PARTS, ("set", 1)), ["set"]),
        (2_000, PARTS, []),
        (3_000, (("set", 1),), ["set"]),
    ):
        book.take(product("set", 9, at, parts))
        book.joins()
        assert [each.subject for each in book.findings.standing(FindingKind.BUNDLE_LOOP).values()] == told


def test_bundles_that_contain_each_other_are_each_cut_where_they_lead_back() -> None:
    book = shop_book(0)
    book.take(product("one", 11, 0, (("two", 2), ("a", 1))))
    book.take(product("two", 12, 0, (("one", 1), ("b", 3))))
    assert book.uses(Sku("one")) == (("a", 1), ("b", 6), ("one", 1))
    assert book.uses(Sku("two")) == (("a", 1), ("b", 3), ("two", 1))
