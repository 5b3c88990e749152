"""Whether a version that was just started may stay: judged by what it says of itself, look by look. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GRACE_S: Final = 180.0
"""A start reads the ledger and, where its catalogue is new, all of Extensiv's before it is ready."""
UNREADY_S: Final = 60.0
"""What was ready may be stale for so long: a vendor's hiccup."""
FAILED_PERCENT: Final = 20
LEAST_CALLS: Final = 20
"""Fewer prove nothing."""
_SAMPLE: Final = re.compile(r"reconcilerd_(\w+)(?:\{(.*)\})? ([0-9.e+-]+|NaN)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the daemon. ``why``: what keeps it from being ready; empty if it is."""

    at_s: float
    running: bool
    restarts: int
    why: str = ""
    calls: int = 0
    failed: int = 0
    broken: str = ""
    """An invariant, or a bug."""

    @property
    def failed_percent(self) -> float:
        return 100 * self.failed / self.calls if self.calls >= LEAST_CALLS else 0.0


def fault(looks: Sequence[Look], before: Look | None) -> str:
    """Why it must go back, if it must. ``before``: its forerunner."""
    first, last = looks[0], looks[-1]
    if not last.running:
        return "it does not run any more"
    if last.restarts > first.restarts:
        return f"it had to be started again, {last.restarts - first.restarts} times"
    if last.broken:
        return last.broken
    most = max(FAILED_PERCENT, 2 * before.failed_percent if before else 0)
    if last.failed_percent > most:
        return f"{last.failed} of its {last.calls} calls failed; at most {most:.0f} % may"
    return _unready(looks)


def _unready(looks: Sequence[Look]) -> str:
    last = looks[-1]
    if not last.why:
        return ""
    ready = [each.at_s for each in looks if not each.why]
    since, most = (ready[-1], UNREADY_S) if ready else (looks[0].at_s, GRACE_S)
    if last.at_s - since > most:
        return f"not ready for {last.at_s - since:.0f} s: {last.why}"
    return ""


def look_of(at_s: float, restarts: int, metrics: str, now_s: float) -> Look:
    """What a daemon's metrics come to. ``now_s``: the wall clock, which feeds are stamped by."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for line in metrics.splitlines():
        sample = _SAMPLE.fullmatch(line)
        if sample is not None:
            labels = tuple(sorted(_LABEL.findall(sample[2] or "")))
            found.setdefault(sample[1], {})[labels] = float(sample[3])
    read = found.get("feed_last_complete_timestamp_seconds", {})
    stale = [
        dict(feed).get("feed", "?")
        for feed, most in found.get("feed_max_age_seconds", {}).items()
        if now_s - read.get(feed, 0.0) > most
    ]
    why = "" if found.get("ready", {}).get((), 0.0) else "the catalogue is not read yet"
    if stale and not why:
        why = f"stale: {', '.join(sorted(set(stale)))}"
    calls = found.get("api_requests_total", {})
    # What is turned away for its number was answered.
    bad = [count for each, count in calls.items() if dict(each).get("code_class") in {"none", "5xx"}]
    bugs = found.get("groups_broken", {}).get((), 0.0)
    return Look(
        at_s,
        True,
        restarts,
        why,
        round(sum(calls.values())),
        round(sum(bad)),
        f"{bugs:.0f} pool groups meet a bug" if bugs else "",
    )
