"""What the pages say, from a daemon that plays: paused looks paused, and what others wrote is text."""

import html
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import anyio
import httpx
from starlette.applications import Starlette

from reconcilerd.domain.facts import FreezeSet, InvariantBroken, RailLatched
from reconcilerd.domain.latches import TUG, latch_name
from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import Mode
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web import api, downloads, pages
from reconcilerd.web.app import Wall, build
from reconcilerd.web.chart import HEIGHT, chart
from reconcilerd.web.overview import AT_MOST, Overview, overview
from reconcilerd.web.pages import STATIC, age, number, routes
from reconcilerd.web.sku import LINES, sku_page
from reconcilerd.web.sources import Sources
from reconcilerd.web.views import views_of
from tests.cli.test_runbooks import fault_of
from tests.web.stage import Told, answers_of, passed_of, past_of, sources_of
from tests.world.stage import Stage, play, policy, small_world

HOSTILE = "<script>alert(1)</script>"


def app_of(stage: Stage, sources: Sources) -> Starlette:
    # Virtual time runs on while a thread reads them, and what was to hold for an hour is over.
    pages._templates()
    views = views_of(
        sources, answers_of(stage.built, stage.journal), past_of(stage.journal), passed_of(stage.journal)
    )
    tables = downloads.downloads_of(stage.built.daemon)
    sent = downloads.routes(tables, stage.clock)
    return Starlette(routes=[*routes(views), *sent, *api.routes(views, tables)])


async def get(stage: Stage, path: str, sources: Sources | None = None) -> httpx.Response:
    app = build(app_of(stage, sources or sources_of(stage.built)).routes, Wall(stage.clock))
    transport = httpx.ASGITransport(app)
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
        await desk.take((FreezeSet("", True, "ops", "stock-take", stage.clock(), until),))
        assert [fault_of(note.do) for note in (await overview(sources)).banner] == ["", ""]
        await desk.take((FreezeSet("", False, "ops", "done", stage.clock()),))
        assert {row.name: row.writes for row in seen.systems if row.is_channel} == {
            "shop-uk": "writes are frozen",
            "shop-eu": "on",
            "shop-us": "on",
        }
        text = (await get(stage, "/")).text
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
        assert (await get(stage, "/")).text.count("STOPPED: invariant") == AT_MOST

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_nothing_that_a_page_shows_turns_or_hides_what_stands_beside_it() -> None:
    """Marks of direction, escapes, what has no width: in a reason, a SKU, an address that nobody knows."""
    marks = "\u202e\u2066\u200b\x1b[2J\x00\ufeff"

    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        desk, until = stage.built.daemon.desk, Instant(stage.clock() + 3_600_000)
        await desk.take(
            (FreezeSet("shop-uk", True, f"ann{marks}", f"stock-take{marks}", stage.clock(), until),)
        )
        for path in (
            "/",
            f"/sku/{quote(f'a{marks}')}",
            f"/drift?channel={quote(marks)}",
            "/sku/a",
            "/alerts",
        ):
            text = (await get(stage, path)).text
            acting = {each for each in text if unicodedata.category(each) in {"Cc", "Cf"}}
            assert acting <= {"\n"}, path
        assert "stock-take\\u202e" in (await get(stage, "/")).text

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_a_rail_that_holds_a_part_keeps_the_banner_from_being_good() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        sources, desk = sources_of(stage.built), stage.built.daemon.desk
        name = latch_name(TUG, next(iter(desk.book.slots)).path)
        until = Instant(stage.clock() + 3_600_000)
        await desk.take((RailLatched(name, True, "us", HOSTILE, stage.clock(), "seen", until),))
        seen = await overview(sources)
        assert [(note.level, note.text) for note in seen.banner] == [("paused", f"TRIPPED: {name}")]

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
        for name, kind in STATIC.items():
            answer = await get(stage, f"/static/{name}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert (await get(stage, "/static/pages.py")).status_code == 404
        assert (await get(stage, "/static/..%2Fpages.py")).status_code == 404
        text = (await get(stage, "/")).text
        assert "<style" not in text
        assert " style=" not in text
        assert text.count("<script") == text.count('<script src="/static/') == 1

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


HOSTILE_SKU = '"><img src=x onerror=alert(1)>/é'


def test_a_sku_shows_its_sheet_why_and_what_happened_to_it() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        stage.world.place_order("shop-uk", "1001", [("a", 3)], stage.clock())
        await anyio.sleep(900)
        answers = answers_of(stage.built, stage.journal)

        seen = await sku_page(answers, past_of(stage.journal), "a", stage.clock())
        told = await answers.answer({"op": "reconcile", "skus": ["a"]}, "test")
        assert seen.sheet == told["skus"][0]
        assert len(seen.listings) == 3
        for listing in seen.listings:
            shown = stage.world.stores[listing.row["channel"]]
            assert listing.sentences[-1] == "Nothing to do."
            assert listing.chart is not None
            # It began at nothing and was raised: the line leaves the bottom.
            assert listing.chart.observed.startswith(f"M0 {HEIGHT} H"), shown
            assert listing.chart.top >= listing.row["observed"] > 0
        assert any("we decided 0 to" in line.text for line in seen.timeline)
        assert any("a at 1: " in line.text for line in seen.timeline)
        moments = [line.at for line in seen.timeline]
        assert moments == sorted(moments, reverse=True)
        assert len(seen.timeline) <= LINES
        text = (await get(stage, "/sku/a")).text
        for sentence in seen.listings[0].sentences:
            assert sentence in html.unescape(text)

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_what_a_sku_is_called_is_text_wherever_it_stands() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        answer = await get(stage, f"/sku/{quote(HOSTILE_SKU, safe='')}")
        assert answer.status_code == 200
        assert html.escape(HOSTILE_SKU) in answer.text.replace("&#34;", "&quot;")
        assert "<img" not in answer.text
        found = await get(stage, f"/sku?sku={quote(HOSTILE_SKU, safe='')}")
        assert (found.status_code, found.headers["location"]) == (
            303,
            f"/sku/{quote(HOSTILE_SKU, safe='')}",
        )
        unknown = await get(stage, f"/sku/{quote(HOSTILE, safe='')}")
        assert unknown.status_code == 404
        assert HOSTILE not in unknown.text
        assert (await get(stage, "/sku?sku=")).headers["location"] == "/"

    play(small_world(WorldConfig(), split=True, skus=["a", HOSTILE_SKU]), policy(split=True), scene)


def test_before_anything_is_read_a_sku_page_says_so() -> None:
    async def scene(stage: Stage) -> None:
        stage.built.daemon.desk.book.sweeps.clear()
        answer = await get(stage, "/sku/a")
        assert answer.status_code == 503
        assert "was never read completely" in answer.text

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_a_chart_is_level_between_readings_and_broken_where_nothing_was_counted() -> None:
    def at(seconds: int) -> Instant:
        return Instant(seconds * 1000)

    drawn = chart([(at(0), 10), (at(50), 5), (at(75), None)], [(at(25), 20)], at(100))
    assert drawn is not None
    assert (drawn.top, drawn.observed) == (20, "M0 60 H300 V90 H450")
    assert drawn.desired == "M150 0 H600"
    assert chart([(at(100), 1)], [], at(100)) is None
    flat = chart([(at(0), 0)], [], at(100))
    assert flat is not None
    assert flat.observed == f"M0 {HEIGHT} H600"


def test_ages_and_numbers_keep_unknown_apart_from_nothing() -> None:
    assert [age(each) for each in (None, 0, 119, 120, 7_199, 7_200, 172_800)] == [
        "never", "0 s", "119 s", "2 min", "119 min", "2 h", "2 d",
    ]  # fmt: skip
    assert [number(each) for each in (None, 0, -1_234)] == ["?", "0", "-1,234"]
