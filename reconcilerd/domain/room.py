"""Room on the shelf: what every set of locations holds of every component, and what is shown of it already.

Invariants I1 to I3 in arithmetic. For each component and each union of the listings' location sets there is one
``Shelf``: its stock less every claim that lies wholly inside it. A set of shown quantities fits exactly if it
fits on every shelf (Hall's condition), so one subtraction per shelf tells what may still be granted.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from types import MappingProxyType

from reconcilerd.domain.names import LocationName, Sku, SlotKey
from reconcilerd.domain.policy import BundleMode
from reconcilerd.domain.position import KEPT_FROM_RAISES, ORDERED, Locations, OfferView, Position
from reconcilerd.domain.quantities import MAX_UNITS

Shown = Mapping[SlotKey, int]
Recipe = tuple[tuple[Sku, int], ...]
"""How many eaches of each component one unit of a bundle takes."""
_Kind = tuple[Sku, Locations]
"""Listings of one bundle that ship from the same places."""
MAX_LOCATION_SETS = 12
MAX_BUNDLES = 4
"""Of one component, whose every choice is looked at."""
_NOTHING: Shown = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shelf:
    """One component within one union of locations. ``use``: eaches one sale of each listing takes from it."""

    component: Sku
    locations: Locations
    stock: int
    claimed: int
    unseen: int
    """Units Extensiv holds for orders beyond all orders we could name."""
    buried: int
    use: tuple[tuple[SlotKey, int], ...]
    coming: int = 0
    """Declared inbound beyond what lies there: what has come early is counted once."""

    @property
    def left(self) -> int:
        """S: what lowers are measured against."""
        return max(0, self.stock - self.claimed - self.unseen)

    @property
    def left_for_raises(self) -> int:
        return max(0, self.left - self.buried)

    @property
    def coming_left(self) -> int:
        """What of the declared inbound no claim takes beyond the stock."""
        return max(0, self.stock + self.coming - self.claimed - self.unseen) - self.left

    def taken(self, shown: Shown) -> int:
        taken = 0
        for slot, count in self.use:
            taken += count * shown.get(slot, 0)
        return taken


@dataclass(frozen=True)
class Room:
    """All shelves of a pool group."""

    shelves: tuple[Shelf, ...]
    levels: Mapping[Sku, int] = field(default_factory=dict)
    """Units of each component left at all locations it may be sold from, whatever the channel."""
    whole: bool = True
    """False: there are too many unions to look at all of them, so nothing may be raised."""
    beyond: Shown = field(default_factory=lambda: _NOTHING)
    """What each listing may show that no shelf need hold: its part of declared overcommit and inbound."""

    @cached_property
    def _holding(self) -> Mapping[SlotKey, Sequence[tuple[int, int]]]:
        """Per listing the numbers of the shelves it takes from, and the eaches that one sale takes there.

        Listings at many places have hundreds of shelves, and looking through each for each listing is slow.
        """
        found: dict[SlotKey, list[tuple[int, int]]] = {}
        for number, shelf in enumerate(self.shelves):
            for slot, use in shelf.use:
                found.setdefault(slot, []).append((number, use))
        return found

    @cached_property
    def _left(self) -> Sequence[int]:
        return [shelf.left for shelf in self.shelves]

    @cached_property
    def _left_for_raises(self) -> Sequence[int]:
        return [shelf.left_for_raises for shelf in self.shelves]

    def _spare(self, shown: Shown, *, raising: bool = False) -> list[int]:
        """What each shelf has left beside what is shown of it."""
        left = list(self._left_for_raises if raising else self._left)
        for slot, count in shown.items():
            if count:
                for number, use in self._holding.get(slot, ()):
                    left[number] -= use * count
        return left

    def holding(self, slot: SlotKey) -> Iterator[tuple[Shelf, int]]:
        """The shelves that ``slot`` takes from, each with the eaches that one sale takes."""
        return ((self.shelves[number], use) for number, use in self._holding.get(slot, ()))

    def fits(self, shown: Shown) -> bool:
        return min(self._spare(self._on_shelf(shown)), default=0) >= 0

    def rising(self, slots: Collection[SlotKey], shown: Shown) -> Callable[[Sequence[int]], bool]:
        """``fits`` for numbers of these slots, in this order, beside what the others show: for asking many times."""
        order = {slot: place for place, slot in enumerate(slots)}
        if self.beyond:
            return lambda numbers: self.fits({**shown, **dict(zip(order, numbers, strict=True))})
        others = {slot: count for slot, count in shown.items() if slot not in order}
        shelves = [
            (left, [(order[slot], use) for slot, use in shelf.use if slot in order])
            for left, shelf in zip(self._spare(others), self.shelves, strict=True)
        ]

        def fits(numbers: Sequence[int]) -> bool:
            for left, uses in shelves:
                for place, use in uses:
                    left -= use * numbers[place]  # noqa: PLW2901
                if left < 0:
                    return False
            return True

        return fits

    def of(self, slots: Collection[SlotKey]) -> "Room":
        """Only the shelves that some of these slots take from: others cannot stand in their way."""
        kept = tuple(s for s in self.shelves if any(name in slots for name, _ in s.use))
        return replace(self, shelves=kept)

    def without(self, skus: Collection[Sku]) -> "Room":
        """The shelves of all others."""
        return replace(self, shelves=tuple(s for s in self.shelves if s.component not in skus))

    def less(self, shown: Shown) -> "Room":
        """The room that these leave."""
        taken = tuple(replace(each, claimed=each.claimed + each.taken(shown)) for each in self.shelves)
        return replace(self, shelves=taken, beyond=_NOTHING)

    def coming(self) -> "Room":
        """Only what is declared to be on its way."""
        shelves = (
            replace(s, stock=s.coming_left, coming=0, claimed=0, unseen=0, buried=0) for s in self.shelves
        )
        return replace(self, shelves=tuple(shelves), beyond=_NOTHING)

    def lending(self, beyond: Shown) -> "Room":
        """This room where each listing may show so much beyond it."""
        return self if beyond == self.beyond else replace(self, beyond=beyond)

    def _on_shelf(self, shown: Shown) -> Shown:
        """The part of what is shown that must lie on a shelf."""
        if not self.beyond:
            return shown
        return {slot: max(0, count - self.beyond.get(slot, 0)) for slot, count in shown.items()}

    def excess(self, shown: Shown) -> int:
        """Units shown beyond what there is, on the worst shelf (exposure of a split pool)."""
        return -min(self._spare(self._on_shelf(shown)), default=0)

    def free(self, shown: Shown) -> int:
        """Units that nobody shows, on the shelf that has most of them."""
        spare = self._spare(self._on_shelf(shown))
        return max((left for left, shelf in zip(spare, self.shelves, strict=True) if shelf.use), default=0)

    def headroom(self, slot: SlotKey, shown: Shown, *, raising: bool) -> int:
        """How many more of ``slot`` fit beside what is shown (negative: too much is shown already)."""
        spare = self._spare(self._on_shelf(shown), raising=raising)
        room = min((spare[number] // use for number, use in self._holding.get(slot, ())), default=0)
        return room + max(0, self.beyond.get(slot, 0) - shown.get(slot, 0)) if self.beyond else room

    def alone(self, slot: SlotKey) -> int:
        """The most ``slot`` could show if nobody else showed anything; no channel shows more than MAX_UNITS."""
        return min(MAX_UNITS, max(0, self.headroom(slot, {}, raising=False)))


def room_of(position: Position) -> Room:
    """The shelves of a position, over its listings' own location sets and all their unions."""
    shelves: list[Shelf] = []
    components = sorted({component for offer in position.offers for component, _ in offer.uses})
    ships = {offer.slot: _ships_from(position, offer) for offer in position.offers}
    for component in components:
        users = {
            offer.slot: (ships[offer.slot] - position.excluded_of(component), offer.use_of(component))
            for offer in sorted(position.offers, key=lambda each: each.slot)
            if offer.use_of(component)
        }
        taken = {claim.locations: False for claim in position.claims if claim.component == component}
        taken |= {
            claim.locations: True
            for claim in position.claims
            if claim.component == component and claim.kind not in KEPT_FROM_RAISES
        }
        bare = unions({locations for locations, _ in users.values()})
        lowering = set(_stretched(bare, {where for where, lowers in taken.items() if lowers}))
        for union in _stretched(bare, set(taken)):
            inside = tuple((slot, use) for slot, (locations, use) in users.items() if locations <= union)
            shelf = _shelf(position, component, union, inside)
            shelves.append(shelf if union in lowering else _for_raises_only(shelf))
    if position.pool.bundles is BundleMode.PER_WAREHOUSE and any(len(o.uses) > 1 for o in position.offers):
        shelves.extend(_assembly_shelves(position))
        for component in components:
            shelves.extend(_shelves_of_bundles(position, component, ships))
    sets = {offer.locations for offer in position.offers}
    levels = {component: level_of(position, component) for component in components}
    return Room(tuple(shelves), levels, whole=len(sets) <= MAX_LOCATION_SETS)


def _ships_from(position: Position, offer: OfferView) -> Locations:
    """Where a listing may be shipped from: a bundle that ships whole only from where all its components are.

    What lies elsewhere is no help to it, and another bundle of one place needs the same units there. Where anything is
    on its way, it may yet come together elsewhere.
    """
    if len(offer.uses) == 1 or position.inbound or position.pool.bundles is not BundleMode.PER_WAREHOUSE:
        return offer.locations
    there = {(row.sku, row.location) for row in position.stock if row.sellable}
    whole = {place for place in offer.locations if all((name, place) in there for name, _ in offer.uses)}
    return frozenset(whole) or offer.locations


def _stretched(unions_: list[Locations], taken: set[Locations]) -> list[Locations]:
    """The unions, and each together with the claims that lie across its border, however far these lead.

    What is claimed somewhere within a wider set may have to come from this one (Hall's condition counts claims
    like listings).
    """
    found = dict.fromkeys(unions_)
    waiting = list(unions_)
    while waiting:
        union = waiting.pop()
        for wider in (union | each for each in taken if each & union and not each <= union):
            if wider not in found:
                found[wider] = None
                waiting.append(wider)
    return sorted(found, key=sorted)


def _for_raises_only(shelf: Shelf) -> Shelf:
    """A shelf that only claims kept back from raises tie together: what is claimed on it lowers nobody."""
    return replace(shelf, claimed=0, unseen=0, buried=shelf.claimed + shelf.unseen + shelf.buried)


def level_of(position: Position, component: Sku) -> int:
    """Units of a component left at all locations it may be sold from, whatever the channel."""
    everywhere = frozenset(row.location for row in position.stock if row.sku == component)
    offered = (everywhere | position.all_locations) - position.excluded_of(component)
    return _shelf(position, component, offered, ()).left


def unions(sets: set[Locations]) -> list[Locations]:
    """Every union of one or more of the distinct sets; above MAX_LOCATION_SETS only each alone, and all."""
    distinct = sorted(sets, key=sorted)
    none: Locations = frozenset()
    if len(distinct) > MAX_LOCATION_SETS:
        return sorted({*distinct, none.union(*distinct)}, key=sorted)
    found = {
        none.union(*some) for size in range(1, len(distinct) + 1) for some in combinations(distinct, size)
    }
    return sorted(found, key=sorted)


def _shelf(
    position: Position, component: Sku, union: Locations, use: tuple[tuple[SlotKey, int], ...]
) -> Shelf:
    barred = position.excluded_of(component)
    rows = [
        row
        for row in position.stock
        if row.sku == component and row.location in union and row.location not in barred
    ]
    inside = [claim for claim in position.claims if claim.component == component and claim.locations <= union]
    ordered = claimed = kept = 0
    for claim in inside:
        if claim.kind in ORDERED:
            ordered += claim.units + claim.waived
        if claim.kind in KEPT_FROM_RAISES:
            kept += claim.units
        else:
            claimed += claim.units
    return Shelf(
        component=component,
        locations=union,
        stock=sum(row.sellable for row in rows),
        claimed=claimed,
        unseen=max(0, sum(row.allocated for row in rows) - ordered),
        buried=kept,
        use=use,
        coming=_coming(position, component, union - barred) if position.inbound else 0,
    )


def _coming(position: Position, component: Sku, places: Locations) -> int:
    """Inbound to these places beyond what is sellable at each: it may be some of it already."""
    there = {row.location: row.sellable for row in position.stock if row.sku == component}
    due: dict[LocationName, int] = {}
    for each in position.inbound:
        if each.sku == component and each.location in places:
            due[each.location] = due.get(each.location, 0) + each.counted
    return sum(max(0, units - there.get(place, 0)) for place, units in due.items())


def _assembly_shelves(position: Position) -> list[Shelf]:
    """A bundle ships from one place: what each place could assemble, added up, bounds all its listings."""
    by_sku: dict[Sku, list[OfferView]] = {}
    for offer in position.offers:
        if len(offer.uses) > 1:
            by_sku.setdefault(offer.sku, []).append(offer)
    shelves = []
    for sku, offers in sorted(by_sku.items()):
        recipe = _recipe(offers)
        for union in unions({offer.locations for offer in offers}):
            buildable = sum(_assembled(position, recipe, frozenset({place})) for place in sorted(union))
            inside = tuple(
                (each.slot, each.rule.units_per_sale) for each in offers if each.locations <= union
            )
            coming = 0
            if position.inbound:
                soon = (
                    _assembled(position, recipe, frozenset({place}), coming=True) for place in sorted(union)
                )
                coming = sum(soon) - buildable
            shelves.append(Shelf(sku, union, buildable, 0, 0, 0, tuple(sorted(inside)), coming))
    return shelves


def _shelves_of_bundles(
    position: Position, component: Sku, ships: Mapping[SlotKey, Locations]
) -> Iterator[Shelf]:
    """What bundles can have of a component beside each other and beside those that take it as it is.

    Where a bundle cannot be put together, what lies there of its component is no help to it: of each place, some
    bundles have at most what they could take there if all of them were put together alone.
    """
    alike: dict[_Kind, list[OfferView]] = {}
    plain: list[OfferView] = []
    for offer in (each for each in position.offers if each.use_of(component)):
        if len(offer.uses) == 1:
            plain.append(offer)
        else:
            alike.setdefault((offer.sku, ships[offer.slot]), []).append(offer)
    kinds = sorted(alike, key=lambda each: (each[0], sorted(each[1])))
    if len(kinds) < 2 and all(at <= offer.locations for _, at in kinds for offer in plain):
        return  # as nearly always: what follows is slow
    barred = position.excluded_of(component)
    places = frozenset(row.location for row in position.stock if row.sku == component) - barred
    left = {place: _within_reach(position, component, place) for place in places}
    reach = {
        (kind, place): _within_reach(position, component, place, _recipe(alike[kind]))
        for kind in kinds
        for place in kind[1] & places
    }
    nowhere: Locations = frozenset()
    for some in _some_of(kinds):
        where = nowhere.union(*(at for _, at in some))
        for union in (nowhere, *unions({offer.locations for offer in plain})) if plain else (nowhere,):
            # One alone, or all of it where others take it too, has a shelf already.
            if where <= union or (len(some) == 1 and not union):
                continue
            bound, most = [0, 0], [0, 0]
            for place in (union | where) & places:
                for soon, there in enumerate(left[place]):
                    built = sum(reach.get((kind, place), (0, 0))[soon] for kind in some)
                    most[soon] += there
                    bound[soon] += there if place in union else min(there, built)
            # What is no less than all that lies there is bounded by that.
            if bound == most:
                continue
            inside = [offer for kind in some for offer in alike[kind]]
            inside += [offer for offer in plain if offer.locations <= union]
            use = tuple(sorted((offer.slot, offer.use_of(component)) for offer in inside))
            yield Shelf(component, union | where, bound[0], 0, 0, 0, use, bound[1] - bound[0])


def _some_of(kinds: Sequence[_Kind]) -> Iterator[tuple[_Kind, ...]]:
    """Each choice of these; of many, each alone, and all."""
    sizes = range(1, len(kinds) + 1) if len(kinds) <= MAX_BUNDLES else (1, len(kinds))
    for size in sizes:
        yield from combinations(kinds, size)


def _within_reach(
    position: Position, component: Sku, place: LocationName, bundle: Recipe = ()
) -> tuple[int, int]:
    """Units of a component at a place, or of those all that a bundle can be put together of; now, and soon."""
    here = frozenset({place})
    if not bundle:
        shelf = _shelf(position, component, here, ())
        return shelf.left, shelf.left + shelf.coming_left
    each = dict(bundle)[component]
    now = _assembled(position, bundle, here) * each
    return now, _assembled(position, bundle, here, coming=True) * each if position.inbound else now


def _recipe(offers: Sequence[OfferView]) -> Recipe:
    first = offers[0]
    return tuple((sku, count // first.rule.units_per_sale) for sku, count in first.uses)


def _assembled(position: Position, recipe: Recipe, place: Locations, *, coming: bool = False) -> int:
    whole = []
    for component, count in recipe:
        shelf = _shelf(position, component, place, ())
        whole.append((shelf.left + (shelf.coming_left if coming else 0)) // count)
    return min(whole)
