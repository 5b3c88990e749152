"""Slack's Socket Mode as far as an app can tell, on a real WebSocket: tickets, hello, envelopes, refusals, goodbyes."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from reconcilerd.alerting.slack import Answer
from reconcilerd.errors import TryLater

TOKEN = "xapp-1-A0APP-1-swordfish"
APP = "A0APP"
MOST = 10
"""Connections at once, as Slack allows."""


@dataclass
class FakeSocketMode:
    """Whoever shows ``token`` gets a ticket for one connection. What is not acknowledged is sent again, to any."""

    token: str = TOKEN
    answers: list[Answer] = field(default_factory=list)
    """What the next requests for a ticket are answered."""
    away: bool = False
    says_hello: bool = True
    drops: int = 0
    """So many of the next envelopes end the connection before they can be acknowledged."""
    asked: int = 0
    unacknowledged: dict[str, str] = field(default_factory=dict)
    """Envelopes by id, as they go over the wire."""
    acknowledged: Counter[str] = field(default_factory=Counter)
    open: list[ServerConnection] = field(default_factory=list)
    ever: int = 0
    strangers: int = 0
    _tickets: set[str] = field(default_factory=set)
    _server: Server | None = None
    _pushed: int = 0

    async def post(self, url: str, body: object, headers: Mapping[str, str]) -> Answer:
        """``apps.connections.open``."""
        assert url.endswith("/api/apps.connections.open"), url
        assert body == {}, "the token as an argument is an error there"
        self.asked += 1
        if self.away:
            raise TryLater("slack.example: no answer")
        if self.answers:
            return self.answers.pop(0)
        if headers != {"authorization": f"Bearer {self.token}"}:
            return said(ok=False, error="invalid_auth")
        if len(self.open) >= MOST:
            return said(ok=False, error="too_many_websockets")
        ticket = f"ticket-canary-{self.asked}"
        self._tickets.add(ticket)
        return said(ok=True, url=f"{self.address}/link/?ticket={ticket}&app_id={APP}")

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with serve(
            self._hear, "127.0.0.1", 0, process_request=self._let_in, close_timeout=0.2, ping_interval=None
        ) as server:
            self._server = server
            yield

    def _let_in(self, _: ServerConnection, request: Request) -> Response | None:
        ticket = request.path.partition("ticket=")[2].partition("&")[0]
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            return None
        self.strangers += 1
        return Response(403, "Forbidden", headers={})  # type: ignore[arg-type]

    async def _hear(self, connection: ServerConnection) -> None:
        if not self.says_hello:
            await connection.wait_closed()
            return
        hello = {"type": "hello", "num_connections": len(self.open) + 1, "connection_info": {"app_id": APP}}
        try:
            await connection.send(json.dumps(hello))
            self.open.append(connection)
            self.ever += 1
            for waiting in list(self.unacknowledged.values()):
                await self._deliver(connection, waiting)
            async for raw in connection:
                self._acknowledge(raw)
        except ConnectionClosed:
            pass
        finally:
            if connection in self.open:
                self.open.remove(connection)

    def _acknowledge(self, raw: str | bytes) -> None:
        said = json.loads(raw)
        assert said.keys() == {"envelope_id"}, said
        self.acknowledged[said["envelope_id"]] += 1
        self.unacknowledged.pop(said["envelope_id"], None)

    async def push(self, payload: object, kind: str = "interactive") -> str:
        """Somebody presses something: to the newest connection, or whenever there is one."""
        self._pushed += 1
        id_ = f"envelope-{self._pushed}"
        envelope = {
            "envelope_id": id_, "type": kind, "accepts_response_payload": False, "payload": payload,
        }  # fmt: skip
        self.unacknowledged[id_] = json.dumps(envelope)
        if self.open:
            await self._deliver(self.open[-1], self.unacknowledged[id_])
        return id_

    async def _deliver(self, connection: ServerConnection, raw: str) -> None:
        with suppress(ConnectionClosed):
            await connection.send(raw)
        if self.drops:
            self.drops -= 1
            # Sent and gone at once: whether it was read, nobody knows; no acknowledgement arrives.
            connection.transport.abort()

    async def again(self, raw: str | bytes) -> None:
        """Send something as it is."""
        await self.open[-1].send(raw)

    async def disconnect(self, reason: str) -> None:
        """Say goodbye on every connection that is open, and stay on the line."""
        for each in list(self.open):
            with suppress(ConnectionClosed):
                await each.send(json.dumps({"type": "disconnect", "reason": reason, "debug_info": {}}))

    async def hang_up(self) -> None:
        for each in list(self.open):
            each.transport.abort()


def said(**told: Any) -> Answer:
    return 200, json.dumps(told), {}


async def until(what: Any, why: str = "") -> None:
    """Wait for something to become so."""
    with anyio.fail_after(60):
        while not what():
            await anyio.sleep(0.005)
    assert what(), why
