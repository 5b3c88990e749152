"""What listings may show that lies on no shelf: inbound where zero does not stop sales, minimums within the overcommit.

Both are declared by a person and bounded by that declaration; without one there is nothing here. What is promised is
kept apart from stock, so that no unit of either is ever taken for one of the other.
"""

from collections.abc import Mapping

from reconcilerd.domain.names import Sku, SlotKey
from reconcilerd.domain.policy import MaxUnits, Rule
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.domain.quantities import MAX_UNITS
from reconcilerd.domain.room import Room, Shown
from reconcilerd.domain.shares import Taker, fill
from reconcilerd.domain.terms import (
    cap_of,
    ceiling_of,
    claimant,
    minimum_of,
    most_of,
    ours,
    percentages,
    place_in_line,
    rule_in_force,
)


def promised(position: Position, room: Room, ideal: Shown) -> dict[SlotKey, int]:
    """By slot, the units (channel units) it is to show beyond ``ideal``, its part of what is there."""
    beyond = preorders(position, room, ideal) if position.inbound else {}
    if position.pool.overcommit:
        for slot, units in minimums(position, {s: n + beyond.get(s, 0) for s, n in ideal.items()}).items():
            beyond[slot] = beyond.get(slot, 0) + units
    return beyond


def preorders(position: Position, room: Room, ideal: Shown) -> dict[SlotKey, int]:
    """Declared inbound, divided as the pool divides stock, among the listings that zero does not stop."""
    coming = room.coming()
    offers = [offer for offer in position.offers if offer.sells_past_zero and ours(offer)]
    rules = {offer.slot: rule_in_force(position, offer)[0] for offer in offers}
    if not position.split:
        parts = {
            o.slot: min(ceiling_of(coming, o, rules[o.slot]), _under_its_cap(o, rules[o.slot], ideal))
            for o in offers
        }
    else:
        parts = fill(coming, _takers(coming, offers, rules, ideal), {})
    return {slot: units for slot, units in parts.items() if units}


def _takers(
    coming: Room, offers: list[OfferView], rules: Mapping[SlotKey, Rule], ideal: Shown
) -> list[Taker]:
    sums = percentages((offer, rules[offer.slot]) for offer in offers)
    takers = []
    for offer in offers:
        rule = rules[offer.slot]
        weight, cap = claimant(coming, offer, rule, whole=sums.get(offer.sku, 0) >= 1000)
        cap = min(cap, _under_its_cap(offer, rule, ideal))
        takers.append(Taker(offer.slot, weight, cap, offer.rule.units_per_sale))
    return takers


def _under_its_cap(offer: OfferView, rule: Rule, ideal: Shown) -> int:
    """How many more its cap, or its maximum, lets it show."""
    cap = cap_of(offer)
    caps = [MAX_UNITS if cap is None else cap]
    if isinstance(rule, MaxUnits):
        caps.append(rule.units // offer.rule.units_per_sale)
    return max(0, min(caps) - ideal.get(offer.slot, 0))


def minimums(position: Position, ideal: Shown) -> dict[SlotKey, int]:
    """What listings lack to their minimums, as far as the budget of each component reaches, by priority."""
    budget: dict[Sku, int] = {}
    beyond = {}
    for offer in sorted(position.offers, key=lambda each: (place_in_line(each), each.slot)):
        short = 0
        if offer.rule.minimum and ours(offer):
            wanted = min(minimum_of(offer, rule_in_force(position, offer)[0]), most_of(position, offer))
            short = wanted - ideal.get(offer.slot, 0)
        if short > 0:
            left = {name: budget.get(name, position.pool.overcommit) for name, _ in offer.uses}
            units = min(short, *(left[name] // use for name, use in offer.uses))
            budget |= {name: left[name] - units * use for name, use in offer.uses}
            beyond[offer.slot] = units
    return {slot: units for slot, units in beyond.items() if units}


def declared(position: Position, offer: OfferView, room: Room) -> int:
    """The most that declarations let a listing show beyond what is there (channel units)."""
    units = 0
    if offer.rule.minimum and position.pool.overcommit:
        units += min(position.pool.overcommit // use for _, use in offer.uses)
    if offer.sells_past_zero and position.inbound:
        units += room.coming().alone(offer.slot)
    return units
