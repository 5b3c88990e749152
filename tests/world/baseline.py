"""What a careful person builds by hand, to measure against: programs that read what the daemon reads, and push.

They read through the same connectors at the same pace and write through them: compare-and-set where a store has it,
slow where a store is slow, and the first to be lost. None of them infers anything, waits for anything, leaves
headroom, or looks whether a write arrived. What each takes off the shelf is its whole difference.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import anyio

from reconcilerd.connectors.port import Channel
from reconcilerd.domain.allocation import allocate
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.domain.feeds import STOCK_FEED, orders_feed, slots_feed
from reconcilerd.domain.names import ChannelName, FeedName, Instant, SlotKey
from reconcilerd.domain.policy import PoolMode
from reconcilerd.domain.position import Claim, ClaimKind, OfferView, Position
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.errors import ReconcilerdError
from tests.world.stage import Stage

Counted = Callable[[Position], Iterable[Claim]]
"""What a program takes off the shelf, of all that the book could tell it."""
Raise = tuple[SlotKey, int]
Judge = Callable[[Position, Mapping[SlotKey, int], Sequence[Raise]], None]
"""Is shown what was known, what each listing is taken to show where none was read, and the raises decided on."""

LOOK_S = 1.0
FIXED_BUFFER = 2
ORDERED_BY_HAND = frozenset({ClaimKind.IN_FLIGHT, ClaimKind.COMMITTED})


def blind(_position: Position) -> tuple[Claim, ...]:
    """Only what Extensiv has allocated: its own number of what is available."""
    return ()


def in_flight(position: Position) -> tuple[Claim, ...]:
    """The open orders that Extensiv has, and those of the channels that it does not know yet."""
    return tuple(claim for claim in position.claims if claim.kind in ORDERED_BY_HAND)


def buffered(position: Position) -> tuple[Claim, ...]:
    """The same, and two units of every component that are never offered."""
    components = sorted({row.sku for row in position.stock})
    kept = (
        Claim(ClaimKind.SAFETY, each, FIXED_BUFFER, position.all_locations, about="buffer")
        for each in components
    )
    return (*in_flight(position), *kept)


def only_reads(stage: Stage) -> None:
    """Call before the daemon starts: it reads and keeps its book, and plans nothing. The baseline writes."""
    setattr(stage.built.daemon.passes, "run", anyio.sleep_forever)  # noqa: B010 - a method, for this one stage


def _nobody(_position: Position, _ideal: Mapping[SlotKey, int], _raises: Sequence[Raise]) -> None:
    """Is shown what was decided, and says nothing."""


async def write_by_hand(
    stage: Stage, counted: Counted = in_flight, *, with_stock: bool = False, judge: Judge = _nobody
) -> None:
    """Compute and write for ever, whenever all channels have been read anew.

    ``with_stock``: whenever the stock has. ``judge``: is shown every decision.
    """
    book = stage.built.daemon.desk.book
    feeds = [STOCK_FEED] if with_stock else [*_feeds(book)]
    since = stage.clock()
    while True:
        await anyio.sleep(LOOK_S)
        if all(_read_since(book, feed, since) for feed in feeds):
            since = stage.clock()
            now = weather_of(book, since)
            groups = sorted(set(book.joins().groups.of.values()))
            wanted = [
                each
                for group in groups
                for each in _corrections(position_of(book, group, now), counted, judge)
            ]
            await send(stage, wanted)


def _feeds(book: Book) -> Iterable[FeedName]:
    for name in book.policy.channels:
        yield from (slots_feed(name), orders_feed(name))


def _read_since(book: Book, feed: FeedName, since: Instant) -> bool:
    """Whether a feed was read to its end once more, however that went: a program by hand goes on."""
    tried = book.tried.get(feed)
    return tried is not None and tried.began >= since


def _corrections(position: Position, counted: Counted, judge: Judge) -> list[CorrectionPlanned]:
    plain = replace(
        position,
        split=position.pool.mode is PoolMode.SPLIT,
        claims=tuple(counted(position)),
        offers=tuple(replace(offer, write=None, replaced=0, known_since=0) for offer in position.offers),
    )
    if not plain.stock or not plain.orders_known:
        return []
    wanted = [
        correction(offer, offer.read, share.ideal, position.at)
        for offer, share in zip(plain.offers, allocate(plain), strict=True)
        if offer.read is not None and offer.read != share.ideal
    ]
    judge(
        position,
        {offer.slot: offer.read or 0 for offer in plain.offers},
        [(each.slot, each.target) for each in wanted if each.target > each.read],
    )
    return wanted


def correction(offer: OfferView, read: int, target: int, at: Instant) -> CorrectionPlanned:
    """A write by hand: the same intent that the daemon's executors get."""
    return CorrectionPlanned(
        id=f"by-hand/{offer.slot.path}/{at}",
        slot=offer.slot,
        listing_sku=offer.listing_sku,
        read=read,
        based_on=offer.as_of,
        target=target,
        cause="by hand",
        reason="by hand",
        at=at,
    )


async def send(stage: Stage, wanted: Iterable[CorrectionPlanned]) -> None:
    """Write to all channels at once, through their connectors; whatever fails is not looked at."""
    by_channel: dict[ChannelName, list[CorrectionPlanned]] = {}
    for each in wanted:
        by_channel.setdefault(each.slot.channel, []).append(each)
    async with anyio.create_task_group() as group:
        for name, some in by_channel.items():
            group.start_soon(_write, stage.built.channels[name], some)


async def _write(channel: Channel, wanted: list[CorrectionPlanned]) -> None:
    for first in range(0, len(wanted), channel.batch_max):
        batch = wanted[first : first + channel.batch_max]
        try:
            await channel.write(batch, batch[0].id, lambda: None)
        except ReconcilerdError:
            continue
