"""What a store's reading tells of, and of which moment: lag, age, overlap, and who is asked for twice."""

from dataclasses import replace
from typing import Any

import pytest

from reconcilerd.connectors.port import LAG_MARGIN_MS
from reconcilerd.connectors.shopify.client import OVERLAP_MS, PAGE, Shopify
from reconcilerd.domain.names import Instant, format_instant
from reconcilerd.transport.client import Call
from reconcilerd.transport.lane import Priority
from reconcilerd.transport.replies import Reply
from tests.connectors.store import PLACE, UK, Shop, shop
from tests.connectors.test_shopify_writing import go
from tests.simulator.builders import START, Desk, world_of

LAG_MS = 700
DAY_MS = 86_400_000


def lagging(items: int) -> Shop:
    """A store whose feed lags, and which takes a second for each answer."""
    here = shop(Desk(world_of({f"s{number:03}": 5 for number in range(items)})))
    here.connector = Shopify(here.wire, here.wire.desk.clock, name=UK, places=(PLACE,), read_lag_ms=LAG_MS)

    def later(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        here.wire.desk.clock.pass_by(1_000)
        return body

    here.wire.spoil = later
    return here


async def test_a_slot_is_as_old_as_its_reading_and_tells_of_its_own_page_less_the_lag() -> None:
    here = lagging(2 * PAGE)
    sweep = await here.sweep()
    assert {each.age_of for each in here.slots} == {START} == {sweep.began}
    assert sorted({each.as_of for each in here.slots}) == [START - LAG_MS, START + 1_000 - LAG_MS]


async def test_what_is_gone_is_gone_at_a_moment_less_the_lag_too() -> None:
    here = lagging(3)
    await here.sweep()
    world = here.wire.desk.world.stores["uk"]
    gone = here.slot("s001")
    del world.items[gone.listing]
    began = here.wire.desk.clock()
    await here.sweep()
    (told,) = [each for each in here.slots if each.gone]
    # One page of the list, and twice by its id.
    assert (told.slot, told.age_of, told.as_of) == (gone, began, began + 3_000 - LAG_MS)


async def test_what_the_second_asking_finds_is_not_gone() -> None:
    here = shop(Desk(world_of({"a": 5, "b": 5, "c": 5})))
    await here.sweep()
    hidden, asked_for = here.slot("b").listing, list[int]()

    def hide(asked: dict[str, Any], body: dict[str, Any]) -> Any:
        if "ItemsById" in asked["query"]:
            asked_for.append(1)
            if len(asked_for) == 1:
                body["data"]["nodes"] = [None]
        else:
            items = body["data"]["inventoryItems"]
            items["nodes"] = [node for node in items["nodes"] if node["id"] != hidden]
        return body

    here.wire.spoil = hide
    assert (await here.sweep()).complete
    assert len(asked_for) == 2
    assert [each for each in here.slots if each.gone] == []


async def test_a_reading_with_an_order_that_cannot_be_read_is_followed_by_the_same_window() -> None:
    desk = Desk(world_of({"a": 50}, import_ms=(10**12, 10**12), index_lag_ms=(0, 0)))
    desk.world.place_order("uk", "7", [("a", 1)], desk.clock())
    desk.clock.pass_by(1_000)
    here = shop(desk)

    def damage(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        for node in body["data"]["orders"]["nodes"]:
            node["createdAt"] = "never"
        return body

    here.wire.spoil = damage
    cursor = str(START - 5_000)
    sweep = await here.sweep("orders", cursor)
    assert (sweep.complete, sweep.cursor) == (False, cursor)


@pytest.mark.parametrize(
    ("poll_ms", "order_lag_ms", "overlap_ms"),
    [
        (30_000, 120_000, OVERLAP_MS),
        (60_000, 120_000, 300_000 + LAG_MARGIN_MS),
        (600_000, 120_000, 1_920_000 + LAG_MARGIN_MS),
        (600_000, 0, 1_800_000 + LAG_MARGIN_MS),
    ],
)
async def test_a_window_of_orders_reaches_back_over_what_those_before_may_have_missed(
    poll_ms: int, order_lag_ms: int, overlap_ms: int
) -> None:
    here = Shop(shop(Desk(world_of({"a": 5}))).wire, order_lag_ms, poll_ms)
    await here.sweep("orders", str(START))
    since = START - overlap_ms
    (query,) = [each["query"] for each in here.wire.of("query Orders")]
    assert query == f"updated_at:>='{format_instant(Instant(since - since % 1000))}'"


async def test_one_lower_in_a_call_makes_the_whole_of_it_as_urgent() -> None:
    here = shop(Desk(world_of({"a": 5, "b": 5})))
    send, urgent = here.wire.send, list[Priority]()

    async def listen(call: Call) -> Reply:
        urgent.append(call.priority)
        return await send(call)

    here.wire.send = listen  # type: ignore[method-assign]
    await here.connector.write([here.correction("a", 5, 9), here.correction("b", 5, 3)], "run", go)
    await here.connector.write([here.correction("b", 3, 5, "back")], "run", go)
    assert urgent == [Priority.LOWER, Priority.RAISE]


@pytest.mark.parametrize("feed", ["slots", "orders"])
async def test_a_reading_of_which_a_cache_answered_a_part_began_when_that_was_made(feed: str) -> None:
    """Were it the first part alone."""
    here = shop(Desk(world_of({f"s{number:03}": 5 for number in range(2 * PAGE)})))
    send, ages = here.wire.send, iter(["30"])

    async def kept(call: Call) -> Reply:
        reply = await send(call)
        return replace(reply, headers={**reply.headers, "age": next(ages, "0")})

    here.wire.send = kept  # type: ignore[method-assign]
    assert (await here.sweep(feed, whole=True)).began == START - 30_000


@pytest.mark.parametrize(("days", "since"), [(1, START - 2 * DAY_MS), (9, START - 9 * DAY_MS - OVERLAP_MS)])
async def test_a_whole_reading_of_orders_reaches_back_to_the_last_one_and_two_days_at_least(
    days: int, since: int
) -> None:
    here = shop(Desk(world_of({"a": 5})))
    await here.sweep("orders", str(START - days * DAY_MS), whole=True)
    queries = [each["query"] for each in here.wire.of("query Orders")]
    assert queries[-1] == f"updated_at:>='{format_instant(Instant(since - since % 1000))}'"
