"""Writing the ledger: one writer, one row an entry, the state folded in the same transaction."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlite_utils import Database
from typing_extensions import override

from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault, LedgerLocked
from reconcilerd.ledger.codec import Row, UnknownFact, encode, encode_body
from reconcilerd.ledger.migrations import NEWEST, migrations
from reconcilerd.ledger.reader import GENESIS, Reader, chain_hash, faults

BUSY_MS = 5_000
LOCK_POLL_S = 0.1

_UPSERT = """insert into state (kind, about, seq, as_of, payload) values (?, ?, ?, ?, ?)
on conflict (kind, about) do update set seq = excluded.seq, as_of = excluded.as_of, payload = excluded.payload
where excluded.as_of >= state.as_of or state.as_of > ?"""


class Ledger(Reader):
    """The one writer of a ledger file. Use ``Ledger.open``."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: int, clock: Callable[[], Instant]
    ) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._clock = clock
        self._seq, self._hash, self._at = 0, GENESIS, 0
        self._load_head()

    @classmethod
    def open(
        cls, path: Path, *, clock: Callable[[], Instant], durable: bool = True, wait_s: float = 0
    ) -> "Ledger":
        """Open or create. Raises LedgerLocked (another writer) or LedgerFault (corrupt, newer, disk)."""
        old_mask = os.umask(0o077)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(path, wait_s)
            try:
                connection = _connect(path, durable=durable)
                return cls(path, connection, lock, clock)
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise LedgerFault(
                f"{path}: cannot be opened ({error.strerror}); check the folder and its rights"
            ) from error
        finally:
            os.umask(old_mask)

    def append(self, facts: Sequence[Fact], *, note: str = "") -> int:
        """Write facts as one entry. Returns its number once it is durable (the last one's for no facts)."""
        return self.append_all([(facts, note)])[-1]

    def append_all(self, batch: Sequence[tuple[Sequence[Fact], str]]) -> list[int]:
        """Write several entries in one transaction: all of them, or none."""
        head = (self._seq, self._hash, self._at)
        try:
            with faults(self.path), self._immediate():
                return [self._append_one(facts, note) for facts, note in batch]
        except BaseException:
            self._seq, self._hash, self._at = head
            raise

    def rebuild_state(self) -> None:
        """Fold the state again from all entries."""
        with faults(self.path), self._immediate():
            self._connection.execute("delete from state")
            for entry in list(self.entries()):
                rows = [
                    (fact.kind, fact.about, entry.seq, int(fact.as_of), encode(fact), int(entry.at))
                    for fact in entry.facts
                    if not isinstance(fact, UnknownFact)
                ]
                self._connection.executemany(_UPSERT, rows)

    @override
    def close(self) -> None:
        super().close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append_one(self, facts: Sequence[Fact], note: str) -> int:
        if not facts:
            return self._seq
        seq, at = self._seq + 1, int(self._clock())
        if at < self._at:
            note = f"{note} (the clock went back {self._at - at} ms)".strip()
        before = self._previous(facts)
        rows = [
            Row(fact.kind, fact.about, before.get((fact.kind, fact.about), 0), encode(fact)) for fact in facts
        ]
        body = encode_body(rows)
        hashed = chain_hash(self._hash, seq, at, note, body)
        self._connection.execute(
            "insert into entries (seq, at, note, previous_hash, hash, body) values (?, ?, ?, ?, ?, ?)",
            (seq, at, note, self._hash, hashed, body),
        )
        self._connection.executemany(
            _UPSERT,
            [
                (row.kind, row.about, seq, int(fact.as_of), row.payload, at)
                for row, fact in zip(rows, facts, strict=True)
            ],
        )
        self._seq, self._hash, self._at = seq, hashed, at
        return seq

    def _previous(self, facts: Sequence[Fact]) -> dict[tuple[str, str], int]:
        """The number of the entry that holds each subject's state now."""
        found: dict[tuple[str, str], int] = {}
        query = "select seq from state where kind = ? and about = ?"
        for fact in facts:
            row = self._connection.execute(query, (fact.kind, fact.about)).fetchone()
            if row:
                found[fact.kind, fact.about] = row[0]
        return found

    def _load_head(self) -> None:
        with faults(self.path):
            row = self._connection.execute(
                "select seq, hash, at from entries order by seq desc limit 1"
            ).fetchone()
        if row:
            self._seq, self._hash, self._at = row[0], bytes(row[1]), row[2]

    @contextmanager
    def _immediate(self) -> Iterator[None]:
        self._connection.execute("begin immediate")
        try:
            yield
            self._connection.execute("commit")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            raise


def _take_lock(path: Path, wait_s: float) -> int:
    """Hold the lock file beside the ledger for as long as this process lives."""
    name = path.with_name(path.name + ".lock")
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
            time.sleep(LOCK_POLL_S)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            return lock


def _connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    with faults(path):
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            path.chmod(0o600)
            connection.execute(f"pragma busy_timeout = {BUSY_MS}")
            connection.execute("pragma journal_mode = wal")
            connection.execute(f"pragma synchronous = {'full' if durable else 'off'}")
            _migrate(path, connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, all of it or nothing; refuse a newer one."""
    database = Database(connection)
    connection.execute("begin immediate")
    try:
        if "_sqlite_migrations" in database.table_names():
            applied = {each.name for each in migrations.applied(database)}
            newer = {
                row[0]
                for row in connection.execute(
                    "select name from _sqlite_migrations where migration_set = ?", (migrations.name,)
                )
            } | applied
            if newer - NEWEST:
                raise LedgerFault(
                    f"{path}: written by a newer reconcilerd (it has {', '.join(sorted(newer - NEWEST))}, this one "
                    f"knows {', '.join(sorted(NEWEST))}); install that version again"
                )
        migrations.apply(database)
        if connection.in_transaction:
            connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
