"""A long table is shown leaf by leaf, each with an address of its own."""

from dataclasses import dataclass
from typing import Final

from reconcilerd.web.sku import NotShown

ROWS: Final = 100
"""Rows of one leaf."""
UNKNOWN: Final = 6
"""Exit code of the command line for what is not there, as ``NotShown`` has it."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The ``page``-th of ``pages``, from 1; ``skip`` rows come before it, and ``size`` are on it at most."""

    page: int
    pages: int
    skip: int = 0
    size: int = ROWS


def leaf_of(page: int, total: int, size: int = ROWS) -> Leaf:
    """Where a leaf stands in so many rows. Raises NotShown for one that is not there."""
    pages = max(1, -(-total // size))
    if not 1 <= page <= pages:
        raise NotShown(f"there is no page {page}; the last one is {pages}", UNKNOWN)
    return Leaf(page, pages, (page - 1) * size, size)


def number_of(text: str, what: str = "page") -> int:
    """The page that an address names; nothing names the first. Raises NotShown."""
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotShown(f"{what} {text[:20]!r} is no number", UNKNOWN)
    return int(text)
