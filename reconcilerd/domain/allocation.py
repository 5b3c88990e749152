"""What each listing should show: integers and the reason for each.

``ideal`` is the policy's split of what is left; ``desired`` is what should be shown now, which keeps the shown
numbers while they are good enough (writes are not free) and never hides stock for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.names import Sku, SlotKey
from reconcilerd.domain.policy import MaxUnits, Mode, Percent, Rule
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.domain.quantities import MAX_UNITS, Rate, expected
from reconcilerd.domain.room import Room, Shown, level_of, room_of

_FINE = 1_000_000
"""Steps per unit of weight when levels are searched; what ties within a step goes by priority."""


class Because(StrEnum):
    """Why a listing should show what it should."""

    SHARE = "share"
    MAX = "max"
    ALL = "all_available"
    LOW_STOCK = "low_stock"
    KEPT = "kept"
    """What it shows is within a quarter of its share, and the sum is right."""
    DEAD_BAND = "dead_band"
    BESIDE_PUSH = "beside_push"
    """Extensiv pushes its own number; the smaller of that and ours is shown."""
    NOT_OURS = "not_ours"
    PUT_BACK = "put_back"
    """A person wants the number of an earlier moment again."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """For one slot: the policy's share and what it should show now (channel units), with the reason."""

    slot: SlotKey
    ideal: int
    desired: int
    because: Because


@dataclass(frozen=True, slots=True)
class Taker:
    """One claimant in a split: takes steps of ``step`` eaches by weight, up to ``cap`` steps."""

    slot: SlotKey
    weight: int
    cap: int
    step: int = 1


def allocate(position: Position, room: Room | None = None) -> tuple[Allocation, ...]:
    """Shares and wanted numbers of every listing of the group, in the order of the position's offers.

    ``room``: the position's own, where the caller has it already.
    """
    room = room or room_of(position)
    ideal = _split(position, room) if position.split else _shared(position, room)
    ideal = {**ideal, **_beside_native_push(position, ideal)}
    desired = _keep(position, room, ideal) if position.split else _outside_dead_band(position, room, ideal)
    desired = {**desired, **_beside_native_push(position, ideal)}
    return tuple(
        Allocation(
            offer.slot,
            ideal[offer.slot],
            desired[offer.slot],
            _because(position, offer, desired[offer.slot], ideal[offer.slot]),
        )
        for offer in position.offers
    )


def ours(offer: OfferView) -> bool:
    """Whether the slot is ours to give shares to. Others keep what they show and are counted."""
    return offer.rule.managed and not offer.ambiguous and offer.state is SlotState.BUYABLE


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
            for each in (offer.shown, offer.last_written, _cap(offer), ideal.get(offer.slot, 0))
            if each is not None
        )
        for offer in position.offers
    }


def scarcity(position: Position, *, scarce: bool, room: Room | None = None) -> bool:
    """Whether a shared pool should be split now: at S <= K, and back only above 1.25 K.

    ``room``: the position's own, where the caller has it already.
    """
    if position.split and not scarce:
        return False
    slow = max((channel.slow_ms for channel in position.channels), default=0)
    return any(
        left <= bound or (scarce and 4 * left <= 5 * bound)
        for _, left, bound in stock_against_sales(position, slow, room)
    )


def stock_against_sales(
    position: Position, window_ms: int, room: Room | None = None
) -> Iterator[tuple[Sku, int, int]]:
    """Each counted component, what is left of it, and what could sell in a window: mu + 3 sqrt(mu) + 1."""
    sold = {name for offer in position.offers for name, _ in offer.uses}
    for component in sorted(sold - set(position.unknown)):
        rate = Rate(sum(o.rate.milli_per_hour * o.use_of(component) for o in position.offers))
        left = level_of(position, component) if room is None else room.levels[component]
        yield component, left, expected(rate, window_ms, 3) + 1


def fill(room: Room, takers: Sequence[Taker], start: Shown) -> dict[SlotKey, int]:
    """Give out room by weight from ``start`` up to each cap: the divisor method of D'Hondt under constraints.

    More room never lowers anybody's number within one SKU, and the order of takers does not matter.
    """
    given = dict(start)
    active = {t.slot: t for t in takers if t.weight > 0 and given.get(t.slot, 0) < t.cap}
    for slot in active:
        given.setdefault(slot, 0)
    active = {slot: t for slot, t in active.items() if room.headroom(slot, given, raising=False) >= 1}
    room = room.of(active)
    while active:
        high = max(
            (min(t.cap, given[s] + max(0, room.headroom(s, given, raising=False))) + 1)
            * t.step
            * _FINE
            // t.weight
            for s, t in active.items()
        )
        level = _highest_level(room, active, given, high + 1)
        given = _at_level(active, given, level)
        by_priority = sorted(
            active.values(), key=lambda t: (-(t.weight * _FINE // (t.step * (given[t.slot] + 1))), t.slot)
        )
        stuck = []
        for taker in by_priority:
            grown = {**given, taker.slot: given[taker.slot] + 1}
            if grown[taker.slot] > taker.cap or not room.fits(grown):
                stuck.append(taker.slot)
            elif _at_level(active, given, level + 1)[taker.slot] > given[taker.slot]:
                given = grown
        for slot in stuck:
            del active[slot]
    return given


def _highest_level(room: Room, active: Mapping[SlotKey, Taker], given: Shown, high: int) -> int:
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if room.fits(_at_level(active, given, middle)):
            low = middle
        else:
            high = middle - 1
    return low


def _at_level(active: Mapping[SlotKey, Taker], given: Shown, level: int) -> dict[SlotKey, int]:
    risen = {
        slot: max(given[slot], min(taker.cap, level * taker.weight // (taker.step * _FINE)))
        for slot, taker in active.items()
    }
    return {**given, **risen}


def rule_in_force(position: Position, offer: OfferView) -> tuple[Rule, bool]:
    """The rule for this moment, and whether it is the one for low stock (at the minimum level counts as low)."""
    low = offer.rule.low_stock
    if low is None or not offer.uses:
        return offer.rule.normal, False
    # Levels are stock, whatever one sale of it takes on a channel.
    each = offer.rule.units_per_sale
    level = min(level_of(position, component) * each // use for component, use in offer.uses)
    return (low, True) if level <= position.min_level(offer.sku) else (offer.rule.normal, False)


def _cap(offer: OfferView) -> int | None:
    return None if offer.rule.cap is None else offer.rule.cap // offer.rule.units_per_sale


def _bounded(offer: OfferView, amount: int) -> int:
    """Cap and buffer applied; both are eaches of what one channel unit holds."""
    cap = _cap(offer)
    capped = amount if cap is None else min(amount, cap)
    return max(0, capped - -(-offer.rule.buffer // offer.rule.units_per_sale))


def _most(position: Position, offer: OfferView) -> int:
    """What a rule forbids to exceed, however much there is; what is there itself is judged elsewhere."""
    each = offer.rule.units_per_sale
    match rule_in_force(position, offer)[0]:
        case Percent(0):
            most = 0
        case MaxUnits(limit):
            most = limit // each
        case Percent():
            most = MAX_UNITS
    most = max(most, offer.rule.floor // each)
    cap = _cap(offer)
    return most if cap is None else min(most, cap)


def _shared(position: Position, room: Room) -> dict[SlotKey, int]:
    """Extensiv's own formula: each channel a share of all that it may draw on, independent of the others."""
    shares: dict[SlotKey, int] = {}
    for offer in position.offers:
        each = offer.rule.units_per_sale
        base = room.alone(offer.slot)
        match rule_in_force(position, offer)[0]:
            case Percent(permille):
                eaches = _eaches(room, offer)
                share = eaches * permille // 1000 // each
            case MaxUnits(limit):
                share = min(base, limit // each)
        share = max(share, min(base, offer.rule.floor // each))
        shares[offer.slot] = min(base, _bounded(offer, share))
    return shares


def _eaches(room: Room, offer: OfferView) -> int:
    """What the offer could draw on alone, in eaches of its SKU (a share is taken before units per sale)."""
    each = offer.rule.units_per_sale
    spare = [
        shelf.left * each // use for shelf in room.shelves for name, use in shelf.use if name == offer.slot
    ]
    return min(spare, default=0)


def _split(position: Position, room: Room) -> dict[SlotKey, int]:
    """Every unit on one channel only, by weight, floors first; slots that are not ours keep what they show."""
    rules = {offer.slot: rule_in_force(position, offer)[0] for offer in position.offers}
    whole = sum(rule.permille for rule in rules.values() if isinstance(rule, Percent))
    fixed = {o.slot: o.shown or 0 for o in position.offers if not ours(o)}
    # A dark channel goes on showing what it may show; the others share what that leaves (R14).
    fixed |= {
        o.slot: min(o.shown, room.alone(o.slot))
        for o in position.offers
        if ours(o) and o.shown is not None and position.channel(o.slot.channel).dark
    }
    floors, full = [], []
    for offer in position.offers:
        if offer.slot in fixed:
            continue
        each = offer.rule.units_per_sale
        alone = room.alone(offer.slot)
        cap, weight = alone, 1000
        match rules[offer.slot]:
            case Percent(permille):
                weight = permille
                if whole < 1000:
                    cap = min(cap, _eaches(room, offer) * permille // 1000 // each)
            case MaxUnits(limit):
                cap = min(cap, limit // each)
        declared = _cap(offer)
        most = alone if declared is None else min(alone, declared)
        floor = min(most, offer.rule.floor // each)
        floors.append(Taker(offer.slot, max(1, weight), floor, each))
        full.append(Taker(offer.slot, weight, max(floor, min(cap, most)), each))
    given = fill(room, full, fill(room, floors, fixed))
    return {
        offer.slot: fixed[offer.slot] if offer.slot in fixed else _bounded(offer, given.get(offer.slot, 0))
        for offer in position.offers
    }


def _keep(position: Position, room: Room, ideal: Shown) -> dict[SlotKey, int]:
    """Keep what is shown while the sum is right and nobody is far from its share; give free units to the short."""
    shown = estimated(position, ideal)
    mine = [offer for offer in position.offers if ours(offer)]
    kept = {**shown, **{o.slot: min(shown[o.slot], _most(position, o)) for o in mine}}
    if not room.fits(kept):
        lowered = {**kept, **{o.slot: min(kept[o.slot], ideal[o.slot]) for o in mine}}
        back = [Taker(o.slot, max(1, ideal[o.slot]), kept[o.slot], o.rule.units_per_sale) for o in mine]
        kept = fill(room, back, lowered)
    short = [Taker(o.slot, max(1, ideal[o.slot]), ideal[o.slot], o.rule.units_per_sale) for o in mine]
    kept = fill(room, short, kept)
    if any(_far(kept[offer.slot], ideal[offer.slot]) for offer in mine):
        return {**shown, **{offer.slot: ideal[offer.slot] for offer in mine}}
    return kept


def _far(shown: int, ideal: int) -> bool:
    return 4 * abs(shown - ideal) > max(4, ideal) or (shown == 0 and ideal > 0)


def _outside_dead_band(position: Position, room: Room, ideal: Shown) -> dict[SlotKey, int]:
    """Shared and plentiful: changes below the dead band wait; zero never waits."""
    desired = dict(ideal)
    for offer in position.offers:
        if not ours(offer):
            desired[offer.slot] = offer.shown or 0
            continue
        current, target = offer.current, ideal[offer.slot]
        if current is None or offer.write is not None or 0 in (current, target):
            continue
        # Where little is meant to be shown of much, a part of much is no tolerance.
        band = position.pool.dead_band_permille * min(room.alone(offer.slot), 4 * target)
        if abs(current - target) * 1000 < band and current <= _most(position, offer):
            desired[offer.slot] = current
    return desired


def _because(position: Position, offer: OfferView, desired: int, ideal: int) -> Because:
    if not ours(offer):
        return Because.NOT_OURS
    if position.limits.mode is Mode.NET and offer.pushed:
        return Because.BESIDE_PUSH
    if desired != ideal:
        return Because.KEPT if position.split else Because.DEAD_BAND
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
