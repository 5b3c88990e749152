"""What is printed and does not get out, as on a full disk, is told on standard error and by the exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reconcilerd.ledger.store import Ledger
from tests.ledger.test_ledger import clock, stock

CONFIG = Path(__file__).parents[2] / "config.toml"
FULL = "/dev/full"
SAID = "standard output cannot be written (No space left on device): what was asked may be done, and is only not told"
COMMANDS = [
    ("main", "status"),
    ("main", "passes"),
    ("main", "plan", "-o", "-", "--help"),
    ("main", "simulate", "--faults", "list"),
    ("main", "runbook", "bug"),
    ("main", "check-config", "--defaults"),
    ("main", "schema", "status"),
    ("main", "--version"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tenant")
    (made / "config.toml").write_text(CONFIG.read_text("utf-8"), "utf-8")
    with Ledger.open(made / "reconcilerd.db", clock=clock) as ledger:
        ledger.append([stock("a", 7, 1)])
    return made


def told(folder: Path, *words: str, out: str = FULL, **env: str) -> tuple[int, str]:
    """The exit code and what is said of it, with standard output somewhere."""
    with Path(out).open("w", encoding="utf-8") as file:
        done = subprocess.run(
            [sys.executable, "-m", f"reconcilerd.cli.{words[0]}", *words[1:]],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **env},
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "at once"])
def test_it_is_one_sentence_and_incomplete(
    folder: Path, command: tuple[str, ...], env: dict[str, str]
) -> None:
    assert told(folder, *command, **env) == (5, f"reconcilerd: {SAID}\n")


def test_it_is_one_object_for_who_asked_for_json(folder: Path) -> None:
    for module, name in (("main", "passes"), ("main", "reconcile")):
        code, said = told(folder, module, name, "--json", *(["--help"] if name == "reconcile" else []))
        assert (code, json.loads(said)["error"]) == (
            5,
            {"code": "incomplete", "message": SAID, "exit_code": 5},
        )


def test_the_thin_entry_says_so_too(folder: Path) -> None:
    assert told(folder, "reconcile_entry", "--help") == (5, f"reconcile: {SAID}\n")


def test_who_reads_no_further_is_no_error(folder: Path) -> None:
    for module in ("main check-config --defaults", "reconcile_entry --help"):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{{ {sys.executable} -m reconcilerd.cli.{module}; echo $? >&2; }} | true"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stderr == "0\n"
