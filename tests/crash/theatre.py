"""A business that outlives the daemon: it is stopped dead at a chosen step, and started again on its ledger."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import httpx
from typing_extensions import override

from reconcilerd.assemble import Assembled, assemble
from reconcilerd.domain.facts import CorrectionPlanned, Fact
from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import PoolMode, PoolRule
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer
from reconcilerd.simulator.app import Business, build, keep_world
from reconcilerd.simulator.faults import HOSTILE, FaultPlan
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.trial.stage import START, Heard, Pacing, wire
from tests.world.stage import policy, small_world

SHOPPING_S = 240.0
SETTLING_S = 900.0


class Killed(BaseException):
    """Nobody handles it: what runs ends where it stands."""


class Calendar(VirtualClock):
    """The time of a business that goes on from where the last life of the daemon ended."""

    @override
    def __call__(self) -> Instant:
        try:
            return super().__call__()
        except RuntimeError:
            return self.start  # between two lives no loop runs, and nothing happens


@dataclass
class Death:
    """Strikes at the k-th step of one kind, before or after it took effect. ``at`` 0: never."""

    at: int = 0
    after: bool = False
    steps: int = 0
    dead: bool = False

    async def around(self, step: Callable[[], Awaitable[object]]) -> object:
        if self.dead:
            raise Killed
        self.steps += 1
        mine = self.steps == self.at
        if not mine:
            return await step()
        try:
            if self.after:
                with suppress(Exception):  # a request that got no answer took its step too
                    await step()
        finally:
            self.dead = True  # where nobody waited for the answer any longer, by the next step
        raise Killed


@dataclass
class Doomed(httpx.AsyncBaseTransport):
    """The way to the business, on which the daemon may die."""

    inner: httpx.AsyncBaseTransport
    death: Death

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.death.around(lambda: self.inner.handle_async_request(request))
        assert isinstance(answer, httpx.Response)
        return answer


@dataclass
class Mortal:
    """The ledger's writer, at which the daemon may die."""

    writer: Writer
    death: Death

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        seq = await self.death.around(lambda: self.writer.append(facts, note))
        assert isinstance(seq, int)
        return seq


@dataclass
class Theatre:
    """One business, one ledger, as many daemons as it takes."""

    path: Path
    clock: Calendar = field(default_factory=lambda: Calendar(START))
    lives: int = 0
    hostile: bool = False
    """Whether everything on the menu goes wrong until it settles."""
    faults: FaultPlan = field(init=False)
    business: Business = field(init=False)

    def __post_init__(self) -> None:
        quick = WorldConfig(
            index_lag_ms=(1_000, 5_000),
            import_ms=(5_000, 20_000),
            allocate_ms=(1_000, 2_000),
            ship_ms=(60_000, 90_000),
            mirror_ms=60_000,
        )
        world = small_world(quick, split=False)
        for item in (i for sku in ("a", "b") for i in world.items_of(sku)):
            world.set_quantity(item, 90, START)
        self.faults = FaultPlan(3, HOSTILE if self.hostile else {})
        self.business = build(world, self.clock, self.faults)
        for number in range(8):
            world.at(START + 20_000 * (number + 1), _buy(world, number))
        world.at(START + 70_000, lambda now: world.set_quantity(world.items_of("b")[1], 500, now))
        world.at(START + 110_000, lambda now: world.receive("a", 1, 30, now))

    @property
    def world(self) -> World:
        return self.business.world

    def wrong(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Listings that do not show what could ship, with both numbers."""
        found = {}
        for item in (i for sku in ("a", "b") for i in self.world.items_of(sku)):
            there = self.world.shippable(item.sku)
            if item.quantity != there:
                found[item.store, item.sku] = (item.quantity, there)
        return found

    def live(
        self,
        until: Instant,
        commits: Death | None = None,
        requests: Death | None = None,
        room: int | None = None,
    ) -> Assembled:
        """One life of the daemon: until ``until``, or until it dies. ``room``: pages its disk has left."""
        self.lives += 1
        ledger = Ledger.open(self.path, clock=self.clock, durable=False)
        if room is not None:
            (used,) = ledger._connection.execute("pragma page_count").fetchone()
            ledger._connection.execute(f"pragma max_page_count = {used + room}")
        built: list[Assembled] = []

        async def main() -> None:
            at_requests = requests or Death()
            exact = {"default": PoolRule(PoolMode.ADAPTIVE, dead_band_permille=0)}
            rules = replace(policy(split=False, poll_ms=20_000), pools=exact)
            wiring = wire(
                rules,
                self.clock,
                lambda: Doomed(in_process_transport(self.business.app), at_requests),
                pacing=Pacing(20.0),
                seed=self.lives,
            )
            journal = Mortal(Writer(ledger, inline=True), commits or Death())
            recent = ledger.since(CorrectionPlanned, Instant(self.clock() - rules.limits.window_ms))
            built.append(assemble(wiring, journal, Heard(), ledger.everything(), recent))
            stop = anyio.Event()
            async with anyio.create_task_group() as group:
                group.start_soon(keep_world, self.world, self.clock, 1.0)
                group.start_soon(built[0].daemon.run, stop)
                try:
                    await anyio.sleep((until - self.clock()) / 1000)
                finally:
                    # The next life's loop begins at zero again.
                    self.clock.start = Instant(max(self.clock.start, self.clock()))
                stop.set()
                await anyio.sleep(1)
                group.cancel_scope.cancel()

        try:
            run_virtual(main)
        except* Killed:
            pass
        finally:
            ledger.close()
        return built[0]

    def whole(
        self,
        commits: Death | None = None,
        requests: Death | None = None,
        again: tuple[Death | None, Death | None] | None = None,
    ) -> Assembled:
        """Shop, die where told, start again (``again``: and die once more while it starts), settle."""
        shopping = Instant(START + round(SHOPPING_S * 1000))
        self.live(shopping, commits, requests)
        if again is not None:
            self.live(Instant(max(shopping, self.clock()) + 60_000), *again)
        self.faults.rates = {}
        return self.live(Instant(max(shopping, self.clock()) + round(SETTLING_S * 1000)))


def _buy(world: World, number: int) -> Callable[[Instant], None]:
    store, sku = ("shop-uk", "shop-eu", "shop-us")[number % 3], "ab"[number % 2]

    def buy(now: Instant) -> None:
        world.place_order(store, f"{number:04d}", [(sku, 1)], now)

    return buy
