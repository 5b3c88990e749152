"""What a check says, and what may be asked while checking."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from reconcilerd.cli.wiring import Plan
from reconcilerd.config.secret import redact
from reconcilerd.config.settings import Settings
from reconcilerd.domain.names import Instant


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Line:
    """One finding. ``about``: a system, a file, a feed; ``exit_code``: what a failure ends the command with."""

    state: State
    said: str
    about: str = ""
    fix: str = ""
    exit_code: int = 0

    def told(self, check: str) -> dict[str, str]:
        """As JSON has it; what others answered may hold anything, so it is redacted."""
        return {
            "check": check,
            "about": self.about,
            "state": str(self.state),
            "said": redact(self.said),
            "fix": redact(self.fix),
        }


Lines = Iterator[Line]


def ok(said: str, about: str = "") -> Line:
    return Line(State.OK, said, about)


def warn(said: str, fix: str, about: str = "") -> Line:
    """It works, and a person should know."""
    return Line(State.WARN, said, about, fix)


def fail(said: str, fix: str, about: str = "", code: int = 2) -> Line:
    """It does not work. ``code`` 2: a person must change something; 4: refused credentials; 5: try later."""
    return Line(State.FAIL, said, about, fix, code)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is looked at. ``settings`` of a faulty file are those of its values that are sound, if that is enough."""

    config: Path
    faults: tuple[str, ...]
    settings: Settings | None
    plan: Plan | None
    """None where the configuration has faults."""
    status: Mapping[str, Any] | None
    """What the running daemon says of itself; None where none answers."""
    now: Instant
    hangs: bool = False
    """A daemon listens, and says nothing."""
    root: Path = Path("/")
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def path(self, name: str) -> Path:
        """A path that the configuration names."""
        return self.config.resolve().parent / name
