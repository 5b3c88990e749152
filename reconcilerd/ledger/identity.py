"""Which ledger a file is: a number by chance in SQLite's own head of it, which every copy of it has too.

It stands in the head and not in a table: a ledger of any schema has room for it, and versions of this program that know
nothing of it go on as before.
"""

import secrets
import sqlite3
from pathlib import Path

_MOST = (1 << 31) - 1
_HEAD_BYTES = 72


def has_identity(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("pragma user_version").fetchone()[0])


def give_identity(connection: sqlite3.Connection) -> None:
    """Make it another ledger than all others."""
    connection.execute(f"pragma user_version = {1 + secrets.randbelow(_MOST)}")


def identity_in(path: Path) -> int:
    """Which ledger a file without a log is of; 0: none that was ever told, or no such file."""
    return int.from_bytes(head_of(path)[60:64], "big")


def head_of(path: Path) -> bytes:
    """The head of a database, as its file has it; nothing where there is none."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return b""
    return head if head[:16] == b"SQLite format 3\0" else b""
