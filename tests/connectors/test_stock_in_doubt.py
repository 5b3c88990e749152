"""Rows of stock that are likely wrong: what is not believed of them, and how little is asked for because of it."""

from typing import Any

import pytest

from reconcilerd.connectors.extensiv import stock
from reconcilerd.domain.facts import FindingKind, StockObserved
from reconcilerd.transport.client import Call
from reconcilerd.transport.replies import Reply
from tests.connectors.source import Tenant
from tests.connectors.test_stock_in_motion import HOT, many, shelves, stock_row
from tests.simulator.builders import Desk, world_of

NONE = {"quantity": 0, "availableQuantity": 0}
NINE = {"onHandQuantity": 9}


def told(tenant: Tenant) -> dict[str, int]:
    """On hand by SKU, as the last sweep or reading told it."""
    return {each.sku: each.on_hand for each in tenant.of(StockObserved)}


def saying(tenant: Tenant, end: str, said: dict[str, int], *skus: str) -> None:
    """From now on the rows of these SKUs say so, in each list whose path ends so."""

    def spoil(path: str, _query: dict[str, str], body: Any) -> Any:
        if not path.endswith(end):
            return body
        return [row | said if row["product"]["masterSku"] in skus else row for row in body]

    tenant.spoil = spoil


async def read_once(**skus: int) -> Tenant:
    """A tenant of these SKUs whose stock was read whole."""
    tenant = Tenant(Desk(world_of(skus)))
    assert (await tenant.sweep("stock")).complete
    return tenant


@pytest.mark.parametrize(("available", "believed"), [(5, False), (4, True)])
async def test_numbers_that_fitted_together_and_do_no_longer_are_not_believed(
    available: int, believed: bool
) -> None:
    """Where they never did, that is how this tenant's rows are: a person is told."""
    live = [stock_row(1, "a", 5) | {"availableQuantity": available}]
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete
    assert told(tenant) == {"a": 5}
    live[0]["quantity"] = 9
    assert (await tenant.sweep("stock")).complete is believed
    assert told(tenant) == ({"a": 9} if believed else {})


async def test_rows_that_are_too_many_to_ask_for_their_totals_at_once_are_not_believed_until_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stock, "MAX_CHECKS", 1)
    tenant = await read_once(a=5, b=5, c=5)
    saying(tenant, "/inventory", NONE, "a", "b")
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.why) == (
        False,
        "2 SKUs have rows that their total denies, the first is a",
    )
    assert told(tenant) == {"c": 5}


async def test_a_row_that_its_total_denies_is_not_asked_for_once_more_by_the_same_reading() -> None:
    tenant = await read_once(a=5)
    saying(tenant, "/inventory", NONE, "a")
    await tenant.read("a")
    assert told(tenant) == {}
    assert sum(path.endswith("/inventory") for path, _ in tenant.asked) == 1


async def test_a_bin_that_nobody_knew_is_not_believed_of_a_list_that_does_not_come_to_its_end() -> None:
    live = many(1, 250)
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete
    live.insert(0, stock_row(900, "s5", 50))
    answer = tenant.spoil
    assert answer is not None

    def again(path: str, query: dict[str, str], body: Any) -> Any:
        return answer(path, query | {"page": "1"} if query["page"] == "3" else query, body)

    tenant.spoil = again
    assert not (await tenant.sweep("stock")).complete
    assert told(tenant).keys() == {f"s{number}" for number in range(1, 200)} - {"s5"}


async def test_what_came_back_while_others_were_looked_for_is_not_told_gone() -> None:
    live = [*many(1, 150), stock_row(150, "hot", 7), stock_row(151, "late", 7)]
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete
    back = live[-2]
    del live[-2:]
    send = tenant.send

    async def meanwhile(call: Call) -> Reply:
        if dict(call.query).get("sku") == "late" and back not in live:
            live.append(back)
            await tenant.connector.read_stock([HOT], tenant.emit)
        return await send(call)

    tenant.send = meanwhile  # type: ignore[method-assign]
    assert not (await tenant.sweep("stock")).complete
    assert [each.sku for each in tenant.of(StockObserved) if each.gone] == ["late"]


async def test_totals_that_differ_anew_are_checked_before_those_that_are_known_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stock, "MAX_CHECKS", 1)
    tenant = await read_once(a=5, b=5)
    for skus in ("a", "ab"):
        saying(tenant, "/total", NINE, *skus)
        await tenant.sweep("totals")
        found = [each.subject for each in tenant.findings(FindingKind.TOTALS_DISAGREE)]
        assert found == [skus[-1]]


@pytest.mark.parametrize(
    ("skus", "differ", "some"), [(30, 10, True), (30, 11, False), (8, 4, True), (8, 5, False), (4, 3, True)]
)
async def test_up_to_half_of_the_totals_and_ten_are_checked_one_by_one(
    skus: int, differ: int, some: bool
) -> None:
    tenant = await read_once(**{f"s{number:02}": 5 for number in range(skus)})
    saying(tenant, "/total", NINE, *(f"s{number:02}" for number in range(differ)))
    await tenant.sweep("totals")
    assert len(tenant.findings(FindingKind.TOTALS_DISAGREE)) == (differ if some else 0)
