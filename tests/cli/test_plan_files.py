"""Plan files as they are read, shown and refused, without a daemon."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reconcilerd.cli.plan import BadFile, carry_out, make, read
from tests.cli.commands import PROGRAM

PLAN: dict[str, Any] = {
    "schema": "reconcilerd.plan",
    "id": "p",
    "made_at": "2026-11-29T11:37:19.034Z",
    "expires_at": "2026-11-29T11:47:19.034Z",
    "ledger": {"entry": 1, "hash": "0" * 64},
    "policy": "r",
    "mode": "guarded",
    "scope": {"sku": None, "channel": None},
    "counts": {"send": 1},
    "entries": [
        {
            "sku": "a",
            "slot": ["shop-uk", "1", "2"],
            "shown": 4,
            "target": 9,
            "cause": "lag",
            "verdict": "send",
            "means": "is sent",
        }
    ],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN), "utf-8")
    return path


def test_a_key_that_is_said_twice_is_refused(file: Path) -> None:
    """A person reads the first, a program the last: what was reviewed would not be what is done."""
    assert read(str(file))["entries"][0]["target"] == 9
    file.write_text(file.read_text("utf-8").replace('"target": 9', '"target": 5, "target": 9'), "utf-8")
    with pytest.raises(BadFile, match="'target' is said twice"):
        read(str(file))


def test_a_plan_that_is_shown_again_does_not_say_that_there_is_nothing_to_do(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(file, None, {}, markdown=False, as_json=False, old=str(file)) == 0
    said = capsys.readouterr().out
    assert "shop-uk" in said
    assert "nothing to do" not in said
    assert "exit 0: as it was made; nothing was asked" in said


@pytest.mark.parametrize("more", [("--sku", "A"), ("--channel", "shop-uk"), ("--fresh",)])
def test_a_plan_that_was_made_before_is_shown_whole(file: Path, more: tuple[str, ...]) -> None:
    done = CliRunner().invoke(PROGRAM, ["plan", "--from", str(file), *more])
    assert (done.exit_code, "--from shows a plan as it was made" in done.output) == (2, True), done.output


@pytest.mark.parametrize("columns", [80, 120])
def test_why_a_file_is_no_plan_fits_the_terminal(
    file: Path, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(file.parent)
    Path("plan.json").write_text("hello", "utf-8")
    assert carry_out(Path("config.toml"), "plan.json", "x", as_json=False) == 2
    said = capsys.readouterr().err
    assert "damaged, or no plan" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= columns, said
