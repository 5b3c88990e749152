"""A store's lists end where it says so: a page that lacks something is no end, and nothing is gone for it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.connectors.shopify.lists import ById, Connection
from reconcilerd.errors import MalformedReply
from reconcilerd.transport.client import Call
from reconcilerd.transport.lane import Priority
from reconcilerd.transport.replies import Reply
from tests.connectors.store import Shop, shop
from tests.simulator.builders import Desk, world_of

MORE = {"hasNextPage": True, "endCursor": "0"}
BROKEN: list[Any] = [
    {"data": {"ROOT": None}},
    {"data": {}},
    {"data": {"ROOT": {"LIST": None}}},
    {"data": {"ROOT": {"LIST": {"nodes": []}}}},
    {"data": {"ROOT": {"LIST": {"nodes": [], "pageInfo": None}}}},
    {"data": {"ROOT": {"LIST": {"nodes": [], "pageInfo": {}}}}},
    {"data": {"ROOT": {"LIST": {"nodes": [], "pageInfo": {"hasNextPage": True}}}}},
    {"data": {"ROOT": {"LIST": {"pageInfo": {"hasNextPage": False}}}}},
]


def with_names(value: Any, **names: str) -> Any:
    if not isinstance(value, dict):
        return value
    return {names.get(key, key): with_names(inner, **names) for key, inner in value.items()}


def a_store() -> Shop:
    """Two items, one order of both."""
    desk = Desk(world_of({"a": 50, "b": 50}, import_ms=(10**12, 10**12), index_lag_ms=(0, 0)))
    desk.world.place_order("uk", "7", [("a", 1), ("b", 2)], desk.clock())
    desk.clock.pass_by(1_000)
    return shop(desk)


def nodes_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    data = body.get("data") or {}
    found = data.get("nodes") or [
        node for name in ("inventoryItems", "orders") for node in (data.get(name) or {}).get("nodes", ())
    ]
    return [node for node in found if node]


@pytest.mark.parametrize("broken", BROKEN)
async def test_an_order_whose_further_lines_do_not_come_is_not_told_in_half(broken: Any) -> None:
    here = a_store()

    def spoil(asked: dict[str, Any], body: dict[str, Any]) -> Any:
        if "OrderLines" in asked["query"]:
            return with_names(broken, ROOT="order", LIST="lineItems")
        for node in nodes_in(body):
            node["lineItems"] = {"nodes": node["lineItems"]["nodes"][:1], "pageInfo": MORE}
        return body

    here.wire.spoil = spoil
    with pytest.raises(MalformedReply, match=r"order_lines: .* of gid://shopify/Order/.* is missing"):
        await here.sweep("orders")
    assert here.orders == []


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_slot_on_a_page_that_does_not_come_is_not_gone(broken: Any) -> None:
    here = a_store()
    assert (await here.sweep()).complete

    def spoil(asked: dict[str, Any], body: dict[str, Any]) -> Any:
        if "ItemLevels" in asked["query"]:
            return with_names(broken, ROOT="inventoryItem", LIST="inventoryLevels")
        for node in nodes_in(body):
            node["inventoryLevels"] = {"nodes": [], "pageInfo": MORE}
        return body

    here.wire.spoil = spoil
    with pytest.raises(MalformedReply, match=r"inventoryLevels of gid://shopify/InventoryItem/.* is missing"):
        await here.sweep()
    assert here.slots == []


@pytest.mark.parametrize(
    "page",
    [
        None,
        {"nodes": []},
        {"nodes": None, "pageInfo": {"hasNextPage": False}},
        {"nodes": [None], "pageInfo": {"hasNextPage": False}},
        {"nodes": [], "pageInfo": {"hasNextPage": None}},
    ],
)
@pytest.mark.parametrize(("feed", "name"), [("slots", "inventoryItems"), ("orders", "orders")])
async def test_a_reply_without_its_list_is_told_by_the_name_of_what_is_missing(
    feed: str, name: str, page: Any
) -> None:
    here = a_store()
    here.wire.spoil = lambda _asked, _body: {"data": {name: page}}
    with pytest.raises(MalformedReply, match=f"{name} is missing"):
        await here.sweep(feed)


@given(st.sets(st.integers(1, 400), max_size=120), st.integers(1, 5), st.integers(2, 6))
def test_a_list_of_any_length_is_read_whole_and_no_part_of_it_beyond_its_depth(
    ids: set[int], size: int, pages: int
) -> None:
    asks, read, more = ById(size, size * pages), list[int](), True
    while more:
        least = int(str(asks.variables.get("query", "id:>=0")).partition(">=")[2])
        start = int(asks.after or 0)
        assert start + size <= asks.cap
        left = [number for number in sorted(ids) if number >= least][start:]
        read += left[:size]
        nodes = [{"id": f"gid://shopify/InventoryItem/{number}"} for number in left[:size]]
        page = Connection(nodes, str(start + size) if left[size:] else None)
        more = page.more
        assert not more or asks.turn(page) == ""
    assert set(read) == ids
    assert len(read) <= len(ids) * (1 + 1 / (asks.cap - 1)) + 1, (
        "a part begins with the last one of the part before"
    )


@pytest.mark.parametrize("nodes", [None, [], [7], "x"])
async def test_items_asked_for_by_id_are_one_for_each_id_or_not_believed(nodes: Any) -> None:
    here = a_store()
    here.wire.spoil = lambda _asked, _body: {"data": {"nodes": nodes}}
    with pytest.raises(MalformedReply, match="items_by_id: "):
        await here.connector.read_slots([here.slot("a")], here.emit)


@pytest.mark.parametrize(
    ("feed", "nested", "priority"),
    [("orders", "lineItems", Priority.ORDERS), ("slots", "inventoryLevels", Priority.STOCK)],
)
async def test_further_pages_of_a_node_are_read_at_the_priority_of_the_first(
    feed: str, nested: str, priority: Priority
) -> None:
    here, asked = a_store(), list[Priority]()
    send = here.wire.send

    async def note(call: Call) -> Reply:
        asked.append(call.priority)
        return await send(call)

    def spoil(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        for node in nodes_in(body):
            node[nested]["pageInfo"] = MORE
        return body

    here.wire.spoil = spoil
    here.wire.send = note  # type: ignore[method-assign]
    assert (await here.sweep(feed, str(here.wire.desk.clock()))).complete
    assert len(asked) > 1
    assert set(asked) == {priority}


async def test_further_pages_of_an_item_that_a_decision_wants_are_as_urgent_as_the_first() -> None:
    here, asked = a_store(), list[Priority]()
    send = here.wire.send

    async def note(call: Call) -> Reply:
        asked.append(call.priority)
        return await send(call)

    def spoil(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        for node in nodes_in(body):
            node["inventoryLevels"]["pageInfo"] = MORE
        return body

    here.wire.spoil = spoil
    here.wire.send = note  # type: ignore[method-assign]
    await here.connector.read_slots([here.slot("a")], here.emit)
    assert asked == [Priority.RAISE, Priority.RAISE]


async def test_an_order_that_cannot_be_read_is_asked_for_again_and_set_aside_only_the_second_time() -> None:
    here, bad = a_store(), True

    def spoil(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        for node in nodes_in(body):
            if bad and "lineItems" in node:
                node["lineItems"]["nodes"][0]["currentQuantity"] = None
        return body

    here.wire.spoil = spoil
    cursor = str(here.wire.desk.clock())
    first = await here.sweep("orders", cursor)
    assert (first.complete, first.cursor, here.orders) == (False, cursor, [])
    assert "1 orders could not be read" in first.why
    second = await here.sweep("orders", first.cursor)
    assert (second.complete, len(here.findings("rejected_row"))) == (True, 1)
    bad = False
    mended = await here.sweep("orders", first.cursor)
    assert mended.complete
    assert [line.units for each in here.orders for line in each.lines] == [1, 2]


ODD_IDS: list[Any] = [None, 7, True, ["x"], {}, {"id": []}, "gone"]
"""Ids that are no text; the last one of a node without any."""


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("odd", ODD_IDS, ids=repr)
async def test_an_item_whose_id_cannot_be_read_is_one_rejected_row(odd: Any, more: bool) -> None:
    here = a_store()
    assert (await here.sweep()).complete
    before = {slot.slot for slot in here.slots}

    def spoil(asked: dict[str, Any], body: dict[str, Any]) -> Any:
        if "InventoryItems" in asked["query"]:
            _spoil_first(nodes_in(body), odd, "inventoryLevels", more=more)
        return body

    here.wire.spoil = spoil
    sweep = await here.sweep()
    assert (sweep.complete, sweep.rows, sweep.unread) == (True, 3, ()), sweep.why
    assert len(here.findings("rejected_row")) == 1
    assert {slot.slot for slot in here.slots if not slot.gone} == before, "it was asked for by its id"


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("odd", ODD_IDS, ids=repr)
async def test_an_order_whose_id_cannot_be_read_is_one_rejected_row(odd: Any, more: bool) -> None:
    here = a_store()
    here.wire.desk.world.place_order("uk", "8", [("a", 1)], here.wire.desk.clock())

    def spoil(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        _spoil_first(nodes_in(body), odd, "lineItems", more=more)
        return body

    here.wire.spoil = spoil
    cursor = str(here.wire.desk.clock())
    for complete in (False, True):
        assert (await here.sweep("orders", cursor)).complete is complete
        assert len(here.findings("rejected_row")) == 1
        assert [each.key.number for each in here.orders] == ["8"]


def _spoil_first(nodes: list[dict[str, Any]], odd: Any, nested: str, *, more: bool) -> None:
    nodes[0]["id"] = odd
    if odd == "gone":
        del nodes[0]["id"]
    if more:
        nodes[0][nested]["pageInfo"] = MORE


def test_an_id_of_thousands_of_digits_ends_no_paging() -> None:
    asks = ById(2, 100)
    page = Connection([{"id": "gid://shopify/InventoryItem/" + "9" * 5_000}], "1")
    assert asks.turn(page) == ""
    assert asks.variables == {"first": 2, "after": "1"}
