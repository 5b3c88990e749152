"""The pages as a real Chromium shows them, on a phone and on a desk, by day and by night, with scripts and without.

``RECONCILERD_PICTURES`` names a folder for what it sees, for somebody to look at.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import anyio
import anyio.from_thread
import pytest

from reconcilerd.alerting.engine import Seen
from reconcilerd.domain.alerts import Episode
from reconcilerd.domain.facts import AlertStage, FreezeSet, SilenceSet
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web import pages, views
from reconcilerd.web.app import Wall, build
from reconcilerd.web.serve import serve
from tests.web.chromium import Tab, program, tab
from tests.web.stage import Told, sources_of
from tests.web.test_pages import HOSTILE, HOSTILE_SKU, app_of
from tests.web.test_serve import free_port
from tests.world.stage import Stage, play, policy, shop, small_world

TOLD = Told(
    {"critical": 1},
    {("slack", "ok"): 12, ("slack", "failed"): 1, ("slack", "refused"): 0},
    alerts=[
        Seen(
            Episode(
                "reconcilerd/exposure/shop-uk",
                1,
                AlertStage.FIRING,
                "critical",
                f"12 units of {HOSTILE_SKU} are shown and could not ship",
                (("do", "reconcilerd runbook exposure"),),
                Instant(0),
                Instant(0),
                Instant(0),
            ),
            "reconcilerd/stale_source/shop-uk",
            "",
            {"slack": "fired"},
        )
    ],
    silenced=[
        SilenceSet("s1", True, "held_plan", "shop-*", HOSTILE, "stocktaking", Instant(0), Instant(1000))
    ],
)
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
PAGES = {
    "overview": "/",
    "sku": "/sku/a",
    "hostile": f"/sku/{quote(HOSTILE_SKU, safe='')}",
    "unknown": "/sku/none",
    "drift": "/drift",
    "alerts": "/alerts",
    "mapping": "/mapping",
    "orders": "/orders",
    "passes": "/passes",
    "system": "/channels/shop-uk",
}


@pytest.fixture(scope="module")
def played() -> Stage:
    """A daemon that ran for some hours and stopped: its numbers stand."""
    program()

    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        await shop(stage, 120, 0.5, 1)
        await anyio.sleep(700)
        desk, until = stage.built.daemon.desk, Instant(stage.clock() + 3_600_000)
        await desk.take((FreezeSet("shop-uk", True, HOSTILE, "counting the shelves", stage.clock(), until),))
        stage.world.add_item("shop-eu", "unmapped" + HOSTILE, 7)
        await shop(stage, 20, 3, 2, ["a", "b", HOSTILE_SKU])
        ended, began = stage.clock(), monotonic()
        desk.clock = lambda: Instant(ended + int((monotonic() - began) * 1000))

    skus = ["a", "b", HOSTILE, HOSTILE_SKU]
    return play(small_world(WorldConfig(), split=True, skus=skus), policy(split=True), scene)


@pytest.fixture(scope="module")
def address(played: Stage) -> Iterator[str]:
    """Where the pages are served, behind the wall that the daemon has."""
    port = free_port()
    app = build(
        app_of(played, replace(sources_of(played.built), alerts=TOLD)).routes,
        Wall(played.built.daemon.desk.clock),
    )
    with anyio.from_thread.start_blocking_portal() as portal:
        running = portal.start_task_soon(partial(serve, app, "127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"
        running.cancel()


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Tab]:
    with tab() as made:
        for _ in range(200):
            try:
                made.open(address)
                if made.value("location.href") == f"{address}/":
                    break
            except AssertionError:
                pass
        yield made


LOOKS = [
    pytest.param(name, size, scheme, id=f"{name}-{size}-{scheme}")
    for name, size, scheme in product(PAGES, SIZES, ("light", "dark"))
]


@pytest.mark.parametrize(("name", "size", "scheme"), LOOKS)
def test_every_page_fits_its_window_and_breaks_no_rule_of_the_browser(
    name: str, size: str, scheme: str, browser: Tab, address: str
) -> None:
    width, height = SIZES[size]
    browser.look_like(width, height, scheme)
    browser.open(address + PAGES[name])
    if pictures := os.environ.get("RECONCILERD_PICTURES"):
        browser.picture(Path(pictures) / f"{name}-{size}-{scheme}.png")
    assert browser.value("document.documentElement.scrollWidth") <= width
    complaints = [each for each in browser.complaints if not (name == "unknown" and "404" in each)]
    assert complaints == []
    # The style sheet is there, in the colours that were asked for.
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")
    # What others wrote became no element.
    assert browser.value("document.querySelectorAll('main img, main script').length") == 0
    assert browser.value("document.querySelectorAll('header form').length") == 1


def test_an_open_page_renews_itself_without_losing_what_somebody_types(
    browser: Tab, address: str, played: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "REFRESH_S", 0.2)
    monkeypatch.setattr(views, "RECENT_MS", 0)
    browser.look_like(*SIZES["desk"], "light")
    browser.open(address)
    browser.value("document.getElementById('sku').value = 'half a na'")
    assert "FROZEN" in browser.value("document.title + document.getElementById('live').innerText")
    monkeypatch.setattr(played.built.daemon.desk.book.words, "freezes", {})
    renewed = """new Promise(done => {
        const frozen = () => document.getElementById('live').innerText.includes('FROZEN');
        const look = () => frozen() ? setTimeout(look, 20) : done(1);
        look();
    })"""
    assert browser.value(renewed) == 1
    assert browser.value("document.getElementById('sku').value") == "half a na"
    assert browser.complaints == []


def test_without_scripts_a_page_renews_itself_whole(
    browser: Tab, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "REFRESH_S", 1)
    monkeypatch.setattr(views, "RECENT_MS", 0)
    browser.look_like(*SIZES["desk"], "light", scripts=False)
    browser.open(address)
    browser.seen.clear()
    browser.wait_for("Page.loadEventFired")
    assert (
        "FROZEN"
        in browser.ask("DOM.getOuterHTML", nodeId=browser.ask("DOM.getDocument")["root"]["nodeId"])[
            "outerHTML"
        ]
    )
