"""What takes units off the shelf, at the very moment and place where it begins or ends to."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import dark_claims, dark_stock_claims, order_claims, settle_orders, sold_since
from reconcilerd.domain.facts import (
    EXTENSIV,
    CorrectionPlanned,
    CorrectionSent,
    ListingDeclared,
    OrderLine,
    OrderObserved,
    OrderStatus,
    Outcome,
    ProductObserved,
    ProductType,
    StockObserved,
)
from reconcilerd.domain.names import Instant, LocationName, Sku
from reconcilerd.domain.policy import AfterDark, Reserve
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.room import level_of
from reconcilerd.domain.survey import position_of, weather_of
from tests.domain.books import LAG_MS, SLOT, UK, claimed, order, position_at, row, see, shop_book, swept
from tests.domain.builders import A
from tests.domain.builders import row as stock_row

OPEN, SHIPPED, CANCELLED = OrderStatus.OPEN, OrderStatus.SHIPPED, OrderStatus.CANCELLED
ONE, TWO = LocationName("1"), LocationName("2")


def taken(book: Book, now: int) -> int:
    """Units of SKU a's hundred that nobody is offered."""
    return 100 - level_of(position_at(book, now), Sku("a"))


def stock(sku: str, units: int, *, age_of: int, as_of: int) -> StockObserved:
    return StockObserved(Sku(sku), ONE, units, 0, 0, Instant(age_of), Instant(as_of))


@pytest.mark.parametrize(("began", "added"), [(2_100, 3), (2_101, 0)])
def test_what_was_added_to_an_old_order_counts_until_extensiv_must_have_heard_of_the_change(
    began: int, added: int
) -> None:
    """However long ago the order was placed."""
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 2_000, placed=0, units=5))
    book.take(order(EXTENSIV, OPEN, 2_010, units=2))
    swept(book, "extensiv.orders", began)
    assert claimed(book, 2_200, ClaimKind.IN_FLIGHT) == added


def part(name: str, units: int, status: OrderStatus) -> OrderObserved:
    return replace(order(EXTENSIV, status, 2_010, units=units), part=name)


@pytest.mark.parametrize(("second", "added"), [(OPEN, 2), (CANCELLED, 0)])
def test_what_was_added_is_over_only_with_the_last_part_of_its_order(second: OrderStatus, added: int) -> None:
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 2_000, units=5))
    book.take(part("p1", 1, CANCELLED))
    book.take(part("p2", 2, second))
    assert claimed(book, 2_050, ClaimKind.IN_FLIGHT) == added


def test_an_order_that_is_routed_to_where_nothing_is_stocked_is_taken_from_where_there_is() -> None:
    book = shop_book(1_000)
    book.take(order(EXTENSIV, OPEN, 2_000, place="nowhere", units=5))
    assert taken(book, 2_001) == 5


def test_where_one_place_of_a_channel_names_no_location_its_orders_may_lie_anywhere() -> None:
    book = shop_book(0)
    places = MappingProxyType({"p": frozenset({TWO}), "q": frozenset[LocationName]()})
    channels = {UK: replace(book.policy.channels[UK], places=places)}
    book.policy = replace(book.policy, channels=MappingProxyType(channels))
    book.take(order("uk", OPEN, 1_000))
    (lies,) = [each.locations for each in position_at(book, 2_000).claims if each.kind is ClaimKind.IN_FLIGHT]
    assert lies == {ONE, TWO}


def test_a_shipment_of_what_was_never_counted_is_proven_by_no_row() -> None:
    """Its first row was asked for before it left, and comes after it."""
    book, none = shop_book(1_000), Instant(0)
    book.take(ProductObserved(Sku("c"), "c", 3, "c", ProductType.CORE, "", True, (), none))
    book.take(ListingDeclared(1, 3, "c", Sku("c"), False, True, none))
    book.take(replace(order(EXTENSIV, SHIPPED, 2_000), lines=(OrderLine("c", 1),)))
    settle_orders(book, Instant(2_001))
    book.take(stock("c", 9, age_of=1_000, as_of=1_900))
    of_c = position_of(book, Sku("c"), weather_of(book, Instant(2_100))).claims
    assert [each.kind for each in of_c] == [ClaimKind.SHIPPED]


def test_a_shipment_from_anywhere_is_proven_by_the_rows_of_every_place() -> None:
    book = shop_book(1_000)
    book.take(order(EXTENSIV, SHIPPED, 2_000))
    for place, left in (("1", 1), ("2", 0)):
        row(book, place, 50, 3_000)
        assert claimed(book, 3_001, ClaimKind.SHIPPED) == left


@pytest.mark.parametrize(("as_of", "left"), [(2_000, 1), (2_001, 0)])
@pytest.mark.parametrize("age_of", [1_500, 3_000])
def test_a_shipment_is_proven_by_when_its_row_tells_of_and_not_by_when_its_reading_began(
    age_of: int, as_of: int, left: int
) -> None:
    book = shop_book(1_000)
    book.take(order(EXTENSIV, SHIPPED, 2_000, place="1"))
    book.take(stock("a", 50, age_of=age_of, as_of=as_of))
    assert claimed(book, 3_001, ClaimKind.SHIPPED) == left


def test_sales_under_two_open_writes_may_be_buried_since_the_first_of_them() -> None:
    """One a second, three seconds: 3 + sqrt 3."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    for id_, target, at in (("first", 60, 1_000), ("second", 70, 3_000)):
        now = Instant(at)
        under = tuple((o.id, o.target, o.before, o.based_on, o.sent) for o in book.slots[SLOT].open)
        book.take(CorrectionPlanned(id_, SLOT, "a", 50, now, target, "lag", "share", now, under=under))
        book.take(CorrectionSent(id_, SLOT, Outcome.ACCEPTED, "", now, now))
    assert claimed(book, 4_000, ClaimKind.BURIED) == 5


@pytest.mark.parametrize(("read", "inferred"), [(47, 3), (30, 4)])
def test_what_is_inferred_of_a_dark_channel_is_not_expected_of_it_once_more(read: int, inferred: int) -> None:
    """Ten seconds at one a second: 10 + sqrt 10. Of its fall of a second before that four may be inferred, not more."""
    book = shop_book(1_000)
    swept(book, "uk.orders", 1_000 + LAG_MS)
    see(book, 50, 5_000)
    see(book, read, 6_000)
    offers = position_at(book, 6_000).offers
    (kept,) = dark_claims(book, offers, frozenset({UK}), Instant(11_000))
    assert kept.units == 14 - inferred


def test_a_haircut_is_rounded_up() -> None:
    book = shop_book(0)
    limits = replace(book.policy.limits, after_dark=AfterDark.HAIRCUT, haircut_permille=300)
    book.policy = replace(book.policy, limits=limits)
    for units, kept in ((1, 1), (10, 3), (11, 4)):
        assert [each.units for each in dark_stock_claims(book, [stock_row(A, units)], 10**9)] == [kept]


@pytest.mark.parametrize(("now", "held"), [(2_999, 4), (3_000, 0)])
def test_a_reserve_ends_at_its_end(now: int, held: int) -> None:
    book = shop_book(1_000)
    reserves = MappingProxyType({Sku("a"): (Reserve(4, Instant(3_000), "fair"),)})
    book.policy = replace(book.policy, reserves=reserves)
    assert claimed(book, now, ClaimKind.RESERVED) == held


def test_a_reserve_at_a_place_that_stocks_none_is_held_anywhere() -> None:
    book = shop_book(1_000)
    there = frozenset({LocationName("nowhere")})
    reserves = MappingProxyType({Sku("a"): (Reserve(4, Instant(3_000), "fair", there),)})
    book.policy = replace(book.policy, reserves=reserves)
    assert taken(book, 2_000) == 4


def test_sales_explain_falls_for_the_length_of_the_sliding_window() -> None:
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 2_000, placed=2_000, units=5))
    ends = 2_000 + book.policy.limits.window_ms
    assert sold_since(book, Sku("a"), Instant(ends - 1)) == 5
    assert sold_since(book, Sku("a"), Instant(ends)) == 0


@pytest.mark.parametrize("status", [OPEN, CANCELLED])
def test_what_was_ordered_under_an_open_write_is_not_buried_there_too_cancelled_since_or_not(
    status: OrderStatus,
) -> None:
    """Three seconds at one a second: 3 + sqrt 3, of which two are orders that are known."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    now = Instant(1_000)
    book.take(CorrectionPlanned("w", SLOT, "a", 50, now, 60, "lag", "share", now))
    book.take(CorrectionSent("w", SLOT, Outcome.ACCEPTED, "", now, now))
    book.take(order("uk", status, 3_000, placed=2_000, units=2))
    assert claimed(book, 4_000, ClaimKind.BURIED) == 5 - 2


def test_what_a_channel_has_shipped_and_a_later_whole_reading_lacks_is_claimed_no_more() -> None:
    """Whoever remembers the claims of before makes them anew then."""
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order("uk", SHIPPED, 2_000, placed=1_950))
    kept = order_claims(book, Sku("a"))
    assert [each.kind for each in kept.claims] == [ClaimKind.IN_FLIGHT]
    swept(book, "extensiv.orders", 2_051)
    assert order_claims(book, Sku("a"), kept).claims == ()


def test_what_a_channel_added_to_an_order_that_has_left_already_is_still_claimed() -> None:
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 2_000, units=5))
    book.take(order(EXTENSIV, SHIPPED, 2_010, place="1", units=2))
    row(book, "1", 48, 2_020)
    settle_orders(book, Instant(2_050))
    assert claimed(book, 2_050, ClaimKind.SHIPPED) == 0
    assert claimed(book, 2_050, ClaimKind.IN_FLIGHT) == 3


def test_a_dark_channel_has_sold_no_more_than_it_showed() -> None:
    book = shop_book(1_000)
    swept(book, "uk.orders", 1_000 + LAG_MS)
    see(book, 5, 5_000)
    offers = position_at(book, 5_000).offers
    assert [each.units for each in dark_claims(book, offers, frozenset({UK}), Instant(11_000))] == [5]
