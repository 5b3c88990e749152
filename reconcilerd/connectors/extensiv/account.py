"""What is this account's: its warehouses and sales channels, by the lists that come in one piece.

A row that names a warehouse or a channel that is in neither is somebody else's, or of one that was made since the
list was read: the list is read once more before such a row is refused.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

import anyio

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.walk import CHANNELS, WAREHOUSES, Walker, Wire
from reconcilerd.connectors.port import Emit, Page, strangers
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import FeedName, Instant, LocationName
from reconcilerd.errors import ReconcilerdError

WHOLE: Final[Mapping[FeedName, str]] = {WAREHOUSES: "/v1/warehouses", CHANNELS: "/v1/saleschannels"}
_ID: Final[Mapping[FeedName, str]] = {WAREHOUSES: "warehouseId", CHANNELS: "salesChannelId"}
AGAIN_MS: Final = 60_000
"""A list is read ahead of its turn no sooner than so long after the last time: a spoilt feed names strangers on every
page, and each of them would else cost a call.
"""
_OTHERS_STOCK: Final = frozenset({"DROPSHIP_VENDOR"})
"""Warehouses from which somebody else ships what is his."""


class Account:
    """Keeps the ids of each list as last read."""

    def __init__(self, walker: Walker, clock: Callable[[], Instant], sold_on: Collection[int]) -> None:
        """``sold_on``: sales channels that the configuration names; they are ours whatever a list says."""
        self._walker = walker
        self._clock = clock
        self._sold_on = frozenset(sold_on)
        self._ids: dict[FeedName, frozenset[int]] = {}
        self._types: dict[int, str] = {}
        """What kind each warehouse is, in Extensiv's words."""
        self._asked: dict[FeedName, Instant] = {}
        """When each list was read ahead of its turn."""
        self._one_at_a_time = anyio.Lock()

    async def sweep(self, feed: FeedName, began: Instant, emit: Emit) -> tuple[int, str]:
        """Read one list; its rows, and why it is not complete, if it is not."""
        found = await self._walker.whole(WHOLE[feed])
        if why := self._learn(feed, found):
            return len(found), why
        await emit(Page(feed, tuple(_fact(feed, row, began) for row in found)))
        return len(found), "" if found else "an empty list where there must be at least one"

    async def meet(self, feed: FeedName, ids: Collection[object]) -> None:
        """Have the list read once more if it does not know all of these, before what names them is refused."""
        if any(self.foreign(feed, each) for each in ids):
            await self._read_early(feed, ids)

    async def know(self, feed: FeedName) -> None:
        """Have the list read if nobody did yet."""
        if feed not in self._ids:
            await self._read_early(feed)

    def foreign(self, feed: FeedName, number: object) -> bool:
        """Whether a warehouse or sales channel is not among those that were last read, and that we sell on none of."""
        known = self._ids.get(feed)
        ours = feed == CHANNELS and number in self._sold_on
        return known is not None and type(number) is int and number not in known and not ours

    def others_stock(self, place: LocationName | None) -> bool:
        """Whether what leaves from there is known to be none of ours."""
        return place is not None and self._types.get(int(place), "") in _OTHERS_STOCK

    async def answers(self) -> bool:
        """Whether it is this account that answers now: its channels are among them that the configuration names."""
        try:
            found = await self._walker.whole(WHOLE[CHANNELS])
        except ReconcilerdError:
            return False
        named = (row.get(_ID[CHANNELS]) for row in found)
        return any(type(each) is int and each in self._sold_on for each in named)

    async def _read_early(self, feed: FeedName, ids: Collection[object] = ()) -> None:
        async with self._one_at_a_time:
            now, last = self._clock(), self._asked.get(feed)
            if last is not None and 0 <= now - last < AGAIN_MS:
                return
            if feed in self._ids and not any(self.foreign(feed, each) for each in ids):
                return  # somebody else had it read meanwhile
            self._asked[feed] = now
            try:
                self._learn(feed, await self._walker.whole(WHOLE[feed]))
            except ReconcilerdError:
                # What is unknown stays so: the reading that met it goes on without it.
                return

    def _learn(self, feed: FeedName, found: Collection[Wire]) -> str:
        """Take over a list, unless it is somebody else's. Its ids count whatever else of their rows cannot be read."""
        named = {row[_ID[feed]]: row for row in found if type(row.get(_ID[feed])) is int}
        kind = feed.partition(".")[2]
        if why := strangers(self._ids.get(feed, frozenset()), named.keys(), len(found), kind):
            return why
        if named:
            self._ids[feed] = frozenset(named)
        if feed == WAREHOUSES:
            self._types |= {id_: str(row.get("type") or "") for id_, row in named.items()}
        return ""


def _fact(feed: FeedName, row: Wire, at: Instant) -> Fact:
    read = rows.warehouse if feed == WAREHOUSES else rows.sales_channel
    made: Fact | Rejected = parsed(lambda: read(row, at))
    return rows.rejected(feed.partition(".")[2], row, made.why, at) if isinstance(made, Rejected) else made
