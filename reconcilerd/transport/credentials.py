"""Who we are to the other side: OAuth2 client credentials or a static token, as httpx's own Auth.

One refresh at a time serves all waiting calls; it runs ahead of expiry, and no trouble with it keeps the token in hand
from being used to its end; a 401 buys one refresh and one replay, no more: the second is the answer.
"""

import base64
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import anyio
import httpx
import msgspec
import structlog
from typing_extensions import override

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.errors import Denied, MalformedReply, ReconcilerdError, Refused, TryLater
from reconcilerd.transport.refusals import NotThere, comes_later
from reconcilerd.transport.replies import passed_over

log = structlog.get_logger("reconcilerd.transport")

AHEAD_S = 60
AHEAD_SHARE = 0.8
EARLY_S = 5.0
"""So long a call waits for the next token while the one in hand is good: less than a call itself may take."""
EARLY_AGAIN_S = 10
"""So long it is left alone after the next one was not had in time, or every call would wait for it."""
LONGEST_LIFE_S = 10 * 365 * 86_400.0

Fetch = Callable[[httpx.Request], Awaitable[httpx.Response]]


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Where and how a token is asked for. ``client_auth``: credentials in the header or in the form."""

    url: str
    client_id: Secret
    client_secret: Secret
    client_auth: Literal["basic", "post"] = "basic"
    form: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """Which header carries the token: ``Authorization: Bearer`` or a vendor's own."""

    name: str = "Authorization"
    prefix: str = "Bearer "

    def put(self, request: httpx.Request, token: Secret) -> None:
        """Sign a request. Raises Denied for a token that a header cannot carry; libraries would quote it."""
        value = token.reveal()
        if not value.isascii() or not value.isprintable():
            raise Denied(
                f"the token for {request.url.host} holds a line break or another character that no header can "
                "carry; store it again without"
            )
        request.headers[self.name] = self.prefix + value


class _Token(msgspec.Struct):
    access_token: str = ""
    expires_in: float | None = None


class _Problem(msgspec.Struct):
    error: str = ""


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FOR_A_WHILE = frozenset({"temporarily_unavailable", "server_error"})
"""What a token server says with a status of refusal, and is none."""


class StaticToken(httpx.Auth):
    """A token that does not expire; a 401 is final."""

    def __init__(self, token: Secret, header: TokenHeader | None = None) -> None:
        self._token = token
        self._header = header or TokenHeader()

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        self._header.put(request, self._token)
        yield request


class ClientCredentials(httpx.Auth):
    """OAuth2 client credentials. ``fetch`` sends the token request, without auth; it raises our own errors.

    A call raises Denied where the credentials are refused, TryLater where no token can be had now.
    """

    requires_response_body = False

    def __init__(
        self, ask: TokenRequest, fetch: Fetch, clock: Callable[[], Instant], header: TokenHeader | None = None
    ) -> None:
        self._ask = ask
        self._fetch = fetch
        self._clock = clock
        self._header = header or TokenHeader()
        self._token: Secret | None = None
        self._before: Secret | None = None
        self._refresh_at: Instant | None = None
        self._ends_at: Instant | None = None
        self._generation = 0
        self.refreshes = {"ok": 0, "refused": 0, "failed": 0}
        """How often a token was asked for, by what came of it."""
        self._one = anyio.Lock()
        self._failures = 0
        self._failed: tuple[type[ReconcilerdError], str] | None = None

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        generation = await self._fresh()
        self._sign(request)
        response = yield request
        if response.status_code != 401:
            return
        await passed_over(response)
        await self._refresh(generation)
        self._sign(request)
        yield request

    @property
    def ends_at(self) -> Instant | None:
        """When the token in hand expires, if it does."""
        return self._ends_at

    def _sign(self, request: httpx.Request) -> None:
        assert self._token is not None
        self._header.put(request, self._token)

    async def _fresh(self) -> int:
        due = self._refresh_at is not None and self._clock() >= self._refresh_at
        if self._token is None or due:
            try:
                await self._refresh(self._generation, early=self._left_ms > 0)
            except ReconcilerdError:
                # Refreshed ahead of time so that a token server may be away, or wrong, for a moment.
                if (left_ms := self._left_ms) <= 0:
                    raise
                again_ms = min(left_ms, EARLY_AGAIN_S * 1000)
                self._refresh_at = Instant(self._clock() + again_ms)
        return self._generation

    @property
    def _left_ms(self) -> int:
        """How long the token in hand is still good, if it has an end."""
        return 0 if self._token is None or self._ends_at is None else self._ends_at - self._clock()

    async def _refresh(self, seen: int, *, early: bool = False) -> None:
        """Ask for a token unless somebody did since generation ``seen``; whoever waited shares the outcome.

        ``early``: the one in hand is still good.
        """
        failures = self._failures
        async with self._one:
            if self._generation != seen:
                return
            if self._failures != failures and self._failed is not None:
                kind, text = self._failed
                raise kind(text)
            try:
                self._keep(await self._asked(EARLY_S if early else None))
                self.refreshes["ok"] += 1
            except ReconcilerdError as error:
                refused = isinstance(error, Denied | Refused)
                self.refreshes["refused" if refused else "failed"] += 1
                self._failures += 1
                self._failed = type(error), str(error)
                if early:
                    # Nobody else tells of it as long as the one in hand serves.
                    say, left_s = log.error if refused else log.warning, self._left_ms // 1000
                    say("token_not_renewed", url=self._ask.url, left_s=left_s, why=str(error)[:300])
                raise

    async def _asked(self, most_s: float | None) -> _Token:
        """A new token within so long."""
        try:
            with anyio.fail_after(most_s):
                return await self._ask_for_token()
        except TimeoutError:
            raise TryLater(f"{self._ask.url}: no token within {most_s or 0:g} s") from None

    def _keep(self, token: _Token) -> None:
        # The one before may still be on its way back in some answer; older ones are not, unless they are these again.
        given = Secret(token.access_token)
        if self._before is not None and self._before not in (self._token, given):
            self._before.forget()
        self._before, self._token = self._token, given
        self._refresh_at = self._ends_at = None
        if token.expires_in is not None:
            expires_s = min(LONGEST_LIFE_S, token.expires_in)
            life_s = max(expires_s - AHEAD_S, expires_s * AHEAD_SHARE)
            self._refresh_at = Instant(self._clock() + int(life_s * 1000))
            self._ends_at = Instant(self._clock() + int(expires_s * 1000))
        self._generation += 1

    async def _ask_for_token(self) -> _Token:
        ask = self._ask
        form = {"grant_type": "client_credentials", **ask.form}
        headers = {"Accept": "application/json"}
        if ask.client_auth == "post":
            form |= {"client_id": ask.client_id.reveal(), "client_secret": ask.client_secret.reveal()}
        else:
            pair = f"{ask.client_id.reveal()}:{ask.client_secret.reveal()}".encode()
            # Known as a secret too, however a library may quote it.
            basic = Secret(base64.b64encode(pair).decode())
            headers["Authorization"] = f"Basic {basic.reveal()}"
        response = await self._fetch(httpx.Request("POST", ask.url, data=form, headers=headers))
        self._refuse(response)
        try:
            # Some servers write the seconds as text.
            token = msgspec.json.decode(response.content, type=_Token, strict=False)
        except _UNREADABLE as error:
            raise MalformedReply(f"{ask.url}: the token reply cannot be read ({error})") from None
        if not token.access_token:
            raise Denied(f"{ask.url}: the token reply holds no access_token; check the app's grant type")
        return token

    def _refuse(self, response: httpx.Response) -> None:
        status, url = response.status_code, self._ask.url
        if comes_later(status) or (status >= 400 and _said(response) in _FOR_A_WHILE):
            raise TryLater(f"{url}: the token request was answered {status}")
        if status in {400, 401, 402, 403}:
            raise Denied(
                f"{url} refuses the client credentials (HTTP {status}); "
                "check client id and secret, and that the app is installed"
            )
        if not 200 <= status < 300:
            raise NotThere(f"{url}: the token request was answered {status}; is token_url right?")


def _said(response: httpx.Response) -> str:
    """The kind of problem that a token server names, if it names one."""
    try:
        return msgspec.json.decode(response.content, type=_Problem).error
    except _UNREADABLE:
        return ""
