"""Rails that tripped and stay so, and what rows said before a reading that nobody can vouch for yet.

Folded from facts, so that a restart releases nothing. A latch ends by a person's word, by its time, or by a later
reading that shows the suspicion to have been wrong.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from reconcilerd.domain.clocks import said_by
from reconcilerd.domain.facts import RailLatched, ReadingKept, SweepRead
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
    """When it began to say something else."""
    _kept_for: dict[FeedName, dict[str, Instant]] = field(default_factory=dict)
    """When the suspicion began that it is kept for, as the ledger says."""
    _moved: list[RailLatched] = field(default_factory=list)

    def take(self, fact: RailLatched) -> None:
        self.known[fact.name] = fact
        feed = FeedName(fact.name.partition(":")[2])
        if not fact.on:
            self.sound(feed)

    def keep(self, fact: ReadingKept) -> None:
        self.before.setdefault(fact.feed, {}).setdefault(fact.subject, (fact.value, fact.allocated))
        self._kept_at.setdefault(fact.feed, {})[fact.subject] = fact.at
        self._kept_for.setdefault(fact.feed, {})[fact.subject] = max(fact.under, fact.at)

    def loaded(self) -> None:
        """All facts of the ledger are folded: what was kept for a suspicion that is over, or older, goes."""
        for feed in list(self.before):
            since = [latch.at for latch in self._suspicions(feed) if latch.on]
            kept = self._kept_for.get(feed, {})
            self.before[feed] = {
                row: value
                for row, value in self.before[feed].items()
                if since and kept.get(row, Instant(0)) >= min(since)
            }
        self._kept_for.clear()

    def since(self, feed: FeedName) -> Instant | None:
        """When the newest suspicion of a feed began; None while nothing of it is doubted."""
        return max((latch.at for latch in self._suspicions(feed) if latch.on), default=None)

    def note(self, feed: FeedName, row: str, value: Before, at: Instant) -> bool:
        """A row changed: remember what it said before, unless something older is remembered. Whether it was new."""
        rows = self.before.setdefault(feed, {})
        if row in rows:
            return False
        rows[row] = value
        self._kept_at.setdefault(feed, {})[row] = at
        return True

    def changed_at(self, feed: FeedName, row: str) -> Instant | None:
        """When a row began to say something else than what is remembered of it."""
        return self._kept_at.get(feed, {}).get(row) if row in self.before.get(feed, {}) else None

    def sound(self, feed: FeedName) -> None:
        """A whole reading of a feed ended without suspicion: what it said is what is known."""
        if not self.doubted(feed):
            self.before.pop(feed, None)

    def doubted(self, feed: FeedName) -> bool:
        """Whether the readings of a feed are under suspicion."""
        return bool(self.known) and self.since(feed) is not None

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

    def trusted(self, last: SweepRead, turned_back: Instant) -> SweepRead:
        """A whole reading, without its sizes where a suspicion of its feed was lifted since.

        Where nobody can tell any more when it began, that was before the clock was set back.
        """
        lifted = self.released_since(last.feed, last.began or turned_back)
        return replace(last, sizes=()) if lifted else last

    def turn_back(self, now: Instant) -> None:
        """The clock went back: see ``Book.turn_back``. No rail holds longer than it was to hold.

        Since when one without an end holds stays as the ledger has it, which knows by that what is kept for it. Since
        when a row says something else must not be yet to come: nothing would have been sold since then.
        """
        for name, latch in self.known.items():
            moved = said_by(latch, now)
            if moved != latch and not (latch.on and latch.until is None):
                self.known[name] = moved
                self._moved.append(moved)
        self._kept_at = {
            feed: {row: min(at, now) for row, at in rows.items()} for feed, rows in self._kept_at.items()
        }

    def moved(self) -> list[RailLatched]:
        """What holds otherwise since the clock went back and this was asked last, for the ledger."""
        moved, self._moved = self._moved, []
        return moved

    def _suspicions(self, feed: FeedName) -> Collection[RailLatched]:
        names = (latch_name(rail, feed) for rail in SUSPICIONS)
        return [self.known[name] for name in names if name in self.known]
