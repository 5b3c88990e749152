"""A copy of a ledger's file: how one is made beside a running writer, and what one is."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerAbsent, LedgerFault
from reconcilerd.ledger.disk import log_of, room
from reconcilerd.ledger.identity import give_identity, head_of
from reconcilerd.ledger.reader import ANOTHER, Reader, faults, open_reader, read_only
from reconcilerd.ledger.versions import applied_to, is_begun, not_ours, programs_of

NOTHING_YET = "holds nothing yet; name a copy of one that a daemon has written"
BUSY_S = 5.0
"""So long readers of an older moment may take to end."""
STEP_PAGES = 256
"""Pages copied at once: a megabyte."""
STEP_PAUSE_S = 0.005
"""Between two steps the disk is the writer's."""
SPARE_BYTES = 16 * 1024 * 1024
"""A copy leaves at least so much of the disk."""
APPLICATION = 0x52434E42
"""Stands in the head of each file that ``copy_of`` made, so that nothing else is ever deleted for one."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a proven ledger file is. ``at``: of its last entry; None where it has none."""

    entries: int
    head: str
    at: Instant | None
    anchor: int
    """Entries up to this one were compacted away; 0: none."""
    bytes: int
    schema: tuple[str, ...]
    program: str | None
    """The last version of this program that opened it for writing, where that was written down."""


def inspect(path: Path) -> Inspected:
    """What a file is, all of it proven. Raises LedgerFault with what is wrong with it."""
    if not path.is_file():
        raise LedgerFault(f"{path}: there is no such file")
    with faults(path, ANOTHER), closing(read_only(path)) as connection:
        if other := not_ours(connection):
            raise LedgerFault(f"{path}: {other}")
        if not is_begun(connection):
            raise LedgerAbsent(f"{path}: {NOTHING_YET}")
        sound(path, connection)
        reader = Reader(path, connection)
        proof = reader.verify()
        if not proof.ok:
            raise LedgerFault(f"{path}: broken at entry {proof.first_bad}: {proof.why}")
        last = connection.execute("select at from entries order by seq desc limit 1").fetchone()
        programs = programs_of(connection)
        return Inspected(
            entries=proof.entries,
            head=proof.head,
            at=Instant(last[0]) if last else None,
            anchor=proof.anchor,
            bytes=path.stat().st_size,
            schema=applied_to(connection),
            program=programs[-1] if programs else None,
        )


def sound(path: Path, connection: sqlite3.Connection) -> None:
    """Whether SQLite finds its own structures whole. Raises LedgerFault."""
    with faults(path, ANOTHER):
        (word,) = connection.execute("pragma integrity_check(1)").fetchone()
    if word != "ok":
        raise LedgerFault(f"{path}: the file is damaged ({str(word)[:200]})")


def copy_of(ledger: Path, target: Path, rest: Callable[[float], None]) -> bytes:
    """Copy one moment of a ledger to a file that does not exist yet; returns the hash of its last entry then.

    The copy is ours alone (0600) before it holds a byte, one file without a log beside it, and on the disk when this
    returns. Whoever writes the ledger meanwhile goes on; only its log grows until the copy is done. ``rest`` is given
    seconds to sleep between steps. Raises LedgerFault; then nothing is left of the copy.
    """
    must_be_there(ledger)
    _must_fit(ledger, target)
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise LedgerFault(f"{target}: cannot be created ({error.strerror}); check the folder") from error
    try:
        with faults(ledger), closing(read_only(ledger)) as source:
            # One moment of it: a copy in steps would begin anew with every commit of another process.
            source.execute("begin")
            head = Reader(ledger, source).head_hash
            _pages(source, target, rest)
        _to_disk(target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise LedgerFault(f"{target}: cannot be written ({error.strerror})") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return head


def must_be_there(ledger: Path) -> None:
    """Raises LedgerFault where there is no ledger."""
    if not ledger.is_file():
        raise LedgerAbsent(f"{ledger}: there is no ledger yet; start the daemon first")
    open_reader(ledger).close()


def _pages(source: sqlite3.Connection, target: Path, rest: Callable[[float], None]) -> None:
    with faults(target), closing(sqlite3.connect(target, isolation_level=None)) as copy:
        copy.execute("pragma synchronous = off")  # it is brought to the disk once, at the end
        source.backup(copy, pages=STEP_PAGES, progress=lambda *_: rest(STEP_PAUSE_S))
        copy.execute("pragma journal_mode = delete")
        copy.execute(f"pragma application_id = {APPLICATION}")


def _to_disk(path: Path) -> None:
    _synced(path, os.O_RDWR)
    names_to_disk(path.parent)


def names_to_disk(folder: Path) -> None:
    """Have the names in a folder outlast a power cut as they are now. Raises OSError."""
    _synced(folder, os.O_RDONLY | os.O_DIRECTORY)


def _synced(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fold_log(ledger: Path) -> None:
    """Write the log of a ledger that nobody writes back into its file, which is the whole ledger then, with or without.

    One that SQLite cannot read has nothing that could be written back, and stays as it is. Raises LedgerFault.
    """
    if not log_of(ledger).exists():
        return
    with faults(ledger):
        if not _can_be_read(ledger):
            return
        with closing(sqlite3.connect(ledger, timeout=BUSY_S, isolation_level=None)) as connection:
            _, frames, back = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    if back != frames:
        raise LedgerFault(f"{ledger}: another program reads it; nothing was changed. Let it end, start again")


def _can_be_read(ledger: Path) -> bool:
    """Looked at without a right to write: SQLite removes the log of what it finds empty, or cannot read."""
    if not head_of(ledger):
        return False
    try:
        with closing(read_only(ledger)) as connection:
            connection.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        # The code of its kind stands in the lowest byte.
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            return False
        raise
    return True


def renew_identity(copy: Path) -> None:
    """Make a copy that nobody has open a ledger of its own. Raises LedgerFault."""
    with faults(copy), closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        give_identity(connection)


def into_place(made: Path, final: Path) -> None:
    """Give a file its final name, in one step, on the disk. Raises LedgerFault."""
    try:
        made.replace(final)
        _to_disk(final)
    except OSError as error:
        raise LedgerFault(f"{final}: cannot be put there ({error.strerror})") from error


def made_by_us(path: Path) -> bool:
    """Whether the head of a file says that ``copy_of`` made it."""
    return head_of(path)[68:72] == APPLICATION.to_bytes(4, "big")


def _must_fit(ledger: Path, target: Path) -> None:
    takes, there = room(ledger), room(target)
    needed = takes.database + takes.log + SPARE_BYTES
    if there.free < needed:
        raise LedgerFault(
            f"{target.parent}: {there.free >> 20} MiB are free and a copy takes {needed >> 20}; "
            "free space, or name another folder"
        )
