"""The lock file beside a ledger: who holds it may write, and may put another ledger in its place."""

import errno
import fcntl
import os
import time
from pathlib import Path

from reconcilerd.errors import LedgerFault, LedgerLocked
from reconcilerd.ledger.disk import files_of
from reconcilerd.ledger.owner import follow_no_links, give

POLL_S = 0.1


def take_lock(path: Path, wait_s: float) -> int:
    """Hold the lock of a ledger until the descriptor is closed. Raises LedgerLocked, LedgerFault for links, OSError."""
    follow_no_links(files_of(path))
    lock = _opened(path.with_name(path.name + ".lock"))
    try:
        give(lock, path.parent)
        _hold(lock, path, wait_s)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _opened(name: Path) -> int:
    try:
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise LedgerFault(
                f"{name}: is a link, and a lock is a file of its own; look who made it, then remove it"
            ) from error
        raise


def _hold(lock: int, path: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
                raise LedgerLocked(
                    f"{path}: process {holder} is writing this ledger; stop it, or ask it through its socket"
                ) from None
            time.sleep(POLL_S)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            return
