"""The one truth: what lies on the shelves, what was sold, what each store shows; and the score of it all.

Synchronous and deterministic. Time comes in with each call; lags are events that fall due. Extensiv and the
stores see only parts of it, late: that is what the daemon has to live with.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.lags import WorldConfig as WorldConfig  # noqa: PLC0414 - whoever makes a world needs it
from reconcilerd.simulator.score import Score, Tally, shown_of
from reconcilerd.simulator.stores import Bin, Item, Order, Place, Product, Store

TYPED_IN = 900
"""The sales channel of orders that are typed straight into Extensiv."""


class World:
    """The business. Every method that changes it takes the time."""

    def __init__(self, config: WorldConfig, start: Instant) -> None:
        self.config = config
        self.now = start
        self._draws: dict[str, int] = {}
        self._luck_of_writes = Random(config.seed + 1)
        self.products: dict[str, Product] = {}
        self.places: dict[int, Place] = {}
        self.bins: dict[tuple[str, int], Bin] = {}
        self.stores: dict[str, Store] = {}
        self.orders: dict[int, Order] = {}
        self.tally = Tally()
        self.unmapped_sold: set[str] = set()
        self.lost_writes: list[tuple[Instant, Item]] = []
        """Accepted writes of our side that never took effect."""
        self.writes_by_store: Counter[str] = Counter()
        self.watch: Callable[[Item, int, Instant], None] | None = None
        """Is shown every write of our side that a store takes."""
        self.copied_at: list[Instant] = []
        """When Extensiv's copies of other people's counts were made anew."""
        self.push_loses: set[str] = set()
        """Stores whose next native push is lost."""
        self._events: list[tuple[Instant, int, Callable[[Instant], None]]] = []
        self._number = 0
        self._demand: dict[str, int] = {}
        self._uses: dict[str, dict[str, int]] = {}
        self._listed: dict[str, list[Item]] = {}
        self._sold_from: dict[str, dict[str, int]] | None = None
        """For each shelf, the listed SKUs that are sold from it and how many eaches one unit takes."""

    def advance(self, now: Instant) -> None:
        """Let everything happen that is due by ``now``."""
        while self._events and self._events[0][0] <= now:
            due, _, event = heapq.heappop(self._events)
            self.now = max(self.now, due)
            event(self.now)
        self.now = max(self.now, now)

    @property
    def next_due(self) -> Instant | None:
        return self._events[0][0] if self._events else None

    def at(self, due: int, event: Callable[[Instant], None]) -> None:
        """Have ``event`` happen at ``due``."""
        self._number += 1
        heapq.heappush(self._events, (Instant(due), self._number, event))

    @property
    def score(self) -> Score:
        return self.tally.score

    def add_product(self, product: Product) -> None:
        known = self.products.get(product.sku)
        self.products[product.sku] = product
        if product.components or (known is not None and known.components):
            # Whatever was sold as itself may now be sold from other shelves.
            self._uses.clear()
            self._sold_from = None

    def add_stock(self, sku: str, place: int, on_hand: int, locked: int = 0) -> None:
        self.bins[sku, place] = Bin(5000 + len(self.bins), sku, place, on_hand, locked, copied=on_hand)
        self._settle(sku)

    def add_item(
        self,
        store: str,
        sku: str,
        quantity: int,
        *,
        each: int = 1,
        listing_sku: str = "",
        push: bool = False,
        beside: Sequence[int] = (),
    ) -> Item:
        """``beside``: what it shows at the store's other places; by default nothing."""
        owner = self.stores[store]
        beside = beside or [0] * len(owner.others)
        number = owner.sales_channel_id * 100_000 + len(owner.items) + 1
        item, *item.beside = (
            Item(
                f"gid://shopify/InventoryItem/{number}",
                store,
                number,
                listing_sku or sku,
                sku,
                shown,
                each,
                push=push,
                place=place,
            )
            for place, shown in zip((owner.place, *owner.others), (quantity, *beside), strict=True)
        )
        owner.items[item.id] = item
        owner.by_sku[item.listing_sku] = item
        self._listed.setdefault(sku, []).append(item)
        if self._sold_from is not None:
            for name, count in self.uses(sku).items():
                self._sold_from.setdefault(name, {})[sku] = count
        self._settle(sku)
        return item

    def uses(self, sku: str) -> dict[str, int]:
        """Eaches of each component that one unit takes."""
        known = self._uses.get(sku)
        if known is not None:
            return known
        product = self.products.get(sku)
        counts: dict[str, int] = {}
        if product is None or not product.components:
            counts[sku] = 1
            return self._uses.setdefault(sku, counts)
        for component, count in product.components:
            for name, inner in self.uses(component).items():
                counts[name] = counts.get(name, 0) + count * inner
        return self._uses.setdefault(sku, counts)

    def shippable(self, sku: str) -> int:
        """Units that could leave today and nobody has bought."""
        return max(0, min(self._left(name) // count for name, count in self.uses(sku).items()))

    def place_order(
        self, store: str, number: str, wanted: Sequence[tuple[str, int]], now: Instant
    ) -> Order | None:
        """A visitor buys what is shown of what they want. None if nothing was to be had."""
        self.advance(now)
        owner = self.stores[store]
        lines: list[tuple[str, int]] = []
        off: list[tuple[Item, int]] = []
        for code, units in wanted:
            item = owner.by_sku.get(code)
            if item is None:
                self.unmapped_sold.add(code)
                lines.append((code, units))
                continue
            taken = units if item.continues or not item.tracked else min(units, item.offered)
            there = self.shippable(item.sku) // item.each
            refused = min(units - taken, max(0, there - taken))
            self.score.refused += refused
            self.score.refused_split += refused if self.products[item.sku].split else 0
            if not taken:
                continue
            self.score.oversold += max(0, taken - there) * item.each
            self.score.sold += taken * item.each
            for level, part in item.parts(taken):
                self._show(level, level.quantity - part, now)
                off.append((level, part))
            self._claim(item.sku, taken * item.each)
            lines.append((code, taken))
        if not lines:
            return None
        return self._take(owner, number, lines, off, now)

    def cancel(self, order: Order, now: Instant) -> None:
        """A customer cancels: most stores restock; Extensiv hears of it, if it ever knew the order.

        A parcel that leaves before Extensiv has heard is gone all the same: the store then shows too much.
        """
        self.advance(now)
        if order.cancelled is not None or order.shipped is not None:
            return
        if not order.store:
            self._cancel_in_extensiv(order, now)
        order.cancelled = order.updated = now
        order.visible = Instant(now + self._lag("cancel index", order.number, self.config.index_lag_ms))
        restocked = order.taken if order.store and self.stores[order.store].restocks else ()
        for item, units in restocked:
            self._show(item, item.quantity + units, now)
        for component, units in self.needs(order).items():
            self._claim(component, -units)
        if order.imported is not None:
            due = now + self._lag("cancel", order.number, self.config.import_ms)
            self.at(due, lambda at: self._cancel_in_extensiv(order, at))

    def enter_order(self, sku: str, units: int, now: Instant) -> Order:
        """An order typed straight into Extensiv, on no channel."""
        self.advance(now)
        self._number += 1
        order = Order(self._number, f"B2B-{self._number}", "", TYPED_IN, [(sku, units)], now, now, now)
        self.orders[order.id] = order
        self._claim(sku, units)
        self._import(order, now)
        return order

    def damage(self, sku: str, units: int, now: Instant) -> None:
        """Units are gone from the shelf; whoever counts there knows at once, a mirror later."""
        self.advance(now)
        for each in self._bins(sku):
            lost = min(units, each.on_hand)
            each.on_hand -= lost
            units -= lost
            if not self.places[each.place].mirror:
                each.copied = each.on_hand
        self._stock_moved(sku, now)

    def receive(self, sku: str, place: int, units: int, now: Instant) -> None:
        """Units arrive at a place that has a bin for them. Raises KeyError for one that has not."""
        self.advance(now)
        each = self.bins[sku, place]
        each.on_hand += units
        if not self.places[place].mirror:
            each.copied = each.on_hand
        self._stock_moved(sku, now)

    def record(self, sku: str, place: int, on_hand: int, now: Instant) -> None:
        """Somebody tells Extensiv what lies there. The shelf is what it was; the next movement or refresh shows it."""
        self.advance(now)
        self.bins[sku, place].copied = on_hand
        self._push_later(sku, now)

    def reroute(self, order: Order, place: int, now: Instant) -> None:
        """Somebody gives an open order to another warehouse; what is allocated for it moves along."""
        self.advance(now)
        for sku, units in self.needs(order).items():
            self._unallocate(order, sku, units)
            there = self.bins.get((sku, place))
            if there is not None:
                there.routed += units
                there.allocated += units if order.allocated else 0
            self._push_later(sku, now)
        order.ext_place, order.ext_modified = place, now

    def switch(self, sku: str, *, split: bool, now: Instant) -> None:
        """From now on the units of a SKU are divided among its listings, or offered whole by each of them."""
        self.advance(now)
        self.products[sku].split = split
        self._settle(sku)

    def set_quantity(self, item: Item, quantity: int, now: Instant) -> None:
        """Somebody else says what a listing shows."""
        self.advance(now)
        item.meddled_at = now
        self._show(item, quantity, now)

    def accept_write(self, item: Item, quantity: int, now: Instant, *, lost: bool = False) -> None:
        """Our side writes what a listing shows: at once, late or, by bad luck, never."""
        self.advance(now)
        self.score.writes += 1
        self.writes_by_store[item.store] += 1
        item.written_at = now
        if self.watch is not None:
            self.watch(item, quantity, now)
        late_ms = self._luck_of_writes.randint(*self.stores[item.store].apply_ms)
        if lost or self._luck_of_writes.random() < self.config.write_lost:
            self.lost_writes.append((now, item))
            return
        item.coming.append(quantity)
        if late_ms:
            self.at(now + late_ms, lambda at: self._apply(item, quantity, at))
        else:
            self._apply(item, quantity, now)

    def _apply(self, item: Item, quantity: int, now: Instant) -> None:
        """A write of our side takes effect; a raise is to blame for what it shows beyond what there is."""
        item.coming.remove(quantity)
        before, raises = self.tally.exposed_now, quantity > item.quantity
        self._show(item, quantity, now)
        if raises:
            self.score.self_made += max(0, self.tally.exposed_now - before)

    def answered(self, item: Item, now: Instant) -> int:
        """What a reading of a listing says now, by the store's read lag."""
        then = now - self.stores[item.store].read_lag_ms
        if not item.past or item.past[-1][0] <= then:
            return item.quantity
        return next((quantity for until, quantity in item.past if until > then), item.quantity)

    def start_mirrors(self) -> None:
        """Begin the refreshing of copied stock."""
        if any(place.mirror for place in self.places.values()):
            self.at(self.now + self.config.mirror_ms, self._refresh)

    def finish_score(self, now: Instant) -> Score:
        """The score up to ``now``."""
        self.advance(now)
        self.tally.finish(self.now)
        return self.score

    def items_of(self, sku: str) -> list[Item]:
        return list(self._listed.get(sku, ()))

    def native_number(self, sku: str) -> int:
        """What Extensiv would push: 100 % of what it believes is available."""
        spare = [
            sum(max(0, b.copied - b.locked - b.allocated) for b in self._bins(name)) // count
            for name, count in self.uses(sku).items()
        ]
        return max(0, min(spare))

    def _take(
        self,
        store: Store,
        number: str,
        lines: list[tuple[str, int]],
        off: list[tuple[Item, int]],
        now: Instant,
    ) -> Order:
        self._number += 1
        self.score.orders += 1
        seen = Instant(now + self._lag("index", number, self.config.index_lag_ms))
        order = Order(
            self._number, number, store.name, store.sales_channel_id, lines, now, now, seen, taken=off
        )
        store.orders.append(order)
        self.orders[order.id] = order
        self.at(now + self._lag("import", number, self.config.import_ms), lambda at: self._import(order, at))
        return order

    def _import(self, order: Order, now: Instant) -> None:
        if order.cancelled is not None:
            return
        order.imported = order.ext_modified = now
        order.ext_status = "AWAITING_SHIPMENT"
        order.ext_place = self._route(order)
        for sku, units in self.needs(order).items():
            if (sku, order.ext_place) in self.bins:
                self.bins[sku, order.ext_place].routed += units
        allocate = self._lag("allocate", order.number, self.config.allocate_ms)
        self.at(now + allocate, lambda at: self._allocate(order, at))
        self.at(now + self._lag("ship", order.number, self.config.ship_ms), lambda at: self._ship(order, at))

    def _route(self, order: Order) -> int:
        """The first place that has all of it beside what is to leave from there already; else that has it at all."""
        free = (place for place in self.places if self._has(order, place, beside_routed=True))
        there = (place for place in self.places if self._has(order, place))
        return next(free, next(there, next(iter(self.places))))

    def _has(self, order: Order, place: int, *, beside_routed: bool = False) -> bool:
        return all(
            (b := self.bins.get((sku, place))) is not None
            and b.on_hand - b.locked - (b.routed if beside_routed else 0) >= units
            for sku, units in self.needs(order).items()
        )

    def _allocate(self, order: Order, now: Instant) -> None:
        if order.ext_status != "AWAITING_SHIPMENT" or order.ext_place is None:
            return
        order.allocated = True
        for sku, units in self.needs(order).items():
            each = self.bins.get((sku, order.ext_place))
            if each is not None:
                each.allocated += units
                self._push_later(sku, now)

    def _ship(self, order: Order, now: Instant) -> None:
        """The parcel leaves. A mirrored place tells Extensiv later, and Extensiv the store."""
        if order.ext_status != "AWAITING_SHIPMENT" or order.ext_place is None or order.shipped is not None:
            return
        if not self._has(order, order.ext_place):
            # What lies elsewhere leaves from there, and Extensiv knows from where it left.
            holding = next((place for place in self.places if self._has(order, place)), order.ext_place)
            if holding != order.ext_place:
                self.reroute(order, holding, now)
        order.shipped = now
        mirrored = self.places[order.ext_place].mirror
        heard_ms = self._lag("hear", order.number, self.config.hear_ms) if mirrored else 0
        if not heard_ms:
            self._hear_of_shipment(order, now)
        for sku, units in self.needs(order).items():
            if order.cancelled is None:
                # A cancel has given its units back already; nothing is given back twice.
                self._demand[sku] = self._demand.get(sku, 0) - units
            left = units
            for each in self._bins(sku, first=order.ext_place):
                out = min(left, max(0, each.on_hand - each.locked))
                each.on_hand -= out
                left -= out
                if not self.places[each.place].mirror:
                    each.copied = each.on_hand
            self._stock_moved(sku, now)
        if heard_ms:
            self.at(now + heard_ms, lambda at: self._hear_of_shipment(order, at, late=True))

    def _hear_of_shipment(self, order: Order, now: Instant, *, late: bool = False) -> None:
        order.ext_status, order.ext_modified = "SHIPPED", now
        if order.cancelled is None:
            order.fulfilled, order.updated = True, now
            order.visible = max(order.visible, now)
        for sku, units in self.needs(order).items():
            self._unallocate(order, sku, units)
            if late:
                self._push_later(sku, now)

    def _unallocate(self, order: Order, sku: str, units: int) -> None:
        each = self.bins.get((sku, order.ext_place or 0))
        if each is not None:
            each.routed = max(0, each.routed - units)
            each.allocated = max(0, each.allocated - units) if order.allocated else each.allocated

    def _cancel_in_extensiv(self, order: Order, now: Instant) -> None:
        if order.ext_status == "AWAITING_SHIPMENT" and order.shipped is None:
            order.ext_status, order.ext_modified = "CANCELLED", now
            for sku, units in self.needs(order).items():
                self._unallocate(order, sku, units)
                self._push_later(sku, now)

    def _refresh(self, now: Instant) -> None:
        self.copied_at.append(now)
        for each in self.bins.values():
            if self.places[each.place].mirror and each.copied != each.on_hand:
                each.copied = each.on_hand
                self._push_later(each.sku, now)
        self.at(now + self.config.mirror_ms, self._refresh)

    def _push_later(self, sku: str, now: Instant) -> None:
        for item in self._affected(sku):
            if item.push:
                wait = self._lag("push", item.id, self.config.push_ms)
                self.at(now + wait, lambda at, item=item: self._push(item, at))  # type: ignore[misc]

    def _push(self, item: Item, now: Instant) -> None:
        """Compute the native number and send it off; zeros are skipped."""
        number = self.native_number(item.sku) // item.each
        lost = self._lag("push lost", item.id, (0, 999_999)) < self.config.push_lost * 1_000_000
        if item.store in self.push_loses:
            self.push_loses.discard(item.store)
            lost = True
        if number and not lost:
            late = self._lag("transit", item.id, self.config.transit_ms)
            self.at(now + late, lambda at: self._show(item, number, at))

    def _affected(self, component: str) -> Iterable[Item]:
        for sku in self._drawing_on(component):
            yield from self._listed[sku]

    def _drawing_on(self, component: str) -> Mapping[str, int]:
        if self._sold_from is None:
            self._sold_from = {}
            for sku in self._listed:
                for name, count in self.uses(sku).items():
                    self._sold_from.setdefault(name, {})[sku] = count
        return self._sold_from.get(component, {})

    def _left(self, component: str) -> int:
        """Eaches on one shelf that nobody has bought; less than zero when more was sold than is there."""
        there = sum(max(0, b.on_hand - b.locked) for b in self._bins(component))
        return there - self._demand.get(component, 0)

    def needs(self, order: Order) -> dict[str, int]:
        """Eaches of each component that an order takes off the shelf; of codes that nobody knows: nothing."""
        needs: dict[str, int] = {}
        for code, units in order.lines:
            item = self.stores[order.store].by_sku.get(code) if order.store else None
            sku, each = (item.sku, item.each) if item else (code, 1)
            if sku not in self.products:
                continue
            for name, count in self.uses(sku).items():
                needs[name] = needs.get(name, 0) + units * each * count
        return needs

    def _bins(self, sku: str, first: int | None = None) -> list[Bin]:
        found = [self.bins[sku, place] for place in self.places if (sku, place) in self.bins]
        return sorted(found, key=lambda each: each.place != first) if first is not None else found

    def _claim(self, sku: str, units: int) -> None:
        for name, count in self.uses(sku).items():
            self._demand[name] = self._demand.get(name, 0) + units * count
            self._settle(name)

    def _show(self, item: Item, quantity: int, now: Instant) -> None:
        item.past.append((now, item.quantity))
        item.quantity, item.updated = quantity, now
        self._settle(item.sku)

    def _stock_moved(self, sku: str, now: Instant) -> None:
        self._settle(sku)
        self._push_later(sku, now)

    def _settle(self, sku: str) -> None:
        """Note how every shelf that ``sku`` is sold from stands now, and the bundles sold from them.

        Exposure is counted on shelves: whatever all listings that draw on one show beyond it, in its eaches.
        Hidden units are counted once too: on the shelf where its SKU is listed itself, else at the bundle.
        """
        bundles: dict[str, None] = {}
        for component in self.uses(sku):
            drawing = self._drawing_on(component)
            bundles.update(dict.fromkeys(name for name in drawing if name != component))
            amounts = [
                item.offered * item.each * count
                for name, count in drawing.items()
                for item in self._listed[name]
            ]
            product = self.products.get(component)
            total = shown_of(amounts, split=product is not None and product.split)
            left = max(0, self._left(component))
            hidden = max(0, left - total) if component in self._listed else 0
            exposed = max(0, total - left) if drawing else 0
            self.tally.note(component, self.now, hidden=hidden, exposed=exposed)
        for bundle in bundles:
            if not any(component in self._listed for component in self.uses(bundle)):
                shown = [item.offered * item.each for item in self._listed[bundle]]
                total = shown_of(shown, split=self.products[bundle].split)
                unseen = max(0, self.shippable(bundle) - total)
                self.tally.note(bundle, self.now, hidden=unseen, exposed=0)

    def _lag(self, what: str, about: str, span: tuple[int, int]) -> int:
        """Chance of its own for each thing it is about: what one world does more or less moves no other lag."""
        stream = f"{self.config.seed}/{what}/{about}"
        turn = self._draws[stream] = self._draws.get(stream, 0) + 1
        return span[0] + Random(f"{stream}/{turn}").randrange(span[1] - span[0] + 1)
