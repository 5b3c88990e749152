"""The daemon lets go of old entries once a day, whatever a day before went wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio

from reconcilerd.daemon.keeper import EVERY_S, FIRST_S, STEP_ORDERS, Ended, Terms, keep
from reconcilerd.domain.names import ChannelName, Instant, OrderKey
from reconcilerd.errors import LedgerFault
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.trial.stage import START

T = TypeVar("T")
DAY_MS = 86_400_000
DAYS = 12


@dataclass
class Shelf:
    """A ledger that gains entries and records by the day; on some days it fails."""

    entries: list[Instant] = field(default_factory=list)
    bygones: list[Instant] = field(default_factory=list)
    orders: list[Instant] = field(default_factory=list)
    records: list[Instant] = field(default_factory=list)
    failing: bool = False

    @property
    def latest_seq(self) -> int:
        return 10**9

    async def between(self, work: Callable[[], T]) -> T:
        return work()

    def compact(self, before: Instant, upto: int) -> int:
        return self._oldest(self.entries, before)

    def forget(self, before: Instant) -> int:
        return self._oldest(self.bygones, before)

    def ended_orders(self, before: Instant) -> Ended:
        old = [each for each in self.orders if each < before]
        return {OrderKey(ChannelName("uk"), str(each)): {str(each)} for each in old}

    def forget_orders(self, ended: Mapping[OrderKey, set[str]]) -> int:
        assert len(ended) <= STEP_ORDERS
        self.orders = [each for each in self.orders if {str(each)} not in ended.values()]
        return len(ended)

    def drop_records(self, before: Instant) -> int:
        return self._oldest(self.records, before)

    def _oldest(self, rows: list[Instant], before: Instant) -> int:
        if self.failing:
            raise LedgerFault("the disk is full")
        if rows and rows[0] < before:
            del rows[0]
            return 1
        return 0


async def at_once(work: Callable[[], Ended]) -> Ended:
    return work()


def test_what_is_too_old_goes_within_a_day_and_a_fault_costs_a_day() -> None:
    clock, shelf, terms = VirtualClock(START), Shelf(), Terms(5 * DAY_MS, 2 * DAY_MS)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(keep, shelf, shelf, clock, terms, at_once))
            await anyio.sleep(FIRST_S + 1)
            for day in range(DAYS):
                shelf.failing = day in {7, 8}
                now = clock()
                for rows in (shelf.entries, shelf.bygones, shelf.records):
                    rows += [Instant(now + each) for each in range(3)]
                shelf.orders += [Instant(now + each) for each in range(2 * STEP_ORDERS + 1)]
                await anyio.sleep(EVERY_S)
                slack = DAY_MS * (3 if day in {7, 8} else 1) + 60_000
                assert min(shelf.entries) > clock() - terms.entries_ms - slack
                assert min(shelf.bygones) > clock() - terms.entries_ms - slack
                assert min(shelf.orders) > clock() - terms.entries_ms - slack
                assert min(shelf.records) > clock() - terms.records_ms - slack
            group.cancel_scope.cancel()

    run_virtual(main)
    assert len(shelf.entries) >= 15
    assert len(shelf.records) >= 6
