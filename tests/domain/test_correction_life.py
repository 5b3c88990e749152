"""The life of a correction, played against a channel whose truth is known: a machine of everything that may happen.

A channel shows a number; people buy, others write, our writes leave, arrive, are answered, or are not. What the book
holds is compared after each step with what is so, and with a second book that was loaded from the ledger.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    CorrectionEnd,
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    Fact,
    OrderStatus,
    Outcome,
    SlotObserved,
    SlotState,
    SweepRead,
)
from reconcilerd.domain.names import FeedName, Instant
from reconcilerd.domain.slots import SlotTrack
from reconcilerd.domain.taken import Taken
from reconcilerd.ledger.store import Ledger
from tests.domain.books import LAG_MS, SLOT, UK, order, position_at, shop_book
from tests.domain.strategies import FEWER

APPLY_MAX_MS: Final = 40_000
START: Final = Instant(10_000_000)

NEXT: Final[Mapping[str, frozenset[str]]] = {
    "planned": frozenset({"answered", "confirmed", "missed", "applied", "stale", "refused", "not_sent"}),
    "answered": frozenset({"confirmed", "missed"}),
    **{end: frozenset() for end in ("confirmed", "missed", "applied", "stale", "refused", "not_sent")},
}
"""Where a correction may go from where it is. What ended has ended."""

STAGE: Final = {
    Outcome.APPLIED: "applied",
    Outcome.ACCEPTED: "answered",
    Outcome.UNKNOWN: "answered",
    Outcome.STALE: "stale",
    Outcome.REFUSED: "refused",
    Outcome.NOT_SENT: "not_sent",
}


@dataclass
class Write:
    """One write as the world has it."""

    intent: CorrectionPlanned
    stage: str = "planned"
    sent: int | None = None
    arrives_by: int | None = None
    """Until when it may still have its effect; None: it has had it, or never will."""
    failed: bool = False
    """It arrived, and its compare failed."""
    arrived: Instant | None = None
    answered: Instant | None = None


@dataclass
class World:
    """What the channel shows, and showed."""

    shown: int
    history: list[tuple[int, int]] = field(default_factory=list)
    orders: list[tuple[str, int, int]] = field(default_factory=list)
    """Placed and not told yet: number, moment, units."""
    told: int = 0
    blurred_at: int = -1
    """When somebody raised it whom no rule can foresee: another hand, or a write confirmed before it came."""

    def put(self, shown: int, now: int) -> None:
        self.shown = shown
        self.history.append((now, shown))

    def at(self, moment: int) -> int:
        return next(shown for when, shown in reversed(self.history) if when <= moment)


def essence(track: SlotTrack) -> tuple[Any, ...]:
    """What a track says, without what a process knows for itself: its patience, and what surprised it."""
    return (
        track.value,
        track.owed,
        track.open,
        sorted(track.inferred, key=str),
        sorted(set(track.buried), key=str),
        track.suspect_since,
    )


class CorrectionLife(RuleBasedStateMachine):
    """Rules are what may happen next; invariants what must hold whatever happened."""

    @initialize(shown=st.integers(0, 20), compares=st.booleans())
    def open(self, shown: int, compares: bool) -> None:
        self.folder = TemporaryDirectory()
        self.now, self.compares = int(START), compares
        self.ledger = Ledger.open(
            Path(self.folder.name) / "l.db", clock=lambda: Instant(self.now), durable=False
        )
        self.book = self._shop()
        self.writes: dict[str, Write] = {}
        self.world = World(shown)
        self.world.put(shown, 0)
        self.ledger.append([*self.book.products.values(), *self.book.listings.values()])
        for stock in self.book.stock.values():
            self.ledger.append([stock.row])
        self._take(SweepRead(FeedName("uk.slots"), START, START, True, 0, 0))
        self._read(self.now)

    def _shop(self) -> Book:
        book = shop_book(int(START))
        uk = replace(book.policy.channels[UK], compare_and_set=self.compares, apply_max_ms=APPLY_MAX_MS)
        book.policy = replace(book.policy, channels=MappingProxyType({UK: uk}))
        return book

    # What the daemon does with a fact, and what follows from it.

    def _take(self, fact: Fact) -> Taken:
        taken = self.book.take(fact)
        news = [taken.instead or fact] if taken.news else []
        self.ledger.append([*news, *taken.derived])
        for each in taken.derived:
            if isinstance(each, CorrectionSettled):
                self._settled(each, fact)
        return taken

    def _settled(self, end: CorrectionSettled, by: Fact) -> None:
        write = self.writes[end.id]
        assert isinstance(by, SlotObserved)
        if write.arrived is not None and by.as_of < write.arrived:
            # Another hand had put it there before: the write came after the moment that the reading tells of.
            self.world.blurred_at = max(self.world.blurred_at, write.arrived)
        assert by.as_of >= write.intent.based_on, "an older reading told of it"
        self._go(write, end.end.value)
        if end.end is CorrectionEnd.MISSED:
            assert write.answered is not None
            assert by.as_of > write.answered + APPLY_MAX_MS, "given up before its time"
            assert write.arrives_by is None, "given up while it may still come"

    def _go(self, write: Write, stage: str) -> None:
        assert stage in NEXT[write.stage], f"{write.stage} -> {stage}"
        write.stage = stage

    @property
    def track(self) -> SlotTrack:
        return self.book.slots[SLOT]

    # What happens.

    @rule(ms=st.sampled_from([1, 500, 3_000, 40_000, 40_001, 120_001]))
    def time_passes(self, ms: int) -> None:
        """What must have arrived by then arrives first."""
        for write in self._coming():
            assert write.arrives_by is not None
            if write.arrives_by <= self.now + ms:
                ms -= max(0, write.arrives_by - self.now)
                self.now = max(self.now, write.arrives_by)
                self._arrive(write)
        self.now += ms

    def _coming(self) -> list[Write]:
        """Writes that may still have their effect, the one that must come soonest first."""
        found = [each for each in self.writes.values() if each.arrives_by is not None]
        return sorted(found, key=lambda each: each.arrives_by or 0)

    @rule(units=st.integers(1, 5))
    def somebody_buys(self, units: int) -> None:
        units = min(units, self.world.shown)
        if units:
            self.world.put(self.world.shown - units, self.now)
            self.world.told += 1
            self.world.orders.append((str(self.world.told), self.now, units))

    @rule(shown=st.integers(0, 20))
    def another_hand_writes(self, shown: int) -> None:
        if shown > self.world.shown:
            self.world.blurred_at = self.now
        self.world.put(shown, self.now)

    @precondition(lambda self: self.world.orders)
    @rule(data=st.data())
    def an_order_is_seen(self, data: st.DataObject) -> None:
        self._tell(data.draw(st.sampled_from(self.world.orders)))

    def _tell(self, placed: tuple[str, int, int]) -> None:
        self.world.orders.remove(placed)
        number, at, units = placed
        seen = order("uk", OrderStatus.OPEN, self.now, placed=at, units=units, number=number)
        self._twice(seen)

    @rule()
    def all_orders_are_read(self) -> None:
        for placed in list(self.world.orders):
            self._tell(placed)
        self._twice(SweepRead(FeedName("uk.orders"), Instant(self.now), Instant(self.now), True, 0, 0))
        through = self.now - LAG_MS
        assert all(each.to > through for each in self.track.inferred)
        assert all(each.to > through for each in self.track.buried)

    @rule(ago=st.sampled_from([0, 0, 0, 1, 500, 5_000]))
    def the_listing_is_read(self, ago: int) -> None:
        """Just now, or a while ago: answers come late and out of order."""
        self._read(max(int(START), self.now - ago))

    def _read(self, as_of: int) -> None:
        at = Instant(as_of)
        seen = SlotObserved(SLOT, "a", "A", self.world.at(as_of), SlotState.BUYABLE, False, at, at)
        before = deepcopy(self.book.slots.get(SLOT))
        outdated = before is not None and before.outdated(seen)
        self._twice(seen)
        if outdated:
            assert self.track == before, "an older reading changed something"

    def _twice(self, fact: Fact) -> None:
        """Every delivery may be repeated, and the second one changes nothing."""
        self._take(fact)
        before = deepcopy(self.book.slots.get(SLOT))
        again = self._take(fact)
        assert again.derived == ()
        assert self.book.slots.get(SLOT) == before, "a second delivery changed something"

    def _newest(self) -> Write | None:
        open_ = self.track.write
        return None if open_ is None else self.writes[open_.id]

    @rule(to=st.integers(0, 25))
    def we_plan(self, to: int) -> None:
        """What guards allow: one write at a time, but for a deeper lower."""
        track, newest = self.track, self.track.write
        if track.value is None or track.value == to or track.suspect_since is not None:
            return
        if newest is not None and to >= newest.target:
            return
        if track.replaced and to >= track.value:
            return
        id_ = f"w{len(self.writes)}"
        under = tuple((o.id, o.target, o.before, o.based_on, o.sent) for o in track.open)
        intent = CorrectionPlanned(
            id_, SLOT, "a", track.value, track.as_of, to, "lag", "share", Instant(self.now), under=under
        )
        self.writes[id_] = Write(intent)
        self._take(intent)

    @precondition(lambda self: any(w.stage == "planned" and w.sent is None for w in self.writes.values()))
    @rule(lost=st.booleans())
    def the_newest_write_leaves(self, lost: bool) -> None:
        """As the executor does it: what a newer one, or a newer reading, took the place of stays here."""
        for write in list(self.writes.values()):
            if write.stage != "planned" or write.sent is not None:
                continue
            moved = self.track.as_of > write.intent.based_on and self.track.value != write.intent.read
            if moved or self._newest() is not write:
                write.sent = self.now
                self._answer(write, Outcome.NOT_SENT)
            else:
                write.sent = self.now
                # On the way, or at work over there: it may take its time, or never come.
                write.arrives_by = None if lost else self.now + APPLY_MAX_MS

    @precondition(lambda self: self._coming())
    @rule(data=st.data())
    def a_write_arrives(self, data: st.DataObject) -> None:
        self._arrive(data.draw(st.sampled_from(self._coming())))

    def _arrive(self, write: Write) -> None:
        write.arrives_by = None
        write.arrived = Instant(self.now)
        if self.compares and self.world.shown != write.intent.compared:
            write.failed = True
            return
        if write.intent.target > self.world.shown and write.stage in {"confirmed", "missed"}:
            self.world.blurred_at = self.now
        self.world.put(write.intent.target, self.now)

    @precondition(lambda self: any(w.sent is not None and w.answered is None for w in self.writes.values()))
    @rule(data=st.data(), broken=st.booleans(), refused=st.booleans())
    def a_write_is_answered(self, data: st.DataObject, broken: bool, refused: bool) -> None:
        waiting = [w for w in self.writes.values() if w.sent is not None and w.answered is None]
        write = data.draw(st.sampled_from(waiting))
        if not write.arrived and write.arrives_by is None and refused:
            self._answer(write, Outcome.REFUSED)
        elif broken or (self.compares and not write.arrived):
            self._answer(write, Outcome.UNKNOWN)
        elif write.failed:
            self._answer(write, Outcome.STALE)
        else:
            self._answer(write, Outcome.APPLIED if self.compares else Outcome.ACCEPTED)

    def _answer(self, write: Write, outcome: Outcome) -> None:
        assert write.sent is not None
        write.answered = Instant(self.now)
        if write.arrives_by is not None:
            write.arrives_by = self.now + APPLY_MAX_MS
        if write.stage == "planned":
            self._go(write, STAGE[outcome])
        sent = CorrectionSent(write.intent.id, SLOT, outcome, "", Instant(write.sent), write.answered)
        self._twice(sent)

    @rule()
    def the_daemon_starts_anew(self) -> None:
        """Nobody will answer what was under way; what was in the queue may have left a moment before."""
        for write in self.writes.values():
            if write.answered is None and write.stage == "planned":
                write.answered = Instant(self.now)
                write.sent = self.now if write.sent is None else write.sent
                if write.arrives_by is not None:
                    write.arrives_by = self.now + APPLY_MAX_MS
                self._go(write, "answered")
        live = deepcopy(self.track)
        live.orphan(Instant(self.now))
        loaded = self._shop()
        loaded.slots.clear()
        loaded.awake_since = Instant(self.now)
        loaded.load(list(self.ledger.everything()), Instant(self.now))
        for told, held in zip(essence(loaded.slots[SLOT]), essence(live), strict=True):
            assert told == held
        assert loaded.slots[SLOT].as_of <= live.as_of, "no reading grows younger by a start"
        self.book = loaded

    # What must hold.

    @invariant()
    def open_writes_are_those_that_have_not_ended(self) -> None:
        if hasattr(self, "writes"):
            open_ = {id_ for id_, each in self.writes.items() if NEXT[each.stage]}
            assert {each.id for each in self.track.open} == open_

    @invariant()
    def no_more_is_shown_than_we_count_with(self) -> None:
        """E: nobody sees more than the larger of what was read and what we may have written."""
        if not hasattr(self, "writes"):
            return
        (offer,) = position_at(self.book, self.now).offers
        assert offer.shown is not None
        assert all(offer.shown >= each.target for each in self.track.open)
        if self.world.blurred_at < self.track.as_of:
            assert self.world.shown <= offer.shown

    @override
    def teardown(self) -> None:
        """Whatever happened, every write ends: by its answer, or by a reading after its longest time."""
        if not hasattr(self, "writes"):
            return
        try:
            self.the_newest_write_leaves_all()
            assert self.track.open == ()
            assert self.track.value == self.world.shown
        finally:
            self.ledger.close()
            self.folder.cleanup()

    def the_newest_write_leaves_all(self) -> None:
        for write in self.writes.values():
            if write.answered is None:
                write.sent = self.now if write.sent is None else write.sent
                self._answer(write, Outcome.UNKNOWN)
        self.time_passes(APPLY_MAX_MS + 1)
        self.time_passes(1)
        self._read(self.now)


TestCorrectionLife = CorrectionLife.TestCase
TestCorrectionLife.settings = FEWER
