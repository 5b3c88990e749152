"""What a listing takes from the shelf: bundles over several levels, and the groups they tie together.

A bundle has no units of its own; a unit of it is a claim on its components. A kit is packed ahead: it sells from
its own on hand alone, and what its components could still be packed into is a business of the warehouse, not of a
channel. Extensiv calls both a bundle, so the rules say which is a kit.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from reconcilerd.domain.facts import ProductObserved, ProductType
from reconcilerd.domain.names import Sku

MAX_DEPTH = 10

Uses = tuple[tuple[Sku, int], ...]
"""Component SKUs and how many eaches of each one unit takes, sorted by SKU."""


class BundleLoop(ValueError):
    """A bundle contains itself, or is nested deeper than MAX_DEPTH."""


def explode(sku: Sku, products: Mapping[Sku, ProductObserved], kits: Collection[Sku] = ()) -> Uses:
    """The eaches one unit of ``sku`` takes. A kit, and a SKU without components, takes one of itself.

    Raises BundleLoop. A component Extensiv does not list is kept as it is: its stock is then unknown.
    """
    counts: dict[Sku, int] = {}
    _add(sku, 1, products, kits, counts, (sku,))
    return tuple(sorted(counts.items()))


def outside_loops(sku: Sku, products: Mapping[Sku, ProductObserved], kits: Collection[Sku] = ()) -> Uses:
    """What a bundle that contains itself takes for certain, and one of itself: of that nothing is ever known, so it is
    not written; its orders take the rest all the same.
    """
    counts: dict[Sku, int] = {sku: 1}
    _add(sku, 1, products, kits, counts, (sku,), cut=True)
    return tuple(sorted(counts.items()))


def _add(
    sku: Sku,
    times: int,
    products: Mapping[Sku, ProductObserved],
    kits: Collection[Sku],
    counts: dict[Sku, int],
    path: tuple[Sku, ...],
    *,
    cut: bool = False,
) -> None:
    """``cut``: leave out what leads back."""
    product = products.get(sku)
    if sku in kits or product is None or product.type is not ProductType.BUNDLE or not product.components:
        counts[sku] = counts.get(sku, 0) + times
        return
    for component, count in product.components:
        if component in path or len(path) > MAX_DEPTH:
            if cut:
                continue
            raise BundleLoop(" > ".join((*path, component)))
        _add(component, times * count, products, kits, counts, (*path, component), cut=cut)


@dataclass(frozen=True, slots=True)
class Groups:
    """Pool groups: SKUs tied together by what is sold. ``of`` names each SKU's group by its smallest SKU."""

    of: dict[Sku, Sku]
    members: dict[Sku, tuple[Sku, ...]]

    def tied(self, skus: Iterable[Sku]) -> "Groups":
        """These groups with one more tie. Takes the old ones over: only the new value may be used."""
        wanted = set(skus)
        roots = sorted({self.of.get(sku, sku) for sku in wanted})
        if len(roots) == 1 and wanted <= self.of.keys():
            return self
        joined = tuple(sorted({*wanted, *(sku for root in roots for sku in self.members.pop(root, ()))}))
        self.members[roots[0]] = joined
        for sku in joined:
            self.of[sku] = roots[0]
        return Groups(self.of, self.members)

    def current(self, names: Iterable[Sku]) -> list[Sku]:
        """The groups that these were or are now, each once, in order: what was one may be a part of a larger one."""
        return list(dict.fromkeys(self.of.get(name, name) for name in names))


def group(ties: Iterable[Iterable[Sku]]) -> Groups:
    """Join all SKUs that appear in one tie, transitively. Independent of the order of ties."""
    root: dict[Sku, Sku] = {}

    def find(sku: Sku) -> Sku:
        root.setdefault(sku, sku)
        while root[sku] != sku:
            root[sku] = root[root[sku]]
            sku = root[sku]
        return sku

    for tie in ties:
        first, *rest = sorted(set(tie))
        for other in rest:
            left, right = sorted((find(first), find(other)))
            root[right] = left
        find(first)
    members: dict[Sku, list[Sku]] = {}
    for sku in sorted(root):
        members.setdefault(find(sku), []).append(sku)
    return Groups({sku: find(sku) for sku in root}, {name: tuple(skus) for name, skus in members.items()})
