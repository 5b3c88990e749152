"""Bad input to the whole daemon: told by name, nothing written by mistake, everything else goes on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from reconcilerd.connectors.extensiv.client import Extensiv
from reconcilerd.daemon.audit import stopped
from reconcilerd.domain.drift import Cause
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, FindingKind, Outcome, RailLatched
from reconcilerd.domain.names import FeedName, Instant
from reconcilerd.simulator import extensiv_api, shopify_api
from reconcilerd.simulator.extensiv_api import ExtensivApi
from reconcilerd.simulator.shopify_api import ShopifyApi
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, play, policy, small_world

Row = dict[str, Any]
FEED_OF = {"/v1/inventory": "extensiv.stock", "/v1.1/products": "extensiv.products"}


def spoil_rows(monkeypatch: pytest.MonkeyPatch, method: str, change: Callable[[Row], Row]) -> None:
    """Every row that Extensiv makes with ``method`` is changed on its way out."""
    made = getattr(ExtensivApi, method)
    monkeypatch.setattr(ExtensivApi, method, lambda self, each: change(made(self, each)))


def findings(stage: Stage, what: FindingKind) -> set[str]:
    book = stage.built.daemon.desk.book
    return {each.subject for each in book.findings.values() if each.what is what and not each.cleared}


@pytest.mark.parametrize("quantity", [-4, 2.5, True, "40", None, 10**12])
def test_a_quantity_that_is_none_is_named_and_its_sku_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, quantity: object
) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        shown.update(stage.shown("a"))
        spoil_rows(
            monkeypatch,
            "_stock_row",
            lambda row: row | {"quantity": quantity} if row["product"]["masterSku"] == "a" else row,
        )
        stage.world.damage("b", 50, stage.clock())
        await anyio.sleep(1_500)

    shown: dict[str, int] = {}
    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert stage.shown("a") == shown
    assert sum(stage.shown("b").values()) == 50
    assert findings(stage, FindingKind.REJECTED_ROW)
    systems = {subject for kind, subject, _ in stage.alerts.raised if kind == "stale_source"}
    assert systems <= {"extensiv"}


def test_a_row_that_stays_unreadable_holds_the_raises_of_its_sku_and_of_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        spoil_rows(
            monkeypatch,
            "_stock_row",
            lambda row: row | {"quantity": -4} if row["product"]["masterSku"] == "a" else row,
        )
        await anyio.sleep(7_200)
        for sku in ("a", "b"):
            stage.world.receive(sku, 1, 50, stage.clock())
        stage.world.place_order("shop-uk", "1", [("a", 5)], stage.clock())
        await anyio.sleep(1_500)

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert sum(stage.shown("a").values()) == 95, "what was sold is known from the orders, and nothing else is"
    assert sum(stage.shown("b").values()) == 150
    assert findings(stage, FindingKind.REJECTED_ROW)
    assert {(kind, subject) for kind, subject, _ in stage.alerts.raised} >= {("unreadable_rows", "extensiv")}
    assert "stale_source" not in stage.alerts.told


def test_an_item_that_stays_unreadable_holds_the_raises_of_its_pool_and_of_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, ills = ShopifyApi._level_node, [False]

    def level(self: ShopifyApi, each: Any) -> Row:
        node = made(self, each)
        ill = ills[0] and (each.store, each.sku) == ("shop-uk", "a")
        return node | {"quantities": lambda _info, names: []} if ill else node  # noqa: ARG005 - the vendor's name

    monkeypatch.setattr(ShopifyApi, "_level_node", level)

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        ills[0] = True
        await anyio.sleep(7_200)
        for sku in ("a", "b"):
            stage.world.receive(sku, 1, 50, stage.clock())
        await anyio.sleep(1_500)

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert sum(stage.shown("a").values()) == 100
    assert sum(stage.shown("b").values()) == 150
    assert {(kind, subject) for kind, subject, _ in stage.alerts.raised} >= {("unreadable_rows", "shop-uk")}
    assert "stale_source" not in stage.alerts.told


def test_a_listing_mapped_twice_is_not_written_and_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    listings = ExtensivApi._listings

    def twice(self: ExtensivApi, request: Any) -> list[Row]:
        rows = listings(self, request)
        again = [
            row | {"listingId": 1, "masterSku": "b"}
            for row in rows
            if (row["listingSku"], row["salesChannelId"]) == ("a", 101)
        ]
        return rows + again

    monkeypatch.setattr(ExtensivApi, "_listings", twice)

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)

    stage = play(small_world(WorldConfig(), split=False), policy(split=False), scene)
    assert stage.shown("a") == {"shop-uk": 0, "shop-eu": 100, "shop-us": 100}
    assert stage.shown("b") == {"shop-uk": 100, "shop-eu": 100, "shop-us": 100}
    assert findings(stage, FindingKind.LISTING_MAPPED_TWICE) == {"101:a"}


def test_a_sku_on_two_items_of_a_store_is_not_written_there() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)

    world = small_world(WorldConfig(), split=False)
    twin = world.add_item("shop-uk", "a", 3, listing_sku=" A ")
    stage = play(world, policy(split=False), scene)
    assert twin.quantity == 3
    assert [i.quantity for i in world.stores["shop-uk"].items.values() if i.listing_sku == "a"] == [0]
    assert stage.shown("b")["shop-uk"] == 100
    assert findings(stage, FindingKind.DUPLICATE_SKU) == {"shop-uk:a"}


@pytest.mark.parametrize("path", ["/v1/inventory", "/v1.1/products"])
def test_a_list_that_never_ends_is_left_at_its_bound_and_takes_nothing_away(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    page, ills = extensiv_api._page, [False]

    def endless(rows: Any, limit: int, number: int, of: str, *struck: Any) -> Any:
        found = page(rows, limit, number, of, *struck)
        if found or not ills[0] or not of.endswith(path[1:]):
            return found
        first = dict(page(rows, 1, 1, of)[0])
        return [first | {"productStockId": -number, "productId": -number}]

    monkeypatch.setattr(extensiv_api, "_page", endless)
    monkeypatch.setattr("reconcilerd.assemble.Extensiv", partial(Extensiv, max_pages=40))

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        shown.update(stage.shown("a"))
        ills[0] = True
        await anyio.sleep(4_000)
        book = stage.built.daemon.desk.book
        told.append(book.tried[FeedName(FEED_OF[path])].why)
        ills[0] = False
        await anyio.sleep(4_000)

    shown: dict[str, int] = {}
    told: list[str] = []
    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert "did not end within 40 pages" in told[0]
    assert stage.shown("a") == shown
    assert stage.alerts.raised == []


def test_a_page_of_html_stops_nothing_but_its_own_feed_and_the_alert_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sick = [False]

    def middleware(app: Any) -> Any:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            if not (sick[0] and scope.get("path", "").endswith("v1/inventory")):
                await app(scope, receive, send)
                return
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
            )
            await send({"type": "http.response.body", "body": b"<html>Sign in</html>"})

        return wrapped

    build = ExtensivApi.app
    monkeypatch.setattr(ExtensivApi, "app", lambda self: middleware(build(self)))

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        sick[0] = True
        stage.world.place_order("shop-uk", "1", [("a", 5)], stage.clock())
        await anyio.sleep(4_000)
        raised.extend((kind, subject) for kind, subject, _ in stage.alerts.raised)
        seen.append(sum(stage.shown("a").values()))
        sick[0] = False
        await anyio.sleep(1_500)

    raised: list[tuple[str, str]] = []
    seen: list[int] = []
    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert ("stale_source", "extensiv") in raised
    assert seen[0] == 95, "what was sold is known from the orders, and nothing else was taken away"
    assert stage.alerts.raised == []


def set_back(stage: Stage, ms: int) -> None:
    """The clock of everybody is set back."""
    stage.clock.start = Instant(stage.clock.start - ms)
    stage.world.now = stage.clock()
    for item in (each for store in stage.world.stores.values() for each in store.items.values()):
        item.past.clear()


@pytest.mark.parametrize("hours", [1, 48])
def test_a_clock_that_goes_back_hides_no_news_and_makes_nothing_fresh(hours: int) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(600)
        before = len(stage.journal.facts)
        set_back(stage, hours * 3_600_000)
        stage.world.damage("a", 60, stage.clock())
        await anyio.sleep(1_500)
        since = stage.journal.facts[before:]
        grown.extend(f for f in since if isinstance(f, CorrectionPlanned) and f.target > f.read)

    grown: list[CorrectionPlanned] = []
    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert sum(stage.shown("a").values()) == 40, "the damage was never heard of"
    assert grown == []
    assert "clock_went_back" in stage.alerts.told
    assert stopped(stage.built.daemon.desk.book) == []


def test_stock_that_nobody_could_read_for_an_hour_is_not_fresh_because_the_clock_is_set_back_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All was right a second ago, by the clock that goes now; and somebody took a listing down in between."""
    dead = [False]

    def middleware(app: Any) -> Any:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            if not (dead[0] and scope.get("path", "").endswith("v1/inventory")):
                await app(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        return wrapped

    build = ExtensivApi.app
    monkeypatch.setattr(ExtensivApi, "app", lambda self: middleware(build(self)))

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        dead[0] = True
        await anyio.sleep(120)
        stage.item("shop-uk", "a").quantity = 1
        await anyio.sleep(3_490)
        stage.world.damage("a", 60, stage.clock())
        rows = stage.built.daemon.desk.book.stock.values()
        set_back(stage, stage.clock() - max(each.row.age_of for each in rows) - 1_000)
        await anyio.sleep(600)

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert stage.shown("a") == {"shop-uk": 1, "shop-eu": 30, "shop-us": 20}
    assert {"clock_went_back", "stale_source"} <= set(stage.alerts.told)


def test_a_listing_below_zero_is_raised_from_where_it_is() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        stage.item("shop-uk", "a").quantity = -3
        await anyio.sleep(400)

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert stage.shown("a")["shop-uk"] == 50


def test_a_store_that_will_not_take_a_write_is_asked_less_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal, ills = ShopifyApi._refusal, [False]

    def refuse(self: ShopifyApi, line: Row) -> str | None:
        item = self.store.items[line["inventoryItemId"]]
        ours = ills[0] and (item.store, item.sku) == ("shop-uk", "a")
        return "NON_MUTABLE_INVENTORY_ITEM" if ours else refusal(self, line)

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        ills[0] = True
        stage.item("shop-uk", "a").quantity = 10
        stage.item("shop-uk", "b").quantity = 10
        await anyio.sleep(3_600)
        refused.append(
            sum(isinstance(f, CorrectionSent) and f.outcome is Outcome.REFUSED for f in stage.journal.facts)
        )
        drifts = stage.built.daemon.passes.standing.drifts
        causes.extend(drift.cause for group in drifts.values() for drift, _ in group)
        ills[0] = False
        latched.extend(stage.built.daemon.desk.book.latches.standing(stage.clock()))
        await anyio.sleep(6 * 3_600)

    latched: list[RailLatched] = []
    refused: list[int] = []
    causes: list[Cause] = []
    monkeypatch.setattr(ShopifyApi, "_refusal", refuse)
    monkeypatch.setitem(shopify_api.FIELD_OF, "NON_MUTABLE_INVENTORY_ITEM", "inventoryItemId")
    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert refused[0] == 3, "then it is parked for six hours"
    assert [each.name.partition(":")[0] for each in latched] == ["quarantine"]
    assert causes == [Cause.REJECTED]
    assert "unresolved_drift" in stage.alerts.told
    assert stage.shown("b")["shop-uk"] == 50
    assert stage.shown("a")["shop-uk"] == 50, "and once it takes it, all is well"
