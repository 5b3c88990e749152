"""What the other side may do to a lane, a token or a reply, and what must still hold then."""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from itertools import pairwise

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.errors import (
    Denied,
    MalformedReply,
    OutcomeUnknown,
    ReconcilerdError,
    Refused,
    TryLater,
    Withheld,
)
from reconcilerd.simulator.serve import serve
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call, Client, RetryRule
from reconcilerd.transport.credentials import ClientCredentials, StaticToken, TokenRequest
from reconcilerd.transport.lane import MAX_GATE_MS, Lane, LaneSpec, Priority
from reconcilerd.transport.pool import network_transport
from reconcilerd.transport.post import Poster
from reconcilerd.transport.replies import json_of, retry_after_ms

START = Instant(1_000_000)
GET = Call("GET", "/a", "x", Priority.STOCK)
WRITE = Call("POST", "/a", "x", Priority.LOWER, json={}, idempotent=False)
Handler = Callable[[httpx.Request], httpx.Response]
SlowHandler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


def virtual(main: Callable[[VirtualClock], Awaitable[None]]) -> None:
    async def run() -> None:
        await main(VirtualClock(START))

    run_virtual(run)


def client(
    clock: Callable[[], Instant],
    handler: Handler | SlowHandler,
    *,
    lane: LaneSpec | None = None,
    auth: httpx.Auth | None = None,
    gate: int = 4,
    retry: RetryRule | None = None,
) -> Client:
    return Client(
        "sys",
        "http://127.0.0.1",
        transport=httpx.MockTransport(handler),
        auth=auth,
        lanes=[Lane(lane or LaneSpec("x", 100, 50), clock)],
        clock=clock,
        gate=gate,
        retry=retry,
    )


def signed_in(
    clock: Callable[[], Instant], handler: Handler | SlowHandler, retry: RetryRule | None = None
) -> Client:
    """A client whose token comes from the same pretend server, at /token."""
    made: list[Client] = []

    async def fetch(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.3)
        return await made[0].fetch(request)

    ask = TokenRequest("http://127.0.0.1/token", Secret("an-id-of-ours"), Secret("a-word-of-ours"))
    made.append(client(clock, handler, auth=ClientCredentials(ask, fetch, clock), gate=50, retry=retry))
    return made[0]


# The lane.


def test_a_bucket_told_to_be_overdrawn_is_waited_for_not_fallen_over() -> None:
    async def main(clock: VirtualClock) -> None:
        lane = Lane(LaneSpec("x", 100, 1000, "cost"), clock)
        lane.told_bucket(2000, -200, 100)
        await lane.acquire(Priority.LOWER, 50)
        assert clock() - START >= 500

    virtual(main)


def test_a_waiting_call_is_refused_when_its_bucket_shrinks_under_it() -> None:
    async def main(clock: VirtualClock) -> None:
        lane, refused = Lane(LaneSpec("points", 10, 1000, "cost"), clock), []

        async def heavy() -> None:
            try:
                await lane.acquire(Priority.LOWER, 900)
            except Refused as error:
                refused.append(str(error))

        await lane.acquire(Priority.STOCK, 1000)
        async with anyio.create_task_group() as group:
            group.start_soon(heavy)
            await anyio.sleep(1)
            lane.told_bucket(500, 0, 10)
        assert len(refused) == 1
        assert "points" in refused[0]
        await lane.acquire(Priority.LOWER, 10)

    virtual(main)


def test_a_gate_that_closes_while_a_call_waits_for_tokens_holds_that_call_too() -> None:
    async def main(clock: VirtualClock) -> None:
        lane, passed = Lane(LaneSpec("x", 1, 1), clock), []

        async def one() -> None:
            await lane.acquire(Priority.LOWER)
            passed.append(clock() - START)

        await lane.acquire(Priority.LOWER)
        async with anyio.create_task_group() as group:
            group.start_soon(one)
            await anyio.sleep(0.5)
            lane.retry_after(10_000)
        assert passed[0] >= 10_500

    virtual(main)


def test_no_gate_outlives_five_minutes_even_if_the_clock_goes_backwards() -> None:
    async def main(clock: VirtualClock) -> None:
        lane = Lane(LaneSpec("x", 100, 10), clock)
        lane.retry_after(86_400_000)
        clock.start = Instant(clock.start - 7_200_000)
        began = anyio.current_time()
        await lane.acquire(Priority.LOWER)
        assert anyio.current_time() - began == pytest.approx(MAX_GATE_MS / 1000, abs=1)

    virtual(main)


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 3)), min_size=1, max_size=40))
def test_no_window_sees_more_than_the_bucket_and_its_refill(wanted: list[tuple[int, int]]) -> None:
    async def main(clock: VirtualClock) -> None:
        lane, taken = Lane(LaneSpec("x", 4, 8), clock), []

        async def one(cost: int, priority: Priority) -> None:
            await lane.acquire(priority, cost)
            taken.append((anyio.current_time(), cost))

        async with anyio.create_task_group() as group:
            for cost, priority in wanted:
                group.start_soon(one, cost, Priority(priority))
        assert len(taken) == len(wanted)
        for first, (begin, _) in enumerate(taken):
            for end, _ in taken[first:]:
                cost = sum(c for at, c in taken if begin <= at <= end)
                assert cost <= 8 + 4 * (end - begin) + 1e-3

    virtual(main)


def test_a_swapped_bucket_is_not_overdrawn_by_whoever_waited_in_the_old_one() -> None:
    async def main(clock: VirtualClock) -> None:
        lane, taken = Lane(LaneSpec("x", 10, 100, "cost"), clock), []

        async def one() -> None:
            await lane.acquire(Priority.STOCK, 50)
            taken.append(anyio.current_time())

        await lane.acquire(Priority.STOCK, 100)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
            await anyio.sleep(1)
            lane.told_bucket(200, 0, 5)
        # Nothing is left at 1 s and 5 points come back a second: 10, 20 and 30 seconds later.
        assert [round(at) for at in taken] == [11, 21, 31]

    virtual(main)


def test_what_is_left_falls_with_use_and_comes_back_with_time() -> None:
    async def main(clock: VirtualClock) -> None:
        lane = Lane(LaneSpec("x", 10, 100, "cost"), clock)
        await lane.acquire(Priority.STOCK, 60)
        assert lane.tokens_left == pytest.approx(40)
        await anyio.sleep(2)
        assert lane.tokens_left == pytest.approx(60)
        lane.told_bucket(100, 30, 10)
        assert lane.tokens_left == pytest.approx(30)
        await anyio.sleep(60)
        assert lane.tokens_left == pytest.approx(100)

    virtual(main)


def test_a_stall_of_the_server_is_not_followed_by_more_than_its_bucket() -> None:
    """Tokens taken while every connection hangs must not be spent all at once afterwards."""

    async def main(clock: VirtualClock) -> None:
        asked: list[float] = []

        async def stalls(_: httpx.Request) -> httpx.Response:
            asked.append(anyio.current_time())
            if anyio.current_time() < 20:
                await anyio.sleep(20 - anyio.current_time())
            return httpx.Response(200, json=[])

        sender = client(clock, stalls, lane=LaneSpec("x", 5, 5), gate=2)
        async with anyio.create_task_group() as group:
            for _ in range(80):
                group.start_soon(sender.send, GET)
        after = [at for at in asked if at >= 20]
        assert sum(at < 21 for at in after) <= 5 + 5 + 1

    virtual(main)


# Replies.


@pytest.mark.parametrize("text", ["inf", "1e999", "nan", "-3", "soon", "²"])
def test_a_silly_retry_after_never_breaks_the_reader(text: str) -> None:
    for header in ("retry-after", "x-skubana-quota-retryafter"):
        assert retry_after_ms({header: text}, START) in {None, 0}


def test_limits_without_a_hint_are_waited_out_longer_each_time() -> None:
    async def main(clock: VirtualClock) -> None:
        asked: list[int] = []

        def limited(_: httpx.Request) -> httpx.Response:
            asked.append(clock() - START)
            return httpx.Response(429)

        with pytest.raises(TryLater):
            await client(clock, limited).send(GET)
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        assert all(gap >= 1_000 * 2**number for number, gap in enumerate(gaps))
        assert asked[-1] <= 1_000 * RetryRule().deadline_s < asked[-1] + 1_000 * 2 ** len(gaps)

    virtual(main)


@pytest.mark.parametrize(("first", "error"), [(None, Withheld), (429, Withheld), (503, OutcomeUnknown)])
def test_what_is_forbidden_while_it_waits_does_not_leave(first: int | None, error: type[Exception]) -> None:
    """A STOP file two seconds after the decision holds back all that was not sent by then.

    A try that a limit turned away was never begun, so nothing was sent; one that broke may have had its effect.
    """

    async def main(clock: VirtualClock) -> None:
        asked: list[int] = []

        def limited(_: httpx.Request) -> httpx.Response:
            asked.append(clock() - START)
            return httpx.Response(first or 200, headers={"retry-after": "30"})

        sender = client(clock, limited, lane=LaneSpec("x", 0.1, 1))
        if first is None:
            await sender.send(GET)
        stop = Call(
            "POST", "/a", "x", Priority.LOWER, json={}, withheld=lambda: "STOP" * (clock() > START + 2_000)
        )
        with pytest.raises(error):
            await sender.send(stop)
        assert asked == [0]

    virtual(main)


def test_no_try_begins_after_the_deadline() -> None:
    async def main(clock: VirtualClock) -> None:
        asked: list[int] = []

        async def slow(_: httpx.Request) -> httpx.Response:
            asked.append(clock() - START)
            await anyio.sleep(9)
            return httpx.Response(503)

        with pytest.raises(TryLater):
            await client(clock, slow, retry=RetryRule(tries=20, deadline_s=30)).send(GET)
        assert max(asked) <= 30_000
        assert len(asked) > 1

    virtual(main)


def test_a_reply_that_cannot_be_read_shows_how_it_began_without_its_secrets() -> None:
    async def main(clock: VirtualClock) -> None:
        body = b'{"access_token": "canary-4711", "rows": [{"n": "x"}]}'
        reply = await client(clock, lambda _: httpx.Response(200, content=body)).send(GET)
        with pytest.raises(MalformedReply, match="rows") as caught:
            json_of(reply, list[int], "here")
        assert "canary" not in str(caught.value)

    virtual(main)


def test_a_secret_cut_in_two_by_an_excerpt_does_not_show_its_first_half() -> None:
    word = Secret("swordfish-canary-88")

    async def main(clock: VirtualClock) -> None:
        for lead in range(180, 200):
            text = "." * lead + word.reveal() + "." * 50
            with pytest.raises(Refused) as caught:
                await client(clock, lambda _, text=text: httpx.Response(404, text=text)).send(GET)
            assert "sword" not in str(caught.value)

    virtual(main)


# Tokens.


def test_a_write_whose_token_could_not_be_had_has_not_left() -> None:
    async def main(clock: VirtualClock) -> None:
        for answer in (httpx.Response(503), None):

            def handler(request: httpx.Request, answer: httpx.Response | None = answer) -> httpx.Response:
                assert request.url.path == "/token"
                if answer is None:
                    raise httpx.ReadError("gone")
                return answer

            with pytest.raises(TryLater):
                await signed_in(clock, handler).send(WRITE)

    virtual(main)


def test_a_token_reply_without_a_token_is_refused_credentials() -> None:
    async def main(clock: VirtualClock) -> None:
        for body in ({"token_type": "bearer"}, {"access_token": ""}):
            with pytest.raises(Denied, match=r"127\.0\.0\.1"):
                await signed_in(clock, lambda _, body=body: httpx.Response(200, json=body)).send(GET)

    virtual(main)


@pytest.mark.parametrize("expires_in", ["3600", 1e308, 0, -1])
def test_an_odd_life_of_a_token_breaks_nothing(expires_in: object) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(200, json={"access_token": "token-one", "expires_in": expires_in})
        return httpx.Response(200, json=[])

    async def main(clock: VirtualClock) -> None:
        assert (await signed_in(clock, handler).send(GET)).status == 200

    virtual(main)


def test_twenty_calls_with_wrong_credentials_ask_once_and_are_all_denied() -> None:
    async def main(clock: VirtualClock) -> None:
        asked, denied = [], []

        def handler(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            return httpx.Response(401)

        sender = signed_in(clock, handler)

        async def one() -> None:
            try:
                await sender.send(GET)
            except Denied as error:
                denied.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
        assert (asked, len(denied)) == (["/token"], 20)
        with pytest.raises(Denied):
            await sender.send(GET)
        assert len(asked) == 2, "a later call asks anew"

    virtual(main)


def test_twenty_calls_after_a_revocation_ask_for_one_token() -> None:
    async def main(clock: VirtualClock) -> None:
        state = {"tokens": 0, "revoked": 0}

        def handler(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/token":
                state["tokens"] += 1
                return httpx.Response(200, json={"access_token": f"t{state['tokens']}"})
            number = int(request.headers["authorization"].removeprefix("Bearer t"))
            return httpx.Response(401 if number <= state["revoked"] else 200, json=[])

        sender = signed_in(clock, handler)
        await sender.send(GET)
        state["revoked"] = 1
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(sender.send, GET)
        assert state["tokens"] == 2

    virtual(main)


def test_a_token_reply_without_end_is_cut() -> None:
    async def main(clock: VirtualClock) -> None:
        read: list[int] = []

        async def parts() -> AsyncIterator[bytes]:
            for number in range(200):
                read.append(number)
                yield b" " * 2**18

        with pytest.raises(MalformedReply, match=r"token.*more than 1 MiB"):
            await signed_in(clock, lambda _: httpx.Response(200, content=parts())).send(GET)
        assert len(read) <= 5

    virtual(main)


def test_a_write_that_timed_out_before_its_token_came_has_not_left() -> None:
    async def main(clock: VirtualClock) -> None:
        async def handler(request: httpx.Request) -> httpx.Response:
            assert request.url.path == "/token"
            await anyio.sleep(20)
            return httpx.Response(200, json={"access_token": "token-one"})

        hurried = Call("POST", "/a", "x", Priority.LOWER, json={}, idempotent=False, timeout_s=5)
        with pytest.raises(TryLater):
            await signed_in(clock, handler).send(hurried)

    virtual(main)


def test_a_write_that_timed_out_on_its_way_may_have_happened() -> None:
    async def main(clock: VirtualClock) -> None:
        async def handler(_: httpx.Request) -> httpx.Response:
            await anyio.sleep(60)
            return httpx.Response(200)

        with pytest.raises(OutcomeUnknown):
            await client(clock, handler).send(WRITE)

    virtual(main)


# The network.


async def _endless(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 2**20

    return StreamingResponse(parts())


async def _refused_at_length(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 2**20

    return StreamingResponse(parts(), 401)


async def _token(_: Request) -> Response:
    return JSONResponse({"access_token": "token-of-a-test"})


async def _short(_: Request) -> Response:
    return JSONResponse([1])


async def test_a_refusal_of_two_hundred_megabytes_is_not_read_either() -> None:
    app = Starlette(routes=[Route("/a", _refused_at_length), Route("/token", _token, methods=["POST"])])
    clock = lambda: START  # noqa: E731 - a clock that stands still
    async with anyio.create_task_group() as group:
        port = await group.start(serve, app, 0)
        base = f"http://127.0.0.1:{port}"
        made: list[Client] = []

        async def fetch(request: httpx.Request) -> httpx.Response:
            return await made[0].fetch(request)

        ask = TokenRequest(f"{base}/token", Secret("an-id", public=True), Secret("a-secret"))
        made.append(
            Client(
                "s",
                base,
                transport=network_transport(),
                auth=ClientCredentials(ask, fetch, clock),
                lanes=[Lane(LaneSpec("x", 1000, 500), clock)],
                clock=clock,
                max_body_bytes=2**20,
            )
        )
        with pytest.raises(Denied, match="answered 401"):
            await made[0].send(GET)
        await made[0].aclose()
        group.cancel_scope.cancel()


async def test_two_hundred_megabytes_are_not_read_and_the_pool_stays_sound() -> None:
    app = Starlette(routes=[Route("/big", _endless), Route("/a", _short)])
    clock = lambda: START  # noqa: E731 - a clock that stands still
    async with anyio.create_task_group() as group:
        port = await group.start(serve, app, 0)
        sender = Client(
            "s", f"http://127.0.0.1:{port}", transport=network_transport(), auth=None,
            lanes=[Lane(LaneSpec("x", 1000, 500), clock)], clock=clock, max_body_bytes=2**20,
        )  # fmt: skip
        for _ in range(8):  # more often than there are connections
            with pytest.raises(MalformedReply, match="more than 1 MiB"):
                await sender.send(Call("GET", "/big", "x", Priority.STOCK))
        assert (await sender.send(GET)).body == b"[1]"
        await sender.aclose()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("text", ["swordfish-canary\n99", "swordfish-canary-é"])
async def test_a_token_that_no_header_can_carry_is_denied_and_shows_in_no_traceback(text: str) -> None:
    sender = client(lambda: START, lambda _: httpx.Response(200), auth=StaticToken(Secret(text)))
    with pytest.raises(Denied, match="no header can carry") as caught:
        await sender.send(GET)
    assert "swordfish" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("call", [GET, WRITE])
async def test_what_a_library_quotes_of_us_shows_in_no_traceback(call: Call) -> None:
    word = Secret("swordfish-canary-66")

    def quotes(_: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError(f"illegal: {word.reveal()}")

    with pytest.raises(ReconcilerdError) as caught:
        await client(lambda: START, quotes, retry=RetryRule(tries=1)).send(call)
    assert "illegal" in str(caught.value)
    assert "swordfish" not in "".join(traceback.format_exception(caught.value))


async def test_libraries_log_no_secret_even_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore2", "httpcore2.http11", "httpcore2.connection"):
        caplog.set_level(logging.DEBUG, logger=name)
    word = Secret("T00/B00/swordfish-canary")

    async def echo(request: Request) -> Response:
        return JSONResponse([], headers={"x-echo": word.reveal()})

    app = Starlette(routes=[Route("/services/{rest:path}", echo, methods=["POST"])])
    async with anyio.create_task_group() as group:
        port = await group.start(serve, app, 0)
        poster = Poster()
        await poster.post(f"http://127.0.0.1:{port}/services/{word.reveal()}", {})
        await poster.aclose()
        group.cancel_scope.cancel()
    assert "HTTP Request" in caplog.text, "the test sees what httpx logs"
    assert "swordfish" not in caplog.text


def test_a_refused_token_after_a_try_that_may_have_worked_tells_nothing_of_the_write() -> None:
    tokens, effects = [], []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            tokens.append(1)
            if len(tokens) > 1:
                return httpx.Response(401)
            return httpx.Response(200, json={"access_token": "first-token", "expires_in": 100})
        effects.append(1)
        raise httpx.ReadTimeout("no answer")

    async def main(clock: VirtualClock) -> None:
        here = signed_in(clock, handler, RetryRule(base_s=200, cap_s=200, deadline_s=1000))
        write = Call("POST", "/a", "x", Priority.RAISE, json={}, withheld=lambda: None)
        with pytest.raises(OutcomeUnknown, match="one may have worked"):
            await here.send(write)

    virtual(main)
    assert (len(effects), len(tokens)) == (1, 2)


def test_a_token_serves_to_its_end_while_no_new_one_can_be_had() -> None:
    tokens = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            tokens.append(1)
            if len(tokens) > 1:
                return httpx.Response(503)
            return httpx.Response(200, json={"access_token": "first-token", "expires_in": 300})
        return httpx.Response(200, json=[])

    async def main(clock: VirtualClock) -> None:
        here = signed_in(clock, handler)
        assert (await here.send(GET)).status == 200
        await anyio.sleep(250)
        assert (await here.send(GET)).status == 200
        await anyio.sleep(60)
        with pytest.raises(TryLater):
            await here.send(GET)

    virtual(main)
