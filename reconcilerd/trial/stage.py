"""A whole business and the whole daemon in one process, in virtual time: hours in seconds.

Everything is the real thing but the clock and the carrier of requests: connectors, limits, tokens, retries, paging.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import anyio
import httpx
from typing_extensions import override

from reconcilerd.assemble import Assembled, Endpoint, Wiring, assemble
from reconcilerd.config.secret import Secret
from reconcilerd.daemon.desk import Journal
from reconcilerd.daemon.pollers import Pace, paces_of
from reconcilerd.domain.change import Closed
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import ChannelName, FeedName, Instant
from reconcilerd.domain.policy import Policy
from reconcilerd.simulator.app import Business, build, keep_world
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.stores import Item
from reconcilerd.simulator.truth import World
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.credentials import TokenRequest
from reconcilerd.transport.pool import in_process_transport

START = Instant(1_291_550_400_000)
"""2010-12-05 12:00 UTC: in the middle of the orders that ship with the simulator."""

J = TypeVar("J", bound=Journal)


@dataclass
class Heard:
    """Every alert that fires, as a person would have heard it."""

    raised: list[tuple[str, str, str]] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    """Every kind that was ever raised."""
    watch: Callable[[str, str], None] = lambda _kind, _subject: None
    """Is shown the kind and subject of each."""

    async def raise_(
        self, kind: str, subject: str, severity: str, summary: str, details: Mapping[str, str]
    ) -> None:
        del severity, details
        if (kind, subject) not in {(k, s) for k, s, _ in self.raised}:
            self.raised.append((kind, subject, summary))
            self.told.add(kind)
            self.watch(kind, subject)

    async def resolve(self, kind: str, subject: str) -> None:
        self.raised = [each for each in self.raised if each[:2] != (kind, subject)]

    async def keep_only(self, known: Set[tuple[str, str]]) -> None:
        self.raised = [each for each in self.raised if each[:2] in known]


@dataclass
class Stage(Generic[J]):
    """What a scene plays on."""

    world: World
    business: Business
    clock: VirtualClock
    built: Assembled
    journal: J
    alerts: Heard

    def item(self, store: str, sku: str) -> Item:
        """The listing of a SKU at a store. Raises StopIteration where there is none."""
        return next(each for each in self.world.stores[store].items.values() if each.sku == sku)

    def shown(self, sku: str) -> dict[str, int]:
        """What each store shows of a SKU."""
        return {item.store: item.quantity for item in self.world.items_of(sku)}


@dataclass
class Door(httpx.AsyncBaseTransport):
    """The way to the vendors; ``watch`` is told of each request that comes to it."""

    inner: httpx.AsyncBaseTransport
    watch: Callable[[], None]

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.watch()
        return await self.inner.handle_async_request(request)


@dataclass(frozen=True)
class Pacing:
    """How often the daemon reads (seconds): each channel's listings and orders, Extensiv's orders, its stock."""

    channels_s: float = 60.0
    orders_s: float = 30.0
    stock_s: float = 600.0
    rest_s: float = 3600.0
    totals_s: float = 3600.0
    of_channel: Mapping[str, float] = field(default_factory=dict)
    """Channels that are read at a pace of their own."""

    @property
    def slowest_channel_s(self) -> float:
        return max((self.channels_s, *self.of_channel.values()))

    def paces(self, channels: Iterable[ChannelName]) -> dict[FeedName, Pace]:
        """The pace of every feed."""
        return paces_of(
            catalogue_s=self.rest_s,
            orders_s=self.orders_s,
            stock_s=self.stock_s,
            totals_s=self.totals_s,
            channels_s={name: self.of_channel.get(name, self.channels_s) for name in channels},
        )


def wire(
    rules: Policy,
    clock: VirtualClock,
    transport: Callable[[], httpx.AsyncBaseTransport],
    pacing: Pacing = Pacing(),
    seed: int = 0,
    closed: Callable[[Instant], tuple[Closed, ...]] = lambda _: (),
) -> Wiring:
    """A daemon for the pretend business that ``build`` makes, in process."""
    base = "http://127.0.0.1"
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
        paces=pacing.paces(rules.channels),
        clock=clock,
        transport=transport,
        stop_file=lambda: False,
        seed=seed,
        closed=closed,
    )


def _grant(url: str, how: Literal["basic", "post"]) -> TokenRequest:
    return TokenRequest(url, Secret("simulator", public=True), Secret("simulator-secret"), how)


def play(
    world: World,
    rules: Policy,
    scene: Callable[[Stage[J]], Awaitable[None]],
    journal: J,
    *,
    faults: FaultPlan | None = None,
    pacing: Pacing = Pacing(),
    prepare: Callable[[Stage[J]], None] = lambda _stage: None,
    state: Sequence[Fact] = (),
    clock: VirtualClock | None = None,
    arrived: Callable[[], None] = lambda: None,
    closed: Callable[[Instant], tuple[Closed, ...]] = lambda _: (),
) -> Stage[J]:
    """Run the daemon against the world until the scene ends. ``prepare`` sees the stage before it starts.

    ``arrived`` is told of every request. ``state``: what a ledger holds of an earlier life. ``clock``: by default it
    begins at START. ``closed``: the freeze windows that are open at a moment.
    """
    stages: list[Stage[J]] = []

    async def main() -> None:
        now = clock or VirtualClock(START)
        business = build(world, now, faults or FaultPlan())
        wiring = wire(
            rules, now, lambda: Door(in_process_transport(business.app), arrived), pacing, closed=closed
        )
        alerts = Heard()
        built = assemble(wiring, journal, alerts, state)
        stage = Stage(world, business, now, built, journal, alerts)
        stages.append(stage)
        prepare(stage)
        stop = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(keep_world, world, now, 1.0)
            group.start_soon(built.daemon.run, stop)
            if not state:
                await built.daemon.started.wait()
            await scene(stage)
            stop.set()
            await anyio.sleep(1)
            group.cancel_scope.cancel()

    run_virtual(main)
    return stages[0]
