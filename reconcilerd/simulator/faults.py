"""What goes wrong, by seed or by hand, on either carrier: one plan for uvicorn and for in-process calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from reconcilerd.domain.names import Instant


class Fault(StrEnum):
    TOO_MANY = "429"
    SERVER_ERROR = "5xx"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    DROPPED_BEFORE = "dropped_before"
    DROPPED_AFTER = "dropped_after"
    TRUNCATED = "truncated_json"
    EMPTY = "empty_200"
    MISSING_PAGE = "missing_page"
    SHIFTED_ROWS = "shifted_rows"
    HALF_A_PAGE = "half_a_page"
    STALE_READ = "stale_read"
    NOT_APPLIED = "accepted_not_applied"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of a fault
    FOREIGN_WRITER = "foreign_writer"
    LOST_PUSH = "lost_push"
    ZERO_NOT_PUSHED = "zero_not_pushed"


MILD: Mapping[Fault, float] = {
    Fault.TOO_MANY: 0.002,
    Fault.SERVER_ERROR: 0.004,
    Fault.DROPPED_BEFORE: 0.002,
    Fault.TRUNCATED: 0.001,
}
HOSTILE: Mapping[Fault, float] = {
    Fault.TOO_MANY: 0.01,
    Fault.SERVER_ERROR: 0.01,
    Fault.TIMEOUT_BEFORE: 0.002,
    Fault.TIMEOUT_AFTER: 0.002,
    Fault.DROPPED_BEFORE: 0.005,
    Fault.DROPPED_AFTER: 0.005,
    Fault.TRUNCATED: 0.003,
    Fault.EMPTY: 0.003,
    Fault.MISSING_PAGE: 0.01,
    Fault.SHIFTED_ROWS: 0.005,
    Fault.NOT_APPLIED: 0.02,
    Fault.EXPIRED_TOKEN: 0.003,
}
LEVELS: Mapping[str, Mapping[Fault, float]] = {"none": {}, "mild": MILD, "hostile": HOSTILE}


class ConnectionDropped(Exception):
    """The server hangs up without an answer."""


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault that happened."""

    fault: Fault
    at: Instant
    system: str
    subject: str


@dataclass(slots=True)
class FaultPlan:
    """Chances per request, and faults armed by hand for the next fitting request of a system."""

    seed: int = 1
    rates: Mapping[Fault, float] = field(default_factory=dict)
    done: list[Injected] = field(default_factory=list)
    _armed: list[tuple[str, Fault]] = field(default_factory=list)
    _chance: Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = Random(self.seed)

    def arm(self, system: str, fault: Fault) -> None:
        self._armed.append((system, fault))

    def pick(self, system: str, possible: frozenset[Fault], at: Instant, subject: str) -> Fault | None:
        """The fault of this request, if any; recorded."""
        for index, (armed, fault) in enumerate(self._armed):
            if armed == system and fault in possible:
                del self._armed[index]
                self.note(fault, at, system, subject)
                return fault
        if not self.rates:
            return None
        roll = self._chance.random()
        for fault, rate in self.rates.items():
            roll -= rate
            if roll < 0:
                if fault not in possible:
                    return None
                self.note(fault, at, system, subject)
                return fault
        return None

    def note(self, fault: Fault, at: Instant, system: str, subject: str) -> None:
        self.done.append(Injected(fault, at, system, subject))
