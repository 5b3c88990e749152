"""Why a listing should show the number it should: the derivation in sentences, from the very plan that used it.

No second engine: everything said here is read off the position, the shelves and the plan.
"""

from collections.abc import Sequence
from typing import Any

from reconcilerd.domain.adaptive import PLAIN_TENTHS, slow_ms, turning_points, z_tenths
from reconcilerd.domain.allocation import Because
from reconcilerd.domain.guards import MEANS, NEEDS_A_PERSON, SOON, Verdict
from reconcilerd.domain.names import SlotKey, format_instant
from reconcilerd.domain.plan import Entry, GroupPlan
from reconcilerd.domain.policy import PoolMode
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.domain.room import Shelf, room_of
from reconcilerd.domain.sheet import TAKEN, rule_text
from reconcilerd.domain.terms import ours

BECAUSE = {
    Because.SHARE: "its share by the rule",
    Because.MAX: "the maximum the rule allows",
    Because.ALL: "all that is available: the pool is shared and its rule is 100 %",
    Because.CAP: "the most that its cap allows, less any buffer",
    Because.LOW_STOCK: "the rule for low stock",
    Because.POT: "its pot and its share of the rest",
    Because.MINIMUM: "its minimum, a part of which lies in the declared overcommit",
    Because.PREORDER: "its share, and its part of what is on its way, since it sells past zero",
    Because.KEPT: "what it shows already: that is within a quarter of its share and the sum is right",
    Because.TOGETHER: "what its channel's places show together is all that there is for the listing",
    Because.DEAD_BAND: "what it shows already: the difference is below the pool's dead band",
    Because.COMPARED: "what it shows: written for the channel to compare, since its number is in doubt",
    Because.BESIDE_PUSH: "the smaller of Extensiv's own number, which it pushes, and ours",
    Because.PUT_BACK: "what it showed before a pass that a person reverts, at most what is left",
    Because.NOT_OURS: "left as it is: the slot is not ours to write",
}


def explain(plan: GroupPlan, slot: SlotKey) -> dict[str, Any]:
    """Sentences and figures for one listing. Raises KeyError for a slot that the plan does not know."""
    position = plan.position
    offer = next((each for each in position.offers if each.slot == slot), None)
    if offer is None:
        raise KeyError(slot.path)
    allocation = next(each for each in plan.allocations if each.slot == slot)
    entry = next((each for each in plan.entries if each.slot == slot), None)
    shelf = _tightest(position, offer)
    sentences = [
        *(_supply(position, shelf) if shelf else ["No stock row of its components was ever read."]),
        *_regime(position),
        *_others(position, offer),
        _policy(position, offer, allocation.ideal),
        *_beyond(position, offer, allocation.beyond),
        f"It should show {allocation.desired}: {BECAUSE[allocation.because]}.",
        _observed(position, offer),
        _verdict(entry),
    ]
    return {
        "schema": "reconcilerd.explain/1",
        "slot": slot.path,
        "sku": offer.sku,
        "at": format_instant(position.at),
        "sentences": [each for each in sentences if each],
        "figures": {
            "stock": shelf.stock if shelf else None,
            "claimed": shelf.claimed if shelf else None,
            "unseen": shelf.unseen if shelf else None,
            "buried": shelf.buried if shelf else None,
            "left": shelf.left if shelf else None,
            "coming": shelf.coming_left if shelf else None,
            "beyond": allocation.beyond,
            "ideal": allocation.ideal,
            "desired": allocation.desired,
            "read": offer.read,
            "known_since": offer.known_since,
            "write_open": offer.write,
            "verdict": str(entry.verdict) if entry else None,
        },
    }


def _tightest(position: Position, offer: OfferView) -> Shelf | None:
    shelves = [
        (shelf.left // use, len(shelf.locations), shelf)
        for shelf in room_of(position).shelves
        for name, use in shelf.use
        if name == offer.slot
    ]
    return min(shelves, key=lambda each: each[:2])[2] if shelves else None


def _supply(position: Position, shelf: Shelf) -> list[str]:
    rows = [r for r in position.stock if r.sku == shelf.component and r.location in shelf.locations]
    stock = ", ".join(
        f"{row.location}: {row.on_hand} on hand less {row.unavailable} unavailable"
        f" (read {max(0, position.at - row.age_of) // 1000} s ago)"
        for row in rows
    )
    said = [f"Stock of {shelf.component}: {shelf.stock} sellable{f' ({stock})' if stock else ''}."]
    for kind, words in TAKEN.items():
        claims = [
            c
            for c in position.claims
            if c.kind is kind and c.component == shelf.component and c.locations <= shelf.locations
        ]
        if claims:
            ends = [c.until for c in claims if c.until is not None]
            until = f", the first of it until {format_instant(min(ends))}" if ends else ""
            said.append(f"{sum(c.units for c in claims)} {words}{_named([c.about for c in claims])}{until}.")
        waived = sum(c.waived for c in claims)
        if waived:
            said.append(f"{waived} more of these are ordered, and policy does not hold them back.")
    if shelf.unseen:
        said.append(f"{shelf.unseen} more that Extensiv has allocated to orders we cannot name.")
    return [*said, f"That leaves {shelf.left} to offer."]


def _regime(position: Position) -> list[str]:
    """Where an adaptive pool turns, and why there."""
    if position.pool.mode is not PoolMode.ADAPTIVE:
        return []
    slow = slow_ms(position)
    z = z_tenths(position, slow)
    costs = (
        "" if z == PLAIN_TENTHS else f", by what overselling and hiding cost: {z // 10}.{z % 10} deviations"
    )
    return [
        f"The pool is adaptive: it is split at {bound} of {component} or fewer, which could sell in the "
        f"{slow // 1000} s before all channels have heard of it{costs}; {left} are left."
        for component, left, bound in turning_points(position)
    ]


def _others(position: Position, offer: OfferView) -> list[str]:
    """What is set aside for other listings: once for each, at however many places of its channel it is."""
    mine, whose = {component for component, _ in offer.uses}, (offer.slot.channel, offer.sku)
    pots = {
        (each.slot.channel, each.sku): f"{each.rule.pot} for {each.slot.channel}"
        for each in position.offers
        if each.rule.pot and ours(each) and mine & {component for component, _ in each.uses}
    }
    said = ", ".join(text for other, text in pots.items() if other != whose)
    return [f"Set aside for others, as far as there is any: {said}."] if said else []


def _beyond(position: Position, offer: OfferView, units: int) -> list[str]:
    said = []
    if offer.sells_past_zero:
        said.append(
            "Zero does not stop its sales: what it sells beyond stock is expected, and nothing of it is hidden."
        )
        coming = [each for each in position.inbound if any(each.sku == name for name, _ in offer.uses)]
        said += [
            f"{each.counted} of {each.sku} are counted on at {each.location} until {format_instant(each.due)}, less "
            "what lies there."
            for each in coming
        ]
    if units:
        said.append(f"{units} of its ideal lie on no shelf: they are declared inbound or overcommit.")
    return said


def _named(about: Sequence[str]) -> str:
    names = [name for name in about if name]
    return f" ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if names else ""


def _policy(position: Position, offer: OfferView, ideal: int) -> str:
    pool = "split between the listings" if position.split else "shared by all listings"
    each = f", {offer.rule.units_per_sale} eaches a sale" if offer.rule.units_per_sale > 1 else ""
    return f"The pool is {pool}; this one's rule is {rule_text(position, offer)}{each}: its ideal is {ideal}."


def _observed(position: Position, offer: OfferView) -> str:
    if offer.read is None:
        return f"The channel does not count it ({offer.state})."
    age = max(0, position.at - offer.as_of) // 1000
    said = f"The channel showed {offer.read} ({age} s ago)"
    if offer.known_since:
        said += f", and {offer.known_since} were ordered since: {offer.current} now"
    if offer.write is not None:
        said += f"; our write of {offer.write} is not confirmed yet"
    if offer.surprise:
        said += f"; somebody else moved it by {offer.surprise:+d} since our last write"
    return said + "."


def _verdict(entry: Entry | None) -> str:
    if entry is None:
        return "Nothing to do."
    change = f"{entry.current} to {entry.target if entry.verdict is Verdict.SEND else entry.desired}"
    if entry.verdict is Verdict.SEND:
        return f"It is corrected from {change} (cause: {entry.cause})."
    if entry.verdict in NEEDS_A_PERSON:
        return f"The change from {change} waits for a person: {MEANS[entry.verdict]} ({entry.verdict})."
    waits = "waits" if entry.verdict in SOON else "is held"
    return f"The change from {change} {waits}: {MEANS[entry.verdict]} ({entry.verdict})."
