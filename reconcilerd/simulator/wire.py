"""What both pretend vendors share: tokens that expire, buckets that refill, faults that strike a reply."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from urllib.parse import parse_qs
from uuid import UUID

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reconcilerd.domain.names import Instant
from reconcilerd.simulator.faults import ConnectionDropped, Fault

CLIENT_ID = "simulator"
CLIENT_SECRET = "simulator-secret"  # noqa: S105 - valid on loopback only, against a pretend business

Clock = Callable[[], Instant]
HANG_S = 40.0

READ_FAULTS = frozenset(
    {
        Fault.TOO_MANY,
        Fault.SERVER_ERROR,
        Fault.TIMEOUT_BEFORE,
        Fault.DROPPED_BEFORE,
        Fault.TRUNCATED,
        Fault.EMPTY,
        Fault.EXPIRED_TOKEN,
    }
)
LIST_FAULTS = READ_FAULTS | {Fault.MISSING_PAGE, Fault.SHIFTED_ROWS, Fault.HALF_A_PAGE}
WRITE_FAULTS = (READ_FAULTS - {Fault.EMPTY}) | {Fault.TIMEOUT_AFTER, Fault.DROPPED_AFTER, Fault.NOT_APPLIED}


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


async def strike(
    fault: Fault | None,
    tokens: Tokens,
    effect: Callable[[], Awaitable[Response]],
    too_many: Callable[[], Response],
) -> Response:
    """Answer with ``effect``, spoilt by ``fault``."""
    match fault:
        case Fault.TOO_MANY:
            return too_many()
        case Fault.SERVER_ERROR:
            return Response("<html>Bad Gateway</html>", 502, media_type="text/html")
        case Fault.TIMEOUT_BEFORE:
            await anyio.sleep(HANG_S)
            raise ConnectionDropped
        case Fault.DROPPED_BEFORE:
            raise ConnectionDropped
        case Fault.EXPIRED_TOKEN:
            tokens.revoke_all()
            return JSONResponse({"error": "invalid_token"}, 401)
        case Fault.EMPTY:
            return Response(b"", 200, media_type="application/json")
        case _:
            pass
    response = await effect()
    match fault:
        case Fault.TIMEOUT_AFTER:
            await anyio.sleep(HANG_S)
            raise ConnectionDropped
        case Fault.DROPPED_AFTER:
            raise ConnectionDropped
        case Fault.TRUNCATED:
            return Response(bytes(response.body)[:-7], 200, media_type="application/json")
        case _:
            return response


def json_response(value: object, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), 200, headers, media_type="application/json")
