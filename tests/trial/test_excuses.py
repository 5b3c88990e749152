"""What a reading got wrong is nobody's fault: only as long as it stands, and only where it matters."""

from dataclasses import replace
from typing import Any

import pytest

from reconcilerd.domain.facts import EXTENSIV, ListingDeclared, OrderLine, OrderObserved, OrderStatus
from reconcilerd.domain.names import ChannelName, Instant, OrderKey, Sku, after
from reconcilerd.domain.position import Claim, ClaimKind
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.trial.oracle import Oracle
from reconcilerd.trial.stage import START
from tests.domain.books import order
from tests.domain.builders import EVERYWHERE, A, offer, position, row
from tests.world.stage import empty_shops, policy, put_on_sale

UK = "shop-uk"
LATER = after(START, 3_600_000)


def the_world(import_ms: tuple[int, int] = (0, 0)) -> World:
    world = empty_shops(WorldConfig(seed=1, index_lag_ms=(0, 0), import_ms=import_ms))
    put_on_sale(world, "A", 20, split=True, shown={UK: 10, "shop-eu": 10})
    put_on_sale(world, "B", 20, split=True, shown={UK: 10})
    put_on_sale(world, "SET", 5, split=True, shown={UK: 5}, bundle=(("A", 2), ("B", 1)))
    return world


def lost(oracle: Oracle) -> list[str]:
    """What the oracle says of a position of A in which nothing is claimed."""
    told = position([offer("uk", sku="a", uses=((Sku("a"), 1),))], [row(A, 20, "a")])
    return [invariant for invariant, _ in oracle.conservation(replace(told, sold=((Sku("a"), 0),)))]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([], ["I6"]),
        ([{"sku": Sku("b")}], []),
        ([{"sku": Sku("b")}, {}], ["I6"]),
        ([{"sku": Sku("b"), "listing_id": 1}], ["I6"]),
        ([{"sku": Sku("b"), "sales_channel_id": 102}], ["I6"]),
    ],
)
def test_an_order_is_excused_while_extensiv_gives_its_own_listing_another_sku(
    changes: list[dict[str, Any]], said: list[str]
) -> None:
    world = the_world()
    began = {f"{UK}.orders": LATER, "extensiv.orders": Instant(0)}
    oracle = Oracle(world, policy(split=True), began)
    item = world.stores[UK].by_sku["A"]
    right = ListingDeclared(
        world.stores[UK].sales_channel_id, item.listing_id, "a", Sku("a"), False, True, START
    )
    assert world.place_order(UK, "1", [("A", 1)], after(START, 1_000)) is not None
    for each in changes:
        oracle.read_listing(replace(right, **each))
    assert lost(oracle) == said


@pytest.mark.parametrize(
    ("called", "said"),
    [
        ([None], ["I6"]),
        ([Sku("a")], ["I6"]),
        ([Sku("b")], []),
        ([Sku("b"), Sku("a")], ["I6"]),
    ],
)
def test_an_order_is_excused_while_extensiv_calls_its_line_by_another_product(
    called: list[Sku | None], said: list[str]
) -> None:
    world = the_world()
    oracle = Oracle(world, policy(split=True), {f"{UK}.orders": LATER, "extensiv.orders": Instant(0)})
    assert world.place_order(UK, "1", [("A", 1)], after(START, 1_000)) is not None
    for sku in called:
        line = OrderLine("A", 1, sku)
        oracle.read_order(replace(order(EXTENSIV, OrderStatus.OPEN, LATER), lines=(line,)))
    assert lost(oracle) == said


def test_news_of_an_order_is_news_of_every_shelf_its_listing_is_sold_from() -> None:
    oracle = Oracle(the_world(), policy(split=True), {})
    assert set(oracle.shelves_of(UK, "set")) == {"a@1", "a@2", "b@1", "b@2"}
    assert set(oracle.shelves_of(UK, "a")) == {"a@1", "a@2"}
    assert list(oracle.shelves_of(UK, "nothing")) == []
    assert list(oracle.shelves_of("nobody", "a")) == []
    item = oracle.world.stores[UK].by_sku["A"]
    wrong = ListingDeclared(101, item.listing_id, "a", Sku("b"), False, True, START)
    oracle.read_listing(wrong)
    assert list(oracle.shelves_of(UK, "a")) == []
    oracle.read_listing(replace(wrong, sku=Sku("a")))
    assert set(oracle.shelves_of(UK, "a")) == {"a@1", "a@2"}


@pytest.mark.parametrize(
    ("stock_read_ms", "left_out", "said"),
    [(1_500, (), []), (2_500, (), ["I6"]), (2_500, ("b",), ["I6"]), (2_500, ("a", "b"), [])],
)
def test_a_shipment_is_proven_by_a_row_that_was_read_after_the_second_that_its_record_may_name(
    stock_read_ms: int, left_out: tuple[str, ...], said: list[str]
) -> None:
    world, shipped = the_world(), after(START, 60_001)
    began = {f"{UK}.orders": LATER, "extensiv.orders": LATER, "extensiv.stock": after(shipped, stock_read_ms)}
    oracle = Oracle(world, replace(policy(split=True), locations={}), began, frozenset(left_out))
    sold = world.place_order(UK, "1", [("A", 1)], after(START, 1_000))
    assert sold is not None
    sold.shipped = shipped
    told = position([offer("uk", sku="a", uses=((Sku("a"), 1),))], [row(A, 19, "a")])
    taken = Claim(ClaimKind.SHIPPED, Sku("a"), 1, EVERYWHERE, ChannelName(UK), "1/1")
    told = replace(told, sold=((Sku("a"), 0),), claims=(taken,))
    assert [invariant for invariant, _ in oracle.conservation(told)] == said


@pytest.mark.parametrize(
    ("dated_ms", "again", "contradicted", "said"),
    [
        (0, False, False, ["I6"]),
        (90_000, False, False, []),
        (90_000, True, False, ["I6"]),
        (0, False, True, []),
    ],
)
def test_a_shipment_goes_by_the_date_that_its_record_first_had_and_nobody_is_blamed_for_news_from_before(
    dated_ms: int, again: bool, contradicted: bool, said: list[str]
) -> None:
    """``again``: it was read open once more, and then shipped when it was."""
    world, shipped = the_world(), after(START, 60_000)
    began = {f"{UK}.orders": LATER, "extensiv.orders": LATER, "extensiv.stock": after(shipped, 5_000)}
    oracle = Oracle(
        world,
        replace(policy(split=True), locations={}),
        began,
        contradicted=lambda feed: contradicted and feed == "extensiv.orders",
    )
    sold = world.place_order(UK, "1", [("A", 1)], after(START, 1_000))
    assert sold is not None
    sold.shipped = shipped
    made = OrderObserved(
        EXTENSIV,
        OrderKey(ChannelName(UK), "1"),
        START,
        shipped,
        OrderStatus.SHIPPED,
        "SHIPPED",
        (OrderLine("a", 1, Sku("a")),),
        LATER,
        ended_at=after(shipped, dated_ms),
        part=str(sold.id),
    )
    oracle.read_order(made)
    if again:
        oracle.read_order(replace(made, status=OrderStatus.OPEN, ended_at=None))
        oracle.read_order(replace(made, ended_at=shipped))
    told = position([offer("uk", sku="a", uses=((Sku("a"), 1),))], [row(A, 19, "a")])
    taken = Claim(ClaimKind.SHIPPED, Sku("a"), 1, EVERYWHERE, ChannelName(UK), "1/1")
    told = replace(told, sold=((Sku("a"), 0),), claims=(taken,))
    assert [invariant for invariant, _ in oracle.conservation(told)] == said
