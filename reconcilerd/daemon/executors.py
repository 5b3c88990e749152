"""Carries corrections out: one bounded executor per channel, with nothing left to decide.

Before each batch it looks once more for a reason not to: a newer reading, or a rule of ours that the write breaks;
before each call, after all waiting, for the STOP file, a freeze and a broken invariant. Each answer is written down;
what the channel did not confirm is read again.
"""

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from reconcilerd.connectors.port import Channel, WriteAnswer
from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, InvariantBroken, Outcome
from reconcilerd.domain.invariants import breach_of, check_write
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.domain.plan import Wants
from reconcilerd.errors import Denied, LedgerFault, OutcomeUnknown, ReconcilerdError, Refused

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
    ) -> None:
        """``stopped``: why nothing may be written now; ``on_denied``: why credentials are refused, or None."""
        self._channel = channel
        self._desk = desk
        self._stopped = stopped
        self._on_denied = on_denied
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
                await self._filled.wait()
            await self.work_once()
            if self._denied:
                await anyio.sleep(DENIED_REST_S)
                self._denied = False

    async def work_once(self) -> None:
        """Send one batch of what waits, lowers first."""
        self._busy = True
        try:
            batch = sorted(self._queue.values(), key=lambda c: (c.target >= c.read, c.at))
            batch = batch[: self._channel.batch_max]
            for correction in batch:
                del self._queue[correction.slot]
            await self._send(batch)
        finally:
            self._busy = False
            if self.idle:
                self._rested.set()

    async def _send(self, batch: Sequence[CorrectionPlanned]) -> None:
        sent = self._desk.clock()
        why = self._stopped(self._channel.name)
        fit = [] if why else [each for each in batch if not self._superseded(each)]
        if await self._breached(fit, sent):
            fit, why = [], "an invariant was broken"
        unfit = [
            WriteAnswer(c, Outcome.NOT_SENT, why or "a newer reading came") for c in batch if c not in fit
        ]
        replaced, self._replaced = self._replaced, []
        unfit += [WriteAnswer(c, Outcome.NOT_SENT, "a newer correction came") for c in replaced]
        answers = [*unfit, *(await self._write(fit) if fit else ())]
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

    def _superseded(self, correction: CorrectionPlanned) -> bool:
        track = self._desk.book.slots[correction.slot]
        moved = track.as_of > correction.based_on and track.value != correction.read
        return moved or track.write is None or track.write.id != correction.id

    async def _write(self, fit: Sequence[CorrectionPlanned]) -> tuple[WriteAnswer, ...]:
        try:
            answers = await self._channel.write(fit, fit[0].id, lambda: self._stopped(self._channel.name))
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
