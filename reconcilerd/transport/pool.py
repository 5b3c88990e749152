"""Connections: httpx's interface over httpcore2's pool, or an ASGI app in this very process.

httpcore 1.0.9 loses pool slots when requests are cancelled; httpcore2 does not. One TLS context serves all.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpcore2
import httpx
import truststore
from typing_extensions import override

from reconcilerd.transport.library_logs import redact_library_logs

MAX_CONNECTIONS = 6
KEEP_ALIVE_S = 30.0
MOST_BYTES = 64 * 2**20
"""Above every bound that a caller sets."""

_SAME = (
    "ConnectTimeout",
    "ReadTimeout",
    "WriteTimeout",
    "PoolTimeout",
    "ConnectError",
    "ReadError",
    "WriteError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "UnsupportedProtocol",
    "ProxyError",
)

App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]],
    Awaitable[None],
]


@cache
def tls_context() -> ssl.SSLContext:
    """The system's trust, built once: a context costs tens of milliseconds."""
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        name = type(error).__name__
        if isinstance(error, (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError)):
            raise getattr(httpx, name if name in _SAME else "TransportError")(str(error)) from error
        raise


class _Body(httpx.AsyncByteStream):
    """At most MOST_BYTES, as they come: whoever unpacks them has a bound of its own."""

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        with _as_httpx():
            async for part in self._response.aiter_stream():
                size += len(part)
                if size > MOST_BYTES:
                    raise httpx.DecodingError(f"an answer of more than {MOST_BYTES // 2**20} MiB")
                yield part

    @override
    async def aclose(self) -> None:
        await self._response.aclose()


class NetworkTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over a small httpcore2 pool."""

    def __init__(
        self, max_connections: int = MAX_CONNECTIONS, backend: httpcore2.AsyncNetworkBackend | None = None
    ) -> None:
        """``backend``: how connections are made, if not to wherever they are asked for."""
        redact_library_logs()
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=KEEP_ALIVE_S,
            http2=False,
            network_backend=backend,
        )

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        inner = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            response = await self._pool.handle_async_request(inner)
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    @override
    async def aclose(self) -> None:
        await self._pool.aclose()


class InProcessTransport(httpx.AsyncBaseTransport):
    """Calls an ASGI app directly. Whatever the app raises is a dropped connection, as it would be on a wire."""

    def __init__(self, app: App) -> None:
        self._app = app

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked: list[MutableMapping[str, Any]] = [
            {"type": "http.disconnect"},
            {"type": "http.request", "body": await request.aread(), "more_body": False},
        ]
        said: list[MutableMapping[str, Any]] = []

        async def receive() -> Any:
            return asked.pop() if len(asked) > 1 else asked[0]

        async def send(message: MutableMapping[str, Any]) -> None:
            said.append(message)

        try:
            await self._app(_scope(request), receive, send)
        except Exception as error:
            raise httpx.RemoteProtocolError(f"the connection was dropped ({type(error).__name__})") from error
        body = b"".join(each.get("body", b"") for each in said[1:])
        return httpx.Response(
            said[0]["status"], headers=said[0].get("headers", []), stream=httpx.ByteStream(body)
        )


def _scope(request: httpx.Request) -> dict[str, Any]:
    """A request as an ASGI app is told of it."""
    url = request.url
    path, _, query = url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": path,
        "query_string": query,
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 123),
        "root_path": "",
    }


def network_transport() -> httpx.AsyncBaseTransport:
    return NetworkTransport()


def in_process_transport(app: App) -> httpx.AsyncBaseTransport:
    return InProcessTransport(app)
