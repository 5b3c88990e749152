"""Who may read, and what everybody is told: each answer carries its headers, whatever it is."""

from email.utils import formatdate

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.web.app import HEADERS, Wall, build
from reconcilerd.web.roles import CONSUMERS, FAILURES, FAILURES_MS, Failures, Role, consumer_of, role_of

TOKEN = "a-token-of-the-test"
WRITING = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]
METHODS = ["GET", *WRITING]


class Page:
    """An app with one route behind a wall, and its clock."""

    def __init__(self, **wall: object) -> None:
        self.now = Instant(1_000_000)
        self.consumer = "10.0.0.1"
        self.turned_away = 0
        self.served = 0

        async def page(_request: Request) -> Response:
            self.served += 1
            return PlainTextResponse("secret figures")

        def away(_how: str) -> None:
            self.turned_away += 1

        # A route that would take anything: nothing but the wall keeps it from being asked.
        routes = [Route(path, page, methods=METHODS) for path in ("/metrics", "/healthz")]
        self.app = build(routes, Wall(lambda: self.now, turned_away=away, **wall))  # type: ignore[arg-type]

    async def ask(self, path: str = "/metrics", method: str = "GET", **headers: str) -> httpx.Response:
        sent = {"Host": "127.0.0.1:9641"} | {name.capitalize(): value for name, value in headers.items()}
        transport = httpx.ASGITransport(self.app, client=(self.consumer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9641") as client:
            raw = [(name.encode(), value.encode()) for name, value in sent.items()]
            answer = await client.request(method, path, headers=raw)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, name
        assert answer.headers["date"] == formatdate(self.now / 1000, usegmt=True)
        return answer


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9641", "localhost", "LOCALHOST:1", "[::1]:9641", "127.8.9.1", "localhost."]
)
async def test_this_machine_is_let_in(host: str) -> None:
    answer = await Page().ask(host=host)
    assert (answer.status_code, answer.text) == (200, "secret figures")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9641", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::2]", "10.0.0.1",
     "localhost@evil.example", "2130706433"],
)  # fmt: skip
async def test_a_name_that_is_not_ours_is_misdirected(host: str) -> None:
    """A page elsewhere whose name is made to point at loopback asks in that name."""
    page = Page()
    answer = await page.ask(host=host)
    assert (answer.status_code, page.served, page.turned_away) == (421, 0, 1)


async def test_names_that_the_configuration_knows_are_ours() -> None:
    page = Page(address="10.1.2.3", hosts=frozenset({"stock.example.com"}))
    assert (await page.ask(host="Stock.example.com:443")).status_code == 200
    assert (await page.ask(host="10.1.2.3:9641")).status_code == 200
    assert (await page.ask(host="other.example.com")).status_code == 421


@pytest.mark.parametrize("method", WRITING)
async def test_nothing_but_reading(method: str) -> None:
    page = Page()
    answer = await page.ask(method=method)
    assert (answer.status_code, answer.headers["allow"], page.served) == (405, "GET, HEAD", 0)


async def test_head_says_what_get_would_and_nothing_more() -> None:
    answer = await Page().ask(method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len("secret figures"))


async def test_what_is_not_there_is_not_found_behind_the_same_wall() -> None:
    assert (await Page().ask("/../etc/passwd")).status_code == 404


@pytest.mark.parametrize(
    "told", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer ü"]
)
async def test_without_the_token_nothing_is_told_but_that_we_are_alive(told: str) -> None:
    page = Page(tokens={Role.READ: Secret(TOKEN)})
    headers = {"authorization": told} if told else {}
    answer = await page.ask(**headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="reconcilerd"')
    assert (page.served, page.turned_away) == (0, 1)
    assert (await page.ask("/healthz")).status_code == 200


@pytest.mark.parametrize("told", [f"Bearer {TOKEN}", f"bearer  {TOKEN}"])
async def test_with_the_token_everything_is(told: str) -> None:
    assert (await Page(tokens={Role.READ: Secret(TOKEN)}).ask(authorization=told)).status_code == 200


async def test_who_guesses_tokens_is_made_to_wait_and_then_heard_again() -> None:
    page = Page(tokens={Role.READ: Secret(TOKEN)})
    for _ in range(FAILURES):
        assert (await page.ask(authorization="Bearer guess")).status_code == 401
    stopped = await page.ask(authorization=f"Bearer {TOKEN}")
    assert (stopped.status_code, stopped.headers["retry-after"]) == (429, str(FAILURES_MS // 1000 + 1))
    assert page.served == 0
    page.now = Instant(page.now + FAILURES_MS)
    assert (await page.ask(authorization=f"Bearer {TOKEN}")).status_code == 200


async def test_a_browser_that_asks_without_a_token_locks_nobody_out() -> None:
    page = Page(tokens={Role.READ: Secret(TOKEN)})
    for _ in range(FAILURES * 2):
        await page.ask()
    assert (await page.ask(authorization=f"Bearer {TOKEN}")).status_code == 200


async def test_a_clock_that_goes_back_locks_nobody_out_for_long() -> None:
    page = Page(tokens={Role.READ: Secret(TOKEN)})
    for _ in range(FAILURES):
        await page.ask(authorization="Bearer guess")
    page.now = Instant(0)
    assert (await page.ask(authorization=f"Bearer {TOKEN}")).status_code == 200


async def test_who_guesses_keeps_nobody_else_waiting() -> None:
    page = Page(tokens={Role.READ: Secret(TOKEN)})
    stopped = [await page.ask(authorization="Bearer guess") for _ in range(FAILURES + 1)][-1]
    assert stopped.status_code == 429
    page.consumer = "10.0.0.2"
    assert (await page.ask(authorization=f"Bearer {TOKEN}")).status_code == 200


def test_one_subscriber_is_one_consumer_however_many_addresses_he_has() -> None:
    assert consumer_of("2001:db8:1:2::1") == consumer_of("2001:db8:1:2:ffff::9")
    assert consumer_of("2001:db8:1:2::1") != consumer_of("2001:db8:1:3::1")
    assert consumer_of("::ffff:10.0.0.1") == consumer_of("10.0.0.1") != consumer_of("10.0.0.2")
    assert consumer_of("fe80::1%eth0") == consumer_of("fe80::2%eth1")


def test_failures_are_remembered_of_so_many_and_no_more() -> None:
    failures = Failures(lambda: Instant(0))
    for _ in range(FAILURES):
        failures.note("first")
    for number in range(CONSUMERS - 1):
        failures.note(str(number))
    assert failures.wait_s("first") > 0
    failures.note("one more")
    assert failures.wait_s("first") == 0
    assert len(failures._of) == CONSUMERS


def test_a_token_is_of_its_own_role_and_nothing_near_it_of_any() -> None:
    tokens = {role: Secret(f"{TOKEN}-{role.name}") for role in Role}
    for role, token in tokens.items():
        assert role_of(token.reveal(), tokens) is role
    for near in ("", TOKEN, f"{TOKEN}-READ ", f"{TOKEN}-read", "\udcff"):
        assert role_of(near, tokens) is None
