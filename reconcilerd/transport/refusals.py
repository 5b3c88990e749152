"""What an answer that is no success says to do next: by its status alone, for every system alike.

Nothing here knows of lanes, tokens or tries. A refusal of a whole call says nothing of what it holds: only an answer
that speaks of a line refuses that line.
"""

from typing import Final

from reconcilerd.errors import Denied, ReconcilerdError, Refused, TryLater

NOT_LET_IN: Final = frozenset({423, 425, 429, 430})
"""Locked, too early, too often, fended off: nothing of the call was begun."""
SLOW: Final = 408
"""Somebody on the way waited too long. Not all who say so can tell whether the call had come through."""
NOBODY_HERE: Final = frozenset({404, 405, 406, 407, 410, 421, 426, 451})
"""No word on what was sent: a proxy, another server, a version that is no more."""


class TurnedAway(TryLater):
    """No try of a call was let in, so that none had an effect. ``tries``: how many there were."""

    def __init__(self, message: str, *, tries: int = 1, after_ms: int | None = None) -> None:
        super().__init__(message, after_ms=after_ms)
        self.tries = tries


class NotThere(Refused):
    """What was called is not there, or no longer: whatever it had been sent, it would have answered so."""


def comes_later(status: int) -> bool:
    """Whether the same call may work later, if it is no limit that was met."""
    return status >= 500 or status == SLOW or status in NOT_LET_IN


def error_of(status: int, where: str, excerpt: str, told_ms: int | None) -> ReconcilerdError:
    """What the caller does next. ``told_ms``: when it may ask again, if the other side said."""
    if comes_later(status):
        return TryLater(f"{where} answered {status}: {excerpt}", after_ms=told_ms)
    if status == 402:
        return Denied(f"{where} answered 402: the account is frozen, or not paid for. {excerpt}")
    if status in {401, 403}:
        return Denied(f"{where} answered {status}: credentials refused or lacking a permission. {excerpt}")
    if 300 <= status < 400:
        return NotThere(f"{where} redirects ({status}), and redirects are not followed; correct the base URL")
    kind = NotThere if status in NOBODY_HERE else Refused
    return kind(f"{where} answered {status}: {excerpt}")
