"""A task that waits within bounds is no hang, however long it waits; one that is silent beyond them is found."""

from functools import partial

import anyio
import pytest

from reconcilerd.daemon.supervisor import keep_alive
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from reconcilerd.transport.progress import SLACK_S, WORK_S, Watch, idle, rest

DAY_S = 86_400.0
START = Instant(1_800_000_000_000)
SLOWEST_PER_S = 0.0056


async def _looked_at(watch: Watch, seconds: float, every_s: float = 10.0) -> list[str]:
    """Everybody who was ever found hanging within so long."""
    found: set[str] = set()
    for _ in range(round(seconds / every_s)):
        await anyio.sleep(every_s)
        found.update(watch.hanging())
    return sorted(found)


def test_who_sleeps_as_said_or_has_nothing_to_do_does_not_hang() -> None:
    async def sleeper() -> None:
        while True:
            await rest(900)

    async def idler() -> None:
        idle()
        await anyio.sleep_forever()

    async def main() -> None:
        watch = Watch()
        async with anyio.create_task_group() as group:
            group.start_soon(keep_alive, "sleeper", sleeper, watch)
            group.start_soon(keep_alive, "idler", idler, watch)
            assert await _looked_at(watch, DAY_S) == []
            group.cancel_scope.cancel()
        assert watch.hanging() == []

    run_virtual(main)


def test_who_is_silent_at_work_is_found_in_time_and_only_he() -> None:
    async def hangs() -> None:
        await rest(5)
        await anyio.sleep_forever()

    async def works() -> None:
        while True:
            await rest(1)

    async def main() -> None:
        watch = Watch()
        async with anyio.create_task_group() as group:
            group.start_soon(keep_alive, "hangs", hangs, watch)
            group.start_soon(keep_alive, "works", works, watch)
            assert await _looked_at(watch, WORK_S - SLACK_S) == []
            assert await _looked_at(watch, WORK_S) == ["hangs"]
            group.cancel_scope.cancel()

    run_virtual(main)


def test_who_breaks_again_and_again_does_not_hang() -> None:
    async def breaks() -> None:
        raise RuntimeError("again")

    async def main() -> None:
        watch = Watch()
        async with anyio.create_task_group() as group:
            group.start_soon(keep_alive, "breaks", breaks, watch)
            assert await _looked_at(watch, DAY_S / 24) == []
            group.cancel_scope.cancel()

    run_virtual(main)


@pytest.mark.parametrize("per_s", [SLOWEST_PER_S, 1.0])
def test_a_queue_for_a_slow_lane_moves_and_nobody_in_it_hangs(per_s: float) -> None:
    async def caller(lane: Lane) -> None:
        while True:
            await lane.acquire(Priority.STOCK)

    async def main() -> None:
        watch, lane = Watch(), Lane(LaneSpec("slow", per_s, 1), VirtualClock(START))
        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(keep_alive, f"caller {number}", partial(caller, lane), watch)
            assert await _looked_at(watch, 40 / per_s) == []
            lane.retry_after(300_000)
            assert await _looked_at(watch, 20 / per_s + 300) == []
            group.cancel_scope.cancel()

    run_virtual(main)


def test_a_lane_that_never_moves_again_is_found_by_all_who_wait_in_it() -> None:
    async def stuck() -> None:
        await anyio.sleep_forever()

    async def first(lane: Lane) -> None:
        await lane.acquire(Priority.STOCK, door=stuck)

    async def next_one(lane: Lane) -> None:
        await anyio.sleep(1)
        await lane.acquire(Priority.LOWER)

    async def main() -> None:
        watch, lane = Watch(), Lane(LaneSpec("lane", 1, 5), VirtualClock(START))
        async with anyio.create_task_group() as group:
            group.start_soon(keep_alive, "first", partial(first, lane), watch)
            group.start_soon(keep_alive, "next", partial(next_one, lane), watch)
            assert await _looked_at(watch, 3_600) == ["first", "next"]
            group.cancel_scope.cancel()

    run_virtual(main)


def test_a_step_that_others_wait_for_is_watched_by_its_own_name() -> None:
    async def main() -> None:
        watch = Watch()
        async with anyio.create_task_group() as group:

            async def write() -> None:
                with watch.step("ledger writer"):
                    await anyio.sleep_forever()

            group.start_soon(write)
            assert await _looked_at(watch, WORK_S - 10) == []
            assert await _looked_at(watch, 60) == ["ledger writer"]
            group.cancel_scope.cancel()
        assert watch.hanging() == []

    run_virtual(main)
