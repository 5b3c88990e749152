"""Which backups are kept. Pure: knows moments, no files."""

from collections.abc import Collection

from reconcilerd.domain.names import Instant

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def surplus(made: Collection[Instant], hourly: int, daily: int) -> frozenset[Instant]:
    """Those of some backups that are not kept.

    Kept are the newest of each of the last ``hourly`` hours (UTC) in which there was one, and of each of the last
    ``daily`` such days; the newest of all always is.
    """
    kept = set(sorted(made)[-1:])
    for width, count in ((HOUR_MS, hourly), (DAY_MS, daily)):
        newest: dict[int, Instant] = {}
        for each in sorted(made):
            newest[each // width] = each
        kept.update(newest[bucket] for bucket in sorted(newest, reverse=True)[:count])
    return frozenset(made) - kept
