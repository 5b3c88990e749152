"""Who we are to the other side: OAuth2 client credentials or a static token, as httpx's own Auth.

One refresh at a time serves all waiting calls; it runs ahead of expiry; a 401 buys one refresh and one replay,
no more: the second is the answer.
"""

import base64
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import anyio
import httpx
import msgspec
from typing_extensions import override

from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.errors import Denied, MalformedReply

AHEAD_S = 60
AHEAD_SHARE = 0.8

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


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float | None = None


class StaticToken(httpx.Auth):
    """A token that does not expire; a 401 is final."""

    def __init__(self, token: Secret, header: TokenHeader | None = None) -> None:
        self._token = token
        self._header = header or TokenHeader()

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        request.headers[self._header.name] = self._header.prefix + self._token.reveal()
        yield request


class ClientCredentials(httpx.Auth):
    """OAuth2 client credentials. ``fetch`` sends the token request, without auth."""

    requires_response_body = False

    def __init__(
        self, ask: TokenRequest, fetch: Fetch, clock: Callable[[], Instant], header: TokenHeader | None = None
    ) -> None:
        self._ask = ask
        self._fetch = fetch
        self._clock = clock
        self._header = header or TokenHeader()
        self._token: Secret | None = None
        self._refresh_at: Instant | None = None
        self._generation = 0
        self._one = anyio.Lock()

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        generation = await self._fresh()
        self._sign(request)
        response = yield request
        if response.status_code != 401:
            return
        await self._refresh(generation)
        self._sign(request)
        yield request

    def _sign(self, request: httpx.Request) -> None:
        assert self._token is not None
        request.headers[self._header.name] = self._header.prefix + self._token.reveal()

    async def _fresh(self) -> int:
        due = self._refresh_at is not None and self._clock() >= self._refresh_at
        if self._token is None or due:
            await self._refresh(self._generation)
        return self._generation

    async def _refresh(self, seen: int) -> None:
        """Ask for a token unless somebody did since generation ``seen``."""
        async with self._one:
            if self._generation != seen:
                return
            token = await self._ask_for_token()
            self._token = Secret(token.access_token)
            self._refresh_at = None
            if token.expires_in is not None:
                life_s = max(token.expires_in - AHEAD_S, token.expires_in * AHEAD_SHARE)
                self._refresh_at = Instant(self._clock() + int(life_s * 1000))
            self._generation += 1

    async def _ask_for_token(self) -> _Token:
        ask = self._ask
        form = {"grant_type": "client_credentials", **ask.form}
        headers = {"Accept": "application/json"}
        if ask.client_auth == "post":
            form |= {"client_id": ask.client_id.reveal(), "client_secret": ask.client_secret.reveal()}
        else:
            pair = f"{ask.client_id.reveal()}:{ask.client_secret.reveal()}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        response = await self._fetch(httpx.Request("POST", ask.url, data=form, headers=headers))
        if response.status_code in {400, 401, 403}:
            raise Denied(
                f"{response.request.url.host} refuses the client credentials (HTTP {response.status_code}); "
                "check client id and secret, and that the app is installed"
            )
        if response.status_code >= 500 or response.status_code == 429:
            raise httpx.RemoteProtocolError(f"token request answered {response.status_code}")
        try:
            return msgspec.json.decode(response.content, type=_Token)
        except msgspec.DecodeError as error:
            raise MalformedReply(f"{ask.url}: the token reply cannot be read ({error})") from error
