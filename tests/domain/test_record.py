"""A decision under a person's order, what is written down of it, and the same decision computed again (I14)."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconcilerd.domain.digest import canonical, revive
from reconcilerd.domain.facts import DecisionRecorded
from reconcilerd.domain.guards import Rails, Spent, Verdict
from reconcilerd.domain.invariants import check_plan, held_if_broken
from reconcilerd.domain.names import ChannelName, Instant, Sku
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import Mode, Percent
from reconcilerd.domain.position import Position
from reconcilerd.domain.record import (
    ABSENT,
    Again,
    Inputs,
    Only,
    Order,
    PutBack,
    bytes_of,
    decide,
    first_difference,
    inputs_on_record,
    record,
    replay,
)
from reconcilerd.domain.room import room_of
from tests.domain.builders import A, offer, position, row
from tests.domain.strategies import FEWER, rails
from tests.domain.strategies import positions as any_positions
from tests.domain.test_plan import WIDE, positions

AUTO = Rails(Mode.AUTO)


def recorded(on: Rails, order: Order | None, plans: Sequence[GroupPlan]) -> DecisionRecorded:
    return record("i", Instant(5), "p", "v", on, order, plans)


def decided(places: Sequence[Position], on: Rails, order: Order | None = None) -> list[GroupPlan]:
    """One group after another, each under what the one before it left."""
    plans = []
    for where in places:
        plan, _ = held_if_broken(decide(where, on, order), on)
        plans.append(plan)
        on = plan.rails
    return plans


@FEWER
@given(any_positions(sound=True), rails(Mode.AUTO), st.data())
def test_of_a_plan_that_is_carried_out_goes_what_was_planned_and_is_still_the_same(
    where: Position, on: Rails, data: st.DataObject
) -> None:
    free = make_plan(where, on)
    assume(free.entries)
    some = data.draw(st.sets(st.sampled_from(free.entries).map(lambda each: each.slot)))
    moved = data.draw(st.sets(st.sampled_from(free.entries).map(lambda each: each.slot)))
    targets = tuple(
        (each.slot, each.target + (each.slot in moved)) for each in free.entries if each.slot in some
    )
    ordered = decide(where, on, Only("p", targets))
    assert {each.slot for each in ordered.sends} == {each.slot for each in free.sends} & (some - moved)
    for before, after in zip(free.entries, ordered.entries, strict=True):
        if before.verdict is not Verdict.SEND:
            assert after == before
        elif after.verdict is not Verdict.SEND:
            assert after == replace(before, verdict=Verdict.HOLD_NOT_IN_PLAN)


@given(positions(), st.dictionaries(st.integers(0, 3), st.integers(0, 60)), st.booleans())
def test_no_number_that_is_put_back_breaks_an_invariant(
    where: Position, numbers: dict[int, int], pinned: bool
) -> None:
    slots = [offer.slot for offer in where.offers]
    wanted = tuple(sorted((slots[i % len(slots)], n) for i, n in numbers.items()))
    pins = frozenset(slots if pinned else ())
    plan = decide(where, Rails(Mode.AUTO, pinned=pins), PutBack("p", wanted))
    assert check_plan(plan) == ()
    assert {each.slot for each in plan.sends} <= {slot for slot, _ in wanted}
    assert plan.rails.pinned == pins, "what is put back lifts no pin for what comes after it"
    room = room_of(where)
    for each in plan.sends:
        assert each.target <= min(dict(wanted)[each.slot], room.alone(each.slot))


@given(positions())
def test_a_pin_holds_every_raise_and_every_lower_that_nothing_forces(where: Position) -> None:
    pins = frozenset(offer.slot for offer in where.offers)
    plan = decide(where, Rails(Mode.AUTO, pinned=pins))
    room, shown = room_of(where), {offer.slot: offer.shown or 0 for offer in where.offers}
    for each in plan.sends:
        assert each.lowers
        alone = shown if where.split else {each.slot: shown[each.slot]}
        assert room.headroom(each.slot, alone, raising=False) < 0


def test_what_is_put_back_is_what_was_asked_for_even_where_it_is_pinned() -> None:
    offers = [offer("uk", Percent(500), shown=2), offer("eu", Percent(500), shown=5)]
    where = position(offers, [row(A, 10)], split=True, limits=WIDE)
    pins = frozenset(each.slot for each in where.offers)
    plan = decide(where, replace(AUTO, pinned=pins), PutBack("p", ((offers[0].slot, 4), (offers[1].slot, 5))))
    assert [(each.slot, each.current, each.target) for each in plan.sends] == [(offers[0].slot, 2, 4)]


@FEWER
@given(st.lists(any_positions(), min_size=1, max_size=3), rails(), st.data())
def test_every_decision_on_record_comes_out_the_same_again(
    places: list[Position], on: Rails, data: st.DataObject
) -> None:
    places = [replace(where, group=Sku(f"{number}")) for number, where in enumerate(places)]
    slots = [(each.slot, data.draw(st.integers(0, 40))) for each in places[0].offers]
    order = data.draw(st.sampled_from([None, Only("p", tuple(slots)), PutBack("p", tuple(slots))]))
    plans = decided(places, on, order)
    made = recorded(on, order, plans)
    assert inputs_on_record(made) == Inputs(on, order, tuple(places))
    again = list(replay(made))
    assert [(each.identical, first_difference(each)) for each in again] == [(True, None)] * len(places)
    assert [each.computed for each in again] == [bytes_of(plan) for plan in plans]
    assert [group for group, _ in made.digests] == [where.group for where in places]


@given(positions(), st.integers(0, 9), st.booleans())
def test_a_record_holds_all_that_decided(where: Position, zeros: int, stop: bool) -> None:
    spent = {ChannelName("uk"): Spent(1, 2, zeros, 4), ChannelName("eu"): Spent()}
    on = Rails(Mode.AUTO, stop, frozenset({"us"}), spent, pinned=frozenset({where.offers[0].slot}))
    inputs = Inputs(on, PutBack("p", ((where.offers[0].slot, 5),)), (where,))
    text = canonical(inputs)
    back = revive(Inputs, json.loads(text))
    assert back == inputs
    assert canonical(back) == text


@given(positions())
def test_whatever_is_changed_in_a_record_is_told(where: Position) -> None:
    made = recorded(AUTO, None, [make_plan(where, AUTO)])
    assert [each.identical for each in replay(made)] == [True]
    with pytest.raises(ValueError, match="digests"):
        list(replay(replace(made, digests=(("x", "0" * 64),))))
    for bad in ("", "AAAA", made.packed[:-8], made.packed + "!"):
        with pytest.raises(ValueError, match="cannot be read"):
            list(replay(replace(made, packed=bad)))


def test_a_record_that_would_unfold_without_end_is_not_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recorded(AUTO, None, [make_plan(position([offer("uk")], [row(A, 5)]), AUTO)])
    monkeypatch.setattr("reconcilerd.domain.record.MAX_BYTES", 100)
    with pytest.raises(ValueError, match="too large"):
        inputs_on_record(made)


def raising() -> Position:
    offers = [offer("uk", Percent(500)), offer("eu", Percent(500))]
    return position(offers, [row(A, 10)], split=True, limits=WIDE)


def test_another_decision_is_told_by_its_first_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recorded(AUTO, None, [make_plan(raising(), AUTO)])
    monkeypatch.setattr("reconcilerd.domain.guards.RAISES", (lambda *_: Verdict.HOLD_DARK,))
    (again,) = replay(made)
    assert not again.identical
    told = first_difference(again)
    assert told is not None
    assert told[1:] == ("send", "hold_dark")
    assert told[0].endswith("verdict")


def test_a_decision_that_broke_a_rule_is_on_record_as_it_was_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconcilerd.domain.plan._granted", lambda _p, _r, _o, desired, _s: desired + 9)
    plans = decided([raising(), raising()], AUTO)
    assert {each.verdict for plan in plans for each in plan.entries} == {Verdict.HOLD_BREACH}
    assert [each.identical for each in replay(recorded(AUTO, None, plans))] == [True, True]


plain = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


@given(plain, plain)
def test_two_texts_differ_somewhere_exactly_if_they_are_not_the_same(one: Any, other: Any) -> None:
    plan = make_plan(raising(), AUTO)
    again = Again(plan, canonical(one), canonical(other))
    assert (first_difference(again) is None) == again.identical


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ("b", 2, 3)),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 5]}}, ("a.b[1]", 2, 5)),
        ({"a": 1}, {}, ("a", 1, ABSENT)),
        ({}, {"a": None}, ("a", ABSENT, None)),
        ({"a": [1]}, {"a": [1, 2]}, ("a", [1], [1, 2])),
        ({"a": ["Entry", {"b": 1}]}, {"a": ["Entry", {"b": 2}]}, ("a.b", 1, 2)),
        ({"a": 1, "b": 2}, {"a": 0, "b": 0}, ("a", 1, 0)),
        ({"a": [1, 0]}, {"a": [1, False]}, ("a[1]", 0, False)),
    ],
)
def test_a_difference_is_told_by_where_it_is_and_what_stands_there(
    one: Any, other: Any, told: tuple[str, Any, Any]
) -> None:
    again = Again(make_plan(raising(), AUTO), json.dumps(one).encode(), json.dumps(other).encode())
    assert first_difference(again) == told
