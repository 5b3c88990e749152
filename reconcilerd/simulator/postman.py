"""Tells of what changed at the stores by signed webhooks, as the vendor does: late, and sometimes lost or twice.

Strangers post beside it: messages that look alike, say whatever they like and are signed by nobody who may.
"""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import anyio

from reconcilerd.domain.names import Instant, format_instant
from reconcilerd.simulator.stores import Item, Order, Store
from reconcilerd.simulator.truth import World

LOOK_S = 1.0
SECRET = "simulator-secret"  # noqa: S105 - the built-in one of every store here
Post = Callable[[str, dict[str, str], bytes], Awaitable[None]]
"""(store, headers, body): carries one message, or loses it."""


def shop_of(store: str) -> str:
    """A store's name as its webhooks have it."""
    return f"{store}.myshopify.com"


@dataclass(frozen=True, slots=True)
class Mail:
    """How the mail is. ``late_ms``: from, to; the others: the chance per message that it is lost, comes twice, or that
    a stranger posts another one.
    """

    late_ms: tuple[int, int] = (200, 3_000)
    lost: float = 0.0
    twice: float = 0.0
    forged: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    due: Instant
    store: str
    headers: dict[str, str]
    body: bytes


class Postman:
    """Looks at every store each second, and posts what is due."""

    def __init__(
        self, world: World, clock: Callable[[], Instant], post: Post, mail: Mail = Mail(), seed: int = 1
    ) -> None:
        self._world = world
        self._clock = clock
        self._post = post
        self._mail = mail
        self._chance = Random(seed)
        self._seen = clock()
        self._due: list[Message] = []
        self._number = 0
        self.posted = 0

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            self._look()
            now = self._clock()
            due = sorted((each for each in self._due if each.due <= now), key=lambda each: each.due)
            self._due = [each for each in self._due if each.due > now]
            for each in due:
                self.posted += 1
                await self._post(each.store, each.headers, each.body)
            await anyio.sleep(LOOK_S)

    def _look(self) -> None:
        since, self._seen = self._seen, self._clock()
        for store in self._world.stores.values():
            for topic, told in self._news(store, since):
                self._send(store.name, topic, told)

    def _news(self, store: Store, since: Instant) -> Iterator[tuple[str, dict[str, Any]]]:
        for item in store.levels:
            if since < item.updated <= self._seen:
                yield "inventory_levels/update", level(item)
        for order in store.orders:
            if since < order.updated <= self._seen:
                yield "orders/cancelled" if order.cancelled else "orders/updated", _order(order)

    def _send(self, store: str, topic: str, told: dict[str, Any]) -> None:
        self._number += 1
        body = json.dumps(told).encode()
        chance, mail = self._chance, self._mail
        headers = headers_of(store, topic, f"{self._number:08d}-{chance.getrandbits(32):08x}", body, SECRET)
        if chance.random() >= mail.lost:
            copies = 2 if chance.random() < mail.twice else 1
            self._due += [Message(self._later(), store, headers, body) for _ in range(copies)]
        if chance.random() < mail.forged:
            lie = json.dumps({**told, "available": chance.randrange(10_000)}).encode()
            forged = headers_of(store, topic, f"{chance.getrandbits(64):016x}", lie, "a stranger's guess")
            self._due.append(Message(self._later(), store, forged, lie))

    def _later(self) -> Instant:
        return Instant(self._seen + self._chance.randint(*self._mail.late_ms))


def headers_of(store: str, topic: str, name: str, body: bytes, secret: str) -> dict[str, str]:
    """What the vendor puts beside a body that it signs."""
    return {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Shop-Domain": shop_of(store),
        "X-Shopify-Webhook-Id": name,
        "X-Shopify-Hmac-Sha256": b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode(),
    }


def level(item: Item) -> dict[str, Any]:
    """What a store says of a quantity that changed."""
    return {
        "inventory_item_id": int(item.id.rpartition("/")[2]),
        "location_id": int(item.place.rpartition("/")[2]),
        "available": item.quantity,
        "updated_at": format_instant(item.updated),
    }


def _order(order: Order) -> dict[str, Any]:
    return {"id": order.id, "name": f"#{order.number}", "updated_at": format_instant(order.updated)}
