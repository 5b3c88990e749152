"""What happens in a business, each deed decided by chance beforehand and done to whatever world it then meets."""

from collections.abc import Callable
from functools import partial
from random import Random

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.truth import World

Deed = Callable[[World, Instant], None]

CANCELLED, TYPED_IN = 0.03, 0.05
"""Shares of orders that are cancelled, and that are typed straight into Extensiv."""


def visit(sku: str, store: str, number: int, chance: Random, typed_in: float = TYPED_IN) -> Deed:
    cancelled_after = chance.randint(30_000, 1_200_000) if chance.random() < CANCELLED else None
    if chance.random() < typed_in:
        return partial(_typed_in, sku)

    def deed(world: World, now: Instant) -> None:
        order = world.place_order(store, f"{number:06d}", [(sku, 1)], now)
        if order is not None and cancelled_after is not None:
            world.at(now + cancelled_after, partial(world.cancel, order))

    return deed


def _typed_in(sku: str, world: World, now: Instant) -> None:
    if world.shippable(sku):
        world.enter_order(sku, 1, now)


def receipt(sku: str, place: int, units: int) -> Deed:
    return lambda world, now: world.receive(sku, place, units, now)


def breakage(sku: str, units: int) -> Deed:
    return lambda world, now: world.damage(sku, units, now)


def foreign_write(sku: str, store: str, by: int, place: int = 0) -> Deed:
    """``place``: at which of the store's places, counted from the first."""

    def deed(world: World, now: Instant) -> None:
        item = world.stores[store].by_sku[sku].levels[place]
        world.set_quantity(item, max(0, item.quantity + by), now)

    return deed
