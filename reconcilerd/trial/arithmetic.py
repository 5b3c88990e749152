"""What a recorded position allows, by arithmetic of its own: the daemon's claims, rooms and shares are not asked.

Takes the inputs of one plan as they were written down, and knows neither the ledger nor the truth.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from reconcilerd.domain.allocation import Allocation, allocate
from reconcilerd.domain.digest import canonical
from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import LocationName, Sku, SlotKey
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import BundleMode, Mode, Percent
from reconcilerd.domain.position import KEPT_FROM_RAISES, ClaimKind, OfferView, Position

Found = Iterator[tuple[str, str]]
Locations = frozenset[LocationName]
ORDERED = {ClaimKind.IN_FLIGHT, ClaimKind.COMMITTED, ClaimKind.SHIPPED}
MOST_UNIONS = 64


def may_show(offer: OfferView, ideal: int) -> int:
    """E: the reading less orders known since, or an open write, whichever is more; a guess where nothing was read."""
    if offer.read is not None:
        now = max(0, offer.read - (offer.known_since if offer.code else 0))
        return max(now, offer.write or 0, offer.replaced)
    guesses = (
        offer.write,
        offer.last_written,
        offer.rule.cap and offer.rule.cap // offer.rule.units_per_sale,
    )
    return next((each for each in guesses if each is not None), ideal)


def stock_left(position: Position, component: Sku, union: Locations) -> tuple[int, int]:
    """Eaches of a component within some locations that nothing takes: for lowers, and for raises."""
    sold_from = union - position.excluded_of(component)
    rows = [row for row in position.stock if row.sku == component and row.location in sold_from]
    inside = [each for each in position.claims if each.component == component and each.locations <= union]
    ordered = sum(each.units + each.waived for each in inside if each.kind in ORDERED)
    taken = sum(each.units for each in inside if each.kind not in KEPT_FROM_RAISES)
    unseen = max(0, sum(row.allocated for row in rows) - ordered)
    left = max(0, sum(max(0, row.on_hand - row.unavailable) for row in rows) - taken - unseen)
    return left, max(0, left - sum(each.units for each in inside if each.kind in KEPT_FROM_RAISES))


def unions_of(position: Position, component: Sku) -> list[Locations]:
    """Every union of the listings' locations, and of those with the claims that lie across its border."""
    barred = position.excluded_of(component)
    sets = {each.locations - barred for each in position.offers if each.use_of(component)}
    claimed = {each.locations for each in position.claims if each.component == component}
    found: set[Locations] = set()
    for one in sets:
        found |= {one, *(one | other for other in found)}
    waiting = list(found)
    while waiting and len(found) < MOST_UNIONS:
        union = waiting.pop()
        wider = {union | each for each in claimed if each & union and not each <= union} - found
        found |= wider
        waiting += wider
    return sorted(found, key=sorted)


def declared(position: Position, component: Sku, union: Locations, showing: Sequence[OfferView]) -> int:
    """Eaches that a person lets these listings show of a component though they lie on no shelf of these locations."""
    lent = position.pool.overcommit if any(each.rule.minimum for each in showing) else 0
    if any(each.sells_past_zero for each in showing):
        coming = (each for each in position.inbound if each.sku == component and each.location in union)
        lent += sum(each.counted for each in coming)
    return lent


def together(position: Position, offer: OfferView) -> list[OfferView]:
    """Those that never show the same unit: all of a split pool, of a shared one a listing at each of its places."""
    return [o for o in position.offers if position.split or o.slot.at_one_listing(offer.slot)]


def sends_beyond_room(plan: GroupPlan) -> Found:
    """I1, I2, I3 of what a plan sends, one write after another on what all may still be showing."""
    position = plan.position
    shown = {a.slot: may_show(o, a.ideal) for o, a in zip(position.offers, plan.allocations, strict=True)}
    offers = {each.slot: each for each in position.offers}
    for entry in plan.sends:
        raises = entry.target > shown[entry.slot]
        shown[entry.slot] = max(shown[entry.slot], entry.target)
        beside = together(position, offers[entry.slot])
        for component, use in offers[entry.slot].uses:
            mine = offers[entry.slot].locations - position.excluded_of(component)
            for union in (each for each in unions_of(position, component) if mine <= each):
                left, for_raises = stock_left(position, component, union)
                sharing = [o for o in beside if o.locations - position.excluded_of(component) <= union]
                total = sum(shown[each.slot] * each.use_of(component) for each in sharing)
                total -= declared(position, component, union, sharing)
                where = f"{entry.slot.path}: {entry.target} of {component}"
                if entry.target * use > left + declared(position, component, union, [offers[entry.slot]]):
                    yield "I1", f"{where} is more than the {left} left"
                if raises and len(beside) > 1 and total > left:
                    yield "I2", f"{where} makes {len(sharing)} listings show {total} of {left}"
                elif raises and len(beside) > 1 and total > for_raises:
                    yield (
                        "I3",
                        f"{where} makes {len(sharing)} listings show {total} where {for_raises} may be",
                    )


def silent_zeros(plan: GroupPlan) -> Found:
    """I5: zero of a shared pool that has a whole unit for the listing by its own rule."""
    position = plan.position
    for entry in (each for each in plan.sends if each.target == 0):
        offer = next(each for each in position.offers if each.slot == entry.slot)
        others = [each for each in together(position, offer) if each is not offer]
        rule = offer.rule
        plain = isinstance(rule.normal, Percent) and rule.low_stock is None and not rule.buffer
        if position.split or not plain or rule.cap is not None or not isinstance(rule.normal, Percent):
            continue
        if len(offer.uses) > 1 and position.pool.bundles is BundleMode.PER_WAREHOUSE:
            continue  # what each warehouse can make up by itself is more than this arithmetic
        each = rule.units_per_sale
        spare = [
            (stock_left(position, c, union)[0] - _shown(others, c, union) - _set_aside(position, offer, c))
            // (use // each)
            * rule.normal.permille
            // 1000
            for c, use in offer.uses
            for union in unions_of(position, c)
            if offer.locations - position.excluded_of(c) <= union
        ]
        if offer.pushed and position.limits.mode is Mode.NET:
            spare.append(each * pushed_number(position, offer))
        if min(spare, default=0) >= each:
            yield "I5", f"{entry.slot.path}: zero, though its rule gives it {min(spare) // each}"


def _shown(offers: Sequence[OfferView], component: Sku, union: Locations) -> int:
    """Eaches that these may be showing within some locations."""
    return sum(may_show(o, 0) * o.use_of(component) for o in offers if o.locations <= union)


def _set_aside(position: Position, offer: OfferView, component: Sku) -> int:
    """Eaches of a component at most that pots keep for other listings: each has one, at however many places."""
    pots = {
        (each.slot.channel, each.slot.listing): each.rule.pot
        for each in position.offers
        if each.use_of(component) and not each.slot.at_one_listing(offer.slot)
    }
    return sum(pots.values())


def pushed_number(position: Position, offer: OfferView) -> int:
    """What Extensiv itself shows, which mode net never exceeds: what its rows have and have not allocated."""
    mine = {c: offer.locations - position.excluded_of(c) for c, _ in offer.uses}
    return min(
        sum(
            max(0, row.on_hand - row.unavailable - row.allocated)
            for row in position.stock
            if row.sku == c and row.location in mine[c]
        )
        // use
        for c, use in offer.uses
    )


def blind_raises(plan: GroupPlan) -> Found:
    """I4 and I11: a raise from what is not known, or is older than a raise, or anything, may use."""
    position, ages = plan.position, plan.position.ages
    for entry in (each for each in plan.sends if not each.lowers):
        offer = next(each for each in position.offers if each.slot == entry.slot)
        needed = [row for row in position.stock if row.sku in dict(offer.uses)]
        oldest = max((position.at - row.age_of for row in needed), default=0)
        own = position.at - offer.age_of
        if set(dict(offer.uses)) & set(position.unknown) or oldest > ages.stock_ms or own > ages.own_slot_ms:
            yield "I4", f"{entry.slot.path}: raised from stock of {oldest} ms and its own of {own} ms"
        if max(oldest, own) > ages.max_age_ms or position.channel(offer.slot.channel).dark:
            yield "I11", f"{entry.slot.path}: raised while what it rests on counts as unknown"


def strangers(plan: GroupPlan) -> Found:
    """I17: a write to a slot that is not ours."""
    for entry in plan.sends:
        offer = next(each for each in plan.position.offers if each.slot == entry.slot)
        if not offer.rule.managed or offer.ambiguous or offer.state is not SlotState.BUYABLE:
            yield "I17", f"{entry.slot.path}: written, and not ours"


def undetermined(plan: GroupPlan, rails: Rails) -> Found:
    """I14: the same inputs decided again, and in another order, give the same bytes."""
    position = plan.position
    turned = replace(
        position,
        offers=position.offers[::-1],
        channels=position.channels[::-1],
        claims=position.claims[::-1],
        stock=position.stock[::-1],
    )
    told = canonical(plan.entries)
    for how, again in (("again", position), ("in another order", turned)):
        if canonical(make_plan(again, rails).entries) != told:
            yield "I14", f"{position.group}: the same inputs {how} give another plan"


def unfair_shares(position: Position) -> Found:
    """I19, of pools of one SKU: one more unit lowers no share, and a split of everything is exact.

    But for what percentages that are ceilings take: each is a whole number of its own, and several may rise at once.
    """
    component = position.offers[0].uses[0][0] if position.offers and position.offers[0].uses else None
    rows = [row for row in position.stock if row.sku == component]
    if component is None or not rows or {o.uses for o in position.offers} != {((component, 1),)}:
        return
    shares = _ideals(allocate(position))
    rising = sum(each.rule.weight is not None and 0 < _permille(each) < 1000 for each in position.offers)
    more = replace(rows[0], on_hand=rows[0].on_hand + 1)
    stock = tuple(more if row is rows[0] else row for row in position.stock)
    for slot, share in _ideals(allocate(replace(position, stock=stock))).items():
        if share < shares[slot] - max(0, rising - 1) and not any(
            each.rule.low_stock for each in position.offers
        ):
            yield "I19", f"{slot.path}: its share falls from {shares[slot]} to {share} with one unit more"
    everywhere = {each.locations for each in position.offers}
    if position.split and len(everywhere) == 1 and all(_plain(position, each) for each in position.offers):
        left, _ = stock_left(position, component, next(iter(everywhere)))
        due, given = _divided(position.offers, left), sum(shares.values())
        if due is not None and given != due:
            yield "I19", f"{position.group}: {left} units are split into {given}"


def _divided(offers: Sequence[OfferView], left: int) -> int | None:
    """What the shares of a split of so many units come to, where this arithmetic knows it.

    With weights, percentages are ceilings, each a whole number of its own, and of what pots leave; without, they
    divide everything where they add up to it.
    """
    if any(each.rule.weight is not None for each in offers):
        plain = not any(each.rule.pot for each in offers)
        return min(left, sum(left * _permille(each) // 1000 for each in offers)) if plain else None
    parts: dict[str, int] = {}
    for each in offers:
        parts[each.slot.channel] = max(_permille(each), parts.get(each.slot.channel, 0))
    return left if sum(parts.values()) >= 1000 else None


def _plain(position: Position, offer: OfferView) -> bool:
    rule = offer.rule
    ours = rule.managed and not offer.ambiguous and offer.state is SlotState.BUYABLE
    bounded = rule.cap is not None or rule.buffer or rule.floor or rule.minimum or rule.low_stock
    channel = position.channel(offer.slot.channel)
    return (
        ours
        and not channel.dark
        and not channel.decrease_only
        and not bounded
        and not offer.pushed
        and isinstance(rule.normal, Percent)
    )


def _permille(offer: OfferView) -> int:
    return offer.rule.normal.permille if isinstance(offer.rule.normal, Percent) else 0


def _ideals(allocations: tuple[Allocation, ...]) -> Mapping[SlotKey, int]:
    return {each.slot: each.ideal for each in allocations}


def of_sends(plan: GroupPlan) -> Found:
    """Everything that what a plan sends may break."""
    if plan.sends:
        for check in (sends_beyond_room, silent_zeros, blind_raises, strangers):
            yield from check(plan)


def of_inputs(plan: GroupPlan, rails: Rails) -> Found:
    """What takes deciding again: dear, so sampled."""
    yield from undetermined(plan, rails)
    yield from unfair_shares(plan.position)
