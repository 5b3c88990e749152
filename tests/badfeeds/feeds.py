"""Feeds that go bad as feeds do: each turns the rows of one answer into what a broken feed would say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconcilerd.simulator.spoil import edited

Row = dict[str, Any]
Rows = list[Row]


class Feed(StrEnum):
    """Which feed is bad, and how alerts name it."""

    STOCK = "extensiv.stock"
    ORDERS = "extensiv.orders"
    SLOTS = "shop-uk.slots"


PATHS: Mapping[Feed, str] = {
    Feed.STOCK: "/extensiv/v1/inventory",
    Feed.ORDERS: "/extensiv/v1.1/orders",
    Feed.SLOTS: "/shopify/shop-uk/admin/api",
}
NUMBERS: Mapping[Feed, tuple[str, ...]] = {
    Feed.STOCK: ("quantity", "availableQuantity", "allocatedQuantity", "quantityLocked"),
    Feed.ORDERS: ("quantityOrdered",),
    Feed.SLOTS: ("quantity",),
}
"""The fields that hold units."""
MAIN: Mapping[Feed, str] = {
    Feed.STOCK: "quantity",
    Feed.ORDERS: "quantityOrdered",
    Feed.SLOTS: "quantity",
}
CODES = ("masterSku", "sku", "listingSku")
IDS = ("productStockId", "productId", "warehouseId", "stockLocationId", "orderId", "salesChannelId")


@dataclass(frozen=True, slots=True)
class Bad:
    """One way for a feed to be bad. ``stale``: it answers as it did before, and (``told``) says how old that is."""

    name: str
    spoil: Callable[[Feed, Rows], Rows] = field(default=lambda _feed, rows: rows)
    stale: bool = False
    told: bool = False
    others: bool = False
    """It is somebody else's account that answers."""
    seen: bool = True
    """Whether anybody can notice it: an answer that is old and says it is new looks like peace."""


def _numbers(change: Callable[[Any], Any]) -> Callable[[Feed, Rows], Rows]:
    return lambda feed, rows: [edited(row, NUMBERS[feed], change) for row in rows]


def _main(change: Callable[[Any], Any]) -> Callable[[Feed, Rows], Rows]:
    return lambda feed, rows: [edited(row, (MAIN[feed],), change) for row in rows]


def _half(_feed: Feed, rows: Rows) -> Rows:
    return rows[: len(rows) // 2]


def _swapped(feed: Feed, rows: Rows) -> Rows:
    match feed:
        case Feed.STOCK:
            return [
                {**row, "quantity": row["allocatedQuantity"], "allocatedQuantity": row["quantity"]}
                for row in rows
            ]
        case Feed.ORDERS:
            return [edited(row, ("quantityOrdered",), lambda _, row=row: row["orderId"]) for row in rows]  # type: ignore[misc]
        case Feed.SLOTS:
            # What is on hand there, in the column of what is available.
            return [edited(row, ("quantity",), lambda number: number + 7) for row in rows]


def _others(feed: Feed, rows: Rows) -> Rows:
    """Another tenant's: its own codes, its own ids."""
    theirs = [edited(row, CODES, lambda code: f"other-{code}") for row in rows]
    theirs = [edited(row, (*IDS, "orderNumber"), _other_id) for row in theirs]
    return [
        {**row, "id": f"{row['id']}9"} if "id" in row else row for row in _main(lambda _: 3)(feed, theirs)
    ]


def _others_same_codes(feed: Feed, rows: Rows) -> Rows:
    """Another tenant's that sells the same codes."""
    theirs = [edited(row, (*IDS, "orderNumber"), _other_id) for row in rows]
    return [
        {**row, "id": f"{row['id']}9"} if "id" in row else row for row in _main(lambda _: 3)(feed, theirs)
    ]


def _other_id(value: Any) -> Any:
    return value + 1_000_000 if isinstance(value, int) else f"Z{value}"


def _never_counted(feed: Feed, rows: Rows) -> Rows:
    """Every other SKU, the first included, was never counted, and is told as zero."""
    codes = sorted({code for row in rows for code in _codes(row)})
    zero = set(codes[::2])
    return [
        edited(row, NUMBERS[feed], lambda _: 0) if zero.intersection(_codes(row)) else row for row in rows
    ]


def _codes(row: Row) -> set[str]:
    found: set[str] = set()
    edited(row, CODES, lambda code: found.add(str(code)))
    return found


CORPUS: tuple[Bad, ...] = (
    Bad("all zeros", _numbers(lambda _: 0)),
    Bad("half a page", _half),
    Bad("times 100", _numbers(lambda number: number * 100)),
    Bad("only units times 100", _main(lambda number: number * 100)),
    Bad("swapped columns", _swapped),
    Bad("wrong tenant", _others, others=True),
    Bad("wrong tenant, same codes", _others_same_codes, others=True),
    Bad("stale cache", stale=True, told=True),
    Bad("stale replica", stale=True, seen=False),
    Bad("decimal comma", _main(lambda number: f"{number},0")),
    Bad("never counted as zero", _never_counted),
    Bad("null", _main(lambda _: None)),
    Bad("text", _main(str)),
    Bad("below zero", _main(lambda number: -number if number else -1)),
    Bad("empty list", lambda _feed, _rows: []),
)
