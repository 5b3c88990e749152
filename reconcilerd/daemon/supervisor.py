"""Keeps tasks alive: one that breaks is started again, later each time. Only the ledger's faults end the daemon.

The watch hears of each while it gets on; see ``transport.progress``.
"""

from collections.abc import Awaitable, Callable

import anyio
import structlog

from reconcilerd.errors import LedgerFault
from reconcilerd.tally import Histogram
from reconcilerd.transport.progress import Watch, heard, rest

log = structlog.get_logger("reconcilerd.supervisor")

FIRST_S = 1.0
CAP_S = 60.0
TICK_S = 2.0


async def keep_alive(name: str, work: Callable[[], Awaitable[None]], watch: Watch | None = None) -> None:
    """Run ``work`` until it returns, is cancelled, or the ledger fails."""
    if watch is not None:
        with watch.task(name):
            return await keep_alive(name, work)
    pause = FIRST_S
    while True:
        try:
            heard()
            await work()
        except Exception as error:
            fault = ledger_fault(error)
            if fault is not None:
                raise fault from None
            log.exception("task_broke", task=name, again_in_s=pause)
            await rest(pause)
            pause = min(CAP_S, pause * 2)
        else:
            return None


def ledger_fault(error: BaseException) -> LedgerFault | None:
    """What the ledger had to say, however deep in the tasks it was said."""
    if isinstance(error, BaseExceptionGroup):
        return next((fault for each in error.exceptions if (fault := ledger_fault(each)) is not None), None)
    return error if isinstance(error, LedgerFault) else None


async def watch_the_loop(lag: Histogram) -> None:
    """Count how much later than due the loop wakes a sleeper: what stalls it delays everything."""
    while True:
        due = anyio.current_time() + TICK_S
        await anyio.sleep(TICK_S)
        lag.observe(anyio.current_time() - due)
