"""What a channel is called where one listing of it is at several of its places."""

from collections import Counter
from collections.abc import Iterable, Mapping

Slot = tuple[str, str, str]
"""Channel, listing and place."""


def names_of(slots: Iterable[Slot]) -> Mapping[Slot, str]:
    """The channel of each; with its place, where the same listing is at several of them."""
    slots = list(slots)
    alike = Counter(slot[:2] for slot in slots)
    return {
        slot: f"{slot[0]} at {slot[2].rpartition('/')[2]}" if alike[slot[:2]] > 1 else slot[0]
        for slot in slots
    }
