"""Whoever asks for JSON gets JSON, whatever goes wrong, from every command that there is."""

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest

from reconcilerd.cli import reconcile_entry
from reconcilerd.cli.exits import NAMES, SCHEMA
from reconcilerd.cli.main import main
from reconcilerd.errors import ConfigFault, Denied, LedgerFault, LedgerLocked, ReconcilerdError, TryLater
from tests.cli.commands import ALL, Words, has
from tests.cli.programs import run

FINDS = {("doctor",)}
"""What it finds wrong is its answer."""
CONFIGURED = sorted(
    path for path, each in ALL.items() if has(each, "--config") and has(each, "--json") and path not in FINDS
)
"""Those that answer in JSON and read a configuration, which may be missing."""


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without configuration, ledger and daemon."""
    monkeypatch.chdir(tmp_path)


def said(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and the one object that was printed."""
    with pytest.raises(SystemExit) as end:
        main(list(args))
    out, err = capsys.readouterr()
    assert out == ""
    told = json.loads(err)
    assert isinstance(told, dict)
    assert isinstance(end.value.code, int)
    return end.value.code, told


def needed(command: click.Command) -> list[str]:
    """Values for all that must be said, as their kinds are."""
    words: list[str] = []
    for each in command.params:
        if each.required:
            value = "1h" if each.type.name == "TIME" else "x"
            words += [value] if isinstance(each, click.Argument) else [each.opts[0], value]
    return words


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_an_option_that_there_is_not_is_told_as_json(path: Words, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = said(capsys, *path, "--no-such-option", "--json")
    assert (code, told["exit_code"], told["error"]["code"]) == (2, 2, "change_needed")
    assert told["schema"] == SCHEMA
    assert "--no-such-option" in told["error"]["message"] or "--json" in told["error"]["message"]


@pytest.mark.parametrize("path", CONFIGURED, ids=" ".join)
def test_a_configuration_that_is_missing_is_told_as_json(
    path: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = said(capsys, *path, *needed(ALL[path]), "--json")
    assert code == told["exit_code"] == told["error"]["exit_code"]
    assert told["error"]["code"] == NAMES[code]
    assert code in {2, 8}
    assert told["error"]["message"]


def test_every_command_that_may_answer_in_json_says_how_it_failed_as_its_exit_code_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[tuple[BaseException, int]] = [
        (ConfigFault(("this", "that")), 2),
        (LedgerFault("damaged"), 2),
        (LedgerLocked("held"), 8),
        (Denied("no"), 4),
        (TryLater("busy"), 5),
        (ReconcilerdError("something"), 5),
        (click.UsageError("what?"), 2),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("oh"), 1),
    ]
    for error, code in errors:

        def fails(*_: object, error: BaseException = error) -> NoReturn:
            raise error

        monkeypatch.setattr("reconcilerd.cli.commands.answer", fails)
        assert said(capsys, "status", "--json")[0] == code
        monkeypatch.setattr(reconcile_entry, "answer", fails)
        if isinstance(error, KeyboardInterrupt | ZeroDivisionError):
            assert reconcile_entry.main(["--all", "--json"]) == code
            assert json.loads(capsys.readouterr().err)["error"]["exit_code"] == code


def test_faults_of_a_configuration_are_told_one_by_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path("config.toml").write_text('environment = "moon"\nchannels = 7\n', "utf-8")
    for command in (("status",), ("backup",), ("ledger", "verify"), ("config", "show")):
        _, told = said(capsys, *command, "--json")
        assert len(told["error"]["faults"]) > 1, command


def test_without_json_a_bug_shows_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> NoReturn:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("reconcilerd.cli.commands.answer", fails)
    with pytest.raises(ZeroDivisionError):
        main(["status"])
    monkeypatch.setattr(reconcile_entry, "answer", fails)
    with pytest.raises(ZeroDivisionError):
        reconcile_entry.main(["--all"])


@pytest.mark.parametrize(
    "args",
    [(), ("--sku", "a", "--all"), ("--sku", " "), ("--all", "--apply"), ("--channel",), ("--no-such",)],
)
def test_the_thin_entry_tells_its_usage_as_json_too(tmp_path: Path, args: tuple[str, ...]) -> None:
    for how in (args, ("reconcile", *args)):
        done = (
            run(tmp_path, *how, "--json")
            if how[:1] == ("reconcile",)
            else run(tmp_path, "reconcile", "--json", *how)
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert json.loads(done.stderr)["error"]["exit_code"] == 2


def test_a_word_after_two_dashes_asks_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["runbook", "--", "--json"])
    assert end.value.code == 6
    assert capsys.readouterr().err.startswith("reconcilerd: ")


def test_an_error_is_the_same_object_for_each_exit_code_that_is_documented() -> None:
    from reconcilerd.cli.exits import EXITS, as_error

    documented = [int(each.split()[0]) for each in EXITS.removeprefix("exit codes: ").split(", ")]
    assert [code for code in documented if code] == list(NAMES)
    for code, name in NAMES.items():
        assert json.loads(as_error("why" + os.linesep, code))["error"]["code"] == name
