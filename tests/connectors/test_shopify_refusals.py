"""A store that refuses a whole call says nothing of its lines: none of them is parked, and the store is left alone."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from reconcilerd.config.secret import Secret
from reconcilerd.connectors.shopify.client import Shopify
from reconcilerd.connectors.shopify.graphql import LANE, MAX_THROTTLED
from reconcilerd.connectors.shopify.writes import MOST_IN_VAIN, REST_S
from reconcilerd.domain.facts import CorrectionPlanned, Outcome
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.errors import Denied
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Client, RetryRule
from reconcilerd.transport.credentials import ClientCredentials, TokenRequest
from reconcilerd.transport.lane import MAX_GATE_MS, Lane
from tests.connectors.store import PLACE, UK
from tests.connectors.test_shopify_writing import STALE, payload, unnamed
from tests.simulator.builders import START

FIRST_S, LONGEST_S = REST_S
THROTTLED = {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]}
Answer = httpx.Response | Exception
Answering = Callable[[httpx.Request], Answer]


class Store:
    """Answers one call after the other as it is told, and keeps when it was asked."""

    def __init__(self, answering: Answering, *, clock: VirtualClock, auth: httpx.Auth | None = None) -> None:
        self.asked: list[float] = []
        self._answering = answering
        self.client = Client(
            "uk",
            "http://127.0.0.1",
            transport=httpx.MockTransport(self._answer),
            auth=auth,
            lanes=[Lane(LANE, clock)],
            clock=clock,
            retry=RetryRule(base_s=0.1),
        )
        self.shop = Shopify(self.client, clock, name=UK, places=(PLACE,))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(anyio.current_time())
        answer = self._answering(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def write(self, *names: str, stop: Callable[[], str | None] = lambda: None) -> dict[str, Outcome]:
        """Write all of these at once; what became of each."""
        at = Instant(1)
        plans = [
            CorrectionPlanned(name, SlotKey(UK, name, PLACE), name, 5, at, 0, "lag", "sold out", at)
            for name in names
        ]
        return {each.correction.id: each.outcome for each in await self.shop.write(plans, "run", stop)}


def virtual(main: Callable[[VirtualClock], Awaitable[None]]) -> None:
    async def run() -> None:
        await main(VirtualClock(START))

    run_virtual(run)


def every(*answers: int | dict[str, Any] | Exception) -> Answering:
    """One of these after the other, the last one for ever: a status, or what a status of 200 says."""
    left = list(answers)

    def answer(_: httpx.Request) -> Answer:
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, Exception):
            return said
        return httpx.Response(said) if isinstance(said, int) else httpx.Response(200, json=said)

    return answer


def refused(code: str) -> dict[str, Any]:
    return {"errors": [{"message": "no", "extensions": {"code": code}}]}


@pytest.mark.parametrize(
    "answer",
    [423, 425, 430, 429, 302, 404, 410, 400, 422, refused("undefinedField"), httpx.ConnectError("nobody")],
    ids=str,
)
def test_no_line_is_refused_by_a_refusal_of_the_whole_call(answer: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        store = Store(every(answer), clock=clock)
        assert set((await store.write("a", "b", "c")).values()) == {Outcome.NOT_SENT}
        ended = anyio.current_time()
        await store.write("a")
        assert anyio.current_time() - ended >= FIRST_S

    virtual(main)


@pytest.mark.parametrize("status", [302, 404, 410])
def test_where_nobody_serves_the_call_it_is_asked_for_once_and_not_line_by_line(status: int) -> None:
    async def main(clock: VirtualClock) -> None:
        store = Store(every(status), clock=clock)
        await store.write("a", "b", "c")
        assert len(store.asked) == 1

    virtual(main)


@pytest.mark.parametrize("later", [423, 404, 422], ids=str)
@pytest.mark.parametrize("often", [1, 2, 3])
def test_that_the_store_was_busy_before_it_refused_leaves_no_doubt(later: Any, often: int) -> None:
    async def main(clock: VirtualClock) -> None:
        store = Store(every(*[THROTTLED] * often, later), clock=clock)
        assert await store.write("a") == {"a": Outcome.NOT_SENT}

    virtual(main)


@pytest.mark.parametrize("busy", [429, 423, httpx.ConnectError("nobody"), THROTTLED], ids=str)
def test_what_was_not_let_in_leaves_no_doubt_whatever_ends_it(busy: Any) -> None:
    """Its open write would hold back raises of its peers, and refused credentials would not be heard of."""

    async def main(clock: VirtualClock) -> None:
        for last in (400, 404, refused("undefinedField")):
            store = Store(every(busy, busy, last), clock=clock)
            assert await store.write("a") == {"a": Outcome.NOT_SENT}
            assert len(store.asked) == 3
        for last in (401, 403, refused("ACCESS_DENIED")):
            with pytest.raises(Denied):
                await Store(every(busy, busy, last), clock=clock).write("a")
        stopped = Store(every(busy, busy, 200), clock=clock)
        held = await stopped.write("a", stop=lambda: "STOP" if len(stopped.asked) == 2 else None)
        assert (held, len(stopped.asked)) == ({"a": Outcome.NOT_SENT}, 2)

    virtual(main)


def test_a_bucket_that_others_keep_empty_leaves_a_whole_batch_unsent_and_the_store_alone() -> None:
    async def main(clock: VirtualClock) -> None:
        store = Store(every(THROTTLED), clock=clock)
        assert set((await store.write("a", "b", "c")).values()) == {Outcome.NOT_SENT}
        assert len(store.asked) == MAX_THROTTLED
        ended = anyio.current_time()
        await store.write("a")
        assert store.asked[MAX_THROTTLED] - ended == pytest.approx(FIRST_S, abs=0.05)

    virtual(main)


@pytest.mark.parametrize(
    "busy",
    [
        THROTTLED | payload(),
        {"errors": [*THROTTLED["errors"], {"message": "x", "extensions": {"code": "TIMEOUT"}}]},
    ],
    ids=["beside an answer", "beside another error"],
)
@pytest.mark.parametrize("later", [404, 423, THROTTLED], ids=str)
def test_a_store_that_says_more_than_that_it_is_busy_may_have_begun(busy: Any, later: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        assert await Store(every(busy, later), clock=clock).write("a") == {"a": Outcome.UNKNOWN}

    virtual(main)


@pytest.mark.parametrize("answer", [408, 500, 503, httpx.ReadTimeout("late")], ids=str)
def test_what_may_have_come_through_is_left_to_a_reading(answer: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        assert set((await Store(every(answer), clock=clock).write("a", "b")).values()) == {Outcome.UNKNOWN}

    virtual(main)


@pytest.mark.parametrize(
    "answers",
    [
        (503, 423),
        (503, 404),
        (429, 503, 404),
        (503, 429, 403),
        (503, THROTTLED),
        (503, THROTTLED, 423),
        (503, THROTTLED, 404),
        (503, THROTTLED, 401),
        (THROTTLED, 503, 404),
        (THROTTLED, 503, THROTTLED, THROTTLED, refused("SHOP_INACTIVE")),
        (httpx.ReadTimeout("late"), THROTTLED, 404),
    ],
    ids=str,
)
def test_a_refusal_after_a_try_that_may_have_worked_leaves_the_outcome_unknown(answers: Any) -> None:
    """The store may be busy in between: the client has told of the first call by then, and only of success."""

    async def main(clock: VirtualClock) -> None:
        assert await Store(every(*answers), clock=clock).write("a") == {"a": Outcome.UNKNOWN}

    virtual(main)


@pytest.mark.parametrize(
    ("answers", "outcome"), [((503, THROTTLED), Outcome.UNKNOWN), ((THROTTLED,), Outcome.NOT_SENT)], ids=str
)
def test_a_stop_leaves_in_doubt_what_was_tried_before_and_may_have_worked(
    answers: Any, outcome: Outcome
) -> None:
    async def main(clock: VirtualClock) -> None:
        store = Store(every(*answers, 200), clock=clock)

        def stopped() -> str | None:
            return "STOP" if len(store.asked) == len(answers) else None

        assert await store.write("a", stop=stopped) == {"a": outcome}
        assert len(store.asked) == len(answers)

    virtual(main)


def test_an_unpaid_store_is_told_to_a_person_and_left_to_the_executor() -> None:
    async def main(clock: VirtualClock) -> None:
        with pytest.raises(Denied, match="not paid for"):
            await Store(every(402), clock=clock).write("a", "b")

    virtual(main)


def test_a_token_server_that_is_not_there_parks_no_line() -> None:
    async def main(clock: VirtualClock) -> None:
        async def nowhere(request: httpx.Request) -> httpx.Response:
            return httpx.Response(404, request=request)

        ask = TokenRequest("http://127.0.0.1/token", Secret("an-id-of-a-shop"), Secret("a-word-of-a-shop"))
        store = Store(every(200), clock=clock, auth=ClientCredentials(ask, nowhere, clock))
        assert await store.write("a", "b") == {"a": Outcome.NOT_SENT, "b": Outcome.NOT_SENT}
        assert store.asked == []

    virtual(main)


def test_a_store_that_refuses_all_is_left_alone_longer_each_time_and_then_asked_again() -> None:
    async def main(clock: VirtualClock) -> None:
        store = Store(every(404, 404, 404, 404, 404, payload(), 404, payload()), clock=clock)
        for _ in range(5):
            assert await store.write("a") == {"a": Outcome.NOT_SENT}
        assert await store.write("a") == {"a": Outcome.APPLIED}
        assert await store.write("a") == {"a": Outcome.NOT_SENT}
        assert await store.write("a") == {"a": Outcome.APPLIED}
        waits = [later - earlier for earlier, later in zip(store.asked, store.asked[1:], strict=False)]
        expected = [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, LONGEST_S, LONGEST_S, 0, FIRST_S]
        assert waits == pytest.approx(expected, abs=0.05)

    virtual(main)


@pytest.mark.parametrize(("told_s", "rests_s"), [(100, 100), (3_600, MAX_GATE_MS / 1000), (1, FIRST_S)])
def test_a_locked_store_is_left_alone_for_as_long_as_it_says_within_reason(
    told_s: float, rests_s: float
) -> None:
    async def main(clock: VirtualClock) -> None:
        locked = httpx.Response(423, headers={"retry-after": str(told_s)})
        store = Store(lambda _: locked, clock=clock)
        assert await store.write("a") == {"a": Outcome.NOT_SENT}
        asked = len(store.asked)
        ended = anyio.current_time()
        await store.write("a")
        assert store.asked[asked] - ended == pytest.approx(rests_s, abs=0.05)

    virtual(main)


def test_what_would_follow_in_other_calls_is_not_sent_either() -> None:
    """Neither where the store refuses it whole nor where the credentials end in between."""

    async def main(clock: VirtualClock) -> None:
        for later in (404, 423, 401):
            store = Store(every(payload(), later), clock=clock)
            names = [f"s{number}" for number in range(600)]
            answers = await store.write(*names)
            assert [answers[name] for name in names] == [Outcome.APPLIED] * 250 + [Outcome.NOT_SENT] * 350

    virtual(main)


def test_a_line_that_spoils_its_call_without_being_named_holds_up_no_other() -> None:
    async def main(clock: VirtualClock) -> None:
        for spoilt in ({"s0"}, {"s100"}, {"s249"}, {"s0", "s249"}):

            def answer(request: httpx.Request, spoilt: set[str] = spoilt) -> httpx.Response:
                bad = any(f'"{each}"'.encode() in request.content for each in spoilt)
                return httpx.Response(200, json=refused("INVALID_VARIABLE") if bad else payload())

            store = Store(answer, clock=clock)
            answers = await store.write(*(f"s{number}" for number in range(250)))
            assert {name for name, outcome in answers.items() if outcome is not Outcome.APPLIED} == spoilt
            assert {answers[each] for each in spoilt} == {Outcome.NOT_SENT}
            assert len(store.asked) <= 2 * MOST_IN_VAIN * len(spoilt)

    virtual(main)


@pytest.mark.parametrize("answer", [400, refused("undefinedField")], ids=str)
def test_a_store_that_refuses_every_line_is_not_asked_for_each_of_them(answer: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        store = Store(every(answer), clock=clock)
        answers = await store.write(*(f"s{number}" for number in range(600)))
        assert set(answers.values()) == {Outcome.NOT_SENT}
        assert len(store.asked) == MOST_IN_VAIN + 1
        ended = anyio.current_time()
        await store.write("a")
        assert store.asked[-1] - ended == pytest.approx(FIRST_S, abs=1)

    virtual(main)


def test_a_line_that_is_spoken_of_is_refused_as_ever() -> None:
    async def main(clock: VirtualClock) -> None:
        named = {
            "code": "INVALID_QUANTITY",
            "field": ["input", "quantities", "1", "quantity"],
            "message": "no",
        }
        store = Store(every(payload(named), payload()), clock=clock)
        assert await store.write("a", "b") == {"a": Outcome.APPLIED, "b": Outcome.REFUSED}
        assert await Store(every(payload(unnamed(STALE))), clock=clock).write("a") == {"a": Outcome.STALE}

    virtual(main)


def test_a_refusal_of_the_whole_call_while_the_store_works_on_it_tells_nothing() -> None:
    async def main(clock: VirtualClock) -> None:
        busy = payload(unnamed("IDEMPOTENCY_CONCURRENT_REQUEST"))
        for later in (423, 404):
            assert await Store(every(busy, later), clock=clock).write("a") == {"a": Outcome.UNKNOWN}

    virtual(main)
