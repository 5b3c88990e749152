"""One stock row through time."""

from dataclasses import dataclass, replace

from reconcilerd.domain.facts import StockObserved
from reconcilerd.domain.names import Instant


@dataclass(slots=True)
class StockTrack:
    """``before_change``: as_of of the last reading whose on hand still differed, ``changed``: of the first after it."""

    row: StockObserved
    before_change: Instant = Instant(0)
    changed: Instant = Instant(0)
    said: int = 1
    """How many separate readings in a row said that about so much can be sold."""
    said_at: Instant = Instant(0)
    """When the last of these began."""
    turned: Instant = Instant(0)
    """What the clock said when it was set back last: no reading of before tells what had left by then."""

    def observe(self, fact: StockObserved, gap_ms: int) -> None:
        """Fold a newer reading; readings that began within ``gap_ms`` of each other are one."""
        old = self.row
        more = old.as_of if old.sellable else old.more_at
        self.row = replace(
            fact,
            age_of=max(fact.age_of, old.age_of),
            counted=old.counted or fact.on_hand > 0,
            more_at=Instant(0) if fact.sellable else more,
        )
        if not agree(fact.sellable, old.sellable):
            self.said, self.said_at = 1, fact.age_of
        elif fact.age_of >= self.said_at + gap_ms:
            self.said, self.said_at = self.said + 1, fact.age_of

    def turn_back(self, now: Instant) -> None:
        """The clock went back: see ``Book.turn_back``."""
        more_at = min(self.row.more_at, now)
        self.row = replace(self.row, as_of=min(self.row.as_of, now), age_of=Instant(0), more_at=more_at)
        self.changed, self.said_at = min(self.changed, now), min(self.said_at, now)
        self.before_change, self.turned = Instant(0), now


def first_seen(fact: StockObserved) -> StockTrack:
    """The track of a row that was never read before."""
    return StockTrack(replace(fact, counted=fact.counted or fact.on_hand > 0), said_at=fact.age_of)


def agree(one: int, other: int) -> bool:
    """Whether two readings confirm each other: goods come and go meanwhile, but nothing is nothing."""
    return one == other or 2 * min(one, other) >= max(one, other)
