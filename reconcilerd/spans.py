"""How a room tells of a piece of work that has a beginning and an end, to whoever traces; nobody does by default.

Knows no tracer. What traces is built in one place and handed in.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

Value = str | int | float | bool
Kind = Literal["internal", "client"]


class Span(Protocol):
    """One piece of work under way."""

    def set(self, key: str, value: Value) -> None:
        """Say something of it. No secret: the caller redacts."""
        ...


Tracer = Callable[[str, Kind, Mapping[str, Value]], AbstractContextManager[Span]]
"""(name, kind, what is known at its begin) -> a block; an exception that leaves it is its ``error.type``."""


class _Silent:
    def set(self, key: str, value: Value) -> None: ...


_SILENT = _Silent()


@contextmanager
def no_spans(_name: str, _kind: Kind, _attributes: Mapping[str, Value]) -> Iterator[Span]:
    """Traces nothing."""
    yield _SILENT
