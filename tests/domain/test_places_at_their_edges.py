"""A listing at several places: what the rules say where hardly anything is left, read, ours, or known."""

from dataclasses import replace

import pytest

from reconcilerd.domain.allocation import Because, allocate
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import Fact, OrderStatus, SaleInferred, SlotObserved, SlotState, SweepRead
from reconcilerd.domain.guards import Verdict
from reconcilerd.domain.invariants import check_plan
from reconcilerd.domain.names import FeedName, Instant, SlotKey
from reconcilerd.domain.plan import hidden, make_plan
from reconcilerd.domain.policy import MaxUnits, OfferRule, PoolMode, PoolRule
from reconcilerd.domain.position import ClaimKind, OfferView, Position
from tests.domain.books import UK, claimed, order, position_at, swept, written
from tests.domain.builders import EVERYWHERE, A, B, claim, offer, position
from tests.domain.builders import row as stock
from tests.domain.test_several_places import (
    AUTO,
    FIRST,
    LAG_MS,
    SECOND,
    at,
    bought,
    of_uk,
    read,
    shop,
    two_places,
)

UNTRACKED = SlotState.UNTRACKED


def ideal(where: Position) -> dict[str, int]:
    return {each.slot.place: each.ideal for each in allocate(where) if each.slot.channel == UK}


def desired(where: Position) -> dict[str, int]:
    return {each.slot.place: each.desired for each in allocate(where) if each.slot.channel == UK}


def ruled(rule: OfferRule, *offers: OfferView) -> list[OfferView]:
    return [replace(each, rule=rule) for each in offers]


def test_what_there_is_is_divided_as_the_shares_of_the_places_are_to_each_other() -> None:
    assert ideal(shop(at("p", 0, FIRST), at("q", 0, SECOND), (9, 3), (4, EVERYWHERE))) == {"p": 6, "q": 2}


def test_a_place_of_others_that_was_never_read_takes_none_of_it() -> None:
    never = replace(at("o", 0, FIRST, state=UNTRACKED), read=None)
    where = position(
        [never, at("p", 0, FIRST), at("q", 0, SECOND)],
        [stock(A, 5), stock(B, 5)],
        [claim(3, where=EVERYWHERE)],
    )
    told = ideal(where)
    assert told["p"] + told["q"] == 7


def test_a_place_without_stock_has_no_share_of_it() -> None:
    others = (at("q", 0, SECOND), at("r", 0, SECOND))
    where = position([at("p", 0, FIRST), *others], [stock(A, 0), stock(B, 5)])
    told = ideal(where)
    assert (told["p"], told["q"] + told["r"]) == (0, 5)


def test_no_place_keeps_more_than_its_rule_lets_it_show() -> None:
    three = OfferRule(normal=MaxUnits(3))
    both = ruled(three, at("p", 4, FIRST), at("q", 0, SECOND))
    where = position(both, [stock(A, 5), stock(B, 5)], [claim(6, where=EVERYWHERE)])
    assert desired(where) == {"p": 3, "q": 1}


def test_what_is_promised_beyond_stock_may_be_kept_at_whichever_place() -> None:
    """Each place is to show 8 at least, of 7 that there are; the pool allows the rest of it to lie on no shelf."""
    least = OfferRule(minimum=8)
    both = ruled(least, at("p", 9, FIRST), at("q", 7, SECOND))
    where = position(both, [stock(A, 5), stock(B, 5)], [claim(3, where=EVERYWHERE)])
    where = replace(where, pool=PoolRule(PoolMode.SHARED, overcommit=1000))
    told = {each.slot.place: (each.ideal, each.desired) for each in allocate(where)}
    assert told == {"p": (8, 9), "q": (8, 7)}


def test_what_is_not_ours_is_never_lowered_for_a_place_that_is() -> None:
    foreign = at("p", 30, FIRST, state=UNTRACKED)
    where = shop(foreign, at("q", 150, SECOND), (25, 162))
    where = replace(where, pool=PoolRule(PoolMode.SHARED, dead_band_permille=20))
    assert desired(where)["p"] == 30


def test_what_a_dead_band_tolerates_gives_way_to_a_place_that_was_never_read() -> None:
    never = replace(at("p", 0, FIRST), read=None)
    where = shop(never, at("q", 164, SECOND), (1, 162))
    where = replace(where, pool=PoolRule(PoolMode.SHARED, dead_band_permille=20))
    assert desired(where) == {"p": 1, "q": 162}


def test_only_a_listing_at_several_places_is_spread() -> None:
    where = shop(at("p", 0, FIRST), at("q", 0, SECOND), (5, 5))
    assert [[each.slot.place for each in listing] for listing in where.spread()] == [["p", "q"]]


def test_only_a_doubt_that_holds_others_back_is_compared() -> None:
    doubted = at("q", 1, SECOND, doubted=5)
    elsewhere = replace(offer("eu", shown=4), doubted=9)
    where = position(
        [at("p", 0, FIRST), doubted, elsewhere], [stock(A, 4), stock(B, 1)], [claim(1, where=EVERYWHERE)]
    )
    told = {each.slot: each.because for each in make_plan(where, AUTO).sends}
    assert told == {doubted.slot: Because.COMPARED}


def test_another_listing_of_the_same_channel_is_another_listing() -> None:
    other = replace(offer("uk", shown=0), slot=SlotKey(UK, "other", "q"))
    where = position([at("p", 0, FIRST), at("q", 0, SECOND), other], [stock(A, 5), stock(B, 5)])
    (first, *_) = where.offers
    assert [each.slot.place for each in where.beside(first)] == ["q"]
    assert {each.ideal for each in allocate(where) if each.slot.listing == "other"} == {10}


def test_what_a_place_of_others_shows_beyond_its_share_is_taken_off_ours() -> None:
    def told(foreign: int | None, taken: int) -> tuple[int, Because]:
        other = replace(at("p", 0, FIRST, state=UNTRACKED), read=foreign)
        where = position(
            [other, at("q", 0, SECOND)], [stock(A, 5), stock(B, 5)], [claim(taken, where=EVERYWHERE)]
        )
        (mine,) = (each for each in allocate(where) if each.slot.place == "q")
        return mine.ideal, mine.because

    assert told(6, 0) == (4, Because.TOGETHER)
    assert told(5, 0) == (5, Because.ALL)
    assert told(None, 5) == (5, Because.ALL), "nobody knows that it shows anything"


def test_a_place_of_others_hides_nothing() -> None:
    foreign = at("p", 0, FIRST, state=UNTRACKED)
    where = position([foreign, at("q", 5, SECOND)], [stock(A, 5), stock(B, 5)])
    assert hidden(make_plan(where, AUTO)) == 0


def test_nobody_compares_for_who_waits_for_something_else() -> None:
    stale = at("p", 0, FIRST, suspect=True)
    doubted = at("q", 1, SECOND, doubted=5)
    where = position([stale, doubted], [stock(A, 4), stock(B, 1)], [claim(1, where=EVERYWHERE)])
    plan = make_plan(where, AUTO)
    assert [each.slot.place for each in plan.entries] == ["p"]
    assert Verdict.HOLD_HEADROOM not in {each.verdict for each in plan.entries}


def test_a_doubt_that_is_corrected_is_not_compared_besides() -> None:
    doubted = at("q", 1, SECOND, doubted=7)
    plan = make_plan(shop(at("p", 0, FIRST), doubted, (4, 3), (1, EVERYWHERE)), AUTO)
    assert ("p", Verdict.HOLD_HEADROOM) in [(place, verdict) for place, _, verdict in of_uk(plan)]
    slots = [each.slot for each in plan.entries]
    assert doubted.slot in slots
    assert len(slots) == len(set(slots))


def test_who_raises_a_place_beyond_what_there_is_together_is_found_out() -> None:
    plan = make_plan(shop(at("p", 2, FIRST), at("q", 2, SECOND), (5, 5), (3, EVERYWHERE)), AUTO)
    assert check_plan(plan, AUTO) == ()
    entries = tuple(
        replace(each, target=5, desired=5) if each.slot.channel == UK else each for each in plan.entries
    )
    assert "I2" in {each.invariant for each in check_plan(replace(plan, entries=entries), AUTO)}


# What falls at a place that is not ours.


def fell(
    mapped: tuple[str, ...], place: str, quantity: int | None, *, also: bool = True
) -> list[SaleInferred]:
    """What is inferred of a place once it was read again."""
    book = two_places(*((50, 50) if also else (50,)), mapped=mapped)
    now = Instant(10_000)
    state = UNTRACKED if quantity is None else SlotState.BUYABLE
    book.take(SlotObserved(SlotKey(UK, "item", place), "a", "A", quantity, state, False, now, now))
    return list(book.slots[SlotKey(UK, "item", place)].inferred)


def test_what_falls_at_a_place_of_others_is_known_and_nobody_is_blamed_for_it() -> None:
    assert [(each.fall, each.cap) for each in fell(("q",), "p", 48)] == [(2, 0)]
    assert fell(("q",), "p", 52) == []
    assert fell(("q",), "p", 50) == []
    assert fell(("q",), "p", None) == []
    book = two_places(50, 50, mapped=("q",))
    read(book, "p", 48, 10_000)
    read(book, "q", 50, 10_000)
    swept(book, "uk.orders", 15_000 + LAG_MS)
    assert book.slots[SlotKey(UK, "item", "p")].inferred == []
    assert book.slots[SlotKey(UK, "item", "p")].surprise == 0


def test_what_is_written_now_tells_of_no_sale_until_it_is_settled() -> None:
    book = two_places(50, 50)
    slot = SlotKey(UK, "item", "p")
    book.take(replace(written("w", 60, 50, 1_000, 2_000), slot=slot))
    read(book, "p", 49, 10_000)
    assert [each.id for each in book.slots[slot].open] == ["w"]
    assert book.slots[slot].inferred == []


def test_a_lone_listing_that_is_not_ours_tells_of_no_sale() -> None:
    assert fell((), "p", 48, also=False) == []


def test_a_place_that_counts_nothing_has_none_of_what_was_ordered_since() -> None:
    for nothing, counts in (("p", "q"), ("q", "p")):
        book = two_places(50, 50)
        now = Instant(1_500)
        book.take(SlotObserved(SlotKey(UK, "item", nothing), "a", "A", None, UNTRACKED, False, now, now))
        bought(book, 1, 5_000)
        known = {each.slot.place: each.known_since for each in position_at(book, 6_000).offers}
        assert known == {nothing: 0, counts: 1}


def test_whichever_place_is_read_first_the_same_one_is_taken_to_have_been_sold_from() -> None:
    def known(*order: str) -> dict[str, int]:
        book = two_places(*(() if order else (50, 50)))
        for place in order:
            read(book, place, 50, 1_000)
        bought(book, 1, 5_000)
        return {each.slot.place: each.known_since for each in position_at(book, 6_000).offers}

    assert known("p", "q") == known("q", "p") == known() == {"p": 1, "q": 0}


def test_a_fall_is_over_with_its_orders_where_no_later_one_could_have_them() -> None:
    book = two_places(50, 50)
    read(book, "p", 49, 10_000)
    read(book, "q", 50, 10_000)
    read(book, "q", 49, 20_000)
    tracks = {place: book.slots[SlotKey(UK, "item", place)] for place in "pq"}
    swept(book, "uk.orders", 9_999 + LAG_MS)
    assert tracks["p"].inferred
    swept(book, "uk.orders", 10_000 + LAG_MS)
    assert not tracks["p"].inferred
    assert tracks["q"].inferred


@pytest.mark.parametrize("again_at", [10_000, 12_000])
def test_an_order_explains_no_fall_at_another_time(again_at: int) -> None:
    book = two_places(50, 50)
    read(book, "p", 49, 10_000)
    read(book, "q", 50, again_at)
    read(book, "q", 49, 20_000)
    bought(book, 1, 15_000)
    assert claimed(book, 20_100, ClaimKind.INFERRED) == 1
    bought(book, 2, 5_000)
    assert claimed(book, 20_200, ClaimKind.INFERRED) == 0


def test_an_order_explains_no_fall_where_two_listings_may_be_meant() -> None:
    book = two_places(50)
    now = Instant(1_000)
    other = SlotObserved(SlotKey(UK, "other", "p"), "a", "A", 50, SlotState.BUYABLE, False, now, now)
    book.take(other)
    bought(book, 1, 5_000)
    read(book, "p", 49, 10_000)
    assert claimed(book, 10_100, ClaimKind.INFERRED) == 1


SOMEBODY_ELSES, OURS = ("p",), ("p", "q")


@pytest.mark.parametrize(
    ("state", "gone", "mapped", "shows"),
    [
        (SlotState.INACTIVE, False, SOMEBODY_ELSES, 49),
        (SlotState.INACTIVE, False, OURS, 49),
        (SlotState.BUYABLE, True, SOMEBODY_ELSES, 49),
        (SlotState.BUYABLE, False, SOMEBODY_ELSES, 50),
    ],
    ids=["switched off", "ours switched off", "gone", "selling"],
)
def test_a_sale_came_off_a_place_that_sells(
    state: SlotState, gone: bool, mapped: tuple[str, ...], shows: int
) -> None:
    """A level where nothing is sold is none that an order may have been taken off."""
    book, at_q = two_places(50, 0, mapped=mapped), SlotKey(UK, "item", "q")
    seen = SlotObserved(at_q, "a", "A", 0, state, False, Instant(1_500), Instant(1_500), gone=gone)
    book.take(seen)
    bought(book, 1, 5_000)
    assert [each.current for each in position_at(book, 5_200).offers if each.slot.place == "p"] == [shows]
    book.take(replace(seen, state=SlotState.BUYABLE, gone=False, as_of=Instant(9_000)))
    assert len(book.slots[at_q].beside) == 2, "it sells again"


@pytest.mark.parametrize("sweep_last", [True, False])
def test_a_start_tells_what_fell_at_two_places_by_the_same_orders_as_before(*, sweep_last: bool) -> None:
    """Five fell at each and one order of five is known, which explains one fall. Orders are read up to between them:
    the older window must go on explaining that, or the younger one would be explained by the same order.
    """
    live, kept = two_places(20, 20), list[Fact]()

    def take(fact: Fact) -> None:
        taken = live.take(fact)
        kept.extend((taken.instead or fact, *taken.derived))

    def shown(place: str, units: int, when: int) -> SlotObserved:
        return SlotObserved(
            SlotKey(UK, "item", place),
            "a",
            "A",
            units,
            SlotState.BUYABLE,
            False,
            Instant(when),
            Instant(when),
        )

    began = Instant(LAG_MS + 15_000)
    orders_read = SweepRead(FeedName("uk.orders"), began, began, True, 0, 0)
    take(shown("p", 15, 10_000))
    take(shown("q", 15, 20_000))
    take(order("uk", OrderStatus.OPEN, 140_000, placed=5_000, units=5))
    for fact in (
        (shown("p", 15, 130_000), orders_read) if sweep_last else (orders_read, shown("p", 15, 140_001))
    ):
        take(fact)
    now = began + 6_000
    started = Book(live.policy, awake_since=Instant(now))
    rows = (each.row for each in live.stock.values())
    started.load((*live.products.values(), *live.listings.values(), *rows, *kept), Instant(now))
    assert claimed(live, now, ClaimKind.IN_FLIGHT) == claimed(live, now, ClaimKind.INFERRED) == 5
    assert claimed(started, now, ClaimKind.IN_FLIGHT) == claimed(started, now, ClaimKind.INFERRED) == 5
    falls = [sorted(book.slots[SlotKey(UK, "item", "p")].inferred, key=str) for book in (live, started)]
    assert falls[0] == falls[1] != []
