"""Which backups are kept: bounded, never the newest gone, and never more lost by asking again."""

from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant
from reconcilerd.ledger.rotation import DAY_MS, HOUR_MS, surplus

moments = st.sets(st.integers(0, 40 * DAY_MS).map(Instant), max_size=60)
hourly, daily = st.integers(0, 30), st.integers(0, 20)


@given(moments, hourly, daily)
def test_at_most_so_many_are_kept_and_the_newest_always(made: set[Instant], hours: int, days: int) -> None:
    kept = made - surplus(made, hours, days)
    assert len(kept) <= max(1, hours + days)
    assert max(made, default=None) == max(kept, default=None)


@given(moments, hourly, daily)
def test_each_of_the_last_hours_and_days_with_a_backup_keeps_its_newest(
    made: set[Instant], hours: int, days: int
) -> None:
    kept = made - surplus(made, hours, days)
    for width, count in ((HOUR_MS, hours), (DAY_MS, days)):
        for bucket in sorted({each // width for each in made})[-count:] if count else ():
            assert max(each for each in made if each // width == bucket) in kept


@given(moments, hourly, daily)
def test_what_was_kept_is_kept_when_nothing_was_added(made: set[Instant], hours: int, days: int) -> None:
    kept = made - surplus(made, hours, days)
    assert surplus(kept, hours, days) == frozenset()


@given(st.integers(0, 50), st.integers(1, 24), st.integers(0, 14))
def test_an_hour_by_hour_life_never_loses_the_last_day_of_hours(start: int, hours: int, days: int) -> None:
    there: set[Instant] = set()
    for hour in range(start, start + 80):
        there.add(Instant(hour * HOUR_MS + 5))
        there -= surplus(there, hours, days)
    assert {each // HOUR_MS for each in there} >= set(range(start + 80 - hours, start + 80))
