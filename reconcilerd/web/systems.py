"""One channel, or Extensiv: its feeds, how its calls go, and what limits them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from reconcilerd.web.overview import SystemRow, system_row
from reconcilerd.web.sources import Sources
from reconcilerd.web.survey import survey


@dataclass(frozen=True, slots=True)
class FeedRow:
    """``read_s``: seconds since its last complete sweep began; None: there was none. ``limit_s``: how old it may be."""

    feed: str
    read_s: int | None
    limit_s: int | None
    rows: int
    stale: bool
    trouble: str


@dataclass(frozen=True, slots=True)
class CallRow:
    """Tries of one operation since the start; ``classes``: by class of status, ``none``: no answer came."""

    operation: str
    tries: int
    errors: int
    classes: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A limit that calls wait for. ``left`` and ``size``: tokens of its bucket."""

    lane: str
    left: int
    size: int
    throttled: int


@dataclass(frozen=True, slots=True)
class SystemPage:
    """Operations are paths or documents of ours: there are few."""

    row: SystemRow
    feeds: tuple[FeedRow, ...]
    calls: tuple[CallRow, ...]
    lanes: tuple[LaneRow, ...]


async def system_page(sources: Sources, name: str) -> SystemPage:
    """All of it. The name must be one of a system."""
    daemon = sources.daemon
    found = survey(daemon)
    book, now, stale = daemon.desk.book, daemon.desk.clock(), daemon.health.stale()
    feeds = []
    for feed in daemon.feeds:
        if feed.partition(".")[0] == name:
            sweep, tried, limit = book.sweeps.get(feed), book.tried.get(feed), daemon.health.limits.get(feed)
            feeds.append(
                FeedRow(
                    feed,
                    None if (at := book.read_at(feed)) is None else max(0, now - at) // 1000,
                    limit // 1000 if limit else None,
                    sweep.rows if sweep else 0,
                    feed in stale,
                    tried.why if tried else "",
                )
            )
    client = sources.clients.get(name)
    return SystemPage(
        system_row(daemon, found, name),
        tuple(feeds),
        calls_of(client.traffic.answers) if client else (),
        tuple(
            LaneRow(lane, int(each.tokens_left), int(each.size), each.throttled)
            for lane, each in sorted(client.lanes.items())
        )
        if client
        else (),
    )


def calls_of(answers: Mapping[tuple[str, str, str], int]) -> tuple[CallRow, ...]:
    """(operation, class of status, kind of error) -> tries, by operation; only what was tried at all."""
    classes: dict[str, Counter[str]] = {}
    errors = Counter[str]()
    for (operation, status, error), count in answers.items():
        classes.setdefault(operation, Counter())[status] += count
        errors[operation] += count if error else 0
    return tuple(
        CallRow(operation, tries, errors[operation], tuple(sorted((+each).items())))
        for operation, each in sorted(classes.items())
        if (tries := sum(each.values()))
    )
