"""The business keeps its books: no unit appears, vanishes or is counted twice, whatever happens in what order."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.stores import Order, Place, Product, Store
from reconcilerd.simulator.truth import World, WorldConfig
from tests.simulator.builders import MINUTE, START, world_of

FIXED = {
    "import_ms": (MINUTE, MINUTE),
    "allocate_ms": (MINUTE, MINUTE),
    "ship_ms": (10 * MINUTE, 10 * MINUTE),
    "push_ms": (2 * MINUTE, 2 * MINUTE),
    "transit_ms": (0, 0),
    "push_lost": 0.0,
}
SOON = Instant(START + 30 * MINUTE)


def later(minutes: float) -> Instant:
    return Instant(START + round(minutes * MINUTE))


def bought(world: World, units: int, at: Instant = START, sku: str = "a", number: str = "1") -> Order:
    order = world.place_order("uk", number, [(sku, units)], at)
    assert order is not None
    return order


def on_hand(world: World, sku: str) -> int:
    return sum(each.on_hand for (name, _), each in world.bins.items() if name == sku)


def test_a_sale_takes_shown_units_at_once_and_shelf_units_when_it_ships() -> None:
    world = world_of({"a": 10}, **FIXED)
    bought(world, 3)
    assert (world.items_of("a")[0].quantity, on_hand(world, "a"), world.shippable("a")) == (7, 10, 7)
    world.advance(SOON)
    assert (on_hand(world, "a"), world.shippable("a")) == (7, 7)


def at_places(*quantities: int) -> World:
    """SKU a, 20 on the shelf, at one store with several places."""
    world = World(WorldConfig(**FIXED), START)  # type: ignore[arg-type]
    world.places = {1: Place(1, "main")}
    first, *others = (f"place {number}" for number in range(len(quantities)))
    world.stores["uk"] = Store("uk", 101, first, others=tuple(others))
    world.add_product(Product(1, "a", "Product a"))
    world.add_stock("a", 1, 20)
    world.add_item("uk", "a", quantities[0], beside=quantities[1:])
    return world


@pytest.mark.parametrize(
    ("shown", "wanted", "left"),
    [
        ((3, 5), 2, [1, 5]),
        ((3, 5), 4, [3, 1]),
        ((3, 5), 7, [0, 1]),
        ((3, 5), 9, [0, 0]),
        ((-2, 5), 6, [-2, 0]),
    ],
)
def test_a_sale_comes_off_the_first_place_that_has_all_of_it_or_off_each_in_turn(
    shown: tuple[int, int], wanted: int, left: list[int]
) -> None:
    world = at_places(*shown)
    order = bought(world, wanted)
    item = world.items_of("a")[0]
    assert [each.quantity for each in item.levels] == left
    assert sum(units for _, units in order.taken) == min(wanted, sum(max(0, each) for each in shown))
    assert item.offered == sum(max(0, each) for each in left)
    world.cancel(order, later(0.1))
    assert [each.quantity for each in item.levels] == list(shown)


def test_what_sells_past_zero_is_owed_by_the_first_place() -> None:
    world = at_places(3, 5)
    item = world.items_of("a")[0]
    item.continues = True
    bought(world, 10)
    assert [each.quantity for each in item.levels] == [-2, 0]


def test_what_a_store_shows_at_its_places_counts_together_against_the_shelf() -> None:
    world = at_places(12, 11)
    assert world.tally.exposed_now == 3
    world.set_quantity(world.items_of("a")[0].beside[0], 5, later(1))
    assert world.tally.exposed_now == 0
    assert world.tally.hidden_now() == {"a": 3}


def test_an_order_reaches_extensiv_late_is_allocated_later_and_ships_last() -> None:
    world = world_of({"a": 10}, **FIXED)
    order = bought(world, 3)
    shelf = world.bins["a", 1]
    seen = []
    for minute in (0.5, 1.5, 2.5, 12):
        world.advance(later(minute))
        seen.append((order.ext_status, shelf.allocated, shelf.on_hand))
    assert seen == [
        ("", 0, 10),
        ("AWAITING_SHIPMENT", 0, 10),
        ("AWAITING_SHIPMENT", 3, 10),
        ("SHIPPED", 0, 7),
    ]


@given(
    st.integers(1, 1000), st.integers(0, 300_000), st.integers(0, 300_000), st.integers(300_000, 5_000_000)
)
def test_lags_stay_within_their_range(seed: int, least: int, span: int, ship: int) -> None:
    world = world_of({"a": 10}, seed=seed, import_ms=(least, least + span), ship_ms=(ship, ship))
    order = bought(world, 1)
    world.advance(Instant(START + least + span + ship))
    assert order.imported is not None
    assert START + least <= order.imported <= START + least + span
    assert order.shipped == order.imported + ship


def test_a_visitor_is_turned_away_at_what_is_shown_and_that_counts_if_there_was_more() -> None:
    world = world_of({"a": 10}, **FIXED)
    world.set_quantity(world.items_of("a")[0], 2, START)
    bought(world, 5)
    assert (world.score.sold, world.score.refused, world.score.oversold) == (2, 3, 0)


def test_nothing_is_taken_where_nothing_is_shown() -> None:
    world = world_of({"a": 10}, **FIXED)
    world.set_quantity(world.items_of("a")[0], 0, START)
    assert world.place_order("uk", "1", [("a", 1)], START) is None


def test_selling_what_is_not_there_is_overselling() -> None:
    world = world_of({"a": 10}, **FIXED)
    for number, store in enumerate(("uk", "eu")):
        world.place_order(store, str(number), [("a", 8)], START)
    assert (world.score.sold, world.score.oversold) == (16, 6)


def test_a_cancel_before_the_import_never_reaches_extensiv() -> None:
    world = world_of({"a": 10}, **FIXED)
    order = bought(world, 3)
    world.cancel(order, later(0.5))
    world.advance(SOON)
    assert (order.imported, on_hand(world, "a"), world.shippable("a")) == (None, 10, 10)
    assert world.items_of("a")[0].quantity == 10


def test_a_cancel_after_the_import_frees_what_was_allocated() -> None:
    world = world_of({"a": 10}, **FIXED)
    order = bought(world, 3)
    world.cancel(order, later(5))
    world.advance(SOON)
    assert (order.ext_status, world.bins["a", 1].allocated, world.shippable("a")) == ("CANCELLED", 0, 10)


def test_a_parcel_that_left_before_the_cancel_was_heard_is_gone_once() -> None:
    world = world_of({"a": 10}, **FIXED)
    order = bought(world, 3)
    world.cancel(order, later(10.5))
    world.advance(SOON)
    assert order.ext_status == "SHIPPED"
    assert (on_hand(world, "a"), world.shippable("a")) == (7, 7)


@pytest.mark.parametrize("restock", [True, False])
def test_what_is_taken_off_an_order_is_for_sale_again_and_shown_where_the_store_restocks(
    restock: bool,
) -> None:
    world = world_of({"a": 10}, **FIXED)
    order = bought(world, 5)
    world.take_off(order, "a", 2, later(0.5), restock=restock)
    assert (order.bought, order.lines, order.cancelled) == ([("a", 5)], [("a", 3)], None)
    assert (world.items_of("a")[0].quantity, world.shippable("a")) == (7 if restock else 5, 7)
    world.cancel(order, later(0.7))
    assert (world.items_of("a")[0].quantity, world.shippable("a")) == (10 if restock else 8, 10)


def test_extensiv_hears_late_of_what_was_taken_off_after_the_import() -> None:
    world = world_of({"a": 10}, **FIXED)
    order = bought(world, 5)
    world.take_off(order, "a", 2, later(5), restock=True)
    seen = []
    for minute in (5.5, 6.5, 30):
        world.advance(later(minute))
        seen.append(
            (order.ext_lines, world.bins["a", 1].allocated, on_hand(world, "a"), world.shippable("a"))
        )
    assert seen == [([("a", 5)], 5, 10, 7), ([("a", 3)], 3, 10, 7), ([("a", 3)], 0, 7, 7)]


def test_a_parcel_that_left_before_extensiv_heard_of_it_holds_what_was_taken_off() -> None:
    world = world_of({"a": 10}, **FIXED)
    order = bought(world, 5)
    world.take_off(order, "a", 2, later(10.5), restock=True)
    world.advance(SOON)
    assert (order.ext_status, order.ext_lines, order.lines) == ("SHIPPED", [("a", 5)], [("a", 3)])
    assert (on_hand(world, "a"), world.shippable("a"), world.bins["a", 1].allocated) == (5, 5, 0)


def test_an_order_changed_before_its_import_comes_as_it_was_ordered_or_as_it_is() -> None:
    imported = []
    for seed in range(9):
        world = world_of({"a": 10}, **FIXED, seed=seed)
        order = bought(world, 5)
        world.take_off(order, "a", 2, later(0.5))
        world.advance(later(1))
        imported.append(order.ext_lines[0][1])
        world.advance(SOON)
        assert (order.ext_lines, on_hand(world, "a"), world.shippable("a")) == ([("a", 3)], 7, 7)
    assert set(imported) == {3, 5}


def test_some_of_each_line_stays_ordered_and_nothing_comes_off_what_is_over() -> None:
    world = world_of({"a": 10, "b": 10}, **FIXED)
    order = world.place_order("uk", "1", [("a", 2), ("b", 1)], START)
    assert order is not None
    for code, units in (("a", 2), ("b", 1), ("c", 1)):
        world.take_off(order, code, units, START)
    world.advance(SOON)
    world.take_off(order, "a", 1, SOON)
    typed_in = world.enter_order("a", 3, SOON)
    world.take_off(typed_in, "a", 1, SOON)
    assert (order.lines, typed_in.lines) == ([("a", 2), ("b", 1)], [("a", 3)])


def split(world: World, order: Order, units: int = 2, place: int = 1, at: float = 3) -> None:
    world.split_order(order, "a", units, place, later(at))


def test_the_pieces_of_an_order_leave_each_on_its_own_and_the_store_hears_of_the_last() -> None:
    world = world_of({"a": 10}, **FIXED)
    order = bought(world, 5)
    split(world, order)
    (part,) = order.parts
    assert (order.lines, order.ext_lines, part.ext_lines) == ([("a", 5)], [("a", 3)], [("a", 2)])
    assert (part.number, part.whole, part.pieces) == ("1", order, [order, part])
    assert world.stores["uk"].orders == [order]
    seen = []
    for minute in (3.5, 4, 11, 13):
        world.advance(later(minute))
        seen.append(
            (world.bins["a", 1].allocated, on_hand(world, "a"), world.shippable("a"), order.fulfilled)
        )
    assert seen == [(3, 10, 5, False), (5, 10, 5, False), (2, 7, 5, False), (0, 5, 5, True)]


def test_an_order_is_cancelled_whole_or_once_a_piece_has_left_not_at_all() -> None:
    world = world_of({"a": 10, "b": 10}, **FIXED)
    one, other = bought(world, 5), bought(world, 5, number="2")
    split(world, other, at=0.5)
    assert other.parts == [], "it was not there yet"
    split(world, one)
    split(world, other)
    world.cancel(one.parts[0], later(5))
    world.advance(later(6))
    assert [piece.ext_status for piece in one.pieces] == ["CANCELLED", "CANCELLED"]
    world.cancel(other, later(12))
    world.advance(SOON)
    assert [piece.ext_status for piece in other.pieces] == ["SHIPPED", "SHIPPED"]
    assert (on_hand(world, "a"), world.shippable("a"), world.bins["a", 1].allocated) == (5, 5, 0)


@pytest.mark.parametrize("units", [5, 6])
def test_some_of_an_order_stays_with_it_and_one_that_is_over_or_changed_is_not_split(units: int) -> None:
    world = world_of({"a": 30}, **FIXED)
    whole, changed, gone, twice = (bought(world, 5, number=str(number)) for number in range(4))
    split(world, whole, units)
    world.take_off(changed, "a", 1, later(3))
    split(world, changed)
    split(world, twice)
    split(world, twice)
    split(world, twice.parts[0], 1)
    world.take_off(twice, "a", 1, later(3))
    split(world, gone, at=20)
    assert [len(order.parts) for order in (whole, changed, gone, twice)] == [0, 0, 0, 1]
    assert twice.lines == [("a", 5)]


def test_a_cancelled_order_typed_into_extensiv_gives_its_units_back() -> None:
    world = world_of({"a": 10}, **FIXED)
    order = world.enter_order("a", 4, START)
    assert world.shippable("a") == 6
    world.cancel(order, later(5))
    world.advance(SOON)
    assert (order.ext_status, world.shippable("a"), on_hand(world, "a")) == ("CANCELLED", 10, 10)


def test_locked_units_do_not_ship() -> None:
    world = world_of({"a": 10}, **FIXED)
    world.bins["a", 1].locked = 4
    bought(world, 10)
    world.advance(SOON)
    assert on_hand(world, "a") == 4


def test_orders_are_routed_to_where_units_are_free_and_leave_from_where_they_lie() -> None:
    world = world_of({"a": 2}, **FIXED)
    world.add_stock("a", 2, 10)
    world.set_quantity(world.items_of("a")[0], 12, START)
    first, second = bought(world, 2, number="1"), bought(world, 1, number="2")
    world.advance(later(2))
    assert (first.ext_place, second.ext_place) == (1, 2)
    world.damage("a", 2, later(3))
    world.advance(SOON)
    assert (first.ext_place, first.ext_status) == (2, "SHIPPED")
    assert (world.bins["a", 1].on_hand, world.bins["a", 2].on_hand, world.shippable("a")) == (0, 7, 7)
    assert [(each.routed, each.allocated) for each in world.bins.values()] == [(0, 0), (0, 0)]


def test_extensiv_hears_late_that_a_mirrored_place_has_shipped() -> None:
    """The parcel is gone at once, the order stays open in Extensiv and at the store until it is told."""
    world = world_of({"a": 0}, **FIXED, hear_ms=(5 * MINUTE, 5 * MINUTE))
    world.add_stock("a", 2, 10)
    world.places = {2: world.places[2], 1: world.places[1]}
    world.set_quantity(world.items_of("a")[0], 10, START)
    order, shelf = bought(world, 3), world.bins["a", 2]
    seen = []
    for minute in (10.5, 11.5, 16.5):
        world.advance(later(minute))
        seen.append((shelf.on_hand, world.shippable("a"), order.ext_status, shelf.allocated, order.fulfilled))
    assert seen == [
        (10, 7, "AWAITING_SHIPMENT", 3, False),
        (7, 7, "AWAITING_SHIPMENT", 3, False),
        (7, 7, "SHIPPED", 0, True),
    ]


def test_what_has_left_a_mirrored_place_is_not_cancelled_before_extensiv_hears_of_it() -> None:
    world = world_of({"a": 0}, **FIXED, hear_ms=(5 * MINUTE, 5 * MINUTE))
    world.add_stock("a", 2, 10)
    world.places = {2: world.places[2], 1: world.places[1]}
    world.set_quantity(world.items_of("a")[0], 10, START)
    order = bought(world, 3)
    world.cancel(order, later(12))
    world.advance(SOON)
    assert (order.cancelled, order.ext_status, world.shippable("a")) == (None, "SHIPPED", 7)


def test_a_store_that_restocks_nothing_shows_no_more_after_a_cancel() -> None:
    world = world_of({"a": 10}, **FIXED)
    world.stores["uk"].restocks = False
    world.cancel(bought(world, 3), later(0.5))
    assert (world.items_of("a")[0].quantity, world.shippable("a")) == (7, 10)


def test_an_accepted_write_is_under_way_until_it_takes_effect_and_a_lost_one_never_is() -> None:
    world = world_of({"a": 10}, **FIXED)
    world.stores["uk"].apply_ms = (2 * MINUTE, 2 * MINUTE)
    item = world.items_of("a")[0]
    world.accept_write(item, 4, START)
    world.accept_write(item, 6, START, lost=True)
    assert (item.quantity, item.coming) == (10, [4])
    world.advance(later(3))
    assert (item.quantity, item.coming) == (4, [])


def test_a_pool_that_is_split_from_now_on_is_measured_by_the_sum_of_what_is_shown() -> None:
    world = world_of({"a": 10}, **FIXED)
    assert world.tally.exposed_now == 0
    world.switch("a", split=True, now=START)
    assert world.tally.exposed_now == 10
    world.switch("a", split=False, now=START)
    assert world.tally.exposed_now == 0


def test_however_much_happens_in_one_moment_each_thing_happens_once_and_one_after_another() -> None:
    world = world_of({"a": 2_000}, **FIXED)
    order: list[int] = []

    def buys(number: int, now: Instant) -> None:
        order.append(number)
        bought(world, 1, now, number=str(number))
        order.append(number)

    for number in range(1_000):
        world.at(START + MINUTE, partial(buys, number))
    world.advance(later(1))
    assert order == [number for number in range(1_000) for _ in range(2)]
    assert world.shippable("a") == 1_000


def test_what_goes_wrong_in_the_business_is_told_though_whoever_asked_kept_it_to_himself() -> None:
    world = world_of({"a": 2}, **FIXED)
    world.at(START + MINUTE, lambda now: world.receive("a", 99, 1, now))
    with suppress(KeyError):
        world.advance(later(2))
    with pytest.raises(KeyError):
        world.finish_score(later(3))


def test_a_mirrored_place_is_seen_late() -> None:
    world = world_of({"a": 10}, **FIXED, mirror_ms=15 * MINUTE)
    world.add_stock("a", 2, 5)
    world.start_mirrors()
    world.receive("a", 2, 7, later(1))
    world.receive("a", 1, 7, later(1))
    assert (world.bins["a", 1].copied, world.bins["a", 2].copied) == (17, 5)
    world.advance(later(16))
    assert world.bins["a", 2].copied == 12


def test_native_push_arrives_late_with_all_that_is_available() -> None:
    world = world_of({"a": 10}, **FIXED)
    item = world.items_of("a")[0]
    item.push = True
    world.receive("a", 1, 5, START)
    world.advance(later(1.9))
    assert item.quantity == 10
    world.advance(later(2))
    assert item.quantity == 15


def test_what_sells_while_a_native_push_is_under_way_is_written_over() -> None:
    world = world_of({"a": 10}, **{**FIXED, "transit_ms": (MINUTE, MINUTE)})
    item = world.items_of("a")[0]
    item.push = True
    world.receive("a", 1, 5, START)
    world.place_order(item.store, "1", [("a", 4)], later(2.5))
    assert item.quantity == 6
    world.advance(later(3))
    assert item.quantity == 15


def test_what_one_world_does_more_moves_no_lag_of_the_other() -> None:
    visible, imported = [], []
    for extra in (0, 5):
        world = world_of({"a": 100}, **{**FIXED, "index_lag_ms": (0, MINUTE), "import_ms": (0, 9 * MINUTE)})
        for number in range(extra):
            world.place_order("uk", f"extra-{number}", [("a", 1)], START)
        order = world.place_order("uk", "1", [("a", 1)], START)
        assert order is not None
        world.advance(later(20))
        visible.append(order.visible)
        imported.append(order.imported)
    assert visible[0] == visible[1]
    assert imported[0] == imported[1]


def test_native_push_skips_zeros() -> None:
    world = world_of({"a": 10}, **FIXED)
    item = world.items_of("a")[0]
    item.push = True
    world.damage("a", 10, START)
    world.advance(SOON)
    assert (world.native_number("a"), item.quantity) == (0, 10)


def test_a_listing_without_push_is_never_pushed() -> None:
    world = world_of({"a": 10}, **FIXED)
    world.receive("a", 1, 5, START)
    world.advance(SOON)
    assert [item.quantity for item in world.items_of("a")] == [10, 10]


def test_a_lost_push_changes_nothing() -> None:
    world = world_of({"a": 10}, **{**FIXED, "push_lost": 1.0})
    item = world.items_of("a")[0]
    item.push = True
    world.receive("a", 1, 5, START)
    world.advance(SOON)
    assert item.quantity == 10


def test_hidden_and_exposed_units_are_counted_from_the_moment_they_are() -> None:
    world = world_of({"a": 10}, **FIXED)
    world.receive("a", 1, 5, later(10))
    score = world.finish_score(later(20))
    assert (score.hidden, score.exposed) == (5 * 10 * MINUTE, 0)
    world.damage("a", 12, later(20))
    assert world.finish_score(later(21)).exposed == 7 * MINUTE


def test_a_split_pool_shows_the_sum_of_its_listings() -> None:
    world = world_of({"a": 10}, **FIXED)
    world.products["a"].split = True
    world.set_quantity(world.items_of("a")[0], 4, START)
    assert world.tally.exposed_now == 4


def test_bundles_over_two_levels_take_their_components() -> None:
    world = world_of({"a": 10, "b": 9}, **FIXED)
    world.add_product(Product(8, "pair", "pair", components=(("a", 2),)))
    world.add_product(Product(9, "set", "set", components=(("pair", 2), ("b", 3))))
    world.add_item("uk", "set", 2)
    assert (world.uses("set"), world.shippable("set")) == ({"a": 4, "b": 3}, 2)
    bought(world, 1, sku="set")
    world.advance(SOON)
    assert (on_hand(world, "a"), on_hand(world, "b"), world.shippable("set")) == (6, 6, 1)


def test_a_bundle_that_its_sold_out_component_cannot_fill_is_exposed() -> None:
    world = world_of({"a": 10}, **FIXED)
    world.add_product(Product(9, "pair", "pair", components=(("a", 2),)))
    world.add_item("uk", "pair", 5)
    assert world.tally.exposed_now == 0
    for item in world.items_of("a"):
        world.set_quantity(item, 0, START)
    world.damage("a", 10, START)
    assert world.tally.exposed_now == 10


def test_what_a_bundle_could_sell_and_nobody_shows_is_hidden_once() -> None:
    world = world_of({}, **FIXED)
    world.add_product(Product(1, "part", "part"))
    world.add_product(Product(2, "pair", "pair", components=(("part", 2),)))
    world.add_stock("part", 1, 10)
    world.add_item("uk", "pair", 2)
    assert world.finish_score(later(1)).hidden == 3 * MINUTE


def test_a_code_that_nothing_maps_is_sold_and_reported() -> None:
    world = world_of({"a": 10}, **FIXED)
    order = bought(world, 1, sku="POST")
    world.advance(SOON)
    assert (order.ext_status, world.unmapped_sold, on_hand(world, "a")) == ("SHIPPED", {"POST"}, 10)


@dataclass
class Books:
    """What a careful clerk would have written down."""

    placed: list[Order] = field(default_factory=list)
    received: int = 0
    lost: int = 0


operations = st.lists(
    st.tuples(
        st.sampled_from(
            ["sell"] * 3
            + ["bundle", "b2b", "cancel", "edit", "split", "split", "receive", "damage", "write", "wait"]
        ),
        st.integers(1, 4),
        st.integers(0, 20 * MINUTE),
    ),
    max_size=40,
)


@given(operations, st.integers(1, 50))
def test_no_unit_appears_or_vanishes(steps: list[tuple[str, int, int]], seed: int) -> None:
    """On hand is what was there and came less what left; shippable is that less every open order, once."""
    world = world_of({"a": 500}, seed=seed)
    world.add_stock("a", 2, 100)
    world.add_product(Product(9, "pair", "pair", components=(("a", 2),)))
    for store in world.stores:
        world.add_item(store, "pair", 200)
    world.start_mirrors()
    books, now = Books(), START
    for number, (what, units, wait) in enumerate(steps):
        now = Instant(now + wait)
        step(world, books, what, units, number, now)
        check(world, books)
    world.advance(Instant(now + 10 * 3_600_000))
    check(world, books)
    assert all(order.shipped or order.cancelled for order in books.placed)
    assert all(each.allocated == 0 for each in world.bins.values())


def step(world: World, books: Books, what: str, units: int, number: int, now: Instant) -> None:
    match what:
        case "sell" | "bundle":
            order = world.place_order(
                ("uk", "eu")[number % 2], str(number), [("a" if what == "sell" else "pair", units)], now
            )
            if order is not None:
                books.placed.append(order)
        case "b2b":
            books.placed.append(world.enter_order("a", units, now))
        case "cancel" if books.placed:
            world.cancel(books.placed[number % len(books.placed)], now)
        case "edit" if books.placed:
            order = books.placed[number % len(books.placed)]
            world.take_off(order, order.lines[0][0], units, now, restock=bool(number % 2))
        case "split" if books.placed:
            order = books.placed[number % len(books.placed)]
            world.split_order(order, order.lines[0][0], units, 1 + number % 2, now)
        case "receive":
            world.receive("a", 1 + number % 2, units, now)
            books.received += units
        case "damage":
            world.damage("a", units, now)
            books.lost += units
        case "write":
            world.set_quantity(world.items_of("a")[0], units, now)
        case _:
            world.advance(now)


def check(world: World, books: Books) -> None:
    def units(lines: list[tuple[str, int]]) -> int:
        return sum(count * world.uses(sku)["a"] for sku, count in lines)

    pieces = [piece for order in books.placed for piece in order.pieces]
    left = sum(units(piece.ext_lines) for piece in pieces if piece.shipped is not None)
    waits = [piece for piece in pieces if piece.shipped is None and piece.off is None]
    open_units = sum(units(each.ext_lines if each.split else each.lines) for each in waits)
    assert on_hand(world, "a") == 600 + books.received - books.lost - left
    assert world.shippable("a") == on_hand(world, "a") - open_units
    assert all(each.on_hand >= 0 and each.allocated >= 0 for each in world.bins.values())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_lives_the_same_life(seed: int) -> None:
    def life() -> tuple[object, ...]:
        world = world_of({"a": 50}, seed=seed)
        world.items_of("a")[0].push = True
        orders = [bought(world, 1, later(n), number=str(n)) for n in range(20)]
        world.advance(later(600))
        return ([(o.imported, o.shipped) for o in orders], [i.quantity for i in world.items_of("a")])

    assert life() == life()
