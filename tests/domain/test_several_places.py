"""A listing at several places of its channel: visitors are shown the sum, so no unit of it is shown twice there."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.adaptive import stock_against_sales
from reconcilerd.domain.allocation import Because, allocate
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import OrderStatus, SlotObserved, SlotState
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.invariants import check_plan
from reconcilerd.domain.names import Instant, LocationName, SlotKey
from reconcilerd.domain.plan import GroupPlan, exposure, hidden, make_plan
from reconcilerd.domain.policy import Mode, PoolMode, PoolRule
from reconcilerd.domain.position import ClaimKind, Locations, OfferView, Position
from reconcilerd.domain.quantities import Rate
from tests.domain.books import UK, claimed, order, position_at, shop_book, swept
from tests.domain.builders import EVERYWHERE, A, B, claim, offer, position
from tests.domain.builders import row as stock

AUTO = Rails(Mode.AUTO)
FIRST, SECOND = frozenset({A}), frozenset({B})
POLL_MS, LAG_MS = 60_000, 120_000


def at(place: str, shown: int, where: Locations, **more: object) -> OfferView:
    """The one listing of channel uk at one of its places."""
    made = offer("uk", shown=shown, locations=where)
    return replace(made, slot=SlotKey(UK, "item", place), **more)  # type: ignore[arg-type]


def shop(
    first: OfferView, second: OfferView, units: tuple[int, int], *claims: tuple[int, Locations]
) -> Position:
    """Two places of uk over a warehouse each, and channel eu that draws on both; claims are orders."""
    rows = [stock(A, units[0]), stock(B, units[1])]
    return position([first, second, offer("eu", shown=0)], rows, [claim(n, where=w) for n, w in claims])


def of_uk(plan: GroupPlan) -> list[tuple[str, int, Verdict]]:
    return [(each.slot.place, each.target, each.verdict) for each in plan.entries if each.slot.channel == UK]


small = st.integers(0, 12)
wheres = st.sampled_from([FIRST, SECOND, EVERYWHERE])
orders = st.lists(st.tuples(st.integers(1, 4), wheres), max_size=4)


@given(units=st.tuples(small, small), shown=st.tuples(small, small), taken=orders)
def test_what_its_places_should_show_together_is_all_there_is_and_no_unit_twice(
    units: tuple[int, int], shown: tuple[int, int], taken: list[tuple[int, Locations]]
) -> None:
    plan = make_plan(shop(at("p", shown[0], FIRST), at("q", shown[1], SECOND), units, *taken), AUTO)
    desired = {each.slot.place: each.desired for each in plan.allocations if each.slot.channel == UK}
    left = [
        max(0, there - sum(n for n, where in taken if where <= place))
        for there, place in ((units[0], FIRST), (units[1], SECOND), (sum(units), EVERYWHERE))
    ]
    assert desired["p"] <= left[0]
    assert desired["q"] <= left[1]
    assert sum(desired.values()) == min(left[2], left[0] + left[1])
    after = {"p": shown[0], "q": shown[1]}
    for each in plan.sends:
        if each.slot.channel == UK:
            after[each.slot.place] = max(after[each.slot.place], each.target)
            assert each.lowers or sum(after.values()) <= left[2], "a lower frees nothing before it is seen"
    assert check_plan(plan, AUTO) == ()


@given(units=st.tuples(small, small), sold=st.tuples(small, small), routed=st.booleans())
def test_a_sale_that_was_taken_off_one_of_them_is_followed_by_no_write_there(
    units: tuple[int, int], sold: tuple[int, int], routed: bool
) -> None:
    sold = min(sold[0], units[0]), min(sold[1], units[1])
    where = (FIRST, SECOND) if routed else (EVERYWHERE, EVERYWHERE)
    taken = [(n, place) for n, place in zip(sold, where, strict=True) if n]
    first, second = at("p", units[0] - sold[0], FIRST), at("q", units[1] - sold[1], SECOND)
    plan = make_plan(shop(first, second, units, *taken), AUTO)
    assert of_uk(plan) == []
    assert exposure(plan) == 0


def test_a_place_that_was_sold_empty_is_not_filled_while_nobody_knows_where_from_it_leaves() -> None:
    waits = shop(at("p", 0, FIRST), at("q", 5, SECOND), (3, 5), (3, EVERYWHERE))
    assert of_uk(make_plan(waits, AUTO)) == []
    known = shop(at("p", 0, FIRST), at("q", 5, SECOND), (3, 5), (3, SECOND))
    assert of_uk(make_plan(known, AUTO)) == [
        ("q", 2, Verdict.SEND),
        ("p", 0, Verdict.HOLD_HEADROOM),
    ]


def test_what_they_show_too_much_together_is_lowered_by_that_and_counted_as_exposure() -> None:
    plan = make_plan(shop(at("p", 5, FIRST), at("q", 5, SECOND), (5, 5), (3, EVERYWHERE)), AUTO)
    assert exposure(plan) == 3
    assert exposure(plan, banded=False) == 3
    assert sum(5 - target for _, target, _ in of_uk(plan)) == 3
    assert all(each.cures for each in plan.sends if each.lowers)
    assert {a.because for a in plan.allocations if a.slot.channel == UK} == {Because.TOGETHER}
    within_the_band = replace(plan.position, pool=PoolRule(PoolMode.SHARED, dead_band_permille=1000))
    tolerated = replace(
        make_plan(within_the_band, AUTO),
        allocations=tuple(replace(each, because=Because.DEAD_BAND) for each in plan.allocations),
    )
    assert exposure(tolerated, banded=False) == 0


def test_units_that_another_place_shows_are_not_hidden() -> None:
    plan = make_plan(shop(at("p", 2, FIRST), at("q", 5, SECOND), (5, 5), (3, EVERYWHERE)), AUTO)
    (eu,) = (each for each in plan.allocations if each.slot.channel != UK)
    assert hidden(plan) == eu.ideal == 7, "only the other channel shows too little"
    alone = replace(plan.position, offers=tuple(o for o in plan.position.offers if o.slot.channel == UK))
    assert hidden(make_plan(alone, AUTO)) == 0


def test_a_place_that_is_not_ours_keeps_what_it_shows_and_the_others_share_the_rest() -> None:
    foreign = at("p", 4, FIRST, state=SlotState.UNTRACKED)
    plan = make_plan(shop(foreign, at("q", 5, SECOND), (5, 5), (3, EVERYWHERE)), AUTO)
    assert of_uk(plan) == [("q", 3, Verdict.SEND)]
    too_much = replace(foreign, read=9)
    told = of_uk(make_plan(shop(too_much, at("q", 5, SECOND), (5, 5), (3, EVERYWHERE)), AUTO))
    assert ("p", Verdict.HOLD_UNTRACKED) in [(place, verdict) for place, _, verdict in told]


def test_what_a_dead_band_tolerates_at_one_place_gives_way_to_a_raise_at_another() -> None:
    def written(first: int, second: int) -> list[tuple[str, int]]:
        plenty = shop(at("p", first, FIRST), at("q", second, SECOND), (25, 162))
        pool = PoolRule(PoolMode.SHARED, dead_band_permille=20)
        return [(place, target) for place, target, _ in of_uk(make_plan(replace(plenty, pool=pool), AUTO))]

    assert written(25, 164) == []
    assert written(23, 164) == [("q", 162), ("p", 23)]
    assert written(23, 162) == [("p", 25)]


def test_a_listing_at_two_places_sells_no_faster_than_at_one() -> None:
    def point(*offers: OfferView) -> list[tuple[str, int, int]]:
        return list(stock_against_sales(position(offers, [stock(A, 5), stock(B, 5)]), 3_600_000))

    fast = Rate(10_000)
    one = point(at("p", 0, FIRST, rate=fast), offer("eu"))
    assert one == point(at("p", 0, FIRST, rate=fast), at("q", 0, SECOND, rate=fast), offer("eu"))


def test_each_channel_of_a_shared_pool_shows_all_of_it_all_the_same() -> None:
    both = [*(at(p, 0, where) for p, where in (("p", FIRST), ("q", SECOND))), offer("eu"), offer("us")]
    shares = allocate(position(both, [stock(A, 5), stock(B, 5)], [claim(3)]))
    assert {each.ideal for each in shares if each.slot.channel != UK} == {7}
    assert sum(each.ideal for each in shares if each.slot.channel == UK) == 7


def test_a_pot_is_kept_for_its_listing_at_its_places_and_from_it_at_others() -> None:
    pot = replace(at("p", 0, FIRST).rule, pot=4)
    first, second = (replace(at(p, 0, where), rule=pot) for p, where in (("p", FIRST), ("q", SECOND)))
    mine = shop(first, second, (5, 5), (3, EVERYWHERE))
    ideal = {each.slot: each.ideal for each in allocate(mine)}
    assert sum(units for slot, units in ideal.items() if slot.channel == UK) == 7
    assert sum(units for slot, units in ideal.items() if slot.channel != UK) == 3
    theirs = shop(at("p", 0, FIRST), at("q", 0, SECOND), (5, 5), (3, EVERYWHERE))
    of_eu = replace(theirs.offers[0], rule=pot)
    assert of_eu.slot.channel == "eu"
    ideal = {each.slot: each.ideal for each in allocate(replace(theirs, offers=(of_eu, *theirs.offers[1:])))}
    assert sum(units for slot, units in ideal.items() if slot.channel == UK) == 3


def test_a_raise_at_one_place_rests_on_what_was_read_at_the_others() -> None:
    def verdict(**more: object) -> Verdict:
        plan = make_plan(shop(at("p", 2, FIRST), at("q", 5, SECOND, **more), (5, 5)), AUTO)
        return next(v for place, _, v in of_uk(plan) if place == "p")

    assert verdict() is Verdict.SEND
    assert verdict(suspect=True) is Verdict.HOLD_PEER_STALE
    assert verdict(age_of=Instant(0)) is Verdict.HOLD_PEER_STALE
    assert verdict(known_since=1) is Verdict.HOLD_PEER_STALE, "it may have been taken off either"


def test_a_place_in_doubt_is_written_as_it_is_where_another_waits_for_it() -> None:
    doubted = at("q", 1, SECOND, doubted=5)
    plan = make_plan(shop(at("p", 0, FIRST), doubted, (4, 1), (1, EVERYWHERE)), AUTO)
    assert ("p", 4, Verdict.HOLD_HEADROOM) not in of_uk(plan)
    assert [(e.slot.place, e.target, e.because) for e in plan.sends if e.slot.channel == UK] == [
        ("q", 1, Because.COMPARED)
    ]
    assert all(each.lowers is False for each in plan.sends)
    assert check_plan(plan, AUTO) == ()


def test_a_place_in_doubt_is_not_lowered_to_nothing_while_it_has_a_share() -> None:
    doubted = at("p", 2, FIRST, doubted=0)
    plan = make_plan(shop(doubted, at("q", 10, SECOND), (2, 10), (2, EVERYWHERE)), AUTO)
    assert check_plan(plan, AUTO) == ()
    assert sum(each.desired for each in plan.allocations if each.slot.channel == UK) == 10
    assert all(each.desired for each in plan.allocations)


# What its orders explain: no order says at which place it was taken.


def two_places(*quantities: int, mapped: tuple[str, ...] = ("p", "q")) -> Book:
    """SKU a, 50 units in each of two warehouses; uk sells it at p and q, of which so many are read at second 1."""
    book = shop_book(0)
    places = MappingProxyType(
        {place: frozenset({LocationName(n)}) for place, n in zip(mapped, "12", strict=False)}
    )
    channel = replace(book.policy.channels[UK], places=places)
    book.policy = replace(
        book.policy,
        channels=MappingProxyType({UK: channel}),
        pools=MappingProxyType({"default": PoolRule(PoolMode.SHARED)}),
    )
    swept(book, "uk.orders", 1_000 + LAG_MS)
    for place, quantity in zip("pq"[: len(quantities)], quantities, strict=True):
        read(book, place, quantity, 1_000)
    return book


def read(book: Book, place: str, quantity: int, when: int) -> None:
    now = Instant(when)
    book.take(
        SlotObserved(SlotKey(UK, "item", place), "a", "A", quantity, SlotState.BUYABLE, False, now, now)
    )


def bought(book: Book, number: int, when: int, units: int = 1) -> None:
    book.take(order("uk", OrderStatus.OPEN, when + 100, placed=when, number=str(number), units=units))


IN_FLIGHT, INFERRED = ClaimKind.IN_FLIGHT, ClaimKind.INFERRED


def test_a_sale_is_counted_once_whether_its_order_or_its_fall_is_known_first() -> None:
    book = two_places(50, 50)
    read(book, "p", 49, 10_000)
    assert claimed(book, 10_100, IN_FLIGHT, INFERRED) == 1
    bought(book, 1, 5_000)
    assert claimed(book, 10_200, IN_FLIGHT, INFERRED) == 1
    bought(book, 2, 11_000)
    assert [each.current for each in position_at(book, 11_200).offers] == [48, 50], "the sum is what there is"
    read(book, "p", 49, 20_000)
    read(book, "q", 49, 20_000)
    assert [each.current for each in position_at(book, 20_100).offers] == [49, 49]
    assert claimed(book, 20_100, IN_FLIGHT, INFERRED) == 2


@pytest.mark.parametrize(("known", "expected"), [(0, 3), (1, 3), (2, 3), (3, 3)])
def test_what_fell_at_several_places_is_explained_by_each_order_once(known: int, expected: int) -> None:
    book = two_places(50, 50)
    for number in range(known):
        bought(book, number, 5_000)
    read(book, "p", 48, 10_000)
    read(book, "q", 49, 10_000)
    assert claimed(book, 10_100, IN_FLIGHT, INFERRED) == expected


def test_a_fall_goes_on_being_explained_while_its_orders_could_explain_anothers() -> None:
    book = two_places(50, 50)
    read(book, "p", 49, 10_000)
    bought(book, 1, 5_000)
    read(book, "q", 49, 20_000)
    swept(book, "uk.orders", 15_000 + LAG_MS)
    tracks = {place: book.slots[SlotKey(UK, "item", place)] for place in "pq"}
    assert tracks["p"].inferred, "what q fell may be of the same moment"
    assert claimed(book, 20_100, IN_FLIGHT, INFERRED) == 2
    swept(book, "uk.orders", 25_000 + LAG_MS)
    assert tracks["q"].inferred, "what p shows since then is not told yet"
    read(book, "p", 49, 21_000)
    swept(book, "uk.orders", 26_000 + LAG_MS)
    assert not tracks["p"].inferred
    assert not tracks["q"].inferred
    assert tracks["p"].surprise == 0
    assert tracks["q"].surprise == -1, "of the second nobody ever heard"


def test_an_order_that_explains_a_large_fall_ends_its_doubt_at_whichever_place() -> None:
    book = two_places(50, 50)
    read(book, "p", 2, 10_000)
    assert [each.shown for each in position_at(book, 10_100).offers] == [50, 50]
    bought(book, 1, 5_000, units=48)
    assert [each.shown for each in position_at(book, 10_200).offers] == [2, 50]


def test_what_was_taken_off_a_place_of_others_explains_nothing_at_ours() -> None:
    book = two_places(50, 50, mapped=("q",))
    bought(book, 1, 5_000)
    read(book, "p", 49, 10_000)
    read(book, "q", 49, 10_000)
    assert claimed(book, 10_100, IN_FLIGHT, INFERRED) == 2
    bought(book, 2, 11_000)
    assert [each.shown for each in position_at(book, 12_000).offers] == [49], "it may have come off theirs"
    read(book, "p", 49, 20_000)
    assert [each.slot.place for each in position_at(book, 20_100).offers] == ["q"]


def test_what_may_have_come_off_a_place_of_others_is_taken_off_none_of_ours() -> None:
    book = two_places(50, 50, mapped=("p",))
    bought(book, 1, 5_000)
    assert [each.shown for each in position_at(book, 5_200).offers] == [50]
    assert claimed(book, 5_200, IN_FLIGHT) == 1


def test_a_place_that_is_read_for_the_first_time_or_counts_nothing_tells_of_no_sale() -> None:
    book = two_places(50, 50, mapped=("q",))
    now = Instant(10_000)
    book.take(SlotObserved(SlotKey(UK, "item", "p"), "a", "A", None, SlotState.UNTRACKED, False, now, now))
    assert not book.slots[SlotKey(UK, "item", "p")].inferred
