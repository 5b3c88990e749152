"""Plain posts of JSON to where alerts go. No retries here: the alert router keeps what was not delivered."""

import anyio
import httpx

from reconcilerd.transport.pool import network_transport

PATIENCE_S = 15.0


class Poster:
    """One client for all receivers; redirects are not followed."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(transport=network_transport(), trust_env=False, follow_redirects=False)

    async def post(self, url: str, body: object) -> tuple[int, str]:
        """(status, body). Raises what the network raises."""
        with anyio.fail_after(PATIENCE_S):
            reply = await self._http.post(url, json=body)
        return reply.status_code, reply.text

    async def aclose(self) -> None:
        await self._http.aclose()
