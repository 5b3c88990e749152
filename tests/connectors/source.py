"""The Extensiv connector before a pretend tenant, without a network; answers may be spoilt on the way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from reconcilerd.connectors.extensiv.client import Extensiv
from reconcilerd.connectors.port import Page
from reconcilerd.domain.facts import Fact, FindingRaised, SweepRead
from reconcilerd.domain.names import ChannelName, FeedName, Sku
from reconcilerd.transport.client import Call
from reconcilerd.transport.replies import Reply
from tests.simulator.builders import Desk

F = TypeVar("F", bound=Fact)
Spoil = Callable[[str, dict[str, str], Any], Any]
"""Path, query and rows in; rows, or bytes, out."""


@dataclass
class Tenant:
    """Carries calls to the desk, keeps what was asked; and the connector with everything it told."""

    desk: Desk
    spoil: Spoil | None = None
    order_keys: Mapping[ChannelName, str] = field(default_factory=dict)
    max_pages: int = 50
    known: dict[str, Any] = field(default_factory=dict)
    """What the connector is told of the time before its start."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    connector: Extensiv = field(init=False)

    def __post_init__(self) -> None:
        self.desk.token_life_s = 10**9
        self.connector = Extensiv(
            self,
            self.desk.clock,
            channels={101: ChannelName("uk"), 102: ChannelName("eu")},
            order_keys=self.order_keys,
            max_pages=self.max_pages,
            **self.known,
        )

    async def send(self, call: Call) -> Reply:
        at = self.desk.clock.pass_by(1000)
        query = dict(call.query)
        self.desk.tokens.pop("extensiv", None)
        answer = await self.desk.extensiv(call.path.lstrip("/"), params=query)
        assert answer.status_code == 200, answer.text
        self.asked.append((call.path, query))
        body = answer.json()
        if self.spoil is not None:
            body = self.spoil(call.path, query, body)
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return Reply(200, {}, raw, at, at)

    async def emit(self, page: Page) -> None:
        self.facts.extend(page.facts)

    async def sweep(self, feed: str, cursor: str = "", *, whole: bool = False) -> SweepRead:
        """One sweep; only what it told is kept."""
        self.facts.clear()
        self.asked.clear()
        return await self.connector.sweep(FeedName(f"extensiv.{feed}"), cursor, self.emit, whole=whole)

    async def read(self, *skus: str) -> None:
        self.facts.clear()
        self.asked.clear()
        await self.connector.read_stock([Sku(sku) for sku in skus], self.emit)

    def of(self, kind: type[F]) -> list[F]:
        return [each for each in self.facts if isinstance(each, kind)]

    def findings(self, what: str) -> list[FindingRaised]:
        return [each for each in self.of(FindingRaised) if each.what == what]
