"""Freeze windows: what is closed when, over both changes of daylight saving, and what a configuration may not say."""

import tomllib
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.config.calendar import Calendar, covers, next_of
from reconcilerd.config.load import parse
from reconcilerd.config.settings import FreezeSection
from reconcilerd.domain.change import Closed
from reconcilerd.domain.names import Instant, format_instant, instant_of
from reconcilerd.errors import ConfigFault

ROOT = Path(__file__).parents[2]


def nightly(zone: str, cron: str = "30 1 * * *", hours: float = 2) -> FreezeSection:
    return FreezeSection(cron=cron, duration_s=hours * 3600.0, timezone=zone)


def opened(window: FreezeSection, day: str, hours: int = 12) -> tuple[str, str]:
    """When a window is first open, and first closed again, from a UTC midnight on (to the minute, UTC)."""
    at = datetime.fromisoformat(f"{day}T00:00+00:00")
    open_ = [m for m in range(hours * 60) if covers(window, at + timedelta(minutes=m))]
    assert open_ == list(range(open_[0], open_[-1] + 1)), "in one piece"
    ends = (at + timedelta(minutes=each) for each in (open_[0], open_[-1] + 1))
    first, last = (f"{each:%H:%M}" for each in ends)
    return first, last


@pytest.mark.parametrize(
    ("zone", "day", "begins", "ends"),
    [
        ("Europe/London", "2026-01-10", "01:30", "03:30"),
        ("Europe/London", "2026-07-10", "00:30", "02:30"),
        ("Europe/London", "2026-03-29", "01:00", "03:00"),  # 01:30 does not exist: it begins at the jump
        ("Europe/London", "2026-10-25", "00:30", "02:30"),  # 01:30 comes twice: it begins once, for two hours
        ("America/New_York", "2026-01-10", "06:30", "08:30"),
        ("America/New_York", "2026-03-08", "06:30", "08:30"),
        ("America/New_York", "2026-11-01", "05:30", "07:30"),
    ],
)
def test_a_nightly_freeze_lasts_as_long_as_really_passes(zone: str, day: str, begins: str, ends: str) -> None:
    assert opened(nightly(zone), day) == (begins, ends)


def test_half_past_two_in_new_york_is_jumped_over_in_march() -> None:
    assert opened(nightly("America/New_York", "30 2 * * *"), "2026-03-08") == ("07:00", "09:00")


def once(zone: str, start: str, end: str, **more: Any) -> FreezeSection:
    return FreezeSection(
        start=datetime.fromisoformat(start), end=datetime.fromisoformat(end), timezone=zone, **more
    )


@pytest.mark.parametrize(
    ("zone", "start", "end", "begins", "ends"),
    [
        ("Europe/London", "2026-10-25T01:15", "2026-10-25T01:45", "00:15", "01:45"),  # covers both of them
        ("Europe/London", "2026-03-29T00:30", "2026-03-29T03:00", "00:30", "02:00"),
        ("America/New_York", "2026-11-01T01:15", "2026-11-01T01:45", "05:15", "06:45"),
        # The clock jumps from 01:00 to 02:00, at 01:00 UTC.
        ("Europe/London", "2026-03-29T01:30", "2026-03-29T03:00", "01:00", "02:00"),
        ("Europe/London", "2026-03-29T00:30", "2026-03-29T01:30", "00:30", "01:00"),
        ("Europe/London", "2026-03-29T01:00", "2026-03-29T02:01", "01:00", "01:01"),
        ("America/New_York", "2026-03-08T01:30", "2026-03-08T02:59:59.5", "06:30", "07:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:20", "2026-10-04T04:00", "15:30", "17:00"),  # by half an hour
    ],
)
def test_dates_are_read_off_the_local_clock(zone: str, start: str, end: str, begins: str, ends: str) -> None:
    # Where it is tomorrow already, the UTC day began the evening before.
    day = str(date.fromisoformat(start[:10]) - timedelta(days=zone.startswith("Australia")))
    assert opened(once(zone, start, end), day, 24) == (begins, ends)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC"])
def test_a_window_may_be_open_for_ever(zone: str) -> None:
    window = once(zone, "0001-01-01T00:00", "9999-12-31T23:59:59")
    assert covers(window, datetime(2026, 6, 1, tzinfo=UTC))


def test_a_window_that_lies_whole_within_what_the_clock_jumps_over_is_never_open() -> None:
    window = once("Europe/London", "2026-03-29T01:05", "2026-03-29T01:55")
    midnight = datetime(2026, 3, 29, tzinfo=UTC)
    assert not any(covers(window, midnight + timedelta(minutes=each)) for each in range(180))


@pytest.mark.parametrize(
    ("zone", "jump", "minutes"),
    [
        ("Europe/London", "2026-03-29T01:00", 15),
        ("America/New_York", "2026-03-08T07:00", 15),
        ("Australia/Lord_Howe", "2026-10-03T15:30", 10),
        ("Pacific/Apia", "2011-12-30T10:00", 360),
    ],
)
def test_over_a_jump_of_the_clock_a_window_is_open_while_the_clock_shows_a_time_within_it(
    zone: str, jump: str, minutes: int
) -> None:
    """Half an hour is jumped over, an hour, or a day; where no time comes twice, the clock alone says it."""
    at, step = datetime.fromisoformat(f"{jump}+00:00"), timedelta(minutes=minutes)
    last = (at - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None) + timedelta(seconds=1)
    for first, end in combinations([last + number * step for number in range(-4, 9)], 2):
        window = FreezeSection(start=first, end=end, timezone=zone)
        for moment in (at + number * step for number in range(-6, 7)):
            shown = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            assert covers(window, moment) is (first <= shown < end)


def test_windows_that_overlap_are_all_told() -> None:
    calendar = Calendar(
        [
            once(
                "UTC",
                "2026-11-27T00:00",
                "2026-11-28T00:00",
                channels=["shop-uk", "shop-eu"],
                allow=["lowers"],
            ),
            once("UTC", "2026-11-27T12:00", "2026-11-27T13:00", allow=[]),
        ]
    )
    lowers = frozenset({"lowers"})
    morning, noon = (instant_of(datetime(2026, 11, 27, hour, 30, tzinfo=UTC)) for hour in (9, 12))
    both = (Closed("shop-uk", lowers), Closed("shop-eu", lowers))
    assert calendar.at(morning) == both
    assert calendar.at(noon) == (*both, Closed("", frozenset()))
    assert calendar.at(instant_of(datetime(2026, 11, 28, tzinfo=UTC))) == ()


@given(
    st.sampled_from(["Europe/London", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.integers(0, 365 * 24 * 60),
    st.integers(1, 20 * 60),
)
def test_a_window_is_open_exactly_for_its_duration_after_each_begin(
    zone: str, minute: int, minutes: int
) -> None:
    """Seen from any moment: open if and only if some begin lies no longer back than it lasts."""
    window = nightly(zone, "15 3 * * *", minutes / 60)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    local = at.astimezone(ZoneInfo(zone))
    begins = []
    for day in (local - timedelta(days=2), local - timedelta(days=1), local, local + timedelta(days=1)):
        begin = day.replace(hour=3, minute=15, second=0, microsecond=0, tzinfo=ZoneInfo(zone), fold=0)
        begins.append(begin.astimezone(UTC))
    # 03:15 exists once on every day of these zones.
    assert covers(window, at) is any(b <= at < b + timedelta(minutes=minutes) for b in begins)


def faults(**freeze: Any) -> list[str]:
    content = tomllib.loads((ROOT / "config.toml").read_text("utf-8"))
    content["freeze"] = [{"timezone": "Europe/London", **freeze}]
    with pytest.raises(ConfigFault) as caught:
        parse(content, "config.toml")
    return list(caught.value.faults)


NIGHT = {"cron": "0 22 * * *", "duration_s": 3600.0}
DAY = datetime(2026, 11, 27)  # noqa: DTZ001 - a local time, as TOML has it


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        ({**NIGHT, "timezone": "Europe/Londn"}, "freeze[0].timezone: no time zone is called so"),
        ({**NIGHT, "cron": "0 22 * *"}, "freeze[0].cron: is not a cron expression"),
        (
            {"start": "2026-11-27T00:00:00", "end": "2026-11-28T00:00:00"},
            "(got '2026-11-27T00:00:00'); write a time without quotes",
        ),
        ({**NIGHT, "cron": "0 0 22 * * FRI"}, "freeze[0].cron: is not a cron expression: write five fields"),
        ({**NIGHT, "cron": "@daily"}, "freeze[0].cron: is not a cron expression: write five fields"),
        ({**NIGHT, "cron": "61 22 * * *"}, "freeze[0].cron: is not a cron expression: Bad minute"),
        ({**NIGHT, "cron": "0 0 30 2 *"}, "freeze[0].cron: is not a cron expression"),
        ({"cron": "0 22 * * *"}, "freeze[0]: either cron and duration_s, or start and end"),
        ({**NIGHT, "start": DAY, "end": DAY}, "freeze[0]: either cron and duration_s, or start and end"),
        ({}, "freeze[0]: either cron and duration_s, or start and end"),
        ({"start": DAY, "end": DAY}, "freeze[0].end: 2026-11-27 00:00:00 is not after start"),
        ({"start": DAY.replace(tzinfo=UTC), "end": DAY + timedelta(1)}, "freeze[0].start: without a zone"),
        ({**NIGHT, "channels": ["shop-uz"]}, "freeze[0].channels: no channel 'shop-uz'; did you mean"),
        ({**NIGHT, "allow": ["raises"]}, "freeze[0].allow[0]: input should be 'lowers' or 'cures'"),
    ],
)
def test_a_freeze_that_says_no_window_is_refused(freeze: dict[str, Any], said: str) -> None:
    assert any(said in fault for fault in faults(**freeze)), faults(**freeze)


def test_a_sentinel_of_a_feed_that_is_not_read_is_refused() -> None:
    content = tomllib.loads((ROOT / "config.toml").read_text("utf-8"))
    content["sentinels"] = [
        {"feed": "extensiv.stok", "sku": "S"},
        {"feed": "extensiv.stock", "sku": "S", "at_least": 9, "at_most": 8},
    ]
    with pytest.raises(ConfigFault) as caught:
        parse(content, "config.toml")
    told = "\n".join(caught.value.faults)
    assert (
        "sentinels[0].feed: no feed 'extensiv.stok' is watched for this; did you mean 'extensiv.stock'?"
        in told
    )
    assert "sentinels[1].at_least: 9 is above at_most (8)" in told


@pytest.mark.parametrize(
    ("zone", "days", "utc"),
    [
        ("Europe/London", ("2026-03-28", "2026-03-29", "2026-03-30"), ("01:30", "01:00", "00:30")),
        ("Europe/London", ("2026-10-24", "2026-10-25", "2026-10-26"), ("00:30", "00:30", "01:30")),
        ("America/New_York", ("2026-10-31", "2026-11-01", "2026-11-02"), ("05:30", "05:30", "06:30")),
    ],
)
def test_a_daily_job_is_due_once_a_day_over_both_changes(
    zone: str, days: tuple[str, ...], utc: tuple[str, ...]
) -> None:
    at, found = instant_of(datetime.fromisoformat(f"{days[0]}T00:00+00:00")), []
    for _ in days:
        at = next_of("30 1 * * *", zone, at)
        found.append(format_instant(at)[:16])
        # A job asks again when it has ended: some seconds later, or within the hour that comes a second time.
        asked = {next_of("30 1 * * *", zone, Instant(at + ms)) for ms in (9_000, 2_100_000, 3_609_000)}
        assert len(asked) == 1
    assert found == [f"{day}T{time}" for day, time in zip(days, utc, strict=True)]


@given(st.integers(0, 4_000_000_000_000), st.sampled_from(["0 * * * *", "30 4 * * *", "*/7 * * * MON"]))
def test_what_is_due_next_is_later_and_nothing_is_due_between(at: int, cron: str) -> None:
    due = next_of(cron, "Europe/London", Instant(at))
    assert due > at
    assert next_of(cron, "Europe/London", Instant((at + due) // 2)) == due
    assert due % 60_000 == 0


def scheduled(alerts: dict[str, Any], **schedule: Any) -> list[str]:
    content = tomllib.loads((ROOT / "config.toml").read_text("utf-8"))
    content["schedule"], content["alerts"] = schedule, alerts
    try:
        parse(content, "config.toml")
    except ConfigFault as caught:
        return list(caught.faults)
    return []


def test_a_schedule_that_says_none_is_refused_and_nobody_gets_a_digest_by_chance() -> None:
    assert scheduled({}) == []
    assert scheduled({}, audit="30 4 * * *", backup="0 * * * *", timezone="Europe/London") == []
    assert scheduled({"slack_webhook": "hook"}, digest="0 8 * * *") == []
    for alerts in ({}, {"slack_webhook": "hook", "digest_to": ["mail"]}, {"pagerduty_routing_key": "key"}):
        [fault] = scheduled(alerts, digest="0 8 * * *")
        assert fault.startswith("config.toml: schedule.digest: nobody gets it"), fault
    assert any("schedule.backup: is not a cron expression" in each for each in scheduled({}, backup="hourly"))
    assert any("schedule.timezone" in each for each in scheduled({}, timezone="Mars"))
    assert any("schedule.audits" in each for each in scheduled({}, audits="0 1 * * *"))
