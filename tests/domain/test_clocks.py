"""This machine's clock is set back: what was read, done or said by the clock before passes for no fresher than it is,
keeps nothing newer out, and lasts no longer. After a restart no less than before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from types import MappingProxyType

import pytest

from reconcilerd.domain.alerts import Episode, turned_back
from reconcilerd.domain.book import Book
from reconcilerd.domain.change import Rails
from reconcilerd.domain.clocks import by_a_clock_that_went_back, said_by, silent_by
from reconcilerd.domain.facts import (
    AlertStage,
    ConsentGiven,
    CorrectionSent,
    EnvelopeApproved,
    Fact,
    FindingKind,
    FindingRaised,
    FreezeSet,
    ListingDeclared,
    LocationObserved,
    OrderStatus,
    Outcome,
    ProductObserved,
    ProductType,
    RailLatched,
    ReadingKept,
    SilenceSet,
    SlotObserved,
    SlotPinned,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.feeds import STOCK_FEED
from reconcilerd.domain.guards import Verdict
from reconcilerd.domain.habits import Hand
from reconcilerd.domain.latches import SHRINKING, latch_name
from reconcilerd.domain.names import FeedName, Instant, LocationName, Sku
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import Mode, PoolMode, PoolRule, SkuRule
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.quantities import Rate
from tests.domain.books import (
    SLOT,
    UK,
    claimed,
    order,
    position_at,
    row,
    see,
    shop_book,
    swept,
    written,
)

MINUTE = 60_000
HOUR = 60 * MINUTE
BEFORE = 10 * HOUR
"""When the clock is set back, by the clock before."""
NOW = Instant(BEFORE - HOUR)
"""The same moment by the clock that goes from then on."""
ROW = Sku("a"), LocationName("1")
ORDERS = ("uk.orders", "extensiv.orders")
FEEDS = ("uk.slots", "extensiv.stock", *ORDERS)
LATCH = latch_name(SHRINKING, STOCK_FEED)


def shop(read_at: int, *, shown: int = 80, mode: PoolMode = PoolMode.SPLIT) -> Book:
    """A shop that sells little and compares; all of it was read at a moment. It has a hundred and shows fewer."""
    book = shop_book(read_at)
    uk = replace(book.policy.channels[UK], compare_and_set=True, import_max_ms=30 * MINUTE)
    book.turn_to(
        replace(
            book.policy,
            channels=MappingProxyType({UK: uk}),
            default_sku=SkuRule(rate=Rate(0)),
            pools=MappingProxyType({"default": PoolRule(mode)}),
        )
    )
    for feed in FEEDS:
        swept(book, feed, read_at)
    see(book, shown, read_at)
    return book


def verdicts(book: Book, now: int) -> list[Verdict]:
    return [each.verdict for each in make_plan(position_at(book, now), Rails(Mode.AUTO)).entries]


def read_rows(book: Book, now: int, on_hand: int = 50) -> None:
    for place in "12":
        row(book, place, on_hand, now)


def again(book: Book, facts: tuple[Fact, ...], now: int) -> Book:
    """The book after a restart, of what the ledger has."""
    rows: tuple[Fact, ...] = (
        *book.products.values(),
        *book.listings.values(),
        *(each.row for each in book.stock.values()),
    )
    kept = [each for each in rows if each.about not in {fact.about for fact in facts}]
    loaded = Book(book.policy, awake_since=Instant(now))
    loaded.load((*kept, *facts), Instant(now))
    return loaded


@pytest.mark.parametrize("ago", [1_000, HOUR - 5_000, HOUR + 5_000], ids=["just now", "an hour", "more"])
def test_however_long_ago_it_was_read_nothing_is_raised_on_it_once_the_clock_went_back(ago: int) -> None:
    """What is as old as the clock was set back by lies just before the new now, and looked seconds old."""
    book = shop(BEFORE - ago)
    book.turn_back(NOW)
    position = position_at(book, NOW + 1_000)
    assert [each.age_of for each in position.stock] == [0, 0]
    assert [each.age_of for each in position.offers] == [0]
    assert Verdict.SEND not in verdicts(book, NOW + 1_000)
    see(book, 80, NOW + 2_000)
    assert Verdict.SEND not in verdicts(book, NOW + 2_000), "of its stock nothing is known to be fresh"
    read_rows(book, NOW + 3_000)
    for feed in FEEDS:
        swept(book, feed, NOW + 3_000)
    assert verdicts(book, NOW + 3_500) == [Verdict.SEND]


def test_nothing_is_raised_until_the_orders_of_its_channels_were_read_by_the_new_clock() -> None:
    book = shop(BEFORE - 2 * HOUR)
    book.turn_back(NOW)
    for feed in ("uk.slots", "extensiv.stock", "extensiv.orders"):
        swept(book, feed, NOW + 1_000)
    see(book, 80, NOW + 1_000)
    read_rows(book, NOW + 1_000)
    assert Verdict.SEND not in verdicts(book, NOW + 1_500)
    swept(book, "uk.orders", NOW + 2_000)
    assert verdicts(book, NOW + 2_500) == [Verdict.SEND]


def test_a_channel_that_goes_on_in_the_dark_may_have_sold_all_it_shows() -> None:
    book = shop(BEFORE - 2 * HOUR, mode=PoolMode.SHARED)
    book.turn_to(replace(book.policy, default_sku=SkuRule(rate=Rate(3_600_000))))
    book.turn_back(NOW)
    assert claimed(book, NOW + 40 * MINUTE, ClaimKind.DARK) == 80


def test_a_shipment_that_extensiv_never_had_is_in_flight_until_a_whole_reading_of_the_new_clock() -> None:
    book = shop(BEFORE - 1_000)
    book.turn_back(NOW)
    sold = order("uk", OrderStatus.SHIPPED, NOW + 2 * MINUTE, placed=NOW + MINUTE, units=7)
    book.take(sold)
    for at in (NOW + 3 * MINUTE, NOW + 30 * MINUTE):
        swept(book, "extensiv.orders", at)
        assert claimed(book, at + 1, ClaimKind.IN_FLIGHT) == 7
    swept(book, "extensiv.orders", NOW + 31 * MINUTE + 1)
    assert claimed(book, NOW + 32 * MINUTE, ClaimKind.IN_FLIGHT) == 0


def sizes(book: Book) -> tuple[int, ...]:
    return book.sweeps[STOCK_FEED].sizes


def rows_read(book: Book, at: int, rows: int) -> None:
    book.take(SweepRead(STOCK_FEED, Instant(at), Instant(at), True, rows, 0))


def test_how_many_rows_a_feed_has_is_known_though_the_clock_went_back() -> None:
    """Nor does a suspicion that was lifted before they were read take them away."""
    book = shop(BEFORE - 3 * HOUR)
    book.take(lifted(BEFORE - 2 * HOUR))
    for minutes in (90, 10):
        rows_read(book, BEFORE - minutes * MINUTE, 40)
    book.turn_back(NOW)
    rows_read(book, NOW + MINUTE, 41)
    assert sizes(book) == (40, 40, 41)


def lifted(at: int) -> RailLatched:
    return RailLatched(LATCH, False, "ops", "half of it was sold off", Instant(at))


def test_a_size_is_no_measure_once_a_suspicion_of_it_was_lifted_whenever_the_clock_went_back() -> None:
    book = shop(BEFORE - 3 * HOUR)
    rows_read(book, BEFORE - 10 * MINUTE, 40)
    book.take(lifted(BEFORE - MINUTE))
    book.turn_back(NOW)
    assert sizes(book) == ()
    for minute in (1, 2):
        rows_read(book, NOW + minute * MINUTE, 40)
    assert sizes(book) == (40, 40), "the word was said before, whatever its stamp"
    book.turn_back(Instant(NOW - HOUR))
    book.take(lifted(NOW - HOUR + MINUTE))
    rows_read(book, NOW - HOUR + 2 * MINUTE, 20)
    assert sizes(book) == (20,)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_zero_is_confirmed_as_soon_as_ever_though_the_clock_went_back(restarted: bool) -> None:
    book = shop(BEFORE - MINUTE)
    read_rows(book, BEFORE - 5_000, 0)
    if restarted:
        book = again(book, (), NOW)
    else:
        book.turn_back(NOW)
    for minute in (1, 2):
        read_rows(book, NOW + minute * MINUTE, 0)
    assert book.stock[ROW].said == 3
    assert book.stock[ROW].row.more_at <= NOW
    assert book.stock[ROW].changed <= NOW


@pytest.mark.parametrize("back_ms", [10 * MINUTE, 5 * HOUR])
def test_what_was_heard_of_is_as_long_ago_as_it_was(back_ms: int) -> None:
    """Whatever its channel's own clock says of when it was placed: an old sale is no news that explains a fall."""
    book, now = shop(BEFORE - 2 * HOUR), BEFORE - back_ms
    swept(book, "extensiv.orders", BEFORE - 2 * HOUR)
    assert book.orders.following
    for number, ago in enumerate((60, 20, 10), 1):
        at = BEFORE - ago * MINUTE
        book.take(order("uk", OrderStatus.OPEN, at, placed=at + 5_000, units=number, number=str(number)))
    book.take(order("uk", OrderStatus.CANCELLED, BEFORE - MINUTE, units=90, number="4"))
    sold = book.orders.taken_since(UK, "a", Instant(BEFORE - 30 * MINUTE))
    book.turn_back(Instant(now), Instant(BEFORE))
    assert book.orders.taken_since(UK, "a", Instant(now - 30 * MINUTE)) == sold == 5


def applied(sent: int, at: int, **more: object) -> CorrectionSent:
    return CorrectionSent("w", SLOT, Outcome.APPLIED, "", Instant(sent), Instant(at), **more)  # type: ignore[arg-type]


def answered(book: Book) -> tuple[Fact, ...]:
    """A write from 80 to 90 that the channel took just before the clock went back, as the ledger has it."""
    plan = written("w", 90, 80, BEFORE - MINUTE, BEFORE - 4_000)
    book.take(plan)
    told = book.take(applied(BEFORE - 3_500, BEFORE - 3_000)).instead
    assert told is not None
    return plan, told


@pytest.mark.parametrize("restarted", [False, True])
def test_an_answer_of_the_clock_before_keeps_no_reading_out(restarted: bool) -> None:
    """Nor where all that was read since has the stamps of the new clock, and the answer alone is ahead."""
    book = shop(BEFORE - 2 * HOUR)
    facts = answered(book)
    book.turn_back(NOW)
    see(book, 89, NOW + MINUTE)
    seen = book.slots[SLOT].seen
    assert seen is not None
    if restarted:
        book = again(book, (*facts, seen), NOW + 2 * MINUTE)
    see(book, 7, NOW + 3 * MINUTE)
    assert book.slots[SLOT].value == 7
    assert book.slots[SLOT].proven


def test_a_later_answer_says_of_the_one_before_nothing_that_is_yet_to_come() -> None:
    """A listing that is loaded hears of both from the later one."""
    book = shop(BEFORE - 2 * HOUR)
    answered(book)
    book.turn_back(NOW)
    track = book.slots[SLOT]
    assert track.took == (80, 90, NOW, NOW)
    assert track.done == (80, 90, NOW)
    see(book, 90, NOW + MINUTE)
    plan = replace(written("v", 95, 90, NOW + MINUTE, NOW + MINUTE), id="v")
    book.take(plan)
    later = CorrectionSent("v", SLOT, Outcome.ACCEPTED, "", Instant(NOW + MINUTE), Instant(NOW + MINUTE))
    told = book.take(later).instead
    assert isinstance(told, CorrectionSent)
    assert told.took == (80, 90, NOW, NOW)


def test_what_was_only_answered_is_not_proven_by_the_reading_before_it() -> None:
    book = shop(BEFORE - MINUTE)
    answered(book)
    assert not book.slots[SLOT].proven
    book.turn_back(NOW)
    assert not book.slots[SLOT].proven
    see(book, 90, NOW)
    assert book.slots[SLOT].proven


def test_a_reading_that_came_after_an_answer_proves_it_whatever_the_clock_does() -> None:
    book = shop(BEFORE - MINUTE)
    answered(book)
    see(book, 89, BEFORE - 1_000)
    book.turn_back(NOW)
    assert book.slots[SLOT].proven


def test_the_fall_of_a_write_that_missed_ends_no_earlier_than_it_began() -> None:
    book = shop(BEFORE - 5_000, shown=10)
    book.take(written("w", 30, 10, BEFORE - 5_000, BEFORE - 4_000))
    book.take(
        CorrectionSent("w", SLOT, Outcome.UNKNOWN, "", Instant(BEFORE - 3_500), Instant(BEFORE - 3_000))
    )
    book.turn_back(NOW)
    book.take(order("uk", OrderStatus.OPEN, NOW + 20_000, placed=NOW + 10_000, units=2))
    see(book, 8, NOW + MINUTE)
    (fall,) = book.slots[SLOT].inferred
    assert (fall.since, fall.to) == (NOW, NOW + MINUTE)
    assert claimed(book, NOW + MINUTE, ClaimKind.INFERRED) == 0, "an order explains it"


def test_a_finding_of_the_clock_before_is_cleared_by_the_first_whole_reading_without_it() -> None:
    book = shop(BEFORE - 5_000)
    slots = FeedName("uk.slots")
    twice, older = (
        FindingRaised(FindingKind.DUPLICATE_SKU, code, "twice", Instant(at), feed=slots)
        for code, at in (("uk:a", BEFORE - 4_000), ("uk:b", NOW - 4_000))
    )
    book.take(twice)
    book.take(older)
    book.turn_back(NOW)
    assert [book.findings[each.about].as_of for each in (twice, older)] == [NOW, older.as_of]
    swept(book, "uk.slots", NOW + MINUTE)
    assert all(book.findings[each.about].cleared for each in (twice, older))
    assert not book.findings.standing(FindingKind.DUPLICATE_SKU)


def approval(at: int, until: int) -> EnvelopeApproved:
    return EnvelopeApproved("e", (Sku("a"),), "both", 9, "ops", "x", Instant(at), Instant(until))


def latched(at: int, until: int | None) -> RailLatched:
    return RailLatched(
        "zeros:uk", True, "ops", "x", Instant(at), "", None if until is None else Instant(until)
    )


def held(book: Book, now: int) -> list[bool]:
    """Whether each of what can end by itself holds."""
    words, at = book.words, Instant(now)
    said = (
        words.in_force(at),
        words.half_approved(at),
        words.pinned(at),
        words.frozen(at),
        book.latches.on(at),
    )
    return [bool(each) for each in said]


def said_until(at: Instant, until: Instant) -> tuple[Fact, ...]:
    """One of each that can end by itself."""
    return (
        approval(at, until),
        ConsentGiven("c", "uk", (Sku("a"),), "both", 9, (), "ops", "x", at, until),
        SlotPinned(SLOT, True, "ops", "x", at, until),
        FreezeSet("uk", True, "ops", "x", at, until),
        latched(at, until),
    )


@pytest.mark.parametrize("restarted", [False, True])
def test_no_word_and_no_rail_holds_longer_than_it_was_to_though_the_clock_went_back(restarted: bool) -> None:
    book = shop(BEFORE - 5_000)
    said = said_until(Instant(BEFORE - MINUTE), Instant(BEFORE + 2 * HOUR))
    for word in said:
        book.take(word)
    if restarted:
        book = again(book, said, NOW)
    else:
        book.turn_back(NOW)
    for now, holds in ((NOW, True), (NOW + 2 * HOUR + MINUTE - 1, True), (NOW + 2 * HOUR + MINUTE, False)):
        assert held(book, now) == [holds] * 5


def in_place_of(facts: Sequence[Fact], moved: Sequence[Fact]) -> tuple[Fact, ...]:
    """What the ledger has of these once others were written down that replace them."""
    return tuple({(each.kind, each.about): each for each in (*facts, *moved)}.values())


@pytest.mark.parametrize("noticed", ["while it ran", "at a start"])
@pytest.mark.parametrize("later", [0, 30 * MINUTE, 2 * HOUR, 4 * HOUR, 5 * HOUR + 30 * MINUTE, 7 * HOUR])
def test_no_word_and_no_rail_that_ended_by_the_new_clock_holds_again_after_a_start_whenever_that_is(
    noticed: str, later: int
) -> None:
    """The clock is set back by five hours, and each was to hold for one from then on."""
    said = said_until(Instant(BEFORE), Instant(BEFORE + HOUR))
    book, now = shop(BEFORE - 5_000), Instant(BEFORE - 5 * HOUR)
    for word in said:
        book.take(word)
    if noticed == "at a start":
        book = again(book, said, now)
    else:
        book.turn_back(now, Instant(BEFORE))
    kept = in_place_of(said, [*book.words.moved(), *book.latches.moved()])
    started = again(book, kept, now + later)
    for at in (now + later, now + later + HOUR, BEFORE, BEFORE + HOUR - 1):
        assert held(started, at) == held(book, at) == [at < now + HOUR] * 5
    assert [*started.words.moved(), *started.latches.moved()] == [], "it is written down once"


@pytest.mark.parametrize(
    ("noticed", "began"),
    [("while it ran", 4 * HOUR), ("while it ran", 9 * HOUR), ("at a start", 4 * HOUR)],
)
def test_no_approval_that_was_over_is_in_force_again_because_the_clock_was_set_back(
    noticed: str, began: int
) -> None:
    """Nor one of two people's; what holds writes back may hold them once more."""
    book, over = shop(BEFORE - 5_000), Instant(BEFORE - 30 * MINUTE)
    said = said_until(Instant(BEFORE - began), over)
    for word in said:
        book.take(word)
    now = Instant(BEFORE - 5 * HOUR)
    assert held(book, BEFORE) == [False] * 5
    if noticed == "at a start":
        book = again(book, said, now)
    else:
        book.words.stay_over(now, Instant(BEFORE))
        book.turn_back(now, Instant(BEFORE))
    kept = in_place_of(said, book.words.moved())
    for at in (now, now + HOUR, over - 1):
        assert held(book, at)[:2] == held(again(book, kept, at), at)[:2] == [False, False]


def test_an_approval_of_the_new_clock_is_in_force_after_a_start_though_all_else_is_of_the_clock_before() -> (
    None
):
    """A stamp that is yet to come is as good after the clock was set back as before."""
    now = Instant(BEFORE - 5 * HOUR)
    word, other = approval(now, now + HOUR), finding(Instant(BEFORE))
    started = again(shop(BEFORE - 5_000), (word, other), now + MINUTE)
    assert [started.words.in_force(Instant(at)) != () for at in (now + MINUTE, now + HOUR)] == [True, False]


def test_what_was_said_before_the_new_now_or_for_ever_is_as_it_was_said() -> None:
    early = approval(NOW - MINUTE, NOW + HOUR)
    assert said_by(early, NOW) == early
    frozen = FreezeSet("", True, "ops", "x", Instant(BEFORE))
    assert said_by(frozen, NOW) == replace(frozen, at=NOW)


def test_since_when_a_rail_holds_is_as_the_ledger_has_it() -> None:
    """What a row said before the suspicion is kept by that."""
    book = shop(BEFORE - 2 * HOUR)
    latch = RailLatched(LATCH, True, "reconcilerd", "x", Instant(BEFORE - MINUTE))
    kept = ReadingKept(STOCK_FEED, "a@1", 50, Instant(BEFORE - MINUTE), 2)
    for fact in (latch, kept):
        book.take(fact)
    book.turn_back(NOW)
    assert book.latches.known[LATCH] == latch
    assert book.latches.said_before(STOCK_FEED, "a@1") == (50, 2)
    assert book.latches.changed_at(STOCK_FEED, "a@1") == NOW, (
        "what is sold from now on may have left its shelf"
    )


def test_another_hand_that_was_seen_counts_no_longer_than_one_seen_now() -> None:
    book = shop(BEFORE - 5_000)
    early, late = Hand(Instant(1), Instant(2), -3), Hand(Instant(NOW - 1), Instant(BEFORE), -3)
    book.slots[SLOT].habits.hands = [early, late]
    book.turn_back(NOW)
    assert book.slots[SLOT].habits.hands == [early, Hand(Instant(NOW - 1), NOW, -3)]


def finding(at: Instant) -> Fact:
    return FindingRaised(FindingKind.DUPLICATE_SKU, "uk:a", "twice", at)


def aged(at: Instant) -> Fact:
    """Of a row that tells of an earlier moment than it was asked for."""
    return StockObserved(*ROW, 50, 0, 0, at, NOW)


AHEAD: tuple[Callable[[Instant], Fact], ...] = (
    finding,
    aged,
    lambda at: approval(at, at + 1),
    lambda at: latched(at, None),
    lambda at: applied(at, NOW),
    lambda at: ReadingKept(STOCK_FEED, "a@1", 50, at),
    lambda at: SweepRead(STOCK_FEED, at, at, True, 4, 0),
)


@pytest.mark.parametrize("made", AHEAD)
def test_a_single_stamp_ahead_of_now_tells_whoever_starts_that_the_clock_went_back(
    made: Callable[[Instant], Fact],
) -> None:
    """Whatever it is of: all else that the ledger has may be older than it looks."""
    book = shop(NOW - 1_000)
    seen = book.slots[SLOT].seen
    assert isinstance(seen, SlotObserved)
    for at, age in ((NOW, NOW - 1_000), (Instant(NOW + 1), 0)):
        assert again(book, (seen, made(at)), NOW).slots[SLOT].age_of == age


LATER = Instant(NOW + 1)


@pytest.mark.parametrize(
    "fact",
    [
        SlotObserved(SLOT, "a", "A", 5, SlotState.BUYABLE, False, LATER, LATER),
        StockObserved(*ROW, 50, 0, 0, LATER, LATER),
        replace(order("uk", OrderStatus.OPEN, 2_000), as_of=LATER),
        ProductObserved(Sku("a"), "a", 1, "a", ProductType.CORE, "", True, (), LATER),
        ListingDeclared(1, 1, "a", Sku("a"), False, True, LATER),
        LocationObserved(LocationName("1"), "x", "SELF", True, LATER),
        applied(LATER, LATER),
        SweepRead(STOCK_FEED, LATER, LATER, True, 7, 0),
    ],
    ids=lambda fact: fact.kind,
)
def test_whatever_was_stamped_by_a_clock_that_went_back_is_as_of_now(fact: Fact) -> None:
    now = by_a_clock_that_went_back(fact, NOW)
    assert now.as_of == NOW
    assert LATER not in [getattr(now, each.name) for each in fields(now)]
    assert not isinstance(now, SweepRead) or not now.complete


def test_what_a_person_said_stands_as_it_was_said() -> None:
    word = FreezeSet("", True, "ops", "", LATER)
    assert by_a_clock_that_went_back(word, NOW) is word


@pytest.mark.parametrize(
    ("began", "since", "fired", "then"),
    [
        (NOW - 3, NOW - 2, NOW - 1, (NOW - 3, NOW - 2, NOW - 1)),
        (NOW - 3, NOW + 5, None, (NOW - 3, NOW, None)),
        (NOW + 1, NOW + 5, NOW + 9, (NOW, NOW, NOW)),
    ],
)
def test_nothing_of_an_alert_is_yet_to_come(
    began: int, since: int, fired: int | None, then: tuple[int, int, int | None]
) -> None:
    heard = None if fired is None else Instant(fired)
    told = turned_back(
        Episode("k", 1, AlertStage.FIRING, "warning", "x", (), Instant(began), Instant(since), heard), NOW
    )
    assert (told.began, told.since, told.fired) == then


@pytest.mark.parametrize(
    ("until", "then"),
    [(None, None), (BEFORE + MINUTE, NOW + MINUTE), (BEFORE - MINUTE, NOW), (NOW - MINUTE, NOW - MINUTE)],
    ids=["without end", "a minute left", "over", "long over"],
)
def test_a_silence_holds_for_what_was_left_of_it(until: int | None, then: int | None) -> None:
    end = None if until is None else Instant(until)
    said = SilenceSet("s", True, "*", "*", "ops", "x", Instant(BEFORE - HOUR), end)
    told = silent_by(said, NOW, Instant(BEFORE))
    assert (told.at, told.until) == (min(said.at, NOW), then)
