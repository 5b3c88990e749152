"""Reads the position of one pool group off the book, at one moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconcilerd.domain.book import Book
from reconcilerd.domain.bundles import Uses
from reconcilerd.domain.circuit import half_fail
from reconcilerd.domain.claims import (
    OrderClaims,
    Sellers,
    buried_claims,
    dark_claims,
    dark_stock_claims,
    import_max_ms,
    inferred_claims,
    order_claims,
    reserve_claims,
    safety_claims,
    sellers_of,
    sold_after,
    sold_since,
)
from reconcilerd.domain.facts import FindingKind, LevelDoubted, SlotObserved, SlotState, StockObserved
from reconcilerd.domain.feeds import EXTENSIV_ORDERS, STOCK_FEED, orders_feed, slots_feed
from reconcilerd.domain.firmness import demand_claims
from reconcilerd.domain.latches import Before
from reconcilerd.domain.levels import believed_before
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku, SlotKey, after
from reconcilerd.domain.policy import BundleMode, OfferRule, PoolMode, PoolRule, Publisher, UnreadPeer
from reconcilerd.domain.position import (
    ChannelView,
    Claim,
    ClaimKind,
    InboundView,
    Locations,
    OfferView,
    Position,
    StockView,
)
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.slots import SlotTrack
from reconcilerd.domain.stock import StockTrack
from reconcilerd.domain.suspicion import doubted_feeds

TURNS_TO_WAKE = 3
HEARD_MS = 60_000
"""How much later an order may be heard of than the moment that its reading is as of."""
_STRICTEST = (PoolMode.SPLIT, PoolMode.ADAPTIVE, PoolMode.SHARED)
_STRICTEST_BUNDLES = (BundleMode.PER_WAREHOUSE, BundleMode.POOLED)
_STRICTEST_PEER = (UnreadPeer.HOLD, UnreadPeer.IGNORE)


@dataclass(frozen=True, slots=True)
class Weather:
    """The state of every channel and of the stock source at one moment; one for all groups of a pass."""

    at: Instant
    channels: Mapping[ChannelName, ChannelView]
    storm: bool
    stock_dark: bool
    """Whether what is known of stock is too old to raise by."""
    stock_dark_ms: int
    """How long beyond the longest age nobody could read the stock, since this process began to; 0 while it is read."""
    doubted: bool = False
    """A whole reading of the catalogue is under suspicion."""


def weather_of(book: Book, now: Instant) -> Weather:
    """How the sources stand at ``now``."""
    channels = {name: _channel(book, name, now) for name in sorted(book.policy.channels)}
    dark = sum(each.dark for each in channels.values())
    storm = half_fail(dark, len(channels), book.policy.limits)
    return Weather(
        now,
        channels,
        storm=storm,
        stock_dark=_age(book, STOCK_FEED, now) > book.policy.ages.max_age_ms,
        stock_dark_ms=_stock_dark_ms(book, now),
        doubted=doubted_feeds(book),
    )


def _stock_dark_ms(book: Book, now: Instant) -> int:
    unread = min(_age(book, STOCK_FEED, now), now - book.awake_since)
    return max(0, unread - book.policy.ages.max_age_ms)


def position_of(book: Book, group: Sku, weather: Weather) -> Position:
    """Everything a decision about one pool group may look at. Reads, never changes, the book."""
    return Surveyor(book).position(group, weather)


@dataclass(slots=True)
class _KeptSlot:
    """One slot of a group: what of its view stays while things hang together as they do, and its last view."""

    track: SlotTrack
    sku: Sku
    rule: OfferRule
    uses: Uses
    locations: Locations
    ambiguous: bool
    pushed: bool
    prior: Rate
    compare_and_set: bool
    if_twice: str
    """By what name the channel was found to carry its SKU twice, if it was."""
    price: int
    protected: bool
    compared: bool
    """Whether we write it, and each write compares: then that is the test of a doubtful number."""
    stood: tuple[object, ...] | None = None
    view: OfferView | None = None


@dataclass(slots=True)
class _KeptRow:
    """One stock row of a group, and its last view."""

    track: StockTrack
    row: StockObserved
    view: StockView


@dataclass(slots=True)
class _KeptGroup:
    """What of a pool group stays while things hang together as they do."""

    components: tuple[Sku, ...]
    pool: PoolRule
    stock: list[_KeptRow]
    everywhere: Locations
    slots: list[_KeptSlot]
    unknown: tuple[Sku, ...]
    safety: dict[Sku, tuple[Claim, ...]]
    min_levels: tuple[tuple[Sku, int], ...]
    excluded: tuple[tuple[Sku, Locations], ...]
    unlisted: tuple[ChannelName, ...]
    reserved: tuple[Sku, ...]
    """Components of which policy holds units, now or some time."""
    doubted: bool
    """The stock is under suspicion: what rows said before counts too."""


@dataclass(slots=True)
class Surveyor:
    """Reads positions off one book, again and again, and works nothing out twice that still holds.

    What it keeps changes no answer: a new surveyor gives the same position.
    """

    book: Book
    _shape: int = -1
    _groups: dict[Sku, _KeptGroup] = field(default_factory=dict)
    _orders: dict[Sku, OrderClaims] = field(default_factory=dict)
    _sellers: dict[Sku, tuple[int | None, Sellers]] = field(default_factory=dict)

    def position(self, group: Sku, weather: Weather) -> Position:
        """Everything a decision about one pool group may look at."""
        book, now = self.book, weather.at
        kept = self._group(group)
        rows, doubts = _rows(book, kept, now)
        seen = [(place, _offer(book, place, now)) for place in kept.slots]
        offers = tuple(view for _, view in seen)
        channels = tuple(weather.channels[name] for name in sorted({offer.slot.channel for offer in offers}))
        scarce = kept.pool.mode is PoolMode.ADAPTIVE and book.scarce.get(group, False)
        split = kept.pool.mode is PoolMode.SPLIT or scarce
        return Position(
            at=now,
            group=group,
            pool=kept.pool,
            split=split,
            offers=offers,
            stock=rows,
            unknown=kept.unknown,
            claims=(
                *self._claims(kept, seen, split, channels, now),
                *(reserve_claims(book, kept.reserved, now) if kept.reserved else ()),
                *dark_stock_claims(book, rows, weather.stock_dark_ms),
                *doubts,
            ),
            sold=tuple((each, self._sold(each, now)) for each in kept.components),
            channels=channels,
            all_locations=kept.everywhere,
            min_levels=kept.min_levels,
            excluded=kept.excluded,
            unlisted=kept.unlisted,
            orders_known=EXTENSIV_ORDERS in book.swept_whole,
            storm=weather.storm,
            stock_dark=weather.stock_dark,
            stock_sweep_ms=book.policy.stock_sweep_ms,
            ages=book.policy.ages,
            limits=book.policy.limits,
            doubted=weather.doubted,
            inbound=_inbound(book, kept.components, now) if book.policy.inbound else (),
        )

    def awaits_orders(self, group: Sku) -> bool:
        """Whether some of a group's claims end by the next reading of Extensiv's orders, or by time alone."""
        kept = self._groups.get(group)
        components = kept.components if kept is not None else ()
        return bool(self.book.policy.demand) or any(
            each in self._orders and self._orders[each].awaited for each in components
        )

    def forget(self, group: Sku) -> None:
        """Keep nothing of a group until it is asked for again."""
        kept = self._groups.pop(group, None)
        for component in kept.components if kept is not None else ():
            self._orders.pop(component, None)
            self._sellers.pop(component, None)

    def _group(self, group: Sku) -> _KeptGroup:
        self.book.joins()
        if self._shape != self.book.shape:
            self._shape = self.book.shape
            self._groups.clear()
            self._sellers.clear()
        kept = self._groups.get(group)
        if kept is None or kept.doubted != self.book.latches.doubted(STOCK_FEED):
            kept = self._groups[group] = _group_of(self.book, group)
        return kept

    def _claims(
        self,
        kept: _KeptGroup,
        seen: Sequence[tuple[_KeptSlot, OfferView]],
        split: bool,
        channels: Sequence[ChannelView],
        now: Instant,
    ) -> list[Claim]:
        claims: list[Claim] = []
        for component in kept.components:
            if self.book.policy.demand:
                claims.extend(demand_claims(self.book, component, now))
            else:
                orders = order_claims(self.book, component, self._orders.get(component))
                self._orders[component] = orders
                claims += orders.claims
            claims += kept.safety[component]
        for place, offer in seen:
            if place.track.inferred:
                claims.extend(inferred_claims(self.book, offer))
            if place.track.buried or place.track.open:
                claims.extend(buried_claims(self.book, offer, now, compare_and_set=place.compare_and_set))
        dark = frozenset() if split else frozenset(each.name for each in channels if each.dark)
        if dark:
            claims.extend(dark_claims(self.book, [offer for _, offer in seen], dark, now))
        return claims

    def _sold(self, component: Sku, now: Instant) -> int:
        ordered = self.book.ordered.get(component)
        kept = self._sellers.get(component)
        if kept is None or kept[0] != ordered:
            kept = self._sellers[component] = ordered, sellers_of(self.book, component)
        return sold_since(self.book, component, now, kept[1])


def _inbound(book: Book, components: Sequence[Sku], now: Instant) -> tuple[InboundView, ...]:
    """What is declared to be on its way, from when it is offered until it is due: then the stock row knows better."""
    return tuple(
        InboundView(component, each.location, each.counted, each.due)
        for component in components
        for each in book.policy.inbound.get(component, ())
        if each.offered_from <= now < each.due
    )


def is_dark(book: Book, channel: ChannelName, now: Instant) -> bool:
    """Whether a channel's slots or orders were last read completely longer ago than may be.

    After a start everybody has a few turns to be read first.
    """
    limit = book.policy.ages.max_age_ms
    if now - book.awake_since <= TURNS_TO_WAKE * book.policy.channels[channel].poll_ms:
        return False
    return max(_age(book, slots_feed(channel), now), _age(book, orders_feed(channel), now)) > limit


def dark_sources(book: Book, now: Instant) -> frozenset[str]:
    """Channels that are dark, and the stock's feed where policy withholds of it what nobody could read for so long."""
    dark = {str(name) for name in book.policy.channels if is_dark(book, name, now)}
    withheld = _stock_dark_ms(book, now) > book.policy.ages.dark_grace_ms
    return frozenset(dark | {STOCK_FEED}) if withheld else frozenset(dark)


def _age(book: Book, feed: FeedName, now: Instant) -> int:
    read = book.sweeps.get(feed)
    return now if read is None else now - read.began


def _group_of(book: Book, group: Sku) -> _KeptGroup:
    joins = book.joins()
    components = joins.groups.members.get(group, (group,))
    doubted = book.latches.doubted(STOCK_FEED)
    stock = [_KeptRow(t, t.row, _view(t)) for t in _tracks(book, components, doubted=doubted)]
    everywhere = frozenset(kept.row.location for kept in stock)
    sold = joins.sold_from(components)
    slots = (_slot(book, sku, slot, everywhere) for sku in sold for slot in joins.slots_of[sku])
    return _KeptGroup(
        components=components,
        pool=_pool(book, components, sold),
        stock=stock,
        everywhere=everywhere,
        slots=[place for place in slots if place is not None],
        # What is confirmed gone is known to be none.
        unknown=tuple(each for each in components if not book.stock_places(each)),
        safety={each: tuple(safety_claims(book, each)) for each in components},
        min_levels=tuple((sku, book.policy.sku_rule(sku).min_level) for sku in sorted({*sold, *components})),
        excluded=tuple((each, book.policy.sku_rule(each).excluded_locations) for each in components),
        unlisted=tuple(sorted({name for sku in sold for name in joins.unlisted.get(sku, ())})),
        reserved=tuple(each for each in components if joins.taking(each, book.policy.reserves)),
        doubted=doubted,
    )


def _tracks(book: Book, components: Sequence[Sku], *, doubted: bool) -> list[StockTrack]:
    """Every row that counts; under suspicion also those that a doubtful reading says are gone."""
    return [
        book.stock[component, location]
        for component in components
        for location in (book.stock_places(component) if doubted else sorted(book.stocked(component)))
    ]


def _rows(book: Book, kept: _KeptGroup, now: Instant) -> tuple[tuple[StockView, ...], tuple[Claim, ...]]:
    """Every row, and under suspicion by how much what it says now and said before differ."""
    if not kept.doubted:
        return tuple(_row(book, each, now) for each in kept.stock), ()
    found, doubts = list[StockView](), list[Claim]()
    for each in kept.stock:
        view, row = _row(book, each, now), each.track.row
        before = book.latches.said_before(STOCK_FEED, row.about)
        if before is not None:
            # However long it is doubted: all that was sold since may have left the shelf.
            changed = book.latches.changed_at(STOCK_FEED, row.about) or now
            view, units = _between(view, before, gone=row.gone, sold=sold_since(book, row.sku, changed))
            doubts.append(Claim(ClaimKind.DOUBTED, row.sku, units, frozenset({row.location})))
        elif row.gone:
            continue
        found.append(view)
    return tuple(found), tuple(doubts)


def _row(book: Book, kept: _KeptRow, now: Instant) -> StockView:
    track, limits = kept.track, book.policy.limits
    if kept.row is not track.row:
        kept.row = track.row
        kept.view = _view(track)
    if track.row.sellable or track.said >= limits.zero_reads:
        return kept.view
    since = max(after(now, -limits.window_ms), after(track.row.more_at, -HEARD_MS))
    return replace(kept.view, sold=sold_after(book, track.row.sku, since))


def _view(track: StockTrack) -> StockView:
    row = track.row
    return StockView(
        row.sku,
        row.location,
        row.on_hand,
        row.unavailable,
        row.allocated,
        row.age_of,
        row.as_of,
        track.said,
        row.counted,
    )


def _between(view: StockView, before: Before, *, gone: bool, sold: int) -> tuple[StockView, int]:
    """A doubtful row as lowers take it, and how many of its units are not there for raises.

    What was sold lately may have left the shelf between the two readings.
    """
    said, held = before
    now = 0 if gone else view.sellable
    most, least = max(now, said - sold), min(now, said)
    allocated = min(view.allocated, held)
    doubt = most - least + max(view.allocated, held) - allocated
    return replace(view, on_hand=most, unavailable=0, allocated=allocated), doubt


def _pool(book: Book, components: Sequence[Sku], sold: Iterable[Sku]) -> PoolRule:
    """The group's pool; where bundles tie several together, the strictest of each setting that they have.

    A split one wins, then an adaptive one. A bundle's own pool is one of them where a rule puts it elsewhere than all
    SKUs are by default.
    """
    usual = book.policy.default_sku.pool
    names = {book.policy.sku_rule(each).pool for each in components}
    names |= {book.policy.sku_rule(each).pool for each in sold} - {usual}
    rules = [book.policy.pools[name] for name in sorted(names)]
    strictest = min(rules, key=lambda rule: _STRICTEST.index(rule.mode))
    return replace(
        strictest,
        bundles=min((rule.bundles for rule in rules), key=_STRICTEST_BUNDLES.index),
        unread_peer=min((rule.unread_peer for rule in rules), key=_STRICTEST_PEER.index),
        dead_band_permille=min(rule.dead_band_permille for rule in rules),
        overcommit=min(rule.overcommit for rule in rules),
    )


def _slot(book: Book, sku: Sku, slot: SlotKey, everywhere: Locations) -> _KeptSlot | None:
    rule, channel = book.policy.offer_rule(sku, slot.channel), book.policy.channels[slot.channel]
    joins = book.joins()
    if slot in joins.lapsing:
        rule = replace(rule, managed=False)
    places = channel.places.get(slot.place)
    if places is None:
        return None  # a place that the configuration does not give us shows other people's stock (rule 8)
    locations = (places & everywhere) if places else everywhere
    seen = book.slots[slot].seen
    assert seen is not None  # only slots that were seen are joined
    sku_rule = book.policy.sku_rule(sku)
    return _KeptSlot(
        price=sku_rule.price * rule.units_per_sale,
        protected=sku_rule.protected,
        track=book.slots[slot],
        sku=sku,
        rule=rule,
        uses=tuple((component, count * rule.units_per_sale) for component, count in book.uses(sku)),
        locations=locations - rule.excluded_locations - sku_rule.excluded_locations,
        ambiguous=slot in joins.ambiguous,
        pushed=slot in joins.pushed,
        prior=book.prior(sku),
        compare_and_set=channel.compare_and_set,
        compared=channel.compare_and_set
        and channel.publisher is Publisher.RECONCILERD
        and not channel.decrease_only
        and rule.managed
        and slot not in joins.ambiguous
        and slot not in joins.pushed,
        if_twice=f"{FindingKind.DUPLICATE_SKU}:{slot.channel}:{seen.listing_sku}",
    )


def _offer(book: Book, place: _KeptSlot, now: Instant) -> OfferView:
    """The slot as it stands: the last view of it where that still says the same."""
    track = place.track
    seen = track.seen
    assert seen is not None  # only slots that were seen are joined
    slot = track.slot
    twice = book.findings.get(place.if_twice)
    ambiguous = place.ambiguous or (twice is not None and not twice.cleared)
    # Which of several of its kind an order was taken off, nobody can say.
    code = "" if ambiguous else seen.listing_sku
    ours = book.policy.channels[slot.channel].places
    # What may have come off a place of others is taken off none of ours.
    elsewhere = any(each.slot.place not in ours for each in track.beside)
    known = 0 if elsewhere else track.known_since(book.orders, now)
    rate = book.rate(slot.channel, seen.listing_sku, now, place.prior)
    write = track.write.target if track.write else None
    replaced = max(each.target for each in track.replaced) if track.replaced else 0
    suspect = track.suspect_since is not None
    only_answered = seen.as_of < track.firm_since
    feed = slots_feed(slot.channel)
    doubtful = book.latches.said_before(feed, seen.about) if book.latches.doubted(feed) else None
    before = doubtful[0] if doubtful else 0
    attempts = track.habits.attempts(now)
    doubted = _doubted(book, track.doubt, place, seen, now) if track.doubt is not None else None
    stood = (
        seen,
        ambiguous,
        code,
        track.value,
        track.as_of,
        track.age_of,
        known,
        rate.milli_per_hour,
        write,
        replaced,
        track.overtaken,
        suspect,
        only_answered,
        before,
        attempts,
        track.habits.last_good,
        track.last_written,
        track.owed,
        track.refused,
        track.not_before,
        track.surprise,
        doubted,
    )
    if place.view is not None and place.stood == stood:
        return place.view
    place.stood = stood
    place.view = OfferView(
        slot=slot,
        listing_sku=seen.listing_sku,
        sku=place.sku,
        uses=place.uses,
        locations=place.locations,
        rule=place.rule,
        state=seen.state,
        ambiguous=ambiguous,
        read=track.value,
        as_of=track.as_of,
        age_of=track.age_of,
        suspect=suspect,
        only_answered=only_answered,
        surprise=track.surprise,
        known_since=known,
        write=write,
        replaced=replaced,
        overtaken=track.overtaken,
        before=before,
        owed=track.owed,
        refused=track.refused,
        not_before=track.not_before,
        code=code,
        last_written=track.last_written,
        rate=rate,
        sells_past_zero=seen.sells_past_zero,
        pushed=place.pushed,
        price=place.price,
        protected=place.protected,
        last_good=track.habits.last_good,
        attempts=attempts,
        doubted=doubted,
    )
    return place.view


def _doubted(
    book: Book, doubt: LevelDoubted, place: _KeptSlot, seen: SlotObserved, now: Instant
) -> int | None:
    """What a slot showed before its number moved unexplained, while that number is not confirmed."""
    track, gap_ms = place.track, book.policy.limits.confirm_gap_ms
    pin = book.words.pins.get(track.slot)
    pinned = pin is not None and pin.holds(now)
    compared = place.compared and seen.state is SlotState.BUYABLE and not pinned
    return believed_before(doubt, book.orders, track.listing_sku, track.as_of, gap_ms, compared=compared)


def _heard_through(book: Book, name: ChannelName) -> Instant | None:
    """Up to when every order of a channel is known; None too where its last reading was before the clock went back."""
    return None if book.read_at(orders_feed(name)) is None else book.through(name)


def _channel(book: Book, name: ChannelName, now: Instant) -> ChannelView:
    rule, limits = book.policy.channels[name], book.policy.limits
    rate = book.orders.match_rate(
        name, now, import_max_ms(book, name), limits.match_window_ms, limits.match_orders
    )
    return ChannelView(
        name=name,
        publisher=rule.publisher,
        through=_heard_through(book, name),
        swept=slots_feed(name) in book.swept_whole,
        dark=is_dark(book, name, now),
        unmatched=rate.bad(limits.match_permyriad, limits.match_floor),
        compare_and_set=rule.compare_and_set,
        slow_ms=rule.slow_ms,
        costs=rule.costs,
        decrease_only=rule.decrease_only,
        doubted=book.latches.doubted(slots_feed(name)),
    )
