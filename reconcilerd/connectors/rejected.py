"""A wire row that cannot be read is a value, not an exception: ``Rejected``, counted and shown by whoever asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

MAX_WHY: Final = 300
_UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What reading a value of the wrong shape raises; anything else is a bug and goes on."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a row cannot be read."""

    why: str


def parsed(read: Callable[[], T]) -> T | Rejected:
    """What ``read`` makes of a row, or why it cannot."""
    try:
        return read()
    except KeyError as error:
        return Rejected(f"{error.args[0] if error.args else 'a field'} is missing"[:MAX_WHY])
    except _UNREADABLE as error:
        return Rejected((str(error) or type(error).__name__)[:MAX_WHY])
