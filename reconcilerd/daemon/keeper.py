"""Lets go of the ledger's oldest entries once a day, in small steps, so that nobody who writes waits for long."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import anyio
import structlog

from reconcilerd.domain.names import Instant, after
from reconcilerd.errors import LedgerFault

log = structlog.get_logger("reconcilerd.keeper")
T = TypeVar("T")

FIRST_S = 600.0
"""A start has better things to do."""
EVERY_S = 86_400.0
REST_S = 0.1
"""Between two steps, each of some tens of milliseconds."""


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

    def drop_records(self, before: Instant) -> int: ...


class Writing(Protocol):
    """Whoever writes the ledger, and does something else with it between two commits."""

    async def between(self, work: Callable[[], T]) -> T: ...


async def keep(writer: Writing, ledger: Compactable, clock: Callable[[], Instant], terms: Terms) -> None:
    """Compact every day, until cancelled. A fault costs a day: whoever writes meets it too, and says so."""
    await anyio.sleep(FIRST_S)
    while True:
        try:
            entries, forgotten, records = await let_go(writer, ledger, clock(), terms)
        except LedgerFault as fault:
            log.error("compaction_failed", why=str(fault))
        else:
            log.info("ledger_compacted", entries=entries, forgotten=forgotten, records=records)
        await anyio.sleep(EVERY_S)


async def let_go(writer: Writing, ledger: Compactable, now: Instant, terms: Terms) -> tuple[int, int, int]:
    """Entries, bygones and records that went. Raises LedgerFault."""
    # Not the anchors that are written meanwhile.
    upto, gone = await writer.between(lambda: ledger.latest_seq), [0, 0, 0]
    steps: tuple[Callable[[], int], ...] = (
        lambda: ledger.compact(after(now, -terms.entries_ms), upto),
        lambda: ledger.forget(after(now, -terms.entries_ms)),
        lambda: ledger.drop_records(after(now, -terms.records_ms)),
    )
    for number, step in enumerate(steps):
        while went := await writer.between(step):
            gone[number] += went
            await anyio.sleep(REST_S)
    return gone[0], gone[1], gone[2]
