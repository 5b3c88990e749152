"""Feeds as they are: rows that shift, clocks that differ, splits, holes, floods. What is complete has seen it all."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.connectors.extensiv import stock
from reconcilerd.connectors.shopify import client as shopify
from reconcilerd.domain.facts import OrderObserved, OrderStatus, StockObserved
from reconcilerd.domain.names import Instant, format_instant, parse_instant
from reconcilerd.errors import MalformedReply
from reconcilerd.simulator import shopify_paging
from reconcilerd.simulator.shopify_api import ShopifyApi
from reconcilerd.transport.replies import Reply, Skew
from tests.connectors.source import Tenant
from tests.connectors.store import Shop, shop
from tests.simulator.builders import START, Desk, world_of

DAY_MS = 86_400_000
Row = dict[str, Any]


def order_row(number: int, **more: Any) -> Row:
    return {
        "orderId": number,
        "orderNumber": f"N{number}",
        "orderStatus": "AWAITING_SHIPMENT",
        "salesChannel": {"salesChannelId": 101},
        "orderDate": "2026-11-01T00:00:00Z",
        "modifiedDate": "2026-11-01T00:00:00Z",
        "orderItems": [{"listingSku": "a", "quantityOrdered": 1, "product": {"masterSku": "a"}}],
    } | more


def orders(tenant: Tenant, *made: Row) -> None:
    """All that Extensiv lists as orders."""
    tenant.spoil = lambda path, query, body: (
        (list(made) if query["page"] == "1" else []) if path.endswith("/orders") else body
    )


@pytest.mark.parametrize(("count", "complete"), [(5, True), (6, False)])
async def test_single_bad_orders_are_told_and_many_make_a_reading_incomplete(
    count: int, complete: bool
) -> None:
    tenant = Tenant(Desk(world_of({"a": 5})))
    bad = [order_row(number, orderDate="2026-11-01T00:00:00") for number in range(count)]
    orders(tenant, order_row(100), *bad)
    sweep = await tenant.sweep("orders")
    assert (sweep.complete, bool(sweep.cursor)) == (complete, complete)
    assert [each.key.number for each in tenant.of(OrderObserved)][:1] == ["N100"]
    assert len({each.subject for each in tenant.findings("rejected_row")}) == count


async def test_an_item_without_a_listing_counts_by_its_product() -> None:
    tenant = Tenant(Desk(world_of({"a": 5})))
    added = {"listingSku": None, "quantityOrdered": 3, "product": {"masterSku": "a"}}
    orders(tenant, order_row(1, orderItems=[added]))
    await tenant.sweep("orders")
    assert [(line.listing_sku, line.units) for line in tenant.of(OrderObserved)[0].lines] == [("a", 3)]


async def test_a_split_order_is_told_part_by_part() -> None:
    tenant = Tenant(Desk(world_of({"a": 5})))
    orders(tenant, order_row(1), order_row(2, orderNumber="N1"))
    await tenant.sweep("orders")
    told = {(each.key.number, each.part) for each in tenant.of(OrderObserved)}
    assert told == {("N1", "1"), ("N1", "2")}


async def test_an_order_that_another_ones_leaving_moved_over_the_edge_is_read_all_the_same() -> None:
    tenant = Tenant(Desk(world_of({"a": 5})))
    left: list[Row] = [order_row(number) for number in range(1, 1_601)]

    def shift(path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/orders") or "status" not in query:
            return [] if path.endswith("/orders") else body
        if query["page"] == "3" and len(left) == 1_600:
            del left[10]  # it ships while the list is read
        limit, page = int(query["limit"]), int(query["page"])
        return left[(page - 1) * limit : page * limit]

    tenant.spoil = shift
    sweep = await tenant.sweep("orders")
    assert sweep.complete
    assert {each.key.number for each in tenant.of(OrderObserved)} >= {row["orderNumber"] for row in left}


async def test_an_order_moved_over_an_edge_is_read_where_the_server_gives_fewer_rows_than_asked() -> None:
    tenant = Tenant(Desk(world_of({"a": 5})))
    left: list[Row] = [order_row(number) for number in range(1, 301)]

    def shift(path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/orders") or "status" not in query:
            return [] if path.endswith("/orders") else body
        if query["page"] == "3" and len(left) == 300:
            del left[10]
        page = int(query["page"])
        return left[(page - 1) * 100 : page * 100]

    tenant.spoil = shift
    assert (await tenant.sweep("orders")).complete
    assert {each.key.number for each in tenant.of(OrderObserved)} >= {row["orderNumber"] for row in left}


async def test_a_list_of_one_page_is_read_once() -> None:
    tenant = Tenant(Desk(world_of({"a": 5})))
    orders(tenant, *(order_row(number) for number in range(500)))
    await tenant.sweep("orders")
    assert [query["page"] for _, query in tenant.asked if "status" in query].count("1") == 1


async def test_an_available_below_zero_rejects_nothing() -> None:
    tenant = Tenant(Desk(world_of({"a": 50})))

    def spoil(path: str, _query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/inventory"):
            return body
        return [row | {"quantity": 2, "allocatedQuantity": 5, "availableQuantity": -3} for row in body]

    tenant.spoil = spoil
    assert (await tenant.sweep("stock")).complete
    assert [(each.on_hand, each.allocated) for each in tenant.of(StockObserved)] == [(2, 5)]
    assert tenant.findings("quantity_algebra") == []


async def test_a_warehouse_that_closes_is_believed_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "MAX_CONFIRM", 4)
    tenant = Tenant(Desk(world_of({f"s{number}": 5 for number in range(10)})))
    tenant.desk.world.add_stock("s0", 2, 5)
    assert (await tenant.sweep("stock")).complete
    for key in [each for each in tenant.desk.world.bins if each[1] == 1]:
        del tenant.desk.world.bins[key]
    told = [await tenant.sweep("stock") for _ in range(3)]
    assert [each.complete for each in told] == [False, False, True]
    assert {each.sku for each in tenant.of(StockObserved) if not each.gone} == {"s0"}


async def test_an_empty_list_where_there_were_many_is_somebody_elses() -> None:
    tenant, here = Tenant(Desk(world_of({"a": 5, "b": 5}))), shop(Desk(world_of({"a": 5, "b": 5})))
    assert (await tenant.sweep("stock")).complete
    assert (await here.sweep()).complete
    tenant.desk.world.bins.clear()
    here.wire.desk.world.stores["uk"].items.clear()
    for _ in range(3):
        for told in (await tenant.sweep("stock"), await here.sweep()):
            assert (told.complete, "somebody else's account" in told.why) == (False, True)
    assert [*tenant.of(StockObserved), *here.slots] == []


async def test_another_accounts_rows_stay_strangers_however_often_they_come() -> None:
    here = shop(Desk(world_of({"a": 5, "b": 5})))
    await here.sweep()

    def other(_ask: dict[str, Any], body: dict[str, Any]) -> Any:
        for each in body["data"].get("inventoryItems", {}).get("nodes", ()):
            each["id"] += "9"
        return body

    here.wire.spoil = other
    for _ in range(3):
        assert not (await here.sweep()).complete
        assert here.slots == []
    here.wire.spoil = None
    assert (await here.sweep()).complete
    assert len(here.slots) == 2


@pytest.mark.parametrize("broken", ["the line", "the second page"])
async def test_another_accounts_rows_stay_strangers_whatever_became_of_the_reading_before(
    broken: str,
) -> None:
    here = shop(Desk(world_of({f"s{number}": 5 for number in range(90)})))
    assert (await here.sweep()).complete
    left = [1]

    def other(asked: dict[str, Any], body: dict[str, Any]) -> Any:
        if "ids" in asked["variables"]:
            return {"data": {"nodes": [None for _ in asked["variables"]["ids"]]}}
        if asked["variables"]["after"] is not None and left and left.pop():
            return b'{"data": {"inven' if broken == "the line" else {"data": {}}
        for each in body["data"]["inventoryItems"]["nodes"]:
            each["id"] = each["id"].replace("/1", "/9")
        return body

    here.wire.spoil = other
    with pytest.raises(MalformedReply):
        await here.sweep()
    for _ in range(2):
        sweep = await here.sweep()
        assert (sweep.complete, "somebody else's account" in sweep.why, here.slots) == (False, True, [])


async def test_another_stores_order_is_not_taken_for_ours_of_the_same_number() -> None:
    desk = Desk(world_of({"a": 50}, import_ms=(10**12, 10**12), index_lag_ms=(0, 0)))
    for number in ("7", "8"):
        desk.world.place_order("uk", number, [("a", 4)], desk.clock())
    desk.clock.pass_by(5_000)
    here = shop(desk)
    cursor = (await here.sweep("orders")).cursor

    def other(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        for node in body["data"]["orders"]["nodes"]:
            if node["name"] == "#7":
                node["id"], node["cancelledAt"] = "gid://shopify/Order/999999", node["updatedAt"]
        return body

    here.wire.spoil = other
    for complete in (False, True):
        desk.clock.pass_by(60_000)
        assert (await here.sweep("orders", cursor)).complete is complete
        assert {(each.key.number, each.status) for each in here.orders} == {("8", OrderStatus.OPEN)}
        (found,) = here.findings("rejected_row")
        assert "999999 goes by the number of gid://shopify/Order/" in found.detail
    here.wire.spoil = None
    assert (await here.sweep("orders", cursor)).complete
    assert {each.key.number for each in here.orders} == {"7", "8"}


async def test_of_so_many_orders_those_read_last_are_told_apart_from_another_stores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shopify, "ORDERS_KNOWN", 3)
    desk = Desk(world_of({"a": 500}, import_ms=(10**12, 10**12), index_lag_ms=(0, 0)))
    here = shop(desk)
    made = [
        desk.world.place_order("uk", f"{number}", [("a", 1)], desk.clock.pass_by(1_000))
        for number in range(9)
    ]
    desk.clock.pass_by(1_000)
    await here.sweep("orders")
    assert list(here.connector._orders) == ["6", "7", "8"]
    assert made[6] is not None
    desk.world.cancel(made[6], desk.clock.pass_by(600_000))
    cursor = str(desk.clock.pass_by(1_000))
    await here.sweep("orders", cursor)
    assert [each.key.number for each in here.orders] == ["6"]
    assert list(here.connector._orders) == ["7", "8", "6"]


@pytest.mark.parametrize(("bad", "complete"), [(6, True), (7, False)])
async def test_of_many_orders_of_a_store_a_fiftieth_may_be_left_to_a_person(bad: int, complete: bool) -> None:
    desk = Desk(world_of({"a": 500}, index_lag_ms=(0, 0)))
    here = shop(desk)
    for number in range(300):
        desk.world.place_order("uk", f"{number}", [("a", 1)], desk.clock())
    desk.clock.pass_by(1_000)

    def spoil(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        for node in body["data"]["orders"]["nodes"]:
            if int(node["name"].removeprefix("#")) < bad:
                node["createdAt"] = "once"
        return body

    here.wire.spoil = spoil
    cursor = str(desk.clock())
    assert not (await here.sweep("orders", cursor)).complete, "they are asked for again first"
    assert (await here.sweep("orders", cursor)).complete is complete


NUMBERS = ("quantity", "availableQuantity")


def _of_a(row: dict[str, Any]) -> bool:
    return bool(row["product"]["masterSku"] == "a")


async def test_rows_that_their_total_denies_are_not_told() -> None:
    tenant = Tenant(Desk(world_of({"a": 50, "b": 50})))
    await tenant.sweep("stock")

    def spoil(factor: int) -> Any:
        def of(path: str, _query: dict[str, str], body: Any) -> Any:
            if not path.endswith("/inventory"):
                return body
            return [
                row | {name: factor * row[name] for name in NUMBERS} if _of_a(row) else row for row in body
            ]

        return of

    for factor in (0, 100):
        tenant.spoil = spoil(factor)
        told = await tenant.sweep("stock")
        assert (told.complete, told.unread) == (True, ("a",)), told.why
        assert {each.sku for each in tenant.of(StockObserved)} == {"b"}
        await tenant.read("a", "b")
        assert {each.sku for each in tenant.of(StockObserved)} == {"b"}
    tenant.spoil = None
    tenant.desk.world.record("a", 1, 0, tenant.desk.clock())
    assert (await tenant.sweep("stock")).complete
    assert {each.sku: each.on_hand for each in tenant.of(StockObserved)} == {"a": 0, "b": 50}


async def test_many_deleted_items_are_believed_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shopify, "MAX_CONFIRM", 4)
    here = shop(Desk(world_of({f"s{number}": 5 for number in range(10)})))
    assert (await here.sweep()).complete
    items = here.wire.desk.world.stores["uk"].items
    for key in list(items)[1:]:
        del items[key]
    gone, complete = 0, []
    for _ in range(3):
        complete.append((await here.sweep()).complete)
        gone += sum(each.gone for each in here.slots)
    assert (complete, gone) == ([False, False, True], 9)


async def test_the_first_reading_of_a_store_finds_what_is_not_shipped_however_old() -> None:
    desk = Desk(world_of({"a": 50}, import_ms=(10**12, 10**12), index_lag_ms=(0, 0)))
    here = shop(desk)
    desk.world.place_order("uk", "7", [("a", 5)], desk.clock())
    desk.clock.pass_by(30 * DAY_MS)
    sweep = await here.sweep("orders")
    assert (sweep.complete, sweep.full) == (True, True)
    assert {each.key.number for each in here.orders} == {"7"}


@pytest.mark.parametrize("items", [44, 45, 46, 90, 91, 200])
async def test_a_store_is_read_to_its_end_however_many_items_it_has(
    monkeypatch: pytest.MonkeyPatch, items: int
) -> None:
    """No list is paged through beyond its depth; what is behind is a list of its own."""
    for module in (shopify, shopify_paging):
        monkeypatch.setattr(module, "DEPTH_CAP" if module is shopify else "MOST_DEEP", 90)
    here = shop(Desk(world_of({f"s{number}": 5 for number in range(items)})))
    for _ in range(2):
        sweep = await here.sweep()
        assert (sweep.complete, sweep.rows) == (True, items), sweep.why
        assert len({each.slot for each in here.slots}) == items
    assert all(len(each["data"].get("nodes", ())) == 0 for each in here.wire.answered), (
        "nothing was looked for"
    )


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ("unsorted", "ids do not come in their order"),
        ("no number", "ids do not come in their order"),
        ("no filter", "10100001 came"),
    ],
)
async def test_a_store_whose_list_does_not_go_on_from_an_id_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, odd: str, why: str
) -> None:
    monkeypatch.setattr(shopify, "DEPTH_CAP", 90)
    here = shop(Desk(world_of({f"s{number}": 5 for number in range(200)})))
    items = ShopifyApi._items
    if odd == "no filter":
        monkeypatch.setattr(
            ShopifyApi, "_items", lambda self, info, **more: items(self, info, **more | {"query": None})
        )

    def spoil(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        nodes = body["data"]["inventoryItems"]["nodes"]
        if odd == "unsorted":
            nodes.reverse()
        if odd == "no number":
            nodes[0]["id"] = "gid://shopify/InventoryItem/x"
        return body

    here.wire.spoil = spoil
    sweep = await here.sweep()
    assert (sweep.complete, why in sweep.why) == (False, True), sweep.why


@pytest.mark.parametrize("at_once", [0, 60])
async def test_a_flood_of_changed_orders_is_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Though some of them were placed within one second: what fits on a page is gone beyond."""
    monkeypatch.setattr(shopify, "DEPTH_CAP", 80)
    desk = Desk(world_of({"a": 500}, index_lag_ms=(0, 0)))
    here = shop(desk)
    for number in range(200):
        desk.world.place_order("uk", f"{number}", [("a", 1)], desk.clock.pass_by(1_000 * (number >= at_once)))
    cursor = str(desk.clock())
    desk.clock.pass_by(1_000)
    sweep = await here.sweep("orders", str(int(cursor) - 300_000))
    assert sweep.complete
    assert len({each.key.number for each in here.orders}) == 200


def old_orders(monkeypatch: pytest.MonkeyPatch, apart_ms: int) -> Shop:
    """A store with 200 open orders of a month ago, before a list of which 80 are paged through."""
    for module in (shopify, shopify_paging):
        monkeypatch.setattr(module, "DEPTH_CAP" if module is shopify else "MOST_DEEP", 80)
    desk = Desk(world_of({"a": 500}, import_ms=(10**12, 10**12), index_lag_ms=(0, 0)))
    for number in range(200):
        desk.world.place_order("uk", f"{number}", [("a", 1)], desk.clock.pass_by(apart_ms))
    desk.clock.pass_by(30 * DAY_MS)
    return shop(desk)


async def test_what_is_not_shipped_is_read_to_its_end_however_much_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = old_orders(monkeypatch, 1_000)
    sweep = await here.sweep("orders", whole=True)
    assert (sweep.complete, sweep.full) == (True, True), sweep.why
    assert {each.key.number for each in here.orders} == {f"{number}" for number in range(200)}


@pytest.mark.parametrize("moved_ms", [40 * DAY_MS, -40 * DAY_MS])
async def test_one_order_with_a_wrong_date_takes_none_out_of_a_long_reading(
    monkeypatch: pytest.MonkeyPatch, moved_ms: int
) -> None:
    """On whatever page it stands: where paging ends, the next list begins by the dates on the last one."""
    here = old_orders(monkeypatch, 1_000)

    def spoil(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        for node in body["data"]["orders"]["nodes"][-1:]:
            node["updatedAt"] = format_instant(Instant(parse_instant(node["updatedAt"]) + moved_ms))
        return body

    here.wire.spoil = spoil
    assert (await here.sweep("orders", whole=True)).complete
    assert len({each.key.number for each in here.orders}) == 200


async def test_a_reading_of_more_orders_of_one_second_than_are_paged_through_ends_and_is_not_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = old_orders(monkeypatch, 0)
    sweep = await here.sweep("orders", whole=True)
    assert (sweep.complete, "paging goes no deeper" in sweep.why) == (False, True)
    assert len(here.wire.asked) < 20


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Sun, 05 Dec 2010 12:00:00 GMT", 0),
        ("Sun, 05 Dec 2010 11:57:00 GMT", 179_000),
        ("Sun, 05 Dec 2010 12:09:00 GMT", -539_995),
        ("nonsense", 0),
        ("", 0),
    ],
)
def test_how_far_our_clock_is_ahead_is_read_off_the_answer(date: str, ahead: int) -> None:
    skew = Skew()
    skew.learn(Reply(200, {"date": date}, b"", START, Instant(START + 5)))
    assert skew.ahead_ms == ahead
    assert skew.ours(skew.theirs(START)) == (START if ahead >= 0 else START + ahead)


@given(st.integers(-100_000, 100_000), st.lists(st.integers(0, 300_000), min_size=1, max_size=9))
def test_a_slow_answer_never_moves_what_is_held_of_a_clock_away_from_it(ahead: int, took: list[int]) -> None:
    skew, now = Skew(), START
    for each in took:
        answered = Instant(now + each)
        date = (answered - ahead) // 1000
        text = datetime.fromtimestamp(date, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        before = skew.ahead_ms
        skew.learn(Reply(200, {"date": text}, b"", now, answered))
        assert abs(skew.ahead_ms - ahead) <= abs(before - ahead)
        now = Instant(answered + 1_000)


async def test_orders_are_followed_by_the_servers_time_where_ours_is_ahead() -> None:
    tenant = Tenant(Desk(world_of({"a": 5})))
    send = tenant.send

    async def late(call: Any) -> Reply:
        reply = await send(call)
        return Reply(
            200, {"date": "Sun, 05 Dec 2010 11:50:00 GMT"}, reply.body, reply.asked_at, reply.answered_at
        )

    tenant.send = late  # type: ignore[method-assign]
    sweep = await tenant.sweep("orders")
    assert int(sweep.cursor) < START - 590_000
