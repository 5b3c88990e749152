"""Every listing that differs, grouped by cause, each cause with the one thing to do about it."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.desk import spelled
from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.guards import MEANS, Verdict
from reconcilerd.web.survey import State, state_of, steps

ROWS = 25
"""Listings that are shown of a cause; the rest is counted."""

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
    """All listings of one cause; ``rows``: at most ``ROWS``, those that show the most too much first."""

    cause: str
    fix: str
    listings: int
    held: int
    units_over: int
    units_under: int
    rows: tuple[DriftRow, ...]


@dataclass(frozen=True, slots=True)
class DriftPage:
    """``channel``: the one that was asked for; empty: all."""

    channel: str
    channels: tuple[str, ...]
    listings: int
    groups: tuple[CauseGroup, ...]


@dataclass(slots=True)
class _Found:
    listings: int = 0
    held: int = 0
    over: int = 0
    under: int = 0
    worst: list[tuple[tuple[int, int, str], Drift, Verdict]] = field(default_factory=list)


async def drift_page(daemon: Daemon, channel: str = "") -> DriftPage:
    """All drift (of one channel) by cause, the cause with the most units too much first."""
    causes: dict[Cause, _Found] = {}
    async for group in steps(daemon.passes.standing.drifts.values()):
        for drift, verdict in group:
            if channel in {"", drift.slot.channel}:
                _count(causes.setdefault(drift.cause, _Found()), drift, verdict)
    groups = tuple(
        CauseGroup(
            cause=str(cause),
            fix=FIXES[cause],
            listings=found.listings,
            held=found.held,
            units_over=found.over,
            units_under=found.under,
            rows=tuple(
                _row(daemon, drift, verdict) for _, drift, verdict in sorted(found.worst, key=_by_rank)[::-1]
            ),
        )
        for cause, found in sorted(causes.items(), key=lambda each: (-each[1].over, -each[1].under, each[0]))
    )
    channels = tuple(sorted(daemon.desk.book.policy.channels))
    return DriftPage(channel, channels, sum(each.listings for each in groups), groups)


def _count(found: _Found, drift: Drift, verdict: Verdict) -> None:
    found.listings += 1
    found.held += state_of(verdict) == "held"
    found.over += max(0, -drift.difference)
    found.under += max(0, drift.difference)
    rank = (max(0, -drift.difference), max(0, drift.difference), drift.slot.path)
    if len(found.worst) < ROWS:
        heapq.heappush(found.worst, (rank, drift, verdict))
    elif rank > found.worst[0][0]:
        heapq.heapreplace(found.worst, (rank, drift, verdict))


def _by_rank(each: tuple[tuple[int, int, str], Drift, Verdict]) -> tuple[int, int, str]:
    return each[0]


def _row(daemon: Daemon, drift: Drift, verdict: Verdict) -> DriftRow:
    now = daemon.desk.clock()
    return DriftRow(
        sku=spelled(daemon.desk.book, drift.sku),
        channel=drift.slot.channel,
        listing=drift.slot.listing,
        observed=drift.observed,
        desired=drift.desired,
        difference=drift.difference,
        state=state_of(verdict),
        why=MEANS[verdict],
        for_s=max(0, now - daemon.passes.standing.since.get(drift.slot, now)) // 1000,
    )
