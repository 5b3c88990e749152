"""The door for webhooks: POST /shopify/CHANNEL, and nothing else. It listens where nobody else of ours does.

Whoever may not tell us anything hears the same answer whatever was wrong, and costs one signature of a bounded body.
What is well signed is thanked for, whatever comes of it: a vendor ends a subscription that is answered otherwise.
"""

from collections.abc import Callable, Mapping
from typing import Final

import anyio
import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from reconcilerd.connectors.hints import REFUSED, Became, Hint, Reader
from reconcilerd.daemon.hints import Hints
from reconcilerd.domain.names import ChannelName, Instant

log = structlog.get_logger("reconcilerd.webhooks")

MAX_BODY: Final = 1 << 20
"""Bytes. An order of hundreds of lines has a fraction of it."""
BODY_S: Final = 5.0
"""How long it may take to arrive; the vendor gives us as long for all of it."""
SAID_AGAIN_MS: Final = 10_000
"""A flood is a line in the log each ten seconds."""
STATUS: Final[Mapping[Became, int]] = {
    Became.BAD_SIGNATURE: 401,
    Became.OTHER_SHOP: 401,
    Became.TOO_LARGE: 413,
    Became.TOO_SLOW: 408,
    Became.NO_POST: 405,
}
# One request a connection: then one deadline is all that a slow sender can use up.
HEADERS: Final = {"Connection": "close", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Refused = Callable[[ChannelName | None, Became], None]
"""Told of each that may not be: at the door of a channel, or at one that is not there."""


def build_door(
    readers: Mapping[ChannelName, Reader], hints: Hints, refused: Refused, clock: Callable[[], Instant]
) -> ASGIApp:
    """The whole app. ``readers``: who tells what a message of each channel is worth."""
    door = _Door(readers, hints, refused, clock)
    routes = [Route("/shopify/{channel}", door.take, methods=["DELETE", "GET", "PATCH", "POST", "PUT"])]
    return Starlette(routes=routes, exception_handlers={404: door.nowhere, 405: door.nowhere})


class _Door:
    def __init__(
        self,
        readers: Mapping[ChannelName, Reader],
        hints: Hints,
        refused: Refused,
        clock: Callable[[], Instant],
    ) -> None:
        self._readers = readers
        self._hints = hints
        self._refused = refused
        self._clock = clock
        self._said_at: Instant | None = None
        self._unsaid = 0

    async def take(self, request: Request) -> Response:
        channel = ChannelName(request.path_params["channel"])
        reader = self._readers.get(channel)
        if reader is None:
            return self._nowhere()
        hint = await self._hint(request, reader)
        heard = self._hints.take(hint) if isinstance(hint, Hint) else hint
        if not isinstance(hint, Hint):
            self._hints.refuse(channel, hint)
        if heard in REFUSED:
            self._refused(channel, heard)
            self._say(channel, heard)
        elif heard is Became.UNREADABLE:
            self._say(channel, heard)
        return Response(status_code=STATUS.get(heard, 200), headers=HEADERS)

    async def nowhere(self, _request: Request, _error: Exception) -> Response:
        """Whoever looks for other doors: the internet does all the time, and finds none."""
        return self._nowhere()

    def _nowhere(self) -> Response:
        self._refused(None, Became.NO_POST)
        return Response(status_code=404, headers=HEADERS)

    async def _hint(self, request: Request, reader: Reader) -> Hint | Became:
        if request.method != "POST":
            return Became.NO_POST
        try:
            with anyio.fail_after(BODY_S):
                body = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return Became.TOO_SLOW
        return Became.TOO_LARGE if body is None else reader(request.headers, body)

    def _say(self, channel: ChannelName, heard: Became) -> None:
        now = self._clock()
        if self._said_at is not None and 0 <= now - self._said_at < SAID_AGAIN_MS:
            self._unsaid += 1
            return
        log.warning("webhook_refused", channel=channel, why=str(heard), others=self._unsaid)
        self._said_at, self._unsaid = now, 0


async def _body(request: Request) -> bytes | None:
    """The raw bytes; None if there are too many, of which no more than that is read."""
    told = request.headers.get("content-length", "0")
    if not (told.isascii() and told.isdecimal()) or int(told) > MAX_BODY:
        return None
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    return bytes(body)
