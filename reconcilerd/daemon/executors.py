"""Carries corrections out: one bounded executor per channel, with nothing left to decide.

Before each batch it looks once more for a reason not to: a newer reading, or a rule of ours that the write breaks;
before each call, after all waiting, for the STOP file, a freeze and a broken invariant. Each answer is written down;
what the channel did not confirm is read again. Where very many changes wait that orders do not explain, they go in
small batches first, each read back before the next.
"""

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from reconcilerd.connectors.port import Channel, WriteAnswer
from reconcilerd.daemon.canaries import Canaries
from reconcilerd.daemon.desk import Desk, sku_on
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, InvariantBroken, Outcome
from reconcilerd.domain.invariants import breach_of, check_write
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.domain.plan import Wants
from reconcilerd.errors import Denied, LedgerFault, OutcomeUnknown, ReconcilerdError, Refused
from reconcilerd.transport.progress import heard, idle, rest

log = structlog.get_logger("reconcilerd.executors")

DENIED_REST_S = 30.0
READ_BACK = frozenset({Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.STALE, Outcome.REFUSED})


class Executor:
    """The queue and worker of one channel. A slot has at most one correction waiting."""

    def __init__(
        self,
        channel: Channel,
        desk: Desk,
        stopped: Callable[[str], str | None],
        on_denied: Callable[[str, str | None], Awaitable[None]],
        barred: Callable[[CorrectionPlanned], str | None] = lambda _: None,
    ) -> None:
        """``stopped``: why nothing may be written now; ``barred``: why one correction may not, though others may;
        ``on_denied``: why credentials are refused, or None.
        """
        self._channel = channel
        self._desk = desk
        self._stopped = stopped
        self._on_denied = on_denied
        self._barred = barred
        self._canaries = Canaries(channel, desk)
        self._queue: dict[SlotKey, CorrectionPlanned] = {}
        self._replaced: list[CorrectionPlanned] = []
        """Taken out of the queue by a newer correction of the same slot; their answer is still owed."""
        self._filled = anyio.Event()
        self._busy = False
        self._denied = False
        self._rested = anyio.Event()

    @property
    def idle(self) -> bool:
        return not self._queue and not self._busy

    async def drained(self) -> None:
        """Wait until nothing is queued or under way."""
        while not self.idle:
            self._rested = anyio.Event()
            await self._rested.wait()

    @property
    def queued(self) -> int:
        return len(self._queue)

    def put(self, corrections: Sequence[CorrectionPlanned]) -> None:
        if not corrections:
            return
        for correction in corrections:
            older = self._queue.pop(correction.slot, None)
            if older is not None:
                self._replaced.append(older)
            self._queue[correction.slot] = correction
        self._filled.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            if not self._queue:
                self._filled = anyio.Event()
                idle()
                await self._filled.wait()
            heard()
            await self.work_once()
            if self._denied:
                await rest(DENIED_REST_S)
                self._denied = False

    async def work_once(self) -> None:
        """Send one batch of what waits, lowers first; or read back what a large set of changes waits for."""
        self._busy = True
        try:
            await self._canaries.read_back()
            waiting = sorted(self._queue.values(), key=lambda c: (c.target >= c.read, c.at))
            batch = self._canaries.let_go(waiting)[: self._channel.batch_max]
            for correction in batch:
                del self._queue[correction.slot]
            if self._canaries.stopped:
                await self._give_up()
            if batch or self._replaced:
                await self._canaries.sent(await self._send(batch))
            elif self._queue:
                await self._canaries.wait()
            if not self._queue:
                self._canaries.over()
        finally:
            self._busy = False
            if self.idle:
                self._rested.set()

    async def _give_up(self) -> None:
        """A first batch was not read back as written: what orders do not explain of the rest is not sent."""
        rest = [each for each in self._queue.values() if each.unexplained]
        for correction in rest:
            del self._queue[correction.slot]
        self._canaries.over()
        await self._answer(
            _all(rest, Outcome.NOT_SENT, "a first batch was not read back"), self._desk.clock()
        )

    async def _send(self, batch: Sequence[CorrectionPlanned]) -> tuple[WriteAnswer, ...]:
        sent = self._desk.clock()
        why = self._stopped(self._channel.name)
        reasons = {each.id: why or self._unfit(each) for each in batch}
        fit = [each for each in batch if reasons[each.id] is None]
        if await self._breached(fit, sent):
            fit, reasons = [], {each.id: reasons[each.id] or "an invariant was broken" for each in batch}
        unfit = [WriteAnswer(c, Outcome.NOT_SENT, reasons[c.id] or "") for c in batch if c not in fit]
        replaced, self._replaced = self._replaced, []
        unfit += [WriteAnswer(c, Outcome.NOT_SENT, "a newer correction came") for c in replaced]
        answers = (*unfit, *(await self._write(fit) if fit else ()))
        await self._answer(answers, sent)
        return answers

    async def _answer(self, answers: Sequence[WriteAnswer], sent: Instant) -> None:
        now = self._desk.clock()
        facts = [
            CorrectionSent(a.correction.id, a.correction.slot, self._meant(a), a.detail[:300], sent, now)
            for a in answers
        ]
        await self._desk.take(facts)
        for fact in facts:
            log.info(
                "correction_answered",
                id=fact.id,
                sku=sku_on(self._desk.book, fact.slot),
                channel=fact.slot.channel,
                slot=fact.slot.path,
                outcome=fact.outcome,
                detail=fact.detail,
            )
        self._desk.want(Wants(slots=frozenset(f.slot for f in facts if f.outcome in READ_BACK)))

    def _meant(self, answer: WriteAnswer) -> Outcome:
        """Only where a write compares and applies at once is its answer as good as a reading."""
        rule = self._desk.book.policy.channels[ChannelName(self._channel.name)]
        accepted = answer.outcome is Outcome.APPLIED and not rule.compare_and_set
        return Outcome.ACCEPTED if accepted else answer.outcome

    async def _breached(self, fit: Sequence[CorrectionPlanned], at: Instant) -> bool:
        """Whether one of these may not be sent by our own rules: a bug, which stops every write from here on."""
        slots, broke = self._desk.book.slots, list[InvariantBroken]()
        for each in fit:
            found = check_write(each, slots[each.slot], at)
            if found:
                decided = {"correction": each, "track": slots[each.slot]}
                broke.append(breach_of(f"write-{each.id}", each.slot.path, found, decided, at))
                log.critical(
                    "invariant_broken", id=broke[-1].id, slot=each.slot.path, broken=broke[-1].broken
                )
        if broke:
            await self._desk.take(broke, note="breach")
        return bool(broke)

    def _unfit(self, correction: CorrectionPlanned) -> str | None:
        return self._superseded(correction) or self._barred(correction)

    def _withheld(self, fit: Sequence[CorrectionPlanned]) -> str | None:
        """Asked right before each call leaves."""
        why = self._stopped(self._channel.name)
        return why or next((reason for each in fit if (reason := self._barred(each))), None)

    def _superseded(self, correction: CorrectionPlanned) -> str | None:
        """Why a correction is not sent any more, if so."""
        book = self._desk.book
        if correction.released in book.words.revoked:
            return "its approval was revoked"
        track = book.slots[correction.slot]
        moved = track.as_of > correction.based_on and track.value != correction.read
        other = track.write is None or track.write.id != correction.id
        return "a newer reading came" if moved or other else None

    async def _write(self, fit: Sequence[CorrectionPlanned]) -> tuple[WriteAnswer, ...]:
        try:
            began = self._desk.clock()
            answers = await self._channel.write(fit, fit[0].id, lambda: self._withheld(fit))
            self._desk.counts.spent("write", self._desk.clock() - began)
            await self._on_denied(self._channel.name, None)
            return answers
        except LedgerFault:
            raise
        except Denied as error:
            # No fault of any of these writes: the channel is left in peace, not each of its listings.
            await self._on_denied(self._channel.name, str(error))
            self._denied = True
            return _all(fit, Outcome.NOT_SENT, str(error))
        except OutcomeUnknown as error:
            return _all(fit, Outcome.UNKNOWN, str(error))
        except Refused as error:
            return _all(fit, Outcome.REFUSED, str(error))
        except ReconcilerdError as error:
            # The call may have left before it broke: only a reading can tell.
            return _all(fit, Outcome.UNKNOWN, str(error))
        except Exception as error:
            # A bug of ours must not leave writes without an answer: they would count as under way for ever.
            log.exception("write_failed", channel=self._channel.name)
            return _all(fit, Outcome.UNKNOWN, f"a bug: {type(error).__name__}")


def _all(fit: Sequence[CorrectionPlanned], outcome: Outcome, detail: str) -> tuple[WriteAnswer, ...]:
    return tuple(WriteAnswer(correction, outcome, detail) for correction in fit)
