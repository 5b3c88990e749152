"""Shells complete the commands and options that there are, channels, and SKUs of a daemon that runs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconcilerd.cli.completing import VARIABLES
from reconcilerd.cli.reconcile_entry import parser
from tests.cli.commands import PROGRAM
from tests.cli.pretended import answering
from tests.cli.programs import run
from tests.plans.stage import Shop, opened

SHELLS = ("bash", "fish", "zsh")
MODULES = {"reconcilerd": "reconcilerd.cli.main", "reconcile": "reconcilerd.cli.reconcile_entry"}


def offered(folder: Path, shell: str, line: str) -> list[str]:
    """What a shell is told may stand where a line ends."""
    words = line.split(" ")
    env = {
        VARIABLES[words[0]]: f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-m", MODULES[words[0]]],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    if shell == "zsh":
        return [value for kind, value in zip(lines[::3], lines[1::3], strict=True) if kind == "plain"]
    return [each.partition(",")[2].partition("\t")[0] for each in lines if each.startswith("plain,")]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_is_told_the_commands_that_begin_so(tmp_path: Path, shell: str) -> None:
    assert offered(tmp_path, shell, "reconcilerd doc") == ["doctor"]
    assert offered(tmp_path, shell, "reconcilerd breaker re") == ["reset"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", ["reconcile", "reconcilerd reconcile"])
def test_the_options_of_reconcile_are_completed_under_both_of_its_names(
    tmp_path: Path, shell: str, program: str
) -> None:
    options = {option for each in parser()._actions for option in each.option_strings}
    assert set(offered(tmp_path, shell, f"{program} --")) == {
        each for each in options if each.startswith("--")
    }
    assert offered(tmp_path, shell, f"{program} --all --f") == ["--fresh"]


def names(_: int, request: dict[str, Any]) -> dict[str, Any]:
    known = ["MUG-RED", "MUG-BLUE", "MUG two", "MUG;rm", "CUP"]
    return {"names": [each for each in known if each.startswith(request["sku"])], "exit_code": 0}


@pytest.mark.parametrize("shell", SHELLS)
def test_skus_are_those_of_the_daemon_but_for_those_that_a_shell_would_take_apart(
    tmp_path: Path, shell: str
) -> None:
    with answering(tmp_path, names):
        for line in (
            "reconcile --sku MUG",
            "reconcilerd reconcile --all --sku MUG",
            "reconcilerd explain --sku MUG",
        ):
            assert offered(tmp_path, shell, line) == ["MUG-RED", "MUG-BLUE"], line
        assert offered(tmp_path, shell, "reconcilerd history --sku C") == ["CUP"]


def test_channels_are_those_of_the_configuration_that_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[[channels]]\nname = "shop-uk"\n[[channels]]\nname = "shop us"\n', "utf-8")
    (tmp_path / "config.toml").write_text('[[channels]]\nname = "shop-eu"\n', "utf-8")
    for program in ("reconcile", "reconcilerd reconcile", "reconcilerd freeze"):
        assert offered(tmp_path, "bash", f"{program} --channel s") == ["shop-eu"]
        assert offered(tmp_path, "bash", f"{program} --config {other} --channel s") == ["shop-uk"]


@pytest.mark.parametrize("text", [None, "not = = toml", "channels = 7", "[[channels]]\nname = 7\n"])
def test_where_nobody_answers_nothing_is_offered_and_nothing_said(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.toml").write_text(text, "utf-8")
    assert offered(tmp_path, "bash", "reconcile --sku M") == []
    assert offered(tmp_path, "bash", "reconcile --channel s") == []


@pytest.mark.parametrize("program", sorted(VARIABLES))
@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_asks_by_the_name_that_is_answered(tmp_path: Path, shell: str, program: str) -> None:
    said = run(tmp_path, "completion", shell, program)
    assert said.returncode == 0, said.stderr
    assert f"{VARIABLES[program]}={shell}_complete" in said.stdout
    assert f" {program}" in said.stdout


@pytest.mark.parametrize("program", sorted(VARIABLES))
def test_bash_takes_the_script_and_completes_by_it(tmp_path: Path, program: str) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    tool = programs / program
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m {MODULES[program]} "$@"\n', "utf-8")
    tool.chmod(0o755)
    script = run(tmp_path, "completion", "bash", program).stdout
    before = "reconcile" if program == "reconcilerd" else ""
    words = f"{program} {before} --sku MUG".split()
    lines = [
        script,
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}",
        f"_{program}_completion {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
    ]
    with answering(tmp_path, names):
        done = subprocess.run(
            ["/bin/bash", "--norc", "-c", "\n".join(lines)],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", ["MUG-RED", "MUG-BLUE"])


def test_names_begin_as_was_typed_in_any_case_and_are_few(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        every = (await shop.ask("names"))["names"]
        assert len(every) == len(shop.stage.built.daemon.desk.book.joins().slots_of) > 1
        assert every == sorted(every)
        assert (await shop.ask("names", limit=1))["names"] == every[:1]
        assert (await shop.ask("names", sku=every[-1].upper()))["names"] == every[-1:]
        assert (await shop.ask("names", sku="no such thing"))["names"] == []

    opened(tmp_path / "ledger.db", scene, read_s=60)


def test_every_command_is_offered(tmp_path: Path) -> None:
    assert set(offered(tmp_path, "bash", "reconcilerd ")) == set(PROGRAM.commands)
