"""What each listing should show: integers and the reason for each.

``ideal`` is the policy's split of what is left; ``desired`` is what should be shown now, which keeps the shown
numbers while they are good enough (writes are not free) and never hides stock for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from reconcilerd.domain.names import ChannelName, Sku, SlotKey
from reconcilerd.domain.policy import MaxUnits, Mode, Percent, Rule
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.domain.promises import promised
from reconcilerd.domain.room import Room, Shown, room_of
from reconcilerd.domain.shares import Taker, fill
from reconcilerd.domain.terms import (
    bounded,
    cap_of,
    ceiling_of,
    claimant,
    floor_of,
    most_of,
    ours,
    percentages,
    place_in_line,
    rule_in_force,
)


class Because(StrEnum):
    """Why a listing should show what it should."""

    SHARE = "share"
    MAX = "max"
    ALL = "all_available"
    CAP = "cap"
    """Its cap decides: without it it would show more."""
    LOW_STOCK = "low_stock"
    POT = "pot"
    """What is set aside for it, and its share of the rest."""
    MINIMUM = "minimum"
    """Its minimum: a part of that lies within the declared overcommit only."""
    PREORDER = "preorder"
    """Zero does not stop its sales: its part of the declared inbound is shown too."""
    KEPT = "kept"
    """What it shows is within a quarter of its share, and the sum is right."""
    TOGETHER = "together"
    """At several places of its channel, where visitors are shown the sum: what they show together is right."""
    DEAD_BAND = "dead_band"
    BESIDE_PUSH = "beside_push"
    """Extensiv pushes its own number; the smaller of that and ours is shown."""
    NOT_OURS = "not_ours"
    PUT_BACK = "put_back"
    """A person wants the number of an earlier moment again."""
    COMPARED = "compared"
    """It shows that already; its number is in doubt, and the channel compares what it is said to show."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """For one slot: the policy's share and what it should show now (channel units), with the reason."""

    slot: SlotKey
    ideal: int
    desired: int
    because: Because
    beyond: int = 0
    """The part of the ideal that lies on no shelf: declared overcommit and inbound."""


def allocate(position: Position, room: Room | None = None) -> tuple[Allocation, ...]:
    """Shares and wanted numbers of every listing of the group, in the order of the position's offers.

    ``room``: the position's own, where the caller has it already.
    """
    own = room = room or room_of(position)
    pots, ideal = _shares(position, room)
    spread = () if position.split else position.spread()
    tight = _tight(spread, room, ideal, pots)
    most, ideal = ideal, {**ideal, **_divided(room, tight, ideal, pots)}
    # Beside Extensiv's push nothing is promised: its number knows of stock alone.
    beyond = {} if position.limits.mode is Mode.NET else promised(position, room, ideal)
    if beyond:
        ideal = {slot: units + beyond.get(slot, 0) for slot, units in ideal.items()}
        most = {slot: units + beyond.get(slot, 0) for slot, units in most.items()}
        room = room.lending(beyond)
    ideal = {**ideal, **_beside_native_push(position, ideal)}
    keep = _keep if position.split else _outside_dead_band
    desired = keep(position, room, ideal, pots)
    shown = estimated(position, ideal) if tight else {}
    for listing in tight:
        desired |= _kept_together(_without_others(room, listing, pots), listing, shown, most, ideal)
    desired |= _without_band(spread, room, ideal, desired)
    desired = {**desired, **_beside_native_push(position, ideal)}
    together = {offer.slot for listing in tight for offer in listing}
    found = tuple(
        Allocation(
            offer.slot,
            ideal[offer.slot],
            desired[offer.slot],
            Because.TOGETHER
            if offer.slot in together
            else _because(position, offer, desired[offer.slot], ideal[offer.slot], beyond),
            beyond.get(offer.slot, 0),
        )
        for offer in position.offers
    )
    limited = _capped(position, own, found)
    return tuple(replace(each, because=Because.CAP) if each.slot in limited else each for each in found)


def _shares(position: Position, room: Room) -> tuple[dict[SlotKey, int], dict[SlotKey, int]]:
    """What is set aside, and the policy's split of what is left, of every listing."""
    fixed = _fixed(position, room) if position.split else {}
    pots = set_aside(position, room, fixed)
    return pots, _split(position, room, fixed, pots) if position.split else _shared(position, room, pots)


def native_number(position: Position, offer: OfferView) -> int:
    """What Extensiv itself would push: all that its rows call available where the listing may draw on it."""
    spare = [
        sum(
            max(0, row.sellable - row.allocated)
            for row in position.stock
            if row.sku == component and row.location in offer.locations - position.excluded_of(component)
        )
        // use
        for component, use in offer.uses
    ]
    return min(spare, default=0)


def _beside_native_push(position: Position, ideal: Shown) -> dict[SlotKey, int]:
    """Mode net: a pushed listing shows the smaller of Extensiv's number and ours, at once and without tolerance."""
    if position.limits.mode is not Mode.NET:
        return {}
    return {
        offer.slot: min(ideal[offer.slot], native_number(position, offer))
        for offer in position.offers
        if offer.pushed and ours(offer)
    }


def estimated(position: Position, ideal: Shown) -> dict[SlotKey, int]:
    """E of every slot; a slot never read counts with its last written number, its cap or its share."""
    return {
        offer.slot: next(
            each
            for each in (offer.shown, offer.last_written, cap_of(offer), ideal.get(offer.slot, 0))
            if each is not None
        )
        for offer in position.offers
    }


def set_aside(position: Position, room: Room, fixed: Shown) -> dict[SlotKey, int]:
    """Each listing's pot as far as there is any, by priority; no other listing may draw on it (channel units).

    A channel's several places have one pot together. What cannot be sold there now is set aside for nobody.
    """
    pots: dict[SlotKey, int] = {}
    left: dict[tuple[Sku, ChannelName], int] = {}
    with_pot = [o for o in position.offers if o.rule.pot and o.slot not in fixed and ours(o)]
    for offer in sorted(with_pot, key=lambda each: (place_in_line(each), each.slot)):
        each, whose = offer.rule.units_per_sale, (offer.sku, offer.slot.channel)
        most = [
            left.get(whose, offer.rule.pot) // each,
            room.headroom(offer.slot, {**fixed, **pots}, raising=False),
        ]
        cap = cap_of(offer)
        if position.channel(offer.slot.channel).decrease_only:
            most.append(offer.shown or 0)
        pots[offer.slot] = max(0, min(*most, most[0] if cap is None else cap))
        left[whose] = left.get(whose, offer.rule.pot) - pots[offer.slot] * each
    return pots


def _shared(position: Position, room: Room, pots: Shown) -> dict[SlotKey, int]:
    """Extensiv's own formula: each channel a share of all that it may draw on, independent of the others."""
    shares: dict[SlotKey, int] = {}
    rest = room.less(pots) if pots else room
    for offer in position.offers:
        pot = pots.get(offer.slot, 0)
        base = rest.alone(offer.slot) + pot
        rule = rule_in_force(position, offer)[0]
        share = min(base, ceiling_of(rest, offer, rule) + pot)
        if isinstance(rule, MaxUnits):
            share = min(share, max(pot, rule.units // offer.rule.units_per_sale))
        share = max(share, min(base, floor_of(offer, rule)))
        shares[offer.slot] = min(base, bounded(offer, share))
    return shares


Listing = tuple[OfferView, ...]
"""One listing, at each place of its channel."""


def _tight(spread: Sequence[Listing], room: Room, shares: Shown, pots: Shown) -> tuple[Listing, ...]:
    """Listings at several places whose shares there are more together than there is.

    Each place has its own warehouses, but what an order takes that nobody has routed yet lies in any of them. A shared
    pool shows a unit on several channels at once; on one channel it is there once.
    """
    return tuple(
        listing for listing in spread if not _without_others(room, listing, pots).fits(_of(listing, shares))
    )


def _of(listing: Listing, shares: Shown) -> dict[SlotKey, int]:
    """The shares of a listing at its places; what is not ours goes on showing what it does."""
    return {each.slot: shares[each.slot] if ours(each) else each.shown or 0 for each in listing}


def _without_others(room: Room, listing: Listing, pots: Shown) -> Room:
    """The room that the pots of all other listings leave."""
    others = {slot: units for slot, units in pots.items() if all(slot != each.slot for each in listing)}
    return room.less(others).lending(room.beyond) if others else room


def _divided(room: Room, tight: Sequence[Listing], shares: Shown, pots: Shown) -> dict[SlotKey, int]:
    """What there is of such a listing, divided among its places as their shares are to each other."""
    found: dict[SlotKey, int] = {}
    for listing in tight:
        mine = [each for each in listing if ours(each)]
        start = {each.slot: each.shown or 0 for each in listing if not ours(each)}
        given = fill(_without_others(room, listing, pots), _takers(mine, shares, shares), start)
        found |= {each.slot: given.get(each.slot, 0) for each in mine}
    return found


def _fixed(position: Position, room: Room) -> dict[SlotKey, int]:
    """What slots of a split pool go on showing whatever we decide."""
    fixed = {o.slot: o.shown or 0 for o in position.offers if not ours(o)}
    # A dark channel goes on showing what it may show; the others share what that leaves (R14).
    return fixed | {
        o.slot: min(o.shown, room.alone(o.slot))
        for o in position.offers
        if ours(o) and o.shown is not None and position.channel(o.slot.channel).dark
    }


@dataclass(frozen=True, slots=True)
class _Claimant:
    """A listing under division: its rule, its floor and its claim on the whole."""

    offer: OfferView
    first: Taker
    whole: Taker


def _split(position: Position, room: Room, fixed: Shown, pots: Shown) -> dict[SlotKey, int]:
    """Every unit on one channel only: pots, then by priority, floors, and tier after tier by weight.

    Slots that are not ours keep what they show.
    """
    rules = {offer.slot: rule_in_force(position, offer)[0] for offer in position.offers}
    rest = room.less(pots) if pots else room
    claimants = _claimants(position, rest, rules, fixed, pots)
    given: Shown = fixed
    for place in sorted({c.offer.rule.priority for c in claimants if c.offer.rule.priority is not None}):
        given = fill(rest, [_at_least_one(c) for c in claimants if c.offer.rule.priority == place], given)
    given = fill(rest, [each.first for each in claimants], given)
    for tier in sorted({each.offer.rule.tier for each in claimants}):
        given = fill(rest, [each.whole for each in claimants if each.offer.rule.tier == tier], given)
    return {
        offer.slot: fixed[offer.slot]
        if offer.slot in fixed
        else bounded(offer, given.get(offer.slot, 0) + pots.get(offer.slot, 0))
        for offer in position.offers
    }


def _claimants(
    position: Position, rest: Room, rules: dict[SlotKey, Rule], fixed: Shown, pots: Shown
) -> list[_Claimant]:
    sums = percentages((offer, rules[offer.slot]) for offer in position.offers)
    claimants = []
    for offer in position.offers:
        if offer.slot in fixed:
            continue
        each, rule = offer.rule.units_per_sale, rules[offer.slot]
        weight, cap = claimant(rest, offer, rule, whole=sums.get(offer.sku, 0) >= 1000)
        pot, declared, most = pots.get(offer.slot, 0), cap_of(offer), rest.alone(offer.slot)
        if declared is not None:
            most = min(most, max(0, declared - pot))
        if position.channel(offer.slot.channel).decrease_only:
            # It may never be given more; the others share what that leaves.
            most = min(most, max(0, (offer.shown or 0) - pot))
        if isinstance(rule, MaxUnits):
            cap = min(cap, max(0, rule.units // each - pot))
        # A floor comes before all shares: one that is small where shares divide less than everything bounds it not.
        first = min(most, max(0, floor_of(offer, rule) - pot))
        cap = max(first, min(cap, most))
        claimants.append(
            _Claimant(
                offer, Taker(offer.slot, max(1, weight), first, each), Taker(offer.slot, weight, cap, each)
            )
        )
    return claimants


def _at_least_one(claim: _Claimant) -> Taker:
    """Its floor, or one sale of what it may have at all."""
    one = 1 if claim.whole.weight else 0
    return Taker(claim.offer.slot, 1, min(claim.whole.cap, max(one, claim.first.cap)), claim.whole.step)


def _keep(position: Position, room: Room, ideal: Shown, pots: Shown) -> dict[SlotKey, int]:
    """Keep what is shown while the sum is right and nobody is far from its share; give free units to the short."""
    shown = estimated(position, ideal)
    mine = [offer for offer in position.offers if ours(offer)]
    kept = {**shown, **{o.slot: min(shown[o.slot], most_of(position, o)) for o in mine}}
    kept = _kept(room, mine, kept, ideal, pots)
    if any(_far(kept[offer.slot], ideal[offer.slot]) for offer in mine):
        return {**shown, **{offer.slot: ideal[offer.slot] for offer in mine}}
    return kept


def _kept(
    room: Room, mine: Sequence[OfferView], kept: dict[SlotKey, int], ideal: Shown, pots: Shown
) -> dict[SlotKey, int]:
    """What is kept of what is shown, as far as there is room for it, and free units for the short."""
    doubted = [(offer, offer.doubted) for offer in mine if offer.doubted is not None]
    if doubted and not room.fits(kept):
        # Nobody is lowered for a number that nothing explains: its own correction tells whether it is so.
        kept |= {o.slot: min(kept[o.slot], o.may_show, before) for o, before in doubted}
    if pots:
        # Whatever is tolerated, nobody keeps a unit that is set aside for another.
        kept |= {slot: max(kept[slot], units) for slot, units in pots.items()}
    if not room.fits(kept):
        lowered = {**kept, **{o.slot: min(kept[o.slot], ideal[o.slot]) for o in mine}}
        kept = fill(room, _takers(mine, ideal, kept), lowered)
    return fill(room, _takers(mine, ideal, ideal), kept)


def _takers(offers: Sequence[OfferView], weights: Shown, caps: Shown) -> list[Taker]:
    return [Taker(o.slot, max(1, weights[o.slot]), caps[o.slot], o.rule.units_per_sale) for o in offers]


def _kept_together(
    room: Room, listing: Listing, shown: Shown, most: Shown, ideal: Shown
) -> dict[SlotKey, int]:
    """What such a listing goes on showing at its places while the sum is right: no order says which of them it took."""
    mine = [each for each in listing if ours(each)]
    kept = {each.slot: shown[each.slot] for each in listing}
    kept |= {o.slot: min(kept[o.slot], most[o.slot]) for o in mine}
    kept = _kept(room, mine, kept, ideal, {})
    # A place that was sold empty may stay so; but nobody is told to sell nothing who has a share.
    zeroed = any(kept[o.slot] == 0 < min(shown[o.slot], ideal[o.slot]) for o in mine)
    return {each.slot: (ideal if zeroed else kept)[each.slot] for each in mine}


def _far(shown: int, ideal: int) -> bool:
    return 4 * abs(shown - ideal) > max(4, ideal) or (shown == 0 and ideal > 0)


def _outside_dead_band(position: Position, room: Room, ideal: Shown, pots: Shown) -> dict[SlotKey, int]:
    """Shared and plentiful: changes below the dead band wait; zero never waits."""
    desired = dict(ideal)
    for offer in position.offers:
        if not ours(offer):
            desired[offer.slot] = offer.shown or 0
            continue
        current, target = offer.current, ideal[offer.slot]
        if current is None or offer.write is not None or 0 in (current, target):
            continue
        if pots and current > target:
            continue
        # Where little is meant to be shown of much, a part of much is no tolerance.
        band = position.pool.dead_band_permille * min(room.alone(offer.slot), 4 * target)
        if abs(current - target) * 1000 < band and current <= most_of(position, offer):
            desired[offer.slot] = current
    return desired


def _without_band(spread: Sequence[Listing], room: Room, ideal: Shown, desired: Shown) -> dict[SlotKey, int]:
    """Shares for what is tolerated above them where the same listing is to be raised at another place, and has no room.

    Else the raise would wait for room that tolerance takes.
    """
    found: dict[SlotKey, int] = {}
    for listing in spread:
        mine = [each for each in listing if ours(each)]
        wanting = any(desired[each.slot] > (each.current or 0) for each in mine)
        if wanting and not room.fits({each.slot: desired[each.slot] for each in listing}):
            found |= {each.slot: min(desired[each.slot], ideal[each.slot]) for each in mine}
    return found


FEW_CAPS = 4


def _capped(position: Position, room: Room, allocations: Sequence[Allocation]) -> set[SlotKey]:
    """Listings that their caps keep from more: without these the same rules would give them more.

    Each cap alone is lifted where few bind. Many are lifted at once, or every one of them would take a division of its
    own; what a listing could have only while others are capped is not called its cap's doing then.
    """
    bound = {
        offer.slot: allocation.ideal
        for offer, allocation in zip(position.offers, allocations, strict=True)
        if allocation.because in _BY_RULE and _at_its_cap(offer, allocation.ideal, room.alone(offer.slot))
    }
    found = set[SlotKey]()
    for lifted in [{slot} for slot in bound] if len(bound) <= FEW_CAPS else [set(bound)]:
        free = tuple(
            replace(each, rule=replace(each.rule, cap=None)) if each.slot in lifted else each
            for each in position.offers
        )
        more = _shares(replace(position, offers=free), room)[1]
        found |= {slot for slot in lifted if more[slot] > bound[slot]}
    return found


_BY_RULE = frozenset({Because.POT, Because.LOW_STOCK, Because.MAX, Because.ALL, Because.SHARE})


def _at_its_cap(offer: OfferView, ideal: int, alone: int) -> bool:
    cap = cap_of(offer)
    return cap is not None and ideal == bounded(offer, cap) and cap < alone


def _because(position: Position, offer: OfferView, desired: int, ideal: int, beyond: Shown) -> Because:
    if not ours(offer):
        return Because.NOT_OURS
    if position.limits.mode is Mode.NET and offer.pushed:
        return Because.BESIDE_PUSH
    if desired != ideal:
        return Because.KEPT if position.split else Because.DEAD_BAND
    if beyond.get(offer.slot):
        return Because.PREORDER if position.inbound and offer.sells_past_zero else Because.MINIMUM
    if offer.rule.pot and ideal:
        return Because.POT
    rule, low = rule_in_force(position, offer)
    if low:
        return Because.LOW_STOCK
    match rule:
        case MaxUnits():
            return Because.MAX
        case Percent(1000) if not position.split:
            return Because.ALL
        case Percent():
            return Because.SHARE
