"""What a refusal says of a write that was tried before: nothing, for the first try may have worked."""

import httpx
import pytest

from reconcilerd.errors import MalformedReply, OutcomeUnknown, ReconcilerdError, Refused
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call
from reconcilerd.transport.lane import Priority
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
