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
    SlotObserved,
    SlotState,
    StockObserved,
)
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.invariants import check_plan
from reconcilerd.domain.names import Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import AfterDark, LocationRule, Mode, PoolMode, PoolRule, Reserve
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.room import level_of
from reconcilerd.domain.survey import Surveyor, position_of, weather_of
from tests.domain.books import (
    LAG_MS,
    MIRROR_MAX_MS,
    SLOT,
    UK,
    claimed,
    order,
    position_at,
    row,
    see,
    shop_book,
    swept,
)
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


@pytest.mark.parametrize(
    ("began", "second", "kept"), [(2_150, False, 3), (2_151, False, 0), (2_050, True, 0), (2_151, True, 0)]
)
def test_what_extensiv_takes_off_an_order_is_kept_until_the_order_that_it_made_of_it_is_read(
    began: int, second: bool, kept: int
) -> None:
    """Of an order that was split, the reading of one part may be late, or come to nothing."""
    book = shop_book(1_000)
    book.take(order("uk", OPEN, 1_000, units=5))
    swept(book, "extensiv.orders", 2_000)
    book.take(part("p1", 5, OPEN))
    book.take(replace(part("p1", 2, OPEN), as_of=Instant(2_060), modified=Instant(2_050)))
    if second:
        book.take(replace(part("p2", 3, OPEN), as_of=Instant(2_060)))
    swept(book, "extensiv.orders", began)
    assert claimed(book, 2_200, ClaimKind.IN_FLIGHT) == kept
    assert claimed(book, 2_200, ClaimKind.COMMITTED) == (5 if second else 2)


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


def test_an_order_claims_a_component_once_whichever_of_its_lines_grew() -> None:
    """Two pages of one product: a customer adds one of each to an order that Extensiv has."""
    book = shop_book(1_000)
    book.take(ListingDeclared(1, 7, "again", Sku("a"), False, True, Instant(0)))

    def lines(units: int) -> tuple[OrderLine, ...]:
        return (OrderLine("a", units), OrderLine("again", units))

    book.take(replace(order("uk", OPEN, 2_000), lines=lines(1)))
    book.take(replace(order(EXTENSIV, OPEN, 2_010), lines=lines(1)))
    book.take(replace(order("uk", OPEN, 2_020), lines=lines(2)))
    found = position_at(book, 2_030)
    assert [each.units for each in found.claims if each.kind is ClaimKind.IN_FLIGHT] == [2]
    assert check_plan(make_plan(found, Rails(Mode.AUTO))) == ()


@pytest.mark.parametrize("left", [1, 0])
def test_what_a_customer_takes_off_an_order_is_free_once_extensiv_can_no_longer_import_it_whole(
    left: int,
) -> None:
    """A refund in part, or of all lines without a cancel: what was ordered may be imported as it was."""
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order("uk", OPEN, 2_000, units=5))
    book.take(replace(order("uk", OPEN, 2_010, units=left), modified=Instant(2_010)))
    surveyor, kept = Surveyor(book), []
    for began in (2_100, 2_110, 2_111):
        swept(book, "extensiv.orders", began)
        where = surveyor.position(Sku("a"), weather_of(book, Instant(began)))
        kept.append(sum(each.units for each in where.claims if each.kind is ClaimKind.IN_FLIGHT))
    assert kept == [5, 5, left]
    book.take(order(EXTENSIV, OPEN, 2_120, units=2))
    assert claimed(book, 2_130, ClaimKind.COMMITTED) == 2, "its own word counts once it has it"


@pytest.mark.parametrize("left", [5, 0])
def test_a_cancel_takes_nothing_back_before_extensiv_can_no_longer_import_the_order(left: int) -> None:
    """Whether the channel goes on saying what was ordered or says that nothing is left of it."""
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order("uk", OPEN, 2_000, units=5))
    book.take(order("uk", CANCELLED, 2_010, units=left))
    swept(book, "extensiv.orders", 2_100)
    assert claimed(book, 2_100, ClaimKind.IN_FLIGHT) == 5
    swept(book, "extensiv.orders", 2_111)
    assert claimed(book, 2_111, ClaimKind.IN_FLIGHT) == 0


def test_a_cancelled_order_that_is_first_heard_of_when_nothing_is_left_of_it_claims_what_was_ordered() -> (
    None
):
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    ordered = order("uk", CANCELLED, 2_010, units=0)
    book.take(replace(ordered, lines=(OrderLine("b", 3),), most=(OrderLine("A ", 5),)))
    assert claimed(book, 2_011, ClaimKind.IN_FLIGHT) == 5
    assert book.orders.placed(UK, "a", Instant(-1), Instant(3_000)) == 5, (
        "it explains how far the number fell"
    )


def kit_book(**rule: object) -> Book:
    """A kit of two of a and one of b, with a rule of its own."""
    book = shop_book(1_000)
    parts = ((Sku("a"), 2), (Sku("b"), 1))
    book.take(ProductObserved(Sku("kit"), "kit", 3, "kit", ProductType.BUNDLE, "", True, parts, Instant(0)))
    kit = replace(book.policy.default_sku, **rule)  # type: ignore[arg-type]
    book.policy = replace(book.policy, skus=MappingProxyType({Sku("kit"): kit}))
    return book


def test_what_a_bundle_keeps_back_is_kept_of_its_components() -> None:
    assert claimed(kit_book(safety_stock=3), 2_000, ClaimKind.SAFETY) == 6
    assert claimed(kit_book(), 2_000, ClaimKind.SAFETY) == 0


def test_what_is_kept_back_of_a_component_is_kept_of_its_bundles_too() -> None:
    book = kit_book(safety_stock=3)
    own = replace(book.policy.default_sku, safety_stock=7)
    book.policy = replace(book.policy, skus=MappingProxyType({**book.policy.skus, Sku("a"): own}))
    assert claimed(book, 2_000, ClaimKind.SAFETY) == 7, "and not six more: three kits lie in these seven"


def test_what_every_sku_keeps_back_is_not_kept_once_more_for_each_bundle_with_a_rule() -> None:
    book = shop_book(1_000)
    base = replace(book.policy.default_sku, safety_stock=2)
    book.policy = replace(book.policy, default_sku=base)
    parts = ((Sku("a"), 2), (Sku("b"), 1))
    book.take(ProductObserved(Sku("kit"), "kit", 3, "kit", ProductType.BUNDLE, "", True, parts, Instant(0)))
    book.policy = replace(book.policy, skus=MappingProxyType({Sku("kit"): replace(base, price=100)}))
    assert claimed(book, 2_000, ClaimKind.SAFETY) == 2


def test_a_pool_that_bundles_tie_together_is_the_strictest_and_lends_what_each_of_them_allows() -> None:
    book = kit_book(pool="strict")
    see(book, 50, 1_500)
    book.take(ListingDeclared(1, 9, "kit", Sku("kit"), False, True, Instant(0)))
    kit = SlotKey(UK, "kit")
    book.take(SlotObserved(kit, "kit", "kit", 9, SlotState.BUYABLE, False, Instant(1_500), Instant(1_500)))
    pools = {"default": PoolRule(PoolMode.SHARED, overcommit=20), "strict": PoolRule(PoolMode.SPLIT)}
    book.policy = replace(book.policy, pools=MappingProxyType(pools))
    book.turn_to(book.policy)
    found = position_at(book, 2_000)
    assert (found.split, found.pool.overcommit) == (True, 0)
    usual = MappingProxyType({Sku("kit"): replace(book.policy.default_sku, price=100)})
    book.turn_to(replace(book.policy, skus=usual))
    found = position_at(book, 2_000)
    assert (found.split, found.pool.overcommit) == (False, 20)
    own = MappingProxyType({Sku(code): replace(book.policy.default_sku, pool="own") for code in "ab"})
    pools = {"default": PoolRule(PoolMode.SPLIT), "own": PoolRule(PoolMode.SHARED, overcommit=20)}
    book.turn_to(replace(book.policy, skus=own, pools=MappingProxyType(pools)))
    found = position_at(book, 2_000)
    assert (found.split, found.pool.overcommit) == (False, 20)


@pytest.mark.parametrize(("asked", "kept"), [(0, 5), (4, 5), (5, 5), (6, 2 * 6)])
def test_a_bundle_that_asks_for_less_than_all_do_keeps_no_more_than_they(asked: int, kept: int) -> None:
    book = kit_book(safety_stock=asked)
    book.policy = replace(book.policy, default_sku=replace(book.policy.default_sku, safety_stock=5))
    assert claimed(book, 2_000, ClaimKind.SAFETY) == kept


@pytest.mark.parametrize(
    ("told", "place", "taken"),
    [(SHIPPED, "77", 0), (SHIPPED, None, 0), (SHIPPED, "1", 5), (OPEN, "77", 5)],
    ids=["shipped", "place not told", "from here", "open anew"],
)
def test_what_was_to_leave_from_somebody_elses_stock_takes_none_of_ours_when_it_has_left(
    told: OrderStatus, place: str | None, taken: int
) -> None:
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(replace(order(EXTENSIV, OPEN, 2_000, units=5, place="77"), eligible=False))
    assert sum(each.units for each in position_at(book, 2_001).claims) == 0
    book.take(order(EXTENSIV, told, 3_000, units=5, place=place))
    book.take(order(EXTENSIV, told, 3_001, units=5, place=place))
    assert claimed(book, 3_002, ClaimKind.SHIPPED, ClaimKind.COMMITTED) == taken


@pytest.mark.parametrize(
    ("status", "read_at", "counted"), [(OPEN, 1_000, 5), (SHIPPED, 1_000, 5), (SHIPPED, 2_001, 0)]
)
def test_what_leaves_from_somebody_elses_stock_counts_where_that_stock_is_counted(
    status: OrderStatus, read_at: int, counted: int
) -> None:
    """Of a vendor's warehouse whose rows are read, what was ordered is none to be sold a second time."""
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_900)
    book.take(replace(order(EXTENSIV, status, 2_000, units=5, place="2"), eligible=False))
    row(book, "2", 50, read_at)
    found = [each for each in position_at(book, 2_010).claims if each.component == "a"]
    assert sum(each.units for each in found) == counted
    assert {each.locations for each in found} <= {frozenset({LocationName("2")})}
    settle_orders(book, Instant(2_010))
    assert len(list(book.orders.unsettled())) == (counted > 0)


@pytest.mark.parametrize(
    ("name", "sku", "more"),
    [
        ("a-renamed", None, 5),
        (" ", None, 5),
        ("a-renamed", "a-renamed", 5),
        ("a-renamed", "a", 0),
        ("b", None, 0),
    ],
)
def test_what_extensiv_calls_by_a_name_that_nobody_knows_is_what_the_channel_says_it_sold(
    name: str, sku: str | None, more: int
) -> None:
    """However long ago that was; until its parcel has left the shelf."""
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order("uk", OPEN, 2_000, units=5))
    line = OrderLine(name, 5, None if sku is None else Sku(sku))
    book.take(replace(order(EXTENSIV, OPEN, 2_010, place="1"), lines=(line,)))
    swept(book, "extensiv.orders", 500_000)
    settle_orders(book, Instant(500_000))
    assert claimed(book, 500_000, ClaimKind.IN_FLIGHT) == more
    book.take(replace(order(EXTENSIV, SHIPPED, 500_010, place="1"), lines=(line,)))
    row(book, "1", 50, 500_005)
    assert claimed(book, 500_020, ClaimKind.IN_FLIGHT) == more
    row(book, "1", 45, 500_015)
    settle_orders(book, Instant(500_020))
    assert claimed(book, 500_020, ClaimKind.IN_FLIGHT) == 0


def test_of_what_nobody_knows_no_more_is_kept_than_there_is_of_it() -> None:
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order("uk", OPEN, 2_000, units=5))
    lines = OrderLine("a", 1), OrderLine("a-renamed", 2)
    book.take(replace(order(EXTENSIV, OPEN, 2_010), lines=lines))
    swept(book, "extensiv.orders", 500_000)
    assert claimed(book, 500_000, ClaimKind.IN_FLIGHT, ClaimKind.COMMITTED) == 1 + 2
    apart = replace(order(EXTENSIV, CANCELLED, 2_020), lines=(OrderLine("b-renamed", 2),), part="2")
    book.take(apart)
    assert claimed(book, 500_000, ClaimKind.IN_FLIGHT, ClaimKind.COMMITTED) == 1 + 2, (
        "what is over says nothing"
    )
    book.take(order("uk", CANCELLED, 500_010, units=5))
    assert claimed(book, 500_020, ClaimKind.IN_FLIGHT) == 0, "the channel ends it"


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize(("told", "taken"), [(OPEN, 4), (SHIPPED, 0), (CANCELLED, 0)])
def test_an_open_order_takes_what_a_row_has_that_is_read_later_where_it_leaves_from(
    told: OrderStatus, taken: int, *, gone: bool
) -> None:
    """It is for somebody else's warehouse, of whose stock no row was there yet when orders were settled."""
    book, where = shop_book(1_000), LocationName("vendor")
    if gone:
        book.take(StockObserved(Sku("a"), where, 9, 0, 0, Instant(1_000), Instant(1_000)))
        book.take(StockObserved(Sku("a"), where, 0, 0, 0, Instant(1_001), Instant(1_001), gone=True))
    book.take(replace(order(EXTENSIV, told, 2_000, units=4, place="vendor"), eligible=False))
    swept(book, "extensiv.orders", 2_100)
    settle_orders(book, Instant(2_200))
    row(book, "vendor", 9, 3_000)
    swept(book, "extensiv.orders", 3_100)
    assert claimed(book, 3_200, ClaimKind.COMMITTED) == taken


@pytest.mark.parametrize(
    ("copied", "shipped", "taken"), [(True, 2_000, 4), (True, -1_800_000, 0), (False, 2_000, 0)]
)
def test_what_has_left_a_vendors_warehouse_is_taken_off_a_copy_that_is_read_later_and_may_still_have_it(
    copied: bool, shipped: int, taken: int
) -> None:
    """No row of it was there yet when orders were settled."""
    book = shop_book(1_000)
    rule = LocationRule(copied, MIRROR_MAX_MS)
    book.policy = replace(book.policy, locations=MappingProxyType({LocationName("vendor"): rule}))
    told = replace(order(EXTENSIV, SHIPPED, 2_000, units=4, place="vendor"), eligible=False)
    book.take(replace(told, ended_at=Instant(shipped)))
    swept(book, "extensiv.orders", 2_100)
    settle_orders(book, Instant(2_200))
    row(book, "vendor", 9, 3_000)
    swept(book, "extensiv.orders", 3_100)
    assert claimed(book, 3_200, ClaimKind.SHIPPED) == taken
