"""How old an entry is goes by what was lived through since: no leap of the clock makes much of it, nor does sleep."""

from itertools import accumulate, pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from reconcilerd.domain.names import Instant
from reconcilerd.ledger.lived import LEAST_MS, PART, PARTS, aged, reaches, reckoned

DAY_MS = 86_400_000
KEPT_MS = 90 * DAY_MS
short = st.integers(0, LEAST_MS)
steps = st.lists(short | st.integers(0, 40 * DAY_MS), min_size=1, max_size=40)


def cut(times: list[int], now: int, kept: int) -> Instant:
    """What is kept that was written at such times, numbered from one."""
    return reckoned(Instant(now - kept), Instant(now), 1, len(times), lambda seq: times[seq - 1])


def going(times: list[int], now: int, kept: int) -> int:
    """How many of what was written at such times are old by what was lived through since."""
    return aged(Instant(now - kept), Instant(now), 1, len(times), lambda seq: times[seq - 1])


@given(st.lists(short, min_size=1, max_size=60), st.integers(-DAY_MS, 90 * LEAST_MS))
@example([0, 0], 0)
def test_where_the_clock_never_leaps_it_alone_says_what_is_old(passed: list[int], kept: int) -> None:
    *times, now = accumulate(passed, initial=1)
    assert cut(times, now, kept) == now - kept
    gone = going(times, now, kept)
    assert all((number < gone) == (at < now - kept) for number, at in enumerate(times) if at != now - kept)


@given(steps, st.integers(1, 100 * DAY_MS))
@example([1, 400 * DAY_MS], KEPT_MS)
def test_what_goes_is_what_so_much_was_lived_through_after(passed: list[int], kept: int) -> None:
    """Worked out the long way: from each entry to the next, a step counts for so much and no more."""
    *times, now = accumulate(passed, initial=1)
    most = max(kept // PART, LEAST_MS)
    before = cut(times, now, kept)
    assert before <= now - kept, "younger by the clock than asked"
    for number, at in enumerate(times):
        age = sum(min(later - earlier, most) for earlier, later in pairwise([*times[number:], now]))
        if age < kept or at >= now - kept:
            assert at >= before
        if age > kept and at < now - kept:
            assert at < before
        if age != kept:
            assert (number < going(times, now, kept)) == (age > kept)


WRONG_FOR_A_WHILE = (
    st.lists(short, min_size=2, max_size=60),
    st.integers(-2_000 * DAY_MS, 2_000 * DAY_MS),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(LEAST_MS, 60 * LEAST_MS),
)
"""What passed between entries; how wrong the clock was, from which entry on and until which; and what is kept."""


@given(*WRONG_FOR_A_WHILE)
def test_a_clock_that_is_wrong_for_a_while_makes_nothing_much_older(
    passed: list[int], wrong: int, since: int, until: int, kept: int
) -> None:
    """Whether it is right again when somebody asks, or not: nothing goes that is younger by more than one step."""
    *times, now = accumulate(passed, initial=3_000 * DAY_MS)
    shown = [at + wrong * (since <= number < until) for number, at in enumerate(times)]
    still = now + wrong * (since <= len(times) < until)
    before = cut(shown, still, kept)
    most = max(kept // PART, LEAST_MS)
    for at, told in zip(times, shown, strict=True):
        if told == at and before > told:
            assert now - at >= kept - most


@given(st.integers(0, 1_000))
def test_a_daemon_that_slept_lets_go_as_it_lives_on_and_of_all_by_and_by(days: int) -> None:
    """An entry an hour for a hundred days, a year's sleep, and so many days since."""
    hours = [hour * LEAST_MS for hour in range(100 * 24)]
    woken = hours[-1] + 365 * DAY_MS
    lately = [woken + hour * LEAST_MS for hour in range(days * 24 + 1)]
    before = cut(hours + lately, lately[-1], KEPT_MS)
    left = sum(at >= before for at in hours)
    assert left == 0 if days >= 90 else left >= (88 - days) * 24
    assert sum(at >= before for at in lately) <= 90 * 24 + 1


def test_of_a_million_entries_few_are_asked_for() -> None:
    asked = list[int]()
    every = 90 * DAY_MS // 1_000_000

    def at(seq: int) -> int:
        asked.append(seq)
        return seq * every

    now = Instant(1_000_000 * every)
    assert reckoned(Instant(now - KEPT_MS), now, 1, 1_000_000, at) == now - KEPT_MS
    assert len(asked) < 1_000


@given(*WRONG_FOR_A_WHILE)
def test_what_a_wrong_clock_wrote_neither_goes_much_too_early_nor_holds_back_what_follows(
    passed: list[int], wrong: int, since: int, until: int, kept: int
) -> None:
    """By no more than a step each time the clock was set, and one more for where it is looked at."""
    *times, now = accumulate(passed, initial=3_000 * DAY_MS)
    shown = [at + wrong * (since <= number < until) for number, at in enumerate(times)]
    most = max(kept // PART, LEAST_MS)
    gone = going(shown, now, kept)
    assert all(now - at >= kept - 2 * most for at in times[:gone])
    assert all(now - at <= kept + 4 * most for at in times[gone:])


@given(st.integers(0, 400), st.integers(0, 400), st.integers(-5, 5))
def test_where_all_that_are_old_come_first_they_go_to_the_last_one(old: int, young: int, first: int) -> None:
    assert reaches(first, first + old + young - 1, lambda seq: seq < first + old) == first + old - 1


@given(st.lists(st.booleans(), max_size=PARTS - 1))
def test_most_that_go_are_old_and_most_that_stay_are_not_wherever_one_looks_from_the_edge(
    old: list[bool],
) -> None:
    edge = reaches(1, len(old), lambda seq: old[seq - 1])
    assert all(2 * sum(old[start:edge]) > edge - start for start in range(edge))
    assert all(2 * sum(old[edge:end]) <= end - edge for end in range(edge, len(old) + 1))


@given(st.integers(1, 5_000), st.integers(1, 5_000), st.data())
def test_one_that_is_dated_wrong_moves_the_edge_by_little(old: int, young: int, data: st.DataObject) -> None:
    """Not at all, but beside the edge, by as much as lies between two that were asked for."""
    count = old + young
    wrong = data.draw(st.integers(1, count))
    edge = reaches(1, count, lambda seq: (seq <= old) != (seq == wrong))
    assert abs(edge - old) <= 2 * max(1, count // PARTS)
    if abs(wrong - old) > 4 * max(1, count // PARTS) and count < PARTS:
        assert edge == old


def test_of_a_million_entries_few_are_asked_for_their_dates() -> None:
    asked = list[int]()

    def old(seq: int) -> bool:
        asked.append(seq)
        return seq <= 123_456

    assert reaches(1, 1_000_000, old) == 123_456
    assert len(asked) < 1_000
