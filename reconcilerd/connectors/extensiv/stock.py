"""Stock rows and their cross-check. A SKU is told whole or not at all: one unreadable bin would halve it.

What is missing is asked for by exact SKU, twice, before it is gone. A row that cannot be read is not missing: its
SKU stays as it was known and as old as it was. Where such SKUs are few, the sweep is complete for all the others.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.account import Account
from reconcilerd.connectors.extensiv.bins import (
    Bins,
    by_place,
    on_hand,
    says_zero,
    stock_id,
    sums_of,
    whose_row,
)
from reconcilerd.connectors.extensiv.totals import pair_of, totals_of
from reconcilerd.connectors.extensiv.walk import (
    MAX_CONFIRM,
    PAGINGS,
    SKUS_A_CALL,
    STOCK,
    TOTALS,
    WAREHOUSES,
    Walk,
    Walker,
    Wire,
)
from reconcilerd.connectors.port import Emit, Page, strangers, too_many_aside
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import Fact, FindingKind, FindingRaised, StockObserved, StockTotalObserved
from reconcilerd.domain.names import Instant, LocationName, Sku, after
from reconcilerd.errors import LedgerFault, ReconcilerdError

log = structlog.get_logger("reconcilerd.extensiv")

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


@dataclass(frozen=True, slots=True)
class Swept:
    """A reading of all rows: how many, why it is not complete, if so, and the oldest moment it tells of.

    ``unread``: SKUs that it met and could not read, where it is complete for the rest.
    """

    rows: int
    why: str
    began: Instant
    unread: tuple[Sku, ...] = ()


@dataclass(slots=True)
class Asked:
    """What became of SKUs that were asked for one by one. Of those that are in none of these, rows were told."""

    unsettled: set[Sku]
    """Still to be asked for, by the next reading."""
    gone: dict[Sku, Instant] = field(default_factory=dict)
    """Since when nothing says that they are there."""
    unread: set[Sku] = field(default_factory=set)
    denied: dict[Sku, str] = field(default_factory=dict)


class Stock:
    """Keeps where rows of each SKU were, and what they added up to."""

    def __init__(
        self,
        walker: Walker,
        clock: Callable[[], Instant],
        virtual: Callable[[], Collection[Sku]],
        account: Account,
        stranger: Callable[[rows.Bin], str],
        read_lag_ms: int,
        known: Iterable[StockObserved],
    ) -> None:
        """``known``: rows as last read before this start; the bins they are made of are not known.

        ``stranger``: why a row cannot be one of this tenant's, if so.
        """
        self._account = account
        self._stranger = stranger
        self._proven: dict[int, int] = {}
        """What could be sold out of each bin whose numbers once fitted together, as last believed."""
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
        self._heard: dict[Sku, Instant] = {}
        """When each SKU whose rows were unlikely was last held against its total."""
        self._unconfirmed: set[Sku] = set()
        """Risen by so much that only a total would confirm it, and none could be had for the last whole reading."""
        self._totals_fail = False
        """Whether totals failed since a reading last began: until the next one begins nobody asks for them in vain."""

    async def sweep(self, began: Instant, emit: Emit) -> Swept:
        """Read all rows."""
        self._totals_fail = False
        self._unconfirmed.clear()
        walk = await self._walk()
        count, read = walk.count, await self._read(walk)
        mended = set[Sku]() if walk.why else await self._read_late(read, emit)
        seen = read.by_sku()
        lost = {sku for sku in self._places if sku not in read.unread and self._lacks(sku, seen.get(sku, []))}
        facts: list[Fact] = [*read.findings]
        asked = Asked(lost)
        walk.why = walk.why or strangers(self._places, seen.keys() | read.unread, count, "rows")
        if not walk.why:
            asked = await self._confirm(lost, emit)
        # What names no SKU may be any of those whose bins nobody knows.
        unnamed = {sku for sku in asked.gone if self._may_be(sku, read.nameless)}
        unread = {sku for sku in read.unread - mended if sku in self._places} | asked.unread | unnamed
        torn: set[Sku] = set()
        unlikely = (
            [] if walk.why else [sku for sku in seen if sku not in lost and self._unlikely(sku, seen[sku])]
        )
        denied = asked.denied | await self._denied(unlikely, seen)
        aside = unread | denied.keys()
        # Rises that nothing can confirm now wait by name: whatever else was read is not in doubt for them.
        many = "" in denied.values() or too_many_aside(aside, self._places.keys(), count, self._unconfirmed)
        facts += [] if many else self._not_believed(denied)
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
        for sku, at in sorted(asked.gone.items()):
            if sku in unnamed:
                continue
            if self._read_since(sku, at):
                asked.unsettled.add(sku)
            else:
                facts += [self._gone(sku, place, at) for place in self._forget(sku)]
        await emit(Page(STOCK, tuple(facts)))
        if walk.why:
            return Swept(count, walk.why, walk.began(began))
        self._bins.update({sku: frozenset(each.stock_id for each in seen[sku]) for sku in torn})
        self._bins_known = True
        self._to_check |= self._after_rows
        self._after_rows.clear()
        moving = await self._read_again(torn, emit)
        why = _open(asked.unsettled, unread if many else (), denied if many else (), moving)
        back = lost - asked.gone.keys() - asked.unsettled - aside
        left_out = () if why else tuple(sorted(aside))
        return Swept(count + self._missed(back, seen), why, walk.began(began), left_out)

    def _missed(self, back: Iterable[Sku], seen: Mapping[Sku, Sequence[rows.Bin]]) -> int:
        """How many rows of these SKUs, which were found again, were not among those seen: they are in the list too."""
        return sum(max(0, len(self._bins.get(sku, ())) - len(seen.get(sku, ()))) for sku in back)

    async def read(self, skus: Sequence[Sku], emit: Emit) -> None:
        """Read the rows of exactly these SKUs now. What lacks a known bin proves nothing and is not told."""
        self._totals_fail = False
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
        first = await self._read(await self._walker.glance(STOCK, wanted))
        facts: list[Fact] = [*first.findings]
        seen = first.by_sku()
        sure = {sku for sku in wanted if sku in self._bins and not self._lacks(sku, seen.get(sku, []))}
        denied = await self._denied([sku for sku in sure if self._unlikely(sku, seen[sku])], seen)
        sure -= denied.keys()
        wanted = wanted - denied.keys()
        for sku in sorted(sure):
            facts += self._facts(seen[sku], began, settled=False)
        # Whoever wants a row that cannot be read asks again and again: all its other rows say nothing without it.
        more, found = await self._read_whole(wanted - sure - first.unread)
        return facts + more, sure | found

    async def _read_whole(self, skus: set[Sku]) -> tuple[list[Fact], set[Sku]]:
        """Rows of SKUs of which nobody knows, or a first page did not show, all bins: to a proven end."""
        if not skus:
            return [], set()
        began = self._clock()
        walk = await self._walker.walk_skus(STOCK, skus)
        if walk.why:
            return [], set()
        read = await self._read(walk)
        seen = {
            sku: some for sku, some in read.by_sku().items() if sku in skus and not self._lacks(sku, some)
        }
        moved = await self._moved({sku: some for sku, some in seen.items() if self._torn(some)})
        moved |= (await self._denied([sku for sku in seen if self._unlikely(sku, seen[sku])], seen)).keys()
        told: list[Fact] = [*read.findings]
        for sku in sorted(seen.keys() - moved):
            told += self._facts(seen[sku], began, settled=False)
        return told, seen.keys() - moved

    def _unlikely(self, sku: Sku, bins: Sequence[rows.Bin]) -> bool:
        """Whether rows say that all is gone, or many times what there was: what a broken feed says most often."""
        before, now = self._count_told(sku), on_hand(bins)
        return bool(before) and (now == 0 or now > MANY_TIMES * max(before, FEW_UNITS))

    def _count_told(self, sku: Sku) -> int:
        """Units on hand over all places, as last told."""
        return sum(self._told.get((sku, place), (0, 0, 0))[0] for place in self._places.get(sku, ()))

    async def _denied(self, skus: Sequence[Sku], seen: Mapping[Sku, Sequence[rows.Bin]]) -> dict[Sku, str]:
        """Which of these are nearer to what they were than to what their rows say, by their totals; with the numbers.

        A bounded number each time, the longest unheard first; what is left over is denied unheard, without a word, and
        asked for by the next reading. A total that is not there denies nothing, even where all the rows are gone. While
        totals fail, for nobody knows how long, a zero that rows say is told, since it counts only when it was read
        several times; a rise, and any row that is gone, are denied.
        """
        waiting = sorted(skus, key=lambda sku: (self._heard.get(sku, _NEVER), sku))
        some, denied = sorted(waiting[:MAX_CHECKS]), dict[Sku, str]()
        for start in range(0, len(some), SKUS_A_CALL):
            part = some[start : start + SKUS_A_CALL]
            totals = await self._totals_of(part)
            if totals is None:
                left = {sku: seen.get(sku, ()) for sku in waiting if sku not in some[:start]}
                odd = [sku for sku, bins in left.items() if self._lacks(sku, bins) or not says_zero(bins)]
                self._unconfirmed |= {sku for sku in odd if not self._lacks(sku, left[sku])}
                return denied | {sku: f"{self._differ(sku, seen)}, its total cannot be read" for sku in odd}
            for sku in part:
                self._heard[sku] = self._clock()
                now, before = on_hand(seen.get(sku, ())), self._count_told(sku)
                total = totals[sku].on_hand if sku in totals else now
                if abs(total - before) < abs(total - now):
                    denied[sku] = f"{self._differ(sku, seen)}, {total} by its total"
        return denied | dict.fromkeys(waiting[MAX_CHECKS:], "")

    def _differ(self, sku: Sku, seen: Mapping[Sku, Sequence[rows.Bin]]) -> str:
        return f"{on_hand(seen.get(sku, ()))} on hand by its rows, {self._count_told(sku)} before"

    async def _totals_of(self, skus: Sequence[Sku]) -> Mapping[Sku, StockTotalObserved] | None:
        """Totals of these SKUs; None where they cannot be had. Why not, their own feed tells a person."""
        if self._totals_fail:
            return None
        try:
            walk = await self._walker.walk_skus(TOTALS, skus)
        except LedgerFault:
            raise
        except ReconcilerdError as error:
            self._totals_fail = True
            log.warning("totals_not_read", error=type(error).__name__, why=str(error)[:300])
            return None
        return totals_of(walk)[1]

    def _not_believed(self, denied: Mapping[Sku, str]) -> list[Fact]:
        """What a person is told of SKUs whose rows can be read and are not believed."""
        at = self._clock()
        return [rows.rejected("stock", {"masterSku": sku}, why, at) for sku, why in sorted(denied.items())]

    async def _moved(self, torn: Mapping[Sku, list[rows.Bin]]) -> set[Sku]:
        """Which of these, too many bins for one page, do not add up to the same when they are read once more."""
        if not torn:
            return set()
        walk = await self._walker.walk_skus(STOCK, torn.keys())
        again = {} if walk.why else (await self._read(walk)).by_sku()
        return {sku for sku, some in torn.items() if sums_of(again.get(sku, [])) != sums_of(some)}

    async def _read_late(self, read: Bins, emit: Emit) -> set[Sku]:
        """Read SKUs once more whose rows say more than before in numbers that do not fit. Those that were told then.

        Numbers that are reckoned one after the other fit a moment later. A bounded number each time.
        """
        some = sorted(set(read.late.values()))[:MAX_CHECKS]
        told = await self._read_each(self._calls(some), emit)
        read.findings = [each for each in read.findings if read.late.get(each.subject) not in told]
        return told

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
            and self._told.get((some[0].sku, place)) != sums_of(some)[place]
            for place, some in by_place(bins).items()
        )

    async def sweep_totals(self, emit: Emit) -> tuple[int, str]:
        """Read the totals, and hold each against the rows; what differs is read again, both together."""
        self._totals_fail = False
        walk = await self._walker.walk(PAGINGS[TOTALS])
        facts, totals = totals_of(walk)
        differing = [
            sku
            for sku, total in sorted(totals.items())
            if self._counts.get(sku, pair_of(total)) != pair_of(total)
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
            told = await self._read_each(self._calls(some), emit)
            before = {sku: self._counts.get(sku) for sku in some}
            walk = await self._walker.walk_skus(TOTALS, some)
            told &= await self._read_each(self._calls(some), emit)
            if walk.why:
                continue
            for sku, total in sorted(totals_of(walk)[1].items()):
                count = self._counts.get(sku)
                if sku not in told or count is None or count != before[sku]:
                    continue
                if pair_of(total) == count:
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

    async def _confirm(self, skus: set[Sku], emit: Emit) -> Asked:
        """Ask for each by exact SKU, twice. Those found again are told.

        Nothing older than the moment before the first asking says that it is gone: a row that was read after the
        sweep began may have left since. A bounded number each time: what is left over is unsettled, and asked for
        by the next sweep. Where many are missing, a page was cut most likely: several a call, to find those.
        """
        now = sorted(skus)[:MAX_CONFIRM]
        asked = Asked(skus - set(now))
        if len(now) > SKUS_A_CALL:
            there = await self._read_each(self._calls(now), emit)
            now = [sku for sku in now if sku not in there]
        for sku in now:
            began = self._clock()
            walks = [await self._walker.walk_skus(STOCK, {sku}) for _ in range(2)]
            reads = [await self._read(walk) for walk in walks]
            found = {each.stock_id: each for read in reads for each in read.bins if each.sku == sku}
            bins = list(found.values())
            denied = await self._denied([sku], {sku: bins}) if self._count_told(sku) else {}
            if any(walk.why for walk in walks):
                asked.unsettled.add(sku)
            elif any(sku in read.unread or read.nameless for read in reads):
                asked.unread.add(sku)
                await emit(Page(STOCK, tuple(each for read in reads for each in read.findings)))
            elif self._read_since(sku, began):
                asked.unsettled.add(sku)  # somebody else saw it meanwhile: it comes and goes
            elif denied:
                asked.denied |= denied
            elif self._torn(bins) and await self._moved({sku: bins}):
                asked.unsettled.add(sku)
            elif found:
                left = self._places.get(sku, frozenset()) - {each.location for each in bins}
                facts: list[Fact] = [*reads[-1].findings, *self._facts(bins, began, settled=True)]
                self._places[sku] = self._places[sku] - left
                for place in sorted(left):
                    self._told.pop((sku, place), None)
                    facts.append(self._gone(sku, place, began))
                await emit(Page(STOCK, tuple(facts)))
            elif self._walker.spells(sku):
                asked.gone[sku] = began
            else:
                asked.unsettled.add(sku)
        return asked

    def _may_be(self, sku: Sku, nameless: Iterable[int | None]) -> bool:
        """Whether one of these rows that name no SKU may be of this one: it is none of the bins that are known."""
        return any(sku not in self._bins or each is None for each in nameless)

    def _read_since(self, sku: Sku, at: Instant) -> bool:
        """Whether a row of this SKU was read at that moment or later."""
        return self._read_at.get(sku, _NEVER) >= at

    def _lacks(self, sku: Sku, some: Sequence[rows.Bin]) -> bool:
        """Whether a bin or a place that was known is not among these."""
        ids, places = {each.stock_id for each in some}, {each.location for each in some}
        known = self._places.get(sku, frozenset())
        return not self._bins.get(sku, frozenset()) <= ids or not known <= places

    async def _read(self, walk: Walk) -> Bins:
        named = (parsed(lambda row=row: row["stockLocation"]["warehouseId"]) for row, _ in walk.rows)  # type: ignore[misc]
        await self._account.meet(WAREHOUSES, {each for each in named if type(each) is int})
        read, bins, virtual = Bins(), dict[int, rows.Bin](), self._virtual()
        owners: dict[int, Sku] | None = None
        for row, asked in walk.rows:
            made = parsed(lambda row=row, asked=asked: self._bin(row, asked))  # type: ignore[misc]
            if isinstance(made, rows.Bin) and not self._proves(made):
                finding = rows.rejected(
                    "stock", row, f"{made.algebra}; they fitted when they were last read", asked
                )
                read.findings.append(finding)
                read.late[finding.subject] = made.sku
                read.unread.add(made.sku)
                continue
            if isinstance(made, Rejected):
                read.findings.append(rows.rejected("stock", row, made.why, asked))
                if owners is None:
                    owners = {id_: sku for sku, ids in self._bins.items() for id_ in ids}
                whose = whose_row(row, owners)
                read.unread |= whose
                if not whose:
                    read.nameless.add(stock_id(row))
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
        """A bin of this account. Raises Unreadable for one of somebody else."""
        made = rows.stock_bin(row, asked)
        if why := self._stranger(made):
            raise rows.Unreadable(why)
        return made

    def _proves(self, made: rows.Bin) -> bool:
        """Whether what a bin says may be believed: all but more than before, in numbers that no longer fit together.

        The available number may merely lag behind the others. Those are the ones that count: what they say of less is
        told at once, or a shelf would show what has left it; more may be the one that is spoilt, and would be sold.
        """
        sellable, before = made.quantity - made.unavailable, self._proven.get(made.stock_id)
        if made.algebra and before is None:
            return True  # it never fitted: that is how this tenant's rows are
        if made.algebra and before is not None and sellable > before:
            return False
        self._proven[made.stock_id] = sellable
        return True

    def _facts(self, bins: Sequence[rows.Bin], began: Instant, *, settled: bool) -> list[Fact]:
        """All bins of one SKU, added up by warehouse. ``settled``: these are all there are."""
        sku = bins[0].sku
        groups, sums = by_place(bins), sums_of(bins)
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
        self._heard.pop(sku, None)
        places = sorted(self._places.pop(sku, frozenset()))
        for place in places:
            self._told.pop((sku, place), None)
        return places


def _open(
    unsettled: Iterable[Sku], unread: Iterable[Sku], denied: Iterable[Sku], moving: Iterable[Sku]
) -> str:
    lost, bad, odd, torn = sorted(unsettled), sorted(unread), sorted(denied), sorted(moving)
    said = []
    if lost:
        said.append(f"{len(lost)} SKUs of the last reading could not be found again, the first is {lost[0]}")
    if bad:
        said.append(f"{len(bad)} SKUs have rows that cannot be read, the first is {bad[0]}")
    if torn:
        said.append(f"{len(torn)} SKUs have bins that were not read together yet, the first is {torn[0]}")
    if odd:
        said.append(f"{len(odd)} SKUs have rows that their total does not bear out, the first is {odd[0]}")
    return "; ".join(said)
