"""Whatever comes of writes that wait, no sale that a reading has shown is counted nowhere until its order is known.

A store that compares and sets, its visitors, readings of it at any time, and writes of ours whose answers come late:
what is claimed and what is shown to be sold are together never less than what sold and what is still shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    OrderStatus,
    Outcome,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.domain.quantities import Rate
from tests.domain.books import LAG_MS, UK, order, position_at, shop_book, swept

PLACES = ("p", "q")
T = 1_000_000
Step = tuple[str, int, int]
"""What happens, at which place, how much."""


@dataclass
class Store:
    """One listing of a channel at some places. What sold is listed as orders once they are ``LAG_MS`` old."""

    book: Book
    shown: dict[str, int]
    below: bool = False
    """Whether it sells past zero."""
    now: int = T
    sold: list[tuple[int, int]] = field(default_factory=list)
    waiting: dict[str, CorrectionPlanned] = field(default_factory=dict)
    writes: int = 0

    def read(self, place: str) -> None:
        now, number = Instant(self.now), self.shown[place]
        self.book.take(
            SlotObserved(
                SlotKey(UK, "item", place),
                "a",
                "A",
                max(0, number),
                SlotState.BUYABLE,
                self.below,
                now,
                now,
                below_zero=max(0, -number),
            )
        )

    def step(self, what: str, place: str, units: int) -> None:
        self.now += 1_000
        match what:
            case "sell":
                units = units if self.below else min(units, self.shown[place])
                if units:
                    self.shown[place] -= units
                    self.sold.append((self.now, units))
            case "read":
                self.read(place)
            case "orders":
                self.now += units * 20_000
                for number, (placed, taken) in enumerate(self.sold):
                    if placed <= self.now - LAG_MS:
                        told = order(
                            UK, OrderStatus.OPEN, self.now, placed=placed, units=taken, number=str(number)
                        )
                        self.book.take(replace(told, modified=Instant(placed)))
                swept(self.book, "uk.orders", self.now)
            case "plan":
                self.plan(place, units)
            case "answer" if place in self.waiting:
                self.answer(self.waiting.pop(place), refused=units % 3 == 0)
            case _:
                pass

    def plan(self, place: str, target: int) -> None:
        """A newer write takes the place of one that waits: that was never sent."""
        track = self.book.slots[SlotKey(UK, "item", place)]
        if track.value is None:
            return
        self.writes += 1
        old = self.waiting.get(place)
        self.waiting[place] = CorrectionPlanned(
            f"w{self.writes}",
            track.slot,
            "a",
            track.value,
            track.as_of,
            target,
            "lag",
            "share",
            Instant(self.now),
            owed=track.owed,
            under=tuple((w.id, w.target, w.before, w.based_on, w.sent) for w in track.open),
            judged=track.judged,
        )
        self.book.take(self.waiting[place])
        if old is not None:
            self.told(old, Outcome.NOT_SENT)

    def answer(self, write: CorrectionPlanned, *, refused: bool) -> None:
        track, place = self.book.slots[write.slot], write.slot.place
        if track.as_of > track.based_on(write) and track.value != write.read:
            self.told(write, Outcome.NOT_SENT)
        elif refused:
            self.told(write, Outcome.REFUSED)
        elif self.shown[place] != write.compared:
            self.told(write, Outcome.STALE)
        else:
            self.shown[place] = write.target
            self.told(write, Outcome.APPLIED)

    def told(self, write: CorrectionPlanned, outcome: Outcome) -> None:
        sent = Instant(self.now)
        self.now += 5
        self.book.take(CorrectionSent(write.id, write.slot, outcome, "", sent, Instant(self.now)))

    def lost(self) -> int:
        """Units that are counted nowhere."""
        for place in self.shown:
            self.now += 10
            self.read(place)
        where = position_at(self.book, self.now)
        counted = sum(each.units for each in where.claims) + sum(each.shown or 0 for each in where.offers)
        return sum(units for _, units in self.sold) + sum(max(0, n) for n in self.shown.values()) - counted


def store(*numbers: int, rate: int = 100, below: bool = False) -> Store:
    """Everything of it was read, and its orders are known up to then."""
    book = shop_book(T)
    channel = replace(
        book.policy.channels[UK],
        compare_and_set=True,
        places=MappingProxyType({place: frozenset() for place in PLACES[: len(numbers)]}),
    )
    book.policy = replace(
        book.policy,
        channels=MappingProxyType({UK: channel}),
        default_sku=replace(book.policy.default_sku, rate=Rate(rate)),
    )
    made = Store(book, dict(zip(PLACES, numbers, strict=False)), below)
    for place in made.shown:
        made.read(place)
    for feed in ("extensiv.stock", "extensiv.orders", "uk.slots"):
        swept(book, feed, T)
    swept(book, "uk.orders", T + LAG_MS)
    return made


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["sell", "sell", "read", "read", "read", "plan", "plan", "answer", "answer", "orders", "check"]
        ),
        st.integers(0, 1),
        st.integers(0, 12),
    ),
    max_size=20,
)
BURSTS: Sequence[Step] = [("sell", 0, 3), ("read", 0, 0), ("sell", 0, 6), ("read", 0, 0)]
UNDER_A_WRITE: Sequence[Step] = [("plan", 0, 9), ("sell", 0, 3), ("read", 0, 0)]


@pytest.mark.parametrize("places", [1, 2])
@given(
    numbers=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    happens=steps,
    rate=st.sampled_from([100, 20_000, 600_000]),
    below=st.booleans(),
)
@example(numbers=(12, 8), happens=BURSTS, rate=100, below=False)
@example(numbers=(12, 8), happens=[*UNDER_A_WRITE, ("answer", 0, 1)], rate=60_000, below=False)
@example(
    numbers=(12, 8), happens=[*UNDER_A_WRITE, ("plan", 0, 14), ("answer", 0, 1)], rate=60_000, below=False
)
@example(
    numbers=(12, 8), happens=[("plan", 0, 9), ("sell", 0, 3), ("answer", 0, 1)], rate=60_000, below=False
)
def test_what_sold_is_never_counted_nowhere(
    places: int, numbers: tuple[int, int], happens: Sequence[Step], rate: int, below: bool
) -> None:
    shop = store(*numbers[:places], rate=rate, below=below)
    for what, place, units in (*happens, ("check", 0, 0)):
        shop.step(what, PLACES[place % places], units)
        assert what != "check" or shop.lost() <= 0


def test_a_clock_that_is_set_back_while_a_write_waits_loses_no_sale() -> None:
    shop = store(12, rate=60_000)
    for what, place, units in UNDER_A_WRITE:
        shop.step(what, PLACES[place], units)
    shop.now -= 600_000
    shop.book.turn_back(Instant(shop.now))
    shop.step("answer", "p", 1)
    [fall] = shop.book.slots[SlotKey(UK, "item", "p")].inferred
    assert (fall.fall, fall.since <= fall.to <= shop.now) == (3, True)
    assert shop.lost() <= 0
