"""The one truth: what lies on the shelves, what was sold, what each store shows; and the score of it all.

Extensiv and the stores see only parts of it, late: that is what the daemon has to live with. Here is the way of the
orders through it.
"""

from collections.abc import Sequence

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.lags import WorldConfig as WorldConfig  # noqa: PLC0414 - whoever makes a world needs it
from reconcilerd.simulator.shelves import Shelves
from reconcilerd.simulator.stores import Item, Order, Store

TYPED_IN = 900
"""The sales channel of orders that are typed straight into Extensiv."""


class World(Shelves):
    """The business. Every method that changes it takes the time."""

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
        order = order.whole
        if order.cancelled is not None or any(piece.shipped is not None for piece in order.pieces):
            return
        if not order.store:
            self._cancel_in_extensiv(order, now)
        order.cancelled = order.updated = now
        order.visible = Instant(now + self._lag("cancel index", order.number, self.config.index_lag_ms))
        restocked = order.taken if order.store and self.stores[order.store].restocks else ()
        for item, units in restocked:
            self._show(item, item.quantity + units, now)
        for component, units in self.eaches(order, order.lines).items():
            self._claim(component, -units)
        for piece in order.pieces if order.imported is not None else ():
            due = now + self._lag("cancel", order.number, self.config.import_ms)
            self.at(due, lambda at, piece=piece: self._cancel_in_extensiv(piece, at))  # type: ignore[misc]

    def take_off(self, order: Order, code: str, units: int, now: Instant, *, restock: bool = True) -> None:
        """A customer takes units off a line of a store's open order; the rest of that line stays ordered.

        ``restock``: whether the store shows them again. Extensiv hears of it as of a cancel, and a parcel that leaves
        before holds them all the same.
        """
        self.advance(now)
        found = (at for at, (each, count) in enumerate(order.lines) if each == code and count > units)
        line = next(found, None)
        over = order.cancelled is not None or order.shipped is not None or order.split
        if line is None or not order.store or over:
            return
        left = order.lines[line][1] - units
        order.lines = [*order.lines[:line], (code, left), *order.lines[line + 1 :]]
        order.edited = order.updated = now
        order.visible = Instant(now + self._lag("edit index", order.number, self.config.index_lag_ms))
        self._give_back(order, code, units, now, restock=restock)
        item = self.stores[order.store].by_sku.get(code)
        if item is not None:
            self._claim(item.sku, -units * item.each)
        if order.imported is not None:
            self._edit_later(order, now)

    def _give_back(self, order: Order, code: str, units: int, now: Instant, *, restock: bool) -> None:
        """Take units off what an order took of a listing, the last place first."""
        kept = []
        for item, taken in reversed(order.taken):
            back = min(units, taken) if item.listing_sku == code else 0
            units -= back
            if back and restock:
                self._show(item, item.quantity + back, now)
            if taken > back:
                kept.append((item, taken - back))
        order.taken = kept[::-1]

    def split_order(self, order: Order, code: str, units: int, place: int, now: Instant) -> None:
        """Extensiv makes a second order, of the same number, of some units of a line; ``place``: from where they leave.

        Not where it has no such order open, or would keep nothing of it, or is still to hear that its customer changed
        it. The store knows nothing of it until a parcel leaves.
        """
        self.advance(now)
        kept = dict(order.ext_lines)
        waits = order.ext_status == "AWAITING_SHIPMENT" and order.shipped is None
        if not waits or order.split or order.edited is not None or order.off is not None:
            return
        if kept.get(code, 0) < units or sum(kept.values()) <= units:
            return
        moved = self.eaches(order, [(code, units)])
        for sku, count in moved.items():
            self._unallocate(order, sku, count)
            self._push_later(sku, now)
        kept[code] -= units
        order.ext_lines = [(each, count) for each, count in kept.items() if count]
        order.ext_modified = now
        self._number += 1
        part = Order(
            self._number,
            order.number,
            order.store,
            order.sales_channel_id,
            [(code, units)],
            order.placed,
            now,
            order.visible,
            imported=now,
            ext_status=order.ext_status,
            ext_modified=now,
            ext_place=place,
            ext_lines=[(code, units)],
            part_of=order,
        )
        self.orders[part.id] = part
        order.parts.append(part)
        self._send_off(part, now)

    def enter_order(self, sku: str, units: int, now: Instant) -> Order:
        """An order typed straight into Extensiv, on no channel."""
        self.advance(now)
        self._number += 1
        order = Order(self._number, f"B2B-{self._number}", "", TYPED_IN, [(sku, units)], now, now, now)
        self.orders[order.id] = order
        self._claim(sku, units)
        self._import(order, now)
        return order

    def reroute(self, order: Order, place: int, now: Instant) -> None:
        """Somebody gives an open order to another warehouse; what is allocated for it moves along."""
        self.advance(now)
        for sku, units in self._ships(order).items():
            self._unallocate(order, sku, units)
            there = self.bins.get((sku, place))
            if there is not None:
                there.routed += units
                there.allocated += units if order.allocated else 0
            self._push_later(sku, now)
        order.ext_place, order.ext_modified = place, now

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
        order.ext_lines = order.lines
        if order.edited is not None and self._lag("as ordered", order.number, (0, 1)):
            # It was fetched before the edit.
            order.ext_lines = order.bought
            self._edit_later(order, now)
        order.ext_status = "AWAITING_SHIPMENT"
        order.ext_place = self._route(order)
        self._send_off(order, now)

    def _send_off(self, order: Order, now: Instant) -> None:
        """What is routed is allocated some time later, and leaves later still."""
        for sku, units in self._ships(order).items():
            each = self.bins.get((sku, order.ext_place or 0))
            if each is not None:
                each.routed += units
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
            for sku, units in self._ships(order).items()
        )

    def _allocate(self, order: Order, now: Instant) -> None:
        if order.ext_status != "AWAITING_SHIPMENT" or order.ext_place is None:
            return
        order.allocated = True
        for sku, units in self._ships(order).items():
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
        wanted = self.needs(order) if order.off is None else {}
        for sku, units in self._ships(order).items():
            # What was cancelled, or taken off, was given back then; nothing is given back twice.
            self._demand[sku] = self._demand.get(sku, 0) - wanted.get(sku, 0)
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
        if order.off is None:
            whole = order.whole
            whole.fulfilled = all(piece.ext_status == "SHIPPED" for piece in whole.pieces)
            whole.updated, whole.visible = now, max(whole.visible, now)
        for sku, units in self._ships(order).items():
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
            for sku, units in self._ships(order).items():
                self._unallocate(order, sku, units)
                self._push_later(sku, now)

    def _edit_later(self, order: Order, now: Instant) -> None:
        """Extensiv hears of what was taken off an order, unless the parcel is faster."""
        due = now + self._lag("edit", order.number, self.config.import_ms)
        self.at(due, lambda at: self._edit_in_extensiv(order, at))

    def _edit_in_extensiv(self, order: Order, now: Instant) -> None:
        if order.ext_status != "AWAITING_SHIPMENT" or order.shipped is not None:
            return
        before, order.ext_lines, order.ext_modified = self._ships(order), order.lines, now
        left = self._ships(order)
        for sku, units in before.items():
            if units > left.get(sku, 0):
                self._unallocate(order, sku, units - left.get(sku, 0))
                self._push_later(sku, now)

    def needs(self, order: Order) -> dict[str, int]:
        """Eaches of each component that an order's customer wants; of codes that nobody knows: nothing.

        Of one that was split: what its customer wants of each piece.
        """
        return self.eaches(order, order.ext_lines if order.split else order.lines)

    def _ships(self, order: Order) -> dict[str, int]:
        """Eaches of each component that Extensiv takes off the shelf for an order."""
        return self.eaches(order, order.ext_lines)

    def eaches(self, order: Order, lines: Sequence[tuple[str, int]]) -> dict[str, int]:
        """Eaches of each component in some lines of an order."""
        needs: dict[str, int] = {}
        for code, units in lines:
            item = self.stores[order.store].by_sku.get(code) if order.store else None
            sku, each = (item.sku, item.each) if item else (code, 1)
            if sku not in self.products:
                continue
            for name, count in self.uses(sku).items():
                needs[name] = needs.get(name, 0) + units * each * count
        return needs
