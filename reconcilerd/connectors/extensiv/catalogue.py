"""Products and listings: which are there, and which went away (asked for by exact SKU, twice)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.walk import (
    LISTINGS,
    MAX_CONFIRM,
    PAGINGS,
    PRODUCTS,
    SKUS_A_CALL,
    Walk,
    Walker,
    Wire,
    key_of,
)
from reconcilerd.connectors.port import Emit, Page, strangers
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import (
    Fact,
    FindingKind,
    FindingRaised,
    ListingDeclared,
    ProductObserved,
    ProductType,
)
from reconcilerd.domain.names import FeedName, Instant, Sku, sku_of

Entry = ProductObserved | ListingDeclared
Row = tuple[Wire, Instant]
"""A row as it was sent, and the moment it was asked for."""


class Catalogue:
    """Keeps, per feed, what the last reading showed by key."""

    def __init__(
        self,
        walker: Walker,
        clock: Callable[[], Instant],
        products: Iterable[ProductObserved],
        listings: Iterable[ListingDeclared],
    ) -> None:
        """``products``, ``listings``: what was active when it was last read before this start."""
        self._walker = walker
        self._clock = clock
        self._last: dict[FeedName, dict[object, Entry]] = {
            PRODUCTS: {each.product_id: each for each in products},
            LISTINGS: {each.listing_id: each for each in listings},
        }
        self._unsure: dict[FeedName, dict[object, object]] = {PRODUCTS: {}, LISTINGS: {}}
        """What rows meant in the last reading that mean something else than before, where nothing else said so yet."""
        self._skus = frozenset[Sku]()
        self._virtual = frozenset[Sku]()
        self._index()

    @property
    def virtual(self) -> frozenset[Sku]:
        """Products that hold no stock, as last read."""
        return self._virtual

    def _index(self) -> None:
        """Look up SKUs once for each reading of products: every call for stock asks for them."""
        products = self._last[PRODUCTS].values()
        self._skus = frozenset(each.sku for each in products)
        self._virtual = frozenset(
            each.sku
            for each in products
            if isinstance(each, ProductObserved) and each.type is ProductType.VIRTUAL
        )

    def sku_of_product(self, number: int) -> Sku | None:
        """Whose product this is, as last read."""
        found = self._last[PRODUCTS].get(number)
        return None if found is None else found.sku

    def product_known(self, sku: Sku) -> bool:
        """Whether a product of this SKU was there when products were last read."""
        return sku in self._skus

    async def sweep(self, feed: FeedName, began: Instant, emit: Emit) -> tuple[int, str]:
        """Read one feed; its rows, and why it is not complete, if it is not."""
        if self._last[feed]:
            walk = await self._walker.walk(PAGINGS[feed])
        else:  # nobody would miss a row that moved out of sight
            walk = await self._walker.walk_till_still(PAGINGS[feed], doubt=True)
        notes, entries, keys = self._entries(feed, walk.rows)
        known = self._last[feed]
        why, gone, back = walk.why, dict[object, Entry | None](), list[Row]()
        if not why:
            lost = {key: entry for key, entry in known.items() if key not in keys}
            why = strangers(known, keys, len(keys), feed.partition(".")[2])
            if why:
                return walk.count, why  # nothing of it is told, or the next reading would know them
            gone, back, why = await self._confirm(feed, lost)
            # What was missing from a page, and is there, is of this reading like any other row.
            more, again, _ = self._entries(feed, back)
            notes += more
            entries |= again
        once = await self._said_once(feed, entries)
        entries = {key: each for key, each in entries.items() if key not in once}
        untold = frozenset[int]()
        if feed == PRODUCTS:
            products = [entry for entry in entries.values() if isinstance(entry, ProductObserved)]
            notes += _collisions(products, began)
            # One that cannot be read this time, or was not reached, has its name still.
            others = [each for key, each in known.items() if key not in entries and key not in gone]
            silent = [each for each in others if isinstance(each, ProductObserved)]
            untold, doubtful, findings = _twice([*products, *silent], known, began)
            entries = {key: each for key, each in entries.items() if key not in doubtful}
            notes += (*findings, *_renamed(entries, known))
        else:
            notes += _mapped_twice((e for e in entries.values() if isinstance(e, ListingDeclared)), began)
        told = (each for key, each in entries.items() if key not in untold)
        await emit(Page(feed, (*notes, *told, *(each for each in gone.values() if each is not None))))
        # What is known is what was told: a reading that breaks off before that has told nothing.
        known.update(entries)
        for key in gone:
            del known[key]
        self._index()
        return walk.count + len(back), why

    def _entries(
        self, feed: FeedName, read: Iterable[Row]
    ) -> tuple[list[Fact], dict[object, Entry], set[object]]:
        """What is to be said of the rows, the readable ones by key, and the keys of all."""
        notes: list[Fact] = []
        entries: dict[object, Entry] = {}
        keys: set[object] = set()
        for row, asked in read:
            key = key_of(row, PAGINGS[feed].key)
            keys.add(key)
            made = _read(feed, row, asked)
            if isinstance(made, Rejected):
                notes.append(rows.rejected(feed.partition(".")[2], row, made.why, asked))
                continue
            entry, findings = made
            spelt = str(row["masterSku"]).strip()
            if feed == PRODUCTS:
                self._walker.spelling[entry.sku] = spelt
            self._walker.spelling.setdefault(entry.sku, spelt)
            entries[key] = entry
            notes += findings
        return notes, entries, keys

    async def _said_once(self, feed: FeedName, entries: Mapping[object, Entry]) -> frozenset[object]:
        """Rows that mean something else than what is known, by this reading alone.

        What a SKU is made of and what a listing sells decide what every order and number of them stand for: one wrong
        cell would move them all. It is believed once a separate request says so too, or two readings in a row do.
        """
        known, before = self._last[feed], self._unsure[feed]
        news = {
            key: entry
            for key, entry in entries.items()
            if key in known and _meaning(entry) != _meaning(known[key])
        }
        open_ = {key: entry for key, entry in news.items() if before.get(key) != _meaning(entry)}
        for key, row in (await self._find(feed, dict(islice(open_.items(), MAX_CONFIRM)))).items():
            again = _read(feed, *row)
            if not isinstance(again, Rejected) and _meaning(again[0]) == _meaning(open_[key]):
                del open_[key]
        self._unsure[feed] = {key: _meaning(entry) for key, entry in open_.items()}
        return frozenset(open_)

    async def _confirm(
        self, feed: FeedName, lost: dict[object, Entry]
    ) -> tuple[dict[object, Entry | None], list[Row], str]:
        """Ask for each lost row by exact SKU, twice: the gone (told as inactive), rows found, why some stay open.

        Nothing is told of what is gone under its old id and there under another one. Where many are lost, a page was
        cut most likely: several are asked for in one call first, to find those.
        """
        gone: dict[object, Entry | None] = {}
        # A bounded number each time: the next reading asks for those that are left over.
        open_ = max(0, len(lost) - MAX_CONFIRM)
        asked = dict(islice(lost.items(), MAX_CONFIRM))
        there = await self._find(feed, asked) if len(asked) > SKUS_A_CALL else {}
        for key, entry in asked.items():
            if key in there:
                continue
            walks = [await self._walker.walk_skus(feed, {entry.sku}) for _ in range(2)]
            read = _by_key(feed, *walks)
            if any(walk.why for walk in walks) or not self._walker.spells(entry.sku):
                open_ += 1
            elif key in read:
                there[key] = read[key]
            else:
                _, others, _ = self._entries(feed, read.values())
                # A product that was made anew under the same SKU has another id, and is there.
                made_anew = any(each.about == entry.about for each in others.values())
                gone[key] = None if made_anew else replace(entry, active=False, as_of=self._clock())
        name = PAGINGS[feed].path.rpartition("/")[2]
        why = f"{open_} {name} of the last reading could not be found again" if open_ else ""
        return gone, list(there.values()), why

    async def _find(self, feed: FeedName, wanted: Mapping[object, Entry]) -> dict[object, Row]:
        """Those of some rows that are there, as they are now, by their SKUs. Finding nothing proves nothing here."""
        skus = sorted({entry.sku for entry in wanted.values() if self._walker.spells(entry.sku)})
        there: dict[object, Row] = {}
        for start in range(0, len(skus), SKUS_A_CALL):
            walk = await self._walker.walk_skus(feed, skus[start : start + SKUS_A_CALL])
            there |= {key: each for key, each in _by_key(feed, walk).items() if key in wanted}
        return there


def _by_key(feed: FeedName, *walks: Walk) -> dict[object, Row]:
    """The rows of some readings, each as it was read last."""
    return {key_of(row, PAGINGS[feed].key): (row, asked) for walk in walks for row, asked in walk.rows}


def _read(feed: FeedName, row: Wire, asked: Instant) -> tuple[Entry, tuple[FindingRaised, ...]] | Rejected:
    if feed == PRODUCTS:
        return parsed(lambda: rows.product(row, asked))
    return parsed(lambda: (rows.listing(row, asked), ()))


def _mapped_twice(listings: Iterable[ListingDeclared], at: Instant) -> list[FindingRaised]:
    """One listing SKU of one channel that means several SKUs: none of its slots is written."""
    meant: dict[tuple[int, str], set[Sku]] = {}
    for each in listings:
        if each.active:
            meant.setdefault((each.sales_channel_id, each.listing_sku.casefold()), set()).add(each.sku)
    return [
        FindingRaised(
            FindingKind.LISTING_MAPPED_TWICE,
            f"{channel}:{code}",
            f"listing {code!r} of sales channel {channel} is mapped to {', '.join(sorted(skus))}; keep one",
            at,
            feed=LISTINGS,
        )
        for (channel, code), skus in sorted(meant.items())
        if len(skus) > 1
    ]


def _twice(
    products: Sequence[ProductObserved], known: Mapping[object, Entry], at: Instant
) -> tuple[frozenset[int], frozenset[int], list[FindingRaised]]:
    """Of products that carry the SKU of another one: ids of those not told, and of these, those not believed.

    One that is active speaks for the others. Of several that are not alike, that one which carried the SKU before;
    what was known of the others stays.
    """
    carry: dict[Sku, list[ProductObserved]] = {}
    for each in products:
        carry.setdefault(each.sku, []).append(each)
    untold, doubtful, findings = set[int](), set[int](), list[FindingRaised]()
    for sku, some in sorted(carry.items()):
        active = [each for each in some if each.active]
        if len({(each.type, each.components) for each in active}) > 1:
            before = [e for e in active if e.product_id in known and known[e.product_id].sku == sku]
            doubtful |= {each.product_id for each in active if len(before) != 1 or each not in before}
            numbers = ", ".join(str(each.product_id) for each in active)
            detail = f"products {numbers} of Extensiv are called so, and are not alike; rename all but one"
            findings.append(FindingRaised(FindingKind.PRODUCT_TWICE, sku, detail, at, feed=PRODUCTS))
        if active:
            untold |= {each.product_id for each in some if not each.active}
    return frozenset(untold | doubtful), frozenset(doubtful), findings


def _renamed(entries: Mapping[object, Entry], known: Mapping[object, Entry]) -> Iterator[ProductObserved]:
    """Products by the name that they no longer have, and nobody else has now."""
    names = {
        each.sku for each in chain(entries.values(), (e for key, e in known.items() if key not in entries))
    }
    for key, each in entries.items():
        was = known.get(key)
        if isinstance(was, ProductObserved) and was.sku not in names:
            yield replace(was, active=False, as_of=each.as_of)


def _meaning(entry: Entry) -> object:
    """What decides what its orders and numbers stand for."""
    if isinstance(entry, ProductObserved):
        return entry.sku, entry.type, tuple(sorted(entry.components))
    return entry.sku, entry.listing_sku.casefold(), entry.sales_channel_id, entry.push_inventory


def _collisions(products: Sequence[ProductObserved], at: Instant) -> list[FindingRaised]:
    """SKUs that differ only by case are one SKU to Extensiv and several to others."""
    written: dict[Sku, set[str]] = {}
    for each in products:
        written.setdefault(sku_of(each.shown_sku), set()).add(each.shown_sku)
    return [
        FindingRaised(
            FindingKind.SKU_CASE_COLLISION,
            sku,
            f"written as {', '.join(sorted(ways))}; rename all but one",
            at,
            feed=PRODUCTS,
        )
        for sku, ways in sorted(written.items())
        if len(ways) > 1
    ]
