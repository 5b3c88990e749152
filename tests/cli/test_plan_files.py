"""Plan files as they are read, shown and refused, without a daemon."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reconcilerd.cli import plan_text
from reconcilerd.cli.plan import BadFile, carry_out, make, may_be_written, read, write
from reconcilerd.domain.digest import canonical, digest_of
from reconcilerd.domain.names import parse_instant
from tests.cli.commands import PROGRAM

Document = dict[str, Any]


def sealed(said: Document) -> Document:
    """A document with the digest that it would have been made with."""
    rest = {name: each for name, each in said.items() if name != "digest"}
    return {**rest, "digest": digest_of(canonical(rest))}


PLAN: Document = {
    "schema": "reconcilerd.plan",
    "version": 1,
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
            "group": "a",
            "sku": "a",
            "listing_sku": "a",
            "slot": ["shop-uk", "1", "2"],
            "shown": 4,
            "target": 9,
            "desired": 9,
            "cause": "lag",
            "because": "share",
            "verdict": "send",
            "means": "is sent",
        }
    ],
    "inputs": {"a": {"pool": "shared"}},
}
UNSURE = "a: its stock was never read"
DEEP: Any = []
for _ in range(800):
    DEEP = [DEEP]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What it is o'clock: a second after the plan was made."""
    at = [parse_instant(PLAN["made_at"]) + 1000]
    monkeypatch.setattr(plan_text, "now", lambda: at[0])
    return at


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(sealed(PLAN)), "utf-8")
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
    file.write_text(json.dumps(sealed({**PLAN, "entries": [], "counts": {}})), "utf-8")
    assert make(file, None, {}, markdown=False, as_json=False, old=str(file)) == 0
    assert "exit 0: nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize("copied", [False, True])
def test_a_plan_that_has_expired_says_so_and_is_not_offered_to_be_applied(
    file: Path, clock: list[int], copied: bool, markdown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = file.parent / "copy"
    for late, words in ((-1, "good until"), (0, "expired at")):
        clock[0] = parse_instant(PLAN["expires_at"]) + late
        assert (
            make(file, str(copy) if copied else None, {}, markdown=markdown, as_json=False, old=str(file))
            == 3
        )
        said = " ".join(capsys.readouterr().out.split())
        said += copy.read_text("utf-8") if copied and markdown else ""
        assert words in said
        assert ("It is not applied any more" in said) == (copied and late == 0)
        assert ("Apply: " in said) == (copied and not markdown and late < 0)


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize("entries", [[], PLAN["entries"]])
def test_a_plan_that_could_not_say_all_says_so_whenever_it_is_shown(
    file: Path, entries: list[Document], markdown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = {**PLAN, "entries": entries, "counts": {"send": 1} if entries else {}, "incomplete": [UNSURE]}
    file.write_text(json.dumps(sealed(plan)), "utf-8")
    assert make(file, None, {}, markdown=markdown, as_json=False, old=str(file)) == 5
    assert f"incomplete: {UNSURE}" in capsys.readouterr().out
    assert make(file, None, {}, markdown=False, as_json=True, old=str(file)) == 5
    assert json.loads(capsys.readouterr().out)["incomplete"] == [UNSURE]


@pytest.mark.parametrize(
    ("verdict", "offered"),
    [("send", True), ("hold_approval", True), ("hold_frozen", False), ("hold_stale", False)],
)
def test_only_a_plan_of_which_something_can_be_sent_is_offered_to_be_applied(
    file: Path, verdict: str, offered: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    held = {**PLAN["entries"][0], "verdict": verdict}
    plan = {**PLAN, "entries": [held], "counts": {verdict: 1}}
    file.write_text(json.dumps(sealed(plan)), "utf-8")
    assert make(file, str(file), {}, markdown=False, as_json=False, old=str(file)) == 3
    assert ("Apply: " in capsys.readouterr().out) == offered


def shown_again(file: Path, text: str, capsys: pytest.CaptureFixture[str], *, markdown: bool) -> str:
    """What is said of a plan in a file that is not shown, on one line."""
    file.write_text(text, "utf-8")
    assert make(file, None, {}, markdown=markdown, as_json=False, old=str(file)) == 2
    out, err = capsys.readouterr()
    assert out == "", "nothing of it is taken for the plan"
    assert "make a plan with: reconcilerd plan -o NEW.json" in " ".join(err.split())
    return " ".join(err.split())


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "it was written by a newer reconcilerd (version 2, this one reads 1)"),
        ({"entries": {}}, "it is damaged: entries is no list"),
        ({"entries": [{}]}, "it is damaged: entries[0].slot is missing"),
        (
            {"entries": [{**PLAN["entries"][0], "target": 8}]},
            "was edited after it was made: apply refuses it",
        ),
        ({"policy": "s"}, "was edited after it was made: apply refuses it"),
        ({"more": DEEP}, "it is damaged: maximum recursion depth exceeded"),
    ],
)
def test_a_plan_that_apply_would_not_take_for_the_one_that_was_made_is_not_shown_as_it(
    file: Path, change: Document, said: str, markdown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    text = json.dumps({**sealed(PLAN), **change})
    assert said in shown_again(file, text, capsys, markdown=markdown)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("4", "Infinity", "is damaged"),
        ("4", "9" * 5000, "a number in it has 5,000 digits, and none of a plan more than 19"),
        ("4", "-" + "9" * 5000, "a number in it has 5,000 digits, and none of a plan more than 19"),
        ('"lag"', '"\\ud800"', "is damaged: '\\ud800' in it is no character"),
    ],
)
def test_what_no_plan_can_hold_is_told_in_words_of_a_plan(
    file: Path, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = file.read_text("utf-8")
    name = '"cause": ' if "lag" in old else '"shown": '
    assert name + old in text
    told = shown_again(file, text.replace(name + old, name + new), capsys, markdown=False)
    assert said in told
    assert "codec" not in told
    assert "set_int_max_str_digits" not in told
    assert carry_out(file.parent / "none.toml", str(file), "x", as_json=False) == 2
    assert "codec" not in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"scope": 5}, {"counts": {"x": 1}}])
def test_a_plan_that_cannot_be_shown_is_refused(
    file: Path, change: Document, capsys: pytest.CaptureFixture[str]
) -> None:
    text = json.dumps(sealed({**PLAN, **change}))
    assert "is damaged, and cannot be shown" in shown_again(file, text, capsys, markdown=False)


def test_a_correction_that_is_held_where_it_stands_says_what_it_wants(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = {**PLAN["entries"][0], "target": 4, "desired": 9}
    file.write_text(json.dumps(sealed({**PLAN, "entries": [held]})), "utf-8")
    for markdown in (False, True):
        assert make(file, None, {}, markdown=markdown, as_json=False, old=str(file)) == 3
        assert "(wants 9)" in capsys.readouterr().out


def test_a_name_that_no_file_can_have_is_told_before_anything_is_planned() -> None:
    with pytest.raises(BadFile, match="cannot be written: File name too long"):
        may_be_written(Path("x" * 300))


def test_a_name_as_long_as_any_may_be_is_written(tmp_path: Path) -> None:
    file = tmp_path / ("x" * 250 + ".json")
    write(file, "{}")
    assert file.read_text("utf-8") == "{}"
    assert len(list(tmp_path.iterdir())) == 1


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
    file.write_text(json.dumps({name: each for name, each in PLAN.items() if name != "version"}), "utf-8")
    assert carry_out(file.parent / "none.toml", str(file), "x", as_json=False) == 2
    assert "the plan cannot be applied: it is damaged: version is missing; make a plan" in " ".join(
        capsys.readouterr().err.split()
    )
