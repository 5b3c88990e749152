"""Extensiv Order Manager as an ASGI app over the truth: bare arrays, substring filters, limits per endpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from reconcilerd.domain.names import Instant, format_instant, parse_instant
from reconcilerd.simulator.extensiv_writes import ADJUST_EVERY_S, adjust, reroute
from reconcilerd.simulator.faults import NOTHING, Ask, Fault, FaultPlan, Struck
from reconcilerd.simulator.openapi import extensiv_openapi
from reconcilerd.simulator.spoil import page_of, shifted
from reconcilerd.simulator.stores import Bin, Order
from reconcilerd.simulator.truth import TYPED_IN, World
from reconcilerd.simulator.wire import Bucket, Clock, Face, Tokens, grant, json_response

Row = dict[str, Any]
SHIPPED = "SHIPPED"
MOST: dict[str, int] = {"totals": 200, "orders": 500, "listings": 500, "shipments": 50}
WHOLE = frozenset({"v1/warehouses", "v1/saleschannels"})
"""Answered in one piece, so no fault of paging can befall them."""
FOR_EVER_MS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """A long list of which only the asked page is ever made."""

    of: Sequence[Any]
    make: Callable[[Any], Row]

    def __getitem__(self, part: slice) -> list[Row]:
        return [self.make(each) for each in self.of[part]]


class ExtensivApi:
    """The vendor's side of the world. ``traffic`` counts what it was asked, by endpoint."""

    def __init__(
        self,
        world: World,
        clock: Clock,
        faults: FaultPlan,
        *,
        token_life_s: int = 300,
        rate_scale: float = 1.0,
    ) -> None:
        self.world = world
        self.tokens = Tokens(clock, token_life_s, world.config.seed)
        self.face = Face("extensiv", clock, self.tokens, faults)
        self.sent = 0
        self.throttled = 0
        self._clock = clock
        self._faults = faults
        self._buckets = {
            "read": Bucket(5 * rate_scale, 5, clock),
            "totals": Bucket(10 * rate_scale, 10, clock),
            "adjust": Bucket(rate_scale / ADJUST_EVERY_S, 1, clock),
        }

    def app(self) -> Router:
        lists: list[tuple[str, str, Callable[[Request], list[Row] | Rows]]] = [
            # Routes are tried in turn: what is asked for most comes first.
            ("v1.1/orders", "read", self._orders),
            ("v1/inventory", "read", self._inventory),
            ("v1.1/products", "read", self._products),
            ("v1/listings", "read", self._listings),
            ("v1/productstocks/total", "totals", self._totals),
            ("v1/warehouses", "read", self._warehouses),
            ("v1/saleschannels", "read", self._channels),
            ("v1/shipments", "read", self._shipments),
        ]
        writes: list[tuple[str, str, Callable[[World, bytes, Instant], Row]]] = [
            ("v1.1/inventory/adjust", "adjust", adjust),
            ("v1.1/orders", "read", reroute),
        ]
        routes = [Route("/oauth/token", self._token, methods=["GET", "POST"])]
        routes += [
            Route(prefix + path, self._endpoint(path, lane, rows), methods=["GET"])
            for path, lane, rows in lists
            for prefix in ("/", "/service/")
        ]
        routes += [
            Route(prefix + path, self._write_endpoint(path, lane, apply), methods=["POST"])
            for path, lane, apply in writes
            for prefix in ("/", "/service/")
        ]
        routes.append(Route("/openapi.json", self._openapi))
        return Router(routes=routes)

    async def _token(self, request: Request) -> Response:
        return await grant(request, self.tokens)

    async def _openapi(self, _request: Request) -> Response:
        return json_response(extensiv_openapi())

    def _endpoint(
        self, path: str, lane: str, rows: Callable[[Request], list[Row] | Rows]
    ) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            now = self._clock()
            refusal = self._admit(request, lane, now)
            if refusal is not None:
                return refusal
            try:
                found = rows(request)
                limit, number = _number(request, "limit", 100), _number(request, "page", 1)
            except ValueError as error:
                return _bad_request(error)
            whole = path in WHOLE
            struck = self._faults.pick("extensiv", Ask.WHOLE if whole else Ask.LIST, now, path)
            chance = self._faults.details("extensiv") if struck else None

            async def effect() -> Response:
                page = found if whole else _page(found, limit, number, path, struck, chance)
                return json_response(shifted(page, self.face.skew_ms()))

            return await self.face.answer(struck, effect, self._instead, _again(request))

        return endpoint

    def _write_endpoint(
        self, path: str, lane: str, apply: Callable[[World, bytes, Instant], Row]
    ) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            now = self._clock()
            refusal = self._admit(request, lane, now)
            if refusal is not None:
                return refusal
            body = await request.body()
            struck = self._faults.pick("extensiv", Ask.POST, now, path)

            async def effect() -> Response:
                try:
                    return json_response(apply(self.world, body, self._clock()))
                except (msgspec.DecodeError, ValueError) as error:
                    return _bad_request(error)

            return await self.face.answer(struck, effect, self._instead)

        return endpoint

    def _admit(self, request: Request, lane: str, now: Instant) -> Response | None:
        """Why a request is not let in, if it is not."""
        self.world.advance(now)
        self.sent += 1
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.tokens.good(token):
            return JSONResponse({"error": "invalid_token", "error_description": "expired or unknown"}, 401)
        wait_s = self._buckets[lane].take()
        return self._too_many(wait_s) if wait_s else None

    def _too_many(self, wait_s: float) -> Response:
        self.throttled += 1
        wait_ms = str(int(wait_s * 1000) + 1)
        return JSONResponse({"message": "quota exceeded"}, 429, {"x-skubana-quota-retryAfter": wait_ms})

    def _instead(self, fault: Fault) -> Response:
        """A 429 in the vendor's own way: the wait stands in a header of its own, in milliseconds."""
        self.throttled += 1
        waits: dict[Fault, str] = {
            Fault.TOO_MANY: "1000",
            Fault.TOO_MANY_BAD_WAIT: "soon",
            Fault.TOO_MANY_FOR_EVER: str(FOR_EVER_MS),
        }
        headers = {"x-skubana-quota-retryAfter": waits[fault]} if fault in waits else {}
        return JSONResponse({"message": "quota exceeded"}, 429, headers)

    def _ref(self, sku: str) -> Row:
        product = self.world.products[sku]
        return {
            "productId": product.id,
            "masterSku": sku,
            "name": product.name,
            "productType": self._type(sku),
        }

    def _type(self, sku: str) -> str:
        product = self.world.products[sku]
        return (
            "BUNDLE_KIT" if product.components else "VIRTUAL_PRODUCT" if product.virtual else "CORE_PRODUCT"
        )

    def _products(self, request: Request) -> list[Row]:
        return [
            {
                **self._ref(product.sku),
                "type": self._type(product.sku),
                "bundle": bool(product.components),
                "bundledItems": [
                    {"bundleItemId": i, "bundledProductQuantity": n, "bundledProduct": self._ref(sku)}
                    for i, (sku, n) in enumerate(product.components, 1)
                ],
                "active": True,
                "createdDate": "2010-01-01T00:00:00Z",
                "modifiedDate": "2010-01-01T00:00:00Z",
            }
            for product in self.world.products.values()
            if _fits(request, product.sku)
        ]

    def _listings(self, request: Request) -> list[Row]:
        return [
            {
                "listingId": item.listing_id,
                "listingSku": item.listing_sku,
                "masterSku": item.sku,
                "productId": self.world.products[item.sku].id,
                "salesChannelId": store.sales_channel_id,
                "active": True,
                "pushInventory": item.push,
                "created": "2010-01-01T00:00:00Z",
                "lastModified": "2010-01-01T00:00:00Z",
            }
            for store in self.world.stores.values()
            for item in store.items.values()
            if _is(request, "salesChannelId", store.sales_channel_id)
            and _is(request, "listingSku", item.listing_sku)
            and _is(request, "masterSku", item.sku)
        ]

    def _inventory(self, request: Request) -> Rows:
        bins = list(self.world.bins.values())
        if "sku" in request.query_params or "warehouseId" in request.query_params:
            bins = [b for b in bins if _fits(request, b.sku) and _is(request, "warehouseId", b.place)]
        return Rows(bins, self._stock_row)

    def _stock_row(self, each: Bin) -> Row:
        available = max(0, each.copied - each.allocated - each.locked)
        return {
            "productStockId": each.id,
            "active": True,
            "quantity": each.copied,
            "availableQuantity": available,
            "allocatedQuantity": each.allocated,
            "quantityLocked": each.locked,
            "pickable": True,
            "receivable": True,
            "product": self._ref(each.sku),
            "stockLocation": {"stockLocationId": each.id, "location": "GLOBAL", "warehouseId": each.place},
            "warehouseStockTotals": {
                "onHandQuantity": each.copied,
                "availableQuantity": available,
                "allocatedQuantity": each.allocated,
                "lockedQuantity": each.locked,
                "inTransitQuantity": 0,
            },
        }

    def _totals(self, request: Request) -> list[Row]:
        totals: dict[str, Row] = {}
        for each in self.world.bins.values():
            if _fits(request, each.sku) and _is(request, "warehouseId", each.place):
                row = totals.setdefault(
                    each.sku,
                    {
                        "product": self._ref(each.sku),
                        "onHandQuantity": 0,
                        "lockedQuantity": 0,
                        "inTransitQuantity": 0,
                    },
                )
                row["onHandQuantity"] += each.copied
                row["lockedQuantity"] += each.locked
        return list(totals.values())

    def _warehouses(self, _request: Request) -> list[Row]:
        return [
            {
                "warehouseId": place.id,
                "name": place.name,
                "type": "THIRD_PARTY_LOGISTICS" if place.mirror else "DIRECT_FULFILLMENT",
                "active": True,
            }
            for place in self.world.places.values()
        ]

    def _channels(self, _request: Request) -> list[Row]:
        return [
            *(
                {
                    "salesChannelId": store.sales_channel_id,
                    "name": store.name,
                    "type": "SHOPIFY",
                    "active": True,
                }
                for store in self.world.stores.values()
            ),
            # Where orders belong that somebody types in.
            {"salesChannelId": TYPED_IN, "name": "B2B", "type": "MANUAL", "active": True},
        ]

    def _orders(self, request: Request) -> Rows:
        statuses = {s for value in request.query_params.getlist("status") for s in value.split(",")}
        # A date that is asked for is one of this system's own clock.
        skew = self.face.skew_ms()
        first = Instant(_moment(request, "modifiedDateFrom", Instant(0)) - skew)
        last = Instant(_moment(request, "modifiedDateTo", Instant(1 << 62)) - skew)
        orders = [
            order
            for order in self.world.orders.values()
            if first <= order.ext_modified <= last
            and order.imported is not None
            and (not statuses or order.ext_status in statuses)
            and _is(request, "orderId", order.id)
            and _is(request, "orderNumber", order.number)
            and _is(request, "salesChannelId", order.sales_channel_id)
        ]
        return Rows(orders, self._order_row)

    def _shipments(self, request: Request) -> list[Row]:
        return [
            {
                "shipmentId": order.id,
                "orderId": order.id,
                "orderNumber": order.number,
                "type": "FULFILLMENT",
                "created": format_instant(Instant(-(-order.shipped // 1000) * 1000)),
                "shipDate": format_instant(Instant(-(-order.shipped // 1000) * 1000)),
                "deliveryStatus": "IN_TRANSIT",
                "external": False,
                "warehouseId": order.ext_place,
            }
            for order in self.world.orders.values()
            if order.shipped is not None
            and order.ext_status == SHIPPED
            and _is(request, "orderId", order.id)
            and _is(request, "orderNumber", order.number)
            and _is(request, "warehouseId", order.ext_place)
        ]

    def _order_row(self, order: Order) -> Row:
        # Dates have whole seconds on this wire; a modification is never shown as older than it is.
        modified = format_instant(Instant(-(-order.ext_modified // 1000) * 1000))
        return {
            "orderId": order.id,
            "orderNumber": order.number,
            "orderStatus": order.ext_status,
            "external": False,
            "relatedOrderIds": [piece.id for piece in order.pieces if piece is not order],
            "salesChannel": {"salesChannelId": order.sales_channel_id, "name": order.store or "B2B"},
            "fulfillmentSource": {"warehouseId": order.ext_place},
            "orderDate": format_instant(Instant(order.placed - order.placed % 1000)),
            "createdDate": format_instant(Instant(-(-(order.imported or 0) // 1000) * 1000)),
            "modifiedDate": modified,
            "shipDate": format_instant(Instant(-(-order.shipped // 1000) * 1000))
            if order.shipped and order.ext_status == SHIPPED
            else None,
            "orderItems": [
                {"orderItemId": i, "quantityOrdered": units, **self._sold_as(order, code)}
                for i, (code, units) in enumerate(order.ext_lines, 1)
            ],
        }

    def _sold_as(self, order: Order, code: str) -> Row:
        """What a line is of: its listing, unless somebody typed it in, and the product, unless nobody knows it."""
        item = self.world.stores[order.store].by_sku.get(code) if order.store else None
        sku = code if item is None else item.sku
        return {
            "listingSku": code if order.store else None,
            "product": self._ref(sku) if sku in self.world.products else None,
        }


def _bad_request(error: Exception) -> Response:
    # INFERRED: what a refused argument is answered with.
    return JSONResponse({"error": "bad_request", "error_description": str(error)}, 400)


def _fits(request: Request, sku: str) -> bool:
    """The vendor's sku filter matches substrings."""
    wanted = request.query_params.get("sku")
    if wanted is None:
        return True
    parts = [part.strip('"').casefold() for part in wanted.split(",")]
    return any(part and part in sku.casefold() for part in parts)


def _is(request: Request, name: str, value: object) -> bool:
    """Whether a row passes an exact filter; keys may repeat, and values may be joined by commas."""
    wanted = request.query_params.getlist(name)
    return not wanted or str(value).casefold() in {v.casefold() for one in wanted for v in one.split(",")}


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        return max(1, int(text))
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {text[:40]!r}") from None


def _moment(request: Request, name: str, default: Instant) -> Instant:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        return parse_instant(text)
    except ValueError:
        raise ValueError(f"{name} must be a time like 2026-01-31T00:00:00Z, not {text[:40]!r}") from None


def _again(request: Request) -> str:
    """What tells requests apart that ask for the same; since when is no part of it."""
    asked = sorted(pair for pair in request.query_params.multi_items() if not pair[0].startswith("modified"))
    return f"{request.url.path}?{asked}"


def _page(
    rows: list[Row] | Rows,
    limit: int,
    number: int,
    path: str,
    struck: Struck = NOTHING,
    chance: Random | None = None,
) -> list[Row]:
    limit = min(MOST.get("totals" if path.endswith("total") else path.rpartition("/")[2], 1000), limit)
    if not struck:
        return rows[(number - 1) * limit : number * limit]
    return page_of(lambda first, last: rows[first:last], limit, number, struck, chance or Random(0))
