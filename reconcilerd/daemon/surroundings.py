"""What is around the daemon: the answers of its systems, pauses, files, disk, backups, and who tries to get in.

Looks through functions that it is given, and says what is to be told of it; it tells nobody itself.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from typing_extensions import override

from reconcilerd.domain.facts import FreezeSet
from reconcilerd.domain.names import Instant, after, count_of, format_instant
from reconcilerd.ledger.backups import untimely
from reconcilerd.ledger.disk import LOW_PERCENT
from reconcilerd.ledger.standing import PUT_BACK

WINDOW_MS = 600_000
"""Calls of so long are judged together."""
STEP_MS = 15_000
LEAST_CALLS = 10
"""Fewer prove nothing."""
FAILING_PERCENT = 20
THROTTLED_PERCENT = 10
PROBED_MS = 600_000
"""An attempt to get in is told for so long; the alert's own time to stay comes on top."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Tries sent to a system, those without an answer of use, those turned away for their number."""

    sent: int = 0
    unanswered: int = 0
    throttled: int = 0

    def since(self, before: "Calls") -> "Calls":
        return Calls(
            self.sent - before.sent,
            self.unanswered - before.unanswered,
            self.throttled - before.throttled,
        )


@dataclass(frozen=True, slots=True)
class FileState:
    """Whose a file is and who may do what; not what is in it."""

    mode: int
    owner: int
    group: int

    @override
    def __str__(self) -> str:
        return f"mode {self.mode:04o}, owner {self.owner}, group {self.group}"


@dataclass(frozen=True, slots=True)
class Around:
    """What can be seen of this machine. By default nothing: then nothing is told of it."""

    stopped_since: Callable[[], Instant | None] = lambda: None
    """When the STOP file was made; None while there is none."""
    files: Callable[[], Mapping[str, FileState | None]] = dict
    """Files that nobody else may change; None for one that is gone."""
    free_percent: Callable[[], float | None] = lambda: None
    """Of the disk that holds the ledger."""
    last_backup: Callable[[], Instant | None] | None = None
    """When the last backup ended; None while there was none. Not given: nobody backs up, and nothing is told."""
    paused_after_ms: int = 4 * 3_600_000


@dataclass(frozen=True, slots=True)
class Word:
    """What is to be told. ``severity`` None: that of its kind."""

    on: bool
    kind: str
    subject: str
    text: str
    do: str = ""
    severity: str | None = None


class Lately:
    """Counters of the last ten minutes, from counters that only grow."""

    def __init__(self) -> None:
        self._samples: deque[tuple[Instant, Calls]] = deque()

    def note(self, now: Instant, calls: Calls) -> Calls:
        """What was added within the window, at most a step more."""
        samples = self._samples
        if samples and (now < samples[-1][0] or calls.sent < samples[-1][1].sent):
            samples.clear()  # the clock went back, or the counters began anew
        if not samples or now - samples[-1][0] >= STEP_MS:
            samples.append((now, calls))
        while len(samples) > 1 and samples[1][0] <= now - WINDOW_MS:
            samples.popleft()
        return calls.since(samples[0][1])


class Surroundings:
    """Looked at by ``Health`` every few seconds."""

    def __init__(self, around: Around, calls: Callable[[], Mapping[str, Calls]] = dict) -> None:
        """``calls``: by system, what its client counted since the start."""
        self._around = around
        self._calls = calls
        self._lately: dict[str, Lately] = {}
        self._recent: dict[str, Calls] = {}
        self._began: Instant | None = None
        self._as_found: Mapping[str, FileState | None] | None = None
        self._probes: dict[str, tuple[Instant | None, int, str]] = {}
        """By surface: when it was last tried (None: not looked at since), how often, and how."""
        self._widened: dict[str, tuple[Instant | None, str]] = {}
        """By system: when what is new was told (None: not yet), and what our credentials may do now."""
        self._paused: set[str] = set()
        self._stopped: Instant | None = None
        """Since when the STOP file is there, by a clock that may have been set back since it was made."""
        self.broken_ledger = ""
        """What the last check of the whole ledger found, if it is not what was written."""
        self.astray: Callable[[], str] = str
        """What became of the ledger's file, if its name leads there no more."""

    def probed(self, surface: str, how: str) -> None:
        """Somebody without the right tried to get in."""
        self._probes[surface] = (None, self._probes.get(surface, (None, 0, ""))[1] + 1, how)

    def widened(self, system: str, what: str) -> None:
        """Our credentials may do more at a system than they need, since the last time that somebody looked."""
        self._widened[system] = (None, what)

    def look(self, now: Instant, freezes: Iterable[FreezeSet]) -> Iterator[Word]:
        """Everything there is to say."""
        self._began = now if self._began is None else min(self._began, now)
        yield from self._traffic(now)
        yield from self._pauses(now, freezes)
        yield from self._attempts(now)
        yield from self._files()
        yield from self._ledger()
        yield from self._disk()
        yield from self._backup(now, self._began)

    def met(self, system: str) -> str:
        """What many of the last calls to a system met: why its readings do not end, though none has failed yet."""
        lately = self._recent.get(system, Calls())
        if lately.sent < LEAST_CALLS:
            return ""
        if lately.throttled * 100 > THROTTLED_PERCENT * lately.sent:
            return f"{lately.throttled} of the last {lately.sent} calls were turned away for their number"
        if lately.unanswered * 100 >= FAILING_PERCENT * lately.sent:
            return f"{lately.unanswered} of the last {lately.sent} calls failed"
        return ""

    def _traffic(self, now: Instant) -> Iterator[Word]:
        for system, calls in self._calls().items():
            lately = self._lately.setdefault(system, Lately()).note(now, calls)
            self._recent[system] = lately
            many = lately.sent >= LEAST_CALLS
            yield Word(
                many and lately.unanswered * 100 >= FAILING_PERCENT * lately.sent,
                "channel_errors",
                system,
                f"{lately.unanswered} of {lately.sent} calls to {system} within {WINDOW_MS // 60_000} min failed",
                "reconcilerd status; look at the status page of the system, and at the network of this machine",
            )
            yield Word(
                many and lately.throttled * 100 > THROTTLED_PERCENT * lately.sent,
                "rate_limited",
                system,
                f"{system} turned away {lately.throttled} of {lately.sent} calls within {WINDOW_MS // 60_000} min",
                "see who else uses these credentials; else read it less often (poll_s) and restart",
            )

    def _pauses(self, now: Instant, freezes: Iterable[FreezeSet]) -> Iterator[Word]:
        due = after(now, -self._around.paused_after_ms)
        paused: dict[str, tuple[str, str]] = {}
        for each in freezes:
            if each.holds(now) and each.at <= due:
                of = f" --channel {each.channel}" if each.channel else ""
                text = (
                    f"writes to {each.channel or 'all channels'} are frozen since {format_instant(each.at)}"
                    f" by {each.by}: {each.reason or 'no reason given'}; drift is not corrected"
                )
                paused[each.channel or "all"] = (text, f"reconcilerd unfreeze{of}")
        since = self._around.stopped_since()
        if since is not None:
            since = min(since, now, since if self._stopped is None else self._stopped)
        self._stopped = since
        if since is not None and since <= due:
            text = f"the STOP file is there since {format_instant(since)}; nothing is written to any channel"
            paused["STOP"] = (text, "remove the STOP file (daemon.stop_file) once you know why it was made")
        for subject in sorted(self._paused - paused.keys()):
            yield Word(False, "paused_too_long", subject, "")
        for subject, (text, do) in paused.items():
            yield Word(True, "paused_too_long", subject, text, do)
        self._paused = set(paused)

    def _attempts(self, now: Instant) -> Iterator[Word]:
        for surface, (last, count, how) in list(self._probes.items()):
            at = now if last is None else min(last, now)
            self._probes[surface] = (at, count, how)
            over = now - at > PROBED_MS
            if over:
                del self._probes[surface]
            text = f"{count_of(count, 'refused attempt')} at the {surface}, the last by {how}"
            yield Word(
                not over, "access_probe", surface, text, "find out who that is, and why: the log says when"
            )
        for system, (told, what) in list(self._widened.items()):
            at = now if told is None else min(told, now)
            self._widened[system] = (at, what)
            over = now - at > PROBED_MS
            if over:
                del self._widened[system]
            text = f"our credentials at {system} may do more than they need, and nobody was told yet: {what}"
            do = "find out who gave them that; take it out of the app's configuration: reconcilerd doctor"
            yield Word(not over, "access_probe", f"scopes of {system}", text, do)

    def _files(self) -> Iterator[Word]:
        now = self._around.files()
        if self._as_found is None:
            self._as_found = now
        changed = [
            f"{name}: {state or 'gone'}, was {self._as_found.get(name) or 'not there'}"
            for name, state in now.items()
            if state != self._as_found.get(name)
        ]
        yield Word(
            bool(changed),
            "access_probe",
            "files",
            f"owner or mode of our files changed: {'; '.join(changed)}",
            "set them back with chown and chmod; if you changed them, restart",
        )

    def _ledger(self) -> Iterator[Word]:
        text = f"the ledger is not what was written: {self.broken_ledger}"
        do = "freeze; keep the file for a report; reconcilerd ledger verify, reconcilerd restore --help"
        yield Word(bool(self.broken_ledger), "storage", "ledger", text, do)
        astray = self.astray()
        text = f"{astray}: what is written goes into the ledger that was there, and is lost with the next restart"
        yield Word(bool(astray), "storage", "ledger file", text, PUT_BACK)

    def _disk(self) -> Iterator[Word]:
        free = self._around.free_percent()
        text = f"the disk of the ledger has {free or 0:.1f} % left; a full one ends the daemon"
        do = "df -h; free or add space, or keep less: ledger.keep_days, reconcilerd ledger compact"
        yield Word(free is not None and free < LOW_PERCENT, "storage", "disk", text, do)

    def _backup(self, now: Instant, began: Instant) -> Iterator[Word]:
        if self._around.last_backup is None:
            return
        last = self._around.last_backup()
        since = began if last is None else last
        late = now - since
        text = f"the last backup of the ledger is {late // 3_600_000} h old"
        if last is None:
            text = "there is no backup of the ledger"
        elif late < 0:
            text = f"the last backup of the ledger is dated {-late // 3_600_000} h ahead: nobody can say how old it is"
        do = "reconcilerd backup says what is wrong; then see reconcilerd-backup.timer, or schedule.backup"
        yield Word(untimely(since, now), "storage", "backup", text, do)
