"""Copies of a ledger that were torn: the log cut or spoilt anywhere opens to a prefix; a damaged file is found out."""

import shutil
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.reader import Entry, Verification, open_reader
from reconcilerd.ledger.store import Ledger
from tests.ledger.test_ledger import clock, stock

ENTRIES = 40
NAMES = ("l.db", "l.db-wal", "l.db-shm")


@dataclass(frozen=True, slots=True)
class Copy:
    """The files of a ledger at one moment, and what it held."""

    database: bytes
    log: bytes
    entries: tuple[Entry, ...]


@cache
def written(*, flushed: bool, compacted: bool = False) -> Copy:
    """A ledger of some entries: all of them still in the log, or (``flushed``) all of them in the file.

    ``compacted``: half of them were let go.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "l.db"
        with Ledger.open(path, clock=clock) as ledger:
            if not flushed:
                ledger._connection.execute("pragma wal_checkpoint(truncate)")
            for number in range(ENTRIES):
                ledger.append([stock(f"s{i}", number, number) for i in range(8)], note=f"entry {number}")
            if compacted:
                ledger.compact(Instant(clock() + 1), ENTRIES // 2)
            if flushed:
                ledger._connection.execute("pragma wal_checkpoint(truncate)")
            log = path.with_name("l.db-wal").read_bytes()
            return Copy(path.read_bytes(), log, tuple(ledger.entries()))


def opened(folder: Path, database: bytes, log: bytes) -> tuple[Verification, tuple[Entry, ...]]:
    """What a reader makes of copies. Raises LedgerFault for what it will not read."""
    path = folder / "l.db"
    path.write_bytes(database)
    path.with_name("l.db-wal").write_bytes(log)
    reader = open_reader(path)
    try:
        found = reader.verify()
        return found, tuple(reader.entries()) if found.ok else ()
    finally:
        reader.close()


def check_prefix(database: bytes, log: bytes, entries: tuple[Entry, ...]) -> int:
    """How many entries a torn copy still holds; and that the daemon goes on from there."""
    with TemporaryDirectory() as name:
        found, kept = opened(Path(name), database, log)
        assert found.ok, found.why
        assert kept == entries[: len(kept)], "an entry that was never written, or half of one"
        with Ledger.open(Path(name) / "l.db", clock=clock, durable=False) as ledger:
            assert ledger.latest_seq == len(kept)
            assert ledger.append([stock("next", 1, 1)]) == len(kept) + 1
            assert ledger.verify().ok
        return len(kept)


@settings(max_examples=60)
@given(st.floats(0, 1))
def test_any_prefix_of_the_log_opens_to_a_prefix_of_the_entries(part: float) -> None:
    copy = written(flushed=False)
    check_prefix(copy.database, copy.log[: int(part * len(copy.log))], copy.entries)


def test_the_whole_log_holds_everything_and_none_of_it_nothing() -> None:
    copy = written(flushed=False)
    assert check_prefix(copy.database, copy.log, copy.entries) == ENTRIES
    assert check_prefix(copy.database, b"", copy.entries) == 0


@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.integers(1, 64))
def test_a_log_that_is_spoilt_anywhere_opens_to_a_prefix_of_the_entries(
    part: float, flip: int, length: int
) -> None:
    copy = written(flushed=False)
    log, at = bytearray(copy.log), int(part * len(copy.log))
    for place in range(at, min(len(log), at + length)):
        log[place] ^= flip
    try:
        kept = check_prefix(copy.database, bytes(log), copy.entries)
    except LedgerFault as fault:
        # The head of the log says which version wrote it: another one is not read at all.
        assert at < 32, fault  # noqa: PT017
        assert str(fault)  # noqa: PT017
        return
    assert kept < ENTRIES or at < 32


@settings(max_examples=150)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.sampled_from([1, 16, 400]), st.booleans())
def test_a_file_that_is_damaged_anywhere_is_found_out_or_holds_what_was_written(
    part: float, flip: int, length: int, compacted: bool
) -> None:
    copy = written(flushed=True, compacted=compacted)
    database, at = bytearray(copy.database), int(part * len(copy.database))
    for place in range(at, min(len(database), at + length)):
        database[place] ^= flip
    with TemporaryDirectory() as name:
        try:
            found, kept = opened(Path(name), bytes(database), b"")
        except LedgerFault as fault:
            assert "l.db: " in str(fault)  # noqa: PT017
            return
        if found.ok:
            assert kept == copy.entries, "what was verified is not what was written"
        else:
            assert found.why


def test_copies_made_while_it_writes_hold_a_prefix_or_are_refused(tmp_path: Path) -> None:
    """File by file, as a thoughtless backup does it; checkpoints happen in between."""
    path, over = tmp_path / "l.db", threading.Event()
    whole: list[tuple[Entry, ...]] = []

    def write() -> None:
        with Ledger.open(path, clock=clock, durable=False) as ledger:
            ledger._connection.execute("pragma wal_autocheckpoint = 40")
            number = 0
            while not over.is_set():
                number += 1
                ledger.append([stock(f"s{i}", number, number) for i in range(20)])
            whole.append(tuple(ledger.entries()))

    writer = threading.Thread(target=write)
    writer.start()
    copies = tmp_path / "copies"
    try:
        while not path.exists() or path.stat().st_size < 8_192:
            pass
        for number in range(25):
            folder = copies / str(number)
            folder.mkdir(parents=True)
            for name in NAMES:
                if (tmp_path / name).exists():
                    shutil.copyfile(tmp_path / name, folder / name)
    finally:
        over.set()
        writer.join()
    held = [len(kept) for kept in (_copied(each, whole[0]) for each in copies.iterdir()) if kept is not None]
    assert held, "not one copy could be read"
    assert max(held) > 0


def _copied(folder: Path, whole: tuple[Entry, ...]) -> tuple[Entry, ...] | None:
    """What a copy holds, or nothing where it is refused."""
    try:
        reader = open_reader(folder / "l.db")
    except LedgerFault as fault:
        assert "l.db" in str(fault)  # noqa: PT017
        return None
    try:
        found = reader.verify()
        if not found.ok:
            assert found.why
            return None
        kept = tuple(reader.entries())
        assert kept == whole[: len(kept)]
        return kept
    finally:
        reader.close()


def test_a_damaged_file_ends_the_start_with_one_sentence(tmp_path: Path) -> None:
    copy = written(flushed=True)
    path = tmp_path / "l.db"
    path.write_bytes(copy.database[:4_096] + bytes(len(copy.database) - 4_096))
    with (
        pytest.raises((LedgerFault, sqlite3.DatabaseError)) as raised,
        Ledger.open(path, clock=clock) as ledger,
    ):
        list(ledger.everything())
    assert isinstance(raised.value, LedgerFault)


@pytest.mark.parametrize("column", ["previous_hash", "hash", "body", "note", "at"])
@pytest.mark.parametrize("value", [None, 7.5])
def test_a_column_of_another_kind_is_found_out(tmp_path: Path, column: str, value: object) -> None:
    """As a byte that was flipped on the disk makes it: no database would write such a row."""
    path = tmp_path / "l.db"
    path.write_bytes(written(flushed=True).database)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("alter table entries rename to strictly")
        raw.execute("create table entries as select * from strictly")
        raw.execute("drop table strictly")
        raw.execute(f"update entries set {column} = ? where seq = 2", (value,))
    reader = open_reader(path)
    found = reader.verify()
    reader.close()
    assert (found.ok, found.entries) == (False, 1)
    assert "entry 2 is not what was written" in found.why
