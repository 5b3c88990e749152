"""The door for webhooks lets hints in and nothing else, bounds what it reads, and says why to nobody."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial

import anyio
import httpx
import pytest

from reconcilerd.assemble import Assembled, assemble
from reconcilerd.config.secret import Secret
from reconcilerd.connectors.hints import Became, Topic
from reconcilerd.connectors.shopify.hooks import Hooks
from reconcilerd.domain.names import ChannelName
from reconcilerd.simulator.postman import SECRET, headers_of, shop_of
from reconcilerd.simulator.virtual_time import VirtualClock
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.trial.stage import START, wire
from reconcilerd.web import hooks as door
from reconcilerd.web.hooks import MAX_BODY, build_door
from reconcilerd.web.serve import serve
from tests.web.stage import Told, scrape, sources_of, total
from tests.web.test_serve import free_port, say
from tests.world.stage import Journal, policy

STORE = ChannelName("shop-uk")
PLACE = "gid://shopify/Location/101"
ORDER = json.dumps({"id": 1, "name": "#1"}).encode()


class Porch:
    """A daemon that does not run, and the door to it."""

    def __init__(self) -> None:
        clock = VirtualClock(START)
        wiring = wire(policy(True), clock, lambda: in_process_transport(None))  # type: ignore[arg-type]
        self.built: Assembled = assemble(wiring, Journal(), Told())  # type: ignore[arg-type]
        self.refused: list[tuple[str | None, Became]] = []
        self.hints = self.built.daemon.hints
        self.hints.channels = (STORE,)
        readers = {STORE: Hooks(STORE, shop_of(STORE), (Secret(SECRET),), (PLACE,))}
        self.app = build_door(readers, self.hints, lambda name, why: self.refused.append((name, why)), clock)

    async def ask(
        self,
        body: bytes | AsyncIterator[bytes] = ORDER,
        headers: dict[str, str] | None = None,
        path: str = "/shopify/shop-uk",
        method: str = "POST",
    ) -> httpx.Response:
        signed = headers_of(STORE, "orders/create", "id", ORDER, SECRET)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://door"
        ) as client:
            return await client.request(method, path, content=body, headers=signed | (headers or {}))

    @property
    def counted(self) -> Counter[tuple[ChannelName, Topic, Became]]:
        return self.built.daemon.desk.counts.hints


async def test_a_signed_one_is_taken_once_and_thanked_for_each_time() -> None:
    porch = Porch()
    said = [await porch.ask() for _ in range(3)]
    assert [(each.status_code, each.content) for each in said] == [(200, b"")] * 3
    assert porch.counted == {
        (STORE, Topic.ORDERS, Became.TAKEN): 1,
        (STORE, Topic.ORDERS, Became.DUPLICATE): 2,
    }
    assert porch.refused == []


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({"X-Shopify-Hmac-Sha256": ""}, 401, Became.BAD_SIGNATURE),
        ({"X-Shopify-Hmac-Sha256": "AAAA"}, 401, Became.BAD_SIGNATURE),
        ({"X-Shopify-Shop-Domain": "shop-eu.myshopify.com"}, 401, Became.OTHER_SHOP),
        ({"Content-Length": str(MAX_BODY + 1)}, 413, Became.TOO_LARGE),
        ({"Content-Length": "many"}, 413, Became.TOO_LARGE),
        ({"X-Shopify-Topic": "app/uninstalled"}, 200, Became.UNNEEDED),
        ({"X-Shopify-Topic": "inventory_levels/update"}, 200, Became.UNREADABLE),
    ],
)
async def test_each_that_may_not_be_is_counted_as_an_attempt(
    headers: dict[str, str], status: int, why: Became
) -> None:
    porch = Porch()
    said = await porch.ask(headers=headers)
    assert (said.status_code, said.content) == (status, b"")
    assert porch.counted == {(STORE, Topic.OTHER, why): 1}
    assert porch.refused == ([] if status == 200 else [(STORE, why)])


async def test_a_body_that_does_not_end_is_read_up_to_the_limit() -> None:
    porch, sent = Porch(), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * MAX_BODY:
            sent += 65_536
            yield b"x" * 65_536

    async with anyio.create_task_group() as group:
        port = free_port()
        group.start_soon(partial(serve, porch.app, "127.0.0.1", port))
        with anyio.fail_after(30):
            while not await _listens(port):
                await anyio.sleep(0.02)
            async with httpx.AsyncClient() as client:
                try:
                    said = await client.post(f"http://127.0.0.1:{port}/shopify/shop-uk", content=endless())
                    assert said.status_code == 413
                except httpx.TransportError:
                    pass  # it hung up while we were still talking
        group.cancel_scope.cancel()
    assert sent < 32 * MAX_BODY
    assert porch.refused == [(STORE, Became.TOO_LARGE)]


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "BODY_S", 0.2)
    porch = Porch()
    async with anyio.create_task_group() as group:
        port = free_port()
        group.start_soon(partial(serve, porch.app, "127.0.0.1", port))
        with anyio.fail_after(30):
            while not await _listens(port):
                await anyio.sleep(0.02)
            said = await say(port, b"POST /shopify/shop-uk HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        group.cancel_scope.cancel()
    assert said.startswith(b"HTTP/1.1 408")
    assert porch.refused == [(STORE, Became.TOO_SLOW)]


async def _listens(port: int) -> bool:
    try:
        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_nothing_but_posts(method: str) -> None:
    porch = Porch()
    assert (await porch.ask(method=method)).status_code == 405
    assert porch.refused == [(STORE, Became.NO_POST)]


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/shopify", "/shopify/", "/shopify/shop-eu", "/shopify/shop-uk/x"]
)
async def test_there_is_no_other_door(path: str) -> None:
    """Whoever looks for one is no attempt at a channel: the internet looks all day."""
    porch = Porch()
    said = await porch.ask(path=path)
    assert said.status_code == 404
    assert porch.refused == [(None, Became.NO_POST)]
    assert not porch.counted


async def test_every_series_is_there_from_the_start_and_no_other_comes() -> None:
    porch = Porch()
    before = await scrape(sources_of(porch.built))
    for change in ({}, {"X-Shopify-Hmac-Sha256": ""}, {"X-Shopify-Topic": "secret/topic"}):
        await porch.ask(headers=change)
    await porch.ask(path="/shopify/made-up")
    found = await scrape(sources_of(porch.built))
    assert found.keys() == before.keys()
    assert total(found, "webhooks_received_total") == 3
    assert total(found, "webhooks_received_total", outcome="taken", topic="orders") == 1
    assert total(found, "webhooks_received_total", outcome="bad_signature") == 1
