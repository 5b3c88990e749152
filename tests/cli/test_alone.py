"""``apply`` and ``revert`` while no daemon runs: the command takes the ledger's lock, reads, writes and reads back."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import trading
from tests.cli.test_plans import guarded, told
from tests.cli.test_run import ask


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Path]:
    """A business that nobody watches; what orders do not explain waits for a person there."""
    with trading(tmp_path, harmed=False) as config:
        guarded(config)
        yield config


def test_a_plan_is_applied_once_and_put_back_while_no_daemon_runs(alone: Path) -> None:
    file = alone.parent / "plan.json"
    code, _, err = told(alone, "plan", "-o", str(file), "--fresh")
    assert code == 3, err
    plan = json.loads(file.read_text("utf-8"))
    # Of a pool that is shared what was lowered may be raised again: nobody else shows less for it.
    shared = [each for each in plan["entries"] if plan["inputs"][each["group"]]["pool"] == "shared"]
    sku = next(each["sku"] for each in shared if each["verdict"] == "hold_approval")
    told(alone, "plan", "-o", str(file), "--sku", sku, "--fresh")
    code, done = ask(alone, "apply", str(file), "--reason", "ticket 12")
    plan = json.loads(file.read_text("utf-8"))
    assert {(e["channel"], e["from"], e["to"], e["outcome"]) for e in done["sent"]} == {
        (each["slot"][0], each["shown"], each["target"], "confirmed") for each in plan["entries"]
    }, done
    code, _, err = told(alone, "apply", str(file), "--reason", "again")
    assert (code, f"by uid {os.getuid()}: ticket 12" in " ".join(err.split())) == (7, True), err
    code, listed = ask(alone, "passes")
    id_ = next(each["id"] for each in listed["passes"] if each["sent"])
    code, back = ask(alone, "revert", "--pass", id_, "--apply", "--reason", "a mistake")
    assert (code, back["held"], back["skipped"]) == (0, [], []), back
    assert {(e["channel"], e["to"], e["shows"], e["outcome"]) for e in back["sent"]} == {
        (each["channel"], each["from"], each["from"], "confirmed") for each in done["sent"]
    }
    code, pinned = ask(alone, "pins")
    assert (code, len(pinned["pins"])) == (0, len(done["sent"]))
    assert told(alone, "ledger", "verify")[0] == 0
