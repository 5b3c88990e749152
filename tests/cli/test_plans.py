"""``plan``, ``apply``, ``revert``, ``replay`` and their kin as a person runs them, beside a daemon that works."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.programs import COLUMNS, run, running, trading, wait_until
from tests.cli.test_run import ask, is_up, stopped

TRIES = 8


def guarded(config: Path) -> None:
    """Have a person asked before anything is raised, or lowered that orders do not explain."""
    text = config.read_text("utf-8")
    assert 'mode = "auto"' in text
    config.write_text(text.replace('mode = "auto"', 'mode = "guarded"'), "utf-8")


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A business that trades, a daemon that asks before it raises, and everything read."""
    folder = tmp_path_factory.mktemp("tenant")
    with trading(folder) as config:
        guarded(config)
        with running(folder, "run", "--config", str(config)) as daemon:
            wait_until("the daemon to read everything", lambda: is_up(config))
            yield config
            assert stopped(daemon) == 0


def told(config: Path, *args: str) -> tuple[int, str, str]:
    done = run(config.parent, *args, "--config", str(config))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def fits(text: str) -> bool:
    return all(len(line) <= COLUMNS for line in text.splitlines())


def a_plan(config: Path, name: str = "plan.json") -> dict[str, Any]:
    """A plan of one SKU of which something waits for a person."""
    file = config.parent / name
    for _ in range(TRIES):
        code, _, why = told(config, "plan", "-o", str(file))
        assert code in {3, 5}, why
        waiting = [
            e["sku"] for e in json.loads(file.read_text())["entries"] if e["verdict"] == "hold_approval"
        ]
        for sku in sorted(set(waiting)):
            code, _, _ = told(config, "plan", "-o", str(file), "--sku", sku, "--fresh")
            plan: dict[str, Any] = json.loads(file.read_text())
            if any(each["verdict"] == "hold_approval" for each in plan["entries"]):
                return plan
        time.sleep(2)
    raise AssertionError("nothing waits for an approval")


def applied(config: Path) -> tuple[str, dict[str, Any], str]:
    """A plan that went through: its file, itself, what was said. Sales may move its inputs, and a store may not do what
    it said; then another is made.
    """
    for number in range(TRIES):
        name = f"plan-{number}.json"
        plan = a_plan(config, name)
        code, out, err = told(config, "apply", str(config.parent / name), "--reason", "ticket 12")
        if "  confirmed" in out:
            assert code in {0, 3, 7}
            return name, plan, out
        assert code in {3, 7}, (out, err)
    raise AssertionError("every plan was refused, or had no effect")


def test_a_plan_is_reviewed_applied_once_put_back_and_replayed(tenant: Path) -> None:
    name, plan, out = applied(tenant)
    assert fits(out), out
    assert f"Plan {plan['id']}" in out
    code, _, err = told(tenant, "apply", str(tenant.parent / name), "--reason", "again")
    assert code == 7
    assert fits(err), err
    assert f"by uid {os.getuid()}: ticket 12" in " ".join(err.split())
    code, out, _ = told(tenant, "passes", "--limit", "50")
    assert (code, fits(out)) == (0, True)
    code, listed = ask(tenant, "passes", "--limit", "500")
    sent = [each["id"] for each in listed["passes"] if each["sent"]]
    for id_ in sent[:3]:
        code, out, err = told(tenant, "replay", id_)
        assert (code, "identical" in out, fits(out)) == (0, True, True), out + err
    code, history = ask(tenant, "history", "--sku", plan["entries"][0]["sku"])
    correction = next(row["fact"]["id"] for row in history["rows"] if row["kind"] == "correction")
    assert told(tenant, "replay", correction)[0] == 0
    code, out, err = told(tenant, "revert", "--pass", sent[0])
    assert (code in {0, 3, 7}, fits(out)) == (True, True), out + err
    code, out, err = told(tenant, "revert", "--pass", sent[0], "--apply", "--reason", "a mistake")
    assert (code in {0, 3, 7}, fits(out)) == (True, True), out + err
    idle = next(each["id"] for each in listed["passes"] if not each["sent"])
    for words in ((), ("--apply", "--reason", "a mistake")):
        code, out, err = told(tenant, "revert", "--pass", idle, *words)
        assert (code, "Nothing to put back." in out) == (0, True), out + err
    code, out, _ = told(tenant, "pins")
    assert (code, fits(out)) == (0, True)
    code, _, err = told(tenant, "pins", "lift", "all", "--reason", "done")
    assert code in {0, 6}, err
    assert told(tenant, "revert", "--pass", "nothing")[0] == 6
    for nothing in ("nothing", "", " "):
        code, _, err = told(tenant, "replay", nothing)
        assert (code, "no decision of that id" in " ".join(err.split())) == (6, True), err


def test_what_is_no_plan_is_refused_and_nothing_is_overwritten(tenant: Path) -> None:
    plan = a_plan(tenant)
    file, other = tenant.parent / "plan.json", tenant.parent / "other.json"
    whole = file.read_text("utf-8")
    for text, said in (
        (whole[: len(whole) // 2], "damaged"),
        ("[]", "no plan"),
        (json.dumps({**plan, "schema": "x"}), "no plan"),
        (json.dumps({**plan, "version": 2}), "newer reconcilerd"),
        ("\x00\xff", "damaged"),
    ):
        other.write_text(text, "utf-8")
        code, _, err = told(tenant, "apply", str(other), "--reason", "x")
        assert (code, said in " ".join(err.split())) == (2, True), err
    other.write_bytes(b"\xff\xfe\x00")
    assert told(tenant, "apply", str(other), "--reason", "x")[0] == 2
    assert told(tenant, "apply", str(tenant.parent / "none.json"), "--reason", "x")[0] == 2
    edited = {
        **plan,
        "entries": [{**plan["entries"][0], "target": plan["entries"][0]["target"] + 1}, *plan["entries"][1:]],
    }
    other.write_text(json.dumps(edited), "utf-8")
    code, _, err = told(tenant, "apply", str(other), "--reason", "x")
    assert (code, "edited" in err) == (7, True), err
    for bad in ("rules.csv", "config.toml"):
        before = (tenant.parent / bad).read_bytes()
        code, _, err = told(tenant, "plan", "-o", str(tenant.parent / bad))
        assert (code, "left as it is" in " ".join(err.split())) == (2, True), err
        assert (tenant.parent / bad).read_bytes() == before
    assert told(tenant, "plan", "-o", str(tenant.parent / "no" / "plan.json"))[0] == 2
    assert told(tenant, "plan", "--sku", "no such thing")[0] == 6
    assert not list(tenant.parent.glob(".*.json*"))


def test_what_a_plan_says_fits_a_terminal_and_a_merge_request(tenant: Path) -> None:
    plan = a_plan(tenant)
    file = str(tenant.parent / "plan.json")
    code, out, _ = told(tenant, "plan")
    assert (code in {3, 5}, fits(out)) == (True, True), out
    code, out, _ = told(tenant, "plan", "--markdown", "--from", file)
    assert (code, out.startswith("<!-- reconcilerd.plan -->")) == (3, True)
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {4, 9}, out
    code, out, _ = told(tenant, "plan", "-o", "-")
    assert json.loads(out)["schema"] == "reconcilerd.plan"
    sku = plan["entries"][0]["sku"]
    code, out, err = told(tenant, "explain", "--sku", sku, "--want", "+5")
    assert (code, "For " in out or "It is corrected" in out) == (0, True), err
    assert fits(out.replace(" slot ", "")), out
    assert told(tenant, "explain", "--sku", sku, "--want", "five")[0] == 2


def test_approvals_are_listed_and_taken_back(tenant: Path) -> None:
    plan = a_plan(tenant)
    sku = plan["entries"][0]["sku"]
    code, _, _ = told(tenant, "approve", sku, "--reason", "go on")
    if code == 6:
        pytest.skip("it was corrected meanwhile")
    code, out, _ = told(tenant, "envelopes")
    assert (code, sku in out, fits(out)) == (0, True, True), out
    code, listed = ask(tenant, "envelopes", "list")
    id_ = next(each["id"] for each in listed["envelopes"] if sku in each["skus"] and each["revoked"] is None)
    assert told(tenant, "envelopes", "revoke", id_)[0] == 2
    assert told(tenant, "envelopes", "revoke", id_, "--reason", "enough")[0] == 0
    assert told(tenant, "envelopes", "revoke", id_, "--reason", "enough")[0] == 6
    assert "REVOKED" in told(tenant, "envelopes")[1]
