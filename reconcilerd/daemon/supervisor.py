"""Keeps tasks alive: one that breaks is started again, later each time. Only the ledger's faults end the daemon."""

from collections.abc import Awaitable, Callable

import anyio
import structlog

from reconcilerd.errors import LedgerFault
from reconcilerd.tally import Histogram

log = structlog.get_logger("reconcilerd.supervisor")

FIRST_S = 1.0
CAP_S = 60.0
TICK_S = 2.0


async def keep_alive(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` until it returns, is cancelled, or the ledger fails."""
    pause = FIRST_S
    while True:
        try:
            await work()
        except LedgerFault:
            raise
        except Exception:
            log.exception("task_broke", task=name, again_in_s=pause)
            await anyio.sleep(pause)
            pause = min(CAP_S, pause * 2)
        else:
            return


async def watch_the_loop(lag: Histogram) -> None:
    """Count how much later than due the loop wakes a sleeper: what stalls it delays everything."""
    while True:
        due = anyio.current_time() + TICK_S
        await anyio.sleep(TICK_S)
        lag.observe(anyio.current_time() - due)
