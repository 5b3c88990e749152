"""One slot through time: what windows, answers and readings say at the moments where they meet."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    OrderStatus,
    Outcome,
    SlotObserved,
    SlotState,
)
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
