"""In a folder of somebody else root follows no link: who owns it would choose which file is emptied, or written."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault, LedgerLocked
from reconcilerd.ledger.backups import back_up, last_backup, restore
from reconcilerd.ledger.identity import identity_in
from reconcilerd.ledger.lock import take_lock
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.store import Ledger
from tests.ledger.test_ledger import clock, stock

WORDS = "root:x:0:0\n"
ENDS = ["", "-wal", "-shm"]


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, who gives what he makes to others; here to whom it belongs already."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "passwd"
    path.write_text(WORDS, "utf-8")
    path.chmod(0o644)
    return path


def untouched(victim: Path) -> bool:
    return victim.read_text("utf-8") == WORDS and victim.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("euid", [0, 1_000])
def test_a_lock_that_is_a_link_is_refused_whoever_asks_and_its_target_stays(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch, euid: int
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    path = tmp_path / "l.db"
    path.with_name("l.db.lock").symlink_to(victim)
    for hold in (lambda: take_lock(path, 0), lambda: Ledger.open(path, clock=clock)):
        with pytest.raises(LedgerFault, match=r"l\.db\.lock: is a link, .*remove it$"):
            hold()
    assert untouched(victim)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("there", [False, True], ids=["to nothing", "to a file"])
@pytest.mark.parametrize("end", ENDS)
def test_root_opens_no_ledger_through_a_link(tmp_path: Path, victim: Path, end: str, *, there: bool) -> None:
    path = tmp_path / "l.db"
    if end:
        Ledger.open(path, clock=clock).close()
    target = victim if there else tmp_path / "new"
    Path(f"{path}{end}").symlink_to(target)
    with pytest.raises(
        LedgerFault, match=rf"l\.db{end}: is a link, and root follows none here; .*ledger\.path"
    ):
        Ledger.open(path, clock=clock)
    assert untouched(victim)
    assert there or not target.exists()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("end", [*ENDS, ".lock"])
def test_root_puts_no_backup_in_the_place_of_a_link(tmp_path: Path, victim: Path, end: str) -> None:
    good, path = tmp_path / "good.db", tmp_path / "here" / "l.db"
    with Ledger.open(good, clock=clock) as ledger:
        ledger.append([stock("a", 1, 1)])
    made = back_up(good, tmp_path / "b", clock, hourly=1, daily=1, rest=lambda _: None)
    path.parent.mkdir()
    Path(f"{path}{end}").symlink_to(victim)
    with pytest.raises(LedgerFault, match="is a link"):
        restore(Path(made.backup.file), path, lambda: Instant(2), replace=True, by="a test")
    assert untouched(victim)
    assert [each.name for each in path.parent.iterdir() if not each.name.endswith(".lock")] == ["l.db" + end][
        : end != ".lock"
    ]


@pytest.mark.usefixtures("root")
def test_a_link_that_is_made_while_root_opens_the_ledger_is_found_before_anything_is_changed(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.db"
    monkeypatch.setattr("reconcilerd.ledger.store.not_ours", lambda _: Path(f"{path}-wal").symlink_to(victim))
    with pytest.raises(LedgerFault, match=r"l\.db-wal: is a link"):
        Ledger.open(path, clock=clock)
    assert untouched(victim)


def test_whoever_owns_it_may_keep_the_ledger_behind_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    path, other = tmp_path / "l.db", tmp_path / "data" / "l.db"
    other.parent.mkdir()
    path.symlink_to(other)
    with Ledger.open(path, clock=clock) as ledger:
        ledger.append([stock("a", 1, 1)])
    reader = open_reader(other)
    assert reader.latest_seq == 1
    reader.close()


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A name that leads to a ledger of three entries in another folder, of which one lies in its log alone, and a
    backup of the first two.
    """
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    link, real = tmp_path / "here" / "l.db", tmp_path / "data" / "real.db"
    for each in (link, real):
        each.parent.mkdir()
    link.symlink_to(Path("..") / "data" / "real.db")
    with Ledger.open(link, clock=clock) as ledger:
        for number in (1, 2):
            ledger.append([stock("a", number, number)])
    back_up(link, tmp_path / "b", clock, hourly=1, daily=1, rest=lambda _: None)
    killed = tmp_path / "killed"
    with Ledger.open(link, clock=clock) as ledger:
        ledger.append([stock("a", 3, 3)])
        for end in ("", "-wal"):
            shutil.copy(f"{real}{end}", f"{killed}{end}")
    for end in ("", "-wal"):
        shutil.move(f"{killed}{end}", f"{real}{end}")
    assert Path(f"{real}-wal").stat().st_size
    return link


def put_back(link: Path, *, replace: bool = True) -> str:
    """Where the ledger went that was there."""
    last = last_backup(link)
    assert last is not None
    done = restore(Path(last.file), link, lambda: Instant(60_000), replace=replace, by="a test")
    assert done.ledger == str(link.resolve())
    return done.replaced or ""


def entries(path: Path) -> int:
    with closing(open_reader(path)) as reader:
        assert reader.verify().ok
        return reader.latest_seq


def test_a_backup_that_is_put_back_through_a_link_takes_the_place_of_the_file_and_the_link_stays(
    linked: Path,
) -> None:
    """What is put aside is the ledger, with what was in its log alone, and no second link."""
    real, whose = linked.resolve(), identity_in(linked)
    aside = Path(put_back(linked))
    assert linked.is_symlink()
    assert linked.resolve() == real
    assert aside.parent == real.parent
    assert not aside.is_symlink()
    with closing(sqlite3.connect(f"file:{aside}?immutable=1", uri=True)) as alone:
        assert alone.execute("select count(*) from entries").fetchone() == (3,)
    assert (entries(aside), entries(linked)) == (3, 3)
    assert identity_in(real) == whose, "it is that ledger still, by the record beside the name"


def test_a_ledger_behind_a_link_is_not_replaced_unasked(linked: Path) -> None:
    with pytest.raises(LedgerFault, match=r"real\.db: there is a ledger already"):
        put_back(linked, replace=False)
    assert entries(linked) == 3


@pytest.mark.parametrize("name", ["the link", "the file"])
def test_a_daemon_holds_its_ledger_by_whichever_name_it_was_given(linked: Path, name: str) -> None:
    lock = take_lock(linked if name == "the link" else linked.resolve(), 0)
    try:
        with pytest.raises(LedgerLocked):
            put_back(linked)
    finally:
        os.close(lock)
    assert put_back(linked)


def test_a_link_to_nothing_leads_to_the_ledger_that_is_put_back(linked: Path) -> None:
    whose = identity_in(linked)
    shutil.rmtree(linked.resolve().parent)
    assert put_back(linked) == ""
    assert linked.is_symlink()
    assert (entries(linked), identity_in(linked)) == (3, whose)
