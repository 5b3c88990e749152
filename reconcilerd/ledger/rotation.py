"""Which backups are kept. Pure: knows moments, no files."""

from collections.abc import Collection

from reconcilerd.domain.names import Instant

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def surplus(made: Collection[Instant], hourly: int, daily: int, now: Instant) -> frozenset[Instant]:
    """Those of some backups that are not kept.

    Kept are the newest of each of the last ``hourly`` hours (UTC) in which there was one, and of each of the last
    ``daily`` such days; the newest of all always is. What is dated later than ``now`` was made by a clock that was
    ahead: it has the places that the others leave, so that none of them goes for it, and goes as they come.
    """
    past, ahead = (sorted(each for each in made if (each > now) is late) for late in (False, True))
    kept = set((past or ahead)[-1:])
    for width, count in ((HOUR_MS, hourly), (DAY_MS, daily)):
        there = _newest_of_each(past, width) + _newest_of_each(ahead, width)
        kept.update(there[:count])
    return frozenset(made) - kept


def _newest_of_each(moments: Collection[Instant], width: int) -> list[Instant]:
    """Of sorted moments, the last within each span of so many milliseconds; the newest first."""
    return [*{each // width: each for each in moments}.values()][::-1]
