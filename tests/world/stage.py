"""A whole business and the whole daemon in one process, in virtual time: hours in seconds."""

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from random import Random
from types import MappingProxyType
from typing import Any, Literal

import anyio
import httpx

from reconcilerd.assemble import Assembled, Endpoint, Wiring, assemble
from reconcilerd.config.secret import Secret
from reconcilerd.daemon.pollers import Pace
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName
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
from reconcilerd.simulator.app import Business, build, keep_world
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.truth import Item, Place, Product, Store, World, WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.credentials import TokenRequest
from reconcilerd.transport.pool import in_process_transport

START = Instant(1_291_550_400_000)
BOTH = frozenset({LocationName("1"), LocationName("2")})
STORES = (("shop-uk", 101, 500), ("shop-eu", 102, 300), ("shop-us", 103, 200))


@dataclass
class Journal:
    """A ledger in memory, for runs that do not look at the file."""

    facts: list[Fact] = field(default_factory=list)

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        self.facts.extend(facts)
        return len(self.facts)


@dataclass
class NoAlerts:
    raised: list[tuple[str, str, str]] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    """Every kind that was ever raised."""

    async def raise_(
        self, kind: str, subject: str, severity: str, summary: str, details: Mapping[str, str]
    ) -> None:
        if (kind, subject) not in {(k, s) for k, s, _ in self.raised}:
            self.raised.append((kind, subject, summary))
            self.told.add(kind)

    async def resolve(self, kind: str, subject: str) -> None:
        self.raised = [each for each in self.raised if each[:2] != (kind, subject)]

    async def keep_only(self, known: Set[tuple[str, str]]) -> None:
        self.raised = [each for each in self.raised if each[:2] in known]


@dataclass
class Stage:
    """What a scene plays on."""

    world: World
    business: Business
    clock: VirtualClock
    built: Assembled
    journal: Journal
    alerts: NoAlerts

    def item(self, store: str, sku: str) -> Item:
        return next(i for i in self.world.stores[store].items.values() if i.sku == sku)

    def shown(self, sku: str) -> dict[str, int]:
        return {item.store: item.quantity for item in self.world.items_of(sku)}


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
    world: World, sku: str, units: int, *, split: bool, shown: Mapping[str, int] = MappingProxyType({})
) -> None:
    """A quarter of the units lies in the second place; every store lists the SKU and shows what is said, or none."""
    world.add_product(Product(len(world.products) + 1, sku, f"Product {sku}", split=split))
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
    }
    return Policy(
        revision="test",
        pools={"default": PoolRule(PoolMode.SPLIT if split else PoolMode.SHARED)},
        channels=channels,
        locations={LocationName("2"): LocationRule(mirror=True, mirror_max_ms=1_800_000)},
        limits=replace(Limits(mode=mode), **{**wide, **limits}),
    )


def wire(
    rules: Policy,
    clock: VirtualClock,
    transport: Callable[[], httpx.AsyncBaseTransport],
    poll_s: float = 60.0,
    seed: int = 0,
) -> Wiring:
    """A daemon for the pretend business that ``build`` makes, in process."""
    base = "http://127.0.0.1"
    paces = {
        FeedName(f"extensiv.{feed}"): Pace(3600)
        for feed in ("products", "listings", "warehouses", "channels")
    }
    paces |= {
        FeedName("extensiv.orders"): Pace(30),
        FeedName("extensiv.stock"): Pace(600),
        FeedName("extensiv.totals"): Pace(3600),
    }
    for name in rules.channels:
        paces[FeedName(f"{name}.orders")] = Pace(poll_s)
        paces[FeedName(f"{name}.slots")] = Pace(poll_s)
    return Wiring(
        policy=rules,
        extensiv=Endpoint(f"{base}/extensiv", _grant(f"{base}/extensiv/oauth/token", "basic")),
        channels={
            name: Endpoint(
                f"{base}/shopify/{name}",
                _grant(f"{base}/shopify/{name}/admin/oauth/access_token", "post"),
            )
            for name in rules.channels
        },
        paces=paces,
        clock=clock,
        transport=transport,
        stop_file=lambda: False,
        seed=seed,
    )


def _grant(url: str, how: Literal["basic", "post"]) -> TokenRequest:
    return TokenRequest(url, Secret("simulator", public=True), Secret("simulator-secret"), how)


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
    """Run the daemon against the world until the scene ends. ``prepare`` sees the stage before it starts.

    ``state``: what a ledger holds of an earlier life.
    """
    stages: list[Stage] = []

    async def main() -> None:
        clock = VirtualClock(start)
        business = build(world, clock, faults or FaultPlan())
        wiring = wire(rules, clock, lambda: in_process_transport(business.app), poll_s)
        kept, alerts = journal or Journal(), NoAlerts()
        built = assemble(wiring, kept, alerts, state)
        stage = Stage(world, business, clock, built, kept, alerts)
        stages.append(stage)
        prepare(stage)
        stop = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(keep_world, world, clock, 1.0)
            group.start_soon(built.daemon.run, stop)
            if not state:
                await built.daemon.started.wait()
            await scene(stage)
            stop.set()
            await anyio.sleep(1)
            group.cancel_scope.cancel()

    run_virtual(main)
    return stages[0]


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
