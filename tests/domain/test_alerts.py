"""An alert's life: each time it is there is an episode of its own, told if it lasted, over when it stayed away."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.alerts import (
    KINDS,
    NEXT,
    SEVERITIES,
    AlertKind,
    Episode,
    aged,
    alert_key,
    as_bad,
    begun,
    ended,
    kind_named,
    muted_by,
    silenced_by,
    system_of,
    turns_at,
)
from reconcilerd.domain.facts import AlertStage, SilenceSet
from reconcilerd.domain.names import Instant

LONGEST_MS = 40 * 60_000
kinds = st.sampled_from(["bug", "exposure", "channel_errors", "reload_failed", "rate_limited", "of no kind"])


def opened(kind: str, subject: str = "x", at: int = 0) -> Episode:
    episode = begun(None, alert_key(kind, subject), "error", "text", [("do", "look")], Instant(at))
    return aged(episode, Instant(at + kind_named(kind).for_ms))


@given(kinds, st.lists(st.tuples(st.booleans(), st.integers(1, LONGEST_MS)), max_size=20))
def test_an_episode_fires_once_its_cause_lasted_and_ends_once_it_stayed_away(
    name: str, script: list[tuple[bool, int]]
) -> None:
    kind, now = kind_named(name), Instant(0)
    episode: Episode | None = None
    there_since = gone_since = Instant(0)
    was = False
    for there, ms in script:
        if there and not was:
            there_since = now
        if was and not there:
            gone_since = now
        was = there
        if there:
            episode = begun(episode, alert_key(name, "x"), "error", "text", (), now)
        elif episode is not None:
            episode = ended(episode, now)
        now = Instant(now + ms)
        if episode is None:
            continue
        episode = aged(episode, now)
        if there:
            again = episode.told_by
            assert episode.firing is (again or now - there_since >= kind.for_ms)
        elif episode.told_by:
            assert episode.over is (now - gone_since >= kind.keep_ms)
        else:
            assert episode.stage is AlertStage.PASSED
        due = turns_at(episode)
        assert due is None or due > now


def test_a_new_episode_has_the_next_number_and_one_that_comes_back_in_time_is_the_same() -> None:
    first = opened("exposure")
    kept = ended(first, Instant(1_000))
    assert (kept.stage, kept.number) == (AlertStage.KEEPING, 1)
    back = begun(kept, kept.key, "critical", "worse", (), Instant(2_000))
    assert (back.stage, back.number, back.severity, back.summary) == (
        AlertStage.FIRING,
        1,
        "critical",
        "worse",
    )
    over = aged(ended(back, Instant(3_000)), Instant(3_000 + KINDS["exposure"].keep_ms))
    assert (over.stage, ended(over, Instant(10**6))) == (AlertStage.RESOLVED, over)
    assert begun(over, over.key, "error", "again", (), Instant(10**7)).number == 2


def test_a_cause_that_went_before_its_time_was_told_to_nobody() -> None:
    kind = next(name for name in sorted(KINDS) if KINDS[name].for_ms)
    pending = begun(None, alert_key(kind, "x"), "error", "text", (), Instant(0))
    passed = ended(pending, Instant(1))
    assert (pending.stage, passed.stage, passed.told_by) == (AlertStage.PENDING, AlertStage.PASSED, False)


def test_no_stage_is_left_out_and_none_follows_but_as_the_table_says() -> None:
    assert set(NEXT) == set(AlertStage)
    episode = opened("bug")
    with pytest.raises(ValueError, match="pending does not follow firing"):
        episode.enters(AlertStage.PENDING, Instant(1))


def test_what_an_alert_is_about_is_in_its_key() -> None:
    episode = opened("stale_source", "shop-a/b.slots")
    assert (episode.kind, episode.subject, episode.key) == (
        "stale_source",
        "shop-a/b.slots",
        "reconcilerd/stale_source/shop-a/b.slots",
    )
    assert kind_named("of no kind") == AlertKind("error", "of no kind")


@pytest.mark.parametrize(
    ("subject", "system"),
    [("shop-a", "shop-a"), ("shop-a.slots", "shop-a"), ("zeros:shop-a", "shop-a"), ("x/shop-a", "x")],
)
def test_a_subject_is_of_one_system(subject: str, system: str) -> None:
    assert system_of(subject) == system


def test_what_is_open_explains_what_follows_from_it_at_its_own_system_only() -> None:
    drift, cause = opened("unresolved_drift", "shop-a"), opened("stale_source", "shop-a.orders")
    other, broken = opened("stale_source", "shop-b.orders"), opened("invariant_broken", "plans")
    assert muted_by(drift, [other, cause]) == cause
    assert muted_by(drift, [other]) is None
    assert muted_by(drift, [broken]) == broken, "it explains drifts everywhere"
    over = aged(ended(cause, Instant(1)), Instant(10**7))
    assert muted_by(drift, [over]) is None
    assert muted_by(cause, [drift]) is None
    everything = opened("stale_source", "extensiv")
    assert muted_by(drift, [everything]) == everything, "what is compared with Extensiv waits for it"
    assert muted_by(opened("channel_errors", "shop-a"), [opened("credentials_refused", "extensiv")]) is None


def test_what_ended_while_it_was_explained_stays_so_and_what_outlived_that_does_not() -> None:
    orders, cause = opened("missing_orders", "shop-a"), opened("stale_source", "shop-a")
    over = aged(ended(cause, Instant(60_000)), Instant(10**7))
    for went, explained in ((30_000, True), (10**7 + 1, False)):
        kept = ended(orders, Instant(went))
        assert (muted_by(kept, [over]) == over) is explained
        assert (muted_by(aged(kept, Instant(went + 10**7)), [over]) == over) is explained
    assert muted_by(orders, [over]) is None
    pending = begun(None, alert_key("channel_errors", "shop-a"), "error", "x", (), Instant(0))
    passed = ended(pending, Instant(1))
    assert muted_by(ended(opened("unresolved_drift", "shop-a"), Instant(2)), [passed]) is None


def test_an_episode_is_as_bad_as_it_ever_was() -> None:
    first = opened("exposure", "stock")
    worse = begun(first, first.key, "critical", "x", (), Instant(1))
    assert begun(worse, first.key, "error", "x", (), Instant(2)).severity == "critical"


def test_a_silence_covers_what_it_names_until_its_end() -> None:
    hush = SilenceSet("s", True, "unresolved_*", "shop-a*", "ops", "stock-take", Instant(0), Instant(100))
    drift = opened("unresolved_drift", "shop-a")
    assert silenced_by(drift, [hush], Instant(99)) == hush
    assert silenced_by(drift, [hush], Instant(100)) is None
    assert silenced_by(drift, [replace(hush, on=False)], Instant(50)) is None
    assert silenced_by(opened("bug", "shop-a"), [hush], Instant(50)) is None
    assert silenced_by(opened("unresolved_drift", "shop-b"), [hush], Instant(50)) is None
    assert (hush.about, hush.as_of) == ("s", 0)


def test_severities_are_in_order_and_each_is_as_bad_as_itself() -> None:
    assert all(as_bad(worse, milder) and not as_bad(milder, worse) for worse, milder in pairwise(SEVERITIES))
    assert all(as_bad(each, each) for each in SEVERITIES)
