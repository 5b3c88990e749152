"""Every listing that differs, grouped by cause, each cause with the one thing to do about it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.desk import spelled
from reconcilerd.daemon.sums import State, state_of
from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.guards import MEANS, Verdict
from reconcilerd.web.leaves import Leaf, leaf_of

FIRST_ROWS = 25
"""Listings that are shown of each cause where all causes are."""

FIXES: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.LAG: "Nothing: stock or orders moved, and it follows as soon as its readings allow.",
        Cause.NATIVE_PUSH: "Switch off Extensiv's own quantity push for the channel, in Extensiv.",
        Cause.FOREIGN_WRITER: "Find who else writes this number (an app, a person), and stop one of the two.",
        Cause.POLICY: "Nothing, if the rule is meant so: reconcilerd plan shows what it does.",
        Cause.MAPPING: "Keep one listing for a SKU, or map it once: see Mapping.",
        Cause.UNITS: "Have whoever else writes it count in the listing's own units: it sells packs.",
        Cause.SLOT_OFF: "Put the listing back on sale, or leave it: nobody can buy it there.",
        Cause.SUPPRESSED: "Publish the listing and let its channel count the stock.",
        Cause.REJECTED: "Read what the channel refuses (the SKU's page), and set the listing right there.",
        Cause.BUNDLE: "Check what the bundle is made of, in Extensiv.",
        Cause.STALE_SOURCE: "Make the feed readable again that is too old: see the first page.",
        Cause.UNEXPLAINED: "Read the SKU's page before anything is approved.",
    }
)


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One listing. Quantities are its channel's own units; ``for_s``: seconds since it was first seen to differ."""

    sku: str
    channel: str
    listing: str
    observed: int
    desired: int
    difference: int
    state: State
    why: str
    for_s: int


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """All listings of one cause; ``rows``: those of this leaf, those that show the most too much first."""

    cause: str
    fix: str
    listings: int
    held: int
    units_over: int
    units_under: int
    rows: tuple[DriftRow, ...]


@dataclass(frozen=True, slots=True)
class DriftPage:
    """``channel`` and ``cause``: what was asked for; empty: all. Of all causes the first rows of each are shown."""

    channel: str
    cause: str
    leaf: Leaf
    channels: tuple[str, ...]
    listings: int
    groups: tuple[CauseGroup, ...]


def drift_page(daemon: Daemon, channel: str = "", cause: str = "", page: int = 1) -> DriftPage:
    """Drift by cause, the cause with the most units too much first. Raises NotShown for a leaf that is not there."""
    index, known = daemon.passes.standing.index, sorted(daemon.desk.book.policy.channels)
    listings, held = Counter[Cause](), Counter[Cause]()
    over, under = Counter[Cause](), Counter[Cause]()
    for key, count in index.listings.items():
        name, why, state, direction = key
        if not count or channel not in {"", name}:
            continue
        listings[why] += count
        held[why] += count if state == "held" else 0
        (over if direction == "over" else under)[why] += index.units[key]
    wanted = [each for each in listings if cause in {"", each}]
    leaf = leaf_of(page, sum(listings[each] for each in wanted)) if cause else Leaf(1, 1, 0, FIRST_ROWS)
    channels = [name for name in known if channel in {"", name}]
    groups = tuple(
        CauseGroup(
            cause=str(each),
            fix=FIXES[each],
            listings=listings[each],
            held=held[each],
            units_over=over[each],
            units_under=under[each],
            rows=tuple(
                row_of(daemon, *one) for one in index.worst(each, channels, leaf.size, skip=leaf.skip)
            ),
        )
        for each in sorted(wanted, key=lambda each: (-over[each], -under[each], each))
    )
    return DriftPage(channel, cause, leaf, tuple(known), sum(listings.values()), groups)


def row_of(daemon: Daemon, drift: Drift, verdict: Verdict) -> DriftRow:
    """One listing as it is shown."""
    now, since = daemon.desk.clock(), daemon.passes.standing.since.get(drift.slot.channel, {})
    return DriftRow(
        sku=spelled(daemon.desk.book, drift.sku),
        channel=drift.slot.channel,
        listing=drift.slot.listing,
        observed=drift.observed,
        desired=drift.desired,
        difference=drift.difference,
        state=state_of(verdict),
        why=MEANS[verdict],
        for_s=max(0, now - since.get(drift.slot, now)) // 1000,
    )
