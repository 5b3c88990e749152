"""One correction under judgement, and all that stands outside its position."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from reconcilerd.domain.facts import EnvelopeApproved
from reconcilerd.domain.names import ChannelName, SlotKey
from reconcilerd.domain.policy import Mode
from reconcilerd.domain.position import ClaimKind, OfferView, Position
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

    @property
    def lowers(self) -> bool:
        return self.target < self.current or (self.offer.write or 0) > self.target

    @property
    def size(self) -> int:
        return abs(self.target - self.current)

    @property
    def unexplained(self) -> int:
        """Units of the change that orders do not account for. Raises are never explained by orders."""
        if not self.lowers:
            return self.size
        return max(0, self.size - explained_units(self.position, self.offer))

    @property
    def zeroes(self) -> bool:
        """Whether it publishes a sold-out zero that orders do not wholly explain."""
        return self.sold_out and self.lowers and self.unexplained > 0

    @property
    def value(self) -> int:
        """What the unexplained units are worth, in hundredths of the currency; a SKU without a price: nothing."""
        return self.unexplained * self.offer.price


def explained_units(position: Position, offer: OfferView) -> int:
    """Sales that orders and inferred sales account for, on the component that sold most (channel units).

    Orders placed, or first heard of, in the window count whatever became of them: what has shipped is gone from the
    shelf, and no claim. Older ones do not, shipped or not: what is shown has been less for them all along.
    """
    sold = dict(position.sold)
    inferred = {
        component: sum(
            c.units for c in position.claims if c.component == component and c.kind is ClaimKind.INFERRED
        )
        for component, _ in offer.uses
    }
    return max((sold.get(each, 0) + inferred[each]) // use for each, use in offer.uses) if offer.uses else 0


Guard = Callable[[Change, Rails], Verdict | None]
