"""Stock rows and their cross-check. A SKU is told whole or not at all: one unreadable bin would halve it.

What is missing is asked for by exact SKU, twice, before it is gone. A row that cannot be read is not missing: its
SKU stays as it was known, and the sweep that met it is not complete.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.walk import (
    MAX_CONFIRM,
    PAGINGS,
    SKUS_A_CALL,
    STOCK,
    TOTALS,
    Walk,
    Walker,
    Wire,
)
from reconcilerd.connectors.port import Emit, Page, strangers
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import Fact, FindingKind, FindingRaised, StockObserved, StockTotalObserved
from reconcilerd.domain.names import Instant, LocationName, Sku, after, sku_of

Sums = tuple[int, int, int]
"""On hand, unavailable and allocated of the bins of one SKU at one place."""
_NEVER: Final = Instant(0)
ROWS_A_CALL: Final = 50
"""Half a page: the filter finds longer SKUs as well, and one that they crowd off the page is asked for again."""
ROWS_OF_THE_UNKNOWN: Final = 5
MOST_A_CALL: Final = 40
"""SKUs that one address names; clients that ask for a hundred are known."""
MAX_AGAIN: Final = 2_000
"""SKUs a sweep reads again because it met the bins of one place at different moments: half a minute or so."""
MANY_TIMES: Final = 5
FEW_SKUS: Final = 3
"""Of whatever business: so few that differ are no wonder."""
FEW_UNITS: Final = 20
"""More than so many times of what there was, and at least of so few, is checked before it is believed."""
MAX_CHECKS: Final = 50
"""SKUs a sweep of totals reads again because the two readings it has were not taken together."""


@dataclass(slots=True)
class Bins:
    """The readable bins of a walk, the newest reading of each; findings for the rest."""

    bins: list[rows.Bin] = field(default_factory=list)
    findings: list[Fact] = field(default_factory=list)
    unread: set[Sku] = field(default_factory=set)
    """SKUs with a bin that cannot be read; none of their bins is in ``bins``."""

    def by_sku(self) -> dict[Sku, list[rows.Bin]]:
        groups: dict[Sku, list[rows.Bin]] = {}
        for each in self.bins:
            groups.setdefault(each.sku, []).append(each)
        return groups


class Stock:
    """Keeps where rows of each SKU were, and what they added up to."""

    def __init__(
        self,
        walker: Walker,
        clock: Callable[[], Instant],
        virtual: Callable[[], set[Sku]],
        stranger: Callable[[rows.Bin], str],
        read_lag_ms: int,
        known: Iterable[StockObserved],
    ) -> None:
        """``known``: rows as last read before this start; the bins they are made of are not known.

        ``stranger``: why a row cannot be one of this tenant's, if so.
        """
        self._stranger = stranger
        self._agreed: set[int] = set()
        """Bins whose numbers fitted together when they were last read."""
        self._walker = walker
        self._clock = clock
        self._virtual = virtual
        self._lag = read_lag_ms
        self._told = {
            (each.sku, each.location): (each.on_hand, each.unavailable, each.allocated)
            for each in known
            if not each.gone
        }
        """What was last told of each place, by the newest reading of it."""
        self._places: dict[Sku, frozenset[LocationName]] = {}
        for sku, place in self._told:
            self._places[sku] = self._places.get(sku, frozenset()) | {place}
        self._bins: dict[Sku, frozenset[int]] = {}
        self._bins_known = False
        """Whether a whole list was once read to a proven end."""
        self._counts: dict[Sku, tuple[int, int]] = {}
        """On hand and locked over all places."""
        self._read_at: dict[Sku, Instant] = {}
        """When the newest of its rows that were told was asked for."""
        self._disagree: set[Sku] = set()
        self._after_rows: set[Sku] = set()
        """SKUs whose total differed from their rows while that of many did."""
        self._to_check: set[Sku] = set()
        """Those of them whose rows were read since."""

    async def sweep(self, began: Instant, emit: Emit) -> tuple[int, str, Instant]:
        """Read all rows; how many, why the reading is not complete, if it is not, and the oldest moment it tells of."""
        walk = await self._walk()
        count, read = walk.count, self._read(walk)
        seen = read.by_sku()
        unread = {sku for sku in read.unread if sku in self._places}
        lost = {sku for sku in self._places if sku not in read.unread and self._lacks(sku, seen.get(sku, []))}
        facts = [*read.findings]
        gone, unsettled = dict[Sku, Instant](), lost
        walk.why = walk.why or strangers(self._places, seen.keys() | read.unread, count, "rows")
        if not walk.why:
            gone, unsettled = await self._confirm(lost, emit)
        torn: set[Sku] = set()
        unlikely = (
            [] if walk.why else [sku for sku in seen if sku not in lost and self._unlikely(sku, seen[sku])]
        )
        denied = await self._denied(unlikely, seen)
        for sku, some in sorted(seen.items()):
            if sku in denied:
                continue
            # Where the end is not proven, neither is a bin that nobody knew: it would be stock out of a broken reply.
            if sku in lost or (walk.why and frozenset(each.stock_id for each in some) != self._bins.get(sku)):
                continue
            if self._torn(some):
                torn.add(sku)
            else:
                facts += self._facts(some, began, settled=not walk.why)
        for sku, at in sorted(gone.items()):
            if self._read_since(sku, at):
                unsettled.add(sku)
            else:
                facts += [self._gone(sku, place, at) for place in self._forget(sku)]
        await emit(Page(STOCK, tuple(facts)))
        if walk.why:
            return count, walk.why, walk.began(began)
        self._bins.update({sku: frozenset(each.stock_id for each in seen[sku]) for sku in torn})
        self._bins_known = True
        self._to_check |= self._after_rows
        self._after_rows.clear()
        moving = await self._read_again(torn, emit)
        why = _open(unsettled, unread, moving)
        if denied:
            told = f"{len(denied)} SKUs have rows that their total denies, the first is {min(denied)}"
            why = f"{why}; {told}" if why else told
        return count + self._missed(lost - gone.keys() - unsettled, seen), why, walk.began(began)

    def _missed(self, back: Iterable[Sku], seen: Mapping[Sku, Sequence[rows.Bin]]) -> int:
        """How many rows of these SKUs, which were found again, were not among those seen: they are in the list too."""
        return sum(max(0, len(self._bins.get(sku, ())) - len(seen.get(sku, ()))) for sku in back)

    async def read(self, skus: Sequence[Sku], emit: Emit) -> None:
        """Read the rows of exactly these SKUs now. What lacks a known bin proves nothing and is not told."""
        await self._read_each(self._calls(skus), emit)

    async def _read_each(self, calls: Iterable[set[Sku]], emit: Emit) -> set[Sku]:
        """One call for each of these sets; which of all these SKUs were told."""
        told = set[Sku]()
        for some in calls:
            facts, found = await self._read_few(some)
            await emit(Page(STOCK, tuple(facts)))
            told |= found
        return told

    def _calls(self, skus: Iterable[Sku]) -> Iterator[set[Sku]]:
        """These SKUs by the calls that ask for them: their known bins leave room on the page for what else matches."""
        some, rows_ = set[Sku](), 0
        for sku in skus:
            more = len(self._bins.get(sku, ())) or ROWS_OF_THE_UNKNOWN
            if some and (rows_ + more > ROWS_A_CALL or len(some) == MOST_A_CALL):
                yield some
                some, rows_ = set(), 0
            some.add(sku)
            rows_ += more
        if some:
            yield some

    async def _walk(self) -> Walk:
        """The whole list. Where the bins of it are not known, nobody would miss one that moved out of sight."""
        if self._bins_known:
            return await self._walker.walk(PAGINGS[STOCK])
        return await self._walker.walk_till_still(PAGINGS[STOCK], doubt=True)

    async def _read_few(self, wanted: set[Sku]) -> tuple[list[Fact], set[Sku]]:
        """What one call tells of some SKUs, and which of them it told."""
        began = self._clock()
        first = self._read(await self._walker.glance(STOCK, wanted))
        facts, seen = [*first.findings], first.by_sku()
        sure = {sku for sku in wanted if sku in self._bins and not self._lacks(sku, seen.get(sku, []))}
        denied = await self._denied([sku for sku in sure if self._unlikely(sku, seen[sku])], seen)
        sure -= denied
        wanted = wanted - denied
        for sku in sorted(sure):
            facts += self._facts(seen[sku], began, settled=False)
        more, found = await self._read_whole(wanted - sure)
        return facts + more, sure | found

    async def _read_whole(self, skus: set[Sku]) -> tuple[list[Fact], set[Sku]]:
        """Rows of SKUs of which nobody knows, or a first page did not show, all bins: to a proven end."""
        if not skus:
            return [], set()
        began = self._clock()
        walk = await self._walker.walk_skus(STOCK, skus)
        if walk.why:
            return [], set()
        read = self._read(walk)
        seen = {
            sku: some for sku, some in read.by_sku().items() if sku in skus and not self._lacks(sku, some)
        }
        moved = await self._moved({sku: some for sku, some in seen.items() if self._torn(some)})
        moved |= await self._denied([sku for sku in seen if self._unlikely(sku, seen[sku])], seen)
        told: list[Fact] = [*read.findings]
        for sku in sorted(seen.keys() - moved):
            told += self._facts(seen[sku], began, settled=False)
        return told, seen.keys() - moved

    def _unlikely(self, sku: Sku, bins: Sequence[rows.Bin]) -> bool:
        """Whether rows say that all is gone, or many times what there was: what a broken feed says most often."""
        before = self._count_told(sku)
        now = sum(each.quantity for each in bins)
        return bool(before) and (now == 0 or now > MANY_TIMES * max(before, FEW_UNITS))

    def _count_told(self, sku: Sku) -> int:
        """Units on hand over all places, as last told."""
        return sum(self._told.get((sku, place), (0, 0, 0))[0] for place in self._places.get(sku, ()))

    async def _denied(self, skus: Sequence[Sku], seen: Mapping[Sku, Sequence[rows.Bin]]) -> set[Sku]:
        """Which of these are nearer to what they were than to what their rows say, by their totals.

        A bounded number each time; what is left over is denied, and asked for by the next reading. A total that
        nobody can read, or that is not there, denies nothing unless all the rows are gone.
        """
        some, denied = sorted(skus)[:MAX_CHECKS], set(sorted(skus)[MAX_CHECKS:])
        for start in range(0, len(some), SKUS_A_CALL):
            part = some[start : start + SKUS_A_CALL]
            _, totals = _totals(await self._walker.walk_skus(TOTALS, part))
            for sku in part:
                now, before = sum(each.quantity for each in seen.get(sku, ())), self._count_told(sku)
                total = totals[sku].on_hand if sku in totals else now
                if abs(total - before) < abs(total - now):
                    denied.add(sku)
        return denied

    async def _moved(self, torn: Mapping[Sku, list[rows.Bin]]) -> set[Sku]:
        """Which of these, too many bins for one page, do not add up to the same when they are read once more."""
        if not torn:
            return set()
        walk = await self._walker.walk_skus(STOCK, torn.keys())
        again = {} if walk.why else self._read(walk).by_sku()
        return {sku for sku, some in torn.items() if _sums(again.get(sku, [])) != _sums(some)}

    async def _read_again(self, torn: set[Sku], emit: Emit) -> set[Sku]:
        """Read SKUs whose bins a sweep met at different moments. Those that are still not told.

        Units that were carried from one bin to another meanwhile stand in the sum of such bins twice, or not at all.
        A bounded number each time: the next sweep reads those that are left over.
        """
        now = sorted(torn)[:MAX_AGAIN]
        calls = (set(now[start : start + SKUS_A_CALL]) for start in range(0, len(now), SKUS_A_CALL))
        return torn - await self._read_each(calls, emit)

    def _torn(self, bins: Sequence[rows.Bin]) -> bool:
        """Whether some place's bins were asked for at different moments and add up to something new."""
        return any(
            len({each.asked for each in some}) > 1
            and self._told.get((some[0].sku, place)) != _sums(some)[place]
            for place, some in _by_place(bins).items()
        )

    async def sweep_totals(self, emit: Emit) -> tuple[int, str]:
        """Read the totals, and hold each against the rows; what differs is read again, both together."""
        walk = await self._walker.walk(PAGINGS[TOTALS])
        facts, totals = _totals(walk)
        differing = [
            sku
            for sku, total in sorted(totals.items())
            if self._counts.get(sku, _pair(total)) != _pair(total)
        ]
        differing.sort(key=lambda sku: sku in self._disagree)
        left = self._left_to_the_rows(differing)
        differing = [sku for sku in differing if sku not in left]
        agree = self._disagree - set(differing)
        facts += [self._agrees(sku) for sku in sorted(agree)]
        facts += await self._check(differing[:MAX_CHECKS], emit)
        await emit(Page(TOTALS, tuple(facts)))
        return walk.count, walk.why

    def _left_to_the_rows(self, differing: Sequence[Sku]) -> set[Sku]:
        """Those of many SKUs that nobody checks yet: so much that changed at once is for a whole reading to tell.

        Read one by one it would be believed, however unlikely all of it together is. What differs still after the next
        whole reading of rows is checked.
        """
        fresh = {sku for sku in differing if sku not in self._disagree and sku not in self._to_check}
        self._to_check.clear()
        if len(fresh) <= max(FEW_SKUS, min(SKUS_A_CALL, len(self._counts) // 2)):
            return set()
        self._after_rows |= fresh
        return fresh

    async def _check(self, skus: Sequence[Sku], emit: Emit) -> list[Fact]:
        """Rows, totals, rows again: only where the rows stood still can the total between them be wrong."""
        facts: list[Fact] = []
        for start in range(0, len(skus), SKUS_A_CALL):
            some = skus[start : start + SKUS_A_CALL]
            await self.read(some, emit)
            before = {sku: self._counts.get(sku) for sku in some}
            walk = await self._walker.walk_skus(TOTALS, some)
            await self.read(some, emit)
            if walk.why:
                continue
            for sku, total in sorted(_totals(walk)[1].items()):
                count = self._counts.get(sku)
                if sku not in before or count is None or count != before[sku]:
                    continue
                if _pair(total) == count:
                    facts += [self._agrees(sku)] if sku in self._disagree else []
                else:
                    facts.append(self._disagrees(sku, count, total))
        return facts

    def _disagrees(self, sku: Sku, count: tuple[int, int], total: StockTotalObserved) -> FindingRaised:
        self._disagree.add(sku)
        detail = (
            f"the rows of {self._walker.spelling.get(sku, sku)} add up to {count[0]} on hand and {count[1]} locked,"
            f" productstocks/total says {total.on_hand} and {total.locked}; count it, or ask Extensiv which holds"
        )
        return FindingRaised(FindingKind.TOTALS_DISAGREE, sku, detail, total.as_of)

    def _agrees(self, sku: Sku) -> FindingRaised:
        self._disagree.discard(sku)
        text = "the rows and their total agree"
        return FindingRaised(FindingKind.TOTALS_DISAGREE, sku, text, self._clock(), cleared=True)

    async def _confirm(self, skus: set[Sku], emit: Emit) -> tuple[dict[Sku, Instant], set[Sku]]:
        """Ask for each by exact SKU, twice. Returns (gone since when, unsettled); those found again are told.

        Nothing older than the moment before the first asking says that it is gone: a row that was read after the
        sweep began may have left since. A bounded number each time: what is left over is unsettled, and asked for
        by the next sweep. Where many are missing, a page was cut most likely: several a call, to find those.
        """
        now = sorted(skus)[:MAX_CONFIRM]
        gone: dict[Sku, Instant] = {}
        unsettled = skus - set(now)
        if len(now) > SKUS_A_CALL:
            there = await self._read_each(self._calls(now), emit)
            now = [sku for sku in now if sku not in there]
        for sku in now:
            began = self._clock()
            walks = [await self._walker.walk_skus(STOCK, {sku}) for _ in range(2)]
            reads = [self._read(walk) for walk in walks]
            found = {each.stock_id: each for read in reads for each in read.bins if each.sku == sku}
            bins = list(found.values())
            told_elsewhere = self._count_told(sku) and await self._denied([sku], {sku: bins})
            if any(walk.why for walk in walks) or any(sku in read.unread for read in reads):
                unsettled.add(sku)
            elif self._read_since(sku, began):
                unsettled.add(sku)  # somebody else saw it meanwhile: it comes and goes
            elif told_elsewhere or (self._torn(bins) and await self._moved({sku: bins})):
                unsettled.add(sku)
            elif found:
                left = self._places.get(sku, frozenset()) - {each.location for each in bins}
                facts = [*reads[-1].findings, *self._facts(bins, began, settled=True)]
                self._places[sku] = self._places[sku] - left
                for place in sorted(left):
                    self._told.pop((sku, place), None)
                    facts.append(self._gone(sku, place, began))
                await emit(Page(STOCK, tuple(facts)))
            elif self._walker.spells(sku):
                gone[sku] = began
            else:
                unsettled.add(sku)
        return gone, unsettled

    def _read_since(self, sku: Sku, at: Instant) -> bool:
        """Whether a row of this SKU was read at that moment or later."""
        return self._read_at.get(sku, _NEVER) >= at

    def _lacks(self, sku: Sku, some: Sequence[rows.Bin]) -> bool:
        """Whether a bin or a place that was known is not among these."""
        ids, places = {each.stock_id for each in some}, {each.location for each in some}
        known = self._places.get(sku, frozenset())
        return not self._bins.get(sku, frozenset()) <= ids or not known <= places

    def _read(self, walk: Walk) -> Bins:
        read, bins, virtual = Bins(), dict[int, rows.Bin](), self._virtual()
        for row, asked in walk.rows:
            made = parsed(lambda row=row, asked=asked: self._bin(row, asked))  # type: ignore[misc]
            if isinstance(made, Rejected):
                read.findings.append(rows.rejected("stock", row, made.why, asked))
                read.unread |= self._whose(row)
                continue
            if made.sku in virtual:
                detail = f"virtual product {made.sku} has a stock row of {made.quantity}; it is not counted"
                read.findings.append(
                    FindingRaised(FindingKind.VIRTUAL_HAS_STOCK, made.sku, detail, asked, feed=STOCK)
                )
                continue
            if made.algebra:
                subject = f"{made.sku}@{made.location}/{made.stock_id}"
                read.findings.append(
                    FindingRaised(FindingKind.QUANTITY_ALGEBRA, subject, made.algebra, asked, feed=STOCK)
                )
            self._walker.spelling.setdefault(made.sku, made.shown_sku)
            bins[made.stock_id] = made
        read.bins = [each for each in bins.values() if each.sku not in read.unread]
        return read

    def _bin(self, row: Wire, asked: Instant) -> rows.Bin:
        """A bin that may be believed. Raises Unreadable for one of somebody else, or whose numbers fit no longer."""
        made = rows.stock_bin(row, asked)
        if why := self._stranger(made):
            raise rows.Unreadable(why)
        if not made.algebra:
            self._agreed.add(made.stock_id)
        elif made.stock_id in self._agreed:
            raise rows.Unreadable(f"{made.algebra}; they fitted when they were last read")
        return made

    def _whose(self, row: Wire) -> set[Sku]:
        """Whose row this is that cannot be read: by its SKU, else by its id."""
        sku = parsed(lambda: sku_of(row["product"]["masterSku"]))
        if not isinstance(sku, Rejected):
            return {sku}
        return {sku for sku, ids in self._bins.items() if row.get("productStockId") in ids}

    def _facts(self, bins: Sequence[rows.Bin], began: Instant, *, settled: bool) -> list[Fact]:
        """All bins of one SKU, added up by warehouse. ``settled``: these are all there are."""
        sku = bins[0].sku
        groups, sums = _by_place(bins), _sums(bins)
        self._places[sku] = self._places.get(sku, frozenset()) | frozenset(groups)
        self._counts[sku] = (sum(each.quantity for each in bins), sum(each.locked for each in bins))
        if not self._read_since(sku, after(min(each.asked for each in bins), 1)):
            self._told.update({(sku, place): total for place, total in sums.items()})
        self._read_at[sku] = max(self._read_at.get(sku, _NEVER), *(each.asked for each in bins))
        if settled:
            self._bins[sku] = frozenset(each.stock_id for each in bins)
        return [
            StockObserved(
                sku=sku,
                location=place,
                on_hand=sums[place][0],
                unavailable=sums[place][1],
                allocated=sums[place][2],
                age_of=min(began, *(each.asked for each in bins)),
                as_of=after(min(each.asked for each in some), -self._lag),
            )
            for place, some in sorted(groups.items())
        ]

    def _gone(self, sku: Sku, place: LocationName, asked: Instant) -> StockObserved:
        return StockObserved(sku, place, 0, 0, 0, asked, after(asked, -self._lag), gone=True)

    def _forget(self, sku: Sku) -> list[LocationName]:
        self._bins.pop(sku, None)
        self._counts.pop(sku, None)
        self._read_at.pop(sku, None)
        places = sorted(self._places.pop(sku, frozenset()))
        for place in places:
            self._told.pop((sku, place), None)
        return places


def _by_place(bins: Iterable[rows.Bin]) -> dict[LocationName, list[rows.Bin]]:
    groups: dict[LocationName, list[rows.Bin]] = {}
    for each in bins:
        groups.setdefault(each.location, []).append(each)
    return groups


def _sums(bins: Iterable[rows.Bin]) -> dict[LocationName, Sums]:
    return {
        place: (
            sum(each.quantity for each in some),
            sum(each.unavailable for each in some),
            sum(each.allocated for each in some),
        )
        for place, some in _by_place(bins).items()
    }


def _totals(walk: Walk) -> tuple[list[Fact], dict[Sku, StockTotalObserved]]:
    facts: list[Fact] = []
    totals: dict[Sku, StockTotalObserved] = {}
    for row, asked in walk.rows:
        made = parsed(lambda row=row, asked=asked: rows.stock_total(row, asked))  # type: ignore[misc]
        if isinstance(made, Rejected):
            facts.append(rows.rejected("totals", row, made.why, asked))
        else:
            totals[made.sku] = made
            facts.append(made)
    return facts, totals


def _pair(total: StockTotalObserved) -> tuple[int, int]:
    return total.on_hand, total.locked


def _open(unsettled: Iterable[Sku], unread: Iterable[Sku], moving: Iterable[Sku]) -> str:
    lost, bad, torn = sorted(unsettled), sorted(unread), sorted(moving)
    said = []
    if lost:
        said.append(f"{len(lost)} SKUs of the last reading could not be found again, the first is {lost[0]}")
    if bad:
        said.append(f"{len(bad)} SKUs have rows that cannot be read, the first is {bad[0]}")
    if torn:
        said.append(f"{len(torn)} SKUs have bins that were not read together yet, the first is {torn[0]}")
    return "; ".join(said)
