"""Orders that come, change and leave all the time: a reading of them comes to its end, and keeps nothing back."""

import gc
from collections.abc import Callable
from typing import Any

import pytest

from reconcilerd.connectors.extensiv import orders as extensiv
from reconcilerd.connectors.port import Page
from reconcilerd.domain.facts import OrderObserved, OrderStatus
from reconcilerd.domain.names import FeedName, format_instant, parse_instant
from tests.connectors.source import Tenant
from tests.connectors.test_feeds import order_row
from tests.simulator.builders import MINUTE, Desk, world_of

Row = dict[str, Any]
WIDTH = 10
"""Rows that this server gives a page, whatever it is asked for."""
Asked = Callable[[dict[str, str]], None]


class Busy:
    """A tenant with exactly these orders, the last changed last. ``before``: is done before each page is answered."""

    def __init__(self, count: int, **more: Any) -> None:
        self.desk = Desk(world_of({"a": 5}))
        self.before: Asked = lambda _: None
        self.live: list[Row] = []
        for number in range(count):
            self.comes(number, **more)
        self.desk.clock.pass_by(10 * MINUTE)
        self.tenant = Tenant(self.desk, self._answer)

    def comes(self, number: int, **more: Any) -> Row:
        self.live.append(order_row(number, **{"modifiedDate": format_instant(self.desk.clock())} | more))
        return self.live[-1]

    def ships(self, row: Row) -> None:
        """It stands behind all others from now on: the list is ordered by what changed."""
        self.live = [each for each in self.live if each["orderId"] != row["orderId"]]
        now = format_instant(self.desk.clock())
        self.live.append(row | {"orderStatus": "SHIPPED", "modifiedDate": now})

    def _answer(self, path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/orders"):
            return body
        self.before(query)
        got = [
            row
            for row in self.live
            if ("status" not in query or row["orderStatus"] in query["status"].split(","))
            and row["modifiedDate"] >= query.get("modifiedDateFrom", "")
            and query.get("orderId", str(row["orderId"])) == str(row["orderId"])
        ]
        page = int(query["page"])
        return got[(page - 1) * WIDTH : page * WIDTH]

    @property
    def told(self) -> dict[str, OrderStatus]:
        return {each.key.number: each.status for each in self.tenant.of(OrderObserved)}

    @property
    def listed(self) -> list[int]:
        """The pages of the list of open orders that were asked for."""
        return [int(query["page"]) for _, query in self.tenant.asked if "status" in query]


async def test_a_tenant_that_gets_an_order_with_every_page_is_read_whole_all_the_same() -> None:
    busy = Busy(100)
    number = iter(range(1_000, 9_999))

    def come(_query: dict[str, str]) -> None:
        busy.comes(next(number))

    busy.before = come
    sweep = await busy.tenant.sweep("orders", whole=True)
    assert sweep.complete, sweep.why
    assert {f"N{each}" for each in range(100)} <= busy.told.keys()


async def test_what_came_while_a_reading_went_on_comes_with_the_next_one() -> None:
    busy = Busy(25)
    began = busy.desk.clock()
    at_the_end = iter([True])

    def come(query: dict[str, str]) -> None:
        if "modifiedDateFrom" in query and query["page"] == "4" and next(at_the_end, False):
            # Too late for every page of this reading but the empty ones.
            busy.comes(99, orderStatus="SHIPPED")
            late.append(busy.live.pop())

    late: list[Row] = []
    busy.before = come
    sweep = await busy.tenant.sweep("orders", whole=True)
    assert (sweep.complete, int(sweep.cursor)) == (True, began)
    busy.live += late
    assert "N99" not in busy.told
    (row,) = late
    assert parse_instant(row["modifiedDate"]) > began
    busy.before = lambda _: None
    await busy.tenant.sweep("orders", sweep.cursor)
    assert busy.told["N99"] is OrderStatus.SHIPPED


async def test_an_order_over_whose_edge_others_left_is_read_however_many_come_meanwhile() -> None:
    busy = Busy(60)
    number = iter(range(1_000, 9_999))

    def bustle(query: dict[str, str]) -> None:
        busy.comes(next(number))
        if "status" in query and query["page"] == "3" and len(busy.live) < 65:
            busy.ships(busy.live[0])
            busy.ships(busy.live[0])

    busy.before = bustle
    sweep = await busy.tenant.sweep("orders", whole=True)
    assert sweep.complete, sweep.why
    assert {f"N{each}" for each in range(60)} <= busy.told.keys()
    assert busy.listed.count(1) >= 3, "once more than it takes to find them: others may have moved too"


async def test_a_list_that_orders_leave_faster_than_it_is_read_is_not_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reconcilerd.connectors.extensiv.walk.MOST_PASSES", 1)
    busy = Busy(60)

    def leave(query: dict[str, str]) -> None:
        if "status" in query and query["page"] == "3":
            busy.ships(busy.live[0])

    busy.before = leave
    sweep = await busy.tenant.sweep("orders", whole=True)
    assert not sweep.complete
    assert "still moved" in sweep.why


async def test_orders_that_are_shipped_while_a_whole_reading_goes_on_are_told_by_it_however_many() -> None:
    """None is asked for by its id: those that are, are few, and the reading would not be complete."""
    count = extensiv.MAX_SOUGHT + 50
    busy = Busy(count)
    assert (await busy.tenant.sweep("orders", whole=True)).complete
    batch = iter([True])

    def ship(query: dict[str, str]) -> None:
        if "modifiedDateFrom" in query and next(batch, False):
            for row in list(busy.live):
                busy.ships(row)

    busy.before = ship
    sweep = await busy.tenant.sweep("orders", str(busy.desk.clock()), whole=True)
    assert sweep.complete, sweep.why
    assert busy.told == {f"N{number}": OrderStatus.SHIPPED for number in range(count)}
    assert not [query for _, query in busy.tenant.asked if "orderId" in query]


async def test_a_whole_reading_tells_page_by_page_and_holds_no_row_longer() -> None:
    """A row of an order takes many kilobytes, and two weeks of them are tens of thousands."""
    busy = Busy(12 * WIDTH, shipCity="a mark of rows")
    held, pages = [0], list[Page]()

    def count(_query: dict[str, str]) -> None:
        here = [each for each in gc.get_objects() if type(each) is dict and "shipCity" in each]
        held.append(len(here) - len(busy.live))

    async def emit(page: Page) -> None:
        pages.append(page)

    busy.before = count
    sweep = await busy.tenant.connector.sweep(FeedName("extensiv.orders"), "", emit, whole=True)
    assert sweep.complete
    # Two pages are asked for at a time, while the two before are still being put aside.
    assert max(held) <= 4 * WIDTH
    told = [fact for page in pages for fact in page.facts if isinstance(fact, OrderObserved)]
    assert {each.part for each in told} == {str(number) for number in range(12 * WIDTH)}
    assert max(len(page.facts) for page in pages) <= WIDTH


@pytest.mark.parametrize(("minutes", "told"), [(20, 8), (1, 8)])
async def test_after_an_outage_a_short_page_of_the_news_is_read_twice(minutes: int, told: int) -> None:
    """No later reading asks for what it may lack; a minute after the last one, the next does."""
    busy = Busy(0)
    cursor = (await busy.tenant.sweep("orders", whole=True)).cursor
    busy.desk.clock.pass_by(MINUTE // 2)
    for number in range(8):
        busy.comes(number)
    busy.desk.clock.pass_by(minutes * MINUTE)
    answer, cut = busy.tenant.spoil, iter([True])
    assert answer is not None

    def spoil(path: str, query: dict[str, str], body: Any) -> Any:
        got = answer(path, query, body)
        return got[: len(got) // 2] if got and next(cut, False) else got

    busy.tenant.spoil = spoil
    seen = dict[str, OrderStatus]()
    for _ in range(2):
        sweep = await busy.tenant.sweep("orders", cursor)
        assert sweep.complete
        if not seen:
            pages = [query["page"] for _, query in busy.tenant.asked]
            assert (pages.count("1") == 2) is (minutes == 20), "that costs a call"
        seen |= busy.told
        cursor = sweep.cursor
        busy.desk.clock.pass_by(MINUTE)
    assert len(seen) == told


async def test_orders_of_an_empty_account_end_none_of_ours() -> None:
    busy = Busy(60)
    first = await busy.tenant.sweep("orders", whole=True)
    ours, busy.live = busy.live, []
    for _ in range(2):
        sweep = await busy.tenant.sweep("orders", first.cursor, whole=True)
        assert (sweep.complete, busy.told) == (False, {})
        assert "none of the 60 known: does somebody else's account answer?" in sweep.why
        assert len([query for _, query in busy.tenant.asked if "orderId" in query]) <= extensiv.PROBES
    busy.live = ours
    assert (await busy.tenant.sweep("orders", first.cursor, whole=True)).complete
    assert set(busy.told.values()) == {OrderStatus.OPEN}


@pytest.mark.parametrize("odd", [None, [], {}])
@pytest.mark.parametrize("vouched", [True, False])
@pytest.mark.parametrize("others", [0, 5])
async def test_all_orders_may_be_deleted_where_the_account_is_ours_and_shows_none_of_them_again_and_again(
    others: int, vouched: bool, odd: object
) -> None:
    """A channel whose id cannot be read speaks neither for the account nor against it."""
    busy = Busy(2)
    first = await busy.tenant.sweep("orders", whole=True)
    answer, busy.live = busy.tenant.spoil, []
    assert answer is not None

    def spoil(path: str, query: dict[str, str], body: Any) -> Any:
        if path.endswith("/saleschannels"):
            moved = 0 if vouched else 9_000
            ids = [odd, *(row["salesChannelId"] + moved for row in body)]
            return [row | {"salesChannelId": id_} for id_, row in zip(ids, [*body, body[0]], strict=True)]
        return answer(path, query, body)

    busy.tenant.spoil = spoil
    for number in range(500, 500 + others):
        busy.comes(number)
    ended = []
    for _ in range(extensiv.STRANGE_TIMES + 1):
        sweep = await busy.tenant.sweep("orders", first.cursor, whole=True)
        gone = [number for number, status in busy.told.items() if status is OrderStatus.CANCELLED]
        ended.append((sweep.complete, len(gone)))
    assert ended == [(False, 0)] * extensiv.STRANGE_TIMES + [(vouched, 2 if vouched else 0)]


async def test_one_look_at_our_own_orders_makes_the_next_strange_reading_the_first() -> None:
    busy = Busy(2)
    first = await busy.tenant.sweep("orders", whole=True)
    ours = busy.live
    for _ in range(extensiv.STRANGE_TIMES):
        for live, complete in ((ours, True), ([], False), ([], False)):
            busy.live = list(live)
            sweep = await busy.tenant.sweep("orders", first.cursor, whole=True)
            assert sweep.complete is complete


async def test_somebody_elses_orders_do_not_vouch_for_his_account() -> None:
    busy = Busy(60)
    first = await busy.tenant.sweep("orders", whole=True)
    ours, busy.live = busy.live, []
    for number in range(500, 540):
        busy.comes(number)
    for whole in (False, True, True):
        sweep = await busy.tenant.sweep("orders", first.cursor, whole=whole)
        assert sweep.complete is not whole
        assert set(busy.told.values()) == {OrderStatus.OPEN}
    his, busy.live = busy.live, ours
    assert (await busy.tenant.sweep("orders", first.cursor, whole=True)).complete
    gone = {number for number, status in busy.told.items() if status is OrderStatus.CANCELLED}
    assert gone == {f"N{number}" for number in range(500, 540)}
    busy.live = his
    assert not (await busy.tenant.sweep("orders", first.cursor, whole=True)).complete
    assert set(busy.told.values()) == {OrderStatus.OPEN}


async def test_all_open_orders_may_vanish_from_an_account_that_shows_others_of_ours() -> None:
    busy = Busy(3)
    busy.comes(7, orderStatus="SHIPPED")
    first = await busy.tenant.sweep("orders", whole=True)
    del busy.live[:3]
    sweep = await busy.tenant.sweep("orders", first.cursor, whole=True)
    assert sweep.complete, sweep.why
    assert [status for number, status in busy.told.items() if number != "N7"] == [OrderStatus.CANCELLED] * 3


@pytest.mark.parametrize("another", [False, True])
async def test_the_only_open_order_may_vanish_from_an_account_that_shows_none_of_ours(another: bool) -> None:
    busy = Busy(1)
    first = await busy.tenant.sweep("orders", whole=True)
    busy.live.clear()
    if another:
        busy.comes(5)
    assert (await busy.tenant.sweep("orders", first.cursor, whole=True)).complete
    assert busy.told["N0"] is OrderStatus.CANCELLED


async def test_what_was_wrongly_said_to_be_gone_is_open_again_with_the_next_reading() -> None:
    busy = Busy(4)
    cursor = (await busy.tenant.sweep("orders", whole=True)).cursor
    busy.desk.clock.pass_by(60 * MINUTE)
    hidden = [busy.live.pop(), busy.live.pop()]
    cursor = (await busy.tenant.sweep("orders", cursor, whole=True)).cursor
    assert [busy.told[f"N{number}"] for number in (2, 3)] == [OrderStatus.CANCELLED] * 2
    busy.live += hidden
    sweep = await busy.tenant.sweep("orders", cursor)
    assert (sweep.complete, sweep.full) == (True, False)
    assert [busy.told[f"N{number}"] for number in (2, 3)] == [OrderStatus.OPEN] * 2
    await busy.tenant.sweep("orders", sweep.cursor)
    assert busy.listed == [], "once is enough"


@pytest.mark.parametrize("status", ["AWAITING_DROPSHIP", "AWAITING_MC_FULFILLMENT"])
@pytest.mark.parametrize("anew", [False, True])
async def test_what_was_to_leave_from_somebody_elses_stock_did_so_when_it_is_shipped(
    status: str, anew: bool
) -> None:
    busy = Busy(0)
    source = {"warehouseId": 1}
    # Where it leaves from is said of one of them only when it left.
    row = busy.comes(
        1, orderStatus=status, fulfillmentSource=None if status == "AWAITING_DROPSHIP" else source
    )
    sweep = await busy.tenant.sweep("orders", whole=True)
    known = busy.tenant.of(OrderObserved)
    assert [each.eligible for each in known] == [False] * len(known)
    if anew:
        busy.tenant = Tenant(busy.desk, busy._answer, known={"known_orders": known[-1:]})
    busy.ships(row | {"fulfillmentSource": source})
    for whole in (False, True, True):
        busy.desk.clock.pass_by(MINUTE)
        sweep = await busy.tenant.sweep("orders", sweep.cursor, whole=whole)
        told = busy.tenant.of(OrderObserved)
        assert {(each.status, each.eligible) for each in told} == {(OrderStatus.SHIPPED, False)}


@pytest.mark.parametrize(
    "now", [{"orderStatus": "AWAITING_SHIPMENT"}, {"fulfillmentSource": {"warehouseId": 2}}]
)
async def test_what_was_sent_to_a_warehouse_of_ours_instead_leaves_our_stock(now: Row) -> None:
    busy = Busy(0)
    busy.comes(1, orderStatus="AWAITING_DROPSHIP", fulfillmentSource={"warehouseId": 1})
    sweep = await busy.tenant.sweep("orders", whole=True)
    busy.live[0] |= now
    if "orderStatus" in now:
        sweep = await busy.tenant.sweep("orders", sweep.cursor, whole=True)
    busy.ships(busy.live[0])
    await busy.tenant.sweep("orders", sweep.cursor)
    assert [each.eligible for each in busy.tenant.of(OrderObserved)] == [True]


@pytest.mark.parametrize(
    ("kind", "ours"), [("DROPSHIP_VENDOR", False), ("THIRD_PARTY_LOGISTICS", True), (None, True)]
)
async def test_what_ships_from_a_vendors_warehouse_is_none_of_ours_however_late_it_is_read(
    kind: str | None, ours: bool
) -> None:
    busy = Busy(0)
    answer = busy._answer

    def spoil(path: str, query: dict[str, str], body: Any) -> Any:
        if path.endswith("/warehouses"):
            return [row | {"type": kind} for row in body]
        return answer(path, query, body)

    busy.tenant.spoil = spoil
    busy.comes(1, orderStatus="SHIPPED", fulfillmentSource={"warehouseId": 1})
    await busy.tenant.sweep("orders", whole=True)
    assert {each.eligible for each in busy.tenant.of(OrderObserved)} == {ours}
