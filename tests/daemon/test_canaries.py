"""A large set of changes on its way: what begins it, what counts as read back, and what stops it."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import pytest
from typing_extensions import override

from reconcilerd.connectors.port import Emit, Page, WriteAnswer
from reconcilerd.daemon.canaries import Canaries
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    OrderLine,
    OrderObserved,
    OrderStatus,
    Outcome,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.names import FeedName, Instant, OrderKey, SlotKey
from tests.daemon.test_executor import NOW, UK, Shift, Store

FIRST = 2
APPLY_MAX_MS = 5_000


class Read(Store):
    """Its slots show these numbers, as told of a moment; nothing is read of those that are not named."""

    def __init__(self) -> None:
        super().__init__()
        self.shows: dict[str, tuple[int, int]] = {}

    @override
    async def read_slots(self, slots: Sequence[SlotKey], emit: Emit) -> None:
        facts = [
            SlotObserved(each, each.listing, "", units, SlotState.BUYABLE, False, Instant(NOW), Instant(at))
            for each in slots
            if each.listing in self.shows
            for units, at in [self.shows[each.listing]]
        ]
        await emit(Page(FeedName("uk.slots"), tuple(facts)))


class Scene(Shift):
    """Changes of five to one; two of them go first where more than three wait that orders do not explain."""

    def __init__(self, *, compares: bool = True) -> None:
        self.read = Read()
        super().__init__(self.read, compares=compares)
        book = self.desk.book
        self.now: int = NOW
        rule = replace(book.policy.channels[UK], apply_max_ms=APPLY_MAX_MS)
        limits = replace(book.policy.limits, canary_over=3, canary_first=FIRST, canary_second=1)
        book.policy = replace(book.policy, channels=MappingProxyType({UK: rule}), limits=limits)
        self.desk.clock = lambda: Instant(self.now)
        self.canaries = Canaries(self.read, self.desk)

    def changes(self, names: str, unexplained: int = 4) -> list[CorrectionPlanned]:
        return [replace(self.plan(each, 1, listing=each), unexplained=unexplained) for each in names]

    async def began(self, outcome: Outcome = Outcome.APPLIED) -> list[CorrectionPlanned]:
        """The first of four changes went."""
        waiting = self.changes("abcd")
        went = self.canaries.let_go(waiting)
        assert [each.id for each in went] == ["a", "b"]
        await self.canaries.sent([WriteAnswer(each, outcome, "") for each in went])
        return waiting[FIRST:]

    async def goes(self, waiting: Sequence[CorrectionPlanned]) -> list[str]:
        await self.canaries.read_back()
        return [each.id for each in self.canaries.let_go(waiting)]


async def test_what_orders_explain_begins_no_canary_however_much_it_is() -> None:
    scene = Scene()
    waiting = [*scene.changes("abc"), *scene.changes("defgh", unexplained=0)]
    assert scene.canaries.let_go(waiting) == waiting


async def test_what_orders_explain_is_no_part_of_a_batch_that_is_read_back() -> None:
    scene = Scene()
    waiting = [*scene.changes("abcd"), *scene.changes("e", unexplained=0)]
    went = scene.canaries.let_go(waiting)
    assert [each.id for each in went] == ["a", "b", "e"]
    await scene.canaries.sent([WriteAnswer(each, Outcome.APPLIED, "") for each in went])
    scene.read.shows = {"a": (1, NOW), "b": (1, NOW)}
    assert await scene.goes(waiting[2:4]) == ["c"], "both of the first stage are, and the second begins"


@pytest.mark.parametrize("outcome", [Outcome.APPLIED, Outcome.ACCEPTED, Outcome.UNKNOWN])
async def test_whatever_may_have_taken_effect_is_read_back_before_more_goes(outcome: Outcome) -> None:
    scene = Scene()
    rest = await scene.began(outcome)
    assert await scene.goes(rest) == []
    scene.read.shows = {"a": (1, NOW), "b": (1, NOW)}
    assert await scene.goes(rest) == ["c"]


async def test_a_reading_that_tells_of_a_moment_before_the_answer_is_no_read_back() -> None:
    scene = Scene()
    rest = await scene.began()
    scene.read.shows = {"a": (5, NOW - 1), "b": (5, NOW - 1)}
    assert await scene.goes(rest) == []
    assert not scene.canaries.stopped, "it showed five then, whatever became of the write"


async def test_what_is_not_read_within_the_longest_time_stops_the_rest() -> None:
    scene = Scene()
    rest = await scene.began()
    scene.now += APPLY_MAX_MS
    assert await scene.goes(rest) == []
    assert scene.desk.book.latches.on(Instant(scene.now)) == frozenset()
    scene.now += 1
    await scene.canaries.read_back()
    assert scene.desk.book.latches.on(Instant(scene.now)) == {"canary:uk"}


async def test_what_sold_since_the_change_was_decided_counts_as_read_back() -> None:
    """A raise to nine of which three were sold before it was answered shows six."""
    scene = Scene()
    waiting = [replace(each, target=9) for each in scene.changes("abcd")]
    went = scene.canaries.let_go(waiting)
    await scene.canaries.sent([WriteAnswer(each, Outcome.APPLIED, "") for each in went])
    placed, asked = Instant(NOW - 500), Instant(NOW)
    key, lines = OrderKey(UK, "1"), (OrderLine("a", 5),)
    scene.desk.fold([OrderObserved("uk", key, placed, asked, OrderStatus.OPEN, "", lines, asked)])
    scene.read.shows = {"a": (4, NOW), "b": (9, NOW)}
    await scene.canaries.read_back()
    assert not scene.canaries.stopped


async def test_a_set_is_not_over_while_a_part_of_it_is_to_be_read_back() -> None:
    scene = Scene()
    rest = await scene.began()
    scene.canaries.over()
    assert await scene.goes(rest) == [], "they wait for the first two"
