"""The arithmetic of a recorded position: what a listing may draw on is what all that draw beside it leave."""

from dataclasses import replace

import pytest

from reconcilerd.domain import plan as planning
from reconcilerd.domain.allocation import Allocation, allocate
from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import Ages, BundleMode, Limits, Mode, Percent
from reconcilerd.domain.position import ClaimKind, OfferView, Position
from reconcilerd.trial import arithmetic
from reconcilerd.trial.arithmetic import (
    Found,
    blind_raises,
    of_inputs,
    of_sends,
    sends_beyond_room,
    silent_zeros,
    strangers,
    undetermined,
    unfair_shares,
)
from tests.domain.builders import EVERYWHERE, NOW, A, B, claim, offer, position, row

AUTO = Rails(Mode.AUTO)


def all_zero(told: Position) -> GroupPlan:
    """What is decided there, with every listing lowered to nothing."""
    plan = make_plan(told, Rails(Mode.AUTO))
    entries = tuple(replace(each, target=0, verdict=Verdict.SEND) for each in plan.entries)
    assert sorted(each.slot for each in entries) == [each.slot for each in told.offers]
    return replace(plan, entries=entries)


def zeros_of(told: Position) -> list[str]:
    """The channels of the listings of which that zero has no reason."""
    found = list(silent_zeros(all_zero(told)))
    assert {invariant for invariant, _ in found} <= {"I5"}
    return [what.partition("/")[0] for _, what in found]


@pytest.mark.parametrize(("ordered", "found"), [(5, []), (4, ["I5", "I5"])])
def test_zero_needs_a_reason_and_orders_that_any_of_several_places_may_serve_are_one(
    ordered: int, found: list[str]
) -> None:
    """Five lie in A, where one listing sells from; the other, and the orders, take from B as well, where none are."""
    offers = [offer("uk", shown=3, locations=frozenset({A})), offer("eu", shown=3)]
    told = position(offers, [row(A, 5), row(B, 0)], [claim(ordered, where=EVERYWHERE)])
    assert len(told.offers) == 2
    assert [invariant for invariant, _ in silent_zeros(all_zero(told))] == found


def test_what_lies_where_a_claim_reaches_and_nobody_may_sell_from_is_no_stock() -> None:
    """Both at A are taken; the third lies at B, from which the component is not sold, though the orders may take it."""
    listing = offer("uk", shown=1, locations=frozenset({A}))
    taken = [claim(2, ClaimKind.INFERRED, where=EVERYWHERE)]
    told = position([listing], [row(A, 2), row(B, 1)], taken, excluded={"x": frozenset({B})})
    assert zeros_of(told) == []


@pytest.mark.parametrize(("mode", "found"), [(Mode.NET, []), (Mode.AUTO, ["I5"])])
def test_beside_extensivs_own_push_zero_has_the_reason_that_all_is_allocated(
    mode: Mode, found: list[str]
) -> None:
    uk = replace(offer("uk", shown=3), pushed=True)
    waived = replace(claim(0), waived=5)
    told = position([uk], [row(A, 5, allocated=5)], [waived], limits=Limits(mode=mode))
    assert [invariant for invariant, _ in silent_zeros(all_zero(told))] == found


@pytest.mark.parametrize(("bundles", "found"), [(BundleMode.PER_WAREHOUSE, []), (BundleMode.POOLED, ["I5"])])
def test_a_bundle_whose_components_lie_apart_is_none_unless_the_pool_says_so(
    bundles: BundleMode, found: list[str]
) -> None:
    uses = ((Sku("x"), 1), (Sku("y"), 1))
    told = position([offer("uk", shown=3, uses=uses)], [row(A, 5), row(B, 5, "y")], bundles=bundles)
    assert [invariant for invariant, _ in silent_zeros(all_zero(told))] == found


@pytest.mark.parametrize(("pot", "found"), [(5, []), (4, ["uk"])])
def test_zero_has_the_reason_that_a_pot_keeps_all_for_another_listing(pot: int, found: list[str]) -> None:
    """One pot, though its listing is at two places: of five units it leaves none, or one."""
    pots = [
        replace(each, rule=replace(each.rule, pot=pot), slot=replace(each.slot, channel=ChannelName("eu")))
        for each in at_places(6, 6)
    ]
    told = position([offer("uk", shown=3), *pots], [row(A, 5), row(B, 0)])
    assert [each for each in zeros_of(told) if each == "uk"] == found


@pytest.mark.parametrize(("on_hand", "found"), [(7, []), (8, ["uk"])])
def test_a_percentage_of_bundles_is_of_whole_bundles(on_hand: int, found: list[str]) -> None:
    """Of three bundles a quarter is none, though a quarter of seven eaches is almost two."""
    told = position([offer("uk", Percent(250), shown=3, uses=((Sku("x"), 2),))], [row(A, on_hand)])
    assert zeros_of(told) == found


@pytest.mark.parametrize(("on_hand", "found"), [(5, []), (6, ["uk"])])
def test_a_listing_that_sells_several_at_once_has_one_where_as_many_are_its_share(
    on_hand: int, found: list[str]
) -> None:
    uk = offer("uk", Percent(500), shown=3, uses=((Sku("x"), 3),), units_per_sale=3)
    assert zeros_of(position([uk], [row(A, on_hand)])) == found


@pytest.mark.parametrize(
    ("pot", "weights", "permille", "on_hand", "known"),
    [
        (0, (1, 5), (500, 500), 15, True),
        (0, (1, 5), (400, 400), 10, True),
        (0, (None, None), (500, 500), 15, True),
        (0, (None, None), (400, 400), 10, False),
        (3, (1, 5), (500, 500), 15, False),
    ],
)
@pytest.mark.parametrize("lost", [0, 1])
def test_a_split_is_exact_but_for_what_ceilings_and_percentages_leave_to_nobody(
    pot: int,
    weights: tuple[int | None, int | None],
    permille: tuple[int, int],
    on_hand: int,
    known: bool,
    lost: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``lost``: of what each split deals out, so many of one share."""

    def dealt(where: Position) -> tuple[Allocation, ...]:
        first, *others = allocate(where)
        return (replace(first, ideal=first.ideal - lost), *others)

    monkeypatch.setattr(arithmetic, "allocate", dealt)
    offers = [
        offer(name, Percent(part), weight=weight, pot=pot)
        for name, part, weight in zip(("uk", "eu"), permille, weights, strict=True)
    ]
    told = position(offers, [row(A, on_hand)], split=True)
    found = [invariant for invariant, _ in unfair_shares(told)]
    assert found == (["I19"] if known and lost else [])


def at_places(first: int, second: int) -> list[OfferView]:
    """One listing of a channel at a place over warehouse A and one over B."""
    return [
        replace(
            offer("uk", shown=shown, locations=frozenset({where})),
            slot=SlotKey(ChannelName("uk"), "item", place),
        )
        for place, shown, where in (("p", first, A), ("q", second, B))
    ]


@pytest.mark.parametrize(
    ("kind", "second", "found"),
    [
        (ClaimKind.IN_FLIGHT, 5, ["I2"]),
        (ClaimKind.BURIED, 5, ["I3"]),
        (ClaimKind.IN_FLIGHT, 4, []),
    ],
)
def test_what_a_listing_shows_at_several_places_adds_up_in_a_shared_pool_too(
    kind: ClaimKind, second: int, found: list[str]
) -> None:
    told = position([*at_places(4, second), offer("eu", shown=9)], [row(A, 5), row(B, 5)], [claim(1, kind)])
    plan = make_plan(told, Rails(Mode.AUTO))
    free = make_plan(replace(told, claims=()), Rails(Mode.AUTO))
    (raised,) = (each for each in free.entries if each.slot.place == "p")
    assert (raised.current, raised.target, raised.verdict) == (4, 5, Verdict.SEND)
    assert [invariant for invariant, _ in sends_beyond_room(replace(plan, entries=(raised,)))] == found


@pytest.mark.parametrize(("second", "found"), [(4, []), (3, ["I5"])])
def test_a_place_may_show_nothing_where_another_shows_all_there_is(second: int, found: list[str]) -> None:
    told = position(at_places(1, second), [row(A, 2), row(B, 5)], [claim(3)])
    plan = make_plan(replace(told, claims=(claim(9),)), Rails(Mode.AUTO))
    (zero,) = (each for each in plan.entries if each.slot.place == "p")
    assert zero.target == 0
    assert [
        invariant for invariant, _ in silent_zeros(replace(plan, position=told, entries=(zero,)))
    ] == found


def raising(uses: int = 1) -> GroupPlan:
    """Ten units and one listing that shows too little of them: the plan raises it to all there is."""
    uk = offer("uk", shown=2, uses=((Sku("x"), uses),))
    plan = make_plan(position([uk], [row(A, 10)]), AUTO)
    assert [(each.target, each.verdict) for each in plan.entries] == [(10 // uses, Verdict.SEND)]
    return plan


def seen_otherwise(plan: GroupPlan, **changed: object) -> GroupPlan:
    """The same write, decided while its listing is another."""
    (uk,) = plan.position.offers
    offers = (replace(uk, **changed),)  # type: ignore[arg-type]
    return replace(plan, position=replace(plan.position, offers=offers))


def of_another_number(plan: GroupPlan, target: int) -> GroupPlan:
    return replace(plan, entries=tuple(replace(each, target=target) for each in plan.entries))


def names(found: Found) -> list[str]:
    return [invariant for invariant, _ in found]


@pytest.mark.parametrize(("uses", "target"), [(1, 10), (2, 5)])
def test_one_more_than_what_is_left_could_fill_is_found(uses: int, target: int) -> None:
    plan = raising(uses)
    assert names(sends_beyond_room(of_another_number(plan, target))) == []
    assert names(sends_beyond_room(of_another_number(plan, target + 1))) == ["I1"]


def stock_of(age_ms: int) -> GroupPlan:
    plan = raising()
    old = (replace(row(A, 10), age_of=Instant(NOW - age_ms)),)
    return replace(plan, position=replace(plan.position, stock=old))


def on_a_dark_channel() -> GroupPlan:
    plan = raising()
    dark = tuple(replace(each, dark=True) for each in plan.position.channels)
    return replace(plan, position=replace(plan.position, channels=dark))


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        (raising(), []),
        (stock_of(60_000), []),
        (stock_of(60_001), ["I4"]),
        (stock_of(Ages().max_age_ms + 1), ["I4", "I11"]),
        (seen_otherwise(raising(), age_of=Instant(NOW - 10_000)), []),
        (seen_otherwise(raising(), age_of=Instant(NOW - 10_001)), ["I4"]),
        (seen_otherwise(raising(), age_of=Instant(NOW - Ages().max_age_ms - 1)), ["I4", "I11"]),
        (replace(raising(), position=replace(raising().position, unknown=(Sku("x"),))), ["I4"]),
        (on_a_dark_channel(), ["I11"]),
    ],
    ids=[
        "fresh",
        "stock just in time",
        "stock old",
        "stock too old",
        "its own just in time",
        "its own old",
        "its own too old",
        "never counted",
        "its channel dark",
    ],
)
def test_a_raise_from_what_is_old_or_not_known_is_found_and_no_lower(
    plan: GroupPlan, found: list[str]
) -> None:
    assert names(blind_raises(plan)) == found
    lowered = replace(plan, entries=tuple(replace(each, lowers=True) for each in plan.entries))
    assert names(blind_raises(lowered)) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"ambiguous": True},
        {"rule": replace(offer("uk").rule, managed=False)},
        *({"state": state} for state in SlotState if state is not SlotState.BUYABLE),
    ],
    ids=["ambiguous", "not managed", *(state for state in SlotState if state is not SlotState.BUYABLE)],
)
def test_a_write_of_a_listing_that_is_not_ours_is_found(changed: dict[str, object]) -> None:
    assert names(strangers(raising())) == []
    assert names(strangers(seen_otherwise(raising(), **changed))) == ["I17"]


def falling() -> GroupPlan:
    """Two listings show more than there is, the last of them by name by most."""
    told = position([offer("eu", shown=7), offer("uk", shown=9)], [row(A, 5)])
    plan = make_plan(told, AUTO)
    assert [each.slot.channel for each in plan.sends] == ["uk", "eu"]
    return plan


def test_a_plan_that_comes_out_otherwise_again_is_found() -> None:
    assert names(undetermined(falling(), AUTO)) == []
    assert names(undetermined(of_another_number(falling(), 4), AUTO)) == ["I14", "I14"]


def test_a_plan_that_hangs_on_the_order_of_its_inputs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    told = falling().position
    monkeypatch.setattr(planning, "_in_order", lambda _, drifts: [(each, True) for each in drifts])
    ((invariant, what),) = undetermined(make_plan(told, AUTO), AUTO)
    assert (invariant, "in another order" in what) == ("I14", True)


@pytest.mark.parametrize(("taken", "found"), [(0, []), (1, []), (2, ["I19"])])
def test_a_share_that_falls_where_there_is_a_unit_more_is_found(
    taken: int, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eleven units each listing of a shared pool has eleven; ``taken``: so many less are dealt to the first."""

    def dealt(where: Position) -> tuple[Allocation, ...]:
        first, *others = allocate(where)
        odd = where.stock[0].on_hand % 2
        return (replace(first, ideal=first.ideal - taken * odd), *others)

    monkeypatch.setattr(arithmetic, "allocate", dealt)
    told = position([offer("uk"), offer("eu")], [row(A, 10)])
    assert names(unfair_shares(told)) == found


def test_whatever_may_be_found_of_a_plan_is_looked_for() -> None:
    theirs = seen_otherwise(stock_of(60_001), ambiguous=True)
    assert set(names(of_sends(of_another_number(theirs, 11)))) == {"I1", "I4", "I17"}
    assert set(names(of_sends(of_another_number(raising(), 0)))) == {"I5"}
    assert names(of_sends(replace(theirs, entries=()))) == []


def test_whatever_takes_deciding_again_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "unfair_shares", lambda _: iter([("I19", "x")]))
    assert names(of_inputs(of_another_number(falling(), 4), AUTO)) == ["I14", "I14", "I19"]
