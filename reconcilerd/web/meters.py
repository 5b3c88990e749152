"""Where metrics are asked for: ``/metrics``, and the control socket for a node_exporter's textfile.

What writes them down is imported with the first question, what serves pages with the app: who has neither does not
carry them in memory.
"""

from typing import TYPE_CHECKING, Any

from reconcilerd.daemon.answers import Handler
from reconcilerd.web.sources import Sources

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Route


def routes(sources: Sources) -> "list[Route]":
    """``/metrics``, for the app."""
    from starlette.responses import Response
    from starlette.routing import Route

    async def metrics(_request: "Request") -> Response:
        from reconcilerd.web.exposition import CONTENT_TYPE, text

        return Response(await text(sources), media_type=CONTENT_TYPE)

    return [Route("/metrics", metrics)]


def on_socket(sources: Sources) -> Handler:
    """The same for the control socket: ``{"op": "metrics"}``."""

    async def metrics(_request: dict[str, Any], _by: str) -> dict[str, Any]:
        from reconcilerd.web.exposition import text

        return {"schema": "reconcilerd.metrics/1", "text": (await text(sources)).decode(), "exit_code": 0}

    return metrics
