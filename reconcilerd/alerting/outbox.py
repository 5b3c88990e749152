"""What each receiver must still be told, and when: worked out from how alerts stand and what was told. No I/O.

Every episode that outlived its ``for`` is told to each receiver at least once, its end too, whatever failed meanwhile.
What belongs together goes in one message, and no group is told more often than its interval.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reconcilerd.domain.alerts import Episode, as_bad, turned_back
from reconcilerd.domain.facts import AlertChanged, AlertStage, AlertTold, PastEpisode, Transition
from reconcilerd.domain.names import Instant, after

MAX_PAST = 50
"""Episodes of one alert that are kept for receivers which have not heard of them; the oldest are let go first."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a receiver wants to be told (milliseconds). ``repeat_ms`` None: what is open is said once."""

    wait_ms: int = 10_000
    """From the first news of a group to its message: one cause seldom comes alone."""
    interval_ms: int = 300_000
    """From one message about a group to the next."""
    repeat_ms: int | None = 4 * 3_600_000
    by_kind: bool = True
    """Whether alerts of a kind go in one message; else each alert has its own."""
    least: str = "warning"
    """The mildest severity that it hears of."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that a receiver is to be told. ``reference``: by what it knows the episode, if it heard of it."""

    transition: Transition
    episode: Episode
    due: Instant
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """One alert as it stands, with what a receiver may still have to hear of its past."""

    now: Episode
    past: tuple[PastEpisode, ...] = ()

    def with_past(self, kept: Iterable[PastEpisode]) -> "Known":
        return replace(self, past=tuple(kept)[-MAX_PAST:])

    def turned_back(self, now: Instant) -> "Known":
        """By a clock that was set back to ``now``."""
        past = (
            replace(one, began=min(one.began, now), fired=min(one.fired, now), ended=min(one.ended, now))
            for one in self.past
        )
        return Known(turned_back(self.now, now), tuple(past))


def known_of(fact: AlertChanged) -> Known:
    """An alert as it was written down."""
    stage = fact.stage or (AlertStage.FIRING if fact.firing else AlertStage.RESOLVED)
    began = fact.at if fact.began is None else fact.began
    fired = fact.at if fact.stage is None else fact.fired
    now = Episode(
        fact.key, fact.episode, stage, fact.severity, fact.summary, fact.details, began, fact.at, fired
    )
    return Known(now, fact.past)


def fact_of(known: Known) -> AlertChanged:
    """An alert as it is written down."""
    now = known.now
    return AlertChanged(
        now.key,
        now.firing,
        now.severity,
        now.summary,
        now.since,
        now.stage,
        now.number,
        now.began,
        now.fired,
        now.details,
        known.past,
    )


def as_past(episode: Episode) -> PastEpisode:
    """An episode that is over, to be told later."""
    assert episode.fired is not None
    return PastEpisode(
        episode.number, episode.severity, episode.summary, episode.began, episode.fired, episode.since
    )


def heard_of(told: AlertTold, known: Known) -> AlertTold:
    """What a receiver was told, in today's words: older entries do not say of which episode."""
    if told.transition is not None:
        return told
    newest = told.changed == known.now.since
    if known.now.firing and not newest:
        return replace(told, episode=known.now.number - 1, transition=Transition.RESOLVED)
    over = newest and not known.now.firing
    return replace(
        told, episode=known.now.number, transition=Transition.RESOLVED if over else Transition.FIRED
    )


def owed(known: Known, told: AlertTold | None, pace: Pace, now: Instant) -> list[Notice]:
    """What one receiver must still be told of one alert, the oldest first."""
    notices: list[Notice] = []
    number, last = (-1, None) if told is None else (told.episode, told.transition)
    for past in known.past:
        if past.number >= number and as_bad(past.severity, pace.least):
            notices += _of_episode(_episode_of(known.now, past), told if past.number == number else None)
    episode = known.now
    mine = told if episode.number == number else None
    hears = as_bad(episode.severity, pace.least) or mine is not None
    if episode.told_by and hears and episode.number >= number:
        notices += _of_episode(episode, mine)
        open_ = episode.firing and last in {Transition.FIRED, Transition.REPEATED}
        if mine is not None and open_ and pace.repeat_ms is not None:
            due = after(mine.at, pace.repeat_ms)
            if due <= now:
                notices.append(Notice(Transition.REPEATED, episode, due, mine.reference))
    return notices


def _of_episode(episode: Episode, told: AlertTold | None) -> list[Notice]:
    """Of one episode its beginning and its end, as far as they were not told."""
    if told is not None and told.transition not in {Transition.FIRED, Transition.REPEATED}:
        return []
    notices: list[Notice] = []
    if told is None:
        assert episode.fired is not None
        notices.append(Notice(Transition.FIRED, episode, episode.fired))
    if episode.stage is AlertStage.RESOLVED:
        reference = "" if told is None else told.reference
        notices.append(Notice(Transition.RESOLVED, episode, episode.since, reference))
    return notices


def _episode_of(now: Episode, past: PastEpisode) -> Episode:
    return Episode(
        now.key,
        past.number,
        AlertStage.RESOLVED,
        past.severity,
        past.summary,
        (),
        past.began,
        past.ended,
        past.fired,
    )


def by_episode(notices: Iterable[Notice]) -> dict[tuple[str, int], Notice]:
    """The last notice of each episode, by key and number: of one that nobody heard of, its end says all."""
    return {(each.episode.key, each.episode.number): each for each in notices}


def group_of(notice: Notice, pace: Pace) -> str:
    """What a notice shares a message with."""
    return notice.episode.kind if pace.by_kind else notice.episode.key


def batch(
    notices: Sequence[Notice], spoken: Callable[[str], Instant | None], pace: Pace, now: Instant
) -> tuple[list[Notice], Instant | None]:
    """The next message to send now, or when there will be one.

    ``spoken``: when a group was last told anything. The group that has waited longest goes first.
    """
    groups: dict[str, list[Notice]] = {}
    for notice in notices:
        groups.setdefault(group_of(notice, pace), []).append(notice)
    due: dict[str, Instant] = {}
    for name, members in groups.items():
        first = after(min(each.due for each in members), pace.wait_ms)
        last = spoken(name)
        due[name] = first if last is None else max(first, after(last, pace.interval_ms))
    if not due:
        return [], None
    name = min(due, key=lambda each: (due[each], each))
    if due[name] > now:
        return [], due[name]
    return groups[name], None


def last_spoken(told: Mapping[str, AlertTold], keys: Iterable[str]) -> Instant | None:
    """When any of these alerts was last told of."""
    return max((told[key].at for key in keys if key in told), default=None)
