"""Sums over everything that stands, taken in steps: a million drifts must not hold up a reading for a scrape."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import anyio.lowlevel

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.discrepancies import missing_orders
from reconcilerd.domain.facts import FindingKind
from reconcilerd.domain.guards import SOON, Verdict
from reconcilerd.domain.names import ChannelName, Instant, Sku

T = TypeVar("T")

STEP = 2_000
"""Items between two turns of everybody else: about a millisecond."""

State = Literal["settling", "sending", "held"]
Direction = Literal["over", "under"]
STATES: tuple[State, ...] = ("settling", "sending", "held")
DIRECTIONS: tuple[Direction, ...] = ("over", "under")
UNREADABLE = frozenset({FindingKind.REJECTED_ROW, FindingKind.UNKNOWN_VALUE})


@dataclass(slots=True)
class Survey:
    """The sums. ``over``: shows more than it should. Units are eaches for pools, the channel's own for drifts."""

    drifts: Counter[tuple[ChannelName, State, Direction]] = field(default_factory=Counter)
    """Listings that differ; settling: a reading on its way will tell; sending: a write is; else held."""
    drift_units: Counter[tuple[ChannelName, Direction]] = field(default_factory=Counter)
    over_allocated: Counter[ChannelName] = field(default_factory=Counter)
    """Units that listings show above their own share."""
    oldest: dict[ChannelName, Instant] = field(default_factory=dict)
    """When the oldest present drift of a channel was first seen."""
    exposed_units: Counter[str] = field(default_factory=Counter)
    exposed_skus: Counter[str] = field(default_factory=Counter)
    hidden_units: Counter[str] = field(default_factory=Counter)
    """By pool."""
    unmapped: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)
    """Open findings by the system that they are about: listings, rows, orders with more units in Extensiv."""
    missing: Counter[ChannelName] = field(default_factory=Counter)
    """Orders that Extensiv lacks after the longest import."""


async def survey(daemon: Daemon) -> Survey:
    """Look at all of it. What changes meanwhile is in it as it was, or as it is."""
    found, book, standing = Survey(), daemon.desk.book, daemon.passes.standing
    async for group in steps(standing.drifts.values()):
        for drift, verdict in group:
            channel = drift.slot.channel
            direction: Direction = "over" if drift.difference < 0 else "under"
            found.drifts[channel, state_of(verdict), direction] += 1
            found.drift_units[channel, direction] += abs(drift.difference)
            found.over_allocated[channel] += max(0, drift.observed - drift.ideal)
    async for slot, since in steps(standing.since.items()):
        found.oldest[slot.channel] = min(since, found.oldest.get(slot.channel, since))
    found.exposed_units, found.exposed_skus = await _by_pool(daemon, standing.exposed)
    found.hidden_units, _ = await _by_pool(daemon, standing.hidden)
    async for finding in steps(book.findings.values()):
        if finding.cleared:
            continue
        system = finding.subject.partition(":")[0]
        if finding.what is FindingKind.UNMAPPED_SKU:
            found.unmapped[system] += 1
        elif finding.what in UNREADABLE:
            found.unreadable[system] += 1
        elif finding.what is FindingKind.ORDER_DIFFERS:
            found.differing[system] += 1
    for name in book.policy.channels:
        found.missing[name] = sum(1 for _ in missing_orders(book, name, daemon.desk.clock()))
        await anyio.lowlevel.checkpoint()
    return found


def state_of(verdict: Verdict) -> State:
    """Whether a write is on its way, a reading will tell, or it is held."""
    return "sending" if verdict is Verdict.SEND else "settling" if verdict in SOON else "held"


async def _by_pool(daemon: Daemon, units: Mapping[Sku, int]) -> tuple[Counter[str], Counter[str]]:
    """Units, and how many pool groups have any, by the pool that the group's first SKU is in."""
    policy, total, groups = daemon.desk.book.policy, Counter[str](), Counter[str]()
    async for group, count in steps(units.items()):
        pool = policy.sku_rule(group).pool
        total[pool] += count
        groups[pool] += 1
    return total, groups


async def steps(items: Collection[T]) -> AsyncIterator[T]:
    """All that are there now, with a turn for everybody else after each step."""
    for number, item in enumerate(tuple(items), 1):
        yield item
        if number % STEP == 0:
            await anyio.lowlevel.checkpoint()
