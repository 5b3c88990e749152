"""A small business whose daemon reads one bad feed for a while: what of its own writes was wrong because of it.

Nothing happens in this business but a few sales, of which every feed but the bad one tells: whatever else is
written is the bad feed's doing. Counted in units of the truth, write by write.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconcilerd.daemon.audit import stopped
from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import Limits, Mode
from reconcilerd.simulator.stores import Item
from reconcilerd.simulator.truth import World, WorldConfig
from tests.badfeeds.feeds import PATHS, Bad, Feed
from tests.world.stage import STORES, Stage, empty_shops, play, policy, put_on_sale
from tests.world.test_rails import answers

UNITS = 100
SHORT_S = {Feed.STOCK: 700.0, Feed.ORDERS: 40.0, Feed.SLOTS: 70.0}
"""One sweep."""
LONG_S = 3_000.0
SETTLE_S = 4_200.0
"""Longer than the hour after which all open orders are read again."""
TAKES_S = 300.0
"""Within so long after a sale every listing shows it."""


@dataclass(frozen=True, slots=True)
class Case:
    feed: Feed
    bad: Bad
    long: bool
    skus: int = 3
    split: bool = True
    early: bool = False
    """Extensiv imports an order at once, long before its channel lists it."""

    @property
    def name(self) -> str:
        until = "until mended" if self.long else "one sweep"
        pool = "split" if self.split else "shared"
        return f"{self.feed}: {self.bad.name}, {until}, {self.skus} SKUs, {pool}"


@dataclass(slots=True)
class Verdict:
    """Units that were shown too many, or hidden, by our writes while a feed was bad; and what became of it."""

    published: int = 0
    hidden: int = 0
    alerts: set[str] = field(default_factory=set)
    """Kinds of those that name the feed or its system."""
    unshown: int = 0
    """Units that are wrong at the end, after it was mended."""
    wrong: list[str] = field(default_factory=list)
    reset: list[str] = field(default_factory=list)
    """Rails that a person had to reset once it was mended."""
    spoilt: int = 0
    violations: int = 0


class Spoiler:
    """Stands before the business and spoils the answers of one feed while it is ``on``."""

    def __init__(self, app: ASGIApp, case: Case, verdict: Verdict, clock: Callable[[], Instant]) -> None:
        self._app, self._case, self._verdict, self._clock = app, case, verdict, clock
        self._kept: dict[bytes, tuple[Instant, bytes]] = {}
        self.on = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not str(scope.get("path", "")).startswith(PATHS[self._case.feed]):
            await self._app(scope, receive, send)
            return
        asked, said, parts = b"", list[Message](), list[bytes]()

        async def listen() -> Message:
            nonlocal asked
            message = await receive()
            asked += message.get("body", b"")
            return message

        async def keep(message: Message) -> None:
            said.append(message)
            parts.append(message.get("body", b""))

        await self._app(scope, listen, keep)
        body, headers = self._spoilt(scope, asked, b"".join(parts))
        start = said[0]
        drop = {b"content-length", *(name for name, _ in headers)}
        start["headers"] = [each for each in start["headers"] if each[0] not in drop] + headers
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _spoilt(self, scope: Scope, asked: bytes, body: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        if b"mutation" in asked or (self._case.feed is Feed.SLOTS and not _tells_items(body)):
            return body, []
        if self._case.bad.stale:
            return self._again(scope, asked, body)
        if not self.on:
            return body, []
        told = msgspec.json.decode(body)
        found = self._rows(told)
        self._verdict.spoilt += found != told
        return msgspec.json.encode(found), []

    def _rows(self, told: Any) -> Any:
        spoil, feed = self._case.bad.spoil, self._case.feed
        if isinstance(told, list):
            return spoil(feed, told)
        data: dict[str, Any] = {}
        for name, value in told["data"].items():
            if isinstance(value, list):
                # Asked for by id: another account knows none of them; a page that is cut has fewer than were asked for.
                rows: list[Any] = spoil(feed, [row for row in value if row])
                data[name] = [None] * len(value) if self._case.bad.others else rows
            else:
                data[name] = {**value, "nodes": spoil(feed, value["nodes"])} if value else value
        return {**told, "data": data}

    def _again(self, scope: Scope, asked: bytes, body: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        query = bytes(scope["query_string"]).partition(b"modified")[0]
        key = scope["path"].encode() + query + asked
        if not self.on:
            self._kept[key] = (self._clock(), body)
            return body, []
        at, old = self._kept.setdefault(key, (self._clock(), body))
        self._verdict.spoilt += old != body
        age = str((self._clock() - at) // 1000).encode()
        return old, [(b"age", age)] if self._case.bad.told else []


def _tells_items(body: bytes) -> bool:
    return b"inventoryLevels" in body


def judged(case: Case) -> Verdict:
    """Live through one case."""
    verdict, spoilers = Verdict(), list[Spoiler]()
    names = [f"s{number:02d}" for number in range(case.skus)]

    def prepare(stage: Stage) -> None:
        made = stage.business.app.router

        class Before:
            def __init__(self, app: ASGIApp) -> None:
                spoilers.append(Spoiler(app, case, verdict, stage.clock))

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await spoilers[0](scope, receive, send)

        assert made is not None
        stage.business.app.add_middleware(Before)
        _listen(stage, case, verdict)

    async def scene(stage: Stage) -> None:
        await anyio.sleep(700)
        assert not any(_off(stage, case, names).values()), "what is not on sale cannot be hidden"
        _count(stage, case, verdict)
        spoilers[0].on = True
        length = LONG_S if case.long else SHORT_S[case.feed]
        await _sell(stage, names, length)
        verdict.published += sum(max(0, by) for by in _off(stage, case, names).values())
        spoilers[0].on = False
        await anyio.sleep(SETTLE_S / 2)
        verdict.reset = await _reset_all(stage)
        await anyio.sleep(SETTLE_S / 2)
        off = {sku: by for sku, by in _off(stage, case, names).items() if by}
        verdict.unshown = sum(map(abs, off.values()))
        verdict.wrong = [f"{sku}: {by:+}" for sku, by in off.items()]
        verdict.violations = len(stopped(stage.built.daemon.desk.book))

    rules = replace(policy(split=case.split), limits=Limits(mode=Mode.AUTO))
    # Nothing ships meanwhile: what leaves the shelf while its order cannot be read counts twice for a while, by rule.
    quiet = WorldConfig(ship_ms=(36_000_000, 36_000_000))
    if case.early:
        quiet = replace(quiet, import_ms=(1_000, 1_000), index_lag_ms=(100_000, 110_000))
    play(_in_step(quiet, case.split, names), rules, scene, prepare=prepare)
    return verdict


def _in_step(config: WorldConfig, split: bool, names: list[str]) -> World:
    """Every SKU shown as it should be from the beginning: nothing of it waits for a window or a canary."""
    world = empty_shops(config)
    shown = {name: UNITS * share // 1000 if split else UNITS for name, _, share in STORES}
    for sku in names:
        put_on_sale(world, sku, UNITS, split=split, shown=shown)
    world.start_mirrors()
    return world


async def _reset_all(stage: Stage) -> list[str]:
    """A person looks at what tripped, finds the feed mended, and resets it."""
    names = sorted(
        {subject for kind, subject, _ in stage.alerts.raised if kind in {"rail_tripped", "tug_of_war"}}
    )
    for name in names:
        told = await answers(stage).answer({"op": "breaker", "reset": name, "reason": "it is mended"}, "ops")
        assert told["exit_code"] == 0, told
    return names


async def _sell(stage: Stage, names: list[str], length_s: float) -> None:
    """A unit of each of the first two now and then; the last so early that it can be shown everywhere."""
    times = 3 if length_s > TAKES_S else 1
    for number in range(times):
        for sku in names[:2]:
            stage.world.place_order("shop-eu", f"{number}-{sku}", [(sku, 1)], stage.clock())
        await anyio.sleep(max(0.0, length_s - TAKES_S) / times)
    await anyio.sleep(min(length_s, TAKES_S))


def _count(stage: Stage, case: Case, verdict: Verdict) -> None:
    """From now on, every write that takes effect is held against the truth."""
    apply, world = stage.world._apply, stage.world

    def counted(item: Item, quantity: int, now: Instant) -> None:
        there = world.shippable(item.sku)
        before = sum(each.quantity for each in world.items_of(item.sku)) if case.split else item.quantity
        old = item.quantity
        apply(item, quantity, now)
        after = before + quantity - old
        if quantity > old:
            verdict.published += max(0, after - there) - max(0, before - there)
        else:
            verdict.hidden += max(0, there - after) - max(0, there - before)

    world._apply = counted  # type: ignore[method-assign]


def _off(stage: Stage, case: Case, names: list[str]) -> dict[str, int]:
    """By how many units what is shown of each SKU is too much (or too little: below zero)."""
    found = {}
    for sku in names:
        there, shown = stage.world.shippable(sku), list(stage.shown(sku).values())
        if case.split:
            found[sku] = sum(shown) - there
        else:
            # A shared pool leaves differences within its dead band of 5 % alone.
            worst = max((each - there for each in shown), key=abs)
            found[sku] = worst if abs(worst) * 20 > there else 0
    return found


def _listen(stage: Stage, case: Case, verdict: Verdict) -> None:
    """Note every alert that names the feed, or the system it comes from."""
    said, names = stage.alerts.raise_, (case.feed.value, case.feed.partition(".")[0])

    async def raise_(kind: str, subject: str, severity: str, summary: str, details: Any) -> None:
        if any(name in f"{subject} {summary}" for name in names):
            verdict.alerts.add(kind)
        await said(kind, subject, severity, summary, details)

    stage.alerts.raise_ = raise_  # type: ignore[method-assign]
