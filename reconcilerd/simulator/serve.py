"""Serves an app on loopback inside our own task group; signals stay ours, and a dropped connection is one."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from reconcilerd.simulator.faults import ConnectionDropped
from reconcilerd.simulator.wire import CutShort


class _Server(uvicorn.Server):
    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Droppable:
    """Turns ``ConnectionDropped`` into a connection that ends without an answer.

    The server itself would answer 500. What the app said is kept back until it is through, because its own
    middleware answers 500 before the exception gets here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said: list[Message] = []
        streams = False

        async def keep(message: Message) -> None:
            nonlocal streams
            said.append(message)
            if streams or message.get("more_body"):
                # An answer that comes in drops: whoever asked sees it come.
                streams = True
                await _say(said, send)

        try:
            await self._app(scope, receive, keep)
        except ConnectionDropped as dropped:
            transport = getattr(getattr(send, "__self__", None), "transport", None)
            if transport is None:
                raise
            if isinstance(dropped, CutShort):
                await _say_half(dropped.response, send)
            transport.abort()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        except ClientDisconnect:
            return  # who asked has gone, as on any network
        await _say(said, send)


async def _say(said: list[Message], send: Send) -> None:
    while said:
        await send(said.pop(0))


async def _say_half(response: Response, send: Send) -> None:
    """The announced length, and half of it."""
    body = bytes(response.body)
    raw = [each for each in response.raw_headers if each[0] != b"content-length"]
    length = (b"content-length", str(len(body) + 1).encode())
    await send({"type": "http.response.start", "status": response.status_code, "headers": [*raw, length]})
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


async def serve(app: ASGIApp, port: int, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled; reports the port it got (0: any free one). Raises OSError for a taken port."""
    # Named TCP, or asyncio leaves Nagle's algorithm on and every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        Droppable(app),
        ws="none",
        log_config=None,
        lifespan="off",
        access_log=False,
        timeout_graceful_shutdown=1,
        date_header=False,
    )
    server = _Server(config)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve, [listener])
        while not server.started:
            await anyio.sleep(0.01)
        task_status.started(listener.getsockname()[1])
        try:
            await anyio.sleep_forever()
        finally:
            server.should_exit = True
            listener.close()
            group.cancel_scope.cancel()
