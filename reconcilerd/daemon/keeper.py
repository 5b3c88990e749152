"""Lets go of the ledger's oldest entries once a day, in small steps, so that nobody who writes waits for long."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol, TypeVar

import anyio
import structlog
from anyio import to_thread

from reconcilerd.domain.names import Instant, OrderKey, after
from reconcilerd.errors import LedgerFault

log = structlog.get_logger("reconcilerd.keeper")
T = TypeVar("T")
Ended = dict[OrderKey, set[str]]
"""Orders, and what their sides are about."""
Aside = Callable[[Callable[[], Ended]], Awaitable[Ended]]

FIRST_S = 600.0
"""A start has better things to do."""
EVERY_S = 86_400.0
REST_S = 0.1
"""Between two steps, each of some tens of milliseconds."""
STEP_ORDERS = 200


@dataclass(frozen=True, slots=True)
class Terms:
    """How long entries are kept, and what decisions looked at."""

    entries_ms: int
    records_ms: int


class Compactable(Protocol):
    """A ledger that can let go."""

    @property
    def latest_seq(self) -> int: ...

    def compact(self, before: Instant, upto: int) -> int: ...

    def forget(self, before: Instant) -> int: ...

    def ended_orders(self, before: Instant) -> dict[OrderKey, set[str]]: ...

    def forget_orders(self, ended: Mapping[OrderKey, set[str]]) -> int: ...

    def drop_records(self, before: Instant) -> int: ...


class Writing(Protocol):
    """Whoever writes the ledger, and does something else with it between two commits."""

    async def between(self, work: Callable[[], T]) -> T: ...


async def keep(
    writer: Writing,
    ledger: Compactable,
    clock: Callable[[], Instant],
    terms: Terms,
    aside: Aside = to_thread.run_sync,
) -> None:
    """Compact every day, until cancelled. A fault costs a day: whoever writes meets it too, and says so.

    ``aside``: does what takes long, while others go on.
    """
    await anyio.sleep(FIRST_S)
    while True:
        try:
            entries, forgotten, records = await let_go(writer, ledger, clock(), terms, aside)
        except LedgerFault as fault:
            log.error("compaction_failed", why=str(fault))
        else:
            log.info("ledger_compacted", entries=entries, forgotten=forgotten, records=records)
        await anyio.sleep(EVERY_S)


async def let_go(
    writer: Writing,
    ledger: Compactable,
    now: Instant,
    terms: Terms,
    aside: Aside = to_thread.run_sync,
) -> tuple[int, int, int]:
    """Entries, bygones and records that went. Raises LedgerFault."""
    # Not the anchors that are written meanwhile.
    upto, gone = await writer.between(lambda: ledger.latest_seq), [0, 0, 0]
    before = after(now, -terms.entries_ms)
    steps: tuple[Callable[[], int], ...] = (
        lambda: ledger.compact(before, upto),
        lambda: ledger.forget(before),
        lambda: ledger.drop_records(after(now, -terms.records_ms)),
    )
    for number, step in enumerate(steps):
        while went := await writer.between(step):
            gone[number] += went
            await anyio.sleep(REST_S)
    ended = iter((await aside(lambda: ledger.ended_orders(before))).items())
    while some := dict(islice(ended, STEP_ORDERS)):
        gone[1] += await writer.between(partial(ledger.forget_orders, some))
        await anyio.sleep(REST_S)
    return gone[0], gone[1], gone[2]
