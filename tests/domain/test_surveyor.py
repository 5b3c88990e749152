"""What is kept from one look to the next changes no answer: every position and plan is as if made anew."""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

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
    RailLatched,
    RegimeSwitched,
    SlotObserved,
    SlotPinned,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.latches import SUSPICIONS, latch_name
from reconcilerd.domain.names import ChannelName, FeedName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import (
    DemandRule,
    Firmness,
    Inbound,
    Mode,
    Policy,
    PoolMode,
    PoolRule,
    Reserve,
    SkuRule,
)
from reconcilerd.domain.position import ORDERED, Claim
from reconcilerd.domain.survey import Surveyor, position_of, weather_of
from tests.domain.books import A_SECOND, SLOT, UK, order, row, shop_book, swept

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


@st.composite
def words(draw: st.DrawFn) -> Step:
    """What is said of readings and numbers: suspicions and their end, a regime, a pin."""
    feed, rail = (
        draw(st.sampled_from(["extensiv.stock", "uk.slots", "extensiv.products"])),
        draw(st.sampled_from(SUSPICIONS)),
    )
    on, sku, ms = draw(st.booleans()), draw(st.sampled_from(["a", "b", "kit"])), draw(st.integers(0, 900_000))
    choices: list[Step] = [
        lambda now: RailLatched(latch_name(rail, feed), on, "ops", "", Instant(now)),
        lambda now: RegimeSwitched(sku, on, Instant(now)),
        lambda now: SlotPinned(SLOT, on, "ops", "", Instant(now), Instant(now + ms)),
    ]
    return draw(st.sampled_from(choices))


moments = st.integers(0, MOST_MS + 1_000_000).map(Instant)
lines_of_stock = st.builds(
    Inbound, few, st.sampled_from([500, 1000]), places.map(LocationName), moments, moments
)
anywhere_or_1 = st.sampled_from([frozenset[LocationName](), frozenset({LocationName("1")})])
holds = st.builds(Reserve, few, moments, st.sampled_from(["", "a fair"]), anywhere_or_1)
firmness = st.builds(
    DemandRule,
    st.sampled_from(Firmness),
    st.sampled_from([0, 600_000, 3_000_000]),
    st.sampled_from([0, 300, 1000]),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """The shop's policy under every rule by which what it may offer changes with time, regime or status."""
    channel = shop_book(0).policy.channels[UK]
    pool = PoolRule(draw(st.sampled_from(PoolMode)))
    some: st.SearchStrategy[Sku] = st.sampled_from(["a", "b", "kit"]).map(Sku)
    return replace(
        shop_book(0, copied=True).policy,
        pools=MappingProxyType({"default": pool}),
        channels=MappingProxyType({UK: replace(channel, compare_and_set=draw(st.booleans()))}),
        demand=MappingProxyType({(ChannelName(""), ""): draw(firmness)} if draw(st.booleans()) else {}),
        reserves=MappingProxyType(draw(st.dictionaries(some, st.tuples(holds), max_size=2))),
        inbound=MappingProxyType(draw(st.dictionaries(some, st.tuples(lines_of_stock), max_size=2))),
        default_sku=SkuRule(rate=A_SECOND, safety_stock=draw(st.sampled_from([0, 5]))),
    )


def step_lists(*more: st.SearchStrategy[Step]) -> st.SearchStrategy[list[tuple[Step, int]]]:
    """What is learnt one after another, and how long after the one before it."""
    steps = st.one_of(orders(), slots(), rows(), sweeps(), mappings(), writes(), *more)
    return st.lists(st.tuples(steps, st.integers(0, 700_000)), min_size=1, max_size=25)


def _all_groups(book: Book) -> list[Sku]:
    return list(book.joins().groups.members)


@given(steps=step_lists(words(), words()), policy=policies())
def test_a_surveyor_that_remembers_sees_what_a_new_one_sees(
    steps: list[tuple[Step, int]], policy: Policy
) -> None:
    book, now = shop_book(0, copied=True), 1_000_000
    book.policy = policy
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


@given(steps=step_lists(), back=st.integers(0, 1_000_000))
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


@given(steps=step_lists(), later=st.integers(1, 2_000))
def test_who_awaits_no_orders_keeps_its_claims_when_they_are_read(
    steps: list[tuple[Step, int]], later: int
) -> None:
    book, now = shop_book(0, copied=True), 1_000_000
    surveyor, orders_read = Surveyor(book), FeedName("extensiv.orders")
    book.take(SweepRead(orders_read, Instant(now), Instant(now), True, 0, 0, full=True))
    for step, pause in steps:
        now += pause + 1
        book.take(step(now))

    def of_orders(group: Sku) -> list[Claim]:
        claims = surveyor.position(group, weather_of(book, Instant(now))).claims
        return [each for each in claims if each.kind in ORDERED]

    before = {group: of_orders(group) for group in _all_groups(book)}
    still = [group for group in before if not surveyor.awaits_orders(group)]
    at = Instant(now + later)
    book.take(SweepRead(orders_read, at, at, True, 0, 0, full=False))
    assert {group: of_orders(group) for group in still} == {group: before[group] for group in still}


def test_where_demand_is_weighed_every_group_may_change_by_time_alone() -> None:
    book = shop_book(0)
    surveyor = Surveyor(book)
    surveyor.position(Sku("a"), weather_of(book, Instant(2_000)))
    assert not surveyor.awaits_orders(Sku("a"))
    book.policy = replace(book.policy, demand=MappingProxyType({(ChannelName(""), "QUOTE"): DemandRule()}))
    assert surveyor.awaits_orders(Sku("a"))


def test_nobody_waits_for_orders_of_what_was_never_looked_at() -> None:
    book = shop_book(0)
    book.take(order(UK, OrderStatus.CANCELLED, 1_050))
    surveyor = Surveyor(book)
    assert not surveyor.awaits_orders(Sku("a"))
    assert surveyor.position(Sku("a"), weather_of(book, Instant(1_060))).claims
    assert surveyor.awaits_orders(Sku("a"))


def test_a_cancel_that_extensiv_was_read_late_enough_for_is_seen_to_end() -> None:
    book = shop_book(0)
    surveyor = Surveyor(book)
    swept(book, "extensiv.orders", 1_000)
    book.take(order(UK, OrderStatus.CANCELLED, 1_050))
    assert surveyor.position(Sku("a"), weather_of(book, Instant(1_060))).claims
    book.take(SweepRead(FeedName("extensiv.orders"), Instant(2_000), Instant(2_000), True, 0, 0, full=False))
    assert not surveyor.position(Sku("a"), weather_of(book, Instant(2_010))).claims


def test_a_doubt_is_seen_when_it_begins_and_when_it_ends() -> None:
    """Nothing hangs together otherwise, and no row says anything else."""
    book, name = shop_book(0), latch_name(SUSPICIONS[0], "extensiv.stock")
    surveyor = Surveyor(book)
    row(book, "1", 30, 1_000)
    assert not surveyor.position(Sku("a"), weather_of(book, Instant(1_010))).claims
    for at, doubted in ((1_020, True), (1_030, False)):
        book.take(RailLatched(name, doubted, "ops", "", Instant(at)))
        weather = weather_of(book, Instant(at))
        assert surveyor.position(Sku("a"), weather) == position_of(book, Sku("a"), weather)
        assert bool(surveyor.position(Sku("a"), weather).claims) is doubted


def test_a_shipment_is_seen_to_be_proven_by_a_row_that_is_what_it_was() -> None:
    book = shop_book(0)
    surveyor = Surveyor(book)
    book.take(order(EXTENSIV, OrderStatus.SHIPPED, 1_000, place="1"))
    assert surveyor.position(Sku("a"), weather_of(book, Instant(1_010))).claims
    row(book, "1", 50, 2_000)
    assert not surveyor.position(Sku("a"), weather_of(book, Instant(2_010))).claims
