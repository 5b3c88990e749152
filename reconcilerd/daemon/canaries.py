"""A large set of changes of one channel on its way: which of it may go now, what is read back, whether it stops."""

from collections.abc import Sequence

import anyio
import structlog

from reconcilerd.connectors.port import Channel, WriteAnswer
from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.canary import Canary, agrees, begins, may_go, read_back, went
from reconcilerd.domain.facts import CorrectionPlanned, Outcome, RailLatched
from reconcilerd.domain.latches import CANARY, latch_name
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.errors import LedgerFault, ReconcilerdError

log = structlog.get_logger("reconcilerd.canaries")

LOOK_S = 1.0
TOOK = frozenset({Outcome.APPLIED, Outcome.ACCEPTED, Outcome.UNKNOWN})


class Canaries:
    """What orders explain is never kept back by it."""

    def __init__(self, channel: Channel, desk: Desk) -> None:
        self._channel = channel
        self._desk = desk
        self._canary: Canary | None = None
        self._unread: dict[SlotKey, tuple[CorrectionPlanned, Instant]] = {}
        """Sent, and when it was answered; not read back yet."""
        self.stopped = False

    def let_go(self, waiting: Sequence[CorrectionPlanned]) -> list[CorrectionPlanned]:
        """Those that may be sent now, in their order."""
        limits = self._desk.book.policy.limits
        bold = [each for each in waiting if each.unexplained]
        if self._canary is None and begins(len(bold), limits):
            self._canary = Canary()
            log.warning("canary_began", channel=self._channel.name, waiting=len(bold))
        if self._canary is None or self.stopped:
            return [each for each in waiting if not (self.stopped and each.unexplained)]
        if not bold and not self._unread:
            self._canary = None
        most = None if self._canary is None else may_go(self._canary, limits)
        few = {each.id for each in (bold if most is None else bold[:most])}
        return [each for each in waiting if not each.unexplained or each.id in few]

    async def sent(self, answers: Sequence[WriteAnswer]) -> None:
        """Remember what must be read back before more goes."""
        if self._canary is None or may_go(self._canary, self._desk.book.policy.limits) is None:
            return
        took = [a for a in answers if a.correction.unexplained and a.outcome in TOOK]
        now = self._desk.clock()
        self._unread |= {each.correction.slot: (each.correction, now) for each in took}
        self._canary = went(self._canary, len(took))

    async def wait(self) -> None:
        """Nothing may go until more was read back."""
        await anyio.sleep(LOOK_S)

    async def read_back(self) -> None:
        """Read what was sent, and compare; the first that is not as written stops the rest until a person says."""
        if not self._unread:
            return
        try:
            await self._channel.read_slots(sorted(self._unread), self._desk.page)
        except LedgerFault:
            raise
        except ReconcilerdError as error:
            log.warning("canary_unread", channel=self._channel.name, why=str(error)[:300])
        book = self._desk.book
        rule = book.policy.channels[ChannelName(self._channel.name)]
        for slot, (correction, answered) in list(self._unread.items()):
            track = book.slots[slot]
            seen = track.seen
            if seen is None or seen.as_of < answered or seen.quantity is None:
                late = self._desk.clock() > answered + rule.apply_max_ms
                if late:
                    await self._stop(correction, None)
                continue
            sold = book.orders.known(slot.channel, track.code, correction.based_on, seen.as_of)
            if agrees(correction.read, correction.target, sold, seen.quantity):
                del self._unread[slot]
                if self._canary is not None:
                    self._canary = read_back(self._canary, 1, book.policy.limits)
            elif self._desk.clock() >= answered + (0 if rule.compare_and_set else rule.apply_max_ms):
                await self._stop(correction, seen.quantity)
                return

    async def _stop(self, correction: CorrectionPlanned, read: int | None) -> None:
        self.stopped = True
        self._unread.clear()
        path = correction.slot.path
        what = "was not read back" if read is None else f"was read back as {read}"
        evidence = f"{path} was written {correction.target} and {what}"
        log.error("canary_stopped", channel=self._channel.name, why=evidence)
        name, reason = latch_name(CANARY, self._channel.name), "a first batch of a large change did not take"
        await self._desk.take(
            (RailLatched(name, True, "reconcilerd", reason, self._desk.clock(), evidence),), note="canary"
        )

    def over(self) -> None:
        """All of it went, or the rest was given up; the next large set begins anew."""
        if not self._unread:
            self._canary, self.stopped = None, False
