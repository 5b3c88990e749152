"""What makes the rails of a single slot trip, read off the facts that a book takes."""

from dataclasses import replace

import pytest

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    OrderStatus,
    Outcome,
    RailLatched,
    SlotObserved,
    SlotState,
    StockObserved,
)
from reconcilerd.domain.habits import Habits, Hand
from reconcilerd.domain.latches import quarantine_name
from reconcilerd.domain.names import Instant, LocationName, Sku
from reconcilerd.domain.policy import SkuRule
from reconcilerd.domain.quantities import Rate
from tests.domain.books import SLOT, order, shop_book

MINUTE = 60_000


def shows(book: Book, quantity: int, at: int) -> tuple[object, ...]:
    """A reading of the slot; what follows from it."""
    moment = Instant(at)
    return book.take(SlotObserved(SLOT, "a", "a", quantity, SlotState.BUYABLE, False, moment, moment)).derived


def writes(book: Book, target: int, at: int, outcome: Outcome = Outcome.APPLIED) -> tuple[object, ...]:
    """A correction and the channel's answer to it; what follows from that."""
    track, moment = book.slots[SLOT], Instant(at)
    assert track.value is not None
    book.take(CorrectionPlanned(f"i{at}", SLOT, "a", track.value, track.as_of, target, "", "", moment))
    return book.take(CorrectionSent(f"i{at}", SLOT, outcome, "no such value", moment, moment)).derived


def latches(facts: tuple[object, ...]) -> list[str]:
    return [fact.name for fact in facts if isinstance(fact, RailLatched)]


@pytest.mark.parametrize(("apart", "trips"), [(10 * MINUTE, True), (40 * MINUTE, False)])
def test_another_hand_that_changes_ours_away_three_times_an_hour_trips(apart: int, trips: bool) -> None:
    book, at, found = shop_book(0), 0, list[str]()
    shows(book, 10, at)
    for _ in range(3):
        at += apart
        writes(book, 20, at)
        shows(book, 20, at + MINUTE)
        found += latches(shows(book, 90, at + 2 * MINUTE))
    assert found == (["tug-of-war:uk/item/"] if trips else [])
    assert bool(book.latches.on(Instant(at + 3 * MINUTE))) is trips


def test_what_extensiv_pushes_to_by_declaration_has_no_other_hand() -> None:
    book, at, found = shop_book(0), 0, list[str]()
    for each in list(book.listings.values()):
        book.take(replace(each, push_inventory=True, as_of=Instant(1)))
    shows(book, 10, 1)
    for _ in range(4):
        at += 5 * MINUTE
        writes(book, 20, at)
        shows(book, 20, at + MINUTE)
        found += latches(shows(book, 90, at + 2 * MINUTE))
    assert found == []


def test_what_sells_or_drifts_by_itself_is_no_other_hand() -> None:
    book, at, found = shop_book(0), 0, list[str]()
    shows(book, 10, at)
    for _ in range(5):
        at += 5 * MINUTE
        writes(book, 20, at)
        found += latches(shows(book, 17, at + MINUTE))
    assert found == []


def test_what_orders_say_was_sold_was_taken_by_no_other_hand() -> None:
    """Nor what may well have been sold besides."""
    book, at, found = shop_book(0), 0, list[str]()
    shows(book, 200, at)
    for number in range(4):
        at += 5 * MINUTE
        writes(book, 200, at)
        for one in range(12):
            sold = order("uk", OrderStatus.OPEN, at, placed=at + 1_000, units=5, number=f"{number}-{one}")
            book.take(sold)
        found += latches(shows(book, 100, at + MINUTE))
    assert found == []


def test_a_reading_that_proves_wrong_is_no_other_hand() -> None:
    """A feed that says something else now and then, and what is shown again at the next look."""
    book, at, found = shop_book(0), 0, list[str]()
    shows(book, 10, at)
    writes(book, 20, at := at + MINUTE)
    for wrong in (0, 90, 0, 90, 0):
        found += latches(shows(book, wrong, at + MINUTE))
        found += latches(shows(book, 20, at := at + 2 * MINUTE))
    assert found == []
    for trips in (False, False, True):
        assert bool(latches(shows(book, 90, at + MINUTE))) is trips, "what was changed indeed still counts"
        writes(book, 20, at := at + 2 * MINUTE)
        shows(book, 20, at := at + MINUTE)


def cancels(book: Book, number: int, at: int, heard: int, units: int = 2) -> None:
    """A customer cancels what was ordered long ago, and the channel's list of orders shows it later."""
    sold = order("uk", OrderStatus.OPEN, 0, placed=-10 * MINUTE, units=units, number=f"{number}")
    left = (replace(sold.lines[0], units=0),)
    gone = replace(sold, status=OrderStatus.CANCELLED, lines=left, ended_at=Instant(at), as_of=Instant(heard))
    book.take(replace(gone, modified=Instant(heard)))


@pytest.mark.parametrize("units", [1, 2])
@pytest.mark.parametrize(("more", "trips"), [(0, False), (1, True)])
def test_what_customers_give_back_was_put_back_by_no_other_hand(more: int, trips: bool, units: int) -> None:
    """Though it is heard of after the number has risen, and the last of it not yet."""
    book, at, found = shop_book(0), 0, list[str]()
    for number in range(6):
        book.take(order("uk", OrderStatus.OPEN, 0, placed=-10 * MINUTE, units=units, number=f"{number}"))
    shows(book, 10, at)
    for number in range(6):
        at += 5 * MINUTE
        writes(book, 20, at)
        shows(book, 20, at + MINUTE)
        found += latches(shows(book, 20 + units + more, at + 2 * MINUTE))
        cancels(book, number, at + MINUTE + 500, at + 3 * MINUTE, units)
    assert (found[:1] == ["tug-of-war:uk/item/"]) is trips
    assert book.slots[SLOT].habits.hands


@pytest.mark.parametrize(("more", "trips"), [(0, False), (1, True)])
def test_what_customers_buy_was_taken_by_no_other_hand(more: int, trips: bool) -> None:
    """Two of them at once of what hardly ever sells, again and again, heard of after the number has fallen."""
    book, at, found = shop_book(0), 0, list[str]()
    book.policy = replace(book.policy, default_sku=SkuRule(rate=Rate(0)))
    shows(book, 10, at)
    for number in range(6):
        at += 9 * MINUTE
        writes(book, 20, at)
        shows(book, 20, at + MINUTE)
        found += latches(shows(book, 18 - more, at + 2 * MINUTE))
        heard, placed = at + 3 * MINUTE, at + MINUTE + 500
        for one in "ab":
            book.take(order("uk", OrderStatus.OPEN, heard, placed=placed, number=f"{number}{one}"))
    assert (found[:1] == ["tug-of-war:uk/item/"]) is trips
    assert book.slots[SLOT].habits.hands


def test_no_cancel_excuses_who_takes_units_away() -> None:
    book, at, found = shop_book(0), 0, list[str]()
    for number in range(300):
        book.take(order("uk", OrderStatus.OPEN, 0, placed=-10 * MINUTE, units=2, number=f"{number}"))
    shows(book, 10, at)
    for times in range(3):
        at += 5 * MINUTE
        writes(book, 190, at)
        shows(book, 190, at + MINUTE)
        for number in range(100):
            cancels(book, 100 * times + number, at + MINUTE + 500, at + MINUTE + 1_000)
        found += latches(shows(book, 10, at + 2 * MINUTE))
    assert found[:1] == ["tug-of-war:uk/item/"]


def test_of_what_customers_gave_back_by_then_nobody_says_that_somebody_else_moved_it() -> None:
    book = shop_book(0)
    book.take(order("uk", OrderStatus.OPEN, 0, placed=-10 * MINUTE, units=2, number="0"))
    shows(book, 10, 0)
    writes(book, 20, MINUTE)
    cancels(book, 0, 2 * MINUTE, 2 * MINUTE)
    shows(book, 22, 3 * MINUTE)
    assert book.slots[SLOT].surprise == 0
    shows(book, 25, 4 * MINUTE)
    assert book.slots[SLOT].surprise == 3


def changed_away(times: int) -> tuple[Book, int, list[str]]:
    """A slot that another hand changes back, every five minutes; when it last was written, and what tripped."""
    book, at, found = shop_book(0), 0, list[str]()
    shows(book, 10, at)
    for _ in range(times):
        at += 5 * MINUTE
        writes(book, 20, at)
        found += latches(shows(book, 90, at + MINUTE))
    return book, at, found


def test_a_reset_forgets_what_led_to_it() -> None:
    book, at, found = changed_away(3)
    name = "tug-of-war:uk/item/"
    assert found == [name]
    book.take(RailLatched(name, False, "ops", "found it", Instant(at + 2 * MINUTE)))
    writes(book, 20, at + 3 * MINUTE)
    assert latches(shows(book, 90, at + 4 * MINUTE)) == []


def test_a_tug_of_war_that_is_latched_is_not_told_again_while_it_goes_on() -> None:
    assert changed_away(6)[2] == ["tug-of-war:uk/item/"]


def test_the_same_value_refused_three_times_in_a_row_is_parked() -> None:
    book = shop_book(0)
    shows(book, 10, 0)
    assert latches(writes(book, 20, 1_000, Outcome.REFUSED)) == []
    assert latches(writes(book, 20, 2_000, Outcome.REFUSED)) == []
    name = quarantine_name(SLOT.path, 20)
    assert latches(writes(book, 20, 3_000, Outcome.REFUSED)) == [name]
    hours = 6 * 60 * MINUTE
    assert book.latches.on(Instant(3_000 + hours - 1)) == {name}
    assert book.latches.on(Instant(3_000 + hours)) == frozenset()


def test_another_value_begins_the_count_anew() -> None:
    book = shop_book(0)
    shows(book, 10, 0)
    for number, value in enumerate((20, 20, 21, 20, 20), 1):
        assert latches(writes(book, value, number * 1_000, Outcome.REFUSED)) == []


def test_readings_closer_together_than_the_gap_count_once() -> None:
    book = shop_book(0)
    key = (Sku("a"), LocationName("1"))

    def read(units: int, at: int) -> int:
        moment = Instant(at)
        book.take(StockObserved(*key, units, 0, 0, moment, moment))
        return book.stock[key].said

    assert [read(0, at) for at in (100_000, 105_000, 110_000, 119_999, 120_000)] == [1, 1, 2, 2, 3]
    assert read(1, 130_000) == 1
    assert book.stock[key].row.counted


def test_a_row_that_never_said_more_than_nothing_was_never_counted() -> None:
    book = shop_book(0)
    new = StockObserved(Sku("z"), LocationName("1"), 0, 0, 0, Instant(1), Instant(1))
    taken = book.take(new)
    assert taken.instead == new
    later = replace(new, as_of=Instant(2), age_of=Instant(2))
    assert book.take(replace(later, on_hand=5)).news
    book.take(replace(new, as_of=Instant(3), age_of=Instant(3)))
    assert book.stock[Sku("z"), LocationName("1")].row.counted


def test_a_parked_value_that_is_reset_is_tried_as_often_again() -> None:
    book, name = shop_book(0), quarantine_name(SLOT.path, 20)
    shows(book, 10, 0)
    refused = [latches(writes(book, 20, at, Outcome.REFUSED)) for at in (1_000, 2_000, 3_000)]
    assert refused == [[], [], [name]]
    book.take(RailLatched(name, False, "ops", "the store was mended", Instant(4_000)))
    refused = [latches(writes(book, 20, at, Outcome.REFUSED)) for at in (5_000, 6_000, 7_000)]
    assert refused == [[], [], [name]]


def test_a_reset_of_what_no_slot_led_to_forgives_no_slot() -> None:
    book, at, found = changed_away(2)
    assert found == []
    for name in ("zeros:uk", "tug-of-war:uk/other/", "all-changed:extensiv.stock"):
        book.take(RailLatched(name, False, "ops", "x", Instant(at + 2 * MINUTE)))
    writes(book, 20, at + 3 * MINUTE)
    assert latches(shows(book, 90, at + 4 * MINUTE)) == ["tug-of-war:uk/item/"]


def test_a_window_ends_where_it_began_and_what_was_seen_by_then_stands() -> None:
    habits = Habits([Hand(Instant(0), Instant(at), 5) for at in (100, 101, 200)])
    last = Hand(Instant(200), Instant(300), 5)
    assert [each.at for each in habits.changed_away(last, 200)] == [101, 200, 300]
    habits.no_hand(Instant(200))
    assert [each.at for each in habits.hands] == [101, 200]


def test_a_clock_that_was_set_back_holds_no_slot_for_what_was_written_by_its_time_before() -> None:
    habits, now = Habits(), Instant(200 * MINUTE)
    for number in range(120):
        habits.tried(Instant(now - number))
    assert habits.attempts(now) == 120
    back = Instant(now - 180 * MINUTE)
    assert habits.attempts(back) == 0
    habits.tried(back)
    assert habits.attempts(back) == 1


def test_refusals_with_something_taken_between_them_are_no_row() -> None:
    book = shop_book(0)
    shows(book, 10, 0)
    for turn in range(1, 6):
        assert latches(writes(book, 20, turn * MINUTE, Outcome.REFUSED)) == []
        writes(book, 12, turn * MINUTE + 1)
    assert latches(writes(book, 20, 10 * MINUTE, Outcome.REFUSED)) == []
    writes(book, 12, 11 * MINUTE, Outcome.UNKNOWN)
    writes(book, 20, 12 * MINUTE, Outcome.REFUSED)
    assert latches(writes(book, 20, 13 * MINUTE, Outcome.REFUSED)) != [], "an answer that never came is none"


def test_a_write_of_before_the_start_is_recalled_once() -> None:
    habits = Habits()
    habits.tried(Instant(5))
    for at, target in ((5, 40), (9, 60), (9, 50)):
        habits.recall(Instant(at), target)
    assert (habits.attempts(Instant(10)), habits.last_good) == (2, 60)
