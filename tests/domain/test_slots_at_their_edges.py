"""One slot through time: what windows, answers and readings say at the moments where they meet."""

from copy import deepcopy
from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    Fact,
    OrderStatus,
    Outcome,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.habits import Habits
from reconcilerd.domain.names import Instant
from reconcilerd.domain.position import ClaimKind
from tests.domain.books import LAG_MS, SLOT, UK, claimed, order, position_at, see, shop_book, swept

TRIED = (ClaimKind.INFERRED, ClaimKind.UNSETTLED)


def write(book: Book, id_: str, target: int, read: int, based_on: int, at: int) -> None:
    under = tuple((o.id, o.target, o.before, o.based_on, o.sent) for o in book.slots[SLOT].open)
    book.take(
        CorrectionPlanned(
            id_, SLOT, "a", read, Instant(based_on), target, "lag", "share", Instant(at), under=under
        )
    )


def answer(book: Book, id_: str, outcome: Outcome, sent: int, at: int) -> None:
    book.take(CorrectionSent(id_, SLOT, outcome, "", Instant(sent), Instant(at)))


def comparing() -> Book:
    book = shop_book(1_000)
    channels = {UK: replace(book.policy.channels[UK], compare_and_set=True)}
    book.policy = replace(book.policy, channels=MappingProxyType(channels))
    return book


def windows(book: Book) -> list[tuple[int, int]]:
    return [(each.since, each.to) for each in book.slots[SLOT].buried]


def test_what_sold_between_a_reading_and_the_write_it_led_to_is_part_of_the_fall_that_confirms_it() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    book.take(order("uk", OrderStatus.OPEN, 2_500, placed=2_000, units=2))
    write(book, "w", 60, 50, 1_000, 3_000)
    answer(book, "w", Outcome.ACCEPTED, 3_001, 3_002)
    see(book, 58, 4_000)
    assert book.slots[SLOT].open == ()
    assert claimed(book, 4_000, *TRIED) == 0, "an order explains it"


def test_how_far_a_number_in_doubt_falls_tells_nothing() -> None:
    book = comparing()
    for at, read in ((1_000, 50), (2_000, 5_000), (3_000, 4_000)):
        see(book, read, at)
    assert claimed(book, 3_000, *TRIED) == 4, "what may have sold in a second"


def test_a_rise_at_the_end_of_a_write_that_missed_leaves_the_wider_window() -> None:
    book = shop_book(1_000)
    see(book, 30, 1_000)
    write(book, "w", 40, 30, 1_000, 1_050)
    answer(book, "w", Outcome.ACCEPTED, 1_050, 1_100)
    see(book, 30, 40_000)
    see(book, 45, 90_000)
    assert windows(book) == [(1_000, 90_000)]


@pytest.mark.parametrize(("asked", "suspect"), [(2_099, True), (2_100, False)])
def test_a_reading_asked_for_when_a_compare_had_failed_is_a_newer_one(asked: int, suspect: bool) -> None:
    book = comparing()
    see(book, 30, 1_000)
    write(book, "w", 40, 30, 1_000, 2_000)
    answer(book, "w", Outcome.STALE, 2_000, 2_100)
    see(book, 30, asked)
    (view,) = position_at(book, 2_200).offers
    assert view.suspect is suspect


def test_an_intent_from_an_older_reading_does_not_bring_its_number_back() -> None:
    book = shop_book(1_000)
    see(book, 30, 1_000)
    see(book, 28, 5_000)
    write(book, "w", 40, 30, 1_000, 5_001)
    (view,) = position_at(book, 5_002).offers
    assert (view.read, view.as_of) == (28, 5_000)


def test_what_a_compare_was_answered_is_newer_than_a_reading_begun_while_it_was_under_way() -> None:
    book = comparing()
    see(book, 30, 1_000)
    write(book, "w", 40, 30, 1_000, 2_000)
    see(book, 30, 2_050)
    answer(book, "w", Outcome.APPLIED, 2_000, 2_100)
    assert [each.read for each in position_at(book, 2_200).offers] == [40]


@pytest.mark.parametrize(("age_of", "as_of", "open_"), [(1_500, 2_001, 0), (3_000, 1_999, 1)])
def test_a_write_is_ended_by_when_a_reading_tells_of_and_not_by_when_it_began(
    age_of: int, as_of: int, open_: int
) -> None:
    """A sweep began before the write and came to this page after it; a replica lags behind what was asked for."""
    book = shop_book(1_000)
    see(book, 30, 1_000)
    write(book, "w", 40, 30, 1_000, 1_000)
    answer(book, "w", Outcome.ACCEPTED, 1_900, 2_000)
    seen = SlotObserved(SLOT, "a", "A", 40, SlotState.BUYABLE, False, Instant(age_of), Instant(as_of))
    book.take(seen)
    assert len(book.slots[SLOT].open) == open_


@pytest.mark.parametrize(("as_of", "open_"), [(42_000, 1), (42_001, 0)])
def test_a_write_is_missed_by_when_a_reading_tells_of_and_not_by_when_it_began(
    as_of: int, open_: int
) -> None:
    book = shop_book(1_000)
    see(book, 30, 1_000)
    write(book, "w", 40, 30, 1_000, 1_000)
    answer(book, "w", Outcome.ACCEPTED, 1_900, 2_000)
    now = Instant(as_of)
    book.take(SlotObserved(SLOT, "a", "A", 30, SlotState.BUYABLE, False, Instant(41_000), now))
    assert len(book.slots[SLOT].open) == open_


def test_a_clock_that_went_back_keeps_no_reading_out_for_an_answer_that_is_now_to_come() -> None:
    book = comparing()
    see(book, 30, 1_000)
    write(book, "w", 40, 30, 1_000, 19_000)
    answer(book, "w", Outcome.APPLIED, 19_500, 20_000)
    book.turn_back(Instant(5_000))
    see(book, 38, 6_000)
    assert [each.read for each in position_at(book, 6_001).offers] == [38]


def test_what_a_hand_had_put_there_lowers_nobody_when_it_is_gone_again() -> None:
    """One sold of what was there before; the five that were put there may have sold, or were taken back."""
    book = comparing()
    for at, read in ((1_000, 50), (2_000, 55), (3_000, 49)):
        see(book, read, at)
    assert claimed(book, 3_000, ClaimKind.INFERRED) == 1
    assert claimed(book, 3_000, ClaimKind.UNSETTLED) == 5


def test_what_a_compare_was_answered_is_as_old_as_its_question() -> None:
    book = comparing()
    see(book, 30, 1_000)
    write(book, "w", 40, 30, 1_000, 2_000)
    answer(book, "w", Outcome.APPLIED, 2_500, 9_000)
    assert [(each.as_of, each.age_of) for each in position_at(book, 9_001).offers] == [(2_500, 2_500)]


@pytest.mark.parametrize("taken", [Outcome.ACCEPTED, Outcome.UNKNOWN])
def test_a_write_that_was_not_refused_ends_the_row_of_refusals(taken: Outcome) -> None:
    rests = []
    for second in (Outcome.REFUSED, taken):
        book = shop_book(1_000)
        see(book, 30, 1_000)
        for number, outcome in enumerate((Outcome.REFUSED, second, Outcome.REFUSED)):
            write(book, f"w{number}", 40, 30, 1_000, 2_000)
            answer(book, f"w{number}", outcome, 2_000, 2_000)
        rests.append(book.slots[SLOT].not_before - 2_000)
    assert rests == [120_000, 30_000]


@pytest.mark.parametrize(("through", "left"), [(89_999, [(1_000, 90_000)]), (90_000, [])])
def test_a_window_in_which_sales_may_be_buried_ends_with_the_orders_of_its_last_moment(
    through: int, left: list[tuple[int, int]]
) -> None:
    book = shop_book(1_000)
    see(book, 30, 1_000)
    write(book, "w", 40, 30, 1_000, 1_050)
    answer(book, "w", Outcome.ACCEPTED, 1_050, 1_100)
    see(book, 30, 90_000)
    swept(book, "uk.orders", through + LAG_MS)
    assert windows(book) == left


@pytest.mark.parametrize(("compares", "fallen"), [(True, 6), (False, 0)])
def test_what_fell_while_a_compare_was_under_way_that_never_wrote_is_a_fall(
    compares: bool, fallen: int
) -> None:
    """Its call broke; the number went on selling from what it was when the write was decided.

    Of a write that compares nothing nobody can tell: it may have come and sold.
    """
    book = comparing() if compares else shop_book(1_000)
    see(book, 30, 1_000)
    write(book, "w", 40, 30, 1_000, 1_050)
    answer(book, "w", Outcome.UNKNOWN, 1_050, 1_100)
    see(book, 24, 10_000)
    assert claimed(book, 10_000, *TRIED) == 0, "the write may still come"
    see(book, 24, 90_000)
    assert book.slots[SLOT].open == ()
    assert claimed(book, 90_000, *TRIED) == fallen


def test_what_sells_below_zero_is_a_fall_like_any() -> None:
    book = comparing()
    for at, shown, owed, fallen in (
        (1_000, 2, 0, 0),
        (5_000, 0, 3, 5),
        (9_000, 0, 8, 10),
        (13_000, 0, 6, 10),
    ):
        moment = Instant(at)
        state = SlotState.BUYABLE
        book.take(SlotObserved(SLOT, "a", "A", shown, state, True, moment, moment, below_zero=owed))
        assert claimed(book, at, *TRIED) == fallen, "what comes back is no sale"


@pytest.mark.parametrize(("read", "held"), [(50_000, 0), (50_001, 1)])
def test_a_late_reading_of_what_all_orders_are_known_of_holds_nothing_back(read: int, held: int) -> None:
    """A channel's numbers may come later than its orders: the fall is over when it is first read of."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    swept(book, "uk.orders", 50_000 + LAG_MS)
    see(book, 49, read)
    assert (len(book.slots[SLOT].inferred), claimed(book, read, *TRIED)) == (held, held)
    assert book.slots[SLOT].surprise == held - 1, "somebody else took the one that no order tells of"


@pytest.mark.parametrize("shows", [50, 47])
def test_a_reading_after_a_compare_that_failed_is_believed_by_whoever_loads_it_too(shows: int) -> None:
    """Though it may say what the last one said: then it is news that it is so."""
    book = comparing()
    see(book, 50, 1_000)
    write(book, "w", 60, 50, 1_000, 1_050)
    answer(book, "w", Outcome.STALE, 1_050, 1_100)
    loaded = deepcopy(book.slots[SLOT])
    assert (loaded.value, loaded.suspect_since) == (50, 1_100)
    moment = Instant(1_100)
    reading = SlotObserved(SLOT, "a", "A", shows, SlotState.BUYABLE, False, moment, moment)
    assert book.take(reading).news
    loaded.restore(reading)
    assert [each.suspect_since for each in (book.slots[SLOT], loaded)] == [None, None]
    assert not book.take(replace(reading, as_of=Instant(1_200), age_of=Instant(1_200))).news


@pytest.mark.parametrize("owed", [0, 3])
def test_a_compare_that_never_wrote_tells_of_no_sale_where_nothing_moved(owed: int) -> None:
    """However far below zero the number stood all along."""
    book = comparing()

    def shows(below: int, at: int) -> None:
        moment = Instant(at)
        book.take(SlotObserved(SLOT, "a", "A", 0, SlotState.BUYABLE, True, moment, moment, below_zero=below))

    shows(owed, 1_000)
    book.take(
        CorrectionPlanned(
            "w", SLOT, "a", 0, Instant(1_000), 5, "lag", "share", Instant(1_050), owed=owed, under=()
        )
    )
    answer(book, "w", Outcome.UNKNOWN, 1_050, 1_100)
    shows(owed, 90_000)
    assert (book.slots[SLOT].open, book.slots[SLOT].inferred) == ((), [])
    shows(owed + 2, 95_000)
    assert claimed(book, 95_000, *TRIED) == 2


def test_what_fell_while_several_compares_were_under_way_that_never_wrote_is_one_fall_since_the_first() -> (
    None
):
    book = comparing()
    see(book, 50, 1_000)
    write(book, "first", 40, 50, 1_000, 1_050)
    answer(book, "first", Outcome.UNKNOWN, 1_050, 1_100)
    write(book, "second", 30, 50, 1_000, 2_050)
    answer(book, "second", Outcome.UNKNOWN, 2_050, 2_100)
    see(book, 46, 20_000)
    assert claimed(book, 20_000, *TRIED) == 0, "either may still come"
    see(book, 46, 90_000)
    assert book.slots[SLOT].open == ()
    assert [(each.since, each.to, each.fall) for each in book.slots[SLOT].inferred] == [(1_000, 90_000, 4)]


def test_that_a_number_was_only_answered_outlives_a_restart_whatever_was_planned_since() -> None:
    book = comparing()
    see(book, 10, 1_000)
    write(book, "first", 4, 10, 1_000, 2_000)
    told = book.take(CorrectionSent("first", SLOT, Outcome.APPLIED, "", Instant(2_000), Instant(2_100)))
    track, seen = book.slots[SLOT], book.slots[SLOT].seen
    assert isinstance(told.instead, CorrectionSent)
    assert seen is not None
    second = CorrectionPlanned(
        "second", SLOT, "a", 4, track.as_of, 3, "lag", "share", Instant(3_000), under=()
    )
    loaded = comparing()
    loaded.load([seen, told.instead, second], Instant(5_000))
    assert (loaded.slots[SLOT].value, loaded.slots[SLOT].last_written) == (4, 4)
    assert loaded.slots[SLOT].firm_since == track.firm_since == 2_100
    see(loaded, 10, 2_050)
    assert loaded.slots[SLOT].value == 4, "it was asked for before the number was answered"


def test_a_start_knows_how_far_below_zero_a_listing_was_at_each_write_under_way() -> None:
    """Two of which nobody knows what became of them, and it is read again as it was: nothing was sold."""
    below = SlotObserved(
        SLOT, "a", "A", 0, SlotState.BUYABLE, False, Instant(1_000), Instant(1_000), below_zero=3
    )
    live, kept = comparing(), list[Fact]()
    live.take(below)
    for number, target in (("one", 5), ("two", 4)):
        under = tuple((o.id, o.target, o.before, o.based_on, o.sent) for o in live.slots[SLOT].open)
        planned = CorrectionPlanned(
            number, SLOT, "a", 0, Instant(1_000), target, "lag", "share", Instant(2_000), under=under, owed=3
        )
        live.take(planned)
        last = CorrectionSent(number, SLOT, Outcome.UNKNOWN, "", Instant(2_001), Instant(2_002))
        # The ledger's state has the newest of each kind.
        kept = [planned, live.take(last).instead or last]
    started = comparing()
    started.load((*live.products.values(), *live.listings.values(), below, *kept), Instant(3_000))
    for book in (live, started):
        assert [each.owed for each in book.slots[SLOT].open] == [3, 3]
        book.take(replace(below, as_of=Instant(900_000), age_of=Instant(900_000)))
        assert (*book.slots[SLOT].open, *book.slots[SLOT].inferred) == ()


def test_writes_by_a_clock_that_was_set_back_count_no_second_time_when_their_moment_comes_again() -> None:
    hour = 3_600_000
    habits = shop_with_tries(at=15 * hour)
    habits.turn_back(Instant(12 * hour))
    habits.tried(Instant(12 * hour))
    counted = [habits.attempts(Instant(moment)) for moment in (12 * hour, 15 * hour + 10 * 60_000)]
    assert counted == [1, 0]


def shop_with_tries(at: int) -> Habits:
    """Three writes were planned, each a second after the other."""
    habits = Habits()
    for number in range(3):
        habits.tried(Instant(at + number * 1_000))
    return habits
