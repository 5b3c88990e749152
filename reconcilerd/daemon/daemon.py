"""The daemon: its parts, their order of starting, and an end within a deadline.

It is given everything it needs and builds nothing. The catalogue is read first, because a slot or an order
means nothing before its SKU is known; then everything runs at once.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

import anyio
import structlog
from anyio.abc import TaskGroup

from reconcilerd.connectors.port import Channel, Source, StockSource
from reconcilerd.daemon.breakers import Tripped, release
from reconcilerd.daemon.circuits import Circuits
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.executors import Executor
from reconcilerd.daemon.health import Health
from reconcilerd.daemon.hints import Hints
from reconcilerd.daemon.passes import Passes
from reconcilerd.daemon.pollers import (
    Pace,
    feed_the_hungry,
    poll,
    read_once,
    read_wanted_slots,
    read_wanted_stock,
)
from reconcilerd.daemon.rereads import Rereads
from reconcilerd.daemon.scopes import Ask, watch_scopes
from reconcilerd.daemon.supervisor import keep_alive
from reconcilerd.daemon.windows import Windows
from reconcilerd.domain.circuit import half_fail
from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.domain.guards import Closed, Rails
from reconcilerd.domain.names import ChannelName, FeedName, Instant
from reconcilerd.domain.policy import Policy
from reconcilerd.domain.survey import is_dark
from reconcilerd.transport.progress import rest

log = structlog.get_logger("reconcilerd.daemon")

CATALOGUE = ("extensiv.products", "extensiv.listings", "extensiv.warehouses", "extensiv.channels")
HUNGRY_EVERY_MS = 60_000
LOOKED_AT_S = 60.0
"""Where there is always news, not everything is ever looked at: after so long it has to do."""


@dataclass(frozen=True, slots=True)
class Plugs:
    """What connects the daemon to the outside."""

    stock: StockSource
    channels: Mapping[ChannelName, Channel]
    paces: Mapping[FeedName, Pace]
    stop_file: Callable[[], bool]
    new_id: Callable[[], str]
    chance: Random
    circuits: Circuits
    closed: Callable[[Instant], tuple[Closed, ...]] = field(default=lambda _: ())
    """The freeze windows that are open at a moment."""
    scopes: Mapping[ChannelName, Ask] = field(default_factory=dict)
    """Whom to ask what our credentials may do."""


class Daemon:
    """All stages, running continuously and concurrently."""

    def __init__(
        self,
        desk: Desk,
        plugs: Plugs,
        health: Callable[[Desk, Passes], Health],
        drain_s: float,
        recent: Iterable[CorrectionPlanned] = (),
    ) -> None:
        """``recent``: the corrections of the last window, so that a restart does not reset a rail."""
        self.desk = desk
        self._plugs = plugs
        self.drain_s = drain_s
        self.executors: dict[ChannelName, Executor] = {
            name: Executor(channel, desk, self.stopped, self._on_denied, self._barred)
            for name, channel in plugs.channels.items()
        }
        limits = desk.book.policy.limits
        self.circuits = plugs.circuits
        self.windows = Windows(limits.window_ms, limits.zeros_window_ms)
        for correction in recent:
            self.windows.spend(correction)
            if correction.slot in desk.book.slots:
                desk.book.slots[correction.slot].habits.recall(correction.at, correction.target)
        self.new_id = plugs.new_id
        self.watch = desk.watch
        self.rereads = Rereads()
        self.hints = Hints(desk, self.rereads)
        self.passes = Passes(desk, self.executors, self.windows, self.rails, plugs.new_id)
        self.health = health(desk, self.passes)
        self.changed: Callable[[str, Mapping[str, str]], None] = lambda _what, _details: None
        """Told what a person or a pass changed at large."""
        self.passes.large_pass = self._large_pass
        self.started = anyio.Event()
        self._outdated: frozenset[str] = frozenset()
        """Corrections that were decided, and perhaps not sent, when the present policy came."""

    def turn_to(
        self,
        policy: Policy,
        closed: Callable[[Instant], tuple[Closed, ...]],
        spent: Iterable[CorrectionPlanned],
    ) -> None:
        """Decide by another policy of the same systems from here on. No await: nobody sees half of it.

        What was decided by the policy before and has not left does not leave. ``spent``: the corrections of the last
        window, which may be longer now.
        """
        limits = policy.limits
        tracks = self.desk.book.slots.values()
        self._outdated = frozenset(each.write.id for each in tracks if each.write is not None)
        self.desk.book.turn_to(policy)
        for sums in (self.passes.standing.exposed, self.passes.standing.hidden):
            sums.repool()
        self._plugs = replace(self._plugs, closed=closed)
        self.circuits.limits = limits
        self.windows.resize(limits.window_ms, limits.zeros_window_ms, spent)
        self.passes.changed_policy.begin_anew()
        self.desk.everybody()

    async def reset(self, found: Sequence[Tripped], by: str, reason: str) -> None:
        """Release rails that tripped, by a person's word; everything is looked at anew."""
        book, now = self.desk.book, self.desk.clock()
        facts = [fact for each in found for fact in release(each, book, self.circuits, by, reason, now)]
        await self.desk.take(facts, note="breaker reset")
        self.changed(f"{by} reset {', '.join(each.name for each in found)}", {"why": reason})
        self.desk.everybody()

    @property
    def feeds(self) -> list[FeedName]:
        """Everything that is read again and again."""
        return [feed for source in self._sources() for feed in source.feeds]

    def _large_pass(self, sent: Mapping[ChannelName, int]) -> None:
        each = ", ".join(f"{name} {count}" for name, count in sorted(sent.items()))
        self.changed(f"a pass corrects {sum(sent.values())} listings: {each}", {"see": "reconcilerd passes"})

    def rails(self) -> Rails:
        """A person's words as they stand now."""
        now, book = self.desk.clock(), self.desk.book
        failing = self.circuits.open | {name for name in book.policy.channels if is_dark(book, name, now)}
        return Rails(
            mode=book.policy.limits.mode,
            stop=self._plugs.stop_file(),
            frozen=book.words.frozen(now),
            envelopes=book.words.in_force(now),
            pinned=book.words.pinned(now),
            breach=bool(book.words.breaches),
            closed=self._plugs.closed(now),
            latched=book.latches.on(now),
            circuits=self.circuits.open,
            half_fails=half_fail(len(failing), len(book.policy.channels), book.policy.limits),
            observing=self.passes.changed_policy.observing,
        )

    async def run(self, stop: anyio.Event) -> None:
        """Run until ``stop`` is set; then let the executors finish within the deadline."""
        async with anyio.create_task_group() as outer:
            for name, executor in self.executors.items():
                outer.start_soon(keep_alive, f"executor {name}", executor.run, self.watch)
            async with anyio.create_task_group() as inner:
                inner.start_soon(self._everything)
                await stop.wait()
                inner.cancel_scope.cancel()
            await self.drain()
            outer.cancel_scope.cancel()

    async def read_everything(self) -> dict[FeedName, str]:
        """Have every feed read whole by its poller, and everything looked at; what could not be read, and why."""
        asked = [self.rereads.ask(feed) for feed in self.feeds]
        for each in asked:
            await each.done.wait()
        with anyio.move_on_after(LOOKED_AT_S):
            while self.passes.busy:
                await anyio.sleep(0.1)
        return {each.feed: each.why for each in asked if each.why}

    def _sources(self) -> list[Source]:
        return [self._plugs.stock, *self._plugs.channels.values()]

    async def drain(self) -> None:
        """Wait for the executors to empty their queues, at most ``drain_s``."""
        with anyio.move_on_after(self.drain_s) as scope:
            for executor in self.executors.values():
                await executor.drained()
        log.info("drained", complete=not scope.cancelled_caught)

    async def _everything(self) -> None:
        """Catalogue first where none was ever read, then all readers, passes and checks at once.

        One that the ledger holds is good enough to lower by, whatever state Extensiv is in.
        """
        fresh = [FeedName(each) for each in CATALOGUE if FeedName(each) not in self.desk.book.sweeps]
        with self.watch.task("catalogue"):
            for feed in fresh:
                await self._until_read(feed)
        self.desk.everybody()
        async with anyio.create_task_group() as group:
            self._start_readers(group, fresh)
            group.start_soon(keep_alive, "passes", self.passes.run, self.watch)
            group.start_soon(keep_alive, "restless", self.passes.keep_looking, self.watch)
            group.start_soon(keep_alive, "health", self.health.run, self.watch)
            self.started.set()

    async def _until_read(self, feed: FeedName) -> None:
        pause = 1.0
        while True:
            complete, error = await read_once(self._plugs.stock, feed, self.desk, whole=True)
            await self.health.on_trouble(feed, error)
            if complete:
                return
            await self.health.check()
            await rest(pause)
            pause = min(60.0, pause * 2)

    def _start_readers(self, group: TaskGroup, read_already: Collection[FeedName]) -> None:
        plugs = self._plugs
        for source in self._sources():
            for feed in source.feeds:
                reader = partial(
                    poll,
                    source,
                    feed,
                    plugs.paces[feed],
                    self.desk,
                    plugs.chance,
                    self.health.on_trouble,
                    self.rereads,
                    read_already=feed in read_already,
                )
                group.start_soon(keep_alive, f"poll {feed}", reader, self.watch)
        group.start_soon(
            keep_alive, "stock reader", partial(read_wanted_stock, plugs.stock, self.desk), self.watch
        )
        standing = self.passes.standing
        feeder = partial(
            feed_the_hungry, standing.hungry, standing.lively, self.desk, every_ms=HUNGRY_EVERY_MS
        )
        group.start_soon(keep_alive, "hungry", feeder, self.watch)
        group.start_soon(keep_alive, "hints", self.hints.run, self.watch)
        if plugs.scopes:
            looker = partial(watch_scopes, plugs.scopes, self.desk, self.health.surroundings.widened)
            group.start_soon(keep_alive, "scopes", looker, self.watch)
        for name, channel in plugs.channels.items():
            reader = partial(read_wanted_slots, channel, self.desk)
            group.start_soon(keep_alive, f"slot reader {name}", reader, self.watch)

    def stopped(self, channel: str) -> str | None:
        """Why nothing may be written to a channel now, if so: asked before every call."""
        words = self.desk.book.words
        return stop_reason(
            stop=self._plugs.stop_file(),
            breach=bool(words.breaches),
            frozen=not words.frozen(self.desk.clock()).isdisjoint({"", channel}),
            circuit_open=channel in self.circuits.open,
        )

    def _barred(self, correction: CorrectionPlanned) -> str | None:
        """Why this one may not be written now though others may: a freeze window that opened, or another policy."""
        if correction.id in self._outdated:
            return "it was planned by the policy before"
        lowers = correction.target < correction.read or bool(correction.under)
        barred = any(
            each.bars(correction.slot.channel, lowers=lowers, cures=correction.cures)
            for each in self._plugs.closed(self.desk.clock())
        )
        return "a freeze window is open" if barred else None

    async def _on_denied(self, channel: str, why: str | None) -> None:
        await self.health.denied(channel, f"{channel} writes", why)


def stop_reason(*, stop: bool, breach: bool, frozen: bool, circuit_open: bool) -> str | None:
    """Why nothing may leave for a channel now, if so. The STOP file comes first and needs nobody to heed it."""
    if stop:
        return "the STOP file is there"
    if breach:
        return "an invariant was broken"
    if frozen:
        return "writes are frozen"
    return "most calls to the channel fail" if circuit_open else None
