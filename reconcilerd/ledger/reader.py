"""Reading the ledger: state, history, entries, and the proof that all of it hangs together."""

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Final, TypeVar, cast

from reconcilerd.domain.facts import (
    ASIDE,
    FACT_TYPES,
    DecisionRecorded,
    Fact,
    LedgerAnchored,
    OrderObserved,
    PlanApplied,
    PlanMade,
)
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerAbsent, LedgerFault
from reconcilerd.ledger.codec import Row, UnknownFact, decode, decode_body, mark_of
from reconcilerd.ledger.fold import EMPTY, Held, Key, SetDigest, fold
from reconcilerd.ledger.lived import reckoned
from reconcilerd.ledger.versions import applied_to, has_table, is_begun, not_ours

F = TypeVar("F")
Told = tuple[int, Instant, Fact]
"""(entry, when written, fact)."""
STEP = 150
TOGETHER = 16
"""Entries read together: of those that hold a page of a feed, a megabyte."""
GENESIS = b"\0" * 32
OF_SLOTS = ("slot", "inferred", "buried", "correction", "sent", "settled", "doubted")
"""Kinds of facts whose order says what a slot shows; within one entry in this order."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One append: its number, when, why, and the facts."""

    seq: int
    at: Instant
    note: str
    facts: tuple[Fact | UnknownFact, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the chain holds and the state is its fold; where and why not."""

    ok: bool
    entries: int
    first_bad: int | None = None
    why: str = ""
    head: str = ""
    """Hash of the last entry. Kept elsewhere, it also proves that no entry was cut off the end."""
    anchor: int = 0
    """Entries up to this one were compacted away; what they said is in the base. 0: none."""


def digest_of_record(packed: str) -> str:
    """What an entry holds of a decision's record instead of the record."""
    return ASIDE + hashlib.sha256(packed.encode()).hexdigest()


def chain_hash(previous: bytes, seq: int, at: int, note: str, body: bytes) -> bytes:
    """The hash of one entry, over the one before it and all of its own."""
    digest = hashlib.sha256(previous)
    digest.update(f"{seq}\0{at}\0{len(note)}\0{note}\0".encode())
    digest.update(body)
    return digest.digest()


IN_USE: Final = "It was left untouched: move it aside, restore a backup, then start again"
ANOTHER: Final = "Nothing was changed: take another backup"


@contextmanager
def faults(path: Path, unreadable: str = IN_USE) -> Iterator[None]:
    """The one border where SQLite's errors become ours. ``unreadable``: what to do about a file that is no ledger."""
    try:
        yield
    # A damaged name or text is no text at all: sqlite3 then fails to decode it, its own messages too.
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise LedgerFault(_said(path, error, unreadable)) from error


def _said(path: Path, error: sqlite3.DatabaseError | UnicodeDecodeError, unreadable: str) -> str:
    text = str(error)
    if "full" in text:
        return f"{path}: the disk is full; nothing of this step was written. Free space, then start again"
    if "malformed" in text or "not a database" in text:
        return f"{path}: not a readable ledger ({text}). {unreadable}"
    if "locked" in text or "busy" in text:
        return f"{path}: another program holds the ledger's database ({text})"
    if "I/O" in text:
        return (
            f"{path}: {text}; nothing of this step was written. Look at the disk (df -h, dmesg), "
            "prove the ledger (reconcilerd ledger verify), then start again"
        )
    if "readonly" in text or "unable to open" in text:
        return f"{path}: cannot be written ({text}); look at the rights of the file and its folder, then start again"
    return f"{path}: {text}"


_PREVIOUS: Final = "cast(cast(substr(body, instr(body, mark) + length(mark), 20) as text) as integer)"
"""The number of the entry before, as SQLite finds it in the body of one that holds a subject."""


def _which(path: Path) -> tuple[int, int] | None:
    """Which file has this name, whatever it is called elsewhere; None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Reader:
    """Read-only questions on one connection."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._file = _which(path)

    @property
    def astray(self) -> str:
        """What became of the file under our name since it was opened; empty while it is the one that we use.

        A file that was removed or replaced is written on as before, and gone when it is closed.
        """
        found = _which(self.path)
        if found == self._file:
            return ""
        return f"{self.path} is gone" if found is None else f"{self.path} is another file now"

    def close(self) -> None:
        self._connection.close()

    @property
    def latest_seq(self) -> int:
        with faults(self.path):
            (seq,) = self._connection.execute("select coalesce(max(seq), 0) from entries").fetchone()
        return int(seq)

    @property
    def began(self) -> Instant | None:
        """When the oldest entry that is there was written."""
        with faults(self.path):
            row = self._connection.execute("select at from entries order by seq limit 1").fetchone()
        return Instant(row[0]) if row else None

    def reckoned(self, before: Instant, now: Instant) -> Instant:
        """The moment before which entries are as old as ``before`` is by the clock, by what was lived through since."""
        query = "select (select min(seq) from entries), (select max(seq) from entries)"
        with faults(self.path):
            first, last = self._connection.execute(query).fetchone()
        return before if first is None else reckoned(before, now, first, last, self._written_at)

    def _written_at(self, seq: int) -> int:
        with faults(self.path):
            row = self._connection.execute("select at from entries where seq = ?", (seq,)).fetchone()
        if row is None:
            raise LedgerFault(f"{self.path}: entry {seq} is missing; run: reconcilerd ledger verify")
        return int(row[0])

    @property
    def head_hash(self) -> bytes:
        with faults(self.path):
            row = self._connection.execute("select hash from entries order by seq desc limit 1").fetchone()
        return bytes(row[0]) if row else GENESIS

    def state(self, kind: type[F]) -> Iterator[F]:
        """The newest fact of every subject of one kind."""
        name = cast("type[Fact]", kind).kind
        with faults(self.path):
            rows = self._connection.execute(
                "select about, payload from state where kind = ? order by about", (name,)
            ).fetchall()
        for about, payload in rows:
            yield cast("F", decode(name, about, payload))

    def everything(self) -> Iterator[Fact]:
        """The whole state, kind by kind in the order of FACT_TYPES; orders, and last slots' facts, as they came."""
        for name, kind in FACT_TYPES.items():
            if kind is OrderObserved:
                yield from self.orders()
            elif name not in OF_SLOTS:
                yield from self.state(kind)
        with faults(self.path):
            rows = self._connection.execute(
                "select kind, about, seq, payload from state where kind in (?, ?, ?, ?, ?, ?, ?)", OF_SLOTS
            ).fetchall()
        for kind_, about, _, payload in sorted(
            rows, key=lambda row: (row[2], OF_SLOTS.index(row[0]), row[1])
        ):
            fact = decode(kind_, about, payload)
            if not isinstance(fact, UnknownFact):
                yield fact

    def orders(self) -> Iterator[OrderObserved]:
        """Every side of every order that is kept, as they were last written; one by one, for they are many."""
        with faults(self.path):
            query = "select about, payload from state where kind = ? order by seq, about"
            for about, payload in self._connection.execute(query, (OrderObserved.kind,)):
                fact = decode(OrderObserved.kind, about, payload)
                if isinstance(fact, OrderObserved):
                    yield fact

    def seqs(self, kind: str) -> dict[str, int]:
        """The number of the entry that has the newest fact of each subject of a kind."""
        with faults(self.path):
            return dict(self._connection.execute("select about, seq from state where kind = ?", (kind,)))

    def stamps(self, seq: int) -> Iterator[tuple[int, Instant]]:
        """Number and moment of each entry from one on, the newest first."""
        with faults(self.path):
            query = "select seq, at from entries where seq >= ? order by seq desc"
            yield from self._connection.execute(query, (seq,))

    def one(self, kind: str, about: str) -> Fact | None:
        with faults(self.path):
            row = self._connection.execute(
                "select payload from state where kind = ? and about = ?", (kind, about)
            ).fetchone()
        fact = decode(kind, about, row[0]) if row else None
        return None if isinstance(fact, UnknownFact) else fact

    @property
    def anchor(self) -> LedgerAnchored | None:
        """From where the ledger goes on, where its oldest entries were compacted away."""
        fact = self.one(LedgerAnchored.kind, "ledger")
        return fact if isinstance(fact, LedgerAnchored) else None

    def _base(self) -> Iterator[tuple[Key, Held]]:
        """The state as it was at the anchor; nothing where there is none."""
        with faults(self.path):
            if not has_table(self._connection, "base"):
                return
            for kind, about, seq, at, as_of, payload in self._connection.execute(
                "select kind, about, seq, at, as_of, payload from base"
            ):
                yield (kind, about), Held(seq, at, as_of, bytes(payload))

    def history(self, kind: str, about: str, limit: int) -> list[tuple[int, Instant, Fact]]:
        """Newest first, walking back through the number of the entry before; the last is what held at the anchor."""
        return list(islice(self._back(kind, about), limit))

    def histories(self, subjects: Collection[Key], limit: int, before: int | None = None) -> list[Told]:
        """``history`` of several subjects, subject by subject, in few questions to SQLite.

        On a thread beside a loop that computes, each question waits anew for the interpreter. ``before``: only from
        the entries before one that names these subjects itself; from any other, nothing.
        """
        if not subjects:
            return []
        asked = [(number, *each, mark_of(*each)) for number, each in enumerate(subjects)]
        first = "asked join state using (kind, about)", "state.seq"
        if before is not None:
            first = "asked, entries where entries.seq = ? and instr(body, mark)", _PREVIOUS
        query = f"""with recursive
            asked(number, kind, about, mark) as (values {", ".join("(?, ?, ?, ?)" for _ in asked)}),
            back(number, kind, about, mark, seq, step) as (
                select number, kind, about, mark, {first[1]}, 1 from {first[0]}
                union all
                select number, kind, about, mark, {_PREVIOUS}, step + 1
                from back join entries using (seq) where step < ? and instr(body, mark))
            select seq, kind, about from back where seq > 0 order by number, step"""  # noqa: S608 - of marks alone
        values = [*chain.from_iterable(asked), *([] if before is None else [before]), limit]
        with faults(self.path):
            chains = self._connection.execute(query, values).fetchall()
        found, rows = list[Told](), self._rows(chains)
        for seq, kind, about in chains:
            kept = rows.get((seq, kind, about)) or self._row_of_base(seq, kind, about)
            if kept is not None and not isinstance(fact := self._decode(seq, kept[1]), UnknownFact):
                found.append((seq, kept[0], fact))
        return found

    def _rows(
        self, wanted: Iterable[tuple[int, str, str]]
    ) -> dict[tuple[int, str, str], tuple[Instant, Row]]:
        """What entries say last of subjects, by number, kind and about. An entry is read once, and is large.

        Sorted by SQLite, some entries are ready at once: it lets go of the interpreter at each, for a moment then.
        """
        of_entry: dict[int, set[Key]] = {}
        for seq, *subject in wanted:
            of_entry.setdefault(seq, set()).add((subject[0], subject[1]))
        query = (
            "select seq, at, body from entries where seq in (select value from json_each(?)) order by +seq"
        )
        found: dict[tuple[int, str, str], tuple[Instant, Row]] = {}
        numbers = [*of_entry]
        for first in range(0, len(numbers), TOGETHER):
            with faults(self.path):
                some = json.dumps(numbers[first : first + TOGETHER])
                entries = self._connection.execute(query, (some,)).fetchall()
            for seq, at, body in entries:
                for row in decode_body(body, of_entry[seq]):
                    found[seq, row.kind, row.about] = Instant(at), row
        return found

    def before(self, kind: str, about: str, seq: int, limit: int) -> list[tuple[int, Instant, Fact]]:
        """The same, of the entries before one."""
        return list(islice((each for each in self._back(kind, about) if each[0] < seq), limit))

    def _back(self, kind: str, about: str) -> Iterator[tuple[int, Instant, Fact]]:
        with faults(self.path):
            row = self._connection.execute(
                "select seq from state where kind = ? and about = ?", (kind, about)
            ).fetchone()
        seq = int(row[0]) if row else 0
        while seq:
            entry = self._row(seq, kind, about)
            if entry is None:
                break
            at, kept = entry
            fact = self._decode(seq, kept)
            if not isinstance(fact, UnknownFact):
                yield seq, at, fact
            seq = kept.previous

    def _row(self, seq: int, kind: str, about: str) -> tuple[Instant, Row] | None:
        with faults(self.path):
            entry = self._connection.execute("select at, body from entries where seq = ?", (seq,)).fetchone()
            if entry is None:
                return self._row_of_base(seq, kind, about)
        rows = decode_body(entry[1], {(kind, about)})
        return (Instant(entry[0]), rows[-1]) if rows else None

    def _row_of_base(self, seq: int, kind: str, about: str) -> tuple[Instant, Row] | None:
        """What held at the anchor, by an entry that is gone."""
        if not has_table(self._connection, "base"):
            return None
        query = "select at, payload from base where kind = ? and about = ? and seq = ?"
        row = self._connection.execute(query, (kind, about, seq)).fetchone()
        return (Instant(row[0]), Row(kind, about, 0, bytes(row[1]))) if row else None

    def _decode(self, seq: int, row: Row) -> Fact | UnknownFact:
        """A fact as it was written; a decision with what it looked at, where that is still kept."""
        fact = decode(row.kind, row.about, row.payload)
        if isinstance(fact, DecisionRecorded) and fact.packed.startswith(ASIDE):
            return replace(fact, packed=self._record(seq, fact.packed) or fact.packed)
        return fact

    def _record(self, seq: int, digest: str) -> str | None:
        with faults(self.path):
            row = self._connection.execute(
                "select packed from records where seq = ? and digest = ?", (seq, digest)
            ).fetchone()
        return None if row is None else str(row[0])

    def _entries(self, after: int) -> Iterator[tuple[int, int, str, bytes, bytes, bytes]]:
        """(number, written at, note, hash of the one before, hash, body) of each entry, oldest first."""
        with faults(self.path):
            for seq, at, note, before, hashed, body in self._connection.execute(
                "select seq, at, note, previous_hash, hash, body from entries where seq > ? order by seq",
                (after,),
            ):
                # A byte that was flipped on the disk makes a column of another kind, or none.
                kinds = tuple(map(type, (at, note, before, hashed, body)))
                if kinds != (int, str, bytes, bytes, bytes):
                    raise LedgerFault(f"{self.path}: entry {seq} is not what was written")
                yield seq, at, note, before, hashed, body

    def since(self, kind: type[F], at: Instant) -> list[F]:
        """Every fact of a kind in the entries written after a moment, oldest first."""
        name, found = cast("type[Fact]", kind).kind, list[F]()
        with faults(self.path):
            rows = self._connection.execute("select at, body from entries order by seq desc")
            for written, body in rows:
                if written <= at:
                    break
                mine = [row for row in decode_body(body) if row.kind == name]
                found += [cast("F", decode(row.kind, row.about, row.payload)) for row in reversed(mine)]
        return found[::-1]

    def told_since(self, kinds: Collection[str], at: Instant) -> Iterator[list[Told]]:
        """(entry, when written, fact) of some kinds in the entries written after a moment, oldest first.

        In pieces of ``STEP`` entries, empty ones too, or of hardly more facts, so that whoever has more to do may rest
        in between.
        """
        with faults(self.path):
            (before,) = self._connection.execute(
                "select coalesce((select seq from entries where at <= ? order by seq desc limit 1), "
                "(select min(seq) - 1 from entries), 0)",
                (at,),
            ).fetchone()
        # Most entries hold none of them: what need not be decoded is not even read into Python.
        holds = " or ".join("instr(body, ?)" for _ in kinds)
        names = [f'["{kind}",'.encode() for kind in kinds]
        for first in range(before, self.latest_seq, STEP):
            with faults(self.path):
                rows = self._connection.execute(
                    f"select seq, at, body from entries where seq > ? and seq <= ? and ({holds}) order by seq",  # noqa: S608
                    (first, first + STEP, *names),
                ).fetchall()
            piece: list[Told] = []
            for seq, written, body in rows:
                if len(piece) >= STEP:
                    yield piece
                    piece = []
                piece += [
                    (seq, Instant(written), fact)
                    for row in decode_body(body)
                    if row.kind in kinds
                    and not isinstance(fact := decode(row.kind, row.about, row.payload), UnknownFact)
                ]
            yield piece

    def entries(self, after: int = 0) -> Iterator[Entry]:
        for seq, at, note, _, _, body in self._entries(after):
            yield Entry(seq, Instant(at), note, self._facts(seq, body))

    def _facts(self, seq: int, body: bytes) -> tuple[Fact | UnknownFact, ...]:
        return tuple(self._decode(seq, row) for row in decode_body(body))

    def hash_of(self, seq: int) -> bytes | None:
        """The hash of one entry; None where there is none."""
        with faults(self.path):
            row = self._connection.execute("select hash from entries where seq = ?", (seq,)).fetchone()
        return bytes(row[0]) if row else None

    def entry_naming(self, id_: str) -> Entry | None:
        """The first entry in which an id was given to anything."""
        with faults(self.path):
            row = self._connection.execute(
                "select seq, at, note, body, previous_hash, hash from entries where instr(body, ?) "
                "order by seq limit 1",
                (f'"{id_}"'.encode(),),
            ).fetchone()
        if row is None:
            return None
        return self._proven_entry(*row)

    def slices(self, id_: str) -> list[Entry]:
        """The entries of a pass, oldest first: by its id, that of a slice of it, or of the plan that it carried out.

        None for an id of anything else, and of what is not there (any longer).
        """
        named = self.entry_naming(id_) if id_.strip() else None
        made = [fact for fact in named.facts if isinstance(fact, PlanMade)] if named is not None else []
        if named is None or not any(
            id_ in {fact.id, fact.whole} if isinstance(fact, PlanMade) else fact.id == id_
            for fact in named.facts
            if isinstance(fact, (PlanMade, PlanApplied))
        ):
            return []
        whole, first = made[0].whole, 0 if made[0].part_of else named.seq
        with faults(self.path):
            rows = self._connection.execute(
                "select seq, at, note, body, previous_hash, hash from entries "
                "where seq >= ? and instr(body, ?) order by seq",
                (first, f'"{whole}"'.encode()),
            ).fetchall()
        found = [self._proven_entry(*row) for row in rows]
        return [
            each
            for each in found
            if any(isinstance(fact, PlanMade) and fact.whole == whole for fact in each.facts)
        ]

    def _proven_entry(
        self, seq: int, at: int, note: str, body: bytes, previous: bytes, hashed: bytes
    ) -> Entry:
        if chain_hash(bytes(previous), seq, at, note, body) != bytes(hashed):
            raise LedgerFault(
                f"{self.path}: entry {seq} is not what was written; run: reconcilerd ledger verify"
            )
        return Entry(seq, Instant(at), note, self._facts(seq, body))

    def verify(self) -> Verification:
        """Recompute the chain, fold the state a second way, compare: all of one moment, whoever writes beside it."""
        try:
            with faults(self.path):
                self._connection.execute("begin")
        except LedgerFault as fault:
            return Verification(False, 0, why=str(fault))
        try:
            return self._verify()
        finally:
            self._connection.execute("rollback")

    def verify_end(self, most: int = 500) -> Verification:
        """Recompute the chain over the newest entries only: quick on a ledger of any size. ``verify`` proves all."""
        count = after = max(0, self.latest_seq - most)
        previous: bytes | None = None
        for seq, at, note, before, hashed, body in self._entries(after):
            told = chain_hash(before, seq, at, note, body)
            if previous is not None and seq != count + 1:
                return Verification(False, count, count + 1, f"entry {count + 1} is missing")
            if told != hashed or previous not in (None, before):
                return Verification(False, count, seq, f"entry {seq} is not what was written")
            previous, count = told, seq
        return Verification(True, count, head=(previous or GENESIS).hex())

    @property
    def migrations(self) -> tuple[str, ...]:
        """Names of the migrations that it has, oldest first: its schema version."""
        with faults(self.path):
            return applied_to(self._connection)

    def _verify(self) -> Verification:
        count, through = 0, 0
        try:
            anchor = self.anchor
            through = count = anchor.through if anchor else 0
            previous = bytes.fromhex(anchor.hash) if anchor else GENESIS
            folded = dict(self._base())
            if SetDigest.of(folded.items()).text != (anchor.base if anchor else EMPTY):
                why = "what the ledger kept of the entries before is not what its anchor says"
                return Verification(False, count, count, why, anchor=through)
            for seq, at, note, before, hashed, body in self._entries(0):
                if seq != count + 1:
                    there = f"entry {seq} is there, and its anchor says that it is gone"
                    why = there if seq <= count else f"entry {count + 1} is missing"
                    return Verification(False, count, count + 1, why, anchor=through)
                told = chain_hash(previous, seq, at, note, body)
                if before != previous or told != hashed:
                    why = f"entry {seq} is not what was written"
                    return Verification(False, count, seq, why, anchor=through)
                rows = decode_body(body)
                if lost := self._lost_record(seq, rows, anchor.records if anchor else 0):
                    return Verification(False, count, seq, lost, anchor=through)
                fold(folded, seq, at, rows)
                previous, count = told, seq
            return replace(self._compare(folded, count, previous), anchor=through)
        except (LedgerFault, ValueError) as fault:
            return Verification(False, count, count + 1, str(fault), anchor=through)

    def _lost_record(self, seq: int, rows: list[Row], gone: int) -> str | None:
        """What is wrong with the records of an entry's decisions; they may be missing up to entry ``gone``."""
        for row in rows:
            made = decode(row.kind, row.about, row.payload) if row.kind == DecisionRecorded.kind else None
            if not isinstance(made, DecisionRecorded) or not made.packed.startswith(ASIDE):
                continue
            packed = self._record(seq, made.packed)
            if packed is None and seq > gone:
                return f"what the decision of entry {seq} looked at is missing"
            if packed is not None and digest_of_record(packed) != made.packed:
                return f"what the decision of entry {seq} looked at is not what was written"
        return None

    def _compare(self, folded: dict[Key, Held], count: int, head: bytes) -> Verification:
        with faults(self.path):
            kept = {
                (kind, about): (seq, as_of, payload)
                for kind, about, seq, as_of, payload in self._connection.execute(
                    "select kind, about, seq, as_of, payload from state"
                )
            }
        said = {key: (each.seq, each.as_of, each.payload) for key, each in folded.items()}
        for key in sorted(said.keys() | kept.keys()):
            if said.get(key) != kept.get(key):
                entry = max(each[key][0] for each in (said, kept) if key in each)
                why = (
                    f"the state of {key[0]} {key[1]} is not what the entries say; "
                    "stop the daemon and run: reconcilerd ledger rebuild"
                    if entry <= count
                    else f"entry {entry} is missing, the last of those that the state speaks of"
                )
                return Verification(False, count, entry, why)
        return Verification(True, count, head=head.hex())


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises SQLite's errors."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def open_reader(path: Path) -> Reader:
    """A reader on its own read-only connection, for use beside a running daemon. Raises LedgerAbsent, LedgerFault."""
    try:
        there = path.exists()
    except OSError as error:
        raise LedgerFault(
            f"{path}: cannot be looked at ({error.strerror}); look at the rights of its folders, and at its name"
        ) from error
    if not there:
        raise LedgerAbsent(f"{path}: there is no ledger yet; start the daemon first")
    with faults(path):
        connection = read_only(path)
        try:
            if other := not_ours(connection):
                raise LedgerFault(f"{path}: {other}")
            if not is_begun(connection):
                raise LedgerAbsent(
                    f"{path}: there is no ledger yet: a first start was cut off; start the daemon again"
                )
            connection.execute("select max(seq) from entries").fetchone()
        except BaseException:
            connection.close()
            raise
    return Reader(path, connection)
