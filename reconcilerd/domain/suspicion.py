"""Readings judged as a whole: nearly everything changed, much fewer rows, a sentinel that is not as it must be.

Pages are folded as they come, so each is judged just before it is folded, together with those before it: what trips,
trips before any plan can act on it. The rows stay as evidence. Until a person accepts them, or the rest of the
reading or a following one shows the suspicion to be wrong, raises use the smaller and lowers the larger of what a row
said before and says now; what orders took is subtracted all the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median

from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import demand, sold_since
from reconcilerd.domain.facts import (
    Fact,
    ListingDeclared,
    ProductObserved,
    RailLatched,
    ReadingKept,
    SlotObserved,
    StockObserved,
)
from reconcilerd.domain.falls import may_have_sold
from reconcilerd.domain.feeds import STOCK_FEED, slots_feed
from reconcilerd.domain.joins import code_of
from reconcilerd.domain.latches import ALL_CHANGED, SENTINEL, SHRINKING, SUSPICIONS, latch_name
from reconcilerd.domain.names import FeedName, Instant, Sku
from reconcilerd.domain.policy import Publisher, Sentinel

MIN_READINGS = 3
"""Fewer whole readings have no median worth the name."""
CATALOGUE = frozenset({FeedName("extensiv.products"), FeedName("extensiv.listings")})


@dataclass(slots=True)
class Look:
    """What a reading has shown so far: ``known`` rows had been read before, ``changed`` differ beyond what sells."""

    known: int = 0
    changed: int = 0
    gone: int = 0
    said: dict[Sku, int] = field(default_factory=dict)
    """What it said of each SKU where it has sentinels, summed over locations."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why a reading decides nothing for now."""

    rail: str
    evidence: str


def look(so_far: Look, book: Book, feed: FeedName, facts: Iterable[Fact], now: Instant) -> None:
    """Count one page in, before it is folded."""
    watched = {each.sku for each in book.policy.sentinels if each.feed == feed}
    for fact in facts:
        match fact:
            case StockObserved():
                _look_at_stock(so_far, book, fact, now)
                if fact.sku in watched:
                    so_far.said[fact.sku] = so_far.said.get(fact.sku, 0) + fact.sellable
            case SlotObserved():
                _look_at_slot(so_far, book, fact)
                if watched and fact.quantity is not None:
                    sku = Sku(code_of(fact.listing_sku))
                    so_far.said[sku] = so_far.said.get(sku, 0) + fact.quantity
            case ProductObserved():
                known = book.products.get(fact.sku)
                so_far.gone += known is not None and known.active and not fact.active
            case ListingDeclared():
                declared = book.listings.get(fact.about)
                so_far.gone += declared is not None and declared.active and not fact.active
            case _:
                pass


def _look_at_stock(so_far: Look, book: Book, fact: StockObserved, now: Instant) -> None:
    track = book.stock.get((fact.sku, fact.location))
    if track is None:
        return
    kept = book.latches.said_before(STOCK_FEED, fact.about) if book.latches.doubted(STOCK_FEED) else None
    before = kept[0] if kept is not None else track.row.sellable
    so_far.known += 1
    so_far.gone += fact.gone and not track.row.gone
    if fact.sellable > before:
        so_far.changed += 1
    elif fact.sellable < before and (not fact.sellable or not _long_ago(book, track.row.as_of, now)):
        taken = sum(units for _, units in demand(book, fact.sku))
        changed = book.latches.changed_at(STOCK_FEED, fact.about) if kept is not None else None
        so_far.changed += before - fact.sellable > max(taken, sold_since(book, fact.sku, changed or now))


def _long_ago(book: Book, read: Instant, now: Instant) -> bool:
    """Nobody read for so long that falls are no wonder, but to nothing: days of sales may lie in between."""
    return now - read > book.policy.ages.max_age_ms


def _look_at_slot(so_far: Look, book: Book, fact: SlotObserved) -> None:
    track, rule = book.slots.get(fact.slot), book.policy.channels.get(fact.slot.channel)
    if track is None or rule is None or fact.slot.place not in rule.places:
        return
    feed = slots_feed(fact.slot.channel)
    kept = book.latches.said_before(feed, fact.about) if book.latches.doubted(feed) else None
    before = kept[0] if kept is not None else track.value
    theirs = rule.publisher is Publisher.EXTENSIV or fact.slot in book.joins().pushed
    if theirs or track.open or before is None:
        return  # its number is not ours, or just being written
    so_far.known += 1
    so_far.gone += fact.gone and track.seen is not None and not track.seen.gone
    if fact.quantity is None or fact.quantity in {before, track.last_written}:
        return
    if fact.quantity > before:
        so_far.changed += 1
        return
    if fact.quantity and _long_ago(book, track.as_of, fact.as_of):
        return
    channel, code = fact.slot.channel, code_of(fact.listing_sku)
    rate = book.rate(channel, code, fact.as_of, book.prior(None))
    unheard = may_have_sold(book.orders, channel, rate, max(0, fact.as_of - track.as_of))
    heard = book.orders.known(channel, code, track.as_of, fact.as_of)
    so_far.changed += before - fact.quantity > max(unheard, heard)


def suspicion(seen: Look, book: Book, feed: FeedName, rows: int | None = None) -> Suspicion | None:
    """The first reason to doubt what a reading has shown so far; ``rows``: it has ended, and had so many."""
    found = _sentinels(seen, book, feed, ended=rows is not None)
    return next(
        (each for each in (found, all_changed(seen, book), shrinking(seen, book, feed, rows)) if each), None
    )


def _sentinels(seen: Look, book: Book, feed: FeedName, *, ended: bool) -> Suspicion | None:
    for each in book.policy.sentinels:
        if each.feed == feed and (ended or each.sku in seen.said):
            found = sentinel(each, seen.said.get(each.sku), ended=ended)
            if found is not None:
                return found
    return None


def sentinel(rule: Sentinel, said: int | None, *, ended: bool) -> Suspicion | None:
    """A SKU of which the feed must say something within a range; too little is told only at the end."""
    if said is None:
        return Suspicion(SENTINEL, f"{rule.sku} is missing") if ended else None
    if said > rule.most or (ended and said < rule.least):
        return Suspicion(SENTINEL, f"{rule.sku} is {said}, not from {rule.least} to {rule.most}")
    return None


def all_changed(seen: Look, book: Book) -> Suspicion | None:
    """Nearly all rows differ from what they said before: another tenant, other units, another column."""
    limits = book.policy.limits
    enough = seen.known >= limits.suspect_min_rows
    if enough and seen.changed * 1000 >= limits.all_changed_permille * seen.known:
        return Suspicion(
            ALL_CHANGED, f"{seen.changed} of {seen.known} rows changed beyond what orders explain"
        )
    return None


def shrinking(seen: Look, book: Book, feed: FeedName, rows: int | None) -> Suspicion | None:
    """Much fewer rows than whole readings of this feed had: told at its end, or by the rows it says are gone."""
    limits, last = book.policy.limits, book.sweeps.get(feed)
    sizes = last.sizes if last is not None else ()
    if len(sizes) < MIN_READINGS or not _has_rows(book, feed):
        return None
    usual = int(median(sizes))
    left = min(usual - seen.gone, usual if rows is None else rows)
    if usual >= limits.suspect_min_rows and left * 1000 < limits.shrink_permille * usual:
        return Suspicion(SHRINKING, f"{left} rows where there are {usual} as a rule")
    return None


def _has_rows(book: Book, feed: FeedName) -> bool:
    """Orders come and go; what is stocked, listed and shown does not."""
    return (
        feed == STOCK_FEED or feed in CATALOGUE or feed in {slots_feed(name) for name in book.policy.channels}
    )


def trip(found: Suspicion, book: Book, feed: FeedName, at: Instant) -> list[Fact]:
    """The facts that put a feed under suspicion: the latch, and what its rows said before."""
    name = latch_name(found.rail, feed)
    kept = book.latches.before.get(feed, {})
    # Of what is doubted already it stays known since when.
    since = {row: book.latches.changed_at(feed, row) for row in kept} if book.latches.doubted(feed) else {}
    return [
        RailLatched(
            name, True, "reconcilerd", "a reading that cannot be believed as it is", at, found.evidence
        ),
        *(
            ReadingKept(feed, row, value, since.get(row) or at, allocated, at)
            for row, (value, allocated) in kept.items()
        ),
    ]


def lift(book: Book, feed: FeedName, at: Instant) -> Iterator[RailLatched]:
    """A whole reading ended without suspicion: what was suspected of this feed was not so."""
    for rail in SUSPICIONS:
        latch = book.latches.known.get(latch_name(rail, feed))
        if latch is not None and latch.on:
            yield RailLatched(latch.name, False, "reconcilerd", "a whole reading does not bear it out", at)


def doubted_feeds(book: Book) -> bool:
    """Whether anything of the catalogue is under suspicion."""
    return any(book.latches.doubted(feed) for feed in CATALOGUE)
