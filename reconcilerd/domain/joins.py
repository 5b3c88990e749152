"""How slots, codes, SKUs and pool groups hang together: what Extensiv declares joined with what channels show.

Exactly, by listing SKU; never by likeness. Made anew when the catalogue changes, and grown slot by slot while a
first reading comes in, so that reading n listings costs n steps.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from reconcilerd.domain.bundles import BundleLoop, Groups, Uses, explode, group, outside_loops
from reconcilerd.domain.facts import EXTENSIV, ListingDeclared, ProductObserved
from reconcilerd.domain.names import ChannelName, Sku, SlotKey

Code = tuple[ChannelName, str]
"""A channel and a listing SKU there, as ``code_of`` compares it."""


def code_of(listing_sku: str) -> str:
    """A listing's SKU as it is compared: trimmed and without case."""
    return listing_sku.strip().casefold()


@dataclass(slots=True)
class Joins:
    """``add`` is the only thing that changes it."""

    declared: Mapping[Code, tuple[ListingDeclared, ...]]
    uses: Mapping[Sku, Uses]
    """Eaches of each component that one unit of a SKU takes; of one that contains itself, see ``outside_loops``."""
    loops: Mapping[Sku, str]
    """Bundles that contain themselves, and how."""
    unlisted: dict[Sku, tuple[ChannelName, ...]]
    """Channels that declare a listing of a SKU which no reading of the channel has shown yet."""
    lapsed: Mapping[Code, tuple[Sku, ...]]
    """What codes meant whose listings are no longer active: orders that name them are still to be shipped."""
    renamed: Mapping[Sku, Sku] = field(default_factory=dict)
    """SKUs whose product is called otherwise now, and how: its orders of before name what it was called then."""
    codes: Mapping[Code, Sku] = field(init=False)
    sku_of: dict[SlotKey, Sku] = field(default_factory=dict)
    slots_of: dict[Sku, tuple[SlotKey, ...]] = field(default_factory=dict)
    ambiguous: set[SlotKey] = field(default_factory=set)
    """Slots of which nobody can say what they sell: mapped twice, or one of several of the same code."""
    lapsing: set[SlotKey] = field(default_factory=set)
    """Slots that are shown although their mapping has ended: nobody writes them, and what they show may sell."""
    pushed: set[SlotKey] = field(default_factory=set)
    """Slots where Extensiv's native push is on."""
    sold_as: dict[Sku, tuple[Sku, ...]] = field(default_factory=dict)
    """Which sold SKUs (itself, bundles) take from a component."""
    _codes_of: dict[Sku, list[Code]] = field(init=False, default_factory=dict)
    _seen: dict[Code, list[SlotKey]] = field(default_factory=dict)
    _groups: Groups | None = None
    _taking: dict[int, tuple[Mapping[Sku, object], dict[Sku, tuple[Sku, ...]]]] = field(default_factory=dict)
    """Which of some SKUs take each component, by the mapping that names them."""

    def __post_init__(self) -> None:
        self.codes = {code: some[0].sku for code, some in self.declared.items() if not _twice(some)}
        for code, some in self.declared.items():
            self._codes_of.setdefault(some[0].sku, []).append(code)

    def sold_from(self, components: Iterable[Sku]) -> list[Sku]:
        """Every SKU on sale that takes any of these components, in order."""
        return sorted({sku for component in components for sku in self.sold_as.get(component, ())})

    def meant(self, code: Code) -> tuple[Sku, ...]:
        """Which SKUs an order line of this code may take: of a code mapped twice each of them."""
        active = self.declared.get(code)
        if not active:
            return self.lapsed.get(code, ())
        return (active[0].sku,) if len(active) == 1 else tuple(sorted({each.sku for each in active}))

    def now_called(self, sku: Sku) -> Sku:
        """What the product of this SKU is called now."""
        return self.renamed.get(sku, sku)

    def taking(self, component: Sku, named: Mapping[Sku, object]) -> tuple[Sku, ...]:
        """Which of some SKUs take a component, sold or not: itself, and bundles. Remembered for each mapping."""
        if id(named) not in self._taking:
            found: dict[Sku, list[Sku]] = {}
            for sku in named:
                for name, _ in self.uses.get(sku) or ((sku, 1),):
                    found.setdefault(name, []).append(sku)
            # Kept with it, so that no other mapping can have its id.
            self._taking[id(named)] = named, {name: tuple(some) for name, some in found.items()}
        return self._taking[id(named)][1].get(component, ())

    @property
    def groups(self) -> Groups:
        """Pool groups: SKUs tied together by bundles that are sold."""
        if self._groups is None:
            self._groups = group(
                [component for component, _ in each]
                for sku, each in self.uses.items()
                if sku in self.slots_of or len(each) == 1
            )
        return self._groups

    def add(self, slot: SlotKey, code: str) -> None:
        """Join one slot that shows ``code``. A slot whose code changes, or that is gone, needs joins made anew."""
        key = (slot.channel, code)
        some = self.declared.get(key, ())
        skus = tuple(each.sku for each in some[:1]) or self.lapsed.get(key, ())
        # What several lapsed mappings meant nobody can say.
        if not code or len(skus) != 1 or slot in self.sku_of:
            return
        (sku,) = skus
        self.sku_of[slot] = sku
        if not some:
            self.lapsing.add(slot)
        alike = self._seen.setdefault(key, [])
        alike.append(slot)
        if _twice(some) or len({each.listing for each in alike}) > 1:
            self.ambiguous.update(alike)
        if any(each.push_inventory for each in some):
            self.pushed.add(slot)
        if sku not in self.slots_of:
            self._first_slot_of(sku)
        self.slots_of[sku] = tuple(sorted((*self.slots_of[sku], slot)))
        if len(alike) == 1 and sku in self.unlisted:
            self._list(sku, slot.channel)

    def _first_slot_of(self, sku: Sku) -> None:
        self.slots_of[sku] = ()
        uses = self.uses.get(sku, ())
        for component, _ in uses:
            self.sold_as[component] = tuple(sorted((*self.sold_as.get(component, ()), sku)))
        if len(uses) > 1 and self._groups is not None:
            self._groups = self._groups.tied(component for component, _ in uses)

    def _list(self, sku: Sku, channel: ChannelName) -> None:
        """A code of this SKU was shown on a channel: is there another one that was not?"""
        still = any(code[0] == channel and code not in self._seen for code in self._codes_of[sku])
        if not still:
            self.unlisted[sku] = tuple(name for name in self.unlisted[sku] if name != channel)


def join(
    listings: Iterable[ListingDeclared],
    products: Mapping[Sku, ProductObserved],
    channels: Mapping[int, ChannelName],
    unread: Collection[ChannelName],
    kits: Collection[Sku] = (),
) -> Joins:
    """Joins without slots yet. ``channels``: sales channel ids to names; ``unread``: those never read whole;
    ``kits``: SKUs packed ahead.
    """
    found: dict[Code, list[ListingDeclared]] = {}
    lapsed: dict[Code, set[Sku]] = {}
    skus = set(products)
    for listing in listings:
        skus.add(listing.sku)
        name = channels.get(listing.sales_channel_id)
        name = name or ChannelName(f"{EXTENSIV}-{listing.sales_channel_id}")
        code = (name, code_of(listing.listing_sku))
        if listing.active:
            found.setdefault(code, []).append(listing)
        else:
            lapsed.setdefault(code, set()).add(listing.sku)
    for some in found.values():
        # Whichever came first: a start learns of them in another order.
        some.sort(key=lambda each: (each.sku, each.listing_id))
    unlisted: dict[Sku, set[ChannelName]] = {}
    for (name, _), some in found.items():
        if name in unread:
            unlisted.setdefault(some[0].sku, set()).add(name)
    uses: dict[Sku, Uses] = {}
    loops: dict[Sku, str] = {}
    for sku in sorted(skus):
        try:
            uses[sku] = explode(sku, products, kits)
        except BundleLoop as loop:
            loops[sku], uses[sku] = str(loop), outside_loops(sku, products, kits)
    return Joins(
        declared={code: tuple(some) for code, some in found.items()},
        uses=uses,
        loops=loops,
        lapsed={code: tuple(sorted(some)) for code, some in lapsed.items()},
        unlisted={sku: tuple(sorted(names)) for sku, names in unlisted.items()},
        renamed=_renamed(products.values()),
    )


def _renamed(products: Iterable[ProductObserved]) -> dict[Sku, Sku]:
    """Nothing ends a SKU but a reading that lacks its product: one that was renamed is there still, by its number."""
    newest: dict[int, ProductObserved] = {}
    for each in products:
        known = newest.get(each.product_id)
        if known is None or (known.active, known.as_of) < (each.active, each.as_of):
            newest[each.product_id] = each
    now = {each.sku: newest[each.product_id].sku for each in products}
    return {old: new for old, new in now.items() if old != new}


def _twice(some: Collection[ListingDeclared]) -> bool:
    """Whether one code means several SKUs."""
    return len({each.sku for each in some}) > 1
