"""What happened, in the past tense: frozen records that the ledger keeps and every decision starts from.

Each fact names what it is about (``about``: the key under which a newer one replaces it) and when it was true
(``as_of``). A fact is checked at birth. Nothing here knows a vendor's words; unknown ones are kept raw.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final, get_args

from reconcilerd.domain.names import FeedName, Instant, LocationName, OrderKey, Sku, SlotKey
from reconcilerd.domain.quantities import units

EXTENSIV: Final = "extensiv"
"""The name of the system that knows the stock, as the source of facts."""


class ProductType(StrEnum):
    CORE = "core"
    VIRTUAL = "virtual"
    """A variation parent; holds no stock."""
    BUNDLE = "bundle"
    OTHER = "other"
    """A type this program does not know; ``raw_type`` holds it."""


class OrderStatus(StrEnum):
    OPEN = "open"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """A status this program does not know: treated as open, and reported."""


class SlotState(StrEnum):
    BUYABLE = "buyable"
    INACTIVE = "inactive"
    """The channel's location is switched off for this listing."""
    NOT_ONLINE = "not_online"
    """The location does not fulfil online orders."""
    UNTRACKED = "untracked"
    """The channel sells it without counting."""
    UNPUBLISHED = "unpublished"


class FindingKind(StrEnum):
    """Things a person should see that no quantity tells."""

    SKU_CASE_COLLISION = "sku_case_collision"
    DUPLICATE_SKU = "duplicate_sku"
    BLANK_SKU = "blank_sku"
    UNMAPPED_SKU = "unmapped_sku"
    LISTING_MAPPED_TWICE = "listing_mapped_twice"
    QUANTITY_ALGEBRA = "quantity_algebra"
    TOTALS_DISAGREE = "totals_disagree"
    UNKNOWN_VALUE = "unknown_value"
    SLOT_INACTIVE = "slot_inactive"
    SLOT_NOT_ONLINE = "slot_not_online"
    UNTRACKED_ITEM = "untracked_item"
    SELLS_PAST_ZERO = "sells_past_zero"
    NATIVE_PUSH_ON = "native_push_on"
    FOREIGN_SLOT = "foreign_slot"
    REJECTED_ROW = "rejected_row"
    VIRTUAL_HAS_STOCK = "virtual_has_stock"
    BUNDLE_HAS_STOCK = "bundle_has_stock"
    BUNDLE_LOOP = "bundle_loop"


class Outcome(StrEnum):
    """How one sent correction ended."""

    APPLIED = "applied"
    """The channel compared and set: it is so."""
    ACCEPTED = "accepted"
    """The channel took it; only a reading can confirm it."""
    STALE = "stale"
    """The compare failed: the number had moved. Nothing was written."""
    REFUSED = "refused"
    """The channel will not take this write; a person must look."""
    NOT_SENT = "not_sent"
    """It never left: throttled, stopped or superseded before the call."""
    UNKNOWN = "unknown"
    """The call broke after it may have had its effect."""


class CorrectionEnd(StrEnum):
    CONFIRMED = "confirmed"
    MISSED = "missed"
    SUPERSEDED = "superseded"
    REFUSED = "refused"


class _Made:
    """A fact of our own making: true from the moment it was made."""

    __slots__ = ()

    @property
    def as_of(self) -> Instant:
        at: Instant = self.at  # type: ignore[attr-defined]  # each of them has it, among its own fields
        return at


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
class StockRefreshed(_Made):
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

    @property
    def about(self) -> str:
        part = f"|{self.part}" if self.part else ""
        return f"{self.source}|{self.key.channel}|{self.key.number}{part}"


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


@dataclass(frozen=True, slots=True)
class SaleInferred:
    """A fall between two readings that no order explains yet (rule 4). Held until ``through`` passes ``to``."""

    kind: ClassVar[str] = "inferred"
    slot: SlotKey
    since: Instant
    to: Instant
    fall: int
    cap: int

    @property
    def about(self) -> str:
        return f"{self.slot.path}/{self.to}"

    @property
    def as_of(self) -> Instant:
        return self.to


@dataclass(frozen=True, slots=True)
class SalesBuried:
    """A window in which sales could not be seen: under a write that is not compare-and-set, or a foreign rise."""

    kind: ClassVar[str] = "buried"
    slot: SlotKey
    since: Instant
    to: Instant

    @property
    def about(self) -> str:
        return f"{self.slot.path}/{self.to}"

    @property
    def as_of(self) -> Instant:
        return self.to


class _OfSlot(_Made):
    """What happened to one slot: the newest of its kind is its state."""

    __slots__ = ()
    slot: SlotKey

    @property
    def about(self) -> str:
        return self.slot.path


@dataclass(frozen=True, slots=True)
class CorrectionPlanned(_OfSlot):
    """The intent of one write, durable before its effect. ``based_on`` is the reading it was computed from."""

    kind: ClassVar[str] = "correction"
    id: str
    slot: SlotKey
    listing_sku: str
    read: int
    based_on: Instant
    target: int
    cause: str
    reason: str
    at: Instant
    unexplained: int = 0
    """Units of the change that orders do not account for: what it spends of the sliding window."""
    sold_out: bool = False
    """Whether it sets the slot to zero because nothing at all is left for it."""
    owed: int = 0
    """How far below zero the channel's number was (``read`` is 0 then)."""
    under: tuple[tuple[str, int, int, Instant, Instant], ...] | None = None
    """Earlier writes of the slot that may still have their effect: id, target, read, based on, planned."""

    @property
    def compared(self) -> int:
        """The channel's own number that it was computed from; may be below zero."""
        return self.read - self.owed

    def __post_init__(self) -> None:
        units(self.read, "read quantity")
        units(self.target, "target")


@dataclass(frozen=True, slots=True)
class CorrectionSent(_OfSlot):
    """What the channel answered to one planned write; ``still``: which of the slot's may have their effect after it."""

    kind: ClassVar[str] = "sent"
    id: str
    slot: SlotKey
    outcome: Outcome
    detail: str
    sent: Instant
    at: Instant
    still: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class CorrectionSettled(_OfSlot):
    """How a correction ended, by a reading or by the channel's own word."""

    kind: ClassVar[str] = "settled"
    id: str
    slot: SlotKey
    end: CorrectionEnd
    at: Instant
    read: int | None = None
    still: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EnvelopeApproved(_Made):
    """A person's release of held corrections: which SKUs, which way, up to what (``ceiling`` a slot), until when."""

    kind: ClassVar[str] = "envelope"
    id: str
    skus: tuple[Sku, ...]
    direction: str
    ceiling: int
    by: str
    reason: str
    at: Instant
    until: Instant

    @property
    def about(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class FreezeSet(_Made):
    """Writes to ``channel`` (all, if empty) stopped or allowed again by a person."""

    kind: ClassVar[str] = "freeze"
    channel: str
    on: bool
    by: str
    reason: str
    at: Instant
    until: Instant | None = None

    @property
    def about(self) -> str:
        return self.channel


@dataclass(frozen=True, slots=True)
class RegimeSwitched(_Made):
    """A pool group of a shared pool turned split under scarcity, or back."""

    kind: ClassVar[str] = "regime"
    group: str
    scarce: bool
    at: Instant

    @property
    def about(self) -> str:
        return self.group


@dataclass(frozen=True, slots=True)
class PlanMade(_Made):
    """One pass: how many slots it judged, what it sent and what it holds, by verdict."""

    kind: ClassVar[str] = "plan"
    id: str
    at: Instant
    slots: int
    verdicts: tuple[tuple[str, int], ...]
    held: tuple[tuple[SlotKey, int, int, str], ...]
    """(slot, shown, wanted, verdict) of each held correction, bounded by ``max_held``."""

    @property
    def about(self) -> str:
        return "plan"  # earlier ones are history, not state


@dataclass(frozen=True, slots=True)
class AlertChanged(_Made):
    """An alert was raised or resolved; ``key`` is stable per kind and channel."""

    kind: ClassVar[str] = "alert"
    key: str
    firing: bool
    severity: str
    summary: str
    at: Instant

    @property
    def about(self) -> str:
        return self.key


@dataclass(frozen=True, slots=True)
class AlertTold(_Made):
    """A receiver took the change of an alert that was made at ``changed``."""

    kind: ClassVar[str] = "told"
    receiver: str
    key: str
    changed: Instant
    at: Instant

    @property
    def about(self) -> str:
        return f"{self.receiver}|{self.key}"


Fact = (
    SweepRead
    | ProductObserved
    | ListingDeclared
    | LocationObserved
    | ChannelObserved
    | StockObserved
    | StockRefreshed
    | StockTotalObserved
    | SlotObserved
    | OrderObserved
    | FindingRaised
    | SaleInferred
    | SalesBuried
    | CorrectionPlanned
    | CorrectionSent
    | CorrectionSettled
    | EnvelopeApproved
    | FreezeSet
    | RegimeSwitched
    | PlanMade
    | AlertChanged
    | AlertTold
)

FACT_TYPES: Final[Mapping[str, type[Fact]]] = MappingProxyType({each.kind: each for each in get_args(Fact)})
"""Every fact by the name under which the ledger keeps it."""
