"""A batch fails whole for one stale line: that line is dropped and told, the rest goes under a new key."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from reconcilerd.connectors.port import WriteAnswer
from reconcilerd.connectors.shopify import writes
from reconcilerd.domain.facts import CorrectionPlanned, Outcome
from reconcilerd.errors import Denied
from reconcilerd.simulator.virtual_time import run_virtual
from tests.connectors.store import Shop, shop
from tests.simulator.builders import Desk, world_of

Errors = list[dict[str, Any]]
STALE = "CHANGE_FROM_QUANTITY_STALE"


def go() -> None:
    """Nothing stands in the way."""


def payload(*errors: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": list(errors)}}
    }


def unnamed(code: str) -> dict[str, Any]:
    return {"code": code, "field": ["input", "quantities"], "message": code}


def of(answers: tuple[WriteAnswer, ...]) -> dict[str, Outcome]:
    return {each.correction.listing_sku: each.outcome for each in answers}


def keys(here: Shop) -> list[str]:
    return [each["key"] for each in here.wire.of("SetQuantities")]


def sent(here: Shop) -> list[list[str]]:
    """The SKUs of each call."""
    skus = {item.id: item.listing_sku for item in here.wire.desk.world.stores["uk"].items.values()}
    return [
        [skus[line["inventoryItemId"]] for line in each["input"]["quantities"]]
        for each in here.wire.of("SetQuantities")
    ]


def shown(here: Shop) -> dict[str, int]:
    return {item.listing_sku: item.quantity for item in here.wire.desk.world.stores["uk"].items.values()}


async def test_a_stale_line_is_dropped_and_the_rest_goes_under_a_new_key() -> None:
    here = shop(Desk(world_of({f"s{n}": 5 for n in range(6)})))
    for moved in ("s1", "s4"):
        here.wire.desk.world.stores["uk"].by_sku[moved].quantity = 3
    answers = await here.connector.write([here.correction(f"s{n}", 5, 9) for n in range(6)], "run", go)
    expected = {f"s{n}": Outcome.STALE if n in {1, 4} else Outcome.APPLIED for n in range(6)}
    assert of(answers) == expected
    assert shown(here) == {f"s{n}": 3 if n in {1, 4} else 9 for n in range(6)}
    assert sent(here)[1] == ["s0", "s2", "s3", "s5"]
    assert len(set(keys(here))) == len(keys(here)) == 2


async def test_where_nobody_names_the_line_it_is_found_by_halving() -> None:
    def nameless(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        for error in body["data"]["inventorySetQuantities"]["userErrors"]:
            error["field"] = None
        return body

    here = shop(Desk(world_of({f"s{n}": 5 for n in range(8)})), nameless)
    here.wire.desk.world.stores["uk"].by_sku["s6"].quantity = 3
    answers = await here.connector.write([here.correction(f"s{n}", 5, 9) for n in range(8)], "run", go)
    assert of(answers) == {f"s{n}": Outcome.STALE if n == 6 else Outcome.APPLIED for n in range(8)}
    assert shown(here) == {f"s{n}": 3 if n == 6 else 9 for n in range(8)}
    assert len(set(keys(here))) == len(keys(here))


async def test_a_number_in_a_field_is_a_line_only_where_lines_are() -> None:
    turns = iter([payload({"code": "INVALID_REASON", "field": ["input", "reason", "0"], "message": "no"})])
    here = shop(Desk(world_of({"a": 5})), lambda _asked, body: next(turns, body))
    answers = await here.connector.write([here.correction("a", 5, 9)], "run", go)
    assert of(answers) == {"a": Outcome.REFUSED}


async def test_a_line_that_can_never_be_written_is_refused_and_holds_up_nobody() -> None:
    here = shop(Desk(world_of({"a": 5, "b": 5})))
    corrections = [here.correction("a", 5, 9), here.correction("b", 5, 9)]
    del here.wire.desk.world.stores["uk"].items[here.slot("a").listing]
    answers = await here.connector.write(corrections, "run", go)
    assert of(answers) == {"a": Outcome.REFUSED, "b": Outcome.APPLIED}
    assert "INVALID_INVENTORY_ITEM" in answers[0].detail


async def test_one_slot_is_never_twice_in_a_call() -> None:
    here = shop(Desk(world_of({"a": 5, "b": 5})))
    twice = [here.correction("a", 5, 9), here.correction("b", 5, 9), here.correction("a", 9, 7, "second")]
    answers = await here.connector.write(twice, "run", go)
    assert [each.outcome for each in answers] == [Outcome.APPLIED] * 3
    assert sent(here) == [["a", "b"], ["a"]]
    assert shown(here)["a"] == 7


async def test_what_moved_under_us_is_sent_in_small_batches_until_it_is_calm() -> None:
    skus = [f"s{n}" for n in range(12)]
    here = shop(Desk(world_of(dict.fromkeys(skus, 5))))
    await here.connector.write([here.correction(sku, 4, 9, f"first-{sku}") for sku in skus], "first", go)
    here.wire.asked.clear()
    for turn in range(writes.HOT_FOR):
        await here.connector.write([here.correction(sku, 5, 5, f"{turn}-{sku}") for sku in skus], "again", go)
    assert [len(each) for each in sent(here)] == [writes.HOT_BATCH] * 4 * writes.HOT_FOR
    here.wire.asked.clear()
    await here.connector.write([here.correction(sku, 5, 5) for sku in skus], "calm", go)
    assert [len(each) for each in sent(here)] == [12]


async def test_a_throttled_write_is_repeated_under_the_same_key() -> None:
    here = shop(Desk(world_of({"a": 5})))
    bucket = here.wire.desk.business.stores["uk"].bucket
    bucket.level = 0.0

    def refill(_asked: dict[str, Any], body: dict[str, Any]) -> Any:
        bucket.level = bucket.size
        return body

    here.wire.spoil = refill
    answers = await here.connector.write([here.correction("a", 5, 9)], "run", go)
    assert of(answers) == {"a": Outcome.APPLIED}
    assert len(keys(here)) == 2
    assert len(set(keys(here))) == 1


@pytest.mark.parametrize(
    "code", ["IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]
)
async def test_a_spent_key_is_replaced(code: str) -> None:
    turns = iter([payload(unnamed(code))])
    here = shop(Desk(world_of({"a": 5, "b": 5})), lambda _asked, body: next(turns, body))
    # The first answer is made up: the store has applied it under the first key, so the second compare is stale.
    answers = await here.connector.write([here.correction("a", 5, 5), here.correction("b", 5, 5)], "run", go)
    assert set(of(answers).values()) == {Outcome.APPLIED}
    assert len(set(keys(here))) == 2


def test_a_store_that_works_on_the_first_try_for_ever_ends_unknown_under_one_key() -> None:
    answers: list[WriteAnswer] = []
    seen: list[str] = []
    waited: list[float] = []

    async def main() -> None:
        busy = payload(unnamed("IDEMPOTENCY_CONCURRENT_REQUEST"))
        here = shop(Desk(world_of({"a": 5})), lambda _asked, _body: busy)
        began = anyio.current_time()
        answers.extend(await here.connector.write([here.correction("a", 5, 9)], "run", go))
        waited.append(anyio.current_time() - began)
        seen.extend(keys(here))

    run_virtual(main)
    assert [each.outcome for each in answers] == [Outcome.UNKNOWN]
    assert (len(seen), len(set(seen))) == (writes.BUSY_TRIES, 1)
    assert waited[0] == pytest.approx(writes.BUSY_S * (2**writes.BUSY_TRIES - 1), abs=0.1)


@pytest.mark.parametrize(
    "body", [{"data": {}}, payload() | {"data": {"inventorySetQuantities": {}}}, b"<html>"]
)
async def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(body: Any) -> None:
    here = shop(Desk(world_of({"a": 5, "b": 5})), lambda _asked, _body: body)
    answers = await here.connector.write([here.correction("a", 5, 9), here.correction("b", 5, 9)], "run", go)
    assert of(answers) == {"a": Outcome.UNKNOWN, "b": Outcome.UNKNOWN}


async def test_what_was_applied_before_a_permission_ended_keeps_its_answer() -> None:
    here = shop(Desk(world_of({"a": 5, "b": 5})))
    denied = {"errors": [{"message": "no", "extensions": {"code": "ACCESS_DENIED"}}]}
    turns = iter([None])
    here.wire.spoil = lambda _asked, body: next(turns, denied) or body
    twice: list[CorrectionPlanned] = [here.correction("a", 5, 9), here.correction("a", 9, 7, "second")]
    answers = await here.connector.write(twice, "run", go)
    assert [each.outcome for each in answers] == [Outcome.APPLIED, Outcome.NOT_SENT]
    with pytest.raises(Denied):
        await here.connector.write([here.correction("b", 5, 9)], "run", go)


async def test_stale_is_told_only_where_nothing_else_is_wrong() -> None:
    both = payload(unnamed(STALE), unnamed("INVALID_REASON"))
    here = shop(Desk(world_of({"a": 5})), lambda _asked, _body: both)
    assert of(await here.connector.write([here.correction("a", 5, 9)], "run", go)) == {"a": Outcome.REFUSED}
    here.wire.spoil = lambda _asked, _body: payload(unnamed(STALE))
    assert of(await here.connector.write([here.correction("a", 5, 9)], "run", go)) == {"a": Outcome.STALE}


async def test_a_line_that_is_not_in_the_call_names_nobody() -> None:
    beyond = {"code": STALE, "field": ["input", "quantities", "2", "quantity"], "message": "stale"}
    turns = iter([payload(beyond)])
    here = shop(Desk(world_of({"a": 5, "b": 5})), lambda _asked, body: next(turns, body))
    answers = await here.connector.write([here.correction("a", 5, 5), here.correction("b", 5, 5)], "run", go)
    assert set(of(answers).values()) == {Outcome.APPLIED}
    assert sent(here) == [["a", "b"], ["a"], ["b"]]


async def test_a_number_below_zero_is_compared_as_the_store_has_it() -> None:
    here = shop(Desk(world_of({"a": 5})))
    await here.connector.write([replace(here.correction("a", 0, 9), owed=3)], "run", go)
    (call,) = here.wire.of("SetQuantities")
    assert [line["changeFromQuantity"] for line in call["input"]["quantities"]] == [-3]


def test_a_refusal_while_the_store_still_worked_on_the_first_try_tells_nothing() -> None:
    denied = {"errors": [{"message": "no", "extensions": {"code": "ACCESS_DENIED"}}]}
    answers: list[WriteAnswer] = []

    async def main() -> None:
        turns = iter([payload(unnamed("IDEMPOTENCY_CONCURRENT_REQUEST"))])
        here = shop(Desk(world_of({"a": 5})), lambda _asked, _body: next(turns, denied))
        answers.extend(await here.connector.write([here.correction("a", 5, 9)], "run", go))

    run_virtual(main)
    assert [each.outcome for each in answers] == [Outcome.UNKNOWN]
