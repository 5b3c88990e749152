"""Days in seconds: an event loop whose clock jumps to the next timer when nothing else is ready.

For a whole program in one process without threads or real sockets. ``VirtualClock`` tells the wall time that
belongs to the loop's time.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio
from typing_extensions import override

from reconcilerd.domain.names import Instant

T = TypeVar("T")

_TICK_S = 1e-6
"""What a zero timer advances: a clock that stands still makes rate limiters spin on float residue."""


class Deadlock(RuntimeError):
    """Nothing is ready and no timer is set: nothing will ever happen again."""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            self.now_s += _TICK_S
            return []  # tasks can run: whoever knocks from outside is heard when none can
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock("no task can run and no timer is set")
        self.now_s += max(timeout, _TICK_S)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop in virtual time."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    @override
    def time(self) -> float:
        return self._jumping.now_s


class VirtualClock:
    """Wall time of a virtual loop: ``start`` plus what the loop has lived."""

    def __init__(self, start: Instant) -> None:
        self.start = start

    def __call__(self) -> Instant:
        return Instant(self.start + round(asyncio.get_running_loop().time() * 1000))


def run_virtual(main: Callable[..., Awaitable[T]], *args: Any, options: Mapping[str, Any] | None = None) -> T:
    """Run ``main`` to its end in virtual time."""
    return anyio.run(
        main, *args, backend="asyncio", backend_options={"loop_factory": VirtualLoop, **(options or {})}
    )
