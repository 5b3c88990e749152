"""Which fault strikes which request: by seed, by hand or by script; on record, so that a run can be struck again.

One plan serves uvicorn and calls within the process. It draws for every request by itself, so that any set of
faults may strike together, and numbers the requests of each system: that number and the fault are the record.
"""

import difflib
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, Final

from reconcilerd.domain.names import Instant, after
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.menu import HOSTILE, LASTS_MS, LEVELS, MENU, MILD, POSSIBLE, Ask, Fault, Moment

__all__ = [
    "HOSTILE",
    "LEVELS",
    "MENU",
    "MILD",
    "POSSIBLE",
    "Ask",
    "ConnectionDropped",
    "Fault",
    "FaultPlan",
    "Injected",
    "Moment",
    "Script",
    "Struck",
    "faults_of",
    "is_record",
]

Struck = frozenset[Fault]
NOTHING: Final[Struck] = frozenset()
MOST_AT_ONCE: Final = 6
NAMED_RATE: Final = 0.01
"""The chance per request of a fault that is named without one."""
MOST_RATE: Final = 0.9
"""All rates together; above it no request would ever be spared."""


MOST_TOLD: Final = 5
"""Lines of a record that are none and are told one by one."""


class ConnectionDropped(Exception):
    """The server hangs up without an answer."""


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault that happened. ``request``: the how-manieth request of that system it struck, from 1; 0: none."""

    fault: Fault
    at: Instant
    system: str
    subject: str
    request: int = 0

    @property
    def until(self) -> Instant:
        """When it was over."""
        return after(self.at, LASTS_MS.get(self.fault, 0))

    def line(self, seed: int) -> str:
        """As one line of a script."""
        told = {
            "seed": seed,
            "system": self.system,
            "request": self.request,
            "fault": self.fault,
            "at": self.at,
            "subject": self.subject,
        }
        return json.dumps(told)


@dataclass(frozen=True, slots=True)
class Script:
    """What strikes: chances per request by fault, and exactly these requests of a seed (system, number)."""

    rates: Mapping[Fault, float] = field(default_factory=dict)
    exactly: Mapping[int, Mapping[tuple[str, int], Struck]] = field(default_factory=dict)

    def of_seed(self, seed: int) -> Mapping[tuple[str, int], Struck]:
        return self.exactly.get(seed, {})


@dataclass(slots=True)
class FaultPlan:
    """Chances per request, faults armed by hand for the next fitting request of a system, and a script."""

    seed: int = 1
    rates: Mapping[Fault, float] = field(default_factory=dict)
    done: list[Injected] = field(default_factory=list)
    script: Mapping[tuple[str, int], Struck] = field(default_factory=dict)
    coming: Mapping[Fault, float] = field(default_factory=dict)
    """The rates that begin later: what is answered until then may be given again, as it is when a record is played."""
    _armed: list[tuple[str, Fault]] = field(default_factory=list)
    _asked: dict[str, int] = field(default_factory=dict)
    _chance: Random = field(init=False)
    _ladder: tuple[Mapping[Fault, float], list[Fault], list[float]] | None = None

    def __post_init__(self) -> None:
        self._chance = Random(self.seed)

    def arm(self, system: str, *faults: Fault) -> None:
        """Have each of these strike the next request of a system that it can strike: all of them the same, if one
        can be struck by all.
        """
        self._armed.extend((system, fault) for fault in faults)

    @property
    def repeats(self) -> bool:
        """Whether earlier answers must be kept, since they may be given again."""
        wanted = {Fault.STALE_READ, Fault.STALE_CACHE}
        if not wanted.isdisjoint({*self.rates, *self.coming}) or any(
            fault in wanted for _, fault in self._armed
        ):
            return True
        return bool(self.script)

    def pick(self, system: str, ask: Ask, at: Instant, subject: str) -> Struck:
        """What strikes this request; recorded."""
        number = self._asked[system] = self._asked.get(system, 0) + 1
        if not (self._armed or self.rates or self.script):
            return NOTHING
        found = set(self._by_hand(system, POSSIBLE[ask]))
        found |= self.script.get((system, number), NOTHING) & POSSIBLE[ask]
        if self.rates:
            found |= self._by_chance() & POSSIBLE[ask]
        for fault in sorted(found):
            self.done.append(Injected(fault, at, system, subject, number))
        return frozenset(found)

    def details(self, system: str) -> Random:
        """The chance that decides how the last request of a system is struck; the same whenever it is again."""
        return Random(f"{self.seed}/{system}/{self._asked.get(system, 0)}")

    def note(self, fault: Fault, at: Instant, system: str, subject: str) -> None:
        """Record a fault that struck no single request."""
        self.done.append(Injected(fault, at, system, subject))

    def record(self) -> list[str]:
        """What struck which request, as the lines of a script that strikes them again."""
        return [each.line(self.seed) for each in self.done if each.request]

    def _by_hand(self, system: str, possible: Struck) -> list[Fault]:
        mine = [(armed, fault) for armed, fault in self._armed if armed == system and fault in possible]
        taken = list(dict.fromkeys(mine))
        for each in taken:
            self._armed.remove(each)
        return [fault for _, fault in taken]

    def _by_chance(self) -> Struck:
        """Draw until a draw strikes nothing: one draw for most requests, however long the menu is.

        A request is struck so often that each fault strikes by its own rate.
        """
        if self._ladder is None or self._ladder[0] is not self.rates:
            faults = list(self.rates)
            self._ladder = (self.rates, faults, list(accumulate(self.rates[each] for each in faults)))
        _, faults, steps = self._ladder
        total = steps[-1]
        found: set[Fault] = set()
        for _ in range(MOST_AT_ONCE):
            roll = self._chance.random() * (1 + total)
            if roll >= total:
                break
            found.add(faults[bisect_right(steps, roll)])
        return frozenset(found)


def faults_of(spec: str) -> Script:
    """What a person asked for: parts joined by ``+``: a level, ``NAME`` or ``NAME:RATE``; last, ``@FILE``: a record.

    Raises ConfigFault that names every part it does not know.
    """
    rates: dict[Fault, float] = {}
    exactly: dict[int, dict[tuple[str, int], set[Fault]]] = {}
    wrong: list[str] = []
    named, record = _parts(spec)
    if record is not None:
        wrong += _take_record(record, exactly)
    for part in named:
        if part in LEVELS:
            rates.update(LEVELS[part])
        else:
            wrong += _take_named(part, rates)
    if not wrong and sum(rates.values()) > MOST_RATE:
        wrong.append(f"faults: the rates add up to {sum(rates.values()):.2f}; keep them below {MOST_RATE}")
    if wrong:
        raise ConfigFault(tuple(wrong))
    frozen = {seed: {key: frozenset(some) for key, some in per.items()} for seed, per in exactly.items()}
    # A plain dict of plain values: it travels to other processes.
    return Script(rates, frozen)


def _parts(spec: str) -> tuple[list[str], Path | None]:
    """What is named, and the record: a file's name may hold a ``+`` itself."""
    parts = spec.split("+")
    at = next((number for number, part in enumerate(parts) if part.lstrip().startswith("@")), len(parts))
    name = "+".join(parts[at:]).strip()
    return [part.strip() for part in parts[:at]], Path(name[1:]) if name else None


def is_record(path: Path) -> bool:
    """Whether every line of a file is one of a record; where there is none, all are."""
    return not _take_record(path, {})


def _take_named(part: str, rates: dict[Fault, float]) -> list[str]:
    name, colon, text = part.partition(":")
    if name not in {str(each) for each in Fault}:
        known = [*LEVELS, *(str(each) for each in Fault)]
        close = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]!r}?" if close else "; --faults list prints them all"
        return [f"faults: {part!r} is no fault and no level{hint}"]
    try:
        rate = float(text) if colon else NAMED_RATE
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= MOST_RATE:
        return [f"faults: {part!r}: the chance per request is a number from 0 to {MOST_RATE}"]
    rates[Fault(name)] = rate
    return []


def _take_record(path: Path, exactly: dict[int, dict[tuple[str, int], set[Fault]]]) -> list[str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return [f"{path}: cannot be read ({why}); name a record that simulate --record wrote"]
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            seed, key, fault = _line(json.loads(line))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            wrong.append(f"{path}:{number}: not a line of a record ({error})")
            continue
        exactly.setdefault(seed, {}).setdefault(key, set()).add(fault)
    more = len(wrong) - MOST_TOLD
    return [*wrong[:MOST_TOLD], *([f"... and {more} more"] if more > 0 else [])]


def _line(told: Any) -> tuple[int, tuple[str, int], Fault]:
    seed, request = told["seed"], told["request"]
    if type(seed) is not int or type(request) is not int or request < 1:
        raise ValueError("seed and request must be whole numbers, the request from 1")
    return seed, (str(told["system"]), request), Fault(told["fault"])


def menu_rows(faults: Iterable[Fault] = MENU) -> list[tuple[str, str, tuple[str, ...]]]:
    """The menu for a person: name, what it is, what it strikes."""
    return [(str(each), MENU[each].sentence, tuple(sorted(MENU[each].on))) for each in faults]
