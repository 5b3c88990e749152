"""The pages as a real Chromium shows them, on a phone and on a desk, by day and by night, with scripts and without.

``RECONCILERD_PICTURES`` names a folder for what it sees, for somebody to look at.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import anyio
import anyio.from_thread
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from reconcilerd.alerting.engine import Seen
from reconcilerd.config.secret import Secret
from reconcilerd.domain.alerts import Episode
from reconcilerd.domain.facts import AlertStage, FreezeSet, PlanMade, SilenceSet
from reconcilerd.domain.guards import Verdict
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web import login, pages, views
from reconcilerd.web.app import Wall, build
from reconcilerd.web.roles import Role
from reconcilerd.web.serve import serve
from tests.web import axe
from tests.web.chromium import Tab, program, tab
from tests.web.stage import Told, sources_of
from tests.web.test_api import in_force
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
    "cause": "/drift?cause=lag",
    "waiting": "/waiting",
    "config": "/config",
    "pass": "/passes/{wrote}",
    "held": "/passes/{held}",
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
    routes = app_of(played, replace(sources_of(played.built), alerts=TOLD, config=in_force)).routes
    with served(build(routes, Wall(played.built.daemon.desk.clock))) as where:
        yield where


@pytest.fixture(scope="module")
def ids(played: Stage) -> dict[str, str]:
    """A pass that wrote much, and one that held something."""
    made = [each for each in played.journal.facts if isinstance(each, PlanMade)]
    wrote = max(made, key=lambda each: dict(each.verdicts).get(Verdict.SEND, 0))
    return {"wrote": wrote.id, "held": max(made, key=lambda each: len(each.held)).id}


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Where an app is served meanwhile."""
    port = free_port()
    with anyio.from_thread.start_blocking_portal() as portal:
        running = portal.start_task_soon(partial(serve, app, "127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"
        running.cancel()


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Tab]:
    with tab() as made:
        wait_until(made, address)
        yield made


def wait_until(browser: Tab, address: str) -> None:
    """Open what may not be served yet."""
    for _ in range(200):
        try:
            browser.open(address)
            if browser.value("location.href").startswith(f"{address}/"):
                return
        except AssertionError:
            pass


def picture(browser: Tab, name: str) -> None:
    """For somebody to look at, if anybody asked for it."""
    if pictures := os.environ.get("RECONCILERD_PICTURES"):
        browser.picture(Path(pictures) / f"{name}.png")


LOOKS = [
    pytest.param(name, size, scheme, id=f"{name}-{size}-{scheme}")
    for name, size, scheme in product(PAGES, SIZES, ("light", "dark"))
]


@pytest.mark.parametrize(("name", "size", "scheme"), LOOKS)
def test_every_page_fits_its_window_and_breaks_no_rule_of_the_browser(
    name: str, size: str, scheme: str, browser: Tab, address: str, ids: dict[str, str]
) -> None:
    width, height = SIZES[size]
    browser.look_like(width, height, scheme)
    browser.open(address + PAGES[name].format(**ids))
    picture(browser, f"{name}-{size}-{scheme}")
    assert browser.value("document.documentElement.scrollWidth") <= width
    if size == "phone":
        sideways = "[...document.querySelectorAll('.wide')].filter(each => each.scrollWidth > each.clientWidth).length"
        assert browser.value(sideways) == 0
    complaints = [each for each in browser.complaints if not (name == "unknown" and "404" in each)]
    assert complaints == []
    # The style sheet is there, in the colours that were asked for.
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")
    # What others wrote became no element.
    assert browser.value("document.querySelectorAll('main img, main script').length") == 0
    assert browser.value("document.querySelectorAll('header form').length") == 1


@pytest.mark.parametrize(("name", "size", "scheme"), LOOKS)
def test_everybody_can_use_every_page(
    name: str, size: str, scheme: str, browser: Tab, address: str, ids: dict[str, str], axe_program: str
) -> None:
    browser.look_like(*SIZES[size], scheme)
    browser.open(address + PAGES[name].format(**ids))
    assert axe.violations(browser, axe_program) == []
    levels = browser.value("[...document.querySelectorAll('h1,h2,h3,h4')].map(each => +each.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    # A phone shows no line of heads: each cell says of what column it is.
    unnamed = """[...document.querySelectorAll('.wide tbody tr')].filter(row => [...row.cells].some((cell, column) =>
        column && cell.dataset.label !== row.closest('table').tHead.rows[0].cells[column].innerText.trim()
    )).map(each => each.outerHTML)"""
    assert browser.value(unnamed) == []
    assert "</td>" not in browser.value("document.body.innerText")
    bare = "[...document.querySelectorAll('th')].filter(each => !each.scope).length"
    assert browser.value(bare) == 0
    # Whoever goes by the keyboard sees where they are, everywhere they come.
    unseen = """[...document.querySelectorAll('a[href],button,input:not([hidden]),[tabindex="0"]')].filter(each => {
        each.focus({focusVisible: true});
        const style = getComputedStyle(each);
        return document.activeElement !== each || style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2;
    }).map(each => each.outerHTML)"""
    assert browser.value(unseen) == []


@pytest.mark.parametrize(
    ("harm", "rule"),
    [
        ("document.querySelector('label').remove()", "label"),
        ("document.querySelector('h1').style.color = '#bbb'", "color-contrast"),
        ("document.documentElement.removeAttribute('lang')", "html-has-lang"),
        ("document.querySelector('nav a').textContent = ''", "link-name"),
    ],
)
def test_the_audit_finds_what_keeps_somebody_out(
    harm: str, rule: str, browser: Tab, address: str, axe_program: str
) -> None:
    browser.look_like(*SIZES["phone"], "light")
    browser.open(f"{address}/channels/shop-uk")
    browser.value(f"void ({harm})")
    assert rule in {each.partition(":")[0] for each in axe.violations(browser, axe_program)}


@pytest.fixture(scope="module")
def axe_program() -> str:
    return axe.source()


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


def test_a_browser_logs_in_follows_a_link_from_elsewhere_and_logs_out(played: Stage, browser: Tab) -> None:
    """What a cookie may do, a real browser decides."""
    token = "a-token-that-nobody-guesses"
    wall = Wall(played.built.daemon.desk.clock, tokens={Role.READ: Secret(token)})
    app = build([*app_of(played, sources_of(played.built)).routes, *login.routes(wall)], wall)
    with served(app) as address, anyio.from_thread.start_blocking_portal() as elsewhere:
        browser.look_like(*SIZES["phone"], "light")
        wait_until(browser, address)
        assert browser.value("location.pathname + location.search") == "/login?next=%2F"
        picture(browser, "login-phone-light")
        assert browser.complaints == []
        for told in ("wrong", token):
            browser.value(f"document.getElementById('token').value = '{told}'")
            browser.seen.clear()
            browser.value("void document.querySelector('form.login').requestSubmit()")
            browser.wait_for("Page.loadEventFired")
            if told == "wrong":
                assert "No role has this token" in browser.value("document.body.innerText")
        assert browser.value("location.pathname") == "/"
        assert browser.value("document.cookie") == ""
        assert "/config" not in browser.value("document.querySelector('nav').innerHTML")
        browser.open(f"{address}/waiting")
        assert "approve_token" in browser.value("document.body.innerText")
        # Another site: its link shows the page, and its form does nothing.
        other = f"http://localhost:{free_port()}"
        strange = f"""<a href="{address}/drift">link</a>
            <form method="post" action="{address}/logout"><button>free prize</button></form>"""

        async def page(_request: Request) -> Response:
            return HTMLResponse(strange)

        port = int(other.rpartition(":")[2])
        running = elsewhere.start_task_soon(
            partial(serve, Starlette(routes=[Route("/", page)]), "127.0.0.1", port)
        )
        wait_until(browser, other)
        browser.value("document.querySelector('a').click()")
        arrive(browser, "/drift")
        wait_until(browser, other)
        browser.value("document.querySelector('button').click()")
        arrive(browser, "/logout")
        assert "did not come from this page" in browser.value("document.body.innerText")
        running.cancel()
        browser.open(address)
        browser.value("document.querySelector('footer button').click()")
        arrive(browser, "/login")


def arrive(browser: Tab, path: str) -> None:
    """Wait until a page has this address and is there; several may come before it."""
    for _ in range(400):
        try:
            if browser.value("document.readyState + location.pathname") == f"complete{path}":
                return
        except AssertionError:  # between two pages nothing can be asked
            pass
    raise AssertionError((path, browser.value("location.href")))
