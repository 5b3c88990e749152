"""Hints that something changed: what they name is read soon, by the readers and in the lanes that read it anyway.

Taking one costs a look into a dictionary, however many come; what they ask for together is bounded by time. Losing
one costs nothing but time: the next poll reads the same.
"""

from collections.abc import Iterable
from typing import Final

import anyio

from reconcilerd.connectors.hints import Became, Hint, Topic
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.rereads import Rereads
from reconcilerd.domain.names import ChannelName, FeedName, Instant, SlotKey
from reconcilerd.domain.plan import Wants
from reconcilerd.transport.progress import idle, rest

TURN_S: Final = 2.0
SLOTS_A_TURN: Final = 5
"""Of each channel: about a quarter of what its rate limit gives, for as long as hints come."""
MOST_WAITING: Final = 500
"""Of each channel. More than that changed at once is a change of the whole store, which the poll reads faster."""
MOST_MARKS: Final = 10_000
"""What came is known again among so many; one that was forgotten and comes back is a reading too many."""


class Hints:
    """What hints ask for and was not read yet."""

    def __init__(self, desk: Desk, rereads: Rereads) -> None:
        self._desk = desk
        self._rereads = rereads
        self._waiting: dict[ChannelName, dict[SlotKey, Instant]] = {}
        self._marks: dict[str, None] = {}
        self._came = anyio.Event()
        self.channels: tuple[ChannelName, ...] = ()
        """Whose hints are taken in at all; for those who count."""

    def take(self, hint: Hint) -> Became:
        """Remember what is to be read. Decides nothing, and believes nothing of it."""
        heard = self._take(hint)
        self._desk.counts.hints[hint.channel, hint.topic, heard] += 1
        return heard

    def refuse(self, channel: ChannelName, why: Became) -> None:
        """Count one that nobody looks into."""
        self._desk.counts.hints[channel, Topic.OTHER, why] += 1

    def _take(self, hint: Hint) -> Became:
        if self._came_before(f"{hint.channel} {each}" for each in hint.marks):
            return Became.DUPLICATE
        if hint.topic is Topic.ORDERS:
            self._rereads.nudge(FeedName(f"{hint.channel}.orders"))
            return Became.TAKEN
        known = [slot for slot in hint.slots if slot in self._desk.book.slots]
        if not known:
            return Became.UNKNOWN
        waiting, now = self._waiting.setdefault(hint.channel, {}), self._desk.clock()
        if len(waiting) + len(known) > MOST_WAITING:
            return Became.CROWDED
        for slot in known:
            # One that waits already keeps its place, and is read after this hint as well.
            waiting[slot] = now
        self._came.set()
        return Became.TAKEN

    def _came_before(self, marks: Iterable[str]) -> bool:
        known = False
        for mark in marks:
            known = known or mark in self._marks
            self._marks[mark] = None
        while len(self._marks) > MOST_MARKS:
            del self._marks[next(iter(self._marks))]
        return known

    async def run(self) -> None:
        """Have what waits read, a few at a time, until cancelled."""
        while True:
            if not any(self._waiting.values()):
                self._came = anyio.Event()
                idle()
                await self._came.wait()
            for waiting in self._waiting.values():
                self._desk.want(Wants(slots=frozenset(self._next(waiting))))
            await rest(TURN_S)

    def _next(self, waiting: dict[SlotKey, Instant]) -> list[SlotKey]:
        """The longest waiting that were not read since their hint came."""
        found: list[SlotKey] = []
        while waiting and len(found) < SLOTS_A_TURN:
            slot = next(iter(waiting))
            came = waiting.pop(slot)
            track = self._desk.book.slots.get(slot)
            if track is not None and track.age_of <= came:
                found.append(slot)
        return found
