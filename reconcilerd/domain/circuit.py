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
        return _probed(circuit, at, answered, limits)
    calls = tuple(call for call in circuit.calls if call[0] > at - limits.breaker_window_ms)
    calls = (*calls[-MAX_CALLS + 1 :], (at, answered))
    failed = sum(not ok for _, ok in calls)
    if len(calls) < limits.breaker_calls or failed * 1000 < limits.breaker_permille * len(calls):
        return replace(circuit, calls=calls)
    return _opened(replace(circuit, since=at), at, f"{failed} of {len(calls)} calls failed", limits)


def _probed(circuit: Circuit, at: Instant, answered: bool, limits: Limits) -> Circuit:
    if circuit.open_until is None or at < circuit.open_until:
        return circuit
    if not answered:
        return _opened(circuit, at, circuit.evidence, limits)
    if circuit.probes + 1 >= limits.breaker_probes:
        return Circuit()
    return replace(circuit, probes=circuit.probes + 1)


def _opened(circuit: Circuit, at: Instant, evidence: str, limits: Limits) -> Circuit:
    rest = min(limits.breaker_longest_ms, limits.breaker_open_ms << min(circuit.times, 20))
    return Circuit((), after(at, rest), circuit.since, circuit.times + 1, 0, evidence)


def half_fail(failing: int, channels: int, limits: Limits) -> bool:
    """More than half of the channels, and at least two, fail together: it is probably us."""
    return failing >= limits.half_fails and 2 * failing > channels
