"""A copy of somebody else's count that stands still while orders leave: told by several shipments, by nothing less."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import EXTENSIV, OrderStatus
from reconcilerd.domain.mirrors import SHIPMENTS, Frozen, frozen_mirrors
from reconcilerd.domain.names import Instant, LocationName
from reconcilerd.domain.policy import LocationRule
from tests.domain.books import order, row, shop_book

PLACE = LocationName("1")
LATE_MS = 1_800_000
STARTED = 500
LONG_AFTER = Instant(10 * LATE_MS)


def mirrored(rule: LocationRule = LocationRule(mirror=True, mirror_max_ms=LATE_MS)) -> Book:  # noqa: B008 - frozen
    book = shop_book(STARTED)
    book.awake_since = Instant(STARTED)
    book.policy = replace(book.policy, locations=MappingProxyType({PLACE: rule}))
    return book


def ship(
    book: Book, number: int, at: int, place: str = "1", status: OrderStatus = OrderStatus.SHIPPED
) -> None:
    book.take(order(EXTENSIV, status, at, place=place, number=str(number)))


def test_several_shipments_that_should_have_shown_by_now_tell_it() -> None:
    book = mirrored()
    for number in range(SHIPMENTS):
        ship(book, number, 2_000 + number)
    assert frozen_mirrors(book, LONG_AFTER) == {PLACE: Frozen(Instant(STARTED), SHIPMENTS, Instant(2_000))}


@pytest.mark.parametrize("why", ["few", "young", "before a change", "elsewhere", "open", "our own count"])
def test_less_than_that_tells_nothing(why: str) -> None:
    book = mirrored(LocationRule()) if why == "our own count" else mirrored()
    for number in range(SHIPMENTS - (why == "few")):
        ship(
            book,
            number,
            2_000 + number,
            "2" if why == "elsewhere" else "1",
            OrderStatus.OPEN if why == "open" else OrderStatus.SHIPPED,
        )
    if why == "before a change":
        # Whichever row it is: the warehouse was heard of.
        row(book, "1", 7, 3_000)
    now = Instant(2_000 + LATE_MS) if why == "young" else LONG_AFTER
    assert frozen_mirrors(book, now) == ({} if why == "our own count" else {PLACE: None})


def test_what_was_shipped_after_the_last_change_counts_alone() -> None:
    book = mirrored()
    for number in range(SHIPMENTS):
        ship(book, number, 2_000 + number)
    row(book, "1", 7, 3_000)
    for number in range(SHIPMENTS + 1):
        ship(book, 10 + number, 4_000 + number)
    told = Frozen(Instant(3_000), SHIPMENTS + 1, Instant(4_000))
    assert frozen_mirrors(book, LONG_AFTER) == {PLACE: told}
