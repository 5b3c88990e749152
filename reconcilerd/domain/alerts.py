"""Which alerts there are, and how an episode of one goes: pending, firing, keeping, resolved.

An alert is about a kind and a subject (a channel, a feed, a rail), never about a SKU: SKUs are what it says. Its key is
the same for ever; each time it comes back is an episode of its own, so that none is told under the name of another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from types import MappingProxyType

from reconcilerd.domain.facts import EXTENSIV, AlertStage, SilenceSet
from reconcilerd.domain.names import Instant, after

PREFIX = "reconcilerd"
MINUTE_MS = 60_000
SEVERITIES = ("critical", "error", "warning", "info")
"""The worst first."""

STAGE_MEANS: Mapping[AlertStage, str] = MappingProxyType(
    {
        AlertStage.PENDING: "not for long enough yet",
        AlertStage.PASSED: "over before anybody was told",
        AlertStage.FIRING: "open",
        AlertStage.KEEPING: "no longer so: it ends soon if it stays away",
        AlertStage.RESOLVED: "over",
    }
)
"""In the words of somebody who reads a list at night."""


@dataclass(frozen=True, slots=True)
class AlertKind:
    """One kind of alert. ``for_ms``: how long its cause must last; ``keep_ms``: how long it must be gone."""

    severity: str
    means: str
    for_ms: int = 0
    keep_ms: int = 0
    mutes: frozenset[str] = frozenset()
    """Kinds that it explains where they are of the same system: nobody is told of them while it fires."""
    everywhere: bool = False
    """It explains these whatever their system."""


def _kind(
    severity: str,
    means: str,
    for_min: float = 0,
    keep_min: float = 0,
    mutes: Iterable[str] = (),
    *,
    everywhere: bool = False,
) -> AlertKind:
    return AlertKind(
        severity, means, int(for_min * MINUTE_MS), int(keep_min * MINUTE_MS), frozenset(mutes), everywhere
    )


_FROM_EXTENSIV = frozenset({"unresolved_drift", "missing_orders"})
"""Kinds about a channel that are found by comparing it with what Extensiv says."""
_CHECKED_SINCE = ("unresolved_drift", "held_plan", "unreadable_rows")
KINDS: Mapping[str, AlertKind] = MappingProxyType(
    {
        "stale_source": _kind(
            "critical",
            "A feed was not read completely for too long, or a warehouse is not heard of.",
            0,
            5,
            (*_CHECKED_SINCE, "missing_orders"),
        ),
        "offline": _kind(
            "critical",
            "No system at all is read: this machine, its network, or all of them.",
            0,
            15,  # of the calls of the last ten minutes many have failed, still
            ("stale_source", "channel_errors", "rail_tripped", "exposure", "missing_orders", *_CHECKED_SINCE),
            everywhere=True,
        ),
        "credentials_refused": _kind(
            "critical",
            "A system refuses our credentials.",
            0,
            10,
            ("channel_errors", "stale_source"),
        ),
        "channel_errors": _kind("error", "Many calls of a system fail.", 5, 10, ("unresolved_drift",)),
        "rate_limited": _kind("warning", "A system turns many calls away for their number.", 15, 15),
        "exposure": _kind("critical", "More is shown than could ship.", 0, 10),
        "unresolved_drift": _kind("warning", "Listings differ for long from what they should show."),
        "held_plan": _kind("warning", "Corrections wait for an approval."),
        "tug_of_war": _kind(
            "error", "Somebody else keeps changing numbers back.", 0, 0, ("unresolved_drift",)
        ),
        "rail_tripped": _kind(
            "critical", "A rail holds corrections.", 0, 0, ("unresolved_drift", "held_plan")
        ),
        "missing_orders": _kind("error", "Orders of a channel are not in Extensiv.", 0, 15),
        "order_differs": _kind("error", "Orders have more units in Extensiv than were sold.", 0, 15),
        "unmapped_sku": _kind("error", "What sells is mapped to no SKU."),
        "sells_past_zero": _kind("warning", "Zero does not stop sales of a listing."),
        "large_order": _kind("warning", "An order takes a large part of what was available."),
        "unreadable_rows": _kind("error", "Rows of a system cannot be read.", 0, 5),
        "invariant_broken": _kind(
            "critical",
            "A plan or write broke an invariant; nothing is written.",
            mutes=("rail_tripped", *_CHECKED_SINCE),
            everywhere=True,
        ),
        "bug": _kind("critical", "Something met a bug and was left out."),
        "clock_went_back": _kind("error", "The clock of this machine went back."),
        "access_probe": _kind("warning", "Somebody without the right tries to get in.", 0, 30),
        "paused_too_long": _kind("warning", "Writes are frozen or stopped for long."),
        "reload_failed": _kind("critical", "A new configuration was refused; the old one is in force.", 10),
        "job_failed": _kind("error", "A job of the schedule failed: audit, backup or digest."),
        "alert_delivery_failing": _kind("error", "A receiver of alerts does not take them."),
        "storage": _kind("critical", "Disk, ledger or backup are not as they should be."),
        "test": _kind("warning", "Somebody tries whether alerts arrive; nothing is wrong."),
    }
)
"""Every kind by its name."""

NEXT: Mapping[AlertStage, frozenset[AlertStage]] = MappingProxyType(
    {
        AlertStage.PENDING: frozenset({AlertStage.FIRING, AlertStage.PASSED}),
        AlertStage.PASSED: frozenset(),
        AlertStage.FIRING: frozenset({AlertStage.KEEPING, AlertStage.RESOLVED}),
        AlertStage.KEEPING: frozenset({AlertStage.FIRING, AlertStage.RESOLVED}),
        AlertStage.RESOLVED: frozenset(),
    }
)
"""Where each stage of an episode may lead. From the last ones a new episode begins."""

_OVER = frozenset(stage for stage, after_it in NEXT.items() if not after_it)


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that an alert was there. ``since``: of its stage; ``fired``: when people were first to be told."""

    key: str
    number: int
    stage: AlertStage
    severity: str
    summary: str
    details: tuple[tuple[str, str], ...]
    began: Instant
    since: Instant
    fired: Instant | None = None

    @property
    def kind(self) -> str:
        return self.key.split("/")[1]

    @property
    def subject(self) -> str:
        return self.key.partition("/")[2].partition("/")[2]

    @property
    def firing(self) -> bool:
        """Whether it is open for whoever is told."""
        return self.stage in {AlertStage.FIRING, AlertStage.KEEPING}

    @property
    def over(self) -> bool:
        return self.stage in _OVER

    @property
    def told_by(self) -> bool:
        """Whether it outlived its ``for``: then every receiver hears of it."""
        return self.fired is not None

    def enters(self, stage: AlertStage, now: Instant) -> "Episode":
        """This episode in its next stage. Raises ValueError for a stage that does not follow."""
        if stage not in NEXT[self.stage]:
            raise ValueError(f"{self.key}: {stage} does not follow {self.stage}")
        fired = now if stage is AlertStage.FIRING and self.fired is None else self.fired
        return replace(self, stage=stage, since=now, fired=fired)


def alert_key(kind: str, subject: str) -> str:
    """The key of an alert, stable over restarts."""
    return f"{PREFIX}/{kind}/{subject}"


def kind_named(name: str) -> AlertKind:
    """A kind by its name; of one that nobody declared, its plainest form."""
    return KINDS.get(name, AlertKind("error", name))


def begun(
    last: Episode | None,
    key: str,
    severity: str,
    summary: str,
    details: Iterable[tuple[str, str]],
    now: Instant,
) -> Episode:
    """The alert now that its cause is there: a new episode, or the one that goes on."""
    if last is None or last.over:
        number = 1 if last is None else last.number + 1
        first = Episode(key, number, AlertStage.PENDING, severity, summary, tuple(details), now, now)
        return aged(first, now)
    # As bad as it ever was: whoever heard of it because it was that bad must hear of its end.
    said = replace(last, severity=worst(last.severity, severity), summary=summary, details=tuple(details))
    return said.enters(AlertStage.FIRING, now) if said.stage is AlertStage.KEEPING else said


def ended(last: Episode, now: Instant) -> Episode:
    """The alert now that its cause is gone."""
    match last.stage:
        case AlertStage.PENDING:
            return last.enters(AlertStage.PASSED, now)
        case AlertStage.FIRING:
            return aged(last.enters(AlertStage.KEEPING, now), now)
        case _:
            return last


def aged(episode: Episode, now: Instant) -> Episode:
    """The alert after time alone went by."""
    due = turns_at(episode)
    if due is None or now < due:
        return episode
    pending = episode.stage is AlertStage.PENDING
    return episode.enters(AlertStage.FIRING if pending else AlertStage.RESOLVED, now)


def turns_at(episode: Episode) -> Instant | None:
    """When time alone changes its stage; None if it does not."""
    kind = kind_named(episode.kind)
    match episode.stage:
        case AlertStage.PENDING:
            return after(episode.since, kind.for_ms)
        case AlertStage.KEEPING:
            return after(episode.since, kind.keep_ms)
        case _:
            return None


def turned_back(episode: Episode, now: Instant) -> Episode:
    """An episode by a clock that was set back to ``now``: nothing of it is yet to come, so it waits no longer."""
    fired = None if episode.fired is None else min(episode.fired, now)
    return replace(episode, began=min(episode.began, now), since=min(episode.since, now), fired=fired)


def system_of(subject: str) -> str:
    """The system a subject is of: a channel of its feeds, a rail's channel."""
    rail, colon, of = subject.partition(":")
    return (of if colon else rail).partition(".")[0].partition("/")[0]


def muted_by(episode: Episode, others: Iterable[Episode]) -> Episode | None:
    """The alert that explains this one, if there is one: it is open, or was when the cause of this one went."""
    for other in others:
        kind = kind_named(other.kind)
        system = system_of(other.subject)
        near = kind.everywhere or system == system_of(episode.subject)
        near |= system == EXTENSIV and episode.kind in _FROM_EXTENSIV
        if near and episode.kind in kind.mutes and (other.firing or _covered(episode, other)):
            return other
    return None


def _covered(episode: Episode, other: Episode) -> bool:
    """Whether the cause of an episode went while another was open: its time to stay may outlast the other's."""
    match episode.stage:
        case AlertStage.KEEPING:
            went = episode.since
        case AlertStage.RESOLVED:
            went = after(episode.since, -kind_named(episode.kind).keep_ms)
        case _:
            return False
    return other.fired is not None and other.over and other.fired <= went <= other.since


def worst(one: str, other: str) -> str:
    """The worse of two severities."""
    return min(one, other, key=SEVERITIES.index)


def silenced_by(episode: Episode, silences: Iterable[SilenceSet], now: Instant) -> SilenceSet | None:
    """The silence that covers an alert now, if there is one."""
    for each in silences:
        if (
            each.holds(now)
            and fnmatchcase(episode.kind, each.kinds)
            and fnmatchcase(episode.subject, each.subjects)
        ):
            return each
    return None


def as_bad(severity: str, least: str) -> bool:
    """Whether a severity is at least so bad."""
    return SEVERITIES.index(severity) <= SEVERITIES.index(least)
