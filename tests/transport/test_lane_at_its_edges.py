"""Clocks told apart by dates of whole seconds, and whose turn it is when several wait."""

from email.utils import formatdate

import anyio
import pytest

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.lane import Lane, LaneSpec, Priority
from reconcilerd.transport.replies import Reply, Skew

START = 1_800_000_000_000


def answer(asked: int, date: int, took_ms: int = 200) -> Reply:
    return Reply(
        200, {"date": formatdate(date // 1000, usegmt=True)}, b"", Instant(asked), Instant(asked + took_ms)
    )


@pytest.mark.parametrize("within_ms", [0, 1, 500, 799, 999])
def test_two_clocks_that_agree_are_never_told_apart_by_a_date_of_whole_seconds(within_ms: int) -> None:
    skew = Skew()
    for turn in range(3):
        skew.learn(answer(START + 5_000 * turn + within_ms, START + 5_000 * turn + within_ms))
        assert skew.ahead_ms == 0


def test_where_ours_is_behind_a_moment_of_ours_is_asked_for_as_it_is() -> None:
    skew = Skew()
    skew.ahead_ms = -90_000
    assert skew.theirs(Instant(START)) == START
    skew.ahead_ms = 90_000
    assert skew.theirs(Instant(START)) == START - 90_000


def test_a_shorter_wait_that_is_told_later_opens_no_gate_earlier() -> None:
    async def scene() -> float:
        lane = Lane(LaneSpec("x", 100, 100), VirtualClock(Instant(START)))
        lane.retry_after(60_000)
        lane.retry_after(1_000)
        began = anyio.current_time()
        await lane.acquire(Priority.LOWER)
        return anyio.current_time() - began

    assert run_virtual(scene) >= 60


def test_readings_come_back_to_the_whole_rate_step_by_step() -> None:
    async def scene() -> float:
        lane = Lane(LaneSpec("x", 10, 10), VirtualClock(Instant(START)))
        lane.turned_away()
        began = anyio.current_time()
        for _ in range(9):
            await lane.acquire(Priority.ORDERS)
        return anyio.current_time() - began

    assert run_virtual(scene) > 1, "at most half the rate, and little more with each"


def test_orders_go_before_a_reading_of_stock_that_asked_a_little_earlier() -> None:
    async def scene() -> list[str]:
        lane, went = Lane(LaneSpec("x", 1, 1), VirtualClock(Instant(START))), list[str]()

        async def come(name: str, after_s: float, priority: Priority) -> None:
            await anyio.sleep(after_s)
            await lane.acquire(priority)
            went.append(name)

        async with anyio.create_task_group() as group:
            group.start_soon(come, "first", 0, Priority.LOWER)
            group.start_soon(come, "second", 0.1, Priority.LOWER)
            group.start_soon(come, "stock", 0.2, Priority.STOCK)
            group.start_soon(come, "orders", 0.3, Priority.ORDERS)
        return went

    assert run_virtual(scene) == ["first", "second", "orders", "stock"]
