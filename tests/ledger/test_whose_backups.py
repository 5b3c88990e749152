"""Several ledgers of one name may share a folder for backups: each lets go of its own alone, whatever became of it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from reconcilerd.domain.names import Instant
from reconcilerd.ledger.backups import Made, back_up, last_backup, restore
from reconcilerd.ledger.copies import inspect
from reconcilerd.ledger.identity import identity_in
from reconcilerd.ledger.store import Ledger
from tests.ledger.test_ledger import stock
from tests.ledger.test_upgrades import older

DAY_MS = 86_400_000
NOON = Instant(20_000 * DAY_MS + DAY_MS // 2)


def written(path: Path, units: int, entries: int = 3) -> Path:
    with Ledger.open(path, clock=lambda: NOON) as ledger:
        for number in range(entries):
            ledger.append([stock("a", units, number)])
    return path


def taken(ledger: Path, day: int, hourly: int = 1, daily: int = 1) -> Made:
    folder, at = ledger.parents[1] / "backups", Instant(NOON + day * DAY_MS + len(ledger.parent.name) * 1000)
    return back_up(ledger, folder, lambda: at, hourly=hourly, daily=daily, rest=lambda _: None)


def put_back(file: str, ledger: Path, *, replace: bool) -> None:
    restore(Path(file), ledger, lambda: NOON, replace=replace, by="a test")


def without_identity(files: Sequence[Path]) -> None:
    """As a version that knew of none left them."""
    for each in files:
        with closing(sqlite3.connect(each)) as other:
            other.execute("pragma user_version = 0")


def heads(folder: Path) -> list[str]:
    return sorted(inspect(each).head for each in (folder / "backups").iterdir())


def test_two_ledgers_of_one_name_and_one_folder_lose_no_backup_to_each_other(tmp_path: Path) -> None:
    one, other = (written(tmp_path / name / "l.db", len(name)) for name in ("one", "other"))
    for day in range(4):
        assert len(taken(one, day).removed) == (day > 0)
        assert len(taken(other, day).removed) == (day > 0)
    assert heads(tmp_path) == sorted(inspect(each).head for each in (one, other))


def test_a_ledger_is_the_same_however_often_it_is_opened_and_shrunk_and_no_two_are(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(8)]
    for path in paths:
        Ledger.open(path, clock=lambda: NOON).close()
    ours = [identity_in(path) for path in paths]
    assert len({*ours, 0}) == len(ours) + 1
    for path in paths:
        with Ledger.open(path, clock=lambda: NOON) as ledger:
            ledger.append([stock("a", 1, 1)])
            ledger._connection.execute("vacuum")
    assert [identity_in(path) for path in paths] == ours


@pytest.mark.parametrize("upgraded", [False, True])
def test_a_backup_from_before_ledgers_had_an_identity_is_told_by_its_last_entry(
    tmp_path: Path, *, upgraded: bool
) -> None:
    """Also by a ledger that no version has given one yet, since the daemon is the one that upgrades it."""
    mine, other = tmp_path / "mine" / "l.db", tmp_path / "another" / "l.db"
    older(mine, 2)
    written(other, 7)
    without_identity([other])
    taken(mine, 0)
    taken(other, 0)
    assert {identity_in(each) for each in (tmp_path / "backups").iterdir()} == {0}
    if upgraded:
        written(mine, 5)
    made = taken(mine, 1)
    assert (len(made.removed), made.kept) == (1, 1)
    assert heads(tmp_path) == sorted(inspect(each).head for each in (mine, other))


def test_a_backup_that_cannot_be_told_to_be_ours_stays(tmp_path: Path) -> None:
    """Its last entry was compacted away; only where the anchor is that very entry, it is known still."""
    mine = written(tmp_path / "mine" / "l.db", 1)
    without_identity([mine])
    early = taken(mine, 0).backup.file
    with_entries = written(mine, 2, entries=1)
    without_identity([mine])
    late = taken(mine, 1, hourly=9).backup.file
    with Ledger.open(with_entries, clock=lambda: NOON) as ledger:
        assert ledger.compact(Instant(NOON + 1), 4) == 4
    assert taken(mine, 2).removed == (Path(late).name,)
    assert Path(early).exists()


def test_an_empty_backup_says_nothing_of_whose_it_is(tmp_path: Path) -> None:
    mine, other = (written(tmp_path / name / "l.db", 1, entries=0) for name in ("mine", "another"))
    without_identity([mine, other])
    for day in range(2):
        taken(other, day, hourly=9)
    written(mine, 1)
    assert taken(mine, 3).removed == ()


@pytest.mark.parametrize(
    "lost", ["nothing", "its newest entries", "its record", "all of it", "all of it, and was begun anew"]
)
def test_a_ledger_that_is_put_back_in_its_place_goes_on_with_its_backups(tmp_path: Path, lost: str) -> None:
    mine = written(tmp_path / "mine" / "l.db", 1)
    made = taken(mine, 0)
    if lost == "its newest entries":
        written(mine, 2)
        assert taken(mine, 1).removed
        made = taken(mine, 2)
    elif lost == "its record":
        mine.with_name("l.db.backup.json").unlink()
    elif lost.startswith("all of it"):
        mine.unlink()
        if lost.endswith("anew"):
            written(mine, 3)
    put_back(made.backup.file, mine, replace=True)
    assert identity_in(mine) == made.backup.ledger != 0
    assert taken(mine, 5).removed == (Path(made.backup.file).name,)


@pytest.mark.parametrize("there", [False, True], ids=["where nothing was", "in the place of another"])
def test_a_copy_that_is_put_elsewhere_lets_none_of_the_first_ones_backups_go(
    tmp_path: Path, *, there: bool
) -> None:
    mine, copy = written(tmp_path / "mine" / "l.db", 1), tmp_path / "a copy" / "l.db"
    made = taken(mine, 0)
    if there:
        written(copy, 9)
        taken(copy, 1)
    put_back(made.backup.file, copy, replace=there)
    for day in (2, 3):
        taken(copy, day)
        assert Path(made.backup.file).exists()
    assert taken(mine, 4).removed == (Path(made.backup.file).name,)


def test_the_record_of_an_older_version_is_read_and_says_nothing_of_whose_backup_it_was(
    tmp_path: Path,
) -> None:
    mine = written(tmp_path / "mine" / "l.db", 1)
    made = taken(mine, 0)
    record = mine.with_name("l.db.backup.json")
    record.write_text(record.read_text("utf-8").replace(f',"ledger":{made.backup.ledger}', ""), "utf-8")
    found = last_backup(mine)
    assert found is not None
    assert (found.file, found.ledger) == (made.backup.file, 0)
