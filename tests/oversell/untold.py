"""What of the hidden units no system tells: arrived where Extensiv only copies, or held for a parcel that has left.

Nobody who asks Extensiv and the stores can offer these but by guessing; whoever has sold them before they came hides
none of them.
"""

from collections import Counter
from dataclasses import dataclass

import anyio

from reconcilerd.simulator.stores import Order
from reconcilerd.simulator.truth import World

LOOK_S = 5.0


@dataclass
class Untold:
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
        told = self._told() if hidden else Counter[str]()
        return sum(
            min(units, max(0, self.world.shippable(sku) - self._could_ship(sku, told)))
            for sku, units in hidden.items()
        )

    def _could_ship(self, sku: str, told: Counter[str]) -> int:
        return max(0, min(told[name] // count for name, count in self.world.uses(sku).items()))

    def _told(self) -> Counter[str]:
        """Eaches left of each component (or lacking) by what Extensiv says is there and all orders anybody knows."""
        left = Counter[str]()
        for (component, _), each in self.world.bins.items():
            left[component] += max(0, each.copied - each.locked)
        refreshed = self.world.copied_at[-1] if self.world.copied_at else 0
        for order in self.world.orders.values():
            if self._takes(order, refreshed):
                left.subtract(self.world.needs(order))
        return left

    def _takes(self, order: Order, refreshed: int) -> bool:
        """Whether it is open as Extensiv has heard, or the copy of its place still holds what has left."""
        if order.off is not None:
            return False
        if order.shipped is None or order.ext_status != "SHIPPED":
            return True
        return self.world.places[order.ext_place or 0].mirror and order.shipped > refreshed
