"""The app: routes of the other modules behind one wall, that lets in who may read and nothing but reading.

A page that is opened in a browser of this machine can reach loopback: hence the check of ``Host``.
"""

import hmac
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.transport.client import is_loopback
from reconcilerd.web.standing import HEALTH

log = structlog.get_logger("reconcilerd.web")

FAILURES: Final = 10
FAILURES_MS: Final = 60_000
"""So many wrong tokens within a minute, and nobody's is looked at for the rest of it."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # One request a connection: then one deadline is all that a slow asker can use up.
    "Connection": "close",
}


@dataclass(slots=True)
class Wall:
    """Who may ask. ``hosts``: names by which we may be asked for, beside loopback and ``address``."""

    clock: Callable[[], Instant]
    address: str = "127.0.0.1"
    hosts: frozenset[str] = frozenset()
    token: Secret | None = None
    """Needed of everybody if there is one; only whether we are alive is told without."""
    turned_away: Callable[[], None] = lambda: None
    """Told of each wrong token and each strange host."""
    _failed: deque[Instant] = field(default_factory=deque)

    def refusal(self, method: str, path: str, headers: Headers) -> Response | None:
        """The answer to who may not ask; None lets in."""
        if not self._known(headers.get("host", "")):
            self.turned_away()
            log.warning("web_host_refused", host=headers.get("host", "")[:100])
            return _say(
                421, "this is not the host that you asked for; [web] hosts names others that are let in"
            )
        if method not in {"GET", "HEAD"}:
            return _say(405, "only read from here: GET or HEAD", {"Allow": "GET, HEAD"})
        if self.token is None or path == HEALTH:
            return None
        return self._let_in(headers.get("authorization", ""), self.token)

    def _known(self, header: str) -> bool:
        host = (
            header.rpartition("]")[0].removeprefix("[")
            if header.startswith("[")
            else header.partition(":")[0]
        )
        host = host.casefold().removesuffix(".")
        return host in self.hosts or host == self.address or is_loopback(host)

    def _let_in(self, told: str, token: Secret) -> Response | None:
        now = self.clock()
        while self._failed and not 0 <= now - self._failed[0] < FAILURES_MS:
            self._failed.popleft()
        if len(self._failed) >= FAILURES:
            self.turned_away()
            wait_s = (FAILURES_MS - (now - self._failed[0])) // 1000 + 1
            return _say(429, "too many wrong tokens; wait a minute", {"Retry-After": str(wait_s)})
        scheme, _, value = told.partition(" ")
        if scheme.casefold() == "bearer" and hmac.compare_digest(
            value.strip().encode(), token.reveal().encode()
        ):
            return None
        self.turned_away()
        if told:
            # A browser that asks without one is no attack.
            self._failed.append(now)
            log.warning("web_token_refused")
        return _say(
            401,
            "send the token: Authorization: Bearer ...",
            {"WWW-Authenticate": 'Bearer realm="reconcilerd"'},
        )


def build(routes: Sequence[BaseRoute], wall: Wall) -> ASGIApp:
    """Everything that is served, behind the wall."""
    return _Walled(Starlette(routes=list(routes)), wall)


class _Walled:
    def __init__(self, app: ASGIApp, wall: Wall) -> None:
        self._app = app
        self._wall = wall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # a websocket that nobody answers is closed

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._wall.clock() / 1000, usegmt=True)
                MutableHeaders(scope=message).update({**HEADERS, "Date": date})
            await send(message)

        refused = self._wall.refusal(scope["method"], scope["path"], Headers(scope=scope))
        await (refused or self._app)(scope, receive, dressed)


def _say(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers)
