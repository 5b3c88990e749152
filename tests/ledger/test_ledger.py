"""Rules of the ledger: nothing changes, nothing is lost, two ways of folding agree, one writer."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconcilerd.domain.facts import FACT_TYPES, SlotObserved, SlotState, StockObserved
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, SlotKey
from reconcilerd.errors import LedgerAbsent, LedgerFault, LedgerLocked
from reconcilerd.ledger.codec import decode, encode
from reconcilerd.ledger.copies import inspect, must_be_there
from reconcilerd.ledger.reader import Reader, Verification, faults, open_reader
from reconcilerd.ledger.standing import standing_of
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer


def clock() -> Instant:
    return Instant(1_000)


def stock(sku: str, on_hand: int, as_of: int) -> StockObserved:
    return StockObserved(Sku(sku), LocationName("1"), on_hand, 0, 0, Instant(as_of), Instant(as_of))


readings = st.lists(
    st.builds(stock, st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 20)), max_size=12
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(pages=st.lists(readings, max_size=6))
def test_state_is_the_newest_reading_of_each_subject_by_both_paths(
    tmp_path_factory: pytest.TempPathFactory, pages: list[list[StockObserved]]
) -> None:
    expected: dict[str, StockObserved] = {}
    with Ledger.open(tmp_path_factory.mktemp("l") / "l.db", clock=clock, durable=False) as ledger:
        for page in pages:
            ledger.append(page)
            for fact in page:
                if fact.about not in expected or fact.as_of >= expected[fact.about].as_of:
                    expected[fact.about] = fact
        assert {fact.about: fact for fact in ledger.state(StockObserved)} == expected
        assert ledger.verify().ok
        ledger.rebuild_state()
        assert {fact.about: fact for fact in ledger.state(StockObserved)} == expected


@given(
    st.builds(
        SlotObserved,
        slot=st.builds(SlotKey, st.text(min_size=1).map(ChannelName), st.text(), st.text()),
        listing_sku=st.text(),
        title=st.text(),
        quantity=st.none() | st.integers(0, 10**9),
        state=st.sampled_from(SlotState),
        sells_past_zero=st.booleans(),
        age_of=st.integers(0, 2**52).map(Instant),
        as_of=st.integers(0, 2**52).map(Instant),
    )
)
def test_a_fact_survives_its_bytes(fact: SlotObserved) -> None:
    assert decode(fact.kind, fact.about, encode(fact)) == fact


def test_every_kind_of_fact_has_its_own_name() -> None:
    assert all(name == kind.kind for name, kind in FACT_TYPES.items())


def test_history_walks_back_newest_first(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        for number in range(5):
            ledger.append([stock("a", number, number), stock("b", 1, 1)])
        history = ledger.history("stock", "a@1", 3)
    assert [fact.on_hand for _, _, fact in history if isinstance(fact, StockObserved)] == [4, 3, 2]


NAMES = ("a", '"', "\\", '"stock","a@1",', "é\u2028\n", "x" * 40)
"""A master SKU may be anything; what an entry's body looks like among others."""


@pytest.mark.parametrize("limit", [1, 2, 7, 8])
def test_several_histories_at_once_are_those_of_each_whatever_it_is_called(
    tmp_path: Path, limit: int
) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        for number in range(7):
            ledger.append([stock(name, number, number) for name in NAMES[number % 2 :]])
            ledger.append([stock("b", number, number)])
        subjects = [("stock", f"{name}@1") for name in (*NAMES, "never read")]
        alone = [ledger.history(*each, limit) for each in subjects]
        assert [len(each) for each in alone[1:]] == [min(7, limit)] * (len(NAMES) - 1) + [0]
        assert ledger.histories(subjects, limit) == [row for each in alone for row in each]
        for subject in subjects[1:-1]:
            assert ledger.histories([subject], limit, before=5) == ledger.history(*subject, 7)[5:][:limit]
        assert ledger.histories(subjects, limit, before=2) == []
        assert ledger.histories([], limit) == []


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with (
        Ledger.open(tmp_path / "l.db", clock=clock),
        pytest.raises(LedgerLocked, match=f"process {os.getpid()}"),
    ):
        Ledger.open(tmp_path / "l.db", clock=clock)


def test_entries_can_be_neither_changed_nor_deleted(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        ledger.append([stock("a", 1, 1)])
    other = sqlite3.connect(tmp_path / "l.db")
    for sql in ("update entries set note = 'x'", "delete from entries"):
        with pytest.raises(sqlite3.IntegrityError):
            other.execute(sql)
    other.close()


@pytest.mark.parametrize(
    "sql", ["update entries set body = x'5b5d' where seq = 2", "delete from entries where seq = 2"]
)
def test_verify_names_the_entry_that_was_tampered_with(tmp_path: Path, sql: str) -> None:
    found = tampered(tmp_path / "l.db", sql)
    assert (found.ok, found.first_bad) == (False, 2)
    with closing(open_reader(tmp_path / "l.db")) as reader:
        assert (reader.verify_end().ok, reader.verify_end().first_bad) == (False, 2)
        assert reader.verify_end(1).ok, "of the newest entry alone nothing is wrong"


def tampered(path: Path, sql: str) -> Verification:
    """What is found of three entries after somebody went around the triggers."""
    with Ledger.open(path, clock=clock) as ledger:
        for number in range(3):
            ledger.append([stock("a", number, number)])
    other = sqlite3.connect(path)
    other.executescript(f"drop trigger entries_never_change; drop trigger entries_stay; {sql}")
    other.close()
    reader = open_reader(path)
    try:
        return reader.verify()
    finally:
        reader.close()


def test_verify_finds_a_state_that_the_entries_do_not_say(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        ledger.append([stock("a", 1, 1)])
        ledger._connection.execute(
            "update state set payload = ? where about = 'a@1'", (encode(stock("a", 9, 1)),)
        )
        assert "a@1" in ledger.verify().why


def test_files_are_ours_alone_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        with Ledger.open(tmp_path / "deep" / "l.db", clock=clock) as ledger:
            ledger.append([stock("a", 1, 1)])
            modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep").iterdir()}
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}, modes


def test_a_ledger_that_others_could_read_is_ours_alone_once_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    Ledger.open(path, clock=clock).close()
    path.chmod(0o644)
    with Ledger.open(path, clock=clock) as ledger:
        ledger.append([stock("a", 1, 1)])
        assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "l.db", clock=clock).close()
    other = sqlite3.connect(tmp_path / "l.db")
    other.execute(
        "insert into _sqlite_migrations (migration_set, name, applied_at) values ('reconcilerd', 'm999', '')"
    )
    other.commit()
    other.close()
    with pytest.raises(LedgerFault, match="newer reconcilerd"):
        Ledger.open(tmp_path / "l.db", clock=clock)


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "erp.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("create table invoices (number integer)")
        other.commit()
    path.chmod(0o640)
    before = path.read_bytes()
    for use in (partial(Ledger.open, clock=clock), open_reader, inspect):
        with pytest.raises(
            LedgerFault, match=r"erp\.db: a database of another program.* table invoices; .*ledger\.path"
        ):
            use(path)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (before, 0o640)


@pytest.mark.parametrize(
    "left",
    [
        "pragma user_version",
        "pragma journal_mode = wal",
        "create table _sqlite_migrations"
        " (id integer primary key, migration_set text, name text, applied_at text)",
    ],
    ids=["empty", "wal", "no migration yet"],
)
def test_a_file_that_a_first_start_was_cut_off_from_writing_into_is_no_ledger_yet(
    tmp_path: Path, left: str
) -> None:
    path = tmp_path / "l.db"
    with closing(sqlite3.connect(path)) as cut_off:
        cut_off.execute(left)
        cut_off.commit()
    with pytest.raises(LedgerAbsent, match="a first start was cut off; start the daemon again"):
        open_reader(path)
    with pytest.raises(LedgerAbsent):
        must_be_there(path)
    with Ledger.open(path, clock=clock) as ledger:
        ledger.append([stock("a", 1, 1)])
    with closing(open_reader(path)) as reader:
        assert reader.latest_seq == 1


def test_a_corrupt_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    path.write_bytes(b"not a ledger" * 500)
    before = path.read_bytes()
    with pytest.raises(LedgerFault, match="restore a backup"):
        Ledger.open(path, clock=clock)
    assert path.read_bytes() == before


def test_a_file_that_is_moved_or_replaced_under_its_writer_is_found_out_until_it_is_back(
    tmp_path: Path,
) -> None:
    """SQLite goes on writing into it, whatever it is called now, and says nothing."""
    path, aside = tmp_path / "l.db", tmp_path / "aside.db"
    with Ledger.open(path, clock=clock) as ledger:
        ledger.append([stock("a", 1, 1)])
        assert ledger.astray == ""
        path.rename(aside)
        ledger.append([stock("a", 2, 2)])
        assert ledger.astray == f"{path} is gone"
        assert any("move the file back" in each for each in standing_of(ledger, clock()).warnings)
        path.write_bytes(b"")
        assert ledger.astray == f"{path} is another file now"
        aside.replace(path)
        assert ledger.astray == ""
        assert standing_of(ledger, clock()).warnings == ()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("disk I/O error", "df -h"),
        ("attempt to write a readonly database", "look at the rights"),
        ("unable to open database file", "look at the rights"),
    ],
)
def test_what_sqlite_says_of_a_disk_comes_with_what_to_do(tmp_path: Path, said: str, told: str) -> None:
    with pytest.raises(LedgerFault, match=told), faults(tmp_path / "l.db"):
        raise sqlite3.OperationalError(said)


def test_a_full_disk_writes_nothing_of_the_step(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        ledger.append([stock("a", 1, 1)])
        pages = ledger._connection.execute("pragma page_count").fetchone()[0]
        ledger._connection.execute(f"pragma max_page_count = {pages + 2}")
        with pytest.raises(LedgerFault, match="disk is full"):
            ledger.append([stock(f"sku-{number}", 1, 1) for number in range(5_000)])
        assert ledger.latest_seq == 1
        assert ledger.verify().ok


def test_a_clock_that_goes_back_is_noted_and_what_it_stamped_keeps_no_news_out(tmp_path: Path) -> None:
    times = iter([5_000, 3_000, 6_000])
    with Ledger.open(tmp_path / "l.db", clock=lambda: Instant(next(times))) as ledger:
        for number, as_of in enumerate((5_000, 3_000, 2_000)):
            ledger.append([stock("a", number, as_of)])
        assert [entry.at for entry in ledger.entries()] == [5_000, 3_000, 6_000]
        assert "went back" in [entry.note for entry in ledger.entries()][1]
        assert [fact.on_hand for fact in ledger.state(StockObserved)] == [1]
        assert ledger.verify().ok
        ledger.rebuild_state()
        assert [fact.on_hand for fact in ledger.state(StockObserved)] == [1]


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 0)])
def test_a_commit_of_a_durable_ledger_waits_for_the_disk_itself(
    tmp_path: Path, durable: bool, synchronous: int
) -> None:
    """With less, SQLite may lose the last commits of a write-ahead log where the power fails."""
    with Ledger.open(tmp_path / "l.db", clock=clock, durable=durable) as ledger:
        assert ledger._connection.execute("pragma synchronous").fetchone() == (synchronous,)
        assert ledger._connection.execute("pragma journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("gone", ["seq > 1", "1"])
def test_verify_misses_what_was_cut_off_the_end(tmp_path: Path, gone: str) -> None:
    found = tampered(tmp_path / "l.db", f"delete from entries where {gone}")
    assert (found.ok, found.first_bad) == (False, 3)


def test_verify_judges_one_moment_while_another_writes(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        ledger.append([stock(f"s{number}", 0, 0) for number in range(400)])
        reader = open_reader(tmp_path / "l.db")
        compare = Reader._compare

        def late(self: Reader, *folded: Any) -> Any:
            ledger.append([stock("s7", 1, 1)])
            return compare(self, *folded)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Reader, "_compare", late)
            assert reader.verify().ok
        reader.close()


async def test_every_transaction_is_timed(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        async with Writer(ledger) as writer:
            for number in range(5):
                await writer.append([stock("a", number, number)])
        assert writer.commits.count == 5


async def test_an_entry_that_cannot_be_written_fails_all_of_its_batch_and_ends_the_writer(
    tmp_path: Path,
) -> None:
    bad = replace(stock("a", 1, 1), sku=Sku("\ud800"))
    got: list[object] = []
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        async with Writer(ledger) as writer, anyio.create_task_group() as group:

            async def one(fact: StockObserved) -> None:
                try:
                    got.append(await writer.append([fact]))
                except LedgerFault:
                    got.append("fault")

            for fact in (stock("b", 1, 1), bad, stock("c", 1, 1)):
                group.start_soon(one, fact)
        with pytest.raises(LedgerFault):
            await writer.append([stock("d", 1, 1)])
        held = {fact.sku for fact in ledger.state(StockObserved)}
    assert got.count("fault") == 3 - len(held)
    assert "c" not in held


async def test_what_queued_while_a_commit_failed_is_not_written_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[object] = []
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        kept, begun, go_on = ledger.append_all, threading.Event(), threading.Event()

        def failing(work: Any) -> Any:
            monkeypatch.setattr(ledger, "append_all", kept)
            begun.set()
            go_on.wait(5)
            raise LedgerFault("the disk is full")

        monkeypatch.setattr(ledger, "append_all", failing)
        async with Writer(ledger) as writer, anyio.create_task_group() as group:

            async def one(sku: str) -> None:
                try:
                    got.append(await writer.append([stock(sku, 1, 1)]))
                except LedgerFault:
                    got.append("fault")

            group.start_soon(one, "first")
            while not begun.is_set():
                await anyio.sleep(0.001)
            group.start_soon(one, "second")
            await anyio.sleep(0.01)
            go_on.set()
        assert got == ["fault", "fault"]
        assert list(ledger.state(StockObserved)) == []


def test_the_log_does_not_stay_large_once_a_long_reading_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcilerd.ledger.store.WAL_BYTES", 1 << 16)
    log = tmp_path / "l.db-wal"
    with Ledger.open(tmp_path / "l.db", clock=clock, durable=False) as ledger:
        ledger.append([stock("a", 1, 1)])
        reader = open_reader(tmp_path / "l.db")
        reader._connection.execute("begin")
        assert reader.latest_seq == 1
        for number in range(60):
            ledger.append([stock(f"s{i}", number, number) for i in range(200)])
        grown = log.stat().st_size
        reader.close()
        for number in range(60, 64):
            ledger.append([stock(f"s{i}", number, number) for i in range(200)])
        assert log.stat().st_size < grown // 4


async def test_work_between_commits_is_whole_and_meets_what_broke_the_writer(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        async with Writer(ledger) as writer, anyio.create_task_group() as group:

            async def append(number: int) -> None:
                await writer.append([stock(f"s{number}", 1, 1)])

            for number in range(20):
                group.start_soon(append, number)
            assert await writer.between(lambda: ledger.verify().ok)
        with pytest.raises(LedgerFault):
            await writer.append([replace(stock("a", 1, 1), sku=Sku("\ud800"))])
        with pytest.raises(LedgerFault):
            await writer.between(lambda: ledger.latest_seq)


async def test_many_callers_share_commits_and_each_gets_its_own_entry(tmp_path: Path) -> None:
    got: list[int] = []
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        async with Writer(ledger) as writer, anyio.create_task_group() as group:

            async def one(number: int) -> None:
                got.append(await writer.append([stock(f"s{number}", 1, 1)]))

            for number in range(40):
                group.start_soon(one, number)
        assert sorted(got) == list(range(1, 41))
        assert ledger.verify().ok


@pytest.mark.parametrize("inline", [True, False])
async def test_callers_that_are_cancelled_at_whatever_step_break_no_commit_and_leave_their_entries(
    tmp_path: Path, inline: bool
) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        async with Writer(ledger, inline=inline) as writer:
            for steps in reversed(range(12)):
                async with anyio.create_task_group() as group:
                    for caller in "ab":
                        group.start_soon(writer.append, [stock(f"{caller}{steps}", 1, 1)])
                    for _ in range(steps + 1):
                        await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()
        assert len(list(ledger.state(StockObserved))) == 24
        assert ledger.verify().ok


async def test_what_a_caller_left_that_was_cancelled_is_written_before_the_writer_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came while a commit was under way, and nobody came after it."""
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        whole, begun, go_on = ledger.append_all, threading.Event(), threading.Event()

        def slow(work: Any) -> Any:
            begun.set()
            go_on.wait(5)
            return whole(work)

        monkeypatch.setattr(ledger, "append_all", slow)
        async with Writer(ledger) as writer, anyio.create_task_group() as group:
            group.start_soon(writer.append, [stock("a", 1, 1)])
            while not begun.is_set():
                await anyio.sleep(0.001)
            with anyio.move_on_after(0.01):
                await writer.append([stock("b", 1, 1)])
            go_on.set()
        assert [fact.sku for fact in ledger.state(StockObserved)] == ["a", "b"]


KILLED = """
import sys, itertools
from pathlib import Path
from tests.ledger.test_ledger import stock, clock
from reconcilerd.ledger.store import Ledger
with Ledger.open(Path(sys.argv[1]), clock=clock) as ledger:
    for number in itertools.count(ledger.latest_seq + 1):
        ledger.append([stock(f"s{i}", number, number) for i in range(20)])
        print(number, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    for kill_after in (1, 3, 7, 12, 20):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "l.db")],
            cwd=root,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        last = 0
        for _ in range(kill_after):
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
            assert ledger.latest_seq >= last
            assert ledger.verify().ok
