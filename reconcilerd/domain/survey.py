"""Reads the position of one pool group off the book, at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconcilerd.domain.book import EXTENSIV_ORDERS, STOCK_FEED, Book, orders_feed, slots_feed, slow_ms
from reconcilerd.domain.circuit import half_fail
from reconcilerd.domain.claims import (
    buried_claims,
    dark_claims,
    dark_stock_claims,
    import_max_ms,
    inferred_claims,
    order_claims,
    safety_claims,
    sold_since,
)
from reconcilerd.domain.facts import FindingKind
from reconcilerd.domain.latches import Before
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku, SlotKey
from reconcilerd.domain.policy import PoolMode, PoolRule
from reconcilerd.domain.position import (
    ChannelView,
    Claim,
    ClaimKind,
    Locations,
    OfferView,
    Position,
    StockView,
)
from reconcilerd.domain.slots import unsettled_units
from reconcilerd.domain.suspicion import doubted_feeds

TURNS_TO_WAKE = 3


@dataclass(frozen=True, slots=True)
class Weather:
    """The state of every channel and of the stock source at one moment; one for all groups of a pass."""

    at: Instant
    channels: Mapping[ChannelName, ChannelView]
    storm: bool
    stock_dark_ms: int
    """How long beyond the longest age the stock was not read; 0 while it is."""
    doubted: bool = False
    """A whole reading of the catalogue is under suspicion."""

    @property
    def stock_dark(self) -> bool:
        return self.stock_dark_ms > 0


def weather_of(book: Book, now: Instant) -> Weather:
    """How the sources stand at ``now``."""
    channels = {name: _channel(book, name, now) for name in sorted(book.policy.channels)}
    dark = sum(each.dark for each in channels.values())
    late = max(0, _age(book, STOCK_FEED, now) - book.policy.ages.max_age_ms)
    storm = half_fail(dark, len(channels), book.policy.limits)
    return Weather(now, channels, storm=storm, stock_dark_ms=late, doubted=doubted_feeds(book))


def position_of(book: Book, group: Sku, weather: Weather) -> Position:
    """Everything a decision about one pool group may look at. Reads, never changes, the book."""
    now = weather.at
    joins = book.joins()
    components = joins.groups.members.get(group, (group,))
    rows, doubts = _rows(book, components, now)
    everywhere = frozenset(row.location for row in rows)
    pool = _pool(book, components)
    sold = sorted({sku for component in components for sku in joins.sold_as.get(component, ())})
    offers = tuple(
        offer
        for sku in sold
        for slot in joins.slots_of[sku]
        if (offer := _offer(book, sku, slot, everywhere, now)) is not None
    )
    channels = tuple(weather.channels[name] for name in sorted({offer.slot.channel for offer in offers}))
    split = pool.mode is PoolMode.SPLIT or book.scarce.get(group, False)
    dark = frozenset(each.name for each in channels if each.dark)
    return Position(
        at=now,
        group=group,
        pool=pool,
        split=split,
        offers=offers,
        stock=rows,
        # What is confirmed gone is known to be none.
        unknown=tuple(each for each in components if not book.stock_places(each)),
        claims=(
            *_claims(book, components, offers, frozenset() if split else dark, now),
            *dark_stock_claims(book, rows, weather.stock_dark_ms),
            *doubts,
        ),
        sold=tuple((each, sold_since(book, each, now)) for each in components),
        channels=channels,
        all_locations=everywhere,
        min_levels=tuple((sku, book.policy.sku_rule(sku).min_level) for sku in sorted({*sold, *components})),
        excluded=tuple((each, book.policy.sku_rule(each).excluded_locations) for each in components),
        unlisted=tuple(sorted({name for sku in sold for name in joins.unlisted.get(sku, ())})),
        orders_known=EXTENSIV_ORDERS in book.swept_whole,
        storm=weather.storm,
        stock_dark=weather.stock_dark,
        stock_sweep_ms=book.policy.stock_sweep_ms,
        ages=book.policy.ages,
        limits=book.policy.limits,
        doubted=weather.doubted,
    )


def is_dark(book: Book, channel: ChannelName, now: Instant) -> bool:
    """Whether a channel's slots or orders were last read completely longer ago than may be.

    After a start everybody has a few turns to be read first.
    """
    limit = book.policy.ages.max_age_ms
    if now - book.awake_since <= TURNS_TO_WAKE * book.policy.channels[channel].poll_ms:
        return False
    return max(_age(book, slots_feed(channel), now), _age(book, orders_feed(channel), now)) > limit


def _age(book: Book, feed: FeedName, now: Instant) -> int:
    read = book.sweeps.get(feed)
    return now if read is None else now - read.began


def _rows(
    book: Book, components: Sequence[Sku], now: Instant
) -> tuple[tuple[StockView, ...], tuple[Claim, ...]]:
    """Every row, and under suspicion by how much what it says now and said before differ."""
    found, doubts = list[StockView](), list[Claim]()
    doubted = book.latches.doubted(STOCK_FEED)
    for component in components:
        places = book.stock_places(component) if doubted else sorted(book.stocked(component))
        for location in places:
            track = book.stock[component, location]
            row = track.row
            view = StockView(
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
            before = book.latches.said_before(STOCK_FEED, row.about) if doubted else None
            if before is not None:
                view, units = _between(view, before, gone=row.gone, sold=sold_since(book, component, now))
                doubts.append(Claim(ClaimKind.DOUBTED, component, units, frozenset({location})))
            elif row.gone:
                continue
            found.append(view)
    return tuple(found), tuple(doubts)


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


def _pool(book: Book, components: Sequence[Sku]) -> PoolRule:
    """The group's pool; where bundles tie several pools together, a split one wins."""
    rules = [
        book.policy.pools[name] for name in sorted({book.policy.sku_rule(each).pool for each in components})
    ]
    return next((rule for rule in rules if rule.mode is PoolMode.SPLIT), rules[0])


def _offer(book: Book, sku: Sku, slot: SlotKey, everywhere: Locations, now: Instant) -> OfferView | None:
    track = book.slots[slot]
    seen = track.seen
    if seen is None:
        return None
    rule = book.policy.offer_rule(sku, slot.channel)
    channel = book.policy.channels[slot.channel]
    places = channel.places.get(slot.place)
    if places is None:
        return None  # a place that the configuration does not give us shows other people's stock (rule 8)
    locations = (places & everywhere) if places else everywhere
    twice = book.findings.get(f"{FindingKind.DUPLICATE_SKU}:{slot.channel}:{seen.listing_sku}")
    feed = slots_feed(slot.channel)
    kept = book.latches.said_before(feed, seen.about) if book.latches.doubted(feed) else None
    ambiguous = slot in book.joins().ambiguous or (twice is not None and not twice.cleared)
    return OfferView(
        slot=slot,
        listing_sku=seen.listing_sku,
        sku=sku,
        uses=tuple((component, count * rule.units_per_sale) for component, count in book.uses(sku)),
        locations=locations - rule.excluded_locations - book.policy.sku_rule(sku).excluded_locations,
        rule=rule,
        state=seen.state,
        ambiguous=ambiguous,
        read=track.value,
        as_of=track.as_of,
        age_of=track.age_of,
        suspect=track.suspect_since is not None,
        surprise=track.surprise,
        known_since=book.orders.known(slot.channel, seen.listing_sku, track.as_of, now),
        write=track.write.target if track.write else None,
        replaced=max((each.target for each in track.replaced), default=0),
        before=kept[0] if kept else 0,
        owed=track.owed,
        refused=track.refused,
        not_before=track.not_before,
        # Which of several of its kind an order was taken off, nobody can say.
        code="" if ambiguous else track.code,
        last_written=track.last_written,
        rate=book.rate(slot.channel, seen.listing_sku, now, book.prior(sku)),
        unsettled=sum(unsettled_units(fall, book.orders, track.code) for fall in track.inferred),
        sells_past_zero=seen.sells_past_zero,
        pushed=slot in book.joins().pushed,
        price=book.policy.sku_rule(sku).price * rule.units_per_sale,
        protected=book.policy.sku_rule(sku).protected,
        last_good=track.habits.last_good,
        attempts=track.habits.attempts(now),
    )


def _channel(book: Book, name: ChannelName, now: Instant) -> ChannelView:
    rule, limits = book.policy.channels[name], book.policy.limits
    rate = book.orders.match_rate(
        name, now, import_max_ms(book, name), limits.match_window_ms, limits.match_orders
    )
    return ChannelView(
        name=name,
        publisher=rule.publisher,
        through=book.through(name),
        swept=slots_feed(name) in book.swept_whole,
        dark=is_dark(book, name, now),
        unmatched=rate.bad(limits.match_permyriad, limits.match_floor),
        compare_and_set=rule.compare_and_set,
        slow_ms=slow_ms(rule),
        decrease_only=rule.decrease_only,
        doubted=book.latches.doubted(slots_feed(name)),
    )


def _claims(
    book: Book,
    components: Sequence[Sku],
    offers: Sequence[OfferView],
    dark: frozenset[ChannelName],
    now: Instant,
) -> list[Claim]:
    claims: list[Claim] = []
    for component in components:
        claims.extend(order_claims(book, component))
        claims.extend(safety_claims(book, component))
    for offer in offers:
        cas = book.policy.channels[offer.slot.channel].compare_and_set
        claims.extend(inferred_claims(book, offer))
        claims.extend(buried_claims(book, offer, now, compare_and_set=cas))
    claims.extend(dark_claims(book, offers, dark, now))
    return claims
