"""The status page: what the views of this room say, as HTML. Works without scripts; nothing on it changes anything."""

from collections.abc import Awaitable, Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from reconcilerd.daemon.answers import Answers
from reconcilerd.domain.facts import EXTENSIV
from reconcilerd.web.chart import HEIGHT, WIDTH
from reconcilerd.web.drifts import drift_page
from reconcilerd.web.heard import alerts_page
from reconcilerd.web.lists import mapping_page, orders_page, passes_page
from reconcilerd.web.overview import overview
from reconcilerd.web.sku import NotShown, Past, sku_page
from reconcilerd.web.sources import Sources
from reconcilerd.web.systems import system_page

if TYPE_CHECKING:
    from jinja2 import Environment

HERE: Final = Path(__file__).parent
STATIC: Final = {"page.css": "text/css", "refresh.js": "text/javascript"}
"""What pages load, and its type."""
REFRESH_S: Final = 15
"""Seconds between two looks of a page that is left open."""

Handler = Callable[[Request], Awaitable[Response]]


def routes(sources: Sources, answers: Answers, past: Past) -> list[Route]:
    """Every page, for the app. ``past``: what the ledger holds, read beside the loop."""

    async def first(_request: Request) -> Response:
        return await shown("overview.html", it=await overview(sources))

    async def sku(request: Request) -> Response:
        name = request.path_params["sku"]
        try:
            it = await sku_page(answers, past, name, sources.daemon.desk.clock())
        except NotShown as why:
            return await shown("refusal.html", 404 if why.code == 6 else 503, title=name, why=str(why))
        return await shown("sku.html", it=it, width=WIDTH, height=HEIGHT)

    async def drift(request: Request) -> Response:
        channel = request.query_params.get("channel", "")
        if channel and channel not in sources.daemon.desk.book.policy.channels:
            return await _not_found(f"there is no channel {channel}")
        return await shown("drift.html", it=await drift_page(sources.daemon, channel))

    async def alerts(_request: Request) -> Response:
        return await shown("alerts.html", it=alerts_page(sources.alerts))

    async def mapping(_request: Request) -> Response:
        return await shown("mapping.html", it=await mapping_page(sources.daemon))

    async def orders(_request: Request) -> Response:
        return await shown("orders.html", it=await orders_page(sources.daemon))

    async def passes(_request: Request) -> Response:
        return await shown("passes.html", it=await passes_page(past))

    async def system(request: Request) -> Response:
        name = request.path_params["system"]
        if name not in {EXTENSIV, *sources.daemon.desk.book.policy.channels}:
            return await _not_found(f"there is no channel {name}")
        return await shown("system.html", it=await system_page(sources, name))

    return [
        Route("/", first),
        Route("/drift", drift),
        Route("/alerts", alerts),
        Route("/mapping", mapping),
        Route("/orders", orders),
        Route("/passes", passes),
        Route("/channels/{system}", system),
        Route("/sku", _search),
        Route("/sku/{sku:path}", sku),
        Route("/static/{name}", _static),
    ]


async def _search(request: Request) -> Response:
    """What the search form asks for has an address of its own."""
    wanted = request.query_params.get("sku", "").strip()
    return RedirectResponse(f"/sku/{quote(wanted, safe='')}" if wanted else "/", 303)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return await _not_found("there is no such file")
    # Read while somebody waits: it is small, and a page that is never opened keeps nothing in memory.
    text = await to_thread.run_sync((HERE / "static" / name).read_bytes)
    return Response(text, media_type=STATIC[name])


async def _not_found(why: str) -> Response:
    return await shown("refusal.html", 404, title="Not found", why=why)


async def shown(template: str, status: int = 200, **values: Any) -> Response:
    """A template with its values. The templates are read on a thread, once."""
    made = await to_thread.run_sync(_templates)
    return HTMLResponse(made.get_template(template).render(refresh_s=REFRESH_S, **values), status)


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"age": age, "number": number, "address": partial(quote, safe="")}
    for name in made.list_templates():
        made.get_template(name)
    return made


def age(seconds: int | None) -> str:
    """``42 s``, ``7 min``, ``3 h``, ``2 d``; None was never read."""
    if seconds is None:
        return "never"
    for size, unit, below in ((1, "s", 120), (60, "min", 120 * 60), (3_600, "h", 48 * 3_600)):
        if seconds < below:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86_400} d"


def number(value: int | None) -> str:
    """``12,345``; what is unknown is ``?``, never 0."""
    return "?" if value is None else f"{value:,}"
