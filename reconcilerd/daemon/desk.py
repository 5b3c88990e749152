"""Where facts come in: folded into the book, written to the ledger, and turned into work to do.

The one place that changes the book, so that memory and ledger take the same facts in the same order. It knows
no connector and decides nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Flag, auto
from typing import Protocol

import anyio
import structlog

from reconcilerd.connectors.port import Page
from reconcilerd.daemon.counts import Counts
from reconcilerd.daemon.turns import Readers
from reconcilerd.domain.book import Book
from reconcilerd.domain.clocks import by_a_clock_that_went_back, latest
from reconcilerd.domain.facts import EndsMoved, Fact, StockObserved, SweepRead
from reconcilerd.domain.feeds import EXTENSIV_ORDERS, STOCK_FEED
from reconcilerd.domain.names import Instant, Sku, SlotKey
from reconcilerd.domain.plan import Wants
from reconcilerd.transport.progress import Watch

log = structlog.get_logger("reconcilerd.desk")

CLOCK_SLACK_MS = 2_000
"""Time services nudge a clock by less."""


class Awaits(Flag):
    """What may change a plan although it brings no news: SKUs of groups at rest await nothing."""

    NOTHING = 0
    REREAD = auto()
    """Any reading of what belongs to it: a correction waits for fresh ones."""
    STOCK = auto()
    """A stock row that is read again: it proves shipments."""
    TIME = auto()
    """Time alone, by little and little: looked at now and then."""


def spelled(book: Book, sku: Sku) -> str:
    """A SKU as people write it."""
    product = book.products.get(sku)
    return product.shown_sku if product is not None else sku


def sku_on(book: Book, slot: SlotKey) -> str | None:
    """What a slot sells, as people write it; None while that is not known."""
    sku = book.joins().sku_of.get(slot)
    return None if sku is None else spelled(book, sku)


class Journal(Protocol):
    """Where facts are made durable; returns once they are."""

    async def append(self, facts: Sequence[Fact], note: str = "") -> int: ...


class Desk:
    """Takes pages, keeps the dirty set (asking twice is asking once) and the readings that are wanted."""

    def __init__(self, book: Book, journal: Journal, clock: Callable[[], Instant]) -> None:
        self.book = book
        self.clock = clock
        self.counts = Counts()
        self.readers = Readers()
        self._journal = journal
        self._dirty: dict[Sku, None] = {}
        self._awaiting: dict[Sku, Awaits] = {}
        self._looked: dict[Sku, Instant] = {}
        """When each group that awaits anything was last looked at."""
        self._asking: dict[Sku, None] = {}
        self._stock: dict[Sku, None] = {}
        self._slots: dict[SlotKey, None] = {}
        self.busy_since = clock()
        """When work last came where there was none."""
        self._work = anyio.Event()
        self._reading = anyio.Event()
        self.changed = 0
        self.turned_back: Instant | None = None
        """When the clock last went back."""
        self.on_turned_back: list[Callable[[Instant], None]] = []
        """Told of that moment: whoever counts from moments of its own must not wait until these have come again."""
        self.went_back_from = Instant(0)
        """What the clock had come to before."""
        self.moved: list[Callable[[], Sequence[Fact]]] = [book.words.moved, book.latches.moved]
        """Asked for what ends otherwise since: it is written down, or a later start would have it hold again."""
        self.broken: str | None = None
        """The last fact that met a bug, and which."""
        self._latest = clock()
        self.watch = Watch()
        """Every task that must get on, the ledger's writer among them."""

    async def page(self, page: Page) -> None:
        """Fold one page and make its news durable."""
        await self.take(page.facts)

    async def take(self, facts: Iterable[Fact], note: str = "") -> None:
        """Fold facts; what is news, and what follows from it, is one ledger entry."""
        self.look_at_the_clock()
        await self.keep(self.fold(facts), note)

    def look_at_the_clock(self) -> None:
        """Notice a clock that was set back, before anything is compared by it: whoever decides by ages asks first."""
        now = self.clock()
        if now < self._latest - CLOCK_SLACK_MS:
            log.critical(
                "clock_went_back", by_ms=self._latest - now, do="check the time service of this machine"
            )
            self.went_back_from = self._latest
            self.book.words.stay_over(now, self._latest)
            self.book.turn_back(now, self._latest)
            self.turned_back = now
            self.busy_since = min(self.busy_since, now)
            self._looked.clear()
            for told in self.on_turned_back:
                told(now)
            self.everybody()
        elif now < self._latest:
            return
        self._latest = now

    def fold(self, facts: Iterable[Fact]) -> list[Fact]:
        """Fold facts into the book; the news among them, for the ledger. No await: callers may rely on it."""
        news: list[Fact] = []
        dirty: set[Sku] = set()
        everybody = False
        now = self.clock()
        for read in facts:
            fact = read if latest(read) <= now + CLOCK_SLACK_MS else by_a_clock_that_went_back(read, now)
            try:
                taken = self.book.take(fact)
            except Exception as bug:
                # One fact that meets a bug must not take the others of its page along.
                self.broken = f"{fact.kind} of {fact.about}: {type(bug).__name__}: {bug}"
                log.exception("fact_broke", kind=fact.kind, about=fact.about)
                continue
            if taken.news:
                news.append(taken.instead or fact)
            news.extend(taken.derived)
            dirty |= taken.dirty
            dirty.update(self._awaited(fact, taken.touched))
            everybody = everybody or taken.everybody
        if everybody:
            dirty.update(self.book.joins().groups.of)
        self.changed += len(news)
        self.counts.note(news)
        # A set's order differs from process to process; the order of work must not.
        self.mark(sorted(dirty))
        return news

    async def keep(self, facts: Sequence[Fact], note: str = "") -> None:
        """Make facts durable that are folded already."""
        # Before them: one of them may be a newer word on the same.
        if moved := {(each.kind, each.about): each for words in self.moved for each in words()}:
            with self.watch.step("ledger writer"):
                ends = EndsMoved(tuple(moved), self.clock())
                await self._journal.append((ends, *moved.values()), "the clock was set back")
        if facts:
            with self.watch.step("ledger writer"):
                await self._journal.append(facts, note)

    def mark(self, skus: Iterable[Sku]) -> None:
        """Have the pool groups of these SKUs looked at again."""
        groups, idle = self.book.joins().groups.of, not self._dirty
        for sku in skus:
            self._dirty[groups.get(sku, sku)] = None
        if self._dirty:
            if idle:
                self.busy_since = self.clock()
            self._work.set()

    def everybody(self) -> None:
        self.mark(self.book.joins().groups.of)

    def wait_for(self, group: Sku, skus: Iterable[Sku], awaits: Awaits, *, asking: bool) -> None:
        """Remember what of a group must have it looked at again although it brings no news.

        ``asking``: it wants a reading now, and must ask again if that reading never comes.
        """
        for sku in (group, *skus):
            if awaits:
                self._awaiting[sku] = awaits
            else:
                self._awaiting.pop(sku, None)
        if awaits:
            self._looked[group] = self.clock()
        else:
            self._looked.pop(group, None)
        if asking:
            self._asking[group] = None
        else:
            self._asking.pop(group, None)

    def ask_again(self) -> None:
        """Look again at every group that asks for a reading: it may never come."""
        self._asking = dict.fromkeys(self.book.joins().groups.current(self._asking))
        self.mark(tuple(self._asking))

    def look_again(self, after_ms: int) -> None:
        """Look again at every group that awaits anything, time included, and was not looked at for so long."""
        due = self.clock() - after_ms
        groups = self.book.joins().groups.of
        self.mark(sku for sku in sorted(self._awaiting) if self._looked.get(groups.get(sku, sku), due) <= due)

    def _awaited(self, fact: Fact, touched: Iterable[Sku]) -> Iterable[Sku]:
        """SKUs whose plan may change by what this fact merely says again."""
        match fact:
            case SweepRead(feed=feed, complete=True) if feed == STOCK_FEED:
                return [sku for sku, awaits in self._awaiting.items() if awaits & Awaits.STOCK]
            case SweepRead(feed=feed, complete=True, full=True) if feed == EXTENSIV_ORDERS:
                return list(self._awaiting)
            case StockObserved():
                what = Awaits.REREAD | Awaits.STOCK
            case _:
                what = Awaits.REREAD
        return [sku for sku in touched if self._awaiting.get(sku, Awaits.NOTHING) & what]

    @property
    def waiting(self) -> int:
        """How many pool groups wait to be looked at."""
        return len(self._dirty)

    @property
    def busy(self) -> bool:
        """Whether any group waits to be looked at."""
        return bool(self._dirty)

    async def groups(self, at_most: int) -> list[Sku]:
        """Wait for work; the pool groups to look at now, oldest request first."""
        while not self._dirty:
            self._work = anyio.Event()
            await self._work.wait()
        asked = list(self._dirty)[:at_most]
        for group in asked:
            del self._dirty[group]
        # What was a group when it was marked may be a part of a larger one by now.
        return self.book.joins().groups.current(asked)

    def want(self, wants: Wants) -> None:
        """Ask for targeted readings."""
        for sku in sorted(wants.stock):
            self._stock[sku] = None
        for slot in sorted(wants.slots):
            self._slots[slot] = None
        if wants.stock or wants.slots:
            self._reading.set()
            self._reading = anyio.Event()

    async def wanted(self) -> None:
        """Wait until a reading is asked for. Whoever finds nothing to read must ask before anything else happens."""
        await self._reading.wait()

    def wanted_stock(self, at_most: int) -> list[Sku]:
        taken = list(self._stock)[:at_most]
        for sku in taken:
            del self._stock[sku]
        return taken

    def wanted_slots(self, channel: str, at_most: int) -> list[SlotKey]:
        taken = [slot for slot in self._slots if slot.channel == channel][:at_most]
        for slot in taken:
            del self._slots[slot]
        return taken
