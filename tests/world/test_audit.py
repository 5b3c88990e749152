"""An audit: everything read whole by the pollers themselves, whatever their pace, then compared."""

from typing import Any

import anyio

from reconcilerd.cli.render import audited
from reconcilerd.domain.facts import SweepRead
from reconcilerd.domain.policy import Mode
from reconcilerd.simulator.faults import Fault, FaultPlan
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, play, policy, small_world
from tests.world.test_rails import answers

SLOW_S = 3_000.0


async def audit(stage: Stage) -> dict[str, Any]:
    return await answers(stage).answer({"op": "audit"}, "a test")


def test_what_no_poll_has_seen_yet_is_found_since_every_feed_is_read_whole() -> None:
    """Nothing is written (observe), and the next poll is far away: only a reading of its own can find the drift."""

    async def scene(stage: Stage) -> None:
        await anyio.sleep(200)
        for item in stage.world.items_of("a"):
            stage.world.set_quantity(item, 100, stage.clock())
        await anyio.sleep(SLOW_S)
        before = await audit(stage)
        assert [each["sku"] for each in before["skus"]] == ["b"]
        stage.world.set_quantity(stage.item("shop-eu", "a"), 3, stage.clock())
        began = stage.clock()
        told = await audit(stage)
        assert [each["sku"] for each in told["skus"]] == ["a", "b"]
        assert stage.clock() - began < SLOW_S * 1000 / 10, "it waited for a poll that comes of itself"
        assert (told["exit_code"], told["unread"]) == (3, {})
        ended = [each for each in stage.journal.facts if isinstance(each, SweepRead) and each.ended >= began]
        whole = {each.feed for each in ended if each.full and each.complete}
        sources = (stage.built.stock, *stage.built.channels.values())
        assert whole == {feed for source in sources for feed in source.feeds}

    rules = policy(split=False, mode=Mode.OBSERVE)
    play(small_world(WorldConfig(seed=2), split=False), rules, scene, poll_s=SLOW_S)


def test_what_cannot_be_read_is_named_and_is_no_all_clear() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        for _ in range(200):
            faults.arm("shop-uk", Fault.SERVER_ERROR)
        told = await audit(stage)
        assert told["exit_code"] == 5
        assert {feed.partition(".")[0] for feed in told["unread"]} == {"shop-uk"}

    faults = FaultPlan()
    play(small_world(WorldConfig(seed=2), split=False), policy(split=False), scene, faults, poll_s=SLOW_S)


def test_a_ledger_that_is_broken_is_told_by_the_audit_until_a_check_finds_it_whole() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        why = ["entry 7: it is not what was written"]

        async def prove() -> str:
            return why[0]

        ask = answers(stage)
        ask.prove = prove
        told = await ask.answer({"op": "audit"}, "a test")
        assert (told["exit_code"], told["ledger"]) == (2, why[0])
        assert "LEDGER BROKEN at entry 7" in audited(told, 80)
        await stage.built.daemon.health.check()
        assert ("storage", "ledger") in {each[:2] for each in stage.alerts.raised}
        assert (await ask.answer({"op": "verify"}, "a test"))["error"]["message"] == why[0]
        why[0] = ""
        assert await ask.answer({"op": "verify"}, "a test") == {"ledger": "proven", "exit_code": 0}
        await stage.built.daemon.health.check()
        assert stage.alerts.raised == []

    play(small_world(WorldConfig(seed=2), split=False), policy(split=False), scene, poll_s=SLOW_S)
