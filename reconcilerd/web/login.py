"""Logging in with a token and out again: the only forms that are sent to us.

A form that another site sends in somebody's name is refused by its origin, and the cookie goes nowhere with requests
that another site makes.
"""

from typing import Final
from urllib.parse import parse_qs, urlsplit

import anyio
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from reconcilerd.transport.client import is_loopback
from reconcilerd.web.app import (
    COOKIE,
    HOST_COOKIE,
    LOGIN,
    LOGOUT,
    Wall,
    consumer,
    host_of,
    role_in,
    session_of,
)
from reconcilerd.web.pages import shown
from reconcilerd.web.roles import SESSION_MS, Role

log = structlog.get_logger("reconcilerd.web")

LONGEST_FORM: Final = 4_096
FORM_S: Final = 5.0
"""How long somebody may take to send it."""


def routes(wall: Wall) -> list[Route]:
    """Both, for the app; none where nobody needs a token."""
    if not wall.tokens:
        return []

    async def form(request: Request) -> Response:
        wanted = onward(request.query_params.get("next", ""))
        if role_in(request) is not None:
            return RedirectResponse(wanted, 303)
        # Who comes from another site has not shown us the cookie: sent on by this page, the browser does.
        again = request.headers.get("sec-fetch-site") == "cross-site"
        return await shown(request, "login.html", onward=wanted, again=again, why="")

    async def log_in(request: Request) -> Response:
        refused = strange(request)
        if refused:
            return await shown(request, "refusal.html", 403, title="Not logged in", why=refused)
        fields = await fields_of(request)
        wanted = onward(fields.get("next", ""))
        asker = consumer(request)
        answer = wall.judge_token(fields.get("token", "").strip(), asker)
        if isinstance(answer, Role):
            log.info("web_logged_in", role=answer.name.lower(), consumer=asker)
            return _with_session(request, wall.sessions.begin(answer), wanted)
        if answer is None:
            wall.turned_away(f"a wrong token from {asker}")
            why = "No role has this token."
            return await shown(request, "login.html", 401, onward=wanted, again=False, why=why)
        why = f"Too many wrong tokens. Wait {answer} s."
        answered = await shown(request, "login.html", 429, onward=wanted, again=False, why=why)
        answered.headers["Retry-After"] = str(answer)
        return answered

    async def log_out(request: Request) -> Response:
        refused = strange(request)
        if refused:
            return await shown(request, "refusal.html", 403, title="Not logged out", why=refused)
        wall.sessions.end(session_of(request))
        answer = RedirectResponse(LOGIN, 303)
        for name, secure in ((COOKIE, False), (HOST_COOKIE, True)):
            answer.delete_cookie(name, "/", secure=secure, httponly=True, samesite="strict")
        return answer

    return [
        Route(LOGIN, form, methods=["GET"]),
        Route(LOGIN, log_in, methods=["POST"]),
        Route(LOGOUT, log_out, methods=["POST"]),
    ]


def strange(request: Request) -> str:
    """Why a form is not taken; empty: it is. Browsers say where a form comes from, and nothing else sends one."""
    origin, host = urlsplit(request.headers.get("origin", "")), request.headers.get("host", "")
    if not origin.netloc or origin.netloc.casefold() != host.casefold():
        return (
            "The form did not come from this page. If a proxy is in between, it must pass on the name that you asked "
            "for (Host). Programs send the token as Authorization: Bearer."
        )
    if origin.scheme != "https" and not is_loopback(host_of(host)):
        return (
            "This page was reached over plain http, where a token can be read on its way; take this one for known. "
            "Put a proxy with TLS in front, or come through a tunnel to this machine."
        )
    return ""


async def fields_of(request: Request) -> dict[str, str]:
    """What a short form says; of one that is long or late, or whose sender hung up, nothing."""
    body = b""
    try:
        with anyio.fail_after(FORM_S):
            async for part in request.stream():
                body += part
                if len(body) > LONGEST_FORM:
                    return {}
        fields = parse_qs(body.decode("utf-8"), max_num_fields=5)
    except (ClientDisconnect, TimeoutError, ValueError):
        return {}
    return {name: values[0] for name, values in fields.items()}


def onward(path: str) -> str:
    """Where somebody wanted to go, if that is here; else the first page."""
    here = path.startswith("/") and path.isascii() and path.isprintable()
    if not here or path[1:2] in {"/", "\\"} or path.startswith((LOGIN, LOGOUT)):
        return "/"
    return path


def _with_session(request: Request, id_: str, path: str) -> Response:
    answer = RedirectResponse(path, 303)
    secure = request.headers.get("origin", "").startswith("https:")
    answer.set_cookie(
        HOST_COOKIE if secure else COOKIE,
        id_,
        max_age=SESSION_MS // 1000,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return answer
