"""The demo's business: two worlds with the same visitors, one with corrections and one with native push only.

Runs in a process of its own, over real HTTP, in real time; the lags of days are scaled to seconds.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.app import Business, build, keep_world
from reconcilerd.simulator.catalogue import basket_of, rich_catalogue, world_of
from reconcilerd.simulator.faults import Fault, FaultPlan
from reconcilerd.simulator.shoppers import Invoice, Replay, busy_hour, read_invoices
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.simulator.wire import json_response

FAST = WorldConfig(
    import_ms=(1_000, 6_000),
    allocate_ms=(500, 3_000),
    ship_ms=(15_000, 60_000),
    mirror_ms=10_000,
    index_lag_ms=(0, 1_000),
    push_ms=(3_000, 15_000),
    transit_ms=(100, 1_000),
)
DRIFT_SHARE = 0.6
CURE_TICK_S = 0.2
STALE_MS = 4_000
DEAD_BAND_PERMILLE = 50
"""Smaller differences of a shared pool wait, by the policy's default: they are no drift."""


class Harm(StrEnum):
    """The printed menu of what goes wrong."""

    FOREIGN_WRITER = "foreign writer"
    LOST_PUSH = "lost push"
    NOT_APPLIED = "accepted-not-applied"
    STALE_CACHE = "stale cache"
    ZERO_NOT_PUSHED = "zero not pushed"
    HALF_A_PAGE = "half a page"


@dataclass(slots=True)
class Drift:
    """One thing that went wrong, and when it was right again.

    A listing that shows something else than it should, or (``feed``) a page of a feed that came back half empty:
    the reader must notice by itself, so what became of that is not for us to say.
    """

    harm: Harm
    at: Instant
    store: str = ""
    sku: str = ""
    slot: str = ""
    feed: str = ""
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
    replays: tuple[Replay, Replay]
    drifts: list[Drift] = field(default_factory=list)
    played: int = 0
    began: Instant | None = None
    over: bool = False
    go: anyio.Event = field(default_factory=anyio.Event)
    harmed: bool = True
    """Whether drift is put in."""
    _writes_seen: int = 0
    _pages_seen: int = 0

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
            if self.harmed:
                group.start_soon(self._harm)

    async def _trade(self) -> None:
        first, last = self.invoices[0].at, self.invoices[-1].at
        span = max(1, last - first)
        assert self.began is not None
        for invoice in self.invoices:
            due = self.began + (invoice.at - first) / span * self.seconds * 0.95 * 1000
            await anyio.sleep(max(0.0, (due - self.clock()) / 1000))
            for replay in self.replays:
                replay.play(invoice, self.clock())
            self.played += 1
        await anyio.sleep(max(0.0, (self.began + self.seconds * 1000 - self.clock()) / 1000))
        self.over = True

    async def _harm(self) -> None:
        chance = Random(self.seed)
        menu = tuple(Harm)
        count = max(len(menu), round(self.seconds / 4))
        for number in range(count):
            await anyio.sleep(self.seconds * DRIFT_SHARE / count)
            self._harm_once(menu[number % len(menu)], chance)

    def _harm_once(self, harm: Harm, chance: Random) -> None:
        world, now = self.business.world, self.clock()
        store = chance.choice(sorted(world.stores))
        items = sorted(world.stores[store].items.values(), key=lambda each: each.id)
        codes = Counter(each.listing_sku.casefold() for each in items)
        # SKUs that differ only by case are for a person to tell apart: nobody writes them, and nobody cures them.
        item = chance.choice([each for each in items if codes[each.listing_sku.casefold()] == 1])
        match harm:
            case Harm.HALF_A_PAGE:
                self.business.faults.arm("extensiv", Fault.HALF_A_PAGE)
                return
            case Harm.NOT_APPLIED:
                self.business.faults.arm(store, Fault.NOT_APPLIED)
                self.without.push_loses.add(store)
                return
            case Harm.STALE_CACHE:
                # Somebody changes a number while the store answers from a copy that does not show it.
                self.business.stores[store].read_stale_for(STALE_MS)
                number = max(0, item.quantity + chance.choice([-5, 7]))
            case Harm.ZERO_NOT_PUSHED:
                empty = [e for e in items if e.quantity == 0 and codes[e.listing_sku.casefold()] == 1] or [
                    item
                ]
                item = chance.choice(empty)
                number = item.quantity + chance.randint(2, 6)
            case Harm.LOST_PUSH:
                number = item.quantity + chance.randint(3, 9)
            case _:
                number = max(0, item.quantity + chance.choice([-6, -3, 4, 8]))
        self.drifts.append(Drift(harm, now, store, item.sku, item.id))
        for each in (world, self.without):
            each.set_quantity(each.stores[store].items[item.id], number, now)

    async def _watch(self) -> None:
        """A drift is cured once our side wrote the SKU again and its shelves hold what is shown."""
        while True:
            await anyio.sleep(CURE_TICK_S)
            self._note_what_struck()
            world = self.business.world
            for drift in self.drifts:
                if drift.feed:
                    continue
                drift.fits = self._fits(world, drift)
                if drift.cured is None and self._sound(world, drift):
                    drift.cured = self.clock()

    def _note_what_struck(self) -> None:
        """Faults that were armed and have met a request since."""
        lost = self.business.world.lost_writes
        for at, item in lost[self._writes_seen :]:
            self.drifts.append(Drift(Harm.NOT_APPLIED, at, item.store, item.sku, item.id))
        self._writes_seen = len(lost)
        pages = [each for each in self.business.faults.done if each.fault is Fault.HALF_A_PAGE]
        for each in pages[self._pages_seen :]:
            self.drifts.append(Drift(Harm.HALF_A_PAGE, each.at, each.system, feed=each.subject))
        self._pages_seen = len(pages)

    def _sound(self, world: World, drift: Drift) -> bool:
        if not self._fits(world, drift):
            return False
        if world.products[drift.sku].split:
            return any(each.written_at > drift.at for each in world.items_of(drift.sku))
        return world.stores[drift.store].items[drift.slot].written_at > drift.at

    def _fits(self, world: World, drift: Drift) -> bool:
        shown = [max(0, each.quantity) * each.each for each in world.items_of(drift.sku)]
        there = world.shippable(drift.sku)
        if world.products[drift.sku].split:
            return sum(shown) <= there
        return max(shown) * 1000 <= there * (1000 + DEAD_BAND_PERMILLE)

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
                "writes_by_store": dict(world.writes_by_store),
                "throttled": {"extensiv": self.business.extensiv.throttled}
                | {name: api.throttled for name, api in self.business.stores.items()},
                "exposed_now": world.tally.exposed_now,
                "unmapped": sorted(world.unmapped_sold),
            }
        )

    async def start(self, _request: Request) -> Response:
        self.go.set()
        return json_response({"started": True})

    def routes(self) -> list[Any]:
        return [Route("/scene/truth", self.truth), Route("/scene/start", self.start, methods=["POST"])]


def set_scene(
    seconds: float, seed: int, orders: Path | None, clock: Callable[[], Instant], *, plain: bool = False
) -> Scene:
    """Build both worlds from the orders. Raises ConfigFault for a bad file.

    ``plain``: nothing is sold by the pack, so that a configuration without rules fits, and no drift is put in.
    """
    invoices = busy_hour(read_invoices(orders))
    sells = rich_catalogue(invoices)
    if plain:
        sells = replace(sells, packs=frozenset())
    config = replace(FAST, seed=seed)
    world, without = (
        world_of(invoices, config, clock(), push=push, catalogue=sells) for push in (False, True)
    )
    replays = (Replay(world, basket=basket_of(sells)), Replay(without, basket=basket_of(sells)))
    business = build(world, clock, FaultPlan(seed), token_life_s=20)
    return Scene(seconds, seed, invoices, clock, business, without, replays, harmed=not plain)
