"""What is tripped and holds: the list a person reads, and the reset by name. Alerts are told from the same list."""

from dataclasses import dataclass
from typing import Any

from reconcilerd.daemon.circuits import WHY, Circuits
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import BreachLifted, Fact, InvariantBroken, PolicyAdopted, RailLatched
from reconcilerd.domain.latches import CIRCUIT, CONFIG_CHANGE, INVARIANT, QUARANTINE, TUG, latch_name
from reconcilerd.domain.names import Instant, format_second
from reconcilerd.domain.registry import RESETS


@dataclass(frozen=True, slots=True)
class Tripped:
    """One rail that holds. ``until``: when it ends by itself, if it does."""

    name: str
    since: Instant
    why: str
    evidence: str
    until: Instant | None = None

    @property
    def rail(self) -> str:
        return self.name.partition(":")[0]

    @property
    def subject(self) -> str:
        return self.name.partition(":")[2]

    @property
    def group(self) -> str:
        """Under what it is told: rails of single listings together for each channel."""
        return (
            f"{self.rail}:{self.subject.partition('/')[0]}" if self.rail in {TUG, QUARANTINE} else self.name
        )


def tripped(book: Book, circuits: Circuits, now: Instant) -> list[Tripped]:
    """Everything that holds now, by name."""
    found = [
        Tripped(each.name, each.at, each.reason, each.evidence, each.until)
        for each in book.latches.standing(now)
        if not each.name.startswith(latch_name(CIRCUIT, ""))  # it is told as it is now, with its next probe
    ]
    found += [
        Tripped(
            latch_name(CIRCUIT, name),
            each.since,
            WHY,
            each.evidence,
            each.open_until,
        )
        for name, each in circuits.known.items()
        if each.open_until is not None
    ]
    found += [
        Tripped(
            each.name,
            each.at,
            _what_broke(each),
            f"kept in the ledger as breach {each.id}",
        )
        for each in book.words.breaches.values()
    ]
    return sorted(found, key=lambda each: each.name)


def _what_broke(breach: InvariantBroken) -> str:
    return "; ".join(f"{name}: {what}" for name, what in breach.broken)


def told(each: Tripped) -> dict[str, Any]:
    """As the answer has it."""
    return {
        "name": each.name,
        "since": format_second(each.since),
        "until": None if each.until is None else format_second(each.until),
        "why": each.why,
        "evidence": each.evidence,
        "reset_means": RESETS[each.rail],
    }


def matching(name: str, held: list[Tripped]) -> list[Tripped]:
    """Those of a name, or of the group of that name."""
    return [each for each in held if name in {each.name, each.group}]


def release(each: Tripped, book: Book, circuits: Circuits, by: str, reason: str, now: Instant) -> list[Fact]:
    """Reset one; the facts of it. A circuit is closed at once."""
    if each.rail == INVARIANT:
        return [BreachLifted(each.subject, by, reason, now)]
    facts: list[Fact] = []
    if each.rail == CIRCUIT:
        circuits.reset(next(name for name in circuits.known if name == each.subject))
        facts += circuits.news()
    facts.append(RailLatched(each.name, False, by, reason, now, each.evidence))
    if each.rail == CONFIG_CHANGE:
        facts.append(PolicyAdopted(book.policy.revision, by, now))
    return facts
