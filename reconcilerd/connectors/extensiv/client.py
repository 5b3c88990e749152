"""Reads Extensiv Order Manager's feeds, and proves, or does not, that a reading saw all of a feed.

A sweep is complete only if its end is proven and every key of the previous complete sweep was seen or found
missing, twice, by exact SKU. ``inventory/acknowledge`` is a destructive read and is never called.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.account import WHOLE, Account
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
)
from reconcilerd.connectors.port import Emit
from reconcilerd.domain.facts import (
    ListingDeclared,
    OrderObserved,
    ProductObserved,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku

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
        self._walker = Walker(client, spelling or {}, max_pages)
        self._account = Account(self._walker, clock, channels)
        self._orders = Orders(
            self._walker, clock, channels, order_keys, known_orders, self._account, orders_poll_ms
        )
        self._catalogue = Catalogue(self._walker, clock, known_products, known_listings)
        self._stock = Stock(
            self._walker,
            clock,
            lambda: self._catalogue.virtual,
            self._account,
            self._stranger,
            read_lag_ms,
            known_stock,
        )

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
        if feed == STOCK:
            read = await self._stock.sweep(began, emit)
            return SweepRead(
                feed, read.began, self._clock(), not read.why, read.rows, 0, read.why, unread=read.unread
            )
        if feed in WHOLE:
            count, why = await self._account.sweep(feed, began, emit)
        elif feed == TOTALS:
            count, why = await self._stock.sweep_totals(emit)
        else:
            count, why = await self._catalogue.sweep(feed, began, emit)
        return SweepRead(feed, began, self._clock(), not why, count, 0, why)

    async def read_stock(self, skus: Sequence[Sku], emit: Emit) -> None:
        """Read the rows of exactly these SKUs. The server's filter matches substrings; ours does not."""
        await self._stock.read(skus, emit)

    def _stranger(self, each: rows.Bin) -> str:
        """Why a row of stock cannot be one of this tenant's, by ids that others of its feeds have told."""
        if self._account.foreign(WAREHOUSES, int(each.location)):
            return f"warehouse {each.location} is none of this account's"
        if each.product_id is None:
            return ""
        sku = self._catalogue.sku_of_product(each.product_id)
        if sku != each.sku and (sku is not None or self._catalogue.product_known(each.sku)):
            told = "another product" if sku is None else repr(str(sku))
            return f"it is said to be of {each.shown_sku!r}, but product {each.product_id} is {told}"
        return ""
