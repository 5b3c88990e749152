"""How old entries are by what was lived through since, so that a clock that runs ahead makes none of them old. Pure.

The age of an entry is the sum of the steps from each entry to the next, up to now. A step in which the clock leapt
counts for little: whether it was wrong or everybody slept cannot be told from one. A clock that is ahead by a year thus
costs a small part of what is kept, once; and a ledger that slept for a year keeps what it has until as much was lived
through as it is to keep. That costs no room: what is not lived through writes nothing.
"""

from collections.abc import Callable

from reconcilerd.domain.names import Instant

PART = 64
"""A step counts for no more than such a part of the age that is asked for,"""
LEAST_MS = 3_600_000
"""or than an hour: between two entries of a daemon that runs there is less."""


def reckoned(before: Instant, now: Instant, first: int, last: int, at: Callable[[int], int]) -> Instant:
    """The moment before which entries are at least as old as ``before`` is by the clock; never a later one.

    ``first`` and ``last``: numbers of the oldest entry and the newest; ``at``: when one was written. Only some of them
    are asked for: between two that lie less than a step apart, nobody leapt.
    """
    left = now - before
    most = max(left // PART, LEAST_MS)
    left -= min(max(now - at(last), 0), most)
    if left <= 0:
        return before
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
            return min(before, Instant(ended - left))
        left -= passed
    return min(before, Instant(at(first)))
