"""One WebSocket to a service that tells us where it is: TLS, no proxy, no redirect, and a bound on what it may send.

Alone knows the websockets library. Whoever needs none does not import this.
"""

import json
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
from typing_extensions import override
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from reconcilerd.config.fields import LOOPBACK, url_parts
from reconcilerd.errors import TryLater
from reconcilerd.transport.pool import tls_context
from reconcilerd.transport.reach import addresses_of

MOST_BYTES = 262_144
"""Of one message; a longer one ends the connection."""
MOST_WAITING = 16
OPEN_S = 10.0
PING_S = 20.0
"""So often it is asked whether the other side is still there, and so long it may take to say so."""
CLOSE_S = 1.0
_SILENT = logging.Logger("websocket", logging.CRITICAL + 1)
"""The library writes addresses with their tickets, and every frame, at DEBUG."""


class _Straight(connect):
    """The library's own goes where a redirect within one origin leads, ticket and all."""

    @override
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Link:
    """An open connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes:
        """The next message. Raises TryLater once it is closed."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            raise _over(closed) from None

    async def send(self, message: Mapping[str, object]) -> None:
        """Send JSON. Raises TryLater once it is closed, TimeoutError where nobody takes it."""
        with anyio.fail_after(OPEN_S):
            try:
                await self._connection.send(json.dumps(message))
            except ConnectionClosed as closed:
                raise _over(closed) from None


def _over(closed: ConnectionClosed) -> TryLater:
    close = closed.rcvd or closed.sent
    return TryLater(f"the connection was closed ({close.code if close else 'without a word'})")


def dialler(allowed: Collection[str]) -> Callable[[str], AbstractAsyncContextManager[Link]]:
    """Opens connections; raises TryLater. ``allowed``: hosts that need not have public addresses."""

    @asynccontextmanager
    async def dial(url: str) -> AsyncIterator[Link]:
        secure, host, port = _where(url)
        address = (await addresses_of(host, port, allowed))[0]
        trust: dict[str, Any] = {"ssl": tls_context()} if secure else {}
        try:
            connection = await _Straight(
                url,
                host=address,
                port=port,
                proxy=None,
                compression=None,
                user_agent_header=None,
                open_timeout=OPEN_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                close_timeout=CLOSE_S,
                max_size=MOST_BYTES,
                max_queue=MOST_WAITING,
                logger=_SILENT,
                **trust,
            )
        except (OSError, ValueError, InvalidHandshake, InvalidURI) as error:
            # An address of this kind holds a ticket, and the library's text may hold the address.
            raise TryLater(f"{host}: no connection ({type(error).__name__})") from None
        try:
            yield Link(connection)
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await connection.close()
            connection.transport.abort()

    return dial


def _where(url: str) -> tuple[bool, str, int]:
    """Whether TLS is spoken, host and port. Raises TryLater for what is no address of a WebSocket, or a plain one."""
    try:
        url_parts(url)
    except ValueError:
        raise TryLater("the address of the connection is no URL") from None
    parts = urlsplit(url)
    secure, host = parts.scheme == "wss", parts.hostname or ""
    if not host or parts.username is not None or not (secure or (parts.scheme == "ws" and host in LOOPBACK)):
        raise TryLater("the address of the connection does not begin with wss://")
    return secure, host, parts.port or (443 if secure else 80)
