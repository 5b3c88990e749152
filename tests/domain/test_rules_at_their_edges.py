"""What each rule of a listing does where two of them meet: the smallest shop in which it can be told."""

from dataclasses import replace
from typing import Any

import pytest

from reconcilerd.domain import allocation
from reconcilerd.domain.allocation import Because, allocate, estimated, native_number
from reconcilerd.domain.counterfactual import levers_of
from reconcilerd.domain.explain import explain
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.invariants import check_plan
from reconcilerd.domain.names import Instant, Sku, SlotKey
from reconcilerd.domain.plan import hidden, make_plan
from reconcilerd.domain.policy import BundleMode, Limits, MaxUnits, Mode, Percent, Rule
from reconcilerd.domain.position import ClaimKind, InboundView, OfferView, Position
from reconcilerd.domain.promises import declared
from reconcilerd.domain.room import Room, room_of
from tests.domain.builders import EVERYWHERE, NOW, A, B, claim, offer, position, row

HALF = Percent(500)
TWOS = ((Sku("x"), 2),)
NET = Limits(mode=Mode.NET)
AUTO = Rails(Mode.AUTO)


def shares(where: Position) -> dict[str, int]:
    return {each.slot.channel: each.ideal for each in allocate(where)}


def wanted(where: Position) -> dict[str, int]:
    return {each.slot.channel: each.desired for each in allocate(where)}


def shared(listing: OfferView, stock: int, band: int = 50) -> Position:
    return position([listing], [row(A, stock)], dead_band_permille=band)


def test_a_place_that_has_allocated_more_than_it_has_takes_nothing_off_the_others() -> None:
    """Extensiv pushes what each place calls available."""
    where = position([offer("uk")], [row(A, 10), row(B, 2, allocated=5)])
    assert native_number(where, where.offers[0]) == 10


@pytest.mark.parametrize("split", [True, False])
def test_beside_a_push_there_is_no_tolerance(split: bool) -> None:
    listing = replace(offer("uk", shown=98), pushed=True)
    where = position([listing], [row(A, 100)], split=split, dead_band_permille=50, limits=NET)
    assert wanted(where) == {"uk": 100}
    assert wanted(replace(where, limits=Limits())) == {"uk": 100 if split else 98}


def test_a_pot_of_packs_is_spent_in_eaches() -> None:
    """Six eaches are three packs of two, wherever the channel sells them."""
    here = offer("uk", Percent(0), pot=6, units_per_sale=2, uses=TWOS, locations=frozenset({A}))
    there = replace(here, slot=replace(here.slot, place="there"), locations=frozenset({B}))
    for split in (True, False):
        where = position([here, there, offer("eu")], [row(A, 20), row(B, 20)], split=split)
        found = {each.slot: each.ideal for each in allocate(where)}
        assert (found[here.slot], found[there.slot]) == (3, 0)


def test_a_dark_channel_that_shows_more_than_there_is_is_wanted_lower() -> None:
    where = position([offer("uk", HALF, shown=20), offer("eu", HALF, shown=0)], [row(A, 10)], split=True)
    dark = tuple(replace(each, dark=each.name == "uk") for each in where.channels)
    assert shares(replace(where, channels=dark)) == {"uk": 10, "eu": 0}


def test_percentages_that_make_a_hundred_divide_all_there_is_and_less_do_not() -> None:
    for permille, eu in ((500, 8), (490, 5)):
        offers = [offer("uk", Percent(permille), cap=2), offer("eu", HALF)]
        assert shares(position(offers, [row(A, 10)], split=True)) == {"uk": 2, "eu": eu}


def test_a_weight_is_no_percentage() -> None:
    offers = [offer("uk", HALF), offer("eu", weight=1)]
    assert shares(position(offers, [row(A, 10)], split=True))["uk"] == 5


def test_a_pot_is_a_part_of_a_maximum() -> None:
    offers = [offer("uk", MaxUnits(8), pot=5), offer("eu")]
    assert shares(position(offers, [row(A, 30)], split=True)) == {"uk": 8, "eu": 22}


def test_nothing_above_a_maximum_is_kept_however_near() -> None:
    split = position([offer("uk", MaxUnits(8), shown=9), offer("eu", shown=31)], [row(A, 40)], split=True)
    assert wanted(split)["uk"] == 8
    assert wanted(shared(offer("uk", MaxUnits(100), shown=102), 1_000)) == {"uk": 100}


@pytest.mark.parametrize(
    ("rule", "cap", "more", "ideal", "because"),
    [
        (Percent(1000), 50, {}, 50, Because.CAP),
        (Percent(1000), 758, {}, 758, Because.CAP),
        (Percent(1000), 759, {}, 759, Because.ALL),
        (Percent(1000), 0, {}, 0, Because.CAP),
        (Percent(1000), 50, {"buffer": 7}, 43, Because.CAP),
        (Percent(1000), 50, {"pot": 20}, 50, Because.CAP),
        (Percent(1000), 51, {"units_per_sale": 2, "uses": TWOS}, 25, Because.CAP),
        (MaxUnits(60), 50, {}, 50, Because.CAP),
        (MaxUnits(40), 50, {}, 40, Because.MAX),
        (HALF, 50, {}, 50, Because.CAP),
        (HALF, 400, {}, 379, Because.SHARE),
    ],
)
def test_where_a_cap_decides_nothing_else_is_said_to(
    rule: Rule, cap: int, more: dict[str, Any], ideal: int, because: Because
) -> None:
    listing = offer("uk", rule, cap=cap, **more)
    where = position([listing], [row(A, 759)])
    (found,) = allocate(where)
    assert (found.ideal, found.because) == (ideal, because)


def test_in_a_split_a_cap_is_named_by_the_listing_that_it_bounds_alone() -> None:
    where = position([offer("uk", HALF, cap=50), offer("eu", HALF)], [row(A, 759)], split=True)
    found = {each.slot.channel: (each.ideal, each.because) for each in allocate(where)}
    assert found == {"uk": (50, Because.CAP), "eu": (709, Because.SHARE)}


@pytest.mark.parametrize(("listings", "times"), [(1, 2), (4, 5), (5, 2), (9, 2)])
def test_of_listings_that_are_all_capped_each_is_told_and_numbers_are_dealt_out_a_few_times_at_most(
    listings: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: a division of a large group takes its time."""
    dealt, shares_of = list[Position](), allocation._shares

    def counted(where: Position, room: Room) -> tuple[dict[SlotKey, int], dict[SlotKey, int]]:
        dealt.append(where)
        return shares_of(where, room)

    monkeypatch.setattr(allocation, "_shares", counted)
    offers = [offer(f"c{number}", weight=1, cap=5) for number in range(listings)]
    found = allocate(position(offers, [row(A, 759)], split=True))
    assert {(each.ideal, each.because) for each in found} == {(5, Because.CAP)}
    assert len(dealt) == times


def test_what_others_may_not_have_is_kept_from_a_listing_by_its_own_cap() -> None:
    """Without any cap both would have 50; without its own it would have 91."""
    offers = [offer("uk", weight=1, cap=10), offer("eu", weight=1, cap=50)]
    found = allocate(position(offers, [row(A, 101)], split=True))
    assert {each.slot.channel: (each.ideal, each.because) for each in found} == {
        "uk": (10, Because.CAP),
        "eu": (50, Because.CAP),
    }


def test_a_reason_that_no_rule_gives_stands_whatever_its_cap() -> None:
    where = position([offer("uk", cap=50, shown=50, managed=False)], [row(A, 759)])
    (found,) = allocate(where)
    assert found.because is Because.NOT_OURS


def test_what_a_person_set_aside_may_be_kept_above_a_share_of_nothing() -> None:
    """A floor holds where a pot and a percentage of 0 alone would allow less."""
    uk = offer("uk", Percent(0), shown=3, floor=3)
    where = position([uk, offer("eu", shown=7)], [row(A, 10)], split=True)
    assert wanted(where) == {"uk": 3, "eu": 7}


def test_a_dead_band_keeps_no_number_beside_an_open_write() -> None:
    assert wanted(shared(offer("uk", shown=98), 100)) == {"uk": 98}
    assert wanted(shared(offer("uk", shown=98, write=99), 100)) == {"uk": 100}


def test_no_dead_band_is_so_wide_that_a_listing_stays_at_nothing() -> None:
    assert wanted(shared(offer("uk", Percent(100), shown=0), 10, band=900)) == {"uk": 1}


def test_a_dead_band_is_of_what_is_meant_to_be_shown_where_that_is_little_of_much() -> None:
    assert wanted(shared(offer("uk", Percent(10), shown=30), 1_000)) == {"uk": 10}


def test_a_listing_never_read_counts_with_what_was_last_written_before_its_cap_and_its_share() -> None:
    uk = offer("uk", shown=None, cap=7)
    for last, counted in ((3, 3), (None, 7)):
        where = position([replace(uk, last_written=last)], [row(A, 9)])
        assert list(estimated(where, {}).values()) == [counted]


def test_nobody_is_lowered_beside_a_listing_whose_fall_is_in_doubt() -> None:
    """It is counted as it was read, for those who would be lowered, and as it was before for those to be raised."""
    uk = replace(offer("uk", HALF, shown=2), doubted=50)
    where = position([uk, offer("eu", HALF, shown=40)], [row(A, 84)], split=True)
    assert wanted(where)["eu"] >= 40


def test_the_scarcest_part_of_a_bundle_says_whether_its_stock_is_low() -> None:
    uses = ((Sku("x"), 1), (Sku("y"), 1))
    box = offer("uk", low_stock=Percent(0), uses=uses, sku="box")
    for scarce, low in ((5, True), (6, False)):
        where = position([box], [row(A, 50), row(A, scarce, "y")], min_level=5)
        assert [each.because is Because.LOW_STOCK for each in allocate(where)] == [low]


def test_a_level_is_of_stock_whatever_one_sale_takes_of_it() -> None:
    twos = offer("uk", low_stock=Percent(0), units_per_sale=2, uses=TWOS)
    for stock, low in ((10, True), (11, False)):
        where = position([twos], [row(A, stock)], min_level=10)
        assert [each.because is Because.LOW_STOCK for each in allocate(where)] == [low]


def test_a_buffer_that_is_no_whole_number_of_packs_keeps_back_the_whole_pack() -> None:
    twos = offer("uk", units_per_sale=2, uses=TWOS, buffer=3, locations=EVERYWHERE)
    assert shares(position([twos], [row(A, 20)])) == {"uk": 8}


def overcommitted(where: Position, units: int) -> Position:
    return replace(where, pool=replace(where.pool, overcommit=units))


def test_a_cap_bounds_a_minimum_too() -> None:
    where = position([offer("uk", minimum=5, cap=3)], [row(A, 0)], split=True)
    assert shares(overcommitted(where, 9)) == {"uk": 3}


def test_a_minimum_is_shown_beyond_a_maximum_of_shares() -> None:
    where = position([offer("uk", MaxUnits(2), minimum=5)], [row(A, 0)], split=True)
    assert shares(overcommitted(where, 9)) == {"uk": 5}


def test_a_bundle_is_declared_as_far_as_the_part_of_which_it_takes_most() -> None:
    box = offer("uk", minimum=9, uses=((Sku("x"), 1), (Sku("y"), 2)), sku="box")
    where = overcommitted(position([box], [row(A, 0), row(A, 0, "y")]), 4)
    assert declared(where, where.offers[0], room_of(where)) == 2


@pytest.mark.parametrize("split", [True, False])
def test_what_is_on_its_way_is_promised_to_no_listing_that_is_not_ours(split: bool) -> None:
    offers = [
        replace(offer(name, weight=1, managed=managed), sells_past_zero=True)
        for name, managed in (("uk", True), ("eu", False))
    ]
    coming = InboundView(Sku("x"), A, 10, Instant(NOW + 1))
    where = replace(position(offers, [row(A, 0)], split=split), inbound=(coming,))
    assert shares(where)["uk"] == 10
    assert [each.beyond for each in allocate(where) if each.slot.channel == "eu"] == [0]


@pytest.mark.parametrize(("shown", "cures"), [(10, False), (11, True)])
def test_a_lower_cures_only_what_shows_more_than_there_is(shown: int, cures: bool) -> None:
    where = position([offer("uk", MaxUnits(5), shown=shown), offer("eu", shown=10)], [row(A, 10)])
    (entry,) = make_plan(where, AUTO).entries
    assert (entry.lowers, entry.cures, entry.because) == (True, cures, Because.MAX)


def test_a_number_that_is_right_is_written_again_over_a_write_above_it_for_its_own_reason() -> None:
    where = position([offer("uk", shown=5, write=9)], [row(A, 5)])
    found = [(each.lowers, each.because) for each in make_plan(where, AUTO).entries]
    assert found == [(True, Because.ALL)]


def test_a_raise_has_the_reason_of_its_number() -> None:
    where = position([offer("uk", MaxUnits(5), shown=2)], [row(A, 10)])
    assert [(e.lowers, e.because) for e in make_plan(where, AUTO).entries] == [(False, Because.MAX)]


def test_what_is_kept_back_from_raises_alone_makes_no_lower_a_cure() -> None:
    unseen = claim(4, ClaimKind.BURIED)
    where = position([offer("uk", MaxUnits(5), shown=10)], [row(A, 10)], [unseen])
    assert [each.cures for each in make_plan(where, AUTO).entries] == [False]


def test_units_are_hidden_from_a_listing_that_was_never_read_too() -> None:
    never = replace(offer("eu", shown=0), read=None)
    assert hidden(make_plan(position([offer("uk", shown=0), never], [row(A, 10)], split=True), AUTO)) == 10


def test_nothing_is_hidden_where_each_shows_its_share() -> None:
    both = [offer("uk", shown=5), offer("eu", shown=5)]
    assert hidden(make_plan(position(both, [row(A, 10)], split=True), AUTO)) == 0


def test_orders_known_since_a_reading_leave_a_peer_fresh_that_is_at_one_place() -> None:
    peer = replace(offer("eu", shown=5), known_since=1)
    plan = make_plan(position([offer("uk", shown=2), peer], [row(A, 10)], split=True), AUTO)
    assert [each.verdict for each in plan.entries if each.slot.channel == "uk"] == [Verdict.SEND]


def test_to_compare_what_a_listing_shows_is_no_raise_however_much_others_show() -> None:
    doubted = replace(offer("eu", shown=3), doubted=9)
    where = position([offer("uk", shown=0), doubted, offer("us", shown=8)], [row(A, 9)], split=True)
    plan = make_plan(where, AUTO)
    assert [(e.slot.channel, e.target, e.because) for e in plan.sends] == [
        ("us", 3, Because.SHARE),
        ("eu", 3, Because.COMPARED),
    ]
    assert check_plan(plan, AUTO) == ()


@pytest.mark.parametrize(("before_ms", "again"), [(-1, False), (0, True), (4_999, True), (5_000, False)])
def test_stock_that_was_read_just_before_a_shipment_is_read_again(before_ms: int, again: bool) -> None:
    left = replace(claim(2), shipped=Instant(NOW + before_ms))
    wants = make_plan(position([offer("uk", shown=8)], [row(A, 10)], [left]), AUTO).wants
    assert ("x" in wants.stock) is again


def at_item(listing: OfferView, item: str) -> OfferView:
    return replace(listing, slot=replace(listing.slot, listing=item))


def test_percentages_are_of_each_sku_though_a_bundle_ties_several_together() -> None:
    """What policy holds back of x and of y is not dealt out because the two add up to more than a hundred."""
    third, y, both = Percent(300), ((Sku("y"), 1),), ((Sku("x"), 1), (Sku("y"), 1))
    xs = [at_item(offer(name, third), "x") for name in ("uk", "eu")]
    ys = [at_item(offer(name, third, uses=y, sku="y"), "y") for name in ("uk", "eu")]
    bundle = at_item(offer("uk", Percent(0), uses=both, sku="b"), "b")
    where = position([*xs, *ys, bundle], [row(A, 100), row(A, 100, "y")], split=True)
    found = {(each.slot.channel, each.slot.listing): each.ideal for each in allocate(where)}
    assert found == {(name, item): 30 for name in ("uk", "eu") for item in "xy"} | {("uk", "b"): 0}


def test_a_channel_counts_once_with_its_percentage() -> None:
    """Whatever listings it had of a SKU before, and at however many places it sells it."""
    now, before = offer("uk", HALF), at_item(offer("uk", HALF, shown=0, managed=False), "before")
    where = position([now, before], [row(A, 100)], split=True)
    assert {each.slot: each.ideal for each in allocate(where)} == {now.slot: 50, before.slot: 0}
    places = [
        replace(offer("uk", Percent(300)), slot=replace(offer("uk").slot, place=place)) for place in "1234"
    ]
    assert sum(each.ideal for each in allocate(position(places, [row(A, 100)], split=True))) <= 100
    one = position([offer("uk", Percent(300)), offer("eu", Percent(699))], [row(A, 100)], split=True)
    assert shares(one) == {"uk": 30, "eu": 69}


@pytest.mark.parametrize(("shows", "theirs"), [(0, 10), (3, 7), (9, 5)])
def test_what_may_not_be_raised_takes_no_share_beyond_what_it_shows(shows: int, theirs: int) -> None:
    where = position([offer("uk", HALF, shown=shows), offer("eu", HALF, shown=5)], [row(A, 10)], split=True)
    bound = tuple(replace(each, decrease_only=each.name == "uk") for each in where.channels)
    assert shares(replace(where, channels=bound)) == {"uk": 10 - theirs, "eu": theirs}


@pytest.mark.parametrize("pot", [3, 6])
def test_what_may_not_be_raised_keeps_its_pot_as_far_as_it_shows_it(pot: int) -> None:
    listing = offer("uk", HALF, shown=4, pot=pot)
    where = position([listing, offer("eu", HALF, shown=5)], [row(A, 10)], split=True)
    bound = tuple(replace(each, decrease_only=each.name == "uk") for each in where.channels)
    assert shares(replace(where, channels=bound)) == {"uk": 4, "eu": 6}


def test_bundles_of_one_place_are_not_promised_what_lies_at_another() -> None:
    """Both are packed at A, where five x are; those at B are no help, with which nothing else lies."""
    xy, xz = (((Sku("x"), 1), (Sku(other), 1)) for other in "yz")
    sets = [at_item(offer("uk", uses=uses, sku=name), name) for uses, name in ((xy, "xy"), (xz, "xz"))]
    rows = [row(A, 5), row(B, 5), row(A, 5, "y"), row(A, 5, "z")]
    where = position(sets, rows, split=True)
    assert sum(each.ideal for each in allocate(where)) == 5
    pooled = replace(where, pool=replace(where.pool, bundles=BundleMode.POOLED))
    assert sum(each.ideal for each in allocate(pooled)) == 10
    alone = at_item(offer("uk", locations=frozenset({A})), "x")
    beside = position([sets[0], alone], rows, split=True)
    assert sum(each.ideal for each in allocate(beside)) == 5
    there = replace(beside, offers=(sets[0], replace(alone, locations=EVERYWHERE)))
    assert sum(each.ideal for each in allocate(there)) == 10, "x is sold from B"
    nowhere = position(sets, [row(A, 5), row(B, 5, "y"), row(B, 5, "z")], split=True)
    assert [each.ideal for each in allocate(nowhere)] == [0, 0]


def test_a_pot_of_another_leaves_what_is_promised_beyond_stock_at_several_places() -> None:
    minimum = [
        replace(offer("uk", shown=3, minimum=6), slot=replace(offer("uk").slot, place=place))
        for place in "12"
    ]
    beside = position([*minimum, offer("eu", Percent(0), pot=1)], [row(A, 5)])
    beside = replace(beside, pool=replace(beside.pool, overcommit=20))
    where = replace(beside, offers=tuple(each for each in beside.offers if each.slot.channel == "uk"))
    told = [sum(each.desired for each in allocate(at) if each.slot.channel == "uk") for at in (where, beside)]
    assert told[1] >= told[0] - 1 > 6


def test_what_another_would_have_to_give_up_counts_its_buffer() -> None:
    """A cap is less its buffer: capped at what it has, it has less."""
    where = position(
        [offer("eu", HALF, buffer=1, shown=18), offer("uk", HALF, shown=19)], [row(A, 38)], split=True
    )
    (less,) = (
        each for each in levers_of(where, AUTO, offer("uk").slot) if each.what.startswith("fewer for eu")
    )
    assert [shares(less.change(by)[0])["eu"] for by in (0, 1, 2)] == [18, 17, 16]


def test_what_is_set_aside_for_others_is_told_once_for_each() -> None:
    """At however many places it is; not of a listing that nobody writes, nor of its own at another place."""
    spread = [
        replace(offer("us", pot=5), slot=replace(offer("us").slot, place=place)) for place in ("1", "2")
    ]
    left_alone = offer("jp", pot=7, managed=False)
    plan = make_plan(position([*spread, offer("eu"), left_alone, offer("de", pot=2)], [row(A, 20)]), AUTO)
    told = {
        slot.channel: [said for said in explain(plan, slot)["sentences"] if said.startswith("Set aside")]
        for slot in (offer("eu").slot, spread[0].slot)
    }
    assert {name: said for name, (said,) in told.items()} == {
        "eu": "Set aside for others, as far as there is any: 2 for de, 5 for us.",
        "us": "Set aside for others, as far as there is any: 2 for de.",
    }
