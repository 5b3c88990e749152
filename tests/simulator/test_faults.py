"""What goes wrong goes wrong by seed, is on record, and is the same on both carriers."""

from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.simulator.faults import HOSTILE, LEVELS, ConnectionDropped, Fault, FaultPlan
from reconcilerd.simulator.serve import serve
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.simulator.wire import HANG_S, LIST_FAULTS, READ_FAULTS, WRITE_FAULTS
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
    rates = {f: r * 10 for f, r in HOSTILE.items() if not f.startswith("timeout")}
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


@given(st.sampled_from(sorted(Fault)), st.sampled_from([READ_FAULTS, LIST_FAULTS, WRITE_FAULTS]))
def test_a_fault_strikes_only_what_it_can_happen_to(fault: Fault, possible: frozenset[Fault]) -> None:
    plan = FaultPlan(1, {fault: 1.0})
    plan.arm("extensiv", fault)
    picked = [plan.pick(system, possible, START, "x") for system in ("extensiv", "uk")]
    assert picked == ([fault, fault] if fault in possible else [None, None])
    assert len(plan.done) == (2 if fault in possible else 0)


def test_rates_are_kept() -> None:
    plan = FaultPlan(1, {Fault.SERVER_ERROR: 0.1, Fault.TOO_MANY: 0.05})
    for _ in range(4000):
        plan.pick("uk", READ_FAULTS, START, "x")
    errors = sum(each.fault is Fault.SERVER_ERROR for each in plan.done)
    assert 320 < errors < 480
    assert 140 < len(plan.done) - errors < 260


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


async def test_a_list_without_pages_loses_none() -> None:
    desk = Desk(world_of(SKUS))
    desk.faults.arm("extensiv", Fault.MISSING_PAGE)
    assert len((await desk.extensiv("v1/warehouses")).json()) == 2
    assert desk.faults.done == []


async def test_truncated_json_is_cut_and_an_empty_200_is_empty() -> None:
    desk = Desk(world_of(SKUS))
    whole = (await desk.extensiv("v1/inventory")).content
    desk.faults.arm("extensiv", Fault.TRUNCATED)
    desk.faults.arm("extensiv", Fault.EMPTY)
    cut, empty = await desk.extensiv("v1/inventory"), await desk.extensiv("v1/inventory")
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
        began = clock.now()
        with pytest.raises(ConnectionDropped):
            await desk.shopify(SET, **{"in": asked(line(desk, "a", 3, changeFromQuantity=5)), "k": "k"})
        return clock.now() - began, shown(desk)["a"]

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
