"""Reads Extensiv Order Manager's feeds, and proves, or does not, that a reading saw all of a feed.

A sweep is complete only if its end is proven and every key of the previous complete sweep was seen or found
missing, twice, by exact SKU. ``inventory/acknowledge`` is a destructive read and is never called.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.catalogue import Catalogue
from reconcilerd.connectors.extensiv.orders import Orders
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
    Sender,
    Walker,
    Wire,
)
from reconcilerd.connectors.port import Emit, Page, strangers
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import (
    Fact,
    ListingDeclared,
    OrderObserved,
    ProductObserved,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku

WHOLE: Final[Mapping[FeedName, str]] = {WAREHOUSES: "/v1/warehouses", CHANNELS: "/v1/saleschannels"}
OPERATIONS: Final = (*(each.path for each in PAGINGS.values()), *WHOLE.values())
"""Every path that is asked for."""
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
        known_products: Iterable[ProductObserved] = (),
        known_listings: Iterable[ListingDeclared] = (),
        known_stock: Iterable[StockObserved] = (),
        known_orders: Iterable[OrderObserved] = (),
        spelling: Mapping[Sku, str] | None = None,
        max_pages: int = MAX_PAGES,
        orders_poll_ms: int = 0,
    ) -> None:
        """``channels``: sales channel ids to configured names. ``order_keys``: see ``number_on_channel``.
        ``orders_poll_ms``: how long after one reading of orders the next comes, at most.

        As last read before this start, ``known_products``, ``known_listings``: the active ones; ``known_stock``: the
        rows; ``known_orders``: those that were open; ``spelling``: how the seller writes the SKUs.
        """
        self._clock = clock
        self._channels = channels
        self._walker = Walker(client, spelling or {}, max_pages)
        self._orders = Orders(
            self._walker, clock, channels, order_keys, known_orders, self._foreign_channel, orders_poll_ms
        )
        self._catalogue = Catalogue(self._walker, clock, known_products, known_listings)
        self._stock = Stock(
            self._walker, clock, lambda: self._catalogue.virtual, self._stranger, read_lag_ms, known_stock
        )
        self._whole: dict[FeedName, frozenset[str]] = {}
        """The ids of the lists that come in one piece, as last read."""

    @property
    def name(self) -> str:
        return "extensiv"

    @property
    def feeds(self) -> tuple[FeedName, ...]:
        return (PRODUCTS, LISTINGS, WAREHOUSES, CHANNELS, ORDERS, STOCK, TOTALS)

    async def sweep(self, feed: FeedName, cursor: str, emit: Emit, *, whole: bool = False) -> SweepRead:
        """Read one feed. Only orders have news since a cursor; all else is read whole."""
        began = self._clock()
        if feed == ORDERS:
            return await self._orders.sweep(cursor, began, emit, whole=whole)
        if feed in WHOLE:
            count, why = await self._sweep_whole(feed, began, emit)
        elif feed == STOCK:
            count, why, began = await self._stock.sweep(began, emit)
        elif feed == TOTALS:
            count, why = await self._stock.sweep_totals(emit)
        else:
            count, why = await self._catalogue.sweep(feed, began, emit)
        return SweepRead(feed, began, self._clock(), not why, count, 0, why)

    async def read_stock(self, skus: Sequence[Sku], emit: Emit) -> None:
        """Read the rows of exactly these SKUs. The server's filter matches substrings; ours does not."""
        await self._stock.read(skus, emit)

    def _foreign_channel(self, number: int) -> bool:
        """Whether a sales channel is not among those that were last read, and that we sell on none of."""
        known = self._whole.get(CHANNELS)
        return known is not None and str(number) not in known and number not in self._channels

    def _stranger(self, each: rows.Bin) -> str:
        """Why a row of stock cannot be one of this tenant's, by ids that others of its feeds have told."""
        places = self._whole.get(WAREHOUSES)
        if places and each.location not in places:
            return f"warehouse {each.location} is none of this account's"
        if each.product_id is None:
            return ""
        sku = self._catalogue.sku_of_product(each.product_id)
        if sku != each.sku and (sku is not None or self._catalogue.product_known(each.sku)):
            told = "another product" if sku is None else repr(str(sku))
            return f"it is said to be of {each.shown_sku!r}, but product {each.product_id} is {told}"
        return ""

    async def _sweep_whole(self, feed: FeedName, began: Instant, emit: Emit) -> tuple[int, str]:
        found = await self._walker.whole(WHOLE[feed])
        read = rows.warehouse if feed == WAREHOUSES else rows.sales_channel
        facts: list[Fact] = []
        for row in found:
            made = parsed(lambda row=row: read(row, began))  # type: ignore[misc]
            facts.append(_fact(feed.partition(".")[2], row, made, began))
        ids = (str(getattr(each, "location", "") or getattr(each, "sales_channel_id", "")) for each in facts)
        told = frozenset(each for each in ids if each)
        known = self._whole.get(feed, frozenset())
        if why := strangers(known, told, len(found), feed.partition(".")[2]):
            return len(found), why
        self._whole[feed] = told
        await emit(Page(feed, tuple(facts)))
        return len(found), "" if found else "an empty list where there must be at least one"


def _fact(kind: str, row: Wire, made: Fact | Rejected, at: Instant) -> Fact:
    return rows.rejected(kind, row, made.why, at) if isinstance(made, Rejected) else made
