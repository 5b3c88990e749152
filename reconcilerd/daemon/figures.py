"""How everything stands, in a few figures: what ``status`` says of the daemon itself."""

from collections import Counter
from typing import Any

from reconcilerd.daemon.breakers import tripped
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.facts import FindingKind
from reconcilerd.domain.names import format_instant


def figures(daemon: Daemon) -> dict[str, Any]:
    """What is written and who stopped it, feeds, channels, exposed and hidden units, jobs and findings."""
    book, now, standing = daemon.desk.book, daemon.desk.clock(), daemon.passes.standing
    rails = daemon.rails()
    listings, drifts, held = daemon.windows.count(book), Counter[str](), Counter[str]()
    for (name, _, state, _), number in standing.index.listings.items():
        drifts[name] += number
        held[name] += number if state == "held" else 0
    return {
        "schema": "reconcilerd.status/1",
        "at": format_instant(now),
        "mode": str(rails.mode),
        "stopped": rails.stop,
        "daemon": True,
        "frozen": sorted(name or "all" for name in rails.frozen),
        "freeze_windows": [
            {"channel": each.channel or "all", "allow": sorted(each.allow)} for each in rails.closed
        ],
        "tripped": [each.name for each in tripped(book, daemon.circuits, now)],
        "freezes": [
            {
                "channel": f.channel or "all",
                "by": f.by,
                "reason": f.reason,
                "until": None if f.until is None else format_instant(f.until),
            }
            for f in book.words.freezes.values()
            if f.channel in rails.frozen
        ],
        "breaches": [
            {
                "id": b.id,
                "at": format_instant(b.at),
                "subject": b.subject,
                "broken": [*map(list, b.broken)],
            }
            for b in book.words.breaches.values()
        ],
        "skus": len(book.joins().slots_of),
        "feeds": [
            {
                "feed": feed,
                "complete": feed in book.sweeps,
                "age_s": None if (at := book.read_at(feed)) is None else (now - at) // 1000,
                "why": book.tried[feed].why if feed in book.tried else "",
            }
            for feed in sorted({*book.tried, *daemon.feeds})
        ],
        "channels": [
            {
                "channel": name,
                "listings": listings.get(name, 0),
                "drifts": drifts[name],
                "held": held[name],
                "queued": daemon.executors[name].queued if name in daemon.executors else 0,
            }
            for name in sorted(book.policy.channels)
        ],
        "exposed_units": standing.exposed.total,
        "hidden_units": standing.hidden.total,
        "waiting_for_approval": len(waiting := standing.index.waiting),
        "held_plan": latest.whole if waiting and (latest := daemon.passes.latest_held) else None,
        "jobs": [
            {
                "job": name,
                "ended": None if ended is None else format_instant(ended.at),
                "ok": None if ended is None else ended.ok,
                "why": "" if ended is None else ended.why,
            }
            for name, ended in daemon.health.jobs.items()
        ],
        "findings": {
            str(kind): len(there) for kind in FindingKind if (there := book.findings.standing(kind))
        },
    }
