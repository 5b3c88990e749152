"""One client per outside system: limits, deadline, retries, size; every failure sorted by what to do next.

No redirects, no proxies from the environment, https only except on loopback. Error texts are redacted.
"""

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from random import Random
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode, urlsplit

import anyio
import httpx
import msgspec
import stamina
import structlog
from typing_extensions import override

from reconcilerd import __version__
from reconcilerd.config.secret import redact
from reconcilerd.domain.names import Instant
from reconcilerd.errors import (
    ConfigFault,
    Denied,
    MalformedReply,
    OutcomeUnknown,
    ReconcilerdError,
    Refused,
    TryLater,
    Withheld,
)
from reconcilerd.spans import Span, Tracer, Value, no_spans
from reconcilerd.tally import Histogram
from reconcilerd.transport.lane import MAX_GATE_MS, Lane, Priority
from reconcilerd.transport.library_logs import redact_library_logs
from reconcilerd.transport.progress import SLACK_S, heard, waiting
from reconcilerd.transport.refusals import NOT_LET_IN, NotThere, TurnedAway, error_of
from reconcilerd.transport.replies import Reply, beginning_of, body_of, excerpt_of, retry_after_ms

log = structlog.get_logger("reconcilerd.transport")

EXCERPT = 200
TOKEN_TIMEOUT_S = 30.0
TOKEN_BYTES = 2**20
CLOSE_S = 5.0
DEFAULT_GATE_MS = 1_000
LEAST_GATE_MS = 100
"""So short a wait, or one that is over, is no word on when to ask again: all tries would be spent within a moment."""
MOST_URLS = 64
MOST_OPERATIONS = 64
"""More are counted as one: no mistake of a connector may make their number grow without end."""
COMMON_ANSWERS = (("2xx", ""), ("4xx", "throttled"), ("5xx", "try_later"), ("none", "try_later"))
ERROR_TYPES: Mapping[type[ReconcilerdError], str] = MappingProxyType(
    {
        TryLater: "try_later",
        OutcomeUnknown: "outcome_unknown",
        Denied: "denied",
        Refused: "refused",
        MalformedReply: "malformed_reply",
    }
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``idempotent``: it may be repeated without harm. ``cost`` in tokens of its lane.

    ``withheld``: asked at the last moment before each try, after all waiting; says why it may not leave, if so.
    """

    method: str
    path: str
    lane: str
    priority: Priority
    query: tuple[tuple[str, str], ...] = ()
    json: object | None = None
    cost: float = 1
    idempotent: bool = True
    timeout_s: float = 30.0
    withheld: Callable[[], str | None] | None = None
    operation: str = ""
    """What is counted under: a template like ``/v1/orders`` or a document's name, never a text with ids in it."""

    @property
    def writes(self) -> bool:
        """Whether it may change something on the other side."""
        return self.withheld is not None or not self.idempotent


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often and how long: no try begins later than ``deadline_s`` after the first began to wait.

    Being turned away by a rate limit is no failure, and may happen more often: others may draw on the same limit.

    The jitter's chance is seeded, so that a run can be replayed.
    """

    tries: int = 4
    throttled: int = 16
    base_s: float = 0.5
    cap_s: float = 30.0
    deadline_s: float = 120.0
    seed: int = 0


@dataclass(slots=True)
class Traffic:
    """Counts for status, summaries and metrics."""

    sent: int = 0
    throttled: int = 0
    failed: int = 0
    unanswered: int = 0
    """Tries that got no answer of use: none at all, or a fault of the other side."""
    milliseconds: int = 0
    by_status: dict[int, int] = field(default_factory=dict)
    answers: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Tries by operation, class of status (``2xx``, ... or ``none``) and kind of error (empty: none)."""
    took: dict[str, Histogram] = field(default_factory=dict)
    """Seconds from asking to the end of the answer, or to giving up, by operation."""
    retries: dict[str, int] = field(default_factory=lambda: {"failed": 0, "throttled": 0})

    def expect(self, operations: Iterable[str]) -> None:
        """Begin to count for these: a count that begins with its first event hides that event from rates."""
        for operation in operations:
            self.took.setdefault(operation, Histogram())
            for status, error in COMMON_ANSWERS:
                self.answers.setdefault((operation, status, error), 0)

    def tried(self, operation: str, status: int | None, error: str, ms: int) -> None:
        """Count one try that left."""
        if operation not in self.took and len(self.took) >= MOST_OPERATIONS:
            operation = "other"
        self.took.setdefault(operation, Histogram()).observe(ms / 1000)
        answer = operation, "none" if status is None else f"{status // 100}xx", error
        self.answers[answer] = self.answers.get(answer, 0) + 1


@dataclass(slots=True, eq=False)
class _Seat:
    """One of the few places at the connections, or the wait for it."""

    gate: anyio.CapacityLimiter
    taken: bool = False

    async def take(self) -> None:
        await self.gate.acquire_on_behalf_of(self)
        self.taken = True

    def leave(self) -> None:
        if self.taken:
            self.gate.release_on_behalf_of(self)


class _Again(Exception):
    """This try failed in a way that another may not. ``error`` is what to raise when tries are used up.

    ``harmless``: it was not let in, or did not leave; it had no effect.
    """

    def __init__(
        self, error: TryLater, wait_s: float | None, *, throttled: bool = False, harmless: bool = False
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait_s = wait_s
        self.throttled = throttled
        self.harmless = harmless or throttled


class _Jar(httpx.Cookies):
    """Looks for cookies only in answers that set some: the library goes through every answer's headers for them."""

    @override
    def extract_cookies(self, response: httpx.Response) -> None:
        if "set-cookie" in response.headers:
            super().extract_cookies(response)


class _Http(httpx.AsyncClient):
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._cookies = _Jar()


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
        heard: Callable[[bool], None] = lambda _: None,
        operations: Iterable[str] = (),
        tracer: Tracer = no_spans,
    ) -> None:
        """``heard``: told after each try whether the other side answered. A limit, or a refusal of what was asked, is
        an answer too; that nobody is there who serves it is none.

        ``operations``: those that will be asked for, to count them from the start.
        """
        check_url(name, base_url)
        redact_library_logs()
        self.name = name
        self.traffic = Traffic()
        self.traffic.expect(operations)
        self._tracer = tracer
        self._server = _server_of(base_url)
        self._lanes = {lane.spec.name: lane for lane in lanes}
        self._clock = clock
        self._retry = retry or RetryRule()
        self._chance = Random(self._retry.seed)
        self._gate = anyio.CapacityLimiter(gate)
        self._longest_s = 0.0
        """The longest that any call may take once it has its seat."""
        self._max = max_body_bytes
        self.auth = auth
        self._heard = heard
        self._base = base_url.rstrip("/")
        self._urls: dict[str, httpx.URL] = {}
        self._http = _Http(
            base_url=self._base,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None),
            event_hooks={"request": [_mark_sent]},
            headers={"User-Agent": f"reconcilerd/{__version__}", "Accept": "application/json"},
        )
        self._headers = httpx.Headers(self._http.headers)
        self._headers_json = httpx.Headers(self._http.headers)
        self._headers_json.update(_JSON)

    def lane(self, name: str) -> Lane:
        return self._lanes[name]

    @property
    def lanes(self) -> Mapping[str, Lane]:
        return self._lanes

    async def aclose(self) -> None:
        await self._http.aclose()

    async def fetch(self, request: httpx.Request) -> httpx.Response:
        """Send a token request: no auth, no lane, no retry, bounded. Raises TryLater, MalformedReply."""
        try:
            with anyio.fail_after(TOKEN_TIMEOUT_S):
                response = await self._http.send(request, auth=None, stream=True)
                try:
                    body = await body_of(f"{self.name}: the token request", response, TOKEN_BYTES)
                finally:
                    await _close(response)
        except (httpx.TransportError, TimeoutError) as error:
            text = redact(str(error)) or type(error).__name__
            raise TryLater(f"{self.name}: no token can be had ({text})") from None
        except httpx.HTTPError as error:
            raise MalformedReply(f"{self.name}: the token reply: {redact(str(error))}") from None
        return httpx.Response(response.status_code, content=body, request=request)

    async def send(self, call: Call) -> Reply:
        """Send a call until it succeeds or no try is left.

        Raises TryLater (TurnedAway: it had no effect), OutcomeUnknown (it may have had its effect), Denied, Refused
        (NotThere: whatever it held), Withheld, MalformedReply.
        """

        def again(error: Exception) -> bool | float:
            if not isinstance(error, _Again):
                return False
            tries.append(error)
            alike = sum(each.throttled == error.throttled for each in tries)
            if alike >= (self._retry.throttled if error.throttled else self._retry.tries):
                return False
            wait_s = error.wait_s if error.wait_s is not None else self._pause(len(tries))
            begins_s = anyio.current_time() + max(wait_s, (error.error.after_ms or 0) / 1000)
            if begins_s > began_s + self._retry.deadline_s:
                return False
            log.info(
                "call_failed",
                system=self.name,
                path=call.path,
                tries=len(tries),
                wait_s=round(wait_s, 3),
                why=str(error.error)[:EXCERPT],
            )
            heard(wait_s + SLACK_S)
            return wait_s

        tries: list[_Again] = []
        began_s = anyio.current_time()
        try:
            # Nearly every call succeeds at once: the retries' own bookkeeping begins with the first failure.
            return await self._once(call, 0, 0)
        except _Again as error:
            begun = [error]  # what a try broke with before the bookkeeping knew of it
        try:
            async for attempt in stamina.retry_context(on=again, attempts=None, timeout=None):
                with attempt:
                    for broke in begun[len(tries) :]:
                        raise broke
                    self.traffic.retries["throttled" if tries[-1].throttled else "failed"] += 1
                    in_doubt = sum(not each.harmless for each in tries)
                    return await self._once(call, len(tries), in_doubt)
        except _Again as last:
            self.traffic.failed += 1
            # What the library said is in the text already, redacted; its own exception may hold a header.
            if all(each.harmless for each in tries):
                raise TurnedAway(str(last), tries=len(tries), after_ms=last.error.after_ms) from None
            raise last.error from None
        raise AssertionError("stamina always tries once")

    def _pause(self, tried: int) -> float:
        """Full jitter above half of an exponential backoff."""
        most = min(self._retry.cap_s, self._retry.base_s * 2.0 ** (tried - 1))
        return most * (0.5 + 0.5 * self._chance.random())

    async def _once(self, call: Call, failed: int, in_doubt: int) -> Reply:
        """One try, after ``failed`` others, of which so many may have had their effect."""
        lane, seat = self._lanes[call.lane], _Seat(self._gate)
        takes_s = call.timeout_s + CLOSE_S
        self._longest_s = max(self._longest_s, takes_s)
        try:
            # Tokens of the lane and one of the few places at the connections.
            await lane.acquire(call.priority, call.cost, seat.take, self._seat_s)
            if call.withheld is not None and (why := call.withheld()):
                raise Withheld(why)
            self.traffic.sent += 1
            request = self._request(call)
            name = f"{call.method} {call.operation}".rstrip()
            with waiting(takes_s), self._tracer(name, "client", self._known(call, request, failed)) as span:
                return await self._try(call, lane, request, failed, in_doubt, span)
        except (Refused, Withheld) as error:
            # This try did not leave. That tells nothing of those before.
            if in_doubt and call.writes:
                raise OutcomeUnknown(_after(error, in_doubt)) from None
            raise
        finally:
            seat.leave()

    @property
    def _seat_s(self) -> float:
        """The longest that whoever is next in a lane waits for a seat: others come from each other lane.

        Who has a seat may find the gate of the lane closed again.
        """
        again_s = MAX_GATE_MS / 1000 + max(lane.refill_s for lane in self._lanes.values())
        return ceil(len(self._lanes) / self._gate.total_tokens) * (again_s + self._longest_s)

    async def _try(
        self, call: Call, lane: Lane, request: httpx.Request, failed: int, in_doubt: int, span: Span
    ) -> Reply:
        """Send a request and read its answer; what came of it is counted, whatever it is."""
        asked, status, trouble = self._clock(), None, "cancelled"
        try:
            with _Border(self, call, request, in_doubt):
                with anyio.fail_after(call.timeout_s):
                    response = await self._http.send(request, auth=self.auth, stream=True)
                    status = response.status_code
                    try:
                        if response.is_success:
                            body = await body_of(self._where(call), response, self._max)
                        else:
                            body = await beginning_of(response)
                    finally:
                        await _close(response)
                answered = self._clock()
                self.traffic.milliseconds += answered - asked
                self.traffic.by_status[status] = self.traffic.by_status.get(status, 0) + 1
                span.set("http.response.status_code", status)
                self._sort(call, lane, response, body, failed)
            trouble = ""
        except (_Again, ReconcilerdError) as error:
            throttled = isinstance(error, _Again) and error.throttled
            trouble = _type_of(error)
            span.set("error.type", trouble)
            answered_so = throttled or (
                isinstance(error, Refused | Denied) and not isinstance(error, NotThere)
            )
            self.traffic.unanswered += not answered_so
            self._heard(answered_so)
            raise
        finally:
            self.traffic.tried(call.operation or "other", status, trouble, self._clock() - asked)
        self._heard(True)
        headers = {name.lower(): value for name, value in response.headers.items()}
        set_ms = answered - round(anyio.current_time() * 1000)
        return Reply(status, headers, body, asked, answered, failed, set_ms, in_doubt)

    def _known(self, call: Call, request: httpx.Request, failed: int) -> dict[str, Value]:
        """What is told of a request to whoever traces."""
        if self._tracer is no_spans:
            return {}
        host, port = self._server
        told: dict[str, Value] = {
            "http.request.method": call.method,
            "server.address": host,
            "server.port": port,
            "url.full": redact(str(request.url)),
            "url.template": call.operation or "other",
            "reconcilerd.system": self.name,
        }
        return told | ({"http.request.resend_count": failed} if failed else {})

    def _request(self, call: Call) -> httpx.Request:
        """What ``build_request`` of the library makes of a call, without merging what is always the same."""
        content = None if call.json is None else msgspec.json.encode(call.json)
        if self._http.cookies.jar:
            return self._http.build_request(
                call.method,
                self._url(call.path),
                params=httpx.QueryParams(list(call.query)) if call.query else None,
                content=content,
                headers=_JSON if content is not None else None,
            )
        url = self._url(call.path)
        if call.query:
            url = httpx.URL(f"{url}?{urlencode(call.query)}")
        headers = self._headers if content is None else self._headers_json
        return httpx.Request(
            call.method, url, headers=headers, content=content, extensions=dict(_NO_TIMEOUTS)
        )

    def _url(self, path: str) -> httpx.URL:
        """Where a path is. Reading a URL is a good part of sending a small request, and calls go to few paths."""
        known = self._urls.get(path)
        if known is None:
            known = httpx.URL(f"{self._base}/{path.removeprefix('/')}")
            if len(self._urls) < MOST_URLS:
                self._urls[path] = known
        return known

    def _sort(self, call: Call, lane: Lane, response: httpx.Response, body: bytes, failed: int) -> None:
        """Nothing for a success; else the error that says what to do next."""
        status, where = response.status_code, self._where(call)
        if 200 <= status < 300:
            return
        excerpt = excerpt_of(body, EXCERPT)
        told_ms = retry_after_ms(response.headers, self._clock())
        if told_ms is not None and told_ms < LEAST_GATE_MS:
            told_ms = None
        if status == 429:
            self.traffic.throttled += 1
            wait_ms = told_ms if told_ms is not None else DEFAULT_GATE_MS * 2**failed
            lane.retry_after(wait_ms)
            # The lane's gate does the waiting.
            raise _Again(TryLater(f"{where}: over its rate limit", after_ms=wait_ms), 0.0, throttled=True)
        error = error_of(status, where, excerpt, told_ms)
        if not isinstance(error, TryLater):
            raise error
        harmless = status in NOT_LET_IN
        if call.idempotent or harmless:
            raise _Again(error, None if told_ms is None else told_ms / 1000, harmless=harmless)
        raise OutcomeUnknown(f"{where} answered {status}; whether it had its effect is not known")

    def _where(self, call: Call) -> str:
        return f"{self.name}: {call.method} {call.path}"


_JSON = {"Content-Type": "application/json"}
_NO_TIMEOUTS = {"timeout": httpx.Timeout(None).as_dict()}
"""A call's own deadline is around all of it."""


async def _close(response: httpx.Response) -> None:
    """Give the connection back, unless reading to the end did. Raises nothing of its own."""
    if not response.is_closed:
        # Shielded so that a cancel gives the connection back; bounded so that it cannot hang there.
        with anyio.move_on_after(CLOSE_S, shield=True):
            await response.aclose()


class _Border:
    """Maps what httpx and anyio raise to our errors, in one place."""

    def __init__(self, client: Client, call: Call, request: httpx.Request, in_doubt: int) -> None:
        self._client = client
        self._call = call
        self._request = request
        self._in_doubt = in_doubt

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, TryLater):
            # No token now: the call itself has not left, or was not let in.
            raise _Again(error, None, harmless=True) from None
        if isinstance(error, Denied | Refused | MalformedReply) and self._call.writes and self._in_doubt:
            raise OutcomeUnknown(_after(error, self._in_doubt)) from None
        if error is None or isinstance(error, (ReconcilerdError, _Again)):
            return
        where = self._client._where(self._call)
        text = redact(str(error)) or type(error).__name__
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
            raise _Again(TryLater(f"{where}: cannot be reached ({text})"), None, harmless=True) from None
        if isinstance(error, (httpx.TransportError, TimeoutError)):
            left = bool(self._request.extensions.get(SENT))
            if self._call.idempotent or not left:
                raise _Again(TryLater(f"{where}: {text}"), None, harmless=not left) from None
            raise OutcomeUnknown(f"{where}: {text}; whether it had its effect is not known") from None
        if isinstance(error, httpx.HTTPError):
            raise MalformedReply(f"{where}: {text}") from None


SENT = "reconcilerd.sent"


async def _mark_sent(request: httpx.Request) -> None:
    """Called by httpx when credentials are in hand: from here on a request may have had its effect."""
    request.extensions[SENT] = True


def _after(error: ReconcilerdError, in_doubt: int) -> str:
    return f"{error}, after {in_doubt} tries, of which one may have worked"


def _type_of(error: Exception) -> str:
    """The kind of an error, from a closed set of words."""
    if isinstance(error, _Again):
        return "throttled" if error.throttled else _type_of(error.error)
    return next((word for kind, word in ERROR_TYPES.items() if isinstance(error, kind)), "other")


def _server_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


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
