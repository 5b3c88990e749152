"""What is counted over everything, for pages and metrics: read off sums that are kept, so that it costs a moment."""

from collections import Counter
from dataclasses import dataclass, field

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.sums import Direction, State
from reconcilerd.domain.facts import EXTENSIV, FindingKind
from reconcilerd.domain.names import ChannelName, Instant

UNREADABLE = (FindingKind.REJECTED_ROW, FindingKind.UNKNOWN_VALUE)


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
    """Orders that Extensiv lacked at the last look, after the longest import."""


def survey(daemon: Daemon) -> Survey:
    """All of it, as it stands now."""
    book, standing = daemon.desk.book, daemon.passes.standing
    found = Survey(
        over_allocated=standing.index.over_allocated,
        exposed_units=standing.exposed.units,
        exposed_skus=standing.exposed.groups,
        hidden_units=standing.hidden.units,
    )
    for (channel, _, state, direction), count in standing.index.listings.items():
        found.drifts[channel, state, direction] += count
    for (channel, _, _, direction), units in standing.index.units.items():
        found.drift_units[channel, direction] += units
    for channel, since in standing.since.items():
        if since:
            found.oldest[channel] = next(iter(since.values()))
    about = book.findings.about
    for what, kinds in (
        (found.unmapped, (FindingKind.UNMAPPED_SKU,)),
        (found.unreadable, UNREADABLE),
        (found.differing, (FindingKind.ORDER_DIFFERS,)),
    ):
        for system in (EXTENSIV, *book.policy.channels):
            what[system] = sum(about[kind, system] for kind in kinds)
    for name in book.policy.channels:
        found.missing[name] = len(daemon.health.missing.get(name, ()))
    return found
