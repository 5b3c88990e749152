"""Reads feeds again and again, each on its own clock, and single rows when a decision wants them.

One broken source degrades, never kills: a reading that fails is written down as incomplete, with the reason,
and tried again later and later.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from random import Random

import structlog

from reconcilerd.connectors.port import Channel, Source, StockSource
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.rereads import Rereads
from reconcilerd.daemon.sweeping import Sweeping
from reconcilerd.domain.facts import SweepRead
from reconcilerd.domain.feeds import EXTENSIV_ORDERS
from reconcilerd.domain.names import FeedName, Instant, Sku, SlotKey
from reconcilerd.domain.plan import Wants
from reconcilerd.errors import Denied, LedgerFault, MalformedReply, ReconcilerdError, TryLater
from reconcilerd.transport.progress import heard, idle, rest

log = structlog.get_logger("reconcilerd.pollers")

READ_TICK_S = 0.25
READ_BATCH = 50
MAX_WATCHED = 200
"""Slots that are read ahead of their sweep at a time."""
BACKOFF_CAP_S = 300.0
NEWS_AFTER_S = 10.0
"""So long after a reading a hint begins the next: more hints are no more readings."""

WHOLE_ORDERS_S = 3_600.0
"""How often every open order of Extensiv is read: a page for each 500 of them."""

OnTrouble = Callable[[FeedName, ReconcilerdError | None], Awaitable[None]]
"""Told of each failed reading of a feed, and of None when it succeeds."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a feed is read (seconds), how much that varies, and how often from the beginning."""

    every_s: float
    jitter: float = 0.1
    whole_every_s: float = 86_400.0
    """A news feed that was empty for a while says nothing of what it left out: this bounds how long that stays so."""

    @property
    def longest_ms(self) -> int:
        """From one reading to the next, at most, where both go well."""
        return round(self.every_s * (1 + self.jitter) * 1000)


def paces_of(
    *, catalogue_s: float, orders_s: float, stock_s: float, totals_s: float, channels_s: Mapping[str, float]
) -> dict[FeedName, Pace]:
    """How often each feed is read: Extensiv's catalogue, orders, stock and totals, and both feeds of each channel."""
    rest_of_it = ("products", "listings", "warehouses", "channels")
    found = {FeedName(f"extensiv.{feed}"): Pace(catalogue_s) for feed in rest_of_it}
    found[FeedName("extensiv.orders")] = Pace(orders_s, whole_every_s=WHOLE_ORDERS_S)
    found[FeedName("extensiv.stock")] = Pace(stock_s)
    found[FeedName("extensiv.totals")] = Pace(totals_s)
    for name, every_s in channels_s.items():
        for feed in ("slots", "orders"):
            found[FeedName(f"{name}.{feed}")] = Pace(every_s)
    return found


async def poll(
    source: Source,
    feed: FeedName,
    pace: Pace,
    desk: Desk,
    chance: Random,
    on_trouble: OnTrouble,
    rereads: Rereads,
    *,
    read_already: bool = False,
) -> None:
    """Read one feed forever."""
    failures = 0
    whole_at: Instant | None = None
    if read_already:
        whole_at = desk.clock()
        await rereads.rest(feed, pace.every_s)
    while True:
        began = desk.clock()
        asked = rereads.take(feed)
        # Neither this nor the rest takes any longer because the clock was set back.
        due = whole_at is None or not 0 <= began - whole_at < pace.whole_every_s * 1000
        whole = due or bool(asked)
        why = "its reader broke down; see the log"
        try:
            complete, error = await read_once(source, feed, desk, whole=whole)
            why = "" if complete else str(error)[:300]
        finally:
            # Whoever asked waits for no reader that died.
            for each in asked:
                each.finish(why)
        if complete and whole:
            whole_at = began
        await on_trouble(feed, error)
        failures = 0 if error is None else failures + 1
        spent = max(0, desk.clock() - began) / 1000
        pause = pace.every_s if not failures else min(BACKOFF_CAP_S, max(1.0, pace.every_s / 4) * 2**failures)
        if isinstance(error, TryLater) and error.after_ms is not None:
            pause = max(pause if failures > 1 else 0.0, min(BACKOFF_CAP_S, error.after_ms / 1000))
        turn_s = max(0.05, (pause - spent) * (1 + pace.jitter * (2 * chance.random() - 1)))
        # Who fails is left alone, whoever knocks.
        await rereads.rest(feed, turn_s, None if failures else NEWS_AFTER_S)


async def read_once(
    source: Source, feed: FeedName, desk: Desk, *, whole: bool
) -> tuple[bool, ReconcilerdError | None]:
    """One reading of a feed: the news since its cursor, and all else if ``whole``.

    Returns completeness and what went wrong.
    """
    began = desk.clock()
    last = desk.book.sweeps.get(feed)
    cursor = "" if last is None else last.cursor
    before = desk.changed
    reading = Sweeping(desk, feed)
    try:
        sweep = await source.sweep(feed, cursor, reading.page, whole=whole)
    except LedgerFault:
        raise
    except Exception as bug:
        error = bug if isinstance(bug, ReconcilerdError) else _bug(feed, bug)
        failed = SweepRead(feed, began, desk.clock(), False, 0, desk.changed - before, str(error)[:300])
        desk.counts.sweeps[feed, False] += 1
        await desk.take((failed,))
        log.warning("sweep_failed", feed=feed, error=type(error).__name__, why=str(error)[:300])
        return False, error
    sweep = await reading.end(sweep)
    desk.counts.sweeps[feed, sweep.complete] += 1
    desk.counts.spent("read", desk.clock() - began)
    event = log.info if sweep.complete else log.warning
    event(
        "sweep_read",
        feed=feed,
        complete=sweep.complete,
        rows=sweep.rows,
        changed=desk.changed - before,
        ms=sweep.ended - sweep.began,
        why=sweep.why,
    )
    return sweep.complete, None if sweep.complete else TryLater(f"{feed}: {sweep.why}")


def _bug(feed: FeedName, bug: Exception) -> ReconcilerdError:
    """What a reply met that nobody thought of. The feed is incomplete like any other that failed."""
    log.error("sweep_bug", feed=feed, exc_info=bug)
    return MalformedReply(f"{feed}: {type(bug).__name__} while reading; please report it with the log")


async def read_wanted_stock(source: StockSource, desk: Desk) -> None:
    """Serve targeted stock readings, all that is wanted at a time in one call."""
    while True:
        skus = desk.wanted_stock(READ_BATCH)
        if skus:
            await _quietly(source.read_stock(skus, desk.page), "stock", len(skus))
        else:
            await _until_wanted(desk)


async def _until_wanted(desk: Desk) -> None:
    """Wait for a wish, and a little longer: one seldom comes alone, and one call serves many."""
    idle()
    await desk.wanted()
    await rest(READ_TICK_S)


async def read_wanted_slots(channel: Channel, desk: Desk) -> None:
    """Serve targeted readings of one channel's slots."""
    while True:
        slots = desk.wanted_slots(channel.name, READ_BATCH)
        if slots:
            await _quietly(channel.read_slots(slots, desk.page), channel.name, len(slots))
        else:
            await _until_wanted(desk)


async def _quietly(reading: Awaitable[None], of: str, count: int) -> None:
    try:
        heard()
        await reading
    except LedgerFault:
        raise
    except Denied as error:
        log.warning("targeted_read_denied", of=of, why=str(error)[:300])
        await rest(30)
    except Exception as error:
        if not isinstance(error, ReconcilerdError):
            log.exception("targeted_read_bug", of=of)
        # Whoever needs the reading still holds for it and will ask again.
        log.warning("targeted_read_failed", of=of, count=count, why=str(error)[:300])
        await rest(READ_TICK_S)


async def feed_the_hungry(
    hungry: Mapping[Sku, tuple[SlotKey, ...]], lively: Collection[Sku], desk: Desk, every_ms: int
) -> None:
    """Keep the rows of nearly sold out SKUs, and of the few that sold last, fresh ahead of the sweep (rule 5).

    Slots that go with them are read four times as often, those that Extensiv pushes to eight times, the longest unread
    first: a sale or a push comes whenever it comes, and one call reads them all.
    """
    while True:
        now, pushed = desk.clock(), desk.book.joins().pushed
        read_at = {slot: desk.book.slots[slot].age_of for slots in hungry.values() for slot in slots}
        unseen = sorted(
            slot for slot, at in read_at.items() if now - at > every_ms // (16 if slot in pushed else 6)
        )
        oldest = sorted(unseen, key=lambda slot: read_at[slot])[:MAX_WATCHED]
        # Best right after the orders: what a row already lacks and no order is known to have shipped is hidden twice.
        orders = desk.book.sweeps.get(EXTENSIV_ORDERS)
        told = orders is not None and now - orders.ended < every_ms // 8
        due_ms = every_ms * 3 // 4 if told else every_ms * 5 // 4
        old = frozenset(
            sku
            for sku in (*hungry, *lively)
            if any(
                now - desk.book.stock[sku, place].row.age_of > due_ms for place in desk.book.stock_places(sku)
            )
        )
        desk.want(Wants(stock=old, slots=frozenset(oldest)))
        await rest(every_ms / 8000)
