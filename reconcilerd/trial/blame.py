"""Whose doing it is that more is shown than there is: raises, judged by all that could be read when they were decided.

What was sold and could not be read yet, or sells while a write is on its way, is nobody's doing who wrote.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconcilerd.connectors.port import REACHES_BACK
from reconcilerd.domain.facts import SweepRead
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.domain.plan import GroupPlan
from reconcilerd.domain.position import Position
from reconcilerd.simulator.faults import FaultPlan, Injected
from reconcilerd.simulator.menu import Fault
from reconcilerd.simulator.stores import Item
from reconcilerd.trial.oracle import Oracle

TROUBLE_MS = 420_000
"""A system's own trouble explains its delays for as long as a reader may rest after failures, and a turn."""
LEAVES_OUT = frozenset({Fault.CAPPED_LIMIT, Fault.MISSING_PAGE, Fault.HALF_A_PAGE})
FROM_BEFORE = frozenset({Fault.STALE_READ, Fault.STALE_CACHE})


@dataclass
class Readings:
    """What was read whole, and when. ``began``: begin of the last complete reading of each feed."""

    faults: FaultPlan
    began: dict[str, Instant] = field(default_factory=dict)
    _lacking: set[str] = field(default_factory=set)
    """Feeds of which a reading left rows out without a sign: what is read on from there lacks them until all is."""
    _behind: dict[str, int] = field(default_factory=dict)
    """How many complete readings of each feed in a row were, at least in part, of what was answered before."""
    _ended: dict[str, Instant] = field(default_factory=dict)

    def note(self, fact: SweepRead) -> None:
        """A reading has ended."""
        if not fact.complete:
            return
        struck = self._struck(fact)
        self._ended[fact.feed] = fact.ended
        behind = 0 if struck.isdisjoint(FROM_BEFORE) else self._behind.get(fact.feed, 0) + 1
        self._behind[fact.feed] = behind
        if not struck.isdisjoint(LEAVES_OUT) or behind >= REACHES_BACK:
            self._lacking.add(fact.feed)
        elif fact.full and not behind:
            self._lacking.discard(fact.feed)
        if not struck and fact.feed not in self._lacking:
            self.began[fact.feed] = max(fact.began, self.began.get(fact.feed, Instant(0)))

    def contradicted(self, feed: str) -> bool:
        """Whether a list of orders was answered from before, and no complete reading has ended since."""
        ended = self._ended.get(feed, Instant(0))
        return any(each.fault in FROM_BEFORE for each in self._of_orders(feed, ended))

    def _struck(self, read: SweepRead) -> set[Fault]:
        """The faults that a reading of orders met: what a store leaves out without a sign, nobody could read."""
        met = self._of_orders(read.feed, Instant(read.began - TROUBLE_MS))
        return {each.fault for each in met if read.began <= each.at <= read.ended}

    def _of_orders(self, feed: str, since: Instant) -> Iterator[Injected]:
        """What struck the lists of a feed of orders since a moment, the last first; of any other feed nothing."""
        system, _, what = feed.rpartition(".")
        for each in reversed(self.faults.done):
            if what != "orders" or each.at < since:
                return
            if each.system == system and "rders" in each.subject:
                yield each


@dataclass
class Blame:
    """Told of what is decided and of what is written. ``units``: eaches that raises showed too much."""

    oracle: Oracle
    units: int = 0
    _excess: dict[tuple[SlotKey, int], int] = field(default_factory=dict)
    """Eaches by which a raise that was decided is too high: slot and target."""

    def planned(self, plan: GroupPlan) -> None:
        """The daemon decided; nothing of it is written yet."""
        ideal = {each.slot: each.ideal for each in plan.allocations}
        for entry in (each for each in plan.sends if each.lowers):
            self._excess.pop((entry.slot, entry.target), None)
        self.decided(plan.position, ideal, [(e.slot, e.target) for e in plan.sends if not e.lowers])

    def decided(
        self, position: Position, ideal: Mapping[SlotKey, int], raises: Iterable[tuple[SlotKey, int]]
    ) -> None:
        """Somebody decided on these raises (slot and target), one after another."""
        raises = tuple(raises)
        for slot, target in raises:
            self._excess.pop((slot, target), None)
        for slot, target, eaches in self.oracle.raised_too_much(position, ideal, raises):
            self._excess[slot, target] = eaches

    def wrote(self, item: Item, quantity: int) -> None:
        """A write of ours is taken at a store's door."""
        self.units += self._excess.pop((item.slot, quantity), 0)
