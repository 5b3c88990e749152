"""What the proof of a ledger finds of changes that were made to fit, and what a hash is of."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from reconcilerd.domain.facts import StockObserved
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.codec import encode
from reconcilerd.ledger.reader import GENESIS, chain_hash, open_reader
from reconcilerd.ledger.store import Ledger
from tests.ledger.test_ledger import stock


def changed(path: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    """A ledger of four entries after somebody went around the triggers."""
    with Ledger.open(path, clock=lambda: Instant(1_000), durable=False) as ledger:
        for number in range(4):
            ledger.append([stock("a", number, number)])
    with closing(sqlite3.connect(path)) as other:
        other.executescript("drop trigger entries_never_change; drop trigger entries_stay")
        change(other)
        other.commit()


def forge(other: sqlite3.Connection) -> None:
    """Another note for the second entry, and the hash that belongs to it."""
    query = "select previous_hash, at, body from entries where seq = 2"
    before, at, body = other.execute(query).fetchone()
    told = chain_hash(before, 2, at, "forged", body)
    other.execute("update entries set note = 'forged', hash = ? where seq = 2", (told,))


def unhinge(other: sqlite3.Connection) -> None:
    """Another hash of the one before, in the third entry alone."""
    other.execute("update entries set previous_hash = (select hash from entries where seq = 1) where seq = 3")


@pytest.mark.parametrize("change", [forge, unhinge])
def test_an_entry_that_does_not_follow_from_the_one_before_is_found(
    tmp_path: Path, change: Callable[[sqlite3.Connection], object]
) -> None:
    changed(tmp_path / "l.db", change)
    with closing(open_reader(tmp_path / "l.db")) as reader:
        for found in (reader.verify(), reader.verify_end()):
            assert (found.ok, found.first_bad) == (False, 3)


def test_a_subject_that_no_entry_ever_named_is_found_in_the_state(tmp_path: Path) -> None:
    row = ("stock", "b@1", 4, 1, encode(stock("b", 1, 1)))
    changed(tmp_path / "l.db", lambda other: other.execute("insert into state values (?, ?, ?, ?, ?)", row))
    with closing(open_reader(tmp_path / "l.db")) as reader:
        found = reader.verify()
    assert (found.ok, "b@1" in found.why) == (False, True)


def test_a_base_without_an_anchor_proves_nothing(tmp_path: Path) -> None:
    """Were it believed, whoever writes to base and state could have anything said by entries that never were."""

    def invent(other: sqlite3.Connection) -> None:
        row = ("stock", "b@1", 1, 1, encode(stock("b", 1, 1)))
        other.execute("insert into state (kind, about, seq, as_of, payload) values (?, ?, ?, ?, ?)", row)
        other.execute(
            "insert into base (kind, about, seq, at, as_of, payload) values (?, ?, ?, 1, ?, ?)", row
        )

    changed(tmp_path / "l.db", invent)
    with closing(open_reader(tmp_path / "l.db")) as reader:
        assert not reader.verify().ok


def test_no_two_entries_have_one_hash_wherever_the_note_ends_and_the_body_begins() -> None:
    assert chain_hash(GENESIS, 1, 1, "a", b"b\0c") != chain_hash(GENESIS, 1, 1, "a\0b", b"c")


def test_what_was_written_after_a_moment_is_told_in_the_order_of_its_entries_and_in_theirs(
    tmp_path: Path,
) -> None:
    at = [Instant(0)]
    with Ledger.open(tmp_path / "l.db", clock=lambda: at[0], durable=False) as ledger:
        for moment in (1, 2, 3):
            at[0] = Instant(moment)
            ledger.append([stock(name, moment, moment) for name in "ba"])
        told = ledger.since(StockObserved, Instant(1))
    assert [(fact.sku, fact.on_hand) for fact in told] == [("b", 2), ("a", 2), ("b", 3), ("a", 3)]
