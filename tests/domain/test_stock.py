"""One stock row through time: how old it is, how often it was said, whether anybody ever counted it."""

from dataclasses import replace

import pytest

from reconcilerd.domain.facts import EXTENSIV, OrderStatus, StockObserved
from reconcilerd.domain.names import Instant, LocationName, Sku
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.stock import StockTrack, agree, first_seen
from tests.domain.books import claimed, order, shop_book

GAP_MS = 10_000


def said(on_hand: int, at: int, *, as_of: int | None = None, unavailable: int = 0) -> StockObserved:
    asked = Instant(at if as_of is None else as_of)
    return StockObserved(Sku("a"), LocationName("2"), on_hand, unavailable, 0, Instant(at), asked)


def track(*readings: StockObserved) -> StockTrack:
    first, *more = readings
    made = first_seen(first)
    for each in more:
        made.observe(each, GAP_MS)
    return made


def test_a_page_of_a_sweep_that_began_earlier_makes_no_row_older() -> None:
    assert track(said(5, 9_000), said(5, 1_000, as_of=9_500)).row.age_of == 9_000


def test_pages_of_one_reading_are_one_voice_however_far_apart_they_were_asked_for() -> None:
    assert track(said(0, 1_000), said(0, 1_000, as_of=99_000)).said == 1
    assert track(said(0, 1_000), said(0, 1_000 + GAP_MS - 1)).said == 1
    assert track(said(0, 1_000), said(0, 1_000 + GAP_MS)).said == 2


@pytest.mark.parametrize(
    ("one", "other", "agreed"), [(5, 10, True), (4, 9, False), (1, 0, False), (0, 0, True), (7, 7, True)]
)
def test_half_of_it_is_about_as_much_and_nothing_is_nothing(one: int, other: int, agreed: bool) -> None:
    assert agree(one, other) is agree(other, one) is agreed


def test_what_is_confirmed_is_what_can_be_sold() -> None:
    """As much on hand as before, and all of it locked now, was said once."""
    locked = said(9, 1_000 + GAP_MS, unavailable=9)
    assert track(said(9, 1_000), locked).said == 1
    assert track(said(9, 1_000), locked, replace(locked, age_of=Instant(1_000 + 2 * GAP_MS))).said == 2


def test_what_was_counted_once_has_been_counted() -> None:
    assert track(said(5, 1_000), said(0, 2_000)).row.counted
    assert not track(said(0, 1_000), said(0, 2_000)).row.counted


@pytest.mark.parametrize(("as_of", "left"), [(2_500, 1), (2_501, 0)])
def test_a_refresh_of_a_copy_proves_what_had_left_before_the_moment_that_the_old_count_tells_of(
    as_of: int, left: int
) -> None:
    """Not before the moment at which that was asked for: a replica may have lagged."""
    book = shop_book(1_000, copied=True)
    book.take(order(EXTENSIV, OrderStatus.SHIPPED, 2_500, place="2"))
    book.take(said(50, 3_000, as_of=as_of))
    book.take(said(49, 4_000))
    assert claimed(book, 4_001, ClaimKind.SHIPPED) == left
