"""Days pass in no time, in order, and a program that waits for nothing says so."""

import anyio
import pytest
from aiolimiter import AsyncLimiter

from reconcilerd.simulator.virtual_time import Deadlock, VirtualClock, run_virtual
from tests.simulator.builders import START

DAY_S = 86_400


def test_a_day_of_sleeps_passes_on_the_clock() -> None:
    async def main() -> int:
        clock = VirtualClock(START)
        for _ in range(24):
            await anyio.sleep(DAY_S / 24)
        return clock() - START

    assert run_virtual(main) == DAY_S * 1000


def test_sleepers_wake_in_the_order_of_their_time() -> None:
    async def main() -> list[int]:
        woken: list[int] = []

        async def sleeper(hours: int) -> None:
            await anyio.sleep(hours * 3600)
            woken.append(hours)

        async with anyio.create_task_group() as group:
            for hours in (9, 1, 5):
                group.start_soon(sleeper, hours)
        return woken

    assert run_virtual(main) == [1, 5, 9]


@pytest.mark.parametrize(("rate", "per_s"), [(1, 1.0), (3, 0.7), (7, 1.0)])
def test_a_rate_limiter_keeps_its_rate_and_never_spins(rate: int, per_s: float) -> None:
    """Its last wait is a residue of floats, too small to move a clock that does not tick."""

    async def main() -> int:
        clock, limiter = VirtualClock(START), AsyncLimiter(rate, per_s)
        for _ in range(rate + 600):
            await limiter.acquire()
        return clock() - START

    least_ms = 600 / rate * per_s * 1000
    assert least_ms - 1 <= run_virtual(main) <= least_ms * 1.01


def test_a_deadline_strikes_in_virtual_time() -> None:
    async def main() -> bool:
        with anyio.move_on_after(3600) as scope:
            await anyio.sleep(7200)
        return scope.cancelled_caught

    assert run_virtual(main)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_waiting_for_nothing_is_an_error_not_a_hang() -> None:
    async def main() -> None:
        await anyio.Event().wait()

    with pytest.raises(Deadlock, match="no timer is set"):
        run_virtual(main)
