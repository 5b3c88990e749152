"""Extensiv's wire rows to facts. Pure: no calls, no clock. What cannot be read is a finding, never a guess.

Quantities must be whole JSON numbers from zero up: a string, a fraction, a boolean or a negative rejects the row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from reconcilerd.connectors.port import Ours
from reconcilerd.domain.facts import (
    EXTENSIV,
    ChannelObserved,
    FindingKind,
    FindingRaised,
    ListingDeclared,
    LocationObserved,
    OrderLine,
    OrderObserved,
    OrderStatus,
    ProductObserved,
    ProductType,
    StockTotalObserved,
)
from reconcilerd.domain.names import (
    ChannelName,
    FeedName,
    Instant,
    LocationName,
    OrderKey,
    Sku,
    after,
    parse_instant,
    sku_of,
)
from reconcilerd.domain.orders import ANY_NUMBER, number_on_channel
from reconcilerd.domain.quantities import units

Wire = Mapping[str, Any]

_TYPES: Final = {
    "CORE_PRODUCT": ProductType.CORE,
    "VIRTUAL_PRODUCT": ProductType.VIRTUAL,
    "BUNDLE_KIT": ProductType.BUNDLE,
}

STATUSES: Final[Mapping[str, OrderStatus]] = {
    "UNRESOLVED": OrderStatus.OPEN,
    "AWAITING_PAYMENT": OrderStatus.OPEN,
    "AWAITING_SHIPMENT": OrderStatus.OPEN,
    "AWAITING_MC_FULFILLMENT": OrderStatus.OPEN,
    "AWAITING_3PL_EXPORT": OrderStatus.OPEN,
    "AWAITING_DROPSHIP": OrderStatus.OPEN,
    "PENDING_FULFILLMENT": OrderStatus.OPEN,
    "ON_HOLD": OrderStatus.OPEN,
    "SKU_UNPROCESSED": OrderStatus.OPEN,
    "SHIPPED": OrderStatus.SHIPPED,
    "PROCESSED_OUTSIDE_OF_SKUBANA": OrderStatus.SHIPPED,
    "CANCELLED": OrderStatus.CANCELLED,
    "FBA_INBOUND_SHIPMENT_PLAN": OrderStatus.OPEN,
}
OPEN_STATUSES: Final = tuple(raw for raw, status in STATUSES.items() if status is OrderStatus.OPEN)
NOT_OUR_STOCK: Final = frozenset(
    {"AWAITING_MC_FULFILLMENT", "FBA_INBOUND_SHIPMENT_PLAN", "AWAITING_DROPSHIP"}
)
"""Shipped from somebody else's stock: never committed, never in flight."""


class Unreadable(ValueError):
    """A row that says something impossible."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One product stock row: one SKU in one bin of one warehouse."""

    stock_id: int
    sku: Sku
    shown_sku: str
    location: LocationName
    quantity: int
    allocated: int
    locked: int
    pickable: bool
    asked: Instant
    product_id: int | None = None
    algebra: str = ""
    """How the row's own numbers disagree, if they do."""

    @property
    def unavailable(self) -> int:
        return self.quantity if not self.pickable else min(self.locked, self.quantity)


def rejected(kind: str, row: object, why: str, at: Instant) -> FindingRaised:
    """A finding for a row that cannot be read."""
    names = ("productStockId", "masterSku", "listingId", "orderNumber", "productId", "id")
    found = next((row[n] for n in names if isinstance(row, dict) and n in row), "?")
    # Orders are read by what changed: a later reading without a bad one does not say that it is mended.
    feed = None if kind == "order" else FeedName(f"{EXTENSIV}.{kind}")
    return FindingRaised(FindingKind.REJECTED_ROW, f"{EXTENSIV}:{kind}:{str(found)[:80]}", why, at, feed=feed)


def product(row: Wire, at: Instant) -> tuple[ProductObserved, tuple[FindingRaised, ...]]:
    """A product; unknown types are kept raw and reported. Raises ValueError, KeyError, TypeError."""
    shown = _text(row, "masterSku")
    raw = str(row.get("type", ""))
    kind = _TYPES.get(raw, ProductType.BUNDLE if row.get("bundle") is True else ProductType.OTHER)
    parts = []
    for item in _rows(row, "bundledItems") if kind is ProductType.BUNDLE or row.get("bundledItems") else ():
        inner = _table(item, "bundledProduct" if item.get("bundledProduct") is not None else "product")
        parts.append((_sku(inner), units(item["bundledProductQuantity"], "bundledProductQuantity")))
    fact = ProductObserved(
        sku=_sku(row),
        shown_sku=shown.strip(),
        product_id=_id(row, "productId"),
        name=str(row.get("name") or ""),
        type=kind,
        raw_type=raw,
        active=_flag(row, "active", missing=True),
        components=tuple(parts),
        as_of=at,
    )
    return fact, () if raw in _TYPES else (
        _unknown("product type", raw, fact.shown_sku, at, FeedName("extensiv.products")),
    )


def listing(row: Wire, at: Instant) -> ListingDeclared:
    """A listing's mapping. Raises ValueError, KeyError, TypeError."""
    return ListingDeclared(
        sales_channel_id=_id(row, "salesChannelId"),
        listing_id=_id(row, "listingId"),
        listing_sku=_text(row, "listingSku").strip(),
        sku=_sku(row),
        push_inventory=_flag(row, "pushInventory"),
        active=_flag(row, "active", missing=True),
        as_of=at,
    )


def warehouse(row: Wire, at: Instant) -> LocationObserved:
    return LocationObserved(
        location=LocationName(str(_id(row, "warehouseId"))),
        name=str(row.get("name") or row["warehouseId"]),
        raw_type=str(row.get("type") or ""),
        active=_flag(row, "active", missing=True),
        as_of=at,
    )


def sales_channel(row: Wire, at: Instant) -> ChannelObserved:
    return ChannelObserved(
        sales_channel_id=_id(row, "salesChannelId"),
        name=str(row.get("name") or ""),
        raw_type=str(row.get("type") or ""),
        active=_flag(row, "active", missing=True),
        as_of=at,
    )


def stock_bin(row: Wire, asked: Instant) -> Bin:
    """One stock row. ``warehouseStockTotals`` repeats on every bin of a warehouse and is not read at all."""
    quantity = units(row["quantity"])
    allocated = units(row["allocatedQuantity"], "allocatedQuantity")
    locked = units(row["quantityLocked"], "quantityLocked")
    product_ = _table(row, "product")
    algebra = ""
    if "availableQuantity" in row:
        # Only a check: whatever stands there, the numbers it is made of are the ones that count.
        available, spare = row["availableQuantity"], quantity - allocated - locked
        if available not in (spare, max(0, spare)) or type(available) is not int:
            algebra = (
                f"available {available!r}, but {quantity} on hand - {allocated} allocated - {locked} locked"
            )
            _in_their_columns(available, quantity, allocated, locked, algebra)
    return Bin(
        stock_id=_id(row, "productStockId"),
        sku=_sku(product_),
        shown_sku=_text(product_, "masterSku").strip(),
        location=LocationName(str(_id(_table(row, "stockLocation"), "warehouseId"))),
        quantity=quantity,
        allocated=allocated,
        locked=locked,
        # What stands in a bin that is not in use, or not to be picked from, is nobody's to sell: never guessed.
        pickable=_flag(row, "pickable") and _flag(row, "active"),
        asked=asked,
        product_id=_id(row["product"], "productId") if "productId" in row["product"] else None,
        algebra=algebra,
    )


def _in_their_columns(available: object, quantity: int, allocated: int, locked: int, said: str) -> None:
    """Raises Unreadable for numbers that fit together as soon as two columns are swapped."""
    if type(available) is not int:
        return
    for one, other in combinations(range(4), 2):
        swapped = [available, quantity, allocated, locked]
        swapped[one], swapped[other] = swapped[other], swapped[one]
        if 0 < swapped[0] == swapped[1] - swapped[2] - swapped[3]:
            raise Unreadable(f"{said}; with two columns swapped it would fit")


def stock_total(row: Wire, at: Instant) -> StockTotalObserved:
    return StockTotalObserved(
        sku=_sku(_table(row, "product")),
        on_hand=units(row["onHandQuantity"], "onHandQuantity"),
        locked=units(row["lockedQuantity"], "lockedQuantity"),
        as_of=at,
    )


def order(
    row: Wire,
    at: Instant,
    channels: Mapping[int, ChannelName],
    order_keys: Mapping[ChannelName, str],
    ours: Ours,
) -> tuple[OrderObserved, tuple[FindingRaised, ...]]:
    """An order; an unknown status counts as open and is reported. Its moments are told by our clock.

    Raises ValueError, KeyError, TypeError.
    """
    sales_channel_id = _id(_table(row, "salesChannel"), "salesChannelId")
    channel = channels.get(sales_channel_id, ChannelName(f"{EXTENSIV}-{sales_channel_id}"))
    raw = _text(row, "orderStatus")
    status = STATUSES.get(raw, OrderStatus.UNKNOWN)
    source = _table(row, "fulfillmentSource") if row.get("fulfillmentSource") is not None else {}
    modified = _moment(row, "modifiedDate")
    number = _text(row, "orderNumber")
    lines = tuple(_line(item) for item in _rows(row, "orderItems"))
    if status is OrderStatus.OPEN and lines and not any(line.units for line in lines):
        raise Unreadable(f"an open order of nothing: {len(lines)} lines, each of 0 units")
    fact = OrderObserved(
        source=EXTENSIV,
        key=OrderKey(channel, number_on_channel(order_keys.get(channel, ANY_NUMBER), number)),
        placed=ours(_moment(row, "orderDate")),
        modified=ours(modified),
        status=status,
        raw_status=raw,
        lines=lines,
        as_of=at,
        location=(
            LocationName(str(_id(source, "warehouseId"))) if source.get("warehouseId") is not None else None
        ),
        eligible=raw not in NOT_OUR_STOCK and not row.get("amzFbaShipmentId"),
        ended_at=_ended(status, modified, row, at, ours),
        part=str(_id(row, "orderId")),
    )
    return fact, () if status is not OrderStatus.UNKNOWN else (_unknown("order status", raw, number, at),)


def _ended(status: OrderStatus, modified: Instant, row: Wire, at: Instant, ours: Ours) -> Instant | None:
    """When it was shipped or cancelled. The record counts, not the parcel: until it is made the stock row may still
    hold the units. A date of shipping that is still to come tells nothing of the record.
    """
    if not status.is_over:
        return None
    moments = [modified] if row.get("shipDate") is None else [modified, _moment(row, "shipDate")]
    if status is OrderStatus.SHIPPED:
        moments = [_last_of_second(each) for each in moments]
    recorded, *parcel = [ours(each) for each in moments]
    return max([recorded, *(min(each, at) for each in parcel)])


def _last_of_second(at: Instant) -> Instant:
    """Whole seconds are any moment within; a row of stock read in the same second may be the older one."""
    return after(at, 999) if at % 1000 == 0 else at


def _line(item: Wire) -> OrderLine:
    # An item that somebody added by hand, or a rule did, has a product and no listing.
    made = _table(item, "product") if item.get("product") is not None else {}
    listed = item.get("listingSku") is not None
    named = _text(item, "listingSku") if listed else _text(_table(item, "product"), "masterSku")
    count = units(item["quantityOrdered"], "quantityOrdered")
    # Extensiv knows what it will take from the shelf, whatever becomes of the listing.
    return OrderLine(named.strip(), count, None if made.get("masterSku") is None else _sku(made))


def _unknown(what: str, raw: str, where: str, at: Instant, feed: FeedName | None = None) -> FindingRaised:
    detail = f"{what} {raw!r} (seen at {where}) is not known to this version; kept as it is"
    return FindingRaised(FindingKind.UNKNOWN_VALUE, f"extensiv:{what}:{raw}", detail, at, feed=feed)


def _id(row: Wire, name: str) -> int:
    value = row[name]
    if type(value) is not int:
        raise Unreadable(f"{name} must be a whole number, not {value!r}")
    return value


def _text(row: Wire, name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise Unreadable(f"{name} must be text, not {value!r}")
    return value


def _sku(row: Wire) -> Sku:
    try:
        return sku_of(_text(row, "masterSku"))
    except ValueError as error:
        raise Unreadable(f"masterSku: {error}") from error


def _flag(row: Wire, name: str, *, missing: bool | None = None) -> bool:
    """Yes or no, and nothing that looks like it. ``missing``: what holds where nothing is said; None: it must be."""
    value = row.get(name, missing) if missing is not None else row[name]
    if not isinstance(value, bool):
        raise Unreadable(f"{name} must be true or false, not {value!r}")
    return value


def _moment(row: Wire, name: str) -> Instant:
    try:
        return parse_instant(_text(row, name))
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"{name}: {error}") from error


def _table(row: Wire, name: str) -> Wire:
    value = row[name]
    if not isinstance(value, dict):
        raise Unreadable(f"{name} must be an object, not {value!r}")
    return value


def _rows(row: Wire, name: str) -> list[Wire]:
    value = row[name]
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Unreadable(f"{name} must be a list of objects, not {value!r}")
    return value
