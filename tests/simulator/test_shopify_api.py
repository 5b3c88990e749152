"""The pretend store compares before it sets, all or nothing, once per key; and says what each call costs."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import graphql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant, format_instant
from reconcilerd.simulator import shopify_api, shopify_paging
from reconcilerd.simulator.faults import Fault
from reconcilerd.simulator.shopify_api import ShopifyApi, _again, schema
from reconcilerd.simulator.stores import Product
from tests.connectors.test_contracts import SPECS
from tests.simulator.builders import GRAPHQL, MINUTE, START, Desk, world_of

SET = """
mutation Set($in: InventorySetQuantitiesInput!, $k: String!) {
  inventorySetQuantities(input: $in) @idempotent(key: $k) {
    inventoryAdjustmentGroup { id } userErrors { code field message } } }
"""
PLACE = "gid://shopify/Location/101"
ITEMS = """
query Items($first: Int!, $after: String) { inventoryItems(first: $first, after: $after) {
  nodes { id sku tracked duplicateSkuCount
    inventoryLevels(first: 5, includeInactive: true) { nodes {
      isActive location { id } quantities(names: ["available"]) { name quantity } } } }
  pageInfo { hasNextPage endCursor } } }
"""
FROM = "query From($query: String) { inventoryItems(first: 50, query: $query) { nodes { id } } }"
ORDERS = """
query Orders($query: String) { orders(first: 50, query: $query, sortKey: UPDATED_AT) {
  nodes { name cancelledAt displayFulfillmentStatus lineItems(first: 9) { nodes { sku currentQuantity } } } } }
"""


def line(desk: Desk, sku: str, quantity: int, **more: Any) -> dict[str, Any]:
    item = desk.world.stores["uk"].by_sku.get(sku)
    listing = item.id if item is not None else "gid://shopify/InventoryItem/0"
    return {"inventoryItemId": listing, "locationId": PLACE, "quantity": quantity} | more


def asked(*lines: dict[str, Any], name: str = "available") -> dict[str, Any]:
    return {"name": name, "reason": "correction", "quantities": list(lines)}


async def write(desk: Desk, key: str, *lines: dict[str, Any], **more: Any) -> list[tuple[str, list[str]]]:
    body = await desk.shopify(SET, **{"in": asked(*lines, **more), "k": key})
    assert "errors" not in body, body["errors"]
    return [(e["code"], e["field"]) for e in body["data"]["inventorySetQuantities"]["userErrors"]]


def shown(desk: Desk) -> dict[str, int]:
    return {item.listing_sku: item.quantity for item in desk.world.stores["uk"].items.values()}


async def test_a_write_from_the_right_number_is_applied() -> None:
    desk = Desk(world_of({"a": 5}))
    assert await write(desk, "k", line(desk, "a", 3, changeFromQuantity=5)) == []
    assert shown(desk) == {"a": 3}


async def test_null_skips_the_comparison() -> None:
    desk = Desk(world_of({"a": 5}))
    assert await write(desk, "k", line(desk, "a", 3, changeFromQuantity=None)) == []


@pytest.mark.parametrize("since", [4, 6])
async def test_a_number_that_moved_either_way_is_stale(since: int) -> None:
    desk = Desk(world_of({"a": 5}))
    desk.world.set_quantity(desk.world.stores["uk"].by_sku["a"], since, desk.clock())
    found = await write(desk, "k", line(desk, "a", 3, changeFromQuantity=5))
    assert [code for code, _ in found] == ["CHANGE_FROM_QUANTITY_STALE"]
    assert shown(desk) == {"a": since}


async def test_one_stale_line_fails_the_whole_call_and_is_named() -> None:
    desk = Desk(world_of({"a": 5, "b": 6, "c": 7}))
    found = await write(
        desk,
        "k",
        line(desk, "a", 1, changeFromQuantity=5),
        line(desk, "b", 1, changeFromQuantity=99),
        line(desk, "c", 1, changeFromQuantity=7),
    )
    assert found == [("CHANGE_FROM_QUANTITY_STALE", ["input", "quantities", "1", "changeFromQuantity"])]
    assert shown(desk) == {"a": 5, "b": 6, "c": 7}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 3), st.booleans())
def test_a_sale_between_reading_and_writing_is_never_written_over(
    numbers: list[int], seller: int, sells: bool
) -> None:
    desk = Desk(world_of({f"s{n}": units for n, units in enumerate(numbers)}))
    lines = [line(desk, f"s{n}", 9, changeFromQuantity=units) for n, units in enumerate(numbers)]
    sold = sells and desk.world.place_order("uk", "1", [(f"s{seller % len(numbers)}", 1)], desk.clock())
    before = shown(desk)
    api: ShopifyApi = desk.business.stores["uk"]
    errors = api._set_once(asked(*lines), "k")["userErrors"]
    assert bool(errors) == bool(sold)
    assert shown(desk) == (before if sold else dict.fromkeys(before, 9))


async def test_without_a_comparison_nothing_is_written() -> None:
    desk = Desk(world_of({"a": 5}))
    body = await desk.shopify(SET, **{"in": asked(line(desk, "a", 3)), "k": "k"})
    assert "changeFromQuantity" in body["errors"][0]["message"]
    assert shown(desk) == {"a": 5}


async def test_without_a_key_nothing_is_written() -> None:
    desk = Desk(world_of({"a": 5}))
    bare = SET.replace("@idempotent(key: $k)", "").replace(", $k: String!", "")
    body = await desk.shopify(bare, **{"in": asked(line(desk, "a", 3, changeFromQuantity=5))})
    assert "@idempotent" in body["errors"][0]["message"]
    assert shown(desk) == {"a": 5}


async def test_the_same_key_is_applied_once() -> None:
    desk = Desk(world_of({"a": 5}))
    first = line(desk, "a", 3, changeFromQuantity=5)
    assert await write(desk, "k", first) == []
    desk.world.set_quantity(desk.world.items_of("a")[0], 5, desk.clock())
    assert await write(desk, "k", first) == []
    assert shown(desk) == {"a": 5}


async def test_a_key_belongs_to_what_it_was_first_sent_with() -> None:
    desk = Desk(world_of({"a": 5}))
    await write(desk, "k", line(desk, "a", 3, changeFromQuantity=5))
    found = await write(desk, "k", line(desk, "a", 2, changeFromQuantity=3))
    assert [code for code, _ in found] == ["IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]
    assert shown(desk) == {"a": 3}


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"inventoryItemId": "gid://shopify/InventoryItem/0"}, "INVALID_INVENTORY_ITEM", "inventoryItemId"),
        ({"locationId": "gid://shopify/Location/9"}, "INVALID_LOCATION", "locationId"),
        ({"quantity": -1}, "INVALID_QUANTITY_NEGATIVE", "quantity"),
        ({"quantity": 1_000_000_001}, "INVALID_QUANTITY_TOO_HIGH", "quantity"),
    ],
)
async def test_what_can_never_be_written_is_refused_with_its_place(
    change: dict[str, Any], code: str, field: str
) -> None:
    desk = Desk(world_of({"a": 5}))
    found = await write(desk, "k", line(desk, "a", 3, changeFromQuantity=5) | change)
    assert found == [(code, ["input", "quantities", "0", field])]


async def test_a_listing_is_told_and_written_at_each_place_of_its_store() -> None:
    world = world_of({})
    store = world.stores["uk"] = replace(world.stores["uk"], others=("gid://shopify/Location/9",))
    world.add_product(Product(1, "a", "Product a"))
    world.add_item("uk", "a", 5, beside=[2])
    desk = Desk(world)
    there = line(desk, "a", 4, changeFromQuantity=2) | {"locationId": "gid://shopify/Location/9"}
    assert await write(desk, "k", line(desk, "a", 3, changeFromQuantity=5), there) == []
    (node,) = (await desk.shopify(ITEMS, first=5))["data"]["inventoryItems"]["nodes"]
    levels = {
        level["location"]["id"]: level["quantities"][0]["quantity"]
        for level in node["inventoryLevels"]["nodes"]
    }
    assert levels == {PLACE: 3, "gid://shopify/Location/9": 4}
    assert [each.place for each in store.levels] == list(levels)


async def test_one_pair_twice_and_a_wrong_name_are_refused() -> None:
    desk = Desk(world_of({"a": 5}))
    twice = [line(desk, "a", n, changeFromQuantity=5) for n in (1, 2)]
    assert [c for c, _ in await write(desk, "1", *twice)] == ["NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR"]
    assert [c for c, _ in await write(desk, "2", twice[0], name="committed")] == ["INVALID_NAME"]
    assert shown(desk) == {"a": 5}


async def test_items_come_in_pages_each_once() -> None:
    desk = Desk(world_of({f"s{n}": n for n in range(23)}))
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(5):
        page = (await desk.shopify(ITEMS, first=7, after=cursor))["data"]["inventoryItems"]
        seen += [node["sku"] for node in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [f"s{n}" for n in range(23)]


async def test_orders_that_change_between_two_pages_push_no_other_out_of_the_list() -> None:
    """They come once more, at its end: a cursor names a place in the list, and no number of rows."""
    desk = Desk(world_of({"a": 50}, index_lag_ms=(0, 0)))
    for number in range(9):
        desk.clock.pass_by(1_000)
        desk.world.place_order("uk", str(number), [("a", 1)], desk.clock())
    store, seen, cursor = desk.world.stores["uk"], list[str](), None
    query = ORDERS.replace("$query: String)", "$query: String, $after: String)")
    query = query.replace("first: 50", "first: 3, after: $after")
    query = query.replace("} } } } }", "} } } pageInfo { hasNextPage endCursor } } }")
    for turn in range(6):
        page = (await desk.shopify(query, after=cursor))["data"]["orders"]
        seen += [node["name"] for node in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        desk.clock.pass_by(1_000)
        store.orders[turn].updated = desk.clock()
    assert len(set(seen)) == 9
    assert (await desk.shopify(query, after="3")).get("errors")


async def test_items_are_listed_from_an_id_on() -> None:
    desk = Desk(world_of({f"s{n}": n for n in range(23)}))
    ids = [int(each.rpartition("/")[2]) for each in desk.world.stores["uk"].items]
    for least, left in ((ids[7], ids[7:]), (ids[-1], ids[-1:]), (ids[-1] + 1, [])):
        page = (await desk.shopify(FROM, query=f"id:>={least}"))["data"]["inventoryItems"]["nodes"]
        assert [int(node["id"].rpartition("/")[2]) for node in page] == left


async def test_paging_goes_no_deeper_than_the_vendor_lets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shopify_paging, "MOST_DEEP", 20)
    desk = Desk(world_of({f"s{n}": n for n in range(23)}))
    assert "errors" not in await desk.shopify(ITEMS, first=10, after="10")
    refused = await desk.shopify(ITEMS, first=10, after="20")
    assert "no deeper than 20" in refused["errors"][0]["message"]


def test_lists_from_different_ids_on_are_different_questions() -> None:
    queries = ["id:>=7", "id:>=8", None]
    assert len({_again("query", {"first": 9, "after": None, "query": each}) for each in queries}) == 3


async def test_an_item_says_what_makes_it_unfit() -> None:
    desk = Desk(world_of({"a": 5}))
    twin = desk.world.add_item("uk", "a", 2)
    twin.tracked, twin.active = False, False
    nodes = (await desk.shopify(ITEMS, first=9))["data"]["inventoryItems"]["nodes"]
    assert [(node["tracked"], node["duplicateSkuCount"]) for node in nodes] == [(True, 2), (False, 2)]
    assert [node["inventoryLevels"]["nodes"][0]["isActive"] for node in nodes] == [True, False]


async def test_a_level_that_is_switched_off_is_listed_only_where_it_is_asked_for() -> None:
    desk = Desk(world_of({"a": 5, "b": 5}))
    desk.world.stores["uk"].by_sku["a"].active = False
    for asked, listed in (
        ("", [0, 1]),
        (", includeInactive: false", [0, 1]),
        (", includeInactive: true", [1, 1]),
    ):
        query = ITEMS.replace(", includeInactive: true", asked)
        nodes = (await desk.shopify(query, first=9))["data"]["inventoryItems"]["nodes"]
        assert [len(node["inventoryLevels"]["nodes"]) for node in nodes] == listed


async def test_the_index_of_orders_lags_behind_the_sale() -> None:
    desk = Desk(world_of({"a": 5}, index_lag_ms=(MINUTE, MINUTE)))
    desk.world.place_order("uk", "77", [("a", 2)], desk.clock())
    assert shown(desk) == {"a": 3}
    assert (await desk.shopify(ORDERS))["data"]["orders"]["nodes"] == []
    desk.clock.pass_by(MINUTE)
    node = (await desk.shopify(ORDERS))["data"]["orders"]["nodes"][0]
    assert (node["name"], node["lineItems"]["nodes"]) == ("#77", [{"sku": "a", "currentQuantity": 2}])


async def test_orders_updated_since() -> None:
    desk = Desk(world_of({"a": 9}, index_lag_ms=(0, 0)))
    old = desk.world.place_order("uk", "1", [("a", 1)], desk.clock())
    desk.world.place_order("uk", "2", [("a", 1)], desk.clock.pass_by(MINUTE))
    desk.clock.pass_by(MINUTE)

    async def names() -> list[str]:
        body = await desk.shopify(ORDERS, query="updated_at:>='2010-12-05T12:01:00Z'")
        return [node["name"] for node in body["data"]["orders"]["nodes"]]

    assert await names() == ["#2"]
    assert old is not None
    desk.world.cancel(old, desk.clock())
    assert await names() == ["#2", "#1"]


async def test_a_customer_with_second_thoughts_leaves_an_order_open_with_less_than_was_ordered() -> None:
    desk = Desk(world_of({"a": 50}, index_lag_ms=(0, 0), import_ms=(10**12, 10**12)))
    query = ORDERS.replace("nodes { sku currentQuantity }", "nodes { sku quantity currentQuantity }")
    said = set()
    for _ in range(9):
        desk.faults.arm("uk", Fault.SECOND_THOUGHTS)
        await desk.shopify(query)
        desk.clock.pass_by(shopify_api.LATEST_EDIT_MS)
    orders = (await desk.shopify(query))["data"]["orders"]["nodes"]
    for node in orders:
        (line,) = node["lineItems"]["nodes"]
        assert (node["cancelledAt"], node["displayFulfillmentStatus"]) == (None, "UNFULFILLED")
        assert 1 <= line["currentQuantity"] <= line["quantity"] <= 4
        said.add(line["currentQuantity"] < line["quantity"])
    assert len({node["name"] for node in orders}) == 9
    assert True in said
    sold = sum(node["lineItems"]["nodes"][0]["currentQuantity"] for node in orders)
    assert desk.world.shippable("a") == 50 - sold
    assert 50 - sold > shown(desk)["a"] > 50 - sum(n["lineItems"]["nodes"][0]["quantity"] for n in orders)


async def test_an_order_that_was_split_is_shipped_in_parts() -> None:
    desk = Desk(
        world_of({"a": 50}, index_lag_ms=(0, 0), import_ms=(0, 0), ship_ms=(60 * MINUTE, 120 * MINUTE))
    )
    said = set()
    for _ in range(9):
        desk.faults.arm("uk", Fault.SPLIT_ORDER)
        await desk.shopify(ORDERS)
    while (desk.clock() - START) < 4 * shopify_api.LATEST_SPLIT_MS:
        desk.clock.pass_by(5 * MINUTE)
        body = await desk.shopify(ORDERS)
        nodes = body["data"]["orders"]["nodes"]
        said |= {node["displayFulfillmentStatus"] for node in nodes}
        for state, found in (("partial", {"PARTIALLY_FULFILLED"}), ("unfulfilled", {"UNFULFILLED"})):
            listed = await desk.shopify(ORDERS, query=f"status:open fulfillment_status:{state}")
            names = [each["name"] for each in nodes if each["displayFulfillmentStatus"] in found]
            assert sorted(each["name"] for each in listed["data"]["orders"]["nodes"]) == sorted(names)
    assert said == {"UNFULFILLED", "PARTIALLY_FULFILLED", "FULFILLED"}
    assert any(order.parts for order in desk.world.stores["uk"].orders)


async def test_an_empty_bucket_is_throttled_with_status_200_and_refills() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.business.stores["uk"].bucket.level = 1.0
    reply = await desk.shopify_raw(json={"query": ITEMS, "variables": {"first": 20}})
    body = reply.json()
    assert (reply.status_code, body["errors"][0]["extensions"]["code"]) == (200, "THROTTLED")
    cost = body["extensions"]["cost"]
    missing = cost["requestedQueryCost"] - cost["throttleStatus"]["currentlyAvailable"]
    desk.clock.pass_by(round(missing / cost["throttleStatus"]["restoreRate"] * 1000) + 1)
    again = await desk.shopify(ITEMS, first=20)
    assert "errors" not in again
    paid = again["extensions"]["cost"]
    given_back = paid["requestedQueryCost"] - paid["actualQueryCost"]
    assert given_back > 0, "the store reserved for twenty items and has one"
    assert given_back <= paid["throttleStatus"]["currentlyAvailable"] < given_back + 2


async def test_a_question_that_may_cost_too_much_is_refused_and_costs_nothing() -> None:
    desk = Desk(world_of({"a": 5}))
    before = desk.business.stores["uk"].bucket.level
    dear = "{ inventoryItems(first: 250) { nodes { id inventoryLevels(first: 10) { nodes { id } } } } }"
    body = await desk.shopify(dear)
    assert [each["extensions"]["code"] for each in body["errors"]] == ["MAX_COST_EXCEEDED"]
    assert desk.business.stores["uk"].bucket.level == before


async def test_every_answer_names_its_version_and_a_bad_token_is_refused() -> None:
    desk = Desk(world_of({"a": 5}))
    reply = await desk.shopify_raw(json={"query": ITEMS, "variables": {"first": 1}})
    assert reply.headers["x-shopify-api-version"] == GRAPHQL.split("/")[-2]
    desk.tokens["shopify"] = "made-up"
    assert (await desk.shopify_raw(json={"query": ITEMS})).status_code == 401


@pytest.mark.parametrize("body", [b"", b"nope", b"[]", b"{}", b'{"query": 7}'])
async def test_a_body_that_is_no_question_is_refused(body: bytes) -> None:
    assert (await Desk(world_of({"a": 5})).shopify_raw(content=body)).status_code == 400


@pytest.mark.parametrize(
    "query", ["query {", "{ nobody }", 'query { inventoryItems(first: 1, after: "x") { nodes { id } } }']
)
async def test_a_question_that_makes_no_sense_is_answered_with_errors(query: str) -> None:
    body = await Desk(world_of({"a": 5})).shopify(query)
    assert body["errors"][0]["message"]
    assert not body.get("data")


async def test_a_stale_cache_answers_with_old_numbers_and_is_on_record() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.business.stores["uk"].read_stale_for(1000)
    desk.world.set_quantity(desk.world.items_of("a")[0], 1, desk.clock())

    async def read() -> int:
        nodes = (await desk.shopify(ITEMS, first=1))["data"]["inventoryItems"]["nodes"]
        quantity: int = nodes[0]["inventoryLevels"]["nodes"][0]["quantities"][0]["quantity"]
        return quantity

    assert await read() == 5
    desk.clock.pass_by(1000)
    assert await read() == 1
    assert [each.fault for each in desk.faults.done] == [Fault.STALE_READ]


def test_our_fields_have_the_vendors_types_and_arguments() -> None:
    """Nullability and arguments too: a field that is looser here would hide a fault of ours."""
    path: Path = SPECS / "shopify" / "admin_2026-10.graphql"
    if not path.exists():
        pytest.skip(f"the vendor's schema is not here ({path}); set RECONCILERD_SPECS to check against it")
    vendor = graphql.build_schema(path.read_text("utf-8"), assume_valid=True)
    for name, ours in schema().type_map.items():
        theirs = vendor.type_map.get(name)
        if re.match("__", name) or not isinstance(
            ours, graphql.GraphQLObjectType | graphql.GraphQLInputObjectType
        ):
            continue
        assert isinstance(theirs, type(ours)), name
        for field, made in ours.fields.items():
            assert str(made.type) == str(theirs.fields[field].type), f"{name}.{field}"
            for argument, given_type in getattr(made, "args", {}).items():
                known = theirs.fields[field].args[argument]
                assert str(given_type.type) == str(known.type), f"{name}.{field}({argument})"
                defaults = given_type.default_value, known.default_value
                assert defaults[0] == defaults[1] or defaults[0] is graphql.Undefined, (
                    f"{name}.{field}({argument})"
                )
    ours_once, theirs_once = schema().get_directive("idempotent"), vendor.get_directive("idempotent")
    assert ours_once is not None
    assert theirs_once is not None
    assert {n: str(a.type) for n, a in ours_once.args.items()} == {
        n: str(a.type) for n, a in theirs_once.args.items()
    }


async def test_an_order_that_is_indexed_late_is_filtered_by_when_it_was_changed() -> None:
    desk = Desk(world_of({"a": 5}, index_lag_ms=(MINUTE, MINUTE)))
    desk.world.place_order("uk", "9", [("a", 1)], desk.clock())
    placed = desk.clock()
    desk.clock.pass_by(2 * MINUTE)

    async def found(since: int) -> int:
        text = f"updated_at:>='{format_instant(Instant(since))}'"
        reply = await desk.shopify(ORDERS, query=text)
        return len(reply["data"]["orders"]["nodes"])

    assert (await found(placed), await found(placed + 1_000)) == (1, 0)
