"""A listing as answers name it."""

from reconcilerd.domain.joins import Joins
from reconcilerd.domain.names import SlotKey
from reconcilerd.domain.slot_names import name_among


def told_of(slot: SlotKey, joins: Joins) -> dict[str, str]:
    """Its ids, and what a person calls it: its channel, with the place where the listing is at several of them."""
    sku = joins.sku_of.get(slot)
    others = () if sku is None else joins.slots_of[sku]
    return {
        "channel": slot.channel,
        "listing": slot.listing,
        "place": slot.place,
        "where": name_among(_ids(slot), map(_ids, others)),
    }


def _ids(slot: SlotKey) -> tuple[str, str, str]:
    return slot.channel, slot.listing, slot.place
