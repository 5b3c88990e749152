"""Whatever a row holds where something else belongs: it is read, or rejected with a reason; nothing is raised."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.connectors.extensiv import rows as extensiv
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.connectors.shopify import rows as shopify
from reconcilerd.domain.facts import EXTENSIV, FindingRaised
from reconcilerd.domain.names import ChannelName, Instant

AT, UK = Instant(5), ChannelName("uk")
DAY = "2026-01-01T00:00:00Z"

PRODUCT = {
    "productId": 1,
    "masterSku": "A",
    "type": "BUNDLE_KIT",
    "active": True,
    "bundledItems": [{"bundledProductQuantity": 2, "bundledProduct": {"masterSku": "B"}}],
}
LISTING = {
    "salesChannelId": 1,
    "listingId": 2,
    "listingSku": "a",
    "masterSku": "A",
    "pushInventory": False,
    "active": True,
}
STOCK = {
    "productStockId": 1,
    "quantity": 5,
    "availableQuantity": 3,
    "allocatedQuantity": 1,
    "quantityLocked": 1,
    "pickable": True,
    "product": {"masterSku": "A-1"},
    "stockLocation": {"warehouseId": 7},
}
TOTAL = {"product": {"masterSku": "A"}, "onHandQuantity": 1, "lockedQuantity": 0}
PLACE = {"warehouseId": 1, "name": "main", "type": "DIRECT_FULFILLMENT", "active": True}
CHANNEL = {"salesChannelId": 1, "name": "uk", "type": "SHOPIFY", "active": True}
EXTENSIV_ORDER = {
    "orderId": 1,
    "orderNumber": "1",
    "orderStatus": "SHIPPED",
    "salesChannel": {"salesChannelId": 1},
    "fulfillmentSource": {"warehouseId": 1},
    "orderDate": DAY,
    "modifiedDate": DAY,
    "shipDate": DAY,
    "orderItems": [{"listingSku": "a", "quantityOrdered": 2}],
}
ITEM = {
    "id": "i",
    "sku": "a",
    "tracked": True,
    "duplicateSkuCount": 1,
    "variants": {"nodes": [{"displayName": "A", "inventoryPolicy": "DENY"}]},
    "inventoryLevels": {
        "nodes": [
            {
                "isActive": True,
                "location": {"id": "p", "fulfillsOnlineOrders": True},
                "quantities": [{"name": "available", "quantity": 4}],
            }
        ]
    },
}
SHOPIFY_ORDER = {
    "name": "#1",
    "createdAt": DAY,
    "updatedAt": DAY,
    "cancelledAt": DAY,
    "displayFulfillmentStatus": "FULFILLED",
    "test": False,
    "sourceName": "web",
    "lineItems": {
        "nodes": [{"sku": "a", "currentQuantity": 1, "isGiftCard": False, "requiresShipping": True}]
    },
}
Read = Callable[[dict[str, Any]], object]
PARSERS: dict[str, tuple[dict[str, Any], Read]] = {
    "product": (PRODUCT, lambda row: extensiv.product(row, AT)),
    "listing": (LISTING, lambda row: extensiv.listing(row, AT)),
    "stock_bin": (STOCK, lambda row: extensiv.stock_bin(row, AT)),
    "stock_total": (TOTAL, lambda row: extensiv.stock_total(row, AT)),
    "warehouse": (PLACE, lambda row: extensiv.warehouse(row, AT)),
    "sales_channel": (CHANNEL, lambda row: extensiv.sales_channel(row, AT)),
    "order": (EXTENSIV_ORDER, lambda row: extensiv.order(row, AT, {1: UK}, {UK: "S-(.+)"}, lambda at: at)),
    "slots": (ITEM, lambda row: shopify.slots(row, UK, {"p"}, AT, AT)),
    "shopify order": (SHOPIFY_ORDER, lambda row: shopify.order(row, UK, AT, lambda at: at)),
}

FAR_DAY = "0001-01-01T00:00:00+23:59"
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
json_values = st.recursive(
    plain | st.sampled_from([DAY, FAR_DAY]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def paths(value: object, so_far: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a row."""
    found = [so_far] if so_far else []
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        found += paths(inner, (*so_far, step))
    return found


@st.composite
def near(draw: st.DrawFn, row: dict[str, Any]) -> dict[str, Any]:
    """A row of which one to three places hold something else, or are not there."""
    spoilt = deepcopy(row)
    for path in draw(st.lists(st.sampled_from(paths(row)), min_size=1, max_size=3)):
        at: Any = spoilt
        try:
            for step in path[:-1]:
                at = at[step]
            if draw(st.booleans()):
                at[path[-1]] = draw(json_values)
            else:
                del at[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    return spoilt


@pytest.mark.parametrize("name", PARSERS)
def test_a_sound_row_is_read(name: str) -> None:
    row, read = PARSERS[name]
    assert not isinstance(parsed(lambda: read(row)), Rejected)


@pytest.mark.parametrize("name", PARSERS)
@given(st.data())
def test_a_near_miss_is_read_or_rejected_with_a_reason(name: str, data: st.DataObject) -> None:
    row, read = PARSERS[name]
    spoilt = data.draw(near(row))
    made = parsed(lambda: read(spoilt))
    if isinstance(made, Rejected):
        assert 0 < len(made.why) <= 300


@given(json_values)
def test_anything_at_all_can_be_named_as_rejected(value: object) -> None:
    for row in (value, {"productStockId": value}, {"masterSku": value}):
        found = extensiv.rejected("stock", row, "because", AT)
        assert isinstance(found, FindingRaised)
        assert found.subject.startswith(f"{EXTENSIV}:stock:")


def test_a_bug_is_not_taken_for_a_bad_row() -> None:
    def broken() -> int:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        parsed(broken)
