"""Whether two readings of one thing say the same, whenever they were taken."""

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

from reconcilerd.domain.facts.readings import OrderObserved, SlotObserved, StockObserved


def all_but(record: type[Any], *names: str) -> Callable[[Any], tuple[Any, ...]]:
    """What reads all fields of a record but these, to compare without copying."""
    return attrgetter(*(each.name for each in fields(record) if each.name not in names))


_SLOT: Final = all_but(SlotObserved, "age_of", "as_of")
_STOCK: Final = all_but(StockObserved, "age_of", "as_of")
_ORDER: Final = all_but(OrderObserved, "as_of")


def same_slot(old: SlotObserved, new: SlotObserved) -> bool:
    return _SLOT(old) == _SLOT(new)


def same_stock(old: StockObserved, new: StockObserved) -> bool:
    return _STOCK(old) == _STOCK(new)


def same_order(old: OrderObserved | None, new: OrderObserved) -> bool:
    """Nothing known before is not the same."""
    return old is new or (old is not None and _ORDER(old) == _ORDER(new))
