"""I19 and Hall's condition: shares against divisors given out by hand, room against every way to place the units."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

from hypothesis import example, given
from hypothesis import strategies as st

from reconcilerd.domain.allocation import allocate
from reconcilerd.domain.bundles import Uses
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import ChannelName, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import BundleMode, MaxUnits, Mode, Percent
from reconcilerd.domain.position import Claim, ClaimKind, OfferView, Position
from reconcilerd.domain.quantities import MAX_UNITS
from reconcilerd.domain.room import Room, Shelf, room_of
from reconcilerd.domain.shares import Taker, fill
from reconcilerd.domain.terms import ours
from tests.domain.builders import EVERYWHERE, A, B, claim, offer, position, row, slot
from tests.domain.strategies import FEWER, WIDE, positions

C = LocationName("C")
X, Y = Sku("x"), Sku("y")
TWO_SHELVES = st.sampled_from([frozenset({A}), frozenset({B}), EVERYWHERE])
THREE_PLACES = st.sets(st.sampled_from([A, B, C]), min_size=1).map(frozenset)
weights = st.lists(st.integers(1, 9), min_size=1, max_size=5)


def ideals(where: Position) -> dict[SlotKey, int]:
    return {each.slot: each.ideal for each in allocate(where)}


def one_regime(where: Position) -> Position:
    """Without rules for low stock, whose switch is declared to lower."""
    return replace(
        where, offers=tuple(replace(o, rule=replace(o.rule, low_stock=None)) for o in where.offers)
    )


def more(where: Position, sku: str, units: int) -> Position:
    stock = tuple(replace(r, on_hand=r.on_hand + units) if r.sku == sku else r for r in where.stock)
    return replace(where, stock=stock)


# Shares.


@FEWER
@given(positions(sound=True), st.randoms(use_true_random=False))
def test_in_which_order_channels_are_listed_does_not_matter(where: Position, chance: object) -> None:
    mixed = tuple(chance.sample(where.offers, len(where.offers)))  # type: ignore[attr-defined]
    assert ideals(replace(where, offers=mixed)) == ideals(where)


@FEWER
@given(positions(sound=True, split=False), st.sampled_from("xy"), st.integers(1, 9))
def test_more_stock_never_lowers_a_share_of_a_shared_pool(where: Position, sku: str, units: int) -> None:
    """Bundles, packs, caps, floors and buffers included."""
    where = one_regime(where)
    less, many = ideals(where), ideals(more(where, sku, units))
    assert all(less[each] <= many[each] for each in less)


@given(
    st.lists(
        st.tuples(st.integers(0, 1000), TWO_SHELVES, st.none() | st.integers(0, 20), st.integers(0, 4)),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 9),
)
def test_more_stock_never_lowers_a_share_of_a_split_pool(
    rules: list[tuple[int, frozenset[LocationName], int | None, int]], here: int, there: int, units: int
) -> None:
    """Of one SKU, whatever the weights, location sets, caps and floors."""
    offers = [
        offer(
            f"c{i}",
            Percent(weight),
            locations=places,
            cap=cap,
            floor=floor if cap is None else min(cap, floor),
        )
        for i, (weight, places, cap, floor) in enumerate(rules)
    ]
    where = position(offers, [row(A, here), row(B, there)], split=True)
    less, many = ideals(where), ideals(more(where, "x", units))
    assert all(less[each] <= many[each] for each in less)


@FEWER
@given(positions(sound=True, split=True))
def test_a_split_leaves_nothing_that_policy_would_give(where: Position) -> None:
    """I20: whoever could show one more is at the most that its rule allows."""
    where = replace(
        where,
        offers=tuple(replace(o, rule=replace(o.rule, buffer=0, low_stock=None)) for o in where.offers),
    )
    given_out, room = ideals(where), room_of(where)
    parts: dict[Sku, dict[str, int]] = {}
    for o in where.offers:
        if isinstance(o.rule.normal, Percent):
            part = parts.setdefault(o.sku, {})
            part[o.slot.channel] = max(part.get(o.slot.channel, 0), o.rule.normal.permille)
    for each in where.offers:
        whole = sum(parts.get(each.sku, {}).values()) >= 1000
        weighty = isinstance(each.rule.normal, Percent) and each.rule.normal.permille > 0
        free = each.rule.cap is None and weighty and whole
        if ours(each) and free and given_out[each.slot] < MAX_UNITS:
            assert room.headroom(each.slot, given_out, raising=False) < 1


@given(weights, st.integers(0, 40))
def test_a_stock_that_the_weights_divide_is_divided_by_them(parts: list[int], times: int) -> None:
    """Scaling: twice the stock is twice each share."""
    total = sum(parts)
    takers = [Taker(slot(f"c{i}"), part, MAX_UNITS) for i, part in enumerate(parts)]
    shelf = Shelf(X, EVERYWHERE, total * times, 0, 0, 0, tuple((t.slot, 1) for t in takers))
    assert list(fill(Room((shelf,)), takers, {}).values()) == [part * times for part in parts]


def by_hand(room: Room, takers: Sequence[Taker], start: Mapping[SlotKey, int]) -> dict[SlotKey, int]:
    """D'Hondt, a unit at a time: the largest weight for each unit already had; who cannot have one is out."""
    given_out = {**dict.fromkeys((t.slot for t in takers), 0), **start}
    waiting = list(takers)
    while waiting:
        best = max(waiting, key=lambda t: Fraction(t.weight, t.step * (given_out[t.slot] + 1)))
        first = [
            t
            for t in waiting
            if Fraction(t.weight, t.step * (given_out[t.slot] + 1))
            == Fraction(best.weight, best.step * (given_out[best.slot] + 1))
        ]
        taker = min(first, key=lambda t: t.slot)
        grown = {**given_out, taker.slot: given_out[taker.slot] + 1}
        if taker.weight > 0 and grown[taker.slot] <= taker.cap and room.fits(grown):
            given_out = grown
        else:
            waiting.remove(taker)
    return given_out


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), THREE_PLACES), min_size=1, max_size=4),
    st.lists(st.integers(0, 12), min_size=3, max_size=3),
)
def test_shares_are_those_given_out_a_unit_at_a_time(
    wants: list[tuple[int, int, frozenset[LocationName]]], stock: list[int]
) -> None:
    """Whatever the overlap of the location sets."""
    offers = [offer(f"c{i}", locations=places) for i, (_, _, places) in enumerate(wants)]
    room = room_of(position(offers, [row(p, n) for p, n in zip((A, B, C), stock, strict=True)]))
    takers = [Taker(slot(f"c{i}"), weight, cap) for i, (weight, cap, _) in enumerate(wants)]
    found = fill(room, takers, {})
    assert {t.slot: found.get(t.slot, 0) for t in takers} == by_hand(room, takers, {})


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 6])), min_size=1, max_size=4),
    st.integers(0, 60),
)
def test_packs_are_given_out_a_pack_at_a_time(wants: list[tuple[int, int]], stock: int) -> None:
    takers = [Taker(slot(f"c{i}"), weight, MAX_UNITS, step) for i, (weight, step) in enumerate(wants)]
    room = Room((Shelf(X, EVERYWHERE, stock, 0, 0, 0, tuple((t.slot, t.step) for t in takers)),))
    assert fill(room, takers, {}) == by_hand(room, takers, {})


@given(weights, st.integers(0, 60), st.integers(0, 60), st.integers(0, 9))
def test_two_places_that_serve_the_same_listings_are_one(
    parts: list[int], here: int, there: int, taken: int
) -> None:
    offers = [offer(f"c{i}", Percent(1000 // len(parts))) for i in range(len(parts))]
    one = position(offers, [row(A, here), row(B, there)], [claim(min(taken, here), where=frozenset({A}))])
    other = position(offers, [row(A, here + there), row(B, 0)], [claim(min(taken, here))])
    for split in (True, False):
        assert ideals(replace(one, split=split)) == ideals(replace(other, split=split))


@FEWER
@given(positions(sound=True))
def test_of_nothing_nothing_is_offered(where: Position) -> None:
    empty = replace(where, stock=tuple(replace(each, on_hand=0, allocated=0) for each in where.stock))
    assert set(ideals(empty).values()) <= {0}
    assert all(each.desired == 0 for each in allocate(empty))


@FEWER
@given(positions(sound=True))
def test_rules_bound_each_share(where: Position) -> None:
    """Cap, maximum and buffer in eaches, whatever one sale takes."""
    where = one_regime(where)
    room, given_out = room_of(where), ideals(where)
    for each in where.offers:
        eaches = given_out[each.slot] * each.rule.units_per_sale
        assert 0 <= given_out[each.slot] <= room.alone(each.slot)
        if each.rule.cap is not None:
            assert eaches <= max(0, each.rule.cap - each.rule.buffer)
        if isinstance(each.rule.normal, MaxUnits):
            assert eaches <= max(0, max(each.rule.normal.units, each.rule.floor) - each.rule.buffer)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 40))
def test_floors_come_first_as_far_as_there_is_stock(floors: list[int], stock: int) -> None:
    offers = [offer(f"c{i}", Percent(0), floor=floor) for i, floor in enumerate(floors)]
    found = ideals(position(offers, [row(A, stock)], split=True))
    assert sum(found.values()) == min(stock, sum(floors))
    assert all(found[slot(f"c{i}")] <= floor for i, floor in enumerate(floors))


@FEWER
@given(positions(sound=True))
def test_the_largest_numbers_break_nothing(where: Position) -> None:
    """Nothing is ever written that no channel could show, however much several places hold together."""
    huge = tuple(replace(each, on_hand=MAX_UNITS, allocated=0) for each in where.stock)
    rules = tuple(replace(o, rule=replace(o.rule, normal=Percent(1000), cap=None)) for o in where.offers)
    plan = make_plan(replace(where, stock=huge, offers=rules), Rails(Mode.AUTO))
    assert all(0 <= each.ideal <= MAX_UNITS for each in plan.allocations)
    assert all(0 <= each.target <= MAX_UNITS for each in plan.entries)


# Room: every way to place the units, tried.


def placeable(
    needs: Sequence[tuple[frozenset[LocationName], int]], stock: Mapping[LocationName, int]
) -> bool:
    """Whether units with their allowed places can all be put somewhere: augmenting paths, a unit at a time."""
    units = [places for places, count in needs for _ in range(count)]
    at: dict[LocationName, list[int]] = {place: [] for place in stock}

    def put(unit: int, tried: set[LocationName]) -> bool:
        for place in sorted(units[unit] & stock.keys()):
            if place in tried:
                continue
            tried.add(place)
            if len(at[place]) < stock[place]:
                at[place].append(unit)
                return True
            for other in list(at[place]):
                if put(other, tried):
                    at[place].remove(other)
                    at[place].append(unit)
                    return True
        return False

    return all(put(unit, set()) for unit in range(len(units)))


RECIPES: dict[str, Uses] = {"x": ((X, 1),), "y": ((Y, 1),), "set": ((X, 1), (Y, 2)), "pack": ((X, 3),)}
listings = st.lists(
    st.tuples(st.sampled_from(sorted(RECIPES)), THREE_PLACES, st.integers(0, 4)), min_size=1, max_size=4
)
shelves = st.fixed_dictionaries({p: st.tuples(st.integers(0, 6), st.integers(0, 6)) for p in (A, B, C)})
taken = st.lists(st.tuples(st.sampled_from("xy"), THREE_PLACES, st.integers(0, 3)), max_size=3)


def offered(
    listed: Sequence[tuple[str, frozenset[LocationName], int]], recipes: Mapping[str, Uses]
) -> list[OfferView]:
    """Listings (SKU, places, what it shows), each on a channel of its own."""
    return [
        replace(
            offer(f"c{i}", shown=shown, uses=recipes[sku], sku=sku, locations=places),
            slot=SlotKey(ChannelName(f"c{i}"), sku, ""),
        )
        for i, (sku, places, shown) in enumerate(listed)
    ]


def pool(
    listed: list[tuple[str, frozenset[LocationName], int]],
    stock: Mapping[LocationName, tuple[int, int]],
    claimed: list[tuple[str, frozenset[LocationName], int]],
    bundles: BundleMode,
) -> Position:
    offers = offered(listed, RECIPES)
    rows = [row(p, n, s) for p, both in stock.items() for s, n in zip("xy", both, strict=True)]
    claims = [Claim(ClaimKind.IN_FLIGHT, Sku(s), n, places) for s, places, n in claimed]
    return replace(
        position(offers, rows, claims, split=True, limits=WIDE, bundles=bundles),
        all_locations=frozenset({A, B, C}),
    )


@given(listings, shelves, taken)
def test_what_fits_is_what_can_be_placed(
    listed: list[tuple[str, frozenset[LocationName], int]],
    stock: dict[LocationName, tuple[int, int]],
    claimed: list[tuple[str, frozenset[LocationName], int]],
) -> None:
    """R13: headroom over unions and components is Hall's condition, claims counted like listings."""
    where = pool(listed, stock, claimed, BundleMode.POOLED)
    on_shelf = {Sku(s): {p: both[i] for p, both in stock.items()} for i, s in enumerate("xy")}
    held = {s: [(c.locations, c.units) for c in where.claims if c.component == s] for s in (X, Y)}
    if not all(placeable(held[s], on_shelf[s]) for s in (X, Y)):
        return
    shown = {each.slot: each.read or 0 for each in where.offers}
    wanted = {s: [(o.locations, o.use_of(s) * shown[o.slot]) for o in where.offers] for s in (X, Y)}
    possible = all(placeable([*held[s], *wanted[s]], on_shelf[s]) for s in (X, Y))
    assert room_of(where).fits(shown) == possible


@given(listings, shelves)
def test_a_bundle_that_ships_from_one_place_never_hides_what_can_be_assembled(
    listed: list[tuple[str, frozenset[LocationName], int]], stock: dict[LocationName, tuple[int, int]]
) -> None:
    """Where any choice of places serves all that is shown, it fits."""
    where = pool(listed, stock, [], BundleMode.PER_WAREHOUSE)
    shown = {each.slot: each.read or 0 for each in where.offers}
    units_ = [(o.uses, o.locations) for o in where.offers for _ in range(shown[o.slot])][:6]
    if len(units_) == sum(shown.values()) and _assembled(units_, stock):
        assert room_of(where).fits(shown)


Z = Sku("z")
KITS: dict[str, Uses] = {
    **{str(each): ((each, 1),) for each in (X, Y, Z)},
    "xy": ((X, 1), (Y, 1)),
    "xz": ((X, 1), (Z, 1)),
    "xx-z": ((X, 2), (Z, 1)),
}
three = st.tuples(*[st.integers(0, 3)] * 3)


def kits(
    listed: Sequence[tuple[str, frozenset[LocationName], int]],
    stock: Mapping[LocationName, tuple[int, ...]],
) -> Position:
    rows = [row(p, n, s) for p, some in stock.items() for s, n in zip("xyz", some, strict=True)]
    where = position(offered(listed, KITS), rows, split=True, limits=WIDE)
    return replace(where, all_locations=frozenset(stock))


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(KITS)), THREE_PLACES, st.integers(0, 3)), min_size=2, max_size=4
    ),
    st.fixed_dictionaries({A: three, B: three, C: three}),
)
def test_bundles_that_share_a_component_never_hide_what_can_be_assembled(
    listed: list[tuple[str, frozenset[LocationName], int]], stock: dict[LocationName, tuple[int, ...]]
) -> None:
    where = kits(listed, stock)
    shown = {each.slot: each.read or 0 for each in where.offers}
    units_ = [(o.uses, o.locations) for o in where.offers for _ in range(shown[o.slot])][:6]
    if len(units_) == sum(shown.values()) and _assembled(units_, stock):
        assert room_of(where).fits(shown)


@given(
    st.tuples(*[st.integers(0, 3)] * 3),
    st.fixed_dictionaries({A: three, B: three}),
    st.sampled_from([frozenset({A, B}), frozenset({A}), frozenset({B})]),
)
@example((0, 3, 2), {A: (3, 0, 1), B: (2, 3, 3)}, frozenset({B}))
@example((2, 2, 0), {A: (2, 2, 2), B: (2, 1, 0)}, frozenset({A}))
def test_bundles_that_share_a_component_and_who_takes_it_alone_show_what_can_be_assembled_at_two_places(
    numbers: tuple[int, int, int], stock: dict[LocationName, tuple[int, ...]], alone: frozenset[LocationName]
) -> None:
    """Not only never less, but never more."""
    both = frozenset({A, B})
    listed = [
        (sku, places, n)
        for sku, places, n in zip(("xy", "xz", "x"), (both, both, alone), numbers, strict=True)
    ]
    where = kits(listed, stock)
    shown = {each.slot: each.read or 0 for each in where.offers}
    units_ = [(o.uses, o.locations) for o in where.offers for _ in range(shown[o.slot])]
    assert room_of(where).fits(shown) == _assembled(units_, stock)


def _assembled(
    wanted: Sequence[tuple[Uses, frozenset[LocationName]]], stock: Mapping[LocationName, tuple[int, ...]]
) -> bool:
    for choice in product(*(sorted(places) for _, places in wanted)):
        left = {(p, s): n for p, some in stock.items() for s, n in zip((X, Y, Z), some, strict=False)}
        for (uses, _), place in zip(wanted, choice, strict=True):
            for component, count in uses:
                left[place, component] -= count
        if min(left.values()) >= 0:
            return True
    return False


@given(positions(), st.lists(st.integers(0, 30), min_size=5, max_size=5), st.lists(st.integers(0, 5)))
def test_a_room_says_of_numbers_what_each_of_its_shelves_says(
    where: Position, numbers: list[int], lent: list[int]
) -> None:
    slots = [each.slot for each in where.offers]
    shown = dict(zip(slots, numbers, strict=False))
    own = room_of(where)
    room = own.lending(dict(zip(slots, lent, strict=False)))
    held = {name: max(0, units - room.beyond.get(name, 0)) for name, units in shown.items()}
    left = [shelf.left - shelf.taken(held) for shelf in room.shelves]
    assert room.fits(shown) == all(each >= 0 for each in left)
    assert room.excess(shown) == max((-each for each in left), default=0)
    used = [spare for spare, shelf in zip(left, room.shelves, strict=True) if shelf.use]
    assert room.free(shown) == max(used, default=0)
    for name in slots:
        for raising in (False, True):
            fitting = [
                ((shelf.left_for_raises if raising else shelf.left) - shelf.taken(shown)) // use
                for shelf in own.shelves
                for taker, use in shelf.use
                if taker == name
            ]
            assert own.headroom(name, shown, raising=raising) == min(fitting, default=0)
