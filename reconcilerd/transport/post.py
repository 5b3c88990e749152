"""Plain posts to where alerts go. No retries here: the alert engine keeps what was not delivered."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import anyio
import httpx
import msgspec

from reconcilerd.config.secret import redact
from reconcilerd.errors import TryLater
from reconcilerd.transport.pool import NetworkTransport
from reconcilerd.transport.reach import Guarded
from reconcilerd.transport.replies import body_of

PATIENCE_S = 15.0
MOST_BYTES = 65_536
_NONE: Mapping[str, str] = MappingProxyType({})


class Poster:
    """One client for all receivers; redirects are not followed. ``allowed``: hosts that need not be public."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        transport = NetworkTransport(backend=Guarded(frozenset(allowed)))
        self._http = httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)

    async def post(
        self, url: str, body: object, headers: Mapping[str, str] = _NONE
    ) -> tuple[int, str, Mapping[str, str]]:
        """Post JSON, or bytes as they are: (status, body without secrets, headers by their names in lower case).

        A receiver may quote what it was sent, address and all; whoever keeps a piece of the answer keeps none of it.
        Raises TryLater where nobody answers, MalformedReply for an endless answer.
        """
        host = httpx.URL(url).host
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        try:
            with anyio.fail_after(PATIENCE_S):
                async with self._http.stream(
                    "POST", url, content=content, headers={"content-type": "application/json", **headers}
                ) as reply:
                    raw = await body_of(f"{host}: the answer to an alert", reply, MOST_BYTES)
        except (httpx.HTTPError, TimeoutError) as error:
            text = redact(str(error)) or type(error).__name__
            raise TryLater(f"{host}: no answer to an alert ({text})") from None
        told = {name.lower(): value for name, value in reply.headers.items()}
        return reply.status_code, redact(raw.decode("utf-8", "replace")), told

    async def aclose(self) -> None:
        await self._http.aclose()
