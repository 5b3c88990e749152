"""Group commit: callers wait together, one transaction makes all their entries durable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import anyio
from anyio import to_thread

from reconcilerd.domain.facts import Fact
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.store import Ledger
from reconcilerd.tally import Histogram

MAX_BATCH = 64
T = TypeVar("T")


@dataclass(slots=True)
class _Waiting:
    facts: Sequence[Fact]
    note: str
    done: anyio.Event = field(default_factory=anyio.Event)
    seq: int = 0
    fault: LedgerFault | None = None


class Writer:
    """The async face of a ledger. ``inline``: no thread, for virtual time."""

    def __init__(self, ledger: Ledger, *, inline: bool = False) -> None:
        self._ledger = ledger
        self._inline = inline
        self._waiting: list[_Waiting] = []
        self._busy = anyio.Lock()
        self._broken: LedgerFault | None = None
        self.commits = Histogram()
        """Seconds that each transaction took."""
        self._thread = anyio.CapacityLimiter(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            while self._waiting:
                await self._flush()

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        """Write facts as one entry; returns its number once it is durable. Raises LedgerFault.

        A caller that is cancelled leaves its entry in the batch: what was folded must be written. After one fault
        nothing is written any more: memory and ledger have parted, and only a new start brings them together.
        """
        if self._broken is not None:
            raise self._broken
        mine = _Waiting(tuple(facts), note)
        self._waiting.append(mine)
        await self._flush_until(mine)
        if mine.fault is not None:
            raise mine.fault
        return mine.seq

    async def between(self, work: Callable[[], T]) -> T:
        """Do something else with the ledger between two commits, as a whole. Raises LedgerFault."""
        if self._broken is not None:
            raise self._broken
        async with self._busy:
            # A thread is waited for even by a caller that is cancelled.
            return work() if self._inline else await to_thread.run_sync(work, limiter=self._thread)

    async def _flush_until(self, mine: _Waiting) -> None:
        while not mine.done.is_set():
            await self._flush()

    async def _flush(self) -> None:
        async with self._busy:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            if not batch:
                return
            with anyio.CancelScope(shield=True):
                await self._commit(batch)

    async def _commit(self, batch: list[_Waiting]) -> None:
        began_s = anyio.current_time()
        try:
            if self._broken is not None:
                raise self._broken  # these queued while the commit before them failed
            work = [(each.facts, each.note) for each in batch]
            if self._inline:
                numbers = self._ledger.append_all(work)
            else:
                numbers = await to_thread.run_sync(self._ledger.append_all, work, limiter=self._thread)
            for each, seq in zip(batch, numbers, strict=True):
                each.seq = seq
        except BaseException as error:
            # Whatever it was, nothing of the batch is durable: nobody may go on as if it were.
            self._broken = error if isinstance(error, LedgerFault) else _bug(error)
            for each in batch:
                each.fault = self._broken
            if not isinstance(error, Exception):
                raise
        finally:
            self.commits.observe(anyio.current_time() - began_s)
            for each in batch:
                each.done.set()


def _bug(error: BaseException) -> LedgerFault:
    fault = LedgerFault(f"an entry could not be written ({type(error).__name__}: {error}); start again")
    fault.__cause__ = error
    return fault
