"""Readings judged as a whole: what is doubted, what is no wonder, and what is believed of a doubtful number."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import demand, settle_orders
from reconcilerd.domain.facts import (
    EXTENSIV,
    CorrectionPlanned,
    Fact,
    FreezeSet,
    ListingDeclared,
    OrderLine,
    OrderStatus,
    ProductObserved,
    ProductType,
    RailLatched,
    ReadingKept,
    SlotObserved,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.feeds import STOCK_FEED
from reconcilerd.domain.latches import ALL_CHANGED, SENTINEL, SHRINKING, latch_name
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.policy import (
    ChannelRule,
    Limits,
    Policy,
    PoolMode,
    PoolRule,
    Publisher,
    Sentinel,
    SkuRule,
)
from reconcilerd.domain.position import Claim, ClaimKind, Position
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.room import room_of
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.domain.suspicion import (
    Look,
    Suspicion,
    doubted_feeds,
    lift,
    look,
    shrinking,
    suspicion,
    trip,
)
from tests.domain.books import UK, order
from tests.domain.strategies import FEWER

SLOTS, PRODUCTS, LISTINGS = FeedName("uk.slots"), FeedName("extensiv.products"), FeedName("extensiv.listings")
CODES = tuple(f"s{number:02d}" for number in range(20))
MINUTE = 60_000
START = 1_000_000
DAY = 86_400_000


def products(*, gone: int = 0) -> list[ProductObserved]:
    """The first ``gone`` are no longer active."""
    return [
        ProductObserved(Sku(code), code, n, code, ProductType.CORE, "", n >= gone, (), Instant(n))
        for n, code in enumerate(CODES)
    ]


def listings(*, gone: int = 0) -> list[ListingDeclared]:
    return [
        ListingDeclared(1, n, code, Sku(code), False, n >= gone, Instant(n)) for n, code in enumerate(CODES)
    ]


def stock(units: int, at: int, codes: Sequence[str] = CODES, **more: Any) -> list[StockObserved]:
    """A row of each SKU at place 1."""
    row = StockObserved(Sku(""), LocationName("1"), units, 0, 0, Instant(at), Instant(at))
    return [replace(row, sku=Sku(code), **more) for code in codes]


def slots(units: int | None, at: int, codes: Sequence[str] = CODES, **more: Any) -> list[SlotObserved]:
    """A reading of each listing of the one channel."""
    now = Instant(at)
    return [
        replace(
            SlotObserved(SlotKey(UK, code), code, code, units, SlotState.BUYABLE, False, now, now), **more
        )
        for code in codes
    ]


def swept(feed: FeedName, at: int, rows: int, *, full: bool = True) -> SweepRead:
    return SweepRead(feed, Instant(at), Instant(at), True, rows, 0, full=full)


def read(book: Book, feed: FeedName, at: int, *pages: Sequence[Fact]) -> Suspicion | None:
    """One whole reading, each page judged before it is folded; what was suspected of it at its end."""
    seen, now, rows = Look(), Instant(at), 0
    for page in pages:
        rows += len(page)
        look(seen, book, feed, page, now)
        doubt(book, suspicion(seen, book, feed), feed, at)
        for fact in page:
            book.take(fact)
    found = suspicion(seen, book, feed, rows)
    doubt(book, found, feed, at)
    for latch in () if found else [*lift(book, feed, now)]:
        book.take(latch)
    book.take(swept(feed, at, rows))
    return found


def doubt(book: Book, found: Suspicion | None, feed: FeedName, at: int) -> None:
    for fact in trip(found, book, feed, Instant(at)) if found else ():
        book.take(fact)


def shop(**limits: Any) -> Book:
    """Twenty SKUs with 50 units each, a channel that shows 50 of each; all of it was read four times."""
    rule = ChannelRule(sales_channel_id=1, places=MappingProxyType({"": frozenset()}))
    book = Book(
        Policy(
            revision="test",
            default_sku=SkuRule(rate=Rate(0)),
            pools=MappingProxyType({"default": PoolRule(PoolMode.SHARED)}),
            channels=MappingProxyType({UK: rule}),
            limits=replace(Limits(), **limits),
        )
    )
    for at in range(START, START + 4 * MINUTE, MINUTE):
        read(book, PRODUCTS, at, products())
        read(book, LISTINGS, at, listings())
        read(book, SLOTS, at, slots(50, at))
        read(book, STOCK_FEED, at, stock(50, at))
        book.take(swept(FeedName("extensiv.orders"), at, 0))
    return book


NEXT = START + 4 * MINUTE


def seen_of(book: Book, feed: FeedName, page: Sequence[Fact], now: int = NEXT) -> Look:
    """What a page shows before it is folded."""
    seen = Look()
    look(seen, book, feed, page, Instant(now))
    return seen


def with_channel(book: Book, **more: Any) -> Book:
    channels = {UK: replace(book.policy.channels[UK], **more)}
    book.policy = replace(book.policy, channels=MappingProxyType(channels))
    return book


def position(book: Book, sku: str = "s01", now: int = NEXT + 1) -> Position:
    return position_of(book, Sku(sku), weather_of(book, Instant(now)))


def left(book: Book, sku: str = "s01", now: int = NEXT + 1) -> tuple[int, int]:
    """What lowers, and what raises, take to be there of a SKU."""
    where = position(book, sku, now)
    room, slot = room_of(where), where.offers[0].slot
    return room.alone(slot), room.headroom(slot, {}, raising=True)


def on(book: Book, now: int = NEXT) -> frozenset[str]:
    return book.latches.on(Instant(now))


@given(st.lists(st.integers(0, 90), min_size=20, max_size=20), st.integers(1, 10 * DAY))
def test_a_reading_that_says_the_same_again_arouses_no_suspicion(numbers: list[int], later: int) -> None:
    book, said = Book(shop().policy), list(zip(CODES, numbers, strict=True))

    def pages(at: int) -> tuple[list[Fact], list[Fact]]:
        rows = [row for code, units in said for row in stock(units, at, [code])]
        return [*rows], [seen for code, units in said for seen in slots(units, at, [code])]

    for fact in (*products(), *listings(), *pages(NEXT)[0], *pages(NEXT)[1]):
        book.take(fact)
    for feed, page in zip((STOCK_FEED, SLOTS), pages(NEXT + later), strict=True):
        seen = seen_of(book, feed, page, NEXT + later)
        assert (seen.known, seen.changed, seen.gone) == (20, 0, 0)
        assert suspicion(seen, book, feed, len(page)) is None


@FEWER
@given(
    st.integers(0, 20),
    st.integers(0, 5),
    st.sampled_from([1, 51, 5_000]),
    st.sampled_from([STOCK_FEED, SLOTS]),
)
def test_rises_of_nine_in_ten_are_doubted_and_of_fewer_are_not(
    risen: int, new: int, by: int, feed: FeedName
) -> None:
    """Rows that were never read before are no change, and no part of what there is."""
    book, made = shop(), stock if feed == STOCK_FEED else slots
    page = [*made(50 + by, NEXT, CODES[:risen]), *made(50, NEXT, CODES[risen:])]
    page += made(7, NEXT, [f"new{n}" for n in range(new)])
    seen = seen_of(book, feed, page)
    assert (seen.known, seen.changed) == (20, risen)
    found = suspicion(seen, book, feed)
    assert (found is not None) == (risen >= 18)
    if found is not None:
        assert found == Suspicion(ALL_CHANGED, f"{risen} of 20 rows changed beyond what orders explain")


@pytest.mark.parametrize("ordered", [0, 10])
@pytest.mark.parametrize("lost", [10, 11])
def test_a_fall_of_stock_within_what_was_ordered_is_no_change(ordered: int, lost: int) -> None:
    book = shop()
    for number, code in enumerate(CODES):
        sold = order(EXTENSIV, OrderStatus.OPEN, NEXT, placed=NEXT, number=str(number))
        book.take(replace(sold, lines=(OrderLine(code, ordered),) if ordered else ()))
    seen = seen_of(book, STOCK_FEED, stock(50 - lost, NEXT + MINUTE), NEXT + MINUTE)
    assert (seen.changed == 0) == (lost <= ordered)


@pytest.mark.parametrize("lost", [10, 11])
def test_nor_is_one_of_what_was_shipped_lately(lost: int) -> None:
    book = shop()
    for number, code in enumerate(CODES):
        sold = order(EXTENSIV, OrderStatus.SHIPPED, NEXT, placed=NEXT, number=str(number))
        book.take(replace(sold, lines=(OrderLine(code, 10),)))
        book.take(stock(50, NEXT + 1, [code])[0])  # a row that proves the shipment
    settle_orders(book, Instant(NEXT + 1))
    assert not [*demand(book, Sku("s00"))], "it is no demand any more"
    assert (seen_of(book, STOCK_FEED, stock(50 - lost, NEXT + 2), NEXT + 2).changed == 0) == (lost == 10)


@pytest.mark.parametrize(("days", "units", "changed"), [(0, 45, 20), (2, 45, 0), (2, 0, 20), (2, 51, 20)])
@pytest.mark.parametrize("feed", [STOCK_FEED, SLOTS])
def test_after_long_without_a_reading_falls_are_no_wonder_but_to_nothing(
    days: int, units: int, changed: int, feed: FeedName
) -> None:
    book, at, made = shop(), NEXT + days * DAY, stock if feed == STOCK_FEED else slots
    assert seen_of(book, feed, made(units, at), at).changed == changed


@pytest.mark.parametrize(("units", "changed"), [(49, 0), (48, 20)])
def test_one_of_each_listing_may_have_sold_unseen(units: int, changed: int) -> None:
    assert seen_of(shop(), SLOTS, slots(units, NEXT)).changed == changed


def test_what_a_listing_was_ordered_or_is_likely_to_have_sold_is_no_change() -> None:
    book = shop()
    sale = order("uk", OrderStatus.OPEN, NEXT, placed=NEXT - 1, number="1")
    book.take(replace(sale, lines=(OrderLine("s00", 10),)))
    assert seen_of(book, SLOTS, slots(40, NEXT, ["s00"])).changed == 0
    assert seen_of(book, SLOTS, slots(39, NEXT, ["s00"])).changed == 1
    assert seen_of(book, SLOTS, slots(40, NEXT, ["s01"])).changed == 0, (
        "so large a line was seen of this channel"
    )
    quick = shop()
    quick.policy = replace(quick.policy, default_sku=SkuRule(rate=Rate(60 * 6 * 1000)))  # six a minute
    assert [seen_of(quick, SLOTS, slots(50 - n, NEXT, ["s00"])).changed for n in (14, 15)] == [0, 1]


def test_many_small_orders_explain_a_fall_that_no_single_one_does() -> None:
    book = shop()
    for number in range(3):
        sale = order("uk", OrderStatus.OPEN, NEXT, placed=NEXT - 1, number=str(number))
        book.take(replace(sale, lines=(OrderLine("s00", 4),)))
    assert [seen_of(book, SLOTS, slots(50 - n, NEXT, ["s00"])).changed for n in (12, 13)] == [0, 1]


@pytest.mark.parametrize(
    ("feed", "page"),
    [
        (STOCK_FEED, lambda at: stock(0, at, gone=True)),
        (SLOTS, lambda at: slots(None, at, gone=True)),
        (PRODUCTS, lambda at: [replace(each, as_of=Instant(at)) for each in products(gone=20)]),
        (LISTINGS, lambda at: [replace(each, as_of=Instant(at)) for each in listings(gone=20)]),
    ],
    ids=["stock", "slots", "products", "listings"],
)
def test_what_was_gone_before_is_not_gone_once_more(feed: FeedName, page: Any) -> None:
    book = shop()
    for fact in page(NEXT):
        book.take(fact)
    assert seen_of(book, feed, page(NEXT + 1), NEXT + 1).gone == 0


def test_as_few_rows_as_are_judged_at_all_are_judged() -> None:
    page = stock(99, NEXT)
    assert suspicion(
        seen_of(shop(suspect_min_rows=20), STOCK_FEED, page), shop(suspect_min_rows=20), STOCK_FEED
    )
    assert suspicion(seen_of(shop(), STOCK_FEED, page), shop(suspect_min_rows=21), STOCK_FEED) is None


@pytest.mark.parametrize(
    "page",
    [
        slots(None, NEXT, state=SlotState.UNTRACKED),
        [replace(each, slot=replace(each.slot, place="elsewhere")) for each in slots(9, NEXT)],
        [replace(each, slot=replace(each.slot, channel=ChannelName("moon"))) for each in slots(9, NEXT)],
        [FreezeSet("uk", True, "ops", "x", Instant(NEXT))],
    ],
    ids=["not counted", "another place", "another channel", "no reading"],
)
def test_what_says_no_number_of_ours_is_no_change(page: list[Fact]) -> None:
    assert seen_of(shop(), SLOTS, page).changed == 0


def test_what_extensiv_pushes_or_we_are_just_writing_is_not_judged() -> None:
    theirs = with_channel(shop(), publisher=Publisher.EXTENSIV)
    assert seen_of(theirs, SLOTS, slots(9, NEXT)).known == 0
    pushed = shop()
    pushed.take(replace(listings()[0], push_inventory=True, as_of=Instant(NEXT)))
    assert seen_of(pushed, SLOTS, slots(9, NEXT)).known == 19
    writing = shop()
    slot, now = SlotKey(UK, "s03"), Instant(NEXT)
    writing.take(CorrectionPlanned("w", slot, "s03", 50, now, 9, "lag", "share", now))
    assert seen_of(writing, SLOTS, slots(9, NEXT)).known == 19


def test_a_number_that_we_wrote_last_is_no_change_whatever_it_was_before() -> None:
    book = shop()
    book.slots[SlotKey(UK, "s00")].last_written = 9
    assert seen_of(book, SLOTS, slots(9, NEXT, ["s00"])).changed == 0
    assert seen_of(book, SLOTS, slots(8, NEXT, ["s00"])).changed == 1


@pytest.mark.parametrize("gone", [2, 3])
@pytest.mark.parametrize(
    ("feed", "page"),
    [
        (STOCK_FEED, lambda gone: [*stock(0, NEXT, CODES[:gone], gone=True), *stock(50, NEXT, CODES[gone:])]),
        (SLOTS, lambda gone: [*slots(50, NEXT, CODES[:gone], gone=True), *slots(50, NEXT, CODES[gone:])]),
        (PRODUCTS, lambda gone: products(gone=gone)),
        (LISTINGS, lambda gone: listings(gone=gone)),
    ],
    ids=["stock", "slots", "products", "listings"],
)
def test_more_than_one_in_ten_gone_is_doubted_before_the_reading_ends(
    feed: FeedName, page: Any, gone: int
) -> None:
    book = shop()
    seen = seen_of(book, feed, page(gone))
    assert seen.gone == gone
    found = suspicion(seen, book, feed)
    assert found == (
        Suspicion(SHRINKING, f"{20 - gone} rows where there are 20 as a rule") if gone > 2 else None
    )


@given(st.integers(0, 40), st.integers(0, 20))
def test_too_few_rows_are_told_at_the_end_however_they_are_missing(rows: int, gone: int) -> None:
    found = shrinking(Look(gone=gone), shop(), STOCK_FEED, rows)
    assert (found is not None) == (min(rows, 20 - gone) < 18)


def test_rows_are_too_few_only_beside_enough_whole_readings_of_what_has_rows() -> None:
    book = shop()
    assert shrinking(Look(), book, FeedName("extensiv.orders"), 0) is None, "orders come and go"
    assert shrinking(Look(), book, STOCK_FEED, 0) is not None
    fewer = Book(book.policy)
    for at in (1, 2):
        fewer.take(swept(STOCK_FEED, at, 20))
    assert shrinking(Look(), fewer, STOCK_FEED, 0) is None, "two readings have no median"
    fewer.take(swept(STOCK_FEED, 3, 20))
    assert shrinking(Look(), fewer, STOCK_FEED, 0) is not None
    fewer.take(swept(STOCK_FEED, 4, 90))
    assert shrinking(Look(), fewer, STOCK_FEED, 20) is None, "one odd reading is no measure of the others"
    small = Book(book.policy)
    for at in (1, 2, 3):
        small.take(swept(STOCK_FEED, at, book.policy.limits.suspect_min_rows - 1))
    assert shrinking(Look(), small, STOCK_FEED, 0) is None


def guarded_by(least: int, most: int, feed: FeedName) -> Book:
    book = shop()
    book.policy = replace(book.policy, sentinels=(Sentinel(feed, Sku("s00"), least, most),))
    return book


@pytest.mark.parametrize("feed", [STOCK_FEED, SLOTS])
@pytest.mark.parametrize("units", [9, 10, 100, 101])
def test_a_sentinel_must_be_within_its_range_and_too_little_is_told_only_at_the_end(
    feed: FeedName, units: int
) -> None:
    book, made = guarded_by(10, 100, feed), stock if feed == STOCK_FEED else slots
    seen = seen_of(book, feed, made(units, NEXT, ["s00"]))
    told = Suspicion(SENTINEL, f"s00 is {units}, not from 10 to 100")
    assert suspicion(seen, book, feed) == (told if units > 100 else None), (
        "more of it may be on the next page"
    )
    assert suspicion(seen, book, feed, 20) == (None if 10 <= units <= 100 else told)


def test_a_sentinel_is_what_all_places_together_say() -> None:
    book = guarded_by(10, 100, STOCK_FEED)
    rows = [*stock(60, NEXT, ["s00"]), *stock(60, NEXT, ["s00"], location=LocationName("2"))]
    seen = seen_of(book, STOCK_FEED, rows[:1])
    assert suspicion(seen, book, STOCK_FEED, 20) is None
    look(seen, book, STOCK_FEED, rows[1:], Instant(NEXT))
    assert suspicion(seen, book, STOCK_FEED, 20) == Suspicion(SENTINEL, "s00 is 120, not from 10 to 100")


def test_a_sentinel_that_is_missing_is_told_at_the_end_and_of_its_own_feed_alone() -> None:
    book = guarded_by(0, 100, STOCK_FEED)
    assert suspicion(Look(), book, STOCK_FEED) is None
    assert suspicion(Look(), book, STOCK_FEED, 20) == Suspicion(SENTINEL, "s00 is missing")
    assert suspicion(Look(), book, SLOTS, 20) is None
    uncounted = guarded_by(0, 100, SLOTS)
    seen = seen_of(uncounted, SLOTS, slots(None, NEXT, state=SlotState.UNTRACKED))
    assert suspicion(seen, uncounted, SLOTS, 20) == Suspicion(SENTINEL, "s00 is missing")


few = st.integers(0, 90)


@FEWER
@given(few, few, few, few)
def test_of_a_doubtful_number_raises_take_the_smaller_and_lowers_the_larger(
    old: int, new: int, held: int, allocated: int
) -> None:
    """Of what can be sold, and the other way round of what Extensiv holds of it for orders."""
    book = shop()
    book.take(stock(old, NEXT, ["s01"], allocated=held)[0])
    book.take(swept(STOCK_FEED, NEXT, 20))
    doubt(book, Suspicion(ALL_CHANGED, "by hand"), STOCK_FEED, NEXT + 1)
    book.take(stock(new, NEXT + 2, ["s01"], allocated=allocated)[0])
    most = max(0, max(old, new) - min(held, allocated))
    least = max(0, min(old, new) - max(held, allocated))
    assert left(book, now=NEXT + 3) == (most, least)


def test_what_is_gone_in_a_doubtful_reading_is_there_for_lowers_and_not_for_raises() -> None:
    book = shop()
    page = [*stock(50, NEXT, CODES[:15]), *stock(0, NEXT, CODES[15:], gone=True)]
    assert read(book, STOCK_FEED, NEXT, page) == Suspicion(SHRINKING, "15 rows where there are 20 as a rule")
    assert on(book) == {"shrinking:extensiv.stock"}
    assert (left(book, "s14"), left(book, "s17")) == ((50, 50), (50, 0))
    unheard = replace(book.stock[Sku("s17"), LocationName("1")].row, gone=True)
    book.latches.before[STOCK_FEED].pop(unheard.about)
    assert left(book, "s17") == (0, 0)
    assert position(book, "s17").stock == (), "what was gone before the doubt began is gone"


def test_what_was_sold_lately_may_have_left_a_doubtful_shelf() -> None:
    book = shop()
    sold = order(EXTENSIV, OrderStatus.SHIPPED, NEXT, placed=NEXT - 1, place="1")
    book.take(replace(sold, lines=(OrderLine("s01", 20),)))
    read(
        book,
        STOCK_FEED,
        NEXT + MINUTE,
        stock(0, NEXT + MINUTE, CODES[1:]),
        stock(50, NEXT + MINUTE, CODES[:1]),
    )
    assert [left(book, code, NEXT + MINUTE + 1)[0] for code in ("s01", "s02")] == [30, 50]


def test_a_doubtful_page_decides_nothing_even_before_the_reading_ends() -> None:
    book = shop()
    seen = seen_of(book, STOCK_FEED, page := stock(0, NEXT, CODES[1:]))
    found = suspicion(seen, book, STOCK_FEED)
    for fact in (*trip(found, book, STOCK_FEED, Instant(NEXT)), *page) if found else ():
        book.take(fact)
    assert left(book) == (50, 0)


def test_the_doubt_of_a_stock_row_is_told_as_units_kept_from_raises() -> None:
    book = shop()
    read(book, STOCK_FEED, NEXT, stock(80, NEXT))
    (claim,) = [each for each in position(book).claims if each.kind is ClaimKind.DOUBTED]
    assert claim == Claim(ClaimKind.DOUBTED, Sku("s01"), 30, frozenset({LocationName("1")}))


def test_a_channel_that_shows_other_numbers_may_still_show_what_it_did() -> None:
    book = shop()
    read(book, SLOTS, NEXT, slots(5_000, NEXT))
    read(book, SLOTS, NEXT + 1, slots(0, NEXT + 1))
    where = position(book, now=NEXT + 2)
    assert where.channel(UK).doubted
    assert where.offers[0].shown == 50


@pytest.mark.parametrize(("feed", "page"), [(PRODUCTS, products), (LISTINGS, listings)])
def test_a_doubtful_catalogue_holds_raises_everywhere(feed: FeedName, page: Any) -> None:
    book = shop()
    assert not doubted_feeds(book)
    read(book, feed, NEXT, page(gone=15))
    assert doubted_feeds(book)
    assert position(book, "s19").doubted


def test_a_suspicion_ends_with_the_first_whole_reading_that_does_not_bear_it_out() -> None:
    book = shop()
    read(book, STOCK_FEED, NEXT, stock(0, NEXT))
    assert read(book, STOCK_FEED, NEXT + MINUTE, stock(0, NEXT + MINUTE)) is not None, "the new numbers again"
    assert on(book)
    assert read(book, STOCK_FEED, NEXT + 2 * MINUTE, stock(50, NEXT + 2 * MINUTE)) is None
    assert on(book) == frozenset()
    assert left(book, now=NEXT + 2 * MINUTE) == (50, 50)
    assert [*lift(book, STOCK_FEED, Instant(NEXT))] == [], "what is over does not end again"


def test_a_person_who_accepts_a_reading_makes_its_numbers_the_measure_of_the_next() -> None:
    book = shop()
    for turn in range(3):
        read(book, STOCK_FEED, NEXT + turn * MINUTE, stock(200, NEXT + turn * MINUTE))
    assert on(book) == {"all-changed:extensiv.stock"}
    assert left(book) == (200, 50)
    name = latch_name(ALL_CHANGED, STOCK_FEED)
    book.take(RailLatched(name, False, "ops", "stocktake", Instant(NEXT + 3 * MINUTE)))
    assert left(book) == (200, 200)
    assert read(book, STOCK_FEED, NEXT + 4 * MINUTE, stock(200, NEXT + 4 * MINUTE)) is None


def test_fewer_rows_that_a_person_accepted_are_the_usual_number_from_then_on() -> None:
    book, at, name = shop(), NEXT, latch_name(SHRINKING, STOCK_FEED)
    assert read(book, STOCK_FEED, at, stock(50, at, CODES[:15])) is not None
    assert book.sweeps[STOCK_FEED].sizes == (20, 20, 20, 20), "a doubtful reading is no measure"
    book.take(RailLatched(name, False, "ops", "a brand left", Instant(at + 1)))
    at += MINUTE
    book.take(swept(STOCK_FEED, at, 15))
    assert book.sweeps[STOCK_FEED].sizes == (15,), "nor is what was read before a person's word"
    for turn in range(1, 5):
        assert read(book, STOCK_FEED, at + turn, stock(50, at + turn, CODES[:15])) is None
    assert shrinking(Look(), book, STOCK_FEED, 13) == Suspicion(
        SHRINKING, "13 rows where there are 15 as a rule"
    )


@FEWER
@given(
    st.lists(st.tuples(st.sampled_from(CODES), few, st.booleans()), max_size=30),
    st.sampled_from([None, ALL_CHANGED, SHRINKING]),
    st.booleans(),
)
def test_a_doubt_outlives_a_restart(
    changes: list[tuple[str, int, bool]], rail: str | None, released: bool
) -> None:
    """The book of a new process, from the newest fact of each subject, takes the same to be there."""
    book, at = shop(), NEXT
    newest: dict[tuple[str, str], Fact] = {}

    def take(fact: Fact) -> None:
        taken = book.take(fact)
        for each in (taken.instead or fact, *taken.derived):
            newest[each.kind, each.about] = each

    for code, units, first in changes:
        at += 1
        if first and rail is not None and not on(book):
            for fact in trip(Suspicion(rail, "by hand"), book, STOCK_FEED, Instant(at)):
                take(fact)
        take(stock(units, at, [code])[0])
    if released and rail is not None:
        take(RailLatched(latch_name(rail, STOCK_FEED), False, "ops", "right", Instant(at + 1)))
    again = Book(book.policy)
    rows = [track.row for track in book.stock.values()]
    shown = [track.seen for track in book.slots.values() if track.seen]
    kept = [each for each in newest.values() if not isinstance(each, StockObserved)]
    again.load([*products(), *listings(), *book.sweeps.values(), *rows, *shown, *kept], Instant(at + 2))
    for code in CODES:
        assert left(again, code, at + 3) == left(book, code, at + 3)


def test_what_was_kept_for_a_suspicion_that_is_over_or_older_does_not_come_back() -> None:
    """The ledger's state holds the newest word of each row for ever."""
    book, name = shop(), latch_name(ALL_CHANGED, STOCK_FEED)
    old, new = Instant(NEXT - 1), Instant(NEXT + 1)
    words = [
        ReadingKept(STOCK_FEED, "s01@1", 7, old),
        ReadingKept(STOCK_FEED, "s02@1", 7, new),
    ]
    latch = RailLatched(name, True, "reconcilerd", "x", Instant(NEXT))
    rows = [track.row for track in book.stock.values()]
    for latches, kept in (([latch], {"s02@1"}), ([replace(latch, on=False)], set()), ([], set())):
        again = Book(book.policy)
        again.load([*rows, *latches, *words], new)
        assert set(again.latches.before.get(STOCK_FEED, {})) == kept


HOUR = 60 * MINUTE


def test_all_that_was_sold_since_a_doubt_began_may_have_left_however_long_it_lasts() -> None:
    """Nobody resets the rail for hours; what a row says meanwhile is as much less as was sold."""
    book = shop()
    assert read(book, STOCK_FEED, NEXT, stock(0, NEXT, CODES[1:]), stock(50, NEXT, CODES[:1]))
    later = NEXT + 5 * MINUTE
    sold = order(EXTENSIV, OrderStatus.SHIPPED, later, placed=later - 1, place="1")
    book.take(replace(sold, lines=(OrderLine("s01", 20),)))
    for fact in stock(30, NEXT + HOUR, ["s01"]):
        book.take(fact)
    settle_orders(book, Instant(NEXT + 2 * HOUR))
    again = Look()
    look(again, book, STOCK_FEED, stock(30, NEXT + HOUR + MINUTE, ["s01"]), Instant(NEXT + HOUR + MINUTE))
    assert (again.known, again.changed) == (1, 0), "an honest row has not changed beyond what was sold"
    assert [left(book, code, NEXT + 3 * HOUR)[0] for code in ("s01", "s02")] == [30, 50]


def test_a_second_suspicion_forgets_nothing_of_when_the_first_began() -> None:
    book = shop()
    assert read(book, STOCK_FEED, NEXT, stock(0, NEXT, CODES[1:]), stock(50, NEXT, CODES[:1]))
    row = book.stock[Sku("s01"), LocationName("1")].row
    began = book.latches.changed_at(STOCK_FEED, row.about)
    for fact in trip(Suspicion(SHRINKING, "fewer"), book, STOCK_FEED, Instant(NEXT + HOUR)):
        book.take(fact)
    assert book.latches.changed_at(STOCK_FEED, row.about) == began
    assert book.latches.changed_at(STOCK_FEED, "nothing") is None


@pytest.mark.parametrize("second", [False, True])
def test_a_restart_goes_on_doubting_all_that_was_doubted(second: bool) -> None:
    """The page was asked for before the rail tripped; and of two rails the first may be released meanwhile."""
    book, asked, folded = shop(), NEXT, NEXT + 400
    page, told = stock(0, asked), dict[str, Fact]()

    def take(*facts: Fact) -> None:
        for fact in facts:
            taken = book.take(fact)
            for each in (taken.instead or fact, *taken.derived):
                told[f"{each.kind} {each.about}"] = each

    seen = Look()
    look(seen, book, STOCK_FEED, page, Instant(folded))
    found = suspicion(seen, book, STOCK_FEED)
    assert found is not None
    take(*trip(found, book, STOCK_FEED, Instant(folded)), *page)
    if second:
        take(*trip(Suspicion(SHRINKING, "fewer"), book, STOCK_FEED, Instant(folded + MINUTE)))
        name = latch_name(found.rail, STOCK_FEED)
        take(RailLatched(name, False, "ops", "looked at it", Instant(folded + 2 * MINUTE)))
    again, now = Book(book.policy), Instant(folded + HOUR)
    rows = [track.row for track in book.stock.values()]
    shown = [track.seen for track in book.slots.values() if track.seen]
    latched = [each for each in told.values() if not isinstance(each, StockObserved)]
    again.load([*products(), *listings(), *book.sweeps.values(), *rows, *shown, *latched], now)
    assert again.latches.before[STOCK_FEED] == book.latches.before[STOCK_FEED] != {}
    seen = Look()
    look(seen, again, STOCK_FEED, stock(0, now), now)
    assert suspicion(seen, again, STOCK_FEED) is not None, "the same wrong reading bears nothing out"
