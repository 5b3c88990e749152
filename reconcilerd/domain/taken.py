"""What folding one fact came to."""

from dataclasses import dataclass

from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import Sku


@dataclass(frozen=True, slots=True)
class Taken:
    """What one fact did: whether it is news for the ledger, what follows from it, whom it concerns."""

    news: bool
    derived: tuple[Fact, ...] = ()
    dirty: frozenset[Sku] = frozenset()
    """SKUs whose plan may change."""
    touched: frozenset[Sku] = frozenset()
    """SKUs of which something was read again, the same or not."""
    everybody: bool = False
    instead: Fact | None = None
    """What the ledger is to keep in its place: what it comes to beside what was known before."""
