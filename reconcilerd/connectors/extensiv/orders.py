"""Orders: what is open, what was changed, and which open ones went away or go by another number now.

The API tells of no deletion: an order that was open and that no list shows any more is asked for by its id, twice.
One that could not be read, or in a status that nobody knows, is asked for by its id again and again, less and less
often: no list may show it a second time, and what was known of it before may be wrong by now.

What is asked for has no end in time. A row that came after a reading began says nothing of whether pages were shifted
under it; but one that left, shipped meanwhile, is in what was changed, and nobody has to ask for it by its id.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.account import Account
from reconcilerd.connectors.extensiv.walk import (
    CHANNELS,
    ORDERS,
    PAGINGS,
    WAREHOUSES,
    Paging,
    Query,
    Row,
    Walk,
    Walker,
    Ways,
    Wire,
    key_of,
)
from reconcilerd.connectors.port import (
    LAG_MARGIN_MS,
    REACHES_BACK,
    Emit,
    Page,
    rejected_rows,
    strangers,
    too_many_unreadable,
)
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import Fact, FindingRaised, OrderLine, OrderObserved, OrderStatus, SweepRead
from reconcilerd.domain.names import ChannelName, Instant, after, format_instant, parse_instant

OVERLAP_MS: Final = 120_000
FIRST_LOOK_BACK_MS: Final = 14 * 86_400_000
"""For orders in a status that this version cannot ask for by name."""
MAX_SOUGHT: Final = 100
"""Open orders a reading asks for one by one because no list showed them."""

MAX_DOUBTED: Final = 10
"""Orders in doubt that a reading asks for one by one."""
LONGEST_DOUBT: Final = 64
"""Readings between two questions for one that stays in doubt."""
PROBES: Final = 3
"""Open orders that are asked for by id to find out whose account answers."""
STRANGE_TIMES: Final = 3
"""So many whole readings in a row that show none of our orders are not believed."""
SECOND_MS: Final = 1_000
"""What Extensiv's dates may be off: some round up to whole seconds."""

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
        account: Account,
        poll_ms: int = 0,
    ) -> None:
        """``known``: those that were open when they were last read before this start.

        ``poll_ms``: how long after one reading the next comes, at most.
        """
        self._account = account
        self._overlap_ms = max(OVERLAP_MS, REACHES_BACK * poll_ms + LAG_MARGIN_MS)
        self._walker = walker
        self._clock = clock
        self._channels = channels
        self._order_keys = order_keys
        self._open = {each.part: each for each in known}
        self._ours = frozenset(self._open)
        """What the last whole reading showed that proved to be of this account, or was known before this start."""
        self._strange = 0
        """How many whole readings in a row were not believed to be of this account."""
        self._told_gone = False
        """Whether the last whole reading said of orders that they are gone."""
        self._not_ours = {part: each.location for part, each in self._open.items() if not each.eligible}
        """Orders that were to leave from somebody else's stock as last read open, and from where."""
        self._ended: dict[str, OrderObserved] = {}
        """Orders that have ended as last read, while a list of what was changed may still show them again."""
        self._met: set[str] = set()
        """Asked for by id and found, since the last whole reading that ended well."""
        self._doubts = {
            part: (1, 0) for part, each in self._open.items() if each.status is OrderStatus.UNKNOWN
        }
        """Orders in doubt: after how many readings each is asked for, and how many of them are left."""
        self._otherwise: dict[str, tuple[tuple[OrderLine, ...], Instant]] = {}
        """Other lines that an order was read with than it was known to have, and when that was asked for."""

    async def sweep(self, cursor: str, began: Instant, emit: Emit, *, whole: bool) -> SweepRead:
        """A whole reading: every open order without a date window, and what was changed; else what was changed."""
        whole = whole or not cursor
        why, shown, oldest = "", set[str](), began
        known = self._ours & self._open.keys()
        if whole:
            await self._account.know(WAREHOUSES)
        for query, doubt in self._lists(cursor, began, whole=whole):
            walk, unread = await self._read_list(query, began, emit, doubt=doubt)
            shown |= {str(key) for key in walk.keys}
            why = why or unread
            oldest = min(oldest, walk.began(began))
        self._ended = {
            part: each
            for part, each in self._ended.items()
            if each.modified >= after(oldest, -self._overlap_ms)
        }
        kept = self._open.keys() | self._ended.keys()
        self._otherwise = {part: said for part, said in self._otherwise.items() if part in kept}
        if whole and not why:
            why = await self._strangers(known, shown)
        if not why:
            await self._ask_again(emit)
            self._told_gone = False
        if whole and not why:
            self._ours = frozenset(shown | known)
            standing = shown | self._open.keys()
            self._not_ours = {part: place for part, place in self._not_ours.items() if part in standing}
            why = await self._seek(shown, emit)
        # The next window is asked for by the server's time: by ours, if it is ahead, orders would fall between.
        follow = "" if why else str(self._walker.skew.theirs(oldest))
        return SweepRead(ORDERS, oldest, self._clock(), not why, len(shown), 0, why, follow, full=whole)

    def _lists(self, cursor: str, began: Instant, *, whole: bool) -> list[tuple[Query, bool]]:
        """What to ask for, and whether a short page is doubted: nobody asks again for what it may lack.

        However long nobody read, what ended meanwhile was changed since the last reading. What was changed since long
        before the next reading's window is asked for by this one alone. Soon after orders were said to be gone, those
        that are open are listed once more: one that was only hidden is wrong for no longer than that.
        """
        since = after(Instant(int(cursor)), -self._overlap_ms) if cursor else began
        listed = (("status", ",".join(rows.OPEN_STATUSES)),), True
        if whole:
            return [listed, (_changed_since(min(since, after(began, -FIRST_LOOK_BACK_MS))), True)]
        alone = since < after(self._walker.skew.theirs(began), -2 * self._overlap_ms)
        news = _changed_since(since), alone
        return [listed, news] if self._told_gone else [news]

    async def _read_list(self, query: Query, began: Instant, emit: Emit, *, doubt: bool) -> tuple[Walk, str]:
        """Read one list, and why it is not complete, if so. Told page by page: two weeks of rows fill a memory."""
        unread: list[Fact] = []

        async def take(page: Sequence[Row]) -> None:
            unread.extend(rejected_rows(await self._tell(page, emit)))

        ways = Ways(take=take, counts=lambda row: self._stood(row, began))
        walk = await self._walker.walk_till_still(replace(PAGINGS[ORDERS], query=query), ways, doubt=doubt)
        return walk, walk.why or too_many_unreadable(unread, walk.count)

    def _stood(self, row: Wire, began: Instant) -> bool:
        """Whether a row was as it is already when the reading began, as far as it can be read."""
        changed = parsed(lambda: parse_instant(row["modifiedDate"]))
        if isinstance(changed, Rejected):
            return True
        return self._walker.skew.ours(changed) <= after(began, SECOND_MS)

    async def _strangers(self, known: frozenset[str], shown: set[str]) -> str:
        """Why a whole reading is not of this account, if so: it shows none of its orders, and finds none by its id.

        An order that stood alone may well have been deleted; and all of several, where it is so each time and the
        account's own lists are as they should be.
        """
        strange, self._strange = self._strange, 0
        if len(known) <= 1 or not self._ours.isdisjoint(shown):
            return ""
        # Somebody else's orders were told too, as they came; none of those is in doubt here.
        newest = sorted(known & self._open.keys(), key=lambda part: (self._open[part].modified, part))
        for part in newest[-PROBES:]:
            if _only(await self._walker.glance_at(_by_id(part)), part).rows:
                return ""
        if strange >= STRANGE_TIMES and await self._account.answers():
            return ""
        self._strange = strange + 1
        return strangers(known, shown, len(shown), "orders")

    async def _tell(self, page: Sequence[Row], emit: Emit) -> list[Fact]:
        named = (parsed(lambda row=row: row["salesChannel"]["salesChannelId"]) for row, _ in page)  # type: ignore[misc]
        await self._account.meet(CHANNELS, {each for each in named if type(each) is int})
        facts = [fact for row, asked in page for fact in self._facts(row, asked)]
        if facts:
            await emit(Page(ORDERS, tuple(facts)))
        return facts

    def _facts(self, row: Wire, asked: Instant) -> list[Fact]:
        made = parsed(lambda: self._read(row, asked))
        if isinstance(made, Rejected):
            if isinstance(row.get("orderId"), int):
                self._doubt(str(row["orderId"]))
            return [rows.rejected("order", row, made.why, asked)]
        fact, findings = self._whose_stock(made[0]), made[1]
        before = self._open.pop(fact.part, None)
        last = before or self._ended.pop(fact.part, None)
        if fact.status is OrderStatus.UNKNOWN:
            self._doubt(fact.part)
        elif _doubtful_lines(last, fact):
            # Not at once: the same spoilt list could answer.
            self._doubts.setdefault(fact.part, (1, 1))
            if last is not None and (_nameless(fact) or not self._confirmed(last, fact, asked)):
                # What has no name says nothing: until it has one, the order takes what it took.
                fact = replace(fact, lines=last.lines)
        else:
            self._doubts.pop(fact.part, None)
            self._otherwise.pop(fact.part, None)
        if fact.status in _STANDING:
            self._open[fact.part] = fact
        elif fact.modified >= after(asked, -2 * self._overlap_ms):
            self._ended[fact.part] = fact
        renumbered = before is not None and before.key != fact.key
        old = [_ended(before, RENUMBERED, asked, asked)] if before is not None and renumbered else []
        return [*old, fact, *findings]

    def _confirmed(self, last: OrderObserved, fact: OrderObserved, asked: Instant) -> bool:
        """Whether other lines are believed: of a newer version at once, of the same one when they are read again."""
        if fact.modified > last.modified or _nameless(last):
            return True
        before = self._otherwise.get(fact.part)
        if before is not None and before[0] == fact.lines and before[1] < asked:
            return True
        self._otherwise[fact.part] = fact.lines, asked
        return False

    def _read(self, row: Wire, asked: Instant) -> tuple[OrderObserved, tuple[FindingRaised, ...]]:
        """One order. Raises ValueError, KeyError, TypeError."""
        made = rows.order(row, asked, self._channels, self._order_keys, self._walker.skew.ours)
        channel = row["salesChannel"]["salesChannelId"]
        if self._account.foreign(CHANNELS, channel):
            raise rows.Unreadable(f"sales channel {channel} is none of this account's")
        return made

    def _whose_stock(self, fact: OrderObserved) -> OrderObserved:
        """An order that leaves from somebody else's stock, said so: once it is shipped its status no longer tells.

        One that was sent to another warehouse meanwhile is what it is now.
        """
        as_before = self._not_ours.get(fact.part, "") in {fact.location, None}
        if self._account.others_stock(fact.location) or (fact.status.is_over and as_before):
            fact = replace(fact, eligible=False)
        if not fact.eligible:
            self._not_ours[fact.part] = fact.location
        elif fact.status is OrderStatus.OPEN:
            self._not_ours.pop(fact.part, None)
        return fact

    def _doubt(self, part: str) -> None:
        wait, _ = self._doubts.get(part, (0, 0))
        self._doubts[part] = (min(LONGEST_DOUBT, max(1, 2 * wait)), min(LONGEST_DOUBT, wait))

    async def _ask_again(self, emit: Emit) -> None:
        """Ask for those orders in doubt whose turn it is."""
        due = sorted(part for part, (_, left) in self._doubts.items() if left <= 0)[:MAX_DOUBTED]
        self._doubts = {part: (wait, left - 1) for part, (wait, left) in self._doubts.items()}
        for part in due:
            self._doubt(part)
            own = _only(await self._walker.glance_at(_by_id(part)), part)
            if own.rows:
                await self._tell(own.rows[-1:], emit)
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
            walks = [await self._walker.walk(_by_id(part)) for _ in range(2)]
            own = [_only(walk, part) for walk in walks]
            found = own[1].rows or own[0].rows
            if found:
                self._met.add(part)
                await self._tell(found[-1:], emit)
            elif any(walk.why for walk in walks):
                unsettled += 1
            else:
                self._told_gone = True
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


def _by_id(part: str) -> Paging:
    return replace(PAGINGS[ORDERS], query=(("orderId", part),))


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
