"""Sales that nobody could see: never more than was shown to be sold (rule 4b)."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import OrderStatus, SalesBuried
from reconcilerd.domain.names import Instant
from reconcilerd.domain.position import ClaimKind
from reconcilerd.domain.slots import SlotTrack
from tests.domain.books import SLOT, accepted, order, position_at, see, shop_book, swept, written

APPLY_MAX_MS = 40_000
HOUR_MS = 3_600_000
"""Long enough that demand, at one a second, would have taken any number of units."""


def blind_book(shown: int) -> Book:
    """A store that compares nothing, first read at second 1, its orders known up to then."""
    book = shop_book(0)
    swept(book, "uk.orders", 121_000)
    see(book, shown, 1_000)
    return book


def plan(book: Book, id_: str, target: int, at: int) -> None:
    """A write leaves and is accepted at once; when it has its effect nobody tells."""
    track = book.slots[SLOT]
    assert track.value is not None
    under = tuple((w.id, w.target, w.before, w.based_on, w.sent) for w in track.open)
    book.take(written(id_, target, track.value, track.as_of, at, under=under or None))
    book.take(accepted(id_, at))


def kept_back(book: Book, now: int) -> int:
    """Units that raises leave alone for sales that nobody saw."""
    return sum(each.units for each in position_at(book, now).claims if each.kind is ClaimKind.BURIED)


def test_nothing_sold_unseen_where_nothing_was_shown() -> None:
    book = blind_book(0)
    plan(book, "w", 5, 2_000)
    assert kept_back(book, HOUR_MS) == 0, "whatever sells of the five counts as shown"
    see(book, 5, HOUR_MS)
    assert book.slots[SLOT].open == ()
    assert kept_back(book, HOUR_MS + 1) == 0


@pytest.mark.parametrize(("shown", "target", "read"), [(3, 9, 9), (3, 9, 7), (9, 3, 3), (9, 3, 1)])
def test_at_most_what_was_shown_before_sold_unseen(shown: int, target: int, read: int) -> None:
    book = blind_book(shown)
    plan(book, "w", target, 2_000)
    assert kept_back(book, HOUR_MS) == min(shown, target), "E counts the larger of the two already"
    see(book, read, HOUR_MS)
    assert [each.most for each in book.slots[SLOT].buried] == [shown]
    assert kept_back(book, HOUR_MS + 1) == shown


def test_of_a_write_that_never_showed_its_units_may_have_sold() -> None:
    book = blind_book(4)
    plan(book, "w", 9, 2_000)
    see(book, 2, HOUR_MS)
    assert book.slots[SLOT].open == ()
    assert [each.most for each in book.slots[SLOT].buried] == [4 + 9]


def test_what_earlier_writes_put_there_may_have_sold_too() -> None:
    book = blind_book(2)
    plan(book, "w1", 7, 2_000)
    plan(book, "w2", 5, 3_000)
    assert kept_back(book, HOUR_MS) == 2 + 7 + 5 - 7
    see(book, 5, HOUR_MS)
    assert [each.most for each in book.slots[SLOT].buried] == [2 + 7]


def test_what_sells_past_zero_may_have_sold_any_number() -> None:
    book = blind_book(0)
    seen = book.slots[SLOT].seen
    assert seen is not None
    on = replace(seen, sells_past_zero=True, as_of=Instant(1_500), age_of=Instant(1_500))
    book.take(on)
    plan(book, "w", 5, 2_000)
    assert kept_back(book, HOUR_MS) > 3_000
    book.take(replace(on, quantity=5, as_of=Instant(HOUR_MS), age_of=Instant(HOUR_MS)))
    assert [each.most for each in book.slots[SLOT].buried] == [None]
    assert kept_back(book, HOUR_MS + 1) > 3_000


def test_under_a_rise_that_is_not_ours_any_number_may_have_sold() -> None:
    book = blind_book(0)
    see(book, 8, HOUR_MS)
    assert [each.most for each in book.slots[SLOT].buried] == [None]
    assert kept_back(book, HOUR_MS + 1) > 3_000


def test_a_window_without_a_bound_takes_none_from_the_others() -> None:
    book = blind_book(3)
    see(book, 5, 2_000)
    before = kept_back(book, 2_001)
    plan(book, "w", 9, 3_000)
    see(book, 9, HOUR_MS)
    assert 0 < before < 5
    assert kept_back(book, HOUR_MS + 1) == before + 5


@dataclass
class Store:
    """What the store shows and has sold. ``coming``: writes that have not had their effect; some never have."""

    shows: int
    sold: int = 0
    coming: list[int] = field(default_factory=list)

    def sells(self, units: int) -> None:
        taken = min(units, self.shows)
        self.shows -= taken
        self.sold += taken


deeds = st.lists(
    st.one_of(
        st.tuples(st.just("sell"), st.integers(1, 9)),
        st.tuples(st.just("write"), st.integers(0, 9)),
        st.tuples(st.just("arrive"), st.integers(0, 2)),
        st.tuples(st.just("read"), st.sampled_from((1_000, APPLY_MAX_MS + 1))),
    ),
    max_size=25,
)


@given(shown=st.integers(0, 9), deeds=deeds)
@example(shown=0, deeds=[("write", 2), ("write", 0), ("arrive", 0), ("sell", 1), ("read", 40_001)])
@example(
    shown=0,
    deeds=[("write", 1), ("write", 0), ("arrive", 0), ("read", 1), ("sell", 1), ("write", 0), ("read", 1)],
)
def test_whatever_sold_is_shown_fallen_or_kept_back(shown: int, deeds: list[tuple[str, int]]) -> None:
    """However sales, writes and readings follow each other: what was on offer is all accounted for.

    As long as writes have their effect within their time: later ones are another hand's.
    """
    book, store, now = blind_book(shown), Store(shown), 2_000
    for number, (deed, many) in enumerate(deeds):
        now += 1
        track = book.slots[SLOT]
        match deed:
            case "sell":
                store.sells(many)
            case "write":
                plan(book, f"w{number}", many, now)
                store.coming.append(many)
            case "arrive" if many < len(store.coming):
                store.shows = store.coming.pop(many)
            case "read":
                now += many
                if many > APPLY_MAX_MS:
                    store.coming.clear()
                see(book, store.shows, now)
                if not book.slots[SLOT].open:
                    store.coming.clear()
            case _:
                pass
        (offer,) = position_at(book, now).offers
        windows = [*track.buried, *([track.blind(Instant(now), offer.shown or 0)] if track.open else [])]
        counted = (offer.shown or 0) + sum(each.fall for each in track.inferred)
        counted += sum(each.most or 0 for each in windows)
        # Where it rose by what may have been another hand, nobody can say what sold.
        assert store.sold + store.shows <= counted or any(each.most is None for each in windows)


def test_of_a_listing_that_was_never_read_nobody_can_say_how_much_sold_unseen() -> None:
    track = SlotTrack(SLOT)
    track.plan(written("w", 5, 0, 0, 1_000))
    assert track.blind(Instant(2_000), 5) == SalesBuried(SLOT, Instant(0), Instant(2_000))


def test_over_a_write_lies_what_was_shown_and_what_the_writes_before_it_may_have_put() -> None:
    track = SlotTrack(SLOT)
    for id_, target in (("v", 5), ("w", 4), ("x", 9)):
        track.plan(written(id_, target, 2, 0, 1_000))
    assert [each.over for each in track.open] == [2, 2 + 5, 2 + 5 + 4]


def test_nothing_is_kept_back_where_orders_are_known_for_all_that_sells() -> None:
    book = blind_book(500)
    plan(book, "w", 400, 2_000)
    assert kept_back(book, 10_000) > 0
    book.take(order("uk", OrderStatus.OPEN, 5_100, placed=5_000, units=200))
    assert kept_back(book, 10_000) == 0


def test_a_write_that_another_takes_the_place_of_stays_what_is_known_of_it() -> None:
    track = SlotTrack(SLOT)
    track.plan(written("v", 5, 2, 0, 1_000))
    track.answer(accepted("v", 1_500))
    (first,) = track.open
    under = ((first.id, first.target, first.before, first.based_on, first.sent),)
    track.plan(written("w", 4, 2, 0, 2_000, under=under))
    assert track.open[0] == first
    assert first.answered


def test_a_window_of_unseen_sales_is_bounded_by_units() -> None:
    with pytest.raises(ValueError, match="-1"):
        SalesBuried(SLOT, Instant(0), Instant(1), -1)
