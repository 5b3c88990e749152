"""``restore`` loses nothing of the ledger that was there, whatever goes wrong at whatever step, a kill included."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconcilerd.errors import LedgerFault
from reconcilerd.ledger import backups, copies
from reconcilerd.ledger.backups import back_up, restore
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.store import Ledger
from tests.ledger.test_ledger import clock, stock

OLD, MORE = 30, 5
"""Entries of the ledger that was there, and of those the last that are in its log alone."""

KILLED = """
import json, os, shutil, sys
from contextlib import closing
from pathlib import Path
from reconcilerd.ledger.backups import restore
from reconcilerd.ledger.reader import open_reader
from tests.ledger.test_ledger import clock

whole, backup, work = map(Path, sys.argv[1:])
OURS = {"os.link", "os.remove", "os.rename", "os.chown", "os.chmod", "open", "sqlite3.connect"}

def dies_at(step):
    left = [step]
    def hook(event, args):
        if event in OURS and str(work) in str(args[0]):
            left[0] -= 1
            if not left[0]:
                os._exit(9)
    sys.addaudithook(hook)

step, killed = 0, True
while killed:
    step += 1
    folder = work / str(step)
    shutil.copytree(whole, folder)
    child = os.fork()
    if not child:
        dies_at(step)
        restore(backup, folder / "l.db", clock, replace=True, by="a test")
        os._exit(0)
    killed = bool(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    with closing(open_reader(folder / "l.db")) as reader:
        found = reader.verify()
        names = sorted(each.name for each in folder.glob("l.db.replaced-*") if not each.name.endswith("-shm"))
        print(json.dumps([killed, found.ok, reader.latest_seq, names, str(folder)]))
    restore(backup, folder / "l.db", lambda: clock() + 60_000, replace=True, by="a test")
"""


@dataclass
class Scene:
    """A ledger as a kill left it, and a backup of its beginning."""

    path: Path
    backup: Path

    def restored(self) -> backups.Restored:
        return restore(self.backup, self.path, clock, replace=True, by="a test")

    def entries(self, path: Path | None = None) -> int:
        with closing(open_reader(path or self.path)) as reader:
            assert reader.verify().ok
            return reader.latest_seq

    def beside(self) -> list[Path]:
        return [each for each in self.path.parent.iterdir() if ".replaced-" in each.name]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    path = tmp_path / "here" / "l.db"
    with Ledger.open(path, clock=clock) as ledger:
        ledger.append([stock("first", 1, 1)])
        made = back_up(path, tmp_path / "b", clock, hourly=1, daily=1, rest=lambda _: None)
        for number in range(OLD - 1):
            if number == OLD - 1 - MORE:
                ledger._connection.execute("pragma wal_checkpoint(truncate)")
            ledger.append([stock(f"s{number}", number, number)])
        held = {end: Path(f"{path}{end}").read_bytes() for end in ("", "-wal")}
    for end, content in held.items():
        Path(f"{path}{end}").write_bytes(content)
    return Scene(path, Path(made.backup.file))


def test_whenever_it_is_killed_the_ledgers_name_is_that_of_the_old_one_or_of_the_new_one_whole(
    scene: Scene, tmp_path: Path
) -> None:
    """Before each of its steps on the disk."""
    work = tmp_path / "work"
    words = [sys.executable, "-c", KILLED, str(scene.path.parent), str(scene.backup), str(work)]
    done = subprocess.run(
        words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [killed for killed, *_ in runs] == [True] * (len(runs) - 1) + [False]
    assert len(runs) > 20, "the steps were not met"
    found = {(ok, entries) for _, ok, entries, _, _ in runs}
    assert found == {(True, OLD), (True, 2)}, runs
    for _, _, entries, beside, folder in runs:
        if entries == 2:
            assert scene.entries(Path(folder) / beside[0]) == OLD
        assert scene.entries(Path(folder) / "l.db") == 2, "it is done once more, to its end"
        assert not list(Path(folder).glob("*.restoring*"))


def test_a_disk_that_fails_once_the_backup_is_in_place_takes_nothing_of_what_was_there(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = copies._to_disk

    def failing(path: Path) -> None:
        if path == scene.path:
            raise OSError(5, "Input/output error")
        real(path)

    monkeypatch.setattr(copies, "_to_disk", failing)
    with pytest.raises(LedgerFault) as raised:
        scene.restored()
    (aside,) = scene.beside()
    said = f"does not say that it stays there (Input/output error); the ledger that was there is {aside}"
    assert said in str(raised.value)
    assert scene.entries() == 2
    assert scene.entries(aside) == OLD


@pytest.mark.parametrize("gone", [LedgerFault, KeyboardInterrupt])
def test_whatever_comes_between_after_the_backup_has_the_name_the_old_one_keeps_its_own(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, gone: type[BaseException]
) -> None:
    def cut(made: Path, final: Path) -> None:
        made.replace(final)
        raise gone

    monkeypatch.setattr(backups, "into_place", cut)
    with pytest.raises(gone):
        scene.restored()
    (aside,) = scene.beside()
    assert (scene.entries(), scene.entries(aside)) == (2, OLD)


@pytest.mark.parametrize("step", ["into_place", "names_to_disk", "_write_down", "fold_log", "renew_identity"])
@pytest.mark.parametrize("gone", [LedgerFault, OSError, KeyboardInterrupt])
def test_what_fails_before_leaves_the_old_one_whole_and_nothing_beside_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, step: str, gone: type[BaseException]
) -> None:
    def cut(*_: object) -> None:
        raise gone

    monkeypatch.setattr(backups, step, cut)
    monkeypatch.setattr(backups, "identity_in", lambda path: len(path.name))  # so that a new one is given
    with pytest.raises((gone, LedgerFault)):
        scene.restored()
    assert scene.entries() == OLD
    assert {each.name for each in scene.path.parent.iterdir()} <= {
        "l.db", "l.db-wal", "l.db-shm", "l.db.lock", "l.db.backup.json"
    }  # fmt: skip


def test_a_ledger_that_another_program_reads_is_replaced_under_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log cannot be emptied then; all of it is in the file all the same."""
    monkeypatch.setattr(copies, "BUSY_S", 0.1)
    with closing(open_reader(scene.path)) as reader:
        reader._connection.execute("begin")
        assert reader.latest_seq == OLD
        done = scene.restored()
        assert reader.latest_seq == OLD, "whoever reads goes on"
    assert (scene.entries(), scene.entries(Path(done.replaced or ""))) == (2, OLD)


def test_a_ledger_of_which_another_program_reads_an_older_moment_is_not_replaced_meanwhile(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "BUSY_S", 0.1)
    with closing(open_reader(scene.path)) as reader:
        reader._connection.execute("begin")
        assert reader.latest_seq == OLD
        writer = sqlite3.connect(scene.path)
        writer.execute("insert into programs (version, number) values ('x', 99)")
        writer.commit()
        with pytest.raises(LedgerFault, match="another program reads it; nothing was changed"):
            scene.restored()
        writer.close()
    assert scene.beside() == []
    scene.restored()


@pytest.mark.parametrize("spoilt", ["all of it", "emptied", "its log, too"])
def test_a_ledger_that_cannot_be_read_goes_aside_as_it_is_with_its_log(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    """Whoever looks for what can be saved needs both."""
    size, head = scene.path.stat().st_size, scene.path.read_bytes()[:16]
    scene.path.write_bytes({"emptied": b"", "all of it": b"\0" * size}.get(spoilt, head + b"\xff" * size))
    if spoilt == "its log, too":
        Path(f"{scene.path}-wal").write_bytes(b"\xff" * size)
    held = {end: Path(f"{scene.path}{end}").read_bytes() for end in ("", "-wal")}

    unlink = Path.unlink

    def cut(*_: object) -> None:
        raise LedgerFault("l.db: cannot be put there")

    def stuck(path: Path, *, missing_ok: bool = False) -> None:
        if path.name == "l.db-wal":
            raise OSError(5, "Input/output error")
        unlink(path, missing_ok=missing_ok)

    for of, step, instead in ((backups, "into_place", cut), (Path, "unlink", stuck)):
        with monkeypatch.context() as patch:
            patch.setattr(of, step, instead)
            with pytest.raises(LedgerFault, match=r"l\.db.*: cannot be"):
                scene.restored()
        assert scene.beside() == []
        assert {end: Path(f"{scene.path}{end}").read_bytes() for end in held} == held
    done = scene.restored()
    assert {end: Path(f"{done.replaced}{end}").read_bytes() for end in held} == held
    assert scene.entries() == 2


def test_a_name_that_is_taken_is_not_taken_from_whoever_has_it(scene: Scene) -> None:
    aside = backups._aside(scene.path, clock())
    shutil.copy(scene.backup, aside)
    with pytest.raises(LedgerFault, match="cannot be put aside there"):
        scene.restored()
    assert aside.read_bytes() == scene.backup.read_bytes()
    assert scene.entries() == OLD
    assert [each.name for each in scene.beside()] == [aside.name]
