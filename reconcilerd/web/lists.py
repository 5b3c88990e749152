"""What is mapped to nothing or twice, orders of which two sides tell differently, and the latest passes."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

import anyio.lowlevel

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.discrepancies import missing_orders
from reconcilerd.domain.facts import FindingKind, PlanMade
from reconcilerd.domain.guards import MEANS, Verdict
from reconcilerd.domain.names import format_second
from reconcilerd.web.sku import Past
from reconcilerd.web.survey import steps

ROWS = 100
"""Rows of one table; the rest is counted."""
PASSES = 30

MAPPING = {
    FindingKind.UNMAPPED_SKU: "Mapped to no SKU: map it in Extensiv, or its orders take stock that nobody subtracts.",
    FindingKind.LISTING_MAPPED_TWICE: "Mapped to several SKUs: keep one mapping in Extensiv.",
    FindingKind.DUPLICATE_SKU: "Several listings carry this SKU: keep one.",
    FindingKind.SKU_CASE_COLLISION: "SKUs that differ only in case: rename one.",
    FindingKind.BLANK_SKU: "Listings without a SKU: give them one, or leave them out.",
    FindingKind.BUNDLE_LOOP: "Bundles that contain themselves: set them right in Extensiv.",
}


@dataclass(frozen=True, slots=True)
class FindingRow:
    """Something that a person should see. ``subject`` begins with the system, and a colon."""

    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """``total``: how many there are; ``rows``: at most ``ROWS`` of them, by subject."""

    kind: str
    fix: str
    total: int
    rows: tuple[FindingRow, ...]


@dataclass(frozen=True, slots=True)
class MissingRow:
    """An order of a channel that Extensiv should have by now."""

    number: str
    placed: str


@dataclass(frozen=True, slots=True)
class MissingGroup:
    """The oldest first."""

    channel: str
    total: int
    rows: tuple[MissingRow, ...]


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """``differing``: more units in Extensiv than were sold; ``missing``: by channel, only channels that have any."""

    differing: FindingGroup
    missing: tuple[MissingGroup, ...]


@dataclass(frozen=True, slots=True)
class MappingPage:
    """Only kinds of which there are any."""

    groups: tuple[FindingGroup, ...]


@dataclass(frozen=True, slots=True)
class PassRow:
    """One pass. ``sent``, ``held``: corrections; ``why``: of what is held, how many of each, the most first."""

    id: str
    at: str
    entry: int
    listings: int
    sent: int
    held: int
    why: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PassesPage:
    """The newest first, at most ``PASSES``."""

    passes: tuple[PassRow, ...]


async def mapping_page(daemon: Daemon) -> MappingPage:
    """What is not covered, or covered twice."""
    groups = await _findings(daemon, MAPPING)
    return MappingPage(tuple(_group(kind, MAPPING[kind], groups[kind]) for kind in MAPPING if groups[kind]))


async def orders_page(daemon: Daemon) -> OrdersPage:
    """Orders of which a channel and Extensiv do not tell the same."""
    kind, book = FindingKind.ORDER_DIFFERS, daemon.desk.book
    differing = (await _findings(daemon, {kind}))[kind]
    fix = "Compare the order in Extensiv with its channel: it holds units there that nobody bought."
    missing = []
    for name in sorted(book.policy.channels):
        lost = missing_orders(book, name, daemon.desk.clock())
        rows = tuple(
            MissingRow(each.order.key.number, format_second(each.placed)) for each in islice(lost, ROWS)
        )
        total = len(rows) + sum(1 for _ in lost)
        missing += [MissingGroup(name, total, rows)] if total else []
        await anyio.lowlevel.checkpoint()
    return OrdersPage(_group(kind, fix, differing), tuple(missing))


async def _findings(daemon: Daemon, kinds: Collection[FindingKind]) -> dict[FindingKind, list[FindingRow]]:
    found: dict[FindingKind, list[FindingRow]] = {kind: [] for kind in kinds}
    async for each in steps(daemon.desk.book.findings.values()):
        if each.what in found and not each.cleared:
            found[each.what].append(FindingRow(each.subject, each.detail))
    return found


def _group(kind: FindingKind, fix: str, rows: list[FindingRow]) -> FindingGroup:
    first = sorted(rows, key=lambda each: each.subject)[:ROWS]
    return FindingGroup(str(kind), fix, len(rows), tuple(first))


async def passes_page(past: Past) -> PassesPage:
    """The latest passes that the ledger holds."""
    rows = await past([(PlanMade.kind, "plan")], PASSES)
    return PassesPage(tuple(_pass(entry, fact) for entry, _, fact in rows if isinstance(fact, PlanMade)))


def _pass(entry: int, made: PlanMade) -> PassRow:
    counts = dict(made.verdicts)
    sent = counts.pop(str(Verdict.SEND), 0)
    why = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    words = tuple((MEANS[Verdict(verdict)], count) for verdict, count in why)
    return PassRow(made.id, format_second(made.at), entry, made.slots, sent, sum(counts.values()), words)
