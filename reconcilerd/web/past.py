"""What a ledger holds, read on a thread and a connection of its own beside the daemon that writes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from reconcilerd.daemon.turns import Readers
from reconcilerd.ledger.reader import open_reader
from reconcilerd.web.passed import Passed, PassedOf, passed
from reconcilerd.web.sku import Past, Row


def past_of(ledger: Path, readers: Readers) -> Past:
    """One reading at a time, however many ask. ``readers``: where it is told that somebody reads."""
    one = CapacityLimiter(1)

    async def past(subjects: Sequence[tuple[str, str]], each: int, before: int | None = None) -> list[Row]:
        with readers.one():
            return await to_thread.run_sync(partial(_read, ledger, subjects, each, before), limiter=one)

    return past


def passed_of(ledger: Path, readers: Readers) -> PassedOf:
    """The same for one pass."""
    one = CapacityLimiter(1)

    def read(id_: str, entry: int | None, page: int) -> Passed:
        reader = open_reader(ledger)
        try:
            return passed(reader, id_, entry, page)
        finally:
            reader.close()

    async def told(id_: str, entry: int | None, page: int) -> Passed:
        with readers.one():
            return await to_thread.run_sync(read, id_, entry, page, limiter=one)

    return told


def _read(ledger: Path, subjects: Sequence[tuple[str, str]], each: int, before: int | None) -> list[Row]:
    reader = open_reader(ledger)
    try:
        return reader.histories(subjects, each, before)
    finally:
        reader.close()
