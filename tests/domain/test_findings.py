"""What a person is told beside the numbers: said once, and taken back when it is no longer so."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.allocation import allocate
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    FindingKind,
    FindingRaised,
    ListingDeclared,
    OrderLine,
    OrderStatus,
    ProductObserved,
    ProductType,
    SlotObserved,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.findings import Findings
from reconcilerd.domain.names import FeedName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.policy import SkuRule
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.domain.taken import Taken
from tests.domain.books import UK, order, shop_book

SET = Sku("set")
NOW = Instant(1_000)


def whole(book: Book, feed: str, at: int) -> Taken:
    return book.take(SweepRead(FeedName(feed), Instant(at), Instant(at), True, 0, 0, full=True))


def told(taken: Taken) -> list[tuple[str, bool]]:
    return [(each.about, each.cleared) for each in taken.derived if isinstance(each, FindingRaised)]


def shop_with_a_set(own: int, *, kit: bool) -> Book:
    """SKU ``set`` is a bundle of two ``a`` (50 each at two places), and has units of its own at place 1."""
    book = shop_book(1_000)
    book.policy = replace(book.policy, skus=MappingProxyType({SET: SkuRule(kit=kit)}))
    book.take(
        ProductObserved(SET, "Set", 3, "set", ProductType.BUNDLE, "", True, ((Sku("a"), 2),), Instant(0))
    )
    book.take(ListingDeclared(1, 3, "Set", SET, False, True, Instant(0)))
    if own:
        book.take(StockObserved(SET, LocationName("1"), own, 0, 0, NOW, NOW))
    slot = SlotKey(UK, "set item", "")
    book.take(SlotObserved(slot, "Set", "Set", 0, SlotState.BUYABLE, False, NOW, NOW))
    return book


def share(book: Book, group: str) -> int:
    (found,) = (
        each
        for each in allocate(position_of(book, Sku(group), weather_of(book, NOW)))
        if each.slot.listing == "set item"
    )
    return found.ideal


def test_a_bundle_sells_from_its_components_and_a_kit_from_its_own_on_hand() -> None:
    assert share(shop_with_a_set(7, kit=False), "a") == 50
    assert share(shop_with_a_set(7, kit=True), "set") == 7


def test_an_order_of_a_kit_takes_the_kit_and_leaves_its_components() -> None:
    book = shop_with_a_set(7, kit=True)
    taken = replace(order(UK, OrderStatus.OPEN, 1_000, units=2), lines=(OrderLine("Set", 2),))
    book.take(taken)
    assert share(book, "set") == 5
    position = position_of(book, Sku("a"), weather_of(book, NOW))
    assert not position.claims
    assert SET not in position.unknown


@pytest.mark.parametrize(("own", "kit"), [(7, True), (0, False)])
def test_nobody_is_told_of_a_kit_or_of_a_bundle_without_units_of_its_own(own: int, kit: bool) -> None:
    assert told(whole(shop_with_a_set(own, kit=kit), "extensiv.stock", 1_000)) == []


def test_units_of_a_bundle_that_nobody_is_offered_are_told_until_they_are_gone() -> None:
    book = shop_with_a_set(7, kit=False)
    assert told(whole(book, "extensiv.stock", 1_000)) == [("bundle_has_stock:set", False)]
    assert "7 units of bundle Set" in book.findings["bundle_has_stock:set"].detail
    assert told(whole(book, "extensiv.stock", 2_000)) == []
    at = Instant(2_500)
    book.take(StockObserved(SET, LocationName("1"), 0, 0, 0, at, at))
    assert told(whole(book, "extensiv.stock", 3_000)) == [("bundle_has_stock:set", True)]


def finding(at: int, feed: str | None) -> FindingRaised:
    name = None if feed is None else FeedName(feed)
    return FindingRaised(FindingKind.SLOT_INACTIVE, "uk:a@", "switched off", Instant(at), feed=name)


def test_a_finding_is_over_when_a_whole_reading_of_its_feed_does_not_make_it_again() -> None:
    book = shop_book(1_000)
    book.take(finding(1_500, "uk.slots"))
    assert told(whole(book, "uk.slots", 1_500)) == []
    assert told(whole(book, "uk.orders", 9_000)) == []
    book.take(finding(2_000, "uk.slots"))
    assert told(whole(book, "uk.slots", 2_000)) == []
    assert told(whole(book, "uk.slots", 3_000)) == [("slot_inactive:uk:a@", True)]
    assert told(whole(book, "uk.slots", 4_000)) == []


def test_a_finding_without_a_feed_waits_for_a_person() -> None:
    book = shop_book(1_000)
    book.take(finding(1_500, None))
    assert told(whole(book, "uk.slots", 9_000)) == []


def test_a_code_that_is_mapped_at_last_is_no_longer_told() -> None:
    book = shop_book(1_000)
    sold = replace(order(UK, OrderStatus.OPEN, 1_000), lines=(OrderLine("New", 1),))
    assert told(book.take(sold)) == [("unmapped_sku:uk:new", False)]
    assert told(whole(book, "extensiv.listings", 2_000)) == []
    book.take(ListingDeclared(1, 9, "New", Sku("b"), False, True, Instant(2_500)))
    assert told(whole(book, "extensiv.listings", 3_000)) == [("unmapped_sku:uk:new", True)]


@given(st.lists(st.tuples(st.sampled_from(["uk:a", "uk:b", "eu:a", "a"]), st.booleans(), st.booleans())))
def test_what_stands_of_each_kind_is_what_looking_at_all_of_them_would_find(
    steps: list[tuple[str, bool, bool]],
) -> None:
    kinds = (FindingKind.UNMAPPED_SKU, FindingKind.BLANK_SKU)
    findings = Findings()
    for number, (subject, first, cleared) in enumerate(steps):
        made = FindingRaised(kinds[0] if first else kinds[1], subject, str(number), NOW, cleared=cleared)
        findings[made.about] = made
    for kind in kinds:
        there = [each for each in findings.values() if each.what is kind and not each.cleared]
        assert sorted(findings.standing(kind)) == sorted(each.about for each in there)
        assert sorted(each.detail for each in findings.standing(kind).values()) == sorted(
            each.detail for each in there
        )
        for system in ("uk", "eu", "a"):
            mine = sum(each.subject.partition(":")[0] == system for each in there)
            assert findings.about[kind, system] == mine
