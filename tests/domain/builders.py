"""Small positions for tests: listings, rows, orders, each in one line."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from reconcilerd.domain.bundles import Uses
from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.policy import (
    Ages,
    BundleMode,
    Limits,
    OfferRule,
    Percent,
    PoolMode,
    PoolRule,
    Publisher,
    Rule,
)
from reconcilerd.domain.position import ChannelView, Claim, ClaimKind, OfferView, Position, StockView
from reconcilerd.domain.quantities import Rate

NOW = Instant(1_000_000_000)
A, B = LocationName("A"), LocationName("B")
EVERYWHERE = frozenset({A, B})
ONE_X: Uses = ((Sku("x"), 1),)


def slot(channel: str) -> SlotKey:
    return SlotKey(ChannelName(channel), "item", "")


def offer(
    channel: str,
    rule: Rule = Percent(1000),  # noqa: B008 - frozen
    *,
    shown: int | None = 0,
    uses: Uses = ONE_X,
    sku: str = "x",
    locations: frozenset[LocationName] = EVERYWHERE,
    write: int | None = None,
    known_since: int = 0,
    **more: object,
) -> OfferView:
    made = OfferRule(normal=rule, **more)  # type: ignore[arg-type]
    return OfferView(
        slot=slot(channel),
        listing_sku=sku,
        sku=Sku(sku),
        uses=uses,
        locations=locations,
        rule=made,
        state=SlotState.BUYABLE,
        ambiguous=False,
        read=shown,
        as_of=NOW,
        age_of=NOW,
        known_since=known_since,
        write=write,
        last_written=None,
        rate=Rate(0),
        code=sku,
    )


def row(
    place: LocationName, on_hand: int, sku: str = "x", *, unavailable: int = 0, allocated: int = 0
) -> StockView:
    return StockView(Sku(sku), place, on_hand, unavailable, allocated, NOW, NOW)


def claim(
    units: int,
    kind: ClaimKind = ClaimKind.COMMITTED,
    sku: str = "x",
    where: frozenset[LocationName] = EVERYWHERE,
) -> Claim:
    return Claim(kind, Sku(sku), units, where)


def position(
    offers: Sequence[OfferView],
    rows: Sequence[StockView],
    claims: Sequence[Claim] = (),
    *,
    split: bool = False,
    min_level: int = 0,
    excluded: Mapping[str, frozenset[LocationName]] = MappingProxyType({}),
    bundles: BundleMode = BundleMode.PER_WAREHOUSE,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    dead_band_permille: int = 0,
) -> Position:
    components = sorted({name for each in offers for name, _ in each.uses})
    return Position(
        at=NOW,
        group=components[0],
        pool=PoolRule(
            PoolMode.SPLIT if split else PoolMode.SHARED, bundles, dead_band_permille=dead_band_permille
        ),
        split=split,
        offers=tuple(sorted(offers, key=lambda each: each.slot)),
        stock=tuple(rows),
        unknown=tuple(each for each in components if all(r.sku != each for r in rows)),
        claims=tuple(claims),
        sold=(),
        channels=tuple(
            ChannelView(name, Publisher.RECONCILERD, NOW, True, False, False, True, 0)
            for name in sorted({each.slot.channel for each in offers})
        ),
        all_locations=EVERYWHERE,
        min_levels=tuple((Sku(name), min_level) for name in sorted({each.sku for each in offers})),
        excluded=tuple((Sku(name), where) for name, where in excluded.items()),
        unlisted=(),
        orders_known=True,
        storm=False,
        stock_dark=False,
        stock_sweep_ms=600_000,
        ages=Ages(),
        limits=limits,
    )
