"""What goes wrong goes wrong by seed, is on record, and is the same on both carriers."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant, format_instant, parse_instant
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.faults import (
    HOSTILE,
    LEVELS,
    MENU,
    POSSIBLE,
    Ask,
    ConnectionDropped,
    Fault,
    FaultPlan,
    faults_of,
    is_record,
    menu_rows,
)
from reconcilerd.simulator.serve import serve
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.simulator.wire import HANG_S, SKEW_MS
from tests.simulator.builders import START, Desk, Hand, world_of
from tests.simulator.test_shopify_api import SET, asked, line, shown, write

SKUS = {f"s{n}": n for n in range(1, 8)}


async def replies(desk: Desk, count: int) -> list[bytes]:
    said: list[bytes] = []
    for _ in range(count):
        desk.clock.pass_by(1000)
        try:
            reply = await desk.extensiv("v1/inventory", params={"limit": 3})
        except ConnectionDropped:
            said.append(b"dropped")
            continue
        said.append(reply.content)
        if reply.status_code == 401:
            del desk.tokens["extensiv"]
    return said


async def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    unfit = {Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.SLOW_DRIP, Fault.GZIP_LIE}
    rates = {f: r * 5 for f, r in HOSTILE.items() if f not in unfit}
    said = [await replies(Desk(world_of(SKUS), faults=FaultPlan(seed, rates)), 60) for seed in (3, 3, 4)]
    assert said[0] == said[1]
    assert said[0] != said[2]


async def test_every_fault_is_on_record_with_its_time_and_place() -> None:
    desk = Desk(world_of(SKUS))
    desk.faults.arm("extensiv", Fault.SERVER_ERROR)
    await desk.sign_in()
    reply = await desk.extensiv("v1/inventory")
    assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (502, "text/html")
    [done] = desk.faults.done
    assert (done.fault, done.at, done.system, done.subject) == (
        Fault.SERVER_ERROR,
        START,
        "extensiv",
        "v1/inventory",
    )


async def test_what_is_not_asked_for_does_not_happen() -> None:
    desk = Desk(world_of(SKUS))
    await replies(desk, 50)
    assert desk.faults.done == []


@given(st.sampled_from(sorted(Fault)), st.sampled_from(Ask))
def test_a_fault_strikes_only_what_it_can_happen_to(fault: Fault, ask: Ask) -> None:
    plan = FaultPlan(1, {fault: 100.0})
    plan.arm("extensiv", fault)
    picked = [plan.pick(system, ask, START, "x") for system in ("extensiv", "uk")]
    possible = fault in POSSIBLE[ask]
    assert picked == [frozenset({fault} if possible else ())] * 2
    assert len(plan.done) == (2 if possible else 0)


def test_rates_are_kept() -> None:
    plan = FaultPlan(1, {Fault.SERVER_ERROR: 0.1, Fault.TOO_MANY: 0.05})
    both = 0
    for _ in range(4000):
        both += len(plan.pick("uk", Ask.QUERY, START, "x")) == 2
    errors = sum(each.fault is Fault.SERVER_ERROR for each in plan.done)
    assert 320 < errors < 480
    assert 140 < len(plan.done) - errors < 260
    assert 5 < both < 60, "faults come together as often as chance has it"


@given(st.lists(st.sampled_from(sorted(Fault)), min_size=1, unique=True))
def test_whatever_is_armed_together_strikes_together(faults: list[Fault]) -> None:
    plan = FaultPlan()
    plan.arm("uk", *faults)
    assert plan.pick("uk", Ask.MUTATION, START, "x") == frozenset(faults) & POSSIBLE[Ask.MUTATION]


@given(st.integers(0, 99), st.lists(st.sampled_from(Ask), max_size=60))
def test_a_record_strikes_the_same_requests_again(seed: int, asks: list[Ask]) -> None:
    first = FaultPlan(seed, {fault: rate * 5 for fault, rate in HOSTILE.items()})
    struck = [first.pick("uk", ask, Instant(n), "x") for n, ask in enumerate(asks)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "record.jsonl"
        path.write_text("\n".join(first.record()), "utf-8")
        script = faults_of(f"@{path}")
    again = FaultPlan(seed, script=script.of_seed(seed))
    assert [again.pick("uk", ask, Instant(n), "x") for n, ask in enumerate(asks)] == struck
    assert script.of_seed(seed + 1) == {}


def test_faults_are_asked_for_by_level_by_name_and_by_rate() -> None:
    assert faults_of("hostile").rates == HOSTILE
    assert faults_of("none").rates == {}
    told = faults_of("mild+slow_drip:0.2 + gzip_lie").rates
    assert told == {**LEVELS["mild"], Fault.SLOW_DRIP: 0.2, Fault.GZIP_LIE: 0.01}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hostil", "did you mean 'hostile'?"),
        ("slow_drp:0.1", "did you mean 'slow_drip'?"),
        ("", "--faults list"),
        ("slow_drip:often", "a number from 0 to 0.9"),
        ("slow_drip:0.5+gzip_lie:0.5", "add up to 1.00"),
        ("@nowhere", "nowhere: cannot be read"),
    ],
)
def test_unknown_faults_are_told_by_name(spec: str, said: str) -> None:
    with pytest.raises(ConfigFault, match=re.escape(said)):
        faults_of(spec)


def test_a_record_that_is_none_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r"
    path.write_text('{"seed": 1, "system": "uk", "request": 0, "fault": "429"}\n{"seed": 1}\nx', "utf-8")
    with pytest.raises(ConfigFault) as raised:
        faults_of(f"@{path}")
    assert [each.split(" ")[0] for each in raised.value.faults] == [f"{path}:{n}:" for n in (1, 2, 3)]


@pytest.mark.parametrize(("lines", "rest"), [(5, []), (6, ["... and 1 more"]), (7, ["... and 2 more"])])
def test_of_many_lines_that_are_none_a_few_are_told_and_the_rest_is_counted(
    tmp_path: Path, lines: int, rest: list[str]
) -> None:
    path = tmp_path / "r"
    path.write_text("x\n" * lines, "utf-8")
    with pytest.raises(ConfigFault) as raised:
        faults_of(f"@{path}")
    assert len(raised.value.faults[:5]) == 5
    assert list(raised.value.faults[5:]) == rest


def test_hostile_is_everything_and_the_menu_prints_all_of_it() -> None:
    assert set(HOSTILE) == set(Fault) == set(MENU)
    assert [name for name, _, _ in menu_rows()] == list(MENU)


def test_no_level_promises_more_than_certainty() -> None:
    assert all(sum(rates.values()) < 0.2 for rates in LEVELS.values())


@pytest.mark.parametrize(
    ("fault", "page", "found"),
    [
        (Fault.MISSING_PAGE, 2, []),
        (Fault.HALF_A_PAGE, 2, ["s5"]),
        (Fault.SHIFTED_ROWS, 2, ["s4", "s5", "s6"]),
        (None, 2, ["s5", "s6", "s7"]),
    ],
)
async def test_what_befalls_a_page(fault: Fault | None, page: int, found: list[str]) -> None:
    desk = Desk(world_of({f"s{n}": 1 for n in range(2, 11)}))
    if fault is not None:
        desk.faults.arm("extensiv", fault)
    rows = (await desk.extensiv("v1/inventory", params={"limit": 3, "page": page})).json()
    assert [row["product"]["masterSku"] for row in rows] == found


async def test_a_line_of_an_order_may_be_called_wrong_by_its_listing_and_by_its_product() -> None:
    desk = Desk(world_of({"a": 5}, import_ms=(0, 0)))
    desk.world.place_order("uk", "1", [("a", 1)], desk.clock())
    said = set()
    for _ in range(20):
        desk.faults.arm("extensiv", Fault.SKU_RENAMED)
        (row,) = (await desk.extensiv("v1.1/orders")).json()
        (sold,) = row["orderItems"]
        said.add((sold["listingSku"], sold["product"]["masterSku"]))
        desk.clock.pass_by(10_000)
    assert said == {("a-renamed", "a"), ("a", "a-renamed")}


async def test_a_list_without_pages_loses_none() -> None:
    desk = Desk(world_of(SKUS))
    desk.faults.arm("extensiv", Fault.MISSING_PAGE)
    assert len((await desk.extensiv("v1/warehouses")).json()) == 2
    assert desk.faults.done == []


async def test_truncated_json_is_cut_and_an_empty_200_is_empty() -> None:
    desk = Desk(world_of(SKUS))
    whole = (await desk.extensiv("v1/inventory")).content
    desk.faults.arm("extensiv", Fault.TRUNCATED)
    cut = await desk.extensiv("v1/inventory")
    desk.faults.arm("extensiv", Fault.EMPTY)
    empty = await desk.extensiv("v1/inventory")
    assert (cut.status_code, empty.status_code, empty.content) == (200, 200, b"")
    assert whole.startswith(cut.content)
    assert cut.content != whole


async def test_an_expired_token_is_expired_for_everybody() -> None:
    desk = Desk(world_of(SKUS))
    await desk.sign_in()
    desk.faults.arm("extensiv", Fault.EXPIRED_TOKEN)
    codes = [(await desk.extensiv("v1/inventory")).status_code for _ in range(2)]
    await desk.sign_in()
    assert [*codes, (await desk.extensiv("v1/inventory")).status_code] == [401, 401, 200]


@pytest.mark.parametrize(
    ("fault", "after"), [(Fault.DROPPED_BEFORE, 5), (Fault.DROPPED_AFTER, 3), (Fault.NOT_APPLIED, 5)]
)
async def test_a_write_is_lost_before_or_after_its_effect(fault: Fault, after: int) -> None:
    desk = Desk(world_of({"a": 5}))
    await desk.sign_in("/shopify/uk/admin/oauth/access_token")
    desk.faults.arm("uk", fault)
    try:
        assert await write(desk, "k", line(desk, "a", 3, changeFromQuantity=5)) == []
    except ConnectionDropped:
        assert fault is not Fault.NOT_APPLIED
    assert shown(desk) == {"a": after}


async def test_a_write_whose_answer_was_lost_may_be_asked_again_under_its_key() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.faults.arm("uk", Fault.DROPPED_AFTER)
    wanted = line(desk, "a", 3, changeFromQuantity=5)
    with pytest.raises(ConnectionDropped):
        await write(desk, "k", wanted)
    assert await write(desk, "k", wanted) == []
    assert desk.world.score.writes == 1


@pytest.mark.parametrize(("fault", "after"), [(Fault.TIMEOUT_BEFORE, 5), (Fault.TIMEOUT_AFTER, 3)])
def test_a_timeout_hangs_longer_than_anybody_waits(fault: Fault, after: int) -> None:
    async def main() -> tuple[int, int]:
        clock = VirtualClock(START)
        desk = Desk(world_of({"a": 5}), clock=Hand())
        desk.faults.arm("uk", fault)
        began = clock()
        with pytest.raises(ConnectionDropped):
            await desk.shopify(SET, **{"in": asked(line(desk, "a", 3, changeFromQuantity=5)), "k": "k"})
        return clock() - began, shown(desk)["a"]

    assert run_virtual(main) == (HANG_S * 1000, after)


async def over_the_wire(desk: Desk, act: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async with anyio.create_task_group() as group:
        port = await group.start(serve, desk.business.app, 0)
        assert 0 < port < 65_536
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            await act(client)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("fault", [Fault.DROPPED_BEFORE, Fault.DROPPED_AFTER])
async def test_over_http_a_drop_is_a_drop_too_and_the_next_call_is_answered(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(world_of({"a": 5}))
    token = await desk.sign_in("/shopify/uk/admin/oauth/access_token")

    async def act(client: httpx.AsyncClient) -> None:
        body = {"query": SET, "variables": {"in": asked(line(desk, "a", 3, changeFromQuantity=5)), "k": "k"}}
        headers = {"x-shopify-access-token": token}
        desk.faults.arm("uk", fault)
        path = "/shopify/uk/admin/api/2026-10/graphql.json"
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.post(path, json=body, headers=headers)
        assert shown(desk)["a"] == (5 if fault is Fault.DROPPED_BEFORE else 3)
        assert (await client.post(path, json=body, headers=headers)).status_code == 200
        assert shown(desk)["a"] == 3

    await over_the_wire(desk, act)
    assert "Exception in ASGI application" not in caplog.text


async def test_the_served_business_answers_for_itself() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.world.place_order("uk", "1", [("a", 2), ("POST", 1)], START)

    async def act(client: httpx.AsyncClient) -> None:
        assert (await client.get("/healthz")).json() == {"ok": True}
        assert (await client.get("/extensiv/openapi.json")).json()["openapi"] == "3.1.0"
        truth = (await client.get("/truth")).json()
        assert (truth["score"]["orders"], truth["score"]["sold"], truth["unmapped"]) == (1, 2, ["POST"])

    await over_the_wire(desk, act)


async def test_a_cache_tells_its_age_and_a_replica_does_not() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.faults.script = {
        ("extensiv", 2): frozenset({Fault.STALE_READ}),
        ("extensiv", 3): frozenset({Fault.STALE_CACHE}),
    }
    said = []
    for on_hand in (5, 4, 3, 2):
        desk.world.record("a", 1, on_hand, desk.clock())
        reply = await desk.extensiv("v1/inventory")
        said.append((reply.json()[0]["quantity"], reply.headers.get("age"), reply.headers["date"][17:25]))
        desk.clock.pass_by(10_000)
    assert said == [
        (5, None, "12:00:00"),
        (5, None, "12:00:10"),
        (5, "20", "12:00:00"),
        (2, None, "12:00:30"),
    ]


@pytest.mark.parametrize(("fault", "by"), [(Fault.CLOCK_AHEAD, SKEW_MS), (Fault.CLOCK_BEHIND, -SKEW_MS)])
async def test_a_clock_that_is_wrong_stays_wrong_for_a_while_in_all_that_is_said_by_it(
    fault: Fault, by: int
) -> None:
    desk = Desk(world_of({"a": 5}, import_ms=(0, 0)))
    desk.world.place_order("uk", "1", [("a", 1)], desk.clock())
    desk.clock.pass_by(1_000)
    plain = (await desk.extensiv("v1.1/orders")).json()[0]["modifiedDate"]
    desk.faults.arm("extensiv", fault)
    wrong = [(await desk.extensiv("v1.1/orders")).json()[0]["modifiedDate"] for _ in range(2)]
    assert wrong == [format_instant(Instant(parse_instant(plain) + by))] * 2
    later = {"modifiedDateFrom": format_instant(Instant(parse_instant(plain) + by))}
    assert len((await desk.extensiv("v1.1/orders", params=later)).json()) == 1
    desk.clock.pass_by(250_000)
    desk.tokens.clear()
    desk.clock.pass_by(400_000)
    assert (await desk.extensiv("v1.1/orders")).json()[0]["modifiedDate"] == plain


@pytest.mark.parametrize("fault", [Fault.WRONG_LENGTH, Fault.GZIP_LIE, Fault.SLOW_DRIP])
async def test_over_http_bytes_are_spoilt_as_they_would_be(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcilerd.simulator.wire.DRIP_S", 0.4)
    desk = Desk(world_of({"a": 5}))
    token = await desk.sign_in()

    async def act(client: httpx.AsyncClient) -> None:
        headers = {"authorization": f"Bearer {token}"}
        desk.faults.arm("extensiv", fault)
        if fault is Fault.SLOW_DRIP:
            parts = []
            async with client.stream("GET", "/extensiv/v1/inventory", headers=headers, timeout=20) as reply:
                parts = [part async for part in reply.aiter_raw()]
            assert len(parts) > 1
        else:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, httpx.DecodingError)):
                await client.get("/extensiv/v1/inventory", headers=headers)
        assert len((await client.get("/extensiv/v1/inventory", headers=headers)).json()) == 1

    await over_the_wire(desk, act)


def test_a_record_that_is_nested_beyond_reading_is_told(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_text("[" * 100_000, "utf-8")
    with pytest.raises(ConfigFault, match=r"record.jsonl:1: not a line of a record"):
        faults_of(f"@{path}")
    assert not is_record(path)


def test_the_name_of_a_record_is_taken_whole(tmp_path: Path) -> None:
    path = tmp_path / "a+b@c.jsonl"
    path.write_text('{"seed": 1, "system": "extensiv", "request": 5, "fault": "5xx"}\n', "utf-8")
    script = faults_of(f"mild + @{path}")
    assert script.exactly[1] == {("extensiv", 5): {Fault("5xx")}}
    assert script.rates == faults_of("mild").rates
    assert is_record(path)
