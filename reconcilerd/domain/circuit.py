"""A circuit breaker over the calls to one channel: writes stop while half of them fail, readings go on as probes."""

from dataclasses import dataclass, replace

from reconcilerd.domain.names import Instant, after
from reconcilerd.domain.policy import Limits

MAX_CALLS = 256
"""So many last calls are judged, however many the window saw."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """Closed while ``open_until`` is None; open until then, and after it half open: reads are let count."""

    calls: tuple[tuple[Instant, bool], ...] = ()
    open_until: Instant | None = None
    since: Instant = Instant(0)
    """When it opened first."""
    times: int = 0
    """How often in a row."""
    probes: int = 0
    evidence: str = ""


def heard(circuit: Circuit, at: Instant, answered: bool, limits: Limits) -> Circuit:
    """The circuit once one more call was answered, or failed."""
    if circuit.open_until is not None:
        return _probed(circuit, circuit.open_until, at, answered, limits)
    # What was stamped before the clock was set back counts as of now, or it would count for so much longer.
    window = at - limits.breaker_window_ms
    calls = tuple((min(when, at), ok) for when, ok in circuit.calls if when > window)
    calls = (*calls[-MAX_CALLS + 1 :], (at, answered))
    failed = sum(not ok for _, ok in calls)
    if len(calls) < limits.breaker_calls or failed * 1000 < limits.breaker_permille * len(calls):
        return replace(circuit, calls=calls)
    return _opened(replace(circuit, since=at), at, f"{failed} of {len(calls)} calls failed", limits)


def _probed(circuit: Circuit, until: Instant, at: Instant, answered: bool, limits: Limits) -> Circuit:
    # However far the clock was set back: from any moment on it rests no longer than when it opened.
    until = min(until, after(at, _rest_ms(max(0, circuit.times - 1), limits)))
    if at < until:
        return replace(circuit, open_until=until)
    if not answered:
        return _opened(circuit, at, circuit.evidence, limits)
    if circuit.probes + 1 >= limits.breaker_probes:
        return Circuit()
    return replace(circuit, probes=circuit.probes + 1)


def _opened(circuit: Circuit, at: Instant, evidence: str, limits: Limits) -> Circuit:
    until = after(at, _rest_ms(circuit.times, limits))
    return Circuit((), until, circuit.since, circuit.times + 1, 0, evidence)


def _rest_ms(times: int, limits: Limits) -> int:
    """How long it rests once it has opened so often before in a row."""
    return min(limits.breaker_longest_ms, limits.breaker_open_ms << min(times, 20))


def half_fail(failing: int, channels: int, limits: Limits) -> bool:
    """More than half of the channels, and at least two, fail together: it is probably us."""
    return failing >= limits.half_fails and 2 * failing > channels
