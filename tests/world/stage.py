"""A whole business and the whole daemon in one process, in virtual time: hours in seconds."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from types import MappingProxyType
from typing import Any

import anyio

from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import ChannelName, Instant, LocationName
from reconcilerd.domain.policy import (
    ChannelRule,
    Limits,
    LocationRule,
    Mode,
    OfferRule,
    Percent,
    Policy,
    PoolMode,
    PoolRule,
)
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.stores import Place, Product, Store
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock
from reconcilerd.trial import stage as trial
from reconcilerd.trial.stage import START

BOTH = frozenset({LocationName("1"), LocationName("2")})
STORES = (("shop-uk", 101, 500), ("shop-eu", 102, 300), ("shop-us", 103, 200))


@dataclass
class Journal:
    """A ledger in memory, for runs that do not look at the file."""

    facts: list[Fact] = field(default_factory=list)

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        self.facts.extend(facts)
        return len(self.facts)


Stage = trial.Stage[Journal]


def small_world(
    config: WorldConfig, split: bool, skus: Sequence[str] = ("a", "b"), units: int = 100
) -> World:
    """Some SKUs alike, none of them shown yet."""
    world = empty_shops(config)
    for sku in skus:
        put_on_sale(world, sku, units, split=split)
    world.start_mirrors()
    return world


def empty_shops(config: WorldConfig) -> World:
    """Two places, of which Extensiv copies the second, and three stores."""
    world = World(config, START)
    world.places = {1: Place(1, "main"), 2: Place(2, "3pl", mirror=True)}
    for name, channel, _ in STORES:
        world.stores[name] = Store(name, channel, f"gid://shopify/Location/{channel}")
    return world


def put_on_sale(
    world: World,
    sku: str,
    units: int,
    *,
    split: bool,
    shown: Mapping[str, int] = MappingProxyType({}),
    bundle: tuple[tuple[str, int], ...] = (),
) -> None:
    """A quarter of the units lies in the second place; every store lists the SKU and shows what is said, or none.

    A bundle has no units of its own.
    """
    world.add_product(Product(len(world.products) + 1, sku, f"Product {sku}", bundle, split=split))
    if not bundle:
        world.add_stock(sku, 1, units - units // 4)
        world.add_stock(sku, 2, units // 4)
    for name, _, _ in STORES:
        world.add_item(name, sku, shown.get(name, 0))


def policy(split: bool, mode: Mode = Mode.AUTO, poll_ms: int = 60_000, **limits: Any) -> Policy:
    channels = {
        ChannelName(name): ChannelRule(
            sales_channel_id=number,
            places=MappingProxyType({f"gid://shopify/Location/{number}": BOTH}),
            compare_and_set=True,
            poll_ms=poll_ms,
            order_lag_ms=120_000,
            import_max_ms=720_000,
            offer=OfferRule(normal=Percent(share if split else 1000)),
        )
        for name, number, share in STORES
    }
    wide: dict[str, Any] = {
        "window_slots": 100_000,
        "window_units": 10_000_000,
        "unexplained_zeros": 1_000,
        "window_permille": 100_000,
        "raise_floor_units": 10_000_000,
    }
    return Policy(
        revision="test",
        pools={"default": PoolRule(PoolMode.SPLIT if split else PoolMode.ADAPTIVE)},
        channels=channels,
        locations={LocationName("2"): LocationRule(mirror=True, mirror_max_ms=1_800_000)},
        limits=replace(Limits(mode=mode), **{**wide, **limits}),
    )


def play(
    world: World,
    rules: Policy,
    scene: Callable[[Stage], Awaitable[None]],
    faults: FaultPlan | None = None,
    poll_s: float = 60.0,
    prepare: Callable[[Stage], None] = lambda _stage: None,
    journal: Journal | None = None,
    state: Sequence[Fact] = (),
    start: Instant = START,
) -> Stage:
    """``trial.play`` with a ledger in memory."""
    return trial.play(
        world,
        rules,
        scene,
        journal or Journal(),
        faults=faults,
        pacing=trial.Pacing(poll_s),
        prepare=prepare,
        state=state,
        clock=VirtualClock(start),
    )


async def shop(
    stage: Stage, minutes: float, per_minute: float, seed: int, skus: Sequence[str] = ("a",)
) -> None:
    """Visitors who buy one unit at a time, by chance."""
    chance = Random(seed)
    end = stage.clock() + minutes * 60_000
    number = 1000
    while stage.clock() < end:
        await anyio.sleep(chance.expovariate(per_minute / 60))
        number += 1
        store = chance.choices([name for name, _, _ in STORES], [5, 3, 2])[0]
        stage.world.place_order(store, str(number), [(chance.choice(list(skus)), 1)], stage.clock())
