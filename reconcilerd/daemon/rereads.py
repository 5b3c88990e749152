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
        self._nudged: set[FeedName] = set()
        self._came: dict[FeedName, anyio.Event] = {}

    def ask(self, feed: FeedName) -> Reread:
        """Wake the poller of a feed, and know when a reading that begins from here on has ended."""
        made = Reread(feed)
        self._asked.setdefault(feed, []).append(made)
        self._came.pop(feed, anyio.Event()).set()
        return made

    def take(self, feed: FeedName) -> list[Reread]:
        """Those that the reading which begins now fulfils."""
        self._nudged.discard(feed)
        return self._asked.pop(feed, [])

    def nudge(self, feed: FeedName) -> None:
        """Have the news of a feed read earlier than its turn. Asking twice before that is asking once."""
        if feed not in self._nudged:
            self._nudged.add(feed)
            self._came.pop(feed, anyio.Event()).set()

    async def rest(self, feed: FeedName, seconds: float, news_after_s: float | None = None) -> None:
        """Sleep as long as nobody asks. Who merely nudges waits ``news_after_s``; None: until the end."""
        heard(seconds + SLACK_S)
        rested_s = anyio.current_time()
        with anyio.move_on_after(seconds):
            while feed not in self._asked:
                left_s = float("inf")
                if feed in self._nudged and news_after_s is not None:
                    left_s = rested_s + news_after_s - anyio.current_time()
                if left_s <= 0:
                    break
                with anyio.move_on_after(left_s):
                    await self._came.setdefault(feed, anyio.Event()).wait()
        heard()
