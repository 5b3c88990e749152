"""Rails that tripped and stay so, and what rows said before a reading that nobody can vouch for yet.

Folded from facts, so that a restart releases nothing. A latch ends by a person's word, by its time, or by a later
reading that shows the suspicion to have been wrong.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from reconcilerd.domain.facts import RailLatched, ReadingKept
from reconcilerd.domain.names import FeedName, Instant

ALL_CHANGED = "all-changed"
SHRINKING = "shrinking"
SENTINEL = "sentinel"
ZEROS = "zeros"
TUG = "tug-of-war"
QUARANTINE = "quarantine"
CANARY = "canary"
CIRCUIT = "circuit"
INVARIANT = "invariant"
CONFIG_CHANGE = "config-change"
SUSPICIONS = (ALL_CHANGED, SHRINKING, SENTINEL)
"""Of a whole reading; the subject is the feed."""

Before = tuple[int, int]
"""What could be sold of a row (or what a slot showed), and what Extensiv held of it for orders."""


def latch_name(rail: str, subject: str) -> str:
    """The name under which a person finds it: ``zeros:shop-uk``."""
    return f"{rail}:{subject}"


def quarantine_name(path: str, value: int) -> str:
    """The name of a value that is parked for one slot."""
    return latch_name(QUARANTINE, f"{path}={value}")


@dataclass(slots=True)
class Latches:
    """What is latched, and the readings before a suspicion."""

    known: dict[str, RailLatched] = field(default_factory=dict)
    """The last word on every latch that ever tripped."""
    before: dict[FeedName, dict[str, Before]] = field(default_factory=dict)
    """By feed and row: what it said before it changed in a reading that no whole, sound one has followed."""
    _kept_at: dict[FeedName, dict[str, Instant]] = field(default_factory=dict)

    def take(self, fact: RailLatched) -> None:
        self.known[fact.name] = fact
        feed = FeedName(fact.name.partition(":")[2])
        if not fact.on and not self.doubted(feed):
            self.before.pop(feed, None)

    def keep(self, fact: ReadingKept) -> None:
        self.before.setdefault(fact.feed, {}).setdefault(fact.subject, (fact.value, fact.allocated))
        self._kept_at.setdefault(fact.feed, {})[fact.subject] = fact.at

    def loaded(self) -> None:
        """All facts of the ledger are folded: what was kept for a suspicion that is over, or older, goes."""
        for feed in list(self.before):
            since = [latch.at for latch in self._suspicions(feed) if latch.on]
            kept = self._kept_at.get(feed, {})
            self.before[feed] = {
                row: value
                for row, value in self.before[feed].items()
                if since and kept.get(row, Instant(0)) >= min(since)
            }
        self._kept_at.clear()

    def note(self, feed: FeedName, row: str, value: Before) -> bool:
        """A row changed: remember what it said before, unless something older is remembered. Whether it was new."""
        rows = self.before.setdefault(feed, {})
        if row in rows:
            return False
        rows[row] = value
        return True

    def sound(self, feed: FeedName) -> None:
        """A whole reading of a feed ended without suspicion: what it said is what is known."""
        if not self.doubted(feed):
            self.before.pop(feed, None)

    def doubted(self, feed: FeedName) -> bool:
        """Whether the readings of a feed are under suspicion."""
        return bool(self.known) and any(latch.on for latch in self._suspicions(feed))

    def said_before(self, feed: FeedName, row: str) -> Before | None:
        return self.before.get(feed, {}).get(row)

    def on(self, now: Instant) -> frozenset[str]:
        """The names of all that holds now."""
        return frozenset(latch.name for latch in self.standing(now))

    def standing(self, now: Instant) -> list[RailLatched]:
        """Everything that holds now, by name."""
        held = [each for each in self.known.values() if each.holds(now)]
        return sorted(held, key=lambda each: each.name)

    def released_since(self, feed: FeedName, at: Instant) -> bool:
        """Whether a suspicion of a feed was lifted after a moment: what it was then is no measure any more."""
        return any(not latch.on and latch.at > at for latch in self._suspicions(feed))

    def _suspicions(self, feed: FeedName) -> Collection[RailLatched]:
        names = (latch_name(rail, feed) for rail in SUSPICIONS)
        return [self.known[name] for name in names if name in self.known]
