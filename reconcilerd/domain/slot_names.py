"""What a channel is called where one listing of it is at several of its places."""

from collections.abc import Iterable, Mapping

Slot = tuple[str, str, str]
"""Channel, listing and place."""


def names_of(slots: Iterable[Slot]) -> Mapping[Slot, str]:
    """The channel of each; with its place, where the same listing is at several of them."""
    listings: dict[tuple[str, str], list[Slot]] = {}
    for slot in slots:
        listings.setdefault(slot[:2], []).append(slot)
    return {slot: name_among(slot, alike) for alike in listings.values() for slot in alike}


def name_among(slot: Slot, others: Iterable[Slot]) -> str:
    """The channel of one; with its place, if the same listing is at another place of the channel among ``others``."""
    several = any(other[:2] == slot[:2] and other != slot for other in others)
    return f"{slot[0]} at {slot[2].rpartition('/')[2]}" if several else slot[0]
