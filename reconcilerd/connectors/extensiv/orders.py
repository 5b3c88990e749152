"""Orders: what is open, what was changed, and which open ones went away or go by another number now.

The API tells of no deletion: an order that was open and that no list shows any more is asked for by its id, twice.
One that could not be read, or in a status that nobody knows, is asked for by its id again and again, less and less
often: no list may show it a second time, and what was known of it before may be wrong by now.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.walk import ORDERS, PAGINGS, Query, Walk, Walker, Wire, key_of
from reconcilerd.connectors.port import LAG_MARGIN_MS, Emit, Page, too_many_unreadable
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import Fact, FindingRaised, OrderObserved, OrderStatus, SweepRead
from reconcilerd.domain.names import ChannelName, Instant, after, format_instant

OVERLAP_MS: Final = 120_000
FIRST_LOOK_BACK_MS: Final = 14 * 86_400_000
"""For orders in a status that this version cannot ask for by name."""
MAX_SOUGHT: Final = 100
"""Open orders a reading asks for one by one because no list showed them."""

MAX_DOUBTED: Final = 10
"""Orders in doubt that a reading asks for one by one."""
LONGEST_DOUBT: Final = 64
"""Readings between two questions for one that stays in doubt."""

GONE: Final = "GONE"
RENUMBERED: Final = "RENUMBERED"
_STANDING: Final = frozenset({OrderStatus.OPEN, OrderStatus.UNKNOWN})


class Orders:
    """Keeps the open orders as last read, by Extensiv's own id of each."""

    def __init__(
        self,
        walker: Walker,
        clock: Callable[[], Instant],
        channels: Mapping[int, ChannelName],
        order_keys: Mapping[ChannelName, str],
        known: Iterable[OrderObserved],
        stranger: Callable[[int], bool] = lambda _: False,
        poll_ms: int = 0,
    ) -> None:
        """``known``: those that were open when they were last read before this start.

        ``poll_ms``: how long after one reading the next comes, at most.
        ``stranger``: whether a sales channel is known to be none of this account's.
        """
        self._stranger = stranger
        self._overlap_ms = max(OVERLAP_MS, poll_ms + LAG_MARGIN_MS)
        self._walker = walker
        self._clock = clock
        self._channels = channels
        self._order_keys = order_keys
        self._open = {each.part: each for each in known}
        self._ended: dict[str, OrderObserved] = {}
        """Orders that have ended as last read, while a list of what was changed may still show them again."""
        self._met: set[str] = set()
        """Asked for by id and found, since the last whole reading that ended well."""
        self._doubts = {
            part: (1, 0) for part, each in self._open.items() if each.status is OrderStatus.UNKNOWN
        }
        """Orders in doubt: after how many readings each is asked for, and how many of them are left."""

    async def sweep(self, cursor: str, began: Instant, emit: Emit, *, whole: bool) -> SweepRead:
        """A whole reading: every open order without a date window, and what was changed; else what was changed."""
        whole = whole or not cursor
        why, shown, oldest = "", set[str](), began
        for query in self._windows(cursor, began, whole=whole):
            walk = await self._walker.walk_till_still(replace(PAGINGS[ORDERS], query=query), doubt=whole)
            facts = await self._tell(walk, emit)
            shown |= {str(key_of(row, walk.key)) for row, _ in walk.rows}
            why = why or walk.why or too_many_unreadable(facts)
            oldest = min(oldest, walk.began(began))
        self._ended = {
            part: each
            for part, each in self._ended.items()
            if each.modified >= after(oldest, -self._overlap_ms)
        }
        if not why:
            await self._ask_again(emit)
        if whole and not why:
            why = await self._seek(shown, emit)
        # The next window is asked for by the server's time: by ours, if it is ahead, orders would fall between.
        follow = "" if why else str(self._walker.skew.theirs(oldest))
        return SweepRead(ORDERS, oldest, self._clock(), not why, len(shown), 0, why, follow, full=whole)

    def _windows(self, cursor: str, began: Instant, *, whole: bool) -> list[Query]:
        """What to ask for. However long nobody read, what ended meanwhile was changed since the last reading."""
        since = after(Instant(int(cursor)), -self._overlap_ms) if cursor else began
        if not whole:
            return [_changed_since(since)]
        since = min(since, after(began, -FIRST_LOOK_BACK_MS))
        return [(("status", ",".join(rows.OPEN_STATUSES)),), _changed_since(since)]

    async def _tell(self, walk: Walk, emit: Emit) -> list[Fact]:
        facts = [fact for row, asked in walk.rows for fact in self._facts(row, asked)]
        if facts:
            await emit(Page(ORDERS, tuple(facts)))
        return facts

    def _facts(self, row: Wire, asked: Instant) -> list[Fact]:
        made = parsed(lambda: self._read(row, asked))
        if isinstance(made, Rejected):
            if isinstance(row.get("orderId"), int):
                self._doubt(str(row["orderId"]))
            return [rows.rejected("order", row, made.why, asked)]
        fact, findings = made
        before = self._open.pop(fact.part, None)
        last = before or self._ended.pop(fact.part, None)
        if fact.status is OrderStatus.UNKNOWN:
            self._doubt(fact.part)
        elif _doubtful_lines(last, fact):
            # Not at once: the same spoilt list could answer.
            self._doubts.setdefault(fact.part, (1, 1))
            if last is not None and _nameless(fact):
                # What has no name says nothing: until it has one, the order takes what it took.
                fact = replace(fact, lines=last.lines)
        else:
            self._doubts.pop(fact.part, None)
        if fact.status in _STANDING:
            self._open[fact.part] = fact
        elif fact.modified >= after(asked, -2 * self._overlap_ms):
            self._ended[fact.part] = fact
        renumbered = before is not None and before.key != fact.key
        old = [_ended(before, RENUMBERED, asked, asked)] if before is not None and renumbered else []
        return [*old, fact, *findings]

    def _read(self, row: Wire, asked: Instant) -> tuple[OrderObserved, tuple[FindingRaised, ...]]:
        """One order. Raises ValueError, KeyError, TypeError."""
        made = rows.order(row, asked, self._channels, self._order_keys, self._walker.skew.ours)
        channel = row["salesChannel"]["salesChannelId"]
        if self._stranger(channel):
            raise rows.Unreadable(f"sales channel {channel} is none of this account's")
        return made

    def _doubt(self, part: str) -> None:
        wait, _ = self._doubts.get(part, (0, 0))
        self._doubts[part] = (min(LONGEST_DOUBT, max(1, 2 * wait)), min(LONGEST_DOUBT, wait))

    async def _ask_again(self, emit: Emit) -> None:
        """Ask for those orders in doubt whose turn it is."""
        due = sorted(part for part, (_, left) in self._doubts.items() if left <= 0)[:MAX_DOUBTED]
        self._doubts = {part: (wait, left - 1) for part, (wait, left) in self._doubts.items()}
        for part in due:
            self._doubt(part)
            paging = replace(PAGINGS[ORDERS], query=(("orderId", part),))
            own = _only(await self._walker.glance_at(paging), part)
            if own.rows:
                await self._tell(Walk(own.key, own.rows[-1:]), emit)
            else:
                del self._doubts[part]  # a whole reading finds out whether it is gone

    async def _seek(self, shown: set[str], emit: Emit) -> str:
        """Ask for each open order that no list showed by its id, twice. Why it stays open, or nothing.

        A bounded number each time: the next whole reading asks for those that are left over.
        """
        lost = sorted(set(self._open) - shown - self._met)
        unsettled = len(lost[MAX_SOUGHT:])
        for part in lost[:MAX_SOUGHT]:
            began = self._clock()
            paging = replace(PAGINGS[ORDERS], query=(("orderId", part),))
            walks = [await self._walker.walk(paging) for _ in range(2)]
            own = [_only(walk, part) for walk in walks]
            found = own[1].rows or own[0].rows
            if found:
                self._met.add(part)
                await self._tell(Walk(own[0].key, found[-1:]), emit)
            elif any(walk.why for walk in walks):
                unsettled += 1
            else:
                gone = _ended(self._open.pop(part), GONE, began, self._clock())
                await emit(Page(ORDERS, (gone,)))
        if unsettled:
            return f"{unsettled} open orders of the last reading are still to be asked for"
        self._met.clear()
        return ""


def _doubtful_lines(before: OrderObserved | None, now: OrderObserved) -> bool:
    """Whether an open order names nothing in a line, or one not cancelled other goods than when it was last read.

    Few orders are changed, and a list that is spoilt once would else be believed until the next whole reading; of one
    that is shipped, what it took off the shelf would be claimed for its channel once more. A cancel may clear lines.
    """
    changed = before is not None and before.lines != now.lines
    return (now.status is OrderStatus.OPEN and _nameless(now)) or (
        now.status is not OrderStatus.CANCELLED and changed
    )


def _nameless(order: OrderObserved) -> bool:
    return any(not line.listing_sku and not line.sku for line in order.lines)


def _only(walk: Walk, part: str) -> Walk:
    """The rows of one order: a server that ignores the filter shows others too."""
    return Walk(walk.key, [each for each in walk.rows if str(key_of(each[0], walk.key)) == part])


def _ended(order: OrderObserved, word: str, asked: Instant, at: Instant) -> OrderObserved:
    """An order that Extensiv no longer has, under this number: it takes no unit any more."""
    return replace(
        order,
        status=OrderStatus.CANCELLED,
        raw_status=word,
        as_of=max(order.as_of, asked),
        ended_at=at,
    )


def _changed_since(at: Instant) -> Query:
    """Extensiv's dates have whole seconds."""
    return (("modifiedDateFrom", format_instant(Instant(at - at % 1000))),)
