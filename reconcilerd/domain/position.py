"""What is known of one pool group at one moment, and how old it is: all that a decision may look at.

A Position is complete and frozen: recorded with a decision, it replays to the same bytes. Units are eaches
except where a field says channel units (one sale of a listing is ``uses`` eaches of its components).
"""

from dataclasses import dataclass
from enum import StrEnum

from reconcilerd.domain.bundles import Uses
from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.facts.same import all_but
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.policy import Ages, Costs, Limits, OfferRule, PoolRule, Publisher
from reconcilerd.domain.quantities import Rate

Locations = frozenset[LocationName]


class ClaimKind(StrEnum):
    """Why a unit on the shelf cannot be offered."""

    IN_FLIGHT = "in_flight"
    COMMITTED = "committed"
    SHIPPED = "shipped"
    INFERRED = "inferred"
    DARK = "dark"
    SAFETY = "safety_stock"
    RESERVED = "reserved"
    DARK_STOCK = "dark_stock"
    """Not read for so long that policy no longer offers it."""
    BURIED = "buried"
    DOUBTED = "doubted"
    """Units by which a doubtful reading and the one before it differ: not there for raises, there for lowers."""
    UNSETTLED = "unsettled"
    """What fell further than demand allows, perhaps in one order: not there for raises until its orders are known."""
    UNHEARD = "unheard"
    """Of an order that its channel has not told yet, what is far beyond anything it sells: not there for raises."""


OPEN = frozenset({ClaimKind.IN_FLIGHT, ClaimKind.COMMITTED})
KEPT_FROM_RAISES = frozenset({ClaimKind.BURIED, ClaimKind.UNSETTLED, ClaimKind.DOUBTED, ClaimKind.UNHEARD})
"""Never counted against lowers."""
ORDERED = frozenset({ClaimKind.IN_FLIGHT, ClaimKind.COMMITTED, ClaimKind.SHIPPED})


@dataclass(frozen=True, slots=True)
class Claim:
    """Units of one component that are taken, somewhere within ``locations``. ``about`` says by what."""

    kind: ClaimKind
    component: Sku
    units: int
    locations: Locations
    channel: ChannelName | None = None
    about: str = ""
    shipped: Instant | None = None
    """When its parcel left, by the record of whoever sent it."""
    waived: int = 0
    """Further units of the order that policy does not hold back: it is not firm."""
    until: Instant | None = None
    """When it ends by time alone."""
    news: str = ""
    """The number of an order first heard of while every open order was known: nobody was told of it before."""


@dataclass(frozen=True, slots=True)
class StockView:
    """One component at one location, from the newest row of whoever owns it."""

    sku: Sku
    location: LocationName
    on_hand: int
    unavailable: int
    allocated: int
    age_of: Instant
    as_of: Instant
    said: int = 1_000
    """How many separate readings in a row said so much can be sold."""
    counted: bool = True
    """Whether any reading ever said more than nothing."""
    sold: int = 0
    """Of a row that says nothing, and not for long: eaches in orders first heard of since it last said more."""

    @property
    def sellable(self) -> int:
        return max(0, self.on_hand - self.unavailable)


@dataclass(frozen=True, slots=True)
class InboundView:
    """Eaches of one component that are declared to be on their way to a location, by how sure they are."""

    sku: Sku
    location: LocationName
    counted: int
    due: Instant


@dataclass(frozen=True, slots=True)
class ChannelView:
    """One channel's state. ``through``: every order of it placed up to here is known to us."""

    name: ChannelName
    publisher: Publisher
    through: Instant | None
    swept: bool
    """Whether its listings were once read completely."""
    dark: bool
    unmatched: bool
    compare_and_set: bool
    slow_ms: int
    """Poll + order lag + slowest apply."""
    costs: Costs | None = None
    decrease_only: bool = False
    doubted: bool = False
    """A whole reading of its listings is under suspicion."""


@dataclass(frozen=True, slots=True)
class OfferView:
    """One slot as a claimant on the group's stock. ``read`` and ``shown`` in channel units."""

    slot: SlotKey
    listing_sku: str
    sku: Sku
    uses: Uses
    """Eaches of each component that one sale takes (units per sale included)."""
    locations: Locations
    rule: OfferRule
    state: SlotState
    ambiguous: bool
    """The channel has this SKU twice, or Extensiv maps it twice: nobody can say which slot is meant."""
    read: int | None
    as_of: Instant
    age_of: Instant
    known_since: int
    write: int | None
    """W: target of the newest write whose effect is not yet seen."""
    last_written: int | None
    rate: Rate
    replaced: int = 0
    """The most that writes may still make it show which a newer one took the place of."""
    overtaken: bool = False
    """It rose while W was to lower it: W may have had its effect before an older write had, and is not waited for."""
    before: int = 0
    """What it showed before a reading that is under suspicion."""
    owed: int = 0
    """How far below zero the channel's number was: ``read`` is 0 then."""
    code: str = ""
    """The listing SKU by which its orders are found; none where several listings of the channel may be meant."""
    refused: int = 0
    """How many writes in a row the channel would not take."""
    not_before: Instant = Instant(0)
    """Until when it is not written for that."""
    suspect: bool = False
    """A compare against the reading failed: it must be read again before anything is sent."""
    only_answered: bool = False
    """``read`` is what the channel answered to our last write; no reading has shown it yet."""
    surprise: int = 0
    """Units by which somebody else moved the number since our last write (channel units)."""
    sells_past_zero: bool = False
    price: int = 0
    """What one sale is worth, in hundredths of the currency; 0: not known."""
    protected: bool = False
    last_good: int = 0
    """The most it was last known to show in good order."""
    attempts: int = 0
    """How often we wrote it within the last hour."""
    pushed: bool = False
    """Extensiv pushes its own number to this listing."""
    doubted: int | None = None
    """What it showed before a reading that nothing explains, less its orders since, until that is confirmed."""

    @property
    def current(self) -> int | None:
        """The reading less orders known since: the channel has already taken these off itself."""
        return None if self.read is None else max(0, self.read - (self.known_since if self.code else 0))

    @property
    def shown(self) -> int | None:
        """E: the most it may be showing now."""
        if self.current is None and self.write is None:
            return None
        return max(self.may_show, self.before, self.doubted or 0)

    @property
    def may_show(self) -> int:
        """The most it may be showing if what was read of it last is right."""
        return max(self.current or 0, self.write or 0, self.replaced)

    def use_of(self, component: Sku) -> int:
        for sku, count in self.uses:
            if sku == component:
                return count
        return 0


@dataclass(frozen=True, slots=True)
class Position:
    """One pool group at ``at``. ``split`` is what the pool is now; an adaptive pool may have turned split."""

    at: Instant
    group: Sku
    pool: PoolRule
    split: bool
    offers: tuple[OfferView, ...]
    stock: tuple[StockView, ...]
    unknown: tuple[Sku, ...]
    """Components no row was ever read of."""
    claims: tuple[Claim, ...]
    sold: tuple[tuple[Sku, int], ...]
    """Units of each component in all orders of the sliding window, whatever became of them."""
    channels: tuple[ChannelView, ...]
    all_locations: Locations
    min_levels: tuple[tuple[Sku, int], ...]
    excluded: tuple[tuple[Sku, Locations], ...]
    """Locations that a SKU may never be sold from."""
    unlisted: tuple[ChannelName, ...]
    """Channels with a declared listing of the group that were never read."""
    orders_known: bool
    """Whether Extensiv's open orders were once read completely."""
    storm: bool
    """More than half of the channels, and at least two, fail together: it is probably us."""
    stock_dark: bool
    stock_sweep_ms: int
    ages: Ages
    limits: Limits
    doubted: bool = False
    """A whole reading of the catalogue is under suspicion."""
    inbound: tuple[InboundView, ...] = ()
    """Offered where zero does not stop sales, and nowhere else."""

    def alike(self, other: "Position") -> bool:
        """Whether equal room gives equal shares here and there: all is the same but moments, ages, rates and claims."""
        return (
            _LASTING(self) == _LASTING(other)
            and len(self.offers) == len(other.offers)
            and len(self.stock) == len(other.stock)
            and all(
                a is b or _LASTING_OFFER(a) == _LASTING_OFFER(b)
                for a, b in zip(self.offers, other.offers, strict=True)
            )
            and all(
                a is b or _LASTING_ROW(a) == _LASTING_ROW(b)
                for a, b in zip(self.stock, other.stock, strict=True)
            )
            and [_LASTING_CHANNEL(each) for each in self.channels]
            == [_LASTING_CHANNEL(each) for each in other.channels]
        )

    def beside(self, offer: OfferView) -> tuple[OfferView, ...]:
        """The others that must not show a unit which this one shows.

        Of a split pool that is every other one; of a shared one, the same listing at the other places of its channel,
        where visitors are shown the sum.
        """
        if self.split:
            return tuple(each for each in self.offers if each.slot != offer.slot)
        return self.elsewhere(offer)

    def elsewhere(self, offer: OfferView) -> tuple[OfferView, ...]:
        """The same listing at the other places of its channel."""
        return tuple(
            each for each in self.offers if each.slot.at_one_listing(offer.slot) and each.slot != offer.slot
        )

    def spread(self) -> tuple[tuple[OfferView, ...], ...]:
        """Every listing that is at several places of its channel, each with its offers there."""
        found: dict[tuple[ChannelName, str], tuple[OfferView, ...]] = {}
        for offer in self.offers:
            listing = offer.slot.channel, offer.slot.listing
            found[listing] = (*found.get(listing, ()), offer)
        return tuple(each for each in found.values() if len(each) > 1)

    def channel(self, name: ChannelName) -> ChannelView:
        return next(each for each in self.channels if each.name == name)

    def excluded_of(self, sku: Sku) -> Locations:
        for name, each in self.excluded:
            if name == sku:
                return each
        return frozenset()

    def min_level(self, sku: Sku) -> int:
        return next((level for name, level in self.min_levels if name == sku), 0)


_LASTING = all_but(Position, "at", "sold", "claims", "offers", "stock", "channels")
_LASTING_OFFER = all_but(OfferView, "as_of", "age_of", "rate", "last_good", "attempts")
_LASTING_ROW = all_but(StockView, "as_of", "age_of", "said", "counted", "sold")
_LASTING_CHANNEL = all_but(ChannelView, "through")
