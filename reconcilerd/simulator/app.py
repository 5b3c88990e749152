"""One ASGI app for the whole pretend business, and the task that lets its time pass."""

from dataclasses import dataclass

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from reconcilerd.simulator.extensiv_api import ExtensivApi
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.shopify_api import ShopifyApi
from reconcilerd.simulator.truth import World
from reconcilerd.simulator.wire import Clock, json_response

TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class Business:
    """The truth with its vendors' faces."""

    world: World
    faults: FaultPlan
    extensiv: ExtensivApi
    stores: dict[str, ShopifyApi]
    app: Starlette


def build(world: World, clock: Clock, faults: FaultPlan, *, token_life_s: int = 300) -> Business:
    """Extensiv at /extensiv, each store at /shopify/NAME, the score at /truth, what was written at /door."""
    extensiv = ExtensivApi(world, clock, faults, token_life_s=token_life_s)
    stores = {name: ShopifyApi(world, store, clock, faults) for name, store in world.stores.items()}

    async def truth(_request: Request) -> Response:
        world.finish_score(clock())
        return json_response(
            {"score": world.score, "faults": faults.done, "unmapped": sorted(world.unmapped_sold)}
        )

    async def healthz(_request: Request) -> Response:
        return json_response({"ok": True})

    async def door(_request: Request) -> Response:
        written = [each for api in stores.values() for each in api.door]
        return json_response({"written": sorted(written, key=lambda each: each.at)})

    routes = [
        Route("/healthz", healthz),
        Route("/truth", truth),
        Route("/door", door),
        Mount("/extensiv", extensiv.app()),
        *(Mount(f"/shopify/{name}", api.app()) for name, api in stores.items()),
    ]
    return Business(world, faults, extensiv, stores, Starlette(routes=routes))


async def keep_world(world: World, clock: Clock, tick_s: float = TICK_S) -> None:
    """Let what falls due happen in time, also when nobody asks."""
    while True:
        world.advance(clock())
        due = world.next_due
        wait_s = tick_s if due is None else max(0.001, min(tick_s * 40, (due - clock()) / 1000))
        await anyio.sleep(wait_s)
