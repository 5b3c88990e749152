"""What is kept of the readings before a suspicion, and for how long."""

from dataclasses import replace

from reconcilerd.domain.facts import RailLatched, ReadingKept
from reconcilerd.domain.feeds import STOCK_FEED
from reconcilerd.domain.latches import ALL_CHANGED, SENTINEL, SHRINKING, Latches, latch_name
from reconcilerd.domain.names import Instant

ROW = "x@A"


def latched(rail: str, at: int, *, on: bool = True) -> RailLatched:
    return RailLatched(latch_name(rail, STOCK_FEED), on, "reconcilerd", "odd", Instant(at))


def kept(value: int, at: int) -> ReadingKept:
    return ReadingKept(STOCK_FEED, ROW, value, Instant(at), 0)


def test_what_a_row_said_before_is_kept_until_the_last_suspicion_of_its_feed_ends() -> None:
    latches = Latches()
    latches.note(STOCK_FEED, ROW, (50, 1), Instant(1))
    latches.take(latched(ALL_CHANGED, 1))
    latches.take(latched(SHRINKING, 2))
    latches.take(latched(ALL_CHANGED, 3, on=False))
    assert latches.said_before(STOCK_FEED, ROW) == (50, 1)
    latches.sound(STOCK_FEED)
    assert latches.said_before(STOCK_FEED, ROW) == (50, 1), "a reading under suspicion proves nothing"
    latches.take(latched(SHRINKING, 4, on=False))
    assert latches.said_before(STOCK_FEED, ROW) is None


def test_the_oldest_that_was_kept_of_a_row_is_what_it_said_before() -> None:
    latches = Latches()
    assert latches.note(STOCK_FEED, ROW, (50, 0), Instant(1))
    assert not latches.note(STOCK_FEED, ROW, (500, 0), Instant(1))
    assert latches.said_before(STOCK_FEED, ROW) == (50, 0)
    again = Latches()
    for fact in (latched(ALL_CHANGED, 1), kept(50, 2), kept(500, 3)):
        again.take(fact) if isinstance(fact, RailLatched) else again.keep(fact)
    again.loaded()
    assert again.said_before(STOCK_FEED, ROW) == (50, 0)


def test_what_was_kept_since_the_first_of_two_suspicions_outlives_a_restart() -> None:
    latches = Latches()
    latches.take(latched(ALL_CHANGED, 10))
    latches.take(latched(SENTINEL, 20))
    latches.keep(kept(50, 15))
    latches.loaded()
    assert latches.said_before(STOCK_FEED, ROW) == (50, 0)


def test_a_missing_sentinel_is_a_doubt_like_any_other() -> None:
    latches = Latches()
    latches.take(latched(SENTINEL, 1))
    assert latches.doubted(STOCK_FEED)


def test_a_suspicion_that_ended_at_the_very_moment_of_a_reading_is_not_lifted_after_it() -> None:
    latches = Latches()
    latches.take(latched(SHRINKING, 5, on=False))
    assert latches.released_since(STOCK_FEED, Instant(4))
    assert not latches.released_since(STOCK_FEED, Instant(5))


def test_a_reading_is_kept_for_the_suspicion_that_it_was_folded_under_whenever_it_was_asked_for() -> None:
    """The rows of the page that trips were asked for a moment before the latch, and may be all that there are."""
    latches = Latches()
    latches.take(latched(ALL_CHANGED, 10))
    assert latches.since(STOCK_FEED) == 10
    latches.take(latched(SENTINEL, 20))
    assert latches.since(STOCK_FEED) == 20, "it stands whichever of the two ends first"
    latches.keep(replace(kept(50, 9), under=Instant(20)))
    latches.take(latched(ALL_CHANGED, 30, on=False))
    latches.loaded()
    assert latches.said_before(STOCK_FEED, ROW) == (50, 0)
    assert latches.changed_at(STOCK_FEED, ROW) == 9


def test_what_was_kept_for_an_older_suspicion_is_not_kept_for_another() -> None:
    latches = Latches()
    latches.take(latched(ALL_CHANGED, 21))
    latches.keep(replace(kept(50, 9), under=Instant(20)))
    latches.loaded()
    assert latches.said_before(STOCK_FEED, ROW) is None
