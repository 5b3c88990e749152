"""One pass: what it looked at, what it wrote and what came of it, what it held and why. Read off its ledger entry."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final
from uuid import UUID

from reconcilerd.daemon.desk import sku_on
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    DecisionRecorded,
    PlanMade,
)
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import SlotKey, format_second
from reconcilerd.domain.record import Inputs, inputs_on_record
from reconcilerd.domain.verdicts import meaning_of
from reconcilerd.ledger.reader import Entry, Reader
from reconcilerd.web.leaves import ROWS, UNKNOWN, Leaf, leaf_of
from reconcilerd.web.sku import NotShown

BACK: Final = 10
"""Answers and ends that are looked through for each listing; of older passes, the SKU's page knows."""

Came = Mapping[str, tuple[str, str]]
"""By the id of a correction: what the channel answered, and how it ended; empty: not yet, or too long ago."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What the ledger holds of a pass. ``inputs``: what it was decided from; ``why_not``: why that is not there."""

    entry: Entry
    made: PlanMade
    written: tuple[CorrectionPlanned, ...]
    decided: DecisionRecorded | None
    inputs: Inputs | None
    why_not: str
    came: Came


PassedOf = Callable[[str, int | None, int], Awaitable[Passed]]
"""(id, the number of its entry if it is known, page of what was written). Raises NotShown."""


@dataclass(frozen=True, slots=True)
class LookedAt:
    """All that was decided from. Ages are seconds, of the oldest; None: nothing of that kind."""

    groups: int
    stock_rows: int
    stock_age_s: int | None
    listings: int
    listings_age_s: int | None
    claims: int
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """One correction, in its channel's units. ``released``: the approval or plan file under which it went."""

    sku: str
    channel: str
    listing: str
    read: int
    target: int
    cause: str
    because: str
    released: str
    answered: str
    ended: str


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One correction that was held."""

    sku: str
    channel: str
    listing: str
    shown: int
    wanted: int
    why: str


@dataclass(frozen=True, slots=True)
class PassPage:
    """``rails``: what stood in the way of writes, in words. ``counts``: by what became of the listings, most first."""

    id: str
    at: str
    entry: int
    policy: str
    program: str
    order: str
    listings: int
    looked_at: LookedAt | None
    not_kept: str
    rails: tuple[str, ...]
    counts: tuple[tuple[str, int], ...]
    leaf: Leaf
    written: int
    rows: tuple[WrittenRow, ...]
    held: tuple[HeldRow, ...]
    held_more: int


def passed(reader: Reader, id_: str, entry: int | None, page: int) -> Passed:
    """What the ledger holds. Raises NotShown."""
    if not _is_id(id_):
        raise NotShown(
            f"{id_[:60]!r} is no pass: it looks like 0f8fad5b-d9cb-469f-a165-70867728950e", UNKNOWN
        )
    # An address that somebody made up may name any entry, and the pass is looked for then.
    found = next(islice(reader.entries(entry - 1), 1), None) if entry is not None else None
    if found is None or not _made_in(found, id_):
        found = reader.entry_naming(id_)
    if found is None or not _made_in(found, id_):
        raise NotShown(f"no pass {id_} is in the ledger; it may be older than that goes back", UNKNOWN)
    made = _made_in(found, id_)[0]
    written = tuple(fact for fact in found.facts if isinstance(fact, CorrectionPlanned))
    decided = next((fact for fact in found.facts if isinstance(fact, DecisionRecorded)), None)
    inputs, why_not = None, "nothing was decided beyond what holds anyway"
    if decided is not None:
        try:
            inputs, why_not = inputs_on_record(decided), ""
        except ValueError as why:
            why_not = str(why)
    leaf = leaf_of(page, len(written))
    return Passed(
        found,
        made,
        written,
        decided,
        inputs,
        why_not,
        dict(_came(reader, written[leaf.skip : leaf.skip + leaf.size])),
    )


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _made_in(entry: Entry, id_: str) -> list[PlanMade]:
    return [fact for fact in entry.facts if isinstance(fact, PlanMade) and fact.id == id_]


def _came(reader: Reader, written: Iterable[CorrectionPlanned]) -> Iterable[tuple[str, tuple[str, str]]]:
    corrections = {each.id: each.about for each in written}
    about = dict.fromkeys(corrections.values())
    subjects = [(kind.kind, each) for each in about for kind in (CorrectionSent, CorrectionSettled)]
    answered, ended = dict[str, str](), dict[str, str]()
    for _, _, fact in reader.histories(subjects, BACK):
        if isinstance(fact, CorrectionSent):
            answered.setdefault(fact.id, f"{fact.outcome} {fact.detail}".rstrip())
        elif isinstance(fact, CorrectionSettled):
            ended.setdefault(fact.id, str(fact.end))
    for each in corrections:
        yield each, (answered.get(each, ""), ended.get(each, ""))


def pass_page(book: Book, found: Passed, page: int) -> PassPage:
    """As it is shown. Raises NotShown for a leaf that is not there."""
    made, decided, inputs = found.made, found.decided, found.inputs
    leaf = leaf_of(page, len(found.written))
    counts = sorted(made.verdicts, key=lambda each: (-each[1], each[0]))
    held = sum(count for verdict, count in counts if verdict != Verdict.SEND)
    order = inputs.order if inputs is not None else None
    return PassPage(
        id=made.id,
        at=format_second(made.at),
        entry=found.entry.seq,
        policy=decided.policy if decided else "",
        program=decided.program if decided else "",
        order=f"{type(order).__name__.lower()} {order.plan}" if order is not None else "",
        listings=made.slots,
        looked_at=_looked_at(inputs) if inputs is not None else None,
        not_kept=found.why_not,
        rails=tuple(_rails(inputs.rails)) if inputs is not None else (),
        counts=tuple((meaning_of(verdict), count) for verdict, count in counts),
        leaf=leaf,
        written=len(found.written),
        rows=tuple(_row(book, each, found.came) for each in found.written[leaf.skip : leaf.skip + leaf.size]),
        held=tuple(
            HeldRow(_sku(book, slot), slot.channel, slot.listing, shown, wanted, meaning_of(verdict))
            for slot, shown, wanted, verdict in made.held[:ROWS]
        ),
        held_more=max(0, held - min(ROWS, len(made.held))),
    )


def _looked_at(inputs: Inputs) -> LookedAt:
    positions = inputs.positions
    stock = [each.at - row.age_of for each in positions for row in each.stock]
    shown = [each.at - offer.age_of for each in positions for offer in each.offers if offer.read is not None]
    return LookedAt(
        groups=len(positions),
        stock_rows=len(stock),
        stock_age_s=max(stock) // 1000 if stock else None,
        listings=len(shown),
        listings_age_s=max(shown) // 1000 if shown else None,
        claims=sum(len(each.claims) for each in positions),
        unread=tuple(sorted({sku for each in positions for sku in each.unknown}))[:ROWS],
    )


def _rails(rails: Rails) -> Iterable[str]:
    yield f"mode {rails.mode}"
    for on, text in (
        (rails.stop, "the STOP file was there"),
        (rails.breach, "an invariant was broken"),
        (rails.half_fails, "most channels failed together"),
        (rails.observing, "the policy had changed and was looked at first"),
        (bool(rails.frozen), f"frozen: {', '.join(sorted(each or 'all' for each in rails.frozen))}"),
        (bool(rails.closed), f"freeze windows: {', '.join(each.channel or 'all' for each in rails.closed)}"),
        (bool(rails.circuits), f"circuits open: {', '.join(sorted(rails.circuits))}"),
        (bool(rails.latched), f"tripped: {', '.join(sorted(rails.latched)[:10])}"),
        (bool(rails.envelopes), f"approvals in force: {len(rails.envelopes)}"),
    ):
        if on:
            yield text


def _row(book: Book, each: CorrectionPlanned, came: Came) -> WrittenRow:
    answered, ended = came.get(each.id, ("", ""))
    return WrittenRow(
        sku=_sku(book, each.slot),
        channel=each.slot.channel,
        listing=each.slot.listing,
        read=each.read,
        target=each.target,
        cause=each.cause,
        because=each.reason,
        released=each.released,
        answered=answered,
        ended=ended,
    )


def _sku(book: Book, slot: SlotKey) -> str:
    """As people write it; of a slot that sells nothing known by now, the listing."""
    return sku_on(book, slot) or slot.listing
