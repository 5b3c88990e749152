"""Shopify's wire nodes to facts. Pure. Only the available quantity is read; below zero is a debt, not a number."""

from collections.abc import Collection, Mapping
from typing import Any

from reconcilerd.connectors.port import Ours
from reconcilerd.domain.facts import (
    FindingKind,
    FindingRaised,
    OrderLine,
    OrderObserved,
    OrderStatus,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.feeds import slots_feed
from reconcilerd.domain.names import ChannelName, FeedName, Instant, OrderKey, SlotKey, parse_instant
from reconcilerd.domain.orders import units_of
from reconcilerd.domain.quantities import MAX_UNITS, units

Wire = Mapping[str, Any]
NOT_IMPORTED = frozenset({"pos"})
"""Order sources that never reach Extensiv. A completed draft is none of them: it is shipped like any other order."""

_SHIPPED = frozenset({"FULFILLED"})


def slots(
    item: Wire, channel: ChannelName, places: Collection[str], age_of: Instant, as_of: Instant
) -> tuple[list[SlotObserved], list[FindingRaised]]:
    """All slots of one inventory item, and what a person should know of it. Raises ValueError, KeyError, TypeError."""
    listing = _text(item, "id")
    sku = _text_or_none(item, "sku")
    variant: Wire = next(iter(_nodes(item, "variants") if item.get("variants") is not None else ()), {})
    continues = variant.get("inventoryPolicy") == "CONTINUE"
    tracked = _flag(item, "tracked")
    findings = [
        _finding(channel, sku or listing, what, text, age_of, slots_feed(channel))
        for what, text in _remarks(sku, tracked=tracked, continues=continues)
    ]
    made = []
    for level in _nodes(item, "inventoryLevels"):
        place = _text(_table(level, "location"), "id")
        state = _state(level, tracked=tracked)
        quantity = _available(level, state) if tracked else None
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


def still(seen: SlotObserved, places: Collection[str], at: Instant) -> list[FindingRaised]:
    """What was to be known of a slot when it could last be read: none of it is over because now it cannot."""
    slot, feed = seen.slot, slots_feed(seen.slot.channel)
    name, tracked = seen.listing_sku or slot.listing, seen.state is not SlotState.UNTRACKED
    return [
        *(
            _finding(slot.channel, name, what, text, at, feed)
            for what, text in _remarks(seen.listing_sku, tracked=tracked, continues=seen.sells_past_zero)
        ),
        *_slot_findings(slot.channel, name, slot.place, seen.state, slot.place in places, at),
    ]


def _remarks(sku: str, *, tracked: bool, continues: bool) -> list[tuple[FindingKind, str]]:
    said = []
    if not sku:
        said.append((FindingKind.BLANK_SKU, "an inventory item without a SKU cannot be mapped"))
    if not tracked:
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
        if state is SlotState.INACTIVE:
            return []  # whoever wrote there once, nothing is shown there now
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
    number = _text(node, "name").removeprefix("#")
    lines, ordered, findings, ship = [], dict[str, int](), [], False
    for line in _nodes(node, "lineItems"):
        gift = _flag(line, "isGiftCard", missing=False)
        ship = ship or (not gift and _flag(line, "requiresShipping", missing=True))
        sku = _text_or_none(line, "sku").strip()
        count = units(line["currentQuantity"], "currentQuantity")
        if sku:
            lines.append(OrderLine(sku, count))
            ordered[sku] = ordered.get(sku, 0) + units(line["quantity"], "quantity")
        elif not gift and count:
            text = f"order {number} sells {count} of a line without a SKU"
            findings.append(_finding(channel, f"{number}", FindingKind.UNMAPPED_SKU, text, as_of))
    cancelled = None if node.get("cancelledAt") is None else _moment(node, "cancelledAt")
    raw = str(node.get("displayFulfillmentStatus") or "")
    status = OrderStatus.SHIPPED if raw in _SHIPPED else OrderStatus.OPEN
    eligible = (
        ship
        and not _flag(node, "test", missing=False)
        and _text_or_none(node, "sourceName") not in NOT_IMPORTED
    )
    fact = OrderObserved(
        source=channel,
        key=OrderKey(channel, number),
        placed=ours(_moment(node, "createdAt")),
        modified=ours(_moment(node, "updatedAt")),
        status=status if cancelled is None else OrderStatus.CANCELLED,
        raw_status=raw if cancelled is None else "CANCELLED",
        lines=tuple(lines),
        as_of=as_of,
        eligible=eligible,
        ended_at=None if cancelled is None else ours(cancelled),
        # Edits, refunds and cancels leave less of a line than was ordered, of a cancelled order nothing.
        most=tuple(OrderLine(sku, most) for sku, most in ordered.items() if most > units_of(lines, sku)),
    )
    return fact, findings


def _state(level: Wire, *, tracked: bool) -> SlotState:
    if not tracked:
        return SlotState.UNTRACKED
    if not _flag(level, "isActive", missing=True):
        return SlotState.INACTIVE
    online = _flag(_table(level, "location"), "fulfillsOnlineOrders", missing=True)
    return SlotState.BUYABLE if online else SlotState.NOT_ONLINE


def _available(level: Wire, state: SlotState) -> int:
    if state is SlotState.INACTIVE:
        return 0  # nothing is sold there, whether a number is told or not
    for each in _list(level, "quantities"):
        if each["name"] == "available":
            value = each["quantity"]
            if type(value) is not int or abs(value) > MAX_UNITS:
                raise ValueError(f"available quantity must be a whole number, not {value!r}")
            return value
    raise KeyError("available of quantities")


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


def _text_or_none(node: Wire, name: str) -> str:
    """Text, or nothing where the store says null."""
    return "" if node.get(name) is None else _text(node, name)


def _flag(node: Wire, name: str, *, missing: bool | None = None) -> bool:
    """Yes or no, and nothing that looks like it. ``missing``: what holds where nothing is said; None: it must be."""
    value = node[name] if missing is None else node.get(name, missing)
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {value!r}")
    return value


def _moment(node: Wire, name: str) -> Instant:
    try:
        return parse_instant(_text(node, name))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from error


def _table(node: Wire, name: str) -> Wire:
    value = node[name]
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be an object, not {value!r}")
    return value


def _list(node: Wire, name: str) -> list[Wire]:
    value = node[name]
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise TypeError(f"{name} must be a list of objects, not {value!r}")
    return value


def _nodes(node: Wire, name: str) -> list[Wire]:
    try:
        return _list(_table(node, name), "nodes")
    except KeyError as error:
        raise KeyError(f"{error.args[0]} of {name}") from error
