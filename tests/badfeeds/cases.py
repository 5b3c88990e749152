"""Which cases there are, and which of them no rule catches yet, with the reason."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tests.badfeeds.feeds import CORPUS, Feed
from tests.badfeeds.world import Case, Verdict

KNOWN: Mapping[tuple[Feed, str], str] = MappingProxyType({})
"""Feeds that still do harm, and why: none."""


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


def untold(case: Case, verdict: Verdict) -> bool:
    """Whether nobody was told of a feed that stayed bad, though anybody could notice."""
    return case.long and case.bad.seen and not verdict.alerts
