"""The lock file beside a ledger: who holds it may write, and may put another ledger in its place."""

import fcntl
import os
import time
from pathlib import Path

from reconcilerd.errors import LedgerLocked
from reconcilerd.ledger.owner import give

POLL_S = 0.1


def take_lock(path: Path, wait_s: float) -> int:
    """Hold the lock of a ledger until the descriptor is closed. Raises LedgerLocked, OSError."""
    name = path.with_name(path.name + ".lock")
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    give(name, path.parent)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(lock)
                raise LedgerLocked(
                    f"{path}: process {holder} is writing this ledger; stop it, or ask it through its socket"
                ) from None
            time.sleep(POLL_S)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            return lock
