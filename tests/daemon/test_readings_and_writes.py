"""One channel, one executor, one feed: whatever a reply holds, a write gets an answer and a reading an end."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from types import MappingProxyType
from typing import Any

import anyio
import pytest

from reconcilerd.connectors.port import Emit, Page
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.executors import DENIED_REST_S, Executor
from reconcilerd.daemon.pollers import BACKOFF_CAP_S, Pace, poll, read_once
from reconcilerd.daemon.rereads import Rereads
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import Fact, SweepRead
from reconcilerd.domain.names import FeedName, Instant
from reconcilerd.domain.policy import ChannelRule, Policy
from reconcilerd.errors import Denied, LedgerFault, ReconcilerdError, TryLater
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call
from reconcilerd.transport.replies import Reply
from tests.connectors.store import PLACE, UK, Shop, shop
from tests.simulator.builders import Desk as Business
from tests.simulator.builders import world_of

SLOTS = FeedName("uk.slots")


class Nowhere:
    """A journal that keeps nothing."""

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        return 1


async def nobody(channel: str, why: str | None) -> None:
    """Is told of refused credentials."""


def desk_of(here: Shop) -> Desk:
    rule = ChannelRule(compare_and_set=True, places=MappingProxyType({PLACE: frozenset()}))
    policy = Policy("test", MappingProxyType({}), MappingProxyType({UK: rule}))
    return Desk(Book(policy), Nowhere(), here.wire.desk.clock)


async def wrote(here: Shop, desk: Desk) -> None:
    """Nine for five, by an executor, on what was just read."""
    executor = Executor(here.connector, desk, lambda _: None, nobody)
    slot = here.slot("a")
    await here.connector.read_slots([slot], desk.page)
    based_on = desk.book.slots[slot].as_of
    correction = replace(here.correction("a", 5, 9), based_on=based_on, at=here.wire.desk.clock())
    desk.fold([correction])
    executor.put([correction])
    await executor.work_once()


def open_writes(here: Shop, desk: Desk) -> list[tuple[int, bool]]:
    return [(each.target, each.answered) for each in desk.book.slots[here.slot("a")].open]


@pytest.mark.parametrize("extensions", [{"cost": {"throttleStatus": {}}}, {"cost": []}, [], None])
async def test_what_a_write_cost_is_worth_no_answer(extensions: object) -> None:
    def spoil(ask: dict[str, Any], body: dict[str, Any]) -> Any:
        return {**body, "extensions": extensions} if "SetQuantities" in ask["query"] else body

    here = shop(Business(world_of({"a": 5})), spoil)
    desk = desk_of(here)
    await wrote(here, desk)
    assert open_writes(here, desk) == []
    assert desk.book.slots[here.slot("a")].value == 9


async def test_a_bug_on_the_way_leaves_no_write_open_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    here = shop(Business(world_of({"a": 5})))
    desk = desk_of(here)

    async def broken(*_: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(here.connector, "write", broken)
    await wrote(here, desk)
    assert open_writes(here, desk) == [(9, True)]
    here.wire.desk.clock.pass_by(60_000)
    await here.connector.read_slots([here.slot("a")], desk.page)
    assert open_writes(here, desk) == []


async def test_a_reading_that_was_asked_for_before_the_write_left_is_older_than_its_answer() -> None:
    here = shop(Business(world_of({"a": 5})))
    desk, clock = desk_of(here), here.wire.desk.clock
    late: list[Page] = []
    send = here.wire.send

    async def keep(page: Page) -> None:
        late.append(page)

    async def slow(call: Call) -> Reply:
        if isinstance(call.json, dict) and "SetQuantities" in call.json["query"]:
            clock.pass_by(300)
            await here.connector.read_slots([here.slot("a")], keep)
            clock.pass_by(700)
        return await send(call)

    here.wire.send = slow  # type: ignore[method-assign]
    await wrote(here, desk)
    clock.pass_by(200)
    for page in late:
        await desk.page(page)
    assert desk.book.slots[here.slot("a")].value == 9
    assert not desk.book.slots[here.slot("a")].inferred


async def test_refused_credentials_are_no_fault_of_any_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    here = shop(Business(world_of({"a": 5})))
    desk = desk_of(here)

    async def denied(*_: object) -> Any:
        raise Denied("the app lacks write_inventory")

    monkeypatch.setattr(here.connector, "write", denied)
    await wrote(here, desk)
    track = desk.book.slots[here.slot("a")]
    assert (track.open, track.refused, track.not_before) == ((), 0, 0)


def test_a_channel_that_refuses_credentials_is_left_in_peace_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    async def main() -> None:
        clock = VirtualClock(Instant(1_000_000))
        here = shop(Business(world_of({"a": 5})))
        desk = desk_of(here)
        await here.connector.read_slots([here.slot("a")], desk.page)

        async def denied(*_: object) -> Any:
            asked.append(clock())
            raise Denied("no")

        monkeypatch.setattr(here.connector, "write", denied)
        executor = Executor(here.connector, desk, lambda _: None, nobody)

        async def put(id_: str) -> None:
            again = replace(here.correction("a", 5, 9), id=id_)
            desk.fold([again])
            executor.put([again])

        with anyio.move_on_after(DENIED_REST_S * 2 + 1):
            async with anyio.create_task_group() as group:
                group.start_soon(executor.run)
                for number in range(1_000):
                    await put(str(number))
                    await anyio.sleep(0.1)

    run_virtual(main)
    assert len(asked) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"data": {}},
        {"data": {"inventoryItems": None}},
        {"data": {"inventoryItems": {"nodes": []}}},
        {"data": 1},
    ],
    ids=str,
)
async def test_a_reply_that_nobody_thought_of_is_an_incomplete_reading(body: dict[str, Any]) -> None:
    here = shop(Business(world_of({"a": 5})), lambda _ask, _body: body)
    desk = desk_of(here)
    complete, error = await read_once(here.connector, SLOTS, desk, whole=True)
    assert not complete
    assert error is not None
    assert not desk.book.tried[SLOTS].complete


def test_a_source_that_asks_for_a_week_is_asked_again_within_minutes() -> None:
    asked: list[int] = []

    class Source:
        name = "extensiv"
        feeds = (FeedName("extensiv.orders"),)

        async def sweep(self, feed: FeedName, cursor: str, emit: Emit, **_: object) -> SweepRead:
            asked.append(1)
            raise TryLater("later", after_ms=7 * 86_400_000 if len(asked) == 1 else None)

    async def trouble(feed: FeedName, error: ReconcilerdError | None) -> None:
        assert error is not None

    async def main() -> None:
        clock = VirtualClock(Instant(1_000_000))
        desk = Desk(Book(Policy("test", MappingProxyType({}), MappingProxyType({}))), Nowhere(), clock)
        with anyio.move_on_after(BACKOFF_CAP_S * 1.2):
            await poll(Source(), Source.feeds[0], Pace(60), desk, Random(1), trouble, Rereads())

    run_virtual(main)
    assert len(asked) >= 2


def polled(pace: Pace, answers: Sequence[ReconcilerdError | None], for_s: float) -> list[tuple[float, bool]]:
    """When one feed is read (seconds from the start), and whether whole; each time it answers as it is told to."""
    asked: list[tuple[float, bool]] = []

    async def main() -> None:
        clock = VirtualClock(Instant(1_000_000))
        began = clock()
        desk = Desk(Book(Policy("test", MappingProxyType({}), MappingProxyType({}))), Nowhere(), clock)

        class Source:
            name = "extensiv"
            feeds = (FeedName("extensiv.orders"),)

            async def sweep(
                self, feed: FeedName, cursor: str, emit: Emit, *, whole: bool = False
            ) -> SweepRead:
                asked.append(((clock() - began) / 1000, whole))
                error = answers[len(asked) - 1] if len(asked) <= len(answers) else None
                if error is not None:
                    raise error
                return SweepRead(feed, clock(), clock(), True, 1, 0, "", "1", full=whole)

        async def calm(feed: FeedName, error: ReconcilerdError | None) -> None: ...

        with anyio.move_on_after(for_s):
            await poll(Source(), Source.feeds[0], pace, desk, Random(1), calm, Rereads())

    run_virtual(main)
    return asked


def test_a_whole_reading_comes_when_it_is_due_and_after_one_that_failed_the_next_is_whole() -> None:
    whole = [each for _, each in polled(Pace(60, whole_every_s=290, jitter=0), (), 605)]
    assert whole == [True, *[False] * 4, True, *[False] * 4, True]
    failed = [TryLater("later"), None]
    assert [each for _, each in polled(Pace(60, whole_every_s=3_600, jitter=0), failed, 185)][:3] == [
        True,
        True,
        False,
    ]


def test_who_is_told_how_long_to_wait_waits_so_long() -> None:
    at = [when for when, _ in polled(Pace(60, jitter=0), [TryLater("later", after_ms=2_000)], 30)]
    assert at == [0, 2]


def test_who_asked_for_a_whole_reading_waits_for_no_reader_that_died() -> None:
    class Source:
        name = "extensiv"
        feeds = (FeedName("extensiv.orders"),)

        async def sweep(self, feed: FeedName, cursor: str, emit: Emit, **_: object) -> SweepRead:
            raise LedgerFault("the disk is full")

    async def trouble(feed: FeedName, error: ReconcilerdError | None) -> None:
        raise AssertionError

    async def main() -> None:
        clock, rereads = VirtualClock(Instant(1_000_000)), Rereads()
        desk = Desk(Book(Policy("test", MappingProxyType({}), MappingProxyType({}))), Nowhere(), clock)
        asked = rereads.ask(Source.feeds[0])
        with pytest.raises(LedgerFault):
            await poll(Source(), Source.feeds[0], Pace(60), desk, Random(1), trouble, rereads)
        assert asked.done.is_set()
        assert "see the log" in asked.why

    run_virtual(main)


@pytest.mark.parametrize("step_ms", [3_600_000, 30_000])
def test_a_clock_that_is_set_back_while_a_feed_is_read_puts_off_no_reading_of_it(step_ms: int) -> None:
    """Neither the next nor the next from the beginning."""
    began_s: list[float] = []
    whole_s: list[float] = []

    class Source:
        name = "uk"
        feeds = (SLOTS,)

        async def sweep(self, feed: FeedName, cursor: str, emit: Emit, *, whole: bool = False) -> SweepRead:
            began, began_at = clock(), anyio.current_time()
            began_s.append(began_at)
            if whole:
                whole_s.append(began_at)
            await anyio.sleep(2)
            if len(began_s) == 2:
                steps.append(step_ms)
            return SweepRead(feed, began, clock(), True, 0, 0, cursor="1", full=whole)

    async def calm(feed: FeedName, error: ReconcilerdError | None) -> None:
        assert error is None or "the clock was set back" in str(error)

    steps: list[int] = []
    ticks = VirtualClock(Instant(100_000_000))

    def clock() -> Instant:
        return Instant(ticks() - sum(steps))

    async def main() -> None:
        desk = Desk(Book(Policy("test", MappingProxyType({}), MappingProxyType({}))), Nowhere(), clock)
        with anyio.move_on_after(600):
            await poll(Source(), SLOTS, Pace(60, whole_every_s=300), desk, Random(1), calm, Rereads())

    run_virtual(main)
    apart = [later - earlier for earlier, later in pairwise(began_s)]
    assert max(apart) < 70
    assert max(later - earlier for earlier, later in pairwise([*whole_s, 600.0])) < 370
