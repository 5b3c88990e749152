"""What a person declares for a time or a status: reserves that end, soft and ignored demand, inbound, velocity."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.announcements import large_orders
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    EXTENSIV,
    ListingDeclared,
    OrderStatus,
    ProductObserved,
    ProductType,
    RegimeSwitched,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import (
    DemandRule,
    Firmness,
    Inbound,
    Limits,
    OfferRule,
    PoolMode,
    PoolRule,
    Reserve,
    SkuRule,
    Velocity,
)
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.room import level_of, room_of
from tests.domain.books import SLOT, UK, claimed, order, position_at, row, see, shop_book, swept
from tests.domain.test_exposure import AUTO

A = Sku("a")
HOUR = 3_600_000
THERE = 100


def book_with(**policy: object) -> Book:
    """A hundred units of SKU a at two places, one listing, every order known, and large ones usual."""
    book = shop_book(1_000)
    book.policy = replace(book.policy, **policy)  # type: ignore[arg-type]
    see(book, THERE, 1_000)
    swept(book, "extensiv.orders", 1_000)
    swept(book, "uk.orders", 1_000)
    collected = order("uk", OrderStatus.SHIPPED, 1_000, placed=500, units=THERE, number="collected")
    book.take(replace(collected, eligible=False))
    return book


def left(book: Book, now: int) -> int:
    return level_of(position_at(book, now), A)


def demand(**by_status: DemandRule) -> Mapping[tuple[ChannelName, str], DemandRule]:
    return MappingProxyType({(ChannelName(""), status): rule for status, rule in by_status.items()})


def ordered(book: Book, number: str, units: int, raw: str, at: int, source: str = EXTENSIV) -> None:
    made = order(source, OrderStatus.OPEN, at, placed=at, units=units, number=number)
    book.take(replace(made, raw_status=raw, part=number if source == EXTENSIV else ""))


def soft(permille: int = 1000, expires_ms: int = HOUR) -> DemandRule:
    return DemandRule(Firmness.SOFT, expires_ms, permille)


@given(st.integers(1, 300), st.integers(0, 2 * HOUR))
def test_a_reserve_is_held_until_its_moment_and_not_a_moment_longer(units: int, now: int) -> None:
    book = book_with(reserves=MappingProxyType({A: (Reserve(units, Instant(HOUR), "fair"),)}))
    held = units if now < HOUR else 0
    assert left(book, now) == max(0, THERE - held)
    claims = [c for c in position_at(book, now).claims if c.kind is ClaimKind.RESERVED]
    assert [(c.units, c.about, c.until) for c in claims] == ([(units, "fair", HOUR)] if held else [])


def test_a_reserve_at_one_place_leaves_the_other_alone() -> None:
    there = frozenset({LocationName("2")})
    book = book_with(reserves=MappingProxyType({A: (Reserve(80, Instant(HOUR), "", there),)}))
    (claim,) = [c for c in position_at(book, 2_000).claims if c.kind is ClaimKind.RESERVED]
    assert claim.locations == there


def test_an_order_counts_whole_where_nothing_is_said_of_its_status() -> None:
    book = book_with(demand=demand(QUOTE=DemandRule(Firmness.IGNORED)))
    ordered(book, "1", 7, "AWAITING_SHIPMENT", 2_000)
    assert left(book, 3_000) == THERE - 7


def test_ignored_demand_takes_nothing_even_where_extensiv_has_allocated_units_to_it() -> None:
    book = book_with(demand=demand(ON_HOLD=DemandRule(Firmness.IGNORED)))
    ordered(book, "1", 7, "ON_HOLD", 2_000)
    row(book, "1", 50, 2_500, allocated=7)
    assert left(book, 3_000) == THERE
    row(book, "1", 50, 2_600, allocated=9)
    assert left(book, 3_000) == THERE - 2, "two more are allocated to somebody we cannot name"


def test_soft_demand_ends_with_its_time() -> None:
    book = book_with(demand=demand(AWAITING_PAYMENT=soft()))
    ordered(book, "1", 7, "AWAITING_PAYMENT", 2_000)
    assert left(book, 2_000 + HOUR - 1) == THERE - 7
    assert left(book, 2_000 + HOUR) == THERE
    ordered(book, "1", 7, "AWAITING_SHIPMENT", 2_001)
    assert left(book, 2_000 + HOUR) == THERE - 7, "paid, it is firm"


@given(
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=5),
    st.integers(0, 1000),
    st.integers(0, 20),
)
def test_soft_orders_hold_no_more_than_their_share_of_what_firm_ones_leave(
    orders: list[tuple[int, bool]], permille: int, more: int
) -> None:
    book = book_with(demand=demand(AWAITING_PAYMENT=soft(permille)))
    for number, (units, is_firm) in enumerate(orders):
        status = "AWAITING_SHIPMENT" if is_firm else "AWAITING_PAYMENT"
        ordered(book, str(number), units, status, 2_000 + number)
    firm = sum(units for units, sure in orders if sure)
    unsure = sum(units for units, sure in orders if not sure)
    free = max(0, THERE - firm)
    assert left(book, 3_000) == free - min(unsure, free * permille // 1000)
    before = left(book, 3_000)
    row(book, "1", 50 + more, 3_500)
    assert left(book, 4_000) >= before, "more stock leaves less"


def test_the_oldest_soft_order_is_held_first() -> None:
    book = book_with(demand=demand(QUOTE=soft(100)))
    ordered(book, "2", 8, "QUOTE", 3_000)
    ordered(book, "1", 8, "QUOTE", 2_000)
    held = {c.about: (c.units, c.waived, c.until) for c in position_at(book, 4_000).claims}
    assert held == {"1/1": (8, 0, 2_000 + HOUR), "2/2": (2, 6, 3_000 + HOUR)}


def test_each_soft_status_has_a_share_of_its_own_beyond_all_that_came_before() -> None:
    """Eight quoted are within the tenth of quotes; thirty more within the half of what is not paid yet."""
    book = book_with(demand=demand(QUOTE=soft(100), AWAITING_PAYMENT=soft(500)))
    ordered(book, "1", 8, "QUOTE", 2_000)
    ordered(book, "2", 30, "AWAITING_PAYMENT", 3_000)
    assert left(book, 4_000) == THERE - 8 - 30


SPARE = SkuRule(rate=Rate(0), safety_stock=20)
ELSEWHERE = SkuRule(rate=Rate(0), excluded_locations=frozenset({LocationName("2")}))


@pytest.mark.parametrize(
    ("declared", "offered"),
    [
        ({}, THERE),
        ({"skus": MappingProxyType({A: ELSEWHERE})}, THERE // 2),
        ({"skus": MappingProxyType({A: SPARE})}, THERE - 20),
        ({"reserves": MappingProxyType({A: (Reserve(20, Instant(HOUR), "fair"),)})}, THERE - 20),
    ],
    ids=["all of it", "at one place", "but for a safety stock", "but for a reserve"],
)
def test_the_share_of_soft_orders_is_one_of_what_may_be_sold(
    declared: dict[str, object], offered: int
) -> None:
    book = book_with(demand=demand(QUOTE=soft(500)), **declared)
    ordered(book, "1", 60, "QUOTE", 2_000)
    assert left(book, 3_000) == offered - offered // 2


def unheard_book() -> Book:
    """Half of what is left may be taken by quotes; both order lists were read before anything was ordered."""
    book = shop_book(1_000)
    book.policy = replace(book.policy, demand=demand(QUOTE=soft(500)))
    swept(book, "extensiv.orders", 1_000)
    swept(book, "uk.orders", 1_000)
    return book


def test_what_is_not_believed_of_a_firm_order_yet_leaves_soft_ones_their_share() -> None:
    """Extensiv alone tells of sixty at once, and no channel ever sold two: one is taken, and half of the rest left."""
    book = unheard_book()
    ordered(book, "1", 60, "AWAITING_SHIPMENT", 2_000)
    for number in range(2, 82):
        ordered(book, str(number), 1, "QUOTE", 3_000)
    assert left(book, 4_000) == THERE - 1 - (THERE - 1) // 2


def test_what_is_not_believed_of_a_soft_order_yet_lowers_nobody_and_leaves_others_their_share() -> None:
    """A number that somebody mistyped in a quote is no surer than in an order that is paid."""
    book = unheard_book()
    ordered(book, "1", 500, "QUOTE", 2_000)
    assert left(book, 4_000) == THERE - 1
    kept = {kind: claimed(book, 4_000, kind) for kind in (ClaimKind.COMMITTED, ClaimKind.UNHEARD)}
    assert kept == {ClaimKind.COMMITTED: 1, ClaimKind.UNHEARD: THERE // 2 - 1}, "raises wait, up to its share"
    waived = [claim.waived for claim in position_at(book, 4_000).claims if claim.waived]
    assert waived == [500 - THERE // 2], "once"
    for number in range(2, 82):
        ordered(book, str(number), 1, "QUOTE", 3_000)
    assert left(book, 4_000) == THERE - THERE // 2


def test_a_channels_own_rule_comes_before_that_for_all() -> None:
    rules = {
        (ChannelName(""), "ON_HOLD"): DemandRule(Firmness.IGNORED),
        (UK, "ON_HOLD"): DemandRule(Firmness.FIRM),
    }
    book = book_with(demand=MappingProxyType(rules))
    ordered(book, "1", 7, "ON_HOLD", 2_000, "uk")
    assert left(book, 3_000) == THERE - 7


def test_what_has_shipped_is_firm_whatever_its_status_was_called() -> None:
    book = book_with(demand=demand(SHIPPED=DemandRule(Firmness.IGNORED)))
    made = order(EXTENSIV, OrderStatus.SHIPPED, 2_000, units=7)
    book.take(replace(made, raw_status="SHIPPED", part="1"))
    assert left(book, 2_000) == THERE - 7


@pytest.mark.parametrize(
    ("now", "shows"), [(HOUR - 1, THERE), (HOUR, THERE + 40), (2 * HOUR - 1, THERE + 40), (2 * HOUR, THERE)]
)
def test_inbound_is_offered_from_its_beginning_until_it_is_due(now: int, shows: int) -> None:
    """Of 101 at 90 %, 90 are counted on; 50 lie at the place already."""
    line = Inbound(101, 900, LocationName("1"), Instant(2 * HOUR), Instant(HOUR))
    book = book_with(inbound=MappingProxyType({A: (line,)}))
    at = Instant(1_000)
    book.take(SlotObserved(SLOT, "a", "A", THERE, SlotState.BUYABLE, True, Instant(1_001), Instant(1_001)))
    (share,) = make_plan(position_at(book, now), AUTO).allocations
    assert share.ideal == shows
    book.take(SlotObserved(SLOT, "a", "A", THERE, SlotState.BUYABLE, False, Instant(1_002), Instant(1_002)))
    (share,) = make_plan(position_at(book, now), AUTO).allocations
    assert share.ideal == THERE, "it does not sell past zero"
    assert room_of(position_at(book, at)).shelves


def large(book: Book, now: int) -> list[tuple[str, int, int]]:
    return [(each.order, each.units, each.available) for each in large_orders(position_at(book, now))]


@pytest.mark.parametrize(("units", "told"), [(30, False), (31, True)])
def test_an_order_above_the_announced_part_of_what_was_available_is_large(units: int, told: bool) -> None:
    book = book_with()
    ordered(book, "1", units, "UNFULFILLED", 2_000, "uk")
    assert large(book, 3_000) == ([("1", units, THERE)] if told else [])


def test_a_large_order_is_one_whoever_shows_it_and_however_it_is_split() -> None:
    book = book_with()
    ordered(book, "1", 60, "UNFULFILLED", 2_000, "uk")
    first = large(book, 3_000)
    for part, units in (("7", 40), ("8", 20)):
        made = order(EXTENSIV, OrderStatus.OPEN, 4_000, placed=2_000, units=units)
        book.take(replace(made, part=part))
    assert large(book, 5_000) == first


def test_the_last_unit_is_no_large_order_and_what_was_open_before_is_no_news() -> None:
    book = book_with(limits=Limits(announce_units=2))
    for place in ("1", "2"):
        row(book, place, int(place == "1"), 1_500)
    ordered(book, "1", 1, "UNFULFILLED", 2_000, "uk")
    assert large(book, 3_000) == []
    early = shop_book(1_000)
    ordered(early, "1", 60, "UNFULFILLED", 900, "uk")
    swept(early, "extensiv.orders", 1_000)
    assert large(early, 3_000) == []


@given(st.integers(0, 10**6), st.integers(600_000, 7 * 24 * HOUR), st.integers(60_000, 24 * HOUR))
def test_sales_speed_is_what_sold_within_the_window_and_a_wrong_guess_fades(
    guess: int, window_ms: int, prior_ms: int
) -> None:
    """Ten units a window, seen for the whole of it."""
    book = book_with(velocity=Velocity(window_ms, prior_ms))
    now = 2_000 + 2 * window_ms
    for number in range(20):
        at = 2_000 + number * window_ms // 10 + window_ms // 20
        made = order("uk", OrderStatus.OPEN, at, placed=at, number=str(number))
        book.take(made)
    truth = 10 * 1000 * HOUR // window_ms
    found = book.rate(UK, "a", Instant(now), Rate(guess)).milli_per_hour
    assert abs(found - truth) <= abs(guess - truth) * prior_ms // (window_ms + prior_ms) + 1


def test_a_pool_that_is_made_plain_shared_forgets_that_it_was_scarce() -> None:
    book = book_with(pools=MappingProxyType({"default": PoolRule(PoolMode.ADAPTIVE)}))
    book.take(RegimeSwitched("a", True, Instant(2_000)))
    assert position_at(book, 3_000).split
    book.policy = replace(book.policy, pools=MappingProxyType({"default": PoolRule(PoolMode.SHARED)}))
    assert not position_at(book, 3_000).split


def test_a_pot_without_stock_is_no_number() -> None:
    offers = MappingProxyType({(A, UK): OfferRule(pot=500)})
    (share,) = make_plan(position_at(book_with(offers=offers), 3_000), AUTO).allocations
    assert share.ideal == THERE


def test_a_large_order_that_was_told_is_the_same_one_whatever_it_comes_to() -> None:
    book = book_with()
    ordered(book, "1", 60, "UNFULFILLED", 2_000, "uk")
    (first,) = large_orders(position_at(book, 3_000))
    for place in ("1", "2"):
        row(book, place, 500, 3_500)
    made = order(EXTENSIV, OrderStatus.OPEN, 4_000, placed=2_000, units=50)
    book.take(made)
    assert list(large_orders(position_at(book, 5_000))) == [], "nobody would be told of it now"
    (again,) = large_orders(position_at(book, 5_000), {first.identity})
    assert again.identity == first.identity
    assert again != first


def test_a_reserve_of_a_bundle_holds_what_its_components_are_taken_by() -> None:
    book = book_with(reserves=MappingProxyType({Sku("set"): (Reserve(10, Instant(HOUR), "fair"),)}))
    parts = ((A, 3), (Sku("b"), 1))
    book.take(ProductObserved(Sku("set"), "set", 9, "set", ProductType.BUNDLE, "", True, parts, Instant(0)))
    book.take(ListingDeclared(1, 9, "set", Sku("set"), False, True, Instant(0)))
    assert level_of(position_at(book, 2_000), A) == THERE - 30


def test_safety_stock_lies_where_its_units_may_be_sold_from() -> None:
    """Not where they may not: there it would hold back nothing."""
    barred = frozenset({LocationName("2")})
    book = book_with(
        skus=MappingProxyType({A: SkuRule(rate=Rate(0), safety_stock=5, excluded_locations=barred)})
    )
    assert [c.locations for c in position_at(book, 2_000).claims if c.kind is ClaimKind.SAFETY] == [
        frozenset({LocationName("1")})
    ]
    assert make_plan(position_at(book, 2_000), AUTO).room.alone(SLOT) == THERE // 2 - 5


def test_a_pack_is_worth_what_all_its_units_are() -> None:
    """The window of value counts packs where packs are shown."""
    book = book_with(
        skus=MappingProxyType({A: SkuRule(rate=Rate(0), price=250)}),
        offers=MappingProxyType({(A, UK): OfferRule(units_per_sale=6)}),
    )
    assert [each.price for each in position_at(book, 2_000).offers] == [1_500]
