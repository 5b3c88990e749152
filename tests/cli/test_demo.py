"""The demo, short, over real HTTP: it converges without a violation, and says what it was asked to say."""

import json
import os
import re
from pathlib import Path

import pytest

from reconcilerd.assemble import Assembled
from reconcilerd.cli.demo import run as demo
from reconcilerd.cli.demo.run import at_hand, run_demo
from reconcilerd.domain.facts import RailLatched
from reconcilerd.simulator.shoppers import read_invoices
from tests.cli.programs import COLUMNS, run
from tests.cli.test_schemas import faults


def orders(folder: Path) -> Path:
    """Two days of a shop that is not the one that ships: the last hour of the second is played."""
    rows = ["invoice,stock_code,description,quantity,ordered_at,unit_price_gbp,country"]
    for number in range(12):
        for item in range(6):
            code, units = f"{10000 + (number + item) % 9}{'AB'[item % 2]}", 1 + (number * item) % 7
            rows.append(
                f"{900 + number},{code},Thing {code},{units},2011-03-02T10:{number:02d}:00Z,1.5,Malta"
            )
    rows.append("C900,10000A,Thing,-1,2011-03-02T10:20:00Z,1.5,Malta")
    rows.append("950,POST,Postage,1,2011-03-02T10:21:00Z,18,Malta")
    rows.append("899,10000A,Thing,1,2011-03-01T10:00:00Z,1.5,Malta")
    path = folder / "orders.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


def test_the_demo_converges_without_a_violation_and_scores_both_worlds(tmp_path: Path) -> None:
    done = run(
        tmp_path, "demo", "--seconds", "12", "--seed", "5", "--orders", str(orders(tmp_path)), "--json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert faults("demo", result) == []
    assert result["converged"] is True
    assert result["violations"] == []
    assert result["orders"] == 13
    assert result["unmapped_skus"] == ["POST"]
    drifts = result["drifts"]
    assert drifts["injected"] == drifts["found"] == drifts["cured"] >= 4
    for pair in ("oversold_units", "refused_sales", "hidden_unit_hours"):
        assert set(result[pair]) == {"with", "without"}
    assert set(result["requests"]) == {"extensiv", "shop-uk", "shop-eu", "shop-us"}
    assert all(each["sent"] > 0 for each in result["requests"].values())
    sku = result["cured_sku"]
    config = str(tmp_path / "reconcilerd-demo" / "config.toml")
    for command in (("explain", "--sku", sku), ("history", "--sku", sku), ("ledger", "verify")):
        told = run(tmp_path, *command, "--config", config)
        assert told.returncode == 0, told.stderr
        # A path or a slot's name is never broken.
        assert all(len(line) <= COLUMNS or "/" in line for line in told.stdout.splitlines())


def test_orders_that_come_through_a_pipe_are_there_for_both_who_read_them(tmp_path: Path) -> None:
    plain = orders(tmp_path)
    reads, writes = os.pipe()
    os.write(writes, plain.read_bytes())
    os.close(writes)
    with at_hand(Path(f"/dev/fd/{reads}")) as file:
        assert file is not None
        assert read_invoices(file) == read_invoices(file) == read_invoices(plain)
    os.close(reads)
    assert not file.exists()
    for each in (plain, None):
        with at_hand(each) as file:
            assert file == each


def test_what_a_person_sees_fits_and_ends_with_commands_to_paste(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--seconds", "8", "--orders", str(orders(tmp_path)))
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    end = lines.index("Next:")
    assert all(len(line) <= COLUMNS for line in lines[:end])
    assert len(lines[end + 1 :]) == 3
    assert "converged" in lines[end - 2]
    assert re.search(r"drifts: \d+ injected, \d+ found, \d+ cured", done.stdout)


def test_what_was_still_at_work_in_the_end_is_not_judged_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a machine so busy that the last look does not end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reconcilerd.cli.demo.run.LAST_LOOK_S", 0.0)
    assert run_demo(5, 5, orders(tmp_path), as_json=False) == 3
    told = capsys.readouterr().out
    assert re.search(r"violations of invariants .*: 0\n", told), told
    # What the look finds in the moment that it has is told by name.
    assert re.search(
        "NOT CONVERGED: (it was still at work when its time was over|differences remain)\n", told
    )


def test_a_rail_that_the_drift_trips_is_told_and_reset_as_a_person_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A foreign writer may strike one of the first of many: the rest rightly waits, and the demo has no person."""
    read = demo._first_read

    async def read_and_trip(built: Assembled) -> None:
        await read(built)
        desk = built.daemon.desk
        why = "a first batch of a large change did not take"
        await desk.take(
            (RailLatched("canary:shop-us", True, "reconcilerd", why, desk.clock(), "written 0, read 3"),),
            note="canary",
        )

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_first_read", read_and_trip)
    code = run_demo(12, 5, orders(tmp_path), as_json=False)
    told = capsys.readouterr().out
    assert code == 0, told
    assert re.search(r"canary:shop-us\s+tripped: a first batch", told), told
    assert "reset, as a person would: canary:shop-us" in " ".join(told.split())
    assert all(len(line) <= COLUMNS for line in told[: told.index("Next:")].splitlines())


def test_a_bad_orders_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = orders(tmp_path)
    path.write_text(path.read_text("utf-8").replace(",Thing,-1,", ",Thing,-1.5,"), "utf-8")
    done = run(tmp_path, "demo", "--orders", str(path))
    assert done.returncode == 2
    assert "orders.csv:74: quantity must be a whole number other than 0 of at" in done.stderr
    assert "not '-1.5'" in done.stderr


def test_a_configuration_that_the_demo_did_not_write_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "reconcilerd-demo" / "config.toml"
    mine.parent.mkdir()
    mine.write_text("mine", "utf-8")
    done = run(tmp_path, "demo", "--seconds", "5")
    assert done.returncode == 2
    assert "was not written by the demo" in done.stderr
    assert mine.read_text("utf-8") == "mine"
