"""How everything stands, for the first page: what is paused or broken, the big four, a row for each system."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from reconcilerd.daemon.breakers import tripped
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.status_line import writes_of
from reconcilerd.domain.facts import EXTENSIV
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.latches import INVARIANT
from reconcilerd.domain.names import format_second
from reconcilerd.domain.policy import Mode
from reconcilerd.web.sources import Sources
from reconcilerd.web.standing import writes_to
from reconcilerd.web.survey import Survey, survey

AT_MOST = 5
"""Lines of one kind in the banner; the rest is counted."""

Level = Literal["good", "paused", "broken"]


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the banner, and what to do about it."""

    level: Level
    text: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class SystemRow:
    """A channel, or Extensiv. ``read_s``: age of its oldest complete reading in seconds; None: one is missing."""

    name: str
    is_channel: bool
    read_s: int | None
    stale: bool
    trouble: str
    drifts: int
    held: int
    queued: int
    circuit_open: bool
    writes: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page. Units are eaches; ages are seconds."""

    at: str
    mode: str
    policy: str
    writes: str
    banner: tuple[Note, ...]
    skus: int
    exposed_units: int
    exposed_skus: int
    hidden_units: int
    drifts: int
    held: int
    oldest_feed: str
    oldest_feed_s: int | None
    stale_feeds: int
    open_alerts: int
    urgent_alerts: int
    systems: tuple[SystemRow, ...]


async def overview(sources: Sources) -> Overview:
    """All of it, in steps that let others have their turn."""
    daemon = sources.daemon
    found = survey(daemon)
    desk, rails = daemon.desk, daemon.rails()
    book, now = desk.book, desk.clock()
    ages = [
        (max(0, now - at) // 1000, feed)
        for feed in daemon.feeds
        if (at := book.read_at(feed)) is not None and daemon.health.watches(feed)
    ]
    age, feed = max(ages, default=(None, ""))
    severities = sources.alerts.severities
    return Overview(
        at=format_second(now),
        mode=str(rails.mode),
        policy=book.policy.revision,
        writes=writes_of(rails),
        banner=tuple(banner(daemon, rails)),
        skus=len(book.joins().slots_of),
        exposed_units=sum(found.exposed_units.values()),
        exposed_skus=sum(found.exposed_skus.values()),
        hidden_units=sum(found.hidden_units.values()),
        drifts=sum(found.drifts.values()),
        held=sum(count for (_, state, _), count in found.drifts.items() if state == "held"),
        oldest_feed=feed,
        oldest_feed_s=age,
        stale_feeds=len(daemon.health.stale()),
        open_alerts=sum(severities.values()),
        urgent_alerts=severities.get("critical", 0) + severities.get("error", 0),
        systems=tuple(system_row(daemon, found, name) for name in (EXTENSIV, *sorted(book.policy.channels))),
    )


def banner(daemon: Daemon, rails: Rails) -> Iterable[Note]:
    """What stops writes, the worst first; one good line if nothing does."""
    book, now = daemon.desk.book, daemon.desk.clock()
    breaches = list(book.words.breaches.values())
    for each in breaches[:AT_MOST]:
        name, what = each.broken[0]
        yield Note(
            "broken",
            f"STOPPED: invariant {name} was broken at {format_second(each.at)} ({each.subject}: {what})",
            "reconcilerd breaker list",
        )
    yield from _rest("broken", len(breaches), "broken invariants", "reconcilerd breaker list")
    if rails.stop:
        yield Note("paused", "STOPPED: the STOP file is there; nothing is written", "remove the STOP file")
    if rails.mode is Mode.OBSERVE:
        yield Note("paused", "Writes are OFF: mode observe only looks", "set limits.mode, then reload")
    for freeze in book.words.freezes.values():
        if freeze.channel in rails.frozen:
            until = f" until {format_second(freeze.until)}" if freeze.until else ", until it is lifted"
            whose = freeze.channel or "all channels"
            of_channel = f" --channel {freeze.channel}" if freeze.channel else ""
            yield Note(
                "paused",
                f"FROZEN: {whose}, by {freeze.by}{until}: {freeze.reason}",
                f"reconcilerd unfreeze{of_channel}",
            )
    for window in rails.closed:
        lets = ", ".join(sorted(window.allow)) or "nothing"
        yield Note("paused", f"FREEZE WINDOW: {window.channel or 'all channels'}, lets through: {lets}")
    if rails.observing:
        yield Note("paused", "HELD: the policy changed and is looked at first", "reconcilerd breaker list")
    # Broken invariants are told above, with what broke.
    held = [each for each in tripped(book, daemon.circuits, now) if each.rail != INVARIANT]
    for rail in held[:AT_MOST]:
        yield Note("paused", f"TRIPPED: {rail.name}", "reconcilerd breaker list")
    yield from _rest("paused", len(held), "tripped rails", "reconcilerd breaker list")
    if not daemon.started.is_set():
        yield Note("paused", "Still reading the catalogue: nothing is known yet")
    elif writes_of(rails) == f"ON ({rails.mode})" and not held:
        yield Note("good", f"Writes are ON ({rails.mode})")


def _rest(level: Level, count: int, what: str, do: str) -> Iterable[Note]:
    if count > AT_MOST:
        yield Note(level, f"and {count - AT_MOST} more {what}", do)


def system_row(daemon: Daemon, found: Survey, name: str) -> SystemRow:
    """How one system stands."""
    book, now = daemon.desk.book, daemon.desk.clock()
    mine = [feed for feed in daemon.feeds if feed.partition(".")[0] == name]
    watched = [feed for feed in mine if daemon.health.watches(feed)]
    ages = [max(0, now - at) // 1000 for feed in watched if (at := book.read_at(feed)) is not None]
    troubles = [f"{feed}: {tried.why}" for feed in mine if (tried := book.tried.get(feed)) and tried.why]
    drifts = [(state, count) for (channel, state, _), count in found.drifts.items() if channel == name]
    is_channel = name in book.policy.channels
    executor = next((each for channel, each in daemon.executors.items() if channel == name), None)
    return SystemRow(
        name=name,
        is_channel=is_channel,
        read_s=max(ages) if ages and len(ages) == len(watched) else None,
        stale=not daemon.health.stale().keys().isdisjoint(mine),
        trouble=daemon.health.refused(name) or next(iter(troubles), ""),
        drifts=sum(count for _, count in drifts),
        held=sum(count for state, count in drifts if state == "held"),
        queued=executor.queued if executor else 0,
        circuit_open=name in daemon.circuits.open,
        writes=writes_to(daemon, name) if is_channel else "",
    )
