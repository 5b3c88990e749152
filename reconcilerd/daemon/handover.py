"""What whoever takes over must know: what people allowed, stopped and left alone, and what happened since a moment.

How it stands is asked of the desk; what happened, of the ledger, in small pieces so that nobody else waits.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import anyio.lowlevel

from reconcilerd.daemon.alarms import Alarms
from reconcilerd.daemon.approvals import Approvals, Archive, Op, Request
from reconcilerd.daemon.breakers import told, tripped
from reconcilerd.daemon.consents import told as half_approved
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.desk import spelled
from reconcilerd.daemon.passes import held_for_a_person
from reconcilerd.daemon.refusals import error
from reconcilerd.domain.facts import EndsMoved
from reconcilerd.domain.guards import GOES, MEANS
from reconcilerd.domain.names import Instant, after, format_instant
from reconcilerd.domain.shift import TOLD, Deed, Episode, Written, deeds, episodes, policies

SCHEMA = "reconcilerd.handover/1"
LONGEST_S = 31 * 86_400
SHIFT_S = 8 * 3_600
SKUS_TOLD = 5
DEEDS_TOLD = 200
KINDS = frozenset(each.kind for each in (*TOLD, EndsMoved))


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is asked about: from when, and from when on it can be told (the ledger may begin later)."""

    since: Instant
    complete: bool


def stretch_of(request: Request, now: Instant, archive: Archive, usual_s: float) -> Stretch | None:
    """The stretch that a request asks for; None where it is too long."""
    since_s = request.get("since_s", usual_s)
    if since_s > LONGEST_S:
        return None
    since = after(now, -int(since_s * 1000))
    began, anchor = archive.began, archive.anchor
    return Stretch(since, anchor is None or (began is not None and began <= since))


TOO_LONG = f"--since takes a time up to {LONGEST_S // 86_400} days, like 8h or 3d"


async def written_since(archive: Archive, kinds: Collection[str], since: Instant) -> list[Written]:
    """All of it, leaving others their turn."""
    found: list[Written] = []
    for piece in archive.told_since(kinds, since):
        found += piece
        await anyio.lowlevel.checkpoint()
    return found


class Handover:
    """Answers what the next one on duty asks."""

    def __init__(self, daemon: Daemon, archive: Archive, alarms: Alarms | None, approvals: Approvals) -> None:
        self._daemon = daemon
        self._archive = archive
        self._alarms = alarms
        self._approvals = approvals

    def requests(self) -> dict[str, Op]:
        return {"handover": self.handover}

    async def handover(self, request: Request, by: str) -> dict[str, Any]:
        """How it stands for a person, and what happened within ``since_s``."""
        now = self._daemon.desk.clock()
        stretch = stretch_of(request, now, self._archive, SHIFT_S)
        if stretch is None:
            return error(TOO_LONG, 2)
        written = await written_since(self._archive, KINDS, stretch.since)
        done = deeds(written)
        alerts = episodes(written, open_of(self._alarms), stretch.since)
        return {
            "schema": SCHEMA,
            "at": format_instant(now),
            "since": format_instant(stretch.since),
            "complete": stretch.complete,
            "daemon": True,
            **await self._standing(now, by),
            "done": [deed_told(each) for each in done[-DEEDS_TOLD:]],
            "done_left_out": max(0, len(done) - DEEDS_TOLD),
            "policies": [deed_told(each) for each in policies(written)],
            "alerts_opened": [episode_told(each) for each in alerts if each.began > stretch.since],
            "alerts_closed": [episode_told(each) for each in alerts if each.ended is not None],
            "exit_code": 0,
        }

    async def _standing(self, now: Instant, by: str) -> dict[str, Any]:
        daemon, book = self._daemon, self._daemon.desk.book
        rails = daemon.rails()
        waiting = held_for_a_person(daemon.passes.standing)
        return {
            "mode": str(rails.mode),
            "policy": book.policy.revision,
            "stopped": rails.stop,
            "holds": self._holds(),
            "waiting_for_approval": len(waiting),
            "held_plan": latest.whole if waiting and (latest := daemon.passes.latest_held) else None,
            "half_approved": half_approved(book.words.half_approved(now)),
            "approvals": (await self._approvals.envelopes({}, by))["envelopes"],
            "pins": (await self._approvals.pins({}, by))["pins"],
            "freezes": [
                {
                    "channel": each.channel or "all",
                    "by": each.by,
                    "reason": each.reason,
                    "at": format_instant(each.at),
                    "until": None if each.until is None else format_instant(each.until),
                }
                for each in book.words.freezes.values()
                if each.holds(now)
            ],
            "freeze_windows": [
                {"channel": each.channel or "all", "allow": sorted(each.allow)} for each in rails.closed
            ],
            "tripped": [told(each) for each in tripped(book, daemon.circuits, now)],
            **(self._alarms.standing() if self._alarms else {"alerts": [], "silences": []}),
        }

    def _holds(self) -> list[dict[str, Any]]:
        """What waits, by channel and reason, the most first."""
        skus: dict[tuple[str, str], list[str]] = {}
        book = self._daemon.desk.book
        for group in self._daemon.passes.standing.drifts.values():
            for drift, verdict in group:
                if verdict not in GOES:
                    skus.setdefault((drift.slot.channel, str(verdict)), []).append(spelled(book, drift.sku))
        counts = Counter({about: len(each) for about, each in skus.items()})
        why = {str(verdict): text for verdict, text in MEANS.items()}
        return [
            {
                "channel": about[0],
                "verdict": about[1],
                "why": why[about[1]],
                "count": count,
                "skus": sorted(skus[about])[:SKUS_TOLD],
            }
            for about, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
        ]


def open_of(alarms: Alarms | None) -> list[Episode]:
    """Alerts that are open now."""
    return [] if alarms is None else list(alarms.open_episodes())


def deed_told(deed: Deed) -> dict[str, Any]:
    """As the answer has it."""
    return {
        "entry": deed.entry,
        "at": format_instant(deed.at),
        "by": deed.by,
        "what": deed.what,
        "about": deed.about,
        "count": deed.count,
        "reason": deed.reason,
        "until": None if deed.until is None else format_instant(deed.until),
    }


def episode_told(each: Episode) -> dict[str, Any]:
    """As the answer has it."""
    return {
        "key": each.key,
        "severity": each.severity,
        "summary": each.summary,
        "began": format_instant(each.began),
        "ended": None if each.ended is None else format_instant(each.ended),
    }
