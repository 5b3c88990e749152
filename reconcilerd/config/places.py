"""On which line of a TOML file each value stands, which the standard library's parser does not tell.

The parser itself reads every statement; only where one ends is found here, so that the two cannot disagree.
"""

import tomllib
from collections.abc import Iterator
from itertools import islice
from typing import Any

Path = tuple[str | int, ...]
"""The keys on the way to a value; of a table in a list its number."""


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that holds no further keys, with the way to it."""
    match value:
        case dict() if value:
            for key, each in value.items():
                yield from leaves(each, (*path, str(key)))
        case list() if value and all(isinstance(each, dict) for each in value):
            for number, each in enumerate(value):
                yield from leaves(each, (*path, number))
        case _:
            yield path, value


def lines_of(text: str) -> dict[Path, int]:
    """By value, the line (from 1) on which its statement begins. ``text`` is sound TOML."""
    found: dict[Path, int] = {}
    lists: dict[Path, int] = {}
    table: Path = ()
    for line, statement in _statements(text.replace("\r\n", "\n")):
        content = tomllib.loads(statement)
        if not content:
            continue
        if statement.lstrip().startswith("["):
            table = _table(content, lists)
            found[table] = line
        else:
            found |= {(*table, *path): line for path, _ in leaves(content)}
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each with its first line; one that goes on is not TOML until its end."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        end = next(end for end in _ends(lines, number) if _is_toml("\n".join(lines[number:end])))
        yield number + 1, "\n".join(lines[number:end])
        number = end


def _ends(lines: list[str], start: int) -> Iterator[int]:
    """Where a statement may end: with its first line, or where a bracket or a quote closes it."""
    yield start + 1
    # A brace closes one only by TOML 1.1, which parsers to come read.
    for number in islice(range(len(lines)), start + 1, None):
        if any(mark in lines[number] for mark in ("]", "}", '"""', "'''")):
            yield number + 1
    yield len(lines)


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _table(content: Any, lists: dict[Path, int]) -> Path:
    """The way to a table by its header; a name of a list means the last table in it."""
    path: Path = ()
    while content:
        if isinstance(content, list):
            lists[path] = lists.get(path, -1) + 1
            return (*path, lists[path])
        ((key, content),) = content.items()
        path = (*path, key)
        if path in lists and not isinstance(content, list):
            path = (*path, lists[path])
    return path
