"""Jobs by the clock: done when due, once, caught up after a stop, and a failure is told until a success."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from reconcilerd.daemon.schedule import START_S, Job, Schedule
from reconcilerd.domain.facts import JobEnded
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.trial.stage import START

HOUR_MS = 3_600_000
HOUR_S = 3_600.0


def hourly(moment: Instant) -> Instant:
    """The next full hour."""
    return Instant((moment // HOUR_MS + 1) * HOUR_MS)


@dataclass
class Kept:
    """A clock, and what was written down."""

    clock: VirtualClock
    facts: list[JobEnded] = field(default_factory=list)
    ran: list[Instant] = field(default_factory=list)
    why: str = ""
    takes_s: float = 0.0

    async def journal(self, facts: Sequence[JobEnded]) -> None:
        self.facts += facts

    async def work(self) -> str:
        self.ran.append(self.clock())
        await anyio.sleep(self.takes_s)
        return self.why

    def play(
        self,
        hours: float,
        *jobs: Job,
        before: Sequence[JobEnded] = (),
        scene: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> Schedule:
        """Let a schedule run for so long, from a start."""

        async def main() -> Schedule:
            mine = jobs or (Job("backup", hourly, self.work),)
            schedule = Schedule(mine, before, self.journal, self.clock)
            async with anyio.create_task_group() as group:
                group.start_soon(schedule.run)
                if scene is not None:
                    group.start_soon(scene)
                await anyio.sleep(hours * HOUR_S)
                group.cancel_scope.cancel()
            return schedule

        return run_virtual(main)


def kept() -> Kept:
    return Kept(VirtualClock(START))


def test_it_is_done_when_it_is_due_and_not_between() -> None:
    one = kept()
    one.play(5.5)
    assert len(one.ran) == 5
    assert all(0 <= at % HOUR_MS < 2_000 for at in one.ran)
    assert [each.ok for each in one.facts] == [True] * 5


def test_a_failure_stands_until_a_success_over_a_restart_too() -> None:
    one = kept()
    one.why = "the disk is full"
    failed = one.play(1.2).known["backup"]
    assert failed is not None
    assert (failed.ok, failed.why) == (False, "the disk is full")
    one.clock = VirtualClock(Instant(START + 3 * HOUR_MS // 2))
    assert one.play(0.01, before=one.facts).known["backup"] == failed
    one.why = ""
    again = one.play(0.8, before=one.facts)
    assert [each.ok for each in one.facts] == [False, True]
    assert again.known["backup"] == one.facts[-1]


def test_what_was_due_while_nobody_ran_is_done_once_and_not_at_once() -> None:
    one = kept()
    long_ago = Instant(START - 5 * HOUR_MS)
    one.play(0.4, before=[JobEnded("backup", True, "", long_ago, long_ago)])
    assert [at - START for at in one.ran] == [round(START_S * 1000)]


def test_a_job_that_ran_while_the_clock_was_a_year_ahead_runs_all_the_same() -> None:
    one = kept()
    ahead = Instant(START + 365 * 24 * HOUR_MS)
    one.play(3.5, before=[JobEnded("backup", True, "", ahead, ahead)])
    assert len(one.ran) == 3
    assert all(at < START + 4 * HOUR_MS for at in one.ran)


def test_a_clock_that_was_a_year_ahead_at_the_start_and_is_set_right_puts_no_job_off() -> None:
    one, offset = kept(), [365 * 24 * HOUR_MS]

    class Set(VirtualClock):
        @override
        def __call__(self) -> Instant:
            return Instant(super().__call__() + offset[0])

    one.clock = Set(START)

    async def set_right() -> None:
        await anyio.sleep(1.5 * HOUR_S)
        offset[0] = 0

    one.play(5.5, scene=set_right)
    assert len([at for at in one.ran if at < START + 6 * HOUR_MS]) == 4


@pytest.mark.parametrize("hours", [2, 5, 23, 30])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_is_set_back_puts_no_job_off_for_as_long(hours: int, restarted: bool) -> None:
    one = kept()

    async def set_back() -> None:
        await anyio.sleep(1.5 * HOUR_S)
        one.clock.start = Instant(one.clock.start - hours * HOUR_MS)

    if restarted:
        ended = Instant(START + hours * HOUR_MS + 20_000)
        one.play(3.2, before=[JobEnded("backup", True, "", ended, ended)])
        assert len(one.ran) == 3
    else:
        one.play(4.2, scene=set_back)
        assert len(one.ran) == 4


def test_a_clock_that_is_set_back_by_a_little_has_nothing_done_twice() -> None:
    one = kept()

    async def set_back() -> None:
        await anyio.sleep(HOUR_S + 20)
        assert len(one.ran) == 1
        one.clock.start = Instant(one.clock.start - 60_000)

    one.play(1.9, scene=set_back)
    assert len(one.ran) == 1


def test_what_was_never_done_was_never_missed() -> None:
    one = kept()
    one.play(0.4)
    assert START % HOUR_MS + 0.4 * HOUR_MS < HOUR_MS, "else the hour was full meanwhile"
    assert one.ran == []


def test_a_job_that_takes_longer_than_its_period_is_not_done_twice_for_it() -> None:
    one = kept()
    one.takes_s = 1.5 * HOUR_S
    one.play(6.2)
    pauses = [later - before for before, later in pairwise(one.ran)]
    assert len(pauses) == 2
    assert all(each >= 2 * HOUR_MS - 2_000 for each in pauses)


def test_one_that_hangs_or_breaks_delays_no_other() -> None:
    one = kept()

    async def hangs() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    async def breaks() -> str:
        raise ZeroDivisionError("oh")

    jobs = (Job("audit", hourly, hangs), Job("digest", hourly, breaks), Job("backup", hourly, one.work))
    schedule = one.play(3.5, *jobs)
    assert len(one.ran) == 3
    assert schedule.known["audit"] is None
    broken = schedule.known["digest"]
    assert broken is not None
    assert "ZeroDivisionError: oh" in broken.why


def test_without_jobs_it_ends_at_once() -> None:
    one = kept()

    async def main() -> Schedule:
        schedule = Schedule((), (), one.journal, one.clock)
        await schedule.run()
        return schedule

    assert run_virtual(main).due() == {}


@given(st.lists(st.integers(-5 * HOUR_MS, 5 * HOUR_MS), max_size=6))
def test_a_clock_that_is_set_never_has_it_run_without_rest(jumps: list[int]) -> None:
    """However the clock jumps, a job rests between two runs, and its end is not before its beginning."""
    one, offset = kept(), [0]

    class Set(VirtualClock):
        @override
        def __call__(self) -> Instant:
            return Instant(super().__call__() + offset[0])

    one.clock = Set(START)

    async def jump() -> None:
        for each in jumps:
            await anyio.sleep(0.7 * HOUR_S)
            offset[0] += each

    one.play(6, scene=jump)
    assert len(one.ran) <= 6 + 5 * len(jumps) + 1
    assert all(each.began <= each.at for each in one.facts)
