"""A small shop's book, with everything it needs to be asked for a position."""

from types import MappingProxyType

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    ListingDeclared,
    OrderLine,
    OrderObserved,
    OrderStatus,
    Outcome,
    ProductObserved,
    ProductType,
    SlotObserved,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, OrderKey, Sku, SlotKey
from reconcilerd.domain.policy import ChannelRule, LocationRule, Policy, PoolMode, PoolRule, SkuRule
from reconcilerd.domain.position import ClaimKind, Position
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.survey import position_of, weather_of

UK = ChannelName("uk")
CODES = ("a", "b")
LAG_MS = 120_000
MIRROR_MAX_MS = 1_800_000
SLOT = SlotKey(UK, "item", "")
A_SECOND = Rate(3_600_000)
"""One unit a second."""


def shop_book(rows_at: int, *, copied: bool = False) -> Book:
    """Two SKUs at two places, 50 units each, rows read at a moment. ``copied``: place 2 is somebody else's count."""
    book = Book(
        Policy(
            revision="test",
            default_sku=SkuRule(rate=A_SECOND),
            locations=MappingProxyType({LocationName("2"): LocationRule(copied, MIRROR_MAX_MS)}),
            pools=MappingProxyType({"default": PoolRule(PoolMode.SPLIT)}),
            channels=MappingProxyType(
                {
                    UK: ChannelRule(
                        sales_channel_id=1,
                        import_max_ms=100,
                        order_lag_ms=LAG_MS,
                        places=MappingProxyType({"": frozenset()}),
                    )
                }
            ),
        )
    )
    for number, code in enumerate(CODES, 1):
        book.take(ProductObserved(Sku(code), code, number, code, ProductType.CORE, "", True, (), Instant(0)))
        book.take(ListingDeclared(1, number, code, Sku(code), False, True, Instant(0)))
        for place in ("1", "2"):
            at = Instant(rows_at)
            book.take(StockObserved(Sku(code), LocationName(place), 50, 0, 0, at, at))
    return book


def see(book: Book, quantity: int, at: int) -> None:
    """The one slot of SKU a is read."""
    now = Instant(at)
    book.take(SlotObserved(SLOT, "a", "A", quantity, SlotState.BUYABLE, False, now, now))


def row(book: Book, place: str, on_hand: int, at: int, allocated: int = 0) -> None:
    """The stock row of SKU a at a place is read."""
    now = Instant(at)
    book.take(StockObserved(Sku("a"), LocationName(place), on_hand, 0, allocated, now, now))


def order(
    source: str,
    status: OrderStatus,
    at: int,
    *,
    placed: int = 0,
    units: int = 1,
    place: str | None = None,
    number: str = "1",
) -> OrderObserved:
    """One order of SKU a as one side shows it at a moment; it ended then, if it did."""
    now = Instant(at)
    done = status in {OrderStatus.SHIPPED, OrderStatus.CANCELLED}
    return OrderObserved(
        source,
        OrderKey(UK, number),
        Instant(placed),
        now,
        status,
        "",
        (OrderLine("a", units),),
        now,
        location=LocationName(place) if place else None,
        ended_at=now if done else None,
    )


def swept(book: Book, feed: str, began: int) -> None:
    """A feed was read completely."""
    book.take(SweepRead(FeedName(feed), Instant(began), Instant(began), True, 0, 0))


def position_at(book: Book, now: int) -> Position:
    return position_of(book, Sku("a"), weather_of(book, Instant(now)))


def claimed(book: Book, now: int, *kinds: ClaimKind) -> int:
    """Units of SKU a claimed by any of these kinds at a moment."""
    return sum(c.units for c in position_at(book, now).claims if c.component == "a" and c.kind in kinds)


def written(id_: str, target: int, read: int, based_on: int, at: int, **more: object) -> CorrectionPlanned:
    """The one slot of SKU a is to show another number."""
    return CorrectionPlanned(
        id_,
        SLOT,
        "a",
        read,
        Instant(based_on),
        target,
        "lag",
        "share",
        Instant(at),
        **more,  # type: ignore[arg-type]
    )


def accepted(id_: str, at: int) -> CorrectionSent:
    """The channel took a write; when it has its effect nobody tells."""
    return CorrectionSent(id_, SLOT, Outcome.ACCEPTED, "", Instant(at), Instant(at))
