"""Rows that name a warehouse or a sales channel nobody knows: new ones are looked up before any is refused."""

from typing import Any

import pytest

from reconcilerd.connectors.extensiv.account import AGAIN_MS
from reconcilerd.domain.facts import LocationObserved, OrderObserved, StockObserved
from reconcilerd.errors import TryLater
from reconcilerd.simulator.stores import Place
from reconcilerd.transport.client import Call
from reconcilerd.transport.replies import Reply
from tests.connectors.source import Tenant
from tests.connectors.test_feeds import order_row
from tests.simulator.builders import MINUTE, Desk, world_of

Row = dict[str, Any]
SKUS = {f"s{number}": 10 for number in range(9)}


async def two_warehouses() -> Tenant:
    """A tenant with each SKU in both but for one, read once."""
    desk = Desk(world_of(SKUS | {"old": 4}))
    for sku in SKUS:
        desk.world.add_stock(sku, 2, 5)
    tenant = Tenant(desk)
    for feed in ("warehouses", "channels", "products", "listings", "stock"):
        assert (await tenant.sweep(feed)).complete
    return tenant


def lists_read(tenant: Tenant, end: str) -> int:
    return sum(path.endswith(end) for path, _ in tenant.asked)


def opens(tenant: Tenant) -> None:
    """A third warehouse, with some of everything."""
    tenant.desk.world.places[3] = Place(3, "opened today")
    for sku in SKUS:
        tenant.desk.world.add_stock(sku, 3, 7)


@pytest.mark.parametrize("field", ["active", "name", "type"])
async def test_a_warehouse_counts_whatever_else_of_its_row_cannot_be_read(field: str) -> None:
    tenant = await two_warehouses()
    tenant.spoil = lambda path, _query, body: (
        [row | {field: [] if row["warehouseId"] == 2 else row[field]} for row in body]
        if path.endswith("/warehouses")
        else body
    )
    sweep = await tenant.sweep("warehouses")
    assert sweep.complete
    if field == "active":
        assert [each.location for each in tenant.of(LocationObserved)] == ["1"]
        assert len(tenant.findings("rejected_row")) == 1
    assert (await tenant.sweep("stock")).complete
    assert len(tenant.of(StockObserved)) == 2 * len(SKUS) + 1
    assert lists_read(tenant, "/warehouses") == 0


async def test_the_stock_of_a_new_warehouse_is_read_as_soon_as_it_is_met() -> None:
    tenant = await two_warehouses()
    opens(tenant)
    await tenant.read("s0")
    assert {each.location: each.on_hand for each in tenant.of(StockObserved)} == {"1": 10, "2": 5, "3": 7}
    assert lists_read(tenant, "/warehouses") == 1
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, len(tenant.of(StockObserved))) == (True, 3 * len(SKUS) + 1)
    assert lists_read(tenant, "/warehouses") == 0


async def test_the_orders_of_a_new_sales_channel_are_read_as_soon_as_they_are_met() -> None:
    tenant = await two_warehouses()
    made = [order_row(number, salesChannel={"salesChannelId": 901}) for number in range(10)]

    def spoil(path: str, query: dict[str, str], body: Any) -> Any:
        if path.endswith("/saleschannels"):
            return [*body, {"salesChannelId": 901, "name": "new", "type": "SHOPIFY", "active": True}]
        return (made if query["page"] == "1" else []) if path.endswith("/orders") else body

    tenant.spoil = spoil
    sweep = await tenant.sweep("orders", whole=True)
    assert sweep.complete, sweep.why
    assert len({each.part for each in tenant.of(OrderObserved)}) == 10
    assert lists_read(tenant, "/saleschannels") == 1


async def test_a_sales_channel_that_the_configuration_names_is_ours_whatever_the_list_says() -> None:
    tenant = await two_warehouses()

    def spoil(path: str, query: dict[str, str], body: Any) -> Any:
        if path.endswith("/saleschannels"):
            return [row for row in body if row["salesChannelId"] != 101]
        return ([order_row(1)] if query["page"] == "1" else []) if path.endswith("/orders") else body

    tenant.spoil = spoil
    await tenant.sweep("channels")
    await tenant.sweep("orders", whole=True)
    assert {each.part for each in tenant.of(OrderObserved)} == {"1"}


async def test_what_is_in_no_list_is_refused_and_looked_up_once_in_a_while() -> None:
    tenant = await two_warehouses()
    spoilt: Row = {"stockLocation": {"warehouseId": 77}}
    tenant.spoil = lambda path, _query, body: (
        [row | spoilt if row["product"]["masterSku"] == "s0" else row for row in body]
        if path.endswith("/inventory")
        else body
    )
    for again, calls in ((0, 1), (0, 0), (0, 0), (AGAIN_MS, 1)):
        tenant.desk.clock.pass_by(again)
        await tenant.read("s0")
        assert tenant.of(StockObserved) == []
        assert {each.detail for each in tenant.findings("rejected_row")} == {
            "warehouse 77 is none of this account's"
        }
        assert lists_read(tenant, "/warehouses") == calls


async def test_an_empty_list_says_of_no_warehouse_that_it_is_somebody_elses() -> None:
    tenant = Tenant(
        Desk(world_of(SKUS)), lambda path, _query, body: [] if path.endswith("/warehouses") else body
    )
    assert not (await tenant.sweep("warehouses")).complete
    assert (await tenant.sweep("stock")).complete
    assert len(tenant.of(StockObserved)) == len(SKUS)


@pytest.mark.parametrize("how", ["broken", "somebody else's"])
async def test_a_list_that_cannot_be_had_or_is_somebody_elses_vouches_for_nothing(how: str) -> None:
    tenant = await two_warehouses()
    opens(tenant)
    send = tenant.send

    async def broken(call: Call) -> Reply:
        if call.path.endswith("/warehouses"):
            raise TryLater("the line broke")
        return await send(call)

    if how == "broken":
        tenant.send = broken  # type: ignore[method-assign]
    else:
        tenant.spoil = lambda path, _query, body: body[2:] if path.endswith("/warehouses") else body
    await tenant.read("s0")
    assert tenant.of(StockObserved) == []
    await tenant.read("old")
    assert [each.on_hand for each in tenant.of(StockObserved)] == [4], "what was known stays so"
    tenant.send, tenant.spoil = send, None  # type: ignore[method-assign]
    tenant.desk.clock.pass_by(MINUTE)
    await tenant.read("s0")
    assert len(tenant.of(StockObserved)) == 3
