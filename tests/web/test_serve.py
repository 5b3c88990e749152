"""Over real sockets: who is slow, long or many is sent away; an address that is taken is waited for."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import anyio
import anyio.abc
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from reconcilerd.domain.names import Instant
from reconcilerd.web import serve as served
from reconcilerd.web.app import Wall, build
from reconcilerd.web.serve import MAX_HEADER, serve

ASK = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def page(_request: Request) -> Response:
    return PlainTextResponse("here")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def say(port: int, what: bytes) -> bytes:
    """Everything that comes back until the other side hangs up."""
    stream = await anyio.connect_tcp("127.0.0.1", port)
    async with stream:
        await stream.send(what)
        said = b""
        try:
            while True:
                said += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return said


async def long(_request: Request) -> Response:
    """More than all buffers between two programs hold."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 1_000_000

    return StreamingResponse(parts())


async def with_page(use: Callable[[int], Awaitable[None]], *, host: str = "127.0.0.1") -> None:
    port = free_port()
    app = build([Route("/page", page), Route("/long", long)], Wall(lambda: Instant(0)))
    async with anyio.create_task_group() as group:
        group.start_soon(partial(serve, app, host, port))
        with anyio.fail_after(20):
            await answers(port)
            await use(port)
        group.cancel_scope.cancel()


async def answers(port: int) -> bytes:
    while True:
        try:
            return await say(port, ASK)
        except OSError:
            await anyio.sleep(0.02)


async def test_a_request_is_answered_and_the_connection_ends() -> None:
    async def use(port: int) -> None:
        said = await say(port, ASK + ASK)
        assert said.count(b"HTTP/1.1 200") == 1
        assert said.endswith(b"here")
        assert b"server:" not in said.lower()

    await with_page(use)


@pytest.mark.parametrize("beginning", [b"", b"GET /page HTTP/1.1\r\n", b"GET /page HTTP/1.1\r\nHost: loc"])
async def test_who_does_not_say_what_they_want_is_hung_up_on(
    beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "ASK_S", 0.2)

    async def use(port: int) -> None:
        assert b"200" not in await say(port, beginning)

    await with_page(use)


async def test_a_header_without_end_is_refused() -> None:
    async def use(port: int) -> None:
        said = await say(port, b"GET /page HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (MAX_HEADER * 3 // 2))
        assert said.startswith(b"HTTP/1.1 400")

    await with_page(use)


async def test_crowds_are_turned_away_and_then_served_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "MAX_CLIENTS", 3)

    async def use(port: int) -> None:
        streams = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(5)]
        while b"503" not in await say(port, ASK):
            await anyio.sleep(0.02)
        for stream in streams:
            await stream.aclose()
        while b"200 OK" not in await say(port, ASK):
            await anyio.sleep(0.02)

    await with_page(use)


async def test_who_takes_nothing_of_a_long_answer_takes_up_no_place_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served, "MAX_CLIENTS", 3)
    monkeypatch.setattr(served, "TAKE_S", 0.2)

    async def use(port: int) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(3):
                stream = await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
                await stream.send(ASK.replace(b"/page", b"/long"))
                assert (await stream.receive(8)).startswith(b"HTTP")
            while b"200" not in await say(port, ASK):
                await anyio.sleep(0.05)

    await with_page(use)


async def test_an_address_that_is_taken_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "AGAIN_S", 0.05)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        app = build([Route("/page", page)], Wall(lambda: Instant(0)))
        async with anyio.create_task_group() as group:
            group.start_soon(partial(serve, app, "127.0.0.1", port))
            await anyio.sleep(0.2)
            taken.close()
            with anyio.fail_after(20):
                assert (await answers(port)).endswith(b"here")
            group.cancel_scope.cancel()


async def test_who_is_connected_at_the_end_is_hung_up_on() -> None:
    waiting: list[anyio.abc.SocketStream] = []

    async def use(port: int) -> None:
        waiting.append(await anyio.connect_tcp("127.0.0.1", port))
        await answers(port)

    await with_page(use)
    async with waiting[0] as stream:
        with anyio.fail_after(20), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
