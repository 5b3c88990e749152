"""What the business wants: pools, rules per channel and SKU, limits. Frozen, complete, vendor-free.

The default policy is Extensiv's own default: every channel is offered 100 % of what is available.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from reconcilerd.domain.names import ChannelName, FeedName, LocationName, Sku
from reconcilerd.domain.quantities import Rate


class PoolMode(StrEnum):
    SHARED = "shared"
    """The same unit may be shown on several channels at once."""
    SPLIT = "split"
    """Every unit is shown on one channel only."""


class BundleMode(StrEnum):
    PER_WAREHOUSE = "per_warehouse"
    """A bundle ships from one place."""
    POOLED = "pooled"
    """Its components may come from anywhere."""


class Mode(StrEnum):
    OBSERVE = "observe"
    NET = "net"
    GUARDED = "guarded"
    AUTO = "auto"


class Publisher(StrEnum):
    EXTENSIV = "extensiv"
    RECONCILERD = "reconcilerd"


class UnreadPeer(StrEnum):
    HOLD = "hold"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Percent:
    """A share of what is available, in tenths of a percent (0 to 1000)."""

    permille: int

    def __post_init__(self) -> None:
        if not 0 <= self.permille <= 1000:
            raise ValueError(f"a percentage is from 0 to 100, not {self.permille / 10}")


@dataclass(frozen=True, slots=True)
class MaxUnits:
    """At most this many units (eaches)."""

    units: int

    def __post_init__(self) -> None:
        if self.units < 0:
            raise ValueError(f"a maximum is not negative: {self.units}")


Rule = Percent | MaxUnits


@dataclass(frozen=True, slots=True)
class OfferRule:
    """How much of a SKU one channel may show; units are eaches, ``units_per_sale`` eaches a sale."""

    normal: Rule = Percent(1000)
    low_stock: Rule | None = None
    """In force while what is available is no more than the SKU's ``min_level``; None: the normal rule."""
    cap: int | None = None
    floor: int = 0
    buffer: int = 0
    units_per_sale: int = 1
    excluded_locations: frozenset[LocationName] = frozenset()
    managed: bool = True
    """False: look, never write."""


@dataclass(frozen=True, slots=True)
class SkuRule:
    safety_stock: int = 0
    min_level: int = 0
    excluded_locations: frozenset[LocationName] = frozenset()
    rate: Rate = Rate(1000)
    """Expected sales over all channels; the starting guess where nothing was observed."""
    pool: str = "default"
    kit: bool = False
    """Packed ahead: sold from its own on hand, whatever its components are."""
    price: int = 0
    """What one each is worth, in hundredths of the currency; 0: not known, and counted as nothing."""
    protected: bool = False
    """Changes that orders do not explain wait for a person."""


@dataclass(frozen=True, slots=True)
class PoolRule:
    mode: PoolMode
    bundles: BundleMode = BundleMode.PER_WAREHOUSE
    unread_peer: UnreadPeer = UnreadPeer.HOLD
    scarcity_switch: bool = True
    """Shared pools only: turn split while what is left is no more than K."""
    dead_band_permille: int = 50


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """A channel's traits and its place in the business. Times in milliseconds."""

    publisher: Publisher = Publisher.RECONCILERD
    sales_channel_id: int | None = None
    """Its id in Extensiv."""
    places: Mapping[str, frozenset[LocationName]] = field(default_factory=lambda: MappingProxyType({}))
    """Which of the channel's own locations we manage, and the stock locations each may draw on."""
    poll_ms: int = 60_000
    order_lag_ms: int = 120_000
    read_lag_ms: int = 0
    apply_max_ms: int = 40_000
    import_max_ms: int = 1_800_000
    compare_and_set: bool = False
    order_key: str = "(.*)"
    """How its order numbers stand in Extensiv: a pattern whose one group is the channel's own number."""
    offer: OfferRule = OfferRule()
    decrease_only: bool = False
    """Never raised there."""


@dataclass(frozen=True, slots=True)
class LocationRule:
    """``mirror``: Extensiv holds a copy of somebody else's count, at most ``mirror_max_ms`` behind."""

    mirror: bool = False
    mirror_max_ms: int = 1_800_000


@dataclass(frozen=True, slots=True)
class Ages:
    """How old an input of a raise may be, and how old anything may be at all (milliseconds)."""

    stock_ms: int = 60_000
    own_slot_ms: int = 10_000
    peer_slot_ms: int = 90_000
    max_age_ms: int = 1_800_000
    lower_reread_ms: int = 3_000
    dark_grace_ms: int = 3_600_000
    """How long, once dark, stock is offered as last counted, less all that was sold since."""


class AfterDark(StrEnum):
    """What a person wants done with stock that was not read for longer than the grace."""

    KEEP = "keep"
    HAIRCUT = "haircut"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Limits:
    """Rails: what may change within one sliding window on one channel, unless orders explain it."""

    mode: Mode = Mode.OBSERVE
    window_ms: int = 1_800_000
    window_slots: int = 200
    window_permille: int = 300
    window_min_slots: int = 10
    """Below this many changed slots the share is not judged."""
    window_units: int = 5_000
    unexplained_zeros: int = 5
    unexplained_fall_units: int = 1_000
    unexplained_fall_permille: int = 900
    """A fall of one slot above both this share and ``unexplained_fall_units`` waits for a person."""
    after_dark: AfterDark = AfterDark.KEEP
    haircut_permille: int = 500
    match_permyriad: int = 9_990
    match_floor: int = 5
    match_orders: int = 2_000
    match_window_ms: int = 7 * 86_400_000
    window_value: int = 10_000_000
    """In hundredths of the currency."""
    zeros_window_ms: int = 3_600_000
    zero_reads: int = 3
    confirm_reads: int = 2
    confirm_gap_ms: int = 10_000
    """Readings closer together than this are one."""
    all_changed_permille: int = 900
    shrink_permille: int = 900
    suspect_min_rows: int = 10
    """Readings of fewer rows are not judged as a whole."""
    tug_times: int = 3
    tug_window_ms: int = 3_600_000
    tug_hold_ms: int = 21_600_000
    breaker_permille: int = 500
    breaker_calls: int = 20
    breaker_window_ms: int = 120_000
    breaker_open_ms: int = 60_000
    breaker_longest_ms: int = 900_000
    breaker_probes: int = 3
    half_fails: int = 2
    """So many channels, if they are more than half, must fail together before it is taken to be our fault."""
    canary_over: int = 100
    canary_first: int = 5
    canary_second: int = 25
    raise_permille: int = 5_000
    raise_floor_units: int = 100
    refusals: int = 3
    quarantine_ms: int = 21_600_000
    attempts: int = 120
    """An hour, of one slot."""
    config_change_slots: int = 50


@dataclass(frozen=True, slots=True)
class Sentinel:
    """A SKU of which a feed is known to say between ``least`` and ``most``."""

    feed: FeedName
    sku: Sku
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything a decision needs besides facts. ``revision`` changes whenever any of it does."""

    revision: str
    pools: Mapping[str, PoolRule]
    channels: Mapping[ChannelName, ChannelRule]
    skus: Mapping[Sku, SkuRule] = field(default_factory=lambda: MappingProxyType({}))
    offers: Mapping[tuple[Sku, ChannelName], OfferRule] = field(default_factory=lambda: MappingProxyType({}))
    default_sku: SkuRule = SkuRule()
    locations: Mapping[LocationName, LocationRule] = field(default_factory=lambda: MappingProxyType({}))
    ages: Ages = Ages()
    limits: Limits = Limits()
    stock_sweep_ms: int = 600_000
    sentinels: tuple[Sentinel, ...] = ()

    def sku_rule(self, sku: Sku) -> SkuRule:
        return self.skus.get(sku, self.default_sku)

    def offer_rule(self, sku: Sku, channel: ChannelName) -> OfferRule:
        return self.offers.get((sku, channel), self.channels[channel].offer)
