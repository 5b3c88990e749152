"""Each order once: every order key is in exactly one of in flight, committed, shipped, ended (rule 3).

A fold of order facts from both sides, a channel's and Extensiv's, in whatever order they arrive. It knows
nothing of stock rows or listings; who subtracts what is decided by the position.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from reconcilerd.domain.facts import EXTENSIV, OrderObserved, OrderStatus
from reconcilerd.domain.names import ChannelName, Instant, OrderKey


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

    @property
    def newest(self) -> OrderObserved:
        side = self.in_extensiv or self.on_channel
        assert side is not None
        return side

    def with_side(self, seen: OrderObserved) -> "Order":
        """This order after one more reading; an older reading changes nothing."""
        if seen.source == EXTENSIV:
            older = self.in_extensiv is not None and self.in_extensiv.as_of > seen.as_of
            return self if older else Order(self.key, self.on_channel, seen)
        older = self.on_channel is not None and self.on_channel.as_of > seen.as_of
        return self if older else Order(self.key, seen, self.in_extensiv)


def stage_of(order: Order, extensiv_began: Instant | None, import_max_ms: int) -> Stage:
    """Where an order stands. ``extensiv_began``: begin of Extensiv's last complete order reading.

    A channel's cancel ends a unit in flight only when an Extensiv reading that began after the longest import
    still lacks the order; before, it may arrive any moment.
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
    return Stage.IN_FLIGHT


@dataclass(frozen=True, slots=True)
class MatchRate:
    """How many of a channel's eligible orders older than ``import_max`` Extensiv shows."""

    old: int
    unmatched: int

    def bad(self, permyriad: int, floor: int) -> bool:
        return self.unmatched >= floor and (self.old - self.unmatched) * 10_000 < permyriad * self.old


@dataclass(slots=True)
class OrderBook:
    """All orders that can still matter, indexed by what was sold."""

    orders: dict[OrderKey, Order] = field(default_factory=dict)
    _by_listing: dict[tuple[ChannelName, str], dict[OrderKey, None]] = field(default_factory=dict)

    def take(self, seen: OrderObserved) -> frozenset[tuple[ChannelName, str]]:
        """Fold one reading of one order; the listing codes whose demand may have changed."""
        before = self.orders.get(seen.key, Order(seen.key))
        after = before.with_side(seen)
        if after is before:
            return frozenset()
        self.orders[seen.key] = after
        codes = _codes(before) | _codes(after)
        for code in _codes(after):
            self._by_listing.setdefault(code, {})[seen.key] = None
        return frozenset(codes)

    def selling(self, channel: ChannelName, code: str) -> Iterator[Order]:
        """Orders with a line of this listing code, in order of arrival."""
        for key in self._by_listing.get((channel, code), {}):
            yield self.orders[key]

    def codes(self) -> Iterator[tuple[ChannelName, str]]:
        """Every (channel, listing code) that any kept order sells."""
        yield from self._by_listing

    def known(self, channel: ChannelName, code: str, since: Instant, until: Instant) -> int:
        """Units of this listing in the channel's own orders placed in (since, until], cancels left out."""
        amount = 0
        for order in self.selling(channel, code):
            side = order.on_channel
            if side is None or side.status is OrderStatus.CANCELLED:
                continue
            if since < side.placed <= until:
                amount += sum(line.units for line in side.lines if line.listing_sku == code)
        return amount

    def match_rate(
        self, channel: ChannelName, now: Instant, import_max_ms: int, window_ms: int, newest: int
    ) -> MatchRate:
        """Matched and unmatched among the newest eligible orders of the window that are old enough."""
        old = sorted(
            (order.on_channel.placed, order.in_extensiv is not None, order.key)
            for order in self.orders.values()
            if order.key.channel == channel
            and order.on_channel is not None
            and order.on_channel.eligible
            and order.on_channel.status is not OrderStatus.CANCELLED
            and now - window_ms <= order.on_channel.placed <= now - import_max_ms
        )[-newest:]
        return MatchRate(len(old), sum(1 for _, matched, _ in old if not matched))


def _codes(order: Order) -> set[tuple[ChannelName, str]]:
    sides = (order.on_channel, order.in_extensiv)
    return {(order.key.channel, line.listing_sku) for side in sides if side for line in side.lines}
