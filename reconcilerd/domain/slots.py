"""One slot through time: its last reading, our open write (W), falls nobody explained yet, sales we buried.

Steps 1, 2 and 4 of the rules of knowing. A track is folded from facts; a reading may give birth to derived
facts (inferred and buried sales), which the caller keeps in the same ledger entry as the reading itself.
"""

from dataclasses import dataclass, field, replace

from reconcilerd.domain.facts import (
    CorrectionEnd,
    CorrectionPlanned,
    CorrectionSent,
    CorrectionSettled,
    Outcome,
    SaleInferred,
    SalesBuried,
    SlotObserved,
)
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.domain.orders import OrderBook
from reconcilerd.domain.policy import ChannelRule
from reconcilerd.domain.quantities import Rate, expected

SIGMAS_OF_A_FALL = 3
Derived = SaleInferred | SalesBuried | CorrectionSettled


@dataclass(frozen=True, slots=True)
class OpenWrite:
    """A write whose effect no reading has shown yet. ``before`` is what the slot showed when it was decided."""

    id: str
    target: int
    before: int
    based_on: Instant
    sent: Instant


@dataclass(slots=True)
class SlotTrack:
    """What is known of one slot. ``value_as_of`` moves with every reading, ``seen`` only with a change."""

    slot: SlotKey
    seen: SlotObserved | None = None
    as_of: Instant = Instant(0)
    age_of: Instant = Instant(0)
    value: int | None = None
    write: OpenWrite | None = None
    last_written: int | None = None
    suspect_since: Instant | None = None
    """A compare failed at this moment: the reading is known to be wrong, until a newer one comes."""
    surprise: int = 0
    """What others added (or took, beyond any order) since our last write."""
    inferred: list[SaleInferred] = field(default_factory=list)
    buried: list[SalesBuried] = field(default_factory=list)

    def observe(
        self, seen: SlotObserved, orders: OrderBook, channel: ChannelRule, rate: Rate, *, ours: bool
    ) -> tuple[Derived, ...]:
        """Fold a reading. An older one changes nothing (I7). Returns what follows from it."""
        if self.seen is not None and seen.as_of < self.as_of:
            return ()
        derived: list[Derived] = []
        since, before = self.as_of, self.value
        if self.write is not None and seen.as_of >= self.write.sent and seen.quantity is not None:
            end = _resolve(self.write, seen.quantity, seen, orders, channel.apply_max_ms)
            if end is not None:
                derived.append(
                    CorrectionSettled(self.write.id, seen.slot, end, seen.as_of, read=seen.quantity)
                )
                derived.append(SalesBuried(seen.slot, self.write.based_on, seen.as_of))
                if end is CorrectionEnd.CONFIRMED:
                    since, before = self.write.based_on, self.write.target
                self.derive(derived)
        known = len(derived)
        if ours and self.write is None and before is not None and seen.quantity is not None:
            if seen.quantity < before:
                # What one customer often takes at once may have been taken, however slowly it sells.
                mu = expected(rate, seen.as_of - since, SIGMAS_OF_A_FALL)
                cap = max(1, mu, orders.large_line(seen.slot.channel))
                derived.append(SaleInferred(seen.slot, since, seen.as_of, before - seen.quantity, cap=cap))
            elif seen.quantity > before and since < seen.as_of:
                derived.append(SalesBuried(seen.slot, since, seen.as_of))
                self.surprise += seen.quantity - before
        if self.suspect_since is not None and seen.as_of >= self.suspect_since:
            self.suspect_since = None
        self.restore(seen)
        self.derive(derived[known:])
        return tuple(derived)

    def restore(self, seen: SlotObserved) -> None:
        """Show what a reading showed, unless a newer one is known; what followed from it stands for itself."""
        if self.seen is not None and seen.as_of < self.as_of:
            return
        self.seen, self.value = seen, seen.quantity
        self.as_of, self.age_of = seen.as_of, max(self.age_of, seen.age_of)

    def derive(self, facts: list[Derived] | tuple[Derived, ...]) -> None:
        """Keep derived facts, new or loaded."""
        for fact in facts:
            match fact:
                case SaleInferred():
                    self.inferred.append(fact)
                case SalesBuried():
                    self.buried.append(fact)
                case CorrectionSettled():
                    if self.write is not None and self.write.id == fact.id:
                        if fact.end is CorrectionEnd.CONFIRMED:
                            self.last_written = self.write.target
                        self.write = None

    def plan(self, correction: CorrectionPlanned) -> None:
        """An intent is durable: until its answer is known it may already be at work."""
        self.write = OpenWrite(
            correction.id, correction.target, correction.read, correction.based_on, correction.at
        )

    def answer(self, sent: CorrectionSent) -> None:
        """Fold the channel's answer. A compare-and-set that was applied is as good as a reading.

        Unless a reading was begun after it: that says more.
        """
        if self.write is None or self.write.id != sent.id:
            return
        match sent.outcome:
            case Outcome.APPLIED:
                self.last_written = self.write.target
                if self.as_of <= sent.at:
                    self.value = self.write.target
                    self.surprise = 0
                    self.as_of = max(self.as_of, sent.sent)
                self.age_of = max(self.age_of, sent.sent)
                self.write = None
            case Outcome.STALE:
                self.write = None
                self.suspect_since = sent.sent
            case Outcome.REFUSED | Outcome.NOT_SENT:
                self.write = None
            case Outcome.ACCEPTED | Outcome.UNKNOWN:
                self.last_written = self.write.target

    def turn_back(self, now: Instant) -> None:
        """The clock went back: see ``Book.turn_back``."""
        if max(self.as_of, self.age_of) > now:
            self.as_of, self.age_of = min(self.as_of, now), Instant(0)
        if self.write is not None:
            self.write = replace(
                self.write, sent=min(self.write.sent, now), based_on=min(self.write.based_on, now)
            )
        if self.suspect_since is not None:
            self.suspect_since = min(self.suspect_since, now)
        self.inferred = [replace(f, since=min(f.since, now), to=min(f.to, now)) for f in self.inferred]
        self.buried = [replace(f, since=min(f.since, now), to=min(f.to, now)) for f in self.buried]

    def expire(self, through: Instant | None, orders: OrderBook) -> None:
        """Drop windows that the order feed has passed: by ``through``, never by the clock.

        What a fall still lacks in orders then was somebody else's doing.
        """
        if through is None:
            return
        if self.seen is not None:
            code = self.seen.listing_sku
            self.surprise -= sum(
                open_units(each, orders, code) for each in self.inferred if each.to <= through
            )
        self.inferred = [each for each in self.inferred if each.to > through]
        self.buried = [each for each in self.buried if each.to > through]


def _resolve(
    write: OpenWrite, read: int, seen: SlotObserved, orders: OrderBook, apply_max_ms: int
) -> CorrectionEnd | None:
    """Whether a reading confirms a write, shows it missed, or tells nothing yet (rule 6)."""
    sold = orders.known(seen.slot.channel, seen.listing_sku, write.based_on, seen.as_of)
    lowers = write.target < write.before
    confirmed = (
        write.target - sold <= read <= write.target
        or (lowers and read <= write.target)
        or (not lowers and write.before < read <= write.target)
    )
    if confirmed:
        return CorrectionEnd.CONFIRMED
    return CorrectionEnd.MISSED if seen.as_of > write.sent + apply_max_ms else None


def open_units(fall: SaleInferred, orders: OrderBook, code: str) -> int:
    """Units of a fall that no known order explains, at most its cap."""
    known = orders.known(fall.slot.channel, code, fall.since, fall.to)
    return min(fall.cap, max(0, fall.fall - known))


def unsettled_units(fall: SaleInferred, orders: OrderBook, code: str) -> int:
    """Units of a fall beyond its cap that no known order explains: sold in bulk, or somebody else's doing."""
    known = orders.known(fall.slot.channel, code, fall.since, fall.to)
    return max(0, fall.fall - known - fall.cap)


def buried_units(window: SalesBuried, orders: OrderBook, code: str, rate: Rate) -> int:
    """Units that may have sold unseen in a window: mu + sqrt(mu), less the orders known in it."""
    known = orders.known(window.slot.channel, code, window.since, window.to)
    return max(0, expected(rate, window.to - window.since, 1) - known)
