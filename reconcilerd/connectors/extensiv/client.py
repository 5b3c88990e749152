"""Reads Extensiv Order Manager's feeds, and proves, or does not, that a reading saw all of a feed.

A sweep is complete only if its end is proven and every key of the previous complete sweep was seen or found
missing, twice, by exact SKU. ``inventory/acknowledge`` is a destructive read and is never called.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.catalogue import Catalogue
from reconcilerd.connectors.extensiv.stock import Stock
from reconcilerd.connectors.extensiv.walk import (
    CHANNELS,
    LISTINGS,
    MAX_PAGES,
    ORDERS,
    PAGINGS,
    PRODUCTS,
    STOCK,
    TOTALS,
    WAREHOUSES,
    Query,
    Sender,
    Walk,
    Walker,
    Wire,
    key_of,
)
from reconcilerd.connectors.port import Emit, Page, too_many_unreadable
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import Fact, SweepRead
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, Sku, after, format_instant

OVERLAP_MS: Final = 120_000
FIRST_LOOK_BACK_MS: Final = 14 * 86_400_000
"""For orders in a status that this version cannot ask for by name."""
MOST_PASSES: Final = 5

WHOLE: Final[Mapping[FeedName, str]] = {WAREHOUSES: "/v1/warehouses", CHANNELS: "/v1/saleschannels"}
_NONE: Final[Mapping[ChannelName, str]] = MappingProxyType({})


class Extensiv:
    """The stock source."""

    def __init__(
        self,
        client: Sender,
        clock: Callable[[], Instant],
        *,
        channels: Mapping[int, ChannelName],
        order_keys: Mapping[ChannelName, str] = _NONE,
        read_lag_ms: int = 0,
        known_stock: Mapping[Sku, frozenset[LocationName]] | None = None,
        spelling: Mapping[Sku, str] | None = None,
        max_pages: int = MAX_PAGES,
    ) -> None:
        """``channels``: sales channel ids to configured names. ``known_stock``: where rows were, at the last start;
        ``spelling``: how the seller writes those SKUs. ``order_keys``: see ``number_on_channel``.
        """
        self._clock = clock
        self._channels = channels
        self._order_keys = order_keys
        self._walker = Walker(client, spelling or {}, max_pages)
        self._catalogue = Catalogue(self._walker, clock)
        self._stock = Stock(
            self._walker, clock, lambda: self._catalogue.virtual, read_lag_ms, known_stock or {}
        )

    @property
    def name(self) -> str:
        return "extensiv"

    @property
    def feeds(self) -> tuple[FeedName, ...]:
        return (PRODUCTS, LISTINGS, WAREHOUSES, CHANNELS, ORDERS, STOCK, TOTALS)

    async def sweep(self, feed: FeedName, cursor: str, emit: Emit) -> SweepRead:
        """Read one feed. Only orders have news since a cursor; all else is read whole."""
        began = self._clock()
        if feed == ORDERS:
            return await self._sweep_orders(cursor, began, emit)
        if feed in WHOLE:
            count, why = await self._sweep_whole(feed, began, emit)
        elif feed == STOCK:
            count, why = await self._stock.sweep(began, emit)
        elif feed == TOTALS:
            count, why = await self._stock.sweep_totals(emit)
        else:
            count, why = await self._catalogue.sweep(feed, began, emit)
        return self._read(feed, began, count, why)

    async def read_stock(self, skus: Sequence[Sku], emit: Emit) -> None:
        """Read the rows of exactly these SKUs. The server's filter matches substrings; ours does not."""
        await self._stock.read(skus, emit)

    async def _sweep_whole(self, feed: FeedName, began: Instant, emit: Emit) -> tuple[int, str]:
        found = await self._walker.whole(WHOLE[feed])
        read = rows.warehouse if feed == WAREHOUSES else rows.sales_channel
        facts: list[Fact] = []
        for row in found:
            made = parsed(lambda row=row: read(row, began))  # type: ignore[misc]
            facts.append(_fact(feed.partition(".")[2], row, made, began))
        await emit(Page(feed, tuple(facts)))
        return len(found), "" if found else "an empty list where there must be at least one"

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
            walk = await self._walk_orders(query, doubt=not cursor)
            facts: list[Fact] = []
            for row, asked in walk.rows:
                facts.extend(self._order_facts(row, asked))
            if facts:
                await emit(Page(ORDERS, tuple(facts)))
            count, why = count + len(walk.rows), why or walk.why or too_many_unreadable(facts)
        # The next window is asked for by the server's time: by ours, if it is ahead, orders would fall between.
        follow = str(self._walker.skew.theirs(began))
        return self._read(ORDERS, began, count, why, cursor=follow, full=not cursor)

    async def _walk_orders(self, query: Query, *, doubt: bool) -> Walk:
        """A list of orders to its end, again until nothing turns up that was not there before.

        An order that leaves the list while it is read moves another one over the edge of a page.
        """
        paging = replace(PAGINGS[ORDERS], query=query)
        walk = await self._walker.walk(paging, doubt=doubt)
        seen = {key_of(row, paging.key) for row, _ in walk.rows}
        for _ in range(MOST_PASSES):
            if walk.why or len(walk.rows) < paging.limit:
                return walk
            again = await self._walker.walk(paging)
            new = [each for each in again.rows if key_of(each[0], paging.key) not in seen]
            walk.rows += new
            walk.why = again.why
            seen |= {key_of(row, paging.key) for row, _ in new}
            if not new:
                return walk
        walk.why = f"the list of orders still moved after {MOST_PASSES} readings"
        return walk

    def _order_facts(self, row: Wire, asked: Instant) -> list[Fact]:
        made = parsed(lambda: rows.order(row, asked, self._channels, self._order_keys))
        if isinstance(made, Rejected):
            return [rows.rejected("order", row, made.why, asked)]
        return [made[0], *made[1]]

    def _read(
        self, feed: FeedName, began: Instant, count: int, why: str, *, cursor: str = "", full: bool = True
    ) -> SweepRead:
        return SweepRead(feed, began, self._clock(), not why, count, 0, why, cursor if not why else "", full)


def _fact(kind: str, row: Wire, made: Fact | Rejected, at: Instant) -> Fact:
    return rows.rejected(kind, row, made.why, at) if isinstance(made, Rejected) else made


def _whole_s(at: Instant) -> Instant:
    """Extensiv's dates have whole seconds."""
    return Instant(at - at % 1000)
