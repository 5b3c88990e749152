"""Where two moments are one, where a place is named, where nothing is left: the edges of the rules of knowing."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.domain.adaptive import scarcity
from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import dark_stock_claims
from reconcilerd.domain.facts import (
    EXTENSIV,
    CorrectionPlanned,
    CorrectionSent,
    Fact,
    FindingKind,
    LocationObserved,
    OrderObserved,
    OrderStatus,
    Outcome,
    ProductObserved,
    ProductType,
    RegimeSwitched,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.invariants import check_history
from reconcilerd.domain.names import Instant, LocationName, Sku, SlotKey, sku_of
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import AfterDark, Mode, Percent, SkuRule
from reconcilerd.domain.position import ClaimKind, StockView
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.survey import Surveyor, dark_sources, weather_of
from tests.domain.books import SLOT, UK, claimed, order, position_at, row, see, shop_book, swept
from tests.domain.builders import NOW, A, offer, position, slot
from tests.domain.builders import row as stock_row

AUTO = Rails(Mode.AUTO)


def intent(id_: str, target: int, read: int, at: int) -> CorrectionPlanned:
    return CorrectionPlanned(id_, SLOT, "a", read, Instant(at), target, "lag", "share", Instant(at))


def test_falls_that_end_at_one_moment_are_one_fall() -> None:
    """The ledger keeps one for each end: two would be one after a start."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    for shown in (48, 47):
        see(book, shown, 2_000)
    (fall,) = book.slots[SLOT].inferred
    assert (fall.since, fall.to, fall.fall) == (1_000, 2_000, 3)
    assert claimed(book, 2_000, ClaimKind.INFERRED) == 3


def test_writes_that_one_reading_ends_leave_one_window_the_widest() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    book.take(intent("first", 40, 50, 1_000))
    book.take(CorrectionSent("first", SLOT, Outcome.UNKNOWN, "", Instant(1_001), Instant(1_001)))
    see(book, 49, 1_500)
    under = tuple((o.id, o.target, o.before, o.based_on, o.sent) for o in book.slots[SLOT].open)
    book.take(replace(intent("second", 30, 49, 1_500), under=under))
    book.take(CorrectionSent("second", SLOT, Outcome.UNKNOWN, "", Instant(1_600), Instant(1_600)))
    see(book, 49, 90_000)
    assert book.slots[SLOT].open == ()
    assert [(each.since, each.to) for each in book.slots[SLOT].buried] == [(1_000, 90_000)]


@pytest.mark.parametrize("compares", [False, True])
def test_a_lower_that_an_older_write_came_after_is_sent_anew(compares: bool) -> None:
    """Until something rises, the lower may still come and is waited for; each rise lets it be sent once more."""
    book = shop_book(1_000)
    channel = replace(book.policy.channels[UK], compare_and_set=compares)
    book.policy = replace(book.policy, channels=MappingProxyType({UK: channel}))
    see(book, 10, 1_000)
    book.take(intent("raise", 30, 10, 1_000))
    book.take(CorrectionSent("raise", SLOT, Outcome.ACCEPTED, "", Instant(1_001), Instant(1_001)))
    under = tuple((o.id, o.target, o.before, o.based_on, o.sent) for o in book.slots[SLOT].open)
    book.take(replace(intent("lower", 2, 10, 1_500), under=under))
    book.take(CorrectionSent("lower", SLOT, Outcome.ACCEPTED, "", Instant(1_600), Instant(1_600)))
    see(book, 9, 2_000)
    assert not position_at(book, 2_000).offers[0].overtaken
    see(book, 29, 3_000)
    see(book, 28, 4_000)
    (view,) = position_at(book, 4_000).offers
    assert (view.overtaken, view.write) == (not compares, 2)
    book.take(replace(intent("again", 2, 28, 4_000), under=under))
    assert not position_at(book, 4_000).offers[0].overtaken


@pytest.mark.parametrize(("overtaken", "verdict"), [(True, Verdict.SEND), (False, Verdict.HOLD_PENDING)])
def test_only_what_was_overtaken_is_not_waited_for(overtaken: bool, verdict: Verdict) -> None:
    shows = replace(offer("uk", shown=9, write=0), overtaken=overtaken)
    plan = make_plan(position([shows], [stock_row(A, 0)]), AUTO)
    assert [(each.target, each.verdict) for each in plan.entries] == [(0, verdict)]
    back = replace(offer("uk", shown=3, write=9), overtaken=overtaken)
    raised = make_plan(position([back], [stock_row(A, 20)]), AUTO)
    assert [each.verdict for each in raised.entries] == [Verdict.HOLD_PENDING]


def test_a_reading_that_comes_twice_confirms_nothing_the_second_time() -> None:
    """It ended the one write that stood in the way of telling; the other waits for the next reading."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    book.take(intent("first", 60, 50, 1_000))
    book.take(CorrectionSent("first", SLOT, Outcome.UNKNOWN, "", Instant(1_001), Instant(1_001)))
    under = tuple((o.id, o.target, o.before, o.based_on, o.sent) for o in book.slots[SLOT].open)
    book.take(replace(intent("second", 20, 50, 1_000), under=under, at=Instant(40_000)))
    book.take(CorrectionSent("second", SLOT, Outcome.UNKNOWN, "", Instant(41_000), Instant(41_000)))
    for _ in range(2):
        see(book, 15, 45_000)
        assert [each.id for each in book.slots[SLOT].open] == ["second"]


def test_a_bundle_that_contains_itself_is_told_once_however_often_the_catalogue_is_joined() -> None:
    book = shop_book(1_000)
    made = ProductObserved(Sku("set"), "set", 9, "set", ProductType.BUNDLE, "", True, ((Sku("set"), 1),), NOW)
    book.take(made)
    told = []
    for number in (3, 4):
        book.joins()
        told.append([each for each in book.findings.values() if each.what is FindingKind.BUNDLE_LOOP])
        book.take(replace(made, sku=Sku(f"new {number}"), product_id=number, components=()))
    assert len(told[0]) == 1
    assert told[0][0] is told[1][0]


def test_a_slot_of_which_nothing_is_new_is_seen_as_before() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    surveyor = Surveyor(book)
    first, again = (surveyor.position(Sku("a"), weather_of(book, Instant(at))) for at in (2_000, 2_001))
    assert first.offers[0] is again.offers[0]
    see(book, 49, 3_000)
    assert surveyor.position(Sku("a"), weather_of(book, Instant(3_000))).offers[0].read == 49


def test_a_compare_is_with_the_channels_own_number_that_may_be_below_zero() -> None:
    assert intent("w", 4, 0, 1_000).compared == 0
    assert replace(intent("w", 4, 0, 1_000), owed=3).compared == -3


def test_a_late_answer_to_an_older_write_leaves_the_newer_as_it_was() -> None:
    """What was answered may have left at any moment until then."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    book.take(intent("first", 40, 50, 1_000))
    under = tuple((o.id, o.target, o.before, o.based_on, o.sent) for o in book.slots[SLOT].open)
    book.take(replace(intent("second", 30, 50, 1_000), under=under, at=Instant(1_200)))
    book.take(CorrectionSent("first", SLOT, Outcome.ACCEPTED, "", Instant(1_100), Instant(1_300)))
    assert [(each.id, each.answered, each.sent) for each in book.slots[SLOT].open] == [
        ("first", True, 1_300),
        ("second", False, 1_200),
    ]


def test_a_reading_begun_before_a_write_left_ends_it_neither_way() -> None:
    """It shows the very number that is being written, and that of long before, and tells nothing of the write."""
    book = shop_book(1_000)
    see(book, 50, 1_000)
    book.take(intent("w", 40, 50, 1_000))
    book.take(CorrectionSent("w", SLOT, Outcome.UNKNOWN, "", Instant(2_000), Instant(2_100)))
    for shown in (40, 50):
        see(book, shown, 1_900)
        assert [each.id for each in book.slots[SLOT].open] == ["w"]


def test_an_answer_says_less_than_a_reading_begun_after_it() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    book.take(intent("w", 40, 50, 1_000))
    see(book, 39, 1_200)
    book.take(CorrectionSent("w", SLOT, Outcome.APPLIED, "", Instant(1_050), Instant(1_100)))
    assert (book.slots[SLOT].value, book.slots[SLOT].open) == (39, ())
    assert book.slots[SLOT].proven


def test_a_book_that_was_read_by_a_clock_ahead_is_turned_back_as_it_is_loaded() -> None:
    book = Book(shop_book(0).policy)
    seen = SlotObserved(SLOT, "a", "A", 5, SlotState.BUYABLE, False, Instant(9_000), Instant(9_000))
    older = replace(seen, quantity=7, as_of=Instant(8_000), age_of=Instant(8_000))
    book.load([seen, older], Instant(5_000))
    assert (book.slots[SLOT].value, book.slots[SLOT].as_of, book.slots[SLOT].age_of) == (5, 5_000, 0)


def test_turning_back_leaves_the_numbers_that_were_read_before() -> None:
    book = shop_book(1_000)
    see(book, 50, 1_000)
    book.turn_back(Instant(2_000))
    assert (book.slots[SLOT].value, book.slots[SLOT].as_of) == (50, 1_000)
    assert book.slots[SLOT].suspect_since is None


def test_a_listing_that_is_gone_is_mapped_to_nobody_and_nobody_is_told() -> None:
    book = shop_book(1_000)
    stray = SlotKey(UK, "stray", "")
    seen = SlotObserved(
        stray, "stray", "x", None, SlotState.UNTRACKED, False, Instant(1), Instant(1), gone=True
    )
    book.take(seen)
    swept(book, "uk.slots", 2_000)
    assert book.findings == {}


def test_two_parcels_that_left_together_are_proven_by_one_row() -> None:
    book = shop_book(0)
    for number in ("1", "2"):
        book.take(order(EXTENSIV, OrderStatus.SHIPPED, 1_000, place="1", units=3, number=number))
    assert claimed(book, 2_000, ClaimKind.SHIPPED) == 6


def test_an_order_lies_at_the_places_that_its_channel_names() -> None:
    book = shop_book(0)
    uk = replace(book.policy.channels[UK], places=MappingProxyType({"p": frozenset({LocationName("2")})}))
    book.policy = replace(book.policy, channels=MappingProxyType({UK: uk}))
    book.take(
        SlotObserved(replace(SLOT, place="p"), "a", "A", 5, SlotState.BUYABLE, False, Instant(1), Instant(1))
    )
    book.take(order("uk", OrderStatus.OPEN, 1_000))
    assert [
        each.locations for each in position_at(book, 2_000).claims if each.kind is ClaimKind.IN_FLIGHT
    ] == [{"2"}]


def test_of_nothing_in_the_dark_nothing_is_withheld() -> None:
    book = shop_book(0)
    book.policy = replace(book.policy, limits=replace(book.policy.limits, after_dark=AfterDark.DROP))
    rows: list[StockView] = [stock_row(A, 0), stock_row(A, 4)]
    assert [each.units for each in dark_stock_claims(book, rows, 10**9)] == [4]


def test_a_source_is_dark_once_it_was_not_read_for_too_long_and_stock_only_when_policy_withholds_of_it() -> (
    None
):
    book = shop_book(0)
    ages = book.policy.ages
    late = ages.max_age_ms + 1
    for feed in ("uk.slots", "uk.orders", "extensiv.stock"):
        swept(book, feed, 1)
    assert dark_sources(book, Instant(late)) == set()
    assert dark_sources(book, Instant(late + 1)) == {"uk"}
    swept(book, "uk.slots", late)
    swept(book, "uk.orders", late)
    assert dark_sources(book, Instant(late + ages.dark_grace_ms)) == {"uk"}
    swept(book, "uk.slots", late + ages.dark_grace_ms)
    swept(book, "uk.orders", late + ages.dark_grace_ms)
    assert dark_sources(book, Instant(late + ages.dark_grace_ms)) == set()
    assert dark_sources(book, Instant(late + ages.dark_grace_ms + 1)) == {"extensiv.stock"}


def part(name: str, units: int, status: OrderStatus = OrderStatus.OPEN, at: int = 1_000) -> OrderObserved:
    return replace(order(EXTENSIV, status, at, place="1", units=units), part=name)


def test_an_order_that_was_split_counts_part_by_part_each_once() -> None:
    """R4, whatever comes twice and in whichever order."""
    book = shop_book(0)
    for seen in (part("1", 2), part("2", 3), part("2", 3), part("1", 2), part("2", 4, at=1_001)):
        book.take(seen)
    assert claimed(book, 2_000, ClaimKind.COMMITTED) == 6
    book.take(part("1", 2, OrderStatus.CANCELLED, 1_002))
    assert claimed(book, 2_000, ClaimKind.COMMITTED) == 4


def test_only_a_stale_peer_is_asked_for_where_all_else_is_fresh() -> None:
    old = replace(offer("eu", Percent(500), shown=1), age_of=Instant(NOW - 100_000))
    where = position([offer("uk", Percent(500), shown=1), old], [stock_row(A, 12)], split=True)
    uk = next(each for each in make_plan(where, AUTO).entries if each.slot == slot("uk"))
    assert uk.verdict is Verdict.HOLD_PEER_STALE
    assert make_plan(where, AUTO).wants.slots >= {slot("eu")}


def test_a_split_pool_is_split_whatever_is_scarce() -> None:
    where = position([offer("uk")], [stock_row(A, 1)], split=True)
    assert not scarcity(where, scarce=False)


def test_history_is_judged_by_what_was_sent() -> None:
    """What never left was sent from no reading; other facts are no writes."""
    at = Instant(1_000)
    stale = SlotObserved(SLOT, "a", "A", 4, SlotState.BUYABLE, False, Instant(1_500), Instant(1_500))
    never = CorrectionSent("w", SLOT, Outcome.NOT_SENT, "", Instant(2_000), Instant(2_000))
    facts: list[Fact] = [intent("w", 3, 5, 1_000), stale, RegimeSwitched("a", True, at), never]
    assert check_history([(Instant(1_000 + 10 * i), [each]) for i, each in enumerate(facts)]) == ()


def test_small_words() -> None:
    assert sku_of(" Mug-1 ") == "mug-1"
    assert LocationObserved(LocationName("7"), "main", "", True, Instant(0)).about == "7"


@pytest.mark.parametrize("order_lag_ms", [120_000, 600_000])
def test_a_raise_goes_out_within_two_polls_though_it_sells_and_orders_are_late(order_lag_ms: int) -> None:
    """R2: nothing waits for the order feed to have passed the reading that a raise is computed from."""
    poll, now, shown, received, raised = 60_000, 1_000_000, 20, 60, list[int]()
    book = shop_book(now)
    uk = replace(
        book.policy.channels[UK], order_lag_ms=order_lag_ms, compare_and_set=True, import_max_ms=10**9
    )
    book.policy = replace(
        book.policy,
        channels=MappingProxyType({UK: uk}),
        default_sku=SkuRule(rate=Rate(180_000)),
        limits=replace(book.policy.limits, raise_floor_units=1_000),
    )
    for turn in range(1, 13):
        for sale in range(3):
            shown -= 1
            # What the list shows of this minute was placed a lag ago.
            placed = now + sale * 20_000 - order_lag_ms
            book.take(order("uk", OrderStatus.OPEN, now, placed=placed, number=f"{turn}-{sale}"))
        now += poll
        see(book, shown, now)
        for feed in ("extensiv.orders", "uk.orders", "uk.slots"):
            swept(book, feed, now)
        received += 10
        for place in ("1", "2"):
            row(book, place, received, now)
        plan = make_plan(position_at(book, now), AUTO)
        for entry in plan.sends:
            assert not entry.lowers
            write = CorrectionPlanned(
                f"w{turn}", SLOT, "a", entry.read, entry.based_on, entry.target, "lag", "share", Instant(now)
            )
            book.take(write)
            book.take(CorrectionSent(write.id, SLOT, Outcome.APPLIED, "", Instant(now), Instant(now)))
            shown = entry.target
            raised.append(turn)
    assert all({turn, turn + 1} & set(raised) for turn in range(2, 12)), raised


def test_what_a_hand_had_put_there_may_have_sold_when_it_is_gone_again() -> None:
    """Raises wait for the orders of the last step unless the number was far off; nobody is lowered for it."""
    for shown, falls in (([75, 50], [(25, 0)]), ([76, 50], []), ([51, 49], [(2, 1)])):
        book = shop_book(1_000)
        see(book, 50, 1_000)
        for number, quantity in enumerate(shown):
            see(book, quantity, 2_000 + number)
        track = book.slots[SLOT]
        assert track.doubt is None
        assert [(each.fall, each.cap) for each in track.inferred] == falls


def test_a_number_that_comes_up_again_to_what_it_was_has_sold_nothing() -> None:
    book = shop_book(1_000)
    for at, quantity in ((1_000, 50), (2_000, 3), (3_000, 50)):
        see(book, quantity, at)
    assert [each.cap for each in book.slots[SLOT].inferred] == [0]
    assert [each.fall for each in book.slots[SLOT].inferred] == [47]


def test_a_write_in_the_state_says_what_the_one_before_it_had_made_of_the_listing() -> None:
    """The state holds one write of a listing, and the answer to the one before it alone."""
    book, again = shop_book(1_000), shop_book(1_000)
    see(book, 50, 1_000)
    answer = CorrectionSent("first", SLOT, Outcome.APPLIED, "", Instant(1_050), Instant(1_100))
    for fact in (intent("first", 60, 50, 1_000), answer):
        book.take(fact)
    live = book.slots[SLOT]
    second = replace(intent("second", 55, 60, live.as_of), under=(), at=Instant(1_200))
    book.take(second)
    assert live.seen is not None
    again.load([live.seen, answer, second], Instant(1_300))
    loaded = again.slots[SLOT]
    assert (loaded.value, loaded.as_of) == (live.value, live.as_of) == (60, 1_050)
    assert [each.target for each in loaded.open] == [55]


@pytest.mark.parametrize(("awake_s", "withheld"), [(0, 100), (7_000, 0)])
def test_stock_that_nobody_could_read_before_the_start_is_not_withheld_for_that(
    awake_s: int, withheld: int
) -> None:
    """After hours of downtime it is read first; raises wait for that, and nothing is hidden."""
    book = shop_book(0)
    book.awake_since = Instant(awake_s * 1_000)
    book.policy = replace(book.policy, limits=replace(book.policy.limits, after_dark=AfterDark.DROP))
    swept(book, "extensiv.stock", 0)
    found = position_at(book, 7_200_000)
    assert found.stock_dark
    assert claimed(book, 7_200_000, ClaimKind.DARK_STOCK) == withheld
    assert ("extensiv.stock" in dark_sources(book, Instant(7_200_000))) is bool(withheld)
