"""Keeps every alert, writes each change down, and tells every receiver at its own pace, restarts and failures or not.

What must be told is worked out anew from how alerts stand and what was told (``outbox``), so nothing depends on what
happened to be in memory. A receiver that fails holds up nobody: not the caller, and no other receiver.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

import anyio
import structlog

from reconcilerd.alerting.outbox import (
    Known,
    Notice,
    Pace,
    as_past,
    batch,
    fact_of,
    heard_of,
    known_of,
    last_spoken,
    owed,
)
from reconcilerd.config.secret import redact
from reconcilerd.domain.alerts import (
    SEVERITIES,
    Episode,
    aged,
    alert_key,
    begun,
    ended,
    kind_named,
    muted_by,
    silenced_by,
    turns_at,
)
from reconcilerd.domain.clocks import silent_by
from reconcilerd.domain.facts import AlertChanged, AlertStage, AlertTold, PastEpisode, SilenceSet, Transition
from reconcilerd.domain.names import Instant, after
from reconcilerd.errors import ReconcilerdError

log = structlog.get_logger("reconcilerd.alerts")

RETRY_S = 2.0
RETRY_CAP_S = 120.0
LOOK_AGAIN_S = 30.0
"""Silences and mutes end by time or by others: what is owed is looked at so often."""
FAILING_MS = 300_000
"""A message that is overdue by more is an alert of its own, to the other receivers."""
WHY = 200
KEPT_REPEATS_MS = 600_000
"""Repeats closer together are not written down: after a restart they begin anew."""
FAILING = "alert_delivery_failing"
OWN = frozenset({FAILING})
"""Kinds that the engine raises itself."""

Journal = Callable[[Sequence[AlertChanged | AlertTold | SilenceSet]], Awaitable[object]]


class Permanent(Exception):
    """A receiver will never take this message; trying again is useless."""


class NotTaken(Exception):
    """The receiver did not take the message now; it may later: after so many seconds, if it said."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class Receiver(Protocol):
    """Somewhere alerts are told."""

    @property
    def name(self) -> str: ...

    @property
    def pace(self) -> Pace: ...

    async def tell(self, notices: Sequence[Notice]) -> Mapping[str, str]:
        """Tell all of these; by what each alert (its key) is known there, where it says.

        Raises Permanent, NotTaken, or anything else to be tried again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """One alert as a person is shown it."""

    episode: Episode
    muted_by: str
    silence: str
    told: Mapping[str, str]
    """By receiver: what it was told last."""


class Engine:
    """Where the daemon's alerts go. ``journal`` makes changes durable before anybody is told."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        journal: Journal,
        clock: Callable[[], Instant],
        standing: Iterable[AlertChanged] = (),
        told: Iterable[AlertTold] = (),
        silences: Iterable[SilenceSet] = (),
        chance: Random | None = None,
    ) -> None:
        """``standing``, ``told``, ``silences``: what the ledger holds of each, whatever the clock was then."""
        standing, told, silences = tuple(standing), tuple(told), tuple(silences)
        self._receivers = {each.name: each for each in receivers}
        self._journal = journal
        self._clock = clock
        self._chance = chance or Random(0)
        self._known: dict[str, Known] = {each.key: known_of(each) for each in standing}
        self._silences = {each.id: each for each in silences}
        self._moved: list[SilenceSet] = []
        self._told: dict[str, dict[str, AlertTold]] = {}
        self._remember(told)
        self._news = {name: anyio.Event() for name in self._receivers}
        self._turn = anyio.Event()
        self._others = anyio.Event()
        self._trouble: dict[str, str] = {}
        self.deliveries: Counter[tuple[str, str]] = Counter(
            {(name, result): 0 for name in self._receivers for result in ("ok", "failed", "refused")}
        )
        """How often each receiver was told something, by what came of it."""
        newest = max((each.as_of for each in (*standing, *told, *silences)), default=None)
        if newest is not None and newest > (now := clock()):
            self._count_from(now)
            # Of one that was set before the new now nobody can tell whether it was shortened already.
            self._shorten([each for each in silences if each.at > now], now, newest)

    def _remember(self, told: Iterable[AlertTold]) -> None:
        """What each receiver has heard: as it is in memory already, else as the ledger has it."""
        kept = {name: self._told.get(name) for name in self._receivers}
        self._told = {name: heard if heard is not None else {} for name, heard in kept.items()}
        for each in told:
            if each.receiver in kept and kept[each.receiver] is None and each.key in self._known:
                last = heard_of(each, self._known[each.key])
                # The ledger has what was told by a clock that was set back since as it was.
                self._told[each.receiver][each.key] = replace(last, at=min(last.at, self._clock()))
        for heard in self._told.values():
            # A receiver that refused may have been set right since.
            for key in [k for k, each in heard.items() if each.transition is Transition.REFUSED]:
                if self._known[key].now.firing:
                    del heard[key]

    def turn_to(self, receivers: Sequence[Receiver], told: Iterable[AlertTold]) -> None:
        """Tell these from here on. Nothing that is owed is lost, and who heard of something does not hear it again.

        ``told``: what the ledger holds, of those who are told now and were not before.
        """
        self._receivers = {each.name: each for each in receivers}
        self._remember(told)
        self._trouble.clear()
        self._news = {name: anyio.Event() for name in self._receivers}
        for name in self._receivers:
            for result in ("ok", "failed", "refused"):
                self.deliveries[name, result] += 0
        self._others.set()

    @property
    def severities(self) -> Counter[str]:
        """How many alerts are open, by severity."""
        return Counter(each.severity for each in self._open())

    @property
    def oldest_unheard(self) -> Instant | None:
        """When the oldest news was that some receiver has not heard of."""
        return min((each.due for name in self._receivers for each in self._owed(name)[0]), default=None)

    @property
    def firing(self) -> frozenset[str]:
        """The keys of alerts that are open."""
        return frozenset(key for key, each in self._known.items() if each.now.firing)

    @property
    def unheard(self) -> str:
        """Which receivers do not take alerts, and why; empty if all do."""
        failing = [f"{name}: {why}" for name in self._receivers if (why := self._failing(name))]
        return f"alerts are not taken by {', '.join(failing)}" if failing else ""

    def seen(self) -> list[Seen]:
        """Every alert that is open or waits to be, the worst first."""
        now, others = self._clock(), self._ever_told()
        found = [each.now for each in self._known.values() if not each.now.over]
        return [self._seen(each, others, now) for each in sorted(found, key=_worst_first)]

    def look_up(self, key: str) -> Seen | None:
        """One alert by its key, over or not; None if it never was there."""
        known = self._known.get(key)
        return None if known is None else self._seen(known.now, self._ever_told(), self._clock())

    @property
    def receivers(self) -> list[str]:
        """Who is told, by name."""
        return list(self._receivers)

    def silences(self) -> list[SilenceSet]:
        """Those in force."""
        now = self._clock()
        return [each for each in self._silences.values() if each.holds(now)]

    async def raise_(
        self, kind: str, subject: str, severity: str, summary: str, details: Mapping[str, str]
    ) -> None:
        """The cause of an alert is there; said again, it is there still."""
        key, now = alert_key(kind, subject), self._clock()
        known = self._known.get(key)
        before = known.now if known is not None else None
        episode = begun(before, key, severity, summary, details.items(), now)
        if before is not None and before.over and before.told_by:
            assert known is not None
            known = known.with_past((*self._unheard(known), as_past(before)))
        await self._stands(Known(episode, known.past if known is not None else ()), before)

    async def resolve(self, kind: str, subject: str) -> None:
        """The cause of an alert is gone, if it ever was there."""
        known = self._known.get(alert_key(kind, subject))
        if known is not None:
            await self._stands(Known(ended(known.now, self._clock()), known.past), known.now)

    async def keep_only(self, known: Set[tuple[str, str]]) -> None:
        """Resolve every alert that is open for none of these (kind, subject)."""
        keys = {alert_key(kind, subject) for kind, subject in known}
        for key, each in list(self._known.items()):
            if key not in keys and not each.now.over and each.now.kind not in OWN:
                await self.resolve(each.now.kind, each.now.subject)

    async def silence(self, silence: SilenceSet) -> None:
        """Tell nothing new of some alerts until a time; ``on`` False lifts it."""
        self._silences[silence.id] = silence
        await self._journal([silence])
        self._wake()

    def turn_back(self, before: Instant) -> None:
        """The clock went back, and had come to ``before``: nobody waits until moments from before have come again.

        What was told, and since when anything is so, counts as of now. A silence holds for what was left of it.
        """
        now = self._clock()
        self._count_from(now)
        self._shorten(list(self._silences.values()), now, before)
        self._wake()
        self._turn.set()

    def _count_from(self, now: Instant) -> None:
        self._known = {key: each.turned_back(now) for key, each in self._known.items()}
        for heard in self._told.values():
            heard.update({key: replace(each, at=min(each.at, now)) for key, each in heard.items()})

    def _shorten(self, silences: Iterable[SilenceSet], now: Instant, before: Instant) -> None:
        for old in silences:
            new = silent_by(old, now, before)
            if new != old:
                self._silences[old.id] = new
                self._moved.append(new)

    def moved(self) -> list[SilenceSet]:
        """Silences that end otherwise since the clock went back and this was asked last, for the ledger."""
        moved, self._moved = self._moved, []
        return moved

    async def resend(self, keys: Iterable[str] | None = None) -> list[str]:
        """Tell every receiver again of these open alerts (all, if None); their keys."""
        again = [key for key in (self.firing if keys is None else keys) if key in self.firing]
        for heard in self._told.values():
            for key in again:
                heard.pop(key, None)
        self._wake()
        return sorted(again)

    async def run(self) -> None:
        """Let time pass and deliver until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._let_time_pass)
            group.start_soon(self._watch_receivers)
            while True:
                self._others = anyio.Event()
                async with anyio.create_task_group() as tellers:
                    for receiver in self._receivers.values():
                        tellers.start_soon(self._deliver, receiver)
                    await self._others.wait()
                    tellers.cancel_scope.cancel()

    async def _stands(self, known: Known, before: Episode | None) -> None:
        """Keep how an alert stands; what is new of it is written down before anybody is told."""
        episode = known.now
        self._known[episode.key] = known
        if before is not None and _told_alike(before) == _told_alike(episode):
            return
        await self._journal([fact_of(known)])
        if before is not None and (before.number, before.stage) == (episode.number, episode.stage):
            log.warning("alert_worse", key=episode.key, severity=episode.severity, summary=episode.summary)
        elif episode.stage is AlertStage.FIRING:
            log.warning("alert_raised", key=episode.key, summary=episode.summary)
        elif episode.stage is AlertStage.RESOLVED:
            log.info("alert_resolved", key=episode.key, summary=episode.summary)
        self._wake()
        self._turn.set()

    def _wake(self) -> None:
        for news in self._news.values():
            news.set()

    def _unheard(self, known: Known) -> Iterable[PastEpisode]:
        """Earlier episodes that some receiver has not heard the end of."""
        for past in known.past:
            for heard in self._told.values():
                told = heard.get(known.now.key)
                over = told is not None and (
                    told.episode > past.number
                    or (told.episode == past.number and told.transition not in _STILL_OPEN)
                )
                if not over:
                    yield past
                    break

    async def _let_time_pass(self) -> None:
        while True:
            due = [at for each in self._known.values() if (at := turns_at(each.now)) is not None]
            self._turn = anyio.Event()
            wait_s = max(0.0, (min(due) - self._clock()) / 1000) if due else None
            with anyio.move_on_after(wait_s if wait_s is not None else LOOK_AGAIN_S):
                await self._turn.wait()
            now = self._clock()
            for known in list(self._known.values()):
                await self._stands(Known(aged(known.now, now), known.past), known.now)

    async def _watch_receivers(self) -> None:
        """A receiver that does not hear is an alert to the others."""
        while True:
            await anyio.sleep(LOOK_AGAIN_S)
            for gone in [each.now.subject for each in self._known.values() if each.now.kind == FAILING]:
                if gone not in self._receivers:
                    await self.resolve(FAILING, gone)
            for name in [each for each in self._receivers if each in self._told]:
                why = self._failing(name) if name in self._told else ""
                if why:
                    text = f"{name} does not take alerts: {why}"
                    do = {"do": f"reconcilerd alerts test {name}"}
                    await self.raise_(FAILING, name, kind_named(FAILING).severity, text, do)
                else:
                    await self.resolve(FAILING, name)

    def _failing(self, name: str) -> str:
        refused = any(each.transition is Transition.REFUSED for each in self._told[name].values())
        late = after(self._clock(), -FAILING_MS)
        notices, _ = self._owed(name)
        overdue = any(each.due < late for each in notices)
        return self._trouble.get(name, "it is slow") if (overdue and name in self._trouble) or refused else ""

    def _open(self) -> list[Episode]:
        return [each.now for each in self._known.values() if each.now.firing]

    def _owed(self, name: str) -> tuple[list[Notice], list[Episode]]:
        """What a receiver must be told, and the episodes that ended without anybody wanting to hear of them."""
        receiver, now, told = self._receivers[name], self._clock(), self._ever_told()
        notices: list[Notice] = []
        withheld: list[Episode] = []
        for key, known in self._known.items():
            if known.now.kind == FAILING and known.now.subject == name:
                continue
            # Who else should hear that a receiver is deaf than the others, however little they want to hear of.
            pace = replace(receiver.pace, least="info") if known.now.kind == FAILING else receiver.pace
            mine = owed(known, self._told[name].get(key), pace, now)
            kept_back: set[int] = set()
            for each in mine:
                episode = each.episode
                if each.transition is not Transition.RESOLVED and self._quiet(episode, told, now):
                    kept_back.add(episode.number)
                    if episode.over:
                        withheld.append(episode)
                elif episode.number not in kept_back:
                    notices.append(each)
        return notices, withheld

    def _ever_told(self) -> list[Episode]:
        """How each alert stands that outlived its ``for``, open or over."""
        return [each.now for each in self._known.values() if each.now.told_by]

    def _quiet(self, episode: Episode, others: list[Episode], now: Instant) -> bool:
        """Whether nobody wants to hear of an episode now."""
        silenced = silenced_by(episode, self._silences.values(), now) is not None
        return silenced or muted_by(episode, others) is not None

    def _seen(self, episode: Episode, others: list[Episode], now: Instant) -> Seen:
        muted, silence = muted_by(episode, others), silenced_by(episode, self._silences.values(), now)
        told = {
            name: str(heard[episode.key].transition)
            for name, heard in self._told.items()
            if episode.key in heard and heard[episode.key].episode == episode.number
        }
        return Seen(episode, muted.key if muted else "", silence.id if silence else "", told)

    async def _deliver(self, receiver: Receiver) -> None:
        name, pause_s = receiver.name, RETRY_S
        # Whose place another took is about to be ended.
        while self._receivers.get(name) is receiver:
            self._news[name] = anyio.Event()
            notices, withheld = self._owed(name)
            await self._note(
                receiver, [_told(name, each, Transition.WITHHELD, self._clock()) for each in withheld]
            )
            if withheld:
                continue
            now = self._clock()
            message, due = batch(notices, self._spoken(receiver), receiver.pace, now)
            if not message:
                wait_s = LOOK_AGAIN_S if due is None else min(LOOK_AGAIN_S, (due - now) / 1000)
                with anyio.move_on_after(max(0.001, wait_s)):
                    await self._news[name].wait()
                continue
            after_s = await self._try(receiver, message)
            if after_s is None:
                pause_s = RETRY_S
                continue
            await anyio.sleep(max(after_s, pause_s * (0.5 + 0.5 * self._chance.random())))
            pause_s = min(RETRY_CAP_S, pause_s * 2)

    async def _try(self, receiver: Receiver, message: Sequence[Notice]) -> float | None:
        """Send one message. None once it is dealt with; else how long (s) the receiver wants to be left alone."""
        name, references, transition = receiver.name, dict[str, str](), None
        try:
            references.update(await receiver.tell(message))
        except Permanent as refused:
            transition = Transition.REFUSED
            self.deliveries[name, "refused"] += 1
            self._trouble[name] = str(refused)
            log.error("alert_refused", receiver=name, keys=_keys(message), why=str(refused))
        except NotTaken as later:
            self.deliveries[name, "failed"] += 1
            self._trouble[name] = str(later)
            log.warning("alert_not_delivered", receiver=name, why=str(later))
            return later.after_s or 0.0
        except Exception as error:
            self.deliveries[name, "failed"] += 1
            # The words of a library may hold what was sent.
            why = redact(str(error))[:WHY] if isinstance(error, ReconcilerdError) else type(error).__name__
            self._trouble[name] = why
            log.warning("alert_not_delivered", receiver=name, why=why)
            return 0.0
        else:
            self.deliveries[name, "ok"] += 1
            self._trouble.pop(name, None)
        now, last = self._clock(), {each.episode.key: each for each in message}
        await self._note(
            receiver,
            [
                _told(
                    name,
                    each.episode,
                    transition or each.transition,
                    now,
                    references.get(key, each.reference),
                )
                for key, each in last.items()
            ],
        )
        return None

    async def _note(self, receiver: Receiver, told: Sequence[AlertTold]) -> None:
        """Remember what a receiver was told, and write it down where that lasts."""
        heard = self._told.get(receiver.name)
        if heard is not None:
            heard.update({each.key: each for each in told})
        repeats_ms = receiver.pace.repeat_ms
        brief = repeats_ms is not None and repeats_ms < KEPT_REPEATS_MS
        lasting = [each for each in told if not (brief and each.transition is Transition.REPEATED)]
        if lasting:
            await self._journal(lasting)

    def _spoken(self, receiver: Receiver) -> Callable[[str], Instant | None]:
        heard = self._told[receiver.name]

        def spoken(group: str) -> Instant | None:
            if not receiver.pace.by_kind:
                return last_spoken(heard, (group,))
            return last_spoken(heard, (k for k, each in self._known.items() if each.now.kind == group))

        return spoken


_STILL_OPEN = frozenset({Transition.FIRED, Transition.REPEATED})


def _told(name: str, episode: Episode, transition: Transition, at: Instant, reference: str = "") -> AlertTold:
    return AlertTold(name, episode.key, episode.since, at, episode.number, transition, reference)


def _keys(message: Sequence[Notice]) -> list[str]:
    return sorted({each.episode.key for each in message})


def _told_alike(episode: Episode) -> tuple[int, AlertStage, str]:
    """What of an episode is written down whenever it changes."""
    return episode.number, episode.stage, episode.severity


def _worst_first(episode: Episode) -> tuple[int, str]:
    return SEVERITIES.index(episode.severity), episode.key
