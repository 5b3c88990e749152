"""The order book's indexes say what a plain scan of all its orders says, and settling changes no claim."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.claims import ORDER_KEPT_MS, order_claims, settle_orders, sold_since
from reconcilerd.domain.facts import (
    EXTENSIV,
    Fact,
    OrderLine,
    OrderObserved,
    OrderStatus,
    SweepRead,
)
from reconcilerd.domain.names import FeedName, Instant, LocationName, OrderKey, Sku
from reconcilerd.domain.orders import OrderBook
from tests.domain.books import CODES, UK, order, shop_book

SPAN = 1_000
WINDOW = 100

readings = st.builds(
    lambda source, number, placed, status, lines, as_of, place, ended: OrderObserved(
        source,
        OrderKey(UK, str(number)),
        Instant(placed),
        Instant(as_of),
        status,
        "",
        tuple(OrderLine(code, units) for code, units in lines.items()),
        Instant(as_of),
        location=LocationName(place) if source == EXTENSIV else None,
        ended_at=Instant(ended) if status in {OrderStatus.SHIPPED, OrderStatus.CANCELLED} else None,
    ),
    st.sampled_from(["uk", EXTENSIV]),
    st.integers(1, 6),
    st.integers(0, SPAN),
    st.sampled_from(list(OrderStatus)),
    st.dictionaries(st.sampled_from(CODES), st.integers(1, 5), min_size=1),
    st.integers(0, SPAN),
    st.sampled_from(["1", "2", "9"]),
    st.integers(0, SPAN),
)


@given(st.lists(readings, max_size=20), st.integers(0, SPAN), st.integers(0, SPAN))
def test_what_is_known_of_a_span_is_what_a_scan_of_all_orders_finds(
    seen: list[OrderObserved], since: int, until: int
) -> None:
    book = OrderBook()
    for each in seen:
        book.take(each)
    for code in CODES:
        sides = [order.on_channel for order in book.orders.values() if order.on_channel]
        expected = sum(
            line.units
            for side in sides
            for line in side.lines
            if since < side.placed <= until
            and side.status is not OrderStatus.CANCELLED
            and line.listing_sku == code
        )
        assert book.known(UK, code, Instant(since), Instant(until)) == expected


@given(st.lists(readings, max_size=20), st.integers(0, SPAN), st.integers(0, 200), st.integers(1, 8))
def test_the_match_rate_is_that_of_the_newest_old_enough_orders(
    seen: list[OrderObserved], now: int, import_max: int, newest: int
) -> None:
    book = OrderBook()
    for each in seen:
        book.take(each)
    old = sorted(
        (order.on_channel.placed, int(order.in_extensiv is None))
        for order in book.orders.values()
        if order.on_channel is not None
        and order.on_channel.status is not OrderStatus.CANCELLED
        and now - 500 <= order.on_channel.placed <= now - import_max
    )[-newest:]
    rate = book.match_rate(UK, Instant(now), import_max, 500, newest)
    assert (rate.old, rate.unmatched) == (len(old), sum(unmatched for _, unmatched in old))


@given(st.lists(readings, max_size=15), st.integers(0, SPAN), st.lists(readings, max_size=5))
def test_settling_changes_no_claim_and_news_takes_an_order_up_again(
    seen: list[OrderObserved], rows_at: int, later: list[OrderObserved]
) -> None:
    kept, settled = shop_book(rows_at), shop_book(rows_at)
    swept = SweepRead(FeedName("extensiv.orders"), Instant(900), Instant(901), True, 0, 0)
    facts: list[Fact] = [*seen, swept]
    for each in facts:
        kept.take(each)
        settled.take(each)
    settle_orders(settled, Instant(SPAN))
    for each in later:
        kept.take(each)
        settled.take(each)
    for code in CODES:
        assert order_claims(settled, Sku(code)).claims == order_claims(kept, Sku(code)).claims
        assert sold_since(settled, Sku(code), Instant(WINDOW)) == sold_since(kept, Sku(code), Instant(WINDOW))


@given(st.lists(readings, max_size=15), st.integers(0, SPAN), st.booleans(), st.lists(readings, max_size=5))
def test_a_reading_of_an_order_that_has_nobody_looked_at_again_changes_nothing_that_is_claimed(
    seen: list[OrderObserved], rows_at: int, settled: bool, later: list[OrderObserved]
) -> None:
    book = shop_book(rows_at)
    facts: list[Fact] = [
        *seen,
        SweepRead(FeedName("extensiv.orders"), Instant(900), Instant(901), True, 0, 0),
    ]
    for fact in facts:
        book.take(fact)
    if settled:
        settle_orders(book, Instant(SPAN))

    def claimed() -> list[object]:
        return [
            (order_claims(book, Sku(code)).claims, sold_since(book, Sku(code), Instant(WINDOW)))
            for code in CODES
        ]

    for each in [*later, *(replace(old, as_of=Instant(old.as_of + 1)) for old in seen)]:
        before = claimed()
        if not book.take(each).dirty:
            assert claimed() == before


def test_a_finished_order_is_forgotten_and_its_channel_cannot_bring_it_back() -> None:
    book = shop_book(500)
    key = OrderKey(UK, "1")
    for source, status in (("uk", OrderStatus.OPEN), (EXTENSIV, OrderStatus.SHIPPED)):
        book.take(order(source, status, 100, placed=100, units=2))
    settle_orders(book, Instant(SPAN))
    assert key in book.orders.orders, "it still counts in what was sold lately"
    settle_orders(book, Instant(SPAN + ORDER_KEPT_MS))
    assert not book.orders.orders
    book.take(order("uk", OrderStatus.OPEN, 100, placed=100, units=2))
    assert not order_claims(book, Sku("a")).claims, "an old order is no new demand"
    book.take(order(EXTENSIV, OrderStatus.OPEN, 100, placed=100, units=2))
    assert [each.units for each in order_claims(book, Sku("a")).claims] == [2], "Extensiv opened it again"


def test_an_open_order_is_never_forgotten() -> None:
    book = shop_book(500)
    book.take(order("uk", OrderStatus.OPEN, 100, placed=100, units=2))
    settle_orders(book, Instant(100 * ORDER_KEPT_MS))
    assert [each.units for each in order_claims(book, Sku("a")).claims] == [2]
