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
            "desired": 9,
            "cause": "lag",
            "verdict": "send",
            "means": "is sent",
        }
    ],
}
DEEP: Any = []
for _ in range(800):
    DEEP = [DEEP]


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


def test_a_plan_that_is_shown_again_is_told_as_a_new_one_is(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = str(file.parent / "a copy.json")
    for output in (None, str(file), copy):
        assert make(file, output, {}, markdown=False, as_json=False, old=str(file)) == 3
        said = capsys.readouterr().out
        assert said.endswith("exit 3: differences found\n")
        assert (f"Apply: reconcilerd apply '{copy}' --reason TEXT" in said) == (output == copy)
    file.write_text(json.dumps({**PLAN, "entries": [], "counts": {}}), "utf-8")
    assert make(file, None, {}, markdown=False, as_json=False, old=str(file)) == 0
    assert "exit 0: nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"entries": [{}]}, {"scope": 5}, {"counts": {"x": 1}}, {"more": DEEP}])
def test_a_plan_that_cannot_be_shown_is_refused(
    file: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(json.dumps({**PLAN, **change}), "utf-8")
    assert make(file, None, {}, markdown=False, as_json=False, old=str(file)) == 2
    assert "is damaged, and cannot be shown" in " ".join(capsys.readouterr().err.split())


def test_a_correction_that_is_held_where_it_stands_says_what_it_wants(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = {**PLAN["entries"][0], "target": 4, "desired": 9, "because": "x", "listing_sku": "a"}
    file.write_text(json.dumps({**PLAN, "digest": "0" * 64, "entries": [held]}), "utf-8")
    for markdown in (False, True):
        assert make(file, None, {}, markdown=markdown, as_json=False, old=str(file)) == 3
        assert "(wants 9)" in capsys.readouterr().out


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
    assert "reconcilerd plan -o NEW.json" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= columns, said


def test_a_damaged_plan_is_refused_before_anything_else_is_read(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no such configuration: whoever looked at it first would say so."""
    assert carry_out(file.parent / "none.toml", str(file), "x", as_json=False) == 2
    assert "the plan cannot be applied: it is damaged: version is missing; make a plan" in " ".join(
        capsys.readouterr().err.split()
    )
