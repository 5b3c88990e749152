"""An oracle: it knows the truth of a pretend business, and judges what the daemon made of it. One thread, no daemon.

What there is, what was ordered and what is shown comes from the world itself; what had been read, from the begin of
each feed's last complete reading. The daemon's book, claims, rooms and shares are not asked: they are judged.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from reconcilerd.domain.facts import (
    EXTENSIV,
    ListingDeclared,
    OrderObserved,
    OrderStatus,
    RegimeSwitched,
    SlotObserved,
)
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.policy import Firmness, OfferRule, Percent, Policy, PoolMode, PoolRule
from reconcilerd.domain.position import ClaimKind, OfferView, Position, StockView
from reconcilerd.simulator.stores import Order
from reconcilerd.simulator.truth import World
from reconcilerd.trial.arithmetic import ORDERED, Found, declared, may_show, together

CLOCKS_MS = 1_000
"""Records have whole seconds."""
NEVER = Instant(0)


@dataclass
class Oracle:
    """``began``: begin of the last complete reading of each feed, kept by whoever sees the ledger.

    ``contradicted``: whether the reading of a feed that is under way was told what was so before.
    """

    world: World
    policy: Policy
    began: Mapping[str, Instant]
    left_out: frozenset[str] = frozenset()
    """SKUs that the last complete reading of stock met and could not read."""
    contradicted: Callable[[str], bool] = lambda _feed: False
    _seen: int = 0
    _numbers: set[str] = field(default_factory=set)
    _orders: dict[str, dict[int, tuple[Order, int]]] = field(default_factory=dict)
    """By component: the orders that may still take of it, each with its eaches."""
    _said: dict[tuple[str, str], dict[str, list[tuple[str, int]]]] = field(default_factory=dict)
    """What the last reading of an order named, by source and number, of each part that was told of it."""
    _called: dict[tuple[str, str], dict[str, set[tuple[str, str]]]] = field(default_factory=dict)
    """The SKUs that it said those codes are."""
    _dated_later: dict[str, Instant] = field(default_factory=dict)
    """When orders were first read to be cancelled by a record that dates that into the future: so late it is known."""
    _left: dict[str, Instant] = field(default_factory=dict)
    """When parcels left, by Extensiv's id of the order, as it was first read: a clock may have been wrong by then."""
    _mapped_wrong: set[tuple[str, str]] = field(default_factory=set)
    """Listing codes, each with its store, that Extensiv last said to be of another SKU than they are."""
    _scarce: set[str] = field(default_factory=set)
    """Adaptive pools that are split at present: a declared regime."""

    def conservation(self, position: Position) -> Found:
        """I6, I9: every open order that was read takes its units exactly once; a finished one takes none."""
        self._meet()
        counted: dict[tuple[str, str], list[int]] = {}
        for claim in position.claims:
            if claim.kind in {*ORDERED, ClaimKind.UNHEARD}:
                number = self._number_in(claim.about)
                waived = claim.waived if claim.waived and self._may_waive(claim.channel) else 0
                counted.setdefault((number, claim.component), []).append(claim.units + waived)
        for component, _ in position.sold:
            orders = self._taking(component)
            for order, ordered in list(orders.values()):
                found = counted.get((order.number, component))
                total = sum(found) if found else 0
                plain = order.edited is None and not order.split
                if total == ordered and plain and not self._over(order):
                    continue  # as nearly always: what follows is slow
                units, most = self._may_take(order, component, ordered)
                if units <= total <= most and not self._over(order):
                    continue
                if total > most:
                    what = "I9", f"order {order.number} takes {most} of {component}, counted are {found}"
                elif total < units and self._open(order) and self._heard(order):
                    what = "I6", f"order {order.number} takes {units} of {component}, counted are {total}"
                elif not self._over(order):
                    continue
                elif found:
                    what = "I6", f"order {order.number} is finished and still takes {found} of {component}"
                else:
                    what = None
                if self._misread(order) or any(
                    self.contradicted(f"{system}.orders") for system in (order.store, EXTENSIV)
                ):
                    continue
                if what is not None:
                    yield what
                else:
                    del orders[order.id]

    def raised_too_much(
        self, position: Position, ideal: Mapping[SlotKey, int], raises: Iterable[tuple[SlotKey, int]]
    ) -> Iterator[tuple[SlotKey, int, int]]:
        """Raises above min(headroom, shippable), by all that could be read when their inputs were and by what policy
        declares beyond it: each with its slot, its target, and the eaches too many. ``raises``: slot and target, in the
        order in which they are granted.
        """
        offers = {offer.slot: offer for offer in position.offers}
        everywhere = frozenset[LocationName]().union(*(offer.locations for offer in position.offers))
        shown: dict[SlotKey, int] = {}
        for slot, target in raises:
            shown = shown or {s: self._may_show(o, ideal.get(s, 0)) for s, o in offers.items()}
            before, over, sharing = shown[slot], 0, together(position, offers[slot])
            for component, use in offers[slot].uses:
                left = self._could_ship(position, component)
                left += declared(position, component, everywhere, sharing)
                peers = sum(shown[o.slot] * o.use_of(component) for o in sharing if o.slot != slot)
                room = (left - peers) // use
                over = max(over, (target - max(before, room, 0)) * use)
            shown[slot] = max(before, target)
            if over:
                yield slot, target, over

    def shows_what_there_is(self) -> Found:
        """At rest, to the tolerance that policy has: not more than there is (I12), and not less (I20)."""
        inside = {name for product in self.world.products.values() for name, _ in product.components}
        for sku, product in self.world.products.items():
            items = self.world.items_of(sku)
            if not items or product.components or sku in inside or not self._offers_all(Sku(sku.casefold())):
                continue
            there, pool = self.world.shippable(sku), self._pool_of(sku)
            amounts = [item.offered * item.each for item in items]
            split = product.split or sku.casefold() in self._scarce
            total = sum(amounts) if split else max(amounts)
            band = 0 if split else max(total, there) * pool.dead_band_permille // 1000 + 1
            slack = max((item.each - 1) * len(item.levels) for item in items) + band
            if total > there + slack:
                yield "I12", f"{sku}: {total} shown of {there} at rest"
            elif total + slack < there:
                yield "I20", f"{sku}: only {total} shown of {there} at rest"

    def standing(self) -> tuple[dict[str, tuple[int, ...]], dict[SlotKey, int]]:
        """How every row and order stands, and what every listing shows."""
        rows = {
            f"{b.sku}@{b.place}": (b.on_hand, b.locked, b.copied, b.allocated)
            for b in self.world.bins.values()
        }
        orders = {str(order.id): (order.visible, order.ext_modified) for order in self.world.orders.values()}
        levels = (level for store in self.world.stores.values() for level in store.levels)
        return {**rows, **orders}, {level.slot: level.quantity for level in levels}

    def _offers_all(self, sku: Sku) -> bool:
        """Whether policy offers every unit of a SKU, wherever it lies, without any condition."""
        rule = self.policy.sku_rule(sku)
        drawn = [
            {place for some in each.places.values() for place in some}
            for each in self.policy.channels.values()
        ]
        everywhere = all(each == drawn[0] for each in drawn)
        rules = [self.policy.offer_rule(sku, channel) for channel in self.policy.channels]
        plain = all(each == OfferRule(each.normal, units_per_sale=each.units_per_sale) for each in rules)
        parts = [each.normal.permille if isinstance(each.normal, Percent) else 0 for each in rules]
        split = self._pool_of(sku).mode is PoolMode.SPLIT
        whole = sum(parts) >= 1000 if split else max(parts) == 1000
        promised = self.policy.inbound.get(sku) or self._may_waive(None)
        held = self.policy.reserves.get(sku) or rule.safety_stock or rule.excluded_locations
        return plain and whole and everywhere and not held and not promised

    def _pool_of(self, sku: str) -> PoolRule:
        return self.policy.pools[self.policy.sku_rule(Sku(sku.casefold())).pool]

    def _may_waive(self, channel: ChannelName | None) -> bool:
        """Whether policy lets open orders of a channel (none: any) hold back less than they ask for."""
        rules = self.policy.demand.items()
        return any(
            rule.firmness is not Firmness.FIRM and (not name or channel is None or name == channel)
            for (name, _), rule in rules
        )

    def _taking(self, component: Sku) -> dict[int, tuple[Order, int]]:
        self._meet()
        return self._orders.get(component, {})

    def _meet(self) -> None:
        """Take up orders that came since."""
        if len(self.world.orders) > self._seen:
            for order in islice(self.world.orders.values(), self._seen, None):
                if order.part_of is not None:
                    continue  # its whole stands for it
                self._numbers.add(order.number)
                for name, units in self._takes(order):
                    self._orders.setdefault(name, {})[order.id] = (order, units)
            self._seen = len(self.world.orders)

    def _number_in(self, about: str) -> str:
        """The number of the order that a claim is about: a part of it may follow, and that it was changed."""
        plain = about.removesuffix(" changed")
        whole = next((each for each in (about, plain) if each in self._numbers), None)
        return plain.rpartition("/")[0] if whole is None else whole

    def _takes(self, order: Order) -> Iterator[tuple[str, int]]:
        """Eaches of each component, codes as the daemon writes them: those that differ in case alone are one."""
        yield from self._eaches(order, order.bought).items()

    def _eaches(self, order: Order, lines: Sequence[tuple[str, int]]) -> Counter[str]:
        """Eaches of each component in some lines of an order, codes as the daemon writes them."""
        found = Counter[str]()
        for name, units in self.world.eaches(order, lines).items():
            found[name.casefold()] += units
        return found

    def turned(self, fact: RegimeSwitched) -> None:
        """Remember whether an adaptive pool is split."""
        (self._scarce.add if fact.scarce else self._scarce.discard)(fact.group)

    def misnames(self, fact: SlotObserved) -> bool:
        """Whether a reading calls a listing by another SKU than its own."""
        item = self.world.stores[fact.slot.channel].items.get(fact.slot.listing)
        return item is not None and fact.listing_sku.strip().casefold() != item.listing_sku.casefold()

    def read_order(self, fact: OrderObserved) -> None:
        """Remember whether the last reading of an order, on either side, named what was ordered."""
        said = sorted((line.listing_sku.strip().casefold(), line.units) for line in fact.lines)
        self._said.setdefault((fact.source, fact.key.number), {})[fact.part] = said
        named = {(line.listing_sku.strip().casefold(), str(line.sku)) for line in fact.lines if line.sku}
        self._called.setdefault((fact.source, fact.key.number), {})[fact.part] = named
        if fact.status is not OrderStatus.SHIPPED:
            self._left.pop(fact.part, None)
        elif fact.source == EXTENSIV and fact.ended_at is not None:
            self._left.setdefault(fact.part, min(fact.ended_at, fact.as_of))
        if fact.status is OrderStatus.CANCELLED and fact.ended_at is not None:
            if fact.ended_at > fact.as_of:
                self._dated_later.setdefault(fact.key.number, fact.as_of)
            else:
                self._dated_later.pop(fact.key.number, None)

    def read_listing(self, fact: ListingDeclared) -> None:
        """Remember whether the last reading of a listing in Extensiv gave it its own SKU."""
        for store in self.world.stores.values():
            for item in store.items.values() if store.sales_channel_id == fact.sales_channel_id else ():
                if item.listing_id == fact.listing_id:
                    right = fact.sku == item.sku.casefold()
                    change = self._mapped_wrong.discard if right else self._mapped_wrong.add
                    change((store.name, item.listing_sku.casefold()))

    def shelves_of(self, store: str, code: str) -> Iterator[str]:
        """The stock rows, by what they are about, that a listing is sold from; none while it is mapped to others."""
        if (store, code) in self._mapped_wrong:
            return
        items = self.world.stores[store].items.values() if store in self.world.stores else ()
        for sku in {item.sku for item in items if item.listing_sku.casefold() == code}:
            for name in self.world.uses(sku):
                yield from (
                    f"{bin_.sku.casefold()}@{bin_.place}"
                    for bin_ in self.world.bins.values()
                    if bin_.sku == name
                )

    def _may_take(self, order: Order, component: str, ordered: int) -> tuple[int, int]:
        """Eaches that an order takes of a component, at least and at most.

        What its customer took off it counts until both sides must have been heard of that: Extensiv may have it yet.
        Of one that was split each piece counts until it is proven gone; until a reading has shown them all, what was
        split off may count twice.
        """
        if order.split:
            pieces = [(piece, self._eaches(piece, piece.ext_lines)[component]) for piece in order.pieces]
            least = sum(units for piece, units in pieces if piece.shipped is None)
            apart = sum(units for piece, units in pieces[1:])
            told = (
                self._read("extensiv.orders")
                > max(each.imported or NEVER for each in order.parts) + CLOCKS_MS
            )
            most = sum(units for piece, units in pieces if not self._piece_over(piece))
            return least, most if told else ordered + apart
        if order.edited is None:
            return ordered, ordered
        left = self._eaches(order, order.lines)[component]
        extensiv, late = self._read("extensiv.orders"), CLOCKS_MS
        if order.imported is not None:
            there = self._eaches(order, order.ext_lines)[component]
            known = extensiv > order.ext_modified + late
        else:
            there, late = left, late + max(rule.import_max_ms for rule in self.policy.channels.values())
            known = extensiv > order.edited + late
        return (there, there) if known and self._heard(order) else (left, ordered)

    def _misread(self, order: Order) -> bool:
        """Whether a side called its lines by what nobody knows, or mapped them to another SKU: a person is told."""
        if any((order.store, code.casefold()) in self._mapped_wrong for code, _ in order.lines):
            return True
        # Of an order that its customer changed, a side may still say what was ordered.
        truths = [
            sorted((code.casefold(), units) for code, units in lines)
            for lines in (order.bought, order.lines, *(each.ext_lines or each.lines for each in order.pieces))
        ]
        sides = [(source, order.number) for source in (order.store, EXTENSIV)]
        if any(said not in truths for side in sides for said in self._said.get(side, {}).values()):
            return True
        by_sku = self.world.stores[order.store].by_sku if order.store else {}
        right = {
            (code.casefold(), (by_sku[code].sku if code in by_sku else code).casefold())
            for code, _ in order.lines
        }
        return any(not called <= right for side in sides for called in self._called.get(side, {}).values())

    def _open(self, order: Order) -> bool:
        waits = any(piece.shipped is None for piece in order.pieces)
        return order.cancelled is None and waits and not order.test

    def _heard(self, order: Order) -> bool:
        """Whether a complete reading that must have shown it was written down."""
        if order.store:
            return self._read(f"{order.store}.orders") > order.visible
        return order.imported is not None and self._read("extensiv.orders") > order.imported + CLOCKS_MS

    def _over(self, order: Order) -> bool:
        """Whether it is finished, and all that could still speak for it was read since."""
        return all(self._piece_over(piece) for piece in order.pieces)

    def _piece_over(self, order: Order) -> bool:
        """The same of one piece of it."""
        extensiv, late = self._read("extensiv.orders"), CLOCKS_MS
        if order.shipped is not None:
            # The record may name the second after it, and a reading within that one proves nothing yet.
            late += CLOCKS_MS
            late += max((r.mirror_max_ms for r in self.policy.locations.values() if r.mirror), default=0)
            if self.left_out and not self.left_out.isdisjoint(self._eaches(order, order.bought)):
                return False
            left = max(order.shipped, self._left.get(str(order.id), NEVER))
            return min(extensiv, Instant(self._read("extensiv.stock") - late)) > left
        if order.off is None or order.ext_status == "AWAITING_SHIPMENT":
            return False
        if order.imported is not None:
            return extensiv > order.ext_modified + late
        late += max(rule.import_max_ms for rule in self.policy.channels.values())
        return self._heard(order) and extensiv > self._dated_later.get(order.number, order.off) + late

    def _read(self, feed: str) -> Instant:
        return self.began.get(feed, NEVER)

    def _may_show(self, offer: OfferView, ideal: int) -> int:
        """E by its reading, less what was sold since and could be read."""
        store = self.world.stores[offer.slot.channel]
        if offer.read is None or store.others:
            # At which of its places a listing was sold, no order says.
            return may_show(offer, ideal)
        sold = sum(
            units
            for order in store.orders[-MOST_BETWEEN:]
            if order.placed > offer.as_of and self._heard(order) and order.cancelled is None
            for code, units in order.lines
            if code.casefold() == offer.listing_sku
        )
        return max(0, offer.read - sold, offer.write or 0, offer.replaced)

    def _could_ship(self, position: Position, component: Sku) -> int:
        """What lies on the shelves as read, less every order that order lists or levels showed when they were read."""
        rows = {str(row.location): row for row in position.stock if row.sku == component}
        levels: dict[ChannelName, Instant] = {}
        for offer in (each for each in position.offers if each.use_of(component)):
            # Of several places, at which one it was sold no order says: all must have been read since.
            levels[offer.slot.channel] = min(offer.as_of, levels.get(offer.slot.channel, offer.as_of))
        there = sum(max(0, row.on_hand - row.unavailable) for row in rows.values())
        there += sum(claim.waived for claim in position.claims if claim.component == component)
        for order, units in self._taking(component).values():
            level = levels.get(ChannelName(order.store), NEVER)
            known = self._heard(order) or (order.placed < level and not self._buried(order))
            if known and order.cancelled is None:
                there -= self._still_there(order, component, units, rows)
        return max(0, there)

    def _still_there(self, order: Order, component: str, ordered: int, rows: Mapping[str, StockView]) -> int:
        """Eaches of what an order takes that what is read of the shelves still counts."""
        if order.split:
            pieces = (piece for piece in order.pieces if not self._off_the_shelf(piece, rows))
            return sum(self._eaches(piece, piece.ext_lines)[component] for piece in pieces)
        if self._off_the_shelf(order, rows):
            return 0
        return ordered if order.edited is None else self._eaches(order, order.lines)[component]

    def _buried(self, order: Order) -> bool:
        """Whether somebody else wrote the listing since it sold, or so shortly before that nobody read it between.

        What a number fell and rose by from one reading to the next cannot be told apart.
        """
        rule = self.policy.channels.get(ChannelName(order.store))
        by_sku = self.world.stores[order.store].by_sku if order.store else {}
        since = order.placed - (rule.poll_ms if rule else 0)
        items = (by_sku[code] for code, _ in order.lines if code in by_sku)
        return any(level.meddled_at >= since for item in items for level in item.levels)

    def _off_the_shelf(self, order: Order, rows: Mapping[str, StockView]) -> bool:
        """Whether what is read of the shelves lacks what an order took: of a copy, only once it was copied anew."""
        if order.shipped is None:
            return False
        row = rows.get(str(order.ext_place))
        read = row.as_of if row is not None else min(each.as_of for each in rows.values())
        place = self.world.places.get(order.ext_place or 0)
        if place is not None and place.mirror:
            return any(order.shipped <= at < read for at in self.world.copied_at)
        return order.shipped < read


MOST_BETWEEN = 500
"""Orders of one store looked at for what was sold after a reading: the newest."""
