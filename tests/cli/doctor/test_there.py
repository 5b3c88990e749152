"""What ``doctor`` says of the other systems, asked of the simulator."""

import asyncio
import json
import shutil
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.assemble import Endpoint
from reconcilerd.cli.doctor import there
from reconcilerd.cli.doctor.command import look_at
from reconcilerd.cli.doctor.line import Line, State
from reconcilerd.cli.doctor.there import Site
from reconcilerd.config.secret import Secret
from reconcilerd.connectors.shopify.client import NEEDED
from reconcilerd.domain.names import Instant
from reconcilerd.transport.credentials import TokenRequest
from reconcilerd.transport.pool import InProcessTransport
from tests.cli.programs import run, running, trading, wait_until
from tests.simulator.builders import Desk, world_of

CONFIG = Path(__file__).parents[3] / "config.toml"
HOST = "http://127.0.0.1:1"


@pytest.fixture
def desk() -> Desk:
    return Desk(world_of({"a": 5}))


def site(desk: Desk, folder: Path, name: str = "uk", secret: str = "simulator-secret", **status: Any) -> Site:
    """One system of a pretend business as a doctor of this configuration sees it."""
    shutil.copy(CONFIG, folder / "config.toml")
    seen = look_at(folder / "config.toml")
    assert seen.plan is not None
    wiring = replace(
        seen.plan.wiring,
        clock=lambda: desk.clock.pass_by(100),
        transport=lambda: InProcessTransport(desk.business.app),
    )
    path = "extensiv/oauth/token" if name == "extensiv" else f"shopify/{name}/admin/oauth/access_token"
    root = "extensiv" if name == "extensiv" else f"shopify/{name}"
    ask = TokenRequest(f"{HOST}/{path}", Secret("simulator", public=True), Secret(secret), "post")
    return Site(
        name,
        Endpoint(f"{HOST}/{root}", ask),
        replace(seen, status=status or None),
        replace(seen.plan, wiring=wiring),
    )


def told(found: list[tuple[str, Line]], check: str) -> list[State]:
    return [line.state for name, line in found if name == check]


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "feeds"), [("extensiv", 7), ("uk", 2)])
async def test_a_system_that_is_well_is_asked_once_for_each_of_its_feeds(
    desk: Desk, tmp_path: Path, name: str, feeds: int
) -> None:
    found = await there.asked(site(desk, tmp_path, name))
    assert {line.state for _, line in found} == {State.OK}
    assert (len(told(found, "token")), len(told(found, "clock"))) == (1, 1)
    assert len(told(found, "read")) == feeds
    assert desk.business.stores["uk"].sent <= feeds + 1


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["extensiv", "uk"])
async def test_refused_credentials_end_it_with_four(desk: Desk, tmp_path: Path, name: str) -> None:
    found = await there.asked(site(desk, tmp_path, name, "another-secret"))
    assert [(check, line.state, line.exit_code) for check, line in found] == [("token", State.FAIL, 4)]
    assert "another-secret" not in str(found)


@pytest.mark.anyio
async def test_an_app_that_may_not_do_what_is_needed_is_a_failure_and_more_a_warning(
    desk: Desk, tmp_path: Path
) -> None:
    store = desk.business.stores["uk"]
    store.scopes = ("read_orders", "write_inventory", "read_locations", "write_products")
    found = await there.asked(site(desk, tmp_path))
    assert told(found, "scopes") == [State.WARN]
    store.scopes = ("read_orders", "read_inventory", "read_locations", "read_products")
    found = await there.asked(site(desk, tmp_path))
    lines = [line for check, line in found if check == "scopes"]
    assert [(line.state, line.exit_code) for line in lines] == [(State.FAIL, 4)]
    assert "write_inventory" in lines[0].said


@given(granted=st.sets(st.sampled_from([*sorted(NEEDED), "write_products", "read_customers"])))
def test_scopes_are_ok_only_if_they_are_what_is_needed_and_no_more(granted: set[str]) -> None:
    states = {line.state for line in there.scopes("uk", granted, observes=False)}
    enough = NEEDED - {"read_inventory"} <= granted | (
        {"read_products"} if "write_products" in granted else set()
    ) and ("write_inventory" in granted)
    assert (State.FAIL in states) != enough
    assert (State.WARN in states) == bool(granted - NEEDED)


def test_who_only_observes_needs_no_scope_to_write() -> None:
    reads = {each for each in NEEDED if each.startswith("read_")}
    assert [line.state for line in there.scopes("uk", reads, observes=True)] == [State.OK]
    assert [line.state for line in there.scopes("uk", reads, observes=False)] == [State.FAIL]


@pytest.mark.parametrize(
    ("ahead_ms", "state"),
    [(0, State.OK), (-1_900, State.OK), (5_000, State.WARN), (-5_000, State.WARN), (-60_000, State.FAIL)],
)
def test_a_clock_that_is_off_is_told(ahead_ms: int, state: State) -> None:
    assert there.clock("uk", ahead_ms).state is state


@pytest.mark.anyio
async def test_our_clock_is_held_against_theirs(desk: Desk, tmp_path: Path) -> None:
    ours = site(desk, tmp_path)
    wrong = replace(ours.plan.wiring, clock=lambda: Instant(desk.clock() + 120_000))
    found = await there.asked(replace(ours, plan=replace(ours.plan, wiring=wrong)))
    assert told(found, "clock") == [State.FAIL]


@pytest.mark.parametrize(("days", "state"), [(90, State.OK), (14, State.OK), (5, State.WARN)])
def test_a_certificate_that_ends_soon_is_a_warning(days: int, state: State) -> None:
    until = "Jun  1 12:00:00 2026 GMT"
    now_s = 1_780_315_200 - days * there.DAY_S
    assert there.certificate("uk", "host:443", until, now_s).state is state


@pytest.mark.anyio
@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:1", "https://127.0.0.1:1", "https://no-such-host.invalid"]
)
async def test_what_cannot_be_reached_ends_it_with_five_and_nothing_more_is_asked(
    desk: Desk, tmp_path: Path, base: str
) -> None:
    ours = site(desk, tmp_path)
    found = await there.of_site(replace(ours, endpoint=replace(ours.endpoint, base_url=base)))
    assert [(check, line.exit_code) for check, line in found] == [("network", 5)]
    assert desk.business.stores["uk"].sent == 0


@pytest.mark.anyio
async def test_a_certificate_is_looked_at(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here, and makes the certificate")
    made = (
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    command = ["openssl", *made.split(), "-keyout", "key.pem", "-out", "cert.pem"]
    await anyio.run_process(command, cwd=tmp_path)
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serves.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=serves)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ours = site(desk, tmp_path)
        ours = replace(ours, endpoint=replace(ours.endpoint, base_url=f"https://localhost:{port}"))
        stranger = await there.reach(ours)
        assert (stranger.state, stranger.exit_code) == (State.FAIL, 5)
        assert "self-signed" in stranger.said
        trusts = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        monkeypatch.setattr(there, "tls_context", lambda: trusts)
        assert (await there.reach(ours)).state is State.OK
        later = Instant(ours.scene.now + 25 * there.DAY_S * 1000)
        assert (await there.reach(replace(ours, scene=replace(ours.scene, now=later)))).state is State.WARN


@pytest.mark.parametrize(
    ("feed", "state"),
    [
        ({"feed": "uk.slots", "age_s": 5, "why": ""}, State.OK),
        ({"feed": "uk.slots", "age_s": 5, "why": "a page was cut"}, State.WARN),
        ({"feed": "uk.slots", "age_s": None, "why": ""}, State.WARN),
        ({"feed": "uk.slots"}, State.WARN),
        ({"feed": "uk.slots", "age_s": 1801, "why": "refused"}, State.FAIL),
        ({"feed": "extensiv.totals", "age_s": 3000, "why": ""}, State.OK),
    ],
)
def test_a_feed_stands_as_the_daemon_has_it(feed: dict[str, object], state: State) -> None:
    assert there.told_of(feed, 1800).state is state


@pytest.mark.anyio
async def test_while_a_daemon_runs_extensiv_is_not_asked(desk: Desk, tmp_path: Path) -> None:
    feeds = [{"feed": "extensiv.stock", "age_s": 3, "why": ""}]
    found = await there.asked(site(desk, tmp_path, "extensiv", feeds=feeds))
    assert {check for check, _ in found} == {"read"}
    assert sorted(told(found, "read")) == [State.OK, *[State.WARN] * 6]


def test_a_business_that_is_well_passes_with_and_without_its_daemon(tmp_path: Path) -> None:
    with trading(tmp_path, harmed=False) as config:
        with socket.create_server(("127.0.0.1", 0)) as free:
            page = f"127.0.0.1:{free.getsockname()[1]}"
        config.write_text(config.read_text("utf-8").replace("127.0.0.1:0", page), "utf-8")
        named = ("--config", str(config), "--json")
        alone = run(tmp_path, "doctor", *named)
        assert alone.returncode == 0, alone.stdout
        with running(tmp_path, "run", "--config", str(config)):
            wait_until("the daemon to answer", (tmp_path / "reconcilerd.sock").exists)
            beside = run(tmp_path, "doctor", *named)
        assert beside.returncode == 0, beside.stdout
    for said in (alone, beside):
        checks = {each["check"] for each in json.loads(said.stdout)["checks"]}
        assert {"config", "files", "network", "token", "scopes", "clock", "read", "web", "alerts"} <= checks
    gone = run(tmp_path, "doctor", *named)
    assert gone.returncode == 5, gone.stdout
