"""Stock rows that move while they are read: what went is gone from then on, and no unit is seen twice or lost."""

from collections.abc import Awaitable, Callable
from typing import Any

from reconcilerd.connectors.port import Page
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import StockObserved
from reconcilerd.domain.names import FeedName, LocationName, Sku
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


async def test_a_row_that_is_read_while_it_is_looked_for_is_not_forgotten() -> None:
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

    tenant.send = back_for_a_moment  # type: ignore[method-assign]
    assert not await sweep_into(book, tenant)
    assert not book.stock[HOT, LocationName("1")].row.gone
    assert await sweep_into(book, tenant)
    assert book.stock[HOT, LocationName("1")].row.gone
