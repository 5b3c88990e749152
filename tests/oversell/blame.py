"""Whose doing it is that more is shown than there is: raises, judged by the truth at the moment they reach a store.

What sells while an accepted raise is on its way is nobody's doing who sent it: ``Score.self_made`` counts that too.
"""

from dataclasses import dataclass

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.truth import Item, World


@dataclass(slots=True)
class Blame:
    """Looks at every write that a world accepts. ``units``: eaches that raises offered beyond what there was."""

    world: World
    units: int = 0

    def watch(self) -> None:
        """Be told of every write from now on."""
        accept = self.world.accept_write

        def accept_write(item: Item, quantity: int, now: Instant, *, lost: bool = False) -> None:
            self.world.advance(now)
            if quantity > item.quantity:
                before = _beyond(self.world, item, item.quantity)
                self.units += max(0, _beyond(self.world, item, quantity) - before)
            accept(item, quantity, now, lost=lost)

        setattr(self.world, "accept_write", accept_write)  # noqa: B010 - a method, for this one world


def _beyond(world: World, item: Item, quantity: int) -> int:
    """Eaches shown beyond what could ship, on the shelves an item is sold from, if it showed ``quantity``."""
    return sum(_beyond_on(world, component, item, quantity) for component in world.uses(item.sku))


def _beyond_on(world: World, component: str, item: Item, quantity: int) -> int:
    amounts = [
        max(0, quantity if each is item else each.quantity) * each.each * uses[component]
        for store in world.stores.values()
        for each in store.items.values()
        if component in (uses := world.uses(each.sku))
    ]
    product = world.products[component]
    shown = sum(amounts) if product.split else max(amounts, default=0)
    return max(0, shown - world.shippable(component))
