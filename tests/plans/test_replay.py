"""Every decision that is written down comes out the same again, byte for byte, from the ledger alone (I14)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import anyio
import pytest

from reconcilerd.domain.facts import CorrectionPlanned, DecisionRecorded, PlanMade, RegimeSwitched
from reconcilerd.domain.policy import Mode
from reconcilerd.domain.record import (
    Only,
    PutBack,
    first_difference,
    inputs_on_record,
    replay,
)
from reconcilerd.ledger.evidence import unproven
from reconcilerd.ledger.reader import open_reader
from reconcilerd.simulator.faults import HOSTILE, FaultPlan
from reconcilerd.simulator.truth import WorldConfig
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
