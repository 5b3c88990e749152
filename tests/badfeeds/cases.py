"""Which cases there are, and which of them no rule catches yet, with the reason."""

from collections.abc import Iterator, Mapping

from tests.badfeeds.feeds import CORPUS, Feed
from tests.badfeeds.world import Case

_MORE_UNITS = "an open order of Extensiv is believed, however many more units it says than the channel sold"
_ZERO_AGAIN = "a channel that says zero again and again is believed in the end, and the others get its units"
_TOO_HIGH = "a channel that says too much lowers the others of a split pool, since no compare is made there"
KNOWN: Mapping[tuple[Feed, str], str] = {
    (Feed.ORDERS, "times 100"): _MORE_UNITS,
    (Feed.ORDERS, "only units times 100"): _MORE_UNITS,
    (Feed.ORDERS, "swapped columns"): _MORE_UNITS,
    (Feed.SLOTS, "all zeros"): _ZERO_AGAIN,
    (Feed.SLOTS, "below zero"): _ZERO_AGAIN,
    (Feed.SLOTS, "never counted as zero"): _ZERO_AGAIN,
    (Feed.SLOTS, "times 100"): _TOO_HIGH,
    (Feed.SLOTS, "only units times 100"): _TOO_HIGH,
    (Feed.SLOTS, "swapped columns"): _TOO_HIGH,
}
"""Feeds that still do harm, and why."""


UNTOLD: frozenset[tuple[Feed, str]] = frozenset(
    (Feed.ORDERS, name) for name in ("half a page", "empty list", "stale replica")
)
"""Feeds that nobody is told of: a list of orders that leaves some out looks like a quiet hour."""


def cases(*, sizes: tuple[int, ...] = (3, 30)) -> Iterator[Case]:
    """Everything against everything: feed, badness, how long, how many SKUs, kind of pool."""
    for feed in Feed:
        for bad in CORPUS:
            for long in (False, True):
                for skus in sizes:
                    for split in (True, False):
                        yield Case(feed, bad, long, skus, split)


def measured(case: Case) -> bool:
    """Whether what is known of a case was seen in this very one; in its kin it is expected, but not certain."""
    return case.long and case.split and case.skus == 3


def why_not(case: Case) -> str:
    """Why this case is known to fail, if it is."""
    return KNOWN.get((case.feed, case.bad.name), "")
