"""Which backups are kept: bounded, never the newest gone, never more lost by asking again, none for a wrong clock's."""

from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant
from reconcilerd.ledger.rotation import DAY_MS, HOUR_MS, surplus

LATE = Instant(41 * DAY_MS)
moments = st.sets(st.integers(0, 40 * DAY_MS).map(Instant), max_size=60)
hourly, daily = st.integers(0, 30), st.integers(0, 20)
nows = st.integers(0, 41 * DAY_MS).map(Instant)


@given(moments, hourly, daily, nows)
def test_at_most_so_many_are_kept_and_the_newest_always(
    made: set[Instant], hours: int, days: int, now: Instant
) -> None:
    kept = made - surplus(made, hours, days, now)
    assert len(kept) <= max(1, hours + days)
    past = {each for each in made if each <= now}
    assert max(past or made, default=LATE) in (kept or {LATE})


@given(moments, hourly, daily)
def test_each_of_the_last_hours_and_days_with_a_backup_keeps_its_newest(
    made: set[Instant], hours: int, days: int
) -> None:
    kept = made - surplus(made, hours, days, LATE)
    for width, count in ((HOUR_MS, hours), (DAY_MS, days)):
        for bucket in sorted({each // width for each in made})[-count:] if count else ():
            assert max(each for each in made if each // width == bucket) in kept


@given(moments, hourly, daily, nows)
def test_what_was_kept_is_kept_when_nothing_was_added(
    made: set[Instant], hours: int, days: int, now: Instant
) -> None:
    kept = made - surplus(made, hours, days, now)
    assert surplus(kept, hours, days, now) == frozenset()


@given(st.integers(0, 50), st.integers(1, 24), st.integers(0, 14))
def test_an_hour_by_hour_life_never_loses_the_last_day_of_hours(start: int, hours: int, days: int) -> None:
    there: set[Instant] = set()
    for hour in range(start, start + 80):
        there.add(Instant(hour * HOUR_MS + 5))
        there -= surplus(there, hours, days, max(there))
    assert {each // HOUR_MS for each in there} >= set(range(start + 80 - hours, start + 80))


@given(moments, hourly, daily, nows)
def test_what_a_clock_that_was_ahead_made_costs_no_other_its_place(
    made: set[Instant], hours: int, days: int, now: Instant
) -> None:
    past = {each for each in made if each <= now}
    assert surplus(made, hours, days, now) & past == surplus(past, hours, days, now)


def test_what_a_clock_that_was_ahead_made_goes_as_others_come() -> None:
    """An hourly life, thirty hours of it a year ahead, then days by the right clock: each hour of the last is there."""
    there: set[Instant] = set()
    counts = list[int]()
    for hour in range(24 * 20):
        wrong = 24 * 15 <= hour < 24 * 15 + 30
        now = Instant(hour * HOUR_MS + wrong * 365 * DAY_MS)
        there = {*there, now}
        there -= surplus(there, 24, 14, now)
        assert len(there) <= 24 + 14
        counts.append(sum(each > 300 * DAY_MS for each in there))
    last = {24 * 20 - 1 - each for each in range(24)}
    assert {each // HOUR_MS for each in there} >= last
    falling = counts[24 * 15 + 30 :]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 8, "they had no other's place, and need not go at once"
    assert falling[-1] == 0
