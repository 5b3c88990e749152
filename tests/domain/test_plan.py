"""Properties of plans over arbitrary positions: headroom, caps, exact splits, determinism, no invention."""

from dataclasses import replace
from itertools import chain, combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconcilerd.domain.allocation import allocate
from reconcilerd.domain.bundles import Uses
from reconcilerd.domain.facts import EnvelopeApproved
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.invariants import check_plan
from reconcilerd.domain.names import Instant, LocationName, Sku
from reconcilerd.domain.orders import RECORD_MS
from reconcilerd.domain.plan import (
    Wants,
    exposure,
    hidden,
    make_plan,
    once_agreed,
    released_by,
)
from reconcilerd.domain.policy import BundleMode, Limits, Mode, Percent
from reconcilerd.domain.position import Claim, ClaimKind, Position
from reconcilerd.domain.room import MAX_LOCATION_SETS, room_of
from tests.domain.builders import EVERYWHERE, NOW, A, B, claim, offer, position, row

AUTO = Rails(Mode.AUTO)
WIDE = Limits(window_units=10**9, window_slots=10**6, unexplained_zeros=10**6, unexplained_fall_units=10**9)
places = st.sampled_from([frozenset({A}), frozenset({B}), EVERYWHERE])
small = st.integers(0, 40)


@st.composite
def positions(draw: st.DrawFn, *, split: bool | None = None) -> Position:
    names = draw(st.lists(st.sampled_from(["eu", "uk", "us", "jp"]), min_size=1, max_size=4, unique=True))
    offers = [
        offer(
            name,
            Percent(1000 // len(names)),
            shown=draw(small),
            locations=draw(places),
            write=draw(st.none() | small),
            cap=draw(st.none() | small),
        )
        for name in names
    ]
    claims = [
        claim(
            draw(st.integers(0, 9)),
            draw(st.sampled_from([ClaimKind.COMMITTED, ClaimKind.BURIED])),
            where=draw(places),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    rows = [row(A, draw(small), allocated=draw(st.integers(0, 5))), row(B, draw(small))]
    return position(offers, rows, claims, split=draw(st.booleans()) if split is None else split, limits=WIDE)


def left_in(where: Position, union: frozenset[LocationName], *, raising: bool) -> int:
    """An independent count of what a union holds."""
    stock = sum(max(0, r.on_hand - r.unavailable) for r in where.stock if r.location in union)
    inside = [c for c in where.claims if c.locations <= union]
    ordered = sum(c.units for c in inside if c.kind is ClaimKind.COMMITTED)
    unseen = max(0, sum(r.allocated for r in where.stock if r.location in union) - ordered)
    buried = sum(c.units for c in inside if c.kind is ClaimKind.BURIED)
    return max(0, max(0, stock - ordered - unseen) - (buried if raising else 0))


def all_unions(where: Position) -> list[frozenset[LocationName]]:
    sets = sorted({each.locations for each in where.offers}, key=sorted)
    some = chain.from_iterable(combinations(sets, size) for size in range(1, len(sets) + 1))
    return [frozenset[LocationName]().union(*each) for each in some]


@given(positions(split=True))
def test_a_raise_stays_within_the_headroom_of_its_recorded_inputs(where: Position) -> None:
    shown = {each.slot: each.shown or 0 for each in where.offers}
    by_slot = {each.slot: each for each in where.offers}
    for entry in make_plan(where, AUTO).entries:
        if entry.verdict is not Verdict.SEND or entry.lowers:
            continue
        mine = by_slot[entry.slot].locations
        headroom = min(
            left_in(where, union, raising=True)
            - sum(shown[other.slot] for other in where.offers if other.locations <= union)
            for union in all_unions(where)
            if mine <= union
        )
        assert entry.target <= min(entry.desired, shown[entry.slot] + max(0, headroom))
        shown[entry.slot] = max(shown[entry.slot], entry.target)


@given(positions())
def test_no_plan_breaks_an_invariant(where: Position) -> None:
    assert check_plan(make_plan(where, AUTO)) == ()


@given(positions())
def test_the_same_position_gives_the_same_plan(where: Position) -> None:
    assert make_plan(where, AUTO) == make_plan(where, AUTO)


@given(st.integers(0, 500), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_split_is_exact(stock: int, weights: list[int]) -> None:
    total = sum(weights)
    shares = [1000 * weight // total for weight in weights]
    shares[0] += 1000 - sum(shares)
    offers = [offer(f"c{i}", Percent(share)) for i, share in enumerate(shares)]
    assert sum(each.ideal for each in allocate(position(offers, [row(A, stock)], split=True))) == stock


@given(st.integers(0, 200), st.lists(st.integers(1, 9), min_size=1, max_size=4), places, places)
def test_more_stock_never_lowers_a_share(
    stock: int, weights: list[int], one: frozenset[LocationName], other: frozenset[LocationName]
) -> None:
    total = sum(weights)
    offers = [
        offer(f"c{i}", Percent(1000 * weight // total), locations=one if i % 2 else other)
        for i, weight in enumerate(weights)
    ]
    assume(sum(1000 * weight // total for weight in weights) == 1000)
    less = allocate(position(offers, [row(A, stock), row(B, 20)], split=True))
    more = allocate(position(offers, [row(A, stock + 1), row(B, 20)], split=True))
    assert all(a.ideal <= b.ideal for a, b in zip(less, more, strict=True))


@given(positions(split=True))
def test_ideal_shares_always_fit_on_the_shelves(where: Position) -> None:
    ideal = {each.slot: each.ideal for each in allocate(where)}
    room = room_of(where)
    assert room.fits(ideal)
    for union in all_unions(where):
        inside = sum(ideal[each.slot] for each in where.offers if each.locations <= union)
        assert inside <= left_in(where, union, raising=False)


def test_a_component_nobody_counted_is_never_written() -> None:
    plan = make_plan(position([offer("uk", shown=5)], [], limits=WIDE), AUTO)
    assert [entry.verdict for entry in plan.entries] in ([], [Verdict.HOLD_UNKNOWN])


def test_a_sale_on_a_channel_causes_no_write_on_it() -> None:
    """The channel has taken the unit off itself: reading 50, one ordered since, 49 of 99 is right."""
    offers = [offer("uk", Percent(500), shown=50, known_since=1), offer("eu", Percent(500), shown=50)]
    where = position(offers, [row(A, 100)], [claim(1, ClaimKind.IN_FLIGHT)], split=True, limits=WIDE)
    assert make_plan(where, AUTO).entries == ()


def test_a_write_nobody_has_seen_yet_counts_as_shown() -> None:
    """E is the larger of reading and open write: the peer gets no room that the write may be taking."""
    offers = [offer("uk", Percent(500), shown=0, write=10), offer("eu", Percent(500), shown=0)]
    plan = make_plan(position(offers, [row(A, 10)], split=True, limits=WIDE), AUTO)
    assert [entry.slot.channel for entry in plan.sends if not entry.lowers] == []


def test_observe_holds_everything() -> None:
    plan = make_plan(position([offer("uk", shown=5)], [row(A, 9)], limits=WIDE), Rails(Mode.OBSERVE))
    assert {entry.verdict for entry in plan.entries} == {Verdict.HOLD_MODE}


def test_nothing_shown_of_stock_that_is_there_is_no_sold_out_zero() -> None:
    """Its share is nothing: that hides no stock, and is not counted among the zeros."""
    offers = [offer("uk", Percent(0), shown=5), offer("eu", shown=0)]
    for stock, sold_out in ((10, False), (0, True)):
        plan = make_plan(position(offers, [row(A, stock)], split=True, limits=WIDE), AUTO)
        (entry,) = (each for each in plan.entries if each.slot.channel == "uk")
        assert (entry.target, entry.sold_out) == (0, sold_out)


def test_what_shows_too_much_by_most_is_lowered_first() -> None:
    offers = [offer("eu", Percent(500), shown=20), offer("uk", Percent(500), shown=90)]
    plan = make_plan(position(offers, [row(A, 20)], split=True, limits=WIDE), AUTO)
    assert [(each.slot.channel, each.lowers) for each in plan.entries] == [("uk", True), ("eu", True)]


def test_what_is_furthest_below_its_share_is_raised_first() -> None:
    """Six units are kept back, and the two that are left go to who shows nothing."""
    offers = [offer("eu", Percent(500), shown=4), offer("uk", Percent(500), shown=0)]
    where = position(offers, [row(A, 12)], [claim(6, ClaimKind.BURIED)], split=True, limits=WIDE)
    assert [(each.slot.channel, each.target) for each in make_plan(where, AUTO).sends] == [("uk", 2)]


def test_what_another_listing_shows_of_a_split_pool_is_not_hidden() -> None:
    offers = [offer("eu", Percent(500), shown=8), offer("uk", Percent(500), shown=0)]
    for stock, units in ((8, 0), (10, 2), (40, 32)):
        plan = make_plan(position(offers, [row(A, stock)], split=True, limits=WIDE), AUTO)
        assert hidden(plan) == units


def test_a_number_that_a_person_wants_back_is_put_back_as_far_as_there_is_stock() -> None:
    where = position([offer("uk", shown=2)], [row(A, 10)], limits=WIDE)
    for wished, target in ((7, 7), (50, 10)):
        (entry,) = make_plan(where, AUTO, {where.offers[0].slot: wished}).entries
        assert entry.target == entry.desired == target


@pytest.mark.parametrize(("stock", "cures"), [(10, False), (9, True)])
def test_a_lower_where_what_is_shown_just_fits_cures_nothing(stock: int, cures: bool) -> None:
    """So no pin or freeze lets it through as one that does."""
    offers = [offer("eu", Percent(500), shown=8), offer("uk", Percent(500), shown=2)]
    plan = make_plan(position(offers, [row(A, stock)], split=True, limits=WIDE), AUTO)
    assert [(each.slot.channel, each.cures) for each in plan.entries if each.lowers] == [("eu", cures)]


@pytest.mark.parametrize(("age_ms", "asked"), [(5_000, False), (5_001, True)])
def test_a_listing_that_would_be_old_by_the_time_its_stock_is_read_is_read_with_it(
    age_ms: int, asked: bool
) -> None:
    listing = replace(offer("uk", shown=0), age_of=Instant(NOW - age_ms))
    stale = replace(row(A, 9), age_of=Instant(NOW - 60_001))
    plan = make_plan(position([listing], [stale], limits=WIDE), AUTO)
    assert [each.verdict for each in plan.entries] == [Verdict.HOLD_STOCK_STALE]
    assert plan.wants.stock == {"x"}
    assert (listing.slot in plan.wants.slots) == asked


@given(st.integers(-20_000, 20_000))
def test_a_row_read_just_before_a_shipments_record_is_read_again(late: int) -> None:
    shipped = Instant(NOW - 30_000)
    gone = replace(claim(3, ClaimKind.SHIPPED, where=frozenset({A})), shipped=shipped)
    stock = replace(row(A, 5), as_of=Instant(shipped + late))
    where = position([offer("uk")], [stock], [gone])
    assert (make_plan(where, AUTO).wants.stock == {"x"}) == (-RECORD_MS < late <= 0)


def test_a_correction_goes_under_the_newest_approval_that_covers_it() -> None:
    where = position([offer("uk", shown=5)], [row(A, 9)], limits=WIDE)
    (entry,) = make_plan(where, AUTO).entries
    one = EnvelopeApproved("one", (Sku("x"),), "both", 4, "ops", "counted", NOW, Instant(NOW + 10))
    two = replace(one, id="two")
    assert released_by(entry, NOW, (one, two)) == "two"
    for other in (
        replace(two, ceiling=3),
        replace(two, direction="lower"),
        replace(two, skus=(Sku("y"),)),
        replace(two, direction="lower", zeros=True),
        replace(two, until=NOW),
    ):
        assert released_by(entry, NOW, (one, other)) == "one"
    assert released_by(entry, NOW, ()) == ""


def test_a_correction_to_zero_goes_under_an_approval_of_zeros_alone() -> None:
    (entry,) = make_plan(position([offer("uk", shown=3)], [row(A, 0)], limits=WIDE), AUTO).entries
    small = EnvelopeApproved(
        "small", (Sku("x"),), "lower", 9, "ops", "counted", NOW, Instant(NOW + 10), zeros=False
    )
    assert released_by(entry, NOW, (small,)) == ""
    assert released_by(entry, NOW, (replace(small, zeros=True),)) == "small"
    assert released_by(replace(entry, target=1), NOW, (small,)) == "small"


@pytest.mark.parametrize("split", [True, False])
def test_units_shown_of_the_safety_stock_are_there_to_ship(split: bool) -> None:
    """They are drift, and no exposure: that begins with the first unit that could not leave today."""
    kept = [claim(3, ClaimKind.SAFETY), claim(2)]
    for shown, units in ((5, 0), (8, 0), (9, 1)):
        where = position([offer("uk", shown=shown)], [row(A, 10)], kept, split=split, limits=WIDE)
        assert exposure(make_plan(where, AUTO)) == units


@pytest.mark.parametrize("split", [True, False])
def test_nothing_is_exposed_beside_stock_that_was_never_read(split: bool) -> None:
    """A first start reads the channels before it has read the stock: nobody is woken for all that they show."""
    unread = position([offer("uk", shown=500), offer("us", shown=500)], [], split=split, limits=WIDE)
    assert exposure(make_plan(unread, AUTO)) == 0
    sold_out = position([offer("uk", shown=500)], [row(A, 0)], split=split, limits=WIDE)
    assert exposure(make_plan(sold_out, AUTO)) == 500, "read as zero, it is"


@pytest.mark.parametrize("bundles", BundleMode)
@pytest.mark.parametrize("split", [True, False])
def test_what_was_read_is_judged_beside_what_was_not(split: bool, bundles: BundleMode) -> None:
    """A box of x and y, of which y was never read: what x lacks is known, what y lacks is not."""
    box: Uses = ((Sku("x"), 1), (Sku("y"), 1))
    for on_hand, units in ((9, 0), (4, 3)):
        offers = [offer("uk", shown=7, sku="box", uses=box)]
        where = position(offers, [row(A, on_hand)], split=split, bundles=bundles, limits=WIDE)
        assert where.unknown == ("y",)
        assert exposure(make_plan(where, AUTO)) == units


def test_what_a_dead_band_lets_be_is_exposure_that_nobody_is_woken_for() -> None:
    for shown, counted, woken in ((100, 0, 0), (103, 3, 0), (110, 10, 10)):
        where = position([offer("uk", shown=shown)], [row(A, 100)], limits=WIDE, dead_band_permille=50)
        plan = make_plan(where, AUTO)
        assert (exposure(plan), exposure(plan, banded=False)) == (counted, woken)


def test_what_may_have_sold_unseen_ties_no_shelf_to_what_is_overcommitted_elsewhere() -> None:
    """Sold unseen at A or B; at B and C more is ordered than lies there. A listing at A may show all of A."""
    place = LocationName("C")
    listing = offer("uk", shown=10, locations=frozenset({A}))
    ordered = claim(9, where=frozenset({B, place}))
    unseen = claim(1, ClaimKind.BURIED, where=EVERYWHERE)
    rows = [row(A, 10), row(B, 2), row(place, 2)]
    plan = make_plan(position([listing], rows, [ordered, unseen]), AUTO)
    assert [entry for entry in plan.entries if entry.lowers] == []
    raised = replace(listing, read=5)
    (entry,) = make_plan(position([raised], rows, [ordered, unseen]), AUTO).entries
    assert entry.target < 10, "for a raise it is still kept back"


def test_a_raise_that_waits_for_a_person_asks_for_readings_only_once_he_has_agreed() -> None:
    """Else whatever waits is read for as long as it waits: in mode guarded, every listing that shows too little."""
    old = replace(offer("uk", Percent(1000), shown=3), age_of=Instant(0))
    where = position([old], [row(A, 9)])
    waiting = make_plan(where, Rails(Mode.GUARDED))
    assert [entry.verdict for entry in waiting.entries] == [Verdict.HOLD_APPROVAL]
    assert waiting.wants == Wants()
    assert once_agreed(waiting) == make_plan(where, AUTO).wants == Wants(slots=frozenset({old.slot}))


def test_what_is_young_and_what_is_lowered_needs_no_reading_once_it_is_agreed() -> None:
    for shown, stock in ((3, 9), (9, 3)):
        where = position([offer("uk", Percent(1000), shown=shown)], [row(A, stock)])
        assert once_agreed(make_plan(where, Rails(Mode.GUARDED))) == Wants()


def test_what_extensiv_holds_where_a_sale_may_have_been_unseen_is_kept_from_raises_too() -> None:
    """Sold unseen at A or B, and all of B is allocated: that one unit lies at A."""
    listing = offer("uk", shown=0, locations=frozenset({A}))
    unseen = claim(1, ClaimKind.BURIED, where=EVERYWHERE)
    for held, most in ((2, 9), (0, 10)):
        room = room_of(position([listing], [row(A, 10), row(B, 2, allocated=held)], [unseen]))
        assert (room.alone(listing.slot), room.headroom(listing.slot, {}, raising=True)) == (10, most)


def test_beyond_so_many_location_sets_all_of_them_together_still_bound_what_is_shown() -> None:
    """Each may draw on its place and the next, and shows the two units that lie there; so do all the others."""
    places = [LocationName(f"p{number:02}") for number in range(MAX_LOCATION_SETS + 2)]
    offers = [
        offer(f"c{number:02}", shown=2, locations=frozenset(places[number : number + 2]))
        for number in range(MAX_LOCATION_SETS + 1)
    ]
    room = room_of(position(offers, [row(place, 1) for place in places], split=True))
    assert not room.whole
    assert room.excess({each.slot: 2 for each in offers}) == 2 * len(offers) - len(places)


@pytest.mark.parametrize(
    ("claims", "most"),
    [
        ([replace(claim(2), waived=3)], 8),
        ([claim(2)], 5),
        ([claim(2), claim(3, ClaimKind.SAFETY)], 2),
        ([claim(2), claim(3, ClaimKind.INFERRED)], 2),
    ],
    ids=["a soft order is known", "three are of orders unknown", "beside a safety stock", "beside what sold"],
)
def test_what_extensiv_holds_beyond_the_orders_that_are_known_is_taken_beside_all_else(
    claims: list[Claim], most: int
) -> None:
    listing = offer("uk", shown=0)
    assert room_of(position([listing], [row(A, 10, allocated=5)], claims)).alone(listing.slot) == most


def test_what_a_listing_shows_of_what_is_declared_is_no_room_for_it_once_more() -> None:
    uk, eu = offer("uk", shown=1), offer("eu", shown=5)
    room = room_of(position([uk, eu], [row(A, 5)], split=True)).lending({uk.slot: 2})
    for shown, more in ((0, 2), (1, 1), (2, 0)):
        assert room.headroom(uk.slot, {uk.slot: shown, eu.slot: 5}, raising=True) == more
