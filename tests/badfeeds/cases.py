"""Which cases there are, and which of them no rule catches yet, with the reason."""

from collections.abc import Iterator, Mapping

from tests.badfeeds.feeds import CORPUS, Feed
from tests.badfeeds.world import Case

KNOWN: Mapping[tuple[Feed, str], str] = {}
"""Feeds that still do harm, and why."""


def cases(*, sizes: tuple[int, ...] = (3, 30)) -> Iterator[Case]:
    """Everything against everything: feed, badness, how long, how many SKUs, kind of pool."""
    for feed in Feed:
        for bad in CORPUS:
            for long in (False, True):
                for skus in sizes:
                    for split in (True, False):
                        yield Case(feed, bad, long, skus, split)


def why_not(case: Case) -> str:
    """Why this case is known to fail, if it is."""
    return KNOWN.get((case.feed, case.bad.name), "")
