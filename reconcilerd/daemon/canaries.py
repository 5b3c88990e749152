"""A large set of changes of one channel on its way: which of it may go now, what is read back, whether it stops."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import anyio
import structlog

from reconcilerd.connectors.port import Channel, WriteAnswer
from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.canary import Canary, agrees, begins, may_go, read_back, went
from reconcilerd.domain.facts import CorrectionPlanned, Outcome, RailLatched
from reconcilerd.domain.falls import may_have_sold
from reconcilerd.domain.latches import CANARY, latch_name
from reconcilerd.domain.names import ChannelName, Instant, SlotKey, after
from reconcilerd.domain.policy import ChannelRule
from reconcilerd.errors import LedgerFault, ReconcilerdError

log = structlog.get_logger("reconcilerd.canaries")

LOOK_S = 1.0
OVERDUE_S = 300.0
"""How long orders that should have been read before are waited for still: a machine that slept reads them first."""
TOOK = frozenset({Outcome.APPLIED, Outcome.ACCEPTED, Outcome.UNKNOWN})

Reading = tuple[int, Instant]
"""A number, and of when."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Sent, answered, and not read back yet."""

    correction: CorrectionPlanned
    outcome: Outcome
    answered: Instant
    odd: Reading | None = None
    """What was read that is not as written, of one that may have sold by then: the orders of that time will tell."""
    overdue: float | None = None
    """When it was first seen that they are not read in time, by a clock that stands still while the machine sleeps."""

    def due(self, rule: ChannelRule) -> Instant:
        """By when a reading shows it, if it took effect. At once only where a channel compares and said that it did.

        An answer that was lost tells nothing: the store may still be at work on it.
        """
        at_once = rule.compare_and_set and self.outcome is Outcome.APPLIED
        return self.answered if at_once else after(self.answered, rule.apply_max_ms)

    def by(self, now: Instant) -> "Unread":
        """The same by a clock that was set back: else no reading would count for as long as it was set back."""
        odd = None if self.odd is None or self.odd[1] > now else self.odd
        return replace(self, answered=min(self.answered, now), odd=odd)


class Canaries:
    """What orders explain is never kept back by it."""

    def __init__(self, channel: Channel, desk: Desk) -> None:
        self._channel = channel
        self._desk = desk
        self._canary: Canary | None = None
        self._unread: dict[SlotKey, Unread] = {}
        self._unproven: dict[SlotKey, Instant] = {}
        """Changed beyond what orders explain, and when, with no reading back that speaks for it."""
        self._vouched: frozenset[str] = frozenset()
        """The rest of a set whose first batches were all read back well."""
        self.stopped = False

    @property
    def unread(self) -> bool:
        """Whether anything is still to be read back."""
        return bool(self._unread)

    def let_go(self, waiting: Sequence[CorrectionPlanned]) -> list[CorrectionPlanned]:
        """Those that may be sent now, in their order."""
        bold = [each for each in waiting if each.unexplained]
        most = 0 if self.stopped else self._at_most(bold)
        few = {each.id for each in bold[:most]}
        return [each for each in waiting if not each.unexplained or each.id in few]

    def _at_most(self, bold: Sequence[CorrectionPlanned]) -> int | None:
        """How many of the changes that orders do not explain may be sent now; None: all of them."""
        limits = self._desk.book.policy.limits
        self._vouched &= {each.id for each in bold}
        if not bold:
            self.over()
            return None
        if self._canary is None:
            # However few come at a time: those of the last window are the same large set, come drop by drop.
            new = {each.slot for each in bold if each.id not in self._vouched}
            lately = self._lately() - new
            if begins(len(new) + len(lately), limits):
                self._canary = Canary()
                log.warning("canary_began", channel=self._channel.name, waiting=len(new), lately=len(lately))
        most = None if self._canary is None else may_go(self._canary, limits)
        if self._canary is not None and most is None:
            # Only for what waits now: a set that never runs dry would else go on unread for ever.
            self._vouched = frozenset(each.id for each in bold)
            self.over()
        return most

    def _lately(self) -> set[SlotKey]:
        """Slots changed within the last window with no reading back that speaks for it."""
        now = self._desk.clock()
        since = now - self._desk.book.policy.limits.window_ms
        # What was stamped before the clock was set back counts as of now, or it would count for so much longer.
        self._unproven = {slot: min(at, now) for slot, at in self._unproven.items() if at > since}
        return set(self._unproven)

    async def sent(self, answers: Sequence[WriteAnswer]) -> None:
        """Remember what must be read back before more goes, and what went without."""
        now = self._desk.clock()
        took = [Unread(each.correction, each.outcome, now) for each in answers if each.outcome in TOOK]
        self._forget(each.correction.slot for each in took)
        bold = {each.correction.slot: each for each in took if each.correction.unexplained}
        if self._canary is None:
            new = (slot for slot, each in bold.items() if each.correction.id not in self._vouched)
            self._unproven |= dict.fromkeys(new, now)
            return
        self._unread |= bold
        self._canary = went(self._canary, len(bold))

    def _forget(self, slots: Iterable[SlotKey]) -> None:
        """A newer write of ours was sent to these: what they show now tells nothing of the one before.

        One that is only planned leaves them as they are: a change that did not take is planned again, and must not
        wipe out its own evidence. What is forgotten speaks neither against the set nor for it, so its place is free
        for another; and where none waits, the next that comes is read back first.
        """
        for slot in slots:
            before = self._unread.pop(slot, None)
            if before is not None and self._canary is not None:
                self._unproven[slot] = before.answered
                self._canary = went(self._canary, -1)

    async def wait(self) -> None:
        """Nothing may go until more was read back."""
        await anyio.sleep(LOOK_S)

    async def read(self) -> None:
        """Read what was sent. What cannot be read, by a bug of ours too, is judged by its time."""
        now = self._desk.clock()
        self._unread = {slot: each.by(now) for slot, each in self._unread.items()}
        try:
            await self._channel.read_slots(sorted(self._unread), self._desk.page)
        except LedgerFault:
            raise
        except ReconcilerdError as error:
            log.warning("canary_unread", channel=self._channel.name, why=str(error)[:300])
        except Exception:
            log.exception("canary_unread", channel=self._channel.name)

    async def judge(self) -> None:
        """Compare with what was read; the first that is not as written stops the rest until a person says."""
        book, now = self._desk.book, self._desk.clock()
        rule = book.policy.channels[ChannelName(self._channel.name)]
        for slot, each in list(self._unread.items()):
            seen = book.slots[slot].seen
            if seen is None or seen.as_of < each.answered or seen.quantity is None:
                if now > each.answered + rule.apply_max_ms:
                    await self._stop(each.correction, None)
                    return
                continue
            newest = seen.quantity, seen.as_of
            witness = each.odd or newest
            if self._as_written(each, newest) or self._as_written(each, witness):
                del self._unread[slot]
                if self._canary is not None:
                    self._canary = read_back(self._canary, 1, book.policy.limits)
            elif self._may_have_sold(each, witness):
                # Whether it did, the orders of that time tell; what is read meanwhile has others after it. One that
                # may tell of a moment before the write had its effect is no witness against it.
                odd = witness if witness[1] >= each.due(rule) else each.odd
                told_by = after(each.due(rule), rule.order_lag_ms + book.policy.ages.max_age_ms)
                overdue = each.overdue
                if overdue is None and now > told_by:
                    overdue = anyio.current_time()
                self._unread[slot] = replace(each, odd=odd, overdue=overdue)
                if overdue is not None and anyio.current_time() - overdue >= OVERDUE_S:
                    # Where these orders are not read at all, nobody would ever be told.
                    await self._stop(
                        each.correction, witness[0], ", and the orders of that time are not read"
                    )
                    return
            elif now >= each.due(rule):
                await self._stop(each.correction, witness[0])
                return

    def _as_written(self, each: Unread, reading: Reading) -> bool:
        read, at = reading
        return agrees(each.correction.read, each.correction.target, self._sold(each, at), read)

    def _sold(self, each: Unread, at: Instant) -> int:
        """Units in known orders between the reading that it was planned by and this moment."""
        book, slot = self._desk.book, each.correction.slot
        return book.orders.known(slot.channel, book.slots[slot].code, each.correction.based_on, at)

    def _may_have_sold(self, each: Unread, reading: Reading) -> bool:
        """Whether what is missing of a number may be sales of orders that are not known yet."""
        book, slot, (read, at) = self._desk.book, each.correction.slot, reading
        through, code = book.through(slot.channel), book.slots[slot].code
        if through is not None and through >= at:
            return False
        missing = each.correction.target - self._sold(each, at) - read
        rate = book.rate(slot.channel, code, at, book.prior(book.joins().sku_of.get(slot)))
        return 0 < missing <= may_have_sold(book.orders, slot.channel, rate, max(0, at - each.answered))

    async def _stop(self, correction: CorrectionPlanned, read: int | None, more: str = "") -> None:
        self.stopped = True
        self._unread.clear()
        path = correction.slot.path
        what = "was not read back" if read is None else f"was read back as {read}"
        evidence = f"{path} was written {correction.target} and {what}{more}"
        log.error("canary_stopped", channel=self._channel.name, why=evidence)
        name, reason = latch_name(CANARY, self._channel.name), "a first batch of a large change did not take"
        await self._desk.take(
            (RailLatched(name, True, "reconcilerd", reason, self._desk.clock(), evidence),), note="canary"
        )

    def over(self) -> None:
        """All of it went, or the rest was given up; the next large set begins anew."""
        if self._unread:
            return
        if not self.stopped and self._canary is not None and (self._canary.stage or self._canary.agreed):
            # Nothing of it was read back otherwise: busy days are looked at now and then, and not held for ever.
            self._unproven.clear()
        self._canary, self.stopped = None, False
