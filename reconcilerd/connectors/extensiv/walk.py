"""Walks Extensiv's paged lists to a proven end, or says why the end is not proven.

Lists are bare arrays, so a cut reply looks like the end: only what was told twice is one. A page that comes back
empty twice tells so, or an empty page behind one that is shorter than pages of that list are.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import anyio

from reconcilerd.domain.names import FeedName, Instant, Sku
from reconcilerd.errors import ReconcilerdError
from reconcilerd.transport.client import Call
from reconcilerd.transport.lane import LaneSpec, Priority
from reconcilerd.transport.replies import Reply, Skew, json_of

LANES: Final = (LaneSpec("read", 5, 4), LaneSpec("totals", 10, 9))
"""Reads: 5 a second; totals: 10. A burst one below the server's spares the 429 at the brim."""

MAX_PAGES: Final = 5_000
"""Half a million stock rows. A list that is longer does not end."""

MAX_CONFIRM: Final = 500
MOST_PASSES: Final = 5
"""How often a list is read once more because rows turned up that were not there before."""
SKUS_A_CALL: Final = 10
PAGE_TIMEOUT_S: Final = 60.0
SLOW_PAGE_TIMEOUT_S: Final = 300.0
"""Pages of stock are slow where the catalogue is large."""

PRODUCTS = FeedName("extensiv.products")
LISTINGS = FeedName("extensiv.listings")
WAREHOUSES = FeedName("extensiv.warehouses")
CHANNELS = FeedName("extensiv.channels")
STOCK = FeedName("extensiv.stock")
TOTALS = FeedName("extensiv.totals")
ORDERS = FeedName("extensiv.orders")

Wire = dict[str, Any]
Query = tuple[tuple[str, str], ...]
Asked = tuple[list[Wire], Instant]
"""The rows of one page, and the moment it tells of: when it was asked for, or a cache had it made."""
Row = tuple[Wire, Instant]
Take = Callable[[Sequence[Row]], Awaitable[None]]
"""Is handed the rows of a page as it is read; they are not kept then."""


class Sender(Protocol):
    """What this connector needs of a client."""

    async def send(self, call: Call) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Paging:
    """How one list is read: path, rows a page, the field that tells rows apart, the filter by SKU, lane."""

    path: str
    limit: int
    key: str
    by_sku: str = "sku"
    lane: str = "read"
    priority: Priority = Priority.STOCK
    query: Query = ()
    timeout_s: float = PAGE_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Ways:
    """What becomes of the rows of a reading.

    ``besides``: keys of rows that the caller has; they are read, and not kept. ``take``: whom each page goes to,
    where none is kept. ``counts``: whether a row that turns up late tells that others were moved, and is not merely
    new.
    """

    besides: Collection[object] = frozenset()
    take: Take | None = None
    counts: Callable[[Wire], bool] = lambda _: True


PLAIN: Final = Ways()


@dataclass(slots=True)
class Walk:
    """One reading of a paged list, whose rows are told apart by ``key``."""

    key: str
    rows: list[Row] = field(default_factory=list)
    """Those that nobody took as they came."""
    why: str = ""
    """Why it does not prove the end; empty if it does."""
    pages: int = 0
    """How many pages had rows: the server decides how many rows a page has."""
    oldest: Instant | None = None
    """The oldest moment that a page tells of, the empty ones included."""
    keys: set[object] = field(default_factory=set)
    """Of all rows that were met, kept or not."""
    ways: Ways = PLAIN
    moved: bool = False
    """Whether a row that nobody had before tells that others may have been moved out of sight."""

    @property
    def count(self) -> int:
        """How many rows the list has: one that came twice is one."""
        return len(self.keys)

    async def keep(self, page: Sequence[Wire], asked: Instant, besides: Collection[object] = ()) -> None:
        """Take in a page, but for rows that somebody has already."""
        had = self.ways.besides
        keyed = [(key_of(row, self.key), row) for row in page]
        fresh = [(row, asked) for key, row in keyed if key not in had and key not in besides]
        self.keys.update(key for key, _ in keyed)
        self.moved = self.moved or any(self.ways.counts(row) for row, _ in fresh)
        if self.ways.take is None:
            self.rows += fresh
        elif fresh:
            await self.ways.take(fresh)

    def saw(self, asked: Instant) -> None:
        self.oldest = asked if self.oldest is None else min(self.oldest, asked)

    def began(self, began: Instant) -> Instant:
        """When this reading began, if it was then; earlier where a cache answered."""
        return began if self.oldest is None else min(began, self.oldest)


PAGINGS: Final[Mapping[FeedName, Paging]] = {
    PRODUCTS: Paging("/v1.1/products", 100, "productId"),
    LISTINGS: Paging("/v1/listings", 500, "listingId", by_sku="masterSku"),
    STOCK: Paging("/v1/inventory", 100, "productStockId", timeout_s=SLOW_PAGE_TIMEOUT_S),
    TOTALS: Paging("/v1/productstocks/total", 200, "product", lane="totals"),
    ORDERS: Paging("/v1.1/orders", 500, "orderId", priority=Priority.ORDERS),
}


class Walker:
    """Reads lists. ``spelling``: SKUs as the seller writes them; a filter is sent in no other way."""

    def __init__(self, client: Sender, spelling: Mapping[Sku, str], max_pages: int = MAX_PAGES) -> None:
        self._client = client
        self._max_pages = max_pages
        self.spelling: dict[Sku, str] = dict(spelling)
        self.skew = Skew()
        self._widest: dict[str, int] = {}
        """By path: the most rows that a page ever had. The server may give fewer than it is asked for."""
        self._short: set[str] = set()
        """Paths whose last list was one page."""

    def spells(self, sku: Sku) -> bool:
        """Whether the seller's own spelling is known; one that is guessed proves nothing by finding nothing."""
        return sku in self.spelling

    async def walk_skus(self, feed: FeedName, skus: Collection[Sku]) -> Walk:
        """All rows of these SKUs. The server matches substrings: the caller must look at each row's own SKU."""
        return await self._walk(self._of_skus(feed, skus), 1)

    async def glance(self, feed: FeedName, skus: Collection[Sku]) -> Walk:
        """The first page of rows of these SKUs: enough for a caller who knows which rows there must be."""
        return await self.glance_at(self._of_skus(feed, skus))

    async def glance_at(self, paging: Paging) -> Walk:
        """The first page of a list."""
        page, asked = await self._page(paging, 1)
        return Walk(paging.key, [(row, asked) for row in page])

    async def walk(self, paging: Paging, ways: Ways = PLAIN, *, doubt: bool = False) -> Walk:
        """A whole list, two pages at a time, so that a slow answer does not leave the bucket unused.

        ``doubt``: nothing is known of what must be there, so a last page that is not full is read twice.
        """
        at_once = 1 if paging.path in self._short else 2
        walk = await self._walk(paging, at_once, ways, doubt=doubt)
        if walk.pages <= 1:
            self._short.add(paging.path)
        else:
            self._short.discard(paging.path)
        return walk

    async def walk_till_still(self, paging: Paging, ways: Ways = PLAIN, *, doubt: bool = False) -> Walk:
        """A list to its end, again until nothing that ``counts`` turns up that was not there before.

        A row that leaves the list while it is read moves another one over the edge of a page, unseen. One that comes
        new moves none out of sight, and of a busy list there is always one more.
        """
        walk = await self.walk(paging, ways, doubt=doubt)
        for _ in range(MOST_PASSES):
            if walk.why or walk.pages <= 1:
                return walk
            again = await self.walk(paging, replace(ways, besides=walk.keys))
            walk.rows += again.rows
            walk.why = again.why
            if again.oldest is not None:
                walk.saw(again.oldest)
            walk.keys |= again.keys
            if not again.moved:
                return walk
        walk.why = f"{paging.path} still moved after {MOST_PASSES} readings"
        return walk

    def _of_skus(self, feed: FeedName, skus: Collection[Sku]) -> Paging:
        plain = PAGINGS[feed]
        spelt = [self.spelling.get(sku, sku) for sku in sorted(skus)]
        text = ",".join(f'"{each}"' if "," in each else each for each in spelt)
        return replace(plain, query=((plain.by_sku, text),), timeout_s=PAGE_TIMEOUT_S)

    async def _walk(self, paging: Paging, at_once: int, ways: Ways = PLAIN, *, doubt: bool = False) -> Walk:
        """Read pages until the end is told twice, and none after it has rows.

        A page of rows that all came before means that the server ignores ``page``.
        """
        walk, number, sizes = Walk(paging.key, ways=ways), 1, dict[int, int]()
        while number <= self._max_pages:
            pages = await self._pages(paging, range(number, number + at_once))
            for at, (first, first_asked) in enumerate(pages, number):
                told = not doubt and 0 < sizes.get(at - 1, 0) < self._widest.get(paging.path, 0)
                page, asked = (first, first_asked) if first or told else await self._page(paging, at)
                walk.saw(min(first_asked, asked))
                if not page:
                    if any(later for later, _ in pages[at - number + 1 :]):
                        walk.why = f"page {at} of {paging.path} is empty, and the next one is not"
                        return walk
                    return await self._fill_up(paging, walk, sizes, doubt=doubt)
                if walk.keys.issuperset(key_of(row, paging.key) for row in page):
                    walk.why = f"page {at} of {paging.path} repeats earlier ones: the server ignores paging"
                    return walk
                await walk.keep(page, asked)
                sizes[at] = len(page)
                self._widest[paging.path] = max(len(page), self._widest.get(paging.path, 0))
                walk.pages = len(sizes)
            number += at_once
            if len(pages[-1][0]) < paging.limit:
                at_once = 1  # this was the last one, or the next tells
        walk.why = f"{paging.path} did not end within {self._max_pages} pages"
        return walk

    async def _fill_up(self, paging: Paging, walk: Walk, sizes: Mapping[int, int], *, doubt: bool) -> Walk:
        """Read again every page that may have been cut: one shorter than others that is not the last."""
        full = max(sizes.values(), default=0) if len(sizes) > 1 else paging.limit
        last = len(sizes)
        for number, size in sizes.items():
            if size < full and (number < last or doubt):
                page, asked = await self._page(paging, number)
                await walk.keep(page, asked, walk.keys)
        return walk

    async def _pages(self, paging: Paging, numbers: Sequence[int]) -> list[Asked]:
        """Several pages at once. The first error wins."""
        found: dict[int, Asked] = {}
        failed: list[ReconcilerdError] = []

        async def read(number: int) -> None:
            try:
                found[number] = await self._page(paging, number)
            except ReconcilerdError as error:
                failed.append(error)

        async with anyio.create_task_group() as group:
            for number in numbers:
                group.start_soon(read, number)
        if failed:
            raise failed[0]
        return [found[number] for number in numbers]

    async def whole(self, path: str) -> Sequence[Wire]:
        """A list that comes in one piece."""
        reply = await self._client.send(Call("GET", path, "read", Priority.STOCK, operation=path))
        return json_of(reply, list[Wire], f"extensiv {path}")

    async def _page(self, paging: Paging, number: int) -> Asked:
        query = (*paging.query, ("page", str(number)), ("limit", str(paging.limit)))
        call = Call(
            "GET",
            paging.path,
            paging.lane,
            paging.priority,
            query,
            timeout_s=paging.timeout_s,
            operation=paging.path,
        )
        reply = await self._client.send(call)
        told_of = self.skew.learn(reply)
        return json_of(reply, list[Wire], f"extensiv {paging.path} page {number}"), told_of


def key_of(row: Wire, key: str) -> object:
    """What tells a row apart; its text where that is no plain value."""
    value = row.get(key)
    if isinstance(value, dict):
        value = value.get("masterSku")
    return value if isinstance(value, str | int) else repr(value)
