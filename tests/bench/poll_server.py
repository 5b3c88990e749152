"""Four pretend systems with 10,000 SKUs each behind one strict limit: 10 requests a second, 80 ms an answer.

Run as ``python -m tests.bench.poll_server``: prints its port, serves until its standard input ends. /counts tells
how many requests each system got and how many it refused.
"""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

import anyio
import msgspec
from graphql import DocumentNode, parse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from reconcilerd.connectors.shopify.client import PAGE
from reconcilerd.connectors.shopify.graphql import document
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.extensiv_api import ExtensivApi
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.serve import serve
from reconcilerd.simulator.shopify_api import ShopifyApi, schema
from reconcilerd.simulator.shopify_cost import Pricing
from reconcilerd.simulator.shopify_query import Query
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.simulator.wire import Bucket, Clock
from reconcilerd.trial.stage import START
from tests.world.stage import STORES, small_world

SKUS = 10_000
RATE_PER_S, BURST = 10.0, 10
LATENCY_S = 0.08


@dataclass
class Limited:
    """One system's door. Token requests pass it without a token: they are not part of a poll."""

    app: ASGIApp
    clock: Clock
    sent: int = 0
    refused: int = 0
    bucket: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.bucket = Bucket(RATE_PER_S, BURST, self.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("token"):
            await self.app(scope, receive, send)
            return
        self.sent += 1
        wait_s = self.bucket.take()
        answers_at = anyio.current_time() + LATENCY_S

        async def late(message: Message) -> None:
            await anyio.sleep_until(answers_at)
            await send(message)

        if wait_s:
            self.refused += 1
            await JSONResponse({}, 429, {"Retry-After": str(wait_s)})(scope, receive, late)
        else:
            await self.app(scope, receive, late)


def wall_clock() -> Instant:
    """Milliseconds that pass as they do, in the time of the pretend world."""
    return Instant(START + time.monotonic_ns() // 1_000_000)


def page_cost(store: ShopifyApi) -> tuple[float, float]:
    """What one page of items may cost, and what it does."""
    asked = {"first": PAGE, "after": None}
    read = parse(document("inventory_items"))
    pricing = Pricing(schema(), read, asked)
    return pricing.requested(), pricing.actual(store._execute(read, asked)["data"])


class Rehearsed(ShopifyApi):
    """A store that has worked out every page of its items beforehand: the poll is measured, not our pretence."""

    def rehearse(self) -> None:
        self._pages: dict[str | None, dict[str, Any]] = {}
        cursor: str | None = None
        while cursor not in self._pages:
            answer = super()._execute(parse(document("inventory_items")), {"first": PAGE, "after": cursor})
            self._pages[cursor] = answer
            page = answer["data"]["inventoryItems"]["pageInfo"]
            cursor = page["endCursor"] if page["hasNextPage"] else cursor

    @override
    def _execute(
        self, document: DocumentNode, variables: dict[str, Any], query: Query | None = None
    ) -> dict[str, Any]:
        if "first" in variables:
            return self._pages[variables["after"]]
        return super()._execute(document, variables, query)


def systems(world: World, clock: Clock) -> dict[str, Limited]:
    """Each system's door. The vendor's own limits are set to the same 10 requests a second."""
    extensiv = ExtensivApi(world, clock, FaultPlan(), token_life_s=3600, rate_scale=1_000)
    doors = {"extensiv": Limited(extensiv.app(), clock)}
    for name, store in world.stores.items():
        api = Rehearsed(world, store, clock, FaultPlan())
        api.rehearse()
        requested, actual = page_cost(api)
        size = actual * (BURST - 1) + requested
        api.bucket = Bucket(actual * RATE_PER_S, size, clock)
        doors[name] = Limited(api.app(), clock)
    return doors


def business(clock: Clock) -> Starlette:
    skus = [f"sku-{number:05d}" for number in range(SKUS)]
    world = small_world(WorldConfig(), split=True, skus=skus, units=0)
    world.bins = {key: each for key, each in world.bins.items() if key[1] == 1}
    doors = systems(world, clock)

    async def counts(_request: Request) -> Response:
        return Response(msgspec.json.encode({name: [d.sent, d.refused] for name, d in doors.items()}))

    return Starlette(
        routes=[
            Route("/counts", counts),
            Mount("/extensiv", doors["extensiv"]),
            *(Mount(f"/shopify/{name}", doors[name]) for name, _, _ in STORES),
        ]
    )


async def main() -> None:
    app = business(wall_clock)
    async with anyio.create_task_group() as group:
        print(await group.start(serve, app, 0), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
