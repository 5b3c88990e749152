"""Moments that another clock wrote are told by ours; what is asked for is asked for by theirs."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.shopify import client as shopify
from reconcilerd.domain.claims import order_claims
from reconcilerd.domain.facts import OrderObserved, StockObserved
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, after, parse_instant
from reconcilerd.domain.position import ClaimKind
from reconcilerd.transport.client import Call
from reconcilerd.transport.replies import Reply
from tests.connectors.source import Tenant
from tests.connectors.store import shop
from tests.connectors.test_feeds import order_row, orders
from tests.domain.books import shop_book
from tests.simulator.builders import Desk, world_of

AHEAD_MS = 90_000
"""How far our clock is ahead in these tests."""
HELD_MS = AHEAD_MS - 1_000
"""The least that dates of whole seconds prove of it."""
SHIPPED_AT = "2026-11-01T10:00:00Z"
T = parse_instant(SHIPPED_AT)
Send = Callable[[Call], Coroutine[Any, Any, Reply]]


def dated(send: Send) -> Any:
    """Answers carry the date of a clock that ours is ahead of."""

    async def with_date(call: Call) -> Reply:
        reply = await send(call)
        moment = datetime.fromtimestamp((reply.answered_at - AHEAD_MS) // 1000, UTC)
        headers = {**reply.headers, "date": moment.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        return replace(reply, headers=headers)

    return with_date


def same(at: Instant) -> Instant:
    return at


def ended(ours: Callable[[Instant], Instant] = same, at: int = T + 60_000, **more: Any) -> Instant | None:
    row = order_row(1, **{"modifiedDate": SHIPPED_AT, "orderStatus": "SHIPPED"} | more)
    fact, _ = rows.order(row, Instant(at), {101: ChannelName("uk")}, {}, ours)
    return fact.ended_at


async def test_extensivs_orders_are_told_by_our_clock() -> None:
    tenant = Tenant(Desk(world_of({"a": 5})))
    tenant.send = dated(tenant.send)  # type: ignore[method-assign]
    orders(tenant, order_row(1, orderStatus="CANCELLED"))
    sweep = await tenant.sweep("orders")
    (fact, *_) = tenant.of(OrderObserved)
    assert fact.placed == parse_instant("2026-11-01T00:00:00Z") + HELD_MS
    assert fact.modified == fact.ended_at == fact.placed
    assert int(sweep.cursor) == sweep.began - HELD_MS


async def test_a_stores_orders_are_told_by_our_clock() -> None:
    desk = Desk(world_of({"a": 50}, import_ms=(10**12, 10**12), index_lag_ms=(0, 0)))
    here = shop(desk)
    here.wire.send = dated(here.wire.send)  # type: ignore[method-assign]
    placed = desk.clock()
    order = desk.world.place_order("uk", "7", [("a", 5)], placed)
    assert order is not None
    cancelled = desk.clock.pass_by(1_000)
    desk.world.cancel(order, cancelled)
    desk.clock.pass_by(1_000)
    sweep = await here.sweep("orders")
    assert int(sweep.cursor) == sweep.began - HELD_MS
    (fact,) = here.orders
    # The pretend store shares our clock; only the dates of its answers say that it is behind.
    expected = (placed + HELD_MS, cancelled + HELD_MS, cancelled + HELD_MS)
    assert (fact.placed, fact.modified, fact.ended_at) == expected


async def test_a_flood_is_followed_by_the_stores_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shopify, "DEPTH_CAP", 80)
    desk = Desk(world_of({"a": 500}, index_lag_ms=(0, 0)))
    here = shop(desk)
    here.wire.send = dated(here.wire.send)  # type: ignore[method-assign]
    for number in range(200):
        desk.world.place_order("uk", f"{number}", [("a", 1)], desk.clock.pass_by(1_000))
    desk.clock.pass_by(1_000)
    sweep = await here.sweep("orders", str(desk.clock() - 300_000))
    assert sweep.complete
    assert len({each.key.number for each in here.orders}) == 200


def test_a_shipment_may_have_been_recorded_at_any_moment_of_its_second() -> None:
    assert ended() == T + 999
    assert ended(modifiedDate="2026-11-01T10:00:00.250Z") == T + 250
    assert ended(shipDate="2026-11-01T10:00:07Z") == T + 7_999


def test_a_cancel_is_told_as_it_is_written() -> None:
    assert ended(orderStatus="CANCELLED") == T


def test_an_order_that_is_open_has_not_ended() -> None:
    assert ended(orderStatus="AWAITING_SHIPMENT", shipDate=SHIPPED_AT) is None


def test_a_date_of_shipping_that_is_still_to_come_puts_nothing_off() -> None:
    assert ended(shipDate="2026-11-03T10:00:00Z") == T + 60_000
    assert ended(shipDate="2026-11-03T10:00:00Z", orderStatus="CANCELLED") == T + 60_000
    assert ended(shipDate="2026-11-03T10:00:00Z", at=T) == T + 999


def test_an_end_is_told_by_our_clock() -> None:
    def ours(at: Instant) -> Instant:
        return after(at, AHEAD_MS)

    assert ended(ours) == T + AHEAD_MS + 999
    assert ended(ours, shipDate="2026-11-01T10:00:05Z", at=T + 600_000) == T + AHEAD_MS + 5_999


@pytest.mark.parametrize(("read_at", "ahead"), [(T + 500, 0), (T + 60_000, AHEAD_MS)])
def test_a_row_that_may_be_older_than_the_shipment_does_not_prove_it(read_at: int, ahead: int) -> None:
    book = shop_book(T - 60_000)
    for place in ("1", "2"):
        at = Instant(read_at)
        book.take(StockObserved(Sku("a"), LocationName(place), 50, 0, 0, at, at))
    row = order_row(1, orderStatus="SHIPPED", modifiedDate=SHIPPED_AT)
    asked = Instant(T + ahead + 1_500)
    fact, _ = rows.order(row, asked, {101: ChannelName("uk")}, {}, lambda each: after(each, ahead))
    book.take(fact)
    claims = [(claim.kind, claim.units) for claim in order_claims(book, Sku("a")).claims]
    assert claims == [(ClaimKind.SHIPPED, 1)]
