"""What was sold stays subtracted, and once, whatever becomes of its listing, its order, its write or the process."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import settle_orders, sold_since
from reconcilerd.domain.facts import (
    EXTENSIV,
    CorrectionSent,
    Fact,
    FindingKind,
    ListingDeclared,
    OrderLine,
    OrderStatus,
    Outcome,
    ProductObserved,
    ProductType,
    SlotObserved,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, OrderKey, Sku, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import Mode, OfferRule, Percent, Policy, SkuRule
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.room import room_of
from reconcilerd.ledger.store import Ledger
from tests.domain.books import (
    LAG_MS,
    SLOT,
    UK,
    accepted,
    order,
    position_at,
    row,
    see,
    shop_book,
    swept,
    written,
)

AUTO = Rails(Mode.AUTO)
US = ChannelName("us")
US_SLOT = SlotKey(US, "item", "")
FEEDS = ("extensiv.orders", "extensiv.stock", "uk.orders", "uk.slots", "us.orders", "us.slots")
HOUR = 3_600_000
T = Instant(10_000_000)


def claims(book: Book, now: int) -> dict[tuple[str, str], int]:
    return {(each.kind.value, each.about): each.units for each in position_at(book, now).claims}


def changed(policy: Policy, sku: SkuRule | None = None, **channel: object) -> Policy:
    """The shop's policy with another default SKU rule, and another rule of its channel."""
    uk = replace(policy.channels[UK], **channel)  # type: ignore[arg-type]
    channels = MappingProxyType({**policy.channels, UK: uk})
    return replace(policy, channels=channels, default_sku=sku or SkuRule(rate=Rate(0)))


def two_channels() -> Book:
    """The shop with a second, comparing store; nothing sells by itself. All of it lies at place 1."""
    book = shop_book(0)
    policy = changed(book.policy)
    us = replace(policy.channels[UK], sales_channel_id=2, compare_and_set=True)
    book.policy = replace(policy, channels=MappingProxyType({**policy.channels, US: us}))
    book.take(ListingDeclared(2, 9, "a", Sku("a"), False, True, Instant(0)))
    for feed in FEEDS:
        swept(book, feed, T - 1_000)
    row(book, "1", 20, T)
    row(book, "2", 0, T)
    return book


def sees(
    slot: SlotKey, quantity: int | None, at: int, code: str = "a", *, gone: bool = False
) -> SlotObserved:
    state = SlotState.BUYABLE if quantity is not None or gone else SlotState.UNTRACKED
    return SlotObserved(slot, code, "A", quantity, state, False, Instant(at), Instant(at), gone=gone)


def raises(book: Book, now: int) -> dict[str, tuple[int, int]]:
    """What would be sent upwards: shown and target by channel."""
    sends = make_plan(position_at(book, now), AUTO).sends
    return {each.slot.channel: (each.current, each.target) for each in sends if not each.lowers}


def all_read(book: Book, at: int) -> None:
    """Both channels show eight; their orders are known up to before the first reading."""
    for feed in ("uk.orders", "us.orders"):
        swept(book, feed, at)
    row(book, "1", 20, at)
    row(book, "2", 0, at)
    book.take(sees(SLOT, 8, at))
    book.take(sees(US_SLOT, 8, at))


class Kept:
    """A book that is written down as it is folded, so that it can be loaded again."""

    def __init__(self, folder: Path, book: Book) -> None:
        self.book = book
        self._now = Instant(0)
        self._ledger = Ledger.open(folder / "ledger.db", clock=lambda: self._now, durable=False)

    def take(self, *facts: Fact) -> None:
        for fact in facts:
            self._now = max(self._now, fact.as_of)
            taken = self.book.take(fact)
            news = [taken.instead or fact] if taken.news else []
            self._ledger.append([*news, *taken.derived])

    def again(self, now: int) -> Book:
        book = Book(self.book.policy, awake_since=Instant(now))
        book.load(list(self._ledger.everything()), Instant(now))
        self._ledger.close()
        return book


def catalogue() -> list[Fact]:
    """The facts of the shop, for a book that is written down."""
    at = Instant(0)
    made: list[Fact] = [ProductObserved(Sku("a"), "a", 1, "a", ProductType.CORE, "", True, (), at)]
    made += [ListingDeclared(n, n, "a", Sku("a"), False, True, at) for n in (1, 2)]
    return made + [StockObserved(Sku("a"), LocationName(place), 50, 0, 0, at, at) for place in ("1", "2")]


def whole(feed: str, at: int) -> SweepRead:
    return SweepRead(FeedName(feed), Instant(at), Instant(at), True, 0, 0, full=True)


@pytest.mark.parametrize(
    ("now_declared", "taken_from_a"),
    [
        (ListingDeclared(1, 1, "WEB", Sku("a"), False, False, Instant(5)), 4),
        (ListingDeclared(1, 7, "WEB", Sku("b"), False, True, Instant(5)), 4),
    ],
    ids=["no longer active", "mapped to another SKU as well"],
)
def test_an_open_order_outlives_the_mapping_of_its_listing(
    now_declared: ListingDeclared, taken_from_a: int
) -> None:
    book = shop_book(0)
    book.take(ListingDeclared(1, 1, "WEB", Sku("a"), False, True, Instant(0)))
    book.take(replace(order(EXTENSIV, OrderStatus.OPEN, 3, units=4), lines=(OrderLine("WEB", 4),)))
    assert claims(book, 4) == {("committed", "1"): 4}
    book.take(now_declared)
    assert claims(book, 6) == {("committed", "1"): taken_from_a}


def test_no_peer_is_raised_by_units_of_orders_whose_listing_left_the_catalogue() -> None:
    book = two_channels()
    book.take(ListingDeclared(1, 1, "WEB", Sku("a"), False, True, Instant(0)))
    book.take(sees(SLOT, 0, T, "WEB"))
    book.take(sees(US_SLOT, 16, T))
    book.take(replace(order(EXTENSIV, OrderStatus.OPEN, T + 1, units=4), lines=(OrderLine("WEB", 4),)))
    book.take(ListingDeclared(1, 1, "WEB", Sku("a"), False, False, Instant(T + 3)))
    assert raises(book, T + 4) == {}


def test_what_extensiv_says_a_line_is_counts_more_than_what_its_code_means_today() -> None:
    book = shop_book(0)
    book.take(ListingDeclared(1, 1, "WEB", Sku("a"), False, True, Instant(0)))
    line = OrderLine("WEB", 4, sku=Sku("a"))
    book.take(replace(order(EXTENSIV, OrderStatus.OPEN, 3, units=4), lines=(line,)))
    book.take(ListingDeclared(1, 1, "WEB", Sku("b"), False, True, Instant(5)))
    assert claims(book, 6) == {("committed", "1"): 4}


def test_a_line_that_somebody_added_by_hand_is_in_eaches_and_a_listing_in_its_packs() -> None:
    book = shop_book(0)
    book.policy = changed(book.policy, offer=OfferRule(units_per_sale=6))
    book.listings.clear()
    book.take(ListingDeclared(1, 1, "PACK", Sku("a"), False, True, Instant(0)))
    pack = replace(order(EXTENSIV, OrderStatus.OPEN, 3), lines=(OrderLine("PACK", 1),))
    by_hand = replace(order(EXTENSIV, OrderStatus.OPEN, 3, number="2"), lines=(OrderLine("a", 1),))
    book.take(pack)
    book.take(by_hand)
    assert claims(book, 4) == {("committed", "1"): 6, ("committed", "2"): 1}


def test_a_write_under_another_is_still_under_way_after_a_restart(tmp_path: Path) -> None:
    policy = two_channels().policy
    kept = Kept(tmp_path, Book(policy))
    kept.take(*catalogue(), *(whole(feed, T) for feed in FEEDS))
    kept.take(
        StockObserved(Sku("a"), LocationName("1"), 20, 0, 0, T, T),
        StockObserved(Sku("a"), LocationName("2"), 0, 0, 0, T, T),
        sees(SLOT, 5, T),
        sees(US_SLOT, 5, T),
        written("first", 15, 5, T, T + 10),
        accepted("first", T + 20),
    )
    (first,) = kept.book.slots[SLOT].open
    under = ((first.id, first.target, first.before, first.based_on, first.sent),)
    kept.take(written("second", 3, 5, T, T + 30, under=under), accepted("second", T + 31))
    again = kept.again(T + 900)
    for book in (kept.book, again):
        assert [each.target for each in book.slots[SLOT].open] == [15, 3]
        for fact in (sees(SLOT, 5, T + 1_000), sees(US_SLOT, 5, T + 1_000)):
            book.take(fact)
        assert raises(book, T + 1_010) == {}


def test_an_answer_that_came_for_a_write_under_another_is_known_after_a_restart(tmp_path: Path) -> None:
    kept = Kept(tmp_path, Book(two_channels().policy))
    kept.take(*catalogue(), *(whole(feed, T) for feed in FEEDS), sees(US_SLOT, 5, T))
    first = replace(written("first", 15, 5, T, T + 10), slot=US_SLOT)
    kept.take(first)
    (open_,) = kept.book.slots[US_SLOT].open
    under = ((open_.id, open_.target, open_.before, open_.based_on, open_.sent),)
    kept.take(replace(written("second", 3, 5, T, T + 30, under=under), slot=US_SLOT))
    for id_, at in (("first", T + 40), ("second", T + 50)):
        kept.take(CorrectionSent(id_, US_SLOT, Outcome.APPLIED, "", Instant(at), Instant(at)))
    assert kept.book.slots[US_SLOT].open == ()
    assert kept.again(T + 900).slots[US_SLOT].open == ()


def test_a_number_that_was_taken_is_known_after_a_restart_though_the_next_write_never_left(
    tmp_path: Path,
) -> None:
    kept = Kept(tmp_path, Book(two_channels().policy))
    kept.take(*catalogue(), *(whole(feed, T) for feed in FEEDS), sees(US_SLOT, 15, T))
    kept.take(replace(written("first", 8, 15, T, T + 10), slot=US_SLOT))
    (open_,) = kept.book.slots[US_SLOT].open
    under = ((open_.id, open_.target, open_.before, open_.based_on, open_.sent),)
    kept.take(replace(written("second", 7, 15, T, T + 20, under=under), slot=US_SLOT))
    for id_, how in (("first", Outcome.APPLIED), ("second", Outcome.NOT_SENT)):
        kept.take(CorrectionSent(id_, US_SLOT, how, "", Instant(T + 30), Instant(T + 40)))
    for book in (kept.book, kept.again(T + 900)):
        track = book.slots[US_SLOT]
        assert (track.value, track.last_written, track.firm_since, track.open) == (8, 8, T + 40, ())


@pytest.mark.parametrize("by", ["safety stock", "an order of nobody's channel"])
def test_what_is_claimed_somewhere_wider_may_have_to_come_from_here(by: str) -> None:
    book = shop_book(0)
    places = MappingProxyType({"": frozenset({LocationName("1")})})
    safety = 3 if by == "safety stock" else 0
    book.policy = changed(book.policy, SkuRule(rate=Rate(0), safety_stock=safety), places=places)
    row(book, "1", 5, 1)
    row(book, "2", 0, 1)
    see(book, 0, 1)
    if not safety:
        other = replace(order(EXTENSIV, OrderStatus.OPEN, 2, units=3), key=OrderKey(ChannelName("x"), "7"))
        book.take(other)
    assert room_of(position_at(book, 3)).headroom(SLOT, {}, raising=True) == 2
    row(book, "2", 10, 4)
    assert room_of(position_at(book, 5)).headroom(SLOT, {}, raising=True) == 5


def test_an_order_routed_elsewhere_takes_nothing_from_here_even_where_it_cannot_be_served() -> None:
    book = shop_book(0)
    places = MappingProxyType({"": frozenset({LocationName("1")})})
    book.policy = changed(book.policy, places=places)
    row(book, "1", 5, 1)
    row(book, "2", 0, 1)
    see(book, 0, 1)
    book.take(order(EXTENSIV, OrderStatus.OPEN, 2, units=3, place="2"))
    assert room_of(position_at(book, 3)).alone(SLOT) == 5


def test_an_order_is_taken_off_neither_of_two_listings_that_look_alike() -> None:
    book = two_channels()
    book.take(sees(SLOT, 5, T))
    book.take(sees(SlotKey(UK, "item 2", ""), 5, T))
    book.take(sees(US_SLOT, 10, T))
    book.take(order("uk", OrderStatus.OPEN, T + 5, placed=T + 4, units=3))
    assert [each.current for each in position_at(book, T + 6).offers if each.slot.channel == UK] == [5, 5]
    assert raises(book, T + 6) == {}


def test_what_a_channel_shipped_before_anybody_counted_takes_nothing() -> None:
    book, day = shop_book(0), 86_400_000
    swept(book, "extensiv.orders", 100 * day)
    book.take(
        replace(order("uk", OrderStatus.SHIPPED, 100 * day + 1, placed=40 * day, units=7), ended_at=None)
    )
    assert claims(book, 100 * day + 2) == {}
    # One that is still to be shipped is a discrepancy, and stays subtracted.
    book.take(order("uk", OrderStatus.OPEN, 100 * day + 1, placed=40 * day, units=7, number="2"))
    assert claims(book, 100 * day + 2) == {("in_flight", "2"): 7}
    # So is what was placed after that reading of all open orders.
    book.take(order("uk", OrderStatus.SHIPPED, 100 * day + 3, placed=100 * day, units=1, number="3"))
    assert claims(book, 100 * day + 4) == {("in_flight", "2"): 7, ("in_flight", "3"): 1}
    settle_orders(book, Instant(100 * day + 5))
    assert [each.key.number for each in book.orders.unsettled()] == ["2", "3"]


def test_a_dark_channel_keeps_back_no_more_than_it_may_be_showing() -> None:
    book = two_channels()
    book.policy = replace(book.policy, default_sku=SkuRule(rate=Rate(2_000)))
    book.take(sees(SLOT, 5, T))
    book.take(written("w", 6, 5, T, T + 10))
    book.take(accepted("w", T + 20))
    kept_back = [
        each.units for each in position_at(book, T + 24 * HOUR).claims if each.kind is ClaimKind.BURIED
    ]
    # Five that it showed before the write, beside the six that it may be showing now; one that it may have sold before
    # it was first seen.
    assert kept_back == [1 + 5]


def test_a_listing_that_is_no_longer_counted_ends_a_write_in_its_time() -> None:
    book = shop_book(0)
    see(book, 10, 1_000)
    book.take(written("w", 30, 10, 1_000, 2_000))
    book.take(accepted("w", 2_001))
    book.take(sees(SLOT, None, 30_000))
    assert [each.id for each in book.slots[SLOT].open] == ["w"]
    book.take(sees(SLOT, None, 43_000))
    assert book.slots[SLOT].open == ()


def test_a_line_of_nothing_that_is_left_out_leaves_nothing_behind() -> None:
    book = shop_book(0)
    book.take(order("uk", OrderStatus.OPEN, 1, units=0))
    book.take(replace(order("uk", OrderStatus.OPEN, 2), lines=(OrderLine("b", 4),)))
    assert [list(book.orders.standing(UK, code)) != [] for code in "ab"] == [False, True]
    assert book.orders.taken_since(UK, "b", Instant(-1)) == 4


def test_whoever_loses_something_is_looked_at_again() -> None:
    book = shop_book(0)
    see(book, 10, 1)
    assert book.take(sees(SLOT, 10, 2, "b")).dirty == {"a", "b"}
    assert book.take(sees(SLOT, None, 3, "b", gone=True)).dirty == {"b"}
    book.take(order(EXTENSIV, OrderStatus.OPEN, 3, units=4))
    edited = replace(order(EXTENSIV, OrderStatus.OPEN, 4), lines=(OrderLine("b", 4),))
    assert book.take(edited).dirty == {"a", "b"}
    assert book.take(replace(edited, as_of=Instant(5), lines=())).dirty == {"a", "b"}


def test_units_that_a_channel_added_count_until_extensiv_must_have_heard_of_them() -> None:
    book = shop_book(0)
    swept(book, "extensiv.orders", 100)
    book.take(order("uk", OrderStatus.OPEN, 2_000, placed=1_500))
    book.take(order(EXTENSIV, OrderStatus.OPEN, 3_000, placed=1_500))
    book.take(order("uk", OrderStatus.OPEN, 9_000, placed=1_500, units=3))
    swept(book, "uk.orders", 9_500 + LAG_MS)
    assert claims(book, 9_600 + LAG_MS) == {("committed", "1"): 1, ("in_flight", "1 changed"): 2}
    swept(book, "extensiv.orders", 9_101)
    assert claims(book, 9_700 + LAG_MS) == {("committed", "1"): 1}


def test_in_which_order_changed_orders_arrived_does_not_matter() -> None:
    def told(numbers: tuple[str, ...]) -> list[str]:
        book = shop_book(0)
        for number in numbers:
            book.take(order(EXTENSIV, OrderStatus.OPEN, 3_000, placed=1_500, number=number))
            book.take(order("uk", OrderStatus.OPEN, 9_000, placed=1_500, units=3, number=number))
        return [each.about for each in position_at(book, 9_100).claims]

    assert told(("1", "2", "3")) == told(("3", "1", "2"))


def test_a_blind_lower_counts_while_it_may_still_bring_units_back() -> None:
    book = shop_book(0)
    swept(book, "uk.orders", 0)
    see(book, 2, 1_000)
    book.take(written("w", 1, 2, 1_000, 1_100))
    book.take(accepted("w", 1_300))
    see(book, 0, 3_000)
    assert position_at(book, 3_001).offers[0].shown == 1
    see(book, 0, 41_301)
    assert position_at(book, 41_302).offers[0].shown == 0


def test_what_a_listing_sold_before_it_was_first_seen_is_kept_back_until_its_orders_are_known() -> None:
    book = two_channels()
    book.policy = replace(book.policy, default_sku=SkuRule(rate=Rate(60_000)))
    book.take(sees(SLOT, 8, T))
    book.take(sees(US_SLOT, 8, T))
    assert raises(book, T + 10) == {}
    all_read(book, T + LAG_MS)
    assert sum(target - shown for shown, target in raises(book, T + LAG_MS + 1).values()) == 4


def test_a_note_on_a_shipped_order_does_not_take_it_off_again_after_a_restart(tmp_path: Path) -> None:
    minute = 60_000
    kept = Kept(tmp_path, Book(shop_book(0, copied=True).policy))
    kept.take(*catalogue(), whole("extensiv.orders", 0), sees(SLOT, 100, 1))
    kept.take(order(EXTENSIV, OrderStatus.SHIPPED, 10 * minute, place="2", units=5))
    for on_hand, at in ((50, 11), (45, 20)):
        when = Instant(at * minute)
        kept.take(StockObserved(Sku("a"), LocationName("2"), on_hand, 0, 0, when, when))
    kept.take(order(EXTENSIV, OrderStatus.SHIPPED, 30 * minute, place="2", units=5))
    assert claims(kept.book, 32 * minute) == {}
    assert claims(kept.again(32 * minute), 32 * minute) == {}


def test_orders_that_the_ledger_holds_are_no_news_after_a_restart(tmp_path: Path) -> None:
    kept = Kept(tmp_path, Book(shop_book(0).policy))
    now = 100 * HOUR
    kept.take(*catalogue(), sees(SLOT, 100, now))
    kept.take(order(EXTENSIV, OrderStatus.OPEN, now, placed=now - 50 * HOUR, units=40))
    kept.take(whole("extensiv.orders", now))
    assert sold_since(kept.book, Sku("a"), Instant(now + 1)) == 0
    again = kept.again(now + 1)
    assert sold_since(again, Sku("a"), Instant(now + 1)) == 0
    # What turns up from then on is.
    again.take(order(EXTENSIV, OrderStatus.OPEN, now + 2, placed=now - 50 * HOUR, units=3, number="late"))
    assert sold_since(again, Sku("a"), Instant(now + 3)) == 3


def test_orders_at_an_excluded_place_do_not_make_the_others_scarce() -> None:
    book = shop_book(0)
    rule = SkuRule(rate=Rate(0), min_level=10, excluded_locations=frozenset({LocationName("2")}))
    book.policy = changed(book.policy, rule, offer=OfferRule(low_stock=Percent(0)))
    see(book, 50, 1)
    book.take(order(EXTENSIV, OrderStatus.OPEN, 2, units=45, place="2"))
    plan = make_plan(position_at(book, 3), AUTO)
    assert [(each.ideal, each.because.value) for each in plan.allocations] == [(50, "share")]


def test_a_fall_is_measured_by_how_fast_its_own_sku_is_said_to_sell() -> None:
    book = shop_book(0)
    fast = MappingProxyType({Sku("a"): SkuRule(rate=Rate(60_000_000))})
    book.policy = replace(changed(book.policy), skus=fast)
    see(book, 100, 1_000)
    see(book, 40, 61_000)
    assert book.slots[SLOT].inferred[0].cap >= 60


def test_a_clock_set_back_proves_no_shipment() -> None:
    minute, book = 60_000, shop_book(0, copied=True)
    row(book, "2", 50, 95 * minute)
    row(book, "2", 60, 100 * minute)
    book.take(order(EXTENSIV, OrderStatus.SHIPPED, 45 * minute, place="2", units=5))
    book.turn_back(Instant(50 * minute))
    row(book, "2", 60, 51 * minute)
    assert claims(book, 51 * minute + 1) == {("shipped", "1"): 5}


def test_what_others_moved_is_told_until_our_next_write_and_not_charged_twice(tmp_path: Path) -> None:
    book = shop_book(0)
    swept(book, "uk.orders", 0)
    see(book, 10, 1_000)
    see(book, 15, 2_000)
    assert book.slots[SLOT].surprise == 5
    book.take(written("w", 8, 15, 2_000, 3_000))
    book.take(accepted("w", 3_001))
    see(book, 8, 5_000)
    assert book.slots[SLOT].surprise == 0
    kept = Kept(tmp_path, Book(shop_book(0).policy))
    kept.take(*catalogue(), whole("uk.orders", 0), sees(SLOT, 100, 1_000), sees(SLOT, 90, 2_000))
    kept.take(whole("uk.orders", 2_001 + LAG_MS))
    kept.take(written("w", 50, 90, 2_000, 200_000))
    kept.take(CorrectionSent("w", SLOT, Outcome.APPLIED, "", Instant(200_001), Instant(200_002)))
    assert kept.book.slots[SLOT].surprise == 0
    assert kept.again(210_000).slots[SLOT].surprise == 0


def test_only_a_whole_reading_tells_that_a_listing_does_not_exist() -> None:
    book = shop_book(0)
    news = SweepRead(FeedName("uk.slots"), Instant(100), Instant(100), True, 0, 0, full=False)
    book.take(news)
    assert book.joins().unlisted == {Sku("a"): (UK,), Sku("b"): (UK,)}
    book.take(replace(whole("uk.slots", 200)))
    assert book.joins().unlisted == {}


def test_a_reading_asked_for_before_an_answer_does_not_undo_what_was_answered() -> None:
    book = two_channels()
    slot = US_SLOT
    book.take(sees(slot, 5, T))
    plan = replace(written("w", 9, 5, T, T + 100), slot=slot)
    book.take(plan)
    book.take(CorrectionSent("w", slot, Outcome.APPLIED, "", Instant(T + 110), Instant(T + 900)))
    book.take(sees(slot, 5, T + 500))
    assert (book.slots[slot].value, book.slots[slot].inferred) == (9, [])
    book.take(sees(slot, 8, T + 900))
    assert book.slots[slot].value == 8


@pytest.mark.parametrize(
    "then",
    [{"status": OrderStatus.CANCELLED, "ended_at": Instant(4_000)}, {"lines": (OrderLine("a", 0),)}],
    ids=["cancelled", "line taken off"],
)
def test_a_sale_that_was_taken_back_explains_its_fall_all_the_same(then: dict[str, object]) -> None:
    book = shop_book(0)
    see(book, 10, 1_000)
    sold = order("uk", OrderStatus.OPEN, 3_000, placed=1_500, units=2)
    book.take(sold)
    see(book, 8, 3_500)
    book.take(replace(sold, as_of=Instant(4_100), **then))  # type: ignore[arg-type]
    assert ("inferred", SLOT.path) not in claims(book, 4_200)
    assert sum(claims(book, 4_200).values()) <= 2


def test_a_sale_that_extensiv_knows_before_the_channels_own_list_is_subtracted_once() -> None:
    book = shop_book(0)
    see(book, 30, 1_000)
    see(book, 10, 3_000)
    assert sum(claims(book, 3_100).values()) > 0
    book.take(order(EXTENSIV, OrderStatus.OPEN, 3_500, placed=2_000, units=20))
    assert claims(book, 3_600) == {("committed", "1"): 20}
    book.take(order("uk", OrderStatus.OPEN, 4_000, placed=2_100, units=20))
    assert claims(book, 4_100) == {("committed", "1"): 20}
    # What was placed before the fall explains nothing of it.
    see(book, 7, 6_000)
    book.take(order(EXTENSIV, OrderStatus.OPEN, 6_500, placed=500, units=5, number="2"))
    assert claims(book, 6_600)["inferred", SLOT.path] == 3


def test_a_raise_waits_for_nothing_that_it_does_not_need() -> None:
    """The other side of all of the above: with everything known, what is free is offered."""
    book = two_channels()
    book.take(sees(SLOT, 8, T))
    book.take(sees(US_SLOT, 8, T))
    all_read(book, T + LAG_MS)
    plan = make_plan(position_at(book, T + LAG_MS + 1), AUTO)
    assert {each.verdict for each in plan.entries} == {Verdict.SEND}


def test_what_a_listing_shows_whose_mapping_has_ended_is_given_to_nobody() -> None:
    """The store goes on selling it: nobody writes it, and its units are not there for others."""
    book = two_channels()
    all_read(book, T)
    book.take(ListingDeclared(1, 1, "a", Sku("a"), False, False, Instant(T + 1)))
    assert raises(book, T + 2) == {"us": (8, 12)}
    verdicts = {e.slot.channel: e.verdict for e in make_plan(position_at(book, T + 2), AUTO).entries}
    assert verdicts.get(UK, Verdict.HOLD_NOT_OURS) is Verdict.HOLD_NOT_OURS
    swept(book, "uk.slots", T + 3)
    book.take(whole("uk.slots", T + 3))
    assert [each.what for each in book.findings.values() if not each.cleared] == [FindingKind.UNMAPPED_SKU]


def test_of_a_code_that_once_meant_several_nobody_can_say_what_it_shows() -> None:
    book = two_channels()
    all_read(book, T)
    for number, sku in ((1, "a"), (7, "b")):
        book.take(ListingDeclared(1, number, "a", Sku(sku), False, False, Instant(T + 1)))
    assert [each.slot.channel for each in position_at(book, T + 2).offers] == ["us"]
