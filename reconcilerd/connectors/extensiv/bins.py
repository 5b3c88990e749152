"""The rows of stock of one reading: those that can be read, whose the others are, and what they add up to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.walk import Wire
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import FindingRaised
from reconcilerd.domain.names import LocationName, Sku, sku_of

Sums = tuple[int, int, int]
"""On hand, unavailable and allocated of the bins of one SKU at one place."""


@dataclass(slots=True)
class Bins:
    """The readable bins of a walk, the newest reading of each; findings for the rest."""

    bins: list[rows.Bin] = field(default_factory=list)
    findings: list[FindingRaised] = field(default_factory=list)
    unread: set[Sku] = field(default_factory=set)
    """SKUs with a bin that cannot be read; none of their bins is in ``bins``."""
    late: dict[str, Sku] = field(default_factory=dict)
    """Whose a row is that is only not proven yet, by the subject of its finding."""
    nameless: set[int | None] = field(default_factory=set)
    """Ids of rows that cannot be read and are nobody knows whose; None for one without."""

    def by_sku(self) -> dict[Sku, list[rows.Bin]]:
        groups: dict[Sku, list[rows.Bin]] = {}
        for each in self.bins:
            groups.setdefault(each.sku, []).append(each)
        return groups


def whose_row(row: Wire, owners: Mapping[int, Sku]) -> set[Sku]:
    """Whose row this is that cannot be read: by its SKU, and by its id, for its SKU may be what is wrong with it."""
    sku, id_ = parsed(lambda: sku_of(row["product"]["masterSku"])), stock_id(row)
    named = set[Sku]() if isinstance(sku, Rejected) else {sku}
    return named | {owners[id_]} if id_ is not None and id_ in owners else named


def stock_id(row: Wire) -> int | None:
    """The id of a row that cannot be read, if that much can be."""
    found = row.get("productStockId")
    return found if type(found) is int else None


def by_place(bins: Iterable[rows.Bin]) -> dict[LocationName, list[rows.Bin]]:
    groups: dict[LocationName, list[rows.Bin]] = {}
    for each in bins:
        groups.setdefault(each.location, []).append(each)
    return groups


def sums_of(bins: Iterable[rows.Bin]) -> dict[LocationName, Sums]:
    return {
        place: (
            sum(each.quantity for each in some),
            sum(each.unavailable for each in some),
            sum(each.allocated for each in some),
        )
        for place, some in by_place(bins).items()
    }


def on_hand(bins: Iterable[rows.Bin]) -> int:
    """Units in all of them."""
    return sum(each.quantity for each in bins)


def says_zero(bins: Sequence[rows.Bin]) -> bool:
    """Whether there are any, and nothing in them."""
    return bool(bins) and not on_hand(bins)
