"""Readings judged as a whole: what is doubted decides nothing that orders do not explain, and not for ever."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from reconcilerd.connectors.port import Page
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.sweeping import Sweeping
from reconcilerd.domain.book import Book
from reconcilerd.domain.explain import explain
from reconcilerd.domain.facts import (
    Fact,
    ListingDeclared,
    ProductObserved,
    ProductType,
    RailLatched,
    SlotObserved,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.feeds import STOCK_FEED
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import ChannelRule, Limits, Mode, Policy, PoolMode, PoolRule, Sentinel
from reconcilerd.domain.position import Position
from reconcilerd.domain.room import room_of
from reconcilerd.domain.survey import position_of, weather_of

UK = ChannelName("uk")
SLOTS = FeedName("uk.slots")
CODES = tuple(f"s{number:02d}" for number in range(20))


class Kept:
    """A journal in memory."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        self.facts.extend(facts)
        return len(self.facts)


class Business:
    """Twenty SKUs with 50 units each, one channel that shows 50 of each; everything was read soundly."""

    def __init__(self, **limits: Any) -> None:
        self.now = 1_000_000
        self.policy = Policy(
            revision="test",
            pools=MappingProxyType({"default": PoolRule(PoolMode.SHARED)}),
            channels=MappingProxyType(
                {UK: ChannelRule(sales_channel_id=1, places=MappingProxyType({"": frozenset()}))}
            ),
            limits=replace(Limits(), **limits),
            sentinels=(Sentinel(STOCK_FEED, Sku("s00"), 10, 100),),
        )
        self.kept = Kept()
        self.desk = Desk(Book(self.policy), self.kept, lambda: Instant(self.now))
        for number, code in enumerate(CODES):
            at = Instant(0)
            self.desk.fold(
                [
                    ProductObserved(Sku(code), code, number, code, ProductType.CORE, "", True, (), at),
                    ListingDeclared(1, number, code, Sku(code), False, True, at),
                ]
            )

    async def read(
        self, *pages: list[Fact], complete: bool = True, feed: FeedName = STOCK_FEED, full: bool = True
    ) -> SweepRead:
        """A reading (a whole one), page by page, a minute after the last."""
        self.now += 60_000
        began, reading = Instant(self.now), Sweeping(self.desk, feed)
        for page in pages:
            await reading.page(Page(feed, tuple(page)))
        rows = sum(len(page) for page in pages)
        return await reading.end(SweepRead(feed, began, Instant(self.now), complete, rows, 0, full=full))

    def stock(self, units: int, codes: Sequence[str] = CODES, **more: Any) -> list[Fact]:
        at = Instant(self.now + 60_000)
        said: dict[str, Any] = {"unavailable": 0, "allocated": 0, **more}
        return [
            StockObserved(Sku(code), LocationName("1"), units, age_of=at, as_of=at, **said) for code in codes
        ]

    def slots(self, units: int, codes: Sequence[str] = CODES) -> list[Fact]:
        at = Instant(self.now + 60_000)
        return [
            SlotObserved(SlotKey(UK, code), code, code, units, SlotState.BUYABLE, False, at, at)
            for code in codes
        ]

    def position(self, sku: str = "s01", book: Book | None = None) -> Position:
        book = book or self.desk.book
        return position_of(book, Sku(sku), weather_of(book, Instant(self.now)))

    def left(self, sku: str = "s01", book: Book | None = None) -> tuple[int, int]:
        """What lowers, and what raises, take to be there."""
        position = self.position(sku, book)
        room, slot = room_of(position), position.offers[0].slot
        return room.alone(slot), room.headroom(slot, {}, raising=True)

    def latched(self) -> frozenset[str]:
        return self.desk.book.latches.on(Instant(self.now))


async def business(**limits: Any) -> Business:
    made = Business(**limits)
    await made.read(made.slots(50), feed=SLOTS)
    for _ in range(4):
        await made.read(made.stock(50))
    return made


@pytest.mark.parametrize("units", [0, 5_000])
async def test_when_nearly_everything_changed_raises_take_the_smaller_and_lowers_the_larger(
    units: int,
) -> None:
    here = await business()
    await here.read(here.stock(50, CODES[:2]), here.stock(units, CODES[2:]))
    assert here.latched() == {"all-changed:extensiv.stock"}
    assert here.left("s05") == (max(50, units), min(50, units))


async def test_a_doubtful_number_is_explained_as_such() -> None:
    here = await business()
    await here.read(here.stock(5_000, CODES[1:]), here.stock(50, CODES[:1]))
    plan = make_plan(here.position(), Rails(Mode.AUTO))
    told = explain(plan, plan.position.offers[0].slot)
    assert any("doubtful reading" in sentence for sentence in told["sentences"]), told["sentences"]


async def test_a_doubtful_page_is_doubted_before_anything_can_act_on_it() -> None:
    here = await business()
    here.now += 60_000
    reading = Sweeping(here.desk, STOCK_FEED)
    here.now -= 60_000
    facts = here.stock(0, CODES[1:])
    here.now += 60_000
    await reading.page(Page(STOCK_FEED, tuple(facts)))
    assert here.left() == (50, 0)
    latch = next(index for index, fact in enumerate(here.kept.facts) if isinstance(fact, RailLatched))
    row = next(i for i, f in enumerate(here.kept.facts) if isinstance(f, StockObserved) and f.on_hand == 0)
    assert latch < row


async def test_fewer_changes_are_no_reason_to_doubt() -> None:
    here = await business()
    await here.read(here.stock(50, CODES[:3]), here.stock(0, CODES[3:]))
    assert here.latched() == frozenset(), "17 of 20 are not 90 %"
    assert here.left("s05") == (0, 0)


async def test_a_following_reading_that_says_the_old_numbers_again_ends_the_doubt() -> None:
    here = await business()
    await here.read(here.stock(0, CODES[1:]), here.stock(50, CODES[:1]))
    assert here.latched()
    await here.read(here.stock(50))
    assert here.latched() == frozenset()
    assert here.left() == (50, 50)


async def test_a_doubt_that_was_ended_comes_again_as_often_as_there_is_reason_for_it() -> None:
    here = await business()
    for _ in range(3):
        await here.read(here.stock(0, CODES[1:]), here.stock(50, CODES[:1]))
        assert here.latched() == {"all-changed:extensiv.stock"}
        await here.read(here.stock(50))
        assert here.latched() == frozenset()


async def test_a_reading_that_says_the_new_numbers_again_does_not_and_a_person_accepts() -> None:
    here = await business()
    for _ in range(3):
        await here.read(here.stock(200, CODES[1:]), here.stock(50, CODES[:1]))
    assert here.latched() == {"all-changed:extensiv.stock"}
    assert here.left() == (200, 50)
    accepted = RailLatched("all-changed:extensiv.stock", False, "ops", "stocktake", Instant(here.now))
    await here.desk.take([accepted])
    assert here.left() == (200, 200)
    await here.read(here.stock(200, CODES[1:]), here.stock(50, CODES[:1]))
    assert here.latched() == frozenset()


async def test_the_rest_of_a_reading_may_show_that_its_first_page_was_no_wonder() -> None:
    here = await business()
    await here.read(here.stock(80, CODES[1:12]), here.stock(50, (*CODES[:1], *CODES[12:])))
    assert here.latched() == frozenset()
    assert here.left("s05") == (80, 80)


async def test_a_doubt_outlives_a_restart() -> None:
    here = await business()
    await here.read(here.stock(0, CODES[1:]), here.stock(50, CODES[:1]))
    again = Book(here.policy)
    newest = {(fact.kind, fact.about): fact for fact in here.kept.facts}
    again.load(
        [*here.desk.book.products.values(), *here.desk.book.listings.values(), *newest.values()],
        Instant(here.now),
    )
    assert here.left(book=again) == here.left() == (50, 0)


async def test_much_fewer_rows_than_usual_are_doubted_and_what_is_gone_stays_for_lowers() -> None:
    here = await business()
    gone = [
        replace(each, gone=True, on_hand=0)
        for each in here.stock(50, CODES[15:])
        if isinstance(each, StockObserved)
    ]
    await here.read(here.stock(50, CODES[:15]), list(gone))
    assert here.latched() == {"shrinking:extensiv.stock"}
    assert here.left("s17") == (50, 0)


async def test_a_row_or_two_less_is_the_way_of_the_world() -> None:
    here = await business()
    await here.read(here.stock(50, CODES[:18]))
    assert here.latched() == frozenset()


@pytest.mark.parametrize(("units", "void"), [(9, True), (10, False), (100, False), (101, True)])
async def test_a_sentinel_outside_its_range_voids_the_reading(units: int, void: bool) -> None:
    here = await business()
    sweep = await here.read(here.stock(units, CODES[:1]), here.stock(50, CODES[1:]))
    assert sweep.complete is not void
    assert bool(here.latched()) is void
    assert here.left("s00") == ((max(50, units), min(50, units)) if void else (units, units))


async def test_a_sentinel_that_is_missing_voids_the_reading_and_the_next_sound_one_ends_it() -> None:
    here = await business()
    sweep = await here.read(here.stock(60, CODES[1:5]), here.stock(50, CODES[5:]))
    assert (sweep.complete, sweep.why) == (False, "void: sentinel s00 is missing")
    assert here.left("s02") == (60, 50)
    await here.read(here.stock(50))
    assert here.latched() == frozenset()


async def test_a_channel_that_shows_other_numbers_everywhere_raises_nothing_and_hides_nothing() -> None:
    here = await business()
    await here.read(here.slots(5_000), feed=SLOTS)
    assert here.latched() == {"all-changed:uk.slots"}
    await here.read(here.slots(0), feed=SLOTS)
    position = here.position()
    assert position.channel(UK).doubted
    assert position.offers[0].shown == 50, "it may still show what it showed before"


async def test_shipments_and_sales_of_everything_are_no_reason_to_doubt() -> None:
    here = await business()
    await here.read(here.slots(49), feed=SLOTS)
    assert here.latched() == frozenset(), "one of each may have been sold"


@pytest.mark.parametrize(("units", "doubted"), [(45, False), (0, True), (5_000, True)])
async def test_after_long_without_reading_falls_are_no_wonder_but_to_nothing(
    units: int, doubted: bool
) -> None:
    here = await business()
    here.now += 2 * 86_400_000
    await here.read(here.stock(units, CODES[1:]), here.stock(50, CODES[:1]))
    assert bool(here.latched()) is doubted


async def test_few_rows_are_not_judged_as_a_whole() -> None:
    here = await business(suspect_min_rows=21)
    await here.read(here.stock(0, CODES[1:]), here.stock(50, CODES[:1]))
    assert here.latched() == frozenset()


async def test_a_reading_of_some_rows_is_neither_too_small_nor_ends_a_doubt() -> None:
    here = await business()
    await here.read(here.slots(50, CODES[:3]), feed=SLOTS, full=False)
    await here.read(here.stock(50, CODES[:3]), full=False)
    assert here.latched() == frozenset()
    await here.read(here.stock(0, CODES[1:]), here.stock(50, CODES[:1]))
    assert here.latched() == {"all-changed:extensiv.stock"}
    await here.read(here.stock(0, CODES[1:3]), full=False)
    assert here.latched() == {"all-changed:extensiv.stock"}


async def test_the_rows_of_a_doubtful_reading_are_no_measure_of_the_next() -> None:
    here = await business()
    await here.read(here.stock(50, CODES[:5]))
    assert here.latched() == {"shrinking:extensiv.stock"}
    assert set(here.desk.book.sweeps[STOCK_FEED].sizes) == {20}


async def test_rows_that_the_totals_had_read_again_are_not_taken_for_the_totals() -> None:
    """A delivery of as many SKUs as are checked one by one is no doubtful reading."""
    here = await business()
    totals = FeedName("extensiv.totals")
    here.now += 60_000
    reading = Sweeping(here.desk, totals)
    await reading.page(Page(STOCK_FEED, tuple(here.stock(90, CODES[1:13]))))
    assert here.latched() == frozenset()
    began = Instant(here.now)
    assert (await reading.end(SweepRead(totals, began, began, True, 20, 0, full=True))).complete
    assert here.latched() == frozenset()
    assert here.left("s05") == (90, 90)
