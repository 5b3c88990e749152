"""One SKU as a person looks at it: supply, channels, what would be done, in plain values ready for JSON.

``None`` is unknown, never zero. Ages are whole seconds. The shape is ``reconcilerd.reconcile/1``.
"""

from collections.abc import Iterator
from typing import Any

from reconcilerd.domain.book import Book
from reconcilerd.domain.guards import MEANS, Verdict
from reconcilerd.domain.names import Instant, Sku, SlotKey, format_instant
from reconcilerd.domain.plan import GroupPlan, exposure, hidden
from reconcilerd.domain.policy import MaxUnits, Percent, PoolMode, Publisher
from reconcilerd.domain.position import ORDERED, ClaimKind, OfferView, Position, StockView
from reconcilerd.domain.room import level_of
from reconcilerd.domain.terms import rule_in_force

SCHEMA = "reconcilerd.reconcile/1"
_OK, _DIFFERS, _INCOMPLETE = 0, 3, 5
TAKEN = {
    ClaimKind.IN_FLIGHT: "in flight (sold on a channel, not yet in Extensiv)",
    ClaimKind.COMMITTED: "committed to open orders in Extensiv",
    ClaimKind.SHIPPED: "shipped, but not yet taken off the stock we read",
    ClaimKind.INFERRED: "inferred from a fall that no order explains yet",
    ClaimKind.DARK: "expected to have sold on a channel we cannot read",
    ClaimKind.SAFETY: "safety stock",
    ClaimKind.RESERVED: "reserved",
    ClaimKind.DARK_STOCK: "not offered any more, because nobody could count them for too long",
    ClaimKind.BURIED: "possibly sold unseen (kept back from raises only)",
    ClaimKind.UNSETTLED: "in a large fall, perhaps one order, until its orders are known (kept back from raises only)",
    ClaimKind.DOUBTED: "only in the larger of a doubtful reading and the one before (kept back from raises only)",
    ClaimKind.UNHEARD: "in orders far beyond any that their channel has told, until it was heard (kept back from raises"
    " only)",
}
"""Why units cannot be offered, as people read it."""
_TOLD_APART = {ClaimKind.IN_FLIGHT, ClaimKind.SAFETY, ClaimKind.RESERVED}


def sheet_of(book: Book, sku: Sku, plan: GroupPlan) -> dict[str, Any]:
    """The sheet of one SKU from the plan of its pool group."""
    position = plan.position
    product = book.products.get(sku)
    uses = book.uses(sku)
    components = [component for component, _ in uses]
    offers = [offer for offer in position.offers if offer.sku == sku]
    shown = [offer for offer in offers if offer.shown is not None]
    return {
        "sku": product.shown_sku if product else sku,
        "title": product.name if product else "",
        "bundle_of": [{"sku": name, "units": count} for name, count in uses] if components != [sku] else [],
        "pool": book.policy.sku_rule(components[0]).pool,
        "split": position.split,
        "shares_stock_with": sorted({offer.sku for offer in position.offers} - {sku}),
        "supply": {
            "unknown": [component for component in components if component in position.unknown],
            "locations": [_location(book, position, row) for row in position.stock if row.sku in components],
            "in_flight": _claimed(position, components, {ClaimKind.IN_FLIGHT}),
            "in_flight_orders": _orders(position, components),
            "otherwise_taken": list(_otherwise_taken(position, components)),
            "safety_stock": _claimed(position, components, {ClaimKind.SAFETY}),
            "reserved": _claimed(position, components, {ClaimKind.RESERVED}),
            "inbound": sum(each.counted for each in position.inbound if each.sku in components),
            "available": [
                {"sku": each, "units": level_of(position, each)}
                for each in components
                if each not in position.unknown
            ],
        },
        "channels": [_channel(plan, offer) for offer in offers],
        "not_read": list(position.unlisted),
        "too_old": _too_old(position, offers, components),
        "exposure": exposure(plan) if shown else 0,
        "hidden": hidden(plan) if shown else 0,
        "would_do": [_action(entry.slot, plan) for entry in plan.entries if entry.sku == sku],
    }


def _too_old(position: Position, offers: list[OfferView], components: list[Sku]) -> bool:
    """Whether anything it says rests on a reading older than any may be."""
    ages = [each.age_of for each in offers]
    ages += [row.age_of for row in position.stock if row.sku in components]
    return any(position.at - age > position.ages.max_age_ms for age in ages)


def exit_code_of(sheets: list[dict[str, Any]]) -> int:
    """0 in step, 3 differences, 5 too incomplete to say."""
    if any(sheet["supply"]["unknown"] or sheet["not_read"] for sheet in sheets):
        return _INCOMPLETE
    if any(sheet["too_old"] for sheet in sheets):
        return _INCOMPLETE
    rows = [row for sheet in sheets for row in sheet["channels"]]
    if any(row["observed"] is None and row["state"] == "buyable" for row in rows):
        return _INCOMPLETE
    return _DIFFERS if any(sheet["would_do"] for sheet in sheets) else _OK


def _location(book: Book, position: Position, row: StockView) -> dict[str, Any]:
    here = frozenset({row.location})
    orders = [
        claim
        for claim in position.claims
        if claim.component == row.sku and claim.kind in ORDERED and claim.locations == here
    ]
    taken, waived = sum(claim.units for claim in orders), sum(claim.waived for claim in orders)
    known = book.locations.get(row.location)
    return {
        "sku": row.sku,
        "location": row.location,
        "name": known.name if known else row.location,
        "on_hand": row.on_hand,
        "unavailable": row.unavailable,
        "committed": max(taken + waived, row.allocated),
        "available": max(0, row.sellable - max(taken, row.allocated - waived)),
        "counted": row.location not in position.excluded_of(row.sku),
        "age_s": _age_s(position.at, row.age_of),
    }


def _channel(plan: GroupPlan, offer: OfferView) -> dict[str, Any]:
    position = plan.position
    allocation = next(each for each in plan.allocations if each.slot == offer.slot)
    entry = next((each for each in plan.entries if each.slot == offer.slot), None)
    drift = next((each for each in plan.drifts if each.slot == offer.slot), None)
    observed = offer.current
    return {
        "channel": offer.slot.channel,
        "listing": offer.slot.listing,
        "place": offer.slot.place,
        "listing_sku": offer.listing_sku,
        "rule": rule_text(position, offer),
        "ideal": allocation.ideal,
        "desired": allocation.desired,
        "observed": observed,
        "difference": None if observed is None else allocation.desired - observed,
        "age_s": _age_s(position.at, offer.age_of),
        "state": "ambiguous" if offer.ambiguous else str(offer.state),
        "because": str(allocation.because),
        "cause": str(drift.cause) if drift else None,
        "verdict": str(entry.verdict) if entry else None,
        "units_per_sale": offer.rule.units_per_sale,
        "buffer": offer.rule.buffer,
        "write_open": offer.write,
        "native_push": offer.pushed or position.channel(offer.slot.channel).publisher is Publisher.EXTENSIV,
        "sells_past_zero": offer.sells_past_zero,
    }


def _action(slot: SlotKey, plan: GroupPlan) -> dict[str, Any]:
    entry = next(each for each in plan.entries if each.slot == slot)
    return {
        "channel": slot.channel,
        "listing": slot.listing,
        "place": slot.place,
        "from": entry.current,
        "to": entry.target if entry.verdict is Verdict.SEND else entry.desired,
        "verdict": str(entry.verdict),
        "why": MEANS[entry.verdict],
        "cause": str(entry.cause),
    }


def rule_text(position: Position, offer: OfferView) -> str:
    """A rule in a few words: ``share 60 %``, ``max 10``, with what narrows it."""
    rule, low = rule_in_force(position, offer)
    text = ""
    match rule:
        case Percent(permille):
            percent = f"{permille // 10}" if permille % 10 == 0 else f"{permille / 10:.1f}"
            scarce = position.split and position.pool.mode is not PoolMode.SPLIT
            dividing = position.split and offer.rule.weight is None
            text = (
                f"scarce, part {percent}"
                if scarce and dividing
                else f"{'share' if dividing else 'up to'} {percent} %"
            )
        case MaxUnits(units):
            text = f"max {units}"
    return ", ".join([text, *_narrowed(position, offer), *(["low stock"] if low else [])])


def _narrowed(position: Position, offer: OfferView) -> list[str]:
    """What besides the share bounds or lifts it."""
    rule = offer.rule
    said = [f"cap {rule.cap}"] if rule.cap is not None else []
    said += [f"buffer {rule.buffer}"] if rule.buffer else []
    said += [f"pot {rule.pot}"] if rule.pot else []
    said += [f"minimum {rule.minimum}"] if rule.minimum else []
    if position.split:
        said += [f"weight {rule.weight}"] if rule.weight is not None else []
        said += [f"tier {rule.tier}"] if rule.tier != 1 else []
        said += [f"priority {rule.priority}"] if rule.priority is not None else []
    return said


def _claimed(position: Position, components: list[Sku], kinds: set[ClaimKind]) -> int:
    return sum(c.units for c in position.claims if c.component in components and c.kind in kinds)


def _orders(position: Position, components: list[Sku]) -> list[dict[str, Any]]:
    return [
        {"order": claim.about, "channel": claim.channel, "units": claim.units}
        for claim in position.claims
        if claim.component in components and claim.kind is ClaimKind.IN_FLIGHT
    ][:20]


def _otherwise_taken(position: Position, components: list[Sku]) -> Iterator[dict[str, Any]]:
    """What is taken of no place that is known, and not told beside."""
    for kind, why in TAKEN.items():
        units = sum(
            claim.units
            for claim in position.claims
            if claim.component in components
            and claim.kind is kind
            and not (kind in ORDERED and len(claim.locations) == 1)
        )
        if units and kind not in _TOLD_APART:
            yield {"kind": str(kind), "units": units, "why": why}


def _age_s(now: Instant, then: Instant) -> int:
    return max(0, now - then) // 1000


def heading(book: Book, at: Instant, mode: str) -> dict[str, Any]:
    """The part of the sheet that does not depend on a SKU."""
    return {
        "schema": SCHEMA,
        "generated_at": format_instant(at),
        "mode": mode,
        "policy": book.policy.revision,
    }
