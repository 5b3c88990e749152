"""This machine's clock is set back under a running daemon: nothing is decided by ages that are not so, nothing is deaf,
mute or full for as long as the clock was set back.
"""

from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path

import pytest

from reconcilerd.alerting.engine import Engine
from reconcilerd.cli.outward import Outward
from reconcilerd.connectors.port import Page
from reconcilerd.daemon import passes as passes_module
from reconcilerd.daemon.circuits import Circuits
from reconcilerd.daemon.desk import Awaits
from reconcilerd.daemon.health import MIRRORS_EVERY_MS, OFFLINE_AFTER_MS, Health
from reconcilerd.daemon.passes import DARK_LOOK_MS
from reconcilerd.daemon.surroundings import Around, Surroundings
from reconcilerd.daemon.sweeping import Sweeping
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    ConsentGiven,
    CorrectionSent,
    EndsMoved,
    EnvelopeApproved,
    Fact,
    FreezeSet,
    Outcome,
    RailLatched,
    SilenceSet,
    SlotObserved,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.feeds import STOCK_FEED, slots_feed
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import Instant, LocationName, SlotKey, after
from reconcilerd.domain.policy import Mode
from reconcilerd.ledger.releases import standing
from reconcilerd.ledger.store import Ledger
from tests.daemon.test_passes import FEEDS, A, B, Scene
from tests.daemon.test_passes import NOW as EARLY
from tests.domain.books import UK, swept

HOUR = 3_600_000
MINUTE = 60_000
BEFORE = Instant(EARLY + 24 * HOUR)
"""When the clock is set back, by the clock before."""


class Clocked(Scene):
    """The same two listings, with a clock that can be set."""

    def __init__(self, over: int = 10, **more: object) -> None:
        super().__init__(over, over, **more)  # type: ignore[arg-type]
        self.now = EARLY
        self.desk.clock = lambda: self.now
        self.desk.book.awake_since = Instant(EARLY - 900)

    def turn_to(self, now: int) -> None:
        self.now = Instant(now)

    def set_back(self, by_ms: int) -> None:
        self.turn_to(self.now - by_ms)

    async def on(self, ms: int) -> None:
        """Time goes on, and the clock is looked at."""
        self.turn_to(self.now + ms)
        await self.desk.take([])

    def slots(self, shown: int = 90) -> list[Fact]:
        return [sees(code, shown, self.now) for code in "ab"]

    def rows(self) -> list[Fact]:
        places = [(sku, LocationName(place)) for sku in (A, B) for place in "12"]
        return [StockObserved(sku, place, 50, 0, 0, self.now, self.now) for sku, place in places]

    def all_swept(self, *feeds: str) -> None:
        for feed in feeds or FEEDS:
            swept(self.desk.book, feed, self.now)


def sees(code: str, shown: int, at: Instant, age_of: Instant | None = None) -> SlotObserved:
    age_of = at if age_of is None else age_of
    return SlotObserved(SlotKey(UK, code), code, code, shown, SlotState.BUYABLE, False, age_of, at)


@pytest.mark.parametrize("noticed", [False, True])
async def test_a_pass_raises_nothing_on_what_was_read_an_hour_before_the_clock_was_set_back(
    noticed: bool,
) -> None:
    """Whether or not anything was taken in between: what was read then looked seconds old."""
    scene = Clocked(-10)
    await scene.on(HOUR)
    await scene.desk.take(scene.slots())
    scene.all_swept("uk.orders", "uk.slots", "extensiv.orders")
    assert await scene.pass_over(A, B) == []
    scene.set_back(HOUR - 15_000)
    if noticed:
        await scene.desk.take([])
        await scene.desk.take(scene.slots())
    assert await scene.pass_over(A, B) == []
    assert scene.desk.turned_back == scene.now
    await scene.desk.take([*scene.slots(), *scene.rows()])
    scene.all_swept()
    assert await scene.pass_over(A, B) == ["a", "b"]


async def test_each_slice_of_a_pass_looks_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Clocked(-10)
    await scene.on(HOUR)
    await scene.desk.take([*scene.slots(), *scene.rows()])
    scene.all_swept()
    monkeypatch.setattr(passes_module, "SLICE_MS", 0)
    append = scene.append

    async def slow(facts: object, note: str = "") -> int:
        if scene.desk.turned_back is None:
            scene.set_back(2_500)
        return await append(facts, note)  # type: ignore[arg-type]

    scene.append = slow  # type: ignore[method-assign]
    assert await scene.pass_over(A, B) == ["a"]
    assert scene.desk.turned_back == scene.now


async def test_a_row_that_was_asked_for_before_is_believed_and_counts_as_old() -> None:
    """Its page came by the new clock; the reading that it is of was begun by the one before."""
    scene = Clocked()
    scene.turn_to(BEFORE)
    await scene.desk.take([])
    scene.set_back(HOUR)
    await scene.desk.take([sees("a", 70, scene.now, Instant(BEFORE - 20_000))])
    track = scene.desk.book.slots[SlotKey(UK, "a")]
    assert (track.value, track.age_of) == (70, 0)


async def test_an_answer_to_what_was_sent_by_the_clock_before_makes_its_listing_deaf_to_nothing() -> None:
    scene = Clocked()
    scene.turn_to(BEFORE)
    await scene.desk.take([*scene.slots(110), *scene.rows()])
    scene.all_swept()
    assert await scene.pass_over(A) == ["a"]
    sent = scene.given[0]
    scene.set_back(HOUR)
    await scene.desk.take([CorrectionSent(sent.id, sent.slot, Outcome.APPLIED, "", BEFORE, scene.now)])
    track = scene.desk.book.slots[sent.slot]
    assert (track.value, track.as_of) == (100, scene.now)
    await scene.on(MINUTE)
    await scene.desk.take([sees("a", 7, scene.now)])
    assert track.value == 7


async def test_a_reading_in_which_the_clock_was_set_back_is_none_and_its_rows_are_of_no_known_age() -> None:
    """Even if its begin lies before the new now: it took longer than the clock was set back by."""
    scene = Clocked()
    scene.turn_to(BEFORE)
    await scene.desk.take([])
    reading, feed = Sweeping(scene.desk, slots_feed(UK)), slots_feed(UK)
    began = Instant(BEFORE - 20 * MINUTE)
    await reading.page(Page(feed, (sees("a", 70, scene.now, began),)))
    assert scene.desk.book.slots[SlotKey(UK, "a")].age_of == began
    scene.set_back(10 * MINUTE)
    await reading.page(Page(feed, (sees("b", 70, scene.now, began),)))
    track = scene.desk.book.slots[SlotKey(UK, "b")]
    assert (track.value, track.age_of) == (70, 0)
    ended = await reading.end(SweepRead(feed, began, scene.now, True, 2, 0))
    assert not ended.complete
    assert scene.desk.book.through(UK) == scene.desk.book.policy.channels[UK].order_lag_ms * -1
    assert scene.desk.book.sweeps[feed].began == 0, "the last whole one is the one before"


@pytest.mark.parametrize("noticed", [False, True])
async def test_what_was_changed_fills_no_window_for_longer_though_the_clock_was_set_back(
    noticed: bool,
) -> None:
    """Whoever asks how full it is may be the first to look at the clock."""
    scene = Clocked(window_units=15)
    scene.turn_to(BEFORE)
    await scene.desk.take([*scene.slots(110), *scene.rows()])
    scene.all_swept()
    assert await scene.pass_over(A, B) == ["a"]
    windows, window_ms = scene.passes._windows, scene.desk.book.policy.limits.window_ms
    scene.set_back(12 * HOUR)
    if noticed:
        await scene.desk.take([])
    assert windows.spent(UK, scene.now).units == 10
    windows.resize(windows.window_ms, windows.zeros_ms, scene.given)
    assert windows.spent(UK, Instant(scene.now + window_ms - 1)).units == 10
    assert windows.spent(UK, Instant(scene.now + window_ms)).units == 0


class Heard:
    """Which alerts fire."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()

    async def raise_(
        self, kind: str, subject: str, severity: str, summary: str, details: Mapping[str, str]
    ) -> None:
        del subject, severity, summary, details
        self.kinds.add(kind)

    async def resolve(self, kind: str, subject: str) -> None:
        del subject
        self.kinds.discard(kind)

    async def keep_only(self, known: Set[tuple[str, str]]) -> None: ...


class Watched(Clocked):
    """The same, nothing of it may be written, and somebody looks."""

    def __init__(self) -> None:
        super().__init__(rails=Rails(Mode.AUTO, stop=True))
        self.heard = Heard()
        self.turn_to(BEFORE)
        book = self.desk.book
        circuits = Circuits(book.policy.limits, self.desk.clock)
        limits = {STOCK_FEED: 5 * MINUTE, slots_feed(UK): HOUR}
        around = Surroundings(Around())
        self.health = Health(self.desk, self.passes, self.heard, limits, 15 * MINUTE, circuits, around)
        self.passes.finished = self.now

    async def looks(self, ms: int) -> set[str]:
        """Time goes on, and the shop's numbers are read again, its stock is not."""
        await self.on(ms)
        await self.desk.take(self.slots(110))
        await self.pass_over(A, B)
        await self.health.check()
        return self.heard.kinds


async def test_what_is_exposed_unread_or_differs_is_told_as_early_as_ever() -> None:
    told = []
    for back in (0, 12 * HOUR):
        scene = Watched()
        scene.all_swept()
        await scene.looks(0)
        assert scene.heard.kinds == set()
        scene.set_back(back)
        told.append(
            [
                set(await scene.looks(ms)) - {"clock_went_back"}
                for ms in (0, 3 * MINUTE, 2 * MINUTE + 1, 12 * MINUTE)
            ]
        )
    assert (
        told[0]
        == told[1]
        == [
            set(),
            {"exposure"},
            {"exposure", "stale_source"},
            {"exposure", "stale_source", "unresolved_drift"},
        ]
    )


async def test_that_no_system_is_read_is_told_as_early_as_ever() -> None:
    for back in (0, 12 * HOUR):
        scene = Watched()
        scene.all_swept()
        await scene.health.check()
        scene.set_back(back)
        for ms, told in ((0, False), (OFFLINE_AFTER_MS, False), (1, True)):
            await scene.on(ms)
            failed = SweepRead(STOCK_FEED, scene.now, scene.now, False, 0, 0, "no route")
            await scene.desk.take([failed, replace(failed, feed=slots_feed(UK))])
            await scene.health.check()
            assert ("offline" in scene.heard.kinds) == told


async def test_whoever_stopped_is_told_as_early_as_ever() -> None:
    """The watch of the whole must not be content for as long as the clock was set back."""
    for back in (0, 12 * HOUR):
        scene = Watched()
        scene.all_swept()
        await scene.health.check()
        assert scene.health.why_not() == ""
        scene.set_back(back)
        await scene.on(0)
        assert scene.health.why_not() == "", "nothing is older than it was"
        await scene.on(2 * MINUTE + 1)
        assert scene.health.why_not() == "nobody looked for 120 s"


async def test_a_pass_that_hangs_is_told_as_early_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, told = Watched(), list[str]()
    scene.all_swept()

    async def hangs(_facts: object, _note: str = "") -> int:
        if not told:
            scene.set_back(12 * HOUR)
            for ms in (0, 2 * MINUTE + 1):
                scene.turn_to(scene.now + ms)
                await scene.health.check()
                told.append(scene.health.why_not())
        return 1

    monkeypatch.setattr(scene, "append", hangs)
    await scene.desk.take(scene.slots(110))
    told.clear()
    await scene.pass_over(A, B)
    assert told[:2] == ["", "nothing was planned for 120 s"]
    assert scene.passes.under_way is None


async def test_groups_that_wait_are_looked_at_as_early_as_ever() -> None:
    scene = Clocked()
    scene.turn_to(BEFORE)
    await scene.desk.take([])
    scene.desk.wait_for(A, (A,), Awaits.TIME, asking=False)
    scene.desk.mark([B])
    scene.set_back(12 * HOUR)
    await scene.desk.take([])
    assert scene.desk.busy_since == scene.now
    while scene.desk.busy:
        await scene.desk.groups(9)
    scene.desk.look_again(MINUTE)
    assert scene.desk.waiting == 1
    assert await scene.desk.groups(9) == [A]


async def test_while_a_source_is_dark_everybody_is_looked_at_as_often_as_ever() -> None:
    scene = Clocked()
    scene.turn_to(BEFORE)
    for minutes in (0, 12 * 60):
        scene.set_back(minutes * MINUTE)
        await scene.desk.take([])
        scene.desk.book.awake_since = Instant(0)
        scene.passes._look_at_the_weather()
        while scene.desk.busy:
            await scene.desk.groups(9)
    scene.turn_to(scene.now + DARK_LOOK_MS)
    scene.passes._look_at_the_weather()
    assert scene.desk.busy


async def test_copies_are_looked_at_as_often_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def look(_book: object, now: Instant) -> dict[LocationName, None]:
        looked.append(now)
        return {}

    monkeypatch.setattr("reconcilerd.daemon.health.frozen_mirrors", look)
    scene = Watched()
    await scene.health.check()
    scene.set_back(12 * HOUR)
    for ms in (0, MIRRORS_EVERY_MS - 1, 1):
        await scene.on(ms)
        await scene.health.check()
    assert looked == [BEFORE, BEFORE - 12 * HOUR + MIRRORS_EVERY_MS]


async def test_what_ends_earlier_is_written_down_before_any_newer_word_on_it() -> None:
    """Or a later start would have it hold again, or would have the older word for the last."""
    scene = Clocked()
    scene.turn_to(BEFORE)
    frozen = FreezeSet("uk", True, "ann", "x", BEFORE, Instant(BEFORE + HOUR))
    tug = RailLatched("tug-of-war:uk/a/", True, "reconcilerd", "x", BEFORE, "", Instant(BEFORE + HOUR))
    await scene.desk.take([frozen, tug])
    scene.facts.clear()
    scene.set_back(5 * HOUR)
    melted = replace(frozen, on=False, at=scene.now, until=None)
    await scene.desk.take([melted])
    end = Instant(scene.now + HOUR)
    ends, *rest = scene.facts
    assert ends == EndsMoved((("freeze", "uk"), ("rail", tug.name)), scene.now)
    assert rest == [replace(frozen, at=scene.now, until=end), replace(tug, at=scene.now, until=end), melted]
    scene.facts.clear()
    await scene.desk.take([])
    assert scene.facts == []


async def test_no_approval_that_was_over_is_in_force_again() -> None:
    """By its end alone it would be, for what comes again."""
    scene = Clocked()
    scene.turn_to(BEFORE)
    over = Instant(BEFORE - MINUTE)
    word = EnvelopeApproved("e", (A,), "both", 9, "ann", "x", Instant(BEFORE - 8 * HOUR), over)
    await scene.desk.take([word])
    scene.facts.clear()
    scene.set_back(5 * HOUR)
    await scene.desk.take([])
    assert scene.desk.book.words.in_force(scene.now) == ()
    assert scene.facts[1:] == [replace(word, until=scene.now)]


async def test_who_tells_people_hears_of_the_clock_and_a_silence_that_ends_earlier_is_written_down() -> None:
    scene = Clocked()
    scene.turn_to(BEFORE)
    await scene.desk.take([])
    hush = SilenceSet("s", True, "*", "*", "ann", "x", Instant(BEFORE - HOUR), Instant(BEFORE + HOUR))
    outward = Outward.__new__(Outward)
    outward.engine = Engine([], scene.append, scene.desk.clock, silences=[hush])
    outward.hear_the_clock(scene.desk)
    scene.facts.clear()
    scene.set_back(5 * HOUR)
    await scene.desk.take([])
    ended = replace(hush, at=scene.now, until=Instant(scene.now + HOUR))
    assert scene.facts == [EndsMoved((("silence", "s"),), scene.now), ended]
    assert outward.engine.silences() == [ended]


@pytest.mark.parametrize("later", [0, HOUR - 1, HOUR, 2 * HOUR, 5 * HOUR + HOUR // 2, 7 * HOUR])
async def test_what_ended_by_the_new_clock_is_over_by_the_ledger_too_whenever_it_is_started(
    tmp_path: Path, later: int
) -> None:
    scene = Clocked()
    scene.turn_to(BEFORE)
    until = Instant(BEFORE + HOUR)
    word = EnvelopeApproved("e", (A,), "both", 9, "ann", "x", BEFORE, until)
    tug = RailLatched("tug-of-war:uk/a/", True, "reconcilerd", "x", BEFORE, "", until)
    await scene.desk.take([word, tug, FreezeSet("", False, "ann", "x", BEFORE)])
    with Ledger.open(tmp_path / "ledger.db", clock=lambda: scene.now, durable=False) as ledger:
        ledger.append(scene.facts)
        scene.facts.clear()
        scene.set_back(5 * HOUR)
        await scene.desk.take([])
        ledger.append(scene.facts)
        now = Instant(scene.now + later)
        book = Book(scene.desk.book.policy, awake_since=now)
        book.load(ledger.everything(), now)
        assert ledger.verify().ok
    for each in (book, scene.desk.book):
        assert (each.words.in_force(now) != (), each.latches.on(now) != frozenset()) == (later < HOUR,) * 2


@pytest.mark.parametrize(("came_to", "holds"), [(HOUR - 1, True), (HOUR, False), (2 * HOUR, False)])
async def test_what_was_released_until_the_clock_came_to_is_over_after_a_start_by_one_that_was_set_back(
    tmp_path: Path, came_to: int, holds: bool
) -> None:
    """It was said before the new now, and by nothing in the state itself can be told from what was said since."""
    scene = Clocked()
    policy = scene.desk.book.policy
    scene.turn_to(BEFORE)
    until = Instant(BEFORE + HOUR)
    approved = EnvelopeApproved("e", (A,), "both", 9, "ann", "x", BEFORE, until)
    half = ConsentGiven("c", "uk", (A,), "both", 9, (), "ann", "x", BEFORE, until)
    begins = Instant(BEFORE + HOUR // 2)
    with Ledger.open(tmp_path / "ledger.db", clock=lambda: scene.now, durable=False) as ledger:
        ledger.append([approved, half])
        scene.now = Instant(BEFORE + came_to)
        ledger.append([FreezeSet("", False, "ann", "x", scene.now)])
        scene.now = begins
        later = replace(approved, id="f", at=begins)
        ledger.append([later])
        for now in (begins, after(until, -1)):
            book = Book(policy, awake_since=now)
            book.load(standing(ledger, now), now)
            assert {each.id for each in book.words.in_force(now)} == ({"e", "f"} if holds else {"f"})
            assert bool(book.words.half_approved(now)) is holds
