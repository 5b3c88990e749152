"""Serves the app inside the daemon's own task group, within limits that keep a slow or greedy asker from mattering.

The page is never a reason not to correct: an address that is taken is told and tried again.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import anyio
import anyio.lowlevel
import structlog
import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger("reconcilerd.web")

AGAIN_S: Final = 60.0
MAX_HEADER: Final = 8_192
"""Bytes of a request: nobody reads its body."""
MAX_CLIENTS: Final = 32
ASK_S: Final = 5.0
"""How long somebody may take to say what they want."""


TAKE_S: Final = 30.0
"""How long somebody may take none of a long answer: a lid that was closed amid a download leaves no connection open."""


async def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve until cancelled, as soon as the address can be had."""
    while True:
        try:
            listener = _listen(host, port)
        except OSError as error:
            log.warning(
                "web_cannot_listen",
                listen=f"{host}:{port}",
                why=error.strerror,
                do="stop who holds it, or name another address in [web] listen",
                again_in_s=AGAIN_S,
            )
            await anyio.sleep(AGAIN_S)
            continue
        await _serve_on(listener, app)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, or asyncio leaves Nagle's algorithm on.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def _serve_on(listener: socket.socket, app: ASGIApp) -> None:
    config = uvicorn.Config(
        app,
        http=_Hurried,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEADER,
        limit_concurrency=MAX_CLIENTS,
        timeout_keep_alive=round(ASK_S),
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve, [listener])
        try:
            while not server.started:
                await anyio.sleep(0.01)
            log.info("web_listens", address="{}:{}".format(*listener.getsockname()[:2]))
            await anyio.sleep_forever()
        finally:
            server.should_exit = True
            listener.close()
            # Browsers connect before they have anything to ask: nobody would hang up on them any more.
            for each in list(server.server_state.connections):
                each.transport.abort()
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()


class _Server(uvicorn.Server):
    """Signals stay the daemon's. So does the processor: the library would look ten times a second whether to stop."""

    @override
    async def main_loop(self) -> None:
        await anyio.sleep_forever()

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Hurried(H11Protocol):
    """Hangs up on who has not said what they want in time, or takes nothing of what they asked for."""

    _patience: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(ASK_S, self._give_up)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        for each in (self._patience, self._stalled):
            if each is not None:
                each.cancel()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        # To close it would wait for them to take the rest.
        self._stalled = self.loop.call_later(TAKE_S, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def _give_up(self) -> None:
        # Declared as if there always were one.
        if vars(self)["cycle"] is None:
            self.transport.close()
