"""The OpenAPI page of the pretend Extensiv. No vendor page of it is public: what is inferred says so."""

from typing import Any

Json = dict[str, Any]

_LISTS = {
    "/v1.1/products": ("Products, bundles and virtual parents included. sku matches substrings.", ("sku",)),
    "/v1/listings": (
        "Listings with their SKU and pushInventory; no quantity.",
        ("salesChannelId", "listingSku", "masterSku"),
    ),
    "/v1/inventory": (
        "Stock rows, one for each SKU and bin; warehouseStockTotals repeats on each.",
        ("sku", "warehouseId"),
    ),
    "/v1/productstocks/total": ("Physical totals by SKU, at most 200 rows a page.", ("sku", "warehouseId")),
    "/v1.1/orders": (
        "Orders, at most 500 a page. status may be joined by commas.",
        ("status", "modifiedDateFrom", "modifiedDateTo", "orderId", "orderNumber", "salesChannelId"),
    ),
    "/v1/shipments": ("Parcels that left, at most 50 a page.", ("orderId", "orderNumber", "warehouseId")),
}
_WHOLE = {"/v1/warehouses": "All warehouses.", "/v1/saleschannels": "All sales channels."}
_WRITES = {
    "/v1.1/inventory/adjust": "Sets on hand absolutely, at most 200 rows. INFERRED: one call in 10 s.",
    "/v1.1/orders": "Changes orders; INFERRED: only fulfillmentSource.warehouseId has an effect here.",
}
_WAIT = {"x-skubana-quota-retryAfter": {"description": "Milliseconds", "schema": {"type": "integer"}}}


def extensiv_openapi() -> Json:
    """An OpenAPI 3.1 description of what this simulator serves."""
    paths: Json = {"/oauth/token": {"post": _token()}}
    for path, (summary, filters) in _LISTS.items():
        paths[path] = {"get": _operation(summary, [*_paging(), *map(_filter, filters)], {"type": "array"})}
    for path, summary in _WHOLE.items():
        paths[path] = {"get": _operation(summary, [], {"type": "array"})}
    for path, summary in _WRITES.items():
        rows = {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}}
        paths.setdefault(path, {})["post"] = {
            **_operation(summary, [], _envelope()),
            "requestBody": {"required": True, **rows},
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Extensiv Order Manager, simulated",
            "version": "1",
            "description": "Rebuilt from what its clients do; the same paths also answer under /service. "
            "Whatever no client or help page shows is marked INFERRED.",
        },
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}],
        "paths": paths,
    }


def _operation(summary: str, parameters: list[Json], schema: Json) -> Json:
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "Lists are bare arrays; the page after the last is empty.",
                "content": {"application/json": {"schema": schema}},
            },
            "400": {"description": "An argument cannot be read. INFERRED: the shape of the answer."},
            "401": {"description": "The token is unknown or expired."},
            "429": {
                "description": "Over the endpoint's limit. INFERRED: 5 a second, totals 10 a second.",
                "headers": _WAIT,
            },
        },
    }


def _paging() -> list[Json]:
    return [
        {"name": name, "in": "query", "schema": {"type": "integer", "minimum": 1}, "description": text}
        for name, text in (("page", "From 1."), ("limit", "INFERRED: clamped to the endpoint's most."))
    ]


def _filter(name: str) -> Json:
    return {"name": name, "in": "query", "schema": {"type": "string"}}


def _envelope() -> Json:
    error = {name: {"type": "string"} for name in ("message", "errorCode", "identifier")}
    return {
        "type": "object",
        "properties": {
            "results": {"type": "array", "items": {"type": "object"}},
            "errors": {
                "type": "array",
                "description": "INFERRED: camelCase. index counts rows from 1.",
                "items": {"type": "object", "properties": {**error, "index": {"type": "integer"}}},
            },
            "message": {"type": "string"},
        },
    }


def _token() -> Json:
    return {
        "summary": "INFERRED: client credentials with expires_in; valid for the simulator's own client only.",
        "security": [],
        "responses": {"200": {"description": "access_token, token_type, expires_in, scope"}},
    }
