"""One slot through time: its last reading, our open write (W), falls nobody explained yet, sales we buried.

Steps 1, 2 and 4 of the rules of knowing. A track is folded from facts; a reading may give birth to derived
facts (inferred and buried sales), which the caller keeps in the same ledger entry as the reading itself.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, takewhile

from reconcilerd.domain.facts import (
    CorrectionEnd,
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    LevelDoubted,
    Outcome,
    SaleInferred,
    SalesBuried,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.falls import may_have_sold, overlap, turn
from reconcilerd.domain.habits import NEVER_REFUSED, Habits, Hand
from reconcilerd.domain.levels import doubted_after, ended, refuted
from reconcilerd.domain.names import Instant, SlotKey, after
from reconcilerd.domain.orders import OrderBook
from reconcilerd.domain.policy import ChannelRule
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.writes import OpenWrite, end_of, orphaned

STALE_AT_ONCE = 3
"""So many failed compares in a row are a busy shelf; more are something that a reading does not cure."""
REFUSED_REST_MS = (30_000, 600_000)
STALE_REST_MS = (1_000, 60_000)
"""First and longest rest after writes that were refused, or whose compare went on failing; doubled each time."""
Derived = SaleInferred | SalesBuried | CorrectionSettled | LevelDoubted
NEVER_WROTE = frozenset({Outcome.STALE, Outcome.REFUSED, Outcome.NOT_SENT})
Took = tuple[int, int, Instant, Instant]


@dataclass(slots=True)
class SlotTrack:
    """What is known of one slot. ``as_of`` moves with every reading, ``seen`` only with a change."""

    slot: SlotKey
    seen: SlotObserved | None = None
    as_of: Instant = Instant(0)
    age_of: Instant = Instant(0)
    firm_since: Instant = Instant(0)
    """When a compare-and-set was answered: what was asked for before that may show the number before it."""
    value: int | None = None
    owed: int = 0
    """How far below zero it was at the reading of ``value``."""
    write: OpenWrite | None = None
    replaced: list[OpenWrite] = field(default_factory=list)
    """Writes that a newer one took the place of while they were under way: they may still have their effect."""
    overtaken: bool = False
    """It rose while a lower of ours was open that compares nothing: whatever was to lower it may have come before."""
    last_written: int | None = None
    beside: list["SlotTrack"] = field(default_factory=list, repr=False, compare=False)
    """The same listing at every place of its channel that sells it, this one too and by place; empty where it is sold
    at one only.

    No order says which of them it was taken from.
    """
    suspect_since: Instant | None = None
    """A compare failed at this moment: the reading is known to be wrong, until a newer one comes."""
    refused: int = 0
    stale: int = 0
    """How many writes in a row the channel would not take, or whose compare failed."""
    not_before: Instant = Instant(0)
    """Until when it is left in peace for that."""
    done: tuple[int, int, Instant] | None = None
    """The last write that the channel took: from, to, and when it said so."""
    took: Took | None = None
    """The last write that the channel took at once: number before, number written, when sent and when answered."""
    surprise: int = 0
    """What others added (or took, beyond any order) since our last write."""
    habits: Habits = field(default_factory=Habits)
    foreign: Hand | None = None
    """Another hand, last seen to have changed a number of ours; taken note of by whoever counts these."""
    inferred: list[SaleInferred] = field(default_factory=list)
    buried: list[SalesBuried] = field(default_factory=list)
    judged: tuple[Instant, int, int] | None = None
    """When it was asked what it shows, what it showed and how far below zero, before readings came under open writes:
    what fell since is told once it is known what became of these. None: nothing came."""
    doubt: LevelDoubted | None = None
    """Its number moved beyond what anything explains, and nothing has confirmed it yet."""

    def observe(
        self,
        seen: SlotObserved,
        orders: OrderBook,
        channel: ChannelRule,
        rate: Rate,
        *,
        ours: bool,
        new: bool = False,
    ) -> tuple[Derived, ...]:
        """Fold a reading. An older one changes nothing (I7). Returns what follows from it.

        ``ours``: whether we publish it; ``new``: whether it turned up where everything had been read.
        """
        if self.outdated(seen) or seen == self.seen:
            return ()  # what was said once is not said again: it would confirm by itself what it left open
        derived: list[Derived] = []
        bases: list[Instant] = []
        since, before, owed = self.as_of, self.value, self.owed
        judged = self.judged
        shows: str | None = None
        for write in self.open:
            alone = write is self.write and not self.replaced
            end = end_of(write, seen, self.code, orders, channel, alone=alone)
            if end is not None:
                derived.append(CorrectionSettled(write.id, seen.slot, end, seen.as_of, read=seen.quantity))
                bases.append(write.based_on)
                if end is CorrectionEnd.CONFIRMED:
                    self.surprise = 0
                    since, before, owed, shows = write.based_on, write.target, 0, write.id
                    if channel.compare_and_set and ours:
                        derived += self.told_by(write, Outcome.APPLIED, orders, rate)
                    derived += self._believe(seen.as_of)
        if channel.compare_and_set and bases and shows is None and len(bases) == len(self.open):
            # None ever wrote: all that the number has moved since the first was decided, it has moved by itself.
            first = self.open[0]
            since, before, owed = judged or (first.based_on, first.before, first.owed)
        if bases:
            # Windows that end together are one, the widest: each would count the same sales again.
            most = self._unseen(seen, [f.id for f in derived if isinstance(f, CorrectionSettled)], shows)
            derived.append(self._all_blind(SalesBuried(seen.slot, min(bases), seen.as_of, most)))
        self.derive(derived)
        if self.open and shows is not None and before is not None:
            self.judged = since, before, owed
        still = tuple(each.id for each in self.open)
        derived = [replace(f, still=still) if isinstance(f, CorrectionSettled) else f for f in derived]
        known = len(derived)
        if new and before is None and seen.quantity is not None:
            # Nobody saw what it sold before: orders so young may not be known yet.
            derived.append(SalesBuried(seen.slot, after(seen.as_of, -channel.order_lag_ms), seen.as_of))
        if ours and not self.open and before is not None and seen.quantity is not None:
            deeper = max(0, seen.below_zero - owed)
            derived += self._moved(seen, seen.quantity, before, since, orders, rate, deeper)
        elif (
            not ours
            and self.beside
            and before is not None
            and seen.quantity is not None
            and seen.quantity < before
        ):
            # It claims nothing; but orders that were taken off here explain no fall at another place.
            derived.append(SaleInferred(seen.slot, since, seen.as_of, before - seen.quantity, cap=0))
        self.overtaken = not channel.compare_and_set and self._is_overtaken(seen.quantity)
        self.restore(seen)
        self.derive(derived[known:])
        return tuple(derived)

    def told_by(
        self, write: OpenWrite, outcome: Outcome, orders: OrderBook, rate: Rate
    ) -> tuple[Derived, ...]:
        """What fell under an open write, by what became of it; nothing where others may yet have moved the number.

        A compare that was right says what it showed then; where none ever wrote, it has moved by itself.
        """
        if self.judged is None or self.seen is None or self.value is None:
            return ()
        since, before, owed = self.judged
        at, read, below = self.as_of, self.value, self.owed
        if outcome is Outcome.APPLIED:
            at, read, below = write.based_on, write.before, write.owed
        elif outcome not in NEVER_WROTE or self.open != (write,):
            return ()
        if at <= since:
            return ()
        seen = replace(self.seen, as_of=at, quantity=read)
        found = tuple(self._moved(seen, read, before, since, orders, rate, max(0, below - owed)))
        self.derive(found)
        return found

    def fallen_meanwhile(self, orders: OrderBook, *, told: bool) -> int:
        """Units that a reading under open writes lacks, and no order explains: sold, or taken by a write.

        ``told``: whether its orders can be told from those of other listings.
        """
        if self.judged is None:
            return 0
        since, before, owed = self.judged
        known = orders.placed(self.slot.channel, self.code if told else "", since, self.as_of)
        return max(0, before - (self.value or 0) + max(0, self.owed - owed) - known)

    def _moved(
        self,
        seen: SlotObserved,
        read: int,
        before: int,
        since: Instant,
        orders: OrderBook,
        rate: Rate,
        deeper: int,
    ) -> list[Derived]:
        """What follows from the number being ``read`` now, ``before`` being what it was at ``since``.

        ``deeper``: how much further below zero it went; that sold too.
        """
        found: list[Derived] = []
        cap = may_have_sold(orders, seen.slot.channel, rate, seen.as_of - since)
        was = self.doubt
        doubt = doubted_after(was, seen, read, before, since, orders, self.listing_sku, cap)
        back = 0
        if was is not None and was.before is not None and doubt is None and read < before <= was.before:
            # It sold on: what fell before has its own orders, and stands for itself.
            self.habits.no_hand(was.since)
            found += self._believe(seen.as_of)
        elif was is not None and was.before is not None and doubt is None:
            # What a hand had put there may have sold; far more than was there before was a wrong number.
            above = before - was.before
            back = above if 0 < above <= max(cap, was.before // 2) else 0
            found += self._as_before(was, seen.as_of)
            since, before = was.since, was.before
        elif doubt is not None and doubt != was:
            found.append(doubt)
        if read < before or (deeper and read == before):
            # Of a number beyond what was there before a doubt, how far it fell tells nothing.
            fell = before - read + deeper
            size = (
                fell if was is None or was.before is None else min(fell, max(cap, was.before - read + deeper))
            )
            claims = min(cap, size) if back else cap
            fall = SaleInferred(seen.slot, since, seen.as_of, size + back, cap=claims)
            found.append(self._all_fallen(fall))
            if before == self.last_written and read < before - cap:
                known_ = orders.known(seen.slot.channel, self.listing_sku, since, seen.as_of)
                if before - read - known_ > cap:
                    self.foreign = Hand(since, seen.as_of, read - before)
        elif back:
            found.append(SaleInferred(seen.slot, self.as_of, seen.as_of, back, cap=0))
        elif read > before and since < seen.as_of:
            found.append(self._all_blind(SalesBuried(seen.slot, since, seen.as_of)))
            back_again = orders.returned(seen.slot.channel, seen.listing_sku, since, seen.as_of)
            self.surprise += max(0, read - before - back_again)
            if before == self.last_written:
                self.foreign = Hand(since, seen.as_of, read - before)
        return found

    def _is_overtaken(self, shows: int | None) -> bool:
        """Whether it has risen since a lower was answered that is still open."""
        if self.write is None or self.value is None or shows is None:
            return False
        lowers = self.write.answered and self.write.target < shows
        return lowers and (self.overtaken or self.value < shows)

    def _all_fallen(self, fall: SaleInferred) -> SaleInferred:
        """A fall, with what fell before by a reading of the same moment: the ledger keeps one for each end."""
        old = next((each for each in self.inferred if each.to == fall.to), None)
        if old is None:
            return fall
        return replace(old, fall=old.fall + fall.fall, cap=max(old.cap, fall.cap))

    def _all_blind(self, window: SalesBuried) -> SalesBuried:
        """A window, or the wider one that ends with it already."""
        old = next((each for each in self.buried if each.to == window.to), window)
        most = None if old.most is None or window.most is None else max(old.most, window.most)
        return replace(window, since=min(old.since, window.since), most=most)

    def _unseen(self, seen: SlotObserved, settled: Collection[str], shows: str | None) -> int | None:
        """What may have sold unseen under the open writes that this reading settles; None: nobody can say.

        ``shows``: the write whose number it is now. What sold of that one is a fall below it.
        """
        if seen.sells_past_zero:
            return None
        return max(units for id_, units in self._takeable(shows) if id_ in settled)

    def blind(self, now: Instant, shown: int) -> SalesBuried:
        """The window of the writes that are open now.

        What it may be ``shown`` counts by itself, sold or not: unseen is what sold beyond that.
        """
        since = min(each.based_on for each in self.open)
        if self.seen is None or self.seen.sells_past_zero:
            return SalesBuried(self.slot, since, now)
        most = max(units for _, units in self._takeable())
        return SalesBuried(self.slot, since, now, max(0, most - shown))

    def _takeable(self, shows: str | None = None) -> Iterator[tuple[str, int]]:
        """Of each open write: all that could be taken from when it was decided, but for the one that is shown now."""
        for at, write in enumerate(self.open):
            yield write.id, write.over + sum(each.target for each in self.open[at:] if each.id != shows)

    def _believe(self, at: Instant) -> tuple[LevelDoubted, ...]:
        """The fact that ends a doubt, if there is one."""
        return () if self.doubt is None else (ended(self.doubt, at),)

    def _as_before(self, doubt: LevelDoubted, at: Instant) -> list[Derived]:
        """It shows again what it showed before a doubt: what fell meanwhile claims nothing.

        Raises still wait for the orders of that time: a sale in bulk may have been put back by hand, and what a hand
        had put there may have sold. Nor was it another hand: whatever changed it, it has not changed what we wrote.
        """
        self.habits.no_hand(doubt.since)
        void = [replace(each, cap=0) for each in self.inferred if each.since >= doubt.since]
        return [*self._believe(at), *void]

    def outdated(self, seen: SlotObserved) -> bool:
        """Whether something newer is known than this reading says."""
        return self.seen is not None and seen.as_of < max(self.as_of, self.firm_since)

    @property
    def proven(self) -> bool:
        """Whether what it shows was read, and is not only what the channel answered to a write."""
        return self.seen is None or (not self.open and self.seen.as_of >= self.firm_since)

    def restore(self, seen: SlotObserved) -> None:
        """Show what a reading showed, unless a newer one is known; what followed from it stands for itself."""
        if self.outdated(seen):
            return
        if self.seen is None and seen.quantity is not None:
            self.habits.good(seen.quantity)
        if self.open and self.judged is None and self.value is not None:
            self.judged = self.as_of, self.value, self.owed
        self.seen, self.value, self.owed = seen, seen.quantity, seen.below_zero
        self.as_of, self.age_of = seen.as_of, max(self.age_of, seen.age_of)
        if self.suspect_since is not None and seen.as_of >= self.suspect_since:
            self.suspect_since = None

    def derive(self, facts: list[Derived] | tuple[Derived, ...]) -> None:
        """Keep derived facts, new or loaded."""
        for fact in facts:
            match fact:
                case SaleInferred():
                    self.inferred = [*(each for each in self.inferred if each.to != fact.to), fact]
                case SalesBuried():
                    self.buried = [*(each for each in self.buried if each.to != fact.to), fact]
                case LevelDoubted():
                    self.doubt = None if fact.before is None else fact
                case CorrectionSettled():
                    ended = self._close(fact.id)
                    if ended is not None and fact.end is CorrectionEnd.CONFIRMED:
                        self.last_written = ended.target
                    self._keep(fact.still)
                    if not self.open:
                        self.judged = None

    @property
    def open(self) -> tuple[OpenWrite, ...]:
        """Every write that may still have its effect, the newest last."""
        return (*self.replaced, self.write) if self.write is not None else tuple(self.replaced)

    @property
    def sells(self) -> bool:
        """Whether anything may be sold there, for all that is known."""
        return self.seen is None or not (self.seen.gone or self.seen.state is SlotState.INACTIVE)

    @property
    def code(self) -> str:
        """The listing SKU by which its orders are found; none where they cannot be told from another place's."""
        return "" if self.beside else self.listing_sku

    @property
    def listing_sku(self) -> str:
        return "" if self.seen is None else self.seen.listing_sku

    def unexplained(self, fall: SaleInferred, orders: OrderBook) -> int:
        """Units of a fall that no known order explains; beyond its cap sold in bulk, or somebody else's doing.

        Where a listing fell at several places, the orders explain them one after another, and none twice.
        """
        placed = orders.placed(self.slot.channel, self.listing_sku, fall.since, fall.to)
        placed -= sum(
            each.fall
            for track in self.beside
            for each in (track.inferred if placed else ())
            if overlap(each, fall) and turn(each) < turn(fall)
        )
        return max(0, fall.fall - max(0, placed))

    def known_since(self, orders: OrderBook, now: Instant) -> int:
        """Units ordered since it was read: the channel has taken these off already.

        Of several places nobody knows at which; they are counted once, off the first that has them.
        """
        channel, code = self.slot.channel, self.listing_sku
        if not self.beside:
            return orders.known(channel, code, self.as_of, now)
        left = orders.known(channel, code, max(each.as_of for each in self.beside), now)
        for each in takewhile(lambda each: each is not self, self.beside):
            left -= min(left, each.value or 0)
        return min(left, self.value or 0)

    def _close(self, id_: str) -> OpenWrite | None:
        """Take one write off the open ones."""
        ended = next((each for each in self.open if each.id == id_), None)
        self.replaced = [each for each in self.replaced if each.id != id_]
        if self.write is not None and self.write.id == id_:
            self.write = None
        return ended

    def _keep(self, still: tuple[str, ...] | None) -> None:
        """Loaded: the state holds only the newest answer of a slot, which knows what the others had ended."""
        for write in self.open:
            if still is not None and write.id not in still:
                self._close(write.id)

    def based_on(self, correction: CorrectionPlanned) -> Instant:
        """When the reading was asked for that a correction goes by; the clock may have been set back since."""
        write = self.write
        return correction.based_on if write is None or write.id != correction.id else write.based_on

    def orphan(self, now: Instant) -> None:
        """Whoever sent the open writes is no more: it may have sent them until now, and no answer will come."""
        self.replaced = [orphaned(each, now) for each in self.replaced]
        if self.write is not None:
            self.write = orphaned(self.write, now)

    def plan(self, correction: CorrectionPlanned) -> None:
        """An intent is durable: until its answer is known it may already be at work.

        What it says the listing showed counts: of a listing that is loaded, the state may hold the answer that made
        it so without the write that was answered.
        """
        if correction.based_on >= self.as_of and self.value is not None:
            self.value, self.owed, self.as_of = correction.read, correction.owed, correction.based_on
        self.judged = correction.judged if self.judged is None else self.judged
        self.habits.tried(correction.at)
        self.habits.good(correction.target)
        self.overtaken = False
        open_ = {each.id: each for each in self.open}
        if correction.under is not None:
            # How far below zero it was at an earlier one that only a loaded book learns of here: as it is, if it was.
            open_ = {
                each[0]: open_.get(each[0])
                or OpenWrite(*each, owed=0 if each[2] or correction.read else correction.owed)
                for each in correction.under
            }
        new = OpenWrite(
            correction.id,
            correction.target,
            correction.read,
            correction.based_on,
            correction.at,
            owed=correction.owed,
        )
        # From what the intent says and nothing else: a listing that is loaded knows no more.
        put = accumulate((each.target for each in open_.values()), initial=0)
        *self.replaced, self.write = (
            replace(each, over=each.before + units)
            for each, units in zip((*open_.values(), new), put, strict=True)
        )

    def answer(self, sent: CorrectionSent) -> tuple[LevelDoubted, ...]:
        """Fold the channel's answer. A compare-and-set that was applied is as good as a reading.

        Unless a reading was begun after it: that says more. Returns what it says of a doubtful number.
        """
        write = next((each for each in self.open if each.id == sent.id), None)
        told: tuple[LevelDoubted, ...] = ()
        if sent.took is not None and self.took is None:
            # Only a book that is loaded hears of it here first.
            self._take(sent.took)
        if write is not None:
            self._answer(sent, write)
            if sent.outcome is Outcome.APPLIED:
                told = self._believe(sent.at)
            elif sent.outcome is Outcome.STALE and self.doubt is not None:
                told = (refuted(self.doubt, sent.at),)
        self._keep(sent.still)
        if not self.open:
            self.judged = None
        self.derive(told)
        return told

    def _take(self, took: Took) -> None:
        """The channel took a write: unless a reading was begun after it, that is what it shows."""
        before, target, sent, at = self.took = took
        self.last_written = target
        self.done = before, target, at
        if self.as_of <= at:
            self.value, self.owed = target, 0
            self.surprise = 0
            self.as_of = max(self.as_of, sent)
            self.firm_since = at
        self.age_of = max(self.age_of, sent)

    def _answer(self, sent: CorrectionSent, write: OpenWrite) -> None:
        match sent.outcome:
            case Outcome.APPLIED:
                self._take((write.before, write.target, sent.sent, sent.at))
                self._close(sent.id)
                self.judged = None
                self._is_taken()
            case Outcome.STALE:
                self._close(sent.id)
                self.suspect_since = sent.at
                self.stale += 1
                self._rest(sent.at, self.stale - STALE_AT_ONCE, STALE_REST_MS)
            case Outcome.REFUSED:
                self._close(sent.id)
                self.refused += 1
                self._rest(sent.at, self.refused, REFUSED_REST_MS)
            case Outcome.NOT_SENT:
                self._close(sent.id)
            case Outcome.ACCEPTED | Outcome.UNKNOWN:
                self.refused = self.stale = 0
                self.last_written = write.target
                if sent.outcome is Outcome.ACCEPTED:
                    self._is_taken()
                    self.done = write.before, write.target, sent.at
                # It left at some moment before its answer, perhaps after a long wait for its turn.
                answered = replace(write, sent=sent.at, answered=True)
                self.replaced = [answered if each.id == sent.id else each for each in self.replaced]
                if self.write is write:
                    self.write = answered

    def _is_taken(self) -> None:
        """The channel takes what is written: refusals before it are no row with those after it."""
        self.refused = self.stale = 0
        self.habits.refused = NEVER_REFUSED

    def _rest(self, at: Instant, times: int, bounds_ms: tuple[int, int]) -> None:
        if times > 0:
            first, longest = bounds_ms
            self.not_before = Instant(at + min(longest, first << min(times - 1, 20)))

    def turn_back(self, now: Instant) -> None:
        """The clock went back: see ``Book.turn_back``."""
        self.replaced = [self._turned_back(each, now) for each in self.replaced]
        if self.write is not None:
            self.write = self._turned_back(self.write, now)
        if self.seen is not None and self.seen.as_of > now:
            # What was asked for before the answer stays so.
            before = int(self.seen.as_of < self.firm_since)
            self.seen = replace(self.seen, as_of=after(now, -before), age_of=Instant(0))
        self.as_of, self.age_of = min(self.as_of, now), Instant(0)
        self.firm_since = min(self.firm_since, now)
        if self.took is not None:
            # A later answer says it again, and a start would believe it.
            before_, target, sent, at = self.took
            self.took = before_, target, min(sent, now), min(at, now)
        if self.done is not None:
            self.done = *self.done[:2], min(self.done[2], now)
        if self.judged is not None:
            # What was read since stays newer than that.
            self.judged = min(self.judged[0], after(now, -1)), *self.judged[1:]
        self.habits.turn_back(now)
        self.not_before = min(self.not_before, now)
        if self.suspect_since is not None:
            self.suspect_since = min(self.suspect_since, now)
        self.inferred = [replace(f, since=min(f.since, now), to=min(f.to, now)) for f in self.inferred]
        self.buried = [replace(f, since=min(f.since, now), to=min(f.to, now)) for f in self.buried]
        if self.doubt is not None:
            self.doubt = replace(self.doubt, since=min(self.doubt.since, now), at=min(self.doubt.at, now))

    def _turned_back(self, write: OpenWrite, now: Instant) -> OpenWrite:
        """A write under way, or yet to leave: what was read after it was decided stays newer than that."""
        newer = int(self.as_of > write.based_on)
        return replace(write, based_on=min(write.based_on, after(now, -newer)), sent=min(write.sent, now))

    def expire(self, through: Instant | None, orders: OrderBook, *, again: bool = False) -> None:
        """Drop windows that the order feed has passed: by ``through``, never by the clock.

        What a fall still lacks in orders then was somebody else's doing; ``again``: that was said before.
        """
        if through is None or not (self.inferred or self.buried):
            return
        self.buried = [each for each in self.buried if each.to > through]
        falls = [(each, track) for track in self.beside or [self] for each in track.inferred]
        # What explains a fall at one place must go on doing so while it could be taken to explain another's, or one
        # that is yet to be told of a place.
        since = min((each.judged[0] if each.judged else each.as_of for each in self.beside), default=through)
        passed = min(through, since)
        young = [each for each, _ in falls if each.to > passed]
        over = [
            (fall, track)
            for fall, track in falls
            if fall.to <= passed and not any(each.slot != fall.slot and overlap(each, fall) for each in young)
        ]
        for fall, track in over:
            if track.seen is not None and not again:
                track.surprise -= min(fall.cap, track.unexplained(fall, orders))
        for fall, track in over:
            track.inferred = [each for each in track.inferred if each is not fall]


def know_each_other(alike: Sequence[SlotTrack]) -> None:
    """Have one listing's places know those that sell it beside them: none where it is sold at one only."""
    if len(alike) < 2:
        return
    selling = [each for each in alike if each.sells]
    for each in alike:
        each.beside = selling if each.sells and len(selling) > 1 else []
