"""What a daemon asks right before a write leaves, and what it knows of the time before its start."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio

from reconcilerd.daemon.circuits import Circuits
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.change import Closed
from reconcilerd.domain.facts import CorrectionPlanned, FreezeSet, RailLatched
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.domain.policy import Limits
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, play, policy, small_world

UK = ChannelName("uk")
SHOP = ChannelName("shop-uk")


def test_a_circuit_that_was_open_before_a_restart_is_not_closed_by_it() -> None:
    latch = RailLatched("circuit:uk", True, "reconcilerd", "x", Instant(1), "9 of 10 calls failed")
    limits = Limits()
    circuits = Circuits(limits, lambda: Instant(5), [latch])
    for _ in range(limits.breaker_probes):
        assert circuits.open == {UK}
        circuits.hear(UK)(True)
    assert circuits.open == frozenset()
    assert [(each.name, each.on) for each in circuits.news()] == [("circuit:uk", False)]


def with_daemon(look: Callable[[Stage, Daemon], Awaitable[None]]) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(1)
        await look(stage, stage.built.daemon)

    play(small_world(WorldConfig(seed=1), True), policy(True), scene)


def intent(daemon: Daemon, at: int, **more: Any) -> CorrectionPlanned:
    slot = next(each for each in sorted(daemon.desk.book.slots) if each.channel == SHOP)
    made = CorrectionPlanned("w", slot, "a", 9, Instant(at), 5, "lag", "share", Instant(at), unexplained=4)
    return replace(made, **more)


def test_a_freeze_of_all_channels_stops_each_write_that_waits() -> None:
    async def look(stage: Stage, daemon: Daemon) -> None:
        assert daemon.stopped(SHOP) is None
        for name, why in (("", "writes are frozen"), ("shop-uk", "writes are frozen"), ("shop-eu", None)):
            now = stage.clock()
            await daemon.desk.take([FreezeSet(name, True, "ops", "x", now, None)])
            assert daemon.stopped(SHOP) == why
            await daemon.desk.take([FreezeSet(name, False, "ops", "x", now, None)])
            assert daemon.stopped(SHOP) is None

    with_daemon(look)


def test_a_start_counts_what_went_out_before_it() -> None:
    async def look(stage: Stage, daemon: Daemon) -> None:
        now = stage.clock()
        recent = [intent(daemon, now - 1_000)]
        habits = daemon.desk.book.slots[recent[0].slot].habits
        tries = habits.attempts(now)
        again = Daemon(daemon.desk, daemon._plugs, lambda _desk, _passes: daemon.health, 1.0, recent)
        spent = again.windows.spent(SHOP, now)
        assert (spent.slots, spent.units) == (1, 4)
        assert habits.attempts(now) == tries + 1

    with_daemon(look)


def test_what_was_planned_by_the_policy_before_does_not_leave() -> None:
    async def look(stage: Stage, daemon: Daemon) -> None:
        mine = intent(daemon, stage.clock())
        daemon.desk.fold([mine])
        assert daemon._barred(mine) is None
        daemon.turn_to(daemon.desk.book.policy, lambda _: (), [])
        assert daemon._barred(mine) == "it was planned by the policy before"

    with_daemon(look)


def test_a_freeze_window_lets_through_what_waits_as_it_would_what_is_planned() -> None:
    async def look(stage: Stage, daemon: Daemon) -> None:
        mine = intent(daemon, stage.clock())
        daemon.turn_to(daemon.desk.book.policy, lambda _: (Closed("", frozenset({"cures"})),), [])
        assert daemon._barred(mine) == "a freeze window is open", "it lowers, and cures nothing"
        assert daemon._barred(replace(mine, cures=True)) is None
        daemon.turn_to(daemon.desk.book.policy, lambda _: (Closed("", frozenset({"lowers"})),), [])
        assert daemon._barred(replace(mine, target=12)) == "a freeze window is open"
        under = (("v", 20, 9, mine.based_on, mine.at),)
        assert daemon._barred(replace(mine, target=12, under=under)) is None, "it lowers what is under way"

    with_daemon(look)


def test_channels_whose_circuits_are_open_fail_together() -> None:
    async def look(_stage: Stage, daemon: Daemon) -> None:
        assert not daemon.rails().half_fails
        for name in ("shop-uk", "shop-eu"):
            for _ in range(daemon.circuits.limits.breaker_calls):
                daemon.circuits.hear(ChannelName(name))(False)
        assert daemon.rails().half_fails

    with_daemon(look)


def test_another_policy_has_its_own_circuit_breakers_and_windows() -> None:
    async def look(stage: Stage, daemon: Daemon) -> None:
        now, old = stage.clock(), daemon.desk.book.policy
        limits = replace(old.limits, breaker_calls=2, window_ms=old.limits.window_ms * 4)
        earlier = intent(daemon, now - old.limits.window_ms * 2)
        daemon.turn_to(replace(old, limits=limits), lambda _: (), [earlier])
        assert daemon.circuits.limits == limits
        assert daemon.windows.spent(SHOP, now).slots >= 1

    with_daemon(look)
