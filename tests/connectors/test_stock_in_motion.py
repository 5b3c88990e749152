"""Stock rows that move while they are read: what went is gone from then on, and no unit is seen twice or lost."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from reconcilerd.connectors.extensiv import stock
from reconcilerd.connectors.extensiv.walk import PAGINGS, Walker, Ways, key_of
from reconcilerd.connectors.port import Page
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import FindingKind, StockObserved
from reconcilerd.domain.names import FeedName, Instant, LocationName, Sku
from reconcilerd.errors import TryLater
from reconcilerd.transport.client import Call
from reconcilerd.transport.replies import Reply
from tests.connectors.source import Tenant
from tests.domain.books import shop_book
from tests.simulator.builders import Desk, world_of

Row = dict[str, Any]
HOT = Sku("hot")


def stock_row(number: int, sku: str, units: int, place: int = 1) -> Row:
    return {
        "productStockId": number,
        "quantity": units,
        "allocatedQuantity": 0,
        "quantityLocked": 0,
        "pickable": True,
        "active": True,
        "product": {"masterSku": sku},
        "stockLocation": {"warehouseId": place},
    }


def many(first: int, last: int) -> list[Row]:
    """One row each of SKUs that nothing happens to."""
    return [stock_row(number, f"s{number}", 1) for number in range(first, last)]


def shelves(live: list[Row], **more: Any) -> Tenant:
    """A tenant with exactly these stock rows, whatever becomes of the list meanwhile."""

    def answer(path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/inventory"):
            return body
        skus = query["sku"].split(",") if "sku" in query else None
        got = [row for row in live if skus is None or any(sku in row["product"]["masterSku"] for sku in skus)]
        limit, page = int(query["limit"]), int(query["page"])
        return got[(page - 1) * limit : page * limit]

    return Tenant(Desk(world_of({"a": 5})), answer, **more)


def breaks(tenant: Tenant, name: str, value: str) -> None:
    """The line breaks whenever something is asked with this in its query."""
    send = tenant.send

    async def broken(call: Call) -> Reply:
        if dict(call.query).get(name) == value:
            raise TryLater("the line broke")
        return await send(call)

    tenant.send = broken  # type: ignore[method-assign]


def when_asked(tenant: Tenant, page: str, do: Callable[[], None]) -> None:
    """Once, just before this page of the whole list is answered."""
    answer, left = tenant.spoil, [do]
    assert answer is not None

    def spoil(path: str, query: dict[str, str], body: Any) -> Any:
        if path.endswith("/inventory") and "sku" not in query and query["page"] == page and left:
            left.pop()()
        return answer(path, query, body)

    tenant.spoil = spoil


def before_asking(tenant: Tenant, page: str, do: Callable[[], Awaitable[None]]) -> None:
    """Once, just before this page of the whole list is asked for."""
    send, left = tenant.send, [do]

    async def first(call: Call) -> Reply:
        query = dict(call.query)
        if "sku" not in query and query["page"] == page and left:
            await left.pop()()
        return await send(call)

    tenant.send = first  # type: ignore[method-assign]


def hot(tenant: Tenant) -> list[int]:
    return [each.on_hand for each in tenant.of(StockObserved) if each.sku == HOT]


async def sweep_into(book: Book, tenant: Tenant) -> bool:
    async def emit(page: Page) -> None:
        for fact in page.facts:
            book.take(fact)

    tenant.desk.clock.pass_by(600_000)
    read = await tenant.connector.sweep(FeedName("extensiv.stock"), "", emit)
    book.take(read)
    return read.complete


async def test_a_row_that_left_after_a_newer_reading_of_it_is_gone_all_the_same() -> None:
    book, live = shop_book(1000), [*many(1, 150), stock_row(150, "hot", 7)]
    tenant = shelves(live)

    async def into(page: Page) -> None:
        for fact in page.facts:
            book.take(fact)

    async def read_it_then_lose_it() -> None:
        await tenant.connector.read_stock([HOT], into)
        live.pop()

    assert await sweep_into(book, tenant)
    before_asking(tenant, "2", read_it_then_lose_it)
    assert await sweep_into(book, tenant)
    row = book.stock[HOT, LocationName("1")].row
    assert (row.on_hand, row.gone) == (0, True)


@pytest.mark.parametrize("age_s", [0, 2], ids=["meanwhile", "at the very moment of the first question"])
async def test_a_row_that_is_read_while_it_is_looked_for_is_not_forgotten(age_s: int) -> None:
    book, live = shop_book(1000), [*many(1, 150), stock_row(150, "hot", 7)]
    tenant = shelves(live)

    async def into(page: Page) -> None:
        for fact in page.facts:
            book.take(fact)

    assert await sweep_into(book, tenant)
    lost = live.pop()
    send, left = tenant.send, [1]

    async def back_for_a_moment(call: Call) -> Reply:
        reply = await send(call)
        if "sku" in dict(call.query) and left:
            left.pop()
            live.append(lost)
            await tenant.connector.read_stock([HOT], into)
            live.pop()
            return reply
        return replace(reply, headers={"age": str(age_s)}) if lost in live else reply

    tenant.send = back_for_a_moment  # type: ignore[method-assign]
    assert not await sweep_into(book, tenant)
    assert not book.stock[HOT, LocationName("1")].row.gone
    assert await sweep_into(book, tenant)
    assert book.stock[HOT, LocationName("1")].row.gone


async def test_a_bin_that_moved_over_an_edge_while_no_bins_are_known_is_found_by_reading_again() -> None:
    live = [stock_row(1, "hot", 10), *many(2, 201), stock_row(201, "hot", 90), *many(202, 401)]
    at = Instant(5)
    known = [
        StockObserved(HOT, LocationName("1"), 100, 0, 0, at, at)
    ]  # rows are kept over a restart, bins are not
    tenant = shelves(live, known={"known_stock": known})
    when_asked(tenant, "3", lambda: live.__delitem__(5))
    sweep = await tenant.sweep("stock")
    assert sweep.complete
    assert hot(tenant) == [100]


async def test_a_list_is_read_again_until_nothing_turns_up_in_it() -> None:
    """In the second reading one row turns up at the end, and another moves over an edge unseen."""
    live = many(1, 201)
    tenant = shelves(live)
    answer, asked = tenant.spoil, list[str]()
    assert answer is not None

    def move(path: str, query: dict[str, str], body: Any) -> Any:
        asked.append(query["page"])
        if query["page"] == "1" and asked.count("1") == 2:
            live.insert(100, stock_row(300, "hot", 7))
            live.append(stock_row(301, "late", 7))
        if query["page"] == "2" and asked.count("2") == 2:
            del live[5]
        return answer(path, query, body)

    tenant.spoil = move
    assert (await tenant.sweep("stock")).complete
    assert asked.count("1") == 4
    assert hot(tenant) == [7]


async def test_while_nothing_is_known_of_a_list_no_single_empty_page_is_its_end() -> None:
    """The first page came short, and the second one not at all: each once."""
    tenant = shelves(many(1, 151))
    walker, paging = Walker(tenant, {}), PAGINGS[FeedName("extensiv.stock")]
    assert len((await walker.walk(paging, doubt=True)).rows) == 150
    answer, left = tenant.spoil, {"1": 40, "2": 0}
    assert answer is not None
    tenant.spoil = lambda path, query, body: answer(path, query, body)[: left.pop(query["page"], None)]
    walk = await walker.walk(paging, doubt=True)
    assert (walk.why, len(walk.rows)) == ("", 150)


async def test_bins_are_not_taken_for_known_by_a_reading_that_broke_off() -> None:
    live = [
        stock_row(500, "early", 1),
        stock_row(1, "hot", 10),
        *many(2, 200),
        stock_row(201, "hot", 90),
        *many(202, 401),
    ]
    at = Instant(5)
    missing = [(Sku("early"), LocationName("2")), (Sku("was"), LocationName("1"))]
    known = [StockObserved(sku, place, 1, 0, 0, at, at) for sku, place in missing]
    tenant = shelves(live, known={"known_stock": known, "spelling": {Sku("was"): "was"}})
    send = tenant.send
    breaks(tenant, "sku", "was")
    with pytest.raises(TryLater):
        await tenant.sweep("stock")
    tenant.send = send  # type: ignore[method-assign]
    when_asked(tenant, "3", lambda: live.__delitem__(6))
    assert (await tenant.sweep("stock")).complete
    assert hot(tenant) == [100]


async def test_where_the_bins_are_known_a_list_is_read_once() -> None:
    tenant = shelves(many(1, 401))
    assert (await tenant.sweep("stock")).complete
    assert (await tenant.sweep("stock")).complete
    assert [query["page"] for _, query in tenant.asked].count("1") == 1


async def test_a_list_that_is_read_again_keeps_only_what_was_not_there_before() -> None:
    live = many(1, 150)
    walker, paging = Walker(shelves(live), {}), PAGINGS[FeedName("extensiv.stock")]
    seen = {key_of(row, paging.key) for row, _ in (await walker.walk(paging, doubt=True)).rows}
    live.append(stock_row(150, "new", 7))
    again = await walker.walk(paging, Ways(besides=seen))
    assert (again.why, [row["productStockId"] for row, _ in again.rows]) == ("", [150])


def named(tenant: Tenant) -> list[int]:
    """How many SKUs each call for some named."""
    return [len(query["sku"].split(",")) for path, query in tenant.asked if path.endswith("/inventory")]


async def test_a_call_names_as_many_skus_as_their_bins_leave_room_for() -> None:
    large = [stock_row(1000 * sku + each, f"large{sku}", 1) for sku in (1, 2, 3) for each in range(20)]
    tenant = shelves([*many(100, 220), *large])
    assert (await tenant.sweep("stock")).complete
    small = [f"s{number}" for number in range(100, 220)]
    await tenant.read(*small, "large1", "large2", "large3")
    assert named(tenant) == [40, 40, 40, 2, 1]
    assert {each.sku for each in tenant.of(StockObserved)} == {*small, "large1", "large2", "large3"}
    await tenant.read(*(f"new{number}" for number in range(10, 25)))
    assert max(named(tenant)) == 10, "a SKU whose bins nobody knows may have several"


async def test_skus_that_others_crowd_off_the_page_are_told_all_the_same() -> None:
    tenant = shelves(many(1, 401))
    assert (await tenant.sweep("stock")).complete
    asked = [f"s{number}" for number in range(1, 40)]
    await tenant.read(*asked)
    assert sorted(each.sku for each in tenant.of(StockObserved)) == sorted(asked)


def carry(live: list[Row], units: int) -> None:
    """All units go from the first bin to the last one."""
    live[0], live[-1] = stock_row(1, "hot", 0), stock_row(300, "hot", units)


async def test_units_carried_from_bin_to_bin_while_a_sweep_reads_are_counted_once() -> None:
    live = [stock_row(1, "hot", 10), *many(2, 300), stock_row(300, "hot", 0)]
    tenant = shelves(live)
    when_asked(tenant, "3", lambda: carry(live, 10))
    sweep = await tenant.sweep("stock")
    assert sweep.complete
    assert hot(tenant) == [10]
    fact = next(each for each in tenant.of(StockObserved) if each.sku == HOT)
    assert fact.as_of >= fact.age_of > sweep.began


async def test_units_carried_the_other_way_are_not_missed() -> None:
    live = [stock_row(1, "hot", 0), *many(2, 300), stock_row(300, "hot", 10)]
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete

    def back() -> None:
        live[0], live[-1] = stock_row(1, "hot", 10), stock_row(300, "hot", 0)

    when_asked(tenant, "3", back)
    assert (await tenant.sweep("stock")).complete
    assert hot(tenant) == [10]


async def test_bins_that_add_up_to_what_was_told_are_not_read_again() -> None:
    live = [stock_row(1, "hot", 10), *many(2, 300), stock_row(300, "hot", 0)]
    tenant = shelves(live)
    await tenant.sweep("stock")
    assert (await tenant.sweep("stock")).complete
    assert (hot(tenant), [query for _, query in tenant.asked if "sku" in query]) == ([10], [])


async def test_what_was_told_before_a_start_is_not_read_again_after_it() -> None:
    at = Instant(5)
    known = [StockObserved(HOT, LocationName("1"), 10, 0, 0, at, at)]
    live = [stock_row(1, "hot", 10), *many(2, 300), stock_row(300, "hot", 0)]
    tenant = shelves(live, known={"known_stock": known})
    assert (await tenant.sweep("stock")).complete
    assert (hot(tenant), [query for _, query in tenant.asked if "sku" in query]) == ([10], [])


async def test_torn_sums_beyond_what_a_sweep_may_read_again_wait_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stock, "MAX_AGAIN", 2)
    ends = [f"e{number}" for number in range(5)]
    live = [stock_row(900 + n, sku, 1) for n, sku in enumerate(ends)] + many(1, 200)
    live += [stock_row(950 + n, sku, 2) for n, sku in enumerate(ends)]
    tenant = shelves(live)
    complete, told = [], list[tuple[str, int]]()
    for _ in range(3):
        sweep = await tenant.sweep("stock")
        complete.append(sweep.complete)
        told += [(each.sku, each.on_hand) for each in tenant.of(StockObserved) if each.sku in ends]
        assert sweep.complete or "not read together yet" in sweep.why
    assert complete == [False, False, True]
    assert set(told) == {(sku, 3) for sku in ends}


async def test_bins_of_one_place_that_fill_pages_are_told_once_they_stand_still() -> None:
    live = [stock_row(number, "hot", 1) for number in range(1, 251)]
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete
    assert hot(tenant) == [250]
    live[0] = stock_row(1, "hot", 5)
    assert (await tenant.sweep("stock")).complete
    assert hot(tenant) == [254]
    live.pop()
    assert (await tenant.sweep("stock")).complete
    assert hot(tenant) == [253]


@pytest.mark.parametrize("hidden", [1, 20], ids=["one", "many"])
async def test_a_row_that_a_cut_page_hid_is_found_fault_with_like_any_other(hidden: int) -> None:
    """A finding that a whole reading does not make again is over."""
    live = many(1, 30)
    live.append(stock_row(30, "hot", 9) | {"availableQuantity": 77})
    tenant = shelves(live)
    whole = await tenant.sweep("stock")
    found = [each.subject for each in tenant.findings(FindingKind.QUANTITY_ALGEBRA)]
    assert len(found) == 1
    answer = tenant.spoil
    assert answer is not None

    def cut(path: str, query: dict[str, str], body: Any) -> Any:
        rows = answer(path, query, body)
        return rows if "sku" in query or not path.endswith("/inventory") else rows[:-hidden]

    tenant.spoil = cut
    again = await tenant.sweep("stock")
    assert (again.complete, again.rows) == (True, whole.rows), again.why
    assert {each.subject for each in tenant.findings(FindingKind.QUANTITY_ALGEBRA)} == set(found)


async def test_an_empty_page_before_one_with_rows_is_no_end() -> None:
    """Twice empty, while the page behind it came full."""
    tenant = shelves(many(1, 250))
    assert (await tenant.sweep("stock")).complete
    answer = tenant.spoil
    assert answer is not None

    def spoil(path: str, query: dict[str, str], body: Any) -> Any:
        whole = path.endswith("/inventory") and "sku" not in query
        return [] if whole and query["page"] == "1" else answer(path, query, body)

    tenant.spoil = spoil
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.why) == (
        False,
        "page 1 of /v1/inventory is empty, and the next one is not",
    )
    assert [each for each in tenant.of(StockObserved) if each.gone] == []


@pytest.mark.parametrize(
    ("rows", "page", "time"),
    [(250, "2", 1), (250, "2", 2), (200, "3", 1)],
    ids=["a page", "one of the second look", "an empty one that was asked for once more"],
)
async def test_a_page_that_a_cache_kept_makes_the_whole_reading_as_old(
    rows: int, page: str, time: int
) -> None:
    tenant = shelves(many(1, 1 + rows))
    send, asked = tenant.send, list[str]()

    async def kept(call: Call) -> Reply:
        reply = await send(call)
        asked.append(dict(call.query)["page"])
        old = asked[-1] == page and asked.count(page) == time
        return Reply(200, {"age": "600"} if old else {}, reply.body, reply.asked_at, reply.answered_at)

    tenant.send = kept  # type: ignore[method-assign]
    before = tenant.desk.clock()
    assert (await tenant.sweep("stock")).began < before - 580_000


async def test_one_page_of_two_that_does_not_come_is_told_as_what_it_is() -> None:
    tenant = shelves(many(1, 250))
    breaks(tenant, "page", "2")
    with pytest.raises(TryLater):
        await tenant.sweep("stock")


@pytest.mark.parametrize(("said", "told"), [(0, []), (100, [100]), (101, [])])
async def test_rows_that_say_nothing_or_many_times_as_much_are_held_against_their_total(
    said: int, told: list[int]
) -> None:
    """Five were there, and the total says so still. What is little is no wonder until it is a hundred."""
    live = [stock_row(1, "a", 5)]
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete
    live[0]["quantity"] = said
    assert (await tenant.sweep("stock")).complete is bool(told)
    assert [each.on_hand for each in tenant.of(StockObserved)] == told
