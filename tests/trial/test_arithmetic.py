"""The arithmetic of a recorded position: what a listing may draw on is what all that draw beside it leave."""

from dataclasses import replace

import pytest

from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import ChannelName, Sku, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import BundleMode, Limits, Mode
from reconcilerd.domain.position import ClaimKind, OfferView
from reconcilerd.trial.arithmetic import sends_beyond_room, silent_zeros
from tests.domain.builders import EVERYWHERE, A, B, claim, offer, position, row


@pytest.mark.parametrize(("ordered", "found"), [(5, []), (4, ["I5", "I5"])])
def test_zero_needs_a_reason_and_orders_that_any_of_several_places_may_serve_are_one(
    ordered: int, found: list[str]
) -> None:
    """Five lie in A, where one listing sells from; the other, and the orders, take from B as well, where none are."""
    offers = [offer("uk", shown=3, locations=frozenset({A})), offer("eu", shown=3)]
    told = position(offers, [row(A, 5), row(B, 0)], [claim(ordered, where=EVERYWHERE)])
    plan = make_plan(told, Rails(Mode.AUTO))
    entries = tuple(replace(each, target=0, verdict=Verdict.SEND) for each in plan.entries)
    assert len(entries) == 2
    assert [invariant for invariant, _ in silent_zeros(replace(plan, entries=entries))] == found


@pytest.mark.parametrize(("mode", "found"), [(Mode.NET, []), (Mode.AUTO, ["I5"])])
def test_beside_extensivs_own_push_zero_has_the_reason_that_all_is_allocated(
    mode: Mode, found: list[str]
) -> None:
    uk = replace(offer("uk", shown=3), pushed=True)
    waived = replace(claim(0), waived=5)
    told = position([uk], [row(A, 5, allocated=5)], [waived], limits=Limits(mode=mode))
    plan = make_plan(told, Rails(Mode.AUTO))
    entries = tuple(replace(each, target=0, verdict=Verdict.SEND) for each in plan.entries)
    assert [each.slot for each in entries] == [uk.slot]
    assert [invariant for invariant, _ in silent_zeros(replace(plan, entries=entries))] == found


@pytest.mark.parametrize(("bundles", "found"), [(BundleMode.PER_WAREHOUSE, []), (BundleMode.POOLED, ["I5"])])
def test_a_bundle_whose_components_lie_apart_is_none_unless_the_pool_says_so(
    bundles: BundleMode, found: list[str]
) -> None:
    uses = ((Sku("x"), 1), (Sku("y"), 1))
    told = position([offer("uk", shown=3, uses=uses)], [row(A, 5), row(B, 5, "y")], bundles=bundles)
    plan = make_plan(told, Rails(Mode.AUTO))
    entries = tuple(replace(each, target=0, verdict=Verdict.SEND) for each in plan.entries)
    assert [invariant for invariant, _ in silent_zeros(replace(plan, entries=entries))] == found


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
