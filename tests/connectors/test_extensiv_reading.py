"""A tenant's feeds are read whole or said not to be; what cannot be read, or only hides, is never gone."""

from typing import Any

import pytest

from reconcilerd.domain.facts import ListingDeclared, OrderObserved, ProductObserved, StockObserved
from reconcilerd.domain.names import ChannelName
from reconcilerd.domain.orders import number_on_channel
from reconcilerd.errors import MalformedReply
from tests.connectors.source import Tenant
from tests.simulator.builders import MINUTE, Desk, world_of


def stock(tenant: Tenant) -> dict[tuple[str, str], int | None]:
    """What the last sweep told of each row; None for gone."""
    return {(f.sku, f.location): None if f.gone else f.on_hand for f in tenant.of(StockObserved)}


def active(tenant: Tenant) -> set[tuple[str, bool]]:
    """Products and listings of the last sweep, and whether they are active."""
    products, listings = tenant.of(ProductObserved), tenant.of(ListingDeclared)
    return {(each.sku, each.active) for each in products} | {(each.sku, each.active) for each in listings}


def hide(*skus: str, times: int = 10**6) -> Any:
    """Rows of these SKUs are left out, in the first replies."""
    left = [times]

    def spoil(_path: str, _query: dict[str, str], body: Any) -> Any:
        kept = [row for row in body if (row.get("product") or row).get("masterSku") not in skus]
        if len(kept) < len(body) and left[0] > 0:
            left[0] -= 1
            return kept
        return body

    return spoil


async def test_what_an_order_takes_is_the_product_that_extensiv_names_with_a_listing_or_without() -> None:
    desk = Desk(world_of({"a": 50}, import_ms=(0, 0), ship_ms=(10**12, 10**12)))
    desk.world.add_item("uk", "a", 9, listing_sku="Two-Of-A")
    desk.world.place_order("uk", "7", [("Two-Of-A", 2), ("nobody", 1)], desk.clock())
    desk.world.enter_order("a", 3, desk.clock())
    tenant = Tenant(desk)
    assert (await tenant.sweep("orders", whole=True)).complete
    told = {
        (line.listing_sku, line.units, line.sku) for each in tenant.of(OrderObserved) for line in each.lines
    }
    assert told == {("Two-Of-A", 2, "a"), ("nobody", 1, None), ("a", 3, "a")}


async def test_stock_is_added_up_by_warehouse() -> None:
    desk = Desk(world_of({"a": 5, "b": 6}))
    desk.world.add_stock("a", 2, 7)
    tenant = Tenant(desk)
    assert (await tenant.sweep("stock")).complete
    assert stock(tenant) == {("a", "1"): 5, ("a", "2"): 7, ("b", "1"): 6}


@pytest.mark.parametrize("value", ["5", 1.5, True, None, -1, 10**12, {}, []])
@pytest.mark.parametrize("field", ["quantity", "allocatedQuantity", "quantityLocked"])
async def test_a_row_that_cannot_be_read_is_neither_believed_nor_gone(field: str, value: object) -> None:
    tenant = Tenant(Desk(world_of({"a": 5, "b": 6})))
    assert (await tenant.sweep("stock")).complete

    def garble(_path: str, _query: dict[str, str], body: Any) -> Any:
        return [row | {field: value} if row["product"]["masterSku"] == "a" else row for row in body]

    tenant.spoil = garble
    read = await tenant.sweep("stock")
    assert (read.complete, read.unread) == (True, ("a",)), read.why
    assert stock(tenant) == {("b", "1"): 6}
    (found,) = tenant.findings("rejected_row")
    assert found.subject == "extensiv:stock:5000"
    assert repr(value) in found.detail


async def test_a_sku_of_which_one_bin_cannot_be_read_is_not_told_in_half() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.world.add_stock("a", 2, 7)
    tenant = Tenant(desk)
    await tenant.sweep("stock")

    def garble(_path: str, _query: dict[str, str], body: Any) -> Any:
        return [row | {"quantity": "7"} if row["quantity"] == 7 else row for row in body]

    tenant.spoil = garble
    assert not (await tenant.sweep("stock")).complete
    assert stock(tenant) == {}
    await tenant.read("a")
    assert stock(tenant) == {}


async def test_what_is_missing_once_is_asked_for_and_found() -> None:
    tenant = Tenant(Desk(world_of({"a": 5, "b": 6})))
    await tenant.sweep("stock")
    for times in (1, 2):
        tenant.spoil = hide("a", times=times)
        assert (await tenant.sweep("stock")).complete
        assert stock(tenant) == {("a", "1"): 5, ("b", "1"): 6}


async def test_what_went_away_is_gone_only_after_asking_twice() -> None:
    tenant = Tenant(Desk(world_of({"a": 5, "b": 6})))
    await tenant.sweep("stock")
    tenant.spoil = hide("a")
    assert (await tenant.sweep("stock")).complete
    assert stock(tenant) == {("a", "1"): None, ("b", "1"): 6}
    asked = [(path, query["page"]) for path, query in tenant.asked if "sku" in query]
    assert [page for path, page in asked if path.endswith("/inventory")] == ["1", "1", "1", "1"]


async def test_a_warehouse_that_no_longer_has_a_sku_is_told_gone_and_the_other_stays() -> None:
    desk = Desk(world_of({"a": 5}))
    desk.world.add_stock("a", 2, 7)
    tenant = Tenant(desk)
    await tenant.sweep("stock")
    del desk.world.bins["a", 2]
    assert (await tenant.sweep("stock")).complete
    assert stock(tenant) == {("a", "1"): 5, ("a", "2"): None}


async def test_skus_are_asked_for_as_the_seller_writes_them() -> None:
    tenant = Tenant(Desk(world_of({"Ab-1": 5, "cD,2": 6})))
    await tenant.sweep("products")
    await tenant.read("ab-1", "cd,2")
    assert {query["sku"] for _, query in tenant.asked} == {'Ab-1,"cD,2"'}
    assert stock(tenant) == {("ab-1", "1"): 5, ("cd,2", "1"): 6}


async def test_a_spelling_that_is_only_guessed_proves_nothing_gone() -> None:
    desk = Desk(world_of({"Ab-1": 5, "b": 6}))
    tenant = Tenant(desk)
    await tenant.sweep("stock")
    tenant.connector._walker.spelling.clear()  # as after a restart without products
    tenant.spoil = hide("Ab-1")
    read = await tenant.sweep("stock")
    assert not read.complete
    assert "ab-1" in read.why
    assert stock(tenant) == {("b", "1"): 6}


async def test_a_substring_of_another_sku_is_not_that_sku() -> None:
    tenant = Tenant(Desk(world_of({"GUARD": 5, "GUARD-01": 7})))
    await tenant.read("guard")
    assert stock(tenant) == {("guard", "1"): 5}


@pytest.mark.parametrize("feed", ["products", "listings"])
async def test_a_missing_product_or_listing_is_asked_for_before_it_is_gone(feed: str) -> None:
    tenant = Tenant(Desk(world_of({"Aa": 5, "b": 6})))
    assert (await tenant.sweep(feed)).complete
    for times in (1, 2):
        tenant.spoil = hide("Aa", times=times)
        assert (await tenant.sweep(feed)).complete
        assert active(tenant) == {("aa", True), ("b", True)}
    tenant.spoil = hide("Aa")
    assert (await tenant.sweep(feed)).complete
    assert active(tenant) == {("aa", False), ("b", True)}
    name = "sku" if feed == "products" else "masterSku"
    assert {query[name] for _, query in tenant.asked if name in query} == {"Aa"}
    assert (await tenant.sweep(feed)).complete
    assert not [query for _, query in tenant.asked if name in query]


@pytest.mark.parametrize("feed", ["products", "listings", "stock"])
async def test_a_reply_cut_short_takes_nothing_away(feed: str) -> None:
    desk = Desk(world_of({f"s{n:04}": 5 for n in range(1200)}))
    tenant = Tenant(desk)
    assert (await tenant.sweep(feed)).complete
    tenant.spoil = lambda _path, query, body: body if query["page"] == "1" or "sku" in query else []
    read = await tenant.sweep(feed)
    assert not read.complete
    assert "missing" in read.why or "could not be found again" in read.why
    assert None not in stock(tenant).values()


@pytest.mark.parametrize("feed", ["products", "listings", "stock"])
async def test_what_a_cut_last_page_hid_is_found_again_several_a_call(feed: str) -> None:
    tenant = Tenant(Desk(world_of({f"s{n:04}": 5 for n in range(590)})))
    whole = await tenant.sweep(feed)
    assert whole.complete
    before, gone = len(tenant.facts), {f"s{n:04}" for n in range(580, 590)}
    hidden = {f"s{n:04}" for n in range(540, 580)} | gone

    def cut(path: str, query: dict[str, str], body: Any) -> Any:
        last = query["page"] == ("2" if path.endswith("listings") else "6")
        asked = "sku" in query or "masterSku" in query
        left_out = gone if asked else hidden if last else set()
        return [row for row in body if (row.get("product") or row)["masterSku"] not in left_out]

    tenant.spoil = cut
    read = await tenant.sweep(feed)
    assert read.complete, read.why
    assert read.rows == whole.rows - len(gone), "what was found again is in the list too"
    names = {sku for sku, place in stock(tenant) if stock(tenant)[sku, place] is None}
    assert gone == names | {sku for sku, there in active(tenant) if not there}
    assert before <= len(tenant.facts) <= before + 2 * len(hidden)
    asked = [query.get("sku") or query.get("masterSku", "") for _, query in tenant.asked]
    assert sum("," in each for each in asked) <= 2 * len(hidden) / 5
    assert {each for each in asked if each and "," not in each} == gone, "nothing else is asked for alone"


@pytest.mark.parametrize("feed", ["products", "listings", "stock"])
async def test_a_row_that_is_found_when_it_is_asked_for_alone_counts_as_read(feed: str) -> None:
    tenant = Tenant(Desk(world_of({"a": 5, "b": 6, "c": 7})))
    whole = await tenant.sweep(feed)
    each_has = whole.rows // 3

    def cut(path: str, query: dict[str, str], body: Any) -> Any:
        asked = query.get("sku") or query.get("masterSku")
        left_out = {"c"} if asked else {"b", "c"}
        return [row for row in body if (row.get("product") or row)["masterSku"] not in left_out]

    tenant.spoil = cut
    read = await tenant.sweep(feed)
    assert (read.complete, read.rows) == (True, whole.rows - each_has), read.why


async def test_rows_and_their_total_are_held_against_each_other() -> None:
    desk = Desk(world_of({"Aa": 5, "b": 6}))
    tenant = Tenant(desk)
    await tenant.sweep("products")
    await tenant.sweep("stock")

    def more(path: str, _query: dict[str, str], body: Any) -> Any:
        if path.endswith("total"):
            return [r | {"onHandQuantity": 9} if r["product"]["masterSku"] == "Aa" else r for r in body]
        return body

    assert (await tenant.sweep("totals")).complete
    assert tenant.findings("totals_disagree") == []
    tenant.spoil = more
    assert (await tenant.sweep("totals")).complete
    (found,) = tenant.findings("totals_disagree")
    assert (found.subject, found.cleared) == ("aa", False)
    assert "Aa add up to 5 on hand" in found.detail
    assert "says 9" in found.detail
    tenant.spoil = None
    await tenant.sweep("totals")
    assert [(each.subject, each.cleared) for each in tenant.findings("totals_disagree")] == [("aa", True)]


async def test_where_many_totals_differ_a_whole_reading_of_rows_comes_first() -> None:
    """Row by row all of it would be believed, however unlikely it is together: that is judged by whole readings."""
    desk = Desk(world_of({f"s{n:02}": 5 for n in range(12)}))
    tenant = Tenant(desk)
    await tenant.sweep("stock")
    desk.clock.pass_by(30 * MINUTE)
    for each in desk.world.bins.values():
        each.on_hand = each.copied = 0
    await tenant.sweep("totals")
    assert stock(tenant) == {}
    await tenant.sweep("stock")
    assert set(stock(tenant).values()) == {0}
    await tenant.sweep("totals")
    assert (stock(tenant), tenant.findings("totals_disagree")) == ({}, [])


async def test_of_many_totals_that_differ_from_rows_just_read_each_is_checked() -> None:
    tenant = Tenant(Desk(world_of({f"s{n:02}": 5 for n in range(12)})))

    def elsewhere(path: str, _query: dict[str, str], body: Any) -> Any:
        return [row | {"onHandQuantity": 9} for row in body] if path.endswith("/total") else body

    tenant.spoil = elsewhere
    for feed in ("stock", "totals", "stock", "totals"):
        assert tenant.findings("totals_disagree") == []
        await tenant.sweep(feed)
    assert len(tenant.findings("totals_disagree")) == 12


async def test_a_total_is_not_held_against_rows_read_long_before() -> None:
    desk = Desk(world_of({"a": 5}))
    tenant = Tenant(desk)
    await tenant.sweep("stock")
    desk.clock.pass_by(30 * MINUTE)
    desk.world.receive("a", 1, 4, desk.clock())
    await tenant.sweep("totals")
    assert tenant.findings("totals_disagree") == []
    assert stock(tenant) == {("a", "1"): 9}


async def test_a_total_is_not_held_against_rows_that_move_meanwhile() -> None:
    desk = Desk(world_of({"a": 5}))
    tenant = Tenant(desk)
    await tenant.sweep("stock")

    def moving(path: str, _query: dict[str, str], body: Any) -> Any:
        if path.endswith("total"):
            desk.world.receive("a", 1, 1, desk.clock())
        return body

    tenant.spoil = moving
    desk.world.receive("a", 1, 1, desk.clock())
    await tenant.sweep("totals")
    assert tenant.findings("totals_disagree") == []


@pytest.mark.parametrize("feed", ["products", "listings", "stock", "totals", "orders"])
async def test_a_feed_that_never_ends_is_left_with_a_clear_word(feed: str) -> None:
    desk = Desk(world_of({f"s{n}": 5 for n in range(3)}, index_lag_ms=(0, 0), import_ms=(0, 0)))
    desk.world.place_order("uk", "1", [("s1", 1)], desk.clock())
    tenant = Tenant(desk)
    assert (await tenant.sweep(feed)).complete
    turn = iter(range(10**6))

    def endless(_path: str, _query: dict[str, str], _body: Any) -> Any:
        number = next(turn)
        row = {"productStockId": number, "productId": number, "listingId": number, "orderId": number}
        return [row | {"product": {"masterSku": f"x{number}"}, "masterSku": f"x{number}"}]

    tenant.spoil = endless
    read = await tenant.sweep(feed)
    assert not read.complete
    assert "did not end within 50 pages" in read.why
    assert not any(getattr(fact, "gone", False) for fact in tenant.facts)
    assert all(alive for _, alive in active(tenant))


async def test_a_server_that_ignores_the_page_is_noticed_even_if_it_takes_turns() -> None:
    tenant = Tenant(Desk(world_of({"a": 5, "b": 6})))
    turn = iter(range(10**6))
    tenant.spoil = lambda _path, _query, _body: [{"productStockId": next(turn) % 2}]
    read = await tenant.sweep("stock")
    assert not read.complete
    assert "ignores paging" in read.why


@pytest.mark.parametrize(
    "feed", ["products", "listings", "stock", "totals", "orders", "warehouses", "channels"]
)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Sign in</html>", "HTML instead of JSON"),
        (b"", "empty reply"),
        (b'{"a": 1}', "array"),
        (b"[7]", "object"),
    ],
)
async def test_what_is_no_list_is_told_with_its_place(feed: str, body: bytes, said: str) -> None:
    tenant = Tenant(Desk(world_of({"a": 5})), lambda _path, _query, _body: body)
    with pytest.raises(MalformedReply, match=said) as error:
        await tenant.sweep(feed)
    assert "extensiv /v1" in str(error.value)
    assert tenant.facts == []


async def test_a_blank_sku_and_a_listing_mapped_twice_and_spellings_that_collide_are_told() -> None:
    desk = Desk(world_of({"a": 5, "A": 6}))
    desk.world.add_item("uk", "A", 1, listing_sku="a")
    tenant = Tenant(desk)

    def blank(_path: str, _query: dict[str, str], body: Any) -> Any:
        return [row | {"masterSku": " "} if row["productId"] == 1 and "type" in row else row for row in body]

    await tenant.sweep("products")
    assert [each.subject for each in tenant.findings("sku_case_collision")] == ["a"]
    tenant.spoil = blank
    await tenant.sweep("products")
    assert [each.subject for each in tenant.findings("rejected_row")] == ["extensiv:products: "]
    tenant.spoil = lambda _path, _query, body: [
        row | {"masterSku": "b"} if row["masterSku"] == "A" else row for row in body
    ]
    await tenant.sweep("listings")
    (found, _) = tenant.findings("listing_mapped_twice")
    assert (found.subject, found.detail.count("a, b")) == ("101:a", 1)


async def test_an_order_goes_by_the_number_its_channel_gave_it() -> None:
    desk = Desk(world_of({"a": 5}, import_ms=(0, 0), ship_ms=(10**9, 10**9)))
    desk.world.place_order("uk", "UK-77", [("a", 1)], desk.clock())
    desk.world.place_order("eu", "UK-78", [("a", 1)], desk.clock())
    tenant = Tenant(desk, order_keys={ChannelName("uk"): "UK-(.+)"})
    await tenant.sweep("orders")
    assert {(each.key.channel, each.key.number) for each in tenant.of(OrderObserved)} == {
        ("uk", "77"),
        ("eu", "UK-78"),
    }


@pytest.mark.parametrize(
    ("order_key", "in_extensiv", "number"),
    [
        ("(.*)", "1001", "1001"),
        ("SHOP-(.+)", "SHOP-1001", "1001"),
        ("SHOP-(.+)", "1001", "1001"),
        ("SHOP-(.+)", "XSHOP-1001", "XSHOP-1001"),
        ("(.+)-UK", "1001-UK", "1001"),
        (r"[A-Z]+#?(\d+)(?:-R)?", "UK#1001-R", "1001"),
        ("SHOP-(.*)", "SHOP-", "SHOP-"),
        ("(?:a|(b))", "a", "a"),
    ],
)
def test_an_order_key_is_a_pattern_that_fits_the_whole_number(
    order_key: str, in_extensiv: str, number: str
) -> None:
    assert number_on_channel(order_key, in_extensiv) == number


@pytest.mark.parametrize("feed", ["products", "listings", "stock", "orders"])
async def test_a_first_reading_whose_only_page_is_cut_in_half_is_filled_up(feed: str) -> None:
    desk = Desk(world_of({f"s{n}": 5 for n in range(8)}, index_lag_ms=(0, 0), import_ms=(0, 0)))
    for number in range(8):
        desk.world.place_order("uk", str(number), [(f"s{number}", 1)], desk.clock())
    left = [1]

    def cut(_path: str, _query: dict[str, str], body: Any) -> Any:
        if body and left[0]:
            left[0] -= 1
            return body[: len(body) // 2]
        return body

    tenant = Tenant(desk, cut)
    assert (await tenant.sweep(feed)).complete
    kinds = {"products": ProductObserved, "listings": ListingDeclared, "stock": StockObserved}
    told: list[Any] = tenant.of(kinds.get(feed, OrderObserved))
    assert len({fact.about for fact in told}) == (16 if feed == "listings" else 8)


async def test_a_page_cut_in_the_middle_of_a_list_is_filled_up() -> None:
    tenant = Tenant(Desk(world_of({f"s{n:03}": 5 for n in range(350)})))
    assert (await tenant.sweep("stock")).complete
    tenant.spoil = lambda _path, query, body: (
        body[:50] if query["page"] == "2" and len(tenant.asked) < 4 else body
    )
    assert (await tenant.sweep("stock")).complete
    assert len(stock(tenant)) == 350
    assert not [query for _, query in tenant.asked if "sku" in query]


async def test_behind_a_page_that_is_shorter_than_pages_of_its_list_are_one_empty_page_is_the_end() -> None:
    desk = Desk(world_of({f"s{n}": 5 for n in range(8)}, index_lag_ms=(0, 0), import_ms=(0, 0)))
    for number in range(8):
        desk.world.place_order("uk", str(number), [(f"s{number}", 1)], desk.clock())
    tenant = Tenant(desk)
    desk.world.advance(desk.clock())
    desk.clock.pass_by(200_000)
    cursor = (await tenant.sweep("orders")).cursor
    desk.world.place_order("uk", "later", [("s1", 1)], desk.clock())
    read = await tenant.sweep("orders", cursor)
    assert read.complete
    assert [fact.key.number for fact in tenant.of(OrderObserved)] == ["later"]
    assert [query["page"] for _, query in tenant.asked] == ["1", "2"]


async def test_behind_a_page_as_wide_as_any_an_empty_page_is_asked_for_once_more() -> None:
    tenant = Tenant(Desk(world_of({f"s{n:03}": 5 for n in range(150)})))
    assert (await tenant.sweep("stock")).complete
    cut = iter([True])
    tenant.spoil = lambda _path, query, body: [] if query["page"] == "2" and next(cut, False) else body
    assert (await tenant.sweep("stock")).complete
    assert len(stock(tenant)) == 150
    assert not [query for _, query in tenant.asked if "sku" in query]


@pytest.mark.parametrize("broken", ["open", "changed"])
async def test_a_whole_reading_of_orders_is_as_complete_as_each_of_its_lists(broken: str) -> None:
    def spoilt(path: str, query: dict[str, str], body: Any) -> Any:
        if not path.endswith("/orders") or int(query["page"]) > 1:
            return body
        which = "open" if "status" in query else "changed"
        return [{"orderId": number} for number in range(40)] if which == broken else []

    tenant = Tenant(Desk(world_of({"a": 5})), spoilt)
    read = await tenant.sweep("orders", whole=True)
    assert not read.complete
    assert "40" in read.why
    assert read.cursor == ""
