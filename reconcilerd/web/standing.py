"""``/healthz`` and ``/readyz``: whether the process is alive, and whether it does what it is there for."""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from reconcilerd.daemon.daemon import Daemon
from reconcilerd.domain.names import format_instant
from reconcilerd.domain.policy import Mode
from reconcilerd.web.sources import Sources

HEALTH = "/healthz"


def routes(sources: Sources) -> list[Route]:
    """Both, for the app."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        daemon = sources.daemon
        desk, mode = daemon.desk, daemon.desk.book.policy.limits.mode
        stale = {feed: age // 1000 for feed, age in daemon.health.stale().items()}
        ready = daemon.started.is_set() and not stale and not desk.book.words.breaches
        writes = {name: writes_to(daemon, name) for name in desk.book.policy.channels}
        told = {
            "schema": "reconcilerd.ready/1",
            "at": format_instant(desk.clock()),
            "ready": ready,
            "started": daemon.started.is_set(),
            "invariant_broken": bool(desk.book.words.breaches),
            "stale_s": stale,
            "mode": str(mode),
            "writes": writes,
        }
        return JSONResponse(told, 200 if ready else 503)

    return [Route(HEALTH, healthz), Route("/readyz", readyz)]


def writes_to(daemon: Daemon, channel: str) -> str:
    """Why nothing is written to a channel, or ``on``."""
    observes = daemon.desk.book.policy.limits.mode is Mode.OBSERVE
    return daemon.stopped(channel) or ("mode observe only looks" if observes else "on")
