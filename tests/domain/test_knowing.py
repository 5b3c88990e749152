"""The rules of knowing, each a property: what counts when, until when, and what it may never do."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconcilerd.domain.adaptive import scarcity
from reconcilerd.domain.facts import (
    EXTENSIV,
    CorrectionPlanned,
    CorrectionSent,
    OrderStatus,
    Outcome,
    SalesBuried,
)
from reconcilerd.domain.falls import buried_units
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import Instant, after
from reconcilerd.domain.orders import OrderBook
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import Limits, Mode, Percent
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.room import level_of, room_of
from tests.domain.books import (
    LAG_MS,
    MIRROR_MAX_MS,
    SLOT,
    claimed,
    order,
    position_at,
    row,
    see,
    shop_book,
    swept,
)
from tests.domain.builders import NOW, A, claim, offer, position
from tests.domain.builders import row as stock_row

AUTO = Rails(Mode.AUTO)
WIDE = Limits(window_units=10**9, window_slots=10**6, unexplained_zeros=10**6, unexplained_fall_units=10**9)
APPLY_MAX_MS = 40_000


@given(st.integers(1, 4))
def test_a_fall_leaves_room_unchanged_until_its_order_is_known_and_then_still(units: int) -> None:
    """R3: what falls off a listing falls off the shelf with it, as inferred first and as an order later."""
    book = shop_book(1_000)
    see(book, 50, 1_000)

    def slack() -> int:
        where = position_at(book, 3_000)
        shown = where.offers[0].shown
        assert shown is not None
        return level_of(where, where.offers[0].sku) - shown

    before = slack()
    see(book, 50 - units, 2_000)
    assert claimed(book, 3_000, ClaimKind.INFERRED) == units
    assert slack() == before
    book.take(order("uk", OrderStatus.OPEN, 2_500, placed=1_500, units=units))
    assert claimed(book, 3_000, ClaimKind.INFERRED) == 0
    assert claimed(book, 3_000, ClaimKind.IN_FLIGHT) == units
    assert slack() == before


@given(st.integers(0, 10**12))
def test_an_inferred_sale_ends_by_the_order_feed_and_never_by_the_clock(long: int) -> None:
    """R5."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    see(book, 48, 2_000)
    assert claimed(book, 2_000 + long, ClaimKind.INFERRED) == 2
    swept(book, "uk.orders", 2_000 + LAG_MS - 1)
    assert claimed(book, 2_000 + long, ClaimKind.INFERRED) == 2
    swept(book, "uk.orders", 2_000 + LAG_MS)
    assert claimed(book, 2_000, ClaimKind.INFERRED) == 0


def test_an_order_cancelled_before_its_import_is_gone_after_one_more_reading() -> None:
    """R6: after cancel + import_max (100 ms here) and an Extensiv reading that began later."""
    book = shop_book(0)
    book.take(order("uk", OrderStatus.OPEN, 1_000))
    book.take(order("uk", OrderStatus.CANCELLED, 2_000))
    swept(book, "extensiv.orders", 2_100)
    assert claimed(book, 10**9, ClaimKind.IN_FLIGHT) == 1, "no reading began after the longest import"
    swept(book, "extensiv.orders", 2_101)
    assert claimed(book, 2_101, ClaimKind.IN_FLIGHT) == 0


@pytest.mark.parametrize("proof", ["refresh", "time"])
def test_no_unit_shipped_from_a_copied_place_is_offered_before_the_copy_shows_it(proof: str) -> None:
    """R7: place 2 is a copy; the same number read again proves nothing."""
    book = shop_book(0, copied=True)
    book.take(order(EXTENSIV, OrderStatus.SHIPPED, 1_000, place="2", units=3))
    row(book, "2", 50, 500_000)
    assert claimed(book, 500_000, ClaimKind.SHIPPED) == 3
    if proof == "refresh":
        row(book, "2", 47, 600_000)
    else:
        row(book, "2", 50, 1_000 + MIRROR_MAX_MS)
        assert claimed(book, 10**9, ClaimKind.SHIPPED) == 3, "not a moment earlier"
        row(book, "2", 50, 1_001 + MIRROR_MAX_MS)
    assert claimed(book, 10**9, ClaimKind.SHIPPED) == 0


def test_where_extensiv_counts_itself_the_next_row_proves_a_shipment() -> None:
    book = shop_book(0)
    book.take(order(EXTENSIV, OrderStatus.SHIPPED, 1_000, place="1", units=3))
    row(book, "1", 50, 1_000)
    assert claimed(book, 2_000, ClaimKind.SHIPPED) == 3
    row(book, "1", 50, 1_001)
    assert claimed(book, 2_000, ClaimKind.SHIPPED) == 0


@given(st.integers(0, 60), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_allocated_adds_only_what_is_not_subtracted_already(
    stock: int, allocated: int, committed: int, flying: int
) -> None:
    """R8: the larger of Extensiv's allocated and all orders we can name counts, never their sum."""
    claims = [claim(committed, ClaimKind.COMMITTED), claim(flying, ClaimKind.IN_FLIGHT)]
    where = position([offer("uk")], [stock_row(A, stock, allocated=allocated)], claims)
    assert room_of(where).shelves[0].left == max(0, stock - max(allocated, committed + flying))


def _write(target: int, at: int, outcome: Outcome) -> list[CorrectionPlanned | CorrectionSent]:
    now = Instant(at)
    return [
        CorrectionPlanned("c", SLOT, "a", 50, Instant(1_000), target, "lag", "share", now),
        CorrectionSent("c", SLOT, outcome, "", now, now),
    ]


def test_a_write_is_not_missed_at_its_longest_apply_time_but_after_it() -> None:
    """R9, to the millisecond."""
    for late, missed in ((APPLY_MAX_MS, False), (APPLY_MAX_MS + 1, True)):
        book = shop_book(1_000)
        see(book, 50, 1_000)
        for fact in _write(60, 2_000, Outcome.UNKNOWN):
            book.take(fact)
        see(book, 50, 2_000 + late)
        assert (book.slots[SLOT].write is None) is missed


def test_a_raise_is_confirmed_below_its_old_number_if_known_orders_took_the_rest() -> None:
    """Rule 6: written less known sold <= read <= written."""
    for read, confirmed in ((48, True), (47, False)):
        book = shop_book(1_000)
        see(book, 50, 1_000)
        for fact in _write(60, 2_000, Outcome.UNKNOWN):
            book.take(fact)
        book.take(order("uk", OrderStatus.OPEN, 2_500, placed=2_200, units=12))
        see(book, read, 3_000)
        assert (book.slots[SLOT].write is None) is confirmed


def test_an_inferred_fall_is_capped_by_what_demand_allows() -> None:
    """Rule 4: mu + 3 sqrt(mu) of the window, 4 in a second at one a second; a foreign zero is not 50 sales."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    see(book, 0, 2_000)
    assert claimed(book, 2_000, ClaimKind.INFERRED) == 4


def test_where_customers_take_many_at_once_a_fall_may_be_one_of_them() -> None:
    book = shop_book(1_000)
    for number in range(9):
        book.take(order("uk", OrderStatus.OPEN, 500, units=12, number=f"old-{number}"))
    swept(book, "uk.orders", 1_000 + LAG_MS)
    see(book, 50, 1_000 + LAG_MS)
    see(book, 38, 2_000 + LAG_MS)
    assert claimed(book, 2_000 + LAG_MS, ClaimKind.INFERRED) == 12


def test_what_fell_further_than_demand_allows_is_not_put_back_before_its_orders_are_known() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    see(book, 20, 2_000)
    assert claimed(book, 2_000, ClaimKind.UNSETTLED) == 30 - 4
    book.take(order("uk", OrderStatus.OPEN, 2_500, placed=1_500, units=20))
    assert claimed(book, 2_500, ClaimKind.UNSETTLED) == 30 - 4 - 20
    swept(book, "uk.orders", 2_001 + LAG_MS)
    assert claimed(book, 3_000 + LAG_MS, ClaimKind.UNSETTLED) == 0


@pytest.mark.parametrize(("asked_ago", "verdict"), [(3_000, Verdict.SEND), (3_001, Verdict.HOLD_REREAD)])
def test_a_blind_lower_needs_a_reading_asked_for_within_three_seconds(
    asked_ago: int, verdict: Verdict
) -> None:
    """R11: however old what the reading shows."""
    seen = replace(offer("uk", shown=9), age_of=after(NOW, -asked_ago), as_of=after(NOW, -8_000 - asked_ago))
    where = position([seen], [stock_row(A, 5)], limits=WIDE)
    blind = tuple(replace(each, compare_and_set=False) for each in where.channels)
    plan = make_plan(replace(where, channels=blind), AUTO)
    assert [(e.lowers, e.verdict) for e in plan.entries] == [(True, verdict)]


@given(st.integers(0, APPLY_MAX_MS * 2))
def test_a_lost_write_holds_its_place_until_the_longest_apply_time_and_no_longer(late: int) -> None:
    """R9."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    for fact in _write(60, 2_000, Outcome.UNKNOWN):
        book.take(fact)
    see(book, 50, 2_000 + late)
    assert (book.slots[SLOT].write is None) == (late > APPLY_MAX_MS)


@given(st.lists(st.integers(1, 3), max_size=6))
def test_a_late_write_counts_as_shown_through_all_sales(sales: list[int]) -> None:
    """R9: it overwrites them when it arrives; E stays at its target."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    for fact in _write(60, 2_000, Outcome.ACCEPTED):
        book.take(fact)
    left = 50
    for turn, units in enumerate(sales, 1):
        left -= units
        see(book, left, 2_000 + turn * 1_000)
        assert position_at(book, 10_000).offers[0].shown == 60


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 500)), min_size=1, max_size=3),
    st.integers(0, 80),
    st.integers(0, 40),
    st.booleans(),
)
def test_what_may_have_sold_unseen_never_lowers_anything(
    shown: list[tuple[int, int]], stock: int, buried: int, split: bool
) -> None:
    """R12: it only takes from raises."""
    offers = [offer(name, Percent(share), shown=n) for name, (n, share) in zip("abc", shown, strict=False)]
    plans = [
        make_plan(position(offers, [stock_row(A, stock)], claims, split=split, limits=WIDE), AUTO)
        for claims in ([], [claim(buried, ClaimKind.BURIED)])
    ]
    lowers = [{e.slot: (e.target, e.verdict) for e in plan.entries if e.lowers} for plan in plans]
    assert lowers[0] == lowers[1]


@given(st.integers(0, 30), st.integers(0, 60))
def test_what_a_dead_channel_may_show_is_kept_from_its_peers_and_no_more(dead: int, stock: int) -> None:
    """R14: in a split pool the living converge to S - E of the dead."""
    offers = [offer("dead", Percent(500), shown=dead), offer("lives", Percent(500), shown=0)]
    where = position(offers, [stock_row(A, stock)], split=True, limits=WIDE)
    channels = tuple(replace(c, dark=c.name == "dead") for c in where.channels)
    for _ in range(4):
        plan = make_plan(replace(where, channels=channels), AUTO)
        sent = {e.slot: e.target for e in plan.sends if not (e.slot.channel == "dead" and not e.lowers)}
        where = replace(
            where,
            offers=tuple(
                o if o.slot.channel == "dead" else replace(o, read=sent.get(o.slot, o.read))
                for o in where.offers
            ),
        )
    lives = next(o.read for o in where.offers if o.slot.channel == "lives")
    assert lives is not None
    assert lives + dead <= max(stock, dead)
    assert lives == max(0, stock - dead), "it hides what the dead one cannot be showing"


def test_a_peer_never_read_holds_raises_by_name_and_only_in_its_pool() -> None:
    """R15."""
    offers = [offer("uk", Percent(500), shown=1), offer("eu", Percent(500), shown=None)]
    split = make_plan(position(offers, [stock_row(A, 50)], split=True, limits=WIDE), AUTO)
    assert {e.verdict for e in split.entries if e.slot.channel == "uk"} == {Verdict.HOLD_PEER_UNREAD}
    shared = make_plan(position(offers, [stock_row(A, 50)], limits=WIDE), AUTO)
    assert {e.verdict for e in shared.entries if e.slot.channel == "uk"} == {Verdict.SEND}


@given(st.integers(0, 5), st.integers(0, 10**7))
def test_a_cancel_on_a_channel_never_raises_what_is_on_the_shelf(units: int, long: int) -> None:
    """R16: only the place's own count does. A cancel may end a unit in flight."""
    book = shop_book(0)
    see(book, 50, 0)
    assume(units)
    before = position_at(book, 0)
    book.take(order("uk", OrderStatus.OPEN, 1_000, units=units))
    book.take(order("uk", OrderStatus.CANCELLED, 2_000, units=units))
    swept(book, "extensiv.orders", 3_000)
    later = position_at(book, 3_000 + long)
    assert [r.sellable for r in later.stock] == [r.sellable for r in before.stock]
    assert level_of(later, later.group) <= level_of(before, before.group)


@given(st.integers(0, 3_600_000), st.integers(1_000, 600_000))
def test_a_pool_that_turned_split_turns_back_only_well_above(milli_per_hour: int, slow_ms: int) -> None:
    """R19: at K it splits; anywhere up to 1.25 K it stays what it is."""

    def scarce(stock: int, was: bool) -> bool:
        seller = replace(offer("uk"), rate=Rate(milli_per_hour))
        where = position([seller], [stock_row(A, stock)])
        channels = tuple(replace(c, slow_ms=slow_ms) for c in where.channels)
        return scarcity(replace(where, channels=channels, split=was), scarce=was)

    low, high = 0, 10_000
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if scarce(middle, False) else (low, middle - 1)
    for stock in range(low + 1, low * 5 // 4 + 1):
        assert not scarce(stock, False)
        assert scarce(stock, True)
    assert not scarce(low * 5 // 4 + 2, True)
    assert low >= 1, "the last unit of a shared pool is always scarce"


def blind(since: int, to: int, most: int | None = None) -> SalesBuried:
    return SalesBuried(SLOT, Instant(since), Instant(to), most)


def test_what_several_windows_cover_is_kept_back_once() -> None:
    """However often something is written: mu + sqrt(mu) of all the time that nobody saw, 25 + 5 at one a second."""
    orders = OrderBook()
    whole = [blind(1_000, 26_000)]
    parts = [blind(at, at + 2_000) for at in range(1_000, 25_000, 1_000)]
    for windows in (whole, [*parts, blind(24_000, 26_000)], whole * 3 + parts):
        assert buried_units(SLOT, windows, orders, "a", Rate(3_600_000)) == 30
    apart = [blind(1_000, 5_000), blind(10_000, 15_000)]
    assert buried_units(SLOT, apart, orders, "a", Rate(3_600_000)) == 12


def test_orders_known_in_windows_that_overlap_are_subtracted_once() -> None:
    book = shop_book(1_000)
    book.take(order("uk", OrderStatus.OPEN, 9_000, placed=3_500, units=2))
    windows = [blind(1_000, 4_000), blind(3_000, 10_000)]
    assert buried_units(SLOT, windows, book.orders, "a", Rate(3_600_000)) == 9 + 3 - 2
