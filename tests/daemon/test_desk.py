"""Where facts come in: what is written down of them, whom they have looked at again, and what a clock set back does."""

from dataclasses import replace
from typing import Any

import pytest

from reconcilerd.daemon.desk import CLOCK_SLACK_MS, Awaits, Desk
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    FindingRaised,
    ListingDeclared,
    OrderLine,
    OrderStatus,
    ProductObserved,
    ProductType,
    SlotObserved,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.feeds import EXTENSIV_ORDERS, STOCK_FEED
from reconcilerd.domain.names import FeedName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import Wants
from reconcilerd.domain.policy import Policy
from tests.daemon.test_sweeping import Kept
from tests.domain.books import UK, order, shop_book

A, B = Sku("a"), Sku("b")
NOW = 100_000


class Scene:
    def __init__(self, book: Book | None = None) -> None:
        self.now, self.kept = NOW, Kept()
        self.desk = Desk(book or shop_book(1_000), self.kept, lambda: Instant(self.now))

    async def marked(self) -> list[Sku]:
        """The groups that wait to be looked at; none of them waits any more."""
        return await self.desk.groups(99) if self.desk.busy else []


def row(at: int) -> StockObserved:
    """What is known already, read again."""
    return StockObserved(A, LocationName("1"), 50, 0, 0, Instant(at), Instant(at))


def swept(feed: FeedName, *, full: bool = True, complete: bool = True) -> SweepRead:
    return SweepRead(feed, Instant(NOW), Instant(NOW), complete, 7, 0, full=full)


async def test_what_is_written_down_is_what_was_made_of_a_fact() -> None:
    scene = Scene()
    await scene.desk.take([swept(STOCK_FEED)])
    assert [each.sizes for each in scene.kept.facts if isinstance(each, SweepRead)] == [(7,)]


async def test_one_fact_that_meets_a_bug_takes_no_other_of_its_page_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene, take = Scene(), Book.take

    def broken(book: Book, fact: Any) -> Any:
        if fact.about == "a@2":
            raise RuntimeError("spoilt")
        return take(book, fact)

    monkeypatch.setattr(Book, "take", broken)
    at = Instant(NOW)
    places = [StockObserved(A, LocationName(place), 7, 0, 0, at, at) for place in "123"]
    await scene.desk.take(places)
    assert [each.about for each in scene.kept.facts] == ["a@1", "a@3"]
    assert scene.desk.broken == "stock of a@2: RuntimeError: spoilt"


async def test_what_follows_from_a_fact_that_is_no_news_is_written_down() -> None:
    """An order of what nobody maps, read again once the catalogue is there."""
    scene = Scene(Book(Policy("test", {}, shop_book(0).policy.channels)))
    sold = replace(order("uk", OrderStatus.OPEN, 2_000), lines=(OrderLine("zz", 1),))
    await scene.desk.take([sold])
    await scene.desk.take([ProductObserved(A, "a", 1, "a", ProductType.CORE, "", True, (), Instant(0))])
    scene.kept.facts.clear()
    await scene.desk.take([replace(sold, as_of=Instant(3_000))])
    assert [type(each) for each in scene.kept.facts] == [FindingRaised]


@pytest.mark.parametrize("steps", [(CLOCK_SLACK_MS + 1,), (CLOCK_SLACK_MS - 500, 501)])
async def test_a_clock_that_went_back_at_once_or_step_by_step_has_everything_looked_at_anew(
    steps: tuple[int, ...],
) -> None:
    scene = Scene()
    for step in steps:
        assert scene.desk.turned_back is None
        scene.now -= step
        await scene.desk.take([])
    assert scene.desk.turned_back == scene.now
    assert sorted(await scene.marked()) == [A, B]


async def test_a_clock_that_is_nudged_is_no_clock_that_went_back() -> None:
    scene = Scene()
    scene.now -= CLOCK_SLACK_MS
    await scene.desk.take([])
    assert scene.desk.turned_back is None


@pytest.mark.parametrize(
    ("awaits", "fact", "looked_at"),
    [
        (Awaits.STOCK, row(NOW), True),
        (Awaits.REREAD, row(NOW), True),
        (Awaits.TIME, row(NOW), False),
        (Awaits.STOCK, swept(STOCK_FEED), True),
        (Awaits.REREAD, swept(STOCK_FEED), False),
        (Awaits.TIME, swept(EXTENSIV_ORDERS), True),
        (Awaits.TIME, swept(EXTENSIV_ORDERS, full=False), False),
        (Awaits.STOCK, swept(STOCK_FEED, complete=False), False),
    ],
)
async def test_a_reading_that_brings_no_news_is_looked_at_by_those_who_await_it(
    awaits: Awaits, fact: StockObserved | SweepRead, looked_at: bool
) -> None:
    scene = Scene()
    if isinstance(fact, SweepRead):
        await scene.desk.take([replace(fact, began=Instant(NOW - 1))])  # the first of a feed is news to all
    await scene.marked()
    scene.desk.wait_for(A, [A], awaits, asking=False)
    await scene.desk.take([fact])
    assert await scene.marked() == ([A] if looked_at else [])


async def test_who_asked_first_is_looked_at_first_and_no_more_than_were_asked_for() -> None:
    scene = Scene()
    scene.desk.mark([B, A])
    assert await scene.desk.groups(1) == [B]
    assert await scene.desk.groups(1) == [A]
    slots = [SlotKey(UK, "one"), SlotKey(UK, "two")]
    scene.desk.want(Wants(slots=frozenset(slots)))
    assert scene.desk.wanted_slots("uk", 1) == slots[:1]
    assert scene.desk.wanted_slots("uk", 9) == slots[1:]


async def test_groups_that_became_one_since_they_were_marked_are_looked_at_as_that_one() -> None:
    scene = Scene()
    scene.desk.mark([A, B])
    kit = Sku("kit")
    made = ProductObserved(kit, "kit", 9, "kit", ProductType.BUNDLE, "", True, ((A, 1), (B, 1)), Instant(0))
    scene.desk.book.take(made)
    scene.desk.book.take(ListingDeclared(1, 9, "kit", kit, False, True, Instant(0)))
    slot = SlotKey(UK, "kit")
    at = Instant(NOW)
    scene.desk.book.take(SlotObserved(slot, "kit", "kit", 5, SlotState.BUYABLE, False, at, at))
    (group,) = await scene.marked()
    assert set(scene.desk.book.joins().groups.members[group]) == {A, B}


async def test_a_sweep_during_which_the_clock_was_set_back_keeps_nothing_newer_out() -> None:
    """Its rows stay, as if they were old; of the whole reading nobody can tell when it was."""
    scene, hour = Scene(), 3_600_000
    scene.now -= hour
    began = Instant(NOW)
    await scene.desk.take([replace(row(NOW), on_hand=40), replace(swept(STOCK_FEED), began=began)])
    assert STOCK_FEED not in scene.desk.book.sweeps
    known = scene.desk.book.stock[A, LocationName("1")].row
    assert (known.on_hand, known.as_of, known.age_of) == (40, scene.now, 0)
    scene.now += 60_000
    await scene.desk.take(
        [replace(row(scene.now), on_hand=3), replace(swept(STOCK_FEED), began=Instant(scene.now))]
    )
    assert scene.desk.book.stock[A, LocationName("1")].row.on_hand == 3
    assert scene.desk.book.sweeps[STOCK_FEED].began == scene.now
