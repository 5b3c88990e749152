"""Writing the ledger: one writer, one row an entry, the state folded in the same transaction."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from typing_extensions import override

from reconcilerd.domain.bygone import KINDS, bygone, ended_orders
from reconcilerd.domain.facts import EXTENSIV, DecisionRecorded, Fact, LedgerAnchored, side_of
from reconcilerd.domain.names import Instant, OrderKey
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.codec import Row, UnknownFact, decode, decode_body, encode, encode_body
from reconcilerd.ledger.copies import copy_of, into_place
from reconcilerd.ledger.disk import WAL_BYTES, files_of
from reconcilerd.ledger.fold import EMPTY, Held, SetDigest, fold
from reconcilerd.ledger.identity import give_identity, has_identity
from reconcilerd.ledger.lived import aged, reaches
from reconcilerd.ledger.lock import take_lock
from reconcilerd.ledger.owner import follow_no_links, give
from reconcilerd.ledger.reader import GENESIS, Reader, chain_hash, digest_of_record, faults, open_reader
from reconcilerd.ledger.versions import ALL, applied_to, not_ours, sign

BUSY_MS = 5_000
CACHE_KB = 512
"""A quarter of what SQLite takes by default: the system keeps the file in memory anyway. Filling 50,000 subjects takes
as long, a hundred chosen by chance 6 % longer.
"""
STEP_ENTRIES = 256
STEP_ROWS = 2_000
"""A step of compaction ends with the entry that brings it beyond so many rows: some tens of milliseconds."""
STEP_RECORDS = 64
SHRINK_PART = 4
"""The file is written anew where one page in so many is free."""

_UPSERT = """insert into state (kind, about, seq, as_of, payload) values (?, ?, ?, ?, ?)
on conflict (kind, about) do update set seq = excluded.seq, as_of = excluded.as_of, payload = excluded.payload
where excluded.as_of >= state.as_of or state.as_of > ?"""


class Ledger(Reader):
    """The one writer of a ledger file. Use ``Ledger.open``."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: int,
        clock: Callable[[], Instant],
        *,
        by_date: bool = False,
    ) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._clock = clock
        self._by_date = by_date
        self._young: tuple[Instant, int] | None = None
        """A moment, and the first entry that is dated between that and now."""
        self._seq, self._hash, self._at = 0, GENESIS, 0
        self._load_head()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], Instant],
        durable: bool = True,
        wait_s: float = 0,
        tell: Callable[[str], None] = lambda _: None,
        by_date: bool = False,
    ) -> "Ledger":
        """Open or create. Raises LedgerLocked (another writer) or LedgerFault (corrupt, newer, disk).

        A ledger of an older version is copied beside itself, then upgraded; ``tell`` hears every few milliseconds
        that this goes on. ``by_date``: a person named the date before which things go, whatever the clock did since.
        """
        old_mask = os.umask(0o077)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = take_lock(path, wait_s)
            try:
                connection = _connect(path, durable=durable, tell=tell)
                return cls(path, connection, lock, clock, by_date=by_date)
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
        """Fold the state again: from what held at the anchor, and all entries after it."""
        with faults(self.path), self._immediate():
            folded = dict(self._base())
            for seq, at, _, _, _, body in self._entries(0):
                fold(folded, seq, at, decode_body(body))
            self._connection.execute("delete from state")
            self._connection.executemany(
                "insert into state (kind, about, seq, as_of, payload) values (?, ?, ?, ?, ?)",
                [(*key, each.seq, each.as_of, each.payload) for key, each in folded.items()],
            )

    def compact(self, before: Instant, upto: int) -> int:
        """Let the oldest entries go that were written before a moment, up to a number; returns how many went.

        A step: a few hundred entries, one transaction. What they said of each subject is kept in the base, and the
        anchor that proves both is an entry itself. Nothing of the state changes. Call it until nothing went.
        """
        return self._step(lambda: self._compact(before, upto))

    def forget(self, before: Instant) -> int:
        """Let go of the state of what is over since before a moment and nobody can need again; how many went.

        Only of what the base holds, which the anchor proves without it: a state that is built again has it no more.
        """
        return self._step(lambda: self._forget(self._lived(self, before)))

    def ended_orders(self, before: Instant) -> dict[OrderKey, set[str]]:
        """Orders that may be forgotten, by a reading beside the writer: see ``forget_orders``."""
        with closing(open_reader(self.path)) as reader:
            return ended_orders(reader.orders(), self._lived(reader, before))

    def forget_orders(self, ended: Mapping[OrderKey, set[str]]) -> int:
        """Let go of orders, each only if these are all its sides and the base holds them; how many rows went."""
        return self._step(lambda: self._forget_orders(ended))

    def drop_records(self, before: Instant) -> int:
        """Let go what decisions looked at, of the oldest that were written before a moment; returns how many went."""
        return self._step(lambda: self._drop_records(before))

    def shrink(self) -> int:
        """Give what compaction left free back to the disk, if it is much; returns the bytes. Takes its time."""
        with faults(self.path):
            size, free, pages = (
                self._connection.execute(f"pragma {each}").fetchone()[0]
                for each in ("page_size", "freelist_count", "page_count")
            )
            if free * SHRINK_PART < pages:
                return 0
            self._connection.execute("vacuum")
            self._connection.execute("pragma wal_checkpoint(truncate)")
        return int(free * size)

    def _step(self, work: Callable[[], int]) -> int:
        head = (self._seq, self._hash, self._at)
        try:
            with faults(self.path), self._immediate():
                return work()
        except BaseException:
            self._seq, self._hash, self._at = head
            raise

    def _lived(self, reader: Reader, before: Instant) -> Instant:
        """What is let go goes by what was lived through, not by a clock alone, unless a person named the date."""
        return before if self._by_date else reader.reckoned(before, self._clock())

    def _through(self, before: Instant) -> int:
        """The number of the last entry that is old: by most dates, and by what was lived through since. Where a person
        named the date: before the first that is dated between that and now, however many are dated before it.

        An entry by a clock that was far ahead holds back nothing, one by a clock that was far behind frees nothing.
        """
        query = "select (select min(seq) from entries), (select max(seq) from entries)"
        first, last = self._connection.execute(query).fetchone()
        if first is None:
            return 0
        through = reaches(first, last, lambda seq: self._written_at(seq) < before)
        if self._by_date:
            if self._young is None or self._young[0] != before:
                query = "select seq from entries where at between ? and ? order by seq limit 1"
                young = self._connection.execute(query, (before, self._clock())).fetchone()
                # Looked for once: none that is written later comes before it.
                self._young = None if young is None else (before, int(young[0]))
            return through if self._young is None else min(through, self._young[1] - 1)
        return min(through, aged(before, self._clock(), first, last, self._written_at))

    def _compact(self, before: Instant, upto: int) -> int:
        old, rows = self._anchored(), 0
        through = min(upto, self._through(before))
        going: list[tuple[int, int, list[Row]]] = []
        for seq, at, _, _, hashed, body in list(islice(self._entries(old.through), STEP_ENTRIES)):
            if seq > through or rows > STEP_ROWS:
                break
            going.append((seq, at, decode_body(body)))
            rows += len(going[-1][2])
            old = replace(old, through=seq, hash=hashed.hex(), records=max(seq, old.records))
        if not going:
            return 0
        self._anchor(replace(old, base=self._fold_into_base(going, SetDigest.read(old.base)).text))
        for table in ("entries", "records"):
            self._connection.execute(f"delete from {table} where seq <= ?", (old.through,))  # noqa: S608
        return len(going)

    def _fold_into_base(self, going: Sequence[tuple[int, int, list[Row]]], digest: SetDigest) -> SetDigest:
        """The digest of the base after entries were folded into it."""
        keys = {(row.kind, row.about) for _, _, rows in going for row in rows}
        query = "select seq, at, as_of, payload from base where kind = ? and about = ?"
        found = {key: self._connection.execute(query, key).fetchone() for key in keys}
        known = {key: Held(row[0], row[1], row[2], bytes(row[3])) for key, row in found.items() if row}
        folded = dict(known)
        for seq, at, rows in going:
            fold(folded, seq, at, rows)
        for key, held in folded.items():
            if key in known:
                digest.remove(key, known[key])
            digest.add(key, held)
        self._connection.executemany(
            "insert or replace into base (kind, about, seq, at, as_of, payload) values (?, ?, ?, ?, ?, ?)",
            [(*key, *held) for key, held in folded.items() if known.get(key) != held],
        )
        return digest

    def _forget(self, before: Instant) -> int:
        some = f"where kind in ({', '.join('?' * len(KINDS))})"
        query = f"select kind, about, seq, at, as_of, payload from base {some}"  # noqa: S608 - of marks alone
        base = {
            (kind, about): Held(seq, at, as_of, bytes(payload))
            for kind, about, seq, at, as_of, payload in self._connection.execute(query, KINDS)
        }
        old, young = list[Fact](), list[Fact]()
        query = f"select kind, about, seq, payload from state {some}"  # noqa: S608
        for kind, about, seq, payload in self._connection.execute(query, KINDS):
            fact, held = decode(kind, about, bytes(payload)), base.get((kind, about))
            if not isinstance(fact, UnknownFact):
                (old if held is not None and held.seq == seq else young).append(fact)
        going = [(fact.kind, fact.about) for fact in bygone(old, young, before)]
        return self._let_go({key: base[key] for key in going})

    def _forget_orders(self, ended: Mapping[OrderKey, set[str]]) -> int:
        going: dict[tuple[str, str], Held] = {}
        for key, abouts in ended.items():
            first = side_of(EXTENSIV, key)
            rows = self._connection.execute(
                """select state.about, base.seq, base.at, base.as_of, base.payload from state
                left join base on base.kind = state.kind and base.about = state.about and base.seq = state.seq
                where state.kind = 'order'
                and (state.about in (?, ?) or (state.about > ? || '|' and state.about < ? || '}'))""",
                (side_of(key.channel, key), first, first, first),
            ).fetchall()
            if {row[0] for row in rows} == abouts and all(row[1] is not None for row in rows):
                going |= {("order", row[0]): Held(row[1], row[2], row[3], bytes(row[4])) for row in rows}
        return self._let_go(going)

    def _let_go(self, going: Mapping[tuple[str, str], Held]) -> int:
        """Take out of state and base what the base holds, and say so; how many rows."""
        if not going:
            return 0
        anchor = self._anchored()
        digest = SetDigest.read(anchor.base)
        for key, held in going.items():
            digest.remove(key, held)
        for table in ("base", "state"):
            self._connection.executemany(f"delete from {table} where kind = ? and about = ?", going)  # noqa: S608
        self._anchor(replace(anchor, base=digest.text))
        return len(going)

    def _drop_records(self, before: Instant) -> int:
        (last,) = self._connection.execute(
            "select max(seq) from (select seq from records where seq <= ? order by seq limit ?)",
            (self._through(before), STEP_RECORDS),
        ).fetchone()
        if last is None:
            return 0
        old = self._anchored()
        self._anchor(replace(old, records=last))
        return self._connection.execute("delete from records where seq <= ?", (last,)).rowcount

    def _anchored(self) -> LedgerAnchored:
        return self.anchor or LedgerAnchored(0, GENESIS.hex(), EMPTY, 0, Instant(0))

    def _anchor(self, anchor: LedgerAnchored) -> None:
        # Never older than the one before, whatever the clock does: it must replace it.
        at = max(anchor.at, self._clock())
        self._append_one([replace(anchor, at=at)], f"compacted up to entry {anchor.through}")

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
        facts = [self._set_aside(seq, fact) for fact in facts]
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

    def _set_aside(self, seq: int, fact: Fact) -> Fact:
        """A decision without what it looked at, which stands beside its entry."""
        if not isinstance(fact, DecisionRecorded):
            return fact
        digest = digest_of_record(fact.packed)
        self._connection.execute(
            "insert or ignore into records (seq, digest, packed) values (?, ?, ?)", (seq, digest, fact.packed)
        )
        return replace(fact, packed=digest)

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


def _connect(path: Path, *, durable: bool, tell: Callable[[str], None]) -> sqlite3.Connection:
    with faults(path):
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            connection.execute(f"pragma busy_timeout = {BUSY_MS}")
            if other := not_ours(connection):
                raise LedgerFault(f"{path}: {other}")
            # A log of one that others could read was made as readable as that by the look into it. Links are looked
            # for once more: whoever owns the folder had time to make one.
            follow_no_links(files_of(path))
            for each in files_of(path):
                if each.exists():
                    each.chmod(0o600)
            connection.execute("pragma journal_mode = wal")
            connection.execute(f"pragma cache_size = -{CACHE_KB}")
            connection.execute(f"pragma journal_size_limit = {WAL_BYTES}")
            connection.execute(f"pragma synchronous = {'full' if durable else 'off'}")
            _migrate(path, connection, tell)
        except BaseException:
            connection.close()
            raise
    return connection


def _migrate(path: Path, connection: sqlite3.Connection, tell: Callable[[str], None]) -> None:
    """Bring the schema up to date, all of it or nothing; an older ledger is copied first."""
    has = applied_to(connection)
    if has and has != ALL:
        _keep_a_copy(path, has, tell)
    connection.execute("begin immediate")
    try:
        if has != ALL:
            _upgrade(connection)
        if not has_identity(connection):
            give_identity(connection)
        sign(connection)
        if connection.in_transaction:
            connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _upgrade(connection: sqlite3.Connection) -> None:
    # A daemon on a ledger that is up to date does not carry the library in memory.
    from sqlite_utils import Database

    from reconcilerd.ledger.migrations import migrations

    migrations.apply(Database(connection))


def _keep_a_copy(path: Path, has: tuple[str, ...], tell: Callable[[str], None]) -> None:
    """Whatever the new schema does to it, the ledger as the older program left it stays beside it."""
    kept = path.with_name(f"{path.name}.{has[-1].partition('_')[0]}")
    part = path.with_name(f"{kept.name}.part")
    part.unlink(missing_ok=True)  # of a start that was cut short; the lock is ours

    def rest(_: float) -> None:
        tell(f"upgrading the ledger: copying it to {kept.name} first")

    copy_of(path, part, rest)
    give(part, path)
    into_place(part, kept)
    tell(f"upgrading the ledger: from {has[-1]} to {ALL[-1]}")
