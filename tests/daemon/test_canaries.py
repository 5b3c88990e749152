"""A large set of changes on its way: what begins it, what counts as read back, and what stops it."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import anyio
import pytest
from typing_extensions import override

from reconcilerd.connectors.port import Emit, Page, WriteAnswer
from reconcilerd.daemon.canaries import OVERDUE_S, Canaries
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    OrderLine,
    OrderObserved,
    OrderStatus,
    Outcome,
    SlotObserved,
    SlotState,
    SweepRead,
)
from reconcilerd.domain.names import FeedName, Instant, OrderKey, SlotKey
from reconcilerd.simulator.virtual_time import run_virtual
from tests.daemon.test_executor import NOW, UK, Shift, Store

OVER = 3
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
        limits = replace(book.policy.limits, canary_over=OVER, canary_first=FIRST, canary_second=1)
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

    async def took(self, went: Sequence[CorrectionPlanned]) -> None:
        await self.canaries.sent([WriteAnswer(each, Outcome.APPLIED, "") for each in went])

    async def go(self, waiting: Sequence[CorrectionPlanned]) -> list[str]:
        """Send what may go of these; which that is."""
        went = self.canaries.let_go(waiting)
        await self.took(went)
        return [each.id for each in went]

    async def read_back(self) -> None:
        await self.canaries.read()
        await self.canaries.judge()

    @property
    def latched(self) -> frozenset[str]:
        return self.desk.book.latches.on(Instant(self.now))

    async def goes(self, waiting: Sequence[CorrectionPlanned]) -> list[str]:
        await self.read_back()
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
    await scene.read_back()
    assert scene.desk.book.latches.on(Instant(scene.now)) == {"canary:uk"}


@pytest.mark.parametrize("compares", [True, False])
async def test_what_is_read_as_before_stops_the_rest_once_the_write_must_have_taken_effect(
    compares: bool,
) -> None:
    """Where a channel compares at once: its answer tells that it did. Elsewhere within the longest time."""
    scene = Scene(compares=compares)
    rest = await scene.began(Outcome.APPLIED if compares else Outcome.ACCEPTED)
    scene.read.shows = {"a": (5, NOW), "b": (1, NOW)}
    if not compares:
        scene.now += APPLY_MAX_MS - 1
        assert await scene.goes(rest) == []
        assert scene.latched == frozenset()
        scene.now += 1
    await scene.read_back()
    assert scene.latched == {"canary:uk"}


async def test_once_it_has_stopped_nothing_goes_but_what_orders_explain() -> None:
    """Though the batch that was not read back as written had room for more."""
    scene = Scene()
    await scene.go(scene.changes("abc"))
    assert await scene.go(scene.changes("d")) == ["d"]
    scene.read.shows = {"d": (500, NOW)}
    assert await scene.goes([*scene.changes("e"), *scene.changes("f", unexplained=0)]) == ["f"]
    assert scene.latched == {"canary:uk"}


async def test_what_sold_since_the_change_was_decided_counts_as_read_back() -> None:
    """A raise to nine of which five were sold before it was answered shows four; all orders of that time are known."""
    scene = Scene()
    waiting = [replace(each, target=9) for each in scene.changes("abcd")]
    await scene.took(scene.canaries.let_go(waiting))
    placed, asked = Instant(NOW - 500), Instant(NOW)
    key, lines = OrderKey(UK, "1"), (OrderLine("a", 5),)
    began = Instant(NOW + scene.desk.book.policy.channels[UK].order_lag_ms)
    scene.desk.fold(
        [
            OrderObserved("uk", key, placed, asked, OrderStatus.OPEN, "", lines, asked),
            SweepRead(FeedName("uk.orders"), began, began, True, 1, 1),
        ]
    )
    scene.read.shows = {"a": (4, NOW), "b": (9, NOW)}
    assert await scene.goes(waiting[FIRST:]) == ["c"]
    assert not scene.canaries.stopped


async def test_a_set_is_not_over_while_a_part_of_it_is_to_be_read_back() -> None:
    scene = Scene()
    rest = await scene.began()
    scene.canaries.over()
    assert await scene.goes(rest) == [], "they wait for the first two"


async def test_what_is_not_read_in_time_stops_the_rest_though_another_is_as_it_was_written() -> None:
    scene = Scene()
    await scene.began()
    scene.now += APPLY_MAX_MS + 1
    scene.read.shows = {"b": (1, scene.now)}
    await scene.read_back()
    assert scene.latched == {"canary:uk"}


async def test_what_we_wrote_anew_before_it_was_read_back_speaks_neither_against_a_set_nor_for_it() -> None:
    """Raised to nine, then sold out elsewhere and lowered to nothing: another is read back in its place."""
    scene = Scene()
    waiting = [replace(each, target=9) for each in scene.changes("abcd")]
    assert await scene.go(waiting) == ["a", "b"]
    assert await scene.go([scene.plan("sold out", 0, listing="a"), *waiting[2:]]) == ["sold out"]
    scene.read.shows = {"a": (0, NOW), "b": (9, NOW)}
    await scene.read_back()
    assert scene.latched == frozenset()
    assert await scene.go(waiting[2:]) == ["c"]
    assert await scene.goes(waiting[3:]) == [], "the second of the first batch is not read back yet"
    scene.read.shows["c"] = (9, NOW)
    assert await scene.goes(waiting[3:]) == ["d"]


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.STALE, Outcome.REFUSED])
async def test_a_newer_change_that_was_not_made_leaves_the_one_before_to_be_read_back(
    outcome: Outcome,
) -> None:
    scene = Scene()
    await scene.began()
    await scene.canaries.sent([WriteAnswer(scene.plan("newer", 0), outcome, "")])
    scene.read.shows = {"a": (5, NOW), "b": (1, NOW)}
    await scene.read_back()
    assert scene.latched == {"canary:uk"}


async def test_a_change_that_did_not_take_and_is_planned_again_stops_the_rest_all_the_same() -> None:
    scene = Scene()
    rest = await scene.began()
    again = replace(scene.plan("again", 1), unexplained=4)
    assert await scene.go([again, *rest]) == []
    scene.read.shows = {"a": (5, NOW), "b": (1, NOW)}
    await scene.read_back()
    assert scene.latched == {"canary:uk"}


async def test_where_all_was_written_anew_the_next_that_comes_is_read_back_first() -> None:
    scene = Scene()
    await scene.began()
    await scene.took([scene.plan("a2", 0, listing="a"), scene.plan("b2", 0, listing="b")])
    scene.canaries.over()
    assert await scene.go(scene.changes("efg")) == ["e", "f"], "nothing spoke for the two before"


async def test_changes_that_come_a_few_at_a_time_are_one_large_set() -> None:
    scene = Scene()
    assert await scene.go(scene.changes("ab")) == ["a", "b"]
    scene.canaries.over()
    assert await scene.go(scene.changes("c")) == ["c"]
    scene.canaries.over()
    waiting = scene.changes("def")
    assert await scene.go(waiting) == ["d", "e"]
    assert await scene.goes(waiting[2:]) == [], "it waits for the two before"


@pytest.mark.parametrize("set_back_ms", [0, 3_600_000])
@pytest.mark.parametrize(("ago_ms", "begins"), [(0, False), (1, True)])
async def test_what_was_changed_counts_for_one_window(set_back_ms: int, ago_ms: int, begins: bool) -> None:
    """However far the clock was set back since."""
    scene = Scene()
    await scene.go(scene.changes("abc"))
    scene.now -= set_back_ms
    await scene.goes(scene.changes("a"))
    scene.now += scene.desk.book.policy.limits.window_ms - ago_ms
    assert await scene.goes(scene.changes("def")) == (["d", "e"] if begins else ["d", "e", "f"])


async def test_a_slot_that_is_changed_again_and_again_is_no_large_set() -> None:
    scene = Scene()
    for _ in range(2 * OVER):
        assert await scene.go(scene.changes("ab")) == ["a", "b"]
    assert await scene.go(scene.changes("c")) == ["c"]


async def test_neither_what_orders_explain_nor_what_did_not_take_counts_towards_a_large_set() -> None:
    scene = Scene()
    await scene.go(scene.changes("abcd", unexplained=0))
    refused = [WriteAnswer(each, Outcome.REFUSED, "") for each in scene.changes("efgh")]
    await scene.canaries.sent(refused)
    assert await scene.go(scene.changes("ijk")) == ["i", "j", "k"]


@pytest.mark.parametrize("few", ["d", "de"])
@pytest.mark.parametrize("explained", ["", "x"])
async def test_what_was_read_back_well_speaks_for_all_that_went_before(few: str, explained: str) -> None:
    """A busy day is looked at now and then, and never held for long."""
    scene = Scene()
    await scene.go(scene.changes("abc"))
    assert await scene.go(scene.changes(few)) == list(few)
    scene.canaries.over()
    scene.read.shows = dict.fromkeys(few, (1, NOW))
    assert await scene.goes(scene.changes(explained, unexplained=0)) == list(explained)
    if not explained:
        scene.canaries.over()
    assert await scene.go(scene.changes("ijk")) == ["i", "j", "k"]


async def test_what_was_not_read_back_as_written_speaks_for_nothing_that_went_before() -> None:
    """Whatever was as written beside it: once a person has looked, the next goes in small batches again."""
    scene = Scene()
    await scene.go(scene.changes("abc"))
    await scene.go(scene.changes("de"))
    scene.read.shows = {"d": (1, NOW), "e": (500, NOW)}
    await scene.read_back()
    scene.canaries.over()
    assert await scene.go(scene.changes("ijk")) == ["i", "j"]


async def test_the_rest_of_a_set_goes_at_once_however_much_it_is_and_what_comes_then_is_another() -> None:
    scene = Scene()
    waiting = scene.changes("abcdefgh")
    scene.read.shows = dict.fromkeys("abc", (1, NOW))
    for batch in (waiting[:FIRST], waiting[FIRST:3]):
        assert await scene.go(waiting) == [each.id for each in batch]
        waiting = waiting[len(batch) :]
        await scene.read_back()
    assert await scene.goes(waiting) == ["d", "e", "f", "g", "h"]
    await scene.took(waiting[:3])
    assert await scene.goes([*waiting[3:], *scene.changes("ijk")]) == ["g", "h", "i", "j", "k"]
    assert len(await scene.goes([*waiting[3:], *scene.changes("ijkl")])) == FIRST


async def test_a_clock_that_was_set_back_puts_off_no_reading_back() -> None:
    scene = Scene()
    rest = await scene.began()
    scene.now -= 3_600_000
    scene.read.shows = {"a": (1, scene.now), "b": (1, scene.now)}
    assert await scene.goes(rest) == ["c"]


def test_what_went_first_is_read_back_though_nothing_comes_after_it() -> None:
    """Later it may have sold, by orders that nobody knows yet."""

    async def main() -> None:
        scene = Scene()
        async with anyio.create_task_group() as group:
            group.start_soon(scene.executor.run)
            scene.executor.put(scene.changes("abcde"[:OVER]))
            await scene.executor.drained()
            scene.executor.put(scene.changes("d"))
            await scene.executor.drained()
            assert scene.latched == frozenset()
            scene.read.shows = {"d": (500, NOW)}
            await anyio.sleep(2)
            assert scene.latched == {"canary:uk"}
            group.cancel_scope.cancel()

    run_virtual(main)


@pytest.mark.parametrize("sold", [1, 0])
async def test_a_raise_that_may_have_sold_already_waits_for_the_orders_of_that_time(sold: int) -> None:
    """Five became six, and it shows five: that is what it was before, or a customer was quick."""
    scene = Scene()
    waiting = [replace(each, target=6) for each in scene.changes("abcd")]
    await scene.took(scene.canaries.let_go(waiting))
    scene.read.shows = {"a": (5, NOW + 5), "b": (6, NOW + 5)}
    assert await scene.goes(waiting[2:]) == []
    scene.read.shows = {"a": (3, NOW + 60_000), "b": (6, NOW + 60_000)}
    scene.now += 60_000
    assert await scene.goes(waiting[2:]) == []
    assert not scene.latched
    book, at = scene.desk.book, Instant(NOW + 5)
    lag = book.policy.channels[UK].order_lag_ms
    for number in range(sold):
        key, lines = OrderKey(UK, str(number)), (OrderLine("a", 1),)
        book.take(OrderObserved("uk", key, at, at, OrderStatus.OPEN, "", lines, at))
    began = Instant(NOW + 5 + lag)
    book.take(SweepRead(FeedName("uk.orders"), began, began, True, 0, 0))
    assert await scene.goes(waiting[2:]) == (["c"] if sold else [])
    assert bool(scene.latched) is not bool(sold)


async def test_what_no_sale_could_have_taken_stops_the_rest_at_once() -> None:
    scene = Scene()
    waiting = [replace(each, target=90) for each in scene.changes("abcd")]
    await scene.took(scene.canaries.let_go(waiting))
    scene.read.shows = {"a": (5, NOW + 5), "b": (90, NOW + 5)}
    assert await scene.goes(waiting[2:]) == []
    assert scene.latched == {"canary:uk"}


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.ACCEPTED])
@pytest.mark.parametrize("took", [True, False])
async def test_only_an_answer_that_says_a_write_took_effect_is_held_to_it_at_once(
    outcome: Outcome, took: bool
) -> None:
    """Where a channel compares too: after a lost answer the store may still be at work on it."""
    scene = Scene()
    rest = await scene.began(outcome)
    scene.now += APPLY_MAX_MS - 1
    scene.read.shows = {"a": (5, NOW + 1), "b": (1, NOW + 1)}
    assert await scene.goes(rest) == []
    assert scene.latched == frozenset()
    scene.now += 1
    if took:
        scene.read.shows["a"] = (1, scene.now)
    assert await scene.goes(rest) == (["c"] if took else [])
    assert scene.latched == (frozenset() if took else {"canary:uk"})


class Raised(Scene):
    """Four raises from five to six: where one shows five a customer may have been quick."""

    @override
    async def began(self, outcome: Outcome = Outcome.APPLIED) -> list[CorrectionPlanned]:
        waiting = [replace(each, target=6) for each in self.changes("abcd")]
        await self.canaries.sent([WriteAnswer(each, outcome, "") for each in self.canaries.let_go(waiting)])
        return waiting[FIRST:]

    def orders_read(self, through: int, *sold: int) -> None:
        """All orders up to a moment are known; one unit of "a" was sold at each of these."""
        for at in map(Instant, sold):
            key, lines = OrderKey(UK, str(at)), (OrderLine("a", 1),)
            self.desk.fold([OrderObserved("uk", key, at, at, OrderStatus.OPEN, "", lines, at)])
        began = Instant(through + self.desk.book.policy.channels[UK].order_lag_ms)
        self.desk.book.take(SweepRead(FeedName("uk.orders"), began, began, True, 0, 0))


@pytest.mark.parametrize("outcome", [Outcome.APPLIED, Outcome.UNKNOWN])
async def test_what_a_later_reading_shows_as_written_is_written(outcome: Outcome) -> None:
    """Whatever was read before it, and whatever the orders of that time say."""
    scene = Raised()
    rest = await scene.began(outcome)
    scene.read.shows = {"a": (5, NOW + 5), "b": (6, NOW + 5)}
    assert await scene.goes(rest) == []
    scene.now += APPLY_MAX_MS
    scene.read.shows["a"] = (6, scene.now)
    scene.orders_read(scene.now)
    assert await scene.goes(rest) == ["c"]
    assert scene.latched == frozenset()


@pytest.mark.parametrize("sold", [True, False])
async def test_what_was_read_before_a_write_must_have_had_its_effect_is_no_witness_against_it(
    sold: bool,
) -> None:
    """It showed five then, for it was still to come, and six after that, of which one was sold."""
    scene = Raised()
    rest = await scene.began(Outcome.UNKNOWN)
    scene.read.shows = {"a": (5, NOW + 5), "b": (6, NOW + 5)}
    assert await scene.goes(rest) == []
    scene.now += APPLY_MAX_MS
    scene.read.shows["a"] = (5, scene.now)
    scene.orders_read(NOW + 5)
    assert await scene.goes(rest) == []
    assert scene.latched == frozenset()
    scene.orders_read(scene.now, *([scene.now - 1] if sold else []))
    assert await scene.goes(rest) == (["c"] if sold else [])
    assert scene.latched == (frozenset() if sold else {"canary:uk"})


def test_orders_that_are_not_read_at_all_are_waited_for_no_longer_than_a_reading_may_be_old() -> None:
    """And five minutes, which a machine that slept has to read them first."""

    async def main() -> None:
        scene = Scene()
        waiting = [replace(each, target=6) for each in scene.changes("abcd")]
        await scene.took(scene.canaries.let_go(waiting))
        scene.read.shows = {"a": (5, NOW), "b": (6, NOW)}
        book = scene.desk.book
        scene.now += book.policy.channels[UK].order_lag_ms + book.policy.ages.max_age_ms
        for passed_ms, slept_s, stops in (
            (0, OVERDUE_S, False),
            (1, 0, False),
            (1, OVERDUE_S - 1, False),
            (1, 1, True),
        ):
            scene.now += passed_ms
            await anyio.sleep(slept_s)
            assert await scene.goes(waiting[FIRST:]) == []
            assert bool(scene.latched) is stops
        evidence = book.latches.known["canary:uk"].evidence
        assert evidence.endswith("as 5, and the orders of that time are not read")

    run_virtual(main)


async def test_a_person_is_told_the_number_that_no_order_explains() -> None:
    """And not the newest one, of which nobody can tell yet."""
    scene = Raised()
    rest = await scene.began()
    scene.read.shows = {"a": (5, NOW), "b": (6, NOW)}
    assert await scene.goes(rest) == []
    scene.now += 1_000
    scene.read.shows["a"] = (4, scene.now)
    scene.orders_read(NOW)
    assert await scene.goes(rest) == []
    told = [latch.evidence for latch in scene.desk.book.latches.standing(Instant(scene.now))]
    assert told == ["uk/a/ was written 6 and was read back as 5"]


async def test_a_clock_that_was_set_back_puts_off_no_judgement_on_what_may_have_sold() -> None:
    scene = Raised()
    rest = await scene.began()
    scene.read.shows = {"a": (5, NOW), "b": (6, NOW)}
    assert await scene.goes(rest) == []
    at = scene.now = NOW - 3_600_000
    scene.read.shows["a"] = (5, at)
    assert await scene.goes(rest) == []
    assert scene.latched == frozenset()
    scene.now += scene.desk.book.policy.channels[UK].order_lag_ms
    scene.orders_read(at)
    await scene.read_back()
    assert scene.latched == {"canary:uk"}
