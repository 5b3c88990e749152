"""Every kind of alert has a runbook that says what to do, by commands that exist; every kind in the code is one."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

import reconcilerd
from reconcilerd.cli.reconcile_entry import parser
from reconcilerd.cli.runbooks import print_runbook, text_of
from reconcilerd.config.defaults import describe
from reconcilerd.config.rules import LISTING_COLUMNS, SKU_COLUMNS
from reconcilerd.domain.alerts import KINDS, SEVERITIES
from tests.cli.commands import PROGRAM

PACKAGE = Path(reconcilerd.__file__).parent
SECTIONS = ["What it means", "What the daemon does", "Look", "End it"]
RAISES = {"_say": 1, "Word": 1, "raise_": 0, "resolve": 0, "alert_key": 0}
"""What is called with the kind of an alert, and at which place."""


def commands_in(text: str) -> list[str]:
    """The commands that a text names: lines of their own, and those in backticks."""
    lines = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    quoted = [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", text)]
    return [each for each in (*lines, *quoted) if each.split()[0] in {"reconcilerd", "reconcile"}]


def fault_of(line: str) -> str:
    """What a shell would be told of a command line, if anything; the words of placeholders are taken as they are."""
    program, *words = shlex.split(line)
    if program == "reconcile":
        known = {option for action in parser()._actions for option in action.option_strings}
        wrong = [word for word in words if word.startswith("-") and word not in known]
        return f"no option {wrong}" if wrong else ""
    command: click.Command = PROGRAM
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if isinstance(command, click.Group) and not command.invoke_without_command:
        return f"no command {words}"
    if isinstance(command, click.Group) and words:
        return f"no command {words}"
    options = {flag for each in command.params if isinstance(each, click.Option) for flag in each.opts}
    flags = [word for word in words if word.startswith("-") and word != "-"]
    wrong = [flag for flag in flags if flag not in options]
    return f"no option {wrong}" if wrong else ""


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_a_runbook_of_four_parts(kind: str) -> None:
    text = text_of(kind)
    assert text.splitlines()[:3] == [f"# {kind}", "", KINDS[kind].means]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert not [line for line in text.splitlines() if len(line) > 80]
    for part in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]:
        assert len(part.split()) > 3


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_command_that_a_runbook_names_exists(kind: str) -> None:
    named = commands_in(text_of(kind))
    assert named
    assert [(line, why) for line in named if (why := fault_of(line))] == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    for line in (
        "reconcilerd nothing",
        "reconcilerd alerts nothing",
        "reconcilerd ledger",
        "reconcilerd status --nothing",
        "reconcile --nothing",
    ):
        assert fault_of(line)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_key_that_a_runbook_names_exists(kind: str) -> None:
    known = {row.key for row in describe()}
    last = {key.rpartition(".")[2] for key in known} | {*SKU_COLUMNS, *LISTING_COLUMNS}
    for quoted in re.findall(r"`([a-z_.]+)(?: = [^`]*)?`", text_of(kind)):
        if "." in quoted:
            assert quoted in known, quoted
        elif "_" in quoted:
            assert quoted in last, quoted


def test_there_is_no_runbook_of_nothing() -> None:
    others = {path.stem for path in (PACKAGE / "runbooks").glob("*.md")} - set(KINDS)
    rules = (PACKAGE / "web" / "monitoring" / "rules.yml").read_text("utf-8")
    assert others == {each for each in others if f"reconcilerd runbook {each}\n" in rules}


def test_every_kind_that_the_code_raises_is_declared_and_every_declared_one_is_raised() -> None:
    raised: set[str] = set()
    words: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and path.stem != "alerts":
                words.add(node.value)
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                elsewhere = (
                    name not in RAISES or "web" in path.parts
                )  # refusals of the page go by the same name
                kinds = [] if elsewhere else node.args[RAISES[name] :][:1]
                found = {each.value for each in kinds if isinstance(each, ast.Constant)}
                raised |= {each for each in found if isinstance(each, str)}
    assert raised >= {"stale_source", "channel_errors", "reload_failed", "storage", "access_probe"}
    assert raised <= KINDS.keys()
    assert words >= KINDS.keys()


def test_every_kind_is_explained_by_known_ones() -> None:
    for name, kind in KINDS.items():
        assert kind.severity in SEVERITIES
        assert kind.mutes <= KINDS.keys() - {name}


def test_the_list_has_every_kind_and_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert print_runbook(None) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if len(line) > 80]
    assert all(any(line.split()[:1] == [kind] for line in lines) for kind in KINDS)


@pytest.mark.parametrize(("kind", "said"), [("exposur", "did you mean exposure?"), ("zzz", "lists all")])
def test_a_kind_that_nobody_knows_is_told(capsys: pytest.CaptureFixture[str], kind: str, said: str) -> None:
    assert print_runbook(kind) == 6
    assert said in capsys.readouterr().err


def test_every_rule_of_the_monitoring_files_names_a_runbook_that_is_there() -> None:
    rules = (PACKAGE / "web" / "monitoring" / "rules.yml").read_text("utf-8")
    named = set(re.findall(r"runbook: reconcilerd runbook (\w+)", rules))
    assert len(named) > 10
    for each in sorted(named):
        assert re.findall(r"^## (.*)$", text_of(each), re.MULTILINE) == SECTIONS
