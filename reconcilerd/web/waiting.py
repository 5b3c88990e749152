"""What waits for a person, how it is released, and what people released already. For who may approve."""

from dataclasses import dataclass
from itertools import islice

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.names import format_second
from reconcilerd.web.drifts import DriftRow, row_of
from reconcilerd.web.leaves import Leaf, leaf_of


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """An approval in force: what it lets through, up to ``ceiling`` a listing, and whose it is."""

    id: str
    at: str
    until: str
    by: str
    reason: str
    direction: str
    ceiling: int
    skus: int


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """``plan``: the id of the newest pass that holds anything for a person; empty: none does."""

    plan: str
    leaf: Leaf
    total: int
    rows: tuple[DriftRow, ...]
    releases: tuple[ReleaseRow, ...]


def waiting_page(daemon: Daemon, page: int = 1) -> WaitingPage:
    """Corrections that wait, the oldest first, and approvals, the newest first. Raises NotShown."""
    waiting, made = daemon.passes.standing.index.waiting, daemon.passes.latest_held
    leaf = leaf_of(page, len(waiting))
    rows = tuple(row_of(daemon, *each) for each in islice(waiting.values(), leaf.skip, leaf.skip + leaf.size))
    releases = tuple(
        ReleaseRow(
            each.id,
            format_second(each.at),
            format_second(each.until),
            each.by,
            each.reason,
            each.direction,
            each.ceiling,
            len(each.skus),
        )
        for each in reversed(daemon.desk.book.words.in_force(daemon.desk.clock()))
    )
    return WaitingPage(made.whole if made and waiting else "", leaf, len(waiting), rows, releases)
