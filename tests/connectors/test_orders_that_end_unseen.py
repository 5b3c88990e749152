"""Orders that ended while nobody read, that vanished, or that go by another number: none is claimed for ever."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from reconcilerd.assemble import assemble
from reconcilerd.connectors.extensiv import orders as extensiv
from reconcilerd.connectors.port import Page
from reconcilerd.connectors.shopify.client import UNSHIPPED, Shopify
from reconcilerd.daemon.desk import Desk as Books
from reconcilerd.daemon.pollers import read_once
from reconcilerd.domain.book import Book
from reconcilerd.domain.claims import order_claims
from reconcilerd.domain.facts import Fact, OrderObserved, OrderStatus, SweepRead
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku, format_instant
from reconcilerd.simulator.virtual_time import VirtualClock
from reconcilerd.transport.client import Call
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.transport.replies import Reply
from reconcilerd.trial.stage import Heard, wire
from tests.connectors.source import Tenant
from tests.connectors.store import Shop, Wire, shop
from tests.connectors.test_feeds import DAY_MS, order_row
from tests.domain.books import shop_book
from tests.simulator.builders import START, Desk, world_of
from tests.world.stage import Journal, policy

ORDERS = FeedName("extensiv.orders")
SHOP = ChannelName("shop-uk")
VALUES = frozenset(
    "unshipped shipped fulfilled partial scheduled on_hold unfulfilled request_declined".split()  # noqa: SIM905
)
"""What the vendor's schema says ``fulfillment_status`` may be in a search."""
Row = dict[str, Any]


def listed(live: list[Row], order_keys: dict[ChannelName, str] | None = None) -> Tenant:
    """A tenant with exactly these orders, filtered as Extensiv does."""

    def answer(path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/orders"):
            return body
        got = [
            row
            for row in live
            if ("status" not in query or row["orderStatus"] in query["status"].split(","))
            and row["modifiedDate"] >= query.get("modifiedDateFrom", "")
            and query.get("orderId", str(row["orderId"])) == str(row["orderId"])
        ]
        limit, page = int(query["limit"]), int(query["page"])
        return got[(page - 1) * limit : page * limit]

    return Tenant(Desk(world_of({"a": 5})), answer, order_keys=order_keys or {})


def told(tenant: Tenant) -> list[tuple[str, OrderStatus, str]]:
    return [(each.key.number, each.status, each.raw_status) for each in tenant.of(OrderObserved)]


def sought(tenant: Tenant) -> list[str]:
    return [query["orderId"] for _, query in tenant.asked if "orderId" in query]


async def test_a_channels_cancel_while_nobody_read_is_told_by_the_next_whole_reading() -> None:
    desk = Desk(world_of({"a": 50}, import_ms=(10**12, 10**12), index_lag_ms=(0, 0)))
    here = shop(desk)
    order = desk.world.place_order("uk", "7", [("a", 5)], desk.clock())
    desk.clock.pass_by(60_000)
    before = await here.sweep("orders")
    desk.clock.pass_by(60_000)
    assert order is not None
    desk.world.cancel(order, desk.clock())
    desk.clock.pass_by(3 * DAY_MS)
    desk.tokens.clear()
    started_anew = shop(desk)
    sweep = await started_anew.sweep("orders", before.cursor, whole=True)
    assert (sweep.complete, sweep.full) == (True, True)
    assert [(each.key.number, each.status) for each in started_anew.orders] == [("7", OrderStatus.CANCELLED)]


async def test_an_order_that_the_index_shows_late_is_told() -> None:
    desk = Desk(world_of({"a": 50}, index_lag_ms=(400_000, 400_000)))
    here = Shop(Wire(desk), order_lag_ms=400_000)
    sweep = await here.sweep("orders")
    desk.clock.pass_by(60_000)
    desk.world.place_order("uk", "9", [("a", 1)], desk.clock())
    seen: list[str] = []
    for _ in range(12):
        desk.clock.pass_by(60_000)
        desk.tokens.clear()
        sweep = await here.sweep("orders", sweep.cursor)
        seen += [each.key.number for each in here.orders]
    assert "9" in seen


async def test_what_one_reading_was_not_shown_the_next_asks_for_however_seldom_it_is_read() -> None:
    """A replica lags beyond its word, and does not say so: by its sign that reading was whole."""
    desk = Desk(world_of({"a": 50}, index_lag_ms=(0, 0)))
    here = Shop(Wire(desk), poll_ms=900_000)
    first = await here.sweep("orders")
    desk.clock.pass_by(60_000)
    desk.world.place_order("uk", "9", [("a", 1)], desk.clock())
    desk.clock.pass_by(840_000)
    lacking_it = str(int(first.cursor) + 900_000)
    desk.clock.pass_by(900_000)
    desk.tokens.clear()
    await here.sweep("orders", lacking_it)
    assert [each.key.number for each in here.orders] == ["9"]


async def test_extensiv_is_asked_back_over_the_last_three_readings() -> None:
    for poll_ms, back_ms in ((20_000, 120_000), (30_000, 150_000), (900_000, 2_760_000)):
        tenant = Tenant(Desk(world_of({"a": 5})), known={"orders_poll_ms": poll_ms})
        await tenant.sweep("orders", str(START + 10**7))
        asked = {value for _, query in tenant.asked for name, value in query.items() if "Date" in name}
        assert format_instant(Instant(START + 10**7 - back_ms)) in asked


async def test_a_store_is_built_with_the_order_lag_and_the_poll_of_its_channel() -> None:
    desk, clock, rules = Desk(world_of({"a": 5})), VirtualClock(START), policy(split=True)
    slow = replace(rules.channels[SHOP], order_lag_ms=900_000)
    rules = replace(rules, channels=MappingProxyType({**rules.channels, SHOP: slow}))
    wiring = wire(rules, clock, lambda: in_process_transport(desk.business.app))
    store = assemble(wiring, Journal(), Heard()).channels[SHOP]
    assert isinstance(store, Shopify)
    assert store._overlap_ms == 960_000 + 3 * 66_000, "a poll may come a tenth later"


def test_every_filter_value_that_means_not_shipped_is_asked_for() -> None:
    assert set(UNSHIPPED) == VALUES - {"shipped", "fulfilled"}


async def test_extensivs_cancel_while_nobody_read_is_told_by_the_next_whole_reading() -> None:
    live = [order_row(1)]
    tenant = listed(live)
    before = await tenant.sweep("orders")
    tenant.desk.clock.pass_by(60_000)
    live[0] = order_row(1, orderStatus="CANCELLED", modifiedDate="2010-12-05T12:02:00Z")
    tenant.desk.clock.pass_by(40 * DAY_MS)
    started_anew = listed(live)
    started_anew.desk.clock.at = tenant.desk.clock()
    sweep = await started_anew.sweep("orders", before.cursor, whole=True)
    assert (sweep.complete, sweep.full) == (True, True)
    assert [each[:2] for each in told(started_anew)] == [("N1", OrderStatus.CANCELLED)]


async def test_a_whole_reading_looks_back_as_far_as_ever_where_the_last_one_was_lately() -> None:
    tenant = listed([order_row(1, orderStatus="BRAND_NEW", modifiedDate="2010-12-01T00:00:00Z")])
    before = await tenant.sweep("orders")
    tenant.desk.clock.pass_by(60_000)
    await tenant.sweep("orders", before.cursor, whole=True)
    assert [each[2] for each in told(tenant)] == ["BRAND_NEW"]
    sweep = await tenant.sweep("orders", before.cursor)
    assert (told(tenant), sweep.full) == ([], False)


async def test_a_reading_goes_on_from_the_last_cursor_whole_or_not() -> None:
    asked: list[tuple[str, bool]] = []

    class Fake:
        name, feeds = "fake", (ORDERS,)

        async def sweep(self, feed: FeedName, cursor: str, emit: Any, *, whole: bool = False) -> SweepRead:
            asked.append((cursor, whole))
            return SweepRead(feed, START, START, True, 0, 0, cursor="77", full=whole)

    desk = Books(Book(policy(split=True)), Journal(), lambda: START)
    for whole in (True, False, True):
        await read_once(Fake(), ORDERS, desk, whole=whole)
    assert asked == [("", True), ("77", False), ("77", True)]


async def test_an_open_order_that_no_list_shows_is_gone_after_asking_twice_by_its_id() -> None:
    live = [order_row(1), order_row(2)]
    tenant = listed(live)
    await tenant.sweep("orders")
    live.pop()
    tenant.desk.clock.pass_by(DAY_MS)
    sweep = await tenant.sweep("orders", "1", whole=True)
    assert sweep.complete
    assert told(tenant)[-1] == ("N2", OrderStatus.CANCELLED, "GONE")
    gone = tenant.of(OrderObserved)[-1]
    assert (gone.ended_at, gone.part) == (tenant.desk.clock(), "2")
    assert set(sought(tenant)) == {"2"}
    await tenant.sweep("orders", "1", whole=True)
    assert sought(tenant) == []


async def test_an_order_that_a_list_only_hid_is_told_as_it_is() -> None:
    live = [order_row(1), order_row(2)]
    tenant = listed(live)
    await tenant.sweep("orders")
    answer = tenant.spoil
    assert answer is not None

    def hide(path: str, query: dict[str, str], body: Any) -> Any:
        rows = answer(path, query, body)
        return rows if "orderId" in query else [row for row in rows if row.get("orderId") != 2]

    tenant.spoil = hide
    assert (await tenant.sweep("orders", "1", whole=True)).complete
    assert told(tenant)[-1] == ("N2", OrderStatus.OPEN, "AWAITING_SHIPMENT")


async def test_a_reading_of_the_news_looks_for_no_order() -> None:
    tenant = listed([order_row(1)])
    await tenant.sweep("orders")
    tenant.spoil = lambda _path, _query, _body: []
    sweep = await tenant.sweep("orders", str(tenant.desk.clock()))
    assert sweep.complete
    assert (told(tenant), sought(tenant)) == ([], [])


async def test_many_orders_that_vanished_are_believed_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensiv, "MAX_SOUGHT", 4)
    live = [order_row(number) for number in range(11)]
    tenant = listed(live)
    await tenant.sweep("orders")
    del live[1:]
    told_gone, complete = 0, []
    for _ in range(3):
        complete.append((await tenant.sweep("orders", "1", whole=True)).complete)
        told_gone += sum(each[2] == "GONE" for each in told(tenant))
    assert (complete, told_gone) == ([False, False, True], 10)


async def test_many_orders_that_no_list_ever_shows_do_not_keep_a_reading_incomplete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extensiv, "MAX_SOUGHT", 4)
    tenant = listed([order_row(number, orderStatus="BRAND_NEW") for number in range(6)])
    await tenant.sweep("orders")
    tenant.desk.clock.pass_by(6_000 * DAY_MS)  # long out of every window
    now = str(tenant.desk.clock())
    assert [(await tenant.sweep("orders", now, whole=True)).complete for _ in range(3)] == [
        False,
        True,
        False,
    ]


async def test_an_order_under_another_number_is_told_and_its_old_number_ended_in_one_page() -> None:
    live, pages = [order_row(1)], list[Page]()
    tenant = listed(live)
    await tenant.sweep("orders")
    live[0] = order_row(1, orderNumber="N1-1")

    async def emit(page: Page) -> None:
        pages.append(page)

    await tenant.connector.sweep(ORDERS, "1", emit)
    orders = [fact for fact in pages[0].facts if isinstance(fact, OrderObserved)]
    assert [(each.key.number, each.raw_status, each.part) for each in orders] == [
        ("N1", "RENUMBERED", "1"),
        ("N1-1", "AWAITING_SHIPMENT", "1"),
    ]


async def test_no_unit_of_an_order_that_was_renumbered_or_vanished_is_claimed_for_ever() -> None:
    book = shop_book(1000)
    sold = {"salesChannel": {"salesChannelId": 101}}
    lines = [{"listingSku": "a", "quantityOrdered": 4}]
    live = [order_row(1, orderItems=lines, **sold)]
    tenant = listed(live)

    async def emit(page: Page) -> None:
        for fact in page.facts:
            book.take(fact)

    def claimed() -> int:
        return sum(claim.units for claim in order_claims(book, Sku("a")).claims)

    book.take(await tenant.connector.sweep(ORDERS, "", emit))
    assert claimed() == 4
    live[0] = order_row(1, orderNumber="N1-1", orderItems=lines, **sold)
    tenant.desk.clock.pass_by(60_000)
    book.take(await tenant.connector.sweep(ORDERS, "1", emit))
    assert claimed() == 4
    live.clear()
    tenant.desk.clock.pass_by(60_000)
    book.take(await tenant.connector.sweep(ORDERS, "1", emit, whole=True))
    assert claimed() == 0


def from_a_cache(tenant: Tenant, age_s: int) -> None:
    """From now on each answer is so old."""
    send = tenant.send

    async def kept(call: Call) -> Reply:
        return replace(await send(call), headers={"age": str(age_s)})

    tenant.send = kept  # type: ignore[method-assign]


async def test_an_order_that_an_older_answer_shows_under_another_number_is_not_claimed_under_both() -> None:
    book = shop_book(1000)
    lines = [{"listingSku": "a", "quantityOrdered": 4}]
    sold = {"salesChannel": {"salesChannelId": 101}, "orderItems": lines}
    live = [order_row(1, **sold)]
    tenant = listed(live)

    async def emit(page: Page) -> None:
        for fact in page.facts:
            book.take(fact)

    book.take(await tenant.connector.sweep(ORDERS, "", emit))
    live[0] = order_row(1, orderNumber="N1-1", **sold)
    from_a_cache(tenant, 600)
    book.take(await tenant.connector.sweep(ORDERS, "1", emit))
    assert sum(claim.units for claim in order_claims(book, Sku("a")).claims) == 4


async def test_after_an_answer_from_a_cache_the_next_reading_goes_on_from_when_that_was_made() -> None:
    tenant = listed([order_row(1)])
    from_a_cache(tenant, 600)
    before = tenant.desk.clock()
    read = await tenant.sweep("orders", str(before))
    assert int(read.cursor) == read.began < before - 590_000


async def test_a_cancel_may_clear_the_lines_of_its_order_and_is_not_doubted_for_that() -> None:
    row = order_row(1, modifiedDate="2010-12-05T12:00:00Z", orderStatus="AWAITING_SHIPMENT")
    live = [row]
    tenant = listed(live)
    cursor = (await tenant.sweep("orders")).cursor
    live[0] = {**row, "orderStatus": "CANCELLED", "orderItems": []}
    await tenant.sweep("orders", cursor)
    tenant.desk.clock.pass_by(DAY_MS)
    far = str(tenant.desk.clock())
    for _ in range(3):
        await tenant.sweep("orders", far)
        assert sought(tenant) == []


@pytest.mark.parametrize("standing", [True, False])
async def test_of_a_server_that_answers_with_other_orders_too_only_those_asked_for_count(
    standing: bool,
) -> None:
    """By a row of its own an order in doubt can be read; by others' rows alone none is gone."""
    live = [order_row(1, orderStatus="SOMETHING_NEW"), order_row(2)]
    tenant = listed(live)
    await tenant.sweep("orders")
    live[0] = order_row(1, orderStatus="AWAITING_SHIPMENT")
    if not standing:
        del live[0]
    answer = tenant.spoil
    assert answer is not None
    strayed = list[str]()

    def stray(path: str, query: dict[str, str], body: Any) -> Any:
        if "orderId" in query and (standing or len(strayed) < 3):
            strayed.append(query.pop("orderId"))
            query["page"] = "1"
        return answer(path, query, body)

    tenant.spoil = stray
    # No list shows it now.
    far = str(tenant.desk.clock() + 10**12)
    read = await tenant.sweep("orders", far, whole=not standing)
    while not strayed:
        read = await tenant.sweep("orders", far, whole=not standing)
    if standing:
        assert ("N1", OrderStatus.OPEN, "AWAITING_SHIPMENT") in told(tenant)
    else:
        assert not read.complete
        assert "N1" not in [number for number, _, _ in told(tenant)]


async def test_what_was_open_before_a_start_is_looked_for_after_it() -> None:
    tenant = listed([order_row(1), order_row(2), order_row(3, orderStatus="CANCELLED")])
    await tenant.sweep("orders")
    state: list[Fact] = [*tenant.facts]
    clock = VirtualClock(START)
    wiring = wire(policy(split=True), clock, lambda: in_process_transport(tenant.desk.business.app))
    built = assemble(wiring, Journal(), Heard(), state)
    assert set(built.stock._orders._open) == {"1", "2"}


@pytest.mark.parametrize("spoilt", [{"orderStatus": "SOMETHING_NEW"}, {"orderItems": None}])
async def test_an_order_in_doubt_is_asked_for_until_it_can_be_read(spoilt: Row) -> None:
    row = order_row(1, modifiedDate="2010-12-05T12:00:00Z", orderStatus="AWAITING_SHIPMENT")
    live = [row]
    tenant = listed(live)
    cursor = (await tenant.sweep("orders")).cursor
    live[0] = {**row, "orderStatus": "SHIPPED", **spoilt}
    await tenant.sweep("orders", cursor)
    live[0] = {**row, "orderStatus": "SHIPPED"}
    tenant.desk.clock.pass_by(DAY_MS)
    far = str(tenant.desk.clock())
    for _ in range(5):
        await tenant.sweep("orders", far)
        if told(tenant):
            break
    assert told(tenant) == [("N1", OrderStatus.SHIPPED, "SHIPPED")]
    await tenant.sweep("orders", far)
    assert sought(tenant) == [], "what can be read is in doubt no more"


@pytest.mark.parametrize("status", ["AWAITING_SHIPMENT", "SHIPPED"])
@pytest.mark.parametrize("code", [None, "a-renamed"])
async def test_an_order_whose_lines_changed_is_asked_for_again_before_that_stands(
    code: str | None, status: str
) -> None:
    """A list that is spoilt once would else be believed until every open order is read again."""
    row = order_row(1, modifiedDate="2010-12-05T12:00:00Z", orderStatus=status)
    spoilt = {"listingSku": code, "quantityOrdered": 1, "product": {"masterSku": code or " "}}
    live = [row]
    tenant = listed(live)
    cursor = (await tenant.sweep("orders")).cursor
    live[0] = {**row, "orderItems": [spoilt]}
    await tenant.sweep("orders", cursor)
    live[0] = row
    tenant.desk.clock.pass_by(DAY_MS)
    far = str(tenant.desk.clock())
    lines: list[str] = []
    for _ in range(3):
        await tenant.sweep("orders", far)
        lines += [line.listing_sku for each in tenant.of(OrderObserved) for line in each.lines]
    assert lines[-1:] == ["a"]


async def test_a_line_without_a_name_takes_what_it_took_until_it_has_one_again() -> None:
    row = order_row(1, modifiedDate="2010-12-05T12:00:00Z", orderStatus="AWAITING_SHIPMENT")
    blank = {"listingSku": " ", "quantityOrdered": 7, "product": None}
    live = [row]
    tenant = listed(live)
    cursor = (await tenant.sweep("orders")).cursor
    (known,) = {each.lines for each in tenant.of(OrderObserved)}
    live[0] = {**row, "orderItems": [blank]}
    for _ in range(4):
        await tenant.sweep("orders", cursor)
        assert {each.lines for each in tenant.of(OrderObserved)} == {known}
    later = {"modifiedDate": "2010-12-05T12:01:00Z"}
    live[0] = {**row, **later, "orderItems": [{**row["orderItems"][0], "quantityOrdered": 2}]}
    await tenant.sweep("orders", cursor)
    assert [line.units for line in tenant.of(OrderObserved)[-1].lines] == [2]


@pytest.mark.parametrize("twice", [False, True], ids=["a row each", "a row twice"])
@pytest.mark.parametrize("newer", [False, True], ids=["the same version", "a newer one"])
async def test_other_lines_of_the_same_version_are_believed_when_they_are_read_again(
    newer: bool, twice: bool
) -> None:
    """A server that shows two lists of lines for one change is wrong in one of them."""
    row = order_row(1, modifiedDate="2010-12-05T12:00:00Z", orderStatus="AWAITING_SHIPMENT")
    line = {**row["orderItems"][0], "quantityOrdered": 2}
    live = [row]
    tenant = listed(live)
    cursor = (await tenant.sweep("orders")).cursor
    (known,) = {each.lines[0].units for each in tenant.of(OrderObserved)}
    spoilt = {**row, "orderItems": [line], **({"modifiedDate": "2010-12-05T12:00:01Z"} if newer else {})}
    live[:] = [spoilt] * (1 + twice)
    seen = []
    for _ in range(3):
        tenant.desk.clock.pass_by(60_000)
        await tenant.sweep("orders", cursor)
        seen.append({each.lines[0].units for each in tenant.of(OrderObserved)})
    assert known == 1
    assert 2 in seen[-1]
    assert seen[0] == ({2} if newer else {1})


@pytest.mark.parametrize(
    "said",
    [
        {"orderStatus": "SOMETHING_NEW"},
        {"orderItems": [{"listingSku": " ", "quantityOrdered": 7, "product": None}]},
    ],
)
async def test_an_order_that_stays_in_doubt_is_asked_for_less_and_less(said: Row) -> None:
    row = order_row(1, modifiedDate="2010-12-05T12:00:00Z", **said)
    tenant = listed([row])
    await tenant.sweep("orders")
    tenant.desk.clock.pass_by(DAY_MS)
    far, asked = str(tenant.desk.clock()), 0
    for _ in range(100):
        await tenant.sweep("orders", far)
        asked += len(sought(tenant))
    assert 2 <= asked <= 8
