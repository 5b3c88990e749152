"""A task that stalls the loop is seen by how late others come to what is due."""

import time

import anyio
import anyio.lowlevel
import pytest

from reconcilerd.daemon import supervisor
from reconcilerd.daemon.supervisor import watch_the_loop
from reconcilerd.errors import LedgerFault
from reconcilerd.tally import Histogram


async def test_what_stalls_the_loop_is_counted_as_its_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "TICK_S", 0.01)
    lag = Histogram()
    async with anyio.create_task_group() as group:
        group.start_soon(watch_the_loop, lag)
        await anyio.lowlevel.checkpoint()
        time.sleep(0.3)  # noqa: ASYNC251 - the stall itself
        while not lag.count:
            await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    above = lag.bounds.index(0.25)
    assert sum(lag.counts[above + 1 :]) == 1


@pytest.mark.parametrize("deep", [0, 1, 3])
async def test_a_fault_of_the_ledger_ends_the_daemon_however_deep_in_its_tasks_it_is_met(deep: int) -> None:
    async def work(left: int = deep) -> None:
        if not left:
            raise LedgerFault("the disk is full")
        async with anyio.create_task_group() as group:
            group.start_soon(work, left - 1)
            group.start_soon(anyio.sleep_forever)

    with pytest.raises(LedgerFault, match="the disk is full"), anyio.fail_after(30):
        await supervisor.keep_alive("alerts", work)
