"""The app: routes of the other modules behind one wall, that lets in who may read and nothing but reading.

A page that is opened in a browser of this machine can reach loopback: hence the check of ``Host``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconcilerd.domain.names import Instant
from reconcilerd.transport.client import is_loopback
from reconcilerd.web.roles import Failures, Role, Sessions, Tokens, consumer_of, role_of
from reconcilerd.web.standing import HEALTH

log = structlog.get_logger("reconcilerd.web")

LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
STATIC: Final = "/static/"
COOKIE: Final = "reconcilerd"
HOST_COOKIE: Final = "__Host-reconcilerd"
"""Its name over https: a browser takes that from nobody but this very host."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": a browser would send its own forms with the origin "null" then, like those of strangers.
    "Referrer-Policy": "same-origin",
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
    tokens: Tokens = field(default_factory=lambda: MappingProxyType({}))
    """One of them is needed of everybody if there is any; only whether we are alive is told without. Where there is
    none, whoever reaches us sees everything."""
    turned_away: Callable[[str], None] = lambda _how: None
    """Told of each wrong token and each strange host."""
    failures: Failures = field(init=False)
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        self.failures, self.sessions = Failures(self.clock), Sessions(self.clock)

    def judge(self, request: Request) -> Role | Response | None:
        """The role of who asks, or the answer to who may not. None: nobody yet, at what is open to everybody."""
        method, path, headers = request.method, request.url.path, request.headers
        if not self._known(headers.get("host", "")):
            self.turned_away("a strange host")
            log.warning("web_host_refused", host=headers.get("host", "")[:100])
            return say(
                421, "this is not the host that you asked for; [web] hosts names others that are let in"
            )
        writes = method == "POST" and path in {LOGIN, LOGOUT} and bool(self.tokens)
        if method not in {"GET", "HEAD"} and not writes:
            return say(405, "only read from here: GET or HEAD", {"Allow": "GET, HEAD"})
        if not self.tokens:
            return Role.ADMIN
        role = self.sessions.role(session_of(request))
        if role is not None:
            return role
        if path in {HEALTH, LOGIN, LOGOUT} or path.startswith(STATIC):
            return None
        return self._let_in(request)

    def _known(self, header: str) -> bool:
        host = host_of(header)
        return host in self.hosts or host == self.address or is_loopback(host)

    def _let_in(self, request: Request) -> Role | Response:
        told = request.headers.get("authorization", "")
        if not told and "text/html" in request.headers.get("accept", ""):
            return _to_the_login(request)
        scheme, _, value = told.partition(" ")
        answer = self.judge_token(value.strip(), consumer(request)) if scheme.casefold() == "bearer" else None
        if isinstance(answer, Role):
            return answer
        if answer is not None:
            return say(429, "too many wrong tokens; wait a minute", {"Retry-After": str(answer)})
        self.turned_away("no token" if not told else f"a wrong token from {consumer(request)}")
        return say(
            401,
            "send a token: Authorization: Bearer ...; browsers log in at /login",
            {"WWW-Authenticate": 'Bearer realm="reconcilerd"'},
        )

    def judge_token(self, told: str, asker: str) -> Role | int | None:
        """Whose token it is; None: nobody's, which is counted; else seconds until one of this asker is looked at."""
        wait_s = self.failures.wait_s(asker)
        if wait_s:
            self.turned_away(f"tokens by the dozen from {asker}")
            return wait_s
        role = role_of(told, self.tokens)
        if role is None:
            self.failures.note(asker)
            log.warning("web_token_refused", consumer=asker)
        return role


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

        judged = self._wall.judge(Request(scope))
        scope.setdefault("state", {})["role"] = judged
        await (judged if isinstance(judged, Response) else self._app)(scope, receive, dressed)


def role_in(request: Request) -> Role | None:
    """The role of who asks, as the wall judged it; None: nobody's."""
    role: Role | None = request.scope.get("state", {}).get("role")
    return role


def session_of(request: Request) -> str:
    """The id of the session that a browser says it has; empty: none."""
    return request.cookies.get(HOST_COOKIE) or request.cookies.get(COOKIE) or ""


def consumer(request: Request) -> str:
    """Who asks, as one that failures are counted of."""
    return consumer_of(request.client.host if request.client else "unknown")


def host_of(header: str) -> str:
    """A host without its port, as it is compared."""
    host = header.rpartition("]")[0].removeprefix("[") if header.startswith("[") else header.partition(":")[0]
    return host.casefold().removesuffix(".")


def _to_the_login(request: Request) -> Response:
    """A browser without a session is asked for a token, and comes back to what it wanted."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{LOGIN}?next={quote(path, safe='')}", 303)


def say(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """A line of text."""
    return PlainTextResponse(f"{text}\n", status, headers)
