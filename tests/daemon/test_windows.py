"""What each channel's sliding windows have seen: zeros for longer than the rest, and nothing lost by a restart."""

from dataclasses import replace
from types import MappingProxyType

from reconcilerd.daemon.windows import Windows
from reconcilerd.domain.book import Book
from reconcilerd.domain.change import Spent
from reconcilerd.domain.facts import CorrectionPlanned, ListingDeclared, SlotObserved, SlotState
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.domain.policy import Mode
from tests.domain.books import shop_book

UK, EU = ChannelName("uk"), ChannelName("eu")
WINDOW_MS, ZEROS_MS = 1_000, 3_000


def spend(number: int, at: int, *, units: int = 2, zero: bool = False) -> CorrectionPlanned:
    """A fall of some units of a listing of its own, each worth a pound."""
    now = Instant(at)
    return CorrectionPlanned(
        f"c{number}",
        SlotKey(UK, f"item {number}"),
        "x",
        9,
        now,
        9 - units,
        "lag",
        "share",
        now,
        unexplained=units,
        sold_out=zero,
        value=100 * units,
    )


def shows(book: Book, channel: ChannelName, code: str, place: str = "", *, gone: bool = False) -> None:
    slot, at = SlotKey(channel, code, place), Instant(1)
    book.take(
        SlotObserved(slot, code, code, None if gone else 5, SlotState.BUYABLE, False, at, at, gone=gone)
    )


def windows(*changes: CorrectionPlanned) -> Windows:
    made = Windows(WINDOW_MS, ZEROS_MS)
    for each in changes:
        made.spend(each)
    return made


def test_listings_units_and_worth_add_up_within_their_window() -> None:
    seen = windows(spend(1, 0), spend(2, 500), spend(2, 600, units=3), spend(3, 1_000))
    assert seen.spent(UK, Instant(1_000)) == Spent(slots=2, units=7, value=700)
    assert seen.spent(UK, Instant(1_600)) == Spent(slots=1, units=2, value=200)


def test_what_orders_explain_spends_nothing_of_a_window() -> None:
    assert windows(replace(spend(1, 0), unexplained=0)).spent(UK, Instant(1)) == Spent()


def test_zeros_are_counted_over_a_longer_window_of_their_own() -> None:
    seen = windows(spend(1, 0, zero=True), spend(2, 500, zero=True))
    assert seen.spent(UK, Instant(2_000)) == Spent(zeros=2)
    assert seen.spent(UK, Instant(3_000)) == Spent(zeros=1)
    assert seen.spent(UK, Instant(3_500)) == Spent()


def test_what_is_known_outlives_another_length_of_the_window() -> None:
    """And what was let go of is counted again, once, from what the ledger has."""
    seen = windows(spend(1, 0), spend(2, 5_000))
    assert seen.spent(UK, Instant(5_000)).slots == 1, "the first is let go"
    seen.resize(10_000, 10_000, [spend(1, 0)])
    assert seen.spent(UK, Instant(5_001)).slots == 2
    seen.resize(10_000, 10_000, [spend(1, 0), spend(2, 5_000)])
    assert seen.spent(UK, Instant(5_001)) == Spent(slots=2, units=4, value=400)


def test_a_channel_counts_with_its_listings_and_with_its_changes_whether_or_not_it_has_both() -> None:
    seen = windows(spend(1, 0))
    assert seen.onto(Rails(Mode.AUTO), Instant(1)).spent == {UK: Spent(slots=1, units=2, value=200)}
    book = shop_book(0)
    channels = {UK: book.policy.channels[UK], EU: replace(book.policy.channels[UK], sales_channel_id=2)}
    book.policy = replace(book.policy, channels=MappingProxyType(channels))
    for number, code in enumerate("ab", 1):
        book.take(ListingDeclared(2, number, code, Sku(code), False, True, Instant(0)))
    shows(book, EU, "a")
    seen.count(book)
    assert seen.onto(Rails(Mode.AUTO), Instant(1)).spent[EU] == Spent(listings=1)
    shows(book, EU, "b")
    shows(book, UK, "a")
    seen.count(book)
    assert seen.onto(Rails(Mode.AUTO), Instant(1)).spent == {
        EU: Spent(listings=2),
        UK: Spent(slots=1, units=2, value=200, listings=1),
    }


def test_the_share_of_a_window_is_one_of_what_we_may_write() -> None:
    """Not of what other people's places show, of what is gone, and of what is mapped to nothing, or no more."""
    book = shop_book(0)
    shows(book, UK, "a")
    shows(book, UK, "b")
    assert windows().count(book) == {UK: 2}
    shows(book, UK, "a", place="theirs")
    shows(book, UK, "unmapped")
    shows(book, UK, "b", gone=True)
    assert windows().count(book) == {UK: 1}
    shows(book, UK, "b")
    book.take(ListingDeclared(1, 2, "b", Sku("b"), False, False, Instant(1)))
    assert windows().count(book) == {UK: 1}
