"""The story of a stretch of time, told from the facts that were written in it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.facts import (
    AlertChanged,
    AlertStage,
    EndsMoved,
    EnvelopeApproved,
    PlanApplied,
    RailLatched,
    SlotPinned,
)
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.domain.shift import OURSELVES, TOLD, Episode, deeds, episodes, lasted, policies
from tests.near_misses.samples import FACTS

KEY = "reconcilerd/stale_source/shop-uk"
SINCE, NOW = Instant(1_000), Instant(9_000)


def changed(
    stage: AlertStage, at: int, number: int = 1, fired: int | None = None
) -> tuple[int, Instant, AlertChanged]:
    firing = stage is not AlertStage.RESOLVED
    told = None if fired is None else Instant(fired)
    fact = AlertChanged(KEY, firing, "critical", "late", Instant(at), stage, number, Instant(at), told)
    return at, Instant(at), fact


def test_every_fact_that_tells_of_a_person_is_a_deed_or_a_policy_or_an_alert() -> None:
    for fact in FACTS:
        written = [(7, NOW, fact)]
        told = bool(deeds(written)) or bool(policies(written)) or isinstance(fact, AlertChanged)
        assert told is isinstance(fact, TOLD), fact.kind


def test_who_said_it_why_and_until_when_is_told() -> None:
    envelope = EnvelopeApproved("e", (Sku("a"), Sku("b")), "lower", 9, "uid 7", "counted", SINCE, NOW)
    [deed] = deeds([(3, SINCE, envelope)])
    assert (deed.entry, deed.by, deed.what, deed.about) == (3, "uid 7", "approved", "a, b to lower, 9 units")
    assert (deed.reason, deed.until, deed.count) == ("counted", NOW, 2)
    [tripped] = deeds([(4, NOW, RailLatched("zeros:uk", True, "", "many", NOW))])
    assert (tripped.by, tripped.what) == (OURSELVES, "tripped")
    [put_back] = deeds([(5, NOW, PlanApplied("revert p1 123", "", "uid 7", "wrong", NOW))])
    assert (put_back.what, put_back.about) == ("put back a pass", "p1")


def test_nobody_said_anew_what_was_written_down_because_the_clock_was_set_back() -> None:
    said = RailLatched("tug-of-war:uk/a/", True, "reconcilerd", "x", NOW, "", NOW)
    other = replace(said, name="tug-of-war:uk/b/")
    moved = EndsMoved(((said.kind, said.about),), SINCE)
    earlier, again, another = (7, NOW, said), (8, SINCE, replace(said, at=SINCE)), (8, SINCE, other)
    found = deeds([earlier, (8, SINCE, moved), again, another])
    assert [(each.entry, each.about) for each in found] == [(7, said.name), (8, other.name)]


def test_listings_that_one_word_pins_are_counted_together() -> None:
    slots = [SlotKey(ChannelName("uk"), str(number), "p") for number in range(3)]
    one = [(7, NOW, SlotPinned(slot, True, "uid 7", "wrong", SINCE, NOW)) for slot in slots]
    other = [(8, NOW, SlotPinned(slots[0], False, "uid 7", "right", SINCE, NOW))]
    assert [(each.what, each.count, each.about) for each in deeds([*one, *other])] == [
        ("pinned", 3, "uk/0/p"),
        ("unpinned", 1, "uk/0/p"),
    ]


def test_an_alert_that_fired_before_and_ended_within_is_told_with_both_times() -> None:
    [one] = episodes([changed(AlertStage.RESOLVED, 4_000, fired=500)], [], SINCE)
    assert (one.began, one.ended, one.kind, one.subject) == (500, 4_000, "stale_source", "shop-uk")
    assert lasted([one], "stale_source", SINCE, NOW) == {"shop-uk": 3_000}


def test_one_that_was_nearly_over_and_came_again_is_one_episode_and_what_nobody_was_told_is_none() -> None:
    came = [
        changed(AlertStage.PENDING, 1_100),
        changed(AlertStage.FIRING, 1_200, fired=1_200),
        changed(AlertStage.KEEPING, 1_300, fired=1_200),
        changed(AlertStage.FIRING, 1_400, fired=1_200),
        changed(AlertStage.PENDING, 1_500, 2),
        changed(AlertStage.PASSED, 1_600, 2),
    ]
    [one] = episodes(came, [], SINCE)
    assert (one.number, one.began, one.ended) == (1, 1_200, None)


def test_one_that_is_open_all_the_time_is_told_though_nothing_was_written_of_it() -> None:
    standing = Episode(KEY, 1, "critical", "late", Instant(10))
    found = episodes([], [standing], SINCE)
    assert found == [standing]
    assert lasted(found, "stale_source", SINCE, NOW) == {"shop-uk": NOW - SINCE}
    assert lasted(found, "exposure", SINCE, NOW) == {}


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000) | st.none()), max_size=8))
def test_time_is_never_counted_twice_nor_beyond_the_stretch(spans: list[tuple[int, int | None]]) -> None:
    all_ = [
        Episode(KEY, number, "error", "", Instant(begin), None if end is None else Instant(max(begin, end)))
        for number, (begin, end) in enumerate(spans)
    ]
    moments = sum(
        any(each.began <= at < (NOW if each.ended is None else each.ended) for each in all_)
        for at in range(SINCE, NOW)
    )
    assert sum(lasted(all_, "stale_source", SINCE, NOW).values()) == moments
