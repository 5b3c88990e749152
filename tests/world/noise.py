"""A small business with everything that goes wrong in one: the worlds in which harm is measured.

Three stores: one compares and applies at once, one writes blindly and answers three seconds late, one takes
minutes until an accepted write shows. Two places: Extensiv counts in one and holds a late copy of the other's.
Orders are seen late, imported later, sometimes cancelled, sometimes typed straight into Extensiv; units break and
come back; writes get lost; pages are dropped; somebody else writes a number once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from types import MappingProxyType

import anyio

from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku
from reconcilerd.domain.policy import ChannelRule, OfferRule, Percent, Policy, PoolMode, PoolRule, SkuRule
from reconcilerd.domain.quantities import Rate
from reconcilerd.simulator.faults import Fault, FaultPlan
from reconcilerd.simulator.truth import Place, Product, Store, World, WorldConfig
from tests.world.stage import START, Stage
from tests.world.stage import policy as plain_policy

Deed = Callable[[World, Instant], None]

HOURS = 3.0
POLL_S = 60.0
WARM_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One SKU's character: how much of it there is at first, and how fast visitors ask for it."""

    sku: str
    units: int
    per_minute: float
    split: bool


KINDS = (
    Kind("scarce", 20, 0.3, split=True),
    Kind("common", 20, 0.3, split=False),
    Kind("hot", 400, 3.0, split=True),
    Kind("slow", 20, 0.02, split=False),
)


@dataclass(frozen=True, slots=True)
class Shop:
    """One store: its part of the visitors and of split stock, and how its writes behave."""

    name: str
    channel: int
    permille: int
    compares: bool
    apply_ms: tuple[int, int]
    read_lag_ms: int
    apply_max_ms: int


SHOPS = (
    Shop("shop-uk", 101, 500, compares=True, apply_ms=(0, 0), read_lag_ms=0, apply_max_ms=40_000),
    Shop("shop-eu", 102, 300, compares=False, apply_ms=(0, 0), read_lag_ms=3_000, apply_max_ms=40_000),
    Shop(
        "shop-us",
        103,
        200,
        compares=False,
        apply_ms=(60_000, 240_000),
        read_lag_ms=5_000,
        apply_max_ms=400_000,
    ),
)


def noisy_world(seed: int, kinds: tuple[Kind, ...] = KINDS) -> World:
    """The business as it stands at the start, shown by nobody yet."""
    config = WorldConfig(
        seed=seed,
        index_lag_ms=(36_000, 120_000),
        import_ms=(30_000, 600_000),
        write_lost=0.02,
    )
    world = World(config, START)
    world.places = {1: Place(1, "main"), 2: Place(2, "3pl", mirror=True)}
    for shop in SHOPS:
        world.stores[shop.name] = Store(
            shop.name,
            shop.channel,
            f"gid://shopify/Location/{shop.channel}",
            compares=shop.compares,
            apply_ms=shop.apply_ms,
            read_lag_ms=shop.read_lag_ms,
        )
    for number, kind in enumerate(kinds, 1):
        world.add_product(Product(number, kind.sku, kind.sku.title(), split=kind.split))
        world.add_stock(kind.sku, 1, kind.units - kind.units // 4)
        world.add_stock(kind.sku, 2, kind.units // 4)
        for shop in SHOPS:
            shown = kind.units * shop.permille // 1000 if kind.split else kind.units
            world.add_item(shop.name, kind.sku, shown)
    world.start_mirrors()
    return world


def noisy_policy(kinds: tuple[Kind, ...] = KINDS) -> Policy:
    """Split pools by the visitors' own parts, shared pools all of it; true rates, true traits of each store."""
    base = plain_policy(split=True, poll_ms=int(POLL_S * 1000))
    both = frozenset({LocationName("1"), LocationName("2")})
    channels = {
        ChannelName(shop.name): ChannelRule(
            sales_channel_id=shop.channel,
            places=MappingProxyType({f"gid://shopify/Location/{shop.channel}": both}),
            poll_ms=base.channels[ChannelName(shop.name)].poll_ms,
            order_lag_ms=120_000,
            import_max_ms=720_000,
            read_lag_ms=shop.read_lag_ms,
            apply_max_ms=shop.apply_max_ms,
            compare_and_set=shop.compares,
            offer=OfferRule(normal=Percent(1000)),
        )
        for shop in SHOPS
    }
    offers = {
        (Sku(kind.sku), ChannelName(shop.name)): OfferRule(normal=Percent(shop.permille))
        for kind in kinds
        for shop in SHOPS
        if kind.split
    }
    skus = {
        Sku(kind.sku): SkuRule(
            rate=Rate(round(kind.per_minute * 60_000)), pool="split" if kind.split else "shared"
        )
        for kind in kinds
    }
    pools = {"split": PoolRule(PoolMode.SPLIT), "shared": PoolRule(PoolMode.SHARED)}
    return replace(
        base,
        channels=channels,
        offers=offers,
        skus=skus,
        pools=pools,
        default_sku=SkuRule(pool="shared"),
    )


def noisy_faults(seed: int) -> FaultPlan:
    """Two pages in a hundred are dropped, one in a hundred is cut."""
    return FaultPlan(seed, {Fault.MISSING_PAGE: 0.02, Fault.TRUNCATED: 0.01})


async def trade(stage: Stage, seed: int, hours: float = HOURS, kinds: tuple[Kind, ...] = KINDS) -> None:
    """Everything that happens in the business. The same seed brings the same visitors and the same mishaps."""
    world, start = stage.world, stage.clock()
    for after_ms, deed in script(seed, hours, kinds):
        world.at(start + after_ms, partial(deed, world))
    await anyio.sleep(hours * 3600)


def script(seed: int, hours: float, kinds: tuple[Kind, ...]) -> list[tuple[int, Deed]]:
    """What happens when (ms from the start), decided before anything has happened."""
    chance = Random(seed)
    end = int(hours * 3_600_000)
    deeds: list[tuple[int, Deed]] = []
    for kind in kinds:
        at = 0.0
        while (at := at + chance.expovariate(kind.per_minute / 60_000)) < end:
            store = chance.choices([s.name for s in SHOPS], [s.permille for s in SHOPS])[0]
            cancelled_after = chance.randint(30_000, 1_200_000) if chance.random() < 0.03 else None
            direct = chance.random() < 0.05
            visit = _typed_in(kind.sku) if direct else _visit(kind.sku, store, len(deeds), cancelled_after)
            deeds.append((int(at), visit))
        deeds += [
            (chance.randrange(end), _receipt(kind.sku, chance.choice([1, 2]), kind.units // 2))
            for _ in range(2)
        ]
        deeds.append((chance.randrange(end), _breakage(kind.sku, 4)))
        deeds.append((chance.randrange(end), _receipt(kind.sku, 1, 1)))
    for _ in range(max(1, round(hours / 2))):
        sku, store = chance.choice(kinds).sku, chance.choice(SHOPS).name
        deeds.append((chance.randrange(end), _foreign_write(sku, store, chance.choice([-4, -2, 2, 4]))))
    return sorted(deeds, key=lambda each: each[0])


def _visit(sku: str, store: str, number: int, cancelled_after: int | None) -> Deed:
    def deed(world: World, now: Instant) -> None:
        order = world.place_order(store, f"{number:06d}", [(sku, 1)], now)
        if order is not None and cancelled_after is not None:
            world.at(now + cancelled_after, partial(world.cancel, order))

    return deed


def _typed_in(sku: str) -> Deed:
    def deed(world: World, now: Instant) -> None:
        if world.shippable(sku):
            world.enter_order(sku, 1, now)

    return deed


def _receipt(sku: str, place: int, units: int) -> Deed:
    return lambda world, now: world.receive(sku, place, units, now)


def _breakage(sku: str, units: int) -> Deed:
    return lambda world, now: world.damage(sku, units, now)


def _foreign_write(sku: str, store: str, by: int) -> Deed:
    def deed(world: World, now: Instant) -> None:
        item = world.stores[store].by_sku[sku]
        world.set_quantity(item, max(0, item.quantity + by), now)

    return deed
