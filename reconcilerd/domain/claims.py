"""What takes units off the shelf of one pool group: orders, inferred and buried sales, dark channels, safety.

Steps 3 and 4 of the rules of knowing. Every claim names the locations it lies in: an order that Extensiv routes
lies in one, any other in all that its channel may draw on. No unit is claimed twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import OrderLine, OrderObserved, OrderStatus, SaleInferred
from reconcilerd.domain.falls import buried_units
from reconcilerd.domain.feeds import EXTENSIV_ORDERS, STOCK_FEED
from reconcilerd.domain.names import ChannelName, Instant, OrderKey, Sku, after
from reconcilerd.domain.orders import Order, Stage, stage_of, units_of
from reconcilerd.domain.policy import AfterDark, LocationRule
from reconcilerd.domain.position import Claim, ClaimKind, Locations, OfferView, StockView
from reconcilerd.domain.quantities import expected
from reconcilerd.domain.stock import StockTrack

DEFAULT_IMPORT_MAX_MS = 1_800_000
"""For orders of channels that the configuration does not name."""

UNHEARD_TIMES = 5
"""So many times what nine of ten lines of a channel do not exceed is no number to believe of Extensiv alone."""

ORDER_KEPT_MS = 8 * 86_400_000
"""How long a settled order is remembered: longer than any window that counts sales or matches."""


Standing = tuple[object, ...]
"""All that the order claims of a component were made of, as it stood then."""


@dataclass(frozen=True, slots=True)
class OrderClaims:
    """The order claims of one component, and what they hold for: while ``standing`` is as it was, so are they."""

    claims: tuple[Claim, ...]
    standing: Standing
    shipped: bool
    """Whether some end by a stock row that is read again."""
    awaited: bool
    """Whether some end by the next reading of orders alone, Extensiv's or the channel's."""

    def hold(self, book: Book, component: Sku) -> bool:
        """Whether they would be the same if they were made anew."""
        return self.standing == _standing(book, component, shipped=self.shipped, awaited=self.awaited)


def order_claims(book: Book, component: Sku, kept: OrderClaims | None = None) -> OrderClaims:
    """Open demand on one component, each order whole and in exactly one class (rule 3); ``kept``, where it holds."""
    if kept is not None and kept.hold(book, component):
        return kept
    claims, awaited = list[Claim](), False
    for claim, order, unheard in claims_of_orders(book, component):
        theirs = order.on_channel
        claims += as_heard(claim, unheard)
        over = theirs is not None and (theirs.status is OrderStatus.CANCELLED or bool(theirs.most))
        awaited |= order.in_extensiv is None and over
        awaited |= unheard > 0
    added = tuple(added_claims(book, component))
    awaited |= bool(added)
    shipped = bool(added) or any(claim.shipped is not None for claim in claims)
    standing = _standing(book, component, shipped=shipped, awaited=awaited)
    return OrderClaims((*claims, *added), standing, shipped, awaited)


def _standing(book: Book, component: Sku, *, shipped: bool, awaited: bool) -> Standing:
    rows = [(track.row.as_of, track.before_change) for track in book.tracks(component)] if shipped else []
    return (
        book.shape,
        book.ordered.get(component),
        book.swept_whole.get(EXTENSIV_ORDERS),
        (_extensiv_began(book), *map(book.through, book.policy.channels)) if awaited else None,
        rows,
    )


def claims_of_orders(book: Book, component: Sku) -> Iterator[tuple[Claim, Order, int]]:
    """What each order takes, with the order, and how many of these eaches only Extensiv says so far."""
    began = _extensiv_began(book)
    proven: dict[tuple[Locations, Instant], bool] = {}
    for order, units in demand(book, component):
        stage = _stage(book, order, began)
        if stage is Stage.ENDED:
            continue
        where, ours = _lies_in(book, order, component), order.in_extensiv
        left = ended(ours) if stage is Stage.SHIPPED and ours is not None else None
        if left is not None:
            if (where, left) not in proven:
                proven[where, left] = shipment_proven(book, component, where, left)
            if proven[where, left]:
                continue
        kind, news = ClaimKind(stage.value), order.key.number if book.orders.news(order.key) else ""
        claim = Claim(kind, component, units, where, order.key.channel, order.about, left, news=news)
        yield claim, order, _unheard(book, order, component) if stage is Stage.COMMITTED else 0


def as_heard(claim: Claim, unheard: int) -> tuple[Claim, ...]:
    """An order's claim, with the part that was not heard of its channel apart: nobody is lowered for that yet."""
    if not unheard:
        return (claim,)
    apart = replace(claim, kind=ClaimKind.UNHEARD, units=unheard, news="", waived=0)
    return replace(claim, units=claim.units - unheard), apart


def _unheard(book: Book, order: Order, component: Sku) -> int:
    """Eaches of an order beyond belief, until its channel tells whether it sold so many.

    Extensiv may have an order before its channel lists it, and then its word is all there is. Where a line is far
    beyond anything that the channel sells, what nine of ten lines do not exceed is believed, and more as soon as the
    channel tells the order, or was read beyond it and does not know it, or a stock row has it allocated.
    """
    channel = order.key.channel
    if order.on_channel is not None or channel not in book.policy.channels:
        return 0
    through = book.through(channel)
    if through is None or through >= min(order.newest.placed, order.newest.modified):
        return 0
    usual, found = max(1, book.orders.large_line(channel)), 0
    for line in order.newest.lines:
        if line.units > UNHEARD_TIMES * usual:
            skus = _skus_of(book, channel, line)
            found += (line.units - usual) * _eaches(book, channel, line.listing_sku, skus, component)
    return found


def _stage(book: Book, order: Order, began: Instant | None) -> Stage:
    whole, ours = book.swept_whole.get(EXTENSIV_ORDERS), order.in_extensiv
    if ours is not None and not ours.eligible and _off_our_shelf(book, order, ours):
        order = replace(order, in_extensiv=replace(ours, eligible=True))
    return stage_of(order, began, import_max_ms(book, order.key.channel), whole)


def _off_our_shelf(book: Book, order: Order, ours: OrderObserved) -> bool:
    """Whether what leaves from somebody else's stock leaves from rows that are read here: who counts those as stock
    counts what is ordered of them.
    """
    components = {name for line in ours.lines for name in _components(book, order, line)}
    return any(ours.location in book.stocked(name) for name in components)


def added_claims(book: Book, component: Sku) -> Iterator[Claim]:
    """Units that a channel shows of an order beyond what Extensiv does, until that must have heard of them.

    They were added on the channel, or Extensiv took them off: to make another order of them, it may be.
    """
    began, found = _extensiv_began(book), dict[OrderKey, int]()
    for channel, code in book.codes_taking(component):
        each = eaches_of(book, channel, code, component)
        for order in book.orders.standing(channel, code) if each else ():
            units = _more_on_channel(book, order, code, component, began)
            if units:
                # Whichever of its lines grew: an order claims a component once.
                found[order.key] = found.get(order.key, 0) + units * each
    for key in sorted(found):
        order = book.orders.orders[key]
        where, about = _lies_in(book, order, component), f"{order.about} changed"
        yield Claim(ClaimKind.IN_FLIGHT, component, found[key], where, key.channel, about)


def _more_on_channel(
    book: Book, order: Order, code: str, component: Sku | None, began: Instant | None
) -> int:
    """Units of a code that the channel shows beyond what Extensiv does: where that may not have heard of them yet, and
    where it calls something by a name that nobody knows. ``component``: what of it must have left the shelf.
    """
    theirs, ours = order.on_channel, [part.newest for part in order.split()]
    if theirs is None or order.in_extensiv is None or not theirs.eligible:
        return 0
    if theirs.status is OrderStatus.CANCELLED or all(
        side.status is OrderStatus.CANCELLED or not side.eligible for side in ours
    ):
        return 0
    # What Extensiv cancelled before the channel's last word is none of what it has of that.
    heard = (s for s in ours if s.status is not OrderStatus.CANCELLED or s.modified >= theirs.modified)
    more = max(0, units_of(theirs.lines, code) - sum(units_of(side.lines, code) for side in heard))
    fewer = (side.modified for side in ours if units_of(side.most, code))
    changed = max((theirs.modified, *fewer))
    if more and began is not None and began > changed + import_max_ms(book, order.key.channel):
        more = min(more, sum(_nameless(book, part, component) for part in order.split()))
    return more


def _nameless(book: Book, part: Order, component: Sku | None) -> int:
    """Units of lines that Extensiv calls by what nobody knows, of an order that may still take something."""
    ours = part.newest
    if ours.status is OrderStatus.CANCELLED or not ours.eligible or not book.products:
        return 0
    if ours.status is OrderStatus.SHIPPED and (
        component is None or shipment_proven(book, component, _lies_in(book, part, component), ended(ours))
    ):
        return 0
    return sum(
        line.units
        for line in ours.lines
        if book.products.keys().isdisjoint(_skus_of(book, part.key.channel, line))
    )


def _lies_in(book: Book, order: Order, component: Sku) -> Locations:
    """Where an order's units lie: where Extensiv routed it if any lie there, else where it may be sold from."""
    ours, stocked = order.in_extensiv, book.stocked(component)
    if ours is not None and ours.location is not None and ours.location in stocked:
        return frozenset({ours.location})
    where = channel_locations(book, order.key.channel, stocked)
    barred = book.policy.sku_rule(component).excluded_locations
    for line in order.newest.lines:
        for sku in _skus_of(book, order.key.channel, line):
            if any(name == component for name, _ in book.uses(sku)):
                barred |= _barred(book, sku, order.key.channel)
    return (where - barred) or where


def _barred(book: Book, sku: Sku, channel: ChannelName) -> Locations:
    """Where a SKU is not sold from on a channel."""
    barred = book.policy.sku_rule(sku).excluded_locations
    if channel not in book.policy.channels:
        return barred
    return barred | book.policy.offer_rule(sku, channel).excluded_locations


def demand(book: Book, component: Sku) -> Iterator[tuple[Order, int]]:
    """Every order that may still take units of a component, with how many eaches, each order once.

    What it takes is read off the newest side that Extensiv, else the channel, shows.
    """
    found: dict[tuple[OrderKey, str], int] = {}
    parts: dict[tuple[OrderKey, str], Order] = {}
    began = _extensiv_began(book)
    for channel, code in book.codes_taking(component):
        each: dict[Sku | None, int] = {}
        import_ms = import_max_ms(book, channel)
        for order in (part for whole in book.orders.standing(channel, code) for part in whole.split()):
            units = 0
            for line in order.claimed(began, import_ms):
                if line.listing_sku == code:
                    if line.sku not in each:
                        skus = _skus_of(book, channel, line)
                        each[line.sku] = _eaches(book, channel, code, skus, component)
                    units += order.believed(line) * each[line.sku]
            about = order.key, order.about
            parts[about] = order
            found[about] = found.get(about, 0) + units
    for key in sorted(found):
        if found[key]:
            yield parts[key], found[key]


def eaches_of(book: Book, channel: ChannelName, code: str, component: Sku) -> int:
    """Eaches of a component that one sale of a listing code takes; of a code mapped twice, by each mapping."""
    return _eaches(book, channel, code, book.skus_of_code(channel, code), component)


def _eaches(book: Book, channel: ChannelName, code: str, skus: Sequence[Sku], component: Sku) -> int:
    return sum(
        each_of(book, sku, channel, code) * count
        for sku in skus
        for name, count in book.uses(sku)
        if name == component
    )


def _skus_of(book: Book, channel: ChannelName, line: OrderLine) -> tuple[Sku, ...]:
    """Which SKUs a line takes: the one that Extensiv says it is, else those that its code may mean."""
    sku = None if line.sku is None else book.joins().now_called(line.sku)
    if sku is None or sku not in book.products:
        meant = book.skus_of_code(channel, line.listing_sku)
        return meant or (() if sku is None else (sku,))
    return (sku,)


def _components(book: Book, order: Order, line: OrderLine) -> set[Sku]:
    """What a line of an order takes."""
    return {name for sku in _skus_of(book, order.key.channel, line) for name, _ in book.uses(sku)}


def settle_orders(book: Book, now: Instant) -> None:
    """Set aside the orders that take nothing off any shelf any more, and forget those long done.

    Changes no claim on stock: only orders without one are settled, and any news of an order takes it up again.
    """
    began = _extensiv_began(book)
    for order in book.orders.unsettled():
        stages = [(part, _stage(book, part, began)) for part in order.split()]
        if all(
            _waits_for_no_row(book, part, now)
            if stage is Stage.ENDED
            else stage is Stage.SHIPPED
            and _proven_everywhere(book, part)
            and _no_copy_to_come(book, part, now)
            for part, stage in stages
        ) and not any(
            _more_on_channel(book, order, line.listing_sku, component, began)
            for line in (order.on_channel.lines if order.on_channel is not None else ())
            for component in _components(book, order, line) or (None,)
        ):
            book.orders.settle(order)
    book.orders.forget(after(now, -ORDER_KEPT_MS))


def _waits_for_no_row(book: Book, part: Order, now: Instant) -> bool:
    """Whether no row of stock that is read later makes it take something: an order that leaves from where no row of it
    is known yet does, should one come, and one that has left while a copy may still have its units.
    """
    ours = part.in_extensiv
    if ours is None or ours.eligible or ours.location is None:
        return True
    return ours.status.is_over and not (ours.status is OrderStatus.SHIPPED and _copy_may_lag(book, ours, now))


def _no_copy_to_come(book: Book, part: Order, now: Instant) -> bool:
    """Whether no copy that is read later has the units of a shipped order still: none is read yet, or none any more."""
    ours = part.in_extensiv
    if ours is None or not _copy_may_lag(book, ours, now):
        return True
    components = {name for line in ours.lines for name in _components(book, part, line)}
    return all(ours.location in book.stocked(name) for name in components)


def _copy_may_lag(book: Book, ours: OrderObserved, now: Instant) -> bool:
    """Whether somebody else's count of where an order left from may have its units still."""
    rule = (
        LocationRule() if ours.location is None else book.policy.locations.get(ours.location, LocationRule())
    )
    return rule.mirror and now <= after(ended(ours), rule.mirror_max_ms)


def _proven_everywhere(book: Book, order: Order) -> bool:
    """Whether no component of a shipped order is still subtracted anywhere.

    What lies nowhere, a service or a printed card, is subtracted from nothing, once all stock was read after it.
    """
    ours = order.in_extensiv
    components = {name for line in order.newest.lines for name in _components(book, order, line)}
    return ours is not None and all(
        shipment_proven(book, component, _lies_in(book, order, component), ended(ours))
        or (not book.tracks(component) and book.swept_whole.get(STOCK_FEED, Instant(0)) > ended(ours))
        for component in sorted(components)
    )


Sellers = tuple[tuple[ChannelName, str, int], ...]
"""Channels and listing codes, and how many eaches of a component one sale of each takes."""


def sellers_of(book: Book, component: Sku) -> Sellers:
    """Which listing codes of kept orders take a component, and how many eaches a sale."""
    return tuple(
        (channel, code, each)
        for channel, code in book.codes_taking(component)
        if (each := eaches_of(book, channel, code, component))
    )


def sold_since(book: Book, component: Sku, now: Instant, sellers: Sellers | None = None) -> int:
    """Eaches of a component in orders placed since the sliding window before ``now`` began, cancelled ones left out.

    ``sellers``: the component's own, where the caller has them already.
    """
    return sold_after(book, component, after(now, -book.policy.limits.window_ms), sellers)


def sold_after(book: Book, component: Sku, since: Instant, sellers: Sellers | None = None) -> int:
    """Eaches of a component in orders placed, or first heard of, after a moment; ``sellers``: see ``sold_since``."""
    sellers = sellers_of(book, component) if sellers is None else sellers
    return sum(book.orders.taken_since(channel, code, since) * each for channel, code, each in sellers)


def each_of(book: Book, sku: Sku, channel: ChannelName, code: str) -> int:
    """Eaches in one sale of a listing (1 where the configuration does not know the channel, or nobody the listing:
    a line that somebody added by hand names the SKU itself).
    """
    if channel not in book.policy.channels or not book.joins().meant((channel, code)):
        return 1
    return book.policy.offer_rule(sku, channel).units_per_sale


def channel_locations(book: Book, channel: ChannelName, everywhere: Locations) -> Locations:
    """All locations a channel may draw on; everywhere where nothing is said."""
    rule = book.policy.channels.get(channel)
    named: Locations = frozenset()
    for place in rule.places.values() if rule else ():
        if not place:
            return everywhere
        named |= place
    return (named & everywhere) or everywhere


def shipment_proven(book: Book, component: Sku, where: Locations, shipped: Instant) -> bool:
    """Whether the stock rows already lack what was shipped: every row of the order's locations proves it."""
    rows = [track for track in book.tracks(component) if track.row.location in where]
    return bool(rows) and all(
        row_proves(track, book.policy.locations.get(track.row.location, LocationRule()), shipped)
        for track in rows
    )


def row_proves(track: StockTrack, rule: LocationRule, shipped: Instant) -> bool:
    """Own on hand: a row begun after the record. A copy: a refresh seen since, or the longest delay passed."""
    if track.row.as_of <= track.turned:
        return False
    if not rule.mirror:
        return track.row.as_of > shipped
    return track.before_change > shipped or track.row.as_of > shipped + rule.mirror_max_ms


def ended(order: OrderObserved) -> Instant:
    """When an order was shipped, by its source's clock; when we saw it, if the source does not say."""
    return order.ended_at if order.ended_at is not None else order.as_of


def inferred_claims(book: Book, offer: OfferView) -> Iterator[Claim]:
    """Falls of a slot that no order explains yet: up to what demand allows for all, beyond it against raises only.

    A fall too large to be inferred may yet be one large order: until its orders are known, nobody gets its units.
    """
    for fall, unexplained in _unexplained(book, offer):
        inferred = min(fall.cap, unexplained)
        for kind, units in (
            (ClaimKind.INFERRED, inferred),
            (ClaimKind.UNSETTLED, unexplained - inferred),
        ):
            for component, count in offer.uses if units else ():
                yield Claim(
                    kind, component, units * count, offer.locations, offer.slot.channel, offer.slot.path
                )


def _unexplained(book: Book, offer: OfferView) -> Iterator[tuple[SaleInferred, int]]:
    """Each fall of a slot, and how much of it no known order explains."""
    track = book.slots[offer.slot]
    for fall in track.inferred:
        # Where several listings may be meant by an order, it explains none of their falls.
        yield fall, track.unexplained(fall, book.orders) if offer.code else fall.fall


def buried_claims(book: Book, offer: OfferView, now: Instant, *, compare_and_set: bool) -> Iterator[Claim]:
    """Sales that could not be seen, kept back from raises only (rule 4)."""
    track = book.slots[offer.slot]
    windows = list(track.buried)
    if track.open and not compare_and_set:
        windows.append(track.blind(now, offer.shown or 0))
    units = buried_units(offer.slot, windows, book.orders, offer.code, offer.rate)
    units += track.fallen_meanwhile(book.orders, told=bool(offer.code)) if compare_and_set else 0
    for component, count in offer.uses if units else ():
        yield Claim(
            ClaimKind.BURIED, component, units * count, offer.locations, offer.slot.channel, offer.slot.path
        )


def dark_claims(
    book: Book, offers: Sequence[OfferView], dark: frozenset[ChannelName], now: Instant
) -> Iterator[Claim]:
    """Shared pools: a dark channel's expected sales since its orders were last known, at most what it showed."""
    for offer in offers:
        through = book.through(offer.slot.channel)
        if offer.slot.channel not in dark or through is None:
            continue
        fallen = sum(min(fall.cap, unexplained) for fall, unexplained in _unexplained(book, offer))
        units = max(0, min(expected(offer.rate, now - through, 1), offer.shown or 0) - fallen)
        for component, count in offer.uses if units else ():
            yield Claim(ClaimKind.DARK, component, units * count, offer.locations, offer.slot.channel)


def dark_stock_claims(book: Book, rows: Sequence[StockView], dark_ms: int) -> Iterator[Claim]:
    """What policy withholds of stock that nobody could read for ``dark_ms`` beyond its longest age."""
    limits = book.policy.limits
    if dark_ms <= book.policy.ages.dark_grace_ms or limits.after_dark is AfterDark.KEEP:
        return
    part = 1000 if limits.after_dark is AfterDark.DROP else limits.haircut_permille
    for row in rows:
        units = -(-row.sellable * part // 1000)
        if units:
            yield Claim(ClaimKind.DARK_STOCK, row.sku, units, frozenset({row.location}))


def safety_claims(book: Book, component: Sku) -> Iterator[Claim]:
    """What is never offered of a component: the most of what its own rule keeps, and those of bundles that ask for more
    than all do. What is kept for one of these is not offered as another either.
    """
    rule, stocked = book.policy.sku_rule(component), book.stocked(component)
    units, usual = rule.safety_stock, book.policy.default_sku.safety_stock
    for sku in book.joins().taking(component, book.policy.skus):
        asked = book.policy.sku_rule(sku).safety_stock
        if sku != component and asked > usual:
            each = sum(count for name, count in book.uses(sku) if name == component)
            units = max(units, asked * each)
    if units:
        where = (stocked - rule.excluded_locations) or stocked
        yield Claim(ClaimKind.SAFETY, component, units, where)


def reserve_claims(book: Book, components: Iterable[Sku], now: Instant) -> Iterator[Claim]:
    """What a person holds of these for something that is no order yet, until its end.

    Of a bundle, its components are held, whether or not anybody sells the bundle.
    """
    reserves = book.policy.reserves
    for component in components:
        stocked = book.stocked(component)
        for sku in book.joins().taking(component, reserves):
            count = sum(each for name, each in book.uses(sku) if name == component)
            for reserve in reserves[sku]:
                if reserve.until > now:
                    where = (reserve.locations & stocked) or stocked
                    units, about = reserve.units * count, reserve.purpose
                    yield Claim(ClaimKind.RESERVED, component, units, where, about=about, until=reserve.until)


def import_max_ms(book: Book, channel: ChannelName) -> int:
    rule = book.policy.channels.get(channel)
    return rule.import_max_ms if rule else DEFAULT_IMPORT_MAX_MS


def _extensiv_began(book: Book) -> Instant | None:
    read = book.sweeps.get(EXTENSIV_ORDERS)
    return None if read is None else read.began
