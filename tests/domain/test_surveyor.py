"""What is kept from one look to the next changes no answer: every position and plan is as if made anew."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import settle_orders
from reconcilerd.domain.facts import (
    EXTENSIV,
    CorrectionPlanned,
    CorrectionSent,
    Fact,
    FindingKind,
    FindingRaised,
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
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import FeedName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import Mode
from reconcilerd.domain.survey import Surveyor, position_of, weather_of
from tests.domain.books import UK, order, row, shop_book, swept

RAILS = Rails(Mode.AUTO)
MOST_MS = 4_000_000
Step = Callable[[int], Fact]
"""What is learnt at a moment."""

codes = st.sampled_from(["a", "b", "kit", "stranger"])
places = st.sampled_from(["1", "2", "3"])
few = st.integers(0, 60)


@st.composite
def orders(draw: st.DrawFn) -> Step:
    source = draw(st.sampled_from([EXTENSIV, UK]))
    status, age = draw(st.sampled_from(list(OrderStatus))), draw(st.integers(0, 3_000_000))
    number, code, units = draw(st.sampled_from("1234")), draw(codes), draw(st.integers(1, 4))
    place, dated = draw(st.none() | places), draw(st.booleans())
    named = draw(st.none() | st.sampled_from([Sku("a"), Sku("b")])) if source == EXTENSIV else None
    part = draw(st.sampled_from(["", "x", "y"])) if source == EXTENSIV else ""
    eligible = draw(st.integers(0, 9)) > 0

    def step(now: int) -> Fact:
        seen = order(source, status, now, placed=max(0, now - age), units=units, place=place, number=number)
        seen = replace(seen, lines=(OrderLine(code, units, named),), part=part, eligible=eligible)
        return seen if dated else replace(seen, ended_at=None)

    return step


@st.composite
def slots(draw: st.DrawFn) -> Step:
    slot = SlotKey(UK, draw(st.sampled_from(["item", "other"])), draw(st.sampled_from(["", "elsewhere"])))
    code, shown, gone = draw(codes), draw(few), draw(st.integers(0, 9)) == 0
    return lambda now: SlotObserved(
        slot, code, "", shown, SlotState.BUYABLE, False, Instant(now), Instant(now), gone=gone
    )


@st.composite
def rows(draw: st.DrawFn) -> Step:
    sku, place = Sku(draw(st.sampled_from(["a", "b", "kit"]))), LocationName(draw(places))
    count, allocated, gone = draw(few), draw(st.integers(0, 3)), draw(st.integers(0, 9)) == 0
    return lambda now: StockObserved(
        sku, place, 0 if gone else count, 0, allocated, Instant(now), Instant(now), gone=gone
    )


@st.composite
def sweeps(draw: st.DrawFn) -> Step:
    feeds = ["extensiv.stock", "extensiv.orders", "uk.orders", "uk.slots"]
    feed, full = FeedName(draw(st.sampled_from(feeds))), draw(st.booleans())
    return lambda now: SweepRead(feed, Instant(now), Instant(now), True, 0, 0, full=full)


@st.composite
def mappings(draw: st.DrawFn) -> Step:
    parts = draw(st.sampled_from([(), ((Sku("a"), 1),), ((Sku("a"), 2), (Sku("b"), 1))]))
    kind = ProductType.BUNDLE if parts else ProductType.CORE
    code, sku = draw(codes), Sku(draw(st.sampled_from(["a", "b", "kit"])))
    push, twice = draw(st.booleans()), draw(st.integers(0, 3))
    choices: list[Step] = [
        lambda now: ProductObserved(Sku("kit"), "kit", 9, "kit", kind, "", True, parts, Instant(now)),
        lambda now: ListingDeclared(1, 3 + twice, code, sku, push, True, Instant(now)),
        lambda now: FindingRaised(
            FindingKind.DUPLICATE_SKU, f"uk:{code}", "", Instant(now), cleared=bool(twice)
        ),
    ]
    return draw(st.sampled_from(choices))


@st.composite
def writes(draw: st.DrawFn) -> Step:
    slot = SlotKey(UK, draw(st.sampled_from(["item", "other"])), "")
    outcome, target, id_ = draw(st.sampled_from(list(Outcome))), draw(few), draw(st.sampled_from("pq"))
    planned = draw(st.booleans())

    def step(now: int) -> Fact:
        at = Instant(now)
        if planned:
            return CorrectionPlanned(id_, slot, "a", 5, at, target, "lag", "share", at)
        return CorrectionSent(id_, slot, outcome, "", at, at)

    return step


step_lists = st.lists(
    st.tuples(st.one_of(orders(), slots(), rows(), sweeps(), mappings(), writes()), st.integers(0, 700_000)),
    min_size=1,
    max_size=25,
)


def _all_groups(book: Book) -> list[Sku]:
    return list(book.joins().groups.members)


@given(steps=step_lists, scarce=st.booleans())
def test_a_surveyor_that_remembers_sees_what_a_new_one_sees(
    steps: list[tuple[Step, int]], scarce: bool
) -> None:
    book, now = shop_book(0, copied=True), 1_000_000
    book.scarce[Sku("a")] = scarce
    surveyor, plans = Surveyor(book), dict[Sku, GroupPlan]()
    for step, pause in steps:
        now += pause
        book.take(step(now))
        if pause % 3 == 0:
            settle_orders(book, Instant(now))
        weather = weather_of(book, Instant(now))
        for group in _all_groups(book):
            position = surveyor.position(group, weather)
            assert position == position_of(book, group, weather)
            plan = make_plan(position, RAILS, like=plans.get(group))
            assert plan == make_plan(position, RAILS)
            plans[group] = plan
            if pause % 7 == 0:
                surveyor.forget(group)


@given(steps=step_lists, back=st.integers(0, 1_000_000))
def test_a_surveyor_sees_a_clock_that_goes_back(steps: list[tuple[Step, int]], back: int) -> None:
    book, now = shop_book(0, copied=True), 1_000_000
    surveyor = Surveyor(book)
    for turn, (step, pause) in enumerate(steps):
        now += pause
        book.take(step(now))
        if turn == len(steps) // 2:
            now -= back
            book.turn_back(Instant(now))
        weather = weather_of(book, Instant(now))
        for group in _all_groups(book):
            assert surveyor.position(group, weather) == position_of(book, group, weather)


def test_a_cancel_that_extensiv_was_read_late_enough_for_is_seen_to_end() -> None:
    book = shop_book(0)
    surveyor = Surveyor(book)
    swept(book, "extensiv.orders", 1_000)
    book.take(order(UK, OrderStatus.CANCELLED, 1_050))
    assert surveyor.position(Sku("a"), weather_of(book, Instant(1_060))).claims
    book.take(SweepRead(FeedName("extensiv.orders"), Instant(2_000), Instant(2_000), True, 0, 0, full=False))
    assert not surveyor.position(Sku("a"), weather_of(book, Instant(2_010))).claims


def test_a_shipment_is_seen_to_be_proven_by_a_row_that_is_what_it_was() -> None:
    book = shop_book(0)
    surveyor = Surveyor(book)
    book.take(order(EXTENSIV, OrderStatus.SHIPPED, 1_000, place="1"))
    assert surveyor.position(Sku("a"), weather_of(book, Instant(1_010))).claims
    row(book, "1", 50, 2_000)
    assert not surveyor.position(Sku("a"), weather_of(book, Instant(2_010))).claims
