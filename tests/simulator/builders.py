"""Small worlds for the tests of the simulator, and a way to ask its apps without a network."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.app import Business, build
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.stores import Place, Product, Store
from reconcilerd.simulator.truth import World, WorldConfig

START = Instant(1_291_550_400_000)
MINUTE = 60_000
GRAPHQL = "/shopify/uk/admin/api/2026-10/graphql.json"
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "simulator",
    "client_secret": "simulator-secret",
}


@dataclass
class Hand:
    """A clock that only a test moves."""

    at: Instant = START

    def __call__(self) -> Instant:
        return self.at

    def pass_by(self, ms: int) -> Instant:
        self.at = Instant(self.at + ms)
        return self.at


def world_of(skus: dict[str, int], **lags: Any) -> World:
    """SKUs with their units in the main warehouse, each listed at two stores with all of them."""
    world = World(WorldConfig(**lags), START)
    world.places = {1: Place(1, "main"), 2: Place(2, "3pl", mirror=True)}
    for name, channel in (("uk", 101), ("eu", 102)):
        world.stores[name] = Store(name, channel, f"gid://shopify/Location/{channel}")
    for number, (sku, units) in enumerate(skus.items(), 1):
        world.add_product(Product(number, sku, f"Product {sku}"))
        world.add_stock(sku, 1, units)
        for name in world.stores:
            world.add_item(name, sku, units)
    return world


@dataclass
class Desk:
    """One pretend business and a caller with tokens for all of it."""

    world: World
    token_life_s: int = 300
    faults: FaultPlan = field(default_factory=FaultPlan)
    clock: Hand = field(default_factory=Hand)
    tokens: dict[str, str] = field(default_factory=dict)
    business: Business = field(init=False)

    def __post_init__(self) -> None:
        self.business = build(self.world, self.clock, self.faults, token_life_s=self.token_life_s)

    def _client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.business.app, raise_app_exceptions=True)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    async def sign_in(self, path: str = "/extensiv/oauth/token") -> str:
        async with self._client() as client:
            reply = await client.post(path, data=CREDENTIALS)
        assert reply.status_code == 200, reply.text
        self.tokens[path.split("/")[1]] = reply.json()["access_token"]
        return self.tokens[path.split("/")[1]]

    async def extensiv(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        if "extensiv" not in self.tokens:
            await self.sign_in()
        headers = {"authorization": f"Bearer {self.tokens['extensiv']}"}
        async with self._client() as client:
            return await client.request(method, f"/extensiv/{path}", headers=headers, **more)

    async def shopify(self, document: str, /, **variables: Any) -> dict[str, Any]:
        reply = await self.shopify_raw(json={"query": document, "variables": variables})
        assert reply.status_code == 200, reply.text
        body: dict[str, Any] = reply.json()
        return body

    async def shopify_raw(self, **more: Any) -> httpx.Response:
        if "shopify" not in self.tokens:
            await self.sign_in("/shopify/uk/admin/oauth/access_token")
        headers = {"x-shopify-access-token": self.tokens["shopify"]}
        async with self._client() as client:
            return await client.post(GRAPHQL, headers=headers, **more)
