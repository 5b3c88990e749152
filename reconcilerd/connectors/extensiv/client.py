"""Reads Extensiv Order Manager's feeds, and proves, or does not, that a reading saw all of a feed.

Lists are bare arrays, so a cut reply looks like the end: a sweep is complete only if two requests in a row for
what comes after the last page were answered with nothing, and every key of the previous complete sweep was seen
or found missing, twice, by exact SKU. ``inventory/acknowledge`` is a destructive read and is never called.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import anyio

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.port import Emit, Page, rejected_rows
from reconcilerd.domain.facts import (
    Fact,
    FindingKind,
    FindingRaised,
    ListingDeclared,
    ProductObserved,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.names import (
    ChannelName,
    FeedName,
    Instant,
    LocationName,
    Sku,
    after,
    format_instant,
    sku_of,
)
from reconcilerd.errors import ReconcilerdError
from reconcilerd.transport.client import Call, Reply, json_of
from reconcilerd.transport.lane import LaneSpec, Priority

LANES: Final = (LaneSpec("read", 5, 4), LaneSpec("totals", 10, 9))
"""Reads: 5 a second; totals: 10. A burst one below the server's spares the 429 at the brim."""

MAX_PAGES: Final = 20_000
OVERLAP_MS: Final = 120_000
FIRST_LOOK_BACK_MS: Final = 2 * 86_400_000
MAX_CONFIRM: Final = 500
SKUS_A_CALL: Final = 10

PRODUCTS = FeedName("extensiv.products")
LISTINGS = FeedName("extensiv.listings")
WAREHOUSES = FeedName("extensiv.warehouses")
CHANNELS = FeedName("extensiv.channels")
STOCK = FeedName("extensiv.stock")
TOTALS = FeedName("extensiv.totals")
ORDERS = FeedName("extensiv.orders")

Wire = dict[str, Any]
Query = tuple[tuple[str, str], ...]


class Sender(Protocol):
    """What this connector needs of a client."""

    async def send(self, call: Call) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Paging:
    """How one list is read: path, rows a page, lane, the field that tells rows apart."""

    path: str
    limit: int
    key: str
    lane: str = "read"
    priority: Priority = Priority.STOCK
    query: Query = ()


@dataclass(slots=True)
class Walk:
    """One reading of a paged list."""

    rows: list[tuple[Wire, Instant]] = field(default_factory=list)
    why: str = ""
    """Why it does not prove the end; empty if it does."""


PAGINGS: Final[Mapping[FeedName, Paging]] = {
    PRODUCTS: Paging("/v1.1/products", 100, "productId"),
    LISTINGS: Paging("/v1/listings", 500, "listingId"),
    STOCK: Paging("/v1/inventory", 100, "productStockId"),
    TOTALS: Paging("/v1/productstocks/total", 200, "product", lane="totals"),
    ORDERS: Paging("/v1.1/orders", 500, "orderId", priority=Priority.ORDERS),
}
WHOLE: Final[Mapping[FeedName, str]] = {WAREHOUSES: "/v1/warehouses", CHANNELS: "/v1/saleschannels"}


class Extensiv:
    """The stock source. Keeps, per feed, the keys of its last complete sweep."""

    def __init__(
        self,
        client: Sender,
        clock: Callable[[], Instant],
        *,
        channels: Mapping[int, ChannelName],
        read_lag_ms: int = 0,
        known_stock: Mapping[Sku, frozenset[LocationName]] | None = None,
        max_pages: int = MAX_PAGES,
    ) -> None:
        """``channels``: sales channel ids to configured names. ``known_stock``: where rows were, at the last start."""
        self._client = client
        self._clock = clock
        self._channels = channels
        self._lag = read_lag_ms
        self._max_pages = max_pages
        self._stock: dict[Sku, frozenset[LocationName]] = dict(known_stock or {})
        self._bins: dict[Sku, frozenset[int]] = {}
        self._virtual: set[Sku] = set()
        self._keys: dict[FeedName, frozenset[object]] = {}

    @property
    def name(self) -> str:
        return "extensiv"

    @property
    def feeds(self) -> tuple[FeedName, ...]:
        return (PRODUCTS, LISTINGS, WAREHOUSES, CHANNELS, ORDERS, STOCK, TOTALS)

    async def sweep(self, feed: FeedName, cursor: str, emit: Emit) -> SweepRead:
        """Read one feed. Only orders have news since a cursor; all else is read whole."""
        began = self._clock()
        if feed in WHOLE:
            return await self._sweep_whole(feed, began, emit)
        if feed == ORDERS:
            return await self._sweep_orders(cursor, began, emit)
        walk = await self._walk(PAGINGS[feed])
        if feed == STOCK:
            return await self._finish_stock(walk, began, emit)
        return await self._finish_plain(feed, walk, began, emit)

    async def read_stock(self, skus: Sequence[Sku], emit: Emit) -> None:
        """Read the rows of exactly these SKUs. The server's filter matches substrings; ours does not."""
        for start in range(0, len(skus), SKUS_A_CALL):
            wanted = set(skus[start : start + SKUS_A_CALL])
            began = self._clock()
            walk = await self._walk(_by_sku(wanted))
            if walk.why:
                continue
            facts, bins = self._bins_of(walk)
            mine = [each for each in bins if each.sku in wanted]
            whole = [
                e
                for e in mine
                if self._bins.get(e.sku, frozenset()) <= {b.stock_id for b in mine if b.sku == e.sku}
            ]
            await emit(Page(STOCK, (*facts, *self._stock_facts(whole, began))))

    async def _sweep_whole(self, feed: FeedName, began: Instant, emit: Emit) -> SweepRead:
        reply = await self._client.send(Call("GET", WHOLE[feed], "read", Priority.STOCK))
        found = json_of(reply, list[Wire], f"extensiv {WHOLE[feed]}")
        facts: list[Fact] = []
        for row in found:
            try:
                made: Fact = (rows.warehouse if feed == WAREHOUSES else rows.sales_channel)(row, began)
            except (ValueError, KeyError, TypeError) as error:
                made = rows.rejected(feed, row, error, began)
            facts.append(made)
        await emit(Page(feed, tuple(facts)))
        why = "" if found else "an empty list where there must be at least one"
        return self._read(feed, began, len(found), why)

    async def _sweep_orders(self, cursor: str, began: Instant, emit: Emit) -> SweepRead:
        """First every open order without a date window, and the recently ended ones; then what was modified."""
        if cursor:
            since = after(Instant(int(cursor)), -OVERLAP_MS)
            windows: list[Query] = [(("modifiedDateFrom", format_instant(_whole_s(since))),)]
        else:
            recent = format_instant(_whole_s(after(began, -FIRST_LOOK_BACK_MS)))
            windows = [(("status", ",".join(rows.OPEN_STATUSES)),), (("modifiedDateFrom", recent),)]
        count, why = 0, ""
        for query in windows:
            paging = PAGINGS[ORDERS]
            walk = await self._walk(
                Paging(paging.path, paging.limit, paging.key, paging.lane, paging.priority, query)
            )
            facts: list[Fact] = []
            for row, asked in walk.rows:
                facts.extend(self._order_facts(row, asked))
            if facts:
                await emit(Page(ORDERS, tuple(facts)))
            count, why = count + len(walk.rows), why or walk.why
        return self._read(ORDERS, began, count, why, cursor=str(began), full=not cursor)

    def _order_facts(self, row: Wire, asked: Instant) -> list[Fact]:
        try:
            fact, findings = rows.order(row, asked, self._channels)
        except (ValueError, KeyError, TypeError) as error:
            return [rows.rejected("order", row, error, asked)]
        return [fact, *findings]

    async def _finish_plain(self, feed: FeedName, walk: Walk, began: Instant, emit: Emit) -> SweepRead:
        facts: list[Fact] = []
        for row, asked in walk.rows:
            try:
                match feed:
                    case "extensiv.products":
                        fact, findings = rows.product(row, asked)
                        facts.extend((fact, *findings))
                    case "extensiv.listings":
                        facts.append(rows.listing(row, asked))
                    case _:
                        facts.append(rows.stock_total(row, asked))
            except (ValueError, KeyError, TypeError) as error:
                facts.append(rows.rejected(feed, row, error, asked))
        if feed == PRODUCTS:
            products = [fact for fact in facts if isinstance(fact, ProductObserved)]
            self._virtual = {each.sku for each in products if each.type == "virtual"}
            facts.extend(_collisions(products, began))
        if feed == LISTINGS:
            facts.extend(_mapped_twice([fact for fact in facts if isinstance(fact, ListingDeclared)], began))
        await emit(Page(feed, tuple(facts)))
        keys = frozenset(_key_of(row, PAGINGS[feed].key) for row, _ in walk.rows)
        missing = self._keys.get(feed, frozenset()) - keys
        why = walk.why or (f"{len(missing)} rows of the last complete reading are missing" if missing else "")
        # Missing twice in a row is how a deleted row looks; once may be a page that shifted.
        self._keys[feed] = keys if not walk.why else self._keys.get(feed, frozenset())
        return self._read(feed, began, len(walk.rows), why)

    async def _finish_stock(self, walk: Walk, began: Instant, emit: Emit) -> SweepRead:
        facts, bins = self._bins_of(walk)
        seen: dict[Sku, set[int]] = {}
        for each in bins:
            seen.setdefault(each.sku, set()).add(each.stock_id)
        cut = {sku for sku, known in self._bins.items() if sku in seen and not known <= seen[sku]}
        missing = {sku for sku in self._stock if sku not in seen}
        gone, unsettled = await self._confirm(cut | missing, emit) if not walk.why else (set(), cut | missing)
        sound = [each for each in bins if each.sku not in cut]
        facts += self._stock_facts(sound, began)
        for sku in sorted(gone):
            facts += [
                StockObserved(sku, place, 0, 0, 0, began, after(began, -self._lag), gone=True)
                for place in sorted(self._stock.pop(sku, frozenset()))
            ]
            self._bins.pop(sku, None)
        await emit(Page(STOCK, tuple(facts)))
        why = walk.why or (
            f"{len(unsettled)} SKUs of the last reading could not be found again" if unsettled else ""
        )
        if not why:
            for sku, ids in seen.items():
                self._bins.setdefault(sku, frozenset(ids))
        return self._read(STOCK, began, len(walk.rows), why)

    async def _confirm(self, skus: set[Sku], emit: Emit) -> tuple[set[Sku], set[Sku]]:
        """Ask for each by exact SKU, twice. Returns (gone, unsettled); those found again are emitted."""
        if len(skus) > MAX_CONFIRM:
            return set(), skus
        gone: set[Sku] = set()
        unsettled: set[Sku] = set()
        for sku in sorted(skus):
            began = self._clock()
            first, second = await self._walk(_by_sku({sku})), await self._walk(_by_sku({sku}))
            read = [self._bins_of(walk) for walk in (first, second)]
            found = {b.stock_id: b for _, bins in read for b in bins if b.sku == sku}
            if first.why or second.why or any(rejected_rows(facts) for facts, _ in read):
                unsettled.add(sku)
            elif found:
                self._bins[sku] = frozenset(found)
                await emit(Page(STOCK, tuple(self._stock_facts(list(found.values()), began))))
            else:
                gone.add(sku)
        return gone, unsettled

    def _bins_of(self, walk: Walk) -> tuple[list[Fact], list[rows.Bin]]:
        """Readable bins, the newest reading of each; findings for the rest."""
        facts: list[Fact] = []
        bins: dict[int, rows.Bin] = {}
        for row, asked in walk.rows:
            try:
                each = rows.stock_bin(row, asked)
            except (ValueError, KeyError, TypeError) as error:
                facts.append(rows.rejected("stock", row, error, asked))
                continue
            if each.sku in self._virtual:
                detail = f"virtual product {each.sku} has a stock row of {each.quantity}; it is not counted"
                facts.append(FindingRaised(FindingKind.VIRTUAL_HAS_STOCK, each.sku, detail, asked))
                continue
            if each.algebra:
                subject = f"{each.sku}@{each.location}/{each.stock_id}"
                facts.append(FindingRaised(FindingKind.QUANTITY_ALGEBRA, subject, each.algebra, asked))
            bins[each.stock_id] = each
        unreadable = {f.subject.rpartition(":")[2] for f in facts if isinstance(f, FindingRaised)}
        broken = {sku for sku, ids in self._bins.items() if any(str(i) in unreadable for i in ids)}
        return facts, [each for each in bins.values() if each.sku not in broken]

    def _stock_facts(self, bins: Sequence[rows.Bin], began: Instant) -> list[StockObserved]:
        """All bins of a SKU at a warehouse added up."""
        groups: dict[tuple[Sku, LocationName], list[rows.Bin]] = {}
        for each in bins:
            groups.setdefault((each.sku, each.location), []).append(each)
        facts = []
        for (sku, place), some in sorted(groups.items()):
            self._stock[sku] = self._stock.get(sku, frozenset()) | {place}
            facts.append(
                StockObserved(
                    sku=sku,
                    location=place,
                    on_hand=sum(each.quantity for each in some),
                    unavailable=sum(each.unavailable for each in some),
                    allocated=sum(each.allocated for each in some),
                    age_of=began,
                    as_of=after(min(each.asked for each in some), -self._lag),
                )
            )
        return facts

    async def _walk(self, paging: Paging) -> Walk:
        """Read pages, two at a time, until two in a row are empty: two requests that both saw nothing more.

        An empty page before one with rows was a glitch and is asked for again. A page like the one before means
        that the server ignores ``page``.
        """
        walk, before, number = Walk(), None, 1
        while number <= self._max_pages:
            pair = await self._pages(paging, (number, number + 1))
            if not pair[0][0]:
                if not pair[1][0]:
                    return walk
                pair = [await self._page(paging, number), pair[1]]
                if not pair[0][0]:
                    walk.why = f"page {number} of {paging.path} is empty, and the next one is not"
                    return walk
            for at, (page, asked) in enumerate(pair, number):
                keys = [_key_of(row, paging.key) for row in page]
                if page and keys == before:
                    walk.why = f"page {at} of {paging.path} repeats the one before: the server ignores paging"
                    return walk
                walk.rows.extend((row, asked) for row in page)
                before = keys
            # An empty second page is asked for again, as the first of the next pair.
            number += 2 if pair[1][0] else 1
        walk.why = f"{paging.path} did not end within {self._max_pages} pages"
        return walk

    async def _pages(self, paging: Paging, numbers: Sequence[int]) -> list[tuple[list[Wire], Instant]]:
        """Several pages at once, so that a slow answer does not leave the bucket unused. The first error wins."""
        found: dict[int, tuple[list[Wire], Instant]] = {}
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

    async def _page(self, paging: Paging, number: int) -> tuple[list[Wire], Instant]:
        query = (*paging.query, ("page", str(number)), ("limit", str(paging.limit)))
        reply = await self._client.send(Call("GET", paging.path, paging.lane, paging.priority, query))
        return json_of(reply, list[Wire], f"extensiv {paging.path} page {number}"), reply.asked_at

    def _read(
        self, feed: FeedName, began: Instant, count: int, why: str, *, cursor: str = "", full: bool = True
    ) -> SweepRead:
        return SweepRead(feed, began, self._clock(), not why, count, 0, why, cursor if not why else "", full)


def _by_sku(skus: set[Sku]) -> Paging:
    quoted = ",".join(f'"{sku}"' if "," in sku else sku for sku in sorted(skus))
    plain = PAGINGS[STOCK]
    return Paging(plain.path, plain.limit, plain.key, query=(("sku", quoted),))


def _key_of(row: Wire, key: str) -> object:
    value = row.get(key)
    return value.get("masterSku") if isinstance(value, dict) else value


def _whole_s(at: Instant) -> Instant:
    """Extensiv's dates have whole seconds."""
    return Instant(at - at % 1000)


def _mapped_twice(listings: Sequence[ListingDeclared], at: Instant) -> list[FindingRaised]:
    """One listing SKU of one channel that means several SKUs: none of its slots is written."""
    meant: dict[tuple[int, str], set[Sku]] = {}
    for each in listings:
        if each.active:
            meant.setdefault((each.sales_channel_id, each.listing_sku.casefold()), set()).add(each.sku)
    return [
        FindingRaised(
            FindingKind.LISTING_MAPPED_TWICE,
            f"{channel}:{code}",
            f"listing {code!r} of sales channel {channel} is mapped to {', '.join(sorted(skus))}; keep one",
            at,
        )
        for (channel, code), skus in sorted(meant.items())
        if len(skus) > 1
    ]


def _collisions(products: Sequence[ProductObserved], at: Instant) -> list[FindingRaised]:
    """SKUs that differ only by case are one SKU to Extensiv and several to others."""
    written: dict[Sku, set[str]] = {}
    for each in products:
        written.setdefault(sku_of(each.shown_sku), set()).add(each.shown_sku)
    return [
        FindingRaised(
            FindingKind.SKU_CASE_COLLISION,
            sku,
            f"written as {', '.join(sorted(ways))}; rename all but one",
            at,
        )
        for sku, ways in sorted(written.items())
        if len(ways) > 1
    ]
