"""JSON from a server of our own on loopback: the simulator's own pages, outside every limit."""

from typing import Any

import httpx
import msgspec

from reconcilerd.errors import TryLater
from reconcilerd.transport.pool import network_transport


class Fetcher:
    """Gets and posts against one base URL."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url, transport=network_transport(), trust_env=False, timeout=10
        )

    async def get(self, path: str) -> dict[str, Any]:
        """The JSON at ``path``. Raises TryLater if it cannot be had."""
        return await self._send("GET", path)

    async def post(self, path: str) -> dict[str, Any]:
        return await self._send("POST", path)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _send(self, method: str, path: str) -> dict[str, Any]:
        try:
            reply = await self._http.request(method, path)
            return msgspec.json.decode(reply.content, type=dict[str, Any])
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise TryLater(f"{path}: {error}") from error
