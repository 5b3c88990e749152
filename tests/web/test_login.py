"""A browser gets a cookie for a token, keeps it to itself, and loses it by logging out or by time."""

from collections.abc import Mapping
from http.cookies import SimpleCookie
from urllib.parse import quote

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.web import login, pages
from reconcilerd.web.app import COOKIE, HOST_COOKIE, Wall, build
from reconcilerd.web.login import LONGEST_FORM, fields_of, onward
from reconcilerd.web.roles import FAILURES, SESSION_MS, SESSIONS, Role, Sessions
from reconcilerd.web.views import NotAllowed, View, looked, status_of

TOKENS = {role: f"token-of-the-test-to-{role.name}" for role in Role}
LOOPBACK, TLS = "http://127.0.0.1:9641", "https://stock.example.com"


class Browser:
    """One that keeps cookies, sends its forms with their origin, and shows what it is sent."""

    def __init__(self, base: str = LOOPBACK, **headers: str) -> None:
        self.now = Instant(1_000_000)
        self.base = base
        self.cookies: dict[str, str] = {}
        self.headers = {"Accept": "text/html", **headers}

        async def page(request: Request) -> Response:
            return PlainTextResponse(f"figures for {request.state.role.name}")

        tokens = {role: Secret(token) for role, token in TOKENS.items()}
        hosts = frozenset({"stock.example.com", "plain.example.com"})
        self.wall = Wall(lambda: self.now, hosts=hosts, tokens=tokens)
        routes = [Route("/drift", page), *login.routes(self.wall), *pages.routes([])]
        self.app = build(routes, self.wall)

    async def ask(self, method: str, path: str, body: str | bytes = b"", **headers: str) -> httpx.Response:
        sent = {"Host": self.base.partition("://")[2], **self.headers}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        transport = httpx.ASGITransport(self.app, client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url=self.base) as client:
            answer = await client.request(method, path, headers=sent, content=body)
        for morsel in SimpleCookie("; ".join(answer.headers.get_list("set-cookie"))).values():
            self.cookies.pop(morsel.key, None)
            if morsel["max-age"] != "0":
                self.cookies[morsel.key] = morsel.value
        return answer

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.ask("GET", path, **headers)

    async def log_in(self, token: str, onward: str = "/drift", **headers: str) -> httpx.Response:
        headers = {"Origin": self.base, "Content_Type": "application/x-www-form-urlencoded", **headers}
        body = f"next={quote(onward, safe='')}&token={quote(token, safe='')}"
        return await self.ask("POST", "/login", body, **headers)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("base", "name"), [(LOOPBACK, COOKIE), (TLS, HOST_COOKIE)])
async def test_a_browser_is_asked_for_a_token_and_then_shown_what_it_wanted(
    role: Role, base: str, name: str
) -> None:
    browser = Browser(base)
    asked = await browser.get("/drift?cause=lag&page=2")
    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "/login?next=%2Fdrift%3Fcause%3Dlag%26page%3D2",
    )
    form = (await browser.get(asked.headers["location"])).text
    assert 'value="/drift?cause=lag&amp;page=2"' in form
    assert 'type="password"' in form
    answer = await browser.log_in(TOKENS[role], "/drift?cause=lag&page=2")
    assert (answer.status_code, answer.headers["location"]) == (303, "/drift?cause=lag&page=2")
    set_ = answer.headers["set-cookie"]
    assert set_.startswith(f"{name}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={SESSION_MS // 1000}"} <= set(set_.split("; "))
    assert ("Secure" in set_.split("; ")) == (base == TLS)
    assert TOKENS[role] not in set_
    assert (await browser.get("/drift")).text == f"figures for {role.name}"
    assert (await browser.get("/login?next=/drift")).headers["location"] == "/drift"


async def test_logging_out_ends_the_session_and_not_the_cookie_alone() -> None:
    browser = Browser()
    await browser.log_in(TOKENS[Role.READ])
    kept = dict(browser.cookies)
    answer = await browser.ask("POST", "/logout", Origin=LOOPBACK)
    assert (answer.headers["location"], browser.cookies) == ("/login", {})
    browser.cookies = kept
    assert (await browser.get("/drift")).status_code == 303


async def test_a_session_ends_by_itself_and_by_a_clock_that_goes_back() -> None:
    browser = Browser()
    await browser.log_in(TOKENS[Role.READ])
    began = browser.now
    browser.now = Instant(began + SESSION_MS - 1)
    assert (await browser.get("/drift")).status_code == 200
    browser.now = Instant(began + SESSION_MS)
    assert (await browser.get("/drift")).status_code == 303
    await browser.log_in(TOKENS[Role.READ])
    browser.now = Instant(0)
    assert (await browser.get("/drift")).status_code == 303


def test_so_many_sessions_are_open_and_no_more() -> None:
    sessions = Sessions(lambda: Instant(0))
    ids = [sessions.begin(Role.READ) for _ in range(SESSIONS + 1)]
    assert [sessions.role(each) for each in ids] == [None, *[Role.READ] * SESSIONS]
    assert len({*ids}) == len(ids)
    assert not any(each.encode() in key for each in ids for key in sessions._open)


STRANGE: list[Mapping[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:9642"},
    {"Origin": "null"},
    {"Origin": ""},
]


@pytest.mark.parametrize("headers", STRANGE)
async def test_a_form_of_another_site_neither_logs_in_nor_out(headers: Mapping[str, str]) -> None:
    browser = Browser()
    answer = await browser.log_in(TOKENS[Role.ADMIN], **headers)
    assert (answer.status_code, browser.cookies) == (403, {})
    await browser.log_in(TOKENS[Role.READ])
    assert (await browser.ask("POST", "/logout", **headers)).status_code == 403
    assert (await browser.get("/drift")).status_code == 200


async def test_over_plain_http_from_elsewhere_nobody_logs_in() -> None:
    browser = Browser("http://plain.example.com")
    answer = await browser.log_in(TOKENS[Role.READ])
    assert (answer.status_code, browser.cookies) == (403, {})
    assert "TLS" in answer.text


async def test_a_wrong_token_is_counted_like_one_of_a_program() -> None:
    browser = Browser()
    for number in range(FAILURES):
        told = "guess" if number % 2 else "guess again"
        if number % 3:
            answer = await browser.log_in(told)
        else:
            answer = await browser.get("/drift", Authorization=f"Bearer {told}")
        assert answer.status_code == 401, number
        assert told not in answer.text
    answer = await browser.log_in(TOKENS[Role.ADMIN])
    assert (answer.status_code, browser.cookies) == (429, {})
    assert int(answer.headers["retry-after"]) > 0


async def test_who_is_logged_in_is_not_kept_out_by_who_guesses_from_the_same_address() -> None:
    browser = Browser()
    await browser.log_in(TOKENS[Role.READ])
    for _ in range(FAILURES + 1):
        await browser.log_in("guess")
    assert (await browser.get("/drift")).status_code == 200


async def test_who_follows_a_link_from_another_site_is_not_asked_again() -> None:
    """The browser keeps a strict cookie to itself then, and shows it once our own page sends it on."""
    browser = Browser()
    (kept,) = (await browser.log_in(TOKENS[Role.READ]), dict(browser.cookies))[1:]
    browser.cookies = {}
    coming = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    asked = await browser.get("/drift", **coming)
    sent_on = (await browser.get(asked.headers["location"], **coming)).text
    assert '<meta http-equiv="refresh" content="0;url=/drift">' in sent_on
    assert "password" not in sent_on
    browser.cookies = kept
    assert (await browser.get("/drift", Sec_Fetch_Site="same-origin")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/login",
        "/logout",
        "/a\r\nb",
        "/ü",
        "x",
    ],
)
def test_nobody_is_sent_elsewhere(path: str) -> None:
    assert onward(path) == "/"


@pytest.mark.parametrize("path", ["/", "/sku/%22%3E%3Cimg", "/drift?channel=a&page=2"])
def test_everybody_comes_to_where_they_wanted(path: str) -> None:
    assert onward(path) == path


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"token",
        b"token=%ff%fe",
        b"\xff=\xff",
        b"&".join([b"token=a"] * 6),
        b"token=" + b"x" * LONGEST_FORM,
    ],
)
async def test_what_is_almost_a_form_logs_nobody_in(body: bytes) -> None:
    browser = Browser()
    answer = await browser.ask("POST", "/login", body, Origin=LOOPBACK)
    assert (answer.status_code, browser.cookies) == (401, {})


async def test_who_hangs_up_amid_a_form_has_said_nothing_and_fills_no_log() -> None:
    said = iter(
        ({"type": "http.request", "body": b"token=a", "more_body": True}, {"type": "http.disconnect"})
    )

    async def receive() -> Message:
        return next(said)

    scope = {"type": "http", "method": "POST", "path": "/login", "headers": []}
    assert await fields_of(Request(scope, receive)) == {}


async def test_programs_are_told_and_not_sent_to_a_form() -> None:
    browser = Browser(Accept="application/json")
    assert (await browser.get("/drift")).status_code == 401
    told = await browser.get("/drift", Authorization=f"Bearer {TOKENS[Role.APPROVE]}")
    assert told.text == "figures for APPROVE"


async def test_where_nobody_needs_a_token_there_is_nothing_to_send_a_form_to() -> None:
    wall = Wall(lambda: Instant(0))
    app = build([*login.routes(wall), *pages.routes([])], wall)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=LOOPBACK) as client:
        for path in ("/login", "/logout"):
            assert (await client.post(path)).status_code == 405


@pytest.mark.parametrize("needed", list(Role))
@pytest.mark.parametrize("role", list(Role))
async def test_each_role_sees_what_those_before_it_see(needed: Role, role: Role) -> None:
    async def look(_request: Request) -> str:
        return "seen"

    view = View("x", "", str, look, "/x", role=needed)
    if role >= needed:
        assert await looked(view, Request({"type": "http", "state": {"role": role}})) == "seen"
    for theirs in [None] if role >= needed else [None, role]:
        with pytest.raises(NotAllowed, match=f"{needed.name.lower()}_token") as caught:
            await looked(view, Request({"type": "http", "state": {"role": theirs}}))
        assert status_of(caught.value) == 403
