"""A lane: one token bucket, a queue by priority in front of it, a gate that replies can close.

aiolimiter is the bucket. First come first served within a priority, and at most one caller waits inside the
bucket, because there small requests would starve large ones. Tokens are never reserved ahead of time. Writes go
before all readings; a reading of stock that waited for long goes before orders that are asked for later, or it
would never be had where the limit is short.

Others may draw on the same limit, and nobody says so but a call that is turned away: then readings are spaced out to
half the rate, and come back to all of it step by step (additive increase, multiplicative decrease, as in RFC 5681),
so that two who do so share. Writes are few and wait for the gate alone.
"""

import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import anyio
from aiolimiter import AsyncLimiter

from reconcilerd.domain.names import Instant
from reconcilerd.errors import Refused
from reconcilerd.tally import WAITS, Histogram
from reconcilerd.transport.progress import SLACK_S, WORK_S, Task, current, rest, waiting

MAX_GATE_MS = 300_000
SLOWEST = 1 / 16
"""The least share of the rate that readings are slowed down to."""
STEP = 1 / 32
"""What each reading that was let through gives back of the share."""
PATIENCE_S = 10.0
"""So long a reading of stock lets orders go first."""
SLOWED_S = 1.0
"""Calls that are turned away within so long are one sign, not several."""


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
    priority: float
    """Below zero for writes; of a reading the moment until which others may go before it."""
    number: int
    turn: anyio.Event = field(compare=False, init=False)
    """Made by who waits: most need not."""
    task: Task | None = field(compare=False, default_factory=current)


class Lane:
    """The way to one class of calls of one account."""

    def __init__(self, spec: LaneSpec, clock: Callable[[], Instant]) -> None:
        self.spec = spec
        self.sent = 0
        self.throttled = 0
        self.waited = Histogram(WAITS)
        """Seconds from asking for tokens to being let through."""
        self._clock = clock
        self._bucket = AsyncLimiter(spec.burst, spec.burst / spec.rate_per_s)
        self._size, self._rate = spec.burst, spec.rate_per_s
        self._queue: list[_Ticket] = []
        self._held = False
        self._numbers = 0
        self._closed_until_s = 0.0
        self._pace = 1.0
        self._next_reading_s = 0.0
        self._slowed_until_s = 0.0
        self._born_full = False
        self._door_s = WORK_S
        """The longest that anybody's door may take to open."""
        self._left, self._left_at = float(spec.burst), clock()

    @property
    def size(self) -> float:
        """Tokens that the bucket holds when it is full."""
        return self._size

    @property
    def tokens_left(self) -> float:
        """What our own use, the other side's last word and the time since then leave."""
        elapsed_s = max(0, self._clock() - self._left_at) / 1000
        return min(self._size, self._left + self._rate * elapsed_s)

    @property
    def refill_s(self) -> float:
        """The longest that whoever is first waits for the bucket."""
        return self._size / self._rate

    async def acquire(
        self,
        priority: Priority,
        cost: float = 1,
        door: Callable[[], Awaitable[object]] | None = None,
        door_s: float = WORK_S,
    ) -> None:
        """Wait for ``cost`` tokens. Raises Refused for a cost that the bucket can never hold.

        ``door`` is what else must be waited for before sending. The turn is held until it opens: were it waited
        for afterwards, a stall would gather callers who hold tokens and then send all at once. If this raises, the
        door may have been passed. ``door_s``: the longest that it takes to open.
        """
        self._refuse_oversize(cost)
        self._door_s = max(self._door_s, door_s)
        began_s = anyio.current_time()
        reads = priority >= Priority.ORDERS
        ticket = self._ticket(priority)
        await self._turn(ticket)
        while reads and self._next_reading_s > anyio.current_time():
            # Whoever writes need not wait for the next reading's time.
            self._pass_on()
            await rest(self._next_reading_s - anyio.current_time())
            await self._turn(ticket)
        try:
            await self._take(cost)
            if door is not None:
                with waiting(door_s):
                    await door()
                if self._closed_until_s > anyio.current_time():
                    # The gate closed meanwhile. Tokens of before count no more: others come back while it is closed.
                    await self._take(cost)
            if reads:
                self._space(cost)
            self.sent += 1
            self.waited.observe(anyio.current_time() - began_s)
        finally:
            self._pass_on()

    def retry_after(self, ms: float) -> None:
        """Close the gate: the other side said when it may be asked again. At most five minutes."""
        self.turned_away()
        until_s = anyio.current_time() + min(MAX_GATE_MS, max(0.0, ms)) / 1000
        self._closed_until_s = max(self._closed_until_s, until_s)

    def turned_away(self) -> None:
        """The other side's limit was met before ours: somebody else draws on it too, or it is less than was said."""
        self.throttled += 1
        now_s = anyio.current_time()
        if now_s >= self._slowed_until_s:
            self._pace = max(SLOWEST, self._pace / 2)
            self._slowed_until_s = now_s + SLOWED_S

    def _space(self, cost: float) -> None:
        """Leave room after a reading while the lane is slowed down."""
        if self._pace < 1:
            self._next_reading_s = anyio.current_time() + cost / (self._rate * self._pace)
            self._pace = min(1.0, self._pace + STEP)

    def told_bucket(self, maximum: float, available: float, restore_per_s: float) -> None:
        """Adopt what the other side says of its bucket; a changed size or rate gets a new, drained bucket."""
        if restore_per_s <= 0 or maximum <= 0:
            return
        self._left, self._left_at = available, self._clock()
        if (maximum, restore_per_s) != (self._size, self._rate):
            self._size, self._rate = maximum, restore_per_s
            self._bucket = AsyncLimiter(maximum, maximum / restore_per_s)
            self._born_full = True

    async def _take(self, cost: float) -> None:
        """Tokens of the bucket that is in force, with the gate open, at the moment of having them."""
        while True:
            while (closed_s := self._closed_until_s - anyio.current_time()) > 0:
                await rest(closed_s)
            # The bucket may have shrunk since this call queued.
            self._refuse_oversize(cost)
            bucket = self._bucket
            with waiting(self.refill_s):
                if self._born_full:
                    # The other side's is not full. A new bucket holds this at once, without waiting.
                    self._born_full = False
                    await bucket.acquire(min(self._size, max(0.0, self._size - self.tokens_left)))
                await bucket.acquire(cost)
            if bucket is self._bucket and self._closed_until_s <= anyio.current_time():
                self._left, self._left_at = self.tokens_left - cost, self._clock()
                return

    def _refuse_oversize(self, cost: float) -> None:
        if cost > self._size:
            raise Refused(f"{self.spec.name}: a call of cost {cost:g} never fits a bucket of {self._size:g}")

    def _ticket(self, priority: Priority) -> _Ticket:
        self._numbers += 1
        if priority < Priority.ORDERS:
            return _Ticket(priority - len(Priority), self._numbers)
        patience_s = PATIENCE_S if priority is Priority.STOCK else 0.0
        return _Ticket(anyio.current_time() + patience_s, self._numbers)

    async def _turn(self, ticket: _Ticket) -> None:
        if not self._held and not self._queue:
            self._held = True
            return
        ticket.turn = anyio.Event()
        heapq.heappush(self._queue, ticket)
        self._wait(ticket)
        try:
            await ticket.turn.wait()
        except BaseException:
            if ticket.turn.is_set():
                self._pass_on()
            else:
                self._queue.remove(ticket)
                heapq.heapify(self._queue)
            raise

    def _wait(self, ticket: _Ticket) -> None:
        """Whoever waits is heard of whenever the lane moves. Whoever is first may wait for gate and bucket, for its
        door, and for gate and bucket once more.
        """
        if ticket.task is not None:
            ticket.task.heard(2 * (self.refill_s + MAX_GATE_MS / 1000) + self._door_s + SLACK_S)

    def _pass_on(self) -> None:
        if self._queue:
            for ticket in self._queue:
                self._wait(ticket)
            heapq.heappop(self._queue).turn.set()
        else:
            self._held = False
