"""``plan``, ``apply``, ``revert`` and their kin: files in and out, and the questions to the daemon."""

import json
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from reconcilerd.cli import plan_text, render
from reconcilerd.cli.options import fail, refuse, show
from reconcilerd.cli.socket_client import answer
from reconcilerd.domain.visible import all_visible, visible

MAX_FILE = 30_000_000
"""Bytes; a plan of a hundred thousand corrections is smaller."""
LONGEST = 19
"""Digits of the last number that a ledger can give an entry; no number of a plan is larger."""
NAMED = 40
"""Characters of a file's name by which one that is half written is known: the whole of it may be as long as any."""
SCHEMA = "reconcilerd.plan"
STDIO = "-"
ANEW = "make a plan with: reconcilerd plan -o NEW.json"
"""What to do; never under the name that was given, which may be a file of another kind."""


class BadFile(Exception):
    """A file that cannot be read, written, or is no plan. Says which and what to do."""


def make(
    config: Path,
    output: str | None,
    request: dict[str, Any],
    *,
    markdown: bool,
    as_json: bool,
    old: str | None,
) -> int:
    """Ask for a plan, or read an old one, and write it where it is wanted. Returns the exit code."""
    try:
        if output not in {None, STDIO}:
            may_be_written(Path(str(output)))
        if old is None:
            told = answer(config, {"op": "plan", **request})
            if "error" in told:
                return fail(told, as_json=as_json)
            out = _said(told, output, markdown=markdown, as_json=as_json)
        else:
            told, out = _again(old, output, markdown=markdown, as_json=as_json)
        file, shown = out
        if file is not None:
            write(Path(str(output)), file)
        click.echo(shown)
    except BadFile as bad:
        return refuse(str(bad), 2, as_json=as_json)
    return int(told["exit_code"])


def _again(
    old: str, output: str | None, *, markdown: bool, as_json: bool
) -> tuple[dict[str, Any], tuple[str | None, str]]:
    """A plan that was made before, as if it were new, and what is said of it. Raises BadFile.

    Whoever reads it takes it for the one that was made: one that ``apply`` would not take for it is not shown.
    """
    from reconcilerd.domain.plan_file import BadPlan, read_document

    plan = read(old)
    try:
        genuine = read_document(plan).genuine
    except BadPlan as bad:
        raise BadFile(f"{old} could not be applied, and is not shown: {bad}; {ANEW}") from None
    if not genuine:
        raise BadFile(f"{old} was edited after it was made: apply refuses it, and it is not shown; {ANEW}")
    try:
        unsure = plan.get("incomplete", [])  # a version before this one did not write it down
        code = 5 if unsure else 3 if plan["entries"] else 0
        told: dict[str, Any] = {"plan": plan, "incomplete": unsure, "exit_code": code}
        return told, _said(told, output, markdown=markdown, as_json=as_json)
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        # Whoever shows a plan asks more of it than whoever applies it: every word that is printed.
        what = f"{type(error).__name__}: {error}"
        raise BadFile(f"{old} is damaged, and cannot be shown: {what}; {ANEW}") from None


def _said(
    told: dict[str, Any], output: str | None, *, markdown: bool, as_json: bool
) -> tuple[str | None, str]:
    """What goes into the file, if one is wanted, and what is printed."""
    text = plan_text.markdown(told) if markdown else json.dumps(told["plan"], indent=1) + "\n"
    if output is None and not markdown and not as_json:
        return None, plan_text.plan(all_visible(told), render.width())
    if output in {None, STDIO}:
        return None, text.removesuffix("\n")
    name = visible(str(output))
    said = plan_text.written(name, all_visible(told), render.width(), markdown=markdown)
    return text, text.rstrip() if as_json and not markdown else said


def carry_out(config: Path, name: str, reason: str, *, as_json: bool) -> int:
    """Have a plan file carried out."""
    try:
        plan = read(name)
    except BadFile as bad:
        return refuse(str(bad), 2, as_json=as_json)
    told = answer(config, {"op": "apply", "apply": True, "plan": plan, "reason": reason})
    return show(told, as_json, plan_text.applied)


def read(name: str) -> dict[str, Any]:
    """The document in a file, or from standard input. Raises BadFile."""
    try:
        if name == STDIO:
            text = sys.stdin.read(MAX_FILE + 1)
        else:
            with Path(name).open(encoding="utf-8") as file:
                text = file.read(MAX_FILE + 1)
    except OSError as error:
        raise BadFile(f"{name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadFile(f"{name} is no text; {ANEW}") from None
    if len(text) > MAX_FILE:
        raise BadFile(f"{name} is too large to be a plan")
    try:
        value = json.loads(text, object_pairs_hook=_each_key_once, parse_int=_whole)
        # What UTF-8 cannot carry can be asked of nobody.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.end]
        raise BadFile(f"{name} is damaged: {half!a} in it is no character; {ANEW}") from None
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{name} is damaged, or no plan: {error}; {ANEW}") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise BadFile(f"{name} is no plan: its schema is not {SCHEMA!r}; {ANEW}")
    return value


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Whoever reviews a file reads the first of two keys, and JSON means the last. Raises ValueError."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:60]!r} is said twice in one object")
    return value


def _whole(digits: str) -> int:
    """A number of a plan. Raises ValueError for one that is longer than any of them."""
    count = len(digits.lstrip("-"))
    if count > LONGEST:
        raise ValueError(f"a number in it has {count:,} digits, and none of a plan more than {LONGEST}")
    return int(digits)


def may_be_written(path: Path) -> None:
    """Only a plan is written over. Raises BadFile."""
    try:
        there, plain = path.exists() or path.is_symlink(), path.is_file() and not path.is_symlink()
        if not there and not path.parent.is_dir():
            raise BadFile(f"{path.parent} is no folder")
    except OSError as error:
        raise BadFile(f"{path} cannot be written: {error.strerror}") from None
    if not there:
        return
    ours = False
    if plain:
        with suppress(OSError, ValueError), path.open(encoding="utf-8") as file:
            begin = file.read(200)
            ours = begin.startswith(plan_text.MARK) or f'"schema": "{SCHEMA}"' in begin
    if not ours:
        raise BadFile(f"{path} is there and is no plan; it is left as it is, name another file")


def write(path: Path, text: str) -> None:
    """All of it or nothing. Raises BadFile."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:NAMED]}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BadFile(f"{path} cannot be written: {error.strerror}") from None
