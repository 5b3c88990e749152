"""Takes each rail away in a process of its own and runs its tests. Exit code 1: a mutant lives, or a rail has none."""

import argparse
import multiprocessing
import os
import sys
from typing import Final

import pytest

from reconcilerd.config.defaults import describe
from reconcilerd.domain.registry import RAILS, Rail
from tests.mutants.table import MUTANTS, take_away, without_a_mutant

OPTIONS: Final = ("-n", "0", "-x", "-q", "-p", "no:cacheprovider", "--no-header")
CRASHED: Final = 99
DIED: Final = int(pytest.ExitCode.TESTS_FAILED)


class Without:
    """Takes a rail away once pytest has everything it needs: what is imported before it, it calls a fault."""

    def __init__(self, rail: Rail) -> None:
        self._rail = rail

    def pytest_collection_finish(self) -> None:
        take_away(self._rail)


def outcome(name: str) -> int:
    """pytest's exit code for a rail's tests without the rail; for no name, of all tests with all rails."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    if not name:
        return int(
            pytest.main([*OPTIONS, *sorted({test for each in MUTANTS.values() for test in each.tests})])
        )
    without = Without(next(rail for rail in RAILS if rail.name == name))
    return int(pytest.main([*OPTIONS, *MUTANTS[name].tests], plugins=[without]))


def main() -> int:
    """Print the table: rail, configuration key, what killed it."""
    keys = {row.key for row in describe()}
    faults = [f"{name}: in only one of the registry and the mutants" for name in without_a_mutant()]
    faults += [f"{rail.name}: no configuration key {rail.key}" for rail in RAILS if rail.key not in keys]
    rails = [rail for rail in RAILS if rail.name in MUTANTS]
    codes = _each_in_its_own(["", *(rail.name for rail in rails)])
    if codes.pop(""):
        faults.append("the tests of the rails fail with all rails in place")
    for rail in rails:
        _tell(rail, codes[rail.name])
        if codes[rail.name] != DIED:
            faults.append(f"{rail.name}: lives without a test that fails (pytest said {codes[rail.name]})")
    for fault in faults:
        print(f"FAULT  {fault}")
    print(f"{len(rails)} rails, {len(faults)} faults.")
    return 1 if faults else 0


def _each_in_its_own(names: list[str]) -> dict[str, int]:
    """Every outcome, at most two processes at a time."""
    context, waiting = multiprocessing.get_context("fork"), list(names)
    running: list[tuple[str, multiprocessing.context.ForkProcess]] = []
    codes: dict[str, int] = {}
    while waiting or running:
        while waiting and len(running) < 2:
            name = waiting.pop(0)
            process = context.Process(target=_exit_with, args=(name,))
            process.start()
            running.append((name, process))
        name, oldest = running.pop(0)
        oldest.join()
        codes[name] = oldest.exitcode if oldest.exitcode is not None else -1
    return codes


def _exit_with(name: str) -> None:
    code = CRASHED
    try:
        code = outcome(name)
    finally:
        os._exit(code)  # a crash must not pass for a test that failed


def _tell(rail: Rail, code: int) -> None:
    killer = MUTANTS[rail.name].tests[0].rpartition("::")[2] if code == DIED else "NOTHING"
    print(f"{rail.name:<28} {rail.key:<30} {killer}")


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, allow_abbrev=False
    ).parse_args()
    sys.exit(main())
