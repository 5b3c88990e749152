"""The repository itself: what a stranger sees first, and what must never be in it."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from reconcilerd import __version__

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "reconcilerd").rglob("*.py"))
ALLOWED = {
    "pyproject.toml", "README.md", "reconcilerd", "tests", "systemd", "config.toml", "LICENSE", "CHANGELOG.md",
    "requirements.lock",
}  # fmt: skip


def test_the_readme_opens_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    first = "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/reconcilerd demo"
    second = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest"
    assert text.index(first) < text.index(second)


def test_the_top_level_is_what_it_says() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tops = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {top for top in tops if not top.startswith(".")} <= ALLOWED


def test_every_module_says_what_it_knows() -> None:
    silent = [str(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert silent == []


def test_no_file_is_far_above_the_others() -> None:
    assert [str(path) for path in SOURCES if len(path.read_text("utf-8").splitlines()) > 600] == []


def test_no_room_is_a_lumber_room() -> None:
    names = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}
    assert not names & {"utils", "helpers", "manager", "common"}


def test_the_lock_names_no_index_and_hashes_everything() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert not re.search(r"https?://|file:|--index|--extra-index|--find-links", text)
    pins = [line for line in text.splitlines() if "==" in line]
    assert pins
    assert all(line.rstrip().endswith("\\") for line in pins)


def test_the_changelog_names_the_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
