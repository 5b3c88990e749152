"""One correction under judgement, and all that stands outside its position."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from reconcilerd.domain.facts import EnvelopeApproved
from reconcilerd.domain.names import ChannelName, Sku, SlotKey
from reconcilerd.domain.policy import BundleMode, Mode
from reconcilerd.domain.position import (
    KEPT_FROM_RAISES,
    ClaimKind,
    Locations,
    OfferView,
    Position,
    StockView,
)
from reconcilerd.domain.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Spent:
    """What was changed on one channel within the sliding window, beyond what orders explain."""

    slots: int = 0
    units: int = 0
    zeros: int = 0
    value: int = 0
    """In hundredths of the currency."""
    listings: int = 0
    """How many listings the channel has in all (for the share)."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A freeze window that is open now, on one channel or (empty) on all; ``allow``: what it lets through."""

    channel: str
    allow: frozenset[str] = frozenset()
    """``lowers``: every lower; ``cures``: lowers of what shows more than could ship."""

    def bars(self, channel: str, *, lowers: bool, cures: bool) -> bool:
        """Whether it stops this change. Of several windows each may stop it: a deny wins."""
        if self.channel not in {"", channel}:
            return False
        return not ((lowers and "lowers" in self.allow) or (cures and "cures" in self.allow))


@dataclass(frozen=True, slots=True)
class Rails:
    """What stands outside a position: a person's words, what is latched, what this window has seen already."""

    mode: Mode
    stop: bool = False
    frozen: frozenset[str] = frozenset()
    """Channel names; the empty name freezes all."""
    spent: Mapping[ChannelName, Spent] = field(default_factory=lambda: MappingProxyType({}))
    envelopes: tuple[EnvelopeApproved, ...] = ()
    pinned: frozenset[SlotKey] = frozenset()
    """Slots that a person wants left at their number."""
    closed: tuple[Closed, ...] = ()
    """Freeze windows that are open now."""
    latched: frozenset[str] = frozenset()
    """Names of the rails that tripped and hold."""
    circuits: frozenset[ChannelName] = frozenset()
    """Channels whose circuit breaker is open."""
    half_fails: bool = False
    """Most channels fail together."""
    observing: bool = False
    """The policy was changed, and what it would do is only looked at."""
    breach: bool = False
    """Whether an invariant was broken, and nobody has let writes go on yet."""

    def after(self, change: "Change") -> "Rails":
        """These rails once ``change`` is sent."""
        old = self.spent.get(change.offer.slot.channel, Spent())
        if not change.unexplained:
            return self
        new = replace(
            old,
            slots=old.slots + 1,
            units=old.units + change.unexplained,
            zeros=old.zeros + change.zeroes,
            value=old.value + change.value,
        )
        return replace(self, spent={**self.spent, change.offer.slot.channel: new})


@dataclass(frozen=True, slots=True)
class Change:
    """One correction under judgement, in channel units; ``current`` is what the slot shows now."""

    position: Position
    offer: OfferView
    current: int
    target: int
    sold_out: bool = False
    """Nothing at all is left that this slot could show (a small share of little is no zero stock)."""

    cures: bool = False
    """It lowers a number beyond what could ship."""

    _unexplained: list[int] = field(default_factory=list, init=False, repr=False, compare=False)
    """What the first guard that asked was told: each asks, and the answer takes a look at every row and claim."""

    @property
    def lowers(self) -> bool:
        return self.target < self.current or (self.offer.write or 0) > self.target

    @property
    def size(self) -> int:
        return abs(self.target - self.current)

    @property
    def unexplained(self) -> int:
        """Units of the change that orders do not account for. Raises are never explained by orders."""
        if not self._unexplained:
            self._unexplained.append(self._beyond_orders())
        return self._unexplained[0]

    def _beyond_orders(self) -> int:
        if not self.lowers:
            return self.size
        explained = explained_units(self.position, self.offer)
        if self.sold_out:
            explained = min((explained, *_emptied(self.position, self.offer)))
        return max(0, self.size - explained)

    @property
    def zeroes(self) -> bool:
        """Whether it publishes a sold-out zero that orders do not wholly explain."""
        return self.sold_out and self.lowers and self.unexplained > 0

    @property
    def value(self) -> int:
        """What the unexplained units are worth, in hundredths of the currency; a SKU without a price: nothing."""
        return self.unexplained * self.offer.price


def explained_units(position: Position, offer: OfferView) -> int:
    """Sales that orders and inferred sales account for, on a component that keeps it from more (channel units).

    Orders placed, or first heard of, in the window count whatever became of them: what has shipped is gone from the
    shelf, and no claim. Older ones do not, shipped or not: what is shown has been less for them all along.
    """
    sold = dict(position.sold)
    scarce = _scarcest(position, offer)
    return max(
        (
            (sold.get(component, 0) + inferred(position, component)) // use
            for component, use in offer.uses
            if component in scarce
        ),
        default=0,
    )


def _scarcest(position: Position, offer: OfferView) -> set[Sku]:
    """Components that there is least of: where the listing draws on, or at any one place of those where it is put
    together.
    """
    if len(offer.uses) < 2:
        return {component for component, _ in offer.uses}
    lies = {component: _places_of(position, offer, component) for component, _ in offer.uses}
    sites = [offer.locations]
    if position.pool.bundles is BundleMode.PER_WAREHOUSE:
        sites = [frozenset({place}) for place in frozenset.intersection(*lies.values())] or sites
    left = [
        {each: _left(position, each, lies[each] & site) // use for each, use in offer.uses} for site in sites
    ]
    # Where nothing of any is, each is as scarce as the others: that tells of a fall only where it is so everywhere.
    # What emptied a place of all of them sold of each, of the scarcest elsewhere too.
    telling = [each for each in left if any(each.values())] or left
    return {each for there in telling for each, units in there.items() if units == min(there.values())}


def _places_of(position: Position, offer: OfferView, component: Sku) -> Locations:
    """Where a component lies, or did, that a listing may draw on."""
    rows = frozenset(row.location for row in position.stock if row.sku == component)
    return rows & offer.locations - position.excluded_of(component)


def _left(position: Position, component: Sku, places: Locations) -> int:
    """Units of a component at some places, less all that may be taken there."""
    there = sum(row.sellable for row in position.stock if row.sku == component and row.location in places)
    taken = sum(
        claim.units
        for claim in position.claims
        if claim.component == component and claim.locations & places and claim.kind not in KEPT_FROM_RAISES
    )
    return max(0, there - taken)


def _emptied(position: Position, offer: OfferView) -> Iterator[int]:
    """Of each row that a few readings say nothing is in, and that may be why nothing is left: what may have sold since
    it last said more (channel units).

    Earlier orders are not why, as long as the row may be wrong: the number that is shown lacks what they took already,
    unless their lower has waited for something. Then it waits for the next readings of the row, and no longer.
    """
    for row in position.stock:
        use = offer.use_of(row.sku)
        if use and fresh_zero(position, row) and _may_be_why(position, offer, row):
            yield (row.sold + inferred(position, row.sku)) // use


def fresh_zero(position: Position, row: StockView) -> bool:
    """Whether a row says nothing, and few readings have said so."""
    return not row.sellable and row.said < position.limits.zero_reads


def _may_be_why(position: Position, offer: OfferView, row: StockView) -> bool:
    """Whether a listing could show something if an empty row were not."""
    if row.location not in offer.locations - position.excluded_of(row.sku):
        return False
    if len(offer.uses) == 1 or position.pool.bundles is not BundleMode.PER_WAREHOUSE:
        return not _left(position, row.sku, _places_of(position, offer, row.sku))
    beside = {each.sku for each in position.stock if each.location == row.location and each.sellable}
    return all(name in beside for name, _ in offer.uses if name != row.sku)


def inferred(position: Position, component: Sku) -> int:
    """Eaches of a component that are taken for sold, since listings fell by so much."""
    return sum(c.units for c in position.claims if c.component == component and c.kind is ClaimKind.INFERRED)


Guard = Callable[[Change, Rails], Verdict | None]
