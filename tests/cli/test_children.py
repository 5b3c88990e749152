"""Who kills a command leaves none of its processes behind."""

import os
from pathlib import Path

import pytest

from tests.cli.programs import running, wait_until


def children(pid: int) -> list[int]:
    """Processes that a process has started and that still run."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in path.read_text("ascii").split()] if path.exists() else []


def lives(pid: int) -> bool:
    """Whether it runs: who ended, and nobody has asked for it, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("command", "many"),
    [
        (("simulate", "--seeds", "1..64", "--days", "7"), os.cpu_count() or 1),
        (("demo", "--seconds", "300"), 1),
    ],
    ids=["simulate", "demo"],
)
def test_no_process_of_a_killed_command_goes_on(tmp_path: Path, command: tuple[str, ...], many: int) -> None:
    with running(tmp_path, *command) as process:
        wait_until("its children", lambda: len(children(process.pid)) >= min(many, 64))
        found = children(process.pid)
        assert all(map(lives, found))
        process.kill()
        wait_until("them to be gone", lambda: not any(map(lives, found)))
