"""Orders so large that people should hear of them before they see their channels fall."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from reconcilerd.domain.names import ChannelName, Sku
from reconcilerd.domain.position import OPEN, Position
from reconcilerd.domain.room import level_of


@dataclass(frozen=True, slots=True)
class LargeOrder:
    """One open order that takes more than the announced part of what was available before it (eaches)."""

    component: Sku
    channel: ChannelName
    order: str
    units: int
    available: int
    """Before it."""

    @property
    def identity(self) -> "Identity":
        return self.component, self.channel, self.order


Identity = tuple[Sku, ChannelName, str]
"""Which order of which component it is, whatever it comes to by now."""


def open_news(position: Position) -> dict[Identity, tuple[int, int]]:
    """Open orders that are news: units ordered of each component, and those of them that are held back for it."""
    found: dict[Identity, tuple[int, int]] = {}
    for claim in position.claims:
        if claim.news and claim.channel is not None and claim.kind in OPEN:
            key = claim.component, claim.channel, claim.news
            ordered, held = found.get(key, (0, 0))
            found[key] = ordered + claim.units + claim.waived, held + claim.units
    return found


def large_orders(position: Position, told: Collection[Identity] = ()) -> Iterator[LargeOrder]:
    """The large ones among the open orders that are news; one that was told of stays so until it is open no more."""
    limits = position.limits
    for (component, channel, order), (ordered, held) in open_news(position).items():
        if ordered < limits.announce_units:
            continue
        before = level_of(position, component) + held
        large = ordered * 1000 > limits.announce_permille * before
        if large or (component, channel, order) in told:
            yield LargeOrder(component, channel, order, ordered, before)
