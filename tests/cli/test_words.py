"""Words of a command line are text, or are told to be none, whichever of them it is."""

import json
import sys
from pathlib import Path

import click
import pytest

from reconcilerd.cli import reconcile_entry
from reconcilerd.cli.exits import no_utf8
from reconcilerd.cli.main import main
from reconcilerd.cli.options import Units
from reconcilerd.domain.quantities import MAX_UNITS
from reconcilerd.ledger.store import Ledger
from tests.cli.commands import ALL, Words, has
from tests.ledger.test_ledger import clock, stock

CONFIG = Path(__file__).parents[2] / "config.toml"
HALF = "a\udcff"
"""As Python holds the byte 0xff of a command line."""
FILES = {("apply", "file"), ("plan", "output"), ("plan", "old")}
"""Any bytes may name one."""
NAMES = {("runbook", "kind"), ("schema", "words"), ("simulate", "faults"), ("simulator", "faults")}
"""Those of a few that there are: that it is none of them is told."""
OTHERS = {("apply", "reason"), ("deploy", "source"), ("deploy", "unit"), ("simulator", "webhooks")}
"""Of these something else is told first."""
APART = {("reconcile",), ("notify-failure",)}
"""Below."""
DATES = {("ledger", "compact")}


def asked() -> list[tuple[Words, str, Words]]:
    """Every text that a command takes: the command, what it calls it, and a command line with such a one."""
    found = []
    for words, command in ALL.items():
        for each in command.params:
            name = str(each.name)
            if each.type.name != "text" or (words[-1], name) in FILES | NAMES | OTHERS or words in APART:
                continue
            line = list(words)
            for other in command.params:
                value = HALF if other is each else "1h" if other.type.name == "TIME" else "x"
                if other is each or other.required:
                    line += [value] if isinstance(other, click.Argument) else [other.opts[0], value]
            found.append((words, name, tuple(line)))
    return sorted(found)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(CONFIG.read_text("utf-8"), "utf-8")
    with Ledger.open(tmp_path / "reconcilerd.db", clock=clock) as ledger:
        ledger.append([stock("a", 7, 1)])
    return tmp_path


LINES = asked()


@pytest.mark.parametrize(
    ("words", "line"), [(w, each) for w, _, each in LINES], ids=[f"{' '.join(w)} {n}" for w, n, _ in LINES]
)
def test_a_byte_that_is_no_text_is_shown_with_what_to_do(
    folder: Path, words: Words, line: Words, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(line))
    said = " ".join(capfd.readouterr().err.split())
    assert end.value.code == 2
    if words in DATES:
        assert "no date (got 'a\\udcff')" in said
        return
    assert "'a\\xff" in said
    assert "is not UTF-8; write it anew" in said
    if has(ALL[words], "--json"):
        with pytest.raises(SystemExit):
            main([*line, "--json"])
        assert "is not UTF-8" in json.loads(capfd.readouterr().err)["error"]["message"]


@pytest.mark.parametrize(
    "args", [("--sku", HALF), ("--sku", "a", "--sku", HALF), ("--all", "--channel", HALF)]
)
def test_the_thin_entry_says_so_too(folder: Path, args: Words, capsys: pytest.CaptureFixture[str]) -> None:
    assert reconcile_entry.main(list(args)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith(f"reconcile: {'channel' if '--channel' in args else 'SKU'} 'a\\xff' is not UTF-8")


def test_that_a_unit_failed_is_told_whatever_it_is_called(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["notify-failure", HALF])
    assert end.value.code == 0
    assert "a\\udcff failed" in capsys.readouterr().err


def test_what_nobody_thought_of_is_told_as_well(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A text that comes to where it must be bytes, wherever that is; what UTF-8 can carry is a bug of ours there."""

    def written(text: str, encoding: str) -> None:
        monkeypatch.setattr("reconcilerd.cli.commands.answer", lambda *_: text.encode(encoding))
        main(["status"])

    with pytest.raises(SystemExit) as end:
        written(HALF, "utf-8")
    assert end.value.code == 2
    assert "the text 'a\\xff' is not UTF-8" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(UnicodeEncodeError):
        written("ü", "ascii")


def test_a_backup_is_put_into_no_folder_that_cannot_be_written_down(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["backup", "--to", HALF])
    assert end.value.code == 2
    assert "--to 'a\\xff' is not UTF-8" in " ".join(capsys.readouterr().err.split())
    assert not (folder / HALF).exists()


def test_of_a_long_text_that_place_is_shown() -> None:
    said = no_utf8("reason", "x" * 500 + "\udc80\ud800" + "y" * 500)
    assert f"reason '{'x' * 20}\\x80\\ud800{'y' * 20}' is not UTF-8" in said
    assert no_utf8("reason", "Grüße · 🙂 \0") == ""


@pytest.mark.parametrize("text", ["1", "+1", str(MAX_UNITS), f"+{MAX_UNITS}", "0020", "0" * 9000 + "7"])
def test_a_number_of_units_is_taken_however_it_is_written(text: str) -> None:
    taken = Units().convert(text, None, None)
    assert (taken.startswith("+"), int(taken)) == (text.startswith("+"), int(text.lstrip("+0")))


@pytest.mark.parametrize(
    "text", ["", "+", "0", "+0", "-1", "++1", "five", "1.5", "²", str(MAX_UNITS + 1), "9" * 5000]
)
def test_what_is_no_number_of_units_is_told_by_the_limit_that_there_is(text: str) -> None:
    assert len(text) < sys.get_int_max_str_digits() or text == "9" * 5000
    with pytest.raises(
        click.BadParameter, match="is no number of units from 1 to 1,000,000,000; write it like 20"
    ):
        Units().convert(text, None, None)
