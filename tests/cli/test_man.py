"""The pages of the manual: one for each command that there is, made of what its parser says, and sound."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reconcilerd.cli.man import MARK, Page, pages, roff, write
from reconcilerd.cli.reconcile_entry import parser
from reconcilerd.errors import ConfigFault
from tests.cli.commands import ALL, PROGRAM
from tests.cli.programs import run

DAY = "2026-11-28"
NAMES = {"reconcilerd", "reconcile", *("-".join(("reconcilerd", *words)) for words in ALL)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("man")
    write(PROGRAM, made)
    return made


def test_there_is_a_page_for_every_command_and_no_other(folder: Path) -> None:
    assert {each.name for each in folder.iterdir()} == {f"{name}.1" for name in NAMES}


@pytest.mark.parametrize("words", sorted(ALL), ids=" ".join)
def test_a_page_has_every_option_with_its_help(words: tuple[str, ...]) -> None:
    [page] = [each for each in pages(PROGRAM) if each.words == " ".join(("reconcilerd", *words))]
    text = roff(page, DAY)
    typed = {term for term, _ in page.options}
    if words != ("reconcile",):
        wanted = {option for each in ALL[words].params for option in each.opts if option.startswith("--")}
        assert wanted <= {option for term in typed for option in re.findall(r"--[a-z-]+", term)}
    for term, means in page.options:
        assert means
        assert term.replace("-", r"\-") in text


def test_the_thin_entry_has_the_options_of_its_own_parser() -> None:
    options = {option for each in parser()._actions for option in each.option_strings}
    for name in ("reconcile", "reconcilerd-reconcile"):
        [page] = [each for each in pages(PROGRAM) if each.name == name]
        assert {option for term, _ in page.options for option in re.findall(r"--?[a-z]+", term)} == options
        assert all(means for _, means in page.options)


def test_pages_name_only_pages_that_there_are() -> None:
    for page in pages(PROGRAM):
        assert set(page.see) <= NAMES - {page.name}, page.name
        assert page.paragraphs, page.name


def test_what_would_be_a_request_of_the_formatter_is_text() -> None:
    page = Page(
        "x", "x", "x", (r".so /etc/passwd 'tis a \*[back] slash - and more", "'quoted"), (("-.", ".x"),)
    )
    lines = roff(page, DAY).splitlines()
    assert r"\&.so /etc/passwd 'tis a \e*[back] slash \- and more" in lines
    assert r"\&'quoted" in lines
    assert r"\&.x" in lines


@pytest.mark.parametrize("tool", ["man", "groff", "mandoc"])
def test_the_tools_of_the_manual_have_nothing_to_say(folder: Path, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"there is no {tool} here")
    commands = {
        "man": ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"],
        "groff": ["groff", "-man", "-ww", "-z", "-Tutf8"],
        "mandoc": ["mandoc", "-Tlint"],
    }
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    for each in sorted(folder.iterdir()):
        done = subprocess.run(
            [*commands[tool], str(each)], capture_output=True, text=True, check=False, env=env
        )
        said = done.stderr if tool == "man" else done.stderr + done.stdout
        assert (each.name, said) == (each.name, "")


def test_a_page_that_is_read_says_what_help_says(folder: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("there is no man here")
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MAN_KEEP_FORMATTING": ""}
    done = subprocess.run(
        ["man", "-l", str(folder / "reconcilerd-freeze.1")],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    text = " ".join(re.sub(r".\x08", "", done.stdout).split())
    assert "reconcilerd freeze [OPTIONS]" in text
    assert "Stop writing to a channel, or to all." in text
    assert "7 refused by a rail" in text


def test_the_same_day_makes_the_same_pages_and_files_of_others_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    write(PROGRAM, tmp_path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    assert b'"2023-11-14"' in before["reconcilerd.1"]
    write(PROGRAM, tmp_path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    (tmp_path / "reconcile.1").write_text("mine", "utf-8")
    (tmp_path / "reconcilerd.1").write_text(f"{MARK}\nold", "utf-8")
    with pytest.raises(ConfigFault, match=r"reconcile\.1: is there"):
        write(PROGRAM, tmp_path)
    assert (tmp_path / "reconcilerd.1").read_text("utf-8") == f"{MARK}\nold"


def test_a_folder_that_is_none_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    done = run(tmp_path, "man", "file/below")
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)
