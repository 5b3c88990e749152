"""What the daemon does by the clock where no timer does it: audit, backup, digest.

Each job has a loop of its own, so that a slow one delays no other; what came of it is written down, so that a restart
neither forgets a failure nor a run that was due meanwhile. It knows no cron: it asks when a job is due next.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import anyio
import structlog

from reconcilerd.domain.facts import JobEnded
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault

log = structlog.get_logger("reconcilerd.schedule")

START_S = 30.0
"""A start has better things to do than what was missed."""
LOOK_S = 30.0
"""A clock may be set: how long is left is asked so often."""
AHEAD_MS = 600_000
"""A last end that is further ahead is of a clock that was set back since. By less, nothing is done twice."""
LONGEST = 400
"""Characters of why a job failed."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job. ``next``: when it is due after a moment; ``work``: does it, and says why it failed, or nothing."""

    name: str
    next: Callable[[Instant], Instant]
    work: Callable[[], Awaitable[str]]


Ended = Callable[[Sequence[JobEnded]], Awaitable[object]]


class Schedule:
    """Runs jobs when they are due. ``known``: how each ended last, or None, for alerts and status."""

    def __init__(
        self,
        jobs: Sequence[Job],
        before: Iterable[JobEnded],
        journal: Ended,
        clock: Callable[[], Instant],
    ) -> None:
        """``before``: how jobs ended before this start; ``journal`` makes what came of one durable."""
        ended = {each.name: each for each in before}
        self._jobs = tuple(jobs)
        self._journal = journal
        self._clock = clock
        self.known: dict[str, JobEnded | None] = {each.name: ended.get(each.name) for each in jobs}
        began = clock()
        self._since = {each.name: ended[each.name].at if each.name in ended else began for each in jobs}
        """From when on each job is due again."""

    def due(self) -> Mapping[str, Instant]:
        """When each job is due next."""
        return {each.name: self._due(each) for each in self._jobs}

    def _due(self, job: Job) -> Instant:
        """After its last end: what came due while it ran is not done twice. One that never ran was never missed.

        An end that is yet to come is of a clock that was wrong, and would put the job off until then: it counts as now.
        """
        now, last = self._clock(), self.known[job.name]
        if self._since[job.name] - now > (0 if last is None else AHEAD_MS):
            self._since[job.name] = now
        return job.next(self._since[job.name])

    async def run(self) -> None:
        """Run until cancelled."""
        if not self._jobs:
            return
        await anyio.sleep(START_S)
        async with anyio.create_task_group() as group:
            for job in self._jobs:
                group.start_soon(self._again_and_again, job)

    async def _again_and_again(self, job: Job) -> None:
        while True:
            while (left := self._due(job) - self._clock()) > 0:
                await anyio.sleep(min(LOOK_S, left / 1000))
            began = self._clock()
            why = await _tried(job)
            fact = JobEnded(job.name, not why, why[:LONGEST], began, max(began, self._clock()))
            self.known[job.name], self._since[job.name] = fact, fact.at
            if why:
                log.error("job_failed", job=job.name, why=fact.why)
            else:
                log.info("job_done", job=job.name, took_s=(fact.at - began) // 1000)
            await self._journal([fact])
            # Where the clock went back, what is due next may have been due long ago.
            await anyio.sleep(1)


async def _tried(job: Job) -> str:
    try:
        return await job.work()
    except LedgerFault:
        raise
    except Exception as bug:
        log.exception("job_broke", job=job.name)
        return f"a bug, {type(bug).__name__}: {bug}"
