"""What is read ahead of its sweep: rows that nearly ran out or sold last, slots where a change must be seen soon."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import anyio
import pytest

from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.passes import MAX_LIVELY, Standing, watched
from reconcilerd.daemon.pollers import MAX_WATCHED, feed_the_hungry
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import Fact, ListingDeclared, SlotObserved, SlotState, StockObserved, SweepRead
from reconcilerd.domain.feeds import EXTENSIV_ORDERS
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import ChannelRule, Limits, Mode, Policy
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.domain.quantities import Rate
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from tests.daemon.test_passes import NOW, Scene
from tests.daemon.test_passes import A as SKU_A
from tests.daemon.test_passes import B as SKU_B
from tests.domain.builders import A, offer, position, row, slot

START = Instant(1_000_000_000)
EVERY_MS = 60_000
UK = ChannelName("uk")
SELLING = Rate(60_000)


class Nowhere:
    """A journal that keeps nothing."""

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        return 1


def pool(left: int, *offers: OfferView, split: bool = False, mode: Mode = Mode.AUTO) -> Position:
    return position(offers, [row(A, left)], split=split, limits=Limits(mode=mode))


def selling(channel: str, shown: int, *, pushed: bool = False) -> OfferView:
    return replace(offer(channel, shown=shown), rate=SELLING, pushed=pushed)


def asked_for(
    hungry: Mapping[Sku, tuple[SlotKey, ...]],
    lively: Sequence[str],
    ages_ms: Mapping[str, int],
    *,
    pushes: bool = False,
    orders_ago_ms: int = 1_000,
) -> tuple[set[Sku], set[SlotKey]]:
    """Rows and slots that one turn asks for; each was last read so long ago."""
    clock, wanted = VirtualClock(START), list[tuple[set[Sku], set[SlotKey]]]()

    async def main() -> None:
        desk = Desk(Book(Policy("test", {}, {UK: ChannelRule(sales_channel_id=1)})), Nowhere(), clock)
        read = Instant(START - orders_ago_ms)
        desk.fold([SweepRead(EXTENSIV_ORDERS, read, read, True, 0, 0)])
        for number, (name, ago) in enumerate(ages_ms.items()):
            at = Instant(START - ago)
            desk.fold([ListingDeclared(1, number, name, Sku(name), pushes, True, at)])
            desk.fold([StockObserved(Sku(name), LocationName("1"), 9, 0, 0, at, at)])
            desk.fold([SlotObserved(SlotKey(UK, name, ""), name, name, 9, SlotState.BUYABLE, False, at, at)])
        async with anyio.create_task_group() as group:
            group.start_soon(feed_the_hungry, hungry, [Sku(each) for each in lively], desk, EVERY_MS)
            await anyio.sleep(0.001)
            group.cancel_scope.cancel()
        wanted.append((set(desk.wanted_stock(1_000)), set(desk.wanted_slots(UK, 1_000))))

    run_virtual(main)
    return wanted[0]


def test_rows_that_nearly_ran_out_or_sold_last_are_read_before_they_are_a_minute_old() -> None:
    ages = {"short": 46_000, "fresh": 44_000, "sold": 46_000, "idle": 500_000}
    rows, slots = asked_for({Sku("short"): (), Sku("fresh"): ()}, ["sold"], ages)
    assert rows == {"short", "sold"}
    assert slots == set()


@pytest.mark.parametrize(("orders_ago_ms", "asked"), [(7_000, {"b", "c"}), (8_000, {"c"})])
def test_rows_are_best_read_right_after_the_orders(orders_ago_ms: int, asked: set[str]) -> None:
    """What has left the shelf is still subtracted until its order is known to have shipped."""
    ages = {"a": 44_000, "b": 74_000, "c": 76_000}
    seen: dict[Sku, tuple[SlotKey, ...]] = {Sku(each): () for each in ages}
    assert asked_for(seen, [], ages, orders_ago_ms=orders_ago_ms)[0] == asked


def test_watched_slots_are_looked_at_every_quarter_of_a_minute() -> None:
    seen = {Sku("a"): (SlotKey(UK, "a", ""), SlotKey(UK, "b", ""))}
    assert asked_for(seen, [], {"a": 10_001, "b": 10_000}) == (set(), {SlotKey(UK, "a", "")})


def test_slots_that_extensiv_pushes_to_are_looked_at_twice_as_often() -> None:
    seen = {Sku("a"): (SlotKey(UK, "a", ""), SlotKey(UK, "b", ""))}
    ages = {"a": 3_751, "b": 3_750}
    assert asked_for(seen, [], ages, pushes=True) == (set(), {SlotKey(UK, "a", "")})
    assert asked_for(seen, [], ages) == (set(), set())


def test_watched_slots_are_read_the_longest_unread_first_and_never_more_than_a_bound() -> None:
    names = [f"s{number:03d}" for number in range(MAX_WATCHED + 2)]
    ages = {name: 11_000 + number for number, name in enumerate(names)} | {"just": 9_000}
    every = tuple(SlotKey(UK, name, "") for name in (*names, "just"))
    _, slots = asked_for({Sku("s000"): every}, [], ages)
    assert len(slots) == MAX_WATCHED
    assert {each.listing for each in every} - {each.listing for each in slots} == {"s000", "s001", "just"}


@pytest.mark.parametrize(("split", "seen"), [(False, {"uk", "eu"}), (True, set[str]())])
def test_where_every_unit_is_offered_by_several_all_that_show_any_are_watched(
    split: bool, seen: set[str]
) -> None:
    where = pool(3, selling("uk", 3), selling("eu", 3), selling("us", 0), split=split)
    assert {each.channel for each in watched(where, Sku("x"))} == seen


def test_a_listing_alone_needs_no_watch_and_beside_a_push_only_what_is_pushed_does() -> None:
    assert watched(pool(3, selling("uk", 3)), Sku("x")) == ()
    beside = pool(3, selling("uk", 3, pushed=True), selling("eu", 3), mode=Mode.NET)
    assert watched(beside, Sku("x")) == (slot("uk"),)


def test_what_nearly_ran_out_is_hungry_and_what_sold_last_lively_up_to_a_bound() -> None:
    standing = Standing()
    names = [Sku(f"sku-{number:02d}") for number in range(MAX_LIVELY + 1)]
    for name in (*names, names[1]):
        sold = replace(pool(400, selling("uk", 400)), group=name, sold=((name, 1), (Sku("unsold"), 0)))
        standing.note(make_plan(sold, Rails(Mode.AUTO)))
    assert list(standing.lively) == [*names[2:], names[1]]
    assert standing.hungry == {}
    standing.note(make_plan(pool(3, selling("uk", 3), selling("eu", 3)), Rails(Mode.AUTO)))
    assert set(standing.hungry) == {"x"}


async def test_what_sold_out_and_is_taken_off_sale_is_read_ahead_no_longer() -> None:
    """No plan of it says that it is hungry no more, as it has nothing to sell."""
    scene = Scene()
    book, standing, at = scene.desk.book, scene.passes.standing, Instant(NOW - 100)
    for place in ("1", "2"):
        book.take(StockObserved(SKU_A, LocationName(place), 0, 0, 0, at, at))
    await scene.pass_over(SKU_A, SKU_B)
    standing.lively[SKU_A] = None
    hungry, lively = standing.hungry, standing.lively
    assert SKU_A in hungry
    off = SlotObserved(SlotKey(UK, "a"), "a", "a", None, SlotState.BUYABLE, False, at, at, gone=True)
    book.take(off)
    await scene.pass_over(SKU_A, SKU_B)
    assert SKU_A not in hungry
    assert SKU_A not in lively
    assert (standing.hungry, standing.lively) == (hungry, lively), "whoever reads ahead has these in hand"
    assert SKU_B in hungry, "one that is on sale stays"
