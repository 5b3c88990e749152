"""Rules of exposure: weights, tiers, priorities, pots, minimums, inbound; over arbitrary pools, against brute force."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilerd.domain.adaptive import scarcity, stock_against_sales, turning_points, z_tenths
from reconcilerd.domain.allocation import Because, allocate
from reconcilerd.domain.change import Change, explained_units
from reconcilerd.domain.explain import explain
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.invariants import check_plan
from reconcilerd.domain.names import Instant, LocationName, Sku
from reconcilerd.domain.plan import GroupPlan, exposure, hidden, make_plan
from reconcilerd.domain.policy import Costs, Limits, MaxUnits, Mode, Percent, PoolMode
from reconcilerd.domain.position import ClaimKind, InboundView, OfferView, Position
from reconcilerd.domain.quantities import Rate
from tests.domain.builders import NOW, A, B, claim, offer, position, row

AUTO = Rails(Mode.AUTO)
WIDE = Limits(window_units=10**9, window_slots=10**6, unexplained_zeros=10**6, unexplained_fall_units=10**9)
ALL = Percent(1000)
C = LocationName("C")
NAMES = ("eu", "jp", "uk", "us")
SETS = [frozenset(each) for each in ({A}, {B}, {C}, {A, B}, {B, C}, {A, B, C})]
small = st.integers(0, 12)


def arriving(units: int, place: LocationName = A) -> InboundView:
    return InboundView(Sku("x"), place, units, Instant(NOW + 86_400_000))


def in_pool(where: Position, mode: PoolMode | None = None, overcommit: int = 0) -> Position:
    pool = replace(where.pool, overcommit=overcommit)
    return replace(where, pool=pool if mode is None else replace(pool, mode=mode))


def past_zero(listing: OfferView) -> OfferView:
    return replace(listing, sells_past_zero=True)


def ideals(where: Position) -> dict[str, int]:
    return {each.slot.channel: each.ideal for each in allocate(where)}


@st.composite
def listings(draw: st.DrawFn, *, inbound: bool = True) -> tuple[OfferView, ...]:
    """One to four listings of a SKU on overlapping sets of places, under any of the rules."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    weighted = draw(st.booleans())
    made = []
    for name in names:
        listing = offer(
            name,
            Percent(draw(st.sampled_from([1000, 500, 0]))),
            shown=draw(small),
            locations=draw(st.sampled_from(SETS)),
            write=draw(st.none() | small),
            cap=draw(st.none() | small),
            floor=draw(st.sampled_from([0, 0, 2])),
            buffer=draw(st.sampled_from([0, 0, 1])),
            units_per_sale=1,
            weight=draw(st.integers(1, 5)) if weighted else None,
            tier=draw(st.integers(1, 3)) if weighted else 1,
            priority=draw(st.none() | st.integers(1, 3)),
            pot=draw(st.sampled_from([0, 0, 1, 4])),
            minimum=draw(st.sampled_from([0, 0, 1, 3])),
        )
        made.append(past_zero(listing) if inbound and draw(st.booleans()) else listing)
    return tuple(made)


@st.composite
def pools(draw: st.DrawFn, *, inbound: bool = True) -> Position:
    """A pool over three places with any of the rules, shared or split, with claims of all kinds."""
    kinds = st.sampled_from([ClaimKind.COMMITTED, ClaimKind.RESERVED, ClaimKind.BURIED])
    claims = [
        claim(draw(st.integers(1, 5)), draw(kinds), where=draw(st.sampled_from(SETS)))
        for _ in range(draw(st.integers(0, 2)))
    ]
    rows = [row(place, draw(small)) for place in (A, B, C)]
    where = position(draw(listings(inbound=inbound)), rows, claims, split=draw(st.booleans()), limits=WIDE)
    coming = (
        draw(st.lists(st.builds(arriving, small, st.sampled_from([A, B, C])), max_size=2)) if inbound else []
    )
    where = in_pool(where, overcommit=draw(st.sampled_from([0, 0, 1, 3])))
    return replace(where, inbound=tuple(coming), all_locations=frozenset({A, B, C}))


def feasible(wanted: Sequence[tuple[frozenset[LocationName], int]], stock: dict[LocationName, int]) -> bool:
    """Whether every unit can be given a place of its own: by trying, one unit after another (augmenting paths)."""
    units = [places for places, count in wanted for _ in range(count)]
    shelf = [place for place, count in stock.items() for _ in range(count)]
    holder: dict[int, int] = {}

    def give(unit: int, seen: set[int]) -> bool:
        for spot, place in enumerate(shelf):
            if place in units[unit] and spot not in seen:
                seen.add(spot)
                if spot not in holder or give(holder[spot], seen):
                    holder[spot] = unit
                    return True
        return False

    return all(give(unit, set()) for unit in range(len(units)))


def lies(where: Position) -> dict[LocationName, int]:
    return {each.location: each.sellable for each in where.stock}


def on_the_way(where: Position) -> dict[LocationName, int]:
    """What the declared inbound brings beyond what lies there."""
    due = {place: sum(i.counted for i in where.inbound if i.location == place) for place in (A, B, C)}
    return {place: max(0, units - lies(where).get(place, 0)) for place, units in due.items()}


def taken_by_orders(where: Position) -> list[tuple[frozenset[LocationName], int]]:
    return [(c.locations, c.units) for c in where.claims if c.kind is not ClaimKind.BURIED]


@given(pools())
def test_no_rule_ever_sends_a_number_that_breaks_an_invariant(where: Position) -> None:
    """I1 to I3 and the rest, whatever is shown, written and claimed at the moment."""
    assert check_plan(make_plan(where, AUTO)) == ()


@given(pools(inbound=False))
def test_every_unit_of_a_split_pool_lies_somewhere_but_for_the_declared_overcommit(where: Position) -> None:
    """I2 for every union, by Hall's condition the other way round: the units are handed out one by one."""
    where = replace(where, split=True)
    orders = taken_by_orders(where)
    made = {each.slot: each for each in allocate(where)}
    if not feasible(orders, lies(where)):
        assert sum(each.beyond for each in made.values()) <= where.pool.overcommit
        return
    wanted = [(o.locations, made[o.slot].ideal - made[o.slot].beyond) for o in where.offers]
    assert feasible([*orders, *wanted], lies(where))
    assert sum(each.beyond for each in made.values()) <= where.pool.overcommit


@given(pools())
def test_inbound_is_promised_once_and_only_where_zero_does_not_stop_sales(where: Position) -> None:
    where = in_pool(where)  # no overcommit
    made = allocate(where)
    beyond = {each.slot: each.beyond for each in made}
    assert not any(beyond[o.slot] for o in where.offers if not o.sells_past_zero)
    if where.split:
        assert feasible([(o.locations, beyond[o.slot]) for o in where.offers], on_the_way(where))
    for listing in where.offers:
        assert feasible([(listing.locations, beyond[listing.slot])], on_the_way(where))


@given(pools(), st.sampled_from([A, B, C]))
def test_more_stock_lowers_nobody_and_hides_nothing_of_what_is_on_its_way(
    where: Position, place: LocationName
) -> None:
    """I19. What has come in is no longer on its way: only a pre-order's part of it may pass to the others.

    Of several percentages that are ceilings, each is a whole number of its own: where two rise with the same unit, who
    takes what they leave has one less.
    """
    where = replace(where, offers=tuple(replace(o, read=0, write=None) for o in where.offers))
    richer = replace(
        where, stock=tuple(replace(r, on_hand=r.on_hand + (r.location == place)) for r in where.stock)
    )
    less, more = ideals(where), ideals(richer)
    fewer = {name for name in less if more[name] < less[name]}
    ceilings = [o for o in where.offers if o.rule.weight is not None and o.rule.normal == Percent(500)]
    if where.split and len(ceilings) > 1:
        fewer = {name for name in fewer if less[name] - more[name] >= len(ceilings)}
    assert fewer <= {o.slot.channel for o in where.offers if o.sells_past_zero and where.inbound}


def test_two_ceilings_that_rise_with_one_unit_take_it_from_the_tier_below() -> None:
    offers = [offer(name, Percent(500), weight=1) for name in ("uk", "eu")]
    offers += [offer("us", weight=1, tier=2)]
    shares = [ideals(position(offers, [row(A, stock)], split=True)) for stock in (3, 4)]
    assert shares == [{"uk": 1, "eu": 1, "us": 1}, {"uk": 2, "eu": 2, "us": 0}]


@given(pools(), st.randoms(use_true_random=False))
def test_in_which_order_the_channels_stand_does_not_matter(where: Position, chance: object) -> None:
    """I19."""
    shuffled = list(where.offers)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    again = {each.slot: each for each in allocate(replace(where, offers=tuple(shuffled)))}
    assert all(again[each.slot] == each for each in allocate(where))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 60))
def test_weights_divide_all_there_is_in_their_proportion(weights: list[int], stock: int) -> None:
    offers = [offer(name, weight=weight) for name, weight in zip(NAMES, weights, strict=False)]
    found = ideals(position(offers, [row(A, stock)], split=True))
    assert sum(found.values()) == stock
    for name, weight in zip(NAMES, weights, strict=False):
        # The divisor method gives nobody a whole unit less than its exact part.
        exact = stock * weight / sum(weights)
        assert exact - 1 < found[name] < exact + len(weights)


@given(st.integers(0, 40), st.integers(0, 10), st.integers(0, 10))
def test_a_lower_tier_is_filled_before_a_higher_one(stock: int, first: int, second: int) -> None:
    offers = [
        offer("uk", weight=1, tier=1, cap=first),
        offer("eu", weight=9, tier=2, cap=second),
        offer("us", weight=1, tier=3),
    ]
    found = ideals(position(offers, [row(A, stock)], split=True))
    assert found["uk"] == min(stock, first)
    assert found["eu"] == min(stock - found["uk"], second)
    assert found["us"] == stock - found["uk"] - found["eu"]


@given(st.permutations([1, 2, 3]), st.integers(0, 3))
def test_the_last_units_stay_with_the_first_in_priority(places: list[int], stock: int) -> None:
    """However much less its weight is."""
    offers = [
        offer(name, weight=place**4, priority=place) for name, place in zip(NAMES, places, strict=False)
    ]
    found = ideals(position(offers, [row(A, stock)], split=True))
    assert found == {name: int(place <= stock) for name, place in zip(NAMES, places, strict=False)}


def test_a_priority_does_not_change_the_shares_of_plenty() -> None:
    shares = [("uk", 6, 3), ("eu", 3, 2), ("us", 1, 1)]
    offers = [offer(name, weight=weight, priority=place) for name, weight, place in shares]
    assert ideals(position(offers, [row(A, 100)], split=True)) == {"uk": 60, "eu": 30, "us": 10}


@given(st.integers(0, 30), st.integers(1, 12), st.booleans(), st.tuples(small, st.integers(0, 30)))
@example(30, 8, True, (7, 23))
@example(30, 8, False, (7, 23))
def test_a_pot_is_kept_for_its_listing_whatever_the_others_show(
    stock: int, pot: int, split: bool, shown: tuple[int, int]
) -> None:
    """And nobody is raised or left above what it leaves: no tolerance reaches into a pot."""
    offers = [
        offer("uk", Percent(0), shown=shown[0], pot=pot),
        offer("eu", Percent(1000), shown=shown[1]),
    ]
    where = position(offers, [row(A, stock)], split=split, limits=WIDE, dead_band_permille=500)
    made = {str(each.slot.channel): each for each in allocate(where)}
    assert made["uk"].ideal == min(pot, stock)
    assert max(made["eu"].ideal, made["eu"].desired) <= stock - min(pot, stock)


def test_a_channel_with_a_pot_shares_the_rest_too_unless_its_percentage_is_0() -> None:
    offers = [offer("uk", pot=5, weight=1), offer("eu", weight=1)]
    assert ideals(position(offers, [row(A, 15)], split=True)) == {"uk": 10, "eu": 5}
    shared = [offer("uk", pot=5), offer("eu")]
    assert ideals(position(shared, [row(A, 15)])) == {"uk": 15, "eu": 10}


def test_pots_that_ask_for_more_than_there_is_are_filled_by_priority() -> None:
    offers = [offer("eu", Percent(0), pot=5), offer("uk", Percent(0), pot=5, priority=1)]
    assert ideals(position(offers, [row(A, 7)], split=True)) == {"eu": 2, "uk": 5}


def test_what_cannot_be_sold_now_is_set_aside_for_nobody() -> None:
    idle = replace(offer("uk", Percent(0), shown=0, pot=5), ambiguous=True)
    assert ideals(position([idle, offer("eu")], [row(A, 7)], split=True))["eu"] == 7


@given(
    st.integers(0, 5), st.integers(0, 4), st.lists(st.integers(0, 3), min_size=1, max_size=4), st.booleans()
)
def test_minimums_never_show_more_beyond_stock_than_the_pool_may_overcommit(
    stock: int, overcommit: int, wanted: list[int], split: bool
) -> None:
    offers = [
        offer(name, Percent(1000 // len(wanted)), minimum=units)
        for name, units in zip(NAMES, wanted, strict=False)
    ]
    where = in_pool(position(offers, [row(A, stock)], split=split), overcommit=overcommit)
    made = allocate(where)
    assert sum(each.beyond for each in made) <= overcommit
    lacking = sum(
        max(0, units - each.ideal) for each, units in zip(made, sorted_by_name(wanted), strict=True)
    )
    assert not lacking or sum(each.beyond for each in made) == overcommit, "a unit of the budget lies idle"


def sorted_by_name(wanted: list[int]) -> list[int]:
    return [units for _, units in sorted(zip(NAMES, wanted, strict=False))]


def test_without_a_declared_overcommit_a_minimum_is_no_more_than_a_floor() -> None:
    offers = [offer("uk", Percent(0), minimum=3), offer("eu", minimum=3)]
    assert ideals(position(offers, [row(A, 4)], split=True)) == {"uk": 0, "eu": 4}
    assert ideals(position(offers, [row(A, 0)], split=True)) == {"uk": 0, "eu": 0}


def plan_of(offers: Sequence[OfferView], stock: int, overcommit: int) -> GroupPlan:
    where = position(offers, [row(A, stock)], split=True, limits=WIDE)
    return make_plan(in_pool(where, overcommit=overcommit), AUTO)


def test_a_minimum_is_sent_beyond_stock_and_is_neither_exposure_nor_hidden() -> None:
    plan = plan_of([offer("uk", minimum=2, shown=0)], 0, overcommit=2)
    assert [(e.target, e.verdict) for e in plan.entries] == [(2, Verdict.SEND)]
    assert plan.allocations[0].because is Because.MINIMUM
    assert (exposure(plan), hidden(plan)) == (0, 0)
    shown = plan_of([offer("uk", minimum=2, shown=3)], 0, overcommit=2)
    assert exposure(shown) == 1, "what goes beyond the budget is exposure"


@pytest.mark.parametrize("split", [True, False])
def test_what_lies_on_no_shelf_is_not_hidden_while_nobody_shows_it(split: bool) -> None:
    where = position([offer("uk", minimum=2, shown=0)], [row(A, 0)], split=split, limits=WIDE)
    plan = make_plan(in_pool(where, overcommit=2), AUTO)
    assert [each.beyond for each in plan.allocations] == [2]
    assert hidden(plan) == 0


def test_a_raise_into_the_stock_does_not_wait_for_what_is_overcommitted() -> None:
    """Another listing's minimum lies on no shelf: it takes no headroom."""
    offers = [offer("uk", weight=1, shown=3), offer("eu", weight=1, tier=2, minimum=1, shown=1)]
    plan = plan_of(offers, 5, overcommit=1)
    assert {e.slot.channel: e.target for e in plan.sends} == {"uk": 4}
    assert check_plan(plan) == ()


def test_sold_out_reaches_zero_at_once_beside_a_listing_that_shows_inbound() -> None:
    """No tolerance lets a listing live on what is on its way."""
    offers = [offer("uk", weight=1, shown=1), past_zero(offer("eu", weight=1, shown=98))]
    where = position(offers, [row(A, 0)], split=True, limits=WIDE)
    plan = make_plan(replace(where, inbound=(arriving(100),)), AUTO)
    assert {e.slot.channel: e.target for e in plan.sends if e.lowers} == {"uk": 0}


def test_what_has_come_early_is_counted_once() -> None:
    """A hundred are on their way; forty of them lie there already."""
    seller = past_zero(offer("uk"))
    empty = position([seller], [row(A, 0)])
    early = position([seller], [row(A, 40)])
    for where in (empty, early):
        assert ideals(replace(where, inbound=(arriving(100),))) == {"uk": 100}


def test_deliveries_to_one_place_add_up_and_each_place_counts_what_has_come_early_there() -> None:
    seller = past_zero(offer("uk", shown=0))
    there = replace(arriving(4), location=B)
    where = replace(position([seller], [row(A, 0)]), inbound=(arriving(5), arriving(7), there))
    assert ideals(where) == {"uk": 16}
    assert ideals(replace(where, stock=(row(A, 12), row(B, 1)))) == {"uk": 13 + 3}
    assert ideals(replace(where, stock=(row(A, 50), row(B, 0)))) == {"uk": 50 + 4}, "at A all of it has come"


def test_orders_beyond_stock_are_taken_from_what_is_on_its_way() -> None:
    where = position([past_zero(offer("uk"))], [row(A, 5)], [claim(30)])
    assert ideals(replace(where, inbound=(arriving(100),))) == {"uk": 70}


def test_a_listing_that_sells_past_zero_hides_nothing() -> None:
    plan = make_plan(position([past_zero(offer("uk", shown=0))], [row(A, 9)], limits=WIDE), AUTO)
    assert hidden(plan) == 0
    assert hidden(make_plan(position([offer("uk", shown=0)], [row(A, 9)], limits=WIDE), AUTO)) == 9


@given(pools())
def test_every_rule_is_told(where: Position) -> None:
    plan = make_plan(where, AUTO)
    for each in plan.allocations:
        said = " ".join(explain(plan, each.slot)["sentences"])
        assert f"its ideal is {each.ideal}." in said
        assert ("lie on no shelf" in said) == (each.beyond > 0)
        for other in where.offers:
            if other.rule.pot and other.slot != each.slot:
                assert f"{other.rule.pot} for {other.slot.channel}" in said


def adaptive(rate: int, stock: int, costs: Mapping[str, Costs | None], split: bool = False) -> Position:
    sellers = [replace(offer(name), rate=Rate(rate)) for name in costs]
    where = in_pool(position(sellers, [row(A, stock)], split=split), PoolMode.ADAPTIVE)
    channels = tuple(replace(c, slow_ms=200_000, costs=costs[c.name]) for c in where.channels)
    return replace(where, channels=channels)


def k_of(where: Position) -> int:
    ((_, _, bound),) = turning_points(where)
    return bound


def test_without_costs_an_adaptive_pool_turns_at_three_deviations() -> None:
    """K = mu + 3 sqrt(mu) + 1: 36 an hour sell 4 in 200 s on two channels, so 4 + 6 + 1."""
    where = adaptive(36_000, 11, {"uk": None, "eu": None})
    assert k_of(where) == 11
    assert scarcity(where, scarce=False)
    assert not scarcity(adaptive(36_000, 12, {"uk": None, "eu": None}), scarce=False)


def test_a_part_that_was_never_counted_turns_no_pool() -> None:
    """Unknown is not zero: what is left of it cannot be said to be little."""
    where = in_pool(position([offer("uk", uses=SET, sku="set")], [row(A, 500)]), PoolMode.ADAPTIVE)
    assert where.unknown == ("y",)
    assert not scarcity(where, scarce=False)
    assert scarcity(replace(where, stock=(row(A, 500), row(A, 0, "y")), unknown=()), scarce=False)


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_dearer_overselling_is_the_sooner_the_pool_is_split(
    rate: int, oversold: int, more: int, hidden_day: int
) -> None:
    cheap = adaptive(rate, 0, {"uk": Costs(oversold, hidden_day)})
    dear = adaptive(rate, 0, {"uk": Costs(oversold + more, hidden_day)})
    hiding = adaptive(rate, 0, {"uk": Costs(oversold, hidden_day + more)})
    assert k_of(hiding) <= k_of(cheap) <= k_of(dear)
    assert all(0 <= z_tenths(each, 200_000) <= 50 for each in (cheap, dear, hiding))


def test_costs_far_apart_move_the_turning_point_far() -> None:
    rare, usual, dear = (
        k_of(adaptive(90_000, 0, {"uk": costs})) for costs in (Costs(1, 10_000), None, Costs(10_000_000, 1))
    )
    assert (rare, usual, dear) == (5 + 1, 5 + 7 + 1, 5 + 12 + 1)


def test_the_costs_of_a_channel_weigh_as_much_as_it_sells() -> None:
    mixed = {"uk": Costs(1_000_000, 1), "eu": Costs(1, 1_000)}
    busy_uk, busy_eu = (
        replace(
            where,
            offers=tuple(replace(o, rate=Rate(rates[o.slot.channel])) for o in where.offers),
        )
        for where, rates in (
            (adaptive(0, 0, mixed), {"uk": 99_000, "eu": 1_000}),
            (adaptive(0, 0, mixed), {"uk": 1, "eu": 99_999}),
        )
    )
    assert z_tenths(busy_uk, 200_000) > z_tenths(busy_eu, 200_000)


@given(pools(), st.sampled_from([0, 1, 10, 100]), st.lists(st.integers(0, 10**7), min_size=4, max_size=4))
def test_however_wrong_the_rates_are_no_write_breaks_an_invariant(
    where: Position, tenths: int, rates: list[int]
) -> None:
    """They decide when a pool turns and how much is kept back, never whether there is enough."""
    wrong = {name: Rate(rate * tenths // 10) for name, rate in zip(NAMES, rates, strict=True)}
    where = in_pool(where, PoolMode.ADAPTIVE, where.pool.overcommit)
    where = replace(where, offers=tuple(replace(o, rate=wrong[o.slot.channel]) for o in where.offers))
    for split in (False, True):
        turned = scarcity(replace(where, split=split), scarce=split)
        assert check_plan(make_plan(replace(where, split=turned), AUTO)) == ()


def test_a_plain_shared_pool_never_turns_by_itself_and_an_old_turn_of_it_is_forgotten() -> None:
    where = position([offer("uk"), offer("eu")], [row(A, 1)])
    assert ideals(where) == {"uk": 1, "eu": 1}
    assert where.pool.mode is PoolMode.SHARED


@pytest.mark.parametrize("split", [True, False])
def test_reserved_units_are_offered_to_nobody(split: bool) -> None:
    where = position([offer("uk")], [row(A, 9)], [claim(4, ClaimKind.RESERVED)], split=split)
    assert ideals(where) == {"uk": 5}


def test_a_minimum_waits_while_the_others_still_show_more_than_there_is() -> None:
    """The overcommit is no room for what a peer shows too many."""
    offers = [offer("uk", weight=1, shown=3), offer("eu", weight=1, tier=2, minimum=1, shown=0)]
    plan = plan_of(offers, 2, overcommit=1)
    assert {e.slot.channel: (e.target, e.verdict) for e in plan.entries if not e.lowers} == {
        "eu": (0, Verdict.HOLD_HEADROOM)
    }
    assert check_plan(plan) == ()


def test_what_was_declared_is_no_exposure_beside_a_safety_stock_either() -> None:
    offers = [offer("uk", minimum=2, shown=2)]
    where = in_pool(position(offers, [row(A, 1)], [claim(1, ClaimKind.SAFETY)], split=True), overcommit=2)
    for shown, units in ((2, 0), (3, 0), (4, 1)):
        seen = replace(where, offers=(replace(offers[0], read=shown),))
        assert exposure(make_plan(seen, AUTO)) == units, "its minimum, one of the safety stock, no more"


def test_one_unit_more_than_was_declared_is_seen() -> None:
    plan = plan_of([offer("uk", minimum=2, shown=0)], 0, overcommit=2)
    assert check_plan(plan) == ()
    more = replace(plan, entries=tuple(replace(each, target=3) for each in plan.entries))
    assert {each.invariant for each in check_plan(more)} == {"I1", "I2"}
    seller = past_zero(offer("uk", shown=0))
    where = replace(position([seller], [row(A, 0)], split=True, limits=WIDE), inbound=(arriving(5),))
    sound = make_plan(where, AUTO)
    assert [(each.target, each.verdict) for each in sound.entries] == [(5, Verdict.SEND)]
    stops = replace(where, offers=(replace(seller, sells_past_zero=False),))
    assert {each.invariant for each in check_plan(replace(sound, position=stops))} == {"I1", "I2"}


@pytest.mark.parametrize(("oversold", "hidden_day"), [(0, 1), (1, 0), (-1, 5)])
def test_a_mistake_that_costs_nothing_is_refused(oversold: int, hidden_day: int) -> None:
    """Their ratio is what counts: there would be none."""
    with pytest.raises(ValueError, match="at least 1"):
        Costs(oversold, hidden_day)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize(("most", "per_sale", "shows"), [(8, 1, 8), (30, 1, 25), (12, 2, 6)])
def test_a_maximum_bounds_what_is_promised_of_what_is_on_its_way(
    split: bool, most: int, per_sale: int, shows: int
) -> None:
    uses = ((Sku("x"), per_sale),)
    listing = past_zero(offer("uk", MaxUnits(most), units_per_sale=per_sale, uses=uses))
    where = replace(position([listing], [row(A, 5)], split=split), inbound=(arriving(25),))
    assert ideals(where) == {"uk": shows}


def test_percentages_of_what_is_on_its_way_add_up_for_each_sku_by_itself() -> None:
    """Sixty of a hundred of x, and of y, that a bundle ties to it: neither divides all of its own."""
    y = ((Sku("y"), 1),)
    listings = [
        past_zero(offer("uk", Percent(600))),
        past_zero(offer("eu", Percent(600), uses=y, sku="y")),
        offer("us", Percent(0), uses=((Sku("x"), 1), (Sku("y"), 1)), sku="xy"),
    ]
    where = position(listings, [row(A, 0), row(A, 0, "y")], split=True)
    assert ideals(replace(where, inbound=(arriving(10),))) == {"uk": 6, "eu": 0, "us": 0}


SET = ((Sku("x"), 1), (Sku("y"), 2))


def test_a_bundle_is_promised_as_far_as_its_components_arrive_at_one_place() -> None:
    """Three can be built at A; with ten more x there as many as its y allow, and those that arrive at B build none."""
    listing = past_zero(offer("uk", ALL, uses=SET, sku="set"))
    rows = [row(A, 3), row(A, 10, "y"), row(B, 0), row(B, 20, "y")]
    where = position([listing], rows, split=True)
    assert ideals(where) == {"uk": 3}
    more_x = arriving(13)
    assert ideals(replace(where, inbound=(more_x, replace(more_x, sku=Sku("y"), counted=30)))) == {
        "uk": 3 + 10
    }
    elsewhere = replace(more_x, sku=Sku("y"), location=B, counted=30)
    assert ideals(replace(where, inbound=(more_x, elsewhere))) == {"uk": 5}


def test_a_pack_of_bundles_takes_as_many_as_it_holds_and_each_is_built_once() -> None:
    """Ten can be built: five packs of two."""
    pack = ((Sku("x"), 2), (Sku("y"), 2))
    listing = offer("uk", ALL, uses=pack, sku="box", units_per_sale=2)
    assert ideals(position([listing], [row(A, 10), row(A, 10, "y")])) == {"uk": 5}


@pytest.mark.parametrize("component", ["x", "y"])
def test_no_bundle_is_built_where_one_of_its_components_may_not_be_sold_from(component: str) -> None:
    rows = [row(place, 10, sku) for place in (A, B) for sku in ("x", "y")]
    listing = offer("uk", ALL, uses=SET, sku="set")
    assert ideals(position([listing], rows)) == {"uk": 10}
    assert ideals(position([listing], rows, excluded={component: frozenset({A})})) == {"uk": 5}


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 30))
@example(4, 6, 30)
def test_a_cap_bounds_a_pot_and_the_share_beside_it_together(pot: int, cap: int, stock: int) -> None:
    """And what the cap keeps from it, the others have."""
    offers = [offer("uk", pot=pot, cap=cap, weight=1), offer("eu", weight=1)]
    found = ideals(position(offers, [row(A, stock)], split=True))
    assert found["uk"] <= cap
    assert sum(found.values()) == stock


def test_a_channel_of_several_places_has_one_pot() -> None:
    here = offer("uk", Percent(0), pot=5, locations=frozenset({A}))
    there = replace(here, slot=replace(here.slot, place="there"), locations=frozenset({B}))
    rest = offer("eu", locations=frozenset({A, B}))
    for split in (True, False):
        made = allocate(position([here, there, rest], [row(A, 20), row(B, 20)], split=split))
        shares = {each.slot: each.ideal for each in made}
        assert (shares[here.slot], shares[there.slot], shares[rest.slot]) == (5, 0, 35)


def test_a_budget_of_overcommit_is_of_units_on_the_shelf_and_not_of_listings() -> None:
    """A bundle that takes two of a component spends two of what may be shown of it without being there."""
    twos = ((Sku("x"), 2),)
    offers = [offer(name, shown=0, uses=twos, minimum=1) for name in ("uk", "eu", "us")]
    where = in_pool(position(offers, [row(A, 0)], split=True), overcommit=3)
    assert sum(each.beyond for each in allocate(where)) == 1


def test_a_pool_turns_by_the_slowest_of_its_channels() -> None:
    def bound(*slow_ms: int) -> int:
        offers = [replace(offer(name), rate=Rate(60_000)) for name in ("uk", "eu")]
        where = position(offers, [row(A, 9)])
        channels = tuple(replace(each, slow_ms=ms) for each, ms in zip(where.channels, slow_ms, strict=True))
        return max(found for _, _, found in turning_points(replace(where, channels=channels)))

    assert bound(600_000, 1_000) == bound(1_000, 600_000) == bound(600_000, 600_000) > bound(1_000, 1_000)


def test_what_sold_explains_so_many_packs_as_it_fills() -> None:
    """Thirteen eaches are two packs of six: the third that is gone from a listing is nobody's order."""
    six = ((Sku("x"), 6),)
    where = replace(position([offer("uk", shown=5, uses=six)], [row(A, 12)]), sold=((Sku("x"), 13),))
    assert explained_units(where, where.offers[0]) == 2
    assert Change(where, where.offers[0], current=5, target=2).unexplained == 1


@pytest.mark.parametrize("each", [1, 2, 6])
def test_what_a_sale_takes_says_how_fast_stock_goes_and_not_how_many_sales_there_are(each: int) -> None:
    """A pack of six that sells once an hour empties a shelf as a single does that sells six times."""
    pack = replace(offer("uk", uses=((Sku("x"), each),)), rate=Rate(1_000))
    singles = replace(offer("uk"), rate=Rate(1_000 * each))
    assert list(stock_against_sales(position([pack], [row(A, 50)]), 3_600_000)) == list(
        stock_against_sales(position([singles], [row(A, 50)]), 3_600_000)
    )
