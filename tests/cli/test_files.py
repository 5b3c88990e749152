"""A file that the system will not give is one sentence with what to do, whoever named it and for whatever."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconcilerd.cli import reconcile_entry
from reconcilerd.cli.main import main
from reconcilerd.ledger.store import Ledger
from tests.cli.commands import ALL, Words, has
from tests.ledger.test_ledger import clock, stock

CONFIG = Path(__file__).parents[2] / "config.toml"
LONG = "x" * 300
OF_THE_LEDGER: list[Words] = [
    ("status",),
    ("history", "--sku", "a"),
    ("passes",),
    ("plan",),
    ("ledger", "verify"),
    ("ledger", "rebuild"),
    ("replay", "x"),
    ("backup",),
    ("check-config",),
    ("reconcile", "--all"),
]
NAMED: list[Words] = [
    ("plan", "-o", "{}"),
    ("plan", "--from", "{}"),
    ("plan", "--markdown", "--against", "{}"),
    ("apply", "{}", "--reason", "x"),
    ("simulate", "--days", "0.01", "--record", "{}"),
    ("restore", "{}", "--check"),
    ("restore", "{}"),
    ("restore", "good.db", "--to", "{}"),
    ("backup", "--to", "{}"),
    ("export", "monitoring", "{}"),
    ("man", "{}"),
]
SANDBOX = (
    ('environment = "simulator"', 'environment = "sandbox"'),
    ("http://127.0.0.1:8765/", "https://sandbox.example/"),
    (
        'client_auth = "post" }',
        'client_auth = "post", client_id = "env:SECRET", client_secret = "env:SECRET" }',
    ),
    ("# client_id =", "client_id = 'env:SECRET' #"),
    ("# client_secret =", "client_secret = 'env:SECRET' #"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, a ledger, and another folder that nobody may look into."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("SECRET", "a-long-secret-of-the-sandbox")
    (tmp_path / "config.toml").write_text(CONFIG.read_text("utf-8"), "utf-8")
    (tmp_path / "shut").mkdir()
    with Ledger.open(tmp_path / "good.db", clock=clock) as ledger:
        ledger.append([stock("a", 7, 1)])
    return tmp_path


def shut(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have the system refuse a look into a folder, whoever runs these tests."""

    def refusing(ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(path: Any, *args: Any, **more: Any) -> Any:
            if isinstance(path, str | os.PathLike) and folder in Path(path).absolute().parents:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
            return ask(path, *args, **more)

        return asked

    for name in ("stat", "lstat", "open", "mkdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    monkeypatch.setattr("io.open", refusing(open))


def said(capsys: pytest.CaptureFixture[str], words: Words) -> str:
    """Why a command does not do it; it must be told as one sentence, and as one object."""
    with pytest.raises(SystemExit) as end:
        main(list(words))
    told = capsys.readouterr().err
    assert end.value.code == 2, told
    *heading, sentence = told.splitlines()
    assert heading in ([], ["reconcilerd: cannot begin, 1 fault:"])
    if has(next(each for name, each in ALL.items() if words[: len(name)] == name), "--json"):
        with pytest.raises(SystemExit):
            main([*words, "--json"])
        assert json.loads(capsys.readouterr().err)["exit_code"] == 2
    return sentence


@pytest.mark.parametrize("words", OF_THE_LEDGER, ids=" ".join)
@pytest.mark.parametrize("where", ["shut/ledger.db", LONG])
def test_a_ledger_that_nobody_may_look_at_is_told(
    folder: Path,
    words: Words,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (folder / "config.toml").read_text("utf-8").replace('"reconcilerd.db"', f'"{where}"')
    for old, new in SANDBOX if words == ("check-config",) else ():
        assert old in text
        text = text.replace(old, new)
    (folder / "config.toml").write_text(text, "utf-8")
    shut(monkeypatch, folder / "shut")
    if words[0] == "reconcile":
        assert reconcile_entry.main(list(words[1:])) == 2
        told = capsys.readouterr().err
    else:
        told = said(capsys, words)
    assert where in told
    assert os.strerror(errno.ENAMETOOLONG if where == LONG else errno.EACCES) in told


@pytest.mark.parametrize("words", NAMED, ids=" ".join)
@pytest.mark.parametrize("name", ["shut/x.json", LONG])
def test_a_file_that_nobody_may_have_is_told(
    folder: Path,
    words: Words,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if words[0] == "backup":
        (folder / "good.db").rename(folder / "reconcilerd.db")
    shut(monkeypatch, folder / "shut")
    told = said(capsys, tuple(each.format(name) for each in words))
    assert name in told
    assert os.strerror(errno.ENAMETOOLONG if name == LONG else errno.EACCES) in told


def test_an_error_of_the_system_that_nobody_can_mend_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    for bug in (
        FileNotFoundError(errno.ENOENT, "gone", "ours.json"),
        ConnectionRefusedError(errno.ECONNREFUSED, "x"),
    ):

        def breaks(*_: object, bug: OSError = bug) -> None:
            raise bug

        monkeypatch.setattr("reconcilerd.cli.commands.answer", breaks)
        with pytest.raises(type(bug)):
            main(["status"])
