"""What a refusal says of a write that was tried before: nothing, if one of those tries may have worked."""

import httpx
import pytest

from reconcilerd.errors import Denied, MalformedReply, OutcomeUnknown, ReconcilerdError, Refused
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call
from reconcilerd.transport.lane import Priority
from reconcilerd.transport.refusals import NotThere
from tests.transport.test_transport import START, client

TOO_LONG = -200
"""A success whose body is longer than is read."""


@pytest.mark.parametrize(
    ("answers", "writes", "error"),
    [
        ([422], True, Refused),
        ([503, 422], True, OutcomeUnknown),
        ([503, 422], False, Refused),
        ([TOO_LONG], True, MalformedReply),
        ([503, TOO_LONG], True, OutcomeUnknown),
        ([503, TOO_LONG], False, MalformedReply),
    ],
)
def test_a_write_that_is_refused_or_answered_unreadably_at_its_second_try_may_have_had_its_effect(
    answers: list[int], writes: bool, error: type[ReconcilerdError]
) -> None:
    left = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        status = left.pop(0)
        return httpx.Response(abs(status), content=b" " * 200 if status == TOO_LONG else b"")

    async def main() -> None:
        uk = client(VirtualClock(START), answer, max_body_bytes=100)
        withheld = (lambda: None) if writes else None
        with pytest.raises(error):
            await uk.send(Call("POST", "/a", "x", Priority.LOWER, withheld=withheld))

    run_virtual(main)
    assert left == []


def ends(answers: list[int | Exception]) -> tuple[ReconcilerdError, int]:
    """What a write under a key ends with, whose tries are answered so, and how many there were."""
    left, caught = list(answers), list[ReconcilerdError]()

    def answer(_: httpx.Request) -> httpx.Response:
        said = left.pop(0)
        if isinstance(said, Exception):
            raise said
        return httpx.Response(said)

    async def main() -> None:
        uk = client(VirtualClock(START), answer)
        with pytest.raises(ReconcilerdError) as error:
            await uk.send(Call("POST", "/a", "x", Priority.LOWER, withheld=lambda: None))
        caught.append(error.value)

    run_virtual(main)
    return caught[0], len(answers) - len(left)


@pytest.mark.parametrize(
    "first", [429, 423, 425, 430, httpx.ConnectError("nobody"), httpx.PoolTimeout("full")]
)
@pytest.mark.parametrize(
    ("last", "kind"), [(400, Refused), (401, Denied), (402, Denied), (403, Denied), (404, NotThere)]
)
def test_a_try_that_was_not_let_in_takes_nothing_from_what_a_refusal_says(
    first: int | Exception, last: int, kind: type[ReconcilerdError]
) -> None:
    error, tries = ends([first, first, last])
    assert (type(error), tries) == (kind, 3)


@pytest.mark.parametrize(
    "broken",
    [408, 500, 503, httpx.ReadTimeout("late"), httpx.WriteError("cut"), httpx.RemoteProtocolError("cut")],
)
@pytest.mark.parametrize("last", [400, 403, 404])
def test_one_try_that_may_have_worked_leaves_the_outcome_unknown_whenever_it_was(
    broken: int | Exception, last: int
) -> None:
    for answers in ([broken, last], [429, broken, last], [broken, 429, last], [423, broken, 429, last]):
        error, tries = ends(answers)
        assert (type(error), tries) == (OutcomeUnknown, len(answers))


def test_how_many_of_the_tries_before_may_have_worked_is_told_with_the_answer() -> None:
    left = [429, 503, 423, 200]

    async def main() -> None:
        uk = client(VirtualClock(START), lambda _: httpx.Response(left.pop(0)))
        reply = await uk.send(Call("POST", "/a", "x", Priority.LOWER, withheld=lambda: None))
        assert (reply.failed, reply.in_doubt) == (3, 1)

    run_virtual(main)


@pytest.mark.parametrize(("first", "kind"), [(423, Refused), (503, OutcomeUnknown)])
def test_a_bucket_that_shrank_below_a_call_says_nothing_of_its_try_before(
    first: int, kind: type[ReconcilerdError]
) -> None:
    async def main() -> None:
        def shrinks(_: httpx.Request) -> httpx.Response:
            uk.lane("x").told_bucket(5, 5, 5)
            return httpx.Response(first)

        uk = client(VirtualClock(START), shrinks)
        with pytest.raises(ReconcilerdError) as error:
            await uk.send(Call("POST", "/a", "x", Priority.LOWER, cost=10, withheld=lambda: None))
        assert type(error.value) is kind

    run_virtual(main)
