"""Judges each whole reading while it is folded: under suspicion before its first doubtful row can act."""

from dataclasses import replace

import structlog

from reconcilerd.connectors.port import Page
from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.clocks import by_a_clock_that_went_back, cut_by_the_clock
from reconcilerd.domain.facts import Fact, SweepRead
from reconcilerd.domain.latches import SENTINEL
from reconcilerd.domain.names import FeedName
from reconcilerd.domain.suspicion import Look, Suspicion, lift, look, suspicion, trip

log = structlog.get_logger("reconcilerd.sweeping")
VOID = "void"
"""Begins why a reading of which all was read is none: a sentinel is not what it must be."""


class Sweeping:
    """One reading of one feed. Takes its pages and its end in place of the desk."""

    def __init__(self, desk: Desk, feed: FeedName) -> None:
        self._desk = desk
        self._feed = feed
        self._seen = Look()
        self._tripped = False
        self._clock_of = desk.turned_back
        """By which clock it began: as it was when that was last set back."""

    async def page(self, page: Page) -> None:
        """Fold a page, after the suspicion it arouses."""
        if self._set_back():
            now = self._desk.clock()
            page = replace(page, facts=tuple(by_a_clock_that_went_back(fact, now) for fact in page.facts))
        book = self._desk.book
        self._desk.counts.pages[page.feed] += 1
        found: Suspicion | None = None
        if page.feed == self._feed:
            # Totals have rows of stock read again: few, picked because they differ, and no part of the list.
            look(self._seen, book, page.feed, page.facts, self._desk.clock())
            found = suspicion(self._seen, book, self._feed)
        await self._desk.take((*self._trip(found), *page.facts))

    async def end(self, sweep: SweepRead) -> SweepRead:
        """Fold the end; a reading without its sentinels is void. Returns what it came to."""
        if self._set_back():
            sweep = cut_by_the_clock(sweep, self._desk.clock())
        if not sweep.complete:
            await self._desk.take((sweep,))
            return sweep
        book, at = self._desk.book, self._desk.clock()
        found = suspicion(self._seen, book, self._feed, sweep.rows if sweep.full else None)
        if found is not None and found.rail == SENTINEL:
            sweep = replace(sweep, complete=False, why=f"{VOID}: sentinel {found.evidence}")
        facts: list[Fact] = self._trip(found)
        if found is None and sweep.full:
            facts += lift(book, self._feed, at)
        await self._desk.take((*facts, sweep))
        return sweep

    def _set_back(self) -> bool:
        """Whether the clock was set back since this reading began: it may be much older than its stamps say."""
        self._desk.look_at_the_clock()
        return self._desk.turned_back != self._clock_of

    def _trip(self, found: Suspicion | None) -> list[Fact]:
        """Once a reading, unless the feed is doubted for it already."""
        book = self._desk.book
        if found is None or self._tripped:
            return []
        self._tripped = True
        name = f"{found.rail}:{self._feed}"
        latch = book.latches.known.get(name)
        if latch is not None and latch.on:
            return []
        log.error("reading_doubted", feed=self._feed, rail=found.rail, why=found.evidence)
        return trip(found, book, self._feed, self._desk.clock())
