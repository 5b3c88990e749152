"""A plan as a file: what is read is what was written; what was changed in it, or moved since, is told."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.digest import canonical, digest_of
from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.guards import MEANS, NEEDS_A_PERSON, Rails, Verdict
from reconcilerd.domain.names import Instant, Sku, format_instant
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.plan_file import (
    BadPlan,
    Planned,
    document,
    fingerprint,
    inputs_of,
    moved,
    read_document,
)
from reconcilerd.domain.policy import Mode, Percent
from reconcilerd.domain.position import ClaimKind, Position
from tests.domain.builders import A, B, claim, offer, position, row
from tests.domain.strategies import FEWER, positions, rails
from tests.domain.test_plan import WIDE
from tests.near_misses.damage import damaged

MADE = Instant(1_700_000_000_000)
HASH = "ab" * 32


def written(*plans: GroupPlan, channel: str | None = None) -> dict[str, Any]:
    """The document as it comes back from a file."""
    scope = {"sku": None, "channel": channel}
    made = document("p1", MADE, 600_000, (7, HASH), ("f00d", "guarded"), scope, plans)
    back: dict[str, Any] = json.loads(json.dumps(made))
    assert back == made
    return back


def guarded() -> GroupPlan:
    """A raise that waits for an approval, a lower that goes, a listing that is right."""
    offers = [
        offer("eu", Percent(300), shown=5),
        offer("uk", Percent(500), shown=2),
        offer("us", Percent(200), shown=2),
    ]
    rows = [row(A, 8, unavailable=1, allocated=1), row(B, 5)]
    where = position(offers, rows, [claim(2)], split=True, limits=WIDE)
    return make_plan(replace(where, sold=((Sku("x"), 9),)), Rails(Mode.GUARDED))


@FEWER
@given(positions(), rails(), st.booleans())
def test_what_is_read_is_what_was_planned(where: Position, on: Rails, only_one: bool) -> None:
    plan = make_plan(where, on)
    channel = where.offers[0].slot.channel if only_one else None
    read = read_document(written(plan, channel=channel))
    mine = [each for each in plan.entries if channel in {None, each.slot.channel}]
    assert read.entries == tuple(
        Planned(each.slot, each.sku, where.group, each.current, each.target, each.verdict) for each in mine
    )
    for planned, entry in zip(read.entries, mine, strict=True):
        assert planned.written == (entry.verdict is Verdict.SEND or entry.verdict in NEEDS_A_PERSON)
    assert (read.id, read.made_at, read.entry, read.hash, read.policy) == ("p1", MADE, 7, HASH, "f00d")
    assert read.genuine
    assert read.inputs == ({where.group: inputs_of(where)} if mine else {})


def test_a_person_reads_what_each_correction_means_and_until_when_the_plan_is_good() -> None:
    plan = guarded()
    told = written(plan)
    assert (told["made_at"], told["expires_at"]) == (
        format_instant(MADE),
        format_instant(Instant(MADE + 600_000)),
    )
    assert told["counts"] == {"hold_approval": 1, "send": 1}
    for said, entry in zip(told["entries"], plan.entries, strict=True):
        assert said["slot"] == [entry.slot.channel, entry.slot.listing, entry.slot.place]
        assert (said["shown"], said["desired"], said["target"]) == (
            entry.current,
            entry.desired,
            entry.target,
        )
        assert said["means"] == MEANS[entry.verdict]
        assert said["fingerprint"] == fingerprint(told["inputs"][said["group"]])


def test_whatever_was_changed_in_a_plan_it_is_none_or_not_the_one_that_was_reviewed() -> None:
    sound, tried = written(guarded()), 0
    for each in damaged(sound):
        if text_of(each.row) == text_of(sound):
            continue  # the same digits, another way of writing them
        tried += 1
        try:
            read = read_document(each.row)
        except BadPlan:
            continue
        assert not read.genuine, each
    assert tried > 1000


def text_of(value: Any) -> bytes | None:
    try:
        return canonical(value)
    except (TypeError, ValueError):
        return None


def with_a_digest_that_fits(plan: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    changed = {key: each for key, each in {**plan, **more}.items() if key != "digest"}
    return {**changed, "digest": digest_of(canonical(changed))}


ENTRY = {"slot": ["a", "b", "c"], "sku": "a", "group": "a", "shown": 1, "target": 1, "verdict": "send"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "other"}, "no plan"),
        ({"version": 2}, "newer reconcilerd"),
        ({"version": True}, "version is no whole number"),
        ({"version": None}, "version is missing"),
        ({"entries": None}, "entries is missing"),
        ({"entries": [5]}, "entries[0] is no table"),
        ({"entries": [{"slot": ["a"]}]}, "entries[0].slot is no channel, listing and place"),
        ({"entries": [{"slot": ["a", "b", 5]}]}, "entries[0].slot is no channel, listing and place"),
        ({"entries": [{"slot": ["a", "b", "c"]}]}, "entries[0].sku is missing"),
        ({"entries": [{"slot": ["a", "b", "c"], "sku": 5}]}, "entries[0].sku is no text"),
        ({"made_at": "yesterday"}, "made_at is no time"),
        ({"inputs": {"a": 5}}, "inputs hold no tables"),
        ({"ledger": {"entry": "1"}}, "ledger.entry is no whole number"),
        ({"id": 5}, "id is no text"),
        ({"version": 0}, "version is not from 1 to"),
        ({"entries": {}}, "entries is no list"),
        ({"inputs": []}, "inputs is no table"),
        ({"ledger": {"entry": 2**63, "hash": "00"}}, f"ledger.entry is not from 0 to {2**63 - 1}"),
        ({"ledger": {"entry": -1, "hash": "00"}}, "ledger.entry is not from 0"),
        ({"ledger": {"entry": 1}}, "ledger.hash is missing"),
        ({"entries": [{**ENTRY, "target": -1}]}, "entries[0].target is not from 0 to 1000000000"),
        ({"entries": [{**ENTRY, "target": 10**30}]}, "entries[0].target is not from 0 to 1000000000"),
        ({"entries": [{**ENTRY, "shown": 10**25}]}, "entries[0].shown is not from -1000000000"),
    ],
)
def test_what_is_wrong_with_a_plan_is_told_by_its_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadPlan) as told:
        read_document(with_a_digest_that_fits(written(guarded()), **change))
    assert said in str(told.value)


@pytest.mark.parametrize("nothing", [None, 5, [], "plan", {}])
def test_what_is_no_plan_at_all_is_told(nothing: Any) -> None:
    with pytest.raises(BadPlan, match="it is no plan"):
        read_document(nothing)


def test_a_plan_that_has_no_one_text_is_damaged() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    for bad in (1.5, deep):
        with pytest.raises(BadPlan, match="it is damaged"):
            read_document({**written(guarded()), "scope": bad})


@FEWER
@given(positions(), st.integers(1, 10**7))
def test_what_only_grew_older_has_not_moved(where: Position, ms: int) -> None:
    later = replace(
        where,
        at=Instant(where.at + ms),
        offers=tuple(replace(each, age_of=Instant(each.age_of - ms)) for each in where.offers),
        stock=tuple(replace(each, age_of=Instant(0), said=1) for each in where.stock),
    )
    assert moved(inputs_of(where), inputs_of(later)) == []
    assert fingerprint(inputs_of(where)) == fingerprint(inputs_of(later))


def seen(**changed: Any) -> Position:
    """The position of a guarded plan in which the first listing is another."""
    where = guarded().position
    return replace(where, offers=(replace(where.offers[0], **changed), *where.offers[1:]))


def with_row(**changed: Any) -> Position:
    where = guarded().position
    return replace(where, stock=(replace(where.stock[0], **changed), *where.stock[1:]))


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (seen(read=4), ["eu listing item shows 5 -> 4"]),
        (seen(known_since=2), ["eu listing item shows 5 -> 3"]),
        (seen(read=None), ["eu listing item shows 5 -> unknown"]),
        (seen(write=9), ["eu listing item may show 5 -> 9"]),
        (seen(state=SlotState.INACTIVE), ["eu listing item is buyable -> inactive"]),
        (seen(ambiguous=True), ["eu listing item is buyable -> buyable, ambiguous"]),
        (seen(pushed=True), ["eu listing item is buyable -> buyable, native push"]),
        (with_row(on_hand=9), ["x at A: on hand 8 -> 9"]),
        (with_row(unavailable=0), ["x at A: unavailable 1 -> 0"]),
        (with_row(allocated=0), ["x at A: allocated 1 -> 0"]),
        (replace(guarded().position, split=False), ["pool split -> shared"]),
        (replace(guarded().position, unknown=(Sku("x"),)), ["x: stock 0 -> unknown"]),
        (replace(guarded().position, claims=()), ["x: ordered 2 -> 0"]),
        (replace(guarded().position, claims=(claim(2, ClaimKind.SHIPPED),)), []),
        (replace(guarded().position, claims=(claim(1), claim(1, ClaimKind.IN_FLIGHT))), []),
        (replace(guarded().position, claims=(claim(2), claim(3, ClaimKind.BURIED))), ["x: kept back 0 -> 3"]),
        (replace(guarded().position, claims=(claim(2), claim(3, ClaimKind.SAFETY))), ["x: safety stock 0 -> 3"]),
    ],
)  # fmt: skip
def test_what_moved_is_told_from_what_to_what(now: Position, told: list[str]) -> None:
    assert moved(inputs_of(guarded().position), inputs_of(now)) == told


def test_what_is_in_order_again_is_told_as_what_it_is() -> None:
    before, now = seen(write=9, state=SlotState.INACTIVE), seen(read=4)
    told = [
        "eu listing item is inactive -> buyable",
        "eu listing item may show 9 -> 4",
        "eu listing item shows 5 -> 4",
    ]
    assert moved(inputs_of(before), inputs_of(now)) == told


def test_listings_at_two_places_are_told_apart() -> None:
    two = offer("uk", shown=5)
    there = replace(two, slot=replace(two.slot, place="there"), read=6)
    where = position([replace(two, slot=replace(two.slot, place="here")), there], [row(A, 5)])
    said = inputs_of(where)
    assert (said["uk listing item at here shows"], said["uk listing item at there shows"]) == (5, 6)


def test_only_the_groups_of_what_is_planned_bring_their_inputs() -> None:
    other = guarded()
    at_rest = make_plan(
        position([offer("uk", shown=5, sku="y", uses=((Sku("y"), 1),))], [row(A, 5, "y")]), Rails(Mode.AUTO)
    )
    assert at_rest.entries == ()
    assert set(written(other, at_rest)["inputs"]) == {"x"}
    assert written(other, channel="nowhere")["inputs"] == {}
