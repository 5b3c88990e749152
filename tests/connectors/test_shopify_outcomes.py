"""Whether a write had its effect: refused is only what cannot have, all else is for a reading to tell."""

from typing import Any

import httpx
import pytest

from reconcilerd.config.secret import Secret
from reconcilerd.connectors.shopify.client import Shopify
from reconcilerd.connectors.shopify.graphql import LANE
from reconcilerd.domain.facts import CorrectionPlanned, Outcome
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.errors import Denied, MalformedReply, Refused
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.client import Call, Client
from reconcilerd.transport.lane import Lane
from reconcilerd.transport.replies import Reply, json_of
from tests.connectors.store import PLACE, UK, shop
from tests.connectors.test_shopify_writing import go, of
from tests.simulator.builders import START, Desk, world_of

ACCESS = {"message": "Access denied", "extensions": {"code": "ACCESS_DENIED"}}


def error(code: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "message": "failed",
        "path": ["inventorySetQuantities", "inventoryAdjustmentGroup"],
    }
    return {**made, "extensions": {"code": code}} if code else made


@pytest.mark.parametrize("code", ["ACCESS_DENIED", "TIMEOUT", "INTERNAL_SERVER_ERROR", None])
async def test_an_error_beside_an_answer_may_come_after_the_effect(code: str | None) -> None:
    def spoil(ask: dict[str, Any], body: dict[str, Any]) -> Any:
        return {**body, "errors": [error(code)]} if "SetQuantities" in ask["query"] else body

    here = shop(Desk(world_of({"a": 5})), spoil)
    answers = await here.connector.write([here.correction("a", 5, 9)], "run", go)
    assert of(answers) == {"a": Outcome.UNKNOWN}


@pytest.mark.parametrize("data", [{}, {"data": {"inventorySetQuantities": None}}], ids=["none", "null"])
async def test_a_permission_that_lacks_is_told_as_refused_credentials(data: dict[str, Any]) -> None:
    here = shop(Desk(world_of({"a": 5})), lambda _ask, _body: {**data, "errors": [ACCESS]})
    with pytest.raises(Denied):
        await here.connector.write([here.correction("a", 5, 9)], "run", go)


async def test_a_document_that_is_refused_before_it_runs_has_sent_nothing() -> None:
    bad = {"errors": [{"message": "Field 'x' doesn't exist", "extensions": {"code": "undefinedField"}}]}
    here = shop(Desk(world_of({"a": 5})), lambda _ask, _body: bad)
    answers = await here.connector.write([here.correction("a", 5, 9)], "run", go)
    assert of(answers) == {"a": Outcome.NOT_SENT}


def test_a_refusal_after_a_try_that_may_have_worked_tells_nothing() -> None:
    tries = []

    def handler(request: httpx.Request) -> httpx.Response:
        tries.append(1)
        if len(tries) == 1:
            raise httpx.ReadTimeout("lost")
        return httpx.Response(
            200, json={"errors": [{"message": "x", "extensions": {"code": "SHOP_INACTIVE"}}]}
        )

    async def main() -> None:
        clock = VirtualClock(START)
        transport = httpx.MockTransport(handler)
        lanes = [Lane(LANE, clock)]
        client = Client("uk", "http://127.0.0.1", transport=transport, auth=None, lanes=lanes, clock=clock)
        store = Shopify(client, clock, name=UK, places=(PLACE,))
        one, at = SlotKey(UK, "i", PLACE), Instant(1)
        answers = await store.write(
            [CorrectionPlanned("id", one, "a", 5, at, 9, "lag", "share", at)], "run", go
        )
        assert of(answers) == {"a": Outcome.UNKNOWN}

    run_virtual(main)
    assert len(tries) == 2


async def test_the_dearest_call_always_fits_a_small_bucket() -> None:
    costs = {"requestedQueryCost": 900, "actualQueryCost": 100}
    status = {"maximumAvailable": 1000.0, "currentlyAvailable": 900.0, "restoreRate": 50_000.0}

    def spoil(ask: dict[str, Any], body: dict[str, Any]) -> Any:
        return {**body, "extensions": {"cost": {**costs, "throttleStatus": status}}}

    here = shop(Desk(world_of({"a": 5})), spoil)
    send = here.wire.send

    async def through(call: Call) -> Reply:
        await here.wire.lane("graphql").acquire(call.priority, call.cost)
        return await send(call)

    here.wire.send = through  # type: ignore[method-assign]
    assert (await here.sweep()).complete
    assert here.wire.lane("graphql").size >= 100
    costs["actualQueryCost"] = 850
    assert (await here.sweep("orders")).complete
    assert (await here.sweep("orders")).complete


@pytest.mark.parametrize("filled", [0, 185])
async def test_no_secret_that_a_store_quotes_reaches_an_error_not_even_its_beginning(filled: int) -> None:
    token = Secret("canary-token-1234567890abcdef")
    quoted = {"message": "x" * filled + token.reveal(), "extensions": {"code": "OTHER"}}
    here = shop(Desk(world_of({"a": 5})), lambda _ask, _body: {"errors": [quoted]})
    with pytest.raises(Refused) as caught:
        await here.sweep()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("body", [b'{"a":' + b"[" * 100_000, b"[" * 100_000])
def test_a_reply_nested_without_end_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReply):
        json_of(Reply(200, {}, body, START, START), dict[str, Any], "here")
