"""Shelves and listings: what lies where, what each store shows, and how much of that is too much or too little.

Synchronous and deterministic. Time comes in with each call; lags are events that fall due.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.lags import WorldConfig
from reconcilerd.simulator.score import Score, Tally, shown_of
from reconcilerd.simulator.stores import Bin, Item, Order, Place, Product, Store


class Shelves:
    """The business but for its orders. Every method that changes it takes the time."""

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
        self._happening = False
        self._failed: BaseException | None = None
        """What an event raised: whoever asked for the time to pass may have taken it for his own fault."""
        self._number = 0
        self._demand: dict[str, int] = {}
        self._uses: dict[str, dict[str, int]] = {}
        self._listed: dict[str, list[Item]] = {}
        self._sold_from: dict[str, dict[str, int]] | None = None
        """For each shelf, the listed SKUs that are sold from it and how many eaches one unit takes."""

    def advance(self, now: Instant) -> None:
        """Let everything happen that is due by ``now``, one after another: what happens lets nothing else happen."""
        if self._happening:
            return
        self._happening = True
        try:
            while self._events and self._events[0][0] <= now:
                due, _, event = heapq.heappop(self._events)
                self.now = max(self.now, due)
                event(self.now)
        except BaseException as error:
            self._failed = error
            raise
        finally:
            self._happening = False
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
        """The score up to ``now``. Raises whatever an event of this business has raised until then."""
        self.advance(now)
        if self._failed is not None:
            raise self._failed
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
