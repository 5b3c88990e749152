"""How an alert reads, wherever it is told: what, since when, what to do. Bounded, and never more than is allowed.

Only the summary and the details that are named here leave this machine: no titles, no names, no addresses.
"""

from collections.abc import Sequence

from reconcilerd.alerting.outbox import Notice
from reconcilerd.domain.alerts import Episode
from reconcilerd.domain.facts import Transition
from reconcilerd.domain.names import Instant, format_instant
from reconcilerd.domain.visible import visible

SUMMARY = 400
DETAIL = 300
TOLD = frozenset({"do", "evidence", "names", "reset_means", "what", "why"})
"""Details that may be told; all others stay here."""


def headline(notice: Notice) -> str:
    """One line: how bad, and what."""
    episode = notice.episode
    word = "RESOLVED" if notice.transition is Transition.RESOLVED else episode.severity.upper()
    still = "STILL " if notice.transition is Transition.REPEATED else ""
    return f"[{still}{word}] {summary_of(episode)}"


def summary_of(episode: Episode) -> str:
    """What it is, on one line: a listing may be called anything."""
    return cut(visible(episode.summary), SUMMARY)


def since(notice: Notice, instance: str) -> str:
    """At which daemon, when it began, and when it was over: several tenants may tell the same people."""
    episode = notice.episode
    text = (
        f"{visible(instance)}, since {clock_of(episode.began)}"
        if instance
        else f"since {clock_of(episode.began)}"
    )
    return f"{text}, over {clock_of(episode.since)}" if notice.transition is Transition.RESOLVED else text


def details_of(episode: Episode) -> list[tuple[str, str]]:
    """The details that may be told, each on one line."""
    return [
        (name, cut(visible(" ".join(text.split())), DETAIL))
        for name, text in episode.details
        if name in TOLD and text
    ]


def labelled(episode: Episode, instance: str) -> dict[str, dict[str, str]]:
    """``labels`` that tell alerts apart and ``annotations`` for people, as Prometheus' tools know them."""
    return {
        "labels": {
            "alertname": episode.kind,
            "instance": instance,
            "severity": episode.severity,
            "subject": cut(visible(episode.subject), SUMMARY),
        },
        "annotations": {
            "summary": summary_of(episode),
            "runbook": runbook(episode),
            **dict(details_of(episode)),
        },
    }


def runbook(episode: Episode) -> str:
    """The command that says what to do."""
    return runbook_of(episode.kind)


def runbook_of(kind: str) -> str:
    return f"reconcilerd runbook {kind}"


def clock_of(at: Instant) -> str:
    return f"{format_instant(at)[:16].replace('T', ' ')} UTC"


def cut(text: str, most: int) -> str:
    """A text of at most so many characters; one that was cut says so."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def within(lines: Sequence[str], most: int, more: str) -> str:
    """As many of these paragraphs as fit; ``more`` says that some did not, with ``{count}`` for how many."""
    kept: list[str] = []
    room = most - len(more) - 8
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    return "\n".join([*kept, *([more.format(count=left)] if left else [])])[:most]
