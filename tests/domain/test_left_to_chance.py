"""Rules that other tests meet by chance alone: each is told here by itself."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from reconcilerd.domain.book import Book
from reconcilerd.domain.change import Change, explained_units
from reconcilerd.domain.facts import (
    EXTENSIV,
    ListingDeclared,
    OrderStatus,
    Outcome,
    PlanMade,
    SalesBuried,
    SlotObserved,
    SlotPinned,
    SlotState,
)
from reconcilerd.domain.names import FeedName, Instant, Sku, SlotKey
from reconcilerd.domain.policy import BundleMode, Limits, Mode, OfferRule, PoolMode, PoolRule, UnreadPeer
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.survey import Surveyor, position_of, weather_of
from tests.domain.books import SLOT, UK, claimed, order, position_at, see, shop_book, swept
from tests.domain.builders import A, B, claim, offer, position, row
from tests.domain.test_claims_at_their_edges import kit_book
from tests.domain.test_firmness import book_with, demand, left, soft
from tests.domain.test_guards import change, rails, with_offer
from tests.domain.test_rails import EMPTY, SET, sold
from tests.domain.test_slots_at_their_edges import TRIED, answer, comparing, write
from tests.domain.test_trips import latches, shows

OPEN, SHIPPED, CANCELLED = OrderStatus.OPEN, OrderStatus.SHIPPED, OrderStatus.CANCELLED
MINUTE = 60_000
HOUR = 60 * MINUTE


def test_each_unexplained_zero_of_a_pass_counts_for_those_after_it() -> None:
    after = rails().after(change(0, EMPTY, sold_out=True)).spent[UK]
    assert (after.slots, after.units, after.zeros) == (1, 9, 1)
    assert rails().after(change(0, EMPTY)).spent[UK].zeros == 0


def test_an_empty_place_that_a_listing_does_not_draw_on_takes_no_explanation_from_its_zero() -> None:
    gone, lately = replace(row(A, 0), said=3), replace(row(B, 0), said=1, sold=0)
    busy = sold(replace(EMPTY, stock=(gone, lately)), 100)
    assert change(0, busy, sold_out=True).zeroes, "it draws on both"
    assert not change(0, with_offer(busy, locations=frozenset({A})), sold_out=True).zeroes
    barred = replace(busy, excluded=((Sku("x"), frozenset({B})),))
    assert not change(0, barred, sold_out=True).zeroes


def test_a_place_with_some_of_a_bundles_other_parts_and_not_all_is_not_why_it_is_sold_out() -> None:
    three = ((Sku("x"), 1), (Sku("y"), 1), (Sku("z"), 1))
    listing = offer("uk", shown=5, uses=three, sku="set")
    stock = [row(A, 50), row(A, 5, "y"), row(A, 50, "z"), replace(row(B, 0), said=1), row(B, 9, "z")]
    at = position([listing], stock, [claim(5, ClaimKind.COMMITTED, "y")], limits=Limits(mode=Mode.AUTO))
    at = replace(at, sold=((Sku("x"), 0), (Sku("y"), 5), (Sku("z"), 0)))
    assert not Change(at, listing, 5, 0, sold_out=True).zeroes, "y is not there"
    both = replace(at, stock=(*at.stock, row(B, 1, "y")))
    assert Change(both, listing, 5, 0, sold_out=True).zeroes


def test_which_part_of_a_bundle_is_scarcest_is_not_told_by_what_is_kept_from_raises_alone() -> None:
    listing = offer("uk", shown=5, uses=SET, sku="set")
    at = position([listing], [row(A, 9), row(A, 5, "y")], [claim(8, ClaimKind.BURIED)])
    at = replace(at, sold=((Sku("x"), 0), (Sku("y"), 5)))
    assert explained_units(at, listing) == 5, "of y there are fewer"


def test_which_part_of_a_bundle_is_scarcest_is_told_by_the_places_that_it_is_sold_from() -> None:
    listing = offer("uk", shown=5, uses=SET, sku="set")
    stock = [row(A, 5), row(B, 100), row(A, 50, "y")]
    at = position([listing], stock, [claim(5)], excluded={"x": frozenset({B})})
    at = replace(at, sold=((Sku("x"), 5), (Sku("y"), 0)))
    assert explained_units(at, listing) == 5, "a hundred x lie where they are never sold from"


def test_a_fall_that_is_taken_for_sales_explains_no_fall_of_another_part() -> None:
    listing = offer("uk", shown=5, uses=SET, sku="set")
    at = position([listing], [row(A, 50), row(A, 5, "y")], [claim(4, ClaimKind.INFERRED)])
    at = replace(at, sold=((Sku("x"), 0), (Sku("y"), 0)))
    assert explained_units(at, listing) == 0, "x sold, and of y there are fewer"


def test_the_catalogue_is_read_on_though_the_clock_went_back() -> None:
    book = shop_book(HOUR)
    later, now = Instant(10 * HOUR), Instant(9 * HOUR)
    book.take(ListingDeclared(1, 1, "a", Sku("a"), False, True, later))
    book.turn_back(now)
    book.take(ListingDeclared(1, 1, "a", Sku("a"), True, True, Instant(now + MINUTE)))
    (mine,) = (each for each in book.listings.values() if each.listing_sku == "a")
    assert mine.push_inventory, "what is read now is newer than what was read by the clock before"


def test_a_reading_that_comes_twice_confirms_nothing_the_second_time_where_a_channel_compares() -> None:
    book = comparing()
    see(book, 50, 1_000)
    write(book, "first", 60, 50, 1_000, 1_000)
    answer(book, "first", Outcome.UNKNOWN, 1_001, 1_001)
    write(book, "second", 20, 50, 1_000, 40_000)
    answer(book, "second", Outcome.UNKNOWN, 41_000, 41_000)
    for _ in range(2):
        see(book, 15, 45_000)
        assert [each.id for each in book.slots[SLOT].open] == ["second"]


def test_what_sold_since_a_write_was_decided_explains_the_fall_below_it_whatever_was_read_between() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    write(book, "w", 60, 50, 1_000, 1_500)
    answer(book, "w", Outcome.ACCEPTED, 1_501, 1_502)
    book.take(order("uk", OrderStatus.OPEN, 2_500, placed=2_000, units=2))
    see(book, 48, 3_000)
    see(book, 58, 4_000)
    assert book.slots[SLOT].open == ()
    assert claimed(book, 4_000, *TRIED) == 0, "an order explains it"


def test_who_lowers_a_number_that_we_never_wrote_takes_nothing_of_ours_away() -> None:
    book, found = shop_book(0), list[object]()
    for turn, number in enumerate((50_000, 20_000, 8_000, 1_000, 10)):
        found += shows(book, number, 5_000 * turn)
    assert latches(tuple(found)) == []


def test_a_listing_rests_no_longer_after_refusals_because_the_clock_went_back() -> None:
    book = shop_book(HOUR)
    see(book, 50, 10 * HOUR)
    write(book, "w", 40, 50, 10 * HOUR, 10 * HOUR)
    answer(book, "w", Outcome.REFUSED, 10 * HOUR, 10 * HOUR)
    now = Instant(9 * HOUR)
    book.turn_back(now)
    assert book.slots[SLOT].not_before <= now


def test_a_blind_window_ends_no_later_because_the_clock_went_back() -> None:
    book = shop_book(HOUR)
    see(book, 50, 10 * HOUR - MINUTE)
    see(book, 60, 10 * HOUR)
    assert book.slots[SLOT].buried
    now = Instant(9 * HOUR)
    book.turn_back(now)
    swept(book, "uk.orders", now + 3 * MINUTE)
    assert not book.slots[SLOT].buried


def test_a_doubt_lasts_no_longer_because_the_clock_went_back() -> None:
    book = shop_book(HOUR)
    see(book, 50, 10 * HOUR - MINUTE)
    see(book, 50_000, 10 * HOUR)
    now = Instant(9 * HOUR)
    book.turn_back(now)
    later = now + 5 * MINUTE
    see(book, 50_000, later)
    (mine,) = (each for each in position_at(book, later).offers if each.slot == SLOT)
    assert mine.doubted is None, "a second reading has said so"


def test_a_number_that_is_read_as_it_was_written_is_in_doubt_no_more() -> None:
    book = comparing()
    see(book, 50, 1_000)
    see(book, 5_000, 2_000)
    assert book.slots[SLOT].doubt is not None
    write(book, "w", 40, 5_000, 2_000, 3_000)
    answer(book, "w", Outcome.UNKNOWN, 3_001, 3_002)
    see(book, 40, 4_000)
    assert book.slots[SLOT].open == ()
    assert book.slots[SLOT].doubt is None


def test_of_two_blind_windows_that_end_together_the_one_in_which_more_could_be_taken_counts() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    track = book.slots[SLOT]
    track.derive([SalesBuried(SLOT, Instant(1_000), Instant(2_000), 9)])
    assert track._all_blind(SalesBuried(SLOT, Instant(1_500), Instant(2_000), 4)).most == 9
    assert track._all_blind(SalesBuried(SLOT, Instant(1_500), Instant(2_000))).most is None


def test_an_order_that_was_read_by_the_clock_before_is_still_seen_to_end() -> None:
    book = shop_book(1_000)
    later, now = 10 * HOUR, 9 * HOUR
    book.take(order(EXTENSIV, OPEN, later, units=5, place="1"))
    book.turn_back(Instant(now))
    assert claimed(book, now, ClaimKind.COMMITTED) == 5
    book.take(order(EXTENSIV, CANCELLED, now + MINUTE, units=5, place="1"))
    assert claimed(book, now + MINUTE, ClaimKind.COMMITTED) == 0


def test_a_soft_order_holds_no_longer_for_being_read_again() -> None:
    book = book_with(demand=demand(quote=soft()))
    for at in (2_000, 2_000 + HOUR // 2):
        book.take(replace(order(EXTENSIV, OPEN, at, placed=2_000, units=30), raw_status="quote", part="1"))
    assert left(book, 2_000 + HOUR - 1) == 70
    assert left(book, 2_000 + HOUR) == 100


def test_what_sold_of_packs_counts_by_the_units_that_are_in_them() -> None:
    book = shop_book(1_000)
    channels = {UK: replace(book.policy.channels[UK], offer=OfferRule(units_per_sale=6))}
    book.turn_to(replace(book.policy, channels=MappingProxyType(channels)))
    see(book, 8, 1_000)
    book.take(order("uk", OPEN, 2_000, placed=1_500, units=2))
    assert dict(position_at(book, 2_000).sold)[Sku("a")] == 12


def test_what_a_channel_added_is_free_once_extensiv_was_read_late_enough_without_it_whoever_remembers() -> (
    None
):
    book = shop_book(1_000)
    see(book, 50, 1_000)
    book.take(order(EXTENSIV, OPEN, 2_010, units=2))
    book.take(order("uk", OPEN, 2_000, placed=0, units=5))
    surveyor = Surveyor(book)
    for began, added in ((2_050, 3), (2_101, 0)):
        swept(book, "uk.orders", began)
        book.sweeps[FeedName("extensiv.orders")] = replace(
            book.sweeps[FeedName("uk.orders")], feed=FeedName("extensiv.orders")
        )
        claims = surveyor.position(Sku("a"), weather_of(book, Instant(began))).claims
        assert sum(c.units for c in claims if c.kind is ClaimKind.IN_FLIGHT) == added


def test_what_a_customer_took_off_is_free_once_extensiv_was_read_late_enough_whoever_remembers() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order("uk", OPEN, 2_000, placed=2_000, units=5))
    book.take(order("uk", OPEN, 2_010, placed=2_000, units=2))
    surveyor = Surveyor(book)
    for began, left_ in ((2_050, 5), (2_111, 2)):
        read = book.sweeps[FeedName("extensiv.orders")]
        book.sweeps[FeedName("extensiv.orders")] = replace(read, began=Instant(began), full=False)
        claims = surveyor.position(Sku("a"), weather_of(book, Instant(began))).claims
        assert sum(c.units for c in claims if c.kind is ClaimKind.IN_FLIGHT) == left_


def test_an_order_that_extensiv_had_told_is_no_news_when_its_channel_lists_it() -> None:
    book = shop_book(1_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order(EXTENSIV, OPEN, 2_000, placed=1_900, units=5))
    assert book.orders.taken_since(UK, "a", Instant(1_999)) == 5, "heard of then"
    book.take(order("uk", OPEN, 9_000_000, placed=1_900, units=5))
    assert book.orders.taken_since(UK, "a", Instant(8_000_000)) == 0


def test_an_order_that_extensiv_has_in_parts_was_placed_with_the_units_of_all() -> None:
    book = shop_book(1_000)
    for part, units in (("x", 3), ("y", 4)):
        book.take(replace(order(EXTENSIV, OPEN, 2_000, placed=1_900, units=units), part=part))
    assert book.orders.placed(UK, "a", Instant(1_000), Instant(2_000)) == 7


def test_what_was_taken_of_an_order_in_parts_is_the_units_of_all() -> None:
    book = shop_book(1_000)
    for part, units in (("x", 3), ("y", 4)):
        book.take(replace(order(EXTENSIV, OPEN, 2_000, placed=1_900, units=units), part=part))
    assert book.orders.taken_since(UK, "a", Instant(1_000)) == 7


def test_a_parcel_that_left_is_gone_however_many_units_extensiv_says() -> None:
    book = shop_book(1_000)
    swept(book, "uk.orders", 1_000)
    book.take(order(EXTENSIV, SHIPPED, 500_000, placed=400_000, units=40, place="1"))
    assert claimed(book, 500_000, ClaimKind.SHIPPED) == 40


def test_bundles_tie_pools_together_by_the_strictest_of_each_setting() -> None:
    loose = PoolRule(
        PoolMode.SPLIT, BundleMode.POOLED, UnreadPeer.IGNORE, dead_band_permille=90, overcommit=9
    )
    strict = PoolRule(
        PoolMode.SHARED, BundleMode.PER_WAREHOUSE, UnreadPeer.HOLD, dead_band_permille=10, overcommit=1
    )
    book = kit_book(pool="strict")
    see(book, 50, 1_500)
    book.take(ListingDeclared(1, 9, "kit", Sku("kit"), False, True, Instant(0)))
    at = Instant(1_500)
    book.take(SlotObserved(SlotKey(UK, "kit"), "kit", "kit", 9, SlotState.BUYABLE, False, at, at))
    pools = MappingProxyType({"default": loose, "strict": strict})
    book.turn_to(replace(book.policy, pools=pools))
    assert position_at(book, 2_000).pool == replace(strict, mode=PoolMode.SPLIT)


def doubted(book: Book, now: int) -> int | None:
    (mine,) = (each for each in position_at(book, now).offers if each.slot == SLOT)
    return mine.doubted


def jumped(**rule: Any) -> Book:
    """A number that jumped, read twice since where our writes compare: these are its test, if we may write it."""
    book = comparing()
    channels = {UK: replace(book.policy.channels[UK], **rule)}
    book.turn_to(replace(book.policy, channels=MappingProxyType(channels)))
    see(book, 50, 1_000)
    see(book, 5_000, 2_000)
    see(book, 5_000, 2_000 + 5 * MINUTE)
    return book


def test_where_a_channel_is_only_lowered_a_second_reading_is_the_test_of_a_number() -> None:
    now = 2_000 + 5 * MINUTE
    assert doubted(jumped(), now) == 50
    assert doubted(jumped(decrease_only=True), now) is None


def test_where_extensiv_pushes_a_second_reading_is_the_test_of_a_number() -> None:
    book, now = jumped(), 2_000 + 5 * MINUTE
    book.take(ListingDeclared(1, 1, "a", Sku("a"), True, True, Instant(now)))
    assert doubted(book, now) is None


def test_the_most_that_replaced_writes_may_bring_counts() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    for number, target in enumerate((60, 20, 10)):
        write(book, f"w{number}", target, 50, 1_000, 1_001 + number)
    (mine,) = (each for each in position_at(book, 1_010).offers if each.slot == SLOT)
    assert (mine.write, mine.replaced) == (10, 60)


def remembered(book: Book, surveyor: Surveyor, now: int) -> None:
    weather = weather_of(book, Instant(now))
    assert surveyor.position(Sku("a"), weather) == position_of(book, Sku("a"), weather)


def test_a_listing_is_seen_anew_by_the_first_order_of_its_channel() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    surveyor = Surveyor(book)
    remembered(book, surveyor, 1_500)
    book.take(order("uk", OPEN, 2_000, placed=1_900, units=2))
    remembered(book, surveyor, 2_000)


def test_a_listing_is_seen_anew_when_its_writes_are_an_hour_ago() -> None:
    book = comparing()
    see(book, 50, 1_000)
    write(book, "w", 60, 50, 1_000, 1_500)
    answer(book, "w", Outcome.NOT_SENT, 1_600, 1_600)
    surveyor = Surveyor(book)
    remembered(book, surveyor, 2_000)
    remembered(book, surveyor, 1_500 + HOUR)


def test_a_listing_is_seen_anew_when_it_is_pinned() -> None:
    book, now = jumped(), 2_000 + 5 * MINUTE
    surveyor = Surveyor(book)
    remembered(book, surveyor, now)
    book.take(SlotPinned(SLOT, True, "ops", "x", Instant(now), Instant(now + HOUR)))
    remembered(book, surveyor, now + 1)


def test_a_slice_is_of_the_pass_that_it_names_or_is_one_by_itself() -> None:
    alone = PlanMade("p", Instant(1), 0, (), ())
    assert (alone.whole, replace(alone, part_of="first").whole) == ("p", "first")
