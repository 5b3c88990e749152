"""A token server that is away, wrong or slow costs no call anything while the token in hand is good."""

import logging
from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.errors import Denied, MalformedReply, ReconcilerdError, TryLater
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import TOKEN_TIMEOUT_S, Call, Client, RetryRule
from reconcilerd.transport.credentials import EARLY_AGAIN_S, EARLY_S, ClientCredentials, TokenRequest
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from reconcilerd.transport.refusals import NotThere

GET = Call("GET", "/a", "x", Priority.STOCK)
HURRIED = Call("GET", "/a", "x", Priority.STOCK, timeout_s=EARLY_S + 1)
LIFE_S = 3_600
EARLY = LIFE_S - 55
"""The next token is asked for, and the one in hand is good for 55 s more."""
OVER = LIFE_S + 1
HANGS = None
Trouble = httpx.Response | Exception | None


def said(status: int, text: str = "", **more: object) -> httpx.Response:
    return httpx.Response(status, text=text) if text else httpx.Response(status, json=more)


TROUBLES: dict[str, tuple[Trouble, type[ReconcilerdError]]] = {
    "503": (said(503), TryLater),
    "429": (said(429), TryLater),
    "408": (said(408), TryLater),
    "423": (said(423), TryLater),
    "hangs": (HANGS, TryLater),
    "gone": (httpx.ReadError("gone"), TryLater),
    "for a while": (said(400, error="temporarily_unavailable"), TryLater),
    "html": (said(200, "<html>maintenance"), MalformedReply),
    "no text": (httpx.Response(200, content=b'{"access_token": "\xff"}'), MalformedReply),
    "deep": (said(200, '{"a":' + "[" * 100_000), MalformedReply),
    "302": (said(302), NotThere),
    "404": (said(404, "<html>nothing here"), NotThere),
    "400": (said(400, error="invalid_client"), Denied),
    "401": (said(401, "no"), Denied),
    "402": (said(402), Denied),
    "no token": (said(200, token_type="bearer"), Denied),
}


class Server:
    """Gives one good token; then it is in trouble for as long as that is set."""

    def __init__(self, clock: VirtualClock) -> None:
        self.trouble: list[Trouble] = []
        self.tokens = 0
        """How often one was asked for."""
        self.signed: list[str] = []
        ask = TokenRequest("http://127.0.0.1/token", Secret("an-id-of-trouble"), Secret("a-word-of-trouble"))
        self.auth = ClientCredentials(ask, self._fetch, clock)
        self.client = Client(
            "s", "http://127.0.0.1", transport=httpx.MockTransport(self._answer), auth=self.auth,
            lanes=[Lane(LaneSpec("x", 100, 50), clock)], clock=clock, retry=RetryRule(tries=1),
        )  # fmt: skip

    async def _fetch(self, request: httpx.Request) -> httpx.Response:
        return await self.client.fetch(request)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/token":
            self.signed.append(request.headers["authorization"].removeprefix("Bearer "))
            return httpx.Response(200, json=[])
        self.tokens += 1
        if not self.trouble:
            return said(200, access_token=f"token-{self.tokens}", expires_in=LIFE_S)
        match self.trouble[0]:
            case Exception() as error:
                raise error
            case None:
                await anyio.sleep_forever()
                raise AssertionError
            case answer:
                return httpx.Response(answer.status_code, content=answer.content)


def served(main: Callable[[Server], Awaitable[None]]) -> None:
    async def run() -> None:
        await main(Server(VirtualClock(Instant(1_000_000))))

    run_virtual(run)


@pytest.mark.parametrize("name", TROUBLES)
def test_a_good_token_serves_whatever_is_the_trouble_with_the_next_one(name: str) -> None:
    trouble, kind = TROUBLES[name]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    async def main(server: Server) -> None:
        await server.client.send(GET)
        server.trouble = [trouble]
        await anyio.sleep(EARLY)
        began = anyio.current_time()
        with capture_logs() as logs:
            assert (await server.client.send(HURRIED)).status == 200
        assert anyio.current_time() - began <= EARLY_S + 0.1
        assert server.signed == ["token-1", "token-1"]
        # It is told while there is still time to do something about it.
        level = "error" if kind in {Denied, NotThere} else "warning"
        assert [(each["event"], each["log_level"]) for each in logs] == [("token_not_renewed", level)]
        assert logs[0]["left_s"] >= 49
        assert server.auth.refreshes["ok"] == 1
        assert sum(server.auth.refreshes.values()) == 2
        await anyio.sleep(OVER - EARLY)
        with pytest.raises(kind):
            await server.client.send(GET)
        server.trouble = []
        assert (await server.client.send(GET)).status == 200
        assert server.signed[-1] != "token-1"

    served(main)


def test_a_next_token_that_is_not_had_in_time_is_not_waited_for_by_each_call() -> None:
    async def main(server: Server) -> None:
        await server.client.send(GET)
        server.trouble = [HANGS]
        await anyio.sleep(EARLY)
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(server.client.send, HURRIED)
        assert anyio.current_time() - began == pytest.approx(EARLY_S, abs=0.1)
        assert server.tokens == 2
        began = anyio.current_time()
        for _ in range(20):
            await server.client.send(HURRIED)
        assert anyio.current_time() - began <= 0.1
        await anyio.sleep(EARLY_AGAIN_S)
        server.trouble = []
        await server.client.send(HURRIED)
        assert server.signed[-1] == "token-3"

    served(main)


def test_a_token_is_never_used_beyond_its_end_for_having_been_left_alone() -> None:
    async def main(server: Server) -> None:
        await server.client.send(GET)
        server.trouble = [said(503)]
        await anyio.sleep(LIFE_S - EARLY_AGAIN_S / 2)
        assert (await server.client.send(GET)).status == 200
        await anyio.sleep(EARLY_AGAIN_S / 2)
        with pytest.raises(TryLater):
            await server.client.send(GET)
        assert server.signed == ["token-1", "token-1"]

    served(main)


def test_where_no_token_is_good_the_server_has_all_its_time() -> None:
    async def main(server: Server) -> None:
        server.trouble = [HANGS]
        began = anyio.current_time()
        with pytest.raises(TryLater):
            await server.client.send(Call("GET", "/a", "x", Priority.STOCK, timeout_s=2 * TOKEN_TIMEOUT_S))
        assert anyio.current_time() - began == pytest.approx(TOKEN_TIMEOUT_S, abs=0.1)
        assert server.signed == []

    served(main)
