"""What both pretend vendors share: tokens that expire, buckets that refill, faults that strike a reply."""

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from random import Random
from urllib.parse import parse_qs
from uuid import UUID

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from reconcilerd.domain.names import Instant, after
from reconcilerd.simulator.faults import (
    MENU,
    NOTHING,
    ConnectionDropped,
    Fault,
    FaultPlan,
    Moment,
    Struck,
)
from reconcilerd.simulator.menu import LASTS_MS
from reconcilerd.simulator.spoil import spoil_reply

CLIENT_ID = "simulator"
CLIENT_SECRET = "simulator-secret"  # noqa: S105 - valid on loopback only, against a pretend business

Clock = Callable[[], Instant]
HANG_S = 40.0
"""Longer than anybody waits for an answer."""
DRIP_S = 8.0
DRIPS = 8
SKEW_MS = 90_000
MOST_KEPT = 512
"""Answers that a system keeps so that it can give them again."""


@dataclass(slots=True)
class Bucket:
    """A token bucket by the clock."""

    rate_per_s: float
    size: float
    clock: Clock
    level: float = field(init=False)
    at: Instant = field(init=False)

    def __post_init__(self) -> None:
        self.level, self.at = self.size, self.clock()

    def refill(self) -> float:
        now = self.clock()
        # A clock that is set back neither gives nor takes.
        self.level = min(self.size, self.level + max(0, now - self.at) / 1000 * self.rate_per_s)
        self.at = now
        return self.level

    def take(self, cost: float = 1) -> float:
        """0 if taken, else how many seconds until it could be."""
        if self.refill() + 1e-9 >= cost:
            self.level -= cost
            return 0.0
        return (cost - self.level) / self.rate_per_s

    def give_back(self, cost: float) -> None:
        """What was reserved and not used."""
        self.level = min(self.size, self.level + cost)


class Tokens:
    """Opaque bearer tokens with an end."""

    def __init__(self, clock: Clock, life_s: int, seed: int) -> None:
        self._clock = clock
        self._life_s = life_s
        self._chance = Random(seed)
        self._ends: dict[str, Instant] = {}

    def issue(self) -> dict[str, object]:
        now = self._clock()
        self._ends = {token: end for token, end in self._ends.items() if end > now}
        token = str(UUID(int=self._chance.getrandbits(128), version=4))
        self._ends[token] = Instant(now + self._life_s * 1000)
        return {"access_token": token, "token_type": "bearer", "expires_in": self._life_s, "scope": "all"}

    def good(self, token: str) -> bool:
        return self._ends.get(token, Instant(0)) > self._clock()

    def revoke_all(self) -> None:
        self._ends.clear()


async def grant(request: Request, tokens: Tokens) -> Response:
    """Answer a client credentials request: the pair in the header, the form or the query."""
    form = {k: v[0] for k, v in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
    form = {**dict(request.query_params), **form}
    pair = (form.get("client_id", ""), form.get("client_secret", ""))
    header = request.headers.get("authorization", "")
    if header.lower().startswith("basic "):
        try:
            name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name, secret = "", ""
        pair = (name, secret)
    if pair != (CLIENT_ID, CLIENT_SECRET):
        return JSONResponse({"error": "invalid_client", "error_description": "unknown client"}, 401)
    if form.get("grant_type") != "client_credentials":
        return JSONResponse({"error": "unsupported_grant_type"}, 400)
    return JSONResponse(tokens.issue())


class CutShort(ConnectionDropped):
    """The server hangs up in the middle of an answer."""

    def __init__(self, response: Response) -> None:
        super().__init__("the connection ended in the middle of an answer")
        self.response = response


Instead = Callable[[Fault], Response]
"""The vendor's own words for a fault that is answered in place of the request."""


@dataclass(slots=True)
class Face:
    """What all answers of one system have in common: its name, its tokens, its clock, what it answered before."""

    name: str
    clock: Clock
    tokens: Tokens
    faults: FaultPlan
    _skew_ms: int = 0
    _skewed_until: Instant = Instant(0)
    _before: dict[str, tuple[Instant, bytes]] = field(default_factory=dict)

    def skew_ms(self) -> int:
        """How far the system's clock is ahead now."""
        return self._skew_ms if self.clock() < self._skewed_until else 0

    def set_clock(self, struck: Struck) -> None:
        """A clock that goes wrong stays so for a while."""
        for fault, ms in ((Fault.CLOCK_AHEAD, SKEW_MS), (Fault.CLOCK_BEHIND, -SKEW_MS)):
            if fault in struck:
                self._skew_ms, self._skewed_until = ms, after(self.clock(), LASTS_MS[fault])

    async def answer(
        self,
        struck: Struck,
        effect: Callable[[], Awaitable[Response]],
        instead: Instead,
        again: str = "",
    ) -> Response:
        """Answer with ``effect``, spoilt by what struck. ``again``: what tells requests with one answer apart."""
        if not struck:
            return self._dated(await effect(), again)
        self.set_clock(struck)
        first = next((each for each in INSTEAD if each in struck), None)
        if first is not None:
            return self._dated(await self._instead(first, instead))
        twice = Fault.DELIVERED_TWICE in struck
        if twice:
            await effect()
        response = spoil_reply(self._dated(await effect(), again, struck), struck)
        if Fault.TIMEOUT_AFTER in struck:
            await anyio.sleep(HANG_S)
        if {Fault.TIMEOUT_AFTER, Fault.DROPPED_AFTER} & struck:
            raise ConnectionDropped
        if Fault.WRONG_LENGTH in struck:
            raise CutShort(response)
        return _dripping(response) if Fault.SLOW_DRIP in struck else response

    async def _instead(self, fault: Fault, instead: Instead) -> Response:
        match fault:
            case Fault.TIMEOUT_BEFORE:
                await anyio.sleep(HANG_S)
                raise ConnectionDropped
            case Fault.DROPPED_BEFORE:
                raise ConnectionDropped
            case Fault.EXPIRED_TOKEN:
                self.tokens.revoke_all()
                return JSONResponse({"error": "invalid_token"}, 401)
            case Fault.SERVER_ERROR:
                return Response("<html>Bad Gateway</html>", 502, media_type="text/html")
            case Fault.SERVER_ERROR_JSON:
                return JSONResponse({"message": "internal error"}, 500)
            case Fault.UNAVAILABLE:
                return JSONResponse({"message": "down for a moment"}, 503, {"Retry-After": "2"})
            case Fault.REDIRECT:
                return Response(b"", 302, {"location": "https://example.com/login"})
            case Fault.LOGIN_PAGE:
                return Response("<!doctype html><title>Sign in</title>", 200, media_type="text/html")
            case _:
                return instead(fault)

    def _dated(self, response: Response, again: str = "", struck: Struck = NOTHING) -> Response:
        """With the date of the system's clock; or, from a replica or a cache, what was answered before."""
        now = self.clock()
        at = Instant(now + self.skew_ms())
        if again and self.faults.repeats:
            before = self._before.get(again)
            if before is None or not {Fault.STALE_READ, Fault.STALE_CACHE} & struck:
                self._keep(again, now, bytes(response.body))
            else:
                headers = {name: text for name, text in response.headers.items() if name != "content-length"}
                response = Response(before[1], response.status_code, headers)
                if Fault.STALE_CACHE in struck:
                    response.headers["age"] = str((now - before[0]) // 1000)
                    at = Instant(at - now + before[0])
        response.headers["date"] = _date(at // 1000)
        return response

    def _keep(self, again: str, now: Instant, body: bytes) -> None:
        self._before[again] = (now, body)
        if len(self._before) > MOST_KEPT:
            del self._before[next(iter(self._before))]


@lru_cache(maxsize=64)
def _date(at_s: int) -> str:
    return formatdate(at_s, usegmt=True)


INSTEAD = tuple(fault for fault, entry in MENU.items() if entry.moment is Moment.INSTEAD)


def _dripping(response: Response) -> Response:
    """The same answer, drop by drop."""
    body = bytes(response.body)
    headers = {name: text for name, text in response.headers.items() if name != "content-length"}

    async def drops() -> AsyncIterator[bytes]:
        size = max(1, -(-len(body) // DRIPS))
        for start in range(0, len(body), size):
            await anyio.sleep(DRIP_S / DRIPS)
            yield body[start : start + size]

    return StreamingResponse(drops(), response.status_code, headers)


def json_response(value: object, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), 200, headers, media_type="application/json")
