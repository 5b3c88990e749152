"""How the ledger's keep stands: its room, its last good backup, and what a person should know of either."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from reconcilerd.domain.facts import LedgerAnchored
from reconcilerd.domain.names import Instant, format_instant
from reconcilerd.ledger.backups import Backup, last_backup, overdue
from reconcilerd.ledger.disk import Room, room

PUT_BACK: Final = (
    "move the file back, with its -wal and -shm, before anything is stopped; if it was deleted: stop the daemon, "
    "reconcilerd restore FILE --replace"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """``compacted``: entries up to this one are gone. ``warnings``: a sentence each, with what to do."""

    entries: int
    compacted: int
    backup: Backup | None
    room: Room
    warnings: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """The same as an answer gives it; sizes in bytes."""
        backup = self.backup
        return {
            "entries": self.entries,
            "compacted": self.compacted,
            "bytes": self.room.database,
            "log_bytes": self.room.log,
            "disk_free_bytes": self.room.free,
            "disk_bytes": self.room.total,
            "backup": None if backup is None else {"at": format_instant(backup.at), "file": backup.file},
            "warnings": list(self.warnings),
        }


class Kept(Protocol):
    """What is asked of a ledger."""

    path: Path

    @property
    def astray(self) -> str: ...

    @property
    def latest_seq(self) -> int: ...

    @property
    def began(self) -> Instant | None: ...

    @property
    def anchor(self) -> LedgerAnchored | None: ...


def standing_of(reader: Kept, now: Instant) -> Standing:
    """How a ledger stands. Raises LedgerFault."""
    backup, space, anchor = last_backup(reader.path), room(reader.path), reader.anchor
    warnings = tuple(_warnings(reader, backup, space, now))
    return Standing(reader.latest_seq, anchor.through if anchor else 0, backup, space, warnings)


def _warnings(reader: Kept, backup: Backup | None, space: Room, now: Instant) -> Iterator[str]:
    if reader.astray:
        yield f"{reader.astray}, and the daemon writes into the one that was there: {PUT_BACK}"
    began = reader.began
    # A ledger whose oldest entries were compacted away began earlier than it shows.
    if backup is not None and began is not None and reader.anchor is None and began > backup.at:
        yield (
            f"the ledger was begun anew at {format_instant(began)}, and a backup is older: if the one before "
            f"was lost, stop the daemon and run: reconcilerd restore {backup.file} --replace"
        )
    if late := overdue(backup, now, began):
        yield late
    if space.low:
        yield (
            f"{space.free >> 20} MiB ({space.free_percent:.1f} %) of the disk of {reader.path} are free: free space, "
            "or keep less (ledger.keep_days)"
        )
