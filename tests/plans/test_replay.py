"""Every decision that is written down comes out the same again, byte for byte, from the ledger alone (I14)."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.digest import canonical, digest_of, revive
from reconcilerd.domain.facts import CorrectionPlanned, DecisionRecorded, PlanMade, RegimeSwitched
from reconcilerd.domain.guards import Rails, Spent, Verdict
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import Mode, Percent
from reconcilerd.domain.position import Position
from reconcilerd.domain.record import (
    Inputs,
    Only,
    PutBack,
    first_difference,
    inputs_on_record,
    record,
    replay,
)
from reconcilerd.ledger.evidence import unproven
from reconcilerd.ledger.reader import open_reader
from reconcilerd.simulator.faults import HOSTILE, FaultPlan
from reconcilerd.simulator.truth import WorldConfig
from tests.domain.builders import A, offer, position, row
from tests.domain.test_plan import positions
from tests.plans.stage import Shop, opened
from tests.world.stage import policy, shop, small_world


def recorded(path: Path) -> Iterator[tuple[int, PlanMade, DecisionRecorded | None, list[CorrectionPlanned]]]:
    """Every plan of a ledger with its record, and the corrections beside it."""
    reader = open_reader(path)
    for entry in reader.entries():
        made = [f for f in entry.facts if isinstance(f, PlanMade)]
        if made:
            kept = [f for f in entry.facts if isinstance(f, DecisionRecorded)]
            yield (
                entry.seq,
                made[0],
                kept[0] if kept else None,
                [f for f in entry.facts if isinstance(f, CorrectionPlanned)],
            )
    reader.close()


def check(path: Path) -> int:
    """How many decisions there are; each of them replays, and says what was written beside it."""
    count = 0
    held_before: set[object] = set()
    reader = open_reader(path)
    for seq, made, kept, corrections in recorded(path):
        if kept is None:
            assert not corrections
            assert held_before.issuperset(made.held), "what is held anew is recorded"
            continue
        held_before.update(made.held)
        count += 1
        groups = list(replay(kept))
        assert [what for each in groups for what in unproven(reader, seq, each.plan.position)] == []
        assert [first_difference(each) for each in groups if not each.identical] == []
        assert (made.id, made.at) == (kept.id, kept.at)
        sends = {(each.slot, each.read, each.target) for again in groups for each in again.plan.sends}
        assert sends == {(each.slot, each.read, each.target) for each in corrections}
    reader.close()
    return count


@pytest.mark.parametrize("split", [True, False])
def test_every_decision_of_hostile_hours_replays_whatever_was_changed_meanwhile(
    tmp_path: Path, split: bool
) -> None:
    path = tmp_path / "l.db"

    async def hours(one: Shop) -> None:
        await shop(one.stage, 90, 0.6, 3, ("a", "b"))
        chance = Random(1)
        for _ in range(6):
            item = chance.choice(one.stage.world.items_of("a"))
            one.stage.world.set_quantity(item, chance.randint(0, 60), one.stage.clock())
            await anyio.sleep(200)

    async def by_hand(one: Shop) -> None:
        await hours(one)
        one.stage.world.receive("a", 1, 30, one.stage.clock())
        await anyio.sleep(700)
        await one.ask("approve", id="held", reason="go on")
        await anyio.sleep(300)
        one.stage.world.receive("b", 1, 30, one.stage.clock())
        await one.ask("reconcile", skus=["b"], fresh=True)
        await one.apply(await one.plan(sku="b"))
        for each in (await one.ask("passes", limit=200))["passes"]:
            told = await one.ask("revert", **{"pass": each["id"], "apply": True, "reason": "x"})
            if told["sent"]:
                break
        await anyio.sleep(300)

    world = small_world(WorldConfig(seed=5, mirror_ms=120_000, ship_ms=(60_000, 600_000)), split, units=24)
    opened(path, hours, world=world, rules=policy(split, Mode.AUTO), faults=FaultPlan(7, HOSTILE))
    first = check(path)
    again = replace(policy(split, Mode.GUARDED), revision="another")
    opened(path, by_hand, world=world, rules=again, start=world.now, read_s=30)
    kept = [each for _, _, each, _ in recorded(path) if each is not None]
    assert first > 20
    assert check(path) > first + 5
    assert {each.policy for each in kept} == {"test", "another"}
    kinds = {type(inputs_on_record(each).order) for each in kept}
    assert kinds == {type(None), Only, PutBack}
    reader = open_reader(path)
    switched = [f for entry in reader.entries() for f in entry.facts if isinstance(f, RegimeSwitched)]
    reader.close()
    assert bool(switched) != split


@given(positions(), st.integers(0, 9), st.booleans())
def test_a_record_holds_all_that_decided(where: Position, zeros: int, stop: bool) -> None:
    spent = {ChannelName("uk"): Spent(1, 2, zeros, 4), ChannelName("eu"): Spent()}
    rails = Rails(Mode.AUTO, stop, frozenset({"us"}), spent, pinned=frozenset({where.offers[0].slot}))
    inputs = Inputs(rails, PutBack("p", ((where.offers[0].slot, 5),)), (where,))
    text = canonical(inputs)
    back = revive(Inputs, json.loads(text))
    assert back == inputs
    assert canonical(back) == text


@given(positions())
def test_whatever_is_changed_in_a_record_is_told(where: Position) -> None:
    rails = Rails(Mode.AUTO)
    made = record("i", Instant(5), "p", "v", rails, None, [make_plan(where, rails)])
    assert [each.identical for each in replay(made)] == [True]
    with pytest.raises(ValueError, match="digests"):
        list(replay(replace(made, digests=(("x", "0" * 64),))))
    for bad in ("", "AAAA", made.packed[:-8], made.packed + "!"):
        with pytest.raises(ValueError, match="cannot be read"):
            list(replay(replace(made, packed=bad)))


def test_another_decision_is_told_by_its_first_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    where = position([offer("uk", Percent(500)), offer("eu", Percent(500))], [row(A, 10)], split=True)
    rails = Rails(Mode.AUTO)
    made = record("i", Instant(5), "p", "v", rails, None, [make_plan(where, rails)])
    monkeypatch.setattr("reconcilerd.domain.allocation._far", lambda *_: False)
    monkeypatch.setattr("reconcilerd.domain.guards.RAISES", (lambda *_: Verdict.HOLD_DARK,))
    (again,) = replay(made)
    assert not again.identical
    told = first_difference(again)
    assert told is not None
    assert told[1:] == ("send", "hold_dark")
    assert told[0].endswith("verdict")


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner) | st.frozensets(st.text()),
    max_leaves=8,
))  # fmt: skip
def test_a_value_has_one_text_that_reads_as_json(value: Any) -> None:
    text = canonical(value)
    assert canonical(value) == text
    again = json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True, ensure_ascii=True)
    assert again.encode() == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_in_which_a_table_was_filled_does_not_matter(table: dict[str, int]) -> None:
    assert canonical(dict(reversed(table.items()))) == canonical(table)
    assert canonical(frozenset(reversed(list(table)))) == canonical(frozenset(table))


@pytest.mark.parametrize("value", [1.5, (1, 2.0), {"a": float("nan")}, object(), b"x"])
def test_a_float_or_a_stranger_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        canonical(value)


def test_the_digest_is_the_same_in_every_process() -> None:
    code = (
        "from reconcilerd.domain.digest import *;"
        "print(digest_of(canonical({'b': frozenset('xyz'), 'a': (1, None, True)})))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert said == {digest_of(canonical({"b": frozenset("xyz"), "a": (1, None, True)}))}


def test_nothing_that_decides_is_left_out_of_a_record() -> None:
    """Every field of a record comes back: one that took no part in its making would be lost."""
    seen: set[type] = set()

    def look(kind: Any) -> None:
        if is_dataclass(kind) and isinstance(kind, type) and kind not in seen:
            seen.add(kind)
            assert all(each.init for each in fields(kind)), kind
            from typing import get_args, get_type_hints

            waiting = list(get_type_hints(kind).values())
            while waiting:
                hint = waiting.pop()
                waiting.extend(get_args(hint))
                look(hint)

    look(Inputs)
    assert len(seen) > 12
    assert Decimal("1.50") == revive(Decimal, "1.50")


def test_an_input_that_no_fact_says_is_told(tmp_path: Path) -> None:
    async def scene(one: Shop) -> None:
        assert (await one.apply(await one.plan(sku="a")))["exit_code"] == 0

    path = tmp_path / "l.db"
    opened(path, scene)
    seq, made = next((seq, kept) for seq, _, kept, sent in recorded(path) if kept is not None and sent)
    (where,) = inputs_on_record(made).positions
    reader = open_reader(path)
    assert list(unproven(reader, seq, where)) == []
    stock = (replace(where.stock[0], on_hand=where.stock[0].on_hand + 1), *where.stock[1:])
    assert "stock a@1" in next(unproven(reader, seq, replace(where, stock=stock)))
    offers = (replace(where.offers[0], read=77), *where.offers[1:])
    assert "77 was taken for what it shows; the facts say 0" in next(
        unproven(reader, seq, replace(where, offers=offers))
    )
    assert len(list(unproven(reader, 1, where))) == 5
    reader.close()
