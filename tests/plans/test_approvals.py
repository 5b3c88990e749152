"""Approvals as they are given, listed, used and taken back: one id for all that a person released at once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from reconcilerd.cli import plan_text
from reconcilerd.domain.facts import CorrectionPlanned, EnvelopeApproved, Fact
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey, after
from reconcilerd.ledger.codec import decode
from reconcilerd.ledger.reader import STEP
from reconcilerd.ledger.store import Ledger
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.trial.stage import START
from tests.cli.test_schemas import faults
from tests.plans.stage import Shop, opened
from tests.world.stage import small_world


def checked(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """An answer that is what its document says, as it comes."""
    told = json.loads(json.dumps(told))
    assert faults(name, {**told, "schema": f"reconcilerd.{name}/1"}) == []
    return told


def test_who_approves_all_that_is_held_lets_each_sku_go_as_far_as_it_is_held(tmp_path: Path) -> None:
    """One SKU of six hundred that falls to nothing lets no other fall by six hundred, for two hours."""

    async def scene(shop: Shop) -> None:
        world = shop.stage.world
        await shop.ask("approve", id="held", reason="first stock")
        await anyio.sleep(400)
        world.damage("a", world.bins["a", 1].on_hand - 2, shop.stage.clock())
        world.damage("b", 20, shop.stage.clock())
        await anyio.sleep(1_500)
        held = shop.stage.built.daemon.passes.standing.drifts
        falls = sorted((str(d.sku), -d.difference) for group in held.values() for d, _ in group)
        differs = dict(falls)  # of each SKU the last, which is the largest
        assert differs["a"] > 2 * differs["b"] > 0
        told = checked("approve", await shop.ask("approve", id="held", reason="counted by hand"))
        limits = {each["sku"]: (each["lower"], each["raise"]) for each in told["envelope"]["limits"]}
        assert limits.keys() == {"a", "b"}
        assert limits["a"][0] >= differs["a"]
        assert limits["b"] == (differs["b"], 0)
        assert told["envelope"]["ceiling"] == limits["a"][0]
        text = plan_text.approved(told, 100)
        assert f"a (-{limits['a'][0]})" in text
        assert f"b (-{limits['b'][0]})" in text
        await anyio.sleep(1_500)
        before = shop.shown("b")
        assert sum(before.values()) == 580, "what was released went"
        world.damage("b", 200, shop.stage.clock())
        await anyio.sleep(1_500)
        waits = [d.sku for group in held.values() for d, verdict in group if verdict.startswith("hold")]
        assert "b" in waits, "it falls by more than was released of it"
        assert shop.shown("b") == before
        [row] = [each for each in (await listed(shop)) if each["reason"] == "counted by hand"]
        assert row["limits"] == told["envelope"]["limits"]
        assert row["used"] > 0
        gone = checked("envelopes-revoke", await shop.ask("revoke", id=row["id"], reason="enough"))
        assert gone["used"] == row["used"], "one id takes all of it back"

    opened(tmp_path / "ledger.db", scene, world=small_world(WorldConfig(), True, units=600))


async def listed(shop: Shop) -> list[dict[str, Any]]:
    told = checked("envelopes", await shop.ask("envelopes"))
    for columns in (80, 100):
        lines = plan_text.envelopes(told, columns).splitlines()
        assert not [line for line in lines if len(line) > columns]
    rows: list[dict[str, Any]] = told["envelopes"]
    return rows


def test_an_approval_from_before_each_sku_had_limits_reads_and_lists_as_before(tmp_path: Path) -> None:
    old = {
        "id": "e",
        "skus": ["a", "b"],
        "direction": "lower",
        "ceiling": 9,
        "by": "ops",
        "reason": "counted",
    }
    fact = decode("envelope", "e", msgspec.json.encode({**old, "at": START, "until": START + 7_200_000}))
    assert isinstance(fact, EnvelopeApproved)
    assert [fact.most(Sku(sku), way) for sku in "abc" for way in ("lower", "raise")] == [
        9,
        None,
        9,
        None,
        None,
        None,
    ]

    async def scene(shop: Shop) -> None:
        await shop.stage.built.daemon.desk.take([replace(fact, at=shop.stage.clock())])
        [row] = await listed(shop)
        assert (row["ceiling"], row["limits"]) == (9, [])
        assert "a, b: lowers of up to 9 units a listing, to zero" in plan_text.envelopes(
            {"envelopes": [row]}, 100
        )

    opened(tmp_path / "ledger.db", scene, read_s=60)


@pytest.mark.parametrize("op", ["envelopes", "revoke", "handover"])
def test_how_often_an_approval_was_used_is_counted_while_others_have_their_turn(
    tmp_path: Path, op: str
) -> None:
    """However often its listings were corrected before it: that is not even looked at."""
    slot = SlotKey(ChannelName("shop-uk"), "a listing that is gone since", "place")

    def planned(number: int, at: Instant, under: str) -> CorrectionPlanned:
        return CorrectionPlanned(f"c{number}", slot, "a", 5, at, 3, "lag", "x", at, released=under)

    async def scene(shop: Shop) -> None:
        desk, asked = shop.stage.built.daemon.desk, list[Instant]()
        for number in range(STEP):
            shop.ledger.append([planned(number, shop.stage.clock(), "e")])
        await anyio.sleep(1)
        now = shop.stage.clock()
        await desk.take(
            [EnvelopeApproved("e", (Sku("a"),), "both", 9, "ops", "x", now, after(now, 7_200_000))]
        )
        for number in range(STEP, 3 * STEP + 5):
            shop.ledger.append([planned(number, now, "e" if number % 2 else "other")])
        real, turns = shop.ledger.told_since, list[int]()

        def told_since(kinds: Any, at: Instant) -> Iterator[list[tuple[int, Instant, Fact]]]:
            if set(kinds) == {CorrectionPlanned.kind}:
                asked.append(at)
            return real(kinds, at)

        async def others() -> None:
            while True:
                turns.append(1)
                await anyio.lowlevel.checkpoint()

        shop.ledger.told_since = told_since  # type: ignore[method-assign]
        async with anyio.create_task_group() as group:
            group.start_soon(others)
            await anyio.lowlevel.checkpoint()
            turns.clear()
            told = await shop.ask(op, **({"id": "e", "reason": "enough"} if op == "revoke" else {}))
            between = len(turns)
            group.cancel_scope.cancel()
        used = (
            told["used"]
            if op == "revoke"
            else told["envelopes" if op == "envelopes" else "approvals"][0]["used"]
        )
        assert used == STEP + 2
        assert asked == [now - 1]
        assert between >= 3, "each piece leaves others their turn"

    opened(tmp_path / "ledger.db", scene, read_s=60)


def test_what_was_written_is_told_in_pieces_however_much_an_entry_holds(tmp_path: Path) -> None:
    """A pass over thousands of listings is one entry: few of them are as much as others wait for."""
    each = STEP - 1
    slots = [SlotKey(ChannelName("shop-uk"), f"item{number}", "") for number in range(each)]
    with Ledger.open(tmp_path / "ledger.db", clock=lambda: START, durable=False) as ledger:
        for number in range(6):
            ledger.append(
                [CorrectionPlanned(f"{number}", slot, "a", 5, START, 3, "lag", "x", START) for slot in slots]
            )
        pieces = list(ledger.told_since({CorrectionPlanned.kind}, after(START, -1)))
    assert sum(map(len, pieces)) == 6 * each
    assert max(map(len, pieces)) <= 2 * each
