"""Alerts for a person who asks: what is open, what is silenced, and whether anybody would hear."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any, Protocol

from reconcilerd.alerting.bulletin import publish
from reconcilerd.alerting.engine import Engine, Seen
from reconcilerd.alerting.slack import Post
from reconcilerd.alerting.trying import Make, try_all
from reconcilerd.alerting.wording import runbook_of
from reconcilerd.config.nearest import nearest
from reconcilerd.daemon.approvals import Op, Request
from reconcilerd.daemon.daily_text import lines_of, title_of
from reconcilerd.daemon.refusals import error
from reconcilerd.domain import shift
from reconcilerd.domain.alerts import KINDS, PREFIX, SEVERITIES, silenced_by
from reconcilerd.domain.facts import AlertChanged, Fact, SilenceSet
from reconcilerd.domain.names import Instant, after, format_instant
from reconcilerd.domain.visible import all_visible

MAX_SILENCE_MS = 7 * 86_400_000
Digest = tuple[str, Collection[str]]
LONGEST_PATTERN = 200
CHANGES_BACK = 20
NOBODY = "no receiver is configured; see [alerts] in reconcilerd check-config --defaults"


class Past(Protocol):
    """The ledger's entries, as far as they tell of alerts."""

    def history(self, kind: str, about: str, limit: int) -> list[tuple[int, Instant, Fact]]: ...


class Alarms:
    """Answers requests about alerts, from the engine that keeps them."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], Instant],
        archive: Past,
        make: Make,
        post: Post,
        *,
        running: bool,
        digest: Callable[[], Digest] = lambda: ("", ()),
    ) -> None:
        """``make`` and ``post``: how receivers are built and spoken to, for tests. ``running``: the engine delivers.

        ``digest``: what we are called where the digest goes, and the names of the receivers that take it.
        """
        self._engine = engine
        self._clock = clock
        self._archive = archive
        self._make = make
        self._post = post
        self._running = running
        self.half_approved: Callable[[], list[dict[str, Any]]] = list
        """What waits for a second person's approval."""
        self.buttons: Callable[[], str | None] = lambda: None
        """Why no press of a button would be heard now, empty if it would; None where there are no buttons."""
        self._digest = digest

    def requests(self) -> dict[str, Op]:
        return {
            "alerts": self.alerts,
            "alert": self.alert,
            "alert_test": self.test,
            "silence": self.silence,
            "unsilence": self.unsilence,
            "resend": self.resend,
        }

    def standing(self) -> dict[str, Any]:
        """What is open or waits to be, the worst first, and what is silenced."""
        return {
            "alerts": [_alert(each) for each in self._engine.seen()],
            "silences": [_silence(each) for each in self._engine.silences()],
        }

    def open_episodes(self) -> Iterator[shift.Episode]:
        """Those that are open, as the story of a stretch of time has them."""
        for each in (seen.episode for seen in self._engine.seen()):
            if each.firing:
                began = each.began if each.fired is None else each.fired
                yield shift.Episode(each.key, each.number, each.severity, each.summary, began)

    async def alerts(self, _request: Request, _by: str) -> dict[str, Any]:
        """All of that, with who hears of alerts at all."""
        return {
            "schema": "reconcilerd.alerts/1",
            "at": format_instant(self._clock()),
            "daemon": self._running,
            **self.standing(),
            "receivers": self._engine.receivers,
            "unheard": self._engine.unheard,
            "half_approved": self.half_approved(),
            "buttons": self.buttons(),
            "exit_code": 0,
        }

    async def alert(self, request: Request, _by: str) -> dict[str, Any]:
        """One alert by its key (its beginning may be left out), open or not, and how it changed."""
        key = _key(request["key"])
        seen = self._engine.look_up(key)
        if seen is None:
            return self._unknown(key)
        changes = [
            {"at": format_instant(fact.at), "stage": str(fact.stage), "episode": fact.episode}
            for _, _, fact in self._archive.history(AlertChanged.kind, key, CHANGES_BACK)
            if isinstance(fact, AlertChanged)
        ]
        return {"schema": "reconcilerd.alert/1", **_alert(seen), "changes": changes, "exit_code": 0}

    def _unknown(self, key: str) -> dict[str, Any]:
        known = [each.episode.key for each in self._engine.seen()]
        close = nearest(key, known)
        hint = f"; did you mean {_short(close)}?" if close is not None else ""
        return error(f"no alert {_short(key)!r} was ever there{hint}; see reconcilerd alerts list", 6)

    async def test(self, request: Request, by: str) -> dict[str, Any]:
        """See ``try_receivers``."""
        return await try_receivers(self._make, self._post, request, by, self._clock())

    async def publish(self, digest: dict[str, Any]) -> dict[str, Any]:
        """Send a digest to those that take it; what each answered. Exit code 5: not everybody took it."""
        receivers, (instance, to) = self._make(self._post), self._digest()
        if not {each.name for each in receivers} & set(to):
            return error("nobody takes the digest: no receiver of alerts.digest_to is configured", 2)
        said = all_visible(digest)
        sent = await publish(receivers, to, title_of(said, instance), lines_of(said))
        code = 0 if all(each.accepted for each in sent) else 5
        return {**digest, "sent": [asdict(each) for each in sent], "exit_code": code}

    async def silence(self, request: Request, by: str) -> dict[str, Any]:
        """Tell nobody anything new of some alerts for a while; who, why and until when is kept."""
        reason = request.get("reason", "").strip()
        kinds, subjects, for_s = request["kinds"], request.get("subjects", "*"), request["for_s"]
        if not reason:
            return error("a silence needs a reason: --reason TEXT", 2)
        if not 0 < for_s * 1000 <= MAX_SILENCE_MS:
            return error("--for takes a time up to 7 days, like 30m, 2h or 1d", 2)
        if not any(fnmatchcase(kind, kinds) for kind in KINDS):
            close = nearest(kinds, KINDS)
            hint = f"; did you mean {close}?" if close is not None else "; see reconcilerd runbook"
            return error(f"no kind of alert is called {kinds[:80]!r}{hint}", 2)
        if len(subjects) > LONGEST_PATTERN or not subjects.isprintable():
            return error(
                f"--subjects takes a pattern of at most {LONGEST_PATTERN} characters, like shop-uk*", 2
            )
        now = self._clock()
        silence = SilenceSet(
            f"silence-{now}", True, kinds, subjects, by, reason, now, after(now, round(for_s * 1000))
        )
        await self._engine.silence(silence)
        covers = [
            each.episode.key
            for each in self._engine.seen()
            if silenced_by(each.episode, [silence], now) is not None
        ]
        return {
            "schema": "reconcilerd.silence/1",
            "silence": _silence(silence),
            "covers": covers,
            "exit_code": 0,
        }

    async def unsilence(self, request: Request, by: str) -> dict[str, Any]:
        """Lift a silence by its id: what it covers and is open still is told then."""
        wanted = request["id"]
        found = {each.id: each for each in self._engine.silences()}.get(wanted)
        if found is None:
            return error(f"no silence {wanted!r} is in force; see reconcilerd alerts list", 6)
        reason = request.get("reason", "").strip()
        lifted = SilenceSet(found.id, False, found.kinds, found.subjects, by, reason, self._clock())
        await self._engine.silence(lifted)
        return {"schema": "reconcilerd.unsilence/1", "lifted": _silence(found), "exit_code": 0}

    async def resend(self, request: Request, _by: str) -> dict[str, Any]:
        """Tell every receiver again of one open alert, or of all."""
        if not self._running:
            return error("no daemon runs, so nothing is sent; what is open is told once it does", 8)
        key = request.get("key")
        keys = None if key is None else [_key(key)]
        sent = await self._engine.resend(keys)
        if keys is not None and not sent:
            return error(f"no alert {_short(keys[0])!r} is open; see reconcilerd alerts list", 6)
        return {"schema": "reconcilerd.resend/1", "keys": sent, "exit_code": 0}


async def try_receivers(make: Make, post: Post, request: Request, by: str, now: Instant) -> dict[str, Any]:
    """Tell one receiver, or all, a test and its end; what each answered. Needs neither daemon nor ledger."""
    severity, wanted = str(request.get("severity") or "warning"), request.get("receiver")
    known = [each.name for each in make(post)]
    if severity not in SEVERITIES:
        return error(f"no severity {severity!r}; known: {', '.join(SEVERITIES)}", 2)
    if not known:
        return error(NOBODY, 2)
    if wanted is not None and wanted not in known:
        return error(f"no receiver {wanted!r} is configured; known: {', '.join(known)}", 6)
    names = known if wanted is None else [str(wanted)]
    resolve = bool(request.get("resolve", True))
    found = await try_all(make, post, names, severity, by, now, resolve=resolve)
    steps = [step for tried in found.values() for step in tried]
    denied = any(each.status in {401, 403} for each in steps if not each.accepted)
    return {
        "schema": "reconcilerd.alert-test/1",
        "receivers": [
            {"receiver": name, "steps": [asdict(step) for step in tried]} for name, tried in found.items()
        ],
        "exit_code": 0 if all(each.accepted for each in steps) else 4 if denied else 5,
    }


def _key(text: str) -> str:
    return text if text.startswith(f"{PREFIX}/") else f"{PREFIX}/{text}"


def _short(key: str) -> str:
    return key.removeprefix(f"{PREFIX}/")


def _alert(seen: Seen) -> dict[str, Any]:
    episode = seen.episode
    return {
        "key": episode.key,
        "kind": episode.kind,
        "subject": episode.subject,
        "severity": episode.severity,
        "stage": str(episode.stage),
        "episode": episode.number,
        "summary": episode.summary,
        "details": dict(episode.details),
        "began": format_instant(episode.began),
        "since": format_instant(episode.since),
        "muted_by": seen.muted_by,
        "silence": seen.silence,
        "told": dict(seen.told),
        "runbook": runbook_of(episode.kind),
    }


def _silence(silence: SilenceSet) -> dict[str, Any]:
    return {
        "id": silence.id,
        "kinds": silence.kinds,
        "subjects": silence.subjects,
        "by": silence.by,
        "reason": silence.reason,
        "at": format_instant(silence.at),
        "until": None if silence.until is None else format_instant(silence.until),
    }
