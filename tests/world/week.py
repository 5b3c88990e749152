"""A week of incidents, as those who are on call live through it: the whole daemon, its alerts, Slack and PagerDuty.

``python -m tests.world.week [HOURS [SKUS]]`` prints all that Slack and PagerDuty show of it.
"""

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio
import httpx
import structlog
from typing_extensions import override

from reconcilerd.alerting.engine import Engine, Receiver
from reconcilerd.alerting.pagerduty import PagerDuty
from reconcilerd.alerting.slack import Slack
from reconcilerd.assemble import Assembled, assemble
from reconcilerd.daemon.surroundings import Around
from reconcilerd.domain.facts import FreezeSet
from reconcilerd.domain.names import Instant, format_instant
from reconcilerd.simulator.app import Business, build, keep_world
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.trial.stage import START, Pacing, wire
from tests.alerting.fakes import FakePagerDuty, FakeSlack, Trouble
from tests.world.stage import Journal, policy, small_world

ROUTING_KEY = "k" * 32
HOUR_S = 3_600.0
PACING = Pacing(channels_s=420.0, orders_s=420.0, stock_s=900.0)
MANY = 24
"""SKUs that drift at once. Each is listed on three channels."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What went wrong and from when to when."""

    name: str
    began: Instant
    ended: Instant
    wakes: frozenset[str]
    """Kinds of alerts of which it opens one page each."""
    follows: frozenset[str]
    """Kinds that may wake somebody too: harm that comes of it."""
    tells: frozenset[str]
    """Kinds that wake nobody."""
    within: bool
    """Others happen in the middle of it."""


@dataclass
class Gate(httpx.AsyncBaseTransport):
    """The way to the vendors: some are down, some do not know us any more."""

    inner: httpx.AsyncBaseTransport
    week: "Week"

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if any(path.startswith(each) for each in self.week.down):
            raise httpx.ConnectError("connection refused", request=request)
        if any(path.startswith(each) for each in self.week.revoked):
            return httpx.Response(401, json={"error": "invalid_client"}, request=request)
        return await self.inner.handle_async_request(request)


@dataclass
class Week:
    """The business, the daemon, who is told, and what was done to them."""

    hours: float
    many: int = MANY
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(START))
    causes: list[Cause] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    free_percent: float = 60.0
    journal: Journal = field(default_factory=Journal)
    world: World = field(init=False)
    business: Business = field(init=False)
    slack: FakeSlack = field(init=False)
    pagerduty: FakePagerDuty = field(init=False)
    engine: Engine = field(init=False)
    built: Assembled = field(init=False)

    def __post_init__(self) -> None:
        skus = ["a", "b", *(f"m{number:05}" for number in range(self.many))]
        self.world = small_world(WorldConfig(seed=7), split=False, skus=skus)
        self.slack, self.pagerduty = FakeSlack(self.clock), FakePagerDuty(self.clock)

    @contextmanager
    def cause(
        self, name: str, wakes: str = "", tells: str = "", follows: str = "", *, within: bool = False
    ) -> Iterator[None]:
        """What is done within goes on until it ends."""
        began = self.clock()
        yield
        ended = self.clock()
        self.causes.append(Cause(name, began, ended, _kinds(wakes), _kinds(follows), _kinds(tells), within))

    async def live(self) -> None:
        self.business = build(self.world, self.clock, FaultPlan())
        wiring = wire(
            policy(split=False),
            self.clock,
            lambda: Gate(in_process_transport(self.business.app), self),
            PACING,
        )
        wiring = replace(wiring, around=Around(free_percent=lambda: self.free_percent))
        receivers: list[Receiver] = [
            Slack("https://hooks.example", self.slack.post),
            PagerDuty("https://events.example", [ROUTING_KEY], "shop.example", self.pagerduty.post),
        ]

        async def note(facts: Sequence[Any]) -> None:
            await self.journal.append(facts, "alert")

        self.engine = Engine(receivers, note, self.clock)
        self.built = assemble(wiring, self.journal, self.engine)
        stop = anyio.Event()
        async with anyio.create_task_group() as group:
            for task in (partial(keep_world, self.world, self.clock, 30.0), self.engine.run):
                group.start_soon(task)
            group.start_soon(self.built.daemon.run, stop)
            await anyio.sleep(HOUR_S)
            await self.incidents()
            stop.set()
            await anyio.sleep(30)
            group.cancel_scope.cancel()

    async def incidents(self) -> None:
        """One after the other, with what is left of the week in equal parts between them."""
        menu: list[Callable[[], Awaitable[None]]] = [
            self.extensiv_is_down,
            self.network_is_down,
            self.token_is_revoked,
            self.mirror_stands_still,
            self.unmapped_sku_sells,
            self.somebody_else_writes,
            self.many_drift,
            self.disk_is_full,
            self.slack_is_down,
            self.zeroed_by_hand,
        ]
        began = self.clock()
        for number, incident in enumerate(menu):
            async with anyio.create_task_group() as group:
                group.start_soon(self._trade, incident.__name__)
                await incident()
                group.cancel_scope.cancel()
            due = began + (number + 1) * self.hours * 3_600_000 / len(menu)
            await anyio.sleep(max(HOUR_S / 2, (due - self.clock()) / 1000))

    async def _trade(self, name: str) -> None:
        number = 0
        while True:
            await anyio.sleep(1_200)
            number += 1
            store = ("shop-uk", "shop-eu", "shop-us")[number % 3]
            self.world.place_order(store, f"{name}-{number}", [("b", 1)], self.clock())

    async def extensiv_is_down(self) -> None:
        with self.cause("Extensiv is down for an hour", "stale_source", "channel_errors", "exposure"):
            self.down.add("/extensiv")
            await anyio.sleep(HOUR_S)
            self.down.clear()
            await anyio.sleep(0.3 * HOUR_S)

    async def network_is_down(self) -> None:
        """One cause, one page: who is woken by five of them looks at five vendors."""
        with self.cause("the network is down", "offline"):
            self.down.update(("/extensiv", "/shopify"))
            await anyio.sleep(HOUR_S)
            self.down.clear()
            await anyio.sleep(0.3 * HOUR_S)

    async def token_is_revoked(self) -> None:
        with self.cause(
            "the token of shop-eu is revoked", "credentials_refused", "unresolved_drift", "exposure"
        ):
            self.revoked.add("/shopify/shop-eu")
            await anyio.sleep(2 * HOUR_S)
            self.revoked.clear()

    async def mirror_stands_still(self) -> None:
        with self.cause("the 3PL's rows stand still"):
            self.world.config = replace(self.world.config, mirror_ms=10**9)
            await anyio.sleep(3 * HOUR_S)

    async def unmapped_sku_sells(self) -> None:
        with self.cause("a SKU that nobody mapped sells", tells="unmapped_sku"):
            for number in range(3):
                self.world.place_order("shop-uk", f"ghost-{number}", [("ghost", 1)], self.clock())
                await anyio.sleep(0.5 * HOUR_S)

    async def somebody_else_writes(self) -> None:
        with self.cause("another app writes shop-us", tells="tug_of_war", follows="exposure"):
            item = next(each for each in self.world.items_of("a") if each.store == "shop-us")
            for _ in range(36):
                self.world.set_quantity(item, 140, self.clock())
                await anyio.sleep(300)

    async def many_drift(self) -> None:
        with self.cause("frozen while everything drifts", "exposure", "unresolved_drift"):
            now = self.clock()
            await self.built.daemon.desk.take([FreezeSet("", True, "ops", "stock-take", now)])
            for store in self.world.stores.values():
                for item in list(store.items.values())[::2]:
                    self.world.set_quantity(item, 400, self.clock())
            await anyio.sleep(2 * HOUR_S)
            await self.built.daemon.desk.take([FreezeSet("", False, "ops", "done", self.clock())])
            await anyio.sleep(HOUR_S)

    async def disk_is_full(self) -> None:
        with self.cause("the disk is full", "storage"):
            self.free_percent = 2.0
            await anyio.sleep(HOUR_S)
            self.free_percent = 60.0

    async def slack_is_down(self) -> None:
        """While it is, Extensiv fails twice: Slack hears of both in the end."""
        with self.cause(
            "Slack is down", "alert_delivery_failing", "channel_errors", "stale_source", within=True
        ):
            self.slack.trouble = Trouble.DOWN
            for _ in range(2):
                await self.extensiv_is_down()
                await anyio.sleep(2 * HOUR_S)
            self.slack.trouble = Trouble.NONE

    async def zeroed_by_hand(self) -> None:
        with self.cause(
            "a clerk counts 0 by mistake", "rail_tripped", "unresolved_drift held_plan", "stale_source"
        ):
            for each in self.world.bins.values():
                each.copied = 0
            await anyio.sleep(2 * HOUR_S)
            for each in self.world.bins.values():
                each.copied = each.on_hand

    def conversation(self) -> Iterator[str]:
        """What Slack and PagerDuty showed and when, with what was done in between."""
        lines = [(each.began, 0, f"\n##### {each.name}") for each in self.causes]
        lines += [(each.ended, 0, f"##### over: {each.name}") for each in self.causes]
        lines += [(at, 1, f"[slack]\n{text}") for at, text in self.slack.taken]
        lines += [(at, 2, _page(event)) for at, event in self.pagerduty.taken]
        for at, _, text in sorted(lines):
            hours = (at - START) / 3_600_000
            yield f"{format_instant(at)[5:16]} (+{hours:5.1f} h) {text}"


def _kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _page(event: Mapping[str, Any]) -> str:
    payload = event.get("payload", {})
    details = "".join(f"\n    {name}: {text}" for name, text in payload.get("custom_details", {}).items())
    return (
        f"[pagerduty] {event['event_action']} {event['dedup_key']} "
        f"{payload.get('severity', '')} {payload.get('summary', '')}{details}"
    )


def lived(hours: float, many: int = MANY) -> Week:
    """A week that is over, or as much of one; ``many`` SKUs that may drift."""
    week = Week(hours, many)
    run_virtual(week.live)
    return week


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asked = sys.argv[1:]
    for line in lived(float(asked[0] if asked else 168), int(asked[1] if asked[1:] else MANY)).conversation():
        print(line)
