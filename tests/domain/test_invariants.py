"""Every check of our own doing sees what it is there to see: a sound plan or history, broken in one place."""

import json
from dataclasses import replace

import pytest

from reconcilerd.domain.digest import revive
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    EnvelopeApproved,
    Fact,
    Outcome,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.guards import Rails, Spent, Verdict
from reconcilerd.domain.invariants import (
    Violation,
    breach_of,
    check_history,
    check_plan,
    check_rest,
    check_windows,
    check_write,
    held_if_broken,
)
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import Ages, Limits, Mode, Percent, Publisher
from reconcilerd.domain.position import ClaimKind, OfferView
from reconcilerd.domain.slots import SlotTrack
from tests.domain.builders import NOW, A, claim, offer, position, row, slot

AUTO = Rails(Mode.AUTO)
WIDE = Limits(window_units=10**9, window_slots=10**6, unexplained_zeros=10**6, unexplained_fall_units=10**9)


def raising(*, buried: int = 0) -> GroupPlan:
    """Ten units, two channels that show two each: the plan raises both to five."""
    offers = [offer("eu", Percent(500), shown=2), offer("uk", Percent(500), shown=2)]
    kept_back = [claim(buried, ClaimKind.BURIED)] if buried else []
    plan = make_plan(position(offers, [row(A, 10)], kept_back, split=True, limits=WIDE), AUTO)
    assert check_plan(plan) == ()
    return plan


def with_target(plan: GroupPlan, target: int) -> GroupPlan:
    """The same plan, but its first write is of another number."""
    first, *rest = plan.sends
    return replace(plan, entries=(replace(first, target=target), *rest))


def with_offer(plan: GroupPlan, **changed: object) -> GroupPlan:
    """The same writes, decided while the listing of the first one is another."""
    wanted = plan.sends[0].slot

    def other(each: OfferView) -> OfferView:
        return replace(each, **changed) if each.slot == wanted else each  # type: ignore[arg-type]

    where = replace(plan.position, offers=tuple(other(each) for each in plan.position.offers))
    return replace(plan, position=where)


def broken(plan: GroupPlan) -> set[str]:
    return {each.invariant for each in check_plan(plan)}


def test_more_than_could_ship_is_seen() -> None:
    assert "I1" in broken(with_target(raising(), 11))


def test_a_raise_into_what_a_peer_shows_is_seen() -> None:
    assert broken(with_target(raising(), 9)) == {"I2"}


def test_a_raise_into_what_is_kept_back_is_seen() -> None:
    plan = raising(buried=4)
    assert [each.target for each in plan.sends] == [4]
    assert broken(with_target(plan, 5)) == {"I3"}


@pytest.mark.parametrize(("target", "named"), [(1, {"I4"}), (0, {"I4", "I5"})])
def test_a_number_out_of_nothing_known_is_seen_and_zero_above_all(target: int, named: set[str]) -> None:
    plan = with_target(raising(), target)
    blind = replace(plan, position=replace(plan.position, unknown=(plan.position.group,)))
    assert broken(blind) == named


def test_one_order_subtracted_twice_is_seen() -> None:
    plan = raising()
    once = replace(claim(1), channel=ChannelName("eu"), about="1001")
    again = replace(once, kind=ClaimKind.IN_FLIGHT)
    other = replace(once, about="1002")
    assert "I9" not in broken(replace(plan, position=replace(plan.position, claims=(once, other))))
    assert "I9" in broken(replace(plan, position=replace(plan.position, claims=(once, again))))
    elsewhere = replace(again, channel=ChannelName("uk"))
    assert "I9" not in broken(replace(plan, position=replace(plan.position, claims=(once, elsewhere)))), (
        "two channels may number alike"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"ambiguous": True},
        {"state": SlotState.NOT_ONLINE},
        {"rule": replace(raising().position.offers[0].rule, managed=False)},
    ],
    ids=["ambiguous", "not sold", "not managed"],
)
def test_a_write_that_is_not_ours_is_seen(changed: dict[str, object]) -> None:
    assert broken(with_offer(raising(), **changed)) == {"I17"}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"orders_known": False}, {"I4"}),
        ({"stock_dark": True}, {"I11"}),
        ({"at": Instant(NOW + 11_000)}, {"I4"}),
        ({"at": Instant(NOW + 2_000_000)}, {"I4", "I11"}),
        ({"stock": (replace(row(A, 10), age_of=Instant(NOW - 60_000)),)}, set()),
        ({"stock": (replace(row(A, 10), age_of=Instant(NOW - 60_001)),)}, {"I4"}),
        ({"stock": (replace(row(A, 10), age_of=Instant(NOW - Ages().max_age_ms - 1)),)}, {"I4", "I11"}),
        ({"channels": tuple(replace(each, dark=True) for each in raising().position.channels)}, {"I11"}),
    ],
    ids=[
        "orders never read",
        "stock dark",
        "its own reading old",
        "all too old",
        "stock read just in time",
        "stock old",
        "stock too old",
        "its channel dark",
    ],
)
def test_a_raise_from_what_is_not_known_now_is_seen(changed: dict[str, object], named: set[str]) -> None:
    plan = raising()
    assert broken(replace(plan, position=replace(plan.position, **changed))) == named  # type: ignore[arg-type]


def test_a_raise_of_what_was_never_read_is_seen() -> None:
    assert broken(with_offer(raising(), read=None)) == {"I4"}


@pytest.mark.parametrize(("ms", "named"), [(90_000, set()), (90_001, {"I4"})])
def test_a_raise_beside_what_was_read_too_long_ago_is_seen(ms: int, named: set[str]) -> None:
    plan = raising()
    first, second = plan.sends
    old = with_offer(replace(plan, entries=(second,)), age_of=Instant(NOW - ms)).position
    assert broken(replace(plan, position=old, entries=(first,))) == named


def test_what_may_be_shown_beyond_stock_is_room_for_minimums_alone() -> None:
    """Eight and five of ten, three may be overcommitted, and nobody has a minimum."""
    plan = with_target(raising(), 8)
    lent = replace(plan.position, pool=replace(plan.position.pool, overcommit=3))
    plan = replace(plan, position=lent)
    assert broken(plan) == {"I2"}
    assert broken(with_offer(plan, rule=replace(lent.offers[0].rule, minimum=1))) == set()


def test_zero_where_there_is_a_share_is_seen() -> None:
    assert broken(with_target(raising(), 0)) == {"I5"}


@pytest.mark.parametrize(
    "limits",
    [{"window_units": 2}, {"window_slots": 0}],
    ids=["units", "listings"],
)
def test_a_plan_beyond_its_window_is_seen_unless_a_person_released_it(limits: dict[str, int]) -> None:
    plan = raising()
    narrow = replace(plan, position=replace(plan.position, limits=replace(WIDE, **limits)))  # type: ignore[arg-type]
    assert {each.invariant for each in check_plan(narrow, AUTO)} == {"I15"}
    skus = tuple(entry.sku for entry in plan.sends)
    released = EnvelopeApproved("e", skus, "both", 99, "me", "so", NOW, Instant(NOW + 1))
    assert check_plan(narrow, replace(AUTO, envelopes=(released,))) == ()


def test_one_zero_too_many_is_seen() -> None:
    plan = make_plan(position([offer("eu", shown=3)], [row(A, 0)], limits=WIDE), AUTO)
    assert [each.target for each in plan.sends] == [0]
    spent = replace(AUTO, spent={ChannelName("eu"): Spent(zeros=WIDE.unexplained_zeros)})
    assert {each.invariant for each in check_plan(plan, spent)} == {"I15"}
    assert check_plan(plan, AUTO) == ()
    lowers = EnvelopeApproved("e", (plan.sends[0].sku,), "lower", 99, "me", "so", NOW, Instant(NOW + 1))
    assert check_plan(plan, replace(spent, envelopes=(lowers,))) == ()
    no_zeros = replace(spent, envelopes=(replace(lowers, zeros=False),))
    assert {each.invariant for each in check_plan(plan, no_zeros)} == {"I15"}, "nobody agreed to zeros"


EU = slot("eu")


def test_a_write_is_sound_once_and_from_the_newest_reading_only() -> None:
    track = SlotTrack(EU)
    track.restore(reading(5, 1))
    write = intent("i", 1)
    assert [each.invariant for each in check_write(write, track, NOW)] == ["I18"]
    track.plan(write)
    assert check_write(write, track, NOW) == ()
    track.restore(reading(4, 15))
    assert [each.invariant for each in check_write(write, track, NOW)] == ["I10"]
    track.restore(reading(5, 16))
    track.answer(CorrectionSent("i", EU, Outcome.UNKNOWN, "", Instant(20), Instant(20)))
    assert [each.invariant for each in check_write(write, track, NOW)] == ["I18"]


def windows(limits: Limits, *facts: Fact) -> list[str]:
    return [each.invariant for each in check_windows([(NOW, facts)], limits)]


def planned(number: int, at: int, *, target: int = 9, sold_out: bool = False) -> CorrectionPlanned:
    """A raise of four, or a fall of five, of a listing of its own."""
    where = replace(EU, listing=f"item {number}")
    fall = 5 if target < 5 else 0
    moment = Instant(at)
    return CorrectionPlanned(
        str(number),
        where,
        "x",
        5,
        moment,
        target,
        "lag",
        "share",
        moment,
        unexplained=fall,
        sold_out=sold_out,
    )


def test_every_sliding_window_is_added_up_anew() -> None:
    narrow = replace(WIDE, window_ms=100, window_units=8)
    assert windows(narrow, planned(1, 0), planned(2, 50), planned(3, 101)) == []
    assert windows(narrow, planned(1, 0), planned(2, 50), planned(3, 99)) == ["I15"]
    assert windows(replace(WIDE, window_slots=1), planned(1, 0), planned(1, 5)) == []
    assert windows(replace(WIDE, window_slots=1), planned(1, 0), planned(2, 5)) == ["I15"]
    zeros = [planned(number, number, target=0, sold_out=True) for number in (1, 2)]
    assert windows(replace(WIDE, unexplained_zeros=1), *zeros) == ["I15"]


def test_a_part_of_a_channel_is_a_part_of_what_was_read_of_it() -> None:
    limits = replace(WIDE, window_min_slots=0, window_permille=500)
    seen = [replace(reading(5, 0), slot=replace(EU, listing=f"item {number}")) for number in (1, 2)]
    assert windows(limits, *seen, planned(1, 0)) == []
    assert windows(limits, *seen, planned(1, 0), planned(2, 1)) == ["I15"]
    assert windows(limits, *seen, planned(1, 0), replace(planned(2, 1), released="e")) == []
    for least, told in ((1, ["I15"]), (2, [])):
        assert windows(replace(limits, window_min_slots=least), *seen, planned(1, 0), planned(2, 1)) == told


def intent(name: str, based_on: int) -> CorrectionPlanned:
    at = Instant(based_on)
    return CorrectionPlanned(name, EU, "x", 5, at, 9, "lag", "share", at)


def answer(name: str, sent: int) -> CorrectionSent:
    return CorrectionSent(name, EU, Outcome.APPLIED, "", Instant(sent), Instant(sent + 10))


def reading(quantity: int, as_of: int) -> SlotObserved:
    at = Instant(as_of)
    return SlotObserved(EU, "x", "X", quantity, SlotState.BUYABLE, False, at, at)


def history(*facts: Fact) -> set[str]:
    """Each fact in an entry of its own, ten milliseconds apart."""
    return {each.invariant for each in check_history((Instant(10 * n), [f]) for n, f in enumerate(facts))}


def test_a_write_with_one_intent_and_one_answer_is_sound() -> None:
    assert history(reading(5, 0), intent("i", 1), answer("i", 30)) == set()


def test_an_answer_without_an_intent_or_a_second_one_is_seen() -> None:
    assert history(answer("i", 30)) == {"I18"}
    assert history(intent("i", 1), answer("i", 30), answer("i", 40)) == {"I18"}


def test_an_intent_written_down_twice_is_seen() -> None:
    assert history(intent("i", 1), intent("i", 1)) == {"I18"}


def test_a_write_from_a_reading_that_was_known_to_be_outdated_is_seen() -> None:
    assert history(reading(5, 0), intent("i", 1), reading(4, 15), answer("i", 30)) == {"I10"}
    # What was read of the same number, or became known only after the write had left, is no fault.
    assert history(reading(5, 0), intent("i", 1), reading(5, 15), answer("i", 30)) == set()
    assert history(reading(5, 0), intent("i", 1), reading(4, 15), answer("i", 15)) == set()


def test_something_left_to_write_at_rest_is_seen() -> None:
    assert {each.invariant for each in check_rest(raising())} >= {"I13", "I20"}


def test_a_group_that_shows_its_shares_is_at_rest() -> None:
    offers = [offer("eu", Percent(500), shown=5), offer("uk", Percent(500), shown=5)]
    plan = make_plan(position(offers, [row(A, 10)], split=True, limits=WIDE), AUTO)
    assert check_rest(plan) == ()


@pytest.mark.parametrize(("shown", "hides"), [(8, False), (7, True), (6, True)])
def test_more_than_a_quarter_of_a_share_hidden_by_what_ends_by_itself_is_seen(
    shown: int, hides: bool
) -> None:
    where = position([offer("eu", shown=shown)], [row(A, 10)], split=True, limits=WIDE)
    plan = make_plan(where, AUTO)
    held = tuple(replace(each, verdict=Verdict.HOLD_PENDING) for each in plan.entries)
    told = check_rest(replace(plan, entries=held))
    assert ("I20" in {each.invariant for each in told}) is hides


def test_a_plan_that_comes_out_otherwise_the_second_time_is_seen() -> None:
    offers = [offer("eu", Percent(500), shown=2), offer("uk", Percent(500), shown=2)]
    held = make_plan(position(offers, [row(A, 10)], split=True, limits=WIDE), Rails(Mode.OBSERVE))
    assert check_rest(held) == ()  # what waits for a person is told elsewhere
    other = tuple(replace(each, verdict=Verdict.HOLD_FROZEN) for each in held.entries)
    assert "I14" in {each.invariant for each in check_rest(replace(held, entries=other))}


def test_a_plan_that_breaks_a_rule_sends_nothing_and_nothing_is_sent_after_it() -> None:
    plan = with_target(raising(), 9)
    held, told = held_if_broken(plan, AUTO)
    assert {each.invariant for each in told} == {"I2"}
    assert held.sends == ()
    assert {each.verdict for each in held.entries} == {Verdict.HOLD_BREACH}
    assert {each.verdict for each in make_plan(plan.position, held.rails).entries} == {Verdict.HOLD_BREACH}
    frozen = replace(plan.entries[1], verdict=Verdict.HOLD_FROZEN)
    held, _ = held_if_broken(replace(plan, entries=(plan.entries[0], frozen)), AUTO)
    assert [each.verdict for each in held.entries] == [Verdict.HOLD_BREACH, Verdict.HOLD_FROZEN]


def test_a_sound_plan_goes_as_it_is() -> None:
    assert held_if_broken(raising(), AUTO) == (raising(), ())


def test_a_breach_names_what_broke_and_keeps_what_it_was_decided_from() -> None:
    plan = with_target(raising(), 9)
    breach = breach_of("b", "x", check_plan(plan), {"rails": AUTO, "entries": plan.entries}, NOW)
    assert (breach.broken[0][0], breach.subject, breach.at) == ("I2", "x", NOW)
    kept = dict(json.loads(breach.evidence))
    assert revive(Rails, kept["rails"]) == AUTO
    assert [each[1]["target"] for each in kept["entries"]] == [each.target for each in plan.entries]


def test_nothing_keeps_a_breach_from_being_told() -> None:
    """Evidence that has no canonical form, and more broken rules than anyone could read."""
    many = [Violation("I1", NOW, f"{number}") for number in range(50)]
    breach = breach_of("b", "x", many, {"what": 1.5}, NOW)
    assert breach.evidence == "{'what': 1.5}"
    assert breach.broken == tuple(("I1", f"{number}") for number in range(20))


def test_what_was_changed_long_ago_or_is_explained_spends_nothing() -> None:
    one = replace(WIDE, window_ms=100, zeros_window_ms=200, window_slots=1)
    assert windows(one, planned(1, 0), planned(2, 200)) == []
    one_zero = replace(one, window_slots=9, unexplained_zeros=1)
    assert windows(
        one_zero, planned(1, 0, target=0, sold_out=True), planned(2, 150, target=0, sold_out=True)
    ) == ["I15"]
    explained = replace(planned(2, 5, target=0), unexplained=0)
    assert windows(one, planned(1, 0), explained, answer("1", 6), planned(1, 7)) == []
    assert windows(one, planned(1, 0), explained, planned(3, 8)) == ["I15"]


def test_a_raise_from_its_own_reading_of_long_ago_is_seen_however_fresh_the_stock_is() -> None:
    long_ago = Instant(NOW - raising().position.ages.max_age_ms - 1)
    assert broken(with_offer(raising(), age_of=long_ago)) == {"I4", "I11"}


def test_what_a_dark_channel_showed_long_ago_breaks_nothing() -> None:
    """Else one channel that nobody can read would stop every write."""
    offers = [
        offer("eu", Percent(500), shown=2),
        replace(offer("uk", Percent(500), shown=2), age_of=Instant(0)),
    ]
    where = position(offers, [row(A, 10)], split=True, limits=WIDE)
    dark = tuple(replace(each, dark=each.name == "uk") for each in where.channels)
    plan = make_plan(replace(where, channels=dark), AUTO)
    assert [(each.slot.channel, each.target) for each in plan.sends] == [("eu", 8)]
    assert check_plan(plan) == ()
    assert "I4" in broken(replace(plan, position=where)), "of a living one it is seen"


def test_what_each_write_of_a_plan_spends_is_spent_for_the_next() -> None:
    one = offer("eu", Percent(500), shown=2)
    offers = [one, replace(one, slot=replace(one.slot, listing="second"))]
    plan = make_plan(position(offers, [row(A, 10)], split=True, limits=WIDE), AUTO)
    assert len(plan.sends) == 2
    assert [each.unexplained for each in plan.sends] == [3, 3]
    for limits in (replace(WIDE, window_slots=1), replace(WIDE, window_units=5)):
        narrow = replace(plan, position=replace(plan.position, limits=limits))
        assert [each.invariant for each in check_plan(narrow, AUTO)] == ["I15"]


def test_a_raise_to_less_than_may_be_shown_already_makes_no_room_for_the_next() -> None:
    """An open write of eight counts, whatever is sent over it."""
    plan = raising()
    first, second = plan.sends
    where = with_offer(plan, write=8).position
    small = replace(plan, position=where, entries=(replace(first, target=3), replace(second, target=3)))
    assert [each.invariant for each in check_plan(small)] == ["I2"]


def test_a_write_beside_extensivs_own_push_is_ours_in_mode_net_alone() -> None:
    plan = raising()
    theirs = tuple(replace(each, publisher=Publisher.EXTENSIV) for each in plan.position.channels)
    for pushed in (
        with_offer(plan, pushed=True),
        replace(plan, position=replace(plan.position, channels=theirs)),
    ):
        assert broken(pushed) == {"I17"}
        assert broken(replace(pushed, rails=replace(pushed.rails, mode=Mode.NET))) == set()


def test_another_number_than_was_meant_is_seen_before_it_leaves() -> None:
    track = SlotTrack(EU)
    track.restore(reading(5, 1))
    track.plan(intent("i", 1))
    other = replace(intent("i", 1), target=8)
    assert [each.invariant for each in check_write(other, track, NOW)] == ["I18"]


def test_a_write_is_outdated_by_what_a_reading_tells_of_and_not_by_when_it_began() -> None:
    track, write = SlotTrack(EU), intent("i", 10)
    track.restore(reading(5, 10))
    track.plan(write)
    track.restore(replace(reading(4, 15), age_of=Instant(1)))
    assert [each.invariant for each in check_write(write, track, NOW)] == ["I10"]


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.NOT_SENT])
def test_whatever_came_of_a_write_from_an_outdated_reading_it_is_seen(outcome: Outcome) -> None:
    sent = replace(answer("i", 30), outcome=outcome)
    assert history(reading(5, 0), intent("i", 1), reading(4, 15), sent) == {"I10"}
    unsent = replace(sent, outcome=Outcome.NOT_SENT)
    assert history(reading(5, 0), intent("i", 1), reading(4, 15), unsent) == set()
