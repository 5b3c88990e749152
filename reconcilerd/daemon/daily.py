"""The digest of a day, or of any stretch of time: what was found and cured, what waits, what people should look at.

How it stands is asked of the desk; what happened, of the ledger, in small pieces so that nobody else waits.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from reconcilerd.daemon.alarms import Alarms
from reconcilerd.daemon.approvals import Archive, Op, Request
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.handover import (
    TOO_LONG,
    deed_told,
    episode_told,
    open_of,
    stretch_of,
    written_since,
)
from reconcilerd.daemon.passes import held_for_a_person
from reconcilerd.daemon.refusals import error
from reconcilerd.domain.corrected import ENDS, Corrected, corrected
from reconcilerd.domain.corrected import TOLD as OF_CORRECTIONS
from reconcilerd.domain.discrepancies import unmapped_that_sold
from reconcilerd.domain.facts import AlertChanged, EndsMoved, FindingKind, InvariantBroken, RailLatched
from reconcilerd.domain.guards import GOES
from reconcilerd.domain.names import ChannelName, Instant, format_instant
from reconcilerd.domain.shift import Written, deeds, episodes, lasted

SCHEMA = "reconcilerd.digest/1"
DAY_S = 86_400
MOST_CODES = 100
KINDS = frozenset(
    each.kind for each in (*OF_CORRECTIONS, AlertChanged, EndsMoved, RailLatched, InvariantBroken)
)
MINUTE_MS = 60_000


class Daily:
    """Answers what a person reads in the morning, and has it sent."""

    def __init__(self, daemon: Daemon, archive: Archive, alarms: Alarms | None) -> None:
        self._daemon = daemon
        self._archive = archive
        self._alarms = alarms

    def requests(self) -> dict[str, Op]:
        return {"digest": self.digest}

    async def digest(self, request: Request, _by: str) -> dict[str, Any]:
        """The digest of ``since_s``; with ``send`` it goes to the receivers that take it, and ``sent`` says how."""
        now = self._daemon.desk.clock()
        stretch = stretch_of(request, now, self._archive, DAY_S)
        if stretch is None:
            return error(TOO_LONG, 2)
        written = await written_since(self._archive, KINDS, stretch.since)
        told = {
            "schema": SCHEMA,
            "at": format_instant(now),
            "since": format_instant(stretch.since),
            "complete": stretch.complete,
            "daemon": True,
            **self._standing(stretch.since),
            **self._happened(written, now, stretch.since),
            "sent": None,
            "exit_code": 0,
        }
        return await self._sent(told) if request.get("send") else told

    async def _sent(self, told: dict[str, Any]) -> dict[str, Any]:
        return told if self._alarms is None else await self._alarms.publish(told)

    def _standing(self, since: Instant) -> dict[str, Any]:
        daemon, book, standing = self._daemon, self._daemon.desk.book, self._daemon.passes.standing
        rails = daemon.rails()
        held = [each for group in standing.drifts.values() for each in group if each[1] not in GOES]
        unmapped = [
            each
            for each in book.findings.values()
            if each.what is FindingKind.UNMAPPED_SKU and not each.cleared
        ]
        sold = sorted(unmapped_that_sold(book, unmapped, since))
        return {
            "mode": str(rails.mode),
            "stopped": rails.stop or rails.breach,
            "frozen": sorted(name or "all" for name in rails.frozen),
            "skus": len(book.joins().slots_of),
            "exposed_units": sum(standing.exposed.values()),
            "exposed_skus": len(standing.exposed),
            "hidden_units": sum(standing.hidden.values()),
            "held": dict(sorted(Counter(str(verdict) for _, verdict in held).items())),
            "waiting_for_approval": len(held_for_a_person(standing)),
            "unmapped_sold": [{"channel": channel, "code": code} for channel, code in sold[:MOST_CODES]],
            "unmapped_sold_count": len(sold),
        }

    def _happened(self, written: list[Written], now: Instant, since: Instant) -> dict[str, Any]:
        alerts = episodes(written, open_of(self._alarms), since)
        exposed = lasted(alerts, "exposure", since, now)
        return {
            "channels": self._channels(corrected(written)),
            "exposed_minutes": _minutes(max(exposed.values(), default=0)),
            "feeds": self._feeds(lasted(alerts, "stale_source", since, now), now),
            "alerts_opened": [episode_told(each) for each in alerts if each.began > since],
            "alerts_closed": [episode_told(each) for each in alerts if each.ended is not None],
            "alerts_open": [episode_told(each) for each in alerts if each.ended is None],
            "rails": [deed_told(each) for each in deeds(written) if each.what != "reset"],
        }

    def _channels(self, done: Mapping[ChannelName, Corrected]) -> list[dict[str, Any]]:
        now = [each for group in self._daemon.passes.standing.drifts.values() for each in group]
        rows = []
        for name in sorted({*self._daemon.desk.book.policy.channels, *done}):
            one = done.get(name, Corrected())
            mine = [verdict for drift, verdict in now if drift.slot.channel == name]
            rows.append(
                {
                    "channel": name,
                    "listings_corrected": len(one.slots),
                    "found": one.planned,
                    **{end: one.ends[end] for end in ENDS},
                    "under_way": one.under_way,
                    "causes": dict(sorted(one.causes.items())),
                    "differ_now": len(mine),
                    "held_now": sum(verdict not in GOES for verdict in mine),
                }
            )
        return rows

    def _feeds(self, late: Mapping[str, int], now: Instant) -> list[dict[str, Any]]:
        """Each feed that is watched: how old it is, and how long it was too old within the stretch."""
        book = self._daemon.desk.book
        return [
            {
                "feed": feed,
                "age_s": None if (at := book.read_at(feed)) is None else (now - at) // 1000,
                "limit_s": limit_ms // 1000,
                # The alert is about the feed, or about all that is read of its system.
                "late_minutes": _minutes(max(late.get(feed, 0), late.get(feed.partition(".")[0], 0))),
            }
            for feed, limit_ms in sorted(self._daemon.health.limits.items())
        ]


def _minutes(ms: int) -> int:
    """Whole minutes; what was shorter than one was one."""
    return -(-ms // MINUTE_MS)
