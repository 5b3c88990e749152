"""Products and listings that went away while nobody read, or moved while they were read."""

from collections.abc import Callable
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


def in_lists(tenant: Tenant, change: Callable[[list[Row]], list[Row]]) -> None:
    """Pages of lists are otherwise from here on; what is asked for by SKU is as it is."""
    answer = tenant.spoil
    assert answer is not None

    def changed(path: str, query: dict[str, str], body: Any) -> Any:
        rows = answer(path, query, body)
        return rows if "sku" in query or "masterSku" in query else change(rows)

    tenant.spoil = changed


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


KIT = {"type": "BUNDLE_KIT", "bundledItems": [{"product": {"masterSku": "M2."}, "bundledProductQuantity": 2}]}


def called(tenant: Tenant) -> dict[str, tuple[int, bool]]:
    """By SKU, the number of the product that was told last of it, and whether that is a bundle."""
    return {each.sku: (each.product_id, bool(each.components)) for each in tenant.of(ProductObserved)}


async def test_a_product_that_is_called_as_another_one_does_not_become_it() -> None:
    """A cell in the wrong row, and the stock of one SKU would be sold as another's: who had the name before, has it."""
    live = [row(1), row(2), row(3) | KIT]
    tenant = catalogue(live)
    await tenant.sweep("products")
    assert called(tenant) == {"m1.": (1, False), "m2.": (2, False), "m3.": (3, True)}
    live[2] = live[2] | {"masterSku": "M1."}
    for _ in range(2):
        assert (await tenant.sweep("products")).complete
        assert called(tenant) == {"m1.": (1, False), "m2.": (2, False)}, (
            "and of the other one nothing is told"
        )
        (found,) = tenant.findings(FindingKind.PRODUCT_TWICE)
        assert (found.subject, "products 1, 3" in found.detail) == ("m1.", True)
    live[2] = row(3) | KIT
    await tenant.sweep("products")
    assert called(tenant) == {"m1.": (1, False), "m2.": (2, False), "m3.": (3, True)}
    assert tenant.findings(FindingKind.PRODUCT_TWICE) == []


@pytest.mark.parametrize("first", [1, 3])
async def test_of_two_that_nobody_knew_before_none_is_believed(first: int) -> None:
    live = sorted(
        [row(1), row(2), row(3) | KIT | {"masterSku": "M1."}], key=lambda each: each["productId"] != first
    )
    tenant = catalogue(live)
    assert (await tenant.sweep("products")).complete
    assert called(tenant) == {"m2.": (2, False)}
    assert [each.subject for each in tenant.findings(FindingKind.PRODUCT_TWICE)] == ["m1."]
    del live[[each["productId"] for each in live].index(3)]
    await tenant.sweep("products")
    assert called(tenant) == {"m1.": (1, False), "m2.": (2, False)}


OTHER_KIT = {
    "type": "BUNDLE_KIT",
    "bundledItems": [{"product": {"masterSku": "M2."}, "bundledProductQuantity": 3}],
}


@pytest.mark.parametrize(("one", "other"), [({}, {"type": "VIRTUAL_PRODUCT"}), (KIT, OTHER_KIT)])
async def test_two_that_were_alike_and_are_so_no_longer_stay_as_they_were(one: Row, other: Row) -> None:
    """Each carried the name before: nobody can say whose it is."""
    live = [row(1) | one, row(2), row(3) | one | {"masterSku": "M1."}]
    tenant = catalogue(live)
    await tenant.sweep("products")
    assert tenant.findings(FindingKind.PRODUCT_TWICE) == []
    assert called(tenant).keys() == {"m1.", "m2."}
    live[2] = live[2] | other
    await tenant.sweep("products")
    assert called(tenant) == {"m2.": (2, False)}
    assert [each.subject for each in tenant.findings(FindingKind.PRODUCT_TWICE)] == ["m1."]


@pytest.mark.parametrize("ill", [{"type": "BUNDLE_KIT"}, {"active": "yes"}, {"masterSku": ""}])
async def test_one_that_cannot_be_read_this_time_has_its_name_still(ill: Row) -> None:
    live = [row(1), row(2), row(3) | KIT]
    tenant = catalogue(live)
    await tenant.sweep("products")
    live[0] = live[0] | ill
    live[2] = live[2] | {"masterSku": "M1."}
    await tenant.sweep("products")
    assert "m1." not in called(tenant)
    assert [each.subject for each in tenant.findings(FindingKind.PRODUCT_TWICE)] == ["m1."]


CHANGES: list[tuple[str, Row]] = [
    ("products", {"type": "BUNDLE_KIT", "bundledItems": KIT["bundledItems"]}),
    ("products", {"type": "VIRTUAL_PRODUCT"}),
    ("products", {"masterSku": "M9."}),
    ("listings", {"masterSku": "M2."}),
    ("listings", {"listingSku": "other"}),
    ("listings", {"salesChannelId": 102}),
    ("listings", {"pushInventory": True}),
]


def meant(tenant: Tenant) -> list[object]:
    products = [(e.sku, e.type, e.components) for e in tenant.of(ProductObserved) if e.active]
    listings = [
        (e.sku, e.listing_sku, e.sales_channel_id, e.push_inventory) for e in tenant.of(ListingDeclared)
    ]
    return sorted([*products, *listings], key=str)


@pytest.mark.parametrize(("feed", "change"), CHANGES)
async def test_what_a_row_means_changes_at_once_where_a_second_request_says_so_too(
    feed: str, change: Row
) -> None:
    live = [row(1), row(2)]
    tenant = catalogue(live)
    await tenant.sweep(feed)
    before = meant(tenant)
    live[0] = live[0] | change
    await tenant.sweep(feed)
    after = meant(tenant)
    assert len(after) == len(before) == 2
    assert after != before


@pytest.mark.parametrize(("feed", "change"), CHANGES)
@pytest.mark.parametrize("times", [1, 2])
async def test_one_wrong_cell_of_a_list_changes_nothing_until_the_next_list_says_it_too(
    feed: str, change: Row, times: int
) -> None:
    """Every order and number of it would stand for something else."""
    live = [row(1), row(2)]
    tenant = catalogue(live)
    await tenant.sweep(feed)
    before, answer = meant(tenant), tenant.spoil
    in_lists(tenant, lambda rows: [r | change if r["productId"] == 1 else r for r in rows])
    for time in range(times):
        assert (await tenant.sweep(feed)).complete
        told = [each for each in meant(tenant) if each not in before]
        assert len(told) == (time > 0), "the second time it is believed"
    tenant.spoil = answer
    await tenant.sweep(feed)
    assert meant(tenant) == before


async def test_what_changed_in_each_of_two_lists_otherwise_is_said_once() -> None:
    live = [row(1), row(2)]
    tenant = catalogue(live)
    await tenant.sweep("products")
    kinds = [""]
    in_lists(tenant, lambda rows: [r | {"type": kinds[0]} if r["productId"] == 1 else r for r in rows])
    for kind in ("VIRTUAL_PRODUCT", "PARENT_PRODUCT", "VIRTUAL_PRODUCT"):
        kinds[:] = [kind]
        await tenant.sweep("products")
        assert {each.product_id for each in tenant.of(ProductObserved)} == {2}


async def test_a_product_that_is_called_otherwise_is_told_under_its_old_name_too() -> None:
    """As no longer active, or what was ordered by that name would be looked for there."""
    live = [row(1), row(2)]
    tenant = catalogue(live)
    await tenant.sweep("products")
    live[0] = row(1) | {"masterSku": "N1."}
    await tenant.sweep("products")
    told = {each.sku: (each.product_id, each.active) for each in tenant.of(ProductObserved)}
    assert told == {"n1.": (1, True), "m1.": (1, False), "m2.": (2, True)}
    await tenant.sweep("products")
    assert "m1." not in {each.sku for each in tenant.of(ProductObserved)}
    live[0] = row(1)
    await tenant.sweep("products")
    told = {each.sku: (each.product_id, each.active) for each in tenant.of(ProductObserved)}
    assert told == {"m1.": (1, True), "n1.": (1, False), "m2.": (2, True)}


async def test_two_that_swap_their_names_are_two_as_before() -> None:
    live = [row(1), row(2), row(3) | KIT]
    tenant = catalogue(live)
    await tenant.sweep("products")
    live[0], live[2] = live[0] | {"masterSku": "M3."}, live[2] | {"masterSku": "M1."}
    await tenant.sweep("products")
    assert called(tenant) == {"m1.": (3, True), "m2.": (2, False), "m3.": (1, False)}


@pytest.mark.parametrize("at", [0, 2])
async def test_a_product_that_is_no_longer_active_gives_its_name_away(at: int) -> None:
    live = [row(1), row(2)]
    live.insert(at, row(3) | KIT | {"masterSku": "M1.", "active": False})
    tenant = catalogue(live)
    await tenant.sweep("products")
    assert called(tenant) == {"m1.": (1, False), "m2.": (2, False)}
    assert tenant.findings(FindingKind.PRODUCT_TWICE) == []
    for each in live:
        each["active"] = False
    await tenant.sweep("products")
    assert set(numbers(tenant).values()) == {False}


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
    in_lists(tenant, lambda rows: rows[:-hidden])
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
