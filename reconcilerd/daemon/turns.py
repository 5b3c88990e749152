"""Turns for everybody else while something long goes on: one loop serves readings, writes and pages."""

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.lowlevel

T = TypeVar("T")

TURNS = 20
"""Turns of everybody else between two slices: as many as the longest page takes from its connection to its answer.
With one turn a slice, it would wait for a dozen slices."""
STEP = 2_000
"""Items between two turns of everybody else: about a millisecond."""
PATIENCE_S = 0.02
"""How long a pass waits between two slices for whoever reads on a thread: some times a usual reading."""


class Readers:
    """Those who read on threads beside the loop: they and a loop that computes take the interpreter from each other."""

    def __init__(self) -> None:
        self._reading = 0
        self._none = anyio.Event()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Somebody reads."""
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1
            if not self._reading:
                self._none.set()

    async def finish(self) -> bool:
        """Wait until nobody reads, within ``PATIENCE_S``; whether anybody did."""
        if not self._reading:
            return False
        if self._none.is_set():
            self._none = anyio.Event()
        with anyio.move_on_after(PATIENCE_S):
            await self._none.wait()
        return True


async def everybody_else(readers: Readers) -> None:
    """Give everybody else their turns between two slices, and time to who came for what a thread reads."""
    await _turns()
    if await readers.finish():
        await _turns()


async def _turns() -> None:
    for _ in range(TURNS):
        await anyio.lowlevel.checkpoint()


async def steps(items: Collection[T], step: int = STEP) -> AsyncIterator[T]:
    """All that are there now, with a turn for everybody else between any two steps."""
    for number, item in enumerate(tuple(items)):
        if number and number % step == 0:
            await anyio.lowlevel.checkpoint()
        yield item
