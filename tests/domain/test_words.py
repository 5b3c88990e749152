"""What people said: the last word on each subject counts until its end, and whom it concerns is looked at again."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    FACT_TYPES,
    BreachLifted,
    ConsentGiven,
    CorrectionEnd,
    CorrectionSent,
    CorrectionSettled,
    EnvelopeApproved,
    EnvelopeRevoked,
    Fact,
    FreezeSet,
    InvariantBroken,
    Outcome,
    PlanApplied,
    PolicyAdopted,
    RailLatched,
    RegimeSwitched,
    SlotPinned,
)
from reconcilerd.domain.names import Instant, Sku, SlotKey
from reconcilerd.domain.words import Word, Words
from tests.domain.books import SLOT, UK, see, shop_book

OTHER = SlotKey(UK, "other", "")
names = st.sampled_from("pqr")
times = st.integers(0, 100).map(Instant)
ends = st.none() | times
slots = st.sampled_from([SLOT, OTHER])
A_BREACH = InvariantBroken("b", "a", (("I1", "9 is more than could ship"),), "{}", Instant(5))


@st.composite
def words(draw: st.DrawFn) -> list[Word | RailLatched | RegimeSwitched | PolicyAdopted]:
    """What people say one after another; a broken rule stands under a name of its own."""
    said: list[Word | RailLatched | RegimeSwitched | PolicyAdopted] = []
    for at in sorted(draw(st.lists(times, max_size=12))):
        on, until, name = draw(st.booleans()), draw(times), draw(names)
        choices: list[Word | RailLatched | RegimeSwitched | PolicyAdopted] = [
            FreezeSet(draw(st.sampled_from(["", "uk"])), on, "ops", "x", at, draw(ends)),
            EnvelopeApproved(f"{name}{at}", (Sku("a"),), "both", 9, "ops", "x", at, until),
            ConsentGiven(f"{name}{at}", "uk", (Sku("a"),), "both", 9, (), "ops", "x", at, until),
            EnvelopeRevoked(draw(st.sampled_from([each.about for each in said] or ["e"])), "ops", "x", at),
            SlotPinned(draw(slots), on, "ops", "x", at, until),
            PlanApplied(name, "d", "ops", "x", at),
            InvariantBroken(f"b{len(said)}", "a", (), "", at),
            BreachLifted(draw(st.sampled_from([each.about for each in said] or ["b"])), "ops", "x", at),
            RailLatched(f"zeros:{name}", on, "ops", "x", at, "", draw(ends)),
            RegimeSwitched(name, on, at),
            PolicyAdopted(name, "ops", at),
        ]
        said.append(draw(st.sampled_from(choices)))
    return said


def stands(book: Book, now: Instant) -> tuple[object, ...]:
    """All that follows from words at a moment."""
    said = book.words
    return (
        (
            said.frozen(now),
            said.half_approved(now),
            said.in_force(now),
            said.pinned(now),
            said.applied,
            said.breaches,
            said.revoked,
        ),
        (book.latches.standing(now), book.scarce, book.adopted),
    )


def as_the_ledger_has_it(said: Sequence[Fact]) -> list[Fact]:
    """The newest of each subject, kind by kind."""
    newest = {(each.kind, each.about): each for each in said}
    order = list(FACT_TYPES)
    return [newest[key] for key in sorted(newest, key=lambda each: (order.index(each[0]), each[1]))]


@given(words(), times)
def test_a_restart_forgets_no_word_and_revives_none(said: list[Fact], now: Instant) -> None:
    lived, again = shop_book(0), shop_book(0)
    for each in said:
        assert each.as_of == each.at  # type: ignore[union-attr]
        lived.take(each)
    newest = max((each.as_of for each in said), default=now)
    if newest > now:
        lived.turn_back(now, newest)
    again.load(as_the_ledger_has_it(said), now)
    assert stands(again, now) == stands(lived, now)


@given(words(), times)
def test_the_last_word_on_a_subject_counts_and_only_until_its_end(said: list[Fact], now: Instant) -> None:
    book = shop_book(0)
    for each in said:
        book.take(each)

    def of(kind: type[Fact]) -> list[Fact]:
        return [each for each in as_the_ledger_has_it(said) if isinstance(each, kind)]

    gone = {each.about for each in of(EnvelopeRevoked)}
    lifted = {each.about for each in of(BreachLifted)}
    frozen = {f.channel for f in of(FreezeSet) if isinstance(f, FreezeSet) and f.holds(now)}
    assert book.words.frozen(now) == frozen
    assert {e.id for e in book.words.in_force(now)} == {
        e.id
        for e in of(EnvelopeApproved)
        if isinstance(e, EnvelopeApproved) and now < e.until and e.id not in gone
    }
    approved = {each.about for each in of(EnvelopeApproved)}
    assert {c.id for c in book.words.half_approved(now)} == {
        c.id
        for c in of(ConsentGiven)
        if isinstance(c, ConsentGiven) and now < c.until and c.id not in approved
    }
    assert book.words.pinned(now) == {
        p.slot for p in of(SlotPinned) if isinstance(p, SlotPinned) and p.on and now < p.until
    }
    assert book.words.breaches.keys() == {each.about for each in of(InvariantBroken)} - lifted
    assert book.words.applied.keys() == {each.about for each in of(PlanApplied)}


@pytest.mark.parametrize(
    ("on", "until", "holds"), [(True, None, True), (True, 11, True), (True, 10, False), (False, None, False)]
)
def test_a_freeze_holds_until_its_end_or_until_it_is_taken_back(
    on: bool, until: int | None, holds: bool
) -> None:
    said = Words()
    end = None if until is None else Instant(until)
    said.take(FreezeSet("uk", on, "ops", "stocktake", Instant(0), end))
    assert (said.frozen(Instant(10)) == {"uk"}) is holds


@pytest.mark.parametrize(
    ("stands", "said", "outlasts"),
    [
        (50, 20, True),
        (50, 50, True),
        (50, 51, False),
        (50, None, False),
        (None, 20, True),
        (None, None, True),
        (10, None, False),
        (10, 20, False),
    ],
)
def test_of_two_freezes_the_later_end_counts_and_none_is_the_latest(
    stands: int | None, said: int | None, outlasts: bool
) -> None:
    def freeze(at: int, until: int | None, *, on: bool = True, channel: str = "uk") -> FreezeSet:
        return FreezeSet(channel, on, "ops", "x", Instant(at), None if until is None else Instant(until))

    words, older, newer = Words(), freeze(0, stands), freeze(10, said)
    assert words.outlasting(newer) is None
    words.take(older)
    assert words.outlasting(newer) == (older if outlasts else None)
    assert words.outlasting(replace(newer, channel="eu")) is None
    assert words.outlasting(replace(newer, channel="")) is None
    words.take(freeze(9, None, on=False))
    assert words.outlasting(newer) is None


def test_of_two_approvals_the_newer_is_the_last_whatever_its_name() -> None:
    said = Words()
    older = EnvelopeApproved("z", (Sku("a"),), "both", 9, "ops", "x", Instant(1), Instant(99))
    for each in (replace(older, id="a", at=Instant(2)), older):
        said.take(each)
    assert [each.id for each in said.in_force(Instant(5))] == ["z", "a"]


def test_whom_a_word_concerns_is_looked_at_again() -> None:
    book, now = shop_book(0), Instant(1_000)
    see(book, 5, 900)
    approved = EnvelopeApproved("e", (Sku("a"), Sku("b")), "both", 9, "ops", "x", now, now)
    assert book.take(approved).dirty == {"a", "b"}
    assert book.take(EnvelopeRevoked("e", "ops", "x", now)).dirty == {"a", "b"}
    assert book.take(EnvelopeRevoked("unheard of", "ops", "x", now)).dirty == set()
    assert book.take(SlotPinned(SLOT, True, "ops", "x", now, now)).dirty == {"a"}
    assert book.take(SlotPinned(OTHER, True, "ops", "x", now, now)).dirty == set()
    assert book.take(ConsentGiven("c", "uk", (Sku("a"),), "both", 9, (), "ops", "x", now, now)).dirty == set()
    assert not book.take(PlanApplied("p", "d", "ops", "x", now)).everybody


@pytest.mark.parametrize(
    "word",
    [
        FreezeSet("uk", True, "ops", "x", Instant(1)),
        A_BREACH,
        BreachLifted("b", "ops", "x", Instant(1)),
        RailLatched("zeros:uk", True, "reconcilerd", "x", Instant(1)),
    ],
    ids=lambda each: each.kind,
)
def test_what_holds_more_than_some_skus_concerns_everybody(word: Fact) -> None:
    assert shop_book(0).take(word).everybody


def test_a_policy_concerns_everybody_unless_it_is_the_first() -> None:
    book = shop_book(0)
    assert not book.take(PolicyAdopted("one", "reconcilerd", Instant(1))).everybody
    assert book.take(PolicyAdopted("two", "reconcilerd", Instant(2))).everybody
    assert book.adopted == "two"


def test_a_breach_is_found_beside_the_rails_by_a_name_of_its_own() -> None:
    assert A_BREACH.name == "invariant:b"
    assert A_BREACH.about == BreachLifted("b", "ops", "x", Instant(9)).about


@pytest.mark.parametrize(
    ("fact", "holds"),
    [
        (CorrectionSent("c", SLOT, Outcome.REFUSED, "", Instant(5), Instant(6)), False),
        (CorrectionSent("c", SLOT, Outcome.APPLIED, "", Instant(5), Instant(6)), True),
        (CorrectionSent("other", SLOT, Outcome.REFUSED, "", Instant(5), Instant(6)), True),
        (CorrectionSent("c", OTHER, Outcome.REFUSED, "", Instant(5), Instant(6)), True),
        (CorrectionSettled("c", SLOT, CorrectionEnd.MISSED, Instant(6)), False),
        (CorrectionSettled("c", SLOT, CorrectionEnd.CONFIRMED, Instant(6)), True),
        (PlanApplied("p", "d", "ops", "x", Instant(6)), True),
    ],
)
def test_a_pin_ends_with_the_correction_that_was_to_bring_its_number(fact: Fact, holds: bool) -> None:
    said = Words()
    said.take(SlotPinned(SLOT, True, "ops", "x", Instant(4), Instant(90), "c"))
    told = said.unpin((fact,))
    assert (SLOT in said.pinned(Instant(7))) is holds
    assert [each.on for each in told] == ([] if holds else [False])
    assert said.unpin((fact,)) == (), "once"


@pytest.mark.parametrize(("until", "moved"), [(10, False), (15, True), (20, True), (25, False)])
def test_a_release_that_was_over_stays_so_when_the_clock_goes_back(until: int, moved: bool) -> None:
    """From 20 to 10: one that ended between is over now; what ends later may go on."""
    said = Words()
    said.take(EnvelopeApproved("e", (Sku("a"),), "both", 9, "ops", "x", Instant(5), Instant(until)))
    said.stay_over(Instant(10), Instant(20))
    assert bool(said.moved()) is moved
    assert bool(said.in_force(Instant(12))) is (until == 25)
