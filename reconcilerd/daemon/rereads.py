"""Asks the pollers to read whole feeds now: whoever wants to see everything anew reads nothing beside them."""

from dataclasses import dataclass, field

import anyio

from reconcilerd.domain.names import FeedName
from reconcilerd.transport.progress import SLACK_S, heard


@dataclass(slots=True, eq=False)
class Reread:
    """One wish for a whole reading of a feed. ``why``: what was wrong with it, empty where it was complete."""

    feed: FeedName
    done: anyio.Event = field(default_factory=anyio.Event)
    why: str = ""

    def finish(self, why: str) -> None:
        self.why = why
        self.done.set()


class Rereads:
    """Wishes of each feed that its poller has not taken yet."""

    def __init__(self) -> None:
        self._asked: dict[FeedName, list[Reread]] = {}
        self._came: dict[FeedName, anyio.Event] = {}

    def ask(self, feed: FeedName) -> Reread:
        """Wake the poller of a feed, and know when a reading that begins from here on has ended."""
        made = Reread(feed)
        self._asked.setdefault(feed, []).append(made)
        self._came.pop(feed, anyio.Event()).set()
        return made

    def take(self, feed: FeedName) -> list[Reread]:
        """Those that the reading which begins now fulfils."""
        return self._asked.pop(feed, [])

    async def rest(self, feed: FeedName, seconds: float) -> None:
        """Sleep as long as nobody asks."""
        heard(seconds + SLACK_S)
        if feed not in self._asked:
            with anyio.move_on_after(seconds):
                await self._came.setdefault(feed, anyio.Event()).wait()
        heard()
