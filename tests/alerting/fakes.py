"""Slack and PagerDuty as far as an alert can tell: their limits, their rules of opening and closing, their failures."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import anyio
from typing_extensions import override

from reconcilerd.alerting.slack import Answer
from reconcilerd.domain.names import Instant
from reconcilerd.errors import TryLater

NOTHING: Mapping[str, str] = {}


class Trouble(StrEnum):
    """How a receiver fails."""

    NONE = "none"
    DOWN = "down"
    THROTTLED = "throttled"
    BROKEN = "broken"
    HANGS = "hangs"
    ANSWERS_LOST = "answers lost"
    """It takes the message, and nobody hears so."""


@dataclass
class Fake:
    """A receiver that fails as it is told. ``taken``: when it took what."""

    clock: Callable[[], Instant]
    trouble: Trouble = Trouble.NONE
    taken: list[tuple[Instant, Any]] = field(default_factory=list)

    async def post(self, url: str, body: object, headers: Mapping[str, str]) -> Answer:
        del url, headers
        match self.trouble:
            case Trouble.DOWN:
                raise TryLater("no answer")
            case Trouble.THROTTLED:
                return 429, "slow down", {"retry-after": "7"}
            case Trouble.BROKEN:
                return 500, "rollup_error", NOTHING
            case Trouble.HANGS:
                await anyio.sleep(15)
                raise TryLater("no answer in time")
            case _:
                pass
        answer = self.take(body)
        if self.trouble is Trouble.ANSWERS_LOST:
            raise TryLater("the answer was lost")
        return answer

    def take(self, body: object) -> Answer:
        raise NotImplementedError


class FakeSlack(Fake):
    """An incoming webhook. Says ``ok`` to what Slack would show."""

    @override
    def take(self, body: object) -> Answer:
        assert isinstance(body, dict)
        text = body["text"]
        if not text:
            return 400, "no_text", NOTHING
        if len(text) > 13_000:
            return 400, "msg_blocks_too_long", NOTHING
        self.taken.append((self.clock(), text))
        return 200, "ok", NOTHING


@dataclass
class FakePagerDuty(Fake):
    """Events v2: a trigger opens an incident or adds to an open one; a resolve by another key is dropped."""

    open: dict[str, str] = field(default_factory=dict)
    """By dedup key: the routing key that opened it."""
    opened: list[str] = field(default_factory=list)

    @override
    def take(self, body: object) -> Answer:
        assert isinstance(body, dict)
        fault = _fault(body)
        if fault:
            return 400, json.dumps({"status": "invalid event", "errors": [fault]}), NOTHING
        name = body["dedup_key"]
        if body["event_action"] == "resolve":
            if self.open.get(name) == body["routing_key"]:
                del self.open[name]
        elif name not in self.open:
            self.open[name] = body["routing_key"]
            self.opened.append(name)
        self.taken.append((self.clock(), body))
        return 202, "{}", NOTHING


def _fault(event: Mapping[str, Any]) -> str:
    """What PagerDuty would refuse an event for."""
    if len(json.dumps(event)) > 512_000:
        return "too large"
    if not 0 < len(event["dedup_key"]) <= 255:
        return "dedup_key"
    if len(event["routing_key"]) != 32:
        return "routing_key"
    if event["event_action"] == "resolve":
        return ""
    payload = event.get("payload", {})
    if not 0 < len(payload.get("summary", "")) <= 1_024 or not payload.get("source"):
        return "payload"
    return "" if payload.get("severity") in {"critical", "error", "warning", "info"} else "severity"
