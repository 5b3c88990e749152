"""What is mapped to nothing or twice, orders of which two sides tell differently, and the latest passes."""

from dataclasses import dataclass
from itertools import islice

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.facts import FindingKind, PlanMade
from reconcilerd.domain.guards import Verdict
from reconcilerd.domain.names import format_second
from reconcilerd.domain.verdicts import meaning_of
from reconcilerd.web.leaves import UNKNOWN, Leaf, leaf_of
from reconcilerd.web.sku import NotShown, Past

FIRST = Leaf(1, 1, 0, 25)
"""Rows that are shown of each table where several are."""
NOTHING = Leaf(1, 1, 0, 0)
PASSES = 30
DIFFERS = "order_differs"
"""Stands where a channel may: those that both sides have, and not alike."""
DIFFERS_FIX = "Compare the order in Extensiv with its channel: it holds units there that nobody bought."

MAPPING = {
    FindingKind.UNMAPPED_SKU: "Mapped to no SKU: map it in Extensiv, or its orders take stock that nobody subtracts.",
    FindingKind.LISTING_MAPPED_TWICE: "Mapped to several SKUs: keep one mapping in Extensiv.",
    FindingKind.DUPLICATE_SKU: "Several listings carry this SKU: keep one.",
    FindingKind.PRODUCT_TWICE: "Several products carry this SKU, and are not alike: rename all but one in Extensiv.",
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
    """``total``: how many there are; ``rows``: those of this leaf, in the order they came."""

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
    """``differing``: more units in Extensiv than were sold; ``missing``: by channel, only channels that have any.

    ``channel``: the one whose missing orders were asked for, or ``DIFFERS`` for those that differ; empty: all.
    """

    channel: str
    leaf: Leaf
    differing: FindingGroup
    missing: tuple[MissingGroup, ...]


@dataclass(frozen=True, slots=True)
class MappingPage:
    """Only kinds of which there are any. ``kind``: the one that was asked for; empty: all."""

    kind: str
    leaf: Leaf
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
    """The newest first, at most ``PASSES``. ``before``: the entry before which they were asked for; None: the latest.
    ``older``: the one to ask before for those that follow; None: there are none.
    """

    before: int | None
    passes: tuple[PassRow, ...]
    older: int | None


def mapping_page(daemon: Daemon, kind: str = "", page: int = 1) -> MappingPage:
    """What is not covered, or covered twice. Raises NotShown for a leaf that is not there."""
    findings = daemon.desk.book.findings
    wanted = [each for each in MAPPING if kind in {"", each} and findings.standing(each)]
    leaf = leaf_of(page, sum(len(findings.standing(each)) for each in wanted)) if kind else FIRST
    return MappingPage(kind, leaf, tuple(_group(daemon, each, MAPPING[each], leaf) for each in wanted))


def orders_page(daemon: Daemon, channel: str = "", page: int = 1) -> OrdersPage:
    """Orders of which a channel and Extensiv do not tell the same. Raises NotShown for a leaf that is not there."""
    lost = {
        name: rows for name, rows in sorted(daemon.health.missing.items()) if rows and channel in {"", name}
    }
    differs = len(daemon.desk.book.findings.standing(FindingKind.ORDER_DIFFERS))
    leaf = (
        leaf_of(page, differs if channel == DIFFERS else sum(map(len, lost.values()))) if channel else FIRST
    )
    missing = tuple(
        MissingGroup(
            name,
            len(rows),
            tuple(
                MissingRow(each.order.key.number, format_second(each.placed))
                for each in rows[leaf.skip : leaf.skip + leaf.size]
            ),
        )
        for name, rows in lost.items()
    )
    differing = _group(
        daemon, FindingKind.ORDER_DIFFERS, DIFFERS_FIX, leaf if channel in {"", DIFFERS} else NOTHING
    )
    return OrdersPage(channel, leaf, differing, missing)


def _group(daemon: Daemon, kind: FindingKind, fix: str, leaf: Leaf) -> FindingGroup:
    standing = daemon.desk.book.findings.standing(kind)
    rows = islice(standing.values(), leaf.skip, leaf.skip + leaf.size)
    return FindingGroup(
        str(kind), fix, len(standing), tuple(FindingRow(each.subject, each.detail) for each in rows)
    )


async def passes_page(past: Past, before: int | None = None) -> PassesPage:
    """The latest passes that the ledger holds, or those before an entry of one: new ones come all the time, and an
    address that counted from the latest would show others by the minute. Raises NotShown where there is none before.
    """
    rows = await past([(PlanMade.kind, "plan")], PASSES + 1, before)
    passes = [_pass(entry, fact) for entry, _, fact in rows if isinstance(fact, PlanMade)]
    if before is not None and not passes:
        raise NotShown(
            f"the ledger holds no pass before one of entry {before}; /passes has the latest", UNKNOWN
        )
    shown = passes[:PASSES]
    return PassesPage(before, tuple(shown), shown[-1].entry if len(passes) > PASSES else None)


def _pass(entry: int, made: PlanMade) -> PassRow:
    counts = dict(made.verdicts)
    sent = counts.pop(str(Verdict.SEND), 0)
    why = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    words = tuple((meaning_of(verdict), count) for verdict, count in why)
    return PassRow(made.id, format_second(made.at), entry, made.slots, sent, sum(counts.values()), words)
