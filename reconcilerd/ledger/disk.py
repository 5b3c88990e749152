"""How much room there is, and how much of it a ledger takes."""

import os
from dataclasses import dataclass
from pathlib import Path

from reconcilerd.errors import LedgerFault

LOW_PERCENT = 5
"""Below this part of a disk free, somebody should know."""
WAL_BYTES = 64 * 1024 * 1024
"""What is left of the log after it was written back into the file; it grows beyond only under a long reading."""


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of the disk that a path is on (those that we may use), and of the ledger there."""

    total: int
    free: int
    database: int
    log: int

    @property
    def free_percent(self) -> float:
        """What is left, of all that we could use: what a disk keeps for root is nobody's here."""
        return 100 * self.free / self.total if self.total else 100.0

    @property
    def low(self) -> bool:
        return self.free_percent < LOW_PERCENT


def log_of(ledger: Path) -> Path:
    """Its write-ahead log."""
    return ledger.with_name(f"{ledger.name}-wal")


def files_of(ledger: Path) -> tuple[Path, Path, Path]:
    """The file, its log, and the index of that: together they are the ledger while somebody has it open."""
    return ledger, log_of(ledger), ledger.with_name(f"{ledger.name}-shm")


def room(ledger: Path) -> Room:
    """What a ledger takes, and what is left beside it. Raises LedgerFault where its folder cannot be asked."""
    try:
        disk = os.statvfs(ledger.parent)
    except OSError as error:
        raise LedgerFault(f"{ledger.parent}: cannot be asked for its room ({error.strerror})") from error
    return Room(
        total=(disk.f_blocks - disk.f_bfree + disk.f_bavail) * disk.f_frsize,
        free=disk.f_bavail * disk.f_frsize,
        database=size_of(ledger),
        log=size_of(log_of(ledger)),
    )


def size_of(path: Path) -> int:
    """Bytes of a file; of one that is not there: none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
