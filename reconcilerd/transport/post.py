"""Plain posts of JSON to where alerts go. No retries here: the alert router keeps what was not delivered."""

import anyio
import httpx

from reconcilerd.config.secret import redact
from reconcilerd.errors import TryLater
from reconcilerd.transport.pool import network_transport
from reconcilerd.transport.replies import body_of

PATIENCE_S = 15.0
MOST_BYTES = 65_536


class Poster:
    """One client for all receivers; redirects are not followed."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(transport=network_transport(), trust_env=False, follow_redirects=False)

    async def post(self, url: str, body: object) -> tuple[int, str]:
        """(status, body). Raises TryLater where nobody answers, MalformedReply for an endless answer."""
        host = httpx.URL(url).host
        try:
            with anyio.fail_after(PATIENCE_S):
                async with self._http.stream("POST", url, json=body) as reply:
                    raw = await body_of(f"{host}: the answer to an alert", reply, MOST_BYTES)
        except (httpx.HTTPError, TimeoutError) as error:
            text = redact(str(error)) or type(error).__name__
            raise TryLater(f"{host}: no answer to an alert ({text})") from None
        return reply.status_code, raw.decode("utf-8", "replace")

    async def aclose(self) -> None:
        await self._http.aclose()
