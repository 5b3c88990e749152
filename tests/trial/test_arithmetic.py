"""The arithmetic of a recorded position: what a listing may draw on is what all that draw beside it leave."""

from dataclasses import replace

import pytest

from reconcilerd.domain.allocation import Allocation, allocate
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import ChannelName, Sku, SlotKey
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import BundleMode, Limits, Mode, Percent
from reconcilerd.domain.position import ClaimKind, OfferView, Position
from reconcilerd.trial import arithmetic
from reconcilerd.trial.arithmetic import sends_beyond_room, silent_zeros, unfair_shares
from tests.domain.builders import EVERYWHERE, A, B, claim, offer, position, row


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
