"""Each order once: every order key is in exactly one of in flight, committed, shipped, ended (rule 3).

A fold of order facts from both sides, a channel's and Extensiv's, in whatever order they arrive. It knows
nothing of stock rows or listings; who subtracts what is decided by the position.
"""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import accumulate, islice, takewhile

from reconcilerd.domain.facts import (
    EXTENSIV,
    FindingKind,
    FindingRaised,
    OrderLine,
    OrderObserved,
    OrderStatus,
)
from reconcilerd.domain.facts.same import all_but
from reconcilerd.domain.feeds import EXTENSIV_ORDERS
from reconcilerd.domain.names import ChannelName, Instant, OrderKey, Sku, after

Code = tuple[ChannelName, str]
"""A channel and the listing SKU that an order line names there."""

_FOR_EVER = Instant(1 << 62)
RECORD_MS = 5_000
"""How far the record of an order may be from what happened: clocks differ, and records have whole seconds."""
LINES_KEPT = 200
PUT_BY = 20_000
"""Orders that are long done are kept whole, the newest so many: a customer may exchange or add something yet."""
FORGOTTEN = 500_000
"""And of so many before them, that they were there: a channel that sends one again changes nothing."""

ANY_NUMBER = "(.*)"
"""The order key of a channel whose numbers Extensiv takes over as they are."""


def number_on_channel(order_key: str, in_extensiv: str) -> str:
    """The channel's own number of an order that Extensiv calls ``in_extensiv`` (rule 9).

    ``order_key`` is a pattern with one group that must fit the whole: ``SHOP-(.+)`` or ``(.+)-UK``. A number that it
    does not fit stays as it is and will match no order of the channel: better unmatched than matched wrongly.
    """
    found = re.fullmatch(order_key, in_extensiv, re.DOTALL)
    return found[1] if found is not None and found[1] else in_extensiv


_SAID = all_but(OrderObserved, "as_of", "most")


class Stage(StrEnum):
    IN_FLIGHT = "in_flight"
    COMMITTED = "committed"
    SHIPPED = "shipped"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Order:
    """One order as both sides show it."""

    key: OrderKey
    on_channel: OrderObserved | None = None
    in_extensiv: OrderObserved | None = None
    others: tuple[OrderObserved, ...] = ()
    """Further orders of Extensiv under the same number: it was split there."""

    @property
    def sides(self) -> tuple[OrderObserved, ...]:
        return tuple(side for side in (self.on_channel, self.in_extensiv, *self.others) if side is not None)

    @property
    def parts(self) -> tuple[OrderObserved, ...]:
        """What Extensiv shows of it: none before it was imported, several where it was split."""
        return () if self.in_extensiv is None else (self.in_extensiv, *self.others)

    def split(self) -> tuple["Order", ...]:
        """One order for each part that Extensiv has made of it."""
        if not self.others or self.in_extensiv is None:
            return (self,)
        return tuple(Order(self.key, self.on_channel, part) for part in self.parts)

    @property
    def about(self) -> str:
        """Its number, with the part where a channel's number alone would not tell it from its siblings."""
        part = self.in_extensiv.part if self.in_extensiv is not None else ""
        return f"{self.key.number}/{part}" if part else self.key.number

    @property
    def newest(self) -> OrderObserved:
        side = self.in_extensiv or self.on_channel
        assert side is not None
        return side

    def claimed(self, extensiv_began: Instant | None, import_max_ms: int) -> tuple[OrderLine, ...]:
        """The lines by which it takes units: those of its newest side.

        What a channel cancelled, or took off, before Extensiv had it may be imported all the same, with all that was
        ordered: until a reading of Extensiv's that began after the longest import still lacks it.
        """
        side = self.newest
        if self.in_extensiv is not None or not side.most:
            return side.lines
        late = extensiv_began is not None and extensiv_began > side.modified + import_max_ms
        if late and side.status is not OrderStatus.CANCELLED:
            return side.lines
        more = {line.listing_sku for line in side.most}
        return (*side.most, *(line for line in side.lines if line.listing_sku not in more))

    def with_side(self, seen: OrderObserved) -> "Order":
        """This order after one more reading; an older reading changes nothing."""
        known = self.on_channel if seen.source != EXTENSIV else self.part(seen.part)
        if known is not None and known.as_of > seen.as_of:
            return self
        seen = _understood(known, seen)
        ended, most = _ended(known, seen), _most(known, seen)
        if (ended, most) != (seen.ended_at, seen.most):
            seen = replace(seen, ended_at=ended, most=most)
        if seen.source != EXTENSIV:
            return replace(self, on_channel=seen)
        if known is not None and _left_from_elsewhere(known, seen):
            seen = replace(seen, eligible=False)
        if self.in_extensiv is None or self.in_extensiv.part == seen.part:
            return replace(self, in_extensiv=seen)
        return replace(self, others=(*(each for each in self.others if each.part != seen.part), seen))

    def said_at_most(self, code: str) -> int | None:
        """The most units of a listing SKU that the channel itself ever said; None where it never named it."""
        return (0 if self.on_channel is None else _ever_said(self.on_channel, code)) or None

    def believed(self, line: OrderLine) -> int:
        """Units of a line of the newest side that the order is taken to claim.

        Extensiv's number counts as far as the channel ever said so much. What goes beyond that is a discrepancy: if
        Extensiv has really allocated it, its stock row says so, and the larger of that and all orders counts.
        """
        most = self.said_at_most(line.listing_sku)
        return line.units if most is None else min(line.units, most)

    def says(self, seen: OrderObserved) -> bool:
        """Whether this side of it was read just so before, whenever that was."""
        known = self.on_channel if seen.source != EXTENSIV else self.part(seen.part)
        return known is not None and _SAID(known) == _SAID(seen)

    def part(self, part: str) -> OrderObserved | None:
        """What Extensiv shows under one of its ids."""
        return next((each for each in self.parts if each.part == part), None)


def _understood(known: OrderObserved | None, seen: OrderObserved) -> OrderObserved:
    """A reading whose status nobody knows, by an earlier one of the same version: that still means what it meant.

    A list goes by when an order was changed: what it says wrong of one that was not, it may never say again.
    """
    if known is None or seen.status is not OrderStatus.UNKNOWN or seen.modified > known.modified:
        return seen
    return replace(seen, status=known.status, ended_at=known.ended_at)


def _left_from_elsewhere(known: OrderObserved, seen: OrderObserved) -> bool:
    """Whether an order that is over was to leave from somebody else's stock, and was sent nowhere else since.

    Its last status does not tell any more.
    """
    return not known.eligible and seen.status.is_over and seen.location in {known.location, None}


def _ended(known: OrderObserved | None, seen: OrderObserved) -> Instant | None:
    """When an order ended: by the time it was first read so, whatever date its record has and is given later.

    A cancel may have been earlier than was said first. A parcel left when it left: to call that earlier would count
    stock as taken down that may not have been.
    """
    if known is None or known.ended_at is None or known.status is not seen.status:
        return None if seen.ended_at is None else min(seen.ended_at, seen.as_of)
    if seen.ended_at is None or seen.status is not OrderStatus.CANCELLED:
        return known.ended_at
    return min(known.ended_at, seen.ended_at)


def units_of(lines: Iterable[OrderLine], code: str) -> int:
    """Units of a listing SKU in these lines."""
    return sum(line.units for line in lines if line.listing_sku == code)


def _ever_said(side: OrderObserved, code: str) -> int:
    """The most units of a listing SKU that one side of an order ever said, what it says now included."""
    return max(units_of(side.lines, code), units_of(side.most, code))


def _most(known: OrderObserved | None, seen: OrderObserved) -> tuple[OrderLine, ...]:
    """What was said before of each listing SKU and is more than is said now, a cancel or an edit since or not."""
    if known is None:
        return seen.most
    codes = sorted({line.listing_sku for line in (*known.lines, *known.most, *seen.most)})
    before = {
        code: max(units_of(lines, code) for lines in (known.lines, known.most, seen.most)) for code in codes
    }
    return tuple(
        OrderLine(code, units) for code, units in before.items() if units > units_of(seen.lines, code)
    )


def stage_of(
    order: Order, extensiv_began: Instant | None, import_max_ms: int, whole_began: Instant | None = None
) -> Stage:
    """Where an order stands. ``extensiv_began``: begin of Extensiv's last complete order reading; ``whole_began``:
    of the last that listed every open order.

    A channel's cancel ends a unit in flight only when an Extensiv reading that began after the longest import
    still lacks the order; before, it may arrive any moment. What the channel calls shipped, and was no open order
    when it should long have been imported, was done with before anybody counted.
    """
    ours = order.in_extensiv
    if ours is not None:
        if not ours.eligible:
            return Stage.ENDED
        match ours.status:
            case OrderStatus.OPEN | OrderStatus.UNKNOWN:
                return Stage.COMMITTED
            case OrderStatus.SHIPPED:
                return Stage.SHIPPED
            case OrderStatus.CANCELLED:
                return Stage.ENDED
    theirs = order.on_channel
    if theirs is None or not theirs.eligible:
        return Stage.ENDED
    if theirs.status is OrderStatus.CANCELLED and extensiv_began is not None:
        cancelled = theirs.ended_at if theirs.ended_at is not None else theirs.as_of
        if extensiv_began > cancelled + import_max_ms:
            return Stage.ENDED
    if theirs.status is OrderStatus.SHIPPED and whole_began is not None:
        return Stage.ENDED if whole_began > theirs.placed + import_max_ms else Stage.IN_FLIGHT
    return Stage.IN_FLIGHT


def more_than_sold(order: Order | None, at: Instant) -> FindingRaised | None:
    """What a person should know of an order that both sides show; cleared where they agree."""
    if order is None or order.on_channel is None or order.in_extensiv is None:
        return None
    told = [
        f"{line.units} of {line.listing_sku!r}, and {order.key.channel} never more than {order.believed(line)}"
        for side in order.parts
        for line in side.lines
        if side.status is not OrderStatus.CANCELLED and order.believed(line) < line.units
    ]
    what, subject = FindingKind.ORDER_DIFFERS, f"{order.key.channel}:{order.key.number}"
    detail = f"{EXTENSIV_ORDERS} says {'; '.join(told)}" if told else ""
    return FindingRaised(what, subject, detail, at, cleared=not told, feed=EXTENSIV_ORDERS)


def sold_unmapped(fact: OrderObserved, code: str) -> FindingRaised:
    """That an order sells what nobody can subtract anywhere."""
    detail = f"order {fact.key.number} sells {code!r}, which no listing in Extensiv maps; map it there"
    return FindingRaised(FindingKind.UNMAPPED_SKU, f"{fact.key.channel}:{code}", detail, fact.as_of)


@dataclass(frozen=True, slots=True)
class MatchRate:
    """How many of a channel's eligible orders older than ``import_max`` Extensiv shows."""

    old: int
    unmatched: int

    def bad(self, permyriad: int, floor: int) -> bool:
        return self.unmatched >= floor and (self.old - self.unmatched) * 10_000 < permyriad * self.old


@dataclass(slots=True)
class Timeline:
    """Amounts at moments, summed over any span in the time of a search. Sorted again only after a change."""

    _entries: dict[OrderKey, tuple[Instant, int]] = field(default_factory=dict)
    _times: list[Instant] | None = None
    _sums: list[int] = field(default_factory=list)

    def put(self, key: OrderKey, at: Instant, amount: int) -> None:
        if self._entries.get(key) != (at, amount):
            self._entries[key] = (at, amount)
            self._times = None

    def move(self, key: OrderKey, at: Instant) -> None:
        """What was put under a key, if anything, was at another moment."""
        if key in self._entries:
            self.put(key, at, self.of(key))

    def drop(self, key: OrderKey) -> None:
        if self._entries.pop(key, None) is not None:
            self._times = None

    def of(self, key: OrderKey) -> int:
        """What was put under a key, 0 for nothing."""
        return self._entries.get(key, (Instant(0), 0))[1]

    def newest(self, since: Instant, until: Instant, at_most: int | None = None) -> tuple[int, int]:
        """How many entries lie in (since, until], the newest ``at_most`` of them, and the sum of those."""
        times = self._sorted()
        first, last = bisect_right(times, since), bisect_right(times, until)
        if at_most is not None:
            first = max(first, last - at_most)
        return max(0, last - first), self._sums[max(first, last)] - self._sums[first]

    def _sorted(self) -> list[Instant]:
        if self._times is None:
            ordered = sorted(self._entries.values())
            self._times = [at for at, _ in ordered]
            self._sums = [0, *accumulate(amount for _, amount in ordered)]
        return self._times


@dataclass(slots=True)
class OrderBook:
    """All orders that can still matter, indexed by what was sold.

    ``standing`` orders may still take units off a shelf. Settled ones count in what was sold lately until they
    are forgotten; a channel that sends a forgotten order once more changes nothing.
    """

    orders: dict[OrderKey, Order] = field(default_factory=dict)
    named: dict[Code, set[Sku]] = field(default_factory=dict)
    """SKUs that Extensiv itself said lines of a code are."""
    _standing: dict[Code, dict[OrderKey, None]] = field(default_factory=dict)
    _sales: dict[Code, Timeline] = field(default_factory=dict)
    """What the channel itself says it sold."""
    _placed: dict[Code, Timeline] = field(default_factory=dict)
    """The most that was ever said to be sold there, cancelled or not: what a fall of its number is told by. Said by
    the channel, or by Extensiv where it knows an order before the channel's own list shows it.
    """
    _returned: dict[Code, Timeline] = field(default_factory=dict)
    """What a channel's customers gave back of that: cancelled whole, or taken off an order."""
    _taken: dict[Code, Timeline] = field(default_factory=dict)
    """What orders took by the newest side of each."""
    _unmatched: dict[ChannelName, Timeline] = field(default_factory=dict)
    _unsettled: dict[OrderKey, None] = field(default_factory=dict)
    _settled: dict[OrderKey, None] = field(default_factory=dict)
    """In the order in which they were settled."""
    following: bool = False
    """Whether every open order was read once: what turns up from now on is news, however long ago it was placed."""
    _put_by: dict[OrderKey, Order] = field(default_factory=dict)
    """Counted nowhere any more, as they were last, should they change once more; in the order in which they went."""
    _forgotten: dict[OrderKey, None] = field(default_factory=dict)
    """What is known no more of those before them than that they were there."""
    _heard: dict[OrderKey, Instant] = field(default_factory=dict)
    _lines: dict[ChannelName, deque[int]] = field(default_factory=dict)
    """Units of the lines of each channel's newest orders."""

    def side(self, seen: OrderObserved) -> OrderObserved | None:
        """What is kept of the side of an order that a reading shows."""
        order = self.orders.get(seen.key)
        if order is None:
            return None
        return order.part(seen.part) if seen.source == EXTENSIV else order.on_channel

    def take(self, seen: OrderObserved) -> frozenset[Code]:
        """Fold one reading of one order; the listing codes whose demand may have changed."""
        gone = self._put_by.get(seen.key)
        before = self.orders.get(seen.key) or gone or Order(seen.key)
        done = gone is not None or seen.key in self._forgotten
        if done and (before.says(seen) or (seen.source != EXTENSIV and before.on_channel is None)):
            # Sent once more; or so old that nobody knows any more whether it is.
            return frozenset()
        if seen.source != EXTENSIV and before.on_channel is None:
            sizes = self._lines.setdefault(seen.key.channel, deque(maxlen=LINES_KEPT))
            sizes.extend(line.units for line in seen.lines if line.units)
        after = before.with_side(seen)
        if after is before:
            return frozenset()
        self._put_by.pop(seen.key, None)
        self._forgotten.pop(seen.key, None)
        self.orders[seen.key] = after
        old, new = _codes(before), _codes(after)
        if seen.key in self._unsettled and before.says(seen) and old == new:
            return old  # read again: nothing is counted anew
        for line in seen.lines:
            if line.sku is not None:
                self.named.setdefault((seen.key.channel, line.listing_sku), set()).add(line.sku)
        self._settled.pop(seen.key, None)
        self._unsettled[seen.key] = None
        for code in old - new:
            self._standing[code].pop(seen.key, None)
            self._drop(code, seen.key)
        for code in new:
            self._standing.setdefault(code, {})[seen.key] = None
        first = before.on_channel is None and before.in_extensiv is None
        if first and self.following:
            self._heard[seen.key] = seen.as_of
        self._count(after, new, self._heard.get(seen.key))
        return old | new

    def _count(self, order: Order, codes: frozenset[Code], heard: Instant | None) -> None:
        """Keep what the channel sold, and whether Extensiv knows it, on their timelines.

        ``heard``: when it was first read, where that was news.
        """
        side = order.on_channel
        for code in codes:
            theirs = side if side is not None and side.eligible else None
            _count_on(self._sales.setdefault(code, Timeline()), order, theirs, code, None)
            first = self._placed.setdefault(code, Timeline())
            told = [each for each in ((side,) if side is not None else order.sides) if each.eligible]
            if told:
                units = sum(_ever_said(each, code[1]) for each in told)
                first.put(order.key, told[0].placed, max(first.of(order.key), units))
            self._give_back(order.key, theirs, code)
            _count_on(
                self._taken.setdefault(code, Timeline()), order, order.newest, code, heard, order.others
            )
        unmatched = self._unmatched.setdefault(order.key.channel, Timeline())
        if side is None or side.status is OrderStatus.CANCELLED or not side.eligible:
            unmatched.drop(order.key)
        else:
            unmatched.put(order.key, side.placed, int(order.in_extensiv is None))

    def _give_back(self, key: OrderKey, side: OrderObserved | None, code: Code) -> None:
        """Keep how much less of a listing an order takes by its channel than it once did, and since when."""
        back = self._returned.setdefault(code, Timeline())
        if side is None:
            return
        over = side.status is OrderStatus.CANCELLED
        left = 0 if over else units_of(side.lines, code[1])
        fewer = self._placed[code].of(key) - left
        # Later changes of the order, a parcel or a note, are no moment at which it gave anything back.
        if fewer != back.of(key):
            back.put(key, side.modified if side.ended_at is None else side.ended_at, fewer)

    def standing(self, channel: ChannelName, code: str) -> Iterator[Order]:
        """Orders with a line of this listing code that may still take units off a shelf, in order of arrival."""
        for key in self._standing.get((channel, code), {}):
            yield self.orders[key]

    def unsettled(self) -> Iterator[Order]:
        """Every order that is not settled yet; it may be settled while it is looked at."""
        return (self.orders[key] for key in list(self._unsettled))

    def settle(self, order: Order) -> None:
        """This order takes nothing off any shelf any more, whatever is read again of it unchanged."""
        self._unsettled.pop(order.key, None)
        self._settled[order.key] = None
        for code in _codes(order):
            self._standing[code].pop(order.key, None)

    def forget(self, before: Instant) -> int:
        """Drop orders last heard of before a moment, the first settled first; how many.

        Stops at the first that is younger: what was settled after it goes next time, and nobody scans them all.
        """
        old = list(takewhile(lambda key: _last_heard(self.orders[key]) < before, self._settled))
        for key in old:
            order = self.orders.pop(key)
            del self._settled[key]
            self._heard.pop(key, None)
            self._put_by[key] = order
            self._unmatched[key.channel].drop(key)
            for code in _codes(order):
                self._drop(code, key)
        for key in _beyond(self._put_by, PUT_BY):
            del self._put_by[key]
            self._forgotten[key] = None
        for key in _beyond(self._forgotten, FORGOTTEN):
            del self._forgotten[key]
        return len(old)

    def news(self, key: OrderKey) -> bool:
        """Whether an order was first heard of when every open order was known already."""
        return key in self._heard

    def _drop(self, code: Code, key: OrderKey) -> None:
        for lines in (self._sales, self._placed, self._returned, self._taken):
            lines[code].drop(key)

    def large_line(self, channel: ChannelName) -> int:
        """Units that nine of ten lines of a channel's newest orders do not exceed; 0 before the first."""
        sizes = sorted(self._lines.get(channel, ()))
        return sizes[9 * (len(sizes) - 1) // 10] if sizes else 0

    def turn_back(self, now: Instant, before: Instant | None = None) -> None:
        """The clock went back from ``before`` (None: nobody knows): what was read later than it is now must not keep
        newer readings out, and what was heard of is as long ago as it was.
        """
        ahead = 0 if before is None else max(0, before - now)
        for key, heard in self._heard.items() if ahead else ():
            self._heard[key] = after(heard, -ahead)
            for code in _codes(self.orders[key]):
                self._taken[code].move(key, self._heard[key])
        for kept in (self.orders, self._put_by):
            for key, order in kept.items():
                again = Order(key)
                for side in order.sides:
                    again = again.with_side(replace(side, as_of=min(side.as_of, now)))
                kept[key] = again

    def codes(self) -> Iterator[Code]:
        """Every (channel, listing code) that any kept order sells."""
        yield from self._taken

    def known(self, channel: ChannelName, code: str, since: Instant, until: Instant) -> int:
        """Units of this listing in the channel's own orders placed in (since, until], cancels left out."""
        return _within(self._sales, (channel, code), since, until)

    def placed(self, channel: ChannelName, code: str, since: Instant, until: Instant) -> int:
        """Units of this listing in the channel's own orders placed in (since, until], whatever became of them."""
        return _within(self._placed, (channel, code), since, until)

    def returned(self, channel: ChannelName, code: str, since: Instant, until: Instant) -> int:
        """Units of this listing that the channel's own orders gave back in (since, until]: cancelled, or taken off.

        Or so shortly before or after that clocks and records of whole seconds may have moved them there.
        """
        span = Instant(since - RECORD_MS), Instant(until + RECORD_MS)
        return _within(self._returned, (channel, code), *span)

    def taken_since(self, channel: ChannelName, code: str, since: Instant) -> int:
        """Units of this listing in orders placed, or first heard of, after ``since``; cancelled ones left out."""
        return _within(self._taken, (channel, code), since, _FOR_EVER)

    def match_rate(
        self, channel: ChannelName, now: Instant, import_max_ms: int, window_ms: int, newest: int
    ) -> MatchRate:
        """Matched and unmatched among the newest eligible orders of the window that are old enough."""
        line = self._unmatched.get(channel)
        if line is None:
            return MatchRate(0, 0)
        return MatchRate(*line.newest(Instant(now - window_ms - 1), Instant(now - import_max_ms), newest))


def _beyond(kept: Mapping[OrderKey, object], most: int) -> list[OrderKey]:
    """Those that came first of more than so many."""
    return list(islice(kept, max(0, len(kept) - most)))


def _within(lines: Mapping[Code, Timeline], code: Code, since: Instant, until: Instant) -> int:
    line = lines.get(code)
    return 0 if line is None else line.newest(since, until)[1]


def _count_on(
    line: Timeline,
    order: Order,
    side: OrderObserved | None,
    code: Code,
    heard: Instant | None,
    more: tuple[OrderObserved, ...] = (),
) -> None:
    live = [each for each in (side, *more) if each is not None and each.status is not OrderStatus.CANCELLED]
    if not live:
        line.drop(order.key)
    else:
        placed = min(each.placed for each in live)
        units = sum(order.believed(one) for each in live for one in each.lines if one.listing_sku == code[1])
        # Clocks differ: what was heard of was placed before that, whatever its channel's own clock says.
        line.put(order.key, placed if heard is None else heard, units)


def _last_heard(order: Order) -> Instant:
    return max(side.as_of for side in order.sides)


def _codes(order: Order) -> frozenset[Code]:
    return frozenset(
        (order.key.channel, line.listing_sku) for side in order.sides for line in (*side.lines, *side.most)
    )
