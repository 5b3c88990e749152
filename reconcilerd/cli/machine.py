"""What the daemon sees of the machine it runs on: its STOP file, its own files, the disk of its ledger."""

import stat
from collections.abc import Mapping
from pathlib import Path

from reconcilerd.daemon.surroundings import Around, FileState
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.backups import last_backup
from reconcilerd.ledger.disk import room


def around(config: Path, ledger: Path, stop_file: Path, paused_after_ms: int) -> Around:
    """Looks at these paths whenever it is asked."""

    def files() -> Mapping[str, FileState | None]:
        return {str(path): _state(path) for path in (config, ledger)}

    return Around(
        stopped_since=lambda: _made(stop_file),
        files=files,
        free_percent=lambda: _free_percent(ledger),
        last_backup=lambda: backed_up(ledger),
        paused_after_ms=paused_after_ms,
    )


def _state(path: Path) -> FileState | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return FileState(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def stops(stop_file: Path) -> bool:
    """Whether there is a STOP file. A link to nothing is one, and where nobody may look there may be one."""
    try:
        stop_file.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def _made(path: Path) -> Instant | None:
    try:
        return Instant(path.lstat().st_mtime_ns // 1_000_000)
    except OSError:
        return None


def _free_percent(ledger: Path) -> float | None:
    """Of its disk; None where that cannot be asked."""
    try:
        return room(ledger).free_percent
    except LedgerFault:
        return None


def backed_up(ledger: Path) -> Instant | None:
    """When the last good backup of a ledger was made."""
    backup = last_backup(ledger)
    return None if backup is None else backup.at
