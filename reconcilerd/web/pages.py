"""The status page: what the views of this room say, as HTML. Works without scripts; nothing on it changes anything."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from reconcilerd.domain.visible import LINES, visible
from reconcilerd.web.app import role_in, session_of
from reconcilerd.web.chart import HEIGHT, WIDTH
from reconcilerd.web.roles import Role
from reconcilerd.web.sku import NotShown
from reconcilerd.web.views import View, looked, status_of

if TYPE_CHECKING:
    from jinja2 import Environment

HERE: Final = Path(__file__).parent
STATIC: Final = {"page.css": "text/css", "refresh.js": "text/javascript"}
"""What pages load, and its type."""
REFRESH_S: Final = 15
"""Seconds between two looks of a page that is left open."""

Handler = Callable[[Request], Awaitable[Response]]


def routes(views: Iterable[View]) -> list[Route]:
    """Every page, for the app."""
    return [
        *(Route(view.page, _page(view)) for view in views),
        Route("/sku", _search),
        Route("/static/{name}", _static),
    ]


def _page(view: View) -> Handler:
    async def page(request: Request) -> Response:
        try:
            return await shown(request, f"{view.name}.html", it=await looked(view, request))
        except NotShown as why:
            return await shown(request, "refusal.html", status_of(why), title="Not shown", why=str(why))

    return page


async def _search(request: Request) -> Response:
    """What the search form asks for has an address of its own."""
    wanted = request.query_params.get("sku", "").strip()
    return RedirectResponse(f"/sku/{quote(wanted, safe='')}" if wanted else "/", 303)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return await shown(request, "refusal.html", 404, title="Not shown", why="there is no such file")
    # Read while somebody waits: it is small, and a page that is never opened keeps nothing in memory.
    text = await to_thread.run_sync((HERE / "static" / name).read_bytes)
    return Response(text, media_type=STATIC[name])


async def shown(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A template with its values, for who asks. The templates are read on a thread, once."""
    read = _templates.cache_info().currsize
    made = _templates() if read else await to_thread.run_sync(_templates)
    role, session = role_in(request), bool(session_of(request))
    text = made.get_template(template).render(
        refresh_s=REFRESH_S, role=role, session=role is not None and session, **values
    )
    return HTMLResponse(text, status)


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
        finalize=_shown,
    )
    made.filters |= {"age": age, "number": number, "labelled": labelled, "address": partial(quote, safe="")}
    made.globals |= {"width": WIDTH, "height": HEIGHT, "roles": Role}
    for name in made.list_templates():
        made.get_template(name)
    return made


def _shown(value: object) -> object:
    """What a template puts on a page. Escaping leaves marks that turn or hide what is beside them; this leaves none."""
    return visible(value, LINES) if type(value) is str else value


def age(seconds: int | None) -> str:
    """``42 s``, ``7 min``, ``3 h``, ``2 d``; None was never read."""
    if seconds is None:
        return "never"
    for size, unit, below in ((1, "s", 120), (60, "min", 120 * 60), (3_600, "h", 48 * 3_600)):
        if seconds < below:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86_400} d"


def labelled(rows: str, heads: Sequence[tuple[str, bool]]) -> str:
    """Rows of a table whose cells say of what column they are: a phone has no room for a line of heads.

    ``rows`` is markup, in which what others wrote is escaped; the heads are ours.
    """
    made = []
    for row in str(rows).split("<tr>"):
        first, *cells = row.split("<td")
        names = (name for name, _ in heads[1:])
        made.append(
            first + "".join(f'<td data-label="{n}"{cell}' for n, cell in zip(names, cells, strict=False))
        )
    return "<tr>".join(made)


def number(value: int | None) -> str:
    """``12,345``; what is unknown is ``?``, never 0."""
    return "?" if value is None else f"{value:,}"
