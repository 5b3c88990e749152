"""The digest in words: a title and lines, the same in a terminal, in Slack and in a mail. Made of the answer alone."""

from collections.abc import Iterator, Mapping
from typing import Any

Told = Mapping[str, Any]
MOST = 10
"""Alerts, codes and feeds that are named; the rest is counted."""


def title_of(told: Told, instance: str) -> str:
    """Whose, of when, and whether somebody should read on."""
    of = f" of {instance}" if instance else ""
    return f"Digest{of}, {_clock(told['since'])} to {_clock(told['at'])}: {_verdict(told)}"


def _verdict(told: Told) -> str:
    if told["stopped"]:
        return "writes are stopped"
    if told["exposed_units"]:
        return f"{told['exposed_units']} units are shown beyond what can ship"
    waits = len(told["alerts_open"]) + told["waiting_for_approval"] + told["unmapped_sold_count"]
    return "something waits for a person" if waits else "nothing waits for a person"


def lines_of(told: Told) -> list[str]:
    """What was found and cured, what is so now, and what people should look at."""
    lines = (
        [] if told["complete"] else ["The ledger's older entries were compacted away: not all of it is told."]
    )
    return [
        *lines,
        *_writes(told),
        *_exposure(told),
        *_corrections(told),
        *_holds(told),
        *_unmapped(told),
        *_feeds(told),
        *_alerts(told),
        *_rails(told),
    ]


def _writes(told: Told) -> Iterator[str]:
    if told["stopped"]:
        yield "Writes: STOPPED; see reconcilerd status"
    elif told["frozen"]:
        yield f"Writes: FROZEN on {', '.join(told['frozen'])}; see reconcilerd handover"
    else:
        yield f"Writes: mode {told['mode']}"


def _exposure(told: Told) -> Iterator[str]:
    now = (
        f"{told['exposed_units']} units on {_skus(told['exposed_skus'])}" if told["exposed_units"] else "none"
    )
    lasted = (
        f"; an alert of it was open for {_span(told['exposed_minutes'])}" if told["exposed_minutes"] else ""
    )
    yield f"Exposure: {now} now{lasted}. Hidden: {told['hidden_units']} units, of {_skus(told['skus'])} in all"


def _corrections(told: Told) -> Iterator[str]:
    found = sum(each["found"] for each in told["channels"])
    cured = sum(each["cured"] for each in told["channels"])
    yield f"Drifts: {found} found and corrected, {cured} of them cured"
    for each in told["channels"]:
        ends = [f"{each[end]} {word}" for end, word in _ENDS.items() if each[end]]
        causes = ", ".join(f"{name} {count}" for name, count in each["causes"].items())
        now = f"{each['differ_now']} differ now" + (f", {each['held_now']} held" if each["held_now"] else "")
        done = f"{each['found']} found" + (f" ({causes})" if causes else "")
        yield f"  {each['channel']}: {', '.join([done, *ends])}; {now}"


_ENDS = {
    "cured": "cured",
    "missed": "taken and not seen",
    "refused": "refused",
    "replaced": "replaced",
    "under_way": "under way",
}


def _holds(told: Told) -> Iterator[str]:
    if told["held"]:
        reasons = ", ".join(f"{name} {count}" for name, count in told["held"].items())
        yield f"Held now: {sum(told['held'].values())} ({reasons})"
    if told["waiting_for_approval"]:
        yield (
            f"For a person: {told['waiting_for_approval']} corrections wait; reconcilerd plan, then approve held "
            "--reason TEXT"
        )


def _unmapped(told: Told) -> Iterator[str]:
    if told["unmapped_sold"]:
        some = [f"{each['channel']} {each['code']}" for each in told["unmapped_sold"][:MOST]]
        yield f"Sold, and mapped to no SKU: {told['unmapped_sold_count']}: {_some(some, told['unmapped_sold_count'])}"


def _feeds(told: Told) -> Iterator[str]:
    late = [each for each in told["feeds"] if each["late_minutes"] or each["age_s"] is None or _is_old(each)]
    if not late:
        yield f"Feeds: all {len(told['feeds'])} were read in time"
        return
    yield f"Slow feeds: {len(late)} of {len(told['feeds'])}"
    for each in sorted(late, key=lambda one: -one["late_minutes"])[:MOST]:
        age = "never read" if each["age_s"] is None else f"read {_span(each['age_s'] // 60)} ago"
        limit = _span(each["limit_s"] // 60)
        yield f"  {each['feed']}: too old for {_span(each['late_minutes'])}; {age}, limit {limit}"


def _is_old(feed: Told) -> bool:
    return bool(feed["age_s"] > feed["limit_s"])


def _alerts(told: Told) -> Iterator[str]:
    counts = {name: len(told[f"alerts_{name}"]) for name in ("opened", "closed", "open")}
    yield f"Alerts: {counts['opened']} opened, {counts['closed']} closed, {counts['open']} open now"
    for each in told["alerts_open"][:MOST]:
        key = each["key"].partition("/")[2]
        yield f"  {each['severity'].upper()} {key}, since {_clock(each['began'])}: {each['summary']}"
    if counts["open"] > MOST:
        yield f"  and {counts['open'] - MOST} more: reconcilerd alerts list"


def _rails(told: Told) -> Iterator[str]:
    names = [each["about"] for each in told["rails"]]
    if names:
        yield f"Rails that tripped: {len(names)}: {_some(sorted(set(names))[:MOST], len(set(names)))}"


def _some(names: list[str], count: int) -> str:
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return f"{', '.join(names)}{more}"


def _skus(count: int) -> str:
    return f"{count} SKU{'s' * (count != 1)}"


def _clock(at: str) -> str:
    return f"{at[:16].replace('T', ' ')} UTC"


def _span(minutes: int) -> str:
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
