"""Reading the ledger: state, history, entries, and the proof that all of it hangs together."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from reconcilerd.domain.facts import FACT_TYPES, Fact
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.codec import Row, UnknownFact, decode, decode_body

F = TypeVar("F")
GENESIS = b"\0" * 32


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


def chain_hash(previous: bytes, seq: int, at: int, note: str, body: bytes) -> bytes:
    """The hash of one entry, over the one before it and all of its own."""
    digest = hashlib.sha256(previous)
    digest.update(f"{seq}\0{at}\0{len(note)}\0{note}\0".encode())
    digest.update(body)
    return digest.digest()


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """The one border where SQLite's errors become ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise LedgerFault(_said(path, error)) from error


def _said(path: Path, error: sqlite3.DatabaseError) -> str:
    text = str(error)
    if "full" in text:
        return f"{path}: the disk is full; nothing of this step was written. Free space, then start again"
    if "malformed" in text or "not a database" in text:
        return (
            f"{path}: not a readable ledger ({text}). It was left untouched: "
            "move it aside, restore a backup, then start again"
        )
    if "locked" in text or "busy" in text:
        return f"{path}: another program holds the ledger's database ({text})"
    return f"{path}: {text}"


class Reader:
    """Read-only questions on one connection."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def close(self) -> None:
        self._connection.close()

    @property
    def latest_seq(self) -> int:
        with faults(self.path):
            (seq,) = self._connection.execute("select coalesce(max(seq), 0) from entries").fetchone()
        return int(seq)

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
        """The whole state, kind by kind in the order of FACT_TYPES."""
        for kind in FACT_TYPES.values():
            yield from self.state(kind)

    def one(self, kind: str, about: str) -> Fact | None:
        with faults(self.path):
            row = self._connection.execute(
                "select payload from state where kind = ? and about = ?", (kind, about)
            ).fetchone()
        fact = decode(kind, about, row[0]) if row else None
        return None if isinstance(fact, UnknownFact) else fact

    def history(self, kind: str, about: str, limit: int) -> list[tuple[int, Instant, Fact]]:
        """Newest first, walking back through the number of the entry before."""
        with faults(self.path):
            row = self._connection.execute(
                "select seq from state where kind = ? and about = ?", (kind, about)
            ).fetchone()
        seq = int(row[0]) if row else 0
        found: list[tuple[int, Instant, Fact]] = []
        while seq and len(found) < limit:
            at, kept = self._row(seq, kind, about)
            if kept is None:
                break
            fact = decode(kind, about, kept.payload)
            if not isinstance(fact, UnknownFact):
                found.append((seq, at, fact))
            seq = kept.previous
        return found

    def _row(self, seq: int, kind: str, about: str) -> tuple[Instant, Row | None]:
        with faults(self.path):
            entry = self._connection.execute("select at, body from entries where seq = ?", (seq,)).fetchone()
        if entry is None:
            return Instant(0), None
        rows = [row for row in decode_body(entry[1]) if (row.kind, row.about) == (kind, about)]
        return Instant(entry[0]), rows[-1] if rows else None

    def entries(self, after: int = 0) -> Iterator[Entry]:
        with faults(self.path):
            for seq, at, note, body in self._connection.execute(
                "select seq, at, note, body from entries where seq > ? order by seq", (after,)
            ):
                facts = tuple(decode(row.kind, row.about, row.payload) for row in decode_body(body))
                yield Entry(seq, Instant(at), note, facts)

    def verify(self) -> Verification:
        """Recompute the chain, fold the state a second way, compare."""
        count, seq = 0, None
        try:
            with faults(self.path):
                previous, expected, first = GENESIS, 1, True
                folded: dict[tuple[str, str], tuple[int, int, bytes]] = {}
                anchor = self._connection.execute(
                    "select seq, hash from anchors order by seq desc limit 1"
                ).fetchone()
                if anchor is not None:
                    expected, previous = anchor[0] + 1, bytes(anchor[1])
                for seq, at, note, before, hashed, body in self._connection.execute(
                    "select seq, at, note, previous_hash, hash, body from entries where seq >= ? order by seq",
                    (expected,),
                ):
                    first = False
                    if seq != expected:
                        return Verification(False, count, expected, f"entry {expected} is missing")
                    if bytes(before) != previous or chain_hash(previous, seq, at, note, body) != bytes(
                        hashed
                    ):
                        return Verification(False, count, seq, f"entry {seq} is not what was written")
                    _fold(folded, seq, decode_body(body))
                    previous, expected, count = bytes(hashed), seq + 1, count + 1
                if anchor is None and not first:
                    return self._compare(folded, count)
                return Verification(True, count)
        except LedgerFault as fault:
            return Verification(False, count, seq, str(fault))

    def _compare(self, folded: dict[tuple[str, str], tuple[int, int, bytes]], count: int) -> Verification:
        kept = {
            (kind, about): (seq, as_of, bytes(payload))
            for kind, about, seq, as_of, payload in self._connection.execute(
                "select kind, about, seq, as_of, payload from state"
            )
        }
        for key in sorted(folded.keys() | kept.keys()):
            if folded.get(key) != kept.get(key):
                why = f"the state of {key[0]} {key[1]} is not what the entries say; run a rebuild"
                return Verification(False, count, folded.get(key, (None,))[0], why)
        return Verification(True, count)


def _fold(folded: dict[tuple[str, str], tuple[int, int, bytes]], seq: int, rows: list[Row]) -> None:
    """The newest ``as_of`` wins; of equal ones the later entry (I7)."""
    for row in rows:
        fact = decode(row.kind, row.about, row.payload)
        as_of = 0 if isinstance(fact, UnknownFact) else int(fact.as_of)
        old = folded.get((row.kind, row.about))
        if old is None or as_of >= old[1]:
            folded[row.kind, row.about] = (seq, as_of, row.payload)


def open_reader(path: Path) -> Reader:
    """A reader on its own read-only connection, for use beside a running daemon."""
    if not path.exists():
        raise LedgerFault(f"{path}: there is no ledger yet; start the daemon first")
    with faults(path):
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        connection.execute("select count(*) from entries").fetchone()
    return Reader(path, connection)
