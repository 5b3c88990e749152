"""Alive is one thing, ready another: ready is who reads everything and keeps its own rules."""

from dataclasses import replace
from typing import Any

import anyio
import httpx
from starlette.applications import Starlette

from reconcilerd.domain.facts import FreezeSet, InvariantBroken
from reconcilerd.domain.names import FeedName, Instant
from reconcilerd.domain.policy import Mode
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web.standing import routes
from tests.web.stage import sources_of
from tests.world.stage import Stage, play, policy, small_world


async def ask(stage: Stage, path: str) -> tuple[int, Any]:
    transport = httpx.ASGITransport(Starlette(routes=routes(sources_of(stage.built))))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(path)
        return answer.status_code, answer.json() if path == "/readyz" else answer.text


def test_ready_until_a_feed_is_stale_or_a_rule_of_ours_is_broken() -> None:
    async def scene(stage: Stage) -> None:
        desk = stage.built.daemon.desk
        await anyio.sleep(60)
        code, told = await ask(stage, "/readyz")
        assert (code, told["ready"], told["stale_s"]) == (200, True, {})
        assert told["writes"] == {"shop-uk": "on", "shop-eu": "on", "shop-us": "on"}
        await desk.take((FreezeSet("shop-uk", True, "me", "a test", stage.clock()),))
        code, told = await ask(stage, "/readyz")
        assert (code, told["writes"]["shop-uk"]) == (200, "writes are frozen")
        feed = FeedName("shop-eu.slots")
        sound = desk.book.sweeps[feed]
        desk.book.sweeps[feed] = replace(sound, began=Instant(stage.clock() - 1_801_000))
        code, told = await ask(stage, "/readyz")
        assert (code, told["ready"], told["stale_s"]) == (503, False, {feed: 1801})
        desk.book.sweeps[feed] = sound
        await desk.take((InvariantBroken("1", "a", (("I1", "too much"),), "", stage.clock()),))
        code, told = await ask(stage, "/readyz")
        assert (code, told["invariant_broken"]) == (503, True)
        assert set(told["writes"].values()) == {"an invariant was broken"}
        assert await ask(stage, "/healthz") == (200, "ok\n")

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_before_the_catalogue_is_known_it_is_alive_and_not_ready() -> None:
    async def scene(stage: Stage) -> None:
        stage.built.daemon.started = anyio.Event()
        code, told = await ask(stage, "/readyz")
        assert (code, told["started"], told["mode"]) == (503, False, "observe")
        assert set(told["writes"].values()) == {"mode observe only looks"}
        assert (await ask(stage, "/healthz"))[0] == 200

    play(small_world(WorldConfig(), split=True), policy(split=True, mode=Mode.OBSERVE), scene)
