"""Tries whether a receiver takes alerts: tells it one that is none, and its end, and keeps what it answered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from reconcilerd.alerting.engine import NotTaken, Permanent, Receiver
from reconcilerd.alerting.outbox import Notice
from reconcilerd.alerting.slack import Answer, Post
from reconcilerd.alerting.wording import cut
from reconcilerd.config.secret import redact
from reconcilerd.domain.alerts import Episode, alert_key
from reconcilerd.domain.facts import AlertStage, Transition
from reconcilerd.domain.names import Instant
from reconcilerd.errors import ReconcilerdError

KIND = "test"
REPLY = 200


@dataclass
class Overheard:
    """Posts as another does, and remembers the last answer."""

    inner: Post
    last: Answer | None = field(default=None, init=False)

    async def post(self, url: str, body: object, headers: Mapping[str, str]) -> Answer:
        self.last = None
        self.last = await self.inner(url, body, headers)
        return self.last


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of telling a receiver one thing. ``status`` None: it does not speak HTTP, or did not answer."""

    what: str
    accepted: bool
    status: int | None
    latency_ms: int
    reply: str


Make = Callable[[Post], Sequence[Receiver]]
"""Builds every receiver around a way to post."""


async def try_all(
    make: Make, post: Post, names: Sequence[str], severity: str, by: str, now: Instant, *, resolve: bool
) -> dict[str, list[Tried]]:
    """Tell these receivers a test and, with ``resolve``, its end; what each answered."""
    overheard = Overheard(post)
    receivers = {each.name: each for each in make(overheard.post)}
    found: dict[str, list[Tried]] = {}
    for name in names:
        steps = [Transition.FIRED, Transition.RESOLVED] if resolve else [Transition.FIRED]
        found[name], reference = [], ""
        for step in steps:
            notice = Notice(step, _episode(name, severity, by, now, step), now, reference)
            tried, reference = await _tell(receivers[name], notice, overheard)
            found[name].append(tried)
            if not tried.accepted:
                break
    return found


def _episode(name: str, severity: str, by: str, now: Instant, step: Transition) -> Episode:
    """A test has one key per receiver: one that was left open is closed by the next. Its number is new each time."""
    stage = AlertStage.RESOLVED if step is Transition.RESOLVED else AlertStage.FIRING
    text = f"[TEST] {by} tries whether alerts arrive; nothing is wrong"
    return Episode(alert_key(KIND, name), now, stage, severity, text, (), now, now, now)


async def _tell(receiver: Receiver, notice: Notice, overheard: Overheard) -> tuple[Tried, str]:
    began_s, why, reference = anyio.current_time(), "", notice.reference
    overheard.last = None
    try:
        told = await receiver.tell([notice])
        reference = told.get(notice.episode.key, reference)
    except (Permanent, NotTaken, ReconcilerdError) as refused:
        why = str(refused)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    latency_ms = round((anyio.current_time() - began_s) * 1000)
    status, body = (overheard.last[0], overheard.last[1]) if overheard.last else (None, "")
    reply = cut(" ".join(redact(why or body).split()), REPLY)
    what = "resolve" if notice.transition is Transition.RESOLVED else "trigger"
    return Tried(what, not why, status, latency_ms, reply or "accepted"), reference
