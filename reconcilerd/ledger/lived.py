"""How old entries are by what was lived through since, so that a clock that runs ahead makes none of them old. Pure.

The age of an entry is the sum of the steps from each entry to the next, up to now. A step in which the clock leapt
counts for little: whether it was wrong or everybody slept cannot be told from one. A clock that is ahead by a year thus
costs a small part of what is kept, once; and a ledger that slept for a year keeps what it has until as much was lived
through as it is to keep. That costs no room: what is not lived through writes nothing.

Entries go from the oldest on, and the date of one alone neither holds back all that follow it nor frees all that went
before it: most of them say how far a date reaches.
"""

from collections.abc import Callable

from reconcilerd.domain.names import Instant

PART = 64
"""A step counts for no more than such a part of the age that is asked for,"""
LEAST_MS = 3_600_000
"""or than an hour: between two entries of a daemon that runs there is less."""
PARTS = 128
"""Of more entries than that so many are asked for at once, evenly spread, and then of those between two of them."""


def reckoned(before: Instant, now: Instant, first: int, last: int, at: Callable[[int], int]) -> Instant:
    """The moment before which entries are at least as old as ``before`` is by the clock; never a later one.

    ``first`` and ``last``: numbers of the oldest entry and the newest; ``at``: when one was written. Only some of them
    are asked for: between two that lie less than a step apart, nobody leapt.
    """
    _, _, moment = _reached(before, now, first, last, at)
    return min(before, moment)


def aged(before: Instant, now: Instant, first: int, last: int, at: Callable[[int], int]) -> int:
    """The number of the last entry since which more was lived through than ``before`` is ago by the clock, whatever its
    date; one less than ``first`` where there is none.
    """
    low, high, moment = _reached(before, now, first, last, at)
    return reaches(low, high, lambda seq: at(seq) < moment)


def reaches(first: int, last: int, old: Callable[[int], bool]) -> int:
    """How far those go that are old: the number after which most are not while most up to there are.

    Where all that are old come before all others, the last of them; one less than ``first`` where none is.
    """
    low, high = first - 1, last + 1
    while high - low > 1:
        step = max(1, (high - low) // PARTS)
        balance = most = 0
        reached = low
        for seq in range(low + step, high, step):
            balance += 1 if old(seq) else -1
            if balance > most:
                most, reached = balance, seq
        low, high = reached, min(high, reached + step)
    return low


def _reached(
    before: Instant, now: Instant, first: int, last: int, at: Callable[[int], int]
) -> tuple[int, int, Instant]:
    """Between which two entries the age is reached that ``before`` has by the clock, and at which moment there."""
    left = now - before
    most = max(left // PART, LEAST_MS)
    left -= min(max(now - at(last), 0), most)
    if left <= 0:
        return last, last, before
    spans = [(first, last)]
    while spans:
        low, high = spans.pop()
        ended = at(high)
        passed = ended - at(low)
        if high - low > 1 and not 0 <= passed <= most:
            middle = (low + high) // 2
            spans += [(low, middle), (middle, high)]
            continue
        passed = min(max(passed, 0), most)
        if passed >= left:
            return low, high, Instant(ended - left)
        left -= passed
    return first, first, Instant(at(first))
