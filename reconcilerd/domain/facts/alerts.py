"""Alerts as they were written down: how each one stands, who was told what of it, and what people silenced."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from reconcilerd.domain.facts.made import Made, Standing
from reconcilerd.domain.names import Instant


class AlertStage(StrEnum):
    """Where an episode of an alert stands."""

    PENDING = "pending"
    """Its cause is there, not yet for so long that anybody is told."""
    PASSED = "passed"
    """Its cause went before anybody was told."""
    FIRING = "firing"
    KEEPING = "keeping"
    """Its cause is gone, not yet for so long that it is called resolved."""
    RESOLVED = "resolved"


class Transition(StrEnum):
    """What a receiver is told of an episode."""

    FIRED = "fired"
    REPEATED = "repeated"
    RESOLVED = "resolved"
    REFUSED = "refused"
    """Nothing: it will never take it as it stands."""
    WITHHELD = "withheld"
    """Nothing: the episode ended under a silence, or under the alert that explains it."""


@dataclass(frozen=True, slots=True)
class PastEpisode:
    """An episode that ended before every receiver had heard of it."""

    number: int
    severity: str
    summary: str
    began: Instant
    fired: Instant
    ended: Instant


@dataclass(frozen=True, slots=True)
class AlertChanged(Made):
    """An alert entered a stage; ``key`` is stable per kind and channel. ``stage`` None: from before there were any."""

    kind: ClassVar[str] = "alert"
    key: str
    firing: bool
    severity: str
    summary: str
    at: Instant
    stage: AlertStage | None = None
    episode: int = 0
    began: Instant | None = None
    fired: Instant | None = None
    details: tuple[tuple[str, str], ...] = ()
    past: tuple[PastEpisode, ...] = ()
    """Earlier episodes that some receiver has not heard the end of."""

    @property
    def about(self) -> str:
        return self.key


@dataclass(frozen=True, slots=True)
class AlertTold(Made):
    """A receiver took what it was told of an episode. ``changed``: when the alert had come to stand so."""

    kind: ClassVar[str] = "told"
    receiver: str
    key: str
    changed: Instant
    at: Instant
    episode: int = 0
    transition: Transition | None = None
    reference: str = ""
    """By what the receiver knows it: the name of the key that opened a page, the stamp of a message."""

    @property
    def about(self) -> str:
        return f"{self.receiver}|{self.key}"


@dataclass(frozen=True, slots=True)
class SilenceSet(Standing):
    """A person wants to hear nothing new of some alerts until a time, or lifts that (``on`` False)."""

    kind: ClassVar[str] = "silence"
    id: str
    on: bool
    kinds: str
    """Name of a kind, or a pattern of names: ``unresolved_drift``, ``*``."""
    subjects: str
    """A pattern of what alerts are about: ``shop-uk*``."""
    by: str
    reason: str
    at: Instant
    until: Instant | None = None

    @property
    def about(self) -> str:
        return self.id
