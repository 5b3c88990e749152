"""Shopify's wire nodes to facts. Pure. Only the available quantity is read; below zero is a debt, not a number."""

from collections.abc import Collection, Mapping
from typing import Any

from reconcilerd.connectors.port import Ours
from reconcilerd.domain.book import slots_feed
from reconcilerd.domain.facts import (
    FindingKind,
    FindingRaised,
    OrderLine,
    OrderObserved,
    OrderStatus,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.names import ChannelName, FeedName, Instant, OrderKey, SlotKey, parse_instant
from reconcilerd.domain.quantities import MAX_UNITS, units

Wire = Mapping[str, Any]
NOT_IMPORTED = frozenset({"pos", "shopify_draft_order"})
"""Order sources that never reach Extensiv."""

_SHIPPED = frozenset({"FULFILLED"})


def slots(
    item: Wire, channel: ChannelName, places: Collection[str], age_of: Instant, as_of: Instant
) -> tuple[list[SlotObserved], list[FindingRaised]]:
    """All slots of one inventory item, and what a person should know of it. Raises ValueError, KeyError, TypeError."""
    listing = _text(item, "id")
    sku = str(item.get("sku") or "")
    variant: Wire = next(iter((item.get("variants") or {}).get("nodes") or ()), {})
    continues = variant.get("inventoryPolicy") == "CONTINUE"
    tracked = item["tracked"] is True
    findings = [
        _finding(channel, sku or listing, what, text, age_of, slots_feed(channel))
        for what, text in _remarks(item, continues)
    ]
    made = []
    for level in item["inventoryLevels"]["nodes"]:
        place = _text(level["location"], "id")
        state = _state(level, tracked=tracked)
        quantity = _available(level) if tracked else None
        made.append(
            SlotObserved(
                slot=SlotKey(channel, listing, place),
                listing_sku=sku,
                title=str(variant.get("displayName") or ""),
                quantity=None if quantity is None else max(0, quantity),
                state=state,
                sells_past_zero=continues,
                age_of=age_of,
                as_of=as_of,
                below_zero=0 if quantity is None else max(0, -quantity),
            )
        )
        findings += _slot_findings(channel, sku or listing, place, state, place in places, age_of)
    return made, findings


def _remarks(item: Wire, continues: bool) -> list[tuple[FindingKind, str]]:
    said = []
    if not item.get("sku"):
        said.append((FindingKind.BLANK_SKU, "an inventory item without a SKU cannot be mapped"))
    if item["tracked"] is not True:
        said.append((FindingKind.UNTRACKED_ITEM, "the store does not count this item: it sells without end"))
    if continues:
        said.append(
            (FindingKind.SELLS_PAST_ZERO, "inventoryPolicy is CONTINUE: the store sells it past zero")
        )
    return said


def _slot_findings(
    channel: ChannelName, sku: str, place: str, state: SlotState, ours: bool, at: Instant
) -> list[FindingRaised]:
    if not ours:
        text = f"stock is shown at {place}, which the configuration does not give us"
        return [_finding(channel, f"{sku}@{place}", FindingKind.FOREIGN_SLOT, text, at, slots_feed(channel))]
    match state:
        case SlotState.INACTIVE:
            text = f"the location {place} is switched off for this item"
            what = FindingKind.SLOT_INACTIVE
        case SlotState.NOT_ONLINE:
            text = f"the location {place} does not fulfil online orders"
            what = FindingKind.SLOT_NOT_ONLINE
        case _:
            return []
    return [_finding(channel, f"{sku}@{place}", what, text, at, slots_feed(channel))]


def order(
    node: Wire, channel: ChannelName, as_of: Instant, ours: Ours
) -> tuple[OrderObserved, list[FindingRaised]]:
    """One order; lines without a SKU are reported, not guessed. Its moments are told by our clock.

    Raises ValueError, KeyError, TypeError.
    """
    number = _text(node, "name").lstrip("#")
    lines, findings, ship = [], [], False
    for line in node["lineItems"]["nodes"]:
        gift = line.get("isGiftCard") is True
        ship = ship or (not gift and line.get("requiresShipping") is not False)
        sku = str(line.get("sku") or "").strip()
        count = units(line["currentQuantity"], "currentQuantity")
        if sku:
            lines.append(OrderLine(sku, count))
        elif not gift and count:
            text = f"order {number} sells {count} of a line without a SKU"
            findings.append(_finding(channel, f"{number}", FindingKind.UNMAPPED_SKU, text, as_of))
    cancelled = node.get("cancelledAt")
    raw = str(node.get("displayFulfillmentStatus") or "")
    status = OrderStatus.SHIPPED if raw in _SHIPPED else OrderStatus.OPEN
    eligible = ship and node.get("test") is not True and node.get("sourceName") not in NOT_IMPORTED
    fact = OrderObserved(
        source=channel,
        key=OrderKey(channel, number),
        placed=ours(parse_instant(_text(node, "createdAt"))),
        modified=ours(parse_instant(_text(node, "updatedAt"))),
        status=OrderStatus.CANCELLED if cancelled else status,
        raw_status="CANCELLED" if cancelled else raw,
        lines=tuple(lines),
        as_of=as_of,
        eligible=eligible,
        ended_at=ours(parse_instant(cancelled)) if cancelled else None,
    )
    return fact, findings


def _state(level: Wire, *, tracked: bool) -> SlotState:
    if not tracked:
        return SlotState.UNTRACKED
    if level.get("isActive") is False:
        return SlotState.INACTIVE
    if level["location"].get("fulfillsOnlineOrders") is False:
        return SlotState.NOT_ONLINE
    return SlotState.BUYABLE


def _available(level: Wire) -> int:
    for each in level["quantities"]:
        if each["name"] == "available":
            value = each["quantity"]
            if type(value) is not int or abs(value) > MAX_UNITS:
                raise ValueError(f"available must be a whole number, not {value!r}")
            return value
    raise KeyError("available")


def _finding(
    channel: ChannelName,
    subject: str,
    what: FindingKind,
    text: str,
    at: Instant,
    feed: FeedName | None = None,
) -> FindingRaised:
    return FindingRaised(what, f"{channel}:{subject.casefold()}", text, at, feed=feed)


def _text(node: Wire, name: str) -> str:
    value = node[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {value!r}")
    return value
