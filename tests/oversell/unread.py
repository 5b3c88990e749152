"""What of the hidden units no system tells: arrived where Extensiv only copies, or held for a parcel that has left.

Nobody who asks Extensiv and the stores can offer these but by guessing; whoever has sold them before they came hides
none of them.
"""

from collections import Counter
from dataclasses import dataclass

import anyio

from reconcilerd.simulator.truth import Order, World

LOOK_S = 5.0


@dataclass
class Unread:
    """Looks at a world now and then. ``minutes``: unit-minutes hidden of which no system told."""

    world: World
    minutes: float = 0.0

    async def watch(self) -> None:
        """For ever."""
        while True:
            await anyio.sleep(LOOK_S)
            self.minutes += self.units() * LOOK_S / 60

    def units(self) -> int:
        """Units hidden now of which no system tells."""
        hidden = self.world.tally.hidden_now()
        taken = self._taken() if hidden else Counter[str]()
        return sum(
            min(units, max(0, self.world.shippable(sku) - self._told(sku, taken)))
            for sku, units in hidden.items()
        )

    def _told(self, sku: str, taken: Counter[str]) -> int:
        """What could ship of a SKU by what Extensiv says is there and all orders anybody knows."""
        there = Counter[str]()
        for (component, _), each in self.world.bins.items():
            there[component] += max(0, each.copied - each.locked)
        uses = self.world.uses(sku).items()
        return max(0, min((there[name] - taken[name]) // count for name, count in uses))

    def _taken(self) -> Counter[str]:
        """Eaches of each component that orders take, as far as anybody has heard."""
        taken = Counter[str]()
        for order in self.world.orders.values():
            for code, units in order.lines if self._takes(order) else ():
                item = self.world.stores[order.store].by_sku[code] if order.store else None
                sku, each = (item.sku, item.each) if item else (code, 1)
                for name, count in self.world.uses(sku).items():
                    taken[name] += units * each * count
        return taken

    def _takes(self, order: Order) -> bool:
        """Whether it is open as Extensiv has heard, or the copy of its place still holds what has left."""
        if order.cancelled is not None:
            return False
        if order.shipped is None or order.ext_status != "SHIPPED":
            return True
        refreshed = max(self.world.copied_at, default=0)
        return self.world.places[order.ext_place or 0].mirror and order.shipped > refreshed
