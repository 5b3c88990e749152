"""A ledger of every earlier schema is copied, then upgraded with all it holds; a newer one is refused."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from reconcilerd.domain.facts import Fact, StockObserved, SweepRead
from reconcilerd.domain.feeds import STOCK_FEED
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger import store
from reconcilerd.ledger.backups import back_up, restore
from reconcilerd.ledger.codec import Row, decode, encode, encode_body
from reconcilerd.ledger.copies import inspect
from reconcilerd.ledger.migrations import migrations
from reconcilerd.ledger.reader import GENESIS, chain_hash, open_reader
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.versions import ALL
from tests.ledger.test_ledger import clock, stock

EARLIER = range(1, len(ALL))
ENTRIES = 6


def older(path: Path, schema: int) -> None:
    """A ledger as the first ``schema`` migrations made it, with entries as every version wrote them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        migrations.apply(Database(connection), stop_before=ALL[schema])
        before, previous = GENESIS, 0
        for seq in range(1, ENTRIES + 1):
            fact: Fact = stock("a", seq, seq)
            row = Row(fact.kind, fact.about, previous, encode(fact))
            body = encode_body([row])
            head = chain_hash(before, seq, int(clock()), "", body)
            connection.execute(
                "insert into entries (seq, at, note, previous_hash, hash, body) values (?, ?, '', ?, ?, ?)",
                (seq, int(clock()), before, head, body),
            )
            connection.execute(
                "insert or replace into state (kind, about, seq, as_of, payload) values (?, ?, ?, ?, ?)",
                (row.kind, row.about, seq, int(fact.as_of), row.payload),
            )
            before, previous = head, seq


def held(ledger: Ledger) -> tuple[int, list[int]]:
    assert ledger.verify().ok
    return ledger.latest_seq, [fact.on_hand for fact in ledger.state(StockObserved)]


def test_a_reading_that_was_written_before_any_could_leave_rows_out_has_left_none_out() -> None:
    read = SweepRead(STOCK_FEED, Instant(1), Instant(2), True, 3, 0, sizes=(3,), unread=("a",))
    written = encode(read)
    assert decode("sweep", read.about, written) == read
    before = written.replace(b',"unread":["a"]', b"")
    assert before != written
    assert decode("sweep", read.about, before) == SweepRead(
        STOCK_FEED, Instant(1), Instant(2), True, 3, 0, sizes=(3,)
    )


def test_the_list_of_migrations_is_all_of_them() -> None:
    assert tuple(each.name for each in migrations.pending(Database(memory=True))) == ALL


@pytest.mark.parametrize("schema", EARLIER)
def test_a_ledger_of_each_earlier_schema_is_copied_then_upgraded(tmp_path: Path, schema: int) -> None:
    path, told = tmp_path / "l.db", list[str]()
    older(path, schema)
    with Ledger.open(path, clock=clock, tell=told.append) as ledger:
        assert held(ledger) == (ENTRIES, [ENTRIES])
        assert ledger.append([stock("a", 9, 9)]) == ENTRIES + 1
        assert held(ledger) == (ENTRIES + 1, [9])
        assert len(ledger.history("stock", "a@1", 99)) == ENTRIES + 1
    assert inspect(path).schema == ALL
    kept = path.with_name(f"l.db.{ALL[schema - 1].partition('_')[0]}")
    assert kept.stat().st_mode & 0o777 == 0o600
    found = inspect(kept)
    assert (found.schema, found.entries) == (ALL[:schema], ENTRIES)
    assert told, "whoever waits must hear that it goes on"


@pytest.mark.parametrize("schema", EARLIER)
def test_an_older_ledger_can_be_read_and_backed_up_as_it_is_and_a_backup_of_it_restored(
    tmp_path: Path, schema: int
) -> None:
    path = tmp_path / "l.db"
    older(path, schema)
    reader = open_reader(path)
    assert reader.verify().ok
    assert reader.latest_seq == ENTRIES
    reader.close()
    made = back_up(path, tmp_path / "b", clock, hourly=1, daily=1)
    assert inspect(path).schema == ALL[:schema]
    restore(Path(made.backup.file), tmp_path / "new.db", clock, replace=False, by="a test")
    with Ledger.open(tmp_path / "new.db", clock=clock) as ledger:
        assert held(ledger) == (ENTRIES, [ENTRIES])


@pytest.mark.parametrize("schema", EARLIER)
def test_an_upgrade_that_is_cut_short_begins_anew(
    tmp_path: Path, schema: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.db"
    older(path, schema)

    def cut(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "sign", cut)
        with pytest.raises(KeyboardInterrupt):
            Ledger.open(path, clock=clock)
    assert inspect(path).schema == ALL[:schema]
    with Ledger.open(path, clock=clock) as ledger:
        assert held(ledger) == (ENTRIES, [ENTRIES])


def test_no_copy_no_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "l.db"
    older(path, 1)

    def full(*_: object) -> bytes:
        raise LedgerFault("the disk is full")

    monkeypatch.setattr(store, "copy_of", full)
    with pytest.raises(LedgerFault, match="the disk is full"):
        Ledger.open(path, clock=clock)
    assert inspect(path).schema == ALL[:1]


def test_a_new_or_current_ledger_is_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        Ledger.open(tmp_path / "l.db", clock=clock).close()
    assert [each.name for each in tmp_path.glob("l.db.m*")] == []


def newer(path: Path) -> None:
    Ledger.open(path, clock=clock).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) "
            "values ('reconcilerd', 'm999_later', '')"
        )
        other.execute("insert into programs (version, number) values ('9.8.7', 99)")
        other.commit()


def test_a_newer_ledger_is_refused_by_whoever_opens_it_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    newer(path)
    before = path.read_bytes()
    for opening in (
        lambda: Ledger.open(path, clock=clock),
        lambda: open_reader(path),
        lambda: inspect(path),
        lambda: restore(path, tmp_path / "new.db", clock, replace=False, by="a test"),
    ):
        with pytest.raises(LedgerFault) as raised:
            opening()
        for word in ("m999_later", "9.8.7", ALL[-1], "install reconcilerd 9.8.7 again"):
            assert word in str(raised.value)
    assert path.read_bytes() == before
    assert not (tmp_path / "new.db").exists()
