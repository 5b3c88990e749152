"""A task that waits within bounds is no hang, however long it waits; one that is silent beyond them is found."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial

import anyio
import httpx
import pytest

from reconcilerd.connectors.extensiv.walk import LANES, PAGINGS, SLOW_PAGE_TIMEOUT_S, STOCK, Walker
from reconcilerd.daemon.supervisor import keep_alive
from reconcilerd.domain.names import Instant
from reconcilerd.errors import ReconcilerdError
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import CLOSE_S, Call, Client, RetryRule
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from reconcilerd.transport.progress import SLACK_S, WORK_S, Watch, heard, idle, rest, waiting

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


Handler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]
LONG_S = 600.0
"""Longer than any step of work."""


def client(handler: Handler, *, gate: int = 4, tries: int = 1) -> Client:
    clock = VirtualClock(START)
    return Client(
        "s",
        "http://127.0.0.1",
        transport=httpx.MockTransport(handler),
        auth=None,
        lanes=[Lane(each, clock) for each in LANES],
        clock=clock,
        gate=gate,
        retry=RetryRule(tries=tries),
    )


def call(timeout_s: float, lane: str = "read") -> Call:
    return Call("GET", "/a", lane, Priority.STOCK, timeout_s=timeout_s)


async def answered_late(seconds: float, _: httpx.Request) -> httpx.Response:
    await anyio.sleep(seconds)
    return httpx.Response(200, json=[])


def test_a_page_that_takes_as_long_as_it_may_is_no_hang() -> None:
    async def main() -> None:
        watch, slow = Watch(), partial(answered_late, SLOW_PAGE_TIMEOUT_S - 10)
        async with anyio.create_task_group() as group:

            async def read() -> None:
                assert (await Walker(client(slow), {}).walk(PAGINGS[STOCK])).why == ""
                idle()

            group.start_soon(keep_alive, "reader", read, watch)
            assert await _looked_at(watch, 10 * SLOW_PAGE_TIMEOUT_S) == []
            group.cancel_scope.cancel()

    run_virtual(main)


def test_what_is_heard_of_one_page_makes_no_hang_of_another() -> None:
    """A task reads two at once, and one of them comes at once."""

    async def main() -> None:
        watch = Watch()

        async def one_of_two(request: httpx.Request) -> httpx.Response:
            return await answered_late(0.0 if request.url.path == "/quick" else LONG_S, request)

        async def both() -> None:
            sender = client(one_of_two)
            async with anyio.create_task_group() as pages:
                pages.start_soon(sender.send, call(LONG_S + 10))
                pages.start_soon(sender.send, Call("GET", "/quick", "totals", Priority.STOCK))

        async with anyio.create_task_group() as group:
            group.start_soon(keep_alive, "both", both, watch)
            assert await _looked_at(watch, 3 * LONG_S) == []
            group.cancel_scope.cancel()

    run_virtual(main)


def test_who_waits_for_a_seat_or_behind_one_who_does_is_no_hang() -> None:
    async def main() -> None:
        watch, sender = Watch(), client(partial(answered_late, LONG_S), gate=1)

        async def one(lane: str) -> None:
            await sender.send(call(LONG_S + 10, lane))

        async with anyio.create_task_group() as group:
            for number, lane in enumerate(("read", "read", "totals", "read")):
                group.start_soon(keep_alive, f"{lane} {number}", partial(one, lane), watch)
            assert await _looked_at(watch, 20 * LONG_S) == []
            group.cancel_scope.cancel()

    run_virtual(main)


def test_a_call_is_found_where_it_takes_longer_than_its_own_bound() -> None:
    async def main() -> None:
        watch = Watch()

        async def never_ends(_: httpx.Request) -> httpx.Response:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(LONG_S)
            return httpx.Response(200)

        async def one() -> None:
            await client(never_ends).send(call(30))

        async with anyio.create_task_group() as group:
            group.start_soon(keep_alive, "call", one, watch)
            assert await _looked_at(watch, 30 + CLOSE_S + SLACK_S + WORK_S) == ["call"]
            group.cancel_scope.cancel()

    run_virtual(main)


def test_work_after_a_call_has_all_of_its_time() -> None:
    async def main() -> None:
        watch = Watch()

        async def reads_and_works() -> None:
            assert (await client(partial(answered_late, 29)).send(call(30))).status == 200
            await anyio.sleep(WORK_S - 10)
            idle()
            await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            group.start_soon(keep_alive, "works", reads_and_works, watch)
            assert await _looked_at(watch, 2 * WORK_S) == []
            group.cancel_scope.cancel()

    run_virtual(main)


def test_a_wait_ends_with_what_it_waited_for() -> None:
    async def main() -> None:
        watch = Watch()

        async def waits_then_hangs() -> None:
            with suppress(ReconcilerdError), waiting(LONG_S):
                await anyio.sleep(5)
                raise ReconcilerdError("it broke")
            with waiting(1):
                heard(0)
                await anyio.sleep(1)
            await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            group.start_soon(keep_alive, "task", waits_then_hangs, watch)
            assert await _looked_at(watch, WORK_S - 10) == []
            assert await _looked_at(watch, 30) == ["task"]
            group.cancel_scope.cancel()

    run_virtual(main)
