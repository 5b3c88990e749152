"""A lane: one token bucket, a queue by priority in front of it, a gate that replies can close.

aiolimiter is the bucket. First come first served within a priority, and at most one caller waits inside the
bucket, because there small requests would starve large ones. Tokens are never reserved ahead of time.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import anyio
from aiolimiter import AsyncLimiter

from reconcilerd.domain.names import Instant
from reconcilerd.errors import Refused

MAX_GATE_MS = 300_000


class Priority(IntEnum):
    """Who goes first when a bucket is short."""

    LOWER = 0
    RAISE = 1
    ORDERS = 2
    STOCK = 3


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """``rate_per_s`` tokens a second, ``burst`` at once. Model ``cost``: tokens are the vendor's cost points."""

    name: str
    rate_per_s: float
    burst: float
    model: Literal["rate", "cost"] = "rate"


@dataclass(order=True, slots=True)
class _Ticket:
    priority: int
    number: int
    turn: anyio.Event = field(compare=False, default_factory=anyio.Event)


class Lane:
    """The way to one class of calls of one account."""

    def __init__(self, spec: LaneSpec, clock: Callable[[], Instant]) -> None:
        self.spec = spec
        self.sent = 0
        self.throttled = 0
        self._clock = clock
        self._bucket = AsyncLimiter(spec.burst, spec.burst / spec.rate_per_s)
        self._size, self._rate = spec.burst, spec.rate_per_s
        self._queue: list[_Ticket] = []
        self._held = False
        self._numbers = 0
        self._closed_until = Instant(0)
        self._told_left: float | None = None
        self._drain = 0.0

    @property
    def tokens_left(self) -> float:
        """What the other side last said is left, else what our own bucket holds."""
        return self._told_left if self._told_left is not None else self._size

    async def acquire(self, priority: Priority, cost: float = 1) -> None:
        """Wait for ``cost`` tokens. Raises Refused for a cost that the bucket can never hold."""
        if cost > self._size:
            raise Refused(f"{self.spec.name}: a call of cost {cost} never fits a bucket of {self._size:g}")
        await self._turn(priority)
        try:
            while (wait_ms := self._closed_until - self._clock()) > 0:
                await anyio.sleep(wait_ms / 1000)
            if self._drain:
                # A new bucket is born full; the other side's is not. It holds this at once, without waiting.
                drain, self._drain = self._drain, 0.0
                await self._bucket.acquire(drain)
            await self._bucket.acquire(cost)
            self.sent += 1
        finally:
            self._pass_on()

    def retry_after(self, ms: float) -> None:
        """Close the gate: the other side said when it may be asked again."""
        self.throttled += 1
        until = Instant(self._clock() + round(min(MAX_GATE_MS, max(0.0, ms))))
        self._closed_until = max(self._closed_until, until)

    def told_bucket(self, maximum: float, available: float, restore_per_s: float) -> None:
        """Adopt what the other side says of its bucket; a changed size or rate gets a new, drained bucket."""
        self._told_left = available
        if restore_per_s <= 0 or maximum <= 0:
            return
        if (maximum, restore_per_s) != (self._size, self._rate):
            self._size, self._rate = maximum, restore_per_s
            self._bucket = AsyncLimiter(maximum, maximum / restore_per_s)
            self._drain = max(0.0, maximum - available)

    async def _turn(self, priority: Priority) -> None:
        if not self._held and not self._queue:
            self._held = True
            return
        self._numbers += 1
        ticket = _Ticket(priority, self._numbers)
        heapq.heappush(self._queue, ticket)
        try:
            await ticket.turn.wait()
        except BaseException:
            if ticket.turn.is_set():
                self._pass_on()
            else:
                self._queue.remove(ticket)
                heapq.heapify(self._queue)
            raise

    def _pass_on(self) -> None:
        if self._queue:
            heapq.heappop(self._queue).turn.set()
        else:
            self._held = False
