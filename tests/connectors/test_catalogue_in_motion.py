"""Products and listings that went away while nobody read, or moved while they were read."""

from typing import Any

import pytest

from reconcilerd.assemble import assemble
from reconcilerd.connectors.port import Page
from reconcilerd.domain.facts import Fact, FindingKind, ListingDeclared, ProductObserved
from reconcilerd.domain.names import FeedName
from reconcilerd.errors import LedgerFault, TryLater
from reconcilerd.simulator.virtual_time import VirtualClock
from reconcilerd.transport.client import Call
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.transport.replies import Reply
from reconcilerd.trial.stage import Heard, wire
from tests.connectors.source import Tenant
from tests.simulator.builders import START, Desk, world_of
from tests.world.stage import Journal, policy

Row = dict[str, Any]


def catalogue(live: list[Row], **more: Any) -> Tenant:
    """A tenant with exactly these products or listings."""

    def answer(path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith(("/products", "/listings")):
            return body
        wanted = query.get("sku", query.get("masterSku", "")).split(",")
        got = [row for row in live if any(each.casefold() in row["masterSku"].casefold() for each in wanted)]
        limit, page = int(query["limit"]), int(query["page"])
        return got[(page - 1) * limit : page * limit]

    return Tenant(Desk(world_of({"a": 5})), answer, **more)


def row(number: int) -> Row:
    """Fit to be a product as well as a listing."""
    return {
        "productId": number,
        "listingId": number,
        "listingSku": f"l{number}.",
        "masterSku": f"M{number}.",
        "salesChannelId": 101,
        "pushInventory": False,
        "type": "CORE_PRODUCT",
    }


def numbers(tenant: Tenant) -> dict[int, bool]:
    told = {each.product_id: each.active for each in tenant.of(ProductObserved)}
    return told | {each.listing_id: each.active for each in tenant.of(ListingDeclared)}


@pytest.mark.parametrize("feed", ["products", "listings"])
async def test_a_first_reading_finds_what_moved_over_an_edge_meanwhile(feed: str) -> None:
    live = [row(number) for number in range(1, 1201)]
    tenant = catalogue(live)
    answer = tenant.spoil
    assert answer is not None

    def shift(path: str, query: dict[str, str], body: Any) -> Any:
        if query["page"] == "3" and len(live) == 1200:
            del live[3]
        return answer(path, query, body)

    tenant.spoil = shift
    assert (await tenant.sweep(feed)).complete
    assert numbers(tenant).keys() >= {each["listingId"] for each in live}


@pytest.mark.parametrize("feed", ["products", "listings"])
async def test_what_went_away_before_a_start_is_told_as_no_longer_active_after_it(feed: str) -> None:
    live = [row(1), row(2)]
    before = catalogue(live)
    await before.sweep("products")
    state: list[Fact] = [*before.facts]
    await before.sweep("listings")
    state += before.facts
    wiring = wire(
        policy(split=True), VirtualClock(START), lambda: in_process_transport(before.desk.business.app)
    )
    del live[1]
    started_anew = catalogue(live)
    started_anew.connector = assemble(wiring, Journal(), Heard(), state).stock
    started_anew.connector._walker._client = started_anew
    assert (await started_anew.sweep(feed)).complete
    assert numbers(started_anew) == {1: True, 2: False}


@pytest.mark.parametrize("feed", ["products", "listings"])
async def test_what_went_away_is_told_though_the_reading_that_found_out_broke_off(feed: str) -> None:
    live = [row(1), row(2), row(3)]
    tenant = catalogue(live)
    await tenant.sweep(feed)
    del live[1:]
    send, left = tenant.send, [1]

    async def broken(call: Call) -> Reply:
        if "M3." in {value for _, value in call.query} and left:
            raise TryLater(f"the line broke {left.pop()} time")
        return await send(call)

    tenant.send = broken  # type: ignore[method-assign]
    with pytest.raises(TryLater):
        await tenant.sweep(feed)
    assert numbers(tenant) == {}
    assert (await tenant.sweep(feed)).complete
    assert numbers(tenant) == {1: True, 2: False, 3: False}
    assert (await tenant.sweep(feed)).complete
    assert numbers(tenant) == {1: True}


@pytest.mark.parametrize("feed", ["products", "listings"])
async def test_what_nobody_took_down_is_told_again(feed: str) -> None:
    live = [row(1), row(2)]
    tenant = catalogue(live)
    await tenant.sweep(feed)
    del live[1:]

    async def full(_page: Page) -> None:
        raise LedgerFault("the disk is full")

    with pytest.raises(LedgerFault):
        await tenant.connector.sweep(FeedName(f"extensiv.{feed}"), "", full)
    await tenant.sweep(feed)
    assert numbers(tenant) == {1: True, 2: False}


async def test_a_product_made_anew_under_its_sku_is_not_told_as_no_longer_active() -> None:
    live = [row(1), row(2)]
    tenant = catalogue(live)
    await tenant.sweep("products")
    live[1] = row(2) | {"productId": 3}
    assert (await tenant.sweep("products")).complete
    assert numbers(tenant) == {1: True, 3: True}


@pytest.mark.parametrize(
    ("feed", "what", "twin"),
    [
        ("products", FindingKind.SKU_CASE_COLLISION, {"masterSku": "m1."}),
        ("listings", FindingKind.LISTING_MAPPED_TWICE, {"listingSku": "L1."}),
    ],
)
@pytest.mark.parametrize("hidden", [1, 20], ids=["one", "many"])
async def test_what_a_cut_page_hid_is_found_fault_with_like_any_other_row(
    feed: str, what: FindingKind, twin: Row, hidden: int
) -> None:
    """A finding that a whole reading does not make again is over, and what it held may be written."""
    live = [row(number) for number in range(1, 31)]
    live.append(row(31) | twin)
    tenant = catalogue(live)
    whole = await tenant.sweep(feed)
    found = [each.subject for each in tenant.findings(what)]
    assert len(found) == 1
    answer = tenant.spoil
    assert answer is not None

    def cut(path: str, query: dict[str, str], body: Any) -> Any:
        rows = answer(path, query, body)
        return rows if "sku" in query or "masterSku" in query else rows[:-hidden]

    tenant.spoil = cut
    again = await tenant.sweep(feed)
    assert (again.complete, again.rows) == (True, whole.rows), again.why
    assert [each.subject for each in tenant.findings(what)] == found


async def test_products_that_hold_no_stock_are_those_that_were_read_last_and_looked_up_once() -> None:
    """Every call for rows of stock asks which they are, and catalogues have a hundred thousand products."""
    live = [row(1) | {"type": "VIRTUAL_PRODUCT"}, row(2)]
    tenant = catalogue(live)
    products = tenant.connector._catalogue
    for type_, virtual in (("VIRTUAL_PRODUCT", {"m1."}), ("CORE_PRODUCT", set())):
        live[0]["type"] = type_
        assert (await tenant.sweep("products")).complete
        assert products.virtual == virtual
        assert products.virtual is products.virtual
    live[1]["type"] = "VIRTUAL_PRODUCT"
    await tenant.sweep("products")
    anew = catalogue(live, known={"known_products": tenant.of(ProductObserved)})
    assert anew.connector._catalogue.virtual == {"m2."}, "after a start, before any reading"
