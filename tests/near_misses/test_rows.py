"""Whatever a row holds where something else belongs: it is read, or rejected with a reason; nothing is raised."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.connectors.extensiv import rows as extensiv
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.connectors.shopify import rows as shopify
from reconcilerd.domain.facts import EXTENSIV, FindingRaised
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.domain.quantities import MAX_UNITS
from tests.connectors.test_contracts import stock_row
from tests.near_misses.damage import FAR_DAY, GONE, Path, Spoilt, at, damaged, paths

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
STOCK = stock_row()
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
        "nodes": [
            {"sku": "a", "quantity": 1, "currentQuantity": 1, "isGiftCard": False, "requiresShipping": True}
        ]
    },
}
Read = Callable[[dict[str, Any]], Any]
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

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
json_values = st.recursive(
    plain | st.sampled_from([DAY, FAR_DAY]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def near(draw: st.DrawFn, row: dict[str, Any]) -> dict[str, Any]:
    """A row of which one to three places hold something else, or are not there."""
    spoilt = deepcopy(row)
    for path in draw(st.lists(st.sampled_from(paths(row)), min_size=1, max_size=3)):
        try:
            holder = at(spoilt, path[:-1])
            if draw(st.booleans()):
                holder[path[-1]] = draw(json_values)
            else:
                del holder[path[-1]]
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


# One thing wrong at a time: the number that stands there, or a reason that names the place.

Amounts = dict[str, Any]
UNUSABLE = {**STOCK, "pickable": False}
PUSHED = {**LISTING, "pushInventory": True}
UNUSED = {**STOCK, "active": False}
GIFT = {"sku": "g", "quantity": 3, "currentQuantity": 3, "isGiftCard": False, "requiresShipping": True}
TWO_LINES = {
    **SHOPIFY_ORDER,
    "cancelledAt": None,
    "lineItems": {"nodes": [*SHOPIFY_ORDER["lineItems"]["nodes"], GIFT]},  # type: ignore[index]
}
OFF = deepcopy(ITEM)
OFF["inventoryLevels"]["nodes"][0]["isActive"] = False  # type: ignore[index]
POINT_OF_SALE = {**SHOPIFY_ORDER, "test": True}


def _orders(made: Any) -> Amounts:
    fact, _ = made
    return {**{f"line {i}": line.units for i, line in enumerate(fact.lines)}, "eligible": fact.eligible}


def _slot(made: Any) -> Amounts:
    (seen,), _ = made
    return {"shows": seen.quantity, "owes": seen.below_zero, "state": seen.state}


def _bin(made: Any) -> Amounts:
    return {
        "on hand": made.quantity,
        "allocated": made.allocated,
        "sellable": made.quantity - made.unavailable,
    }


AMOUNTS: dict[str, tuple[str, dict[str, Any], Callable[[Any], Amounts]]] = {
    "stock_bin": ("stock_bin", STOCK, _bin),
    "stock_bin, not to be picked from": ("stock_bin", UNUSABLE, _bin),
    "stock_bin, not in use": ("stock_bin", UNUSED, _bin),
    "stock_total": ("stock_total", TOTAL, lambda made: {"on hand": made.on_hand, "locked": made.locked}),
    "product": (
        "product",
        PRODUCT,
        lambda made: {f"of {i}": n for i, (_, n) in enumerate(made[0].components)},
    ),
    "listing": ("listing", LISTING, lambda made: {"pushed": made.push_inventory}),
    "listing, pushed": ("listing", PUSHED, lambda made: {"pushed": made.push_inventory}),
    "warehouse": ("warehouse", PLACE, lambda made: {"place": made.location}),
    "sales_channel": ("sales_channel", CHANNEL, lambda made: {"channel": made.sales_channel_id}),
    "order": ("order", EXTENSIV_ORDER, _orders),
    "slots": ("slots", ITEM, _slot),
    "slots, switched off": ("slots", OFF, _slot),
    "shopify order": ("shopify order", TWO_LINES, _orders),
    "shopify order, a test": ("shopify order", POINT_OF_SALE, _orders),
}
"""What of each row decides how many units are offered."""

SAYS_WHAT_IT_SAYS: frozenset[str] = frozenset(
    {"type", "orderStatus", "displayFulfillmentStatus", "sourceName"}
)
"""Words of which unknown ones are kept and reported, or change nothing of a quantity."""


def denotes(spoilt: Spoilt, base: Any) -> bool:
    """Whether what stands there now is of the very kind that belongs there: a row that says something else."""
    value = spoilt.value
    if isinstance(base, bool):
        return isinstance(value, bool)
    if isinstance(base, int):
        return type(value) is int
    if isinstance(base, str):
        return isinstance(value, str)
    return isinstance(value, type(base))


def names_of(path: Path, row: Any) -> set[str]:
    """The words by which a person finds a place: on the way to it, and in it."""
    return {step for step in path if isinstance(step, str)} | {
        step for inner in paths(at(row, path)) for step in inner if isinstance(step, str)
    }


def absent(path: Path) -> bool:
    """Places that a sound row may lack, and a list that has one entry less."""
    return isinstance(path[-1], int) or path[-1] in {"isGiftCard", "requiresShipping", "test", "isActive"}


@pytest.mark.parametrize("name", AMOUNTS)
def test_one_thing_wrong_is_rejected_by_its_name_or_changes_no_quantity(name: str) -> None:
    parser, row, amounts_of = AMOUNTS[name]
    read = PARSERS[parser][1]
    sound = amounts_of(read(row))
    for spoilt in damaged(row):
        made = parsed(partial(read, spoilt.row))
        if isinstance(made, Rejected):
            named = (
                made.why.endswith("is missing")
                or "bundle" in made.why
                or any(word in made.why for word in names_of(spoilt.path, row))
            )
            assert named, (spoilt.path, made.why)
            continue
        told = isinstance(made, tuple) and bool(made[1])
        same_kind = spoilt.value is not GONE and denotes(spoilt, at(row, spoilt.path))
        if same_kind or told or absent(spoilt.path) or SAYS_WHAT_IT_SAYS & set(spoilt.path):
            continue
        assert amounts_of(made) == sound, (spoilt.path, spoilt.value)


@pytest.mark.parametrize(
    ("name", "path", "amount"),
    [
        ("stock_bin", ("quantity",), "on hand"),
        ("stock_bin", ("allocatedQuantity",), "allocated"),
        ("stock_total", ("onHandQuantity",), "on hand"),
        ("stock_total", ("lockedQuantity",), "locked"),
        ("product", ("bundledItems", 0, "bundledProductQuantity"), "of 0"),
        ("order", ("orderItems", 0, "quantityOrdered"), "line 0"),
        ("slots", ("inventoryLevels", "nodes", 0, "quantities", 0, "quantity"), "shows"),
        ("shopify order", ("lineItems", "nodes", 0, "currentQuantity"), "line 0"),
    ],
)
def test_a_quantity_is_the_whole_number_that_stands_there_or_none(name: str, path: Path, amount: str) -> None:
    parser, row, amounts_of = AMOUNTS[name]
    read = PARSERS[parser][1]
    tried = [each for each in damaged(row) if each.path == path]
    assert len(tried) > 20
    for spoilt in tried:
        made = parsed(partial(read, spoilt.row))
        whole = type(spoilt.value) is int and 0 <= spoilt.value <= MAX_UNITS
        if not isinstance(made, Rejected):
            assert type(spoilt.value) is int, spoilt.value
            assert amounts_of(made)[amount] == max(0, spoilt.value)
        else:
            assert not whole or amount == "of 0", spoilt.value
