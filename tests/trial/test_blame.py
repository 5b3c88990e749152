"""Who is to blame for what is shown too much: whoever raised beyond what could be read when it was decided."""

from dataclasses import replace

import pytest

from reconcilerd.domain.facts import EXTENSIV, SweepRead
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, Sku, SlotKey, after
from reconcilerd.domain.position import OfferView, Position, StockView
from reconcilerd.simulator.faults import Fault, FaultPlan, Injected
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.trial.blame import Blame, Readings
from reconcilerd.trial.oracle import Oracle
from reconcilerd.trial.stage import START
from tests.domain.builders import offer, position
from tests.world.stage import BOTH, empty_shops, policy, put_on_sale

UNITS, POLL_MS = 20, 60_000
UK, EU = "shop-uk", "shop-eu"
SOLD_AT, READ_AT = after(START, 1_000), after(START, 60_000)
SHOWN_AT = after(START, 30_000)
LATER = after(START, 3_600_000)


def the_world() -> World:
    """Twenty units, fifteen of them in a place of our own; two shops show ten of them each."""
    world = empty_shops(WorldConfig(seed=1, index_lag_ms=(0, 0), import_ms=(0, 0)))
    put_on_sale(world, "a", UNITS, split=True, shown={UK: 10, EU: 10})
    return world


def judge_of(world: World, *read_at: tuple[str, Instant]) -> Blame:
    readings = Readings(FaultPlan())
    for feed, at in read_at:
        readings.note(SweepRead(FeedName(feed), at, at, True, 1, 0))
    return Blame(Oracle(world, policy(split=True), readings.began))


def seen(world: World, store: str, at: Instant, shown: int | None = None) -> OfferView:
    item = world.stores[store].by_sku["a"]
    view = offer(store, shown=item.quantity if shown is None else shown, sku="a", uses=((Sku("a"), 1),))
    slot = SlotKey(ChannelName(store), item.id, item.place)
    return replace(view, slot=slot, locations=BOTH, as_of=at, age_of=at)


def read(world: World, *views: OfferView, at: Instant, split: bool = True) -> Position:
    rows = [
        StockView(Sku("a"), LocationName(str(place)), each.copied, each.locked, 0, at, at)
        for (_, place), each in world.bins.items()
    ]
    return position(views, rows, split=split)


def raised(blame: Blame, world: World, told: Position, store: str, target: int) -> int:
    """Eaches that are blamed on whoever decided on this raise and wrote it."""
    item = world.stores[store].by_sku["a"]
    slot = next(each.slot for each in told.offers if each.slot.channel == store)
    blame.decided(told, {each.slot: 0 for each in told.offers}, [(slot, target)])
    blame.wrote(item, target)
    return blame.units


def test_a_raise_within_what_could_be_read_is_nobodys_fault() -> None:
    world = the_world()
    told = read(world, seen(world, UK, READ_AT), seen(world, EU, READ_AT, shown=6), at=READ_AT)
    assert raised(judge_of(world), world, told, EU, 10) == 0


def test_a_raise_above_the_headroom_is_blamed_unit_by_unit() -> None:
    world = the_world()
    told = read(world, seen(world, UK, READ_AT), seen(world, EU, READ_AT), at=READ_AT)
    assert raised(judge_of(world), world, told, EU, 13) == 3


def test_each_raise_of_a_decision_leaves_less_for_the_next() -> None:
    world, blame = the_world(), judge_of(the_world())
    views = [seen(world, UK, READ_AT, shown=8), seen(world, EU, READ_AT, shown=8)]
    told = read(world, *views, at=READ_AT)
    blame.decided(told, {}, [(each.slot, 11) for each in views])
    for each in views:
        blame.wrote(world.stores[each.slot.channel].by_sku["a"], 11)
    assert blame.units == 2


def test_a_raise_that_is_not_written_or_was_decided_anew_is_not_blamed() -> None:
    world, blame = the_world(), judge_of(the_world())
    item = world.stores[EU].by_sku["a"]
    full = read(world, seen(world, UK, READ_AT), seen(world, EU, READ_AT), at=READ_AT)
    slot = next(each.slot for each in full.offers if each.slot.channel == EU)
    blame.decided(full, {}, [(slot, 13)])
    assert blame.units == 0
    free = read(world, seen(world, UK, READ_AT, shown=4), seen(world, EU, READ_AT), at=READ_AT)
    blame.decided(free, {}, [(slot, 13)])
    blame.wrote(item, 13)
    assert blame.units == 0


def test_in_a_shared_pool_only_the_largest_listing_counts() -> None:
    world = the_world()
    told = read(world, seen(world, UK, READ_AT, shown=20), seen(world, EU, READ_AT), at=READ_AT, split=False)
    assert raised(judge_of(world), world, told, EU, 20) == 0
    assert raised(judge_of(world), world, told, EU, 21) == 1


def test_in_a_shared_pool_a_listing_counts_at_all_its_places_together() -> None:
    world = the_world()
    uk, eu = seen(world, UK, READ_AT, shown=15), seen(world, EU, READ_AT, shown=20)
    beside = replace(uk, slot=replace(uk.slot, place="another"), read=5)
    told = read(world, uk, beside, eu, at=READ_AT, split=False)
    slots = [each.slot for each in (uk, beside)]
    blame = judge_of(world)
    assert list(blame.oracle.raised_too_much(told, {}, [(slots[0], 15), (slots[1], 5)])) == []
    assert list(blame.oracle.raised_too_much(told, {}, [(slots[1], 7)])) == [(slots[1], 7, 2)]


@pytest.mark.parametrize(("split", "target"), [(True, 10), (False, 20)])
def test_a_minimum_within_the_overcommit_is_declared_and_nobodys_fault(split: bool, target: int) -> None:
    world = the_world()
    eu = seen(world, EU, READ_AT, shown=6)
    views = seen(world, UK, READ_AT), replace(eu, rule=replace(eu.rule, minimum=2))
    told = read(world, *views, at=READ_AT, split=split)
    lent = replace(told, pool=replace(told.pool, overcommit=3))
    assert raised(judge_of(world), world, lent, EU, target + 3) == 0
    assert raised(judge_of(world), world, lent, EU, target + 4) == 1


@pytest.mark.parametrize(("orders_read_at", "to_blame"), [(None, 0), (READ_AT, 4)])
def test_what_was_sold_counts_from_when_it_could_be_read(
    orders_read_at: Instant | None, to_blame: int
) -> None:
    """Sold after the reading of its listing, an order is known only by the order feed."""
    world = the_world()
    world.place_order(UK, "1001", [("a", 4)], SOLD_AT)
    blame = judge_of(world, *([(f"{UK}.orders", orders_read_at)] if orders_read_at else []))
    told = read(world, seen(world, UK, START), seen(world, EU, SHOWN_AT), at=SHOWN_AT, split=False)
    assert raised(blame, world, told, EU, 20) == to_blame


def test_a_sale_that_a_level_showed_could_be_read() -> None:
    world = the_world()
    world.place_order(UK, "1001", [("a", 4)], SOLD_AT)
    told = read(world, seen(world, UK, READ_AT), seen(world, EU, READ_AT), at=READ_AT)
    assert raised(judge_of(world), world, told, EU, 14) == 4


@pytest.mark.parametrize(("after_ms", "to_blame"), [(-POLL_MS - 1, 4), (-POLL_MS, 0), (0, 0), (1_000, 0)])
def test_a_sale_that_somebody_else_wrote_over_tells_nobody(after_ms: int, to_blame: int) -> None:
    world = the_world()
    item = world.stores[UK].by_sku["a"]
    if after_ms < 0:
        world.set_quantity(item, 10, after(SOLD_AT, after_ms))
    world.place_order(UK, "1001", [("a", 4)], SOLD_AT)
    if after_ms >= 0:
        world.set_quantity(item, 6, after(SOLD_AT, after_ms))
    told = read(world, seen(world, UK, READ_AT), seen(world, EU, READ_AT), at=READ_AT)
    assert raised(judge_of(world), world, told, EU, 14) == to_blame


def test_what_has_left_is_subtracted_until_the_copy_of_its_place_was_made_anew() -> None:
    """A copied row that is read again and again says nothing new before it is copied again."""
    world = the_world()
    order = world.place_order(UK, "1001", [("a", 4)], SOLD_AT)
    assert order is not None
    world.advance(READ_AT)
    order.ext_place, order.shipped = 2, READ_AT
    heard = (f"{UK}.orders", LATER)
    stale = read(world, seen(world, UK, LATER, shown=6), seen(world, EU, LATER), at=LATER)
    assert raised(judge_of(world, heard), world, stale, EU, 14) == 4
    world.copied_at.append(after(READ_AT, 1))
    assert raised(judge_of(world, heard), world, stale, EU, 14) == 0


def test_a_reading_that_met_a_fault_is_not_held_against_anybody() -> None:
    faults = FaultPlan()
    faults.done.append(Injected(Fault.MISSING_PAGE, READ_AT, UK, "GetOrders"))
    readings = Readings(faults)
    readings.note(SweepRead(FeedName(f"{UK}.orders"), SHOWN_AT, LATER, True, 1, 0))
    readings.note(SweepRead(FeedName(f"{EU}.orders"), SHOWN_AT, LATER, True, 1, 0))
    readings.note(SweepRead(FeedName("extensiv.stock"), SHOWN_AT, LATER, False, 1, 0))
    assert readings.began == {f"{EU}.orders": SHOWN_AT}


def test_what_three_readings_in_a_row_were_told_from_before_is_lacking_until_all_is_read() -> None:
    """Of two a later reading asks again."""
    faults, feed = FaultPlan(), FeedName("extensiv.orders")
    readings = Readings(faults)

    def read_at(at: int, *, stale: bool, full: bool = False) -> Instant:
        if stale:
            faults.done.append(Injected(Fault.STALE_READ, Instant(at), EXTENSIV, "v1.1/orders"))
        readings.note(SweepRead(feed, Instant(at), Instant(at + 9), True, 1, 0, full=full))
        return readings.began.get(feed, Instant(0))

    assert [read_at(100, stale=True), read_at(200, stale=True), read_at(300, stale=False)] == [0, 0, 300]
    for at in (400, 500, 600):
        assert read_at(at, stale=True) == 300
    assert read_at(700, stale=False) == 300
    assert read_at(800, stale=True, full=True) == 300
    assert read_at(900, stale=False, full=True) == 900


def test_while_a_list_was_told_from_before_and_the_reading_goes_on_nobody_is_blamed() -> None:
    faults = FaultPlan()
    readings = Readings(faults)
    assert not readings.contradicted("extensiv.orders")
    faults.done.append(Injected(Fault.STALE_READ, Instant(100), EXTENSIV, "v1.1/orders"))
    faults.done.append(Injected(Fault.STALE_READ, Instant(100), UK, "v1/inventory"))
    assert readings.contradicted("extensiv.orders")
    assert not readings.contradicted(f"{UK}.orders")
    readings.note(SweepRead(FeedName("extensiv.orders"), Instant(90), Instant(101), True, 1, 0))
    assert not readings.contradicted("extensiv.orders")
