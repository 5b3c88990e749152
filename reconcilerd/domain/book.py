"""The fold of all facts in memory, and the position of any pool group read off it.

``take`` is the only way in; it answers what changed (for the ledger) and which SKUs must be looked at again.
Two books that took the same facts in the same order are equal; a book loaded from the ledger's state stands
where the old one stood, with ages no better than they were.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from reconcilerd.domain.bundles import Uses
from reconcilerd.domain.clocks import latest, read_before, read_by
from reconcilerd.domain.facts import (
    EXTENSIV,
    BreachLifted,
    ConsentGiven,
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    EnvelopeApproved,
    EnvelopeRevoked,
    Fact,
    FindingKind,
    FindingRaised,
    FreezeSet,
    InvariantBroken,
    LevelDoubted,
    ListingDeclared,
    LocationObserved,
    OrderLine,
    OrderObserved,
    PlanApplied,
    PolicyAdopted,
    ProductObserved,
    ProductType,
    RailLatched,
    ReadingKept,
    RegimeSwitched,
    SaleInferred,
    SalesBuried,
    SlotObserved,
    SlotPinned,
    StockObserved,
    StockRefreshed,
    SweepRead,
)
from reconcilerd.domain.facts.same import same_order, same_slot, same_stock
from reconcilerd.domain.feeds import EXTENSIV_ORDERS, STOCK_FEED, orders_feed, slots_feed
from reconcilerd.domain.findings import Findings
from reconcilerd.domain.joins import Joins, code_of, join
from reconcilerd.domain.latches import Latches
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, Sku, SlotKey, after
from reconcilerd.domain.orders import OrderBook, more_than_sold, sold_unmapped
from reconcilerd.domain.policy import Policy
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.slots import SlotTrack, know_each_other
from reconcilerd.domain.stock import StockTrack, first_seen
from reconcilerd.domain.taken import Taken
from reconcilerd.domain.trips import forgive, quarantined, tug_of_war
from reconcilerd.domain.words import Words
from reconcilerd.domain.writes import OpenWrite

_Key = TypeVar("_Key")
_Mapped = TypeVar("_Mapped", ProductObserved, ListingDeclared, LocationObserved)

MINUTE_MS = 60_000
SIZES_KEPT = 20
"""Of so many whole readings the sizes are compared."""
_OLD = Taken(news=False)


@dataclass(slots=True)
class Book:
    """Everything known now. Not shared between threads; every change goes through ``take``."""

    policy: Policy
    awake_since: Instant = Instant(0)
    """When this process began to read: what was not read while nobody could read it is not dark for that."""
    products: dict[Sku, ProductObserved] = field(default_factory=dict)
    listings: dict[str, ListingDeclared] = field(default_factory=dict)
    locations: dict[LocationName, LocationObserved] = field(default_factory=dict)
    stock: dict[tuple[Sku, LocationName], StockTrack] = field(default_factory=dict)
    slots: dict[SlotKey, SlotTrack] = field(default_factory=dict)
    orders: OrderBook = field(default_factory=OrderBook)
    sweeps: dict[FeedName, SweepRead] = field(default_factory=dict)
    """The last complete reading of each feed."""
    tried: dict[FeedName, SweepRead] = field(default_factory=dict)
    """The last reading of each feed, complete or not."""
    swept_whole: dict[FeedName, Instant] = field(default_factory=dict)
    """Feeds that were once read completely and from the beginning, and when that last began."""
    findings: Findings = field(default_factory=Findings)
    words: Words = field(default_factory=Words)
    """What people said."""
    scarce: dict[Sku, bool] = field(default_factory=dict)
    latches: Latches = field(default_factory=Latches)
    adopted: str | None = None
    """The revision of the policy that decided last."""
    first_order: dict[ChannelName, Instant] = field(default_factory=dict)
    shape: int = 0
    """Grows whenever things hang together otherwise: mappings, slots, places where a SKU is stocked."""
    ordered: dict[Sku, int] = field(default_factory=dict)
    """Grows for a component whenever an order of it may take other units than before."""
    _places_of: dict[tuple[ChannelName, str], list[SlotTrack]] = field(default_factory=dict)
    """The slots of each listing of a channel."""
    _joins: Joins | None = None
    _loading: bool = False
    _places: dict[Sku, list[LocationName]] = field(default_factory=dict)
    _codes: dict[Sku, set[tuple[ChannelName, str]]] | None = None

    def stock_places(self, sku: Sku) -> list[LocationName]:
        """Locations that a row of this SKU was ever read of, sorted."""
        return sorted(self._places.get(sku, ()))

    def stocked(self, sku: Sku) -> frozenset[LocationName]:
        """Locations where a row of this SKU is."""
        return frozenset(place for place in self._places.get(sku, ()) if not self.stock[sku, place].row.gone)

    def tracks(self, sku: Sku) -> list[StockTrack]:
        """Every row of a SKU that was ever read, gone ones too."""
        return [self.stock[sku, place] for place in self._places.get(sku, ())]

    def codes_taking(self, component: Sku) -> frozenset[tuple[ChannelName, str]]:
        """Which listing codes of kept orders take units of a component."""
        if self._codes is None:
            self._codes = {}
            for channel, code in self.orders.codes():
                self._index_code(channel, code)
        return frozenset(self._codes.get(component, ()))

    def _index_code(self, channel: ChannelName, code: str) -> None:
        if self._codes is not None:
            for component in self._components_of(channel, code):
                self._codes.setdefault(component, set()).add((channel, code))

    def _components_of(self, channel: ChannelName, code: str) -> set[Sku]:
        """What orders of this code may take: by its mapping, and by what Extensiv said of lines of it."""
        skus = {*self.skus_of_code(channel, code), *self.orders.named.get((channel, code), ())}
        called = {self.joins().now_called(sku) for sku in skus}
        return {component for sku in called for component, _ in self.uses(sku)}

    def _remap(self) -> None:
        self._joins = self._codes = None
        self.shape += 1

    def joins(self) -> Joins:
        """Which slot sells which SKU: made anew when listings or products changed, grown with each new slot."""
        if self._joins is None:
            channels = {
                rule.sales_channel_id: name
                for name, rule in self.policy.channels.items()
                if rule.sales_channel_id is not None
            }
            unread = [name for name in self.policy.channels if slots_feed(name) not in self.swept_whole]
            kits = {sku for sku, rule in self.policy.skus.items() if rule.kit}
            self._joins = join(self.listings.values(), self.products, channels, unread, kits)
            for slot, track in self.slots.items():
                if track.seen is not None and not track.seen.gone:
                    self._joins.add(slot, track.seen.listing_sku)
            self.findings.loops(self._joins.loops)
        return self._joins

    def take(self, fact: Fact) -> Taken:
        """Fold one fact."""
        match fact:
            case SlotObserved():
                return self._take_slot(fact)
            case StockObserved():
                return self._take_stock(fact)
            case StockRefreshed():
                track = self.stock[fact.sku, fact.location]
                track.before_change, track.changed = fact.before, fact.at
                return Taken(news=True)
            case OrderObserved():
                return self._take_order(fact)
            case SweepRead():
                return self._take_sweep(fact)
            case ProductObserved():
                return self._take_mapping(self.products, fact.sku, fact)
            case ListingDeclared():
                return self._take_mapping(self.listings, fact.about, fact)
            case LocationObserved():
                return self._take_mapping(self.locations, fact.location, fact)
            case CorrectionPlanned():
                self._track(fact.slot).plan(fact)
                return Taken(news=True)
            case CorrectionSent():
                return self._take_answer(fact)
            case CorrectionSettled() | SaleInferred() | SalesBuried() | LevelDoubted():
                self._track(fact.slot).derive((fact,))
                return Taken(news=True)
            case FindingRaised():
                return Taken(news=self.findings.take(fact))
            case FreezeSet() | InvariantBroken() | BreachLifted():
                self.words.take(fact)
                return Taken(news=True, everybody=True)
            case EnvelopeApproved() | EnvelopeRevoked():
                self.words.take(fact)
                approved = self.words.approvals.get(fact.id)
                return Taken(news=True, dirty=frozenset(approved.skus if approved else ()))
            case SlotPinned():
                self.words.take(fact)
                return Taken(news=True, dirty=self._skus_of_slot(fact.slot))
            case PlanApplied() | ConsentGiven():
                self.words.take(fact)
                return Taken(news=True)
            case RegimeSwitched():
                self.scarce[Sku(fact.group)] = fact.scarce
                return Taken(news=True)
            case RailLatched():
                return self._take_latch(fact)
            case ReadingKept():
                self.latches.keep(fact)
                return Taken(news=True)
            case PolicyAdopted():
                first, self.adopted = self.adopted is None, fact.revision
                return Taken(news=True, everybody=not first)
            case _:
                return Taken(news=True)

    def load(self, facts: Iterable[Fact], now: Instant) -> None:
        """Stand where the ledger's state stands. Order: as the ledger gives it, what happened to a slot as it came.

        What was written down later than ``now`` was so by a clock that has gone back since.
        """
        # What the ledger holds is no news, however late it was placed.
        self._loading, newest = True, Instant(0)
        for fact in facts:
            newest = max(newest, latest(fact))
            if isinstance(fact, SlotObserved) and fact.slot.channel in self.policy.channels:
                # What followed from a reading was written down beside it: nothing follows twice.
                fact = replace(fact, listing_sku=code_of(fact.listing_sku))  # noqa: PLW2901
                self._track(fact.slot).restore(fact)
                know_each_other(self._places_of[fact.slot.channel, fact.slot.listing])
            else:
                self.take(fact)
        self._loading = False
        self.latches.loaded()
        self.orders.following = EXTENSIV_ORDERS in self.swept_whole
        self._remap()
        for track in self.slots.values():
            track.orphan(now)
        for sweep in self.sweeps.values():
            self._lift(sweep)
        if newest > now:
            self.turn_back(now, newest)
        # The state keeps windows that have ended; what stood in them is counted in orders by now.
        for channel in self.policy.channels:
            self._expire(channel, again=True)

    def turn_to(self, policy: Policy) -> None:
        """Go by another policy of the same channels from here on. Facts stay; what hangs together may change."""
        self.policy = policy
        self._remap()

    def turn_back(self, now: Instant, before: Instant | None = None) -> None:
        """The clock went back to ``now``: what is stamped later must not pass for fresh, nor keep newer news out.

        Quantities stay, their ages do not: everything is read again before anything is raised. Channels' own times
        (when an order was placed) are theirs and stay.
        """
        for stock in self.stock.values():
            stock.turn_back(now)
        for slot in self.slots.values():
            slot.turn_back(now)
        self.orders.turn_back(now, before)
        self.findings.turn_back(now)
        self.words.turn_back(now, before)
        # What was lifted since a reading is told by stamps of one clock: before those of the latches are moved.
        self.sweeps = {
            feed: read_before(self.latches.trusted(read, self.awake_since), now)
            for feed, read in self.sweeps.items()
        }
        self.latches.turn_back(now)
        self.tried = {feed: read_before(read, now) for feed, read in self.tried.items()}
        # That they were read whole is what counts: a moment too late would call an order in flight ended.
        self.swept_whole = dict.fromkeys(self.swept_whole, Instant(0))
        self.products = read_by(self.products, now)
        self.listings = read_by(self.listings, now)
        self.locations = read_by(self.locations, now)
        self.awake_since = now
        self._remap()

    def read_at(self, feed: FeedName) -> Instant | None:
        """When the last complete reading of a feed began; None where there is none, or nobody can tell any more."""
        read = self.sweeps.get(feed)
        return (read.began or None) if read is not None else None

    def through(self, channel: ChannelName) -> Instant | None:
        """Up to when every order placed on a channel is known: last complete order read less its lag."""
        read = self.sweeps.get(orders_feed(channel))
        return None if read is None else after(read.began, -self.policy.channels[channel].order_lag_ms)

    def rate(self, channel: ChannelName, code: str, now: Instant, prior: Rate) -> Rate:
        """Sales speed of a listing: what sold in the last hours, leaning on the prior while little is known."""
        velocity, began = self.policy.velocity, self.first_order.get(channel, now)
        # By whole minutes: a speed that differs at every look would have everything worked out anew at every look.
        seen_ms = min(velocity.window_ms, max(0, now - began) // MINUTE_MS * MINUTE_MS)
        units = self.orders.known(channel, code, after(now, -seen_ms), now)
        milli_ms = units * 1000 * 3_600_000 + prior.milli_per_hour * velocity.prior_ms
        return Rate(milli_ms // (seen_ms + velocity.prior_ms))

    def skus_of_code(self, channel: ChannelName, code: str) -> tuple[Sku, ...]:
        """Which SKUs an order line may mean: its listing's, else the SKU that is written so."""
        return self.joins().meant((channel, code)) or ((Sku(code),) if Sku(code) in self.products else ())

    def prior(self, sku: Sku | None) -> Rate:
        """How fast a listing of a SKU is taken to sell before anything is known of it."""
        rule = self.policy.default_sku if sku is None else self.policy.sku_rule(sku)
        return Rate(rule.rate.milli_per_hour // max(1, len(self.policy.channels)))

    def _speed(self, channel: ChannelName, code: str, at: Instant) -> Rate:
        return self.rate(channel, code, at, self.prior(next(iter(self.skus_of_code(channel, code)), None)))

    def _track(self, slot: SlotKey) -> SlotTrack:
        known = self.slots.get(slot)
        if known is None:
            known = self.slots[slot] = SlotTrack(slot)
            alike = self._places_of.setdefault((slot.channel, slot.listing), [])
            alike.append(known)
            alike.sort(key=lambda each: each.slot)
            if self._loading:
                know_each_other(alike)
        return known

    def _take_slot(self, fact: SlotObserved) -> Taken:
        code = code_of(fact.listing_sku)
        if code != fact.listing_sku:
            fact = replace(fact, listing_sku=code)
        channel = self.policy.channels.get(fact.slot.channel)
        if channel is None:
            return _OLD
        track = self._track(fact.slot)
        before = track.seen
        if track.outdated(fact):
            return _OLD
        value_before, suspect = track.value, track.suspect_since
        left = self._skus_of_slot(fact.slot)
        rate = self._speed(fact.slot.channel, fact.listing_sku, fact.as_of)
        if before is not None and (before.listing_sku, before.gone) != (fact.listing_sku, fact.gone):
            self._remap()
        ours = fact.slot.place in channel.places
        new = ours and slots_feed(fact.slot.channel) in self.swept_whole
        through = self.through(fact.slot.channel)
        track.expire(through, self.orders)
        derived: tuple[Fact, ...] = track.observe(fact, self.orders, channel, rate, ours=ours, new=new)
        know_each_other(self._places_of[fact.slot.channel, fact.slot.listing])
        if track.foreign is not None and fact.slot in self.joins().pushed:
            track.foreign = None  # Extensiv is a writer of it by declaration: its pushes are no tug of war
        track.expire(through, self.orders)  # a late reading may tell of what has passed already
        derived += tug_of_war(track, self.latches, self.policy.limits, self.orders)
        derived += self.words.unpin(derived)
        if value_before is not None and track.value != value_before:
            derived += self._keep(slots_feed(fact.slot.channel), fact.about, value_before, 0, fact.as_of)
        if before is None and self._joins is not None and not fact.gone:
            self._joins.add(fact.slot, fact.listing_sku)
        self.shape += before is None
        changed = value_before != track.value or suspect != track.suspect_since
        news = before is None or changed or bool(derived) or not same_slot(before, fact)
        skus = self._skus_of_slot(fact.slot) | left
        return Taken(news, derived, skus if news else frozenset(), skus)

    def _take_stock(self, fact: StockObserved) -> Taken:
        key = (fact.sku, fact.location)
        track = self.stock.get(key)
        if track is None:
            self.stock[key] = track = first_seen(fact)
            self._places.setdefault(fact.sku, []).append(fact.location)
            self.shape += 1
            return Taken(news=True, dirty=frozenset({fact.sku}), instead=track.row)
        old = track.row
        if fact.as_of < old.as_of:
            return _OLD
        track.observe(fact, self.policy.limits.confirm_gap_ms)
        self.shape += fact.gone != old.gone
        if same_stock(old, track.row):
            return Taken(news=False, touched=frozenset({fact.sku}))
        before = 0 if old.gone else old.sellable
        derived: tuple[Fact, ...] = self._keep(STOCK_FEED, fact.about, before, old.allocated, fact.as_of)
        # Only the count itself comes from whoever counts there; a row that was away for a while is no new count.
        if old.on_hand != fact.on_hand and not (old.gone or fact.gone):
            track.before_change, track.changed = old.as_of, fact.as_of
            place = self.policy.locations.get(fact.location)
            if place is not None and place.mirror:
                derived += (StockRefreshed(fact.sku, fact.location, old.as_of, fact.as_of),)
        return Taken(news=True, derived=derived, dirty=frozenset({fact.sku}), instead=track.row)

    def _keep(
        self, feed: FeedName, row: str, value: int, allocated: int, at: Instant
    ) -> tuple[ReadingKept, ...]:
        """Remember what a row said before it changed; written down while its feed is under suspicion."""
        new, under = self.latches.note(feed, row, (value, allocated), at), self.latches.since(feed)
        return (ReadingKept(feed, row, value, at, allocated, under),) if new and under is not None else ()

    def _take_latch(self, fact: RailLatched) -> Taken:
        self.latches.take(fact)
        if not fact.on:
            forgive(fact.name, {slot.path: track for slot, track in self.slots.items()})
        return Taken(news=True, everybody=True)

    def _take_answer(self, fact: CorrectionSent) -> Taken:
        track = self._track(fact.slot)
        write = next((each for each in track.open if each.id == fact.id), None)
        fell = () if write is None or self._loading else self._told_by(track, write, fact)
        said = track.answer(fact)
        told = replace(fact, still=tuple(each.id for each in track.open), took=track.took)
        found = quarantined(
            track, fact, None if write is None else write.target, self.latches, self.policy.limits
        )
        derived: tuple[Fact, ...] = (*fell, *said, *found, *self.words.unpin((fact,)))
        return Taken(news=True, derived=derived, dirty=self._skus_of_slot(fact.slot), instead=told)

    def _told_by(self, track: SlotTrack, write: OpenWrite, fact: CorrectionSent) -> tuple[Fact, ...]:
        rate = self._speed(fact.slot.channel, track.listing_sku, fact.at)
        return track.told_by(write, fact.outcome, self.orders, rate)

    def _take_order(self, fact: OrderObserved) -> Taken:
        lines: dict[tuple[str, Sku | None], int] = {}
        for line in fact.lines:
            line_of = code_of(line.listing_sku), line.sku
            lines[line_of] = lines.get(line_of, 0) + line.units
        most: dict[str, int] = {}
        for line in fact.most:
            most[code_of(line.listing_sku)] = most.get(code_of(line.listing_sku), 0) + line.units
        fact = replace(
            fact,
            lines=tuple(OrderLine(code, count, sku) for (code, sku), count in lines.items()),
            most=tuple(OrderLine(code, count) for code, count in most.items()),
        )
        old = self.orders.side(fact)
        changed = self.orders.take(fact)
        kept = self.orders.side(fact)
        news = kept is not None and not same_order(old, kept)
        if fact.source != EXTENSIV:
            first = self.first_order.get(fact.key.channel)
            self.first_order[fact.key.channel] = fact.placed if first is None else min(first, fact.placed)
        dirty: set[Sku] = set()
        found: list[Fact] = []
        for channel, code in sorted(changed | {(fact.key.channel, code) for code, _ in lines}):
            self._index_code(channel, code)
            taking = self._components_of(channel, code)
            dirty |= taking
            if not taking and self.products and channel in self.policy.channels:
                unmapped = sold_unmapped(fact, code)
                found.extend(() if unmapped.about in self.findings else self._raise(unmapped))
        found.extend(self._differing(fact))
        # Where nobody says when an order ended, it ended when it was last read.
        if news or kept is None or (kept.ended_at is None and kept.status.is_over):
            for component in dirty:
                self.ordered[component] = self.ordered.get(component, 0) + 1
        else:
            # Read again as it was: two of three looks would follow these, and find nothing new.
            dirty.clear()
        return Taken(news, tuple(found), frozenset(dirty), instead=kept if kept != fact else None)

    def _differing(self, fact: OrderObserved) -> Iterable[Fact]:
        """Of an order that both sides show: what Extensiv has of it beyond the most that its channel ever said."""
        finding = more_than_sold(self.orders.orders.get(fact.key), fact.as_of)
        if finding is not None and (finding.about in self.findings or not finding.cleared):
            yield from self._raise(finding)

    def _measured(self, fact: SweepRead) -> SweepRead:
        """A whole reading with how many rows it and those before it had, as far as they can be trusted."""
        last = self.sweeps.get(fact.feed)
        earlier = () if last is None else self.latches.trusted(last, self.awake_since).sizes
        rows = () if self.latches.doubted(fact.feed) else (fact.rows,)
        return replace(fact, sizes=(*earlier, *rows)[-SIZES_KEPT:])

    def _take_sweep(self, fact: SweepRead) -> Taken:
        if fact.complete and not self._loading:
            last = self.sweeps.get(fact.feed)
            sizes = () if last is None else last.sizes
            fact = self._measured(fact) if fact.full else replace(fact, sizes=sizes)
        newest = self.tried.get(fact.feed)
        if newest is None or fact.began >= newest.began:
            self.tried[fact.feed] = fact
        if not fact.complete:
            return Taken(news=True)
        last = self.sweeps.get(fact.feed)
        if last is None or fact.began >= last.began:
            self.sweeps[fact.feed] = fact
        first_whole = False
        if fact.full:
            first_whole = fact.feed not in self.swept_whole
            self.swept_whole[fact.feed] = max(fact.began, self.swept_whole.get(fact.feed, Instant(0)))
            self.orders.following = EXTENSIV_ORDERS in self.swept_whole and not self._loading
            self.latches.sound(fact.feed)
        self._lift(fact)
        channel = ChannelName(fact.feed.rpartition(".")[0])
        dirty: set[Sku] = set()
        found: list[Fact] = []
        if fact.feed == orders_feed(channel) and channel in self.policy.channels:
            dirty = self._expire(channel)
        if fact.full and fact.feed == slots_feed(channel):
            found += self._unmapped_slots(channel, fact.began)
            if first_whole:
                self._remap()  # what was unlisted before the first whole reading is now known not to exist
        if fact.full:
            found += self._bundles_with_stock(fact.began) if fact.feed == STOCK_FEED else ()
            found += self._healed(fact)
        return Taken(True, tuple(found), frozenset(dirty), everybody=last is None, instead=fact)

    def _bundles_with_stock(self, at: Instant) -> Iterable[Fact]:
        """Units that nobody is offered: of bundles that no rule calls a kit."""
        for sku, product in self.products.items():
            uses = self.uses(sku)
            if product.type is not ProductType.BUNDLE or uses == ((sku, 1),):
                continue
            own = sum(self.stock[sku, place].row.on_hand for place in self.stocked(sku))
            if own:
                detail = (
                    f"{own} units of bundle {product.shown_sku} are on hand and not offered: it sells from its"
                    " components. If they are packed ahead, give it kit = yes in the rules"
                )
                yield from self._raise(
                    FindingRaised(FindingKind.BUNDLE_HAS_STOCK, sku, detail, at, feed=STOCK_FEED)
                )

    def _raise(self, finding: FindingRaised) -> Iterable[Fact]:
        if self.findings.take(finding):
            yield finding

    def _mapped_by_now(self, finding: FindingRaised) -> bool:
        channel, _, code = finding.subject.partition(":")
        unmapped = finding.what is FindingKind.UNMAPPED_SKU
        return unmapped and (ChannelName(channel), code) in self.joins().codes

    def _healed(self, sweep: SweepRead) -> Iterable[Fact]:
        """Findings that a whole reading of their feed did not make again, and codes that are mapped by now."""
        for about, finding in self.findings.items():
            over = finding.feed == sweep.feed and finding.as_of < sweep.began
            if not finding.cleared and (over or self._mapped_by_now(finding)):
                self.findings[about] = replace(finding, cleared=True, as_of=max(sweep.began, finding.as_of))
                yield self.findings[about]

    def _expire(self, channel: ChannelName, *, again: bool = False) -> set[Sku]:
        """Let windows that the order feed has passed end; the SKUs they held back. ``again``: they ended before."""
        through = self.through(channel)
        freed: set[Sku] = set()
        for track in self.slots.values():
            if track.slot.channel == channel and (track.inferred or track.buried):
                track.expire(through, self.orders, again=again)
                freed |= self._skus_of_slot(track.slot)
        return freed

    def _unmapped_slots(self, channel: ChannelName, at: Instant) -> Iterable[Fact]:
        for slot, track in self.slots.items():
            if slot.channel != channel or track.seen is None or track.seen.gone:
                continue
            mapped = slot in self.joins().sku_of and slot not in self.joins().lapsing
            detail = (
                f"listing {track.seen.listing_sku!r} ({track.seen.title}) is mapped to no SKU in Extensiv"
            )
            subject = f"{channel}:{code_of(track.seen.listing_sku) or slot.listing}"
            finding = FindingRaised(FindingKind.UNMAPPED_SKU, subject, detail, at, cleared=mapped)
            old = self.findings.get(finding.about)
            finding = replace(finding, as_of=max(at, old.as_of)) if old is not None else finding
            if (not mapped and (old is None or old.cleared)) or (
                mapped and old is not None and not old.cleared
            ):
                self.findings[finding.about] = finding
                yield finding

    def _lift(self, sweep: SweepRead) -> None:
        """A complete sweep saw every row again that it could read; those that it did not report are as they were."""
        unread = frozenset(sweep.unread)
        if not (sweep.complete and sweep.full):
            return
        if sweep.feed == STOCK_FEED:
            for stock in self.stock.values():
                if stock.row.as_of < sweep.began and stock.row.sku not in unread:
                    stock.row = replace(stock.row, age_of=sweep.began, as_of=sweep.began)
            return
        for slot in (each for each in self.slots.values() if each.slot.listing not in unread):
            if sweep.feed == slots_feed(slot.slot.channel) and slot.seen is not None and not slot.seen.gone:
                slot.age_of = max(slot.age_of, sweep.began)
                lag = self.policy.channels[slot.slot.channel].read_lag_ms
                slot.as_of = max(slot.as_of, after(sweep.began, -lag))

    def _take_mapping(self, kept: dict[_Key, _Mapped], key: _Key, fact: _Mapped) -> Taken:
        old = kept.get(key)
        if old is not None and old.as_of > fact.as_of:
            return _OLD
        kept[key] = fact
        if old is not None and replace(old, as_of=fact.as_of) == fact:
            return _OLD
        self._remap()
        return Taken(news=True, everybody=True)

    def uses(self, sku: Sku) -> Uses:
        """The eaches one unit of a SKU takes."""
        return self.joins().uses.get(sku) or ((sku, 1),)

    def _skus_of_slot(self, slot: SlotKey) -> frozenset[Sku]:
        sku = self.joins().sku_of.get(slot)
        return frozenset() if sku is None else frozenset(component for component, _ in self.uses(sku))
