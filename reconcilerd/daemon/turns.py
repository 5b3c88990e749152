"""Turns for everybody else while something long goes on: one loop serves readings, writes and pages."""

from collections.abc import AsyncIterator, Collection
from typing import TypeVar

import anyio.lowlevel

T = TypeVar("T")

TURNS = 12
"""Turns of everybody else between two slices: as many as a request of the page takes from its connection to its answer.
With one turn a slice, it would wait for a dozen slices."""
STEP = 2_000
"""Items between two turns of everybody else: about a millisecond."""


async def everybody_else() -> None:
    """Give everybody else their turns between two slices."""
    for _ in range(TURNS):
        await anyio.lowlevel.checkpoint()


async def steps(items: Collection[T], step: int = STEP) -> AsyncIterator[T]:
    """All that are there now, with a turn for everybody else between any two steps."""
    for number, item in enumerate(tuple(items)):
        if number and number % step == 0:
            await anyio.lowlevel.checkpoint()
        yield item
