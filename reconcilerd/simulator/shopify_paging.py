"""Lists of the Shopify simulator, page by page."""

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from graphql import GraphQLError

from reconcilerd.simulator.stores import Order

Node = dict[str, Any]
MOST_A_CALL = 250
MOST_DEEP = 25_000
"""Nodes of one list that are paged through; behind them there is an error."""


def nested(rows: list[Node]) -> Any:
    """A connection inside a node, paged like any other."""
    return lambda _info, first=50, after=None: connection(rows, first, after, lambda row: row)


def place_of(order: Order) -> tuple[int, int]:
    """Where an order stands in a list by when it was changed."""
    return order.updated, order.id


def connection(
    rows: list[Any],
    first: int,
    after: str | None,
    node: Any,
    place: Callable[[Any], tuple[int, int]] | None = None,
) -> Node:
    """A page of a list. ``place``: of a list whose rows move while it is read, a cursor names the last row's place."""
    if after is not None and not re.fullmatch(r"\d+" if place is None else r"\d+-\d+", after):
        raise GraphQLError("after is not a cursor of this connection")
    if place is None or after is None:
        start = int(after or 0)
    else:
        changed, _, id_ = after.partition("-")
        start = bisect_right(rows, (int(changed), int(id_)), key=place)
    page = rows[start : start + min(first, MOST_A_CALL)]
    end = start + len(page)
    if end > MOST_DEEP:
        raise GraphQLError(f"paging goes no deeper than {MOST_DEEP} nodes; filter the list")
    cursor = None
    if page:
        cursor = str(end) if place is None else "-".join(map(str, place(page[-1])))
    return {
        "nodes": [node(each) for each in page],
        "pageInfo": {"hasNextPage": end < len(rows), "endCursor": cursor},
    }
