"""What a pretend business is measured by, in units and unit-milliseconds; knows nothing of how it came about."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconcilerd.domain.names import Instant


@dataclass(slots=True)
class Score:
    """Measured against the truth. ``hidden`` and ``exposed`` in unit-milliseconds."""

    orders: int = 0
    sold: int = 0
    oversold: int = 0
    refused: int = 0
    refused_split: int = 0
    """Those of them that a split pool kept for other stores."""
    hidden: int = 0
    exposed: int = 0
    writes: int = 0
    self_made: int = 0
    """Eaches by which raises of our side showed more than there was, when they took effect."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What of one SKU nobody can buy though it could ship, and what is shown beyond that, since a moment."""

    since: Instant
    hidden: int = 0
    exposed: int = 0


@dataclass(slots=True)
class Tally:
    """Adds standings up over time. ``exposed_now``: units shown beyond what could ship, over all SKUs."""

    score: Score = field(default_factory=Score)
    exposed_now: int = 0
    _standing: dict[str, Standing] = field(default_factory=dict)

    def note(self, sku: str, now: Instant, *, hidden: int, exposed: int) -> None:
        """How one SKU stands from ``now`` on; what it was until now is counted."""
        old = self._standing.get(sku, Standing(now))
        self.score.hidden += old.hidden * (now - old.since)
        self.score.exposed += old.exposed * (now - old.since)
        self.exposed_now += exposed - old.exposed
        self._standing[sku] = Standing(now, hidden, exposed)

    def hidden_now(self) -> dict[str, int]:
        """Units that nobody can buy though they could ship, by SKU; only of those that have any."""
        return {sku: each.hidden for sku, each in self._standing.items() if each.hidden}

    def finish(self, now: Instant) -> None:
        """Count everything up to ``now``."""
        for sku, old in list(self._standing.items()):
            self.note(sku, now, hidden=old.hidden, exposed=old.exposed)


def shown_of(amounts: Sequence[int], *, split: bool) -> int:
    """What listings offer of one shelf together: their sum in a split pool, the largest in a shared one."""
    return sum(amounts) if split else max(amounts, default=0)
