"""Shells complete the commands that there are."""

import os
import subprocess
from pathlib import Path

import pytest

from reconcilerd.cli.main import cli
from tests.cli.programs import run, running

WORDS = {"bash": "1", "zsh": "1", "fish": "doc"}
"""What each shell says of the word under the cursor: its number, or the word itself."""


@pytest.mark.parametrize("shell", sorted(WORDS))
def test_a_shell_is_told_the_commands_that_begin_so(tmp_path: Path, shell: str) -> None:
    asked = {
        "_RECONCILERD_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "reconcilerd doc",
        "COMP_CWORD": WORDS[shell],
    }
    with running(tmp_path, env=asked) as told:
        said, _ = told.communicate(timeout=60)
    assert [name for name in cli.commands if name in said] == ["doctor"]


@pytest.mark.parametrize("shell", sorted(WORDS))
def test_the_script_asks_by_the_name_that_is_answered(tmp_path: Path, shell: str) -> None:
    said = run(tmp_path, "completion", shell)
    assert said.returncode == 0, said.stderr
    assert f"_RECONCILERD_COMPLETE={shell}_complete" in said.stdout


def test_the_script_is_sound_bash(tmp_path: Path) -> None:
    script = run(tmp_path, "completion", "bash").stdout
    checked = subprocess.run(
        ["/bin/bash", "-n"], input=script, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "complete" in script
