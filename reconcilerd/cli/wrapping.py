"""Text within the columns of a terminal."""

import re
import textwrap
from collections.abc import Iterator
from typing import Final

MARK: Final = re.compile(r"(?:\*|[0-9]+\.) ")
"""How an item of a list begins."""
NARROW: Final = 30
"""A column in which hardly a few words stand beside each other."""


def wrap(
    text: str,
    columns: int,
    *,
    initial_indent: str = "",
    subsequent_indent: str = "",
    break_long_words: bool = True,
) -> list[str]:
    """Lines of at most so many columns, broken between words alone.

    A name with hyphens is one word: whoever copies half of ``tug-of-war:shop-uk`` from a terminal names nothing.
    """
    return textwrap.wrap(
        text,
        columns,
        initial_indent=initial_indent,
        subsequent_indent=subsequent_indent,
        break_long_words=break_long_words,
        break_on_hyphens=False,
    )


def several(count: int, name: str) -> str:
    """``1 channel``, ``2 channels``."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def fitted(text: str, columns: int | None, *, indent: str = "", further: str | None = None) -> list[str]:
    """A line as it fits a terminal of so many columns, each word whole; as it is where there is none (None).

    ``further``: how far in what follows its first line is.
    """
    if columns is None:
        return [f"{indent}{text}"]
    return wrap(
        text,
        columns,
        initial_indent=indent,
        subsequent_indent=f"{indent}  " if further is None else further,
        break_long_words=False,
    ) or [indent.rstrip()]


def all_fitted(text: str, columns: int | None) -> list[str]:
    """Several lines as they fit, each as far in as it was."""
    lines = []
    for line in text.splitlines():
        bare = line.lstrip()
        lines += fitted(bare, columns, indent=line[: len(line) - len(bare)])
    return lines


def beside(label: str, text: str, columns: int | None, size: int) -> list[str]:
    """A label, and what is said of it in a second column that begins ``size`` in; below it where that is too narrow."""
    if columns is None:
        return [f"{label:<{size}}{text}"]
    if columns - size < NARROW:
        return [label, *fitted(text, columns, indent="  ", further="  ")]
    return fitted(text, columns, indent=f"{label:<{size}}", further=" " * size)


def reflowed(text: str, columns: int | None) -> str:
    """A page of headings, paragraphs, lists and commands, which are set in, as it fits a terminal.

    As it is where nothing in it is too wide.
    """
    if columns is None or max(map(len, text.splitlines()), default=0) <= columns:
        return text
    return "\n\n".join("\n".join(_reflowed(part, columns)) for part in text.split("\n\n"))


def _reflowed(part: str, columns: int) -> Iterator[str]:
    if part.startswith(("#", "    ")):
        for line in part.splitlines():
            command = line.lstrip()
            yield from fitted(command, columns, indent=" " * (len(line) - len(command)))
        return
    for item in re.split(rf"\n(?={MARK.pattern})", part):
        mark = MARK.match(item)
        yield from fitted(" ".join(item.split()), columns, further=" " * len(mark[0] if mark else ""))
