"""A connector before a pretend store, without a network: the store of the simulator, or replies made by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from reconcilerd.connectors.port import Page
from reconcilerd.connectors.shopify.client import Shopify
from reconcilerd.connectors.shopify.graphql import LANE
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    Fact,
    FindingRaised,
    OrderObserved,
    SlotObserved,
    SweepRead,
)
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.transport.client import Call
from reconcilerd.transport.lane import Lane
from reconcilerd.transport.replies import Reply
from tests.simulator.builders import Desk

UK = ChannelName("uk")
PLACE = "gid://shopify/Location/101"
Spoil = Callable[[dict[str, Any], dict[str, Any]], Any]


@dataclass
class Wire:
    """Carries calls to the desk's store, keeps what was asked and answered, and may spoil an answer."""

    desk: Desk
    spoil: Spoil | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    answered: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lane = Lane(LANE, self.desk.clock)

    def lane(self, name: str) -> Lane:
        assert name == LANE.name
        return self._lane

    async def send(self, call: Call) -> Reply:
        assert isinstance(call.json, dict)
        at = self.desk.clock()
        body: Any = (await self.desk.shopify_raw(json=call.json)).json()
        self.asked.append(call.json)
        self.answered.append(body)
        if self.spoil is not None:
            body = self.spoil(call.json, body)
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return Reply(200, {"x-shopify-api-version": "2026-10"}, raw, at, at)

    def of(self, operation: str) -> list[dict[str, Any]]:
        """The variables of each call of one document."""
        return [each["variables"] for each in self.asked if operation in each["query"]]


@dataclass
class Shop:
    """A connector, its wire, and everything it told."""

    wire: Wire
    order_lag_ms: int = 0
    poll_ms: int = 0
    connector: Shopify = field(init=False)
    facts: list[Fact] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connector = Shopify(
            self.wire,
            self.wire.desk.clock,
            name=UK,
            places=(PLACE,),
            order_lag_ms=self.order_lag_ms,
            poll_ms=self.poll_ms,
        )

    async def emit(self, page: Page) -> None:
        self.facts.extend(page.facts)

    async def sweep(self, feed: str = "slots", cursor: str = "", *, whole: bool = False) -> SweepRead:
        """One sweep; only what it told is kept."""
        self.facts.clear()
        name = self.connector.slots_feed if feed == "slots" else self.connector.orders_feed
        return await self.connector.sweep(name, cursor, self.emit, whole=whole)

    async def read(self, slots: Sequence[SlotKey]) -> None:
        """Some slots; only what that told is kept."""
        self.facts.clear()
        await self.connector.read_slots(slots, self.emit)

    @property
    def slots(self) -> list[SlotObserved]:
        return [each for each in self.facts if isinstance(each, SlotObserved)]

    @property
    def orders(self) -> list[OrderObserved]:
        return [each for each in self.facts if isinstance(each, OrderObserved)]

    def findings(self, what: str) -> list[FindingRaised]:
        return [each for each in self.facts if isinstance(each, FindingRaised) and each.what == what]

    def slot(self, sku: str) -> SlotKey:
        return SlotKey(UK, self.wire.desk.world.stores["uk"].by_sku[sku].id, PLACE)

    def correction(self, sku: str, read: int, target: int, number: str = "") -> CorrectionPlanned:
        at = Instant(1)
        return CorrectionPlanned(
            number or f"id-{sku}", self.slot(sku), sku, read, at, target, "lag", "a test", at
        )


def shop(desk: Desk, spoil: Spoil | None = None) -> Shop:
    return Shop(Wire(desk, spoil))
