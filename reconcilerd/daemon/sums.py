"""What stands, summed up as it changes: whoever shows a hundred thousand drifts has not to count them first."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from itertools import islice
from typing import Literal

from typing_extensions import override

from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.names import ChannelName, Sku, SlotKey
from reconcilerd.domain.verdicts import NEEDS_A_PERSON, SOON, Verdict

State = Literal["settling", "sending", "held"]
Direction = Literal["over", "under"]
STATES: tuple[State, ...] = ("settling", "sending", "held")
DIRECTIONS: tuple[Direction, ...] = ("over", "under")

Judged = tuple[Drift, Verdict]
"""One listing that differs, and what became of its correction."""
Key = tuple[ChannelName, Cause, State, Direction]
"""``over``: it shows more than it should."""
_Key = tuple[Sku, SlotKey]


def state_of(verdict: Verdict) -> State:
    """Whether a write is on its way, a reading will tell, or it is held."""
    return "sending" if verdict is Verdict.SEND else "settling" if verdict in SOON else "held"


def counted_as(drift: Drift, verdict: Verdict) -> Key:
    """What a drift counts as."""
    return drift.slot.channel, drift.cause, state_of(verdict), "over" if drift.difference < 0 else "under"


class DriftIndex:
    """All drifts that stand, counted and ranked.

    Each is known by its pool group and slot: a listing that is mapped anew is in two groups until both are planned.
    """

    def __init__(self) -> None:
        self.listings: Counter[Key] = Counter()
        self.units: Counter[Key] = Counter()
        """By how much they differ, in the channel's own units."""
        self.over_allocated: Counter[ChannelName] = Counter()
        """Units that listings show above their own share."""
        self._ranked: dict[tuple[Cause, ChannelName], dict[int, dict[_Key, Judged]]] = {}
        """By cause and channel, then by difference: quantities are few where listings are many."""
        self.waiting: dict[_Key, Judged] = {}
        """Those whose correction waits for an approval, in the order they came."""

    def change(self, group: Sku, before: Sequence[Judged], now: Sequence[Judged]) -> None:
        """The drifts of a pool group were these and are those."""
        if before == now:
            return
        for drift, verdict in before:
            self._count(drift, verdict, -1)
            shelves = self._ranked[drift.cause, drift.slot.channel]
            del shelves[drift.difference][group, drift.slot]
            if not shelves[drift.difference]:
                del shelves[drift.difference]
            self.waiting.pop((group, drift.slot), None)
        for drift, verdict in now:
            self._count(drift, verdict, 1)
            shelves = self._ranked.setdefault((drift.cause, drift.slot.channel), {})
            shelves.setdefault(drift.difference, {})[group, drift.slot] = drift, verdict
            if verdict in NEEDS_A_PERSON:
                self.waiting[group, drift.slot] = drift, verdict

    def _count(self, drift: Drift, verdict: Verdict, by: int) -> None:
        key = counted_as(drift, verdict)
        self.listings[key] += by
        self.units[key] += by * abs(drift.difference)
        self.over_allocated[drift.slot.channel] += by * max(0, drift.observed - drift.ideal)

    def worst(
        self, cause: Cause, channels: Iterable[ChannelName], at_most: int, skip: int = 0
    ) -> list[Judged]:
        """Drifts of a cause: the most units too many first, then the most too few; of equals, who came first."""
        shelves = [self._ranked.get((cause, channel), {}) for channel in channels]
        found: list[Judged] = []
        for difference in sorted({each for shelf in shelves for each in shelf}, key=_rank):
            for shelf in shelves:
                rows = shelf.get(difference, {})
                if skip >= len(rows):
                    skip -= len(rows)
                    continue
                found.extend(islice(rows.values(), skip, skip + at_most - len(found)))
                skip = 0
                if len(found) == at_most:
                    return found
        return found


def _rank(difference: int) -> tuple[bool, int]:
    return difference >= 0, -abs(difference)


class PoolUnits(MutableMapping[Sku, int]):
    """Units by pool group, and their sums by the pool that the group was in when they were put down."""

    def __init__(self, pool_of: Callable[[Sku], str] = lambda _group: "default") -> None:
        self._pool_of = pool_of
        self._of: dict[Sku, tuple[str, int]] = {}
        self.units: Counter[str] = Counter()
        self.groups: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self.units.total()

    @override
    def __setitem__(self, group: Sku, units: int) -> None:
        self.pop(group, None)
        pool = self._pool_of(group)
        self._of[group] = pool, units
        self.units[pool] += units
        self.groups[pool] += 1

    @override
    def __delitem__(self, group: Sku) -> None:
        pool, units = self._of.pop(group)
        self.units[pool] -= units
        self.groups[pool] -= 1

    @override
    def __getitem__(self, group: Sku) -> int:
        return self._of[group][1]

    @override
    def __iter__(self) -> Iterator[Sku]:
        return iter(self._of)

    @override
    def __len__(self) -> int:
        return len(self._of)

    def repool(self) -> None:
        """Put everything down anew: another policy has other pools."""
        for group, units in list(self.items()):
            self[group] = units
