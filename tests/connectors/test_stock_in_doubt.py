"""Rows of stock that are likely wrong: what is not believed of them, and how little is asked for because of it."""

import logging
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from reconcilerd.connectors.extensiv import stock
from reconcilerd.domain.facts import FindingKind, FindingRaised, StockObserved
from reconcilerd.errors import Denied, LedgerFault, MalformedReply, ReconcilerdError, TryLater
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


def fitting(number: int, sku: str, units: int) -> dict[str, Any]:
    return stock_row(number, sku, units) | {"availableQuantity": units}


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(
    "said",
    [{"quantity": 7}, {"allocatedQuantity": 2}, {"quantityLocked": 4}, {"quantity": 8, "quantityLocked": 6}],
)
async def test_a_fall_is_told_at_once_although_the_available_number_lags(
    said: dict[str, int], targeted: bool
) -> None:
    """Units that are gone would be shown, and sold, for as long as any of a hot SKU's numbers is late."""
    live = [fitting(1, "a", 9), fitting(2, "b", 5)]
    tenant = shelves(live)
    await tenant.sweep("stock")
    live[0] |= said
    if targeted:
        await tenant.read("a")
    else:
        sweep = await tenant.sweep("stock")
        assert (sweep.complete, sweep.unread) == (True, ())
    (row,) = [each for each in tenant.of(StockObserved) if each.sku == "a"]
    expected = (said.get("quantity", 9), said.get("quantityLocked", 0), said.get("allocatedQuantity", 0))
    assert (row.on_hand, row.unavailable, row.allocated) == expected
    assert [each.subject for each in tenant.findings("quantity_algebra")] == ["a@1/1"]


async def test_what_fell_in_numbers_that_do_not_fit_rises_again_only_in_such_as_do() -> None:
    live = [fitting(1, "a", 9), fitting(2, "b", 5)]
    tenant = shelves(live)
    await tenant.sweep("stock")
    for units, believed in ((7, True), (8, False), (6, True), (7, False)):
        live[0] |= {"quantity": units}
        await tenant.sweep("stock")
        assert told(tenant) == {"b": 5} | ({"a": units} if believed else {})
    live[0] |= {"availableQuantity": 7}
    await tenant.sweep("stock")
    assert told(tenant) == {"a": 7, "b": 5}


@pytest.mark.parametrize("fits_then", [True, False])
async def test_a_rise_in_numbers_that_do_not_fit_is_read_once_more_before_it_is_refused(
    fits_then: bool,
) -> None:
    live = [fitting(number, f"s{number:02}", 9) for number in range(30)]
    tenant = shelves(live)
    await tenant.sweep("stock")
    answer, hot = tenant.spoil, {f"s{number:02}" for number in range(4)}
    assert answer is not None

    def late(path: str, query: dict[str, str], body: Any) -> Any:
        got = answer(path, query, body)
        if not path.endswith("/inventory"):
            return got
        fits = "sku" in query and fits_then
        more = {"quantity": 12, "availableQuantity": 12 if fits else 9}
        return [row | more if row["product"]["masterSku"] in hot else row for row in got]

    tenant.spoil = late
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, set(sweep.unread)) == (True, set() if fits_then else hot)
    assert {sku: units for sku, units in told(tenant).items() if sku in hot} == (
        dict.fromkeys(hot, 12) if fits_then else {}
    )
    assert len({each.subject for each in tenant.findings("rejected_row")}) == (0 if fits_then else 4)
    assert sum("sku" in query for _, query in tenant.asked) == 1, "all of them in one call"


async def test_rows_that_cannot_be_read_beside_a_late_one_keep_their_sku_untold() -> None:
    live = [fitting(number, f"s{number:02}", 9) for number in range(30)]
    live.append(fitting(99, "s03", 4))
    tenant = shelves(live)
    await tenant.sweep("stock")
    live[3] |= {"quantity": 12}
    live[-1] |= {"quantity": -1}
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread, "s03" in told(tenant)) == (True, ("s03",), False)
    assert len({each.subject for each in tenant.findings("rejected_row")}) == 2


async def test_rows_that_are_too_many_to_ask_for_their_totals_at_once_are_not_believed_until_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stock, "MAX_CHECKS", 1)
    tenant = await read_once(a=5, b=5, c=5)
    saying(tenant, "/inventory", NONE, "a", "b")
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.why) == (
        False,
        "2 SKUs have rows that their total does not bear out, the first is a",
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


FAILING = [
    TryLater("totals answered 503"),
    Denied("totals answered 403"),
    MalformedReply("totals are no list"),
]
"""How a question for totals ends without an answer."""


def totals_fail(tenant: Tenant, error: ReconcilerdError) -> list[Call]:
    """From now on whoever asks for totals gets this error; the calls that did."""
    send, asked = tenant.send, list[Call]()

    async def broken(call: Call) -> Reply:
        if call.path.endswith("/total"):
            asked.append(call)
            raise error
        return await send(call)

    tenant.send = broken  # type: ignore[method-assign]
    return asked


@pytest.mark.parametrize(("risen", "complete"), [(12, True), (39, True), (40, False)])
async def test_however_many_rises_nobody_can_confirm_spoil_no_reading_of_other_rows(
    risen: int, complete: bool
) -> None:
    """A container comes in while totals are refused. A reading of which nothing is believed is none."""
    skus = {f"s{number:02}": 5 for number in range(40)}
    tenant = await read_once(**skus)
    totals_fail(tenant, FAILING[0])
    names = sorted(skus)[:risen]
    saying(tenant, "/v1/inventory", {"quantity": 300, "availableQuantity": 300}, *names)
    for _ in range(2):
        sweep = await tenant.sweep("stock")
        assert (sweep.complete, sweep.unread) == (complete, tuple(names) if complete else ())
    assert not {sku for sku, units in told(tenant).items() if units == 300}


@pytest.mark.parametrize("error", FAILING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("how", ["a sweep", "bins known", "bins unknown", "places left"])
async def test_totals_that_fail_deny_no_zero_and_spoil_no_reading_of_other_rows(
    error: ReconcilerdError, how: str
) -> None:
    """A rise is believed at the first reading, and so is a row that is gone: what nobody can confirm is left out."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    live = [stock_row(1, "a", 5), stock_row(2, "b", 5), stock_row(3, "c", 5), stock_row(4, "a", 5, place=2)]
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete
    if how == "bins unknown":
        known = tenant.of(StockObserved)
        tenant = shelves(live, known={"known_stock": known})
    live[0]["quantity"] = live[3]["quantity"] = 0
    live[1]["quantity"] = 101
    live[2]["quantity"] = 4
    if how == "places left":
        del live[3]
    totals_fail(tenant, error)
    with capture_logs() as logs:
        if how in {"a sweep", "places left"}:
            sweep = await tenant.sweep("stock")
            left = ("a", "b") if how == "places left" else ("b",)
            assert (sweep.complete, sweep.unread) == (True, left)
            detail = "101 on hand by its rows, 5 before, its total cannot be read"
            assert sum(detail in each.detail for each in tenant.of(FindingRaised)) == 1
        else:
            await tenant.read("a", "b", "c")
    assert told(tenant) == ({"c": 4} if how == "places left" else {"a": 0, "c": 4})
    said = [(each["event"], each["error"], each["why"]) for each in logs if each["log_level"] == "warning"]
    assert said == [("totals_not_read", type(error).__name__, str(error))]


@pytest.mark.parametrize("how", ["sold out", "gone"])
async def test_totals_that_fail_are_asked_for_once_a_reading_and_leave_no_row_unheard(how: str) -> None:
    """Each question may take a minute of tries: hundreds of SKUs that sold out would wait for all of them.

    That rows are not there, another reading says no better while totals fail: nothing is gone by that.
    """
    live, most = many(0, 200), 2 * stock.MAX_CHECKS
    tenant = shelves(live)
    assert (await tenant.sweep("stock")).complete
    for row in live[:most]:
        row["quantity"] = 0
    if how == "gone":
        del live[:most]
    asked = totals_fail(tenant, TryLater("totals answered 503"))
    sweep = await tenant.sweep("stock")
    assert (sweep.complete, sweep.unread, len(asked)) == (how == "sold out", (), 1)
    zeros = {f"s{number}": 0 for number in range(most)} if how == "sold out" else {}
    assert told(tenant) == zeros | {f"s{number}": 1 for number in range(most, 200)}
    assert not any(each.gone for each in tenant.of(StockObserved))


@pytest.mark.parametrize("how", ["read", "stock", "totals"])
async def test_totals_that_failed_are_asked_for_again_by_the_next_reading(how: str) -> None:
    live = [stock_row(1, "a", 5), stock_row(2, "b", 5)]
    tenant = shelves(live)
    await tenant.sweep("stock")
    send = tenant.send
    asked = totals_fail(tenant, TryLater("totals answered 503"))
    live[0]["quantity"] = 0
    await tenant.read("a")
    tenant.send = send  # type: ignore[method-assign]
    answer = tenant.spoil
    assert answer is not None

    def spoil(path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/total"):
            return answer(path, query, body)
        four = {"product": {"masterSku": "b"}, "onHandQuantity": 4, "lockedQuantity": 0}
        return [four] if query["page"] == "1" else []

    tenant.spoil = spoil
    live[1]["quantity"] = 0
    if how == "read":
        await tenant.read("b")
    else:
        await tenant.sweep(how)
    assert (len(asked), told(tenant)) == (1, {"a": 0} if how == "stock" else {})


@pytest.mark.parametrize("error", [LedgerFault("the disk is full"), RuntimeError("a bug")])
async def test_what_is_no_trouble_of_totals_ends_a_reading_of_rows(error: Exception) -> None:
    live = [stock_row(1, "a", 5), stock_row(2, "b", 5)]
    tenant = shelves(live)
    await tenant.sweep("stock")
    live[0]["quantity"] = 0
    totals_fail(tenant, error)  # type: ignore[arg-type]
    with pytest.raises((type(error), ExceptionGroup)):
        await tenant.sweep("stock")


async def test_rows_whose_totals_were_not_asked_for_come_before_those_that_were_denied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that totals deny for good would else keep every other from being told."""
    monkeypatch.setattr(stock, "MAX_CHECKS", 4)
    live = [stock_row(number, f"s{number:02}", 5) for number in range(30)]
    tenant = shelves(live)
    await tenant.sweep("stock")
    for row in live[:6]:
        row["quantity"] = 0
    answer, behind = tenant.spoil, {f"s{number:02}" for number in range(6)}
    assert answer is not None

    def spoil(path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/total"):
            return answer(path, query, body)
        said = {sku: 5 if sku in behind else 0 for sku in query["sku"].split(",")}
        return [
            {"product": {"masterSku": sku}, "onHandQuantity": units, "lockedQuantity": 0}
            for sku, units in said.items()
        ]

    tenant.spoil = spoil
    zeros = []
    for catches_up in ("", "s04", "", "s05", ""):
        behind.discard(catches_up)
        await tenant.sweep("stock")
        zeros.append(sorted(sku for sku, units in told(tenant).items() if units == 0))
    assert zeros == [[], ["s04"], ["s04"], ["s04", "s05"], ["s04", "s05"]], "each has its turn"
