"""Freeze windows of the configuration to what is closed at a moment, and when jobs are due. Alone knows cron and zones.

A window of cron begins at a time of the local clock and lasts as long as really passes: eight hours are eight hours
in the night the clock changes. A begin that the clock jumps over comes at the jump; of an hour that comes twice, the
first counts for a start and the second for an end, so that a window rather covers too much. Starts and ends that are
dates are taken likewise: one that the clock jumps over is the jump itself.
"""

from collections.abc import Sequence
from datetime import MINYEAR, UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from reconcilerd.config.settings import FreezeSection
from reconcilerd.domain.change import Closed
from reconcilerd.domain.names import Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_BEFORE_A_CHANGE = timedelta(hours=3)
_TO_THE_SECOND = timedelta(seconds=1)
_LOOK_MS = 1_000
"""What is closed is worked out anew this often."""


class Calendar:
    """What is closed when. Remembers the last answer for a second: it is asked before every write."""

    def __init__(self, windows: Sequence[FreezeSection]) -> None:
        self._windows = tuple(windows)
        self._turn = -1
        self._last: tuple[Closed, ...] = ()

    def at(self, now: Instant) -> tuple[Closed, ...]:
        """Every window that is open at a moment, one for each channel it names."""
        if not self._windows:
            return ()
        turn = now // _LOOK_MS
        if turn != self._turn:
            moment = _EPOCH + timedelta(milliseconds=turn * _LOOK_MS)
            self._turn, self._last = turn, self._at(moment)
        return self._last

    def _at(self, moment: datetime) -> tuple[Closed, ...]:
        return tuple(
            Closed(channel, frozenset(window.allow))
            for window in self._windows
            if covers(window, moment)
            for channel in (window.channels or [""])
        )


def next_of(cron: str, timezone: str, moment: Instant) -> Instant:
    """When a cron expression comes true next after a moment, by the clock of a zone; in an hour that comes twice, once.

    Raises StopIteration: never.
    """
    after = _EPOCH + timedelta(milliseconds=moment)
    begins = CronSim(cron, after.astimezone(ZoneInfo(timezone)))
    # Asked in the second of two equal hours, cron begins with what was due in the first.
    return Instant((next(each for each in begins if each > after) - _EPOCH) // timedelta(milliseconds=1))


def covers(window: FreezeSection, moment: datetime) -> bool:
    """Whether a window is open at an aware moment."""
    zone = ZoneInfo(window.timezone)
    if window.cron is not None and window.duration_s is not None:
        earliest = moment - timedelta(seconds=window.duration_s)
        # Asked within an hour that comes twice, cron would begin in the second of them once more.
        for begin in CronSim(window.cron, (earliest - _BEFORE_A_CHANGE).astimezone(zone)):
            if begin > earliest:
                # The first begin after that one is the last that can still be open.
                return begin <= moment
        return False
    if window.start is None or window.end is None:
        return False
    start, end = (_read_off(each, zone, fold) for fold, each in enumerate((window.start, window.end)))
    return start <= moment < end


def _read_off(local: datetime, zone: ZoneInfo, fold: int) -> datetime:
    """The moment (UTC) at which the clock of a zone shows a time, or jumps over it; ``fold`` 1: the second of two."""
    try:
        moment = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    except OverflowError:
        # On the first day or the last that there is, which people write for ever.
        return _EVER[0] if local.year == MINYEAR else _EVER[1]
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    # Taken by the offset of after the jump, such a time lies before it; by that of before, after it.
    before, after = (local.replace(tzinfo=zone, fold=each).astimezone(UTC) for each in (1, 0))
    offset = before.astimezone(zone).utcoffset()
    while after - before > _TO_THE_SECOND:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
