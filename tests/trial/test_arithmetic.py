"""The arithmetic of a recorded position: what a listing may draw on is what all that draw beside it leave."""

from dataclasses import replace

import pytest

from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import Sku
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import BundleMode, Limits, Mode
from reconcilerd.trial.arithmetic import silent_zeros
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
