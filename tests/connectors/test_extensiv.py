"""Extensiv's connector against scripted answers: what is there and cannot be read is not gone."""

from dataclasses import dataclass, field
from typing import Any

import anyio.lowlevel
import msgspec
import pytest

from reconcilerd.connectors.extensiv.client import STOCK, Extensiv
from reconcilerd.connectors.port import Page
from reconcilerd.domain.facts import Fact, StockObserved, SweepRead
from reconcilerd.domain.names import Instant
from reconcilerd.transport.client import Call, Reply


@dataclass
class Rows:
    """One page of stock rows; every later page is empty."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, call: Call) -> Reply:
        await anyio.lowlevel.checkpoint()
        rows = self.rows if dict(call.query)["page"] == "1" else []
        return Reply(200, {}, msgspec.json.encode(rows), Instant(1), Instant(1))


def row(number: int, quantity: object) -> dict[str, Any]:
    return {
        "productStockId": number,
        "quantity": quantity,
        "availableQuantity": quantity,
        "allocatedQuantity": 0,
        "quantityLocked": 0,
        "pickable": True,
        "product": {"masterSku": f"SKU-{number}"},
        "stockLocation": {"warehouseId": 7},
    }


async def sweep(source: Extensiv) -> tuple[list[StockObserved], SweepRead]:
    facts: list[Fact] = []

    async def emit(page: Page) -> None:
        facts.extend(page.facts)

    read = await source.sweep(STOCK, "", emit)
    return [fact for fact in facts if isinstance(fact, StockObserved)], read


@pytest.mark.parametrize("quantity", [-1, 2.5, "4", True])
async def test_a_row_that_can_no_longer_be_read_is_not_gone(quantity: object) -> None:
    wire = Rows([row(1, 4), row(2, 9)])
    source = Extensiv(wire, lambda: Instant(1), channels={})
    rows, first = await sweep(source)
    assert first.complete
    assert [each.on_hand for each in rows] == [4, 9]
    wire.rows = [row(1, quantity), row(2, 9)]
    rows, second = await sweep(source)
    assert not second.complete
    assert [(each.sku, each.gone) for each in rows] == [("sku-2", False)]


async def test_a_row_that_is_missing_twice_by_exact_sku_is_gone() -> None:
    wire = Rows([row(1, 4), row(2, 9)])
    source = Extensiv(wire, lambda: Instant(1), channels={})
    await sweep(source)
    wire.rows = [row(2, 9)]
    rows, read = await sweep(source)
    assert read.complete
    assert {(each.sku, each.gone) for each in rows} == {("sku-1", True), ("sku-2", False)}
