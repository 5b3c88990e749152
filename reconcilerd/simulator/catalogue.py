"""What the pretend business sells, made from real orders: products, packs, sets bought together, parents of variants.

The same orders give the same catalogue in every run; only how much of each there is depends on the seed.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from random import Random
from types import MappingProxyType

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.shoppers import NOT_PRODUCTS, Basket, Invoice
from reconcilerd.simulator.stores import Place, Product, Store
from reconcilerd.simulator.truth import World, WorldConfig

STORES = (("shop-uk", 101), ("shop-eu", 102), ("shop-us", 103))
PLACES = (Place(1, "Main warehouse"), Place(2, "3PL", mirror=True))
PACK_STORE = "shop-us"
"""Where some SKUs are sold by the pack only."""
PACK = 6
SETS = 2
SCARCE, SOLD_OUT, PLENTY = 0.25, (0.5, 1.3), (3.0, 10.0)
"""Which part of the SKUs is nearly sold out, and what lies there as a multiple of what the orders take."""
_VARIANT = re.compile(r"([0-9]{5})[A-Z]+")


@dataclass(frozen=True, slots=True)
class Set:
    """A bundle: one unit takes one of each component, of which one may be a set itself."""

    sku: str
    name: str
    components: tuple[str, ...]
    codes: frozenset[str]
    """What a visitor must want to buy it: the codes at the bottom of it."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """``sold``: units each code sells over all orders (0 where only cancels name it)."""

    sold: Mapping[str, int]
    names: Mapping[str, str]
    packs: frozenset[str] = frozenset()
    """Codes that PACK_STORE sells by the PACK, under a listing SKU of its own."""
    sets: tuple[Set, ...] = ()
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Virtual products and the variants they stand for."""


def plain_catalogue(invoices: Iterable[Invoice]) -> Catalogue:
    """Every code as itself."""
    sold: dict[str, int] = {}
    names: dict[str, str] = {}
    for invoice in invoices:
        for line in invoice.lines:
            if line.code.upper() not in NOT_PRODUCTS:
                sold[line.code] = sold.get(line.code, 0) + (
                    0 if invoice.cancels or line.write_off else line.units
                )
                names[line.code] = line.name
    return Catalogue(sold, names)


def rich_catalogue(invoices: Sequence[Invoice]) -> Catalogue:
    """The same, and what makes a real catalogue hard: packs, sets over two levels, parents of variants."""
    plain = plain_catalogue(invoices)
    sets = _sets(invoices, plain)
    tied = {code for each in sets for code in each.codes}
    packs = frozenset(
        code
        for code, units in plain.sold.items()
        if _draw(code) % 7 == 3 and units >= PACK and code not in tied
    )
    return Catalogue(plain.sold, plain.names, packs, sets, MappingProxyType(_parents(plain.sold)))


def _sets(invoices: Sequence[Invoice], plain: Catalogue) -> tuple[Set, ...]:
    """What is bought together most often is sold as a set; the first one is a part of a larger one."""
    together: Counter[tuple[str, str]] = Counter()
    baskets = [
        sorted({line.code for line in each.lines} & plain.sold.keys())
        for each in invoices
        if not each.cancels
    ]
    for basket in baskets:
        together.update(combinations(basket, 2))
    made: list[Set] = []
    used: set[str] = set()
    for (one, other), _ in sorted(together.items(), key=lambda pair: (-pair[1], pair[0])):
        if len(made) == SETS:
            break
        if not used & {one, other}:
            used |= {one, other}
            made.append(
                Set(f"SET-{one}-{other}", f"Set of {one} and {other}", (one, other), frozenset({one, other}))
            )
    third = Counter(
        code
        for basket in baskets
        if made and made[0].codes <= set(basket)
        for code in basket
        if code not in used
    )
    for code, _ in sorted(third.items(), key=lambda pair: (-pair[1], pair[0]))[:1]:
        inner = made[0]
        made.insert(
            0,
            Set(f"{inner.sku}-{code}", f"{inner.name} with {code}", (inner.sku, code), inner.codes | {code}),
        )
    return tuple(made)


def _parents(codes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for code in sorted(codes):
        variant = _VARIANT.fullmatch(code)
        if variant:
            found.setdefault(variant[1], []).append(code)
    return {parent: tuple(some) for parent, some in found.items() if len(some) > 1}


def is_split(code: str) -> bool:
    """Which SKUs are in the split pool: a third of them, the same in every run."""
    return _draw(code) % 3 == 0


def pack_code(code: str) -> str:
    """The listing SKU of a pack."""
    return f"{code}-PK{PACK}"


def _draw(code: str) -> int:
    return zlib.crc32(code.casefold().encode())


def basket_of(sells: Catalogue) -> Basket:
    """Visitors take a set where they want all of it, and packs where a code comes in nothing else."""

    def basket(store: str, wanted: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        left: dict[str, int] = {}
        for code, units in wanted:
            left[code] = left.get(code, 0) + units
        lines: list[tuple[str, int]] = []
        for each in sells.sets:
            units = min(left.get(code, 0) for code in each.codes)
            if units:
                lines.append((each.sku, units))
                for code in each.codes:
                    left[code] -= units
        for code, units in left.items():
            if store == PACK_STORE and code in sells.packs:
                lines.append((pack_code(code), -(-units // PACK)))
            elif units:
                lines.append((code, units))
        return lines

    return basket


def world_of(
    invoices: Iterable[Invoice],
    config: WorldConfig,
    start: Instant,
    *,
    push: bool,
    catalogue: Catalogue | None = None,
) -> World:
    """A world that sells what these invoices name: scarce enough that some of it sells out."""
    sells = catalogue or plain_catalogue(invoices)
    world = World(config, start)
    world.places = {place.id: Place(place.id, place.name, place.mirror) for place in PLACES}
    for name, channel in STORES:
        world.stores[name] = Store(name, channel, f"gid://shopify/Location/{channel}")
    chance = Random(config.seed)
    for number, (code, units) in enumerate(sorted(sells.sold.items()), 1):
        world.add_product(Product(number, code, sells.names[code], split=is_split(code)))
        scarce = chance.random() < SCARCE
        total = max(3, round(units * chance.uniform(*(SOLD_OUT if scarce else PLENTY))))
        world.add_stock(code, 1, total - total // 4)
        world.add_stock(code, 2, total // 4)
        for store, _ in STORES:
            if store == PACK_STORE and code in sells.packs:
                world.add_item(store, code, total // PACK, each=PACK, listing_sku=pack_code(code), push=push)
            else:
                world.add_item(store, code, total, push=push)
    _add_sets(world, sells, push=push)
    for parent in sells.parents:
        world.add_product(Product(len(world.products) + 1, parent, f"All of {parent}", virtual=True))
    world.start_mirrors()
    return world


def _add_sets(world: World, sells: Catalogue, *, push: bool) -> None:
    for each in sorted(sells.sets, key=lambda one: len(one.codes)):
        split = any(is_split(code) for code in each.codes)
        parts = tuple((part, 1) for part in each.components)
        world.add_product(Product(len(world.products) + 1, each.sku, each.name, parts, split=split))
        for store, _ in STORES:
            world.add_item(store, each.sku, world.shippable(each.sku), push=push)
