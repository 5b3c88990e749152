"""What is printed fits the terminal that it is printed on, with every number whole; elsewhere lines stay whole."""

import fcntl
import os
import re
import struct
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.cli import check_config, reconcile_entry, render, replay, runbooks, simulate
from reconcilerd.cli.faults import print_menu
from reconcilerd.cli.main import main
from reconcilerd.config.load import MAX_FAULTS, parse
from reconcilerd.domain.alerts import KINDS
from reconcilerd.errors import ConfigFault, LedgerFault
from tests.cli.pretended import a_status

WIDTHS = [40, 60, 80, 100]
ID = "19488dec-4f65-44d9-a59f-4329e6f4590b"
FAULT = (
    "config.toml: channels[0].places: 'gid://shopify/Location/101' draws on a warehouse that no listing names"
)


@pytest.fixture(params=WIDTHS)
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The width of a terminal."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def too_wide(text: str, columns: int) -> list[str]:
    """Lines that do not fit, but for those that are one word: half a name is none."""
    return [line for line in text.splitlines() if len(line) > columns and len(line.split()) > 1]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as file:
        yield file
    os.close(ours)


@pytest.mark.parametrize(("size", "used"), [(20, 40), (72, 72), (300, 100), (0, None)])
def test_a_terminal_says_how_wide_it_is(terminal: TextIO, size: int, used: int | None) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, size, 0, 0))
    assert render.columns_of(terminal) == used


@pytest.mark.usefixtures("piped")
def test_a_file_has_no_width_unless_somebody_says_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        assert render.columns_of(file) is None
        for said, used in (("72", 72), ("7", 40), ("0", None), ("wide", None), ("", None)):
            monkeypatch.setenv("COLUMNS", said)
            assert render.columns_of(file) == used


def a_full_status() -> dict[str, Any]:
    """One in which something of everything is told."""
    feeds = [
        {
            "feed": f"{name}.slots",
            "complete": True,
            "age_s": 41 * 60 + n,
            "why": "it answered 401: credentials refused" * n,
        }
        for n, name in enumerate(("shop-uk", "extensiv-warehouses"))
    ]
    channels = [
        {"channel": name, "listings": 50123, "drifts": 30456, "held": 10789, "queued": 20987}
        for name in ("shop-uk", "a-channel-with-a-long-name")
    ]
    return a_status(
        daemon=False,
        stopped=True,
        feeds=feeds,
        channels=channels,
        freeze_windows=[{"channel": "shop-uk", "allow": ["lowers", "cures"]}],
        waiting_for_approval=1234,
        held_plan=ID,
        findings={"unmapped_sku": 12, "bundle_cycle": 3, "blank_sku": 44, "listing_twice": 5},
    )


def test_status_fits_and_no_number_of_it_is_cut(columns: int) -> None:
    text = render.status(a_full_status(), columns)
    assert too_wide(text, columns) == []
    words = text.replace(",", " ").split()
    for whole in ("50123", "30456", "10789", "20987", "41", "1234", "44"):
        assert whole in words, whole
    assert words.count("20987") == words.count("41") == 2
    assert "…" not in text
    assert "it answered 401: credentials" in text, "a reason has room for more than a word a line"
    if columns >= 80:
        assert "reconcilerd approve held --reason ..." in text, "a command is copied from one line"
        assert ID not in text, "of all that waits, the newest pass holds a part"


@given(
    st.lists(st.lists(st.integers(0, 10**9).map(str), min_size=4, max_size=4), min_size=1, max_size=4),
    st.integers(1, 60),
    st.integers(40, 100),
)
def test_no_number_of_a_table_is_cut_at_any_width(rows: list[list[str]], size: int, columns: int) -> None:
    named = [["n" * size, *row] for row in rows]
    lines = render.table(["name", "a", "b", "c", "last"], named, columns, left={0})
    text = " ".join(lines).replace(",", " ")
    assert all(cell in text.split() for row in named for cell in row)
    assert all(len(line) <= max(columns, size + 2) for line in lines)


def test_of_a_column_of_words_as_much_is_shown_as_fits() -> None:
    rows = [["a", "1", "word " * 30]]
    wide, narrow = (render.table(["name", "n", "why"], rows, columns, left={0, 2}) for columns in (60, 40))
    assert [len(wide[1]), wide[1][-1], len(narrow[1])] == [60, "…", 40]


def test_the_menu_of_faults_fits(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert print_menu(as_json=False) == 0
    text = capsys.readouterr().out
    assert too_wide(text, columns) == []
    assert "429 whose wait is no number (list, mutation, post, query, whole)" in " ".join(text.split())
    below = "429_bad_wait\n  429 whose wait is no number"
    assert (below in text) == (columns == 40), "a column of two words is hard to read"


@pytest.mark.usefixtures("piped")
def test_elsewhere_a_fault_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_menu(as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "429_bad_wait          429 whose wait is no number (list, mutation, post, query, whole)" in lines


def test_the_figures_of_a_trial_fit(columns: int) -> None:
    lines = [
        line
        for name in ("orders", "units refused while they were shippable")
        for line in simulate._row(name, 1_234_567)
    ]
    assert too_wide("\n".join(lines), columns) == []
    assert sum("1,234,567" in line for line in lines) == 2


TOLD: dict[str, Any] = {
    "decision": ID,
    "entry": 12345,
    "decisions": 1,
    "at": "2026-11-30T19:00:51.550Z",
    "policy": "6e721db31f93",
    "program": "0.0.1",
    "groups": 2,
    "corrections": 6,
    "bytes": 5588,
    "rows": 4,
    "listings": 6,
    "unproven": [],
    "identical": False,
    "group": "a",
    "difference": {"where": "x.y", "recorded": "word " * 20, "computed": 3},
    "digests": {},
}


def test_a_decision_that_is_computed_again_is_told_within_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    replay._say(TOLD, 1, as_json=False)
    text = capsys.readouterr().out
    assert too_wide(text, columns) == []
    assert "this is version" in " ".join(text.split())


@pytest.mark.usefixtures("piped")
def test_elsewhere_it_has_the_lines_it_always_had(capsys: pytest.CaptureFixture[str]) -> None:
    replay._say(TOLD, 1, as_json=False)
    assert capsys.readouterr().out.splitlines() == replay._lines(TOLD)


def test_a_runbook_fits_and_loses_no_word(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in KINDS:
        runbooks.print_runbook(kind)
        text = capsys.readouterr().out
        assert too_wide(text, columns) == [], kind
        assert text.split() == runbooks.text_of(kind).split()
        if columns >= 80:
            assert text.rstrip() == runbooks.text_of(kind).rstrip()


def test_a_list_of_a_runbook_stays_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    runbooks.print_runbook("access_probe")
    text = capsys.readouterr().out
    assert "* A colleague or a script: give it the\n  right user.\n* A changed file: " in text
    assert "\n## Look\n\n    reconcilerd alerts show KEY\n" in text


@pytest.mark.usefixtures("piped")
def test_elsewhere_a_runbook_is_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in KINDS:
        runbooks.print_runbook(kind)
        assert capsys.readouterr().out.rstrip() == runbooks.text_of(kind).rstrip()


def test_the_keys_of_a_configuration_fit(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    check_config.print_defaults()
    assert too_wide(capsys.readouterr().out, columns) == []


@pytest.mark.usefixtures("piped")
def test_elsewhere_a_key_is_a_line_with_all_that_it_may_be(capsys: pytest.CaptureFixture[str]) -> None:
    check_config.print_defaults()
    lines = capsys.readouterr().out.splitlines()
    assert 'extensiv.auth.mode = "client_credentials"  (client_credentials | static_token)' in lines


def refused(error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that meets an error."""

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("reconcilerd.cli.commands.answer", fails)
    with pytest.raises(SystemExit) as end:
        main(["status"])
    assert end.value.code == 2
    return capsys.readouterr().err


def test_what_is_wrong_with_a_configuration_fits(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(ConfigFault((FAULT, FAULT)), monkeypatch, capsys)
    assert too_wide(said, columns) == []
    heading, *rest = said.splitlines()
    assert heading == "reconcilerd: cannot begin, 2 faults:"
    assert " ".join(" ".join(rest).split()) == f"{FAULT} {FAULT}"
    assert all(line.startswith("  ") for line in rest)
    assert too_wide(refused(LedgerFault(FAULT), monkeypatch, capsys), columns) == []


WRONG = ["simulate", "--days", "seven-and-a-half-days-of-trade-or-so and then some more of it"]


def test_what_is_wrong_with_a_command_line_fits(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(WRONG)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert too_wide(said, columns) == []
    assert said.startswith("Usage: reconcilerd simulate [OPTIONS]\n")
    assert "Error: Invalid value for '--days':" in " ".join(said.split())


@pytest.mark.usefixtures("piped")
def test_elsewhere_it_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(WRONG)
    assert [line[:6] for line in capsys.readouterr().err.splitlines()] == ["Usage:", "Try 'r", "", "Error:"]


@pytest.mark.usefixtures("piped")
def test_elsewhere_each_fault_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(ConfigFault((FAULT,)), monkeypatch, capsys)
    assert said == f"reconcilerd: cannot begin, 1 fault:\n  {FAULT}\n"


@pytest.mark.usefixtures("piped")
def test_faults_that_are_not_told_one_by_one_count_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(ConfigFault(("a", "b", "... and 5 more")), monkeypatch, capsys)
    assert said.splitlines() == ["reconcilerd: cannot begin, 7 faults:", "  a", "  b", "  ... and 5 more"]


@pytest.mark.usefixtures("piped")
def test_so_do_those_of_each_file_that_are_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many = {f"bogus{number}": 1 for number in range(MAX_FAULTS + 10)}
    with pytest.raises(ConfigFault) as cut:
        parse(many, "c.toml")
    assert cut.value.faults[-1].startswith("c.toml: ... and ")
    alone = refused(cut.value, monkeypatch, capsys).splitlines()[0]
    count = int(re.sub(r"[^0-9]", "", alone))
    assert count >= MAX_FAULTS + 10
    faults = ("a: x", *cut.value.faults, "b: y", "b: ... and 2 more")
    beside = refused(ConfigFault(faults), monkeypatch, capsys).splitlines()[0]
    assert beside == f"reconcilerd: cannot begin, {count + 4} faults:"


def test_what_reconcile_refuses_fits(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = {"error": {"message": f"the configuration has faults:\n  {FAULT}"}, "exit_code": 2}
    monkeypatch.setattr(reconcile_entry, "answer", lambda *_: error)
    assert reconcile_entry.main(["--all"]) == 2
    said = capsys.readouterr().err
    assert too_wide(said, columns) == []
    assert " ".join(said.split()) == f"reconcile: the configuration has faults: {FAULT}"


@pytest.mark.usefixtures("piped")
def test_elsewhere_what_it_refuses_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = {"error": {"message": FAULT}, "exit_code": 2}
    monkeypatch.setattr(reconcile_entry, "answer", lambda *_: error)
    reconcile_entry.main(["--all"])
    assert capsys.readouterr().err == f"reconcile: {FAULT}\n"
