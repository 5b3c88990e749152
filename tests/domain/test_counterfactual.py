"""What is said to suffice does suffice, and one unit less does not; what cannot do it says why."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.counterfactual import Answer, levers_of, suffices, what_if
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import Instant
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import MaxUnits, Mode, OfferRule, Percent, PoolMode
from reconcilerd.domain.position import KEPT_FROM_RAISES, ClaimKind, Locations, Position
from tests.domain.builders import EVERYWHERE, NOW, A, B, claim, offer, position, row, slot
from tests.domain.test_plan import WIDE, positions, small

AUTO = Rails(Mode.AUTO)
SETS = (frozenset({A}), frozenset({B}), EVERYWHERE)


@given(
    positions(),
    st.integers(1, 12),
    st.sampled_from([Mode.AUTO, Mode.GUARDED, Mode.OBSERVE]),
    st.integers(0, 99_000),
)
def test_what_suffices_does_and_one_unit_less_does_not(
    where: Position, more: int, mode: Mode, age: int
) -> None:
    rails = Rails(mode)
    old = Instant(NOW - age)
    where = replace(where, offers=tuple(replace(each, age_of=old) for each in where.offers))
    mine = where.offers[0]
    wanted = (mine.current or 0) + more
    levers = {lever.what: lever for lever in levers_of(where, rails, mine.slot)}
    answers = list(what_if(where, rails, mine.slot, wanted))
    for each in answers:
        lever = levers[each.what]
        by = lever.most if each.by is None else each.by
        assert suffices(lever.change(by), mine.slot, wanted, of_now=each.now) == (each.by is not None)
        if each.by is not None:
            assert 0 < each.by <= lever.most
            assert each.shows is not None
            assert each.shows >= wanted
            assert not suffices(lever.change(each.by - 1), mine.slot, wanted, of_now=each.now)
        else:
            assert each.then
    if not answers:
        assert suffices((where, rails), mine.slot, wanted, of_now=True) or mine.current is not None


@given(positions())
def test_no_lever_that_is_left_alone_changes_anything(where: Position) -> None:
    mine = where.offers[0]
    plan = make_plan(where, AUTO)
    for lever in levers_of(where, AUTO, mine.slot):
        assert make_plan(*lever.change(0)).allocations == plan.allocations, lever.what


@given(
    st.lists(st.tuples(small, st.integers(1, 12)), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(ClaimKind), st.sampled_from(SETS)),
        min_size=1,
        max_size=3,
    ),
    st.tuples(small, small),
    st.booleans(),
)
def test_where_a_claim_alone_is_in_the_way_some_change_alone_would_do(
    shows: list[tuple[int, int]],
    taken: list[tuple[int, ClaimKind, Locations]],
    there: tuple[int, int],
    split: bool,
) -> None:
    names = ("eu", "jp", "uk", "us")
    offers = [
        offer(name, Percent(1000 // len(shows)), shown=n) for name, (n, _) in zip(names, shows, strict=False)
    ]
    claims = [claim(units, kind, where=places) for units, kind, places in taken]
    where = position(offers, [row(A, there[0]), row(B, there[1])], claims, split=split, limits=WIDE)
    mine, wanted = where.offers[0].slot, shows[0][0] + shows[0][1]
    if suffices((where, AUTO), mine, wanted, of_now=True):
        return
    by_hand = [replace(where, claims=(*where.claims[:n], *where.claims[n + 1 :])) for n in range(len(claims))]
    if any(suffices((each, AUTO), mine, wanted, of_now=True) for each in by_hand):
        assert [each for each in what_if(where, AUTO, mine, wanted) if each.by is not None]


@pytest.mark.parametrize("kind", sorted(KEPT_FROM_RAISES))
def test_a_number_that_only_what_is_kept_from_raises_holds_asks_for_fewer_of_it_and_for_more_stock(
    kind: ClaimKind,
) -> None:
    where = position([offer("ebay", shown=40)], [row(A, 73)], [claim(40, kind)], limits=WIDE)
    told = ask(where, "ebay", 45)
    does = {what: each for what, each in told.items() if each.by is not None}
    assert does.keys() == {
        "more of x on hand at A",
        "fewer units of x that may have been sold, or are not counted",
    }
    assert {(each.by, each.shows, each.then) for each in does.values()} == {(12, 45, "at once")}


def test_units_that_are_reserved_are_a_lever() -> None:
    where = position([offer("ebay", shown=6)], [row(A, 10)], [claim(4, ClaimKind.RESERVED)], limits=WIDE)
    assert ask(where, "ebay", 8)["fewer units of x reserved"].by == 2


def test_what_a_listing_goes_on_to_show_is_unknown_where_its_number_is() -> None:
    where = position([offer("ebay", shown=None)], [row(A, 10)], limits=WIDE)
    frozen = Rails(Mode.AUTO, frozen=frozenset({"ebay"}))
    told = ask(where, "ebay", 5, frozen)
    assert told["everything read again, the same"].shows is None


def ask(where: Position, channel: str, wanted: int, rails: Rails = AUTO) -> dict[str, Answer]:
    return {each.what: each for each in what_if(where, rails, slot(channel), wanted)}


def test_five_more_on_ebay() -> None:
    offers = [offer("ebay", Percent(400), shown=8), offer("shop", Percent(600), shown=12)]
    where = position(offers, [row(A, 25)], [claim(2), claim(3, ClaimKind.SAFETY)], split=True, limits=WIDE)
    told = ask(where, "ebay", 13)
    assert told["more of x on hand at A"].by == 12  # 32 x 0.4 is 12.8, which goes to ebay first
    assert told["a lower safety stock of x"].by is None
    assert told["fewer units of x in open orders"].by is None
    assert told["fewer for shop (x)"].by == 5
    assert told["fewer for shop (x)"].then == "at once"
    assert told["a higher percentage"].by is None
    assert told["a higher percentage"].then == "the others' shares of what is left"


def test_no_percentage_is_asked_for_that_a_split_pool_cannot_deal_out() -> None:
    """A configuration whose percentages add up to more than a hundred is refused: such a promise cannot be kept."""
    offers = [offer("ebay", Percent(400), shown=8), offer("shop", Percent(450), shown=9)]
    where = position(offers, [row(A, 20)], split=True, limits=WIDE)
    assert ask(where, "ebay", 11)["a higher percentage"].by == 150
    assert ask(where, "ebay", 12)["a higher percentage"].by is None
    weights = [(offer("ebay", Percent(400), shown=8), 3), (offer("shop", Percent(700), shown=12), 1)]
    weighed = [replace(each, rule=replace(each.rule, weight=weight)) for each, weight in weights]
    ceilings = position(weighed, [row(A, 20)], split=True, limits=WIDE)
    assert ask(ceilings, "ebay", 10)["a higher percentage"].by == 150, "as weights, they are ceilings"
    adaptive = replace(where, pool=replace(where.pool, mode=PoolMode.ADAPTIVE))
    assert ask(adaptive, "ebay", 12)["a higher percentage"].by is not None


def test_a_bound_is_told_by_name() -> None:
    where = position([offer("ebay", MaxUnits(10), shown=10)], [row(A, 100)], limits=WIDE)
    told = ask(where, "ebay", 15)
    assert told["a higher maximum"].by == 5
    assert (told["more of x on hand at A"].by, told["more of x on hand at A"].then) == (
        None,
        "its maximum of 10",
    )
    where = position([offer("ebay", shown=9, cap=9, buffer=2)], [row(A, 12)], limits=WIDE)
    told = ask(where, "ebay", 10)
    assert (told["a higher cap"].by, told["a smaller buffer"].by) == (3, None)
    assert told["a smaller buffer"].then == "its cap of 9"


@pytest.mark.parametrize(
    ("age", "stock_age", "what"),
    [(60_000, 0, "its listing read again, the same"), (0, 300_000, "its stock read again, the same")],
)
def test_a_number_that_only_waits_asks_for_what_it_waits_for(age: int, stock_age: int, what: str) -> None:
    old = replace(offer("ebay", shown=5), age_of=Instant(NOW - age))
    stock = replace(row(A, 10), age_of=Instant(NOW - stock_age))
    told = ask(position([old], [stock], limits=WIDE), "ebay", 10)
    assert told[what].by == 1
    assert told["everything read again, the same"].then == "at once"
    assert "a higher cap" not in told


def test_what_waits_for_a_person_asks_for_a_person() -> None:
    where = position([offer("ebay", shown=5)], [row(A, 10)], limits=WIDE)
    assert ask(where, "ebay", 10, Rails(Mode.GUARDED))["an approval"].by == 1
    assert ask(where, "ebay", 10, Rails(Mode.OBSERVE))["mode auto"].by == 1
    frozen = Rails(Mode.AUTO, frozen=frozenset({"ebay"}))
    assert ask(where, "ebay", 10, frozen)["no freeze, STOP file or pin"].by == 1
    assert ask(where, "ebay", 10) == {}


def test_units_that_others_may_be_showing_are_told_with_who_shows_them() -> None:
    offers = [offer("ebay", Percent(500), shown=5), offer("shop", Percent(500), shown=5, write=9)]
    where = position(offers, [row(A, 5), row(B, 9)], split=True, limits=WIDE)
    told = ask(where, "ebay", 7)
    held = told["everything read again, the same"]
    assert (held.by, held.then) == (None, "others may still be showing these units")
    assert told["our open write to shop read back"].by is None
    assert told["fewer for shop (x)"].by == 2


def test_a_number_that_is_about_to_be_lowered_needs_no_write_once_there_is_stock_for_it() -> None:
    where = position([offer("ebay", shown=10)], [row(A, 5)], limits=WIDE)
    more = ask(where, "ebay", 10)["more of x on hand at A"]
    assert (more.by, more.shows, more.then) == (5, 10, "it shows that already")


def test_a_listing_that_is_not_ours_says_so_whatever_is_asked() -> None:
    foreign = replace(offer("ebay", shown=5), rule=OfferRule(managed=False))
    told = ask(position([foreign], [row(A, 10)], limits=WIDE), "ebay", 10)
    assert {each.by for each in told.values()} == {None}
    assert {each.then for each in told.values()} == {"left as it is: the slot is not ours to write"}


def test_the_rule_for_low_stock_is_a_lever_while_it_is_in_force() -> None:
    low = offer("ebay", shown=1, low_stock=MaxUnits(1))
    where = position([low], [row(A, 5)], min_level=10, limits=WIDE)
    told = ask(where, "ebay", 3)
    assert told["no rule for low stock"].by == 1
    assert (told["no rule for low stock"].shows, told["a higher maximum"].by) == (5, 2)
    plenty = replace(where, min_levels=())
    assert "no rule for low stock" not in ask(plenty, "ebay", 6)


def test_a_dead_band_that_keeps_a_number_low_is_a_lever() -> None:
    """At 5 % of the hundred that are there, four too few are let be; at 4.0 % they are not."""
    rows, peer = [row(A, 100)], offer("eu", shown=100)
    where = position([offer("uk", shown=96), peer], rows, dead_band_permille=50)
    found = ask(where, "uk", 100)["a narrower dead band of its pool"]
    assert (found.by, found.unit, found.shows) == (10, "tenths of a percent", 100)
    assert "a narrower dead band of its pool" not in ask(where, "eu", 101)
    high = position([offer("uk", shown=103), peer], rows, dead_band_permille=50)
    assert "a narrower dead band of its pool" not in ask(high, "uk", 104)


def test_a_scarce_pool_that_was_shared_again_would_show_everybody_all_of_it() -> None:
    offers = [offer("ebay", Percent(1000), shown=2), offer("shop", Percent(1000), shown=3)]
    where = position(offers, [row(A, 5)], split=True, limits=WIDE)
    assert "the pool shared again, not scarce" not in ask(where, "ebay", 5), "it is split by rule"
    adaptive = replace(where, pool=replace(where.pool, mode=PoolMode.ADAPTIVE))
    told = ask(adaptive, "ebay", 5)["the pool shared again, not scarce"]
    assert (told.by, told.shows) == (1, 5)
    assert ask(adaptive, "ebay", 6)["the pool shared again, not scarce"].by is None


def test_an_adaptive_pool_turns_by_what_is_asked_for() -> None:
    """Four more are enough for it to be shared again, and then each shows all five."""
    offers = [offer(name, Percent(1000), shown=name == "uk") for name in ("de", "eu", "uk")]
    where = position(offers, [row(A, 1)], [claim(9, ClaimKind.COMMITTED)], split=True, limits=WIDE)
    where = replace(where, pool=replace(where.pool, mode=PoolMode.ADAPTIVE))
    for stock, what, by in ((1, "more of x on hand at A", 4), (10, "fewer units of x in open orders", 4)):
        taken = where.claims if stock == 10 else ()
        at = replace(where, stock=(row(A, stock),), claims=taken)
        assert ask(at, "de", 5)[what].by == by
        assert ask(at, "de", 5)[what].shows == 5
