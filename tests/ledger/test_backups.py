"""Backups are taken beside a writer, proven, ours alone; none is lost for a bad one; each can be put back."""

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from reconcilerd.domain.facts import LedgerRestored, StockObserved
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault, LedgerLocked
from reconcilerd.ledger import copies
from reconcilerd.ledger.backups import OVERDUE_MS, Backup, Made, back_up, last_backup, overdue, restore
from reconcilerd.ledger.copies import inspect
from reconcilerd.ledger.disk import Room
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.standing import Standing, standing_of
from reconcilerd.ledger.store import Ledger
from tests.ledger.test_ledger import clock, stock

DAY_MS = 86_400_000
NOON = Instant(20_000 * DAY_MS + DAY_MS // 2)

WRITER = """
import itertools, sys
from pathlib import Path
from tests.ledger.test_ledger import clock, stock
from reconcilerd.ledger.store import Ledger
with Ledger.open(Path(sys.argv[1]), clock=clock) as ledger:
    for number in itertools.count(1):
        ledger.append([stock(f"s{i}", number, number) for i in range(30)])
        if number == 3:
            print("writing", flush=True)
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "here" / "l.db"
    with Ledger.open(path, clock=clock) as ledger:
        for number in range(20):
            ledger.append([stock(f"s{i}", number, number) for i in range(8)])
    return path


def taken(ledger: Path, folder: Path, at: int = NOON, hourly: int = 24, daily: int = 14) -> Made:
    return back_up(ledger, folder, lambda: Instant(at), hourly=hourly, daily=daily, rest=lambda _: None)


def later(ms: int) -> Callable[[], Instant]:
    return lambda: Instant(NOON + ms)


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Path]:
    """A ledger to which another process appends all the time."""
    path = tmp_path / "busy" / "l.db"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield path
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_each_backup_under_load_is_restored_to_the_beginning_that_it_was_taken_of(
    busy: Path, tmp_path: Path
) -> None:
    beside = open_reader(busy)
    steps: list[int] = []

    def rest(_: float) -> None:
        steps.append(beside.latest_seq)

    for number in range(6):
        began = beside.latest_seq
        made = back_up(busy, tmp_path / "b", later(number), hourly=1, daily=1, rest=rest)
        assert made.backup.entries >= began, "it lacks what was there when it began"
        target = tmp_path / f"restored{number}" / "l.db"
        restore(Path(made.backup.file), target, clock, replace=False, by="a test")
        with Ledger.open(target, clock=clock) as restored:
            whole = list(beside.entries())
            *same, last = restored.entries()
            assert same == whole[: made.backup.entries]
            assert beside.hash_of(made.backup.entries) == restored.hash_of(made.backup.entries)
            assert [fact.kind for fact in last.facts] == ["restored"]
            assert restored.append([stock("next", 1, 1)]) == made.backup.entries + 2
            assert restored.verify().ok
    beside.close()
    assert steps[-1] > steps[0], "nobody wrote meanwhile"


def test_a_copy_goes_in_steps_and_whoever_writes_goes_on_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with Ledger.open(path, clock=clock, durable=False) as ledger:
        for number in range(60):
            ledger.append([stock(f"{'x' * 60}{i}", number, number) for i in range(200)])
        head, commits = ledger.head_hash, list[int]()

        def rest(_: float) -> None:
            commits.append(ledger.append([stock("meanwhile", len(commits), len(commits))]))

        copied = copies.copy_of(path, tmp_path / "copy.db", rest)
        assert len(commits) > 1
    assert copied == head
    assert inspect(tmp_path / "copy.db").head == head.hex()
    assert sorted(each.name for each in tmp_path.glob("copy*")) == ["copy.db"], "one file, nothing beside it"


def test_a_backup_is_ours_alone_before_it_holds_a_byte(written: Path, tmp_path: Path) -> None:
    folder, modes = tmp_path / "b", set[int]()
    old = os.umask(0)
    try:

        def rest(_: float) -> None:
            modes.update(each.stat().st_mode & 0o777 for each in folder.iterdir())

        made = back_up(written, folder, clock, hourly=1, daily=1, rest=rest)
    finally:
        os.umask(old)
    modes.update(each.stat().st_mode & 0o777 for each in folder.iterdir())
    modes.add(written.with_name("l.db.backup.json").stat().st_mode & 0o777)
    assert modes == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Path(made.backup.file).parent == folder


def test_the_last_good_backup_is_on_record_wherever_it_is(written: Path, tmp_path: Path) -> None:
    assert last_backup(written) is None
    made = taken(written, tmp_path / "b")
    assert last_backup(written) == made.backup
    assert made.backup.entries == 20


def test_a_backup_is_overdue_after_a_day_and_two_hours() -> None:
    backup, late = Backup("f", NOON, 1, "", 1), Instant(NOON + OVERDUE_MS + 1)
    assert overdue(backup, Instant(late - 1), Instant(0)) is None
    assert "26 h" in str(overdue(backup, late, Instant(0)))
    assert overdue(None, Instant(late - 1), NOON) is None, "a young ledger needs none yet"
    assert "ever" in str(overdue(None, late, NOON))
    assert overdue(None, late, None) is None


def test_a_time_that_is_still_to_come_says_nothing_of_the_age_of_a_backup() -> None:
    """As a clock that was ahead left it, which is right again: without this, nobody would hear of it for as long."""
    ahead, year = Backup("f", Instant(NOON + 365 * DAY_MS), 1, "", 1), Instant(NOON + 365 * DAY_MS)
    for at in (NOON, Instant(NOON + 10 * DAY_MS), Instant(year - 3_600_001)):
        told = overdue(ahead, at, Instant(0))
        assert told is not None
        assert "(f): a clock was wrong; run: reconcilerd backup" in told
        assert "ever made" in str(overdue(None, at, year))
    for at in (Instant(year - 3_600_000), year, Instant(year + OVERDUE_MS)):
        assert overdue(ahead, at, Instant(0)) is None, "clocks are set by seconds all the time"
        assert overdue(None, at, year) is None


def test_what_a_clock_that_was_ahead_made_takes_no_place_from_what_the_right_one_makes(
    written: Path, tmp_path: Path
) -> None:
    taken(written, tmp_path / "b", NOON + 365 * DAY_MS, hourly=2, daily=0)
    for hour in range(4):
        made = taken(written, tmp_path / "b", NOON + hour * 3_600_000, hourly=2, daily=0)
        assert made.kept == 2
    assert sorted(each.name for each in (tmp_path / "b").iterdir()) == [
        "l-20241004T140000Z.db",
        "l-20241004T150000Z.db",
    ]


def test_how_the_keep_stands_is_told_with_what_to_do(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(at: int) -> Standing:
        reader = open_reader(written)
        try:
            return standing_of(reader, Instant(at))
        finally:
            reader.close()

    young, old = int(clock()), int(clock()) + 10 * DAY_MS
    assert told(young).warnings == ()
    assert "reconcilerd backup" in told(old).warnings[0]
    made = taken(written, tmp_path / "b", old)
    assert (told(old).warnings, told(old).backup) == ((), made.backup)
    assert told(old).room.database == written.stat().st_size
    monkeypatch.setattr("reconcilerd.ledger.standing.room", lambda _: Room(1 << 30, 1 << 20, 1, 1))
    assert "1 MiB (0.1 %)" in told(old).warnings[0]


def test_a_ledger_that_was_begun_anew_beside_a_backup_is_told(written: Path, tmp_path: Path) -> None:
    """Without it the daemon has forgotten what it had under way, and what people said."""
    made = taken(written, tmp_path / "b")
    for each in written.parent.glob("l.db*"):
        if each.name in {"l.db", "l.db-wal", "l.db-shm"}:
            each.unlink()
    with Ledger.open(written, clock=lambda: Instant(NOON + DAY_MS)) as ledger:
        assert standing_of(ledger, Instant(NOON + DAY_MS)).warnings == (), "nothing is in it yet"
        ledger.append([stock("a", 1, 1)])
        (warning,) = standing_of(ledger, Instant(NOON + DAY_MS)).warnings
        assert f"reconcilerd restore {made.backup.file} --replace" in warning
    taken(written, tmp_path / "b", NOON + DAY_MS + 1)
    with closing(open_reader(written)) as reader:
        assert standing_of(reader, Instant(NOON + DAY_MS + 1)).warnings == ()


def test_older_backups_go_and_nothing_else_does(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    first = taken(written, folder)
    name = Path(first.backup.file).name
    keepsakes = {
        "l-20010101T000000Z.db": b"not a database",  # named like ours, made by somebody else
        f"copy-of-{name}": Path(first.backup.file).read_bytes(),  # made by us, named by somebody else
        f"other-{name.removeprefix('l-')}": Path(first.backup.file).read_bytes(),  # another ledger's
        "l-20010101T000000Z.db.partly": b"",
        "notes.txt": b"",
    }
    for each, content in keepsakes.items():
        (folder / each).write_bytes(content)
    (folder / "l-20010102T000000Z.db").symlink_to(written)
    for day in range(1, 5):
        taken(written, folder, NOON + day * DAY_MS, hourly=1, daily=3)
    made = taken(written, folder, NOON + 5 * DAY_MS, hourly=1, daily=3)
    ours = sorted(each.name for each in folder.iterdir() if each.name.startswith("l-2024"))
    assert len(ours) == made.kept == 3
    assert Path(made.backup.file).name == ours[-1]
    assert {each.name for each in folder.iterdir()} == {*ours, *keepsakes, "l-20010102T000000Z.db"}
    assert written.exists()


def test_what_an_earlier_run_left_half_made_is_removed(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    for end in ("", "-journal", "-wal"):
        (folder / f"l-20240101T000000Z.db.part{end}").touch()
    taken(written, folder)
    assert [each.name for each in folder.glob("*.part*")] == []


def test_a_copy_that_cannot_be_proven_costs_no_older_one(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    good = taken(written, folder)
    other = sqlite3.connect(written)
    other.execute("update state set payload = x'7b7d' where about = 's1@1'")
    other.commit()
    other.close()
    with pytest.raises(LedgerFault, match="s1@1"):
        taken(written, folder, NOON + 40 * DAY_MS, hourly=1, daily=1)
    assert [str(each) for each in folder.iterdir()] == [good.backup.file]
    assert last_backup(written) == good.backup


def test_a_disk_without_room_is_told_before_a_byte_is_written(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "room", lambda _: Room(1 << 40, 1 << 20, 1 << 20, 0))
    with pytest.raises(LedgerFault, match="1 MiB are free"):
        taken(written, tmp_path / "b")
    assert list((tmp_path / "b").iterdir()) == []


def test_a_disk_that_fills_meanwhile_leaves_nothing_behind(written: Path, tmp_path: Path) -> None:
    def rest(_: float) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(LedgerFault, match="disk is full"):
        back_up(written, tmp_path / "b", clock, hourly=1, daily=1, rest=rest)
    assert list((tmp_path / "b").iterdir()) == []
    assert last_backup(written) is None


def test_two_backups_into_one_folder_do_not_meet(written: Path, tmp_path: Path) -> None:
    def rest(_: float) -> None:
        with pytest.raises(LedgerFault, match="another backup is being made"):
            taken(written, tmp_path / "b")

    back_up(written, tmp_path / "b", clock, hourly=1, daily=1, rest=rest)


@pytest.mark.parametrize("name", ["l.db", "nix/l.db"])
def test_a_target_that_is_no_folder_is_named(written: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(LedgerFault, match="itself" if name == "l.db" else "cannot be used"):
        taken(written, written if name == "l.db" else Path("/proc") / name)


def test_no_ledger_no_backup(tmp_path: Path) -> None:
    with pytest.raises(LedgerFault, match="no ledger yet"):
        taken(tmp_path / "nowhere" / "l.db", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_ledger_that_somebody_writes_is_not_replaced(written: Path, tmp_path: Path) -> None:
    made = taken(written, tmp_path / "b")
    with Ledger.open(written, clock=clock) as ledger:
        ledger.append([stock("a", 1, 1)])
        with pytest.raises(LedgerLocked, match=f"process {os.getpid()}"):
            restore(Path(made.backup.file), written, clock, replace=True, by="a test")
        assert ledger.latest_seq == 21


def test_a_ledger_is_replaced_only_on_request_and_stays_beside_it_whole(
    written: Path, tmp_path: Path
) -> None:
    made = taken(written, tmp_path / "b")
    # As a kill leaves it: the newest entries are in the log alone.
    with Ledger.open(written, clock=clock) as ledger:
        ledger.append([stock("later", 1, 1)])
        held = {end: Path(f"{written}{end}").read_bytes() for end in ("", "-wal")}
    for end, content in held.items():
        Path(f"{written}{end}").write_bytes(content)
    with pytest.raises(LedgerFault, match="--replace"):
        restore(Path(made.backup.file), written, clock, replace=False, by="a test")
    assert {end: Path(f"{written}{end}").read_bytes() for end in held} == held
    done = restore(Path(made.backup.file), written, clock, replace=True, by="a test")
    assert done.replaced is not None
    with Ledger.open(written, clock=clock) as ledger:
        (told,) = ledger.state(LedgerRestored)
        assert told == LedgerRestored(
            made.backup.file, 20, made.backup.head, done.replaced, "a test", clock()
        )
        assert ledger.latest_seq == 21
        assert ledger.verify().ok
    assert {each.name for each in written.parent.glob("*restoring*")} == set()
    with Ledger.open(Path(done.replaced), clock=clock) as ledger:
        assert ledger.latest_seq == 21
        assert ledger.verify().ok


def test_a_file_that_is_no_backup_is_not_spoken_of_as_the_ledger(tmp_path: Path) -> None:
    """Whoever mistypes a name is not told to move that file aside and start the daemon."""
    other = tmp_path / "passwd"
    other.write_text("root:x:0:0\n" * 500, "utf-8")
    with pytest.raises(LedgerFault, match=r"not a readable ledger .*take another backup$"):
        inspect(other)


def test_a_backup_that_is_not_sound_replaces_nothing(written: Path, tmp_path: Path) -> None:
    made = taken(written, tmp_path / "b")
    file = Path(made.backup.file)
    raw = bytearray(file.read_bytes())
    place = raw.index(b'"on_hand":7')
    raw[place + 10] = ord("6")
    file.write_bytes(raw)
    before = written.read_bytes()
    with pytest.raises(LedgerFault, match=r"broken at entry|not what"):
        restore(file, written, clock, replace=True, by="a test")
    with pytest.raises(LedgerFault, match=r"broken at entry|not what"):
        inspect(file)
    assert written.read_bytes() == before
    assert [each.name for each in written.parent.glob("*restoring*")] == []


def test_a_file_copy_with_its_log_is_restored_too(written: Path, tmp_path: Path) -> None:
    """As another tool leaves it, which takes the log along."""
    with Ledger.open(written, clock=clock) as ledger:
        ledger.append([stock("later", 1, 1)])
        for end in ("", "-wal"):
            shutil.copy(f"{written}{end}", tmp_path / f"copy.db{end}")
    restore(tmp_path / "copy.db", tmp_path / "new" / "l.db", clock, replace=False, by="a test")
    with Ledger.open(tmp_path / "new" / "l.db", clock=clock) as ledger:
        assert [fact.on_hand for fact in ledger.state(StockObserved) if fact.sku == "later"] == [1]


def test_what_a_backup_is_can_be_told(written: Path, tmp_path: Path) -> None:
    made = taken(written, tmp_path / "b")
    found = inspect(Path(made.backup.file))
    with Ledger.open(written, clock=clock) as ledger:
        assert (found.entries, found.head) == (ledger.latest_seq, ledger.head_hash.hex())
    assert found.at == clock()
    assert found.program is not None
    assert replace(made.backup, at=NOON) == last_backup(written)


def test_a_copy_that_ends_elsewhere_than_the_ledger_did_is_no_backup(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(ledger: Path, target: Path, rest: Callable[[float], None]) -> bytes:
        copies.copy_of(ledger, target, rest)
        return b"\1" * 32

    monkeypatch.setattr("reconcilerd.ledger.backups.copy_of", older)
    with pytest.raises(LedgerFault, match="another entry"):
        taken(written, tmp_path / "b")
    assert list((tmp_path / "b").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_whom_the_ledger_belongs_to(written: Path, tmp_path: Path) -> None:
    nobody = 65_534
    for each in (written.parent, *written.parent.iterdir()):
        os.chown(each, nobody, nobody)
    made = taken(written, tmp_path / "b")
    written.with_name("l.db.lock").unlink()
    restore(Path(made.backup.file), written, clock, replace=True, by="a test")
    new = [written.parent, *written.parent.iterdir(), tmp_path / "b", *(tmp_path / "b").iterdir()]
    assert {(each.stat().st_uid, each.stat().st_gid) for each in new} == {(nobody, nobody)}
