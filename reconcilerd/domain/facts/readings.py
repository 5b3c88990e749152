"""What was read of the outside: catalogue, stock, listings, orders, and what of it a person should see."""

from dataclasses import dataclass
from typing import ClassVar, Final

from reconcilerd.domain.facts.made import Made
from reconcilerd.domain.facts.reasons import (
    FindingKind,
    OrderStatus,
    ProductType,
    SlotState,
)
from reconcilerd.domain.names import FeedName, Instant, LocationName, OrderKey, Sku, SlotKey
from reconcilerd.domain.quantities import units

EXTENSIV: Final = "extensiv"
"""The name of the system that knows the stock, as the source of facts."""


@dataclass(frozen=True, slots=True)
class SweepRead:
    """One reading of a whole feed, or of its news since a cursor. ``complete`` only with proof."""

    kind: ClassVar[str] = "sweep"
    feed: FeedName
    began: Instant
    ended: Instant
    complete: bool
    rows: int
    changed: int
    why: str = ""
    """Why it is not complete; empty if it is."""
    cursor: str = ""
    """Where the next reading of the news begins (the feed's own text)."""
    full: bool = True
    """Whether it read everything (False: the news since the previous cursor)."""
    sizes: tuple[int, ...] = ()
    """Rows of the whole readings of this feed that can be trusted, this one included, the newest last."""
    unread: tuple[str, ...] = ()
    """What it met and could not read although it is complete for the rest: SKUs of stock, listings of slots.

    None of these was seen, and none of them is gone: each stays as old as it was.
    """

    @property
    def about(self) -> str:
        # The last complete reading must survive the incomplete ones that follow it.
        return self.feed if self.complete else f"{self.feed}!"

    @property
    def as_of(self) -> Instant:
        return self.began


@dataclass(frozen=True, slots=True)
class ProductObserved:
    """A product in Extensiv. ``components`` of a bundle: how many of which SKU one bundle takes."""

    kind: ClassVar[str] = "product"
    sku: Sku
    shown_sku: str
    """As the seller writes it; ``sku`` is case folded."""
    product_id: int
    name: str
    type: ProductType
    raw_type: str
    active: bool
    components: tuple[tuple[Sku, int], ...]
    as_of: Instant

    def __post_init__(self) -> None:
        for component, count in self.components:
            if units(count, "bundle quantity") < 1:
                raise ValueError(f"bundle {self.shown_sku!r} takes {count} of {component!r}")

    @property
    def about(self) -> str:
        return self.sku


@dataclass(frozen=True, slots=True)
class ListingDeclared:
    """Extensiv's mapping of one listing of one sales channel to a SKU, and whether it pushes quantities there."""

    kind: ClassVar[str] = "listing"
    sales_channel_id: int
    listing_id: int
    listing_sku: str
    sku: Sku
    push_inventory: bool
    active: bool
    as_of: Instant

    @property
    def about(self) -> str:
        return f"{self.sales_channel_id}/{self.listing_id}"


@dataclass(frozen=True, slots=True)
class LocationObserved:
    """A warehouse in Extensiv. ``raw_type`` is the vendor's word (``THIRD_PARTY_LOGISTICS``...)."""

    kind: ClassVar[str] = "location"
    location: LocationName
    """The warehouse id as text."""
    name: str
    raw_type: str
    active: bool
    as_of: Instant

    @property
    def about(self) -> str:
        return self.location


@dataclass(frozen=True, slots=True)
class ChannelObserved:
    """A sales channel in Extensiv."""

    kind: ClassVar[str] = "channel"
    sales_channel_id: int
    name: str
    raw_type: str
    active: bool
    as_of: Instant

    @property
    def about(self) -> str:
        return str(self.sales_channel_id)


@dataclass(frozen=True, slots=True)
class StockObserved:
    """One SKU at one location, all of its bins added up, in eaches.

    ``unavailable``: locked or not pickable. ``allocated``: Extensiv's own count of units held by open orders
    (a check, see the rules of knowing). ``age_of``: begin of the sweep or targeted read; ``as_of``: when the
    oldest of its pages was asked for, less the feed's read lag. ``gone``: confirmed absent, twice, by exact SKU.
    """

    kind: ClassVar[str] = "stock"
    sku: Sku
    location: LocationName
    on_hand: int
    unavailable: int
    allocated: int
    age_of: Instant
    as_of: Instant
    gone: bool = False
    counted: bool = False
    """Whether any reading of this row, this one included, ever said more than nothing."""
    more_at: Instant = Instant(0)
    """``as_of`` of the last reading that said more, of a row that says nothing now; 0: nobody knows."""

    def __post_init__(self) -> None:
        units(self.on_hand, "on hand")
        units(self.unavailable, "unavailable")
        units(self.allocated, "allocated")

    @property
    def about(self) -> str:
        return f"{self.sku}@{self.location}"

    @property
    def sellable(self) -> int:
        return max(0, self.on_hand - self.unavailable)


@dataclass(frozen=True, slots=True)
class StockRefreshed(Made):
    """A copied row that changed: Extensiv heard from whoever counts there, after ``before`` and by ``at``."""

    kind: ClassVar[str] = "refreshed"
    sku: Sku
    location: LocationName
    before: Instant
    """As_of of the last reading that still differed."""
    at: Instant

    @property
    def about(self) -> str:
        return f"{self.sku}@{self.location}"


@dataclass(frozen=True, slots=True)
class StockTotalObserved:
    """``productstocks/total``: a cross-check of on hand and locked over all locations. Never a supply."""

    kind: ClassVar[str] = "stock_total"
    sku: Sku
    on_hand: int
    locked: int
    as_of: Instant

    @property
    def about(self) -> str:
        return self.sku


@dataclass(frozen=True, slots=True)
class SlotObserved:
    """What a channel shows at one slot, in the channel's own sales units (``units_per_sale`` is policy).

    ``quantity`` is None where the channel does not count; a channel may show less than zero (orders taken past
    zero): then ``quantity`` is 0 and ``below_zero`` the size of the debt.
    """

    kind: ClassVar[str] = "slot"
    slot: SlotKey
    listing_sku: str
    title: str
    quantity: int | None
    state: SlotState
    sells_past_zero: bool
    age_of: Instant
    as_of: Instant
    below_zero: int = 0
    gone: bool = False

    def __post_init__(self) -> None:
        if self.quantity is not None:
            units(self.quantity)
        units(self.below_zero, "below zero")

    @property
    def about(self) -> str:
        return self.slot.path


@dataclass(frozen=True, slots=True)
class OrderLine:
    """Units of one listing SKU in an order, as the source writes the code; ``sku``: which SKU it says they are."""

    listing_sku: str
    units: int
    sku: Sku | None = None

    def __post_init__(self) -> None:
        units(self.units, "ordered units")


@dataclass(frozen=True, slots=True)
class OrderObserved:
    """One order as one source shows it: the channel it was placed on, or Extensiv.

    ``source`` is the channel's name or EXTENSIV. ``location``: where Extensiv will ship it from, if it says.
    ``eligible``: whether it will ever reach Extensiv (not point of sale, pickup, gift card, test).
    ``ended_at``: when it was shipped or cancelled, by the source's clock.
    """

    kind: ClassVar[str] = "order"
    source: str
    key: OrderKey
    placed: Instant
    modified: Instant
    status: OrderStatus
    raw_status: str
    lines: tuple[OrderLine, ...]
    as_of: Instant
    location: LocationName | None = None
    eligible: bool = True
    ended_at: Instant | None = None
    part: str = ""
    """Extensiv's own id of it: an order that was split there is several, and they may share its number."""
    most: tuple[OrderLine, ...] = ()
    """The most units that its channel ever said of a listing SKU, where that is more than it says now."""

    @property
    def about(self) -> str:
        return side_of(self.source, self.key, self.part)


def side_of(source: str, key: OrderKey, part: str = "") -> str:
    """What one side of an order is filed under; its parts stand behind it, each after a ``|``.

    A number may hold one itself, where a shop gives its orders an ending: no order may be taken for a part of another.
    """
    number = key.number.replace("\\", "\\\\").replace("|", "\\|")
    whole = f"{source}|{key.channel}|{number}"
    return f"{whole}|{part}" if part else whole


@dataclass(frozen=True, slots=True)
class FindingRaised:
    """Something a person should see. ``subject`` names it; a newer finding of the same subject replaces it.

    ``feed``: the feed whose next whole reading clears it, unless that reading says it again; none: nothing does.
    """

    kind: ClassVar[str] = "finding"
    what: FindingKind
    subject: str
    detail: str
    as_of: Instant
    cleared: bool = False
    feed: FeedName | None = None

    @property
    def about(self) -> str:
        return f"{self.what}:{self.subject}"
