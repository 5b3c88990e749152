"""What a status says to do next, what a refusal proves of a call, and how little of it is read."""

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import anyio
import httpx
import pytest
from typing_extensions import override

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.errors import Denied, OutcomeUnknown, ReconcilerdError, Refused, TryLater
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call, Client
from reconcilerd.transport.credentials import ClientCredentials, TokenRequest
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from reconcilerd.transport.refusals import NotThere, TurnedAway
from reconcilerd.transport.replies import BEGINNING_BYTES

START = Instant(1_700_000_000_000)
GET = Call("GET", "/a", "x", Priority.STOCK)
WRITE = Call("POST", "/a", "x", Priority.LOWER, json={}, idempotent=False)
KEYED = Call("POST", "/a", "x", Priority.LOWER, json={}, withheld=lambda: None)
"""A write under a key: it may be repeated."""
Handler = Callable[[httpx.Request], httpx.Response]


def virtual(main: Callable[[VirtualClock], Awaitable[None]]) -> None:
    async def run() -> None:
        await main(VirtualClock(START))

    run_virtual(run)


def client(clock: Callable[[], Instant], handler: Handler, auth: httpx.Auth | None = None) -> Client:
    return Client(
        "sys",
        "http://127.0.0.1",
        transport=httpx.MockTransport(handler),
        auth=auth,
        lanes=[Lane(LaneSpec("x", 100, 50), clock)],
        clock=clock,
    )


def raised(handler: Handler, call: Call) -> ReconcilerdError:
    """What a call ends with."""
    caught: list[ReconcilerdError] = []

    async def main(clock: VirtualClock) -> None:
        with pytest.raises(ReconcilerdError) as error:
            await client(clock, handler).send(call)
        caught.append(error.value)

    virtual(main)
    return caught[0]


def answers(*statuses: int) -> Handler:
    left = list(statuses)
    return lambda _: httpx.Response(left.pop(0) if len(left) > 1 else left[0])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (402, Denied),
        (404, NotThere),
        (405, NotThere),
        (408, TryLater),
        (409, Refused),
        (410, NotThere),
        (413, Refused),
        (422, Refused),
        (423, TurnedAway),
        (425, TurnedAway),
        (429, TurnedAway),
        (430, TurnedAway),
        (302, NotThere),
        (503, TryLater),
    ],
)
def test_each_status_says_what_to_do_next(status: int, kind: type[ReconcilerdError]) -> None:
    assert type(raised(answers(status), GET)) is kind


@pytest.mark.parametrize(
    ("statuses", "call", "kind"),
    [
        ((423,), WRITE, TurnedAway),
        ((423, 429, 430), KEYED, TurnedAway),
        ((503, 423), KEYED, TryLater),
        ((423, 503), KEYED, TryLater),
        ((408,), KEYED, TryLater),
        ((408,), WRITE, OutcomeUnknown),
        ((503, 404), KEYED, OutcomeUnknown),
    ],
)
def test_only_a_call_of_which_no_try_was_let_in_is_known_to_have_had_no_effect(
    statuses: tuple[int, ...], call: Call, kind: type[ReconcilerdError]
) -> None:
    assert type(raised(answers(*statuses), call)) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError, TurnedAway),
        (httpx.ConnectTimeout, TurnedAway),
        (httpx.ReadTimeout, TryLater),
        (httpx.RemoteProtocolError, TryLater),
    ],
)
def test_a_call_that_nobody_could_be_found_for_had_no_effect(
    error: type[httpx.TransportError], kind: type[ReconcilerdError]
) -> None:
    def fails(_: httpx.Request) -> httpx.Response:
        raise error("no")

    assert type(raised(fails, KEYED)) is kind


def test_how_often_it_was_turned_away_is_told_and_when_to_come_again() -> None:
    error = raised(lambda _: httpx.Response(423, headers={"retry-after": "7"}), GET)
    assert isinstance(error, TurnedAway)
    assert (error.tries, error.after_ms) == (4, 7_000)


# How long to wait.


@pytest.mark.parametrize("status", [429, 503, 423])
@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "0"},
        {"retry-after": "-3"},
        {"retry-after": "0.001"},
        {"x-skubana-quota-retryafter": "0"},
        {"retry-after": formatdate(START / 1000 - 30, usegmt=True)},
        {"retry-after": formatdate(START / 1000, usegmt=True)},
    ],
    ids=str,
)
def test_a_wait_that_is_over_or_hardly_one_is_no_leave_to_spend_all_tries_at_once(
    status: int, headers: dict[str, str]
) -> None:
    async def main(clock: VirtualClock) -> None:
        asked: list[float] = []

        def limited(_: httpx.Request) -> httpx.Response:
            asked.append(anyio.current_time())
            return httpx.Response(status, headers=headers)

        with pytest.raises(TryLater):
            await client(clock, limited).send(GET)
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        first_s = 1.0 if status == 429 else 0.25
        assert all(gap >= first_s * 2**number for number, gap in enumerate(gaps))
        assert 3 <= len(gaps) <= 8

    virtual(main)


@pytest.mark.parametrize("ahead_ms", [0, 30_000, -3_600_000])
def test_a_moment_to_come_again_is_told_by_the_clock_of_who_tells_it(ahead_ms: int) -> None:
    async def main(clock: VirtualClock) -> None:
        asked: list[float] = []

        def limited(_: httpx.Request) -> httpx.Response:
            asked.append(anyio.current_time())
            if len(asked) > 1:
                return httpx.Response(200)
            date, until = (formatdate(START / 1000 + more, usegmt=True) for more in (0, 20))
            return httpx.Response(429, headers={"date": date, "retry-after": until})

        await client(lambda: Instant(clock() + ahead_ms), limited).send(GET)
        assert asked[1] - asked[0] == pytest.approx(20, abs=0.1)

    virtual(main)


# Bodies.


class Parts(httpx.AsyncByteStream):
    """A body in parts, and how many of them were asked for."""

    def __init__(self, part: bytes, count: int) -> None:
        self.read = 0
        self.closed = False
        self._part, self._count = part, count

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._count):
            self.read += 1
            yield self._part

    @override
    async def aclose(self) -> None:
        self.closed = True


def signed_in(clock: Callable[[], Instant], handler: Handler) -> Client:
    """Each token is a new one: ``token-1``, ``token-2``, ..."""
    given: list[str] = []

    async def fetch(request: httpx.Request) -> httpx.Response:
        given.append(f"token-{len(given) + 1}")
        return httpx.Response(200, json={"access_token": given[-1]}, request=request)

    ask = TokenRequest("http://127.0.0.1/token", Secret("an-id-of-a-refusal"), Secret("a-word-of-a-refusal"))
    return client(clock, handler, ClientCredentials(ask, fetch, clock))


@pytest.mark.parametrize("packed", [gzip.compress(b"\0" * 2**22), b"no gzip at all"], ids=["bomb", "lie"])
def test_the_body_of_a_refused_token_is_not_unpacked(packed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[Any] = []
    content = httpx.Response.aiter_bytes

    def watched(self: httpx.Response, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        if self.status_code == 401 and self.headers.get("content-encoding"):
            unpacked.append(self)
        return content(self, chunk_size)

    monkeypatch.setattr(httpx.Response, "aiter_bytes", watched)
    bodies: list[Parts] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == "Bearer token-2":
            return httpx.Response(200, json=[])
        bodies.append(Parts(packed, 1))
        return httpx.Response(401, headers={"content-encoding": "gzip"}, stream=bodies[0])

    async def main(clock: VirtualClock) -> None:
        assert (await signed_in(clock, answer).send(GET)).status == 200

    virtual(main)
    assert unpacked == []
    assert [each.closed for each in bodies] == [True]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Denied), (404, NotThere), (423, TurnedAway), (500, TryLater)]
)
def test_a_refusal_that_cannot_be_unpacked_is_what_its_status_says(
    status: int, kind: type[ReconcilerdError]
) -> None:
    packed = {"content-encoding": "gzip"}
    assert type(raised(lambda _: httpx.Response(status, headers=packed, stream=Parts(b"no", 1)), GET)) is kind


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Denied), (404, NotThere), (422, Refused), (500, TryLater)]
)
def test_a_refusal_however_long_is_read_to_no_end_and_is_what_its_status_says(
    status: int, kind: type[ReconcilerdError]
) -> None:
    bodies: list[Parts] = []

    def answer(_: httpx.Request) -> httpx.Response:
        bodies.append(Parts(b"no! " * 4_096, 10_000))
        return httpx.Response(status, stream=bodies[-1])

    async def main(clock: VirtualClock) -> None:
        with pytest.raises(kind, match="no! no!"):
            await signed_in(clock, answer).send(GET)

    virtual(main)
    assert len(bodies) == {401: 2, 500: 4}.get(status, 1)
    assert all(each.closed and each.read <= BEGINNING_BYTES / 16_384 + 1 for each in bodies)
