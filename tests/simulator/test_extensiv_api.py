"""The pretend Extensiv has the traps of the real one: bare arrays, substrings, milliseconds, 200 with errors."""

from typing import Any

import pytest
from starlette.routing import Route

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.extensiv_api import ExtensivApi
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.openapi import extensiv_openapi
from reconcilerd.simulator.stores import Product
from tests.simulator.builders import CREDENTIALS, MINUTE, Desk, Hand, world_of

NOW = {"import_ms": (0, 0), "allocate_ms": (0, 0), "ship_ms": (10 * MINUTE, 10 * MINUTE)}


async def all_of(desk: Desk, path: str, limit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for page in range(1, 100):
        desk.clock.pass_by(1000)
        found = (await desk.extensiv(path, params={"page": page, "limit": limit})).json()
        if not found:
            return rows
        rows += found
    raise AssertionError("a feed that never ends")


async def test_without_a_token_nothing_is_told() -> None:
    desk = Desk(world_of({"a": 1}))
    desk.tokens["extensiv"] = "made-up"
    assert (await desk.extensiv("v1/warehouses")).status_code == 401


async def test_a_token_ends() -> None:
    desk = Desk(world_of({"a": 1}), token_life_s=60)
    await desk.sign_in()
    desk.clock.pass_by(59_999)
    assert (await desk.extensiv("v1/warehouses")).status_code == 200
    desk.clock.pass_by(1)
    assert (await desk.extensiv("v1/warehouses")).status_code == 401


@pytest.mark.parametrize("carried", ["form", "basic", "query"])
async def test_the_client_may_name_itself_in_three_places(carried: str) -> None:
    desk = Desk(world_of({"a": 1}))
    ways: dict[str, dict[str, Any]] = {
        "form": {"data": CREDENTIALS},
        "basic": {
            "data": {"grant_type": "client_credentials"},
            "auth": ("simulator", "simulator-secret"),
        },
        "query": {"params": CREDENTIALS},
    }
    async with desk._client() as client:
        reply = await client.post("/extensiv/oauth/token", **ways[carried])
    assert reply.status_code == 200
    assert reply.json()["expires_in"] == 300


async def test_a_wrong_secret_is_refused() -> None:
    desk = Desk(world_of({"a": 1}))
    async with desk._client() as client:
        reply = await client.post("/extensiv/oauth/token", data={**CREDENTIALS, "client_secret": "x"})
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("prefix", ["", "service/"])
async def test_lists_are_bare_arrays_that_end_with_an_empty_page(prefix: str) -> None:
    desk = Desk(world_of({f"sku-{n:03}": 1 for n in range(25)}))
    rows = await all_of(desk, f"{prefix}v1.1/products", 10)
    assert [row["masterSku"] for row in rows] == [f"sku-{n:03}" for n in range(25)]


async def test_a_limit_beyond_the_most_is_cut_in_silence() -> None:
    desk = Desk(world_of({f"s{n}": 1 for n in range(300)}))
    assert len((await desk.extensiv("v1/productstocks/total", params={"limit": 1000})).json()) == 200
    assert len((await desk.extensiv("v1/inventory", params={"limit": 5000})).json()) == 300


async def test_the_sku_filter_matches_parts_of_other_skus() -> None:
    desk = Desk(world_of({"GUARD": 5, "GUARD-01": 7, "OTHER": 1}))
    found = (await desk.extensiv("v1/inventory", params={"sku": '"guard"'})).json()
    assert [row["product"]["masterSku"] for row in found] == ["GUARD", "GUARD-01"]


async def test_the_totals_of_a_warehouse_repeat_on_each_of_its_rows() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.world.bins["a", 1].locked = 2
    row = (await desk.extensiv("v1/inventory")).json()[0]
    assert (row["quantity"], row["availableQuantity"], row["quantityLocked"]) == (5, 3, 2)
    assert row["warehouseStockTotals"]["onHandQuantity"] == 5
    assert row["stockLocation"]["location"] == "GLOBAL"


async def test_stock_of_one_warehouse_only() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.world.add_stock("a", 2, 9)
    one = (await desk.extensiv("v1/inventory", params={"warehouseId": 2})).json()
    assert [row["quantity"] for row in one] == [9]
    assert (await desk.extensiv("v1/productstocks/total")).json()[0]["onHandQuantity"] == 14


async def test_a_listing_has_no_quantity() -> None:
    desk = Desk(world_of({"a": 5}))
    row = (await desk.extensiv("v1/listings", params={"salesChannelId": 102})).json()[0]
    assert (row["listingSku"], row["salesChannelId"], row["pushInventory"]) == ("a", 102, False)
    assert not [name for name in row if "uantity" in name]


async def test_bundles_and_virtual_parents_say_what_they_are() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.world.add_product(Product(8, "pair", "pair", components=(("a", 2),)))
    desk.world.add_product(Product(9, "parent", "parent", virtual=True))
    rows = {row["masterSku"]: row for row in (await desk.extensiv("v1.1/products")).json()}
    assert [rows[sku]["type"] for sku in ("a", "pair", "parent")] == [
        "CORE_PRODUCT",
        "BUNDLE_KIT",
        "VIRTUAL_PRODUCT",
    ]
    assert rows["pair"]["bundledItems"][0]["bundledProductQuantity"] == 2


async def test_orders_by_status_number_and_time() -> None:
    desk = Desk(world_of({"a": 50}, **NOW))
    for number in (1, 2):
        desk.world.place_order("uk", str(number), [("a", 1)], desk.clock.pass_by(MINUTE))

    async def numbers(**params: str) -> list[str]:
        return [row["orderNumber"] for row in (await desk.extensiv("v1.1/orders", params=params)).json()]

    assert await numbers(status="ON_HOLD,AWAITING_SHIPMENT") == ["1", "2"]
    assert await numbers(status="SHIPPED") == []
    assert await numbers(orderNumber="2") == ["2"]
    assert await numbers(modifiedDateFrom="2010-12-05T12:02:00Z") == ["2"]
    assert await numbers(modifiedDateTo="2010-12-05T12:01:00Z") == ["1"]


async def test_an_order_shows_up_only_after_its_import_and_keeps_its_birthday() -> None:
    desk = Desk(world_of({"a": 50}, **{**NOW, "import_ms": (MINUTE, MINUTE)}), token_life_s=3600)
    desk.world.place_order("uk", "1", [("a", 1)], desk.clock())
    assert (await desk.extensiv("v1.1/orders")).json() == []
    desk.clock.pass_by(MINUTE)
    young = (await desk.extensiv("v1.1/orders")).json()[0]
    desk.clock.pass_by(10 * MINUTE)
    old = (await desk.extensiv("v1.1/orders")).json()[0]
    assert (young["orderStatus"], old["orderStatus"]) == ("AWAITING_SHIPMENT", "SHIPPED")
    assert young["createdDate"] == old["createdDate"] == "2010-12-05T12:01:00Z"
    assert old["modifiedDate"] == old["shipDate"] == "2010-12-05T12:11:00Z"
    assert (await desk.extensiv("v1/shipments")).json()[0]["orderNumber"] == "1"


async def test_a_line_names_the_listing_it_was_sold_by_and_the_product_it_takes() -> None:
    desk = Desk(world_of({"a": 50}, **NOW))
    desk.world.add_product(Product(8, "PAIR", "pair", components=(("a", 2),)))
    desk.world.add_item("uk", "PAIR", 9, listing_sku="two-of-a")
    desk.world.place_order("uk", "1", [("a", 1), ("two-of-a", 2), ("nobody", 3)], desk.clock())
    desk.world.enter_order("PAIR", 4, desk.clock())
    listed, typed_in = (await desk.extensiv("v1.1/orders")).json()
    lines = [*listed["orderItems"], *typed_in["orderItems"]]
    assert [
        (line["listingSku"], (line["product"] or {}).get("masterSku"), line["quantityOrdered"])
        for line in lines
    ] == [("a", "a", 1), ("two-of-a", "PAIR", 2), ("nobody", None, 3), (None, "PAIR", 4)]
    (pair,) = (await desk.extensiv("v1.1/products", params={"sku": "PAIR"})).json()
    assert lines[1]["product"] == lines[3]["product"] == {name: pair[name] for name in lines[1]["product"]}


async def test_what_was_taken_off_an_order_is_off_it_here_only_once_that_was_heard() -> None:
    desk = Desk(world_of({"a": 50}, **{**NOW, "import_ms": (MINUTE, MINUTE)}), token_life_s=3600)
    order = desk.world.place_order("uk", "1", [("a", 3)], desk.clock())
    assert order is not None
    desk.world.take_off(order, "a", 1, desk.clock.pass_by(2 * MINUTE))
    said = []
    for _ in range(2):
        (row,) = (await desk.extensiv("v1.1/orders")).json()
        said.append((row["orderItems"][0]["quantityOrdered"], row["modifiedDate"]))
        desk.clock.pass_by(MINUTE)
    assert said == [(3, "2010-12-05T12:01:00Z"), (2, "2010-12-05T12:03:00Z")]


async def test_an_order_that_was_split_is_two_of_one_number_that_name_each_other() -> None:
    desk = Desk(world_of({"a": 50}, **{**NOW, "import_ms": (0, 0)}), token_life_s=3600)
    order = desk.world.place_order("uk", "1", [("a", 5)], desk.clock())
    assert order is not None
    desk.world.split_order(order, "a", 2, 1, desk.clock.pass_by(MINUTE))
    rows = (await desk.extensiv("v1.1/orders")).json()
    assert [(row["orderNumber"], row["relatedOrderIds"]) for row in rows] == [
        ("1", [rows[1]["orderId"]]),
        ("1", [rows[0]["orderId"]]),
    ]
    assert [row["orderItems"][0]["quantityOrdered"] for row in rows] == [3, 2]


async def test_over_the_limit_is_told_in_milliseconds() -> None:
    desk = Desk(world_of({"a": 1}))
    replies = [await desk.extensiv("v1/warehouses") for _ in range(7)]
    assert [r.status_code for r in replies] == [200] * 5 + [429] * 2
    wait_ms = int(replies[-1].headers["x-skubana-quota-retryAfter"])
    assert 1 <= wait_ms <= 201
    desk.clock.pass_by(wait_ms)
    assert (await desk.extensiv("v1/warehouses")).status_code == 200
    assert desk.business.extensiv.throttled == 2


async def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    desk = Desk(world_of({"a": 1}))
    await desk.extensiv("v1/warehouses")
    desk.clock.pass_by(-3_600_000)
    assert (await desk.extensiv("v1/warehouses")).status_code == 200


@pytest.mark.parametrize("params", [{"limit": "many"}, {"page": "1.5"}, {"modifiedDateFrom": "yesterday"}])
async def test_an_argument_that_cannot_be_read_is_refused_by_name(params: dict[str, str]) -> None:
    reply = await Desk(world_of({"a": 1})).extensiv("v1.1/orders", params=params)
    assert reply.status_code == 400
    assert next(iter(params)) in reply.json()["error_description"]


async def test_adjust_is_absolute_and_names_each_refused_row_from_one() -> None:
    desk = Desk(world_of({"a": 5}))
    rows = [
        {"masterSku": "A", "onHandQuantity": 8, "warehouseId": 1},
        {"masterSku": "nobody", "onHandQuantity": 1, "warehouseId": 1},
        {"masterSku": "a", "onHandQuantity": 1, "warehouseId": 2},
    ]
    reply = await desk.extensiv("v1.1/inventory/adjust", "POST", json=rows)
    assert reply.status_code == 200
    assert [row["availableQuantity"] for row in reply.json()["results"]] == [8]
    assert [(e["errorCode"], e["identifier"], e["index"]) for e in reply.json()["errors"]] == [
        ("ERR053", "nobody", 2),
        ("ERR097", "a", 3),
    ]
    assert (desk.world.bins["a", 1].copied, desk.world.bins["a", 1].on_hand) == (8, 5)


async def test_adjust_may_be_called_once_in_ten_seconds() -> None:
    desk = Desk(world_of({"a": 5}))
    codes = []
    for _ in range(3):
        codes.append((await desk.extensiv("v1.1/inventory/adjust", "POST", json=[])).status_code)
        desk.clock.pass_by(5_000)
    assert codes == [200, 429, 200]


@pytest.mark.parametrize(
    "body", [b"{}", b"[1]", b"nope", b'[{"masterSku": "a", "onHandQuantity": 1.5, "warehouseId": 1}]']
)
async def test_a_body_that_cannot_be_read_changes_nothing(body: bytes) -> None:
    desk = Desk(world_of({"a": 5}))
    assert (await desk.extensiv("v1.1/inventory/adjust", "POST", content=body)).status_code == 400
    assert desk.world.bins["a", 1].copied == 5


async def test_more_than_two_hundred_rows_are_refused_whole() -> None:
    desk = Desk(world_of({"a": 5}))
    rows = [{"masterSku": "a", "onHandQuantity": 1, "warehouseId": 1}] * 201
    assert (await desk.extensiv("v1.1/inventory/adjust", "POST", json=rows)).status_code == 400
    assert desk.world.bins["a", 1].copied == 5


async def test_an_open_order_can_be_given_to_another_warehouse_with_its_allocation() -> None:
    desk = Desk(world_of({"a": 5}, **NOW))
    desk.world.add_stock("a", 2, 5)
    order = desk.world.place_order("uk", "1", [("a", 2)], desk.clock())
    desk.world.advance(desk.clock())
    assert order is not None
    wanted = {"orderIdentifier": {"orderNumber": "1", "salesChannelId": 101}}
    rows = [
        {**wanted, "fulfillmentSource": {"warehouseId": 2}},
        {**wanted, "fulfillmentSource": {"warehouseId": 77}},
        {"orderIdentifier": {"orderId": 999}},
    ]
    reply = (await desk.extensiv("v1.1/orders", "POST", json=rows)).json()
    assert (len(reply["results"]), [e["index"] for e in reply["errors"]]) == (1, [2, 3])
    assert (desk.world.bins["a", 1].allocated, desk.world.bins["a", 2].allocated) == (0, 2)
    desk.world.advance(desk.clock.pass_by(10 * MINUTE))
    assert (desk.world.bins["a", 1].on_hand, desk.world.bins["a", 2].on_hand) == (5, 3)


async def test_its_page_describes_every_path_it_answers() -> None:
    api = ExtensivApi(world_of({}), Hand(Instant(0)), FaultPlan())
    served = {
        (route.path, method)
        for route in api.app().routes
        if isinstance(route, Route) and "/service" not in route.path and route.path != "/openapi.json"
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {
        (path, method.upper()) for path, item in extensiv_openapi()["paths"].items() for method in item
    }
    assert served - described == {("/oauth/token", "GET")}
    assert described <= served


async def test_what_is_made_up_is_marked() -> None:
    text = str((await Desk(world_of({})).extensiv("openapi.json")).json())
    for invented in ("client credentials with expires_in", "one call in 10 s", "clamped", "5 a second"):
        at = text.index(invented)
        assert "INFERRED" in text[max(0, at - 60) : at], invented
