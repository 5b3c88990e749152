"""``man``: the pages of the manual, made from the parsers themselves: a command says what it is in one place only."""

import argparse
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from reconcilerd import __version__
from reconcilerd.cli.exits import EXITS
from reconcilerd.cli.reconcile_entry import parser as reconcile_parser
from reconcilerd.cli.wrapping import wrap
from reconcilerd.errors import ConfigFault

MARK: Final = r'.\" Made by "reconcilerd man". Changes are lost.'
PROGRAM: Final = "reconcilerd"
THIN: Final = "reconcile"
WIDEST: Final = 78

Term = tuple[str, str]
"""What is typed, and what it does."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page. ``name``: as the file is called; ``words``: as it is typed."""

    name: str
    words: str
    synopsis: str
    paragraphs: tuple[str, ...]
    options: tuple[Term, ...] = ()
    commands: tuple[Term, ...] = ()
    see: tuple[str, ...] = field(default=())

    @property
    def short(self) -> str:
        """What ``apropos`` finds: the first sentence."""
        first = _plain(self.paragraphs[0]) if self.paragraphs else self.words
        return re.split(r"(?<=[.;:])\s", first)[0].rstrip(".;:")


def pages(root: click.Group) -> list[Page]:
    """A page for the program, for each of its commands and groups, and for the thin ``reconcile``."""
    made = list(_of(root, click.Context(root, info_name=PROGRAM, **root.context_settings)))
    return [*made, _thin(THIN, THIN, (f"{PROGRAM}-{THIN}",))]


def _of(command: click.Command, context: click.Context) -> Iterator[Page]:
    words = context.command_path
    name = words.replace(" ", "-")
    known = command.commands if isinstance(command, click.Group) else {}
    above = (context.parent.command_path.replace(" ", "-"),) if context.parent is not None else ()
    if words == f"{PROGRAM} {THIN}":
        yield _thin(name, words, (*above, THIN))
        return
    yield Page(
        name,
        words,
        " ".join([words, *command.collect_usage_pieces(context)]),
        _paragraphs(command.help or ""),
        tuple(_options(command.get_params(context), context)),
        tuple((each, command_.get_short_help_str(200)) for each, command_ in sorted(known.items())),
        (*above, *(f"{name}-{each}" for each in sorted(known))),
    )
    for each, command_ in sorted(known.items()):
        yield from _of(command_, click.Context(command_, info_name=each, parent=context))


def _options(params: Iterable[click.Parameter], context: click.Context) -> Iterator[Term]:
    for each in params:
        record = each.get_help_record(context)
        if record is not None and record[1]:
            yield record


def _thin(name: str, words: str, see: tuple[str, ...]) -> Page:
    """The page of ``reconcile``, whose parser is argparse's."""
    made = reconcile_parser()
    usage = " ".join(made.format_usage().removeprefix("usage: ").split()).removeprefix(made.prog).strip()
    options = tuple((_typed(each), each.help or "") for each in made._actions if each.option_strings)
    return Page(name, words, f"{words} {usage}", (made.description or "",), options, (), see)


def _typed(action: argparse.Action) -> str:
    value = f" {action.metavar}" if action.metavar and action.nargs != 0 else ""
    return f"{', '.join(action.option_strings)}{value}"


def _paragraphs(text: str) -> tuple[str, ...]:
    """Of a docstring; one that begins with a backspace keeps its lines, as click has it."""
    return tuple(each for each in re.split(r"\n\s*\n", _dedented(text)) if each.strip("\b \n"))


def _dedented(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def roff(page: Page, day: str) -> str:
    """The page in the language of the manual."""
    title = _escaped(page.name.upper())
    lines = [
        MARK,
        f'.TH "{title}" "1" "{day}" "{PROGRAM} {__version__}" "User Commands"',
        ".SH NAME",
        *_text(page.short, rf"{_escaped(page.name)} \- "),
        ".SH SYNOPSIS",
        rf"\fB{_escaped(page.words)}\fR{_escaped(page.synopsis.removeprefix(page.words))}",
        ".SH DESCRIPTION",
        *_description(page.paragraphs),
        *_terms("OPTIONS", page.options),
        *_terms("COMMANDS", page.commands),
        ".SH EXIT STATUS",
        *_terms("", [_exit(each) for each in EXITS.removeprefix("exit codes: ").split(", ")]),
    ]
    if page.see:
        names = [rf"\fB{_escaped(each)}\fR(1)" for each in page.see]
        lines += [".SH SEE ALSO", *(f"{each}," for each in names[:-1]), names[-1]]
    return "\n".join(lines) + "\n"


def _exit(text: str) -> Term:
    code, _, means = text.partition(" ")
    return code, means


def _description(paragraphs: Sequence[str]) -> Iterator[str]:
    for number, each in enumerate(paragraphs):
        if number:
            yield ".PP"
        if each.startswith("\b"):
            yield ".nf"
            yield from (_no_request(_escaped(line)) for line in each.splitlines()[1:])
            yield ".fi"
        else:
            yield from _text(_plain(each))


def _terms(title: str, terms: Sequence[Term]) -> Iterator[str]:
    if not terms:
        return
    if title:
        yield f".SH {title}"
    for term, text in terms:
        yield ".TP"
        yield rf"\fB{_escaped(term)}\fR"
        yield from _text(_plain(text))


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "").split())


def _text(text: str, before: str = "") -> Iterator[str]:
    """Text as lines that the manual's tools have nothing against."""
    lines = wrap(before + _escaped(text), WIDEST, break_long_words=False)
    return map(_no_request, lines)


def _no_request(line: str) -> str:
    """A line of text, whatever it begins with."""
    return rf"\&{line}" if line[:1] in {".", "'"} else line


def _escaped(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq").replace("·", r"\(bu")


def write(root: click.Group, folder: Path) -> int:
    """Write all pages into a folder; files of ours are written over, others are refused. Raises ConfigFault."""
    stamp = os.environ.get("SOURCE_DATE_EPOCH", "")
    at = datetime.fromtimestamp(int(stamp), UTC) if stamp.isdecimal() else _today()
    made = {f"{each.name}.1": roff(each, f"{at:%Y-%m-%d}") for each in pages(root)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strange = [name for name in made if not _ours(folder / name)]
        if strange:
            raise ConfigFault(
                tuple(f"{folder / name}: is there and not made by reconcilerd man" for name in strange)
            )
        for name, text in made.items():
            (folder / name).write_text(text, "utf-8")
            click.echo(str(folder / name))
    except OSError as error:
        raise ConfigFault((f"{folder}: cannot be written: {error.strerror or error}",)) from None
    return 0


def _today() -> datetime:
    from reconcilerd.cli.wall import now

    return datetime.fromtimestamp(now() / 1000, UTC)


def _ours(path: Path) -> bool:
    return not path.exists() or path.read_text("utf-8", "replace").startswith(MARK)
