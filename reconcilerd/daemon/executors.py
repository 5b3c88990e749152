"""Carries corrections out: one bounded executor per channel, with nothing left to decide.

Before each batch it looks once more for a reason not to: a newer reading, or a rule of ours that the write breaks;
before each call, after all waiting, for the STOP file, a freeze and a broken invariant. Each answer is written down;
what the channel did not confirm is read again. Where very many changes wait, or went lately, that orders do not
explain, they go in small batches first, each read back before the next. What orders explain never waits for that.
"""

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from reconcilerd.connectors.port import Channel, WriteAnswer
from reconcilerd.daemon.canaries import LOOK_S, Canaries
from reconcilerd.daemon.desk import Desk, sku_on
from reconcilerd.daemon.supervisor import ledger_fault
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, InvariantBroken, Outcome
from reconcilerd.domain.invariants import breach_of, check_write
from reconcilerd.domain.latches import CANARY, latch_name
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.domain.plan import Wants
from reconcilerd.errors import Denied, LedgerFault, OutcomeUnknown, ReconcilerdError, Refused
from reconcilerd.transport.progress import heard, idle, rest

log = structlog.get_logger("reconcilerd.executors")

DENIED_REST_S = 30.0
NOT_READ_BACK = "a first batch was not read back"
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
        """The one that all wait for; once nothing is queued or under way it is set, and there is another."""

    @property
    def idle(self) -> bool:
        return not self._queue and not self._busy

    async def drained(self) -> None:
        """Wait until nothing is queued or under way."""
        while not self.idle:
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
                await self._until_filled()
            heard()
            await self.work_once()
            if self._denied:
                await rest(DENIED_REST_S)

    async def _until_filled(self) -> None:
        """Wait for work, but not with reading back: the later it is, the more has sold since."""
        self._filled = anyio.Event()
        if self._canaries.unread:
            with anyio.move_on_after(LOOK_S):
                await self._filled.wait()
        else:
            idle()
            await self._filled.wait()

    async def work_once(self) -> None:
        """Send one batch of what waits; or read back what a large set of changes waits for."""
        self._busy, self._denied = True, False
        try:
            if self._canaries.unread:
                await self._read_back()
                await self._canaries.judge()
            sent = await self._hand_over(self._canaries.let_go(self._waiting()))
            if self._canaries.stopped:
                await self._give_up()
            elif self._queue and not sent:
                await self._canaries.wait()
            if not self._queue:
                self._canaries.over()
        finally:
            self._busy = False
            if self.idle:
                self._rested.set()
                self._rested = anyio.Event()

    def _waiting(self) -> list[CorrectionPlanned]:
        """What is queued: first what orders explain, and of each kind the lowers."""
        return sorted(self._queue.values(), key=lambda c: (c.unexplained > 0, c.target >= c.read, c.at))

    async def _read_back(self) -> None:
        """Read what was sent. What orders explain goes meanwhile: a throttled channel keeps a reading for minutes.

        Neither is ended for the other: a reading that is begun anew each time something sells might never end.
        """
        read = anyio.Event()

        async def beside() -> None:
            await self._canaries.read()
            read.set()
            self._filled.set()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(beside)
                while not read.is_set():
                    self._filled = anyio.Event()
                    explained = [each for each in self._waiting() if not each.unexplained]
                    if not await self._hand_over(explained):
                        await self._filled.wait()
        except ExceptionGroup as broke:
            raise ledger_fault(broke) or broke from None

    async def _hand_over(self, some: Sequence[CorrectionPlanned]) -> bool:
        """Send one batch of these, and answer what was replaced; whether there was anything to do."""
        # Credentials that were just refused are left in peace for a while.
        batch = () if self._denied else some[: self._channel.batch_max]
        for correction in batch:
            del self._queue[correction.slot]
        if not batch and not self._replaced:
            return False
        await self._canaries.sent(await self._send(batch))
        return True

    async def _give_up(self) -> None:
        """A first batch was not read back as written: what orders do not explain of the rest is not sent."""
        rest = [each for each in self._queue.values() if each.unexplained]
        for correction in rest:
            del self._queue[correction.slot]
        self._canaries.over()
        await self._answer(_all(rest, Outcome.NOT_SENT, NOT_READ_BACK), self._desk.clock())

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
        if correction.unexplained and not correction.released and self._latched:
            return NOT_READ_BACK
        track = book.slots[correction.slot]
        moved = track.as_of > track.based_on(correction) and track.value != correction.read
        other = track.write is None or track.write.id != correction.id
        return "a newer reading came" if moved or other else None

    @property
    def _latched(self) -> bool:
        """Whether a first batch did not take, here or as another plan was on its way, and nobody has looked yet."""
        latch = self._desk.book.latches.known.get(latch_name(CANARY, self._channel.name))
        return latch is not None and latch.holds(self._desk.clock())

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
