"""The demo's business: two worlds with the same visitors, one with corrections and one with native push only.

Runs in a process of its own, over real HTTP, in real time; the lags of days are scaled to seconds.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.app import Business, build, keep_world
from reconcilerd.simulator.faults import Fault, FaultPlan
from reconcilerd.simulator.shoppers import Invoice, Replay, busy_hour, read_invoices, world_of
from reconcilerd.simulator.truth import Item, World, WorldConfig
from reconcilerd.simulator.wire import json_response

FAST = WorldConfig(
    import_ms=(1_000, 6_000),
    allocate_ms=(500, 3_000),
    ship_ms=(15_000, 60_000),
    mirror_ms=10_000,
    index_lag_ms=(0, 1_000),
    push_ms=(3_000, 15_000),
)
DRIFT_SHARE = 0.6
CURE_TICK_S = 0.2
MENU = (
    Fault.FOREIGN_WRITER,
    Fault.LOST_PUSH,
    Fault.ZERO_NOT_PUSHED,
    Fault.NOT_APPLIED,
    Fault.STALE_READ,
    Fault.HALF_A_PAGE,
)
"""The printed menu of what goes wrong."""


@dataclass(slots=True)
class Drift:
    """One drift put into a store, and when it was gone."""

    fault: Fault
    at: Instant
    store: str
    sku: str
    slot: str
    cured: Instant | None = None
    fits: bool = False
    """Whether the SKU's listings show no more than there is."""


@dataclass(slots=True)
class Scene:
    """The two worlds, the visitors, and what was done to them."""

    seconds: float
    seed: int
    invoices: list[Invoice]
    clock: Callable[[], Instant]
    business: Business
    without: World
    drifts: list[Drift] = field(default_factory=list)
    spoilt: list[str] = field(default_factory=list)
    played: int = 0
    began: Instant | None = None
    over: bool = False
    go: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        """Wait for the first full read of the other side, then trade."""
        async with anyio.create_task_group() as group:
            group.start_soon(keep_world, self.business.world, self.clock)
            group.start_soon(keep_world, self.without, self.clock)
            group.start_soon(self._watch)
            await self.go.wait()
            self.began = self.clock()
            # The score counts from here: before, nobody had read anything.
            for world in (self.business.world, self.without):
                world.finish_score(self.clock())
                world.score.hidden = world.score.exposed = 0
            group.start_soon(self._trade)
            group.start_soon(self._harm)

    async def _trade(self) -> None:
        first, last = self.invoices[0].at, self.invoices[-1].at
        span = max(1, last - first)
        replays = [Replay(self.business.world, {}), Replay(self.without, {})]
        assert self.began is not None
        for invoice in self.invoices:
            due = self.began + (invoice.at - first) / span * self.seconds * 0.95 * 1000
            await anyio.sleep(max(0.0, (due - self.clock()) / 1000))
            for replay in replays:
                replay.play(invoice, self.clock())
            self.played += 1
        await anyio.sleep(max(0.0, (self.began + self.seconds * 1000 - self.clock()) / 1000))
        self.over = True

    async def _harm(self) -> None:
        chance = Random(self.seed)
        count = max(6, round(self.seconds / 4))
        for number in range(count):
            await anyio.sleep(self.seconds * DRIFT_SHARE / count)
            self._harm_once(MENU[number % len(MENU)], chance)

    def _harm_once(self, fault: Fault, chance: Random) -> None:
        world, now = self.business.world, self.clock()
        store = chance.choice(sorted(world.stores))
        items = sorted(world.stores[store].items.values(), key=lambda each: each.id)
        match fault:
            case Fault.STALE_READ:
                self.business.stores[store].read_stale_for(4_000)
                self.spoilt.append(f"{store}: reads from an old cache for 4 s")
            case Fault.HALF_A_PAGE:
                self.business.faults.arm("extensiv", fault)
                self.spoilt.append("extensiv: half a page")
            case Fault.NOT_APPLIED:
                self.business.faults.arm(store, fault)
                self.spoilt.append(f"{store}: a write accepted and never applied")
            case _:
                item = chance.choice(items)
                item, number = self._spoil(fault, item, items, chance)
                self.drifts.append(Drift(fault, now, store, item.sku, item.id))
                for each in (world, self.without):
                    twin = each.stores[store].items[item.id]
                    each.set_quantity(twin, number, now)

    def _spoil(self, fault: Fault, item: Item, items: list[Item], chance: Random) -> tuple[Item, int]:
        if fault is Fault.ZERO_NOT_PUSHED:
            empty = [each for each in items if each.quantity == 0] or [item]
            return (chosen := chance.choice(empty)), chosen.quantity + chance.randint(2, 6)
        if fault is Fault.LOST_PUSH:
            return item, item.quantity + chance.randint(3, 9)
        return item, max(0, item.quantity + chance.choice([-6, -3, 4, 8]))

    async def _watch(self) -> None:
        """A drift is cured once our side wrote the SKU again, or its shelves show what they hold."""
        while True:
            await anyio.sleep(CURE_TICK_S)
            world = self.business.world
            for drift in self.drifts:
                drift.fits = self._fits(world, drift)
                if drift.cured is None and self._sound(world, drift):
                    drift.cured = self.clock()

    def _sound(self, world: World, drift: Drift) -> bool:
        if not self._fits(world, drift):
            return False
        if world.products[drift.sku].split:
            return any(each.written_at > drift.at for each in world.items_of(drift.sku))
        return world.stores[drift.store].items[drift.slot].written_at > drift.at

    def _fits(self, world: World, drift: Drift) -> bool:
        shown = [max(0, each.quantity) for each in world.items_of(drift.sku)]
        total = sum(shown) if world.products[drift.sku].split else max(shown)
        return total <= world.shippable(drift.sku)

    async def truth(self, _request: Request) -> Response:
        """Everything measured so far."""
        now = self.clock()
        world = self.business.world
        return json_response(
            {
                "played": self.played,
                "invoices": len(self.invoices),
                "over": self.over,
                "with": asdict(world.finish_score(now)),
                "without": asdict(self.without.finish_score(now)),
                "drifts": [asdict(each) for each in self.drifts],
                "spoilt": self.spoilt,
                "not_applied": [f.system for f in self.business.faults.done if f.fault is Fault.NOT_APPLIED],
                "throttled": {"extensiv": self.business.extensiv.throttled}
                | {name: api.throttled for name, api in self.business.stores.items()},
                "exposed_now": world.exposed_now,
                "unmapped": sorted(world.unmapped_sold),
            }
        )

    async def start(self, _request: Request) -> Response:
        self.go.set()
        return json_response({"started": True})

    def routes(self) -> list[Any]:
        return [Route("/scene/truth", self.truth), Route("/scene/start", self.start, methods=["POST"])]


def set_scene(seconds: float, seed: int, orders: Path | None, clock: Callable[[], Instant]) -> Scene:
    """Build both worlds from the orders. Raises ConfigFault for a bad file."""
    invoices = busy_hour(read_invoices(orders))
    config = replace(FAST, seed=seed)
    world = world_of(invoices, config, clock(), push=False)
    without = world_of(invoices, config, clock(), push=True)
    return Scene(
        seconds, seed, invoices, clock, build(world, clock, FaultPlan(seed), token_life_s=20), without
    )
