"""Single rows that cannot be read: a reading is complete for the rest, and of them it says nothing, least of all gone.

Each stays as old as it was, so nothing is raised by it; a person is told. Where they are many, nothing is complete.
"""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.connectors.extensiv import stock
from reconcilerd.connectors.port import may_set_aside
from reconcilerd.connectors.shopify import client as shopify
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import FindingKind, StockObserved, SweepRead
from reconcilerd.domain.names import Instant, LocationName, Sku
from reconcilerd.domain.survey import weather_of
from reconcilerd.errors import MalformedReply
from tests.connectors.source import Tenant
from tests.connectors.store import Shop, shop
from tests.connectors.test_feeds import order_row, orders
from tests.connectors.test_stock_in_doubt import told
from tests.connectors.test_stock_in_motion import many, shelves, stock_row
from tests.domain.books import shop_book
from tests.simulator.builders import MINUTE, Desk, world_of

Row = dict[str, Any]
ONE = LocationName("1")
ODD: list[Row] = [
    {"quantity": -1},
    {"quantity": 5.0},
    {"quantity": None},
    {"quantity": 2},
    {"pickable": "yes"},
    {"stockLocation": {"warehouseId": 77}},
]
"""What makes a row of one unit unreadable, the last one where the list of warehouses is known."""


@pytest.mark.parametrize(("rows", "few"), [(0, 5), (299, 5), (300, 6), (10_000, 200)])
def test_a_reading_may_leave_five_of_its_rows_or_a_fiftieth_to_a_person(rows: int, few: int) -> None:
    assert may_set_aside(rows) == few


async def swept(tenant: Tenant, book: Book) -> SweepRead:
    tenant.desk.clock.pass_by(10 * MINUTE)
    sweep = await tenant.sweep("stock")
    for fact in (*tenant.facts, sweep):
        book.take(fact)
    return sweep


def age_of(book: Book, sku: str) -> Instant:
    return book.stock[Sku(sku), ONE].row.age_of


@pytest.mark.parametrize("odd", ODD)
async def test_one_row_that_stays_unreadable_makes_nothing_else_older(odd: Row) -> None:
    live = [row | {"availableQuantity": 1} for row in many(1, 300)]
    tenant, book = shelves(live), shop_book(0)
    await tenant.sweep("warehouses")
    first = await swept(tenant, book)
    sound, live[7] = live[7], live[7] | odd
    last = first
    for _ in range(5):
        last = await swept(tenant, book)
        assert (last.complete, last.unread) == (True, ("s8",)), last.why
        assert told(tenant).keys() == {f"s{number}" for number in range(1, 300)} - {"s8"}
    assert not weather_of(book, tenant.desk.clock()).stock_dark
    assert (age_of(book, "s8"), age_of(book, "s9")) == (first.began, last.began)
    (found,) = book.findings.standing(FindingKind.REJECTED_ROW).values()
    assert found.subject == "extensiv:stock:8"
    live[7] = sound
    mended = await swept(tenant, book)
    assert (mended.complete, mended.unread, age_of(book, "s8")) == (True, (), mended.began)
    assert not book.findings.standing(FindingKind.REJECTED_ROW)


@pytest.mark.parametrize(
    ("rows", "bad", "complete"), [(30, 5, True), (30, 6, False), (400, 8, True), (400, 9, False)]
)
async def test_more_unreadable_rows_than_a_person_can_look_at_leave_nothing_complete(
    rows: int, bad: int, complete: bool
) -> None:
    live = many(1, 1 + rows)
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete
    for row in live[:bad]:
        row["quantity"] = "1"
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, len(sweep.unread)) == (complete, bad if complete else 0)
    assert complete or f"{bad} SKUs have rows that cannot be read" in sweep.why


async def test_a_reading_that_can_read_nothing_of_what_is_known_is_none() -> None:
    live = many(1, 4)
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete
    for row in live:
        row["quantity"] = "1"
    live.append(stock_row(9, "new", 1))
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread) == (False, ())


async def test_what_others_sold_and_what_left_is_told_beside_a_row_that_cannot_be_read() -> None:
    live = many(1, 30)
    tenant = shelves(live)
    await tenant.sweep("stock")
    live[0]["quantity"], live[1]["quantity"] = "1", 7
    del live[2]
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread) == (True, ("s1",))
    assert [each.sku for each in tenant.of(StockObserved) if each.gone] == ["s3"]
    assert told(tenant)["s2"] == 7


async def test_a_row_that_cannot_be_read_costs_whoever_wants_it_one_question_a_time() -> None:
    live = many(1, 30)
    tenant = shelves(live)
    await tenant.sweep("stock")
    live[0]["quantity"] = "1"
    await tenant.read("s1")
    assert (told(tenant), len(tenant.asked)) == ({}, 1)
    assert {each.subject for each in tenant.findings("rejected_row")} == {"extensiv:stock:1"}


def wordless(row: Row) -> Row:
    return row | {"product": None}


def listed(live: Mapping[str, Row], **more: Any) -> Tenant:
    """A tenant with these rows, by the SKU they are of; who asks for a SKU finds no row that does not name it."""

    def answer(path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/inventory"):
            return body
        skus = query["sku"].split(",") if "sku" in query else None
        got = [
            row for row in live.values() if skus is None or ((row["product"] or {}).get("masterSku") in skus)
        ]
        limit, page = int(query["limit"]), int(query["page"])
        return got[(page - 1) * limit : page * limit]

    return Tenant(Desk(world_of({"a": 5})), answer, **more)


def restarted(live: Mapping[str, Row], tenant: Tenant, book: Book) -> Tenant:
    """The rows are kept over a restart, the bins that they are made of are not."""
    rows = [track.row for track in book.stock.values() if track.row.sku.startswith("s")]
    known = {"known_stock": rows, "spelling": {row.sku: row.sku for row in rows}}
    anew = listed(live, known=known)
    anew.desk.clock.at = tenant.desk.clock.at
    return anew


@pytest.mark.parametrize("before", [True, False], ids=["bins known", "bins not known"])
async def test_a_row_that_no_longer_says_whose_it_is_makes_nothing_gone(before: bool) -> None:
    live = {f"s{number}": stock_row(number, f"s{number}", 1) for number in range(1, 30)}
    tenant, book = listed(live), shop_book(0)
    await swept(tenant, book)
    live["s3"] = wordless(live["s3"])
    if not before:
        tenant = restarted(live, tenant, book)
    for _ in range(2):
        sweep = await swept(tenant, book)
        assert (sweep.complete, [each for each in tenant.of(StockObserved) if each.gone]) == (True, [])
        assert "s3" in sweep.unread
    del live["s3"]
    for _ in range(2):
        await swept(tenant, book)
    assert book.stock[Sku("s3"), ONE].row.gone


async def test_a_row_without_an_id_that_says_not_whose_it_is_may_be_any_that_is_missing() -> None:
    live = {f"s{number}": stock_row(number, f"s{number}", 1) for number in range(1, 30)}
    tenant = listed(live)
    await tenant.sweep("stock")
    live["s3"] = wordless(live["s3"]) | {"productStockId": []}
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread) == (True, ("s3",))
    assert [each for each in tenant.of(StockObserved) if each.gone] == []


async def test_a_row_that_is_nobodys_and_none_of_the_known_bins_keeps_nothing_that_left() -> None:
    live = {f"s{number}": stock_row(number, f"s{number}", 1) for number in range(1, 30)}
    tenant = listed(live)
    await tenant.sweep("stock")
    live["junk"] = wordless(stock_row(99, "", 1))
    del live["s3"]
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread) == (True, ())
    assert [each.sku for each in tenant.of(StockObserved) if each.gone] == ["s3"]


async def test_a_row_that_is_said_to_be_of_another_sku_is_neither_of_them() -> None:
    live = {f"s{number}": stock_row(number, f"s{number}", 1) for number in range(1, 30)}
    tenant = listed(live)
    await tenant.sweep("stock")
    live["s3"] = live["s3"] | {"product": {"masterSku": "s4"}, "quantity": -1}
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread) == (True, ("s3", "s4"))
    assert [each for each in tenant.of(StockObserved) if each.gone] == []


async def test_a_row_that_a_cut_page_hid_and_that_cannot_be_read_is_told_of_and_not_gone() -> None:
    live = many(1, 30)
    tenant = shelves(live)
    await tenant.sweep("stock")
    answer = tenant.spoil
    assert answer is not None

    def cut(path: str, query: dict[str, str], body: Any) -> Any:
        rows = answer(path, query, body)
        return rows if "sku" in query or not path.endswith("/inventory") else rows[:-1]

    live[-1]["quantity"] = "1"
    tenant.spoil = cut
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread) == (True, ("s29",))
    assert {each.subject for each in tenant.findings("rejected_row")} == {"extensiv:stock:29"}


@pytest.mark.parametrize("how", ["nothing", "gone"])
async def test_rows_that_their_total_denies_are_told_of_and_set_aside(how: str) -> None:
    tenant = Tenant(Desk(world_of({f"s{number}": 50 for number in range(9)})))
    await tenant.sweep("stock")

    def spoil(path: str, _query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/inventory"):
            return body
        kept = [row for row in body if how == "nothing" or row["product"]["masterSku"] != "s3"]
        return [row | {"quantity": 0, "availableQuantity": 0} if _of_s3(row) else row for row in kept]

    tenant.spoil = spoil
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread, "s3" in told(tenant)) == (True, ("s3",), False)
    (found,) = tenant.findings("rejected_row")
    said = (found.subject, found.detail)
    assert said == ("extensiv:stock:s3", "0 on hand by its rows, 50 before, 50 by its total")


def _of_s3(row: Row) -> bool:
    return bool(row["product"]["masterSku"] == "s3")


async def test_what_is_denied_unheard_waits_for_its_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "MAX_CHECKS", 1)
    tenant = Tenant(Desk(world_of({"a": 5, "b": 5, "c": 5})))
    await tenant.sweep("stock")
    tenant.spoil = lambda path, _query, body: (
        [row | {"quantity": 0, "availableQuantity": 0} for row in body[:2]] + body[2:]
        if path.endswith("/inventory")
        else body
    )
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread, tenant.findings("rejected_row")) == (False, (), [])


async def test_a_total_is_not_held_against_rows_that_can_no_longer_be_read() -> None:
    """Those that are remembered are of another time: what sold since is no disagreement."""
    desk = Desk(world_of({"a": 5, "b": 5}))
    tenant = Tenant(desk)
    await tenant.sweep("stock")
    tenant.spoil = lambda path, _query, body: (
        [row | {"quantity": -1} if row["product"]["masterSku"] == "a" else row for row in body]
        if path.endswith("/inventory")
        else body
    )
    desk.world.damage("a", 2, desk.clock())
    await tenant.sweep("totals")
    assert tenant.findings("totals_disagree") == []


@pytest.mark.parametrize(("bad", "complete"), [(6, True), (7, False)])
async def test_of_many_orders_a_fiftieth_may_be_left_to_a_person(bad: int, complete: bool) -> None:
    tenant = Tenant(Desk(world_of({"a": 5})))
    made = [order_row(number, **({"orderDate": "once"} if number < bad else {})) for number in range(300)]
    orders(tenant, *made)
    assert (await tenant.sweep("orders", whole=True)).complete is complete


STATES = st.sampled_from(["fine", "fine", "fine", "negative", "wordless", "gone"])
ROUNDS = st.lists(
    st.tuples(st.booleans(), st.lists(STATES, min_size=12, max_size=12)), min_size=1, max_size=5
)
"""Whether it starts anew, and what becomes of each row."""


@given(ROUNDS)
def test_of_a_complete_reading_each_sku_was_read_or_left_out_or_is_gone(
    rounds: list[tuple[bool, list[str]]],
) -> None:
    async def main() -> None:
        names = [f"s{number}-" for number in range(12)]
        live = {sku: stock_row(number, sku, 1) for number, sku in enumerate(names, 1)}
        tenant, book = listed(live), shop_book(0)
        await swept(tenant, book)
        for anew, states in rounds:
            live.clear()
            for number, (sku, state) in enumerate(zip(names, states, strict=True), 1):
                if state != "gone":
                    row = stock_row(number, sku, 1 if state == "fine" else -1)
                    live[sku] = wordless(row) if state == "wordless" else row
            if anew:
                tenant = restarted(live, tenant, book)
            known = {sku for sku in names if not book.stock[Sku(sku), ONE].row.gone}
            ages = {sku: age_of(book, sku) for sku in names}
            sweep = await swept(tenant, book)
            read = {each.sku for each in tenant.of(StockObserved) if not each.gone}
            gone = {each.sku for each in tenant.of(StockObserved) if each.gone}
            assert gone.isdisjoint(live)
            if not sweep.complete:
                assert sweep.unread == ()
                continue
            unread = set(sweep.unread)
            assert known <= read | gone | unread
            assert read.isdisjoint(gone)
            assert unread.isdisjoint(read | gone)
            assert len(unread) <= may_set_aside(len(live))
            assert {sku for sku in unread if age_of(book, sku) != ages[sku]} == set()
            assert {sku for sku in known - unread if age_of(book, sku) < sweep.began} == set()

    anyio.run(main)


def unreadable(here: Shop, *ids: str) -> None:
    """From now on nothing says whether these items are counted, or how many of them are available."""

    def spoil(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        data = body.get("data") or {}
        for node in [*(data.get("inventoryItems") or {}).get("nodes", ()), *(data.get("nodes") or ())]:
            if node and node["id"] in ids:
                node["tracked"] = None
                for level in node["inventoryLevels"]["nodes"]:
                    level["quantities"] = []
        return body

    here.wire.spoil = spoil


def without_number(here: Shop, *skus: str) -> None:
    unreadable(here, *(here.slot(sku).listing for sku in skus))


async def a_store(count: int) -> Shop:
    here = shop(Desk(world_of({f"s{number:03}": 5 for number in range(count)})))
    assert (await here.sweep()).complete
    return here


async def test_one_item_that_cannot_be_read_makes_no_other_older() -> None:
    here = await a_store(60)
    without_number(here, "s007")
    for _ in range(2):
        sweep = await here.sweep()
        assert (sweep.complete, sweep.unread) == (True, (here.slot("s007").listing,)), sweep.why
        assert {each.listing_sku for each in here.slots} == {f"s{number:03}" for number in range(60)} - {
            "s007"
        }
        assert {each.subject for each in here.findings("rejected_row")} == {f"uk:{sweep.unread[0]}"}
    here.wire.spoil = None
    sweep = await here.sweep()
    assert (sweep.complete, sweep.unread, len(here.slots)) == (True, (), 60)


@pytest.mark.parametrize(
    ("items", "bad", "complete"), [(60, 5, True), (60, 6, False), (300, 6, True), (3, 3, False)]
)
async def test_more_unreadable_items_than_a_person_can_look_at_leave_nothing_complete(
    items: int, bad: int, complete: bool
) -> None:
    here = await a_store(items)
    without_number(here, *(f"s{number:03}" for number in range(bad)))
    sweep = await here.sweep()
    assert (sweep.complete, len(sweep.unread)) == (complete, bad if complete else 0)
    assert not [each for each in here.slots if each.gone]
    assert complete or f"{bad} items of the last complete reading cannot be read" in sweep.why


async def test_an_item_that_left_is_gone_beside_one_that_cannot_be_read() -> None:
    here = await a_store(60)
    left = here.slot("s009")
    del here.wire.desk.world.stores["uk"].items[left.listing]
    without_number(here, "s007")
    sweep = await here.sweep()
    assert (sweep.complete, sweep.unread) == (True, (here.slot("s007").listing,))
    assert [each.slot for each in here.slots if each.gone] == [left]


async def test_items_that_are_there_wait_for_nobody_who_asks_for_those_that_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shopify, "MAX_CONFIRM", 2)
    here = await a_store(60)
    left = {here.slot(sku) for sku in ("s050", "s051")}
    for slot in left:
        del here.wire.desk.world.stores["uk"].items[slot.listing]
    without_number(here, "s001", "s002", "s003")
    sweep = await here.sweep()
    assert (sweep.complete, len(sweep.unread)) == (True, 3), sweep.why
    assert {each.slot for each in here.slots if each.gone} == left


async def test_of_two_items_of_one_sku_the_readable_one_is_a_twin_all_the_same() -> None:
    desk = Desk(world_of({f"s{number}": 5 for number in range(9)}))
    twin = desk.world.add_item("uk", "s3", 0, listing_sku=" S3 ")
    here = shop(desk)
    await here.sweep()
    assert [each.cleared for each in here.findings("duplicate_sku")] == [False]
    unreadable(here, twin.id)
    sweep = await here.sweep()
    assert (sweep.complete, sweep.unread) == (True, (twin.id,))
    assert [each.cleared for each in here.findings("duplicate_sku")] == [False], "who writes to one of two?"


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("untracked_item", {"tracked": False}),
        ("sells_past_zero", {"continues": True}),
        ("slot_inactive", {"active": False}),
        ("foreign_slot", {"place": "gid://shopify/Location/9"}),
    ],
)
async def test_what_is_to_be_known_of_an_item_is_not_over_because_it_cannot_be_read(
    what: str, change: dict[str, Any]
) -> None:
    desk = Desk(world_of({f"s{number:03}": 5 for number in range(9)}))
    item = desk.world.stores["uk"].by_sku["s003"]
    for name, value in change.items():
        setattr(item, name, value)
    here = shop(desk)
    await here.sweep()
    (found,) = here.findings(what)
    unreadable(here, item.id)
    desk.clock.pass_by(MINUTE)
    sweep = await here.sweep()
    assert sweep.unread == (item.id,)
    (again,) = here.findings(what)
    assert (again.about, again.detail, again.feed) == (found.about, found.detail, found.feed)
    assert again.as_of >= sweep.began > found.as_of


async def test_an_item_that_no_longer_says_which_it_is_does_not_make_that_one_gone() -> None:
    here = await a_store(3)
    del here.wire.desk.world.stores["uk"].items[here.slot("s001").listing]

    def spoil(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        if "nodes" in body["data"]:
            body["data"]["nodes"] = [{"id": None, "sku": "s001"}]
        return body

    here.wire.spoil = spoil
    with pytest.raises(MalformedReply, match="a node that was not asked for"):
        await here.sweep()
    assert not [each for each in here.slots if each.gone]
