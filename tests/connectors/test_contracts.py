"""What we send and what we pretend, held against the vendor's own schema; near misses of every quantity."""

import os
from pathlib import Path
from typing import Any

import graphql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.connectors.extensiv import rows as extensiv
from reconcilerd.connectors.shopify import rows as shopify
from reconcilerd.connectors.shopify.graphql import OPERATIONS, document
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.simulator.shopify_api import schema

SPECS = Path(os.environ.get("RECONCILERD_SPECS", Path(__file__).parents[3] / "shared" / "specs"))
DOCUMENTS = (*OPERATIONS, "access_scopes")
AT = Instant(5)


@pytest.fixture(scope="module")
def vendor() -> graphql.GraphQLSchema:
    path = SPECS / "shopify" / "admin_2026-10.graphql"
    if not path.exists():
        pytest.skip(f"the vendor's schema is not here ({path}); set RECONCILERD_SPECS to check against it")
    return graphql.build_schema(path.read_text("utf-8"), assume_valid=True)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_we_ask_is_valid_to_the_vendor(vendor: graphql.GraphQLSchema, name: str) -> None:
    assert graphql.validate(vendor, graphql.parse(document(name))) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_we_ask_is_valid_to_the_simulator(name: str) -> None:
    assert graphql.validate(schema(), graphql.parse(document(name))) == []


def test_the_simulators_schema_is_contained_in_the_vendors(vendor: graphql.GraphQLSchema) -> None:
    for name, ours in schema().type_map.items():
        if name.startswith("__"):
            continue
        theirs = vendor.type_map.get(name)
        assert theirs is not None, name
        if isinstance(ours, graphql.GraphQLObjectType | graphql.GraphQLInputObjectType):
            assert isinstance(theirs, type(ours))
            for field, made in ours.fields.items():
                assert field in theirs.fields, f"{name}.{field}"
                assert (
                    graphql.get_named_type(made.type).name
                    == graphql.get_named_type(theirs.fields[field].type).name
                )
        if isinstance(ours, graphql.GraphQLEnumType):
            assert isinstance(theirs, graphql.GraphQLEnumType)
            assert set(ours.values) <= set(theirs.values), name


def stock_row(**changed: Any) -> dict[str, Any]:
    return {
        "productStockId": 1,
        "quantity": 5,
        "availableQuantity": 3,
        "allocatedQuantity": 1,
        "quantityLocked": 1,
        "pickable": True,
        "active": True,
        "product": {"masterSku": "A-1"},
        "stockLocation": {"warehouseId": 7},
    } | changed


near_misses = (
    st.booleans() | st.floats() | st.text() | st.integers(max_value=-1) | st.integers(10**9 + 1) | st.none()
)


@given(st.sampled_from(["quantity", "allocatedQuantity", "quantityLocked"]), near_misses)
def test_a_near_miss_of_a_quantity_rejects_the_row(field: str, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        extensiv.stock_bin(stock_row(**{field: value}), AT)


def test_numbers_that_disagree_are_named() -> None:
    assert extensiv.stock_bin(stock_row(), AT).algebra == ""
    assert "available 4" in extensiv.stock_bin(stock_row(availableQuantity=4), AT).algebra


def test_what_cannot_be_picked_is_not_sellable() -> None:
    assert extensiv.stock_bin(stock_row(pickable=False), AT).unavailable == 5


def test_an_unknown_order_status_is_open_and_reported() -> None:
    row = {
        "orderId": 1,
        "orderNumber": "1",
        "orderStatus": "BRAND_NEW",
        "salesChannel": {"salesChannelId": 1},
        "orderDate": "2026-01-01T00:00:00Z",
        "modifiedDate": "2026-01-01T00:00:00Z",
        "orderItems": [{"listingSku": "a", "quantityOrdered": 2}],
    }
    fact, findings = extensiv.order(row, AT, {1: ChannelName("uk")}, {}, lambda at: at)
    assert (fact.status, fact.raw_status) == ("unknown", "BRAND_NEW")
    assert len(findings) == 1


def item(**changed: Any) -> dict[str, Any]:
    level = {
        "id": "l",
        "isActive": True,
        "location": {"id": "p", "name": "", "fulfillsOnlineOrders": True},
        "quantities": [{"name": "available", "quantity": changed.pop("available", 4)}],
    } | changed.pop("level", {})
    return {
        "id": "i",
        "sku": "a",
        "tracked": True,
        "duplicateSkuCount": 1,
        "variants": {"nodes": [{"displayName": "A", "inventoryPolicy": "DENY"}]},
        "inventoryLevels": {"nodes": [level]},
    } | changed


@pytest.mark.parametrize(
    ("changed", "state", "found"),
    [
        ({}, "buyable", []),
        ({"level": {"isActive": False}}, "inactive", ["slot_inactive"]),
        (
            {"level": {"location": {"id": "p", "fulfillsOnlineOrders": False}}},
            "not_online",
            ["slot_not_online"],
        ),
        ({"level": {"location": {"id": "other"}}}, "buyable", ["foreign_slot"]),
        ({"level": {"location": {"id": "other"}, "isActive": False}}, "inactive", []),
        ({"level": {"quantities": [], "isActive": False}}, "inactive", ["slot_inactive"]),
        ({"tracked": False}, "untracked", ["untracked_item"]),
        ({"sku": ""}, "buyable", ["blank_sku"]),
        ({"variants": {"nodes": [{"inventoryPolicy": "CONTINUE"}]}}, "buyable", ["sells_past_zero"]),
    ],
)
def test_what_a_slot_is_and_what_a_person_hears_of_it(
    changed: dict[str, Any], state: str, found: list[str]
) -> None:
    slots, findings = shopify.slots(item(**changed), ChannelName("uk"), {"p"}, AT, AT)
    assert [slot.state for slot in slots] == [state]
    assert [finding.what for finding in findings] == found


def sold(**changed: Any) -> dict[str, Any]:
    line = {"sku": "a", "quantity": 4, "currentQuantity": 4, "isGiftCard": False, "requiresShipping": True}
    return {
        "id": "gid://shopify/Order/1",
        "name": "#1",
        "createdAt": "2026-11-01T00:00:00Z",
        "updatedAt": "2026-11-01T00:00:00Z",
        "cancelledAt": None,
        "displayFulfillmentStatus": "UNFULFILLED",
        "test": False,
        "sourceName": "web",
        "lineItems": {"nodes": [line | changed.pop("line", {})]},
    } | changed


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ({}, True),
        ({"sourceName": "shopify_draft_order"}, True),
        ({"sourceName": "580111"}, True),
        ({"sourceName": None}, True),
        ({"sourceName": "pos"}, False),
        ({"test": True}, False),
        ({"line": {"isGiftCard": True}}, False),
        ({"line": {"requiresShipping": False}}, False),
    ],
)
def test_every_order_that_is_shipped_counts_a_completed_draft_too(
    changed: dict[str, Any], counts: bool
) -> None:
    fact, _ = shopify.order(sold(**changed), ChannelName("uk"), AT, lambda at: at)
    assert (fact.eligible, [line.units for line in fact.lines]) == (counts, [4])


def test_less_than_zero_is_a_debt() -> None:
    slots, _ = shopify.slots(item(available=-3), ChannelName("uk"), {"p"}, AT, AT)
    assert (slots[0].quantity, slots[0].below_zero) == (0, 3)


@given(st.booleans() | st.floats() | st.text() | st.none() | st.integers(10**9 + 1))
def test_a_near_miss_of_an_available_quantity_is_rejected(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        shopify.slots(item(available=value), ChannelName("uk"), {"p"}, AT, AT)
