"""A lane under any traffic, in virtual time: order, rate, gate, and no turn lost by those who leave.

A script says who comes when, with which priority and cost, and who loses patience; the trace is judged afterwards.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Final

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant
from reconcilerd.errors import Refused, TryLater
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.simulator.wire import Bucket
from reconcilerd.transport.client import Call, Client, RetryRule
from reconcilerd.transport.lane import MAX_GATE_MS, PATIENCE_S, SLOWED_S, SLOWEST, Lane, LaneSpec, Priority

START: Final = Instant(1_000_000)
RATE, BURST = 4.0, 8.0
CLOSE_S: Final = 2e-3
"""What a clock of microseconds and floats may blur."""

FEWER: Final = settings(max_examples=max(20, settings.default.max_examples // 4))  # type: ignore[union-attr]


@dataclass(frozen=True, slots=True)
class Caller:
    at_s: float
    priority: Priority
    cost: int
    patience_s: float | None = None
    door_s: float = 0.0
    """How long it must wait for something else once it has its tokens."""


@dataclass
class Trace:
    """When each caller had its tokens, or left without."""

    granted: dict[int, float] = field(default_factory=dict)
    left: dict[int, float] = field(default_factory=dict)
    ended: float = 0.0


callers = st.lists(
    st.builds(
        Caller,
        st.integers(0, 20_000).map(lambda ms: ms / 1000),
        st.sampled_from(Priority),
        st.integers(1, int(BURST)),
        st.none() | st.none() | st.integers(1, 9_000).map(lambda ms: ms / 1000),
    ),
    min_size=1,
    max_size=25,
    unique_by=lambda each: each.at_s,
)
gates = st.lists(
    st.tuples(st.integers(0, 20_000).map(lambda ms: ms / 1000 + 0.0005), st.integers(0, 8_000)), max_size=3
)


doors = st.lists(st.sampled_from([4.0, 0.5, 0.0]), min_size=25, max_size=25)


def behind_doors(script: list[Caller], doors_s: list[float]) -> list[Caller]:
    return [replace(each, door_s=door_s) for each, door_s in zip(script, doors_s, strict=False)]


def virtual(main: Callable[[VirtualClock], Awaitable[None]]) -> None:
    async def run() -> None:
        await main(VirtualClock(START))

    run_virtual(run)


def played(script: list[Caller], closings: list[tuple[float, int]] = []) -> Trace:  # noqa: B006 - read only
    """The script from beginning to end."""
    trace = Trace()

    async def main(clock: VirtualClock) -> None:
        lane = Lane(LaneSpec("x", RATE, BURST), clock)

        async def one(number: int, caller: Caller) -> None:
            await anyio.sleep_until(caller.at_s)
            with anyio.move_on_after(caller.patience_s) as scope:
                door = partial(anyio.sleep, caller.door_s) if caller.door_s else None
                await lane.acquire(caller.priority, caller.cost, door)
                trace.granted[number] = anyio.current_time()
            if scope.cancelled_caught:
                trace.left[number] = anyio.current_time()

        async def close(at_s: float, ms: int) -> None:
            await anyio.sleep_until(at_s)
            lane.retry_after(ms)

        async with anyio.create_task_group() as group:
            for number, caller in enumerate(script):
                group.start_soon(one, number, caller)
            for at_s, ms in closings:
                group.start_soon(close, at_s, ms)
        began = anyio.current_time()
        await lane.acquire(Priority.STOCK, BURST)
        assert anyio.current_time() - began <= BURST / RATE + MAX_GATE_MS / 1000 + CLOSE_S, "a turn was lost"
        assert lane.sent == len(trace.granted) + 1
        trace.ended = began

    virtual(main)
    return trace


@FEWER
@given(callers, gates, doors)
def test_nobody_is_forgotten_and_nobody_who_left_is_served(
    script: list[Caller], closings: list[tuple[float, int]], doors_s: list[float]
) -> None:
    trace = played(behind_doors(script, doors_s), closings)
    assert trace.granted.keys() | trace.left.keys() == set(range(len(script)))
    assert not trace.granted.keys() & trace.left.keys()
    assert all(script[number].patience_s is not None for number in trace.left)


@FEWER
@given(callers, gates)
def test_in_no_window_are_more_tokens_spent_than_the_bucket_and_its_refill(
    script: list[Caller], closings: list[tuple[float, int]]
) -> None:
    taken = sorted((at, script[number].cost) for number, at in played(script, closings).granted.items())
    for first, (begin, _) in enumerate(taken):
        spent = 0
        for end, cost in taken[first:]:
            spent += cost
            assert spent <= BURST + RATE * (end - begin) + RATE * CLOSE_S


def overtaken(script: list[Caller], trace: Trace) -> Iterator[tuple[Caller, Caller]]:
    """Each who was let through, and each who waited beside it when the turn was free and was not."""
    order = sorted(trace.granted, key=lambda number: (trace.granted[number], script[number].at_s))
    for before, number in pairwise([None, *order]):
        mine = script[number]  # type: ignore[index]
        free = mine.at_s if before is None else max(mine.at_s, trace.granted[before])
        for other, caller in enumerate(script):
            gone = trace.left.get(other, trace.granted.get(other, 0.0))
            if caller.at_s < free - CLOSE_S and gone > trace.granted[number] + CLOSE_S:  # type: ignore[index]
                yield mine, caller


def rank(caller: Caller) -> tuple[float, float]:
    """Lowering before raising before every reading; of two readings that of stock asked ``PATIENCE_S`` earlier."""
    if caller.priority < Priority.ORDERS:
        return caller.priority - 10, caller.at_s
    return caller.at_s + PATIENCE_S * (caller.priority is Priority.STOCK), caller.at_s


@FEWER
@given(callers)
def test_the_more_urgent_goes_first_and_of_equals_who_came_first(script: list[Caller]) -> None:
    for mine, other in overtaken(script, played(script)):
        assert rank(mine) <= rank(other)


@FEWER
@given(callers, gates)
def test_no_reading_goes_before_a_write_and_no_raise_before_a_lowering(
    script: list[Caller], closings: list[tuple[float, int]]
) -> None:
    """However often the other side turned calls away."""
    for mine, other in overtaken(script, played(script, closings)):
        if other.priority < Priority.ORDERS:
            assert rank(mine) <= rank(other)


def test_who_leaves_at_the_very_moment_when_its_turn_comes_passes_it_on() -> None:
    async def main(clock: VirtualClock) -> None:
        lane, impatient = Lane(LaneSpec("x", RATE, BURST), clock), anyio.CancelScope()

        async def leave() -> None:
            with impatient:
                await lane.acquire(Priority.STOCK)

        async def door() -> None:
            await anyio.sleep(1)
            impatient.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(lane.acquire, Priority.STOCK, 1, door)
            await anyio.sleep(0.1)
            group.start_soon(leave)
            await anyio.sleep(0.1)
            with anyio.fail_after(60):
                await lane.acquire(Priority.STOCK)
        assert impatient.cancelled_caught
        assert lane.sent == 2

    virtual(main)


def test_stock_is_read_though_orders_are_asked_for_without_end() -> None:
    """Orders alone would take all that the limit has."""
    orders = [Caller(0.2 * number, Priority.ORDERS, 1) for number in range(400)]
    trace = played([Caller(5.0, Priority.STOCK, 1), *orders])
    assert trace.granted[0] <= 5.0 + 4 * PATIENCE_S


def test_a_write_waits_for_no_reading_that_is_spaced_out() -> None:
    async def main(_clock: VirtualClock) -> None:
        lane = Lane(LaneSpec("x", RATE, BURST), _clock)
        for _ in range(8):
            lane.turned_away()
            await anyio.sleep(SLOWED_S)
        await lane.acquire(Priority.STOCK)
        async with anyio.create_task_group() as group:
            group.start_soon(lane.acquire, Priority.ORDERS)
            await anyio.sleep(0.01)
            began_s = anyio.current_time()
            await lane.acquire(Priority.LOWER)
            assert anyio.current_time() == began_s
        assert anyio.current_time() - began_s == pytest.approx(1 / RATE / SLOWEST, rel=0.2)

    virtual(main)


@pytest.mark.parametrize(
    ("signs", "share"), [([1], 1 / 2), ([7], 1 / 2), ([1, 1], 1 / 4), ([5, 5, 5], 1 / 8)]
)
@pytest.mark.parametrize("cost", [1, 4])
def test_calls_turned_away_together_halve_the_rate_once_and_a_reading_leaves_room_by_its_cost(
    signs: list[int], share: float, cost: int
) -> None:
    """Several calls may be on their way when others use the limit up."""

    async def main(clock: VirtualClock) -> None:
        lane = Lane(LaneSpec("x", RATE, BURST), clock)
        for calls in signs:
            await anyio.sleep(SLOWED_S)
            for _ in range(calls):
                lane.turned_away()
        began_s = anyio.current_time()
        await lane.acquire(Priority.STOCK, cost)
        await lane.acquire(Priority.STOCK, cost)
        assert anyio.current_time() - began_s == pytest.approx(cost / (RATE * share), abs=CLOSE_S)

    virtual(main)


def shared(ours: int, seconds: float, *, polite: bool = True) -> tuple[list[int], int]:
    """Readings of each of several lanes that got through one limit, and how many it turned away."""
    through, away = [0] * ours, [0]

    async def main(clock: VirtualClock) -> None:
        limit = Bucket(RATE, BURST, clock)

        async def one(number: int) -> None:
            lane = Lane(LaneSpec("x", RATE, BURST), clock)
            while True:
                await lane.acquire(Priority.STOCK)
                await anyio.sleep(0.02 + 0.003 * number)
                if wait_s := limit.take():
                    away[0] += 1
                    lane.retry_after(wait_s * 1_000)
                    if not polite:
                        lane._pace = 1.0
                else:
                    through[number] += 1

        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                for number in range(ours):
                    group.start_soon(one, number)

    virtual(main)
    return through, away[0]


@pytest.mark.parametrize(("many", "turned_away"), [(2, 0.2), (3, 0.2), (5, 0.3)])
def test_those_who_draw_on_one_limit_share_it(many: int, turned_away: float) -> None:
    """Each gets a fair part, nearly all of the limit is used, and few calls are turned away."""
    through, away = shared(many, 600)
    _, greedy = shared(many, 600, polite=False)
    assert min(through) * many >= 0.5 * sum(through)
    assert sum(through) >= 0.7 * RATE * 600
    assert away <= turned_away * sum(through)
    assert away <= 0.35 * greedy


def test_alone_it_comes_back_to_all_of_the_rate() -> None:
    async def main(clock: VirtualClock) -> None:
        lane = Lane(LaneSpec("x", RATE, BURST), clock)
        lane.turned_away()
        for _ in range(40):
            await lane.acquire(Priority.STOCK)
        await anyio.sleep(BURST / RATE)
        began_s = anyio.current_time()
        for _ in range(int(BURST)):
            await lane.acquire(Priority.STOCK)
        assert anyio.current_time() - began_s < CLOSE_S

    virtual(main)


@FEWER
@given(callers, gates, doors)
def test_a_closed_gate_lets_nobody_through(
    script: list[Caller], closings: list[tuple[float, int]], doors_s: list[float]
) -> None:
    """Not even who had tokens before it closed, and waited for something else since."""
    granted = played(behind_doors(script, doors_s), closings).granted.values()
    for at_s, ms in closings:
        assert not [at for at in granted if at_s + CLOSE_S < at < at_s + ms / 1000 - CLOSE_S]


@FEWER
@given(callers)
def test_a_lane_never_idles_while_somebody_waits(script: list[Caller]) -> None:
    """Whoever leaves takes no turn along: the last is served when all tokens that were asked for have come back."""
    trace = played(script)
    if trace.granted:
        last = max(trace.granted.values())
        asked = sum(each.cost for each in script)
        assert last <= max(each.at_s for each in script) + asked / RATE + CLOSE_S * len(script)


@FEWER
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 400)), min_size=1, max_size=30), st.integers(5, 8)
)
def test_a_heavy_call_waits_for_those_before_it_and_for_nobody_after(
    light: list[tuple[int, int]], heavy: int
) -> None:
    """However many light ones of its own urgency keep coming."""
    before = [Caller(0.001 * i, Priority.STOCK, cost) for i, (cost, _) in enumerate(light)]
    after, at = [], 1.0
    for cost, gap in light * 3:
        at += gap / 1000
        after.append(Caller(at, Priority.STOCK, cost))
    script = [*before, Caller(0.9, Priority.STOCK, heavy), *after]
    granted = played(script).granted[len(before)]
    ahead = sum(each.cost for each in before) + heavy
    assert granted <= 0.9 + ahead / RATE + CLOSE_S * len(script)


@FEWER
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 120), st.integers(1, 20)), min_size=1, max_size=6),
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
)
def test_what_the_other_side_says_of_its_bucket_holds_from_then_on(
    words: list[tuple[int, int, int]], costs: list[int]
) -> None:
    """Size, what is left, rate: after the last word no more is spent than it leaves and what comes back since."""

    async def main(clock: VirtualClock) -> None:
        lane, taken, refused = Lane(LaneSpec("x", 10, 100, "cost"), clock), [], 0
        for size, left, rate in words:
            lane.told_bucket(size, min(size, left), rate)
        size, left, rate = words[-1]
        began = anyio.current_time()
        for cost in costs:
            if cost > lane.size:
                with pytest.raises(Refused, match=f"{lane.size:g}"):
                    await lane.acquire(Priority.RAISE, cost)
                refused += 1
            else:
                await lane.acquire(Priority.RAISE, cost)
                taken.append((anyio.current_time(), cost))
        changed = any((size, rate) != (100, 10) for size, _, rate in words)
        room = min(size, left) if changed else 100
        spent = 0
        for at, cost in taken:
            spent += cost
            assert spent <= max(room, 0) + rate * (at - began) + rate * CLOSE_S * (len(taken) + 1)
        assert len(taken) + refused == len(costs)
        assert lane.tokens_left + CLOSE_S * rate >= 0
        assert lane.tokens_left <= lane.size

    virtual(main)


@pytest.mark.parametrize("word", [(0, 5, 1), (100, 50, 0), (-1, 0, 1), (100, 0, -1)])
def test_a_bucket_that_cannot_be_is_not_believed(word: tuple[float, float, float]) -> None:
    async def main(clock: VirtualClock) -> None:
        lane = Lane(LaneSpec("x", 10, 100, "cost"), clock)
        lane.told_bucket(*word)
        assert lane.size == 100
        await lane.acquire(Priority.STOCK, 100)
        assert clock() == START

    virtual(main)


@pytest.mark.parametrize(("door_s", "leaves_at"), [(0.5, 0.5), (4.0, 9.0), (9.5, 9.5)])
def test_a_gate_that_closes_while_a_call_waits_at_its_door_holds_it(door_s: float, leaves_at: float) -> None:
    """The other side said at one second that it may be asked again in eight."""
    trace = played([Caller(0.0, Priority.LOWER, 1, door_s=door_s)], [(1.0, 8_000)])
    assert trace.granted[0] == pytest.approx(leaves_at, abs=CLOSE_S)


def test_who_leaves_a_closed_gate_gives_its_place_at_the_connections_back() -> None:
    asked: list[float] = []

    async def over_its_limit(_: httpx.Request) -> httpx.Response:
        asked.append(anyio.current_time())
        await anyio.sleep(5)
        return httpx.Response(429 if len(asked) == 1 else 200, headers={"retry-after": "30"}, json=[])

    async def main(clock: VirtualClock) -> None:
        lanes = [Lane(LaneSpec("x", RATE, BURST), clock)]
        call, transport = Call("GET", "/a", "x", Priority.STOCK), httpx.MockTransport(over_its_limit)
        sender = Client(
            "sys", "http://127.0.0.1", transport=transport, auth=None, lanes=lanes, clock=clock, gate=1,
            retry=RetryRule(tries=1, throttled=1),
        )  # fmt: skip

        async def throttled() -> None:
            with pytest.raises(TryLater):
                await sender.send(call)

        async def impatient() -> None:
            with anyio.move_on_after(10):
                await sender.send(call)

        async with anyio.create_task_group() as group:
            group.start_soon(throttled)
            group.start_soon(impatient)
        assert len(asked) == 1
        with anyio.fail_after(60):
            await sender.send(call)
        assert asked[1] == pytest.approx(35, abs=0.1)

    virtual(main)
