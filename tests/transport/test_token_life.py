"""How long a token is used, and how long it is looked for in texts."""

from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest

from reconcilerd.config.secret import Secret, redact
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call, Client
from reconcilerd.transport.credentials import ClientCredentials, TokenRequest
from reconcilerd.transport.lane import Lane, LaneSpec, Priority

GET = Call("GET", "/a", "x", Priority.STOCK)
ASK = TokenRequest("http://127.0.0.1/token", Secret("an-id-of-a-life"), Secret("a-word-of-a-life"))
Life = tuple[str, float | None]
"""A token, and after how many seconds its server says that it ends."""


class Server:
    """Gives one token after the other, and answers every call."""

    def __init__(self, clock: VirtualClock, lives: list[Life]) -> None:
        self.signed: list[str] = []
        """The token of each call."""
        self._lives = iter(lives)
        self.auth = ClientCredentials(ASK, self._token, clock)
        self._client = Client(
            "s", "http://127.0.0.1", transport=httpx.MockTransport(self._answer), auth=self.auth,
            lanes=[Lane(LaneSpec("x", 100, 50), clock)], clock=clock,
        )  # fmt: skip

    async def _token(self, request: httpx.Request) -> httpx.Response:
        token, life_s = next(self._lives)
        return httpx.Response(200, json={"access_token": token, "expires_in": life_s}, request=request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.signed.append(request.headers["authorization"].removeprefix("Bearer "))
        return httpx.Response(200, json=[])

    async def call(self, after_s: float) -> str:
        """Call once more after so long; the token that it was signed with."""
        await anyio.sleep(after_s)
        await self._client.send(GET)
        return self.signed[-1]


def served(lives: list[Life], main: Callable[[Server], Awaitable[None]]) -> None:
    async def run() -> None:
        await main(Server(VirtualClock(Instant(1_000_000)), lives))

    run_virtual(run)


@pytest.mark.parametrize(("life_s", "renewed_s"), [(3_600, 3_540), (100, 80)])
def test_a_token_is_renewed_a_minute_before_its_end_or_in_the_last_fifth_of_a_short_life(
    life_s: float, renewed_s: float
) -> None:
    async def main(server: Server) -> None:
        assert await server.call(0) == "first-token"
        assert await server.call(renewed_s - 1) == "first-token"
        assert await server.call(2) == "second-token"

    served([("first-token", life_s), ("second-token", life_s)], main)


def test_a_token_without_an_end_is_kept_though_the_one_before_it_had_one() -> None:
    async def main(server: Server) -> None:
        assert await server.call(0) == "first-token"
        assert await server.call(90) == "second-token"
        assert server.auth.ends_at is None
        assert await server.call(100_000) == "second-token"

    served([("first-token", 100), ("second-token", None)], main)


def test_a_late_refusal_of_a_token_that_was_replaced_meanwhile_buys_no_further_one() -> None:
    asked: list[str] = []

    async def token(request: httpx.Request) -> httpx.Response:
        asked.append(f"token-{len(asked) + 1}")
        return httpx.Response(200, json={"access_token": asked[-1]}, request=request)

    async def answer(request: httpx.Request) -> httpx.Response:
        old = request.headers["authorization"] == "Bearer token-1"
        if old and request.url.path == "/late":
            await anyio.sleep(10)
        return httpx.Response(401 if old else 200)

    async def main() -> None:
        clock = VirtualClock(Instant(1_000_000))
        client = Client(
            "s", "http://127.0.0.1", transport=httpx.MockTransport(answer),
            auth=ClientCredentials(ASK, token, clock), lanes=[Lane(LaneSpec("x", 100, 50), clock)], clock=clock,
        )  # fmt: skip
        async with anyio.create_task_group() as group:
            group.start_soon(client.send, Call("GET", "/late", "x", Priority.STOCK))
            group.start_soon(client.send, GET)
        assert asked == ["token-1", "token-2"]

    run_virtual(main)


@pytest.mark.parametrize(
    ("tokens", "hidden"),
    [
        ("ab", "ab"),
        ("abc", "bc"),
        ("aba", "ab"),
        ("aab", "ab"),
        ("aaaa", "a"),
    ],
)
def test_the_token_in_hand_and_the_one_before_it_are_hidden_and_no_older_one(
    tokens: str, hidden: str
) -> None:
    """A server may give the same token again."""
    names = {letter: f"<{tokens}> token {letter}" for letter in tokens}

    async def main(server: Server) -> None:
        for _ in tokens:
            await server.call(90)
        assert server.signed == [names[letter] for letter in tokens]
        assert {letter for letter, name in names.items() if name not in redact(name)} == set(hidden)

    served([(names[letter], 100) for letter in tokens], main)
