"""What the pages say, from a daemon that plays: paused looks paused, and what others wrote is text."""

from collections.abc import Sequence
from dataclasses import replace

import anyio
import httpx
from starlette.applications import Starlette

from reconcilerd.domain.facts import FreezeSet, InvariantBroken
from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import Mode
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web.overview import AT_MOST, Overview, overview
from reconcilerd.web.pages import STATIC, age, number, routes
from reconcilerd.web.sources import Sources
from tests.web.stage import Told, sources_of
from tests.world.stage import Stage, play, policy, small_world

HOSTILE = "<script>alert(1)</script>"


async def get(sources: Sources, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=routes(sources)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path)


def levels(seen: Overview) -> Sequence[str]:
    return [note.level for note in seen.banner]


def test_paused_looks_paused_whatever_pauses_it() -> None:
    async def scene(stage: Stage) -> None:
        desk, sources = stage.built.daemon.desk, sources_of(stage.built)
        await anyio.sleep(60)
        assert levels(await overview(sources)) == ["good"]
        until = Instant(stage.clock() + 3_600_000)
        await desk.take((FreezeSet("shop-uk", True, HOSTILE, "a sale", stage.clock(), until),))
        seen = await overview(sources)
        assert levels(seen) == ["paused"]
        assert {row.name: row.writes for row in seen.systems if row.is_channel} == {
            "shop-uk": "writes are frozen",
            "shop-eu": "on",
            "shop-us": "on",
        }
        text = (await get(sources, "/")).text
        assert "FROZEN: shop-uk, by &lt;script&gt;" in text
        assert HOSTILE not in text
        assert "Writes are ON" not in text
        broken = tuple(
            InvariantBroken(str(n), "a", (("I1", "too much"),), "", stage.clock()) for n in range(AT_MOST + 2)
        )
        await desk.take(broken)
        seen = await overview(sources)
        assert levels(seen) == ["broken"] * (AT_MOST + 1) + ["paused"]
        assert seen.banner[AT_MOST].text == "and 2 more broken invariants"
        assert (await get(sources, "/")).text.count("STOPPED: invariant") == AT_MOST

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_what_only_looks_never_says_that_it_writes() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        told = Told(severities={"critical": 1, "warning": 2})
        sources = replace(sources_of(stage.built), alerts=told)
        seen = await overview(sources)
        assert levels(seen) == ["paused"]
        assert (seen.open_alerts, seen.urgent_alerts) == (3, 1)
        # Every listing shows 0 and may not be corrected.
        assert seen.drifts == seen.held == 6
        assert seen.hidden_units > 0
        assert [row.name for row in seen.systems] == ["extensiv", "shop-eu", "shop-uk", "shop-us"]
        assert all(row.read_s is not None and not row.stale for row in seen.systems)
        stage.built.daemon.started = anyio.Event()
        assert levels(await overview(sources)) == ["paused", "paused"]

    play(small_world(WorldConfig(), split=True), policy(split=True, mode=Mode.OBSERVE), scene)


def test_pages_load_only_what_is_there_and_hold_no_inline_code() -> None:
    async def scene(stage: Stage) -> None:
        sources = sources_of(stage.built)
        for name, kind in STATIC.items():
            answer = await get(sources, f"/static/{name}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert (await get(sources, "/static/pages.py")).status_code == 404
        assert (await get(sources, "/static/..%2Fpages.py")).status_code == 404
        text = (await get(sources, "/")).text
        assert "<style" not in text
        assert " style=" not in text
        assert text.count("<script") == text.count('<script src="/static/') == 1

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_ages_and_numbers_keep_unknown_apart_from_nothing() -> None:
    assert [age(each) for each in (None, 0, 119, 120, 7_199, 7_200, 172_800)] == [
        "never", "0 s", "119 s", "2 min", "119 min", "2 h", "2 d",
    ]  # fmt: skip
    assert [number(each) for each in (None, 0, -1_234)] == ["?", "0", "-1,234"]
