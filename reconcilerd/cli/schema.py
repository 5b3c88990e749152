"""``schema``: what the JSON of each command looks like, as JSON Schema documents that ship with the program.

A document is named after its command: ``breaker reset`` is ``breaker-reset.json``; a ``list`` goes by its group. What
several share is in ``shared.json``, and every document is printed with what it needs of that.
"""

import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import click

from reconcilerd.cli import render
from reconcilerd.cli.exits import document_of
from reconcilerd.cli.options import print_json, refuse
from reconcilerd.config.nearest import nearest

SHARED: Final = "shared"
REF: Final = "#/$defs/"
ERROR: Final = "error"
"""Not a command: what every command tells that fails."""


def documents() -> list[str]:
    """The names of all documents."""
    names = (each.name.removesuffix(".json") for each in _folder().iterdir() if each.name.endswith(".json"))
    return sorted(name for name in names if name != SHARED)


def document(name: str) -> dict[str, Any]:
    """One document, whole: it refers to nothing outside. Raises FileNotFoundError."""
    said, shared = _read(name), _read(SHARED)["$defs"]
    needed: dict[str, Any] = {}
    waiting = [*_refs(said)]
    while waiting:
        each = waiting.pop()
        if each not in needed:
            needed[each] = shared[each]
            waiting += _refs(shared[each])
    return {**said, "$defs": dict(sorted(needed.items()))} if needed else said


def _folder() -> Traversable:
    return files("reconcilerd.cli") / "schemas"


def _read(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((_folder() / f"{name}.json").read_text("utf-8"))
    return value


def _refs(node: Any) -> Iterator[str]:
    """The names of the shared parts that something refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(REF)
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _refs(each)


def print_schema(words: Sequence[str], *, as_json: bool) -> int:
    """One document, or the list of all. Exit code 6 for a command that has none."""
    known = documents()
    if not words:
        return _list(known, as_json=as_json)
    wanted = document_of([part for each in words for part in each.split()])
    if wanted not in known:
        close = nearest(wanted, known)
        hint = f"; did you mean {close}?" if close is not None else "; reconcilerd schema lists all"
        return refuse(f"no JSON is described for {' '.join(words)[:80]!r}{hint}", 6, as_json=as_json)
    click.echo(json.dumps(document(wanted), indent=2))
    return 0


def _list(known: Sequence[str], *, as_json: bool) -> int:
    read = [_read(name) for name in known]
    if as_json:
        said = [
            {"document": name, "schema": each["properties"]["schema"]["const"], "about": each["title"]}
            for name, each in zip(known, read, strict=True)
        ]
        print_json({"documents": said, "exit_code": 0})
    else:
        rows = [[name, str(each["title"])] for name, each in zip(known, read, strict=True)]
        click.echo("\n".join(render.table(["document", "about"], rows, render.width(), left={0, 1})))
    return 0
