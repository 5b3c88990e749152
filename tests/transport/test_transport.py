"""Lanes, tokens, replies: what is waited for, what is refused, and that no secret leaves by any door."""

import logging
import os
from collections.abc import Awaitable, Callable
from random import Random

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.errors import ConfigFault, Denied, MalformedReply, OutcomeUnknown, Refused, TryLater
from reconcilerd.simulator.serve import serve
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call, Client, RetryRule
from reconcilerd.transport.credentials import ClientCredentials, StaticToken, TokenRequest
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from reconcilerd.transport.pool import network_transport
from reconcilerd.transport.replies import json_of, retry_after_ms

START = Instant(1_000_000)
WORD = Secret("swordfish-canary-77")


def virtual(main: Callable[[VirtualClock], Awaitable[None]]) -> None:
    async def run() -> None:
        await main(VirtualClock(START))

    run_virtual(run)


def client(
    clock: Callable[[], Instant], handler: Callable[[httpx.Request], httpx.Response], **more: object
) -> Client:
    return Client(
        "sys",
        "http://127.0.0.1",
        transport=httpx.MockTransport(handler),
        auth=None,
        lanes=[Lane(LaneSpec("x", 100, 50), clock)],
        clock=clock,
        retry=RetryRule(tries=3),
        **more,  # type: ignore[arg-type]
    )


GET = Call("GET", "/a", "x", Priority.STOCK)
WRITE = Call("POST", "/a", "x", Priority.LOWER, json={}, idempotent=False)


def test_a_lane_serves_by_priority_and_in_order_within_one() -> None:
    async def main(clock: VirtualClock) -> None:
        lane, order = Lane(LaneSpec("x", 1, 1), clock), []

        async def one(name: str, priority: Priority) -> None:
            await lane.acquire(priority)
            order.append(name)

        async with anyio.create_task_group() as group:
            await lane.acquire(Priority.STOCK)
            for name, priority in (("s1", 3), ("s2", 3), ("r1", 1), ("l1", 0), ("r2", 1)):
                group.start_soon(one, name, Priority(priority))
                await anyio.sleep(0.001)
        assert order == ["s1", "l1", "r1", "r2", "s2"]

    virtual(main)


def test_a_heavy_request_is_not_starved_by_light_ones() -> None:
    async def main(clock: VirtualClock) -> None:
        lane, done = Lane(LaneSpec("x", 10, 10), clock), anyio.Event()

        async def light() -> None:
            while not done.is_set():
                await lane.acquire(Priority.STOCK, 1)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(light)
            await anyio.sleep(5)
            before = clock()
            await lane.acquire(Priority.STOCK, 8)
            assert clock() - before < 2_000
            done.set()
            group.cancel_scope.cancel()

    virtual(main)


def test_never_more_than_the_bucket_and_cancelled_waiters_cost_nothing() -> None:
    async def main(clock: VirtualClock) -> None:
        lane, times, chance = Lane(LaneSpec("x", 5, 5), clock), [], Random(1)

        async def one() -> None:
            with anyio.move_on_after(chance.uniform(0.1, 20)):
                await lane.acquire(Priority(chance.randrange(4)))
                times.append(clock())

        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(one)
        for at in times:
            assert sum(at <= other < at + 1_000 for other in times) <= 10
        await lane.acquire(Priority.STOCK)

    virtual(main)


def test_a_closed_gate_stays_closed_as_long_as_it_was_told() -> None:
    async def main(clock: VirtualClock) -> None:
        lane = Lane(LaneSpec("x", 100, 10), clock)
        lane.retry_after(7_500)
        await lane.acquire(Priority.LOWER)
        assert clock() - START == pytest.approx(7_500, abs=2)

    virtual(main)


def test_both_vendors_words_for_later() -> None:
    assert retry_after_ms({"x-skubana-quota-retryafter": "1500"}, START) == 1_500
    assert retry_after_ms({"retry-after": "2"}, START) == 2_000
    assert retry_after_ms({"retry-after": "Thu, 01 Jan 1970 00:16:45 GMT"}, START) == 5_000
    assert retry_after_ms({}, START) is None


def test_a_429_is_waited_out() -> None:
    answers = [
        httpx.Response(429, headers={"x-skubana-quota-retryAfter": "4000"}),
        httpx.Response(200, json=[]),
    ]

    async def main(clock: VirtualClock) -> None:
        reply = await client(clock, lambda _: answers.pop(0)).send(GET)
        assert reply.status == 200
        assert clock() - START >= 4_000

    virtual(main)


def test_a_limit_that_others_draw_on_too_is_waited_out_more_often_than_a_failure() -> None:
    async def main(clock: VirtualClock) -> None:
        limited = [httpx.Response(429, headers={"retry-after": "0.2"})] * 10
        answers = [*limited, httpx.Response(503), *limited[:5], httpx.Response(200, json=[])]
        reply = await client(clock, lambda _: answers.pop(0)).send(GET)
        assert (reply.status, reply.failed) == (200, 16)
        with pytest.raises(TryLater, match="over its rate limit"):
            await client(clock, lambda _: limited[0]).send(GET)

    virtual(main)


@pytest.mark.parametrize(
    ("status", "call", "error"),
    [
        (500, GET, TryLater),
        (500, WRITE, OutcomeUnknown),
        (401, GET, Denied),
        (403, GET, Denied),
        (404, GET, Refused),
        (302, GET, Refused),
    ],
)
def test_failures_are_sorted_by_what_to_do_next(status: int, call: Call, error: type[Exception]) -> None:
    async def main(clock: VirtualClock) -> None:
        with pytest.raises(error):
            await client(clock, lambda _: httpx.Response(status)).send(call)

    virtual(main)


def test_a_write_that_broke_on_the_way_may_have_happened() -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    async def main(clock: VirtualClock) -> None:
        with pytest.raises(OutcomeUnknown):
            await client(clock, broken).send(WRITE)
        with pytest.raises(TryLater):
            await client(clock, broken).send(GET)

    virtual(main)


def test_an_endless_reply_is_cut() -> None:
    async def main(clock: VirtualClock) -> None:
        big = httpx.Response(200, content=b"x" * 3_000_000)
        with pytest.raises(MalformedReply, match="more than 1 MiB"):
            await client(clock, lambda _: big, max_body_bytes=2**20).send(GET)

    virtual(main)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty reply"),
        (b"<html>", "HTML instead of JSON"),
        (b'[{"a":', "truncated"),
        (b'{"a":1}', "array"),
    ],
)
def test_a_reply_that_is_not_what_was_asked_for_is_named(body: bytes, said: str) -> None:
    async def main(clock: VirtualClock) -> None:
        reply = await client(clock, lambda _: httpx.Response(200, content=body)).send(GET)
        with pytest.raises(MalformedReply, match=said):
            json_of(reply, list[dict[str, int]], "here")

    virtual(main)


@pytest.mark.parametrize("url", ["http://example.com", "ftp://127.0.0.1", "https://me:secret@example.com"])
def test_what_would_leak_credentials_is_refused(url: str) -> None:
    with pytest.raises(ConfigFault):
        Client(
            "s",
            url,
            transport=httpx.MockTransport(lambda _: httpx.Response(200)),
            auth=None,
            lanes=[],
            clock=lambda: START,
        )


def token_server(state: dict[str, int]) -> Callable[[httpx.Request], httpx.Response]:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            state["tokens"] += 1
            return httpx.Response(200, json={"access_token": f"t{state['tokens']}", "expires_in": 300})
        good = f"Bearer t{state['valid']}" if state.get("valid") else f"Bearer t{state['tokens']}"
        return httpx.Response(200 if request.headers["authorization"] == good else 401)

    return handler


def with_tokens(clock: VirtualClock, state: dict[str, int]) -> Client:
    made: list[Client] = []

    async def fetch(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.3)
        return await made[0].fetch(request)

    auth = ClientCredentials(TokenRequest("http://127.0.0.1/token", WORD, WORD), fetch, clock)
    made.append(
        Client(
            "s", "http://127.0.0.1", transport=httpx.MockTransport(token_server(state)), auth=auth,
            lanes=[Lane(LaneSpec("x", 1000, 100), clock)], clock=clock, gate=50,
        )
    )  # fmt: skip
    return made[0]


def test_twenty_cold_calls_ask_for_one_token_and_it_is_renewed_ahead_of_its_end() -> None:
    async def main(clock: VirtualClock) -> None:
        state = {"tokens": 0}
        sender = with_tokens(clock, state)
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(sender.send, GET)
        assert state["tokens"] == 1
        await anyio.sleep(239)
        await sender.send(GET)
        assert state["tokens"] == 1
        await anyio.sleep(2)
        await sender.send(GET)
        assert state["tokens"] == 2

    virtual(main)


def test_a_second_401_is_the_answer() -> None:
    async def main(clock: VirtualClock) -> None:
        state = {"tokens": 0, "valid": 99}
        with pytest.raises(Denied):
            await with_tokens(clock, state).send(GET)
        assert state["tokens"] == 2

    virtual(main)


def test_no_secret_in_any_error_log_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, text=f"no: {request.headers['authorization']} {WORD.reveal()}")

    async def main(clock: VirtualClock) -> None:
        auth = StaticToken(WORD)
        lanes = [Lane(LaneSpec("x", 10, 5), clock)]
        sender = Client(
            "s", "http://127.0.0.1", transport=httpx.MockTransport(echo), auth=auth, lanes=lanes, clock=clock
        )
        with pytest.raises(Refused) as caught:
            await sender.send(GET)
        assert "swordfish" not in f"{caught.value} {caught.value!r} {sender!r} {vars(auth)}"

    virtual(main)
    assert "swordfish" not in caplog.text


async def _slow(_request: Request) -> Response:
    await anyio.sleep(0.02)
    return JSONResponse([1] * 500)


async def test_a_storm_of_cancels_loses_no_connection_and_no_descriptor() -> None:
    chance = Random(3)
    app = Starlette(routes=[Route("/a", _slow)])
    clock = lambda: START  # noqa: E731 - a clock that stands still
    async with anyio.create_task_group() as group:
        port = await group.start(serve, app, 0)
        sender = Client(
            "s", f"http://127.0.0.1:{port}", transport=network_transport(), auth=None,
            lanes=[Lane(LaneSpec("x", 100_000, 50_000), clock)], clock=clock, gate=5, retry=RetryRule(tries=1),
        )  # fmt: skip
        await sender.send(GET)
        before = len(os.listdir("/proc/self/fd"))

        async def one() -> None:
            with anyio.move_on_after(chance.uniform(0, 0.05)):
                await sender.send(GET)

        for _ in range(15):
            async with anyio.create_task_group() as storm:
                for _ in range(30):
                    storm.start_soon(one)
        for _ in range(10):
            assert (await sender.send(GET)).status == 200
        await sender.aclose()
        await anyio.sleep(0.2)
        assert len(os.listdir("/proc/self/fd")) <= before + 2
        group.cancel_scope.cancel()
