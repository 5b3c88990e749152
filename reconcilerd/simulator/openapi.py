"""The OpenAPI page of the pretend Extensiv. No vendor page of it is public: what is inferred says so."""

from typing import Any

_LISTS = {
    "/v1.1/products": "Products, bundles included. Filter sku matches substrings.",
    "/v1/listings": "Listings with their SKU and pushInventory; no quantity.",
    "/v1/inventory": "Stock rows, one for each SKU and bin; warehouseStockTotals repeats on each.",
    "/v1/productstocks/total": "Physical totals by SKU, at most 200 rows a page.",
    "/v1.1/orders": "Orders; filters status (comma joined) and modifiedDateFrom.",
}
_WHOLE = {"/v1/warehouses": "All warehouses.", "/v1/saleschannels": "All sales channels."}


def extensiv_openapi() -> dict[str, Any]:
    """An OpenAPI 3.1 description of what this simulator serves."""
    array = {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}}
    answers = {
        "200": {"description": "A bare array; the page after the last is empty.", **array},
        "401": {"description": "The token is unknown or expired."},
        "429": {
            "description": "Over the endpoint's limit. INFERRED: limits of 5 and 10 a second.",
            "headers": {
                "x-skubana-quota-retryAfter": {"description": "Milliseconds", "schema": {"type": "integer"}}
            },
        },
    }
    paging = [
        {"name": name, "in": "query", "schema": {"type": "integer", "minimum": 1}, "description": text}
        for name, text in (("page", "From 1."), ("limit", "INFERRED: clamped to the endpoint's most."))
    ]
    paths = {
        path: {"get": {"summary": s, "parameters": paging, "responses": answers}}
        for path, s in _LISTS.items()
    }
    paths |= {
        path: {"get": {"summary": s, "parameters": [], "responses": answers}} for path, s in _WHOLE.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Extensiv Order Manager, simulated",
            "version": "1",
            "description": "Rebuilt from what its clients do. Client credentials with expires_in is INFERRED.",
        },
        "paths": paths,
    }
