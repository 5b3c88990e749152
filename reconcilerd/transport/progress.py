"""Who still gets on: each long-lived task says by when it will be heard of again; who is silent longer hangs.

Waiting is no hang as long as it is bounded: a task that sleeps, waits for its turn in a lane or for a retry says how
long that may take, and all who wait in a lane are heard of whenever the lane moves. Only a task of the ``Watch`` is
held to it; everybody else may call these functions, and nothing comes of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

import anyio

WORK_S: Final = 180.0
"""The longest that one step of work may take: a slow page with a fresh token, a commit on a busy disk."""
SLACK_S: Final = 60.0
"""How much later than it said a sleeper may wake."""
FOREVER_S: Final = float("inf")


@dataclass(slots=True, eq=False)
class Task:
    """One task that is watched. ``due_s``: by the loop's clock, when it must have been heard of."""

    name: str
    due_s: float
    waits: list[float] = field(default_factory=list)
    """By when each thing that it waits for will have ended, whatever is heard of it meanwhile."""

    def heard(self, within_s: float = WORK_S) -> None:
        """It gets on, and will be heard of again within so long."""
        self.due_s = anyio.current_time() + within_s

    def hangs(self, now_s: float) -> bool:
        """Whether nobody heard of it when somebody should have."""
        return max((self.due_s, *self.waits)) < now_s


@dataclass(slots=True)
class Watch:
    """All tasks that must get on."""

    work_s: float = WORK_S
    _tasks: list[Task] = field(default_factory=list)

    @contextmanager
    def task(self, name: str) -> Iterator[Task]:
        """What runs in here, and in tasks begun in here, is watched under a name."""
        made = Task(name, anyio.current_time() + self.work_s)
        self._tasks.append(made)
        before = _current.get()
        _current.set(made)
        try:
            yield made
        finally:
            _current.set(before)
            self._tasks.remove(made)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step of somebody else's work that the present task waits for: it may take ``work_s``."""
        made = Task(name, anyio.current_time() + self.work_s)
        self._tasks.append(made)
        try:
            yield
        finally:
            self._tasks.remove(made)

    def hanging(self) -> list[str]:
        """Names of those that were not heard of in time."""
        now_s = anyio.current_time()
        return sorted({each.name for each in self._tasks if each.hangs(now_s)})


_current: ContextVar[Task | None] = ContextVar("task", default=None)


def current() -> Task | None:
    """The watched task that this code runs for."""
    return _current.get()


def heard(within_s: float = WORK_S) -> None:
    """The present task gets on, and will be heard of again within so long."""
    task = _current.get()
    if task is not None:
        task.heard(within_s)


def idle() -> None:
    """The present task has nothing to do and may wait for ever."""
    heard(FOREVER_S)


@contextmanager
def waiting(within_s: float) -> Iterator[None]:
    """The present task waits for something that ends within so long.

    One task may do several things at once: what is heard of one of them makes another's wait no shorter.
    """
    task = _current.get()
    if task is None:
        yield
        return
    until_s = anyio.current_time() + within_s + SLACK_S
    task.waits.append(until_s)
    try:
        yield
    finally:
        task.waits.remove(until_s)
        task.heard()


async def rest(seconds: float) -> None:
    """Sleep, and be no hang for it."""
    with waiting(seconds):
        await anyio.sleep(seconds)
