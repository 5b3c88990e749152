"""Alive is who reads everything within its limit, plans and is sound; whoever is not says why."""

from collections.abc import Awaitable, Callable, Mapping

import anyio
import pytest

from reconcilerd.daemon.health import Health
from reconcilerd.daemon.passes import Passes
from reconcilerd.domain.facts import InvariantBroken
from reconcilerd.domain.names import Sku
from reconcilerd.errors import TryLater
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.trial.stage import START
from tests.world.stage import Stage, play, policy, small_world

READ_S = 700.0
BREACH = InvariantBroken("b1", "a", (("I1", "too much"),), "{}", START)


def whys(scene: Callable[[Stage, Callable[[], None]], Awaitable[None]]) -> tuple[list[str], Stage]:
    """Why it was not alive, each time that a scene noted it; first right after the start, then once all is read."""
    found: list[str] = []

    async def whole(stage: Stage) -> None:
        def note() -> None:
            found.append(stage.built.daemon.health.why_not())

        note()
        await anyio.sleep(READ_S)
        note()
        await scene(stage, note)

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), whole)
    assert found[:2] == ["it starts", ""]
    return found[2:], stage


def test_it_is_alive_while_it_trades() -> None:
    async def scene(stage: Stage, note: Callable[[], None]) -> None:
        for _ in range(20):
            stage.world.damage("a", 1, stage.clock())
            await anyio.sleep(61)
            note()

    assert set(whys(scene)[0]) == {""}


def test_a_feed_that_is_not_read_for_too_long_ends_it_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage, note: Callable[[], None]) -> None:
        with monkeypatch.context() as patch:
            for system in stage.built.channels.values():
                patch.setattr(type(system), "sweep", unread)
            await anyio.sleep(2_400)
            note()
        await anyio.sleep(600)
        note()

    async def unread(*_: object, **__: object) -> None:
        raise TryLater("gone")

    found, _ = whys(scene)
    assert found[0].startswith("not read completely for too long: ")
    assert "shop-uk.slots" in found[0]
    assert found[1] == ""


def test_a_breach_and_a_bug_end_it() -> None:
    async def scene(stage: Stage, note: Callable[[], None]) -> None:
        stage.built.daemon.passes.broken[Sku("a")] = "ZeroDivisionError"
        note()
        stage.built.daemon.passes.broken.clear()
        await stage.built.daemon.desk.take([BREACH])
        note()

    found, _ = whys(scene)
    assert found == ["something met a bug and is left out", "an invariant was broken; nothing is written"]


def test_who_plans_no_more_or_looks_no_more_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(self: object, *_: object) -> None:
        await anyio.sleep_forever()

    async def scene(stage: Stage, note: Callable[[], None]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Passes, "_carry", hangs)
            stage.world.damage("a", 5, stage.clock())
            await anyio.sleep(900)
            note()
            patch.setattr(Health, "check", hangs)
            await anyio.sleep(900)
            note()

    found, _ = whys(scene)
    assert found[0].startswith("nothing was planned for ")
    assert found[1].startswith("nobody looked for ")


def test_severities_are_those_of_the_kinds() -> None:
    heard: dict[str, str] = {}

    async def raise_(
        kind: str, subject: str, severity: str, summary: str, details: Mapping[str, str]
    ) -> None:
        del subject, summary, details
        heard[kind] = severity

    async def scene(stage: Stage, _note: Callable[[], None]) -> None:
        stage.alerts.raise_ = raise_  # type: ignore[method-assign]
        stage.built.daemon.health.surroundings.probed("control socket", "uid 33")
        await stage.built.daemon.health.denied("shop-uk", "shop-uk.slots", "401")
        await stage.built.daemon.health.check()

    whys(scene)
    assert heard == {"credentials_refused": "critical", "access_probe": "warning"}, "one for each cause"
