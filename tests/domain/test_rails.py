"""Each rail on what orders do not explain: the change it holds, the nearest that it lets go, what releases it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.daemon.windows import Windows
from reconcilerd.domain.canary import Canary, agrees, begins, may_go, read_back, went
from reconcilerd.domain.circuit import MAX_CALLS, Circuit, half_fail, heard
from reconcilerd.domain.facts import CorrectionPlanned, EnvelopeApproved, RailLatched
from reconcilerd.domain.guards import MEANS, Change, Closed, Rails, Spent, Verdict, judge
from reconcilerd.domain.latches import Latches, latch_name, quarantine_name
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import BundleMode, Limits, Mode, Percent, PoolMode, PoolRule
from reconcilerd.domain.position import ClaimKind, Position, StockView
from reconcilerd.domain.verdicts import GOES, NEEDS_A_PERSON
from tests.domain.builders import NOW, A, B, claim, offer, position, row
from tests.domain.test_guards import change, on_channel, rails, where, with_offer

UK = ChannelName("uk")
STRICT = Limits(window_slots=3, window_units=60, window_value=9_000, unexplained_zeros=2, window_min_slots=50)


def spent(**more: int) -> Rails:
    return rails(spent={UK: replace(Spent(listings=100), **more)})


def with_rows(at: Position, **seen: object) -> Position:
    return replace(at, stock=tuple(replace(each, **seen) for each in at.stock))  # type: ignore[arg-type]


def sold(at: Position, units: int) -> Position:
    return replace(at, sold=((Sku("x"), units),))


EMPTY = with_rows(where(stock=0, read=9), said=3)


def test_what_changes_are_worth_is_counted_where_there_is_a_price() -> None:
    dear = with_offer(replace(where(), limits=STRICT), price=4_000)
    assert judge(change(32, dear), spent(value=1_000)) is Verdict.SEND
    assert judge(change(32, dear), spent(value=1_001)) is Verdict.HOLD_WINDOW_VALUE
    assert judge(change(33, dear), rails()) is Verdict.HOLD_WINDOW_VALUE
    free = with_offer(dear, price=0)
    assert judge(change(33, free), spent(value=9_001)) is Verdict.SEND, "without a price only its units count"


def test_a_raise_far_beyond_what_it_ever_showed_waits() -> None:
    at = replace(where(stock=10_000), limits=Limits())
    assert judge(change(151, at), rails()) is Verdict.HOLD_RAISE_RATIO
    assert judge(change(150, at), rails()) is Verdict.SEND, "five times 30"
    low = with_offer(at, read=0)
    assert judge(change(100, low), rails()) is Verdict.SEND, "a receipt after nothing is no wonder"
    assert judge(change(101, low), rails()) is Verdict.HOLD_RAISE_RATIO
    assert judge(change(400, with_offer(low, last_good=80)), rails()) is Verdict.SEND, "it showed 80 before"
    assert judge(change(401, with_offer(low, last_good=80)), rails()) is Verdict.HOLD_RAISE_RATIO


def test_a_change_beyond_the_size_limits_is_read_again_before_a_person_is_asked() -> None:
    at = with_rows(replace(where(stock=10_000), limits=Limits()), said=1)
    assert judge(change(151, at), rails()) is Verdict.HOLD_CONFIRM
    assert judge(change(151, with_rows(at, said=2)), rails()) is Verdict.HOLD_RAISE_RATIO
    assert judge(change(29, at), rails()) is Verdict.SEND, (
        "a small fall goes at once, however new its reading"
    )


def test_a_large_change_waits_until_every_place_it_draws_on_was_read_again() -> None:
    at = replace(where(stock=10_000), limits=Limits())
    twice, once = replace(row(A, 9_000), said=2), replace(row(B, 1_000), said=1)
    assert judge(change(151, replace(at, stock=(twice, once))), rails()) is Verdict.HOLD_CONFIRM
    both = replace(at, stock=(twice, replace(once, said=2)))
    assert judge(change(151, both), rails()) is Verdict.HOLD_RAISE_RATIO


def test_places_that_a_listing_does_not_draw_on_need_not_confirm_its_zero() -> None:
    empty = replace(row(A, 0), said=3), replace(row(B, 0), said=1)
    at = replace(EMPTY, stock=empty)
    assert judge(change(0, at, sold_out=True), rails()) is Verdict.HOLD_CONFIRM
    assert judge(change(0, with_offer(at, locations=frozenset({A})), sold_out=True), rails()) is Verdict.SEND


def test_a_fall_of_as_many_units_as_are_allowed_is_no_large_one() -> None:
    assert judge(change(1, where(read=21)), rails()) is Verdict.SEND, "20 units, though nearly all it showed"
    assert judge(change(1, where(read=22)), rails()) is Verdict.HOLD_UNEXPLAINED


@pytest.mark.parametrize(
    ("said", "verdict"), [(1, Verdict.HOLD_CONFIRM), (2, Verdict.HOLD_CONFIRM), (3, Verdict.SEND)]
)
def test_a_zero_that_only_a_stock_reading_brings_must_be_said_three_times(
    said: int, verdict: Verdict
) -> None:
    at = with_rows(EMPTY, said=said)
    assert judge(change(0, at, sold_out=True), rails()) is verdict
    lately = with_rows(sold(at, 9), sold=9)
    assert judge(change(0, lately, sold_out=True), rails()) is Verdict.SEND, "orders explain it"
    assert judge(change(1, at), rails()) is Verdict.SEND, "not zero"


@pytest.mark.parametrize(("since", "unsure", "verdict"), [(8, 0, True), (9, 0, False), (6, 3, False)])
def test_what_sold_before_a_row_last_said_more_does_not_explain_that_it_says_nothing(
    since: int, unsure: int, verdict: bool
) -> None:
    """The number shown lacks it already: a hundred sales are no reason for one odd reading of nothing."""
    busy = replace(
        with_rows(sold(EMPTY, 100), said=1, sold=since), claims=(claim(unsure, ClaimKind.INFERRED),)
    )
    held = Verdict.HOLD_CONFIRM if verdict else Verdict.SEND
    assert judge(change(0, busy, sold_out=True), rails()) is held
    assert judge(change(0, busy), rails()) is Verdict.SEND, "its share of something is nothing"
    assert judge(change(0, with_rows(busy, said=3), sold_out=True), rails()) is Verdict.SEND, (
        "it said so thrice"
    )


def test_each_place_that_ran_empty_is_explained_by_itself() -> None:
    gone, lately = replace(row(A, 0), said=3), replace(row(B, 0), said=1, sold=8)
    busy = sold(replace(EMPTY, stock=(gone, lately)), 100)
    assert judge(change(0, busy, sold_out=True), rails()) is Verdict.HOLD_CONFIRM
    elsewhere = with_offer(busy, locations=frozenset({A}))
    assert judge(change(0, elsewhere, sold_out=True), rails()) is Verdict.SEND


def test_a_zero_waits_for_readings_and_asks_for_them() -> None:
    old = with_rows(EMPTY, said=1, age_of=Instant(NOW - 10_000))
    plan = make_plan(old, rails())
    assert plan.entries[0].verdict is Verdict.HOLD_CONFIRM
    assert plan.wants.stock == {"x"}
    young = make_plan(with_rows(old, age_of=Instant(NOW - 9_999)), rails())
    assert young.wants.stock == frozenset(), "so soon it would be the same reading"


def test_a_zero_of_stock_that_was_never_counted_hides_nothing() -> None:
    at = with_rows(EMPTY, counted=False)
    assert judge(change(0, at, sold_out=True), rails()) is Verdict.HOLD_NEVER_COUNTED
    assert judge(change(0, sold(at, 9), sold_out=True), rails()) is Verdict.SEND


def test_nor_does_a_bundle_come_to_zero_by_the_one_part_that_was_never_counted() -> None:
    empty = replace(row(A, 0, "y"), said=3, counted=False)
    at = replace(EMPTY, stock=(replace(row(A, 9), said=3, counted=True), empty))
    at = with_offer(at, uses=((Sku("x"), 1), (Sku("y"), 1)))
    assert judge(change(0, at, sold_out=True), rails()) is Verdict.HOLD_NEVER_COUNTED
    known = replace(at, stock=(at.stock[0], replace(empty, counted=True)))
    assert judge(change(0, known, sold_out=True), rails()) is Verdict.SEND


def test_too_many_zeros_latch_and_stay_so() -> None:
    latched = rails(latched=frozenset({"zeros:uk"}))
    assert judge(change(0, EMPTY, sold_out=True), latched) is Verdict.HOLD_ZEROS_LATCHED
    assert judge(change(0, sold(EMPTY, 9), sold_out=True), latched) is Verdict.SEND, "explained"
    assert judge(change(1, EMPTY), latched) is Verdict.SEND, "no zero"
    elsewhere = rails(latched=frozenset({"zeros:eu"}))
    assert judge(change(0, EMPTY, sold_out=True), elsewhere) is Verdict.SEND


def test_a_protected_sku_changes_by_orders_alone() -> None:
    at = with_offer(where(), protected=True)
    assert judge(change(29, at), rails()) is Verdict.HOLD_PROTECTED
    assert judge(change(31, at), rails()) is Verdict.HOLD_PROTECTED
    assert judge(change(29, sold(at, 1)), rails()) is Verdict.SEND


def test_a_channel_that_may_only_be_lowered_is_never_raised() -> None:
    at = on_channel(where(), "uk", decrease_only=True)
    assert judge(change(31, at), rails()) is Verdict.HOLD_DECREASE_ONLY
    assert judge(change(29, at), rails()) is Verdict.SEND


def test_a_doubtful_reading_of_the_pool_raises_nothing() -> None:
    for at in (on_channel(where(), "eu", doubted=True), replace(where(), doubted=True)):
        assert judge(change(31, at), rails()) is Verdict.HOLD_SUSPECT
        assert judge(change(29, at), rails()) is Verdict.SEND


def test_most_channels_failing_together_stop_raises_only() -> None:
    assert judge(change(31), rails(half_fails=True)) is Verdict.HOLD_STORM
    assert judge(change(29), rails(half_fails=True)) is Verdict.SEND


@pytest.mark.parametrize(
    ("failing", "channels", "held"), [(1, 1, False), (1, 2, False), (2, 3, True), (2, 4, False), (3, 4, True)]
)
def test_half_is_not_most_and_one_is_not_many(failing: int, channels: int, held: bool) -> None:
    assert half_fail(failing, channels, Limits()) is held


def test_an_open_circuit_holds_both_ways() -> None:
    for target in (29, 31):
        assert judge(change(target), rails(circuits=frozenset({UK}))) is Verdict.HOLD_CIRCUIT
        assert judge(change(target), rails(circuits=frozenset({ChannelName("eu")}))) is Verdict.SEND


def test_a_tug_of_war_is_left_to_the_other_but_for_what_shows_too_much() -> None:
    slot = change(29).offer.slot
    latched = rails(latched=frozenset({latch_name("tug-of-war", slot.path)}))
    assert judge(change(31), latched) is Verdict.HOLD_TUG_OF_WAR
    assert judge(change(29), latched) is Verdict.HOLD_TUG_OF_WAR
    assert judge(replace(change(29), cures=True), latched) is Verdict.SEND


def test_a_value_that_was_refused_too_often_is_parked_and_another_is_not() -> None:
    path = change(29).offer.slot.path
    latched = rails(latched=frozenset({quarantine_name(path, 29)}))
    assert judge(change(29), latched) is Verdict.HOLD_QUARANTINE
    assert judge(change(28), latched) is Verdict.SEND
    assert judge(replace(change(29), cures=True), latched) is Verdict.SEND, (
        "each minute that it waits may oversell"
    )


def test_a_slot_is_written_so_often_an_hour() -> None:
    at = with_offer(where(), attempts=120)
    assert judge(change(31, replace(at, limits=Limits())), rails()) is Verdict.HOLD_ATTEMPTS
    assert judge(change(29, sold(replace(at, limits=Limits()), 1)), rails()) is Verdict.SEND
    fewer = with_offer(replace(at, limits=Limits()), attempts=119)
    assert judge(change(31, fewer), rails()) is Verdict.SEND


def test_a_canary_that_stopped_holds_what_orders_do_not_explain() -> None:
    latched = rails(latched=frozenset({"canary:uk"}))
    assert judge(change(31), latched) is Verdict.HOLD_CANARY
    assert judge(change(29, sold(where(), 1)), latched) is Verdict.SEND


@pytest.mark.parametrize("held", [rails(observing=True), rails(latched=frozenset({"config-change:policy"}))])
def test_a_changed_policy_is_looked_at_first(held: Rails) -> None:
    assert judge(change(31), held) is Verdict.HOLD_CONFIG_CHANGE
    assert judge(change(29), held) is Verdict.HOLD_CONFIG_CHANGE
    assert judge(change(29, sold(where(), 1)), held) is Verdict.SEND


def test_a_freeze_window_lets_through_what_it_says_and_a_deny_wins() -> None:
    lowers, cures = Closed("", frozenset({"lowers"})), Closed("uk", frozenset({"cures"}))
    cure = replace(change(29), cures=True)
    assert judge(change(31), rails(closed=(lowers,))) is Verdict.HOLD_FREEZE_WINDOW
    assert judge(change(29), rails(closed=(lowers,))) is Verdict.SEND
    assert judge(change(29), rails(closed=(cures,))) is Verdict.HOLD_FREEZE_WINDOW
    assert judge(cure, rails(closed=(cures,))) is Verdict.SEND
    assert judge(cure, rails(closed=(lowers, cures))) is Verdict.SEND
    assert judge(change(29), rails(closed=(lowers, cures))) is Verdict.HOLD_FREEZE_WINDOW, "each may stop it"
    assert judge(cure, rails(closed=(cures, Closed("uk")))) is Verdict.HOLD_FREEZE_WINDOW
    assert judge(change(31), rails(closed=(Closed("eu"),))) is Verdict.SEND


def test_an_envelope_releases_every_size_rail_and_no_other() -> None:
    envelope = EnvelopeApproved("e", (Sku("x"),), "both", 100, "ops", "counted", NOW, Instant(NOW + 1))
    latched = frozenset({"zeros:uk", "canary:uk", "config-change:policy"})
    approved = rails(latched=latched, observing=True, envelopes=(envelope,))
    at = with_rows(with_offer(EMPTY, protected=True, attempts=999), counted=False, said=1)
    assert judge(change(0, at, sold_out=True), approved) is Verdict.SEND
    assert judge(change(0, at, sold_out=True), replace(approved, envelopes=())) in NEEDS_A_PERSON
    narrow = replace(approved, envelopes=(replace(envelope, zeros=False),))
    assert judge(change(0, at, sold_out=True), narrow) in NEEDS_A_PERSON, "nobody agreed to zeros"
    assert judge(change(1, at), narrow) is Verdict.SEND
    assert (
        judge(change(0, at, sold_out=True), replace(approved, closed=(Closed(""),)))
        is Verdict.HOLD_FREEZE_WINDOW
    )


# The circuit breaker and the canary, as the state machines they are.

LIMITS = Limits()


CLOSED = Circuit()


def after_calls(answers: list[bool], circuit: Circuit = CLOSED, at: int = NOW) -> Circuit:
    for answered in answers:
        circuit = heard(circuit, Instant(at), answered, LIMITS)
    return circuit


def test_a_circuit_opens_when_half_of_twenty_calls_failed() -> None:
    assert after_calls([True] * 10 + [False] * 9).open_until is None
    opened = after_calls([True] * 10 + [False] * 10)
    assert opened.open_until == NOW + 60_000
    assert "10 of 20" in opened.evidence
    assert after_calls([True] * 11 + [False] * 9).open_until is None
    late = after_calls([False], after_calls([False] * 19), NOW + 120_001)
    assert late.open_until is None, "calls of two minutes ago do not count"
    just = after_calls([False], after_calls([False] * 19), NOW + 120_000)
    assert just.open_until is None, "nor those of two minutes ago to the moment"


def test_an_open_circuit_closes_by_three_reads_and_rests_longer_each_time() -> None:
    opened = after_calls([False] * 20)
    assert after_calls([True] * 3, opened, NOW + 59_999) == opened, "while it rests nothing counts"
    assert after_calls([True] * 3, opened, NOW + 60_000).open_until is None
    assert after_calls([True] * 2, opened, NOW + 60_000).open_until is not None
    rests, at = [], NOW
    for _ in range(6):
        assert opened.open_until is not None
        rests.append(opened.open_until - at)
        at = opened.open_until
        opened = after_calls([False], opened, at)
    assert rests == [60_000, 120_000, 240_000, 480_000, 900_000, 900_000]


def test_reads_that_succeed_before_one_that_fails_close_no_circuit() -> None:
    twice = after_calls([True] * 2, after_calls([False] * 20), NOW + 60_000)
    again = after_calls([False], twice, NOW + 60_000)
    assert again.open_until is not None
    assert after_calls([True] * 2, again, again.open_until).open_until is not None
    assert after_calls([True] * 3, again, again.open_until).open_until is None


def test_a_circuit_says_since_when_it_is_open_however_often_it_was_probed() -> None:
    opened = after_calls([False] * 20, at=NOW + 5)
    assert opened.since == NOW + 5
    assert opened.open_until is not None
    assert after_calls([False], opened, opened.open_until).since == NOW + 5


@pytest.mark.parametrize("opened_times", [1, 2, 9])
def test_an_open_circuit_rests_no_longer_because_the_clock_was_set_back(opened_times: int) -> None:
    opened, rest_ms, at = after_calls([False] * 20), 60_000, NOW
    for _ in range(opened_times - 1):
        assert opened.open_until is not None
        at = opened.open_until
        opened = after_calls([False], opened, at)
        rest_ms = min(2 * rest_ms, LIMITS.breaker_longest_ms)
    back = at - 3_600_000
    opened = after_calls([True], opened, back)
    assert opened.open_until == back + rest_ms
    assert after_calls([True] * 3, opened, back + rest_ms - 1).open_until is not None
    assert after_calls([True] * 3, opened, back + rest_ms).open_until is None


def test_what_failed_before_the_clock_was_set_back_counts_no_longer_than_it_would() -> None:
    back = NOW - 3_600_000
    noticed = after_calls([True], after_calls([False] * 5), back)
    later = after_calls([False] * 15, noticed, back + LIMITS.breaker_window_ms)
    assert later.open_until is None


def test_a_circuit_remembers_a_bounded_number_of_calls() -> None:
    assert len(after_calls([True] * (MAX_CALLS + 9)).calls) == MAX_CALLS


def test_a_large_set_goes_as_five_then_twenty_five_then_the_rest() -> None:
    assert not begins(100, LIMITS)
    assert begins(101, LIMITS)
    canary = Canary()
    assert may_go(canary, LIMITS) == 5
    canary = went(canary, 5)
    assert may_go(canary, LIMITS) == 0
    canary = read_back(canary, 4, LIMITS)
    assert may_go(canary, LIMITS) == 0, "all five must be read back"
    canary = read_back(canary, 1, LIMITS)
    assert may_go(canary, LIMITS) == 25
    canary = read_back(went(canary, 25), 25, LIMITS)
    assert may_go(canary, LIMITS) is None


def test_a_batch_that_is_not_full_yet_is_filled_before_a_larger_one_begins() -> None:
    assert may_go(read_back(went(Canary(), 1), 1, LIMITS), LIMITS) == 4


@pytest.mark.parametrize(
    ("before", "target", "sold", "read", "well"),
    [
        (5, 9, 0, 9, True),
        (5, 9, 2, 7, True),
        (5, 9, 0, 8, True),
        (5, 9, 0, 5, False),
        (5, 9, 0, 10, False),
        (9, 5, 0, 5, True),
        (9, 5, 0, 4, True),
        (9, 5, 0, 9, False),
        (9, 5, 0, 6, False),
    ],
)
def test_a_read_back_agrees_if_it_is_there_or_moved_past_the_old_number(
    before: int, target: int, sold: int, read: int, well: bool
) -> None:
    assert agrees(before, target, sold, read) is well


def test_a_latch_outlives_a_restart_and_ends_by_its_time_or_a_word() -> None:
    latches = Latches()
    latches.take(RailLatched("zeros:uk", True, "reconcilerd", "many", NOW))
    latches.take(RailLatched("tug-of-war:uk/a/b", True, "reconcilerd", "again", NOW, until=Instant(NOW + 5)))
    again = Latches(dict(latches.known))
    assert again.on(NOW) == {"zeros:uk", "tug-of-war:uk/a/b"}
    assert again.on(Instant(NOW + 5)) == {"zeros:uk"}
    again.take(RailLatched("zeros:uk", False, "ops", "counted", Instant(NOW + 6)))
    assert again.on(Instant(NOW + 6)) == frozenset()


def test_what_a_row_said_before_a_suspicion_is_kept_until_it_is_over() -> None:
    latches, feed = Latches(), FeedName("extensiv.stock")
    assert latches.note(feed, "x@A", (50, 0), Instant(1))
    assert not latches.note(feed, "x@A", (0, 0), Instant(1)), "the older one stays"
    latches.take(RailLatched("all-changed:extensiv.stock", True, "reconcilerd", "", NOW))
    latches.sound(feed)
    assert latches.said_before(feed, "x@A") == (50, 0), "under suspicion no reading is sound by itself"
    latches.take(RailLatched("all-changed:extensiv.stock", False, "ops", "counted", NOW))
    assert latches.said_before(feed, "x@A") is None


# Whatever is planned, and whenever.

SLOTS = [SlotKey(UK, f"item-{number}") for number in range(6)]


@st.composite
def judged(draw: st.DrawFn) -> tuple[Position, int]:
    """A position of one listing, and after how long it is planned (ms)."""
    shown, stock = draw(st.integers(0, 60)), draw(st.integers(0, 60))
    listing = replace(
        offer("uk", shown=shown, rule=Percent(1000)), slot=draw(st.sampled_from(SLOTS)), price=200
    )
    claims = [claim(draw(st.integers(0, 30)), ClaimKind.INFERRED)] if draw(st.booleans()) else []
    at = position([listing], [row(A, stock)], claims, limits=STRICT, split=draw(st.booleans()))
    return sold(at, draw(st.sampled_from([0, 0, 5, 60]))), draw(
        st.sampled_from([0, 1, 60_000, 900_000, 1_800_001])
    )


@given(st.lists(judged(), max_size=40), st.booleans())
def test_no_sequence_of_plans_changes_more_than_the_windows_allow(
    steps: list[tuple[Position, int]], approved: bool
) -> None:
    windows = Windows(STRICT.window_ms, STRICT.zeros_window_ms, {UK: 1_000})
    now, sent = int(NOW), list[CorrectionPlanned]()
    for where_, pause in steps:
        now += pause
        at = replace(
            where_,
            at=Instant(now),
            stock=tuple(replace(r, age_of=Instant(now), as_of=Instant(now)) for r in where_.stock),
            offers=tuple(replace(o, age_of=Instant(now), as_of=Instant(now)) for o in where_.offers),
        )
        freed = (
            (EnvelopeApproved("e", (Sku("x"),), "both", 100, "ops", "ok", NOW, Instant(now + 1)),)
            if approved
            else ()
        )
        plan = make_plan(at, windows.onto(Rails(Mode.AUTO, envelopes=freed), Instant(now)))
        for entry in plan.entries:
            assert MEANS[entry.verdict]
            if entry.lowers and not entry.unexplained:
                assert entry.verdict in GOES, "no rail of size holds what orders explain"
            if entry.verdict is Verdict.SEND:
                intent = CorrectionPlanned(
                    "i", entry.slot, "x", entry.read, NOW, entry.target, "", "", Instant(now),
                    entry.unexplained, entry.sold_out, value=entry.value,
                )  # fmt: skip
                windows.spend(intent)
                sent.append(intent)
    if approved:
        return
    for last in sent:
        within = [
            each for each in sent if last.at - STRICT.window_ms < each.at <= last.at and each.unexplained
        ]
        assert sum(each.unexplained for each in within) <= STRICT.window_units
        assert sum(each.value for each in within) <= STRICT.window_value
        assert len({each.slot for each in within}) <= STRICT.window_slots
        zeros = {
            each.slot
            for each in sent
            if last.at - STRICT.zeros_window_ms < each.at <= last.at and each.sold_out and each.unexplained
        }
        assert len(zeros) <= STRICT.unexplained_zeros


@given(
    judged(),
    st.sets(st.sampled_from(["zeros:uk", "canary:uk", "config-change:policy", "tug-of-war:uk/item-0/"])),
    st.booleans(),
    st.sampled_from(list(Mode)),
)
def test_guards_answer_whatever_they_are_asked(
    step: tuple[Position, int], latched: set[str], flag: bool, mode: Mode
) -> None:
    rails_ = Rails(
        mode, flag, closed=(Closed("uk", frozenset({"lowers"})),) if flag else (), latched=frozenset(latched),
        half_fails=flag, observing=not flag,
    )  # fmt: skip
    at, _ = step
    for seen in at.offers:
        assert seen.current is not None
        for target in (0, 1, 60, 10_000):
            for sold_out in (True, False):
                assert judge(Change(at, seen, seen.current, target, sold_out), rails_) in Verdict


def test_a_zero_waits_for_the_place_that_said_so_the_fewest_times() -> None:
    """Two places are empty together: one read thrice does not speak for the other, read once."""
    often, once = (replace(row(place, 0), said=said) for place, said in ((A, 3), (B, 1)))
    at = replace(position([offer("uk", shown=9)], [often, once]), limits=STRICT)
    assert judge(change(0, at, sold_out=True), rails()) is Verdict.HOLD_CONFIRM
    both = replace(at, stock=(often, replace(once, said=3)))
    assert judge(change(0, both, sold_out=True), rails()) is not Verdict.HOLD_CONFIRM


SET = ((Sku("x"), 1), (Sku("y"), 1))


def emptied(stock: list[StockView], **more: object) -> Change:
    """A set of x and y of which five are shown is sold out, by orders of y alone."""
    listing = offer("uk", shown=5, uses=SET, sku="set")
    where = position([listing], stock, [claim(5, ClaimKind.COMMITTED, "y")], limits=Limits(mode=Mode.AUTO))
    where = replace(where, sold=((Sku("x"), 0), (Sku("y"), 5)), **more)  # type: ignore[arg-type]
    return Change(where, listing, 5, 0, sold_out=True)


def test_an_empty_place_that_is_not_why_a_bundle_is_sold_out_holds_nothing() -> None:
    """Nothing could be packed there if it had some: no y is there. Where y is, it could."""
    there = [row(A, 50), row(A, 5, "y"), replace(row(B, 0), said=1)]
    assert judge(emptied(there), rails()) is Verdict.SEND
    beside = [*there, row(B, 1, "y")]
    assert judge(emptied(beside), rails()) is Verdict.HOLD_CONFIRM
    barred = emptied(beside, excluded=((Sku("x"), frozenset({B})),))
    assert judge(barred, rails()) is Verdict.SEND, "x is not sold from there"


def test_an_empty_place_holds_nothing_while_another_has_all_that_is_asked_for() -> None:
    """Of what is packed from anywhere, and of a single SKU."""
    odd = [row(A, 50), row(A, 5, "y"), replace(row(B, 0), said=1), row(B, 1, "y")]
    pooled = PoolRule(PoolMode.SPLIT, BundleMode.POOLED)
    assert judge(emptied(odd, pool=pooled), rails()) is Verdict.SEND
    gone = [replace(row(A, 0), said=1), row(A, 5, "y")]
    assert judge(emptied(gone, pool=pooled), rails()) is Verdict.HOLD_CONFIRM


def test_a_fall_is_explained_by_the_part_that_is_scarcest_where_the_listing_is_packed() -> None:
    """A hundred x lie where it is not packed from: five that were ordered are all that is left of them here."""
    listing = offer("uk", shown=5, uses=SET, sku="set", locations=frozenset({A}))
    stock = [row(A, 5), row(B, 100), row(A, 50, "y")]
    where = position([listing], stock, [claim(5, where=frozenset({A}))])
    where = replace(where, sold=((Sku("x"), 5), (Sku("y"), 0)))
    assert Change(where, listing, 5, 0).unexplained == 0


def test_a_place_where_nothing_of_any_is_makes_no_part_of_a_bundle_scarce() -> None:
    """Of y there is plenty where the set is packed: what was ordered of it explains no fall for want of x."""
    listing = offer("uk", shown=132, uses=SET, sku="set")
    stock = [row(B, 2), row(B, 500, "y"), row(A, 0), row(A, 0, "y")]
    where = replace(position([listing], stock), sold=((Sku("y"), 200),))
    assert Change(where, listing, 132, 2).unexplained == 130
    nowhere = replace(where, stock=tuple(replace(each, on_hand=0) for each in stock))
    assert Change(nowhere, listing, 132, 0).unexplained == 0, "each is as scarce as the other"


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.GUARDED])
@pytest.mark.parametrize("said", [1, 2, 3])
def test_a_zero_that_orders_explain_once_it_is_said_often_enough_is_read_again_whoever_is_asked(
    mode: Mode, said: int
) -> None:
    """The last one was sold before its row said more for the last time, and its lower waited for something."""
    listing = offer("uk", shown=1)
    stock = [replace(row(A, 0), said=said, age_of=Instant(NOW - 60_000)), row(A, 9, "y")]
    where = replace(position([listing], stock, limits=Limits(mode=mode)), sold=((Sku("x"), 1),))
    plan = make_plan(where, Rails(mode))
    (entry,) = plan.entries
    assert (entry.verdict is Verdict.SEND) is (said == 3)
    assert plan.wants.stock == (frozenset() if said == 3 else {"x"})
    now = replace(where, stock=tuple(replace(each, age_of=Instant(NOW - 1)) for each in stock))
    assert make_plan(now, Rails(mode)).wants.stock == frozenset(), "it would count as the same reading"


@pytest.mark.parametrize(
    ("read_ago", "where", "wants"),
    [(60_000, A, True), (1_800_000, A, True), (1_800_001, A, False), (60_000, B, False)],
)
def test_a_zero_of_which_a_person_is_asked_is_read_again_where_it_may_be_why_and_can_be_read(
    read_ago: int, where: LocationName, *, wants: bool
) -> None:
    """A row that cannot be read stays as old as it is: it would be asked for as long as nobody answers."""
    listing = offer("uk", shown=1, locations=frozenset({A}))
    zero = replace(row(where, 0), said=1, age_of=Instant(NOW - read_ago))
    beside = [] if where == A else [replace(row(A, 0), said=3, age_of=Instant(NOW - 60_000))]
    seen = position([listing], [zero, *beside], limits=Limits(mode=Mode.GUARDED))
    seen = replace(seen, ages=replace(seen.ages, stock_ms=10_000_000))
    plan = make_plan(seen, Rails(Mode.GUARDED))
    assert [each.verdict for each in plan.entries] == [Verdict.HOLD_APPROVAL]
    assert bool(plan.wants.stock) is wants


def test_for_a_raise_of_which_a_person_is_asked_no_zero_is_read_again() -> None:
    listing = offer("uk", shown=1)
    stock = [row(A, 9), replace(row(B, 0), said=1, age_of=Instant(NOW - 60_000))]
    plan = make_plan(position([listing], stock, limits=Limits(mode=Mode.GUARDED)), Rails(Mode.GUARDED))
    assert [each.verdict for each in plan.entries] == [Verdict.HOLD_APPROVAL]
    assert not plan.wants.stock
