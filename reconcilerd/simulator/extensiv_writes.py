"""The writes of the pretend Extensiv: absolute on hand, and the warehouse an order ships from.

Answers with the vendor's envelope: status 200 with one error for each row that was refused, numbered from 1.
Limits come from its clients' own throttles and are INFERRED; nothing here reads a clock or spoils a reply.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.stores import Order
from reconcilerd.simulator.truth import World

Row = dict[str, Any]
MOST_ROWS = 200
ADJUST_EVERY_S = 10.0
MOST_UNITS = 100_000_000
OPEN = "AWAITING_SHIPMENT"


class Adjust(msgspec.Struct, rename="camel"):
    """One row of ``POST v1.1/inventory/adjust``: what lies there now, whatever lay there before."""

    master_sku: str
    on_hand_quantity: int
    warehouse_id: int
    stock_location_name: str = "GLOBAL"


class OrderId(msgspec.Struct, rename="camel"):
    order_id: int | None = None
    order_number: str | None = None
    sales_channel_id: int | None = None


class Source(msgspec.Struct, rename="camel"):
    warehouse_id: int


class Reroute(msgspec.Struct, rename="camel"):
    """One row of ``POST v1.1/orders``; of all that can be changed there, only the warehouse is pretended."""

    order_identifier: OrderId
    fulfillment_source: Source | None = None


def adjust(world: World, body: bytes, now: Instant) -> Row:
    """Set on hand row by row. Raises msgspec.DecodeError for a body that is not such rows, ValueError for too many."""
    rows = _rows(msgspec.json.decode(body, type=list[Adjust]))
    skus = {sku.casefold(): sku for sku in world.products}
    return _envelope(rows, lambda row: _adjust_one(world, skus, row, now))


def reroute(world: World, body: bytes, now: Instant) -> Row:
    """Change the warehouse of open orders. Raises as ``adjust`` does."""
    rows = _rows(msgspec.json.decode(body, type=list[Reroute]))
    return _envelope(rows, lambda row: _reroute_one(world, row, now))


def _rows(rows: list[Any]) -> list[Any]:
    if len(rows) > MOST_ROWS:
        raise ValueError(f"at most {MOST_ROWS} rows, not {len(rows)}")
    return rows


def _envelope(rows: list[Any], apply: Callable[[Any], tuple[Row | None, Row]]) -> Row:
    results: list[Row] = []
    errors: list[Row] = []
    for index, row in enumerate(rows, 1):
        result, error = apply(row)
        if result is None:
            errors.append({**error, "index": index})
        else:
            results.append(result)
    return {"results": results, "errors": errors, "message": f"{len(results)} of {len(rows)} rows"}


def _adjust_one(world: World, skus: dict[str, str], row: Adjust, now: Instant) -> tuple[Row | None, Row]:
    sku = skus.get(row.master_sku.casefold())
    if sku is None:
        return None, _error("ERR053", row.master_sku, "product does not exist")
    there = world.bins.get((sku, row.warehouse_id))
    if there is None or row.stock_location_name != "GLOBAL":
        return None, _error("ERR097", row.master_sku, "product stock not found")
    if not 0 <= row.on_hand_quantity <= MOST_UNITS:
        return None, _error("ERR_INFERRED", row.master_sku, f"onHandQuantity must be 0 to {MOST_UNITS}")
    world.record(sku, row.warehouse_id, row.on_hand_quantity, now)
    available = max(0, there.copied - there.allocated - there.locked)
    return {
        "masterSku": sku,
        "availableQuantity": available,
        "productStockId": there.id,
        "warehouseId": row.warehouse_id,
    }, {}


def _reroute_one(world: World, row: Reroute, now: Instant) -> tuple[Row | None, Row]:
    wanted = row.order_identifier
    order = _found(world, wanted)
    name = str(wanted.order_id or wanted.order_number or "")
    if order is None:
        return None, _error("ERR_INFERRED", name, "order not found")
    if row.fulfillment_source is not None:
        place = row.fulfillment_source.warehouse_id
        if place not in world.places:
            return None, _error("ERR_INFERRED", name, f"warehouse {place} does not exist")
        if order.ext_status != OPEN:
            return None, _error("ERR_INFERRED", name, f"order is {order.ext_status}")
        world.reroute(order, place, now)
    return {"orderId": order.id, "orderNumber": order.number}, {}


def _found(world: World, wanted: OrderId) -> Order | None:
    for order in world.orders.values():
        same = (
            order.id == wanted.order_id
            if wanted.order_id is not None
            else (order.number, order.sales_channel_id) == (wanted.order_number, wanted.sales_channel_id)
        )
        if same and order.imported is not None:
            return order
    return None


def _error(code: str, identifier: str, message: str) -> Row:
    return {"message": message, "errorCode": code, "identifier": identifier}
