"""What a person is told of one SKU: sheet and explanation, from the very plan, unknown never shown as zero."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from reconcilerd.domain.adaptive import turning_points, z_tenths
from reconcilerd.domain.allocation import allocate
from reconcilerd.domain.book import Book
from reconcilerd.domain.drift import Cause, diff
from reconcilerd.domain.explain import explain
from reconcilerd.domain.facts import (
    EXTENSIV,
    AlertChanged,
    AlertTold,
    ChannelObserved,
    CorrectionPlanned,
    DecisionRecorded,
    EnvelopeApproved,
    Fact,
    FindingKind,
    FindingRaised,
    FreezeSet,
    ListingDeclared,
    LocationObserved,
    OrderLine,
    OrderStatus,
    PlanMade,
    ProductObserved,
    ProductType,
    RegimeSwitched,
    SilenceSet,
    SlotObserved,
    SlotState,
    StockObserved,
    StockRefreshed,
    StockTotalObserved,
    SweepRead,
)
from reconcilerd.domain.facts.made import Made
from reconcilerd.domain.guards import MEANS, Rails, Verdict
from reconcilerd.domain.names import (
    ChannelName,
    FeedName,
    Instant,
    LocationName,
    Sku,
    SlotKey,
    instant_of,
    parse_instant,
)
from reconcilerd.domain.orders import Order, Stage, number_on_channel, stage_of
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import Ages, Costs, Limits, MaxUnits, Mode, OfferRule, Percent, PoolMode
from reconcilerd.domain.position import ClaimKind, InboundView, Position
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.sheet import TAKEN, exit_code_of, heading, rule_text, sheet_of
from tests.domain.books import SLOT, UK, order, position_at, see, shop_book, swept
from tests.domain.builders import NOW as BUILT
from tests.domain.builders import A, claim, offer, position, row, slot
from tests.near_misses.samples import FACTS

NOW = 1_000_000
AUTO = Rails(Mode.AUTO)


def read_shop(shown: int = 30) -> Book:
    book = shop_book(NOW)
    for feed in ("extensiv.orders", "extensiv.stock", "uk.orders", "uk.slots"):
        swept(book, feed, NOW)
    see(book, shown, NOW)
    return book


def planned(book: Book, at: int = NOW, rails: Rails = AUTO) -> GroupPlan:
    return make_plan(position_at(book, at), rails)


def test_a_sheet_says_supply_channels_and_what_would_be_done() -> None:
    book = read_shop()
    book.take(LocationObserved(LocationName("1"), "main", "DIRECT", True, Instant(NOW)))
    book.take(order("uk", OrderStatus.OPEN, NOW, placed=NOW, units=3))
    book.take(order(EXTENSIV, OrderStatus.OPEN, NOW, placed=NOW, units=2, place="1", number="2"))
    told = sheet_of(book, Sku("a"), planned(book))
    assert (told["sku"], told["title"], told["bundle_of"]) == ("a", "a", [])
    assert told["supply"]["in_flight"] == 3
    assert told["supply"]["in_flight_orders"] == [{"order": "1", "channel": "uk", "units": 3}]
    assert [(each["name"], each["committed"]) for each in told["supply"]["locations"]] == [
        ("main", 2),
        ("2", 0),
    ]
    (channel,) = told["channels"]
    assert (channel["observed"], channel["ideal"], channel["difference"]) == (30, 95, 65)
    (action,) = told["would_do"]
    assert (action["from"], action["to"]) == (30, 95)
    assert action["why"] == MEANS[Verdict(action["verdict"])]
    assert exit_code_of([told]) == 3


def test_a_sheet_names_all_that_is_taken_by_what_it_is() -> None:
    """Not all of it as in flight; what lies on a row of its own is told there."""
    book = read_shop()
    plan = planned(book)
    taken = (
        claim(2, ClaimKind.IN_FLIGHT, "a"),
        claim(3, ClaimKind.INFERRED, "a"),
        claim(1, ClaimKind.INFERRED, "a"),
        claim(5, ClaimKind.COMMITTED, "a"),
        claim(7, ClaimKind.COMMITTED, "a", frozenset({LocationName("1")})),
        claim(4, ClaimKind.BURIED, "a"),
        claim(8, ClaimKind.SAFETY, "a"),
        claim(9, ClaimKind.DARK, "b"),
    )
    plan = replace(plan, position=replace(plan.position, claims=taken))
    supply = sheet_of(book, Sku("a"), plan)["supply"]
    assert (supply["in_flight"], supply["safety_stock"]) == (2, 8)
    told = [(each["kind"], each["units"]) for each in supply["otherwise_taken"]]
    assert told == [("committed", 5), ("inferred", 4), ("buried", 4)]
    assert TAKEN.keys() == set(ClaimKind)


def test_a_bundle_that_extensiv_does_not_list_is_told_by_its_code() -> None:
    book = read_shop()
    set_ = Sku("set")
    book.take(
        ProductObserved(set_, "Set", 3, "a set", ProductType.BUNDLE, "", True, ((Sku("a"), 2),), Instant(0))
    )
    told = sheet_of(book, set_, planned(book))
    assert told["bundle_of"] == [{"sku": "a", "units": 2}]
    assert (told["channels"], told["exposure"], told["hidden"]) == ([], 0, 0)
    assert sheet_of(book, Sku("nobody"), planned(book))["title"] == ""


def test_exit_codes_tell_step_difference_and_what_cannot_be_said() -> None:
    in_step = sheet_of(read_shop(100), Sku("a"), planned(read_shop(100)))
    assert exit_code_of([in_step]) == 0
    blind = {**in_step, "supply": {**in_step["supply"], "unknown": ["a"]}}
    unread = {**in_step, "channels": [{**in_step["channels"][0], "observed": None}]}
    assert [exit_code_of([each]) for each in (blind, unread, {**in_step, "too_old": True})] == [5, 5, 5]
    late = read_shop()
    assert sheet_of(late, Sku("a"), planned(late, NOW + 2_000_000))["too_old"]


def test_the_heading_names_mode_and_policy() -> None:
    told = heading(read_shop(), Instant(0), "auto")
    assert told["generated_at"] == "1970-01-01T00:00:00Z"
    assert (told["mode"], told["policy"]) == ("auto", "test")


@pytest.mark.parametrize(
    ("rule", "split", "said"),
    [
        (OfferRule(Percent(600)), True, "share 60 %"),
        (OfferRule(Percent(605)), False, "up to 60.5 %"),
        (OfferRule(MaxUnits(10), cap=7, buffer=2), False, "max 10, cap 7, buffer 2"),
        (OfferRule(Percent(600), low_stock=MaxUnits(1)), False, "max 1, low stock"),
    ],
)
def test_a_rule_is_said_in_few_words(rule: OfferRule, split: bool, said: str) -> None:
    listing = replace(offer("uk"), rule=rule)
    where = position([listing], [row(A, 5)], split=split, min_level=10)
    assert rule_text(where, listing) == said


def test_a_shared_pool_that_turned_split_says_so() -> None:
    where = replace(position([offer("uk")], [row(A, 5)]), split=True)
    assert rule_text(where, where.offers[0]) == "scarce, part 100"


def said(where: Position, rails: Rails = AUTO) -> str:
    return " ".join(explain(make_plan(where, rails), slot("uk"))["sentences"])


def test_an_explanation_names_stock_claims_rule_reading_and_verdict() -> None:
    listing = replace(offer("uk", shown=5, known_since=1, write=None), surprise=-2)
    where = position([listing], [row(A, 9, allocated=4)], [replace(claim(2), about="77")])
    text = said(where)
    for part in (
        "9 sellable",
        "2 committed",
        "(77)",
        "2 more that Extensiv",
        "leaves 5",
        "1 were ordered since",
        "-2",
    ):
        assert part in text


def test_a_listing_at_its_cap_is_not_said_to_show_all_there_is() -> None:
    told = said(position([offer("uk", shown=50, cap=50)], [row(A, 759)]))
    assert "That leaves 759 to offer." in told
    assert "It should show 50: the most that its cap allows, less any buffer." in told
    assert "all that is available" not in told


@pytest.mark.parametrize(
    ("where", "rails", "part"),
    [
        (position([offer("uk", shown=5)], [row(A, 5)]), AUTO, "Nothing to do."),
        (position([offer("uk", shown=4)], [row(A, 5)]), AUTO, "It is corrected from 4 to 5"),
        (position([offer("uk", shown=4)], [row(A, 5)]), Rails(Mode.GUARDED), "waits for a person"),
        (position([offer("uk", shown=4)], [row(A, 5)]), Rails(Mode.AUTO, stop=True), "is held"),
        (position([offer("uk", shown=4, write=9)], [row(A, 5)]), AUTO, "our write of 9 is not confirmed"),
        (
            position([offer("uk", shown=4, known_since=1)], [row(A, 5)]),
            AUTO,
            "waits: the listing is read again",
        ),
        (position([offer("uk", shown=None)], [row(A, 5)]), AUTO, "does not count it"),
        (position([offer("uk", shown=4)], []), AUTO, "of its components was ever read"),
    ],
)
def test_a_verdict_is_said_in_a_sentence(where: Position, rails: Rails, part: str) -> None:
    if not where.stock:
        where = replace(where, offers=tuple(replace(each, uses=()) for each in where.offers))
    assert part in said(where, rails)


def test_who_asks_for_a_listing_that_is_not_there_is_told() -> None:
    with pytest.raises(KeyError, match="moon"):
        explain(planned(read_shop()), slot("moon"))


def test_what_people_say_is_kept_and_looked_at() -> None:
    book, now = read_shop(), Instant(NOW)
    assert book.take(FreezeSet("uk", True, "ops", "stocktaking", now)).everybody
    assert book.words.frozen(now) == {"uk"}
    envelope = EnvelopeApproved("e", (Sku("a"),), "lower", 9, "ops", "counted", now, now)
    assert book.take(envelope).dirty == {"a"}
    assert book.words.approvals == {"e": envelope}
    book.take(RegimeSwitched("a", True, now))
    assert book.scarce == {"a": True}
    for fact in (
        ChannelObserved(1, "uk", "SHOPIFY", True, now),
        PlanMade("p", now, 1, (), ()),
        AlertChanged("k", True, "critical", "x", now),
        AlertTold("slack", "k", now, now),
        SilenceSet("s", True, "*", "*", "ops", "stock-take", now),
        StockTotalObserved(Sku("a"), 1, 0, now),
    ):
        assert book.take(fact).news
        assert fact.as_of == now
        assert fact.about
    assert envelope.about == "e"
    assert RegimeSwitched("a", True, now).about == "a"
    assert FreezeSet("uk", True, "ops", "x", now).about == "uk"


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.kind)
def test_of_each_subject_the_newest_fact_replaces_the_one_before(fact: Fact) -> None:
    """What a fact is about does not change with when it was true; decisions are history and leave one of their kind."""
    assert fact.about
    other: Fact = fact
    if isinstance(fact, Made):
        assert fact.as_of == fact.at
        other = replace(fact, at=Instant(fact.as_of + 1))
        assert other.as_of == fact.as_of + 1
    if isinstance(fact, (PlanMade, DecisionRecorded)):
        other = replace(fact, id="another")
    assert other.about == fact.about


def test_a_clock_that_goes_back_leaves_numbers_and_takes_their_ages() -> None:
    """Nothing that was read later than now passes for fresh, nor keeps newer news out."""
    book, before = read_shop(), Instant(NOW - 500_000)
    intent = CorrectionPlanned("w", SLOT, "a", 30, Instant(NOW), 20, "lag", "share", Instant(NOW))
    see(book, 25, NOW + 10)
    see(book, 26, NOW + 20)
    book.take(replace(intent, at=Instant(NOW + 30)))
    book.slots[SLOT].suspect_since = Instant(NOW)
    book.stock[Sku("a"), LocationName("1")].before_change = Instant(NOW)
    book.take(order("uk", OrderStatus.OPEN, NOW, placed=NOW))
    book.take(LocationObserved(LocationName("1"), "main", "DIRECT", True, Instant(NOW)))
    book.turn_back(before)
    track = book.slots[SLOT]
    assert (track.value, track.as_of, track.age_of, track.suspect_since) == (26, before, 0, before)
    assert all(each.to <= before for each in (*track.inferred,))
    assert track.write is not None
    assert (track.write.sent, track.write.answered) == (before, False), "its answer may yet come"
    rows = [each.row for each in book.stock.values()]
    assert {(each.on_hand, each.as_of, each.age_of) for each in rows} == {(50, before, 0)}
    assert book.stock[Sku("a"), LocationName("1")].before_change == 0
    assert {each.began for each in (*book.sweeps.values(), *book.tried.values())} == {0}
    held = make_plan(position_at(book, int(before)), AUTO)
    assert Verdict.SEND not in {each.verdict for each in held.entries if not each.lowers}
    see(book, 9, NOW - 400_000)
    assert track.value == 9, "newer news was kept out"


def test_a_listing_mapped_to_nobody_is_told_once_and_taken_back_when_it_is_mapped() -> None:
    book = read_shop()
    stray, at = SlotKey(UK, "stray", ""), Instant(NOW)
    book.take(SlotObserved(stray, "Stray", "x", 1, SlotState.BUYABLE, False, at, at))

    def told(began: int) -> list[tuple[str, bool]]:
        taken = book.take(SweepRead(FeedName("uk.slots"), Instant(began), Instant(began), True, 2, 0))
        return [(each.about, each.cleared) for each in taken.derived if isinstance(each, FindingRaised)]

    assert told(NOW + 1) == [("unmapped_sku:uk:stray", False)]
    assert told(NOW + 2) == []
    book.take(ListingDeclared(1, 9, "stray", Sku("b"), False, True, at))
    assert told(NOW + 3) == [("unmapped_sku:uk:stray", True)]
    assert told(NOW + 4) == []


def test_a_bundle_that_contains_itself_is_told_and_takes_only_itself() -> None:
    book, loop = read_shop(), Sku("loop")
    book.take(ProductObserved(loop, "loop", 7, "", ProductType.BUNDLE, "", True, ((loop, 1),), Instant(NOW)))
    assert book.uses(loop) == ((loop, 1),)
    assert [each.detail for each in book.findings.values()] == ["bundle contains itself: loop > loop"]


def test_orders_that_nothing_maps_are_told_by_their_number() -> None:
    book = read_shop()
    stray = replace(order("uk", OrderStatus.OPEN, NOW), lines=(OrderLine("moon", 1),))
    (found,) = book.take(stray).derived
    assert isinstance(found, FindingRaised)
    assert "order 1 sells 'moon'" in found.detail
    assert book.take(replace(stray, key=replace(stray.key, number="2"))).derived == ()


def test_what_is_older_than_what_is_known_changes_nothing() -> None:
    book, old = read_shop(), Instant(5)
    assert not book.take(StockObserved(Sku("a"), LocationName("1"), 1, 0, 0, old, old)).news
    assert not book.take(SlotObserved(SLOT, "a", "A", 1, SlotState.BUYABLE, False, old, old)).news
    assert not book.take(replace(book.products[Sku("a")], as_of=Instant(-1), name="x")).news
    finding = FindingRaised(FindingKind.BLANK_SKU, "x", "now", Instant(NOW))
    assert book.take(finding).news
    assert not book.take(replace(finding, detail="then", as_of=old)).news
    assert book.take(SweepRead(FeedName("uk.slots"), old, old, True, 0, 0)).news
    assert book.sweeps[FeedName("uk.slots")].began == NOW
    assert book.take(SweepRead(FeedName("uk.slots"), old, old, False, 0, 0, "cut")).news
    assert book.tried[FeedName("uk.slots")].began == NOW
    moon = SlotKey(ChannelName("moon"), "item", "")
    assert not book.take(SlotObserved(moon, "a", "A", 1, SlotState.BUYABLE, False, old, old)).news


def test_a_copied_count_that_changed_is_told_as_heard() -> None:
    book = shop_book(NOW, copied=True)
    later = Instant(NOW + 5)
    (heard,) = book.take(StockObserved(Sku("a"), LocationName("2"), 40, 0, 0, later, later)).derived
    assert heard == StockRefreshed(Sku("a"), LocationName("2"), Instant(NOW), later)
    again = shop_book(NOW, copied=True)
    again.take(heard)
    assert again.stock[Sku("a"), LocationName("2")].before_change == NOW


@pytest.mark.parametrize(
    "bad", [lambda: Percent(1001), lambda: MaxUnits(-1), lambda: Rate(-1), lambda: Rate(True)]
)
def test_what_cannot_be_is_refused_at_birth(bad: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="not"):
        bad()


def test_a_moment_without_a_zone_and_a_bundle_of_none_are_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        instant_of(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="out of the calendar"):
        instant_of(datetime.fromisoformat("0001-01-01T00:00:00+00:01"))
    with pytest.raises(ValueError, match="not a time"):
        parse_instant("2026-01-01T00:00:00Z\0")
    with pytest.raises(ValueError, match="takes 0"):
        ProductObserved(Sku("s"), "S", 1, "", ProductType.BUNDLE, "", True, ((Sku("a"), 0),), Instant(0))
    assert Rate(2) + Rate(3) == Rate(5)


@pytest.mark.parametrize(
    ("told", "number"),
    [("SHOP-77", "77"), ("77", "77"), ("SHOP-", "SHOP-")],
    ids=["fits", "does not", "is empty"],
)
def test_a_number_in_extensiv_is_the_channels_own_where_the_pattern_fits(told: str, number: str) -> None:
    assert number_on_channel("SHOP-(.*)", told) == number


def test_an_order_that_never_reaches_us_ends_on_either_side() -> None:
    ours = replace(order(EXTENSIV, OrderStatus.OPEN, NOW), eligible=False)
    theirs = replace(order("uk", OrderStatus.OPEN, NOW), eligible=False)
    assert stage_of(Order(ours.key, None, ours), None, 0) is Stage.ENDED
    assert stage_of(Order(theirs.key, theirs), None, 0) is Stage.ENDED
    cancelled = order(EXTENSIV, OrderStatus.CANCELLED, NOW)
    assert stage_of(Order(cancelled.key, None, cancelled), None, 0) is Stage.ENDED


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"state": SlotState.INACTIVE}, Cause.SLOT_OFF),
        ({"state": SlotState.UNTRACKED}, Cause.SUPPRESSED),
        ({"ambiguous": True}, Cause.MAPPING),
        ({"pushed": True}, Cause.NATIVE_PUSH),
        ({"refused": 1}, Cause.REJECTED),
        ({"surprise": 2}, Cause.FOREIGN_WRITER),
        ({"last_written": 9}, Cause.LAG),
        ({"uses": ((Sku("x"), 1), (Sku("y"), 1))}, Cause.BUNDLE),
        ({"read": 10, "rule": OfferRule(units_per_sale=2), "uses": ((Sku("x"), 2),)}, Cause.UNITS),
        ({"rule": OfferRule(units_per_sale=2), "uses": ((Sku("x"), 2),)}, Cause.UNEXPLAINED),
        ({}, Cause.UNEXPLAINED),
    ],
)
def test_every_drift_has_one_cause(changed: dict[str, object], cause: Cause) -> None:
    listing = replace(offer("uk", shown=30), **changed)  # type: ignore[arg-type]
    where = position([listing], [row(A, 10), row(A, 10, "y")], limits=Limits())
    (drift,) = diff(where, allocate(where))
    assert drift.cause is cause
    assert drift.difference == drift.desired - drift.observed


def test_a_drift_of_a_split_pool_without_other_cause_is_policys_and_of_a_dark_one_the_sources() -> None:
    where = position([offer("uk", shown=30)], [row(A, 10)], split=True)
    assert [each.cause for each in diff(where, allocate(where))] == [Cause.POLICY]
    dark = replace(where, stock_dark=True)
    assert [each.cause for each in diff(dark, allocate(dark))] == [Cause.STALE_SOURCE]
    uncounted = position([offer("uk", shown=None)], [row(A, 10)])
    assert diff(uncounted, allocate(uncounted)) == ()


def test_an_unread_write_is_asked_for_only_when_its_reading_is_old() -> None:
    for ago, slots in ((0, frozenset()), (10_001, frozenset({slot("uk")}))):
        listing = replace(offer("uk", shown=4, write=9), age_of=Instant(BUILT - ago))
        plan = make_plan(position([listing], [row(A, 12)]), AUTO)
        assert [each.verdict for each in plan.entries] == [Verdict.HOLD_PENDING]
        assert plan.wants.slots == slots


def test_stale_inputs_of_a_raise_are_asked_for_all_at_once() -> None:
    old, young = Instant(BUILT - 100_000), Instant(BUILT - Ages().own_slot_ms // 2 - 1)
    own = replace(offer("uk", Percent(500), shown=1), age_of=young)
    offers = [own, replace(offer("eu", Percent(500), shown=1), age_of=old)]
    where = position(offers, [replace(row(A, 12), age_of=old)], split=True)
    plan = make_plan(where, AUTO)
    assert plan.wants.stock == {"x"}
    assert plan.wants.slots == {slot("uk"), slot("eu")}
    assert (plan.wants | plan.wants) == plan.wants


def test_a_listing_is_not_read_again_and_again_while_its_stock_row_does_not_come() -> None:
    """A stock feed that says nothing for hours would else spend what its channels let us ask."""
    for ago, slots in ((5_000, frozenset()), (5_001, frozenset({slot("uk")}))):
        listing = replace(offer("uk", shown=1), age_of=Instant(BUILT - ago))
        plan = make_plan(position([listing], [replace(row(A, 12), age_of=Instant(BUILT - 100_000))]), AUTO)
        assert [each.verdict for each in plan.entries] == [Verdict.HOLD_STOCK_STALE]
        assert plan.wants.stock == {"x"}
        assert plan.wants.slots == slots


@pytest.mark.parametrize("costs", [None, Costs(10_000, 1)])
def test_an_adaptive_pool_says_where_it_turns_and_why(costs: Costs | None) -> None:
    where = position([replace(offer("uk", shown=5), rate=Rate(36_000))], [row(A, 50)])
    channels = tuple(replace(each, slow_ms=200_000, costs=costs) for each in where.channels)
    where = replace(where, channels=channels)
    assert "adaptive" not in said(where)
    adaptive = replace(where, pool=replace(where.pool, mode=PoolMode.ADAPTIVE))
    ((_, left, bound),) = turning_points(adaptive)
    assert left == 50
    z = z_tenths(adaptive, 200_000) / 10
    deviations = f", by what overselling and hiding cost: {z} deviations" if costs else ""
    told = (
        f"split at {bound} of x or fewer, which could sell in the 200 s before all channels have heard of it"
    )
    assert f"{told}{deviations}; 50 are left." in said(adaptive)


def test_orders_that_policy_does_not_hold_back_are_told_beside_those_that_it_does() -> None:
    soft = replace(claim(2), waived=3)
    told = said(position([offer("uk", shown=5)], [row(A, 9)], [soft]))
    assert "2 committed" in told
    assert "3 more of these are ordered, and policy does not hold them back." in told
    assert "more of these" not in said(position([offer("uk", shown=5)], [row(A, 9)], [claim(2)]))


def test_what_is_on_its_way_is_told_only_to_whom_it_is_promised() -> None:
    listing = replace(offer("uk", shown=5), sells_past_zero=True)
    coming = InboundView(Sku("x"), A, 7, Instant(0))
    where = replace(position([listing], [row(A, 5)]), inbound=(coming, replace(coming, sku=Sku("y"))))
    told = said(where)
    assert "Zero does not stop its sales" in told
    assert "7 of x are counted on at A until 1970-01-01T00:00:00Z, less what lies there." in told
    assert "of y" not in told
    assert "counted on" not in said(replace(where, offers=(offer("uk", shown=5),)))
