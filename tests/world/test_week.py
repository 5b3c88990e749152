"""A week of incidents, read as who is on call would: each cause wakes once, says what to do, and ends when it is over.

RECONCILERD_WEEK: the hours it goes on (24) and, after a comma, how many SKUs there are to drift; the nightly lives
through a whole week with many. ``python -m tests.world.week`` prints what Slack and PagerDuty show of it.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from reconcilerd.alerting.outbox import Pace
from reconcilerd.domain.alerts import KINDS
from reconcilerd.domain.names import Instant, after
from tests.world.week import MANY, Week, lived

HOURS, _, SKUS = os.environ.get("RECONCILERD_WEEK", "24").partition(",")
STAYS_MS = 3_600_000
"""Longer than any alert stays open once its cause is gone, but those that say so."""
DAY_MS = 24 * 3_600_000
KEY = re.compile(r"`reconcilerd/([a-z_]+)/([^`]+)`")


@pytest.fixture(scope="module")
def week() -> Week:
    return lived(float(HOURS), int(SKUS or MANY))


def spoken(week: Week) -> Iterator[tuple[Instant, str, str, str]]:
    """What Slack showed: when, the first word, the kind, the subject."""
    for at, text in week.slack.taken:
        for paragraph in re.split(r"\n(?=:)", text):
            kind, subject = KEY.findall(paragraph)[0]
            yield at, paragraph.split("[")[1].split("]")[0], kind, subject


def pages(week: Week) -> list[tuple[Instant, str, str]]:
    """What opened at PagerDuty: when, kind, subject."""
    open_: set[str] = set()
    found = []
    for at, event in week.pagerduty.taken:
        key = event["dedup_key"]
        if event["event_action"] == "trigger" and key not in open_:
            open_.add(key)
            _, _, kind, subject = key.split("/", 3)
            found.append((at, kind, subject))
        elif event["event_action"] == "resolve":
            open_.discard(key)
    return found


def test_each_cause_wakes_somebody_once_and_nothing_else_does(week: Week) -> None:
    for cause in week.causes:
        during = Counter(kind for at, kind, _ in pages(week) if cause.began <= at <= cause.ended)
        assert cause.wakes <= set(during), (cause.name, during)
        if not cause.within:
            assert max(during.values(), default=1) == 1, (cause.name, during)
    explained = [
        any(each.began <= at <= each.ended and kind in each.wakes | each.follows for each in week.causes)
        for at, kind, _ in pages(week)
    ]
    assert all(explained), [page for page, known in zip(pages(week), explained, strict=True) if not known]


def test_what_slack_shows_has_a_cause_as_well(week: Week) -> None:
    for at, word, kind, subject in spoken(week):
        if word in {"CRITICAL", "ERROR", "WARNING"}:
            causes = [
                each.name
                for each in week.causes
                if each.began <= at <= after(each.ended, STAYS_MS)
                and kind in each.wakes | each.follows | each.tells
            ]
            assert causes, (at, word, kind, subject)


def test_severities_are_those_that_the_cause_deserves(week: Week) -> None:
    severities = {kind: word for _, word, kind, _ in spoken(week) if word in {"CRITICAL", "ERROR", "WARNING"}}
    assert {kind: word.lower() for kind, word in severities.items()} == {
        kind: KINDS[kind].severity for kind in severities
    }
    assert severities.keys() >= {
        "stale_source",
        "channel_errors",
        "credentials_refused",
        "unmapped_sku",
        "tug_of_war",
        "exposure",
        "unresolved_drift",
        "storage",
        "rail_tripped",
    }


def test_nothing_is_told_twice_and_all_that_is_over_is_called_so(week: Week) -> None:
    stands: dict[tuple[str, str], str] = {}
    for _, word, kind, subject in spoken(week):
        before = stands.get((kind, subject), "RESOLVED")
        begins = word in {"CRITICAL", "ERROR", "WARNING"}
        assert begins is (before == "RESOLVED") or word == "RESOLVED", (kind, subject, before, word)
        stands[kind, subject] = word
    open_ = {key.split("/", 2)[1] for key in week.engine.firing}
    assert {kind for (kind, _), word in stands.items() if word != "RESOLVED"} == open_
    assert open_ <= {"unmapped_sku", "tug_of_war"}, (
        "they end a day after the last sale, and hours after the last change"
    )
    assert week.pagerduty.open == {}, "open pages equal open critical alerts: none"


def test_no_group_is_spoken_of_more_often_than_its_interval(week: Week) -> None:
    when: dict[str, list[Instant]] = {}
    for at, _, kind, _ in spoken(week):
        when.setdefault(kind, []).append(at)
    for kind, all_of in when.items():
        times = sorted(set(all_of))
        assert min((b - a for a, b in pairwise(times)), default=Pace().interval_ms) >= Pace().interval_ms, (
            kind
        )


def test_every_page_says_what_to_do_next(week: Week) -> None:
    for _, event in week.pagerduty.taken:
        if event["event_action"] == "trigger":
            details = event["payload"]["custom_details"]
            assert details["do"], event
            assert details["runbook"].startswith("reconcilerd runbook ")
    for _, text in week.slack.taken:
        for paragraph in re.split(r"\n(?=:)", text):
            assert "[RESOLVED]" in paragraph or "\ndo: `" in paragraph, paragraph


def test_the_receiver_that_was_down_is_reported_to_the_other_one(week: Week) -> None:
    down = next(each for each in week.causes if each.name == "Slack is down")
    told = [at for at, kind, subject in pages(week) if (kind, subject) == ("alert_delivery_failing", "slack")]
    assert len(told) == 1
    assert down.began < told[0] < down.ended
    heard = {kind for at, word, kind, _ in spoken(week) if at >= down.ended and word == "RESOLVED"}
    assert {"stale_source", "channel_errors"} <= heard, (
        "what began and ended meanwhile is told once Slack is back"
    )
