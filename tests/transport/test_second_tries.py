"""What a refusal says of a write that was tried before: nothing, for the first try may have worked."""

import httpx
import pytest

from reconcilerd.domain.names import Instant
from reconcilerd.errors import OutcomeUnknown, ReconcilerdError, Refused
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call, Client
from reconcilerd.transport.lane import Lane, LaneSpec, Priority


@pytest.mark.parametrize(
    ("answers", "writes", "error"),
    [([422], True, Refused), ([503, 422], True, OutcomeUnknown), ([503, 422], False, Refused)],
)
def test_a_write_that_is_refused_at_its_second_try_may_have_had_its_effect(
    answers: list[int], writes: bool, error: type[ReconcilerdError]
) -> None:
    left = list(answers)

    async def main() -> None:
        clock = VirtualClock(Instant(1_000_000))
        client = Client(
            "uk",
            "http://127.0.0.1",
            transport=httpx.MockTransport(lambda _: httpx.Response(left.pop(0))),
            auth=None,
            lanes=[Lane(LaneSpec("l", 100, 100), clock)],
            clock=clock,
        )
        withheld = (lambda: None) if writes else None
        with pytest.raises(error):
            await client.send(Call("POST", "/x", "l", Priority.LOWER, withheld=withheld))

    run_virtual(main)
    assert left == []
