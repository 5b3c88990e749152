"""What may still happen, what cannot be told apart, and what is not ours: none of it may be offered twice."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.domain.allocation import allocate
from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import dark_claims
from reconcilerd.domain.facts import (
    EXTENSIV,
    CorrectionPlanned,
    CorrectionSent,
    Fact,
    OrderStatus,
    Outcome,
    SlotObserved,
    SlotState,
    StockObserved,
)
from reconcilerd.domain.guards import Rails, Verdict, explained_units
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import MaxUnits, Mode, OfferRule, Percent, PoolMode, PoolRule, Rule, SkuRule
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.quantities import Rate, expected
from reconcilerd.domain.room import room_of
from tests.domain.books import LAG_MS, SLOT, UK, claimed, order, position_at, row, see, shop_book, swept
from tests.domain.builders import A, B, claim, offer, position
from tests.domain.builders import row as stock

AUTO = Rails(Mode.AUTO)


def planned(book: Book, id_: str, target: int, at: int) -> None:
    read = book.slots[SLOT].value
    assert read is not None
    book.take(
        CorrectionPlanned(id_, SLOT, "a", read, book.slots[SLOT].as_of, target, "lag", "share", Instant(at))
    )


def sent(book: Book, id_: str, outcome: Outcome, at: int) -> None:
    book.take(CorrectionSent(id_, SLOT, outcome, "", Instant(at), Instant(at + 100)))


def left(book: Book, at: int = 3_000) -> list[int]:
    return [shelf.left for shelf in room_of(position_at(book, at)).shelves]


def test_a_replaced_write_under_way_still_counts_as_what_may_be_shown() -> None:
    book = shop_book(0)
    see(book, 10, 1_000)
    planned(book, "first", 80, 2_000)
    planned(book, "second", 20, 2_100)
    (uk,) = position_at(book, 2_200).offers
    assert (uk.write, uk.shown) == (20, 80)
    sent(book, "second", Outcome.STALE, 2_300)
    (uk,) = position_at(book, 2_500).offers
    assert (uk.write, uk.shown) == (None, 80)
    sent(book, "first", Outcome.APPLIED, 2_000)
    (uk,) = position_at(book, 2_600).offers
    assert (uk.read, uk.shown, uk.replaced) == (80, 80, 0)


def test_what_was_only_answered_is_not_read_yet() -> None:
    """Some stores say that they took a write, and show what they showed: until it is read, others get none of it."""
    book = shop_book(0)
    see(book, 10, 1_000)
    assert not position_at(book, 1_500).offers[0].only_answered
    planned(book, "first", 4, 2_000)
    sent(book, "first", Outcome.APPLIED, 2_000)
    (uk,) = position_at(book, 2_200).offers
    assert (uk.shown, uk.only_answered) == (4, True)
    see(book, 10, 3_000)
    (uk,) = position_at(book, 3_100).offers
    assert (uk.shown, uk.only_answered) == (10, False)


def test_a_reading_ends_a_replaced_write_like_any_other() -> None:
    book = shop_book(0)
    see(book, 10, 1_000)
    planned(book, "first", 80, 2_000)
    sent(book, "first", Outcome.UNKNOWN, 2_050)
    planned(book, "second", 20, 2_100)
    sent(book, "second", Outcome.APPLIED, 2_150)
    see(book, 20, 20_000)
    assert [each.id for each in book.slots[SLOT].open] == ["first"]
    see(book, 20, 60_000)
    assert book.slots[SLOT].open == ()


@pytest.mark.parametrize("by", ["sku", "channel"])
@pytest.mark.parametrize("source", ["uk", EXTENSIV])
def test_an_order_lies_where_it_may_be_sold_from(by: str, source: str) -> None:
    book, two = shop_book(0), frozenset({LocationName("2")})
    channel = book.policy.channels[UK]
    book.policy = replace(
        book.policy,
        default_sku=SkuRule(
            rate=Rate(0), excluded_locations=two if by == "sku" else frozenset(), safety_stock=5
        ),
        channels=MappingProxyType(
            {
                UK: replace(
                    channel, offer=OfferRule(excluded_locations=two if by == "channel" else frozenset())
                )
            }
        ),
    )
    see(book, 50, 1_000)
    assert min(left(book)) == (45 if by == "sku" else 50)
    book.take(order(source, OrderStatus.OPEN, 2_500, placed=500, units=10))
    assert min(left(book)) == (35 if by == "sku" else 40)


def test_only_the_count_itself_tells_that_a_copy_was_refreshed() -> None:
    book = shop_book(0, copied=True)
    book.take(order(EXTENSIV, OrderStatus.SHIPPED, 1_000, place="2", units=3))
    row(book, "2", 50, 2_000, allocated=3)
    row(book, "2", 50, 60_000, allocated=0)
    assert claimed(book, 60_001, ClaimKind.SHIPPED) == 3
    row(book, "2", 47, 90_000)
    assert claimed(book, 90_001, ClaimKind.SHIPPED) == 0


@pytest.mark.parametrize(("fell", "given"), [(45, 0), (44, 1), (5, 40), (0, 45)])
def test_what_fell_in_bulk_is_nobodys_until_its_orders_are_known_and_all_else_is_given(
    fell: int, given: int
) -> None:
    offers = [offer("uk", Percent(500), shown=55), offer("eu", Percent(500), shown=20)]
    where = position(offers, [stock(A, 120)], [claim(fell, ClaimKind.UNSETTLED)], split=True)
    plan = make_plan(where, AUTO)
    assert sum(each.target - each.current for each in plan.sends) == given
    assert not any(each.lowers for each in plan.entries)


def test_an_order_that_never_reaches_extensiv_takes_nothing_off_the_listing() -> None:
    book = shop_book(0)
    see(book, 70, 1_000)
    sale = order("uk", OrderStatus.OPEN, 2_000, placed=1_500, units=20)
    book.take(replace(sale, eligible=False))
    assert [each.current for each in position_at(book, 2_100).offers] == [70]


def test_a_place_that_is_not_ours_shows_other_peoples_stock() -> None:
    book = shop_book(0)
    channel = replace(book.policy.channels[UK], places=MappingProxyType({"": frozenset[LocationName]()}))
    book.policy = replace(book.policy, channels=MappingProxyType({UK: channel}))
    see(book, 100, 1_000)
    now = Instant(1_000)
    theirs = SlotKey(UK, "item", "retail")
    book.take(SlotObserved(theirs, "a", "A", 500, SlotState.BUYABLE, False, now, now))
    assert [each.slot for each in position_at(book, 1_100).offers] == [SLOT]


def test_what_is_confirmed_gone_is_known_to_be_none() -> None:
    book = shop_book(0)
    see(book, 5, 1_000)
    for place in ("1", "2"):
        at = Instant(2_000)
        book.take(StockObserved(Sku("a"), LocationName(place), 0, 0, 0, at, at, gone=True))
    where = position_at(book, 2_500)
    assert where.unknown == ()
    (entry,) = make_plan(where, AUTO).entries
    assert (entry.target, entry.verdict, entry.sold_out) == (0, Verdict.SEND, True)


def test_only_news_explains_a_fall() -> None:
    def explained(*, old: bool) -> int:
        book = shop_book(0)
        book.policy = replace(book.policy, default_sku=SkuRule(rate=Rate(0)))
        ages_ago = order(EXTENSIV, OrderStatus.OPEN, 1_000, placed=-20 * 86_400_000, units=30)
        if old:
            book.take(ages_ago)
        swept(book, "extensiv.orders", 2_000)
        if not old:
            book.take(replace(ages_ago, as_of=Instant(3_000)))
        see(book, 60, 4_000)
        where = position_at(book, 5_000)
        return explained_units(where, where.offers[0])

    assert explained(old=True) == 0, "what is shown has been less for it all along"
    assert explained(old=False) == 30, "nobody knew of it, whenever it was placed"


def test_a_number_below_zero_is_compared_as_it_is() -> None:
    book = shop_book(0)
    now = Instant(1_000)
    book.take(SlotObserved(SLOT, "a", "A", 0, SlotState.BUYABLE, True, now, now, below_zero=3))
    entry = make_plan(position_at(book, 1_100), AUTO).entries[0]
    assert (entry.read, entry.owed) == (0, 3)


def test_a_write_is_missed_only_after_its_answer_and_its_time() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    planned(book, "w", 60, 2_000)
    see(book, 50, 100_000)
    assert book.slots[SLOT].write is not None, "it may not even have left"
    sent(book, "w", Outcome.ACCEPTED, 100_500)
    see(book, 50, 101_000)
    assert book.slots[SLOT].write is not None
    see(book, 50, 141_000)
    assert book.slots[SLOT].write is None


def test_after_a_start_no_answer_will_come_and_a_reading_decides() -> None:
    book = shop_book(0)
    see(book, 50, 1_000)
    planned(book, "w", 60, 2_000)
    book.load((), Instant(500_000))
    see(book, 50, 510_000)
    assert book.slots[SLOT].write is not None
    see(book, 50, 541_000)
    assert book.slots[SLOT].write is None


@pytest.mark.parametrize(
    ("rule", "cap", "shown", "wanted"),
    [
        (Percent(0), None, 1, 0),
        (MaxUnits(0), None, 1, 0),
        (Percent(1000), 40, 44, 40),
        (MaxUnits(40), None, 44, 40),
    ],
)
@pytest.mark.parametrize("split", [True, False])
def test_no_tolerance_shows_more_than_a_rule_allows(
    rule: Rule, cap: int | None, shown: int, wanted: int, split: bool
) -> None:
    offers = [offer("uk", rule, shown=shown, cap=cap), offer("eu", Percent(1000), shown=1_000 - shown)]
    made = allocate(position(offers, [stock(A, 1_000)], split=split))
    assert {each.slot.channel: each.desired for each in made}[UK] == wanted


@pytest.mark.parametrize(("rule", "shown"), [(MaxUnits(25), 1), (Percent(50), 1), (MaxUnits(25), 18)])
def test_a_small_allowance_is_no_tolerance_of_much(rule: Rule, shown: int) -> None:
    made = allocate(position([offer("uk", rule, shown=shown)], [stock(A, 1_000)], split=False))
    assert made[0].desired == made[0].ideal


def test_a_dark_channel_keeps_no_more_than_it_may_show() -> None:
    offers = [offer("dark", Percent(500), shown=0), offer("lives", Percent(500), shown=0)]
    where = position(offers, [stock(A, 40)], split=True)
    dim = tuple(replace(each, dark=each.name == "dark") for each in where.channels)
    made = {each.slot.channel: each.ideal for each in allocate(replace(where, channels=dim))}
    assert made == {"dark": 0, "lives": 40}


def test_levels_are_stock_whatever_one_sale_takes() -> None:
    low = offer("uk", Percent(1000), uses=((Sku("x"), 6),), units_per_sale=6, low_stock=Percent(0))
    where = replace(position([low], [stock(A, 60)], split=False), min_levels=((Sku("x"), 10),))
    assert [each.ideal for each in allocate(where)] == [10]


def test_what_is_refused_rests_longer_each_time_and_what_is_taken_ends_it() -> None:
    book, rests = shop_book(0), list[int]()
    see(book, 50, 1_000)
    for turn in range(1, 10):
        at = turn * 10_000_000
        see(book, 50, at)
        planned(book, f"{turn}", 60, at + 1)
        sent(book, f"{turn}", Outcome.REFUSED, at + 2)
        rests.append(book.slots[SLOT].not_before - at - 102)
    assert rests == [30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000, 600_000, 600_000]
    planned(book, "taken", 60, 200_000_000)
    sent(book, "taken", Outcome.APPLIED, 200_000_001)
    assert book.slots[SLOT].refused == 0


def test_a_compare_may_fail_a_few_times_at_once() -> None:
    book = shop_book(0)
    for turn in range(1, 5):
        at = turn * 1_000
        see(book, 50, at)
        planned(book, f"{turn}", 60, at + 1)
        sent(book, f"{turn}", Outcome.STALE, at + 2)
        assert (book.slots[SLOT].not_before > at) == (turn > 3)


def test_what_a_dark_store_was_seen_to_sell_is_no_part_of_what_it_may_have_sold() -> None:
    book = shop_book(0)
    book.policy = replace(book.policy, pools=MappingProxyType({"default": PoolRule(PoolMode.SHARED)}))
    see(book, 100, 1_000)
    swept(book, "uk.orders", 1_000)
    see(book, 87, 31_000)
    (uk,) = position_at(book, 40_000).offers
    dark = sum(each.units for each in dark_claims(book, (uk,), frozenset({UK}), Instant(40_000)))
    assert expected(uk.rate, 40_000 - 1_000 + LAG_MS, 1) > 87, "it may have sold all that it shows"
    assert dark == 87 - 13


def dim(mode: PoolMode, *feeds: str) -> tuple[Book, int]:
    """A shop that was read long ago, and a moment at which its channel is dark."""
    book = shop_book(1_000)
    book.policy = replace(book.policy, pools=MappingProxyType({"default": PoolRule(mode)}))
    see(book, 40, 1_000)
    for feed in feeds:
        swept(book, feed, 1_000)
    return book, 1_000 + LAG_MS + book.policy.ages.max_age_ms


@pytest.mark.parametrize(("mode", "held"), [(PoolMode.SHARED, 40), (PoolMode.SPLIT, 0)])
def test_a_dark_channel_of_a_shared_pool_may_have_sold_all_that_it_showed(mode: PoolMode, held: int) -> None:
    """One of a split pool keeps what it may show anyway."""
    book, now = dim(mode, "uk.orders", "uk.slots")
    assert position_at(book, now).channel(UK).dark
    assert claimed(book, now, ClaimKind.DARK) == held


def test_of_a_channel_whose_orders_were_never_read_nobody_can_say_since_when_it_sold() -> None:
    book, now = dim(PoolMode.SHARED, "uk.slots")
    where = position_at(book, now)
    assert where.channel(UK).dark
    assert claimed(book, now, ClaimKind.DARK) == 0
    assert Verdict.SEND not in {each.verdict for each in make_plan(where, AUTO).entries if not each.lowers}


def test_a_channel_that_lives_has_sold_nothing_unseen() -> None:
    book, _ = dim(PoolMode.SHARED, "uk.orders", "uk.slots")
    offers = position_at(book, 2_000).offers
    assert [*dark_claims(book, offers, frozenset({ChannelName("eu")}), Instant(10_000_000))] == []


@pytest.mark.parametrize(("heard", "sold"), [(30_001, 2), (30_000, 0)])
def test_a_row_that_says_nothing_is_explained_by_what_was_heard_of_since_it_said_more(
    heard: int, sold: int
) -> None:
    """Or a minute before: an order is heard of later than the moment that its reading is as of."""
    book = shop_book(90_000)
    swept(book, "extensiv.orders", 1_000)
    book.take(order(EXTENSIV, OrderStatus.OPEN, heard, units=2))
    see(book, 60, 91_000)
    told = []
    for at in (100_000, 200_000, 300_000):
        row(book, "1", 0, at)
        told += [(each.location, each.sold) for each in position_at(book, at).stock if each.sold]
    assert told == ([("1", sold)] * 2 if sold else []), "what is said thrice needs no explaining"


@pytest.mark.parametrize("restarted", [False, True])
def test_what_sold_before_a_row_last_said_more_explains_no_zero_of_it_whatever_was_started_since(
    restarted: bool,
) -> None:
    book, told = shop_book(0), list[Fact]()
    swept(book, "extensiv.orders", 500)
    sale = order("uk", OrderStatus.OPEN, 1_000_000, placed=999_000, units=30)
    book.take(sale)
    for on_hand, at in ((50, 2_000_000), (0, 2_010_000)):
        fact = StockObserved(Sku("a"), LocationName("1"), on_hand, 0, 0, Instant(at), Instant(at))
        told.append(book.take(fact).instead or fact)
    if restarted:
        known: tuple[Fact, ...] = (*book.products.values(), *book.listings.values())
        book = Book(book.policy)
        book.load((*known, *told[-1:], sale), Instant(2_015_000))
    (sold,) = (each.sold for each in position_at(book, 2_020_000).stock if each.location == "1")
    assert sold == 0


@pytest.mark.parametrize(("elsewhere", "explained"), [(7, 3), (0, 3), (1, 3)])
def test_orders_that_empty_the_one_place_where_a_bundle_is_put_together_explain_its_zero(
    elsewhere: int, explained: int
) -> None:
    """However much of a component lies where the other one never did."""
    kit = ((Sku("x"), 1), (Sku("y"), 1))
    rows = [stock(A, 15), stock(A, 3, "y"), stock(B, elsewhere, "y")]
    ordered = claim(3, sku="y", where=frozenset({A}))
    where = position([offer("uk", shown=3, uses=kit, sku="kit")], rows, [ordered])
    where = replace(where, sold=((Sku("x"), 0), (Sku("y"), 3)))
    assert explained_units(where, where.offers[0]) == explained
    (entry,) = make_plan(where, AUTO).entries
    assert (entry.target, entry.unexplained, entry.verdict) == (0, 0, Verdict.SEND)


def test_what_is_scarce_only_where_a_bundle_is_not_sold_from_explains_nothing_of_it() -> None:
    kit = ((Sku("x"), 1), (Sku("y"), 1))
    rows = [stock(A, 3), stock(A, 15, "y"), stock(B, 0, "y"), stock(B, 9)]
    where = position([offer("uk", shown=9, uses=kit, sku="kit", locations=frozenset({A}))], rows)
    where = replace(where, sold=((Sku("x"), 1), (Sku("y"), 6)))
    assert explained_units(where, where.offers[0]) == 1
