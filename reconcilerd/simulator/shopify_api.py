"""One Shopify store as an ASGI app over the truth: GraphQL with cost points, compare-and-set, idempotency."""

import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from importlib.resources import files
from random import Random
from typing import Any

import msgspec
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    execute_sync,
    get_directive_values,
    parse,
    validate,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from reconcilerd.domain.names import Instant, SlotKey, format_instant, parse_instant
from reconcilerd.simulator.faults import Ask, Fault, FaultPlan, Struck
from reconcilerd.simulator.shopify_cost import MOST_A_QUERY, Pricing
from reconcilerd.simulator.shopify_paging import MOST_A_CALL, Node, connection, nested, place_of
from reconcilerd.simulator.shopify_query import NotPlain, Query
from reconcilerd.simulator.spoil import shifted, spoil_data
from reconcilerd.simulator.stores import Item, Order, Store
from reconcilerd.simulator.truth import World
from reconcilerd.simulator.wire import Bucket, Clock, Face, Tokens, grant, json_response

VERSION = "2026-10"
PLUS_RATE, PLUS_SIZE = 1000.0, 20_000.0
COSTS_KEPT = 256
LATEST_EDIT_MS = 1_200_000
"""How long after its order a customer thinks again."""
LATEST_SPLIT_MS = 3_600_000
"""How long after its order a part of it is sent on its own."""
FOUND_BY = {
    "unfulfilled": ("UNFULFILLED",),
    "unshipped": ("UNFULFILLED", "PARTIALLY_FULFILLED"),
    "partial": ("PARTIALLY_FULFILLED",),
}
"""Which orders each value of the filter finds; none here is held, scheduled or asked for."""
SCOPES = ("read_inventory", "read_locations", "read_orders", "read_products", "write_inventory")
Info = GraphQLResolveInfo[Any]
MOST_UNITS = 1_000_000_000
MOST_REMEMBERED = 200_000


@dataclass(frozen=True, slots=True)
class _Document:
    """What a client sent, read once: clients send the same few again and again."""

    parsed: DocumentNode
    problems: list[Node]
    """What is wrong with it."""
    query: Query | None
    """It, ready to be answered, where it is a plain query."""
    costs: dict[tuple[tuple[str, object], ...], float] = field(default_factory=dict)
    """What it may cost, by the sizes that are asked for."""


@lru_cache(maxsize=64)
def _read(text: str) -> _Document:
    document = parse(text)
    problems = [{"message": each.message} for each in validate(schema(), document)]
    try:
        query = None if problems else Query(schema(), document)
    except NotPlain:
        query = None
    return _Document(document, problems, query)


class _Asked(msgspec.Struct):
    query: str
    variables: dict[str, Any] | None = None


def _size(value: Any) -> object:
    """What of a variable its query's cost goes by: a number itself, of a list how long it is."""
    return value if isinstance(value, int) else len(value) if isinstance(value, list) else None


@cache
def schema() -> GraphQLSchema:
    """Our own subset of the vendor's schema."""
    return build_schema((files("reconcilerd.simulator") / "schema" / "shopify.graphql").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class Written:
    """One line of a write as it came through the door, whatever became of it."""

    at: Instant
    store: str
    item: str
    quantity: int
    key: str


class ShopifyApi:
    """One store. ``stale_until``: reads answer from an old copy until then."""

    def __init__(
        self,
        world: World,
        store: Store,
        clock: Clock,
        faults: FaultPlan,
        *,
        token_life_s: int = 86_399,
        rate: float = PLUS_RATE,
        size: float = PLUS_SIZE,
    ) -> None:
        self.world = world
        self.store = store
        self.tokens = Tokens(clock, token_life_s, world.config.seed + store.sales_channel_id)
        self.sent = 0
        self.throttled = 0
        self.bucket = Bucket(rate, size, clock)
        self._clock = clock
        self._faults = faults
        self._keys: dict[str, tuple[bytes, Node]] = {}
        self._stale: dict[SlotKey, int] = {}
        self._stale_until = Instant(0)
        self._not_applied = False
        self._partial = False
        self.scopes: tuple[str, ...] = SCOPES
        """What the app was granted."""
        self.face = Face(store.name, clock, self.tokens, faults)
        self.door: deque[Written] = deque(maxlen=MOST_REMEMBERED)
        """Every write that was let in, the last many."""

    def app(self) -> Router:
        return Router(
            routes=[
                Route("/admin/oauth/access_token", self._token, methods=["POST"]),
                Route(f"/admin/api/{VERSION}/graphql.json", self._graphql, methods=["POST"]),
            ]
        )

    def read_stale_for(self, ms: int) -> None:
        """Answer reads from a copy of now for a while."""
        self._stale = {level.slot: level.quantity for level in self.store.levels}
        self._stale_until = Instant(self._clock() + ms)
        self._faults.note(Fault.STALE_READ, self._clock(), self.store.name, f"{ms} ms")

    async def _token(self, request: Request) -> Response:
        return await grant(request, self.tokens)

    async def _graphql(self, request: Request) -> Response:
        now = self._clock()
        self.world.advance(now)
        self.sent += 1
        if not self.tokens.good(request.headers.get("x-shopify-access-token", "")):
            return JSONResponse({"errors": "[API] Invalid API key or access token"}, 401)
        try:
            asked = msgspec.json.decode(await request.body(), type=_Asked)
        except msgspec.DecodeError as error:
            return JSONResponse({"errors": str(error)}, 400)
        text, variables = asked.query, asked.variables or {}
        try:
            document = _read(text)
        except GraphQLError as unread:
            return self._answer({"errors": [{"message": unread.message}]})
        if document.problems:
            return self._answer({"errors": document.problems})
        mutates = "mutation" in text
        pricing = Pricing(schema(), document.parsed, variables)
        sizes = tuple((name, _size(value)) for name, value in variables.items())
        cost = document.costs.get(sizes)
        if cost is None:
            cost = pricing.requested()
            if len(document.costs) < COSTS_KEPT:
                document.costs[sizes] = cost
        if cost > MOST_A_QUERY:
            return self._answer({"errors": [_too_dear(cost)], "extensions": self._extensions(cost, None)})
        if self.bucket.take(cost):
            self.throttled += 1
            throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return self._answer({"errors": [throttled], "extensions": self._extensions(cost, None)})
        struck = self._faults.pick(self.store.name, Ask.MUTATION if mutates else Ask.QUERY, now, text[:30])
        self._befall(struck)

        async def effect() -> Response:
            self._not_applied, self._partial = Fault.NOT_APPLIED in struck, Fault.PARTIAL_BATCH in struck
            answer = self._execute(document.parsed, variables, document.query)
            actual = pricing.actual(answer.get("data"))
            self.bucket.give_back(max(0.0, cost - actual))
            if struck:
                answer["data"] = spoil_data(answer["data"], struck, self._faults.details(self.store.name))
            answer["data"] = shifted(answer["data"], self.face.skew_ms())
            return self._answer({**answer, "extensions": self._extensions(cost, actual)})

        again = "" if mutates or not self._faults.repeats else _again(text, variables)
        return await self.face.answer(struck, effect, lambda fault: self._instead(fault, cost), again)

    def _befall(self, struck: Struck) -> None:
        """What happens at the store just now, whoever asks."""
        chance, now = self._faults.details(self.store.name), self._clock()
        items = self.store.levels
        if not items or not struck:
            return
        if Fault.FOREIGN_WRITER in struck:
            item = chance.choice(items)
            number = max(0, item.quantity + chance.choice([-4, -2, 2, 4]))
            self.world.set_quantity(item, number, now)
        if Fault.ZERO_NOT_PUSHED in struck:
            item = chance.choice([each for each in items if each.quantity == 0] or items)
            self.world.set_quantity(item, item.quantity + chance.randint(1, 3), now)
        if Fault.LOST_PUSH in struck:
            self.world.push_loses.add(self.store.name)
        if Fault.SECOND_THOUGHTS in struck:
            self._think_again(chance, now)
        if Fault.SPLIT_ORDER in struck:
            self._split(chance, now)

    def _think_again(self, chance: Random, now: Instant) -> None:
        """A visitor orders several of a listing and soon takes some of them off; half the time they are restocked."""
        order, code = self._order_some(chance, now)
        off, later_ms, restock = (
            chance.randint(1, 3),
            chance.randint(0, LATEST_EDIT_MS),
            chance.random() < 0.5,
        )
        if order is not None:
            self.world.at(now + later_ms, partial(self.world.take_off, order, code, off, restock=restock))

    def _split(self, chance: Random, now: Instant) -> None:
        """A visitor orders several of a listing, and some time later Extensiv sends a part of them on its own."""
        order, code = self._order_some(chance, now)
        apart, later_ms, place = (
            chance.randint(1, 3),
            chance.randint(0, LATEST_SPLIT_MS),
            chance.choice(list(self.world.places)),
        )
        if order is not None:
            self.world.at(now + later_ms, partial(self.world.split_order, order, code, apart, place))

    def _order_some(self, chance: Random, now: Instant) -> tuple[Order | None, str]:
        """A visitor's order of several of one listing, if there are any to be had, and which."""
        item = chance.choice(list(self.store.items.values()))
        number = f"{self.store.sales_channel_id}-{len(self.store.orders) + 1}"
        bought = [(item.listing_sku, chance.randint(2, 4))]
        return self.world.place_order(self.store.name, number, bought, now), item.listing_sku

    def _instead(self, fault: Fault, cost: float) -> Response:
        """The store's own words for what it does not do."""
        match fault:
            case Fault.THROTTLED:
                self.bucket.take(min(cost, self.bucket.refill()))
                self.throttled += 1
                throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
                return self._answer({"errors": [throttled], "extensions": self._extensions(cost, None)})
            case Fault.GRAPHQL_ERROR:
                error = {"message": "Internal error", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}
                return self._answer({"errors": [error]})
            case Fault.USER_ERROR:
                payload = _payload([("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", None)])
                return self._answer({"data": {"inventorySetQuantities": payload}})
            case Fault.KEY_BUSY:
                payload = _payload([("IDEMPOTENCY_CONCURRENT_REQUEST", None)])
                return self._answer({"data": {"inventorySetQuantities": payload}})
            case _:
                waits = {
                    Fault.TOO_MANY: "1",
                    Fault.TOO_MANY_BAD_WAIT: "soon",
                    Fault.TOO_MANY_FOR_EVER: "999999",
                }
                return JSONResponse({}, 429, {"Retry-After": waits[fault]} if fault in waits else {})

    def _answer(self, value: Node) -> Response:
        return json_response(value, {"X-Shopify-API-Version": VERSION})

    def _extensions(self, cost: float, actual: float | None) -> Node:
        return {
            "cost": {
                "requestedQueryCost": cost,
                "actualQueryCost": actual,
                "throttleStatus": {
                    "maximumAvailable": self.bucket.size,
                    "currentlyAvailable": max(0.0, self.bucket.level),
                    "restoreRate": self.bucket.rate_per_s,
                },
            }
        }

    def _execute(self, document: DocumentNode, variables: Node, query: Query | None = None) -> Node:
        root: Node = {
            "inventoryItems": self._items,
            "inventoryItem": lambda _info, id: self._node(id),  # noqa: A006 - the vendor's argument name
            "nodes": lambda _info, ids: [self._node(each) for each in ids],
            "currentAppInstallation": lambda _info: self._installation(),
            "orders": self._orders,
            "order": lambda _info, id: self._order_by_id(id),  # noqa: A006 - the vendor's argument name
            "inventorySetQuantities": self._set,
        }
        if query is not None:
            with suppress(NotPlain):
                return {"data": query.answer(root, variables)}
        result = execute_sync(schema(), document, root, variable_values=variables, type_resolver=_type_of)
        assert isinstance(result, ExecutionResult)
        answer: Node = {"data": result.data}
        if result.errors:
            answer["errors"] = [{"message": each.message} for each in result.errors]
        return answer

    def _installation(self) -> Node:
        granted = [{"handle": each} for each in self.scopes]
        return {
            "__typename": "AppInstallation",
            "id": "gid://shopify/AppInstallation/1",
            "accessScopes": granted,
        }

    def _shown(self, item: Item) -> int:
        now = self._clock()
        answered = self.world.answered(item, now)
        return self._stale.get(item.slot, answered) if now < self._stale_until else answered

    def _node(self, listing: str) -> Node | None:
        item = self.store.items.get(listing)
        return None if item is None else self._item_node(item)

    def _item_node(self, item: Item) -> Node:
        product = self.world.products.get(item.sku)
        variant = {
            "id": item.id.replace("InventoryItem", "ProductVariant"),
            "displayName": product.name if product else item.listing_sku,
            "inventoryPolicy": "CONTINUE" if item.continues else "DENY",
        }
        return {
            "__typename": "InventoryItem",
            "id": item.id,
            "sku": item.listing_sku,
            "tracked": item.tracked,
            "duplicateSkuCount": lambda _info: self._carrying(item.listing_sku),
            "variants": nested([variant]),
            "inventoryLevels": self._levels(item),
        }

    def _levels(self, item: Item) -> Any:
        """The levels of an item, in pages; those that are switched off only where they are asked for."""

        def page(
            _info: Info,
            first: int = 50,
            after: str | None = None,
            includeInactive: bool = False,  # noqa: N803 - the vendor's argument name
        ) -> Node:
            there = [each for each in item.levels if each.active or includeInactive]
            return connection(there, first, after, self._level_node)

        return page

    def _level_node(self, level: Item) -> Node:
        place = level.place.rpartition("/")[2]
        return {
            "__typename": "InventoryLevel",
            "id": f"gid://shopify/InventoryLevel/{place}?inventory_item_id={level.listing_id}",
            "isActive": level.active,
            "location": {"id": level.place, "name": "Main", "fulfillsOnlineOrders": True},
            "quantities": lambda _info, names: [
                {"name": name, "quantity": self._shown(level)} for name in names if name == "available"
            ],
        }

    def _carrying(self, sku: str) -> int:
        return sum(other.listing_sku == sku for other in self.store.items.values())

    def _items(
        self,
        _info: Info,
        first: int = 50,
        after: str | None = None,
        query: str | None = None,
    ) -> Node:
        items = list(self.store.items.values())
        found = re.search(r"\bid:>=(\d+)", query or "")
        if found:
            items = [each for each in items if each.listing_id >= int(found[1])]
        return connection(items, first, after, self._item_node)

    def _orders(
        self,
        _info: Info,
        first: int = 50,
        after: str | None = None,
        query: str | None = None,
        sortKey: str | None = None,  # noqa: ARG002, N803 - the vendor's name; there is one order
    ) -> Node:
        now = self._clock()
        found = re.search(r"updated_at:>='([^']+)'", query or "")
        # A date that is asked for is one of this store's own clock.
        since = Instant(parse_instant(found[1]) - self.face.skew_ms()) if found else Instant(0)
        # However late the index hears of a change, its filter goes by when the change was made.
        orders = [o for o in self.store.orders if o.updated >= since and o.visible <= now]
        if "status:open" in (query or ""):
            orders = [o for o in orders if o.cancelled is None and not o.fulfilled]
        state = re.search(r"fulfillment_status:(\w+)", query or "")
        if state:
            orders = [o for o in orders if _standing(o) in FOUND_BY.get(state[1], ())]
        return connection(sorted(orders, key=place_of), first, after, self._order_node, place_of)

    def _order_by_id(self, name: str) -> Node | None:
        now = self._clock()
        found = (o for o in self.store.orders if f"gid://shopify/Order/{o.id}" == name and o.visible <= now)
        order = next(found, None)
        return None if order is None else self._order_node(order)

    def _order_node(self, order: Order) -> Node:
        lines = [
            {
                "id": f"gid://shopify/LineItem/{order.id}{i}",
                "sku": code,
                "quantity": units,
                # What is left of it: a cancel takes every line off.
                "currentQuantity": left if order.cancelled is None else 0,
                "isGiftCard": False,
                "requiresShipping": True,
            }
            for i, ((code, units), (_, left)) in enumerate(zip(order.bought, order.lines, strict=True))
        ]
        return {
            "__typename": "Order",
            "id": f"gid://shopify/Order/{order.id}",
            "name": f"#{order.number}",
            "createdAt": format_instant(order.placed),
            "updatedAt": format_instant(order.updated),
            "cancelledAt": format_instant(order.cancelled) if order.cancelled is not None else None,
            "displayFulfillmentStatus": _standing(order),
            "test": order.test,
            "sourceName": "web",
            "lineItems": nested(lines),
        }

    def _set(self, info: Info, input: Node) -> Node:  # noqa: A002 - the vendor's argument name
        key = _idempotency_key(info)
        if key is None:
            raise GraphQLError("The @idempotent directive is required")
        asked = msgspec.json.encode(input)
        if key in self._keys:
            before, answer = self._keys[key]
            return answer if before == asked else _payload([("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", None)])
        answer = self._set_once(input, key)
        self._keys[key] = (asked, answer)
        return answer

    def _set_once(self, asked: Node, key: str) -> Node:
        errors: list[tuple[str, int | None]] = []
        pairs = [(line["inventoryItemId"], line["locationId"]) for line in asked["quantities"]]
        if asked["name"] != "available":
            errors.append(("INVALID_NAME", None))
        if len(set(pairs)) != len(pairs):
            errors.append(("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", None))
        if len(pairs) > MOST_A_CALL:
            raise GraphQLError(f"at most {MOST_A_CALL} quantities")
        for index, line in enumerate(asked["quantities"]):
            if "changeFromQuantity" not in line:
                raise GraphQLError("changeFromQuantity is required; null skips the comparison")
            code = self._refusal(line)
            if code:
                errors.append((code, index))
        if errors:
            return _payload(errors)
        # A vendor that is not atomic after all: it leaves out the last line, and says so.
        last = len(pairs) - 1 if self._partial else len(pairs)
        for line in asked["quantities"][:last]:
            item = self.store.level(line["inventoryItemId"], line["locationId"])
            assert item is not None  # else it was refused above
            now = self._clock()
            self.door.append(Written(now, self.store.name, item.id, line["quantity"], key))
            self.world.accept_write(item, line["quantity"], now, lost=self._not_applied)
        if self._partial:
            return _payload([("INVALID_LOCATION", last)])
        return {
            "inventoryAdjustmentGroup": {"id": f"gid://shopify/InventoryAdjustmentGroup/{len(self._keys)}"},
            "userErrors": [],
        }

    def _refusal(self, line: Node) -> str | None:
        if line["inventoryItemId"] not in self.store.items:
            return "INVALID_INVENTORY_ITEM"
        item = self.store.level(line["inventoryItemId"], line["locationId"])
        if item is None:
            return "INVALID_LOCATION"
        if line["quantity"] < 0:
            return "INVALID_QUANTITY_NEGATIVE"
        if line["quantity"] > MOST_UNITS:
            return "INVALID_QUANTITY_TOO_HIGH"
        before = line["changeFromQuantity"] if self.store.compares else None
        return "CHANGE_FROM_QUANTITY_STALE" if before is not None and before != item.quantity else None


FIELD_OF = {
    "CHANGE_FROM_QUANTITY_STALE": "changeFromQuantity",
    "INVALID_INVENTORY_ITEM": "inventoryItemId",
    "INVALID_LOCATION": "locationId",
    "INVALID_QUANTITY_NEGATIVE": "quantity",
    "INVALID_QUANTITY_TOO_HIGH": "quantity",
}
"""Which part of a line each refusal is about."""


def _standing(order: Order) -> str:
    """How far an order is shipped, in the store's words."""
    if order.fulfilled:
        return "FULFILLED"
    gone = order.off is None and any(piece.ext_status == "SHIPPED" for piece in order.pieces)
    return "PARTIALLY_FULFILLED" if gone else "UNFULFILLED"


def _payload(errors: list[tuple[str, int | None]]) -> Node:
    return {
        "inventoryAdjustmentGroup": None,
        "userErrors": [
            {
                "code": code,
                "field": [
                    "input",
                    "quantities",
                    *([str(index), FIELD_OF[code]] if index is not None else []),
                ],
                "message": code.replace("_", " ").lower(),
            }
            for code, index in errors
        ],
    }


def _idempotency_key(info: Info) -> str | None:
    directive = schema().get_directive("idempotent")
    assert directive is not None
    values = get_directive_values(directive, info.field_nodes[0], info.variable_values)
    return None if values is None else str(values["key"])


def _again(text: str, variables: Node) -> str:
    """What tells queries apart that ask for the same; since when is no part of it."""
    asked = {name: value for name, value in variables.items() if name != "query"}
    state = re.findall(r"\w+:(?:>=)?\w+", str(variables.get("query", "")).partition("updated_at")[0])
    return f"{text[:60]} {asked} {state}"


def _too_dear(cost: float) -> Node:
    said = f"Query cost is {cost:g}, which exceeds the single query max cost limit ({MOST_A_QUERY:g})."
    return {"message": said, "extensions": {"code": "MAX_COST_EXCEEDED"}}


def _type_of(value: Any, _info: Info, _type: Any) -> str:
    return str(value["__typename"])
