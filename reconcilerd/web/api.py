"""The JSON side of the page, and the OpenAPI document that describes it, made of the very types that are sent."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconcilerd import __version__
from reconcilerd.web.downloads import Download
from reconcilerd.web.sku import NotShown
from reconcilerd.web.views import View, looked, status_of

DESCRIPTION: Final = "/api/v1/openapi.json"
REFUSALS: Final = {
    "403": "It takes another role's token.",
    "404": "It is not known.",
    "503": "It cannot be read now.",
}


def routes(views: Iterable[View], downloads: Iterable[Download] = ()) -> list[Route]:
    """Each view as JSON, and the document, of downloads too."""
    known, tables = list(views), list(downloads)

    async def document(_request: Request) -> Response:
        return _json(described(known, tables))

    return [Route(DESCRIPTION, document), *(Route(view.json, _told(view)) for view in known)]


def _told(view: View) -> Callable[[Request], Awaitable[Response]]:
    async def told(request: Request) -> Response:
        try:
            return _json(await looked(view, request))
        except NotShown as why:
            return _json({"error": {"message": str(why), "exit_code": why.code}}, status_of(why))

    return told


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def described(views: Iterable[View], downloads: Iterable[Download] = ()) -> dict[str, Any]:
    """The OpenAPI document."""
    known = list(views)
    kinds, components = msgspec.json.schema_components(
        [view.kind for view in known], ref_template="#/components/schemas/{name}"
    )
    refusal = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "exit_code"],
                "properties": {"message": {"type": "string"}, "exit_code": {"type": "integer"}},
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "reconcilerd",
            "version": __version__,
            "description": "Read only. Units are whole numbers, ages are seconds, null is unknown and never zero.",
        },
        "paths": {
            view.json.replace(":path}", "}"): {"get": _operation(view, kind)}
            for view, kind in zip(known, kinds, strict=True)
        }
        | {each.path: {"get": _table(each)} for each in downloads},
        "components": {
            "schemas": {**components, "Refusal": refusal},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # None is needed where the configuration names no token.
        "security": [{"token": []}, {}],
    }


def _table(download: Download) -> dict[str, Any]:
    columns = f"{download.says} Columns: {', '.join(download.columns)}."
    return {
        "operationId": f"{download.name}_csv",
        "summary": f"{download.says} For a spreadsheet.",
        "x-role": "read",
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": means,
                "schema": {"type": "string"},
            }
            for name, means in download.parameters.items()
        ],
        "responses": {
            "200": {"description": columns, "content": {"text/csv": {"schema": {"type": "string"}}}}
        },
    }


def _operation(view: View, kind: dict[str, Any]) -> dict[str, Any]:
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    in_path = [name for name in view.parameters if f"{{{name}" in view.page]
    return {
        "operationId": view.name,
        "summary": view.says,
        "x-role": view.role.name.lower(),
        "parameters": [
            {
                "name": name,
                "in": "path" if name in in_path else "query",
                "required": name in in_path,
                "description": means,
                "schema": {"type": "string"},
            }
            for name, means in view.parameters.items()
        ],
        "responses": {
            "200": {"description": view.says, "content": {"application/json": {"schema": kind}}},
            **{status: {"description": why, "content": refusal} for status, why in REFUSALS.items()},
        },
    }
