"""Serves an app on loopback inside our own task group; signals stay ours."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override


class _Server(uvicorn.Server):
    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: ASGIApp, port: int, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled; reports the port it got (0: any free one). Raises OSError for a taken port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1
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
