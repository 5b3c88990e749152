"""One store's connector against the pretend store, and against scripted answers where that store is too kind."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio.lowlevel
import graphql
import msgspec
import pytest

from reconcilerd.assemble import Assembled, assemble
from reconcilerd.connectors.port import Page
from reconcilerd.connectors.shopify.client import IDS_A_CALL, ORDERS_PAGE, PAGE, Shopify
from reconcilerd.connectors.shopify.graphql import LANE, document
from reconcilerd.domain.facts import (
    Fact,
    FindingKind,
    FindingRaised,
    OrderObserved,
    SlotObserved,
    SlotState,
    SweepRead,
)
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.errors import MalformedReply
from reconcilerd.simulator.app import Business, build
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.shopify_api import schema
from reconcilerd.simulator.shopify_cost import MOST_A_QUERY, Pricing
from reconcilerd.simulator.stores import Product
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call
from reconcilerd.transport.lane import Lane
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.transport.replies import Reply
from reconcilerd.trial.stage import START, Heard, wire
from tests.connectors.store import PLACE, UK, Shop, Wire
from tests.simulator.builders import Desk, world_of
from tests.world.stage import Journal, policy, small_world

NAME = ChannelName("shop-uk")
Body = Callable[[Shopify, Business, Assembled], Awaitable[None]]


def with_store(world: World, body: Body) -> None:
    """Run ``body`` with the real connector of one store of a pretend business, in virtual time."""

    async def main() -> None:
        clock = VirtualClock(START)
        business = build(world, clock, FaultPlan())
        wiring = wire(policy(split=True), clock, lambda: in_process_transport(business.app))
        built = assemble(wiring, Journal(), Heard())
        store = built.channels[NAME]
        assert isinstance(store, Shopify)
        await body(store, business, built)

    run_virtual(main)


async def swept(store: Shopify, feed: str) -> tuple[list[Fact], SweepRead]:
    facts: list[Fact] = []

    async def emit(page: Page) -> None:
        facts.extend(page.facts)

    sweep = await store.sweep(store.slots_feed if feed == "slots" else store.orders_feed, "", emit)
    return facts, sweep


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("inventory_items", {"first": PAGE}),
        ("items_by_id", {"ids": ["x"] * IDS_A_CALL}),
        ("item_levels", {"id": "x"}),
        ("orders", {"first": ORDERS_PAGE}),
        ("order_lines", {"id": "x"}),
        ("set_quantities", {}),
    ],
)
def test_no_query_may_cost_more_than_a_store_answers(name: str, variables: dict[str, Any]) -> None:
    cost = Pricing(schema(), graphql.parse(document(name)), variables).requested()
    assert 0 < cost <= MOST_A_QUERY


def test_lines_beyond_the_first_page_of_an_order_are_read() -> None:
    codes = [f"sku-{number:02d}" for number in range(45)]
    world = small_world(WorldConfig(index_lag_ms=(0, 0)), split=True, skus=codes)
    for code in codes:
        world.stores[NAME].by_sku[code].quantity = 9
    world.place_order(NAME, "7", [(code, 1) for code in codes], START)

    async def body(store: Shopify, _business: Business, _built: Assembled) -> None:
        facts, sweep = await swept(store, "orders")
        order = next(fact for fact in facts if isinstance(fact, OrderObserved))
        assert sorted(line.listing_sku for line in order.lines) == codes
        assert sweep.complete
        assert sweep.full

    with_store(world, body)


def test_only_the_first_reading_of_orders_is_from_the_beginning() -> None:
    async def body(store: Shopify, _business: Business, _built: Assembled) -> None:
        _, first = await swept(store, "orders")

        async def emit(_page: Page) -> None: ...

        later = await store.sweep(store.orders_feed, first.cursor, emit)
        assert (first.full, later.full) == (True, False)

    with_store(small_world(WorldConfig(), split=True), body)


def test_a_sku_carried_by_two_items_is_found_and_found_healed() -> None:
    world = small_world(WorldConfig(), split=True)
    twin = world.add_item(NAME, "b", 0, listing_sku=" A ")

    async def body(store: Shopify, _business: Business, _built: Assembled) -> None:
        facts, _ = await swept(store, "slots")
        found = [f for f in facts if isinstance(f, FindingRaised) and f.what is FindingKind.DUPLICATE_SKU]
        assert [(f.subject, f.cleared) for f in found] == [("shop-uk:a", False)]
        twin.listing_sku = "other"
        facts, _ = await swept(store, "slots")
        found = [f for f in facts if isinstance(f, FindingRaised) and f.what is FindingKind.DUPLICATE_SKU]
        assert [(f.subject, f.cleared) for f in found] == [("shop-uk:a", True)]

    with_store(world, body)


def test_a_store_of_the_smallest_plan_is_read_whole_and_hardly_ever_throttles() -> None:
    world = small_world(WorldConfig(), split=True, skus=[f"sku-{number}" for number in range(600)])

    async def body(store: Shopify, business: Business, _built: Assembled) -> None:
        bucket = business.stores[NAME].bucket
        bucket.rate_per_s, bucket.size, bucket.level = 100.0, 2_000.0, 2_000.0
        for _ in range(3):
            facts, sweep = await swept(store, "slots")
            assert sweep.complete
            assert sum(isinstance(fact, SlotObserved) for fact in facts) == 600
        assert business.stores[NAME].throttled <= 1

    with_store(world, body)


@dataclass
class Script:
    """A store that answers by script: what was asked is kept."""

    answer: Callable[[str, dict[str, Any]], dict[str, Any]]
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, call: Call) -> Reply:
        assert isinstance(call.json, dict)
        self.asked.append(call.json["variables"])
        await anyio.lowlevel.checkpoint()
        body = self.answer(str(call.json["query"]), call.json["variables"])
        return Reply(200, {}, msgspec.json.encode(body), Instant(1), Instant(1))

    def lane(self, name: str) -> Lane:
        return Lane(LANE, lambda: Instant(0))


def level(place: int) -> dict[str, Any]:
    return {
        "id": f"level-{place}",
        "isActive": True,
        "location": {"id": f"place-{place}", "name": "", "fulfillsOnlineOrders": True},
        "quantities": [{"name": "available", "quantity": place}],
    }


def with_levels(start: int, more: bool) -> dict[str, Any]:
    levels = [level(each) for each in range(start, start + 5)]
    return {"nodes": levels, "pageInfo": {"hasNextPage": more, "endCursor": str(start)}}


async def test_levels_beyond_the_first_page_of_an_item_are_read() -> None:
    item = {"id": "i", "sku": "a", "tracked": True, "variants": {"nodes": []}}

    def answer(query: str, _variables: dict[str, Any]) -> dict[str, Any]:
        if "ItemLevels" in query:
            return {"data": {"inventoryItem": {"inventoryLevels": with_levels(5, more=False)}}}
        nodes = [{**item, "inventoryLevels": with_levels(0, more=True)}]
        return {"data": {"inventoryItems": {"nodes": nodes, "pageInfo": {"hasNextPage": False}}}}

    store = Shopify(Script(answer), lambda: Instant(1), name=NAME, places=["place-7"])
    facts, sweep = await swept(store, "slots")
    slots = [fact for fact in facts if isinstance(fact, SlotObserved)]
    assert [(slot.slot.place, slot.quantity) for slot in slots] == [(f"place-{n}", n) for n in range(10)]
    assert sweep.complete


async def test_levels_that_never_end_are_an_error_that_names_the_item() -> None:
    turn = iter(range(1, 10_000))

    def answer(query: str, _variables: dict[str, Any]) -> dict[str, Any]:
        if "ItemLevels" in query:
            return {"data": {"inventoryItem": {"inventoryLevels": with_levels(next(turn) * 5, more=True)}}}
        nodes = [{"id": "item-9", "inventoryLevels": with_levels(0, more=True)}]
        return {"data": {"inventoryItems": {"nodes": nodes, "pageInfo": {"hasNextPage": False}}}}

    store = Shopify(Script(answer), lambda: Instant(1), name=NAME, places=[])
    with pytest.raises(MalformedReply, match="item-9 did not end"):
        await swept(store, "slots")


@pytest.mark.parametrize("quantity", [2.5, "4", True, None])
async def test_an_item_that_can_no_longer_be_read_is_not_gone(quantity: object) -> None:
    good = {"id": "i", "sku": "a", "tracked": True, "variants": {"nodes": []}}
    shown: list[object] = [4]

    def answer(_query: str, variables: dict[str, Any]) -> dict[str, Any]:
        one = {**level(1), "quantities": [{"name": "available", "quantity": shown[0]}]}
        node = {**good, "inventoryLevels": {"nodes": [one], "pageInfo": {"hasNextPage": False}}}
        if "ids" in variables:
            return {"data": {"nodes": [node]}}
        return {"data": {"inventoryItems": {"nodes": [node], "pageInfo": {"hasNextPage": False}}}}

    store = Shopify(Script(answer), lambda: Instant(1), name=NAME, places=["place-1"])
    _, first = await swept(store, "slots")
    assert first.complete
    shown[0] = quantity
    facts, second = await swept(store, "slots")
    assert not second.complete
    assert "cannot be read: i" in second.why
    assert [fact for fact in facts if isinstance(fact, SlotObserved)] == []


def test_a_reading_cut_short_clears_no_duplicate() -> None:
    world = small_world(WorldConfig(), split=True, skus=[f"sku-{number:02d}" for number in range(60)])
    world.add_item(NAME, "sku-00", 0, listing_sku=" SKU-01 ")

    async def body(store: Shopify, _business: Business, _built: Assembled) -> None:
        facts, whole = await swept(store, "slots")
        assert whole.complete
        assert [f.subject for f in facts if isinstance(f, FindingRaised)] == ["shop-uk:sku-01"]
        items = world.stores[NAME].items
        for each in list(items)[:59]:
            del items[each]
        last = next(iter(store._known.values()))
        store._known.update({SlotKey(NAME, f"gone-{n}", "p"): last for n in range(500)})
        facts, cut = await swept(store, "slots")
        assert not cut.complete
        assert not [f for f in facts if isinstance(f, FindingRaised) and f.cleared]

    with_store(world, body)


async def test_an_item_that_a_cut_page_hid_is_of_the_reading_and_still_a_twin() -> None:
    shown = ["i", "j", "k"]

    def node(name: str) -> dict[str, Any]:
        levels = {"nodes": [level(1)], "pageInfo": {"hasNextPage": False}}
        sku = "b" if name == "k" else "a"
        return {"id": name, "sku": sku, "tracked": True, "variants": {"nodes": []}, "inventoryLevels": levels}

    def answer(_query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "ids" in variables:
            return {"data": {"nodes": [node(each) for each in variables["ids"]]}}
        nodes = [node(each) for each in shown]
        return {"data": {"inventoryItems": {"nodes": nodes, "pageInfo": {"hasNextPage": False}}}}

    store = Shopify(Script(answer), lambda: Instant(1), name=NAME, places=["place-1"])
    facts, first = await swept(store, "slots")
    assert (first.complete, first.rows) == (True, 3)
    assert [f.subject for f in facts if isinstance(f, FindingRaised)] == ["shop-uk:a"]
    del shown[1:]
    facts, cut = await swept(store, "slots")
    assert (cut.complete, cut.rows) == (True, 3)
    assert {f.slot.listing for f in facts if isinstance(f, SlotObserved) and not f.gone} == {"i", "j", "k"}
    assert not [f for f in facts if isinstance(f, FindingRaised) and f.cleared], (
        "who writes to one of two, to which?"
    )


@pytest.mark.parametrize("levels", [1, 8])
async def test_a_slot_that_is_switched_off_is_told_and_not_taken_for_gone(levels: int) -> None:
    """Of as many places as fit on an item's own page, and beyond it: a list leaves them out unless it is asked."""
    world = world_of({})
    others = tuple(f"gid://shopify/Location/{number}" for number in range(1, levels))
    world.stores["uk"] = replace(world.stores["uk"], others=others)
    world.add_product(Product(1, "a", "Product a"))
    world.add_item("uk", "a", 5)
    here = Shop(Wire(Desk(world)))
    here.connector = Shopify(here.wire, here.wire.desk.clock, name=UK, places=(PLACE, *others))
    assert (await here.sweep()).complete
    off = world.stores["uk"].levels[-1]
    off.active = False
    for read in (here.sweep, partial(here.read, [off.slot])):
        await read()
        told = {each.slot: (each.state, each.gone) for each in here.slots}
        assert told.pop(off.slot) == (SlotState.INACTIVE, False)
        assert set(told.values()) <= {(SlotState.BUYABLE, False)}
        assert {each.quantity for each in here.slots if each.slot == off.slot} == {0}, "nothing is sold there"
        assert len(here.findings("slot_inactive")) == 1


async def test_what_went_away_while_we_were_away_is_told_gone_and_its_duplicate_cleared() -> None:
    def answer(_query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "ids" in variables:
            return {"data": {"nodes": [None for _ in variables["ids"]]}}
        return {"data": {"inventoryItems": {"nodes": [], "pageInfo": {"hasNextPage": False}}}}

    slot = SlotKey(NAME, "i", "place-1")
    last = SlotObserved(slot, "A", "", 4, SlotState.BUYABLE, False, Instant(0), Instant(0))
    store = Shopify(
        Script(answer),
        lambda: Instant(1),
        name=NAME,
        places=["place-1"],
        known={slot: last},
        duplicates=frozenset({"a"}),
    )
    facts, sweep = await swept(store, "slots")
    assert sweep.complete
    assert [(f.slot, f.quantity, f.gone) for f in facts if isinstance(f, SlotObserved)] == [
        (slot, None, True)
    ]
    assert [(f.subject, f.cleared) for f in facts if isinstance(f, FindingRaised)] == [("shop-uk:a", True)]
