"""A histogram counts every value once, where it belongs; a client counts every try, under a bounded set of names."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant
from reconcilerd.errors import ReconcilerdError
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.tally import SECONDS, Histogram
from reconcilerd.transport.client import MOST_OPERATIONS, Call, Client, RetryRule, Traffic
from reconcilerd.transport.lane import Lane, LaneSpec, Priority


@given(st.lists(st.one_of(st.floats(0, 100), st.sampled_from(SECONDS)), max_size=50))
def test_each_value_is_counted_at_the_first_bound_that_holds_it(values: list[float]) -> None:
    told = Histogram()
    for value in values:
        told.observe(value)
    for index, bound in enumerate(told.bounds):
        assert sum(told.counts[: index + 1]) == sum(value <= bound for value in values)
    assert told.count == len(values)
    assert told.total == pytest.approx(sum(values))


def test_a_clock_that_went_back_takes_nothing_away() -> None:
    told = Histogram()
    told.observe(-5)
    assert (told.counts[0], told.total) == (1, 0)


def test_however_many_operations_a_connector_invents_they_are_few_names() -> None:
    traffic = Traffic()
    for number in range(1_000):
        traffic.tried(f"/orders/{number}", 200, "", 1)
    assert len(traffic.took) == MOST_OPERATIONS + 1
    assert sum(traffic.answers.values()) == sum(each.count for each in traffic.took.values()) == 1_000


def _refuse(status: int) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: httpx.Response(status)


def _hang_up(_request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("gone")


@pytest.mark.parametrize(
    ("answer", "idempotent", "counted", "retries", "heard"),
    [
        (_refuse(200), True, {("2xx", ""): 1}, {}, [True]),
        (_refuse(422), True, {("4xx", "refused"): 1}, {}, [True]),
        (_refuse(404), True, {("4xx", "refused"): 1}, {}, [False]),
        (_refuse(302), True, {("3xx", "refused"): 1}, {}, [False]),
        (_refuse(402), True, {("4xx", "denied"): 1}, {}, [True]),
        (_refuse(423), False, {("4xx", "try_later"): 2}, {"failed": 1}, [False, False]),
        (_refuse(408), False, {("4xx", "outcome_unknown"): 1}, {}, [False]),
        (_refuse(401), True, {("4xx", "denied"): 1}, {}, [True]),
        (_refuse(429), True, {("4xx", "throttled"): 2}, {"throttled": 1}, [True, True]),
        (_refuse(503), True, {("5xx", "try_later"): 2}, {"failed": 1}, [False, False]),
        (_refuse(503), False, {("5xx", "outcome_unknown"): 1}, {}, [False]),
        (_hang_up, True, {("none", "try_later"): 2}, {"failed": 1}, [False, False]),
    ],
)
def test_every_try_is_counted_by_what_came_of_it(
    answer: Callable[[httpx.Request], httpx.Response],
    idempotent: bool,
    counted: dict[tuple[str, str], int],
    retries: dict[str, int],
    heard: list[bool],
) -> None:
    """And told of as answered or not: who refuses what we ask, or finds us too many, is there and well. A place where
    nobody serves it, and a shop that is locked, is not.
    """
    told: list[bool] = []
    clients: list[Client] = []

    async def main() -> None:
        clock = VirtualClock(Instant(1_000_000))
        client = Client(
            "system",
            "http://127.0.0.1",
            transport=httpx.MockTransport(answer),
            auth=None,
            lanes=[Lane(LaneSpec("read", 10, 10), clock)],
            clock=clock,
            retry=RetryRule(tries=2, throttled=2),
            operations=("/v1/orders",),
            heard=told.append,
        )
        clients.append(client)
        call = Call(
            "GET", "/v1/orders", "read", Priority.STOCK, idempotent=idempotent, operation="/v1/orders"
        )
        try:
            await client.send(call)
        except ReconcilerdError:
            await anyio.lowlevel.checkpoint()

    run_virtual(main)
    traffic = clients[0].traffic
    came = {key: count for key, count in traffic.answers.items() if count}
    assert came == {("/v1/orders", *key): count for key, count in counted.items()}
    assert {why: count for why, count in traffic.retries.items() if count} == retries
    assert traffic.took["/v1/orders"].count == sum(counted.values())
    assert sum(clients[0].lane("read").waited.counts) == sum(counted.values())
    assert told == heard
    assert traffic.unanswered == heard.count(False)
