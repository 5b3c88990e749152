"""Whether two readings of one thing say the same, whenever they were taken."""

from dataclasses import fields
from operator import attrgetter
from typing import Final

from reconcilerd.domain.facts.readings import OrderObserved, SlotObserved, StockObserved


def _all_but(kind: type[SlotObserved | StockObserved | OrderObserved], *names: str) -> attrgetter:  # type: ignore[type-arg]
    return attrgetter(*(each.name for each in fields(kind) if each.name not in names))


_SLOT: Final = _all_but(SlotObserved, "age_of", "as_of")
_STOCK: Final = _all_but(StockObserved, "age_of", "as_of")
_ORDER: Final = _all_but(OrderObserved, "as_of")


def same_slot(old: SlotObserved, new: SlotObserved) -> bool:
    return bool(_SLOT(old) == _SLOT(new))


def same_stock(old: StockObserved, new: StockObserved) -> bool:
    return bool(_STOCK(old) == _STOCK(new))


def same_order(old: OrderObserved | None, new: OrderObserved) -> bool:
    """Nothing known before is not the same."""
    return old is new or (old is not None and bool(_ORDER(old) == _ORDER(new)))
