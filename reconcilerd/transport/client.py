"""One client per outside system: limits, deadline, retries, size; every failure sorted by what to do next.

No redirects, no proxies from the environment, https only except on loopback. Error texts are redacted.
"""

import ipaddress
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from random import Random
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
import httpx
import msgspec
import stamina

from reconcilerd import __version__
from reconcilerd.config.secret import redact
from reconcilerd.domain.names import Instant, instant_of
from reconcilerd.errors import (
    ConfigFault,
    Denied,
    MalformedReply,
    OutcomeUnknown,
    ReconcilerdError,
    Refused,
    TryLater,
)
from reconcilerd.transport.lane import Lane, Priority

T = TypeVar("T")
EXCERPT = 200
DEFAULT_GATE_MS = 1_000


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``idempotent``: it may be repeated without harm. ``cost`` in tokens of its lane."""

    method: str
    path: str
    lane: str
    priority: Priority
    query: tuple[tuple[str, str], ...] = ()
    json: object | None = None
    cost: float = 1
    idempotent: bool = True
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of status 2xx. Header names in lower case; ``asked_at`` before it left."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked_at: Instant
    answered_at: Instant


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often and how long. The jitter's chance is seeded, so that a run can be replayed."""

    tries: int = 4
    base_s: float = 0.5
    cap_s: float = 30.0
    seed: int = 0


@dataclass(slots=True)
class Traffic:
    """Counts for status and summaries."""

    sent: int = 0
    throttled: int = 0
    failed: int = 0
    milliseconds: int = 0
    by_status: dict[int, int] = field(default_factory=dict)


class _Again(Exception):
    """This try failed in a way that another may not. ``error`` is what to raise when tries are used up."""

    def __init__(self, error: ReconcilerdError, wait_s: float | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait_s = wait_s


class Client:
    """Sends calls to one system through its lanes."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        transport: httpx.AsyncBaseTransport,
        auth: httpx.Auth | None,
        lanes: Sequence[Lane],
        clock: Callable[[], Instant],
        retry: RetryRule | None = None,
        gate: int = 4,
        max_body_bytes: int = 32 * 2**20,
    ) -> None:
        check_url(name, base_url)
        self.name = name
        self.traffic = Traffic()
        self._lanes = {lane.spec.name: lane for lane in lanes}
        self._clock = clock
        self._retry = retry or RetryRule()
        self._chance = Random(self._retry.seed)
        self._gate = anyio.CapacityLimiter(gate)
        self._max = max_body_bytes
        self._auth = auth
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None),
            headers={"User-Agent": f"reconcilerd/{__version__}", "Accept": "application/json"},
        )

    def lane(self, name: str) -> Lane:
        return self._lanes[name]

    async def aclose(self) -> None:
        await self._http.aclose()

    async def fetch(self, request: httpx.Request) -> httpx.Response:
        """Send a token request: no auth, no lane, no retry; at most 30 s."""
        with anyio.fail_after(30):
            return await self._http.send(request, auth=None)

    async def send(self, call: Call) -> Reply:
        """Send a call until it succeeds or no try is left.

        Raises TryLater, OutcomeUnknown (it may have had its effect), Denied, Refused, MalformedReply.
        """

        def again(error: Exception) -> bool | float:
            if not isinstance(error, _Again):
                return False
            tries.append(error)
            return error.wait_s if error.wait_s is not None else self._pause(len(tries))

        tries: list[_Again] = []
        try:
            async for attempt in stamina.retry_context(on=again, attempts=self._retry.tries, timeout=None):
                with attempt:
                    return await self._once(call)
        except _Again as last:
            self.traffic.failed += 1
            raise last.error from last.error.__cause__
        raise AssertionError("stamina always tries once")

    def _pause(self, tried: int) -> float:
        """Full jitter above half of an exponential backoff."""
        most = min(self._retry.cap_s, self._retry.base_s * 2.0 ** (tried - 1))
        return most * (0.5 + 0.5 * self._chance.random())

    async def _once(self, call: Call) -> Reply:
        lane = self._lanes[call.lane]
        await lane.acquire(call.priority, call.cost)
        async with self._gate:
            asked = self._clock()
            self.traffic.sent += 1
            with self._border(call):
                with anyio.fail_after(call.timeout_s):
                    async with self._stream(call) as response:
                        body = await self._body(call, response)
                answered = self._clock()
                self.traffic.milliseconds += answered - asked
                self.traffic.by_status[response.status_code] = (
                    self.traffic.by_status.get(response.status_code, 0) + 1
                )
                self._sort(call, lane, response, body)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, headers, body, asked, answered)

    @asynccontextmanager
    async def _stream(self, call: Call) -> AsyncIterator[httpx.Response]:
        content = None if call.json is None else msgspec.json.encode(call.json)
        headers = {"Content-Type": "application/json"} if content is not None else {}
        request = self._http.build_request(
            call.method,
            call.path,
            params=httpx.QueryParams(list(call.query)),
            content=content,
            headers=headers,
        )
        response = await self._http.send(request, auth=self._auth, stream=True)
        try:
            yield response
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _body(self, call: Call, response: httpx.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > self._max:
                raise MalformedReply(
                    f"{self._where(call)} answered more than {self._max // 2**20} MiB; the rest was not read"
                )
            parts.append(part)
        return b"".join(parts)

    def _border(self, call: Call) -> "_Border":
        return _Border(self, call)

    def _sort(self, call: Call, lane: Lane, response: httpx.Response, body: bytes) -> None:
        """Nothing for a success; else the error that says what to do next."""
        status, where = response.status_code, self._where(call)
        excerpt = redact(body[:EXCERPT].decode("utf-8", "replace")).strip()
        if 200 <= status < 300:
            return
        if status == 429:
            self.traffic.throttled += 1
            wait_ms = retry_after_ms(response.headers, self._clock())
            lane.retry_after(wait_ms if wait_ms is not None else DEFAULT_GATE_MS)
            error = TryLater(f"{where}: over its rate limit", after_ms=wait_ms)
            raise _Again(error, 0.0 if wait_ms is not None else None)
        if status >= 500:
            if call.idempotent:
                raise _Again(TryLater(f"{where} answered {status}: {excerpt}"), None)
            raise OutcomeUnknown(f"{where} answered {status}; whether it had its effect is not known")
        if status in {401, 403}:
            raise Denied(f"{where} answered {status}: credentials refused or lacking a permission. {excerpt}")
        if 300 <= status < 400:
            raise Refused(
                f"{where} redirects ({status}), and redirects are not followed; correct the base URL"
            )
        raise Refused(f"{where} answered {status}: {excerpt}")

    def _where(self, call: Call) -> str:
        return f"{self.name}: {call.method} {call.path}"


class _Border:
    """Maps what httpx and anyio raise to our errors, in one place."""

    def __init__(self, client: Client, call: Call) -> None:
        self._client = client
        self._call = call

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, (ReconcilerdError, _Again)):
            return
        where = self._client._where(self._call)
        text = redact(str(error)) or type(error).__name__
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
            raise _Again(TryLater(f"{where}: cannot be reached ({text})"), None) from error
        if isinstance(error, (httpx.TransportError, TimeoutError)):
            if self._call.idempotent:
                raise _Again(TryLater(f"{where}: {text}"), None) from error
            raise OutcomeUnknown(f"{where}: {text}; whether it had its effect is not known") from error
        if isinstance(error, httpx.HTTPError):
            raise MalformedReply(f"{where}: {text}") from error


def json_of(reply: Reply, shape: type[T], where: str) -> T:
    """The body as ``shape``. Raises MalformedReply that names the place in it."""
    if not reply.body.strip():
        raise MalformedReply(f"{where}: an empty reply where JSON was expected")
    if reply.body.lstrip()[:1] == b"<":
        raise MalformedReply(f"{where}: HTML instead of JSON; is the base URL that of the API?")
    try:
        return msgspec.json.decode(reply.body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedReply(f"{where}: {redact(str(error))}") from error


def retry_after_ms(headers: Mapping[str, str], now: Instant) -> int | None:
    """When the other side may be asked again: Extensiv's header in milliseconds, else Retry-After."""
    quota = headers.get("x-skubana-quota-retryafter")
    if quota is not None and quota.strip().isdigit():
        return int(quota)
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0, round(float(text) * 1000))
    except ValueError:
        pass
    try:
        return max(0, instant_of(parsedate_to_datetime(text)) - now)
    except (TypeError, ValueError):
        return None


def check_url(name: str, url: str) -> None:
    """Refuse what would send credentials in the clear. Raises ConfigFault."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigFault((f"{name}: the base URL holds credentials; take them out",))
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)):
        return
    raise ConfigFault(
        (f"{name}: {parts.scheme}://{parts.hostname} is refused: https only, http on loopback",)
    )


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine by its address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
