"""A number that moved by more than anything explains moves no other listing, until it is confirmed."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconcilerd.domain.allocation import Because, allocate
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    LevelDoubted,
    OrderStatus,
    Outcome,
    SlotObserved,
    SlotPinned,
    SlotState,
)
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.invariants import check_plan
from reconcilerd.domain.levels import LONGEST_DOUBT_MS
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import Limits, Mode, Percent
from reconcilerd.domain.position import ClaimKind, Position
from tests.domain.books import LAG_MS, SLOT, UK, claimed, order, position_at, see, shop_book, swept
from tests.domain.builders import A, claim, offer, position
from tests.domain.builders import row as stock_row

AUTO = Rails(Mode.AUTO)
WIDE = Limits(
    window_slots=10_000, window_units=10_000_000, window_permille=100_000, raise_floor_units=10_000_000
)
GAP_MS = Limits().confirm_gap_ms


def comparing() -> Book:
    """A shop whose writes compare."""
    book = shop_book(1_000)
    channels = {UK: replace(book.policy.channels[UK], compare_and_set=True)}
    book.policy = replace(book.policy, channels=MappingProxyType(channels))
    return book


def doubted(book: Book, now: int) -> int | None:
    (view,) = position_at(book, now).offers
    return view.doubted


def compared(book: Book, at: int, outcome: Outcome, *, read: int = 0, target: int = 50) -> None:
    book.take(
        CorrectionPlanned(
            f"w{at}", SLOT, "a", read, Instant(at - 1), target, "lag", "share", Instant(at), 0, False, 0
        )
    )
    book.take(CorrectionSent(f"w{at}", SLOT, outcome, "", Instant(at), Instant(at)))


SHARES = (("uk", 500), ("eu", 300), ("us", 200))


def pool(shown: Sequence[int], stock: int) -> Position:
    offers = [
        offer(name, Percent(share), shown=units) for (name, share), units in zip(SHARES, shown, strict=True)
    ]
    return position(offers, [stock_row(A, stock)], split=True, limits=WIDE)


@given(st.lists(st.integers(0, 60), min_size=3, max_size=3), st.integers(0, 10_000), st.integers(0, 100))
def test_a_number_that_nothing_explains_moves_no_other_listing(
    shown: list[int], read: int, stock: int
) -> None:
    """Whatever a reading says of one listing, the others are written as if it still showed what it did."""
    for _ in range(2):  # from any numbers to where the pool rests
        wanted = {each.slot.channel: each.desired for each in allocate(pool(shown, stock))}
        shown = [wanted[ChannelName(name)] for name, _ in SHARES]
    where = pool(shown, stock)
    assume(not make_plan(where, AUTO).entries)
    offers = tuple(
        replace(each, read=read, doubted=each.read) if each.slot.channel == "uk" else each
        for each in where.offers
    )
    plan = make_plan(replace(where, offers=offers), AUTO)
    assert {entry.slot.channel for entry in plan.sends} <= {"uk"}
    assert check_plan(plan) == ()


def test_its_own_correction_goes_on() -> None:
    """It compares: if the number is wrong it fails, if it is right it puts it right at once."""
    offers = [offer("uk", Percent(500), shown=50), offer("eu", Percent(500), shown=50)]
    for read in (0, 5_000):
        offers[0] = replace(offers[0], read=read, doubted=50)
        plan = make_plan(position(offers, [stock_row(A, 100)], split=True, limits=WIDE), AUTO)
        assert [(entry.slot.channel, entry.target) for entry in plan.entries] == [("uk", 50)]


def test_a_doubtful_listing_raises_itself_no_further_than_there_is_room_beside_what_the_others_show() -> None:
    offers = [replace(offer("uk", Percent(500), shown=2), doubted=5), offer("eu", Percent(500), shown=5)]
    plan = make_plan(position(offers, [stock_row(A, 8)], split=True, limits=WIDE), AUTO)
    assert [entry.target for entry in plan.sends] == [3]
    assert check_plan(plan) == ()


def test_nor_into_what_may_have_sold_unseen() -> None:
    offers = [replace(offer("uk", Percent(500), shown=2), doubted=5), offer("eu", Percent(500), shown=5)]
    unseen = [claim(1, ClaimKind.BURIED)]
    plan = make_plan(position(offers, [stock_row(A, 8)], unseen, split=True, limits=WIDE), AUTO)
    assert [(each.target, each.verdict) for each in plan.entries] == [(2, Verdict.HOLD_HEADROOM)]


@pytest.mark.parametrize(("compares", "verdict"), [(True, Verdict.SEND), (False, Verdict.HOLD_HEADROOM)])
def test_two_in_doubt_do_not_wait_for_each_other(compares: bool, verdict: Verdict) -> None:
    """Neither has room while the other may show what it did, so each is compared with what it shows."""
    where = pool([22, 11, 7], 44)
    before = {"uk": None, "eu": 15, "us": 11}
    channels = tuple(replace(each, compare_and_set=compares) for each in where.channels)
    offers = tuple(replace(each, doubted=before[each.slot.channel]) for each in where.offers)
    plan = make_plan(replace(where, offers=offers, channels=channels), AUTO)
    assert {(each.slot.channel, each.target, each.verdict) for each in plan.entries} == {
        ("eu", 11, verdict),
        ("us", 7, verdict),
    }
    assert check_plan(plan) == ()


@pytest.mark.parametrize(
    ("waits", "shows", "compares", "told"),
    [
        (True, 20, True, [("eu", 24, Verdict.HOLD_HEADROOM), ("us", 20, Verdict.SEND)]),
        (True, 20, False, [("eu", 24, Verdict.HOLD_HEADROOM)]),
        (True, 0, True, [("eu", 24, Verdict.HOLD_HEADROOM)]),
        (False, 20, True, []),
    ],
)
def test_what_is_in_doubt_and_shows_what_it_should_is_compared_where_others_wait_for_it(
    waits: bool, shows: int, compares: bool, told: list[tuple[str, int, Verdict]]
) -> None:
    """Else nothing of it would ever be written, and they would wait for hours. Zero is written for no such reason."""
    parts = {
        "uk": (700 - 10 * shows, 70 - shows),
        "eu": (300, 24 if waits else 30),
        "us": (10 * shows, shows),
    }
    offers = [offer(name, Percent(permille), shown=units) for name, (permille, units) in parts.items()]
    offers[2] = replace(offers[2], doubted=shows + 20)
    where = position(offers, [stock_row(A, 100)], split=True, limits=WIDE)
    channels = tuple(replace(each, compare_and_set=compares) for each in where.channels)
    plan = make_plan(replace(where, channels=channels), AUTO)
    assert [(each.slot.channel, each.target, each.verdict) for each in plan.entries] == told
    assert check_plan(plan) == ()
    assert [each.because for each in plan.sends] == [Because.COMPARED] * len(plan.sends)
    assert [each.slot.channel for each in plan.drifts] == ["eu"] * waits, "what is only compared is no drift"


def test_several_that_are_compared_are_so_in_the_same_order_whoever_is_listed_first() -> None:
    parts = {"uk": (300, 30), "eu": (300, 24), "us": (200, 20), "de": (200, 20)}
    offers = [offer(name, Percent(permille), shown=units) for name, (permille, units) in parts.items()]
    offers[2:] = [replace(each, doubted=30) for each in offers[2:]]
    where = position(offers, [stock_row(A, 100)], split=True, limits=WIDE)
    plans = [make_plan(replace(where, offers=turned), AUTO) for turned in (where.offers, where.offers[::-1])]
    assert [each.slot.channel for each in plans[0].sends] == ["de", "us"]
    assert plans[0].entries == plans[1].entries


def test_what_a_person_wants_put_back_compares_nothing_else() -> None:
    offers = [offer("uk", Percent(500), shown=50), offer("eu", Percent(500), shown=40)]
    offers[0] = replace(offers[0], doubted=60)
    where = position(offers, [stock_row(A, 100)], split=True, limits=WIDE)
    assert [each.slot.channel for each in make_plan(where, AUTO).sends] == ["uk"]
    plan = make_plan(where, AUTO, wished={offers[1].slot: 50})
    assert [(each.slot.channel, each.verdict) for each in plan.entries] == [("eu", Verdict.HOLD_HEADROOM)]


@pytest.mark.parametrize("read", [0, 45, 51, 5_000])
def test_where_a_write_does_not_compare_a_second_reading_confirms(read: int) -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    see(book, read, 2_000)
    see(book, read, 2_000 + GAP_MS - 1)
    assert doubted(book, 2_000 + GAP_MS - 1) == 50
    see(book, read, 2_000 + GAP_MS)
    assert doubted(book, 2_000 + GAP_MS) is None


def test_another_jump_is_another_doubt() -> None:
    book = shop_book(1_000)
    for at, read in ((1_000, 50), (2_000, 0), (2_000 + GAP_MS, 9_000)):
        see(book, read, at)
    assert doubted(book, 2_000 + GAP_MS) == 50


@pytest.mark.parametrize("read", [46, 47, 50])
def test_what_may_have_sold_is_not_doubted(read: int) -> None:
    """One a second: four within a second, by rule 4."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    see(book, read, 2_000)
    assert doubted(book, 2_000) is None


@pytest.mark.parametrize("first", [True, False])
def test_nor_is_what_known_orders_took(first: bool) -> None:
    """An order that becomes known later is taken off what the listing showed."""
    book = comparing()
    sold = order("uk", OrderStatus.OPEN, 1_900, placed=1_500, units=20)
    see(book, 50, 1_000)
    if first:
        book.take(sold)
    see(book, 30, 2_000)
    if not first:
        assert doubted(book, 2_000) == 50
        book.take(sold)
    assert doubted(book, 2_000) == (None if first else 30)


@pytest.mark.parametrize("status", [OrderStatus.OPEN, OrderStatus.CANCELLED])
@pytest.mark.parametrize(("read", "before"), [(26, None), (25, 30)])
def test_small_orders_explain_what_they_took_and_what_may_have_sold_beside_them(
    read: int, before: int | None, status: OrderStatus
) -> None:
    """Twenty were ordered, four more may have sold. Cancelled since or not: the number fell when they were placed."""
    book = comparing()
    see(book, 50, 1_000)
    for number in range(5):
        book.take(order("uk", status, 1_900, placed=1_500, units=4, number=str(number)))
    see(book, read, 2_000)
    assert doubted(book, 2_000) == before


def test_where_a_write_compares_only_that_confirms() -> None:
    """However often the feed says it."""
    book = comparing()
    see(book, 50, 1_000)
    for second in range(2, 200):
        see(book, 0, second * 1_000)
    assert doubted(book, 200_000) == 50
    compared(book, 200_001, Outcome.STALE)
    see(book, 0, 300_000)
    assert doubted(book, 300_000) == 50
    compared(book, 300_001, Outcome.APPLIED)
    assert doubted(book, 300_002) is None


def test_where_no_compare_is_made_a_doubt_ends_some_time() -> None:
    """Counted from the last compare that failed: a feed that goes on lying is not believed for its patience."""
    book = comparing()
    see(book, 50, 1_000)
    see(book, 0, 2_000)
    compared(book, 3_000, Outcome.STALE)
    see(book, 0, 2_999 + LONGEST_DOUBT_MS)
    assert doubted(book, 2_999 + LONGEST_DOUBT_MS) == 50
    see(book, 0, 3_000 + LONGEST_DOUBT_MS)
    assert doubted(book, 3_000 + LONGEST_DOUBT_MS) is None


@pytest.mark.parametrize(
    ("pinned_until", "state", "believed"),
    [
        (9_000_000, SlotState.BUYABLE, True),
        (None, SlotState.UNPUBLISHED, True),
        (None, SlotState.BUYABLE, False),
        (1_500, SlotState.BUYABLE, False),
    ],
    ids=["pinned", "unpublished", "written", "no longer pinned"],
)
def test_a_listing_that_we_do_not_write_is_confirmed_by_a_second_reading(
    pinned_until: int | None, state: SlotState, believed: bool
) -> None:
    book = comparing()
    if pinned_until is not None:
        book.take(SlotPinned(SLOT, True, "ops", "counted", Instant(900), Instant(pinned_until)))
    for at, read in ((1_000, 50), (2_000, 0), (2_000 + GAP_MS, 0)):
        book.take(SlotObserved(SLOT, "a", "A", read, state, False, Instant(at), Instant(at)))
    assert (doubted(book, 2_000 + GAP_MS) is None) is believed


@pytest.mark.parametrize("wrong", [0, 5_000])
def test_what_shows_again_what_it_did_has_sold_nothing_and_still_waits_for_orders(wrong: int) -> None:
    book = comparing()
    for at, read in ((1_000, 50), (2_000, wrong), (60_000, 50)):
        see(book, read, at)
    assert doubted(book, 60_000) is None
    assert claimed(book, 60_000, ClaimKind.INFERRED) == 0
    assert book.slots[SLOT].surprise == max(0, wrong - 50)
    assert (claimed(book, 60_000, ClaimKind.UNSETTLED) > 0) == (wrong == 0)
    swept(book, "uk.orders", 60_000 + LAG_MS)
    assert claimed(book, 60_000 + LAG_MS, ClaimKind.UNSETTLED) == 0


def test_what_sold_meanwhile_is_inferred_from_what_it_showed_before() -> None:
    book = comparing()
    for at, read in ((1_000, 50), (2_000, 5_000), (3_000, 47)):
        see(book, read, at)
    assert claimed(book, 3_000, ClaimKind.INFERRED) == 3


def test_a_restart_remembers_a_doubt() -> None:
    book = comparing()
    see(book, 50, 1_000)
    now = Instant(2_000)
    seen = SlotObserved(SLOT, "a", "A", 0, SlotState.BUYABLE, False, now, now)
    derived = book.take(seen).derived
    again = comparing()
    again.load((seen, *derived), Instant(3_000))
    assert again.slots[SLOT].doubt == book.slots[SLOT].doubt is not None
    again.load((LevelDoubted(SLOT, None, Instant(1_000), Instant(2_500)),), Instant(3_000))
    assert again.slots[SLOT].doubt is None


def test_a_clock_that_went_back_ends_no_doubt() -> None:
    book = comparing()
    see(book, 50, 1_000)
    see(book, 0, 20_000)
    book.turn_back(Instant(5_000))
    see(book, 0, 6_000)
    assert doubted(book, 6_000) == 50


def test_nobody_is_raised_for_a_fall_in_doubt() -> None:
    """The units it lost may still be shown there."""
    offers = [
        replace(offer("uk", Percent(500), shown=0), doubted=50),
        offer("eu", Percent(500), shown=40),
    ]
    plan = make_plan(position(offers, [stock_row(A, 90)], split=True, limits=WIDE), AUTO)
    held = {entry.slot.channel: entry.verdict for entry in plan.entries}
    assert held.get(offers[1].slot.channel, Verdict.HOLD_HEADROOM) is Verdict.HOLD_HEADROOM


def test_a_reading_without_a_number_neither_doubts_nor_believes() -> None:
    book = shop_book(1_000)
    for at, read in ((1_000, 50), (2_000, 0)):
        see(book, read, at)
    before = book.slots[SLOT].doubt
    at = Instant(2_000 + GAP_MS)
    book.take(SlotObserved(SLOT, "a", "A", None, SlotState.UNTRACKED, False, at, at))
    assert book.slots[SLOT].doubt == before
    assert before is not None
