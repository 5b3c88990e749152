"""A plain query is answered as graphql-core answers it, in whatever words; what is not plain is left to it."""

from typing import Any

import pytest
from graphql import parse
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.connectors.shopify.graphql import document
from reconcilerd.simulator.shopify_api import ShopifyApi, schema
from reconcilerd.simulator.shopify_query import NotPlain, Query
from tests.simulator.builders import START, Desk, world_of

SENT = ("access_scopes", "inventory_items", "item_levels", "items_by_id", "order_lines", "orders")
"""Every query that the connector sends."""


def store() -> ShopifyApi:
    desk = Desk(world_of({"a": 5, "b": 0, "c": 70}))
    for number, code in enumerate(["a", "c", "a", "nobody's"]):
        placed = desk.world.place_order("uk", f"{number}", [(code, 2)], START)
        if placed is not None and number == 1:
            desk.world.cancel(placed, START)
    desk.clock.pass_by(120_000)
    return desk.business.stores["uk"]


ids = st.integers(1, 6).map(lambda number: f"gid://shopify/InventoryItem/{101 * 100_000 + number}")
order_ids = st.integers(1, 6).map(lambda number: f"gid://shopify/Order/{number}")
filters = st.sampled_from(
    ["", "status:open", "updated_at:>='2010-12-05T12:00:00Z'", "fulfillment_status:partial", "id:>=10100002"]
)
odd = st.none() | st.just("x") | st.just(-1) | st.just(True) | st.just([3])
plain = st.fixed_dictionaries(
    {},
    optional={
        "first": st.integers(0, 5) | odd,
        "after": st.none() | st.sampled_from(["1", "2", "9", "no cursor"]) | odd,
        "query": st.none() | filters | odd,
        "id": ids | order_ids | odd,
        "ids": st.lists(ids, max_size=4) | odd,
        "after_line": st.none() | st.just("1"),
    },
)


@pytest.mark.parametrize("name", SENT)
def test_what_the_connector_asks_is_a_plain_query(name: str) -> None:
    assert Query(schema(), parse(document(name))).answer is not None


@given(name=st.sampled_from(SENT), variables=plain)
def test_a_plain_query_is_answered_as_graphql_answers_it(name: str, variables: dict[str, Any]) -> None:
    api, read = store(), parse(document(name))
    assert api._execute(read, variables, Query(schema(), read)) == api._execute(read, variables)


@pytest.mark.parametrize(
    "text",
    [
        'mutation { inventorySetQuantities(input: {name: "", quantities: [], reason: ""}) { userErrors { code } } }',
        "query ($on: Boolean!) { orders(first: 1) { nodes { id @include(if: $on) } } }",
        "{ orders(first: 1) { nodes { id } } orders(first: 1) { nodes { name } } }",
        "query ($first: Int = 2) { orders(first: $first) { nodes { id } } }",
    ],
)
def test_what_is_not_plain_is_left_to_graphql(text: str) -> None:
    with pytest.raises(NotPlain):
        Query(schema(), parse(text))


def test_a_query_in_other_words_is_answered_alike() -> None:
    api = store()
    read = parse(
        """
        { page: orders(first: 2) { nodes { __typename what: id ...on Order { test } } pageInfo { hasNextPage } }
          inventoryItems { nodes { inventoryLevels { nodes { quantities(names: ["available", "x"]) { quantity } } } } }
          nodes(ids: ["gid://shopify/InventoryItem/10100001", "none"]) { id ... on InventoryItem { sku } }
        }
        """
    )
    answer = Query(schema(), read).answer
    assert api._execute(read, {}, Query(schema(), read)) == api._execute(read, {})
    assert answer(
        {"orders": lambda _info, **_: {"nodes": [], "pageInfo": {"hasNextPage": False}}} | _nothing(), {}
    )


def _nothing() -> dict[str, Any]:
    return {
        "inventoryItems": lambda _info, **_: {"nodes": []},
        "nodes": lambda _info, ids: [None for _ in ids],
    }


def test_null_where_something_must_be_is_no_answer() -> None:
    answer = Query(schema(), parse('{ order(id: "1") { name } }')).answer
    assert answer({"order": lambda _info, **_: None}, {}) == {"order": None}
    with pytest.raises(NotPlain):
        answer({"order": lambda _info, **_: {"name": None}}, {})
