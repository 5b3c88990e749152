"""A small business with everything that goes wrong in one: the worlds in which harm is measured.

Three stores: one compares and applies at once, one writes blindly and answers three seconds late, one takes
minutes until an accepted write shows. Two places: Extensiv counts in one and holds a late copy of the other's.
Orders are seen late, imported later, sometimes cancelled, sometimes typed straight into Extensiv; units break and
come back; writes get lost; pages are dropped; somebody else writes a number once.
"""

from dataclasses import dataclass, replace
from functools import partial
from random import Random

import anyio

from reconcilerd.domain.names import ChannelName, Sku
from reconcilerd.domain.policy import Mode, OfferRule, Percent, Policy, PoolMode, PoolRule, SkuRule
from reconcilerd.domain.quantities import Rate
from reconcilerd.simulator.faults import Fault, FaultPlan
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.trial.deeds import TYPED_IN, Deed, breakage, foreign_write, receipt, visit
from tests.world.stage import STORES, Stage, empty_shops, put_on_sale
from tests.world.stage import policy as plain_policy

ADAPTIVE = PoolRule(PoolMode.ADAPTIVE)
HOURS = 3.0
POLL_S = 60.0
ORDER_LAG_S = 120.0
WARM_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One SKU's character: how much of it there is at first, and how fast visitors ask for it."""

    sku: str
    units: int
    per_minute: float
    split: bool
    bundle: tuple[tuple[str, int], ...] = ()
    """What one unit of it is made of, if it is a bundle; ``units`` is then what its listings show at first."""


KINDS = (
    Kind("scarce", 20, 0.3, split=True),
    Kind("common", 20, 0.3, split=False),
    Kind("hot", 400, 3.0, split=True),
    Kind("slow", 20, 0.02, split=False),
)


@dataclass(frozen=True, slots=True)
class Temper:
    """How a store's writes and readings behave (milliseconds)."""

    compares: bool = True
    apply_ms: tuple[int, int] = (0, 0)
    apply_max_ms: int = 40_000
    read_lag_ms: int = 0
    restocks: bool = True


TEMPERS = {
    "shop-uk": Temper(),
    "shop-eu": Temper(compares=False, read_lag_ms=3_000, restocks=False),
    "shop-us": Temper(
        compares=False,
        apply_ms=(60_000, 240_000),
        apply_max_ms=400_000,
        read_lag_ms=5_000,
        restocks=False,
    ),
}


def noisy_world(
    seed: int, kinds: tuple[Kind, ...] = KINDS, lag_s: float = ORDER_LAG_S, *, pushed: bool = False
) -> World:
    """The business as it stands at the start: every listing shows its share. ``pushed``: Extensiv pushes too."""
    config = WorldConfig(
        seed=seed,
        index_lag_ms=(int(lag_s * 300), int(lag_s * 1000)),
        import_ms=(30_000, 600_000),
        hear_ms=(0, 600_000),
        write_lost=0.02,
    )
    world = empty_shops(config)
    for name, temper in TEMPERS.items():
        store = world.stores[name]
        store.compares, store.restocks = temper.compares, temper.restocks
        store.apply_ms, store.read_lag_ms = temper.apply_ms, temper.read_lag_ms
    for kind in kinds:
        shown = {
            name: kind.units * (permille if kind.split else 1000) // 1000 for name, _, permille in STORES
        }
        put_on_sale(world, kind.sku, kind.units, split=kind.split, shown=shown, bundle=kind.bundle)
    for store in world.stores.values() if pushed else ():
        for item in store.items.values():
            item.push = True
    world.start_mirrors()
    return world


def noisy_policy(
    kinds: tuple[Kind, ...] = KINDS,
    poll_s: float = POLL_S,
    lag_s: float = ORDER_LAG_S,
    shared: PoolRule = ADAPTIVE,
    mode: Mode = Mode.AUTO,
) -> Policy:
    """Split pools by the visitors' own parts, shared pools all of it; true rates, true traits of each store."""
    base = plain_policy(split=False, mode=mode, poll_ms=int(poll_s * 1000))
    channels = {
        name: replace(
            rule,
            order_lag_ms=int(lag_s * 1000),
            read_lag_ms=TEMPERS[name].read_lag_ms,
            apply_max_ms=TEMPERS[name].apply_max_ms,
            compare_and_set=TEMPERS[name].compares,
        )
        for name, rule in base.channels.items()
    }
    offers = {
        (Sku(kind.sku), ChannelName(name)): OfferRule(normal=Percent(permille))
        for kind in kinds
        for name, _, permille in STORES
        if kind.split
    }
    skus = {
        Sku(kind.sku): SkuRule(
            rate=Rate(round(kind.per_minute * 60_000)), pool="split" if kind.split else "shared"
        )
        for kind in kinds
    }
    pools = {"split": PoolRule(PoolMode.SPLIT), "shared": shared}
    default = SkuRule(pool="shared")
    sweep_ms = int(stock_every_s(poll_s) * 1000)
    return replace(
        base,
        channels=channels,
        offers=offers,
        skus=skus,
        pools=pools,
        default_sku=default,
        stock_sweep_ms=sweep_ms,
    )


def stock_every_s(poll_s: float) -> float:
    """Stock is swept at its own slow pace, however fast the channels are read."""
    return max(600.0, poll_s)


def noisy_faults(seed: int) -> FaultPlan:
    """Two pages in a hundred are dropped, one in a hundred is cut."""
    return FaultPlan(seed, {Fault.MISSING_PAGE: 0.02, Fault.TRUNCATED: 0.01})


async def trade(
    stage: Stage, seed: int, hours: float = HOURS, kinds: tuple[Kind, ...] = KINDS, *, quiet: bool = False
) -> None:
    """Everything that happens in the business. The same seed brings the same visitors and the same mishaps."""
    world, start = stage.world, stage.clock()
    for after_ms, deed in script(seed, hours, kinds, quiet=quiet):
        world.at(start + after_ms, partial(deed, world))
    await anyio.sleep(hours * 3600)


def script(
    seed: int, hours: float, kinds: tuple[Kind, ...], *, quiet: bool = False
) -> list[tuple[int, Deed]]:
    """What happens when (ms from the start), decided before anything has happened.

    ``quiet``: nothing breaks, nobody else writes, no order is typed straight into Extensiv.
    """
    chance = Random(seed)
    end = int(hours * 3_600_000)
    deeds: list[tuple[int, Deed]] = []
    for kind in kinds:
        at = 0.0
        while (at := at + chance.expovariate(kind.per_minute / 60_000)) < end:
            store = chance.choices([name for name, _, _ in STORES], [share for _, _, share in STORES])[0]
            deeds.append((int(at), visit(kind.sku, store, len(deeds), chance, 0.0 if quiet else TYPED_IN)))
        if kind.bundle:
            continue
        deeds += [
            (chance.randrange(end), receipt(kind.sku, chance.choice([1, 2]), kind.units // 2))
            for _ in range(2)
        ]
        if not quiet:
            deeds.append((chance.randrange(end), breakage(kind.sku, 4)))
        deeds.append((chance.randrange(end), receipt(kind.sku, 1, 1)))
    for _ in range(0 if quiet else max(1, round(hours / 2))):
        sku, store = chance.choice(kinds).sku, chance.choice(STORES)[0]
        deeds.append((chance.randrange(end), foreign_write(sku, store, chance.choice([-4, -2, 2, 4]))))
    return sorted(deeds, key=lambda each: each[0])
