"""How rows and bytes of an answer are spoilt: pure, by the faults that struck and a chance that is given."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final

from starlette.responses import Response

from reconcilerd.domain.names import Instant, format_instant, parse_instant
from reconcilerd.simulator.menu import Fault

Row = dict[str, Any]
Struck = frozenset[Fault]

SKUS: Final = ("masterSku", "sku", "listingSku")
QUANTITIES: Final = ("quantity", "quantityOrdered", "currentQuantity", "onHandQuantity")
STATUSES: Final = ("orderStatus", "displayFulfillmentStatus", "type")
CHANGES: Final = ("modifiedDate", "updatedAt")
TIMES: Final = (*CHANGES, "orderDate", "createdDate", "created", "shipDate", "createdAt", "cancelledAt")
DAY_MS: Final = 86_400_000
SUMMER: Final = timezone(timedelta(hours=2))
CUT: Final = 7
"""How many bytes a cut answer lacks."""
CAPPED_AT: Final = 3


def page_of(
    rows: Callable[[int, int], list[Row]], limit: int, number: int, struck: Struck, chance: Random
) -> list[Row]:
    """One page of a numbered list. ``rows``: those from one place up to another."""
    if Fault.MISSING_PAGE in struck:
        return []
    if Fault.CAPPED_LIMIT in struck:
        limit = min(limit, CAPPED_AT)
    if Fault.PAGES_SWAPPED in struck:
        number += 1 if number % 2 else -1
    first, last = (number - 1) * limit, number * limit
    if Fault.SHIFTED_ROWS in struck:
        first, last = max(0, first - 1), max(0, last - 1)
    page = rows(first, last)
    if Fault.HALF_A_PAGE in struck:
        page = page[: len(page) // 2]
    return spoil_rows(page, struck, chance)


def spoil_rows(rows: Sequence[Any], struck: Struck, chance: Random) -> list[Any]:
    """Rows as they come: each fault in one row of its own choice, or in all where it is about all."""
    spoilt = list(rows)
    if not struck or not spoilt:
        return spoilt
    for fault, change in _IN_ONE_ROW.items():
        if fault in struck:
            at = chance.randrange(len(spoilt))
            spoilt[at] = change(spoilt[at], spoilt, chance)
    if Fault.EQUAL_TIMES in struck:
        newest = max((text for row in spoilt for text in _texts(row, CHANGES)), default="")
        spoilt = [edited(row, CHANGES, lambda _: newest) for row in spoilt]
    if Fault.LOCAL_TIMES in struck:
        spoilt = [edited(row, TIMES, _in_summer) for row in spoilt]
    if Fault.ROWS_REORDERED in struck:
        chance.shuffle(spoilt)
    return [row for row in spoilt for _ in (1, 2)] if Fault.ROWS_TWICE in struck else spoilt


def spoil_data(data: Any, struck: Struck, chance: Random) -> Any:
    """The data of a GraphQL answer, with the rows of each of its lists spoilt."""
    if not struck or not isinstance(data, dict):
        return data
    spoilt = dict(data)
    for name, value in data.items():
        if isinstance(value, list):
            spoilt[name] = spoil_rows(value, struck, chance)
        elif isinstance(value, dict) and isinstance(value.get("nodes"), list):
            spoilt[name] = {**value, "nodes": spoil_rows(value["nodes"], struck, chance)}
    return spoilt


def shifted(value: Any, ms: int) -> Any:
    """All times of a row as a clock that is ``ms`` ahead would have written them."""
    return edited(value, TIMES, lambda text: _later(text, ms)) if ms else value


def spoil_reply(response: Response, struck: Struck) -> Response:
    """An answer whose bytes or headers are not what they should be."""
    body = bytes(response.body)
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    if Fault.TRUNCATED in struck:
        body = body[:-CUT]
    if Fault.BYTE_ORDER_MARK in struck:
        body = b"\xef\xbb\xbf" + body
    if Fault.EMPTY in struck:
        body = b""
    if Fault.GZIP_LIE in struck:
        headers["content-encoding"] = "gzip"
    if Fault.WRONG_VERSION in struck:
        headers["x-shopify-api-version"] = "2024-01"
    return Response(body, response.status_code, headers)


def edited(value: Any, names: Sequence[str], change: Callable[[Any], Any], *, once: bool = False) -> Any:
    """A copy with every field of these names changed, however deep; ``once``: only the first that is met."""
    left = [1 if once else -1]

    def walk(inner: Any) -> Any:
        if isinstance(inner, dict):
            made: Row = {}
            for name, each in inner.items():
                if name in names and each is not None and not isinstance(each, dict | list) and left[0]:
                    left[0] -= 1
                    made[name] = change(each)
                else:
                    made[name] = walk(each)
            return made
        return [walk(each) for each in inner] if isinstance(inner, list) else inner

    return walk(value)


def _texts(value: Any, names: Sequence[str]) -> Iterator[Any]:
    """The values of every field of these names."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in names and isinstance(each, str):
                yield each
            else:
                yield from _texts(each, names)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, names)


_Change = Callable[[Any, Sequence[Any], Random], Any]


def _quantity(change: Callable[[Any], Any]) -> _Change:
    return lambda row, _rows, _chance: edited(row, QUANTITIES, change, once=True)


def _sku(change: Callable[[Any], Any]) -> _Change:
    def of(row: Any, _rows: Sequence[Any], chance: Random) -> Any:
        names = [each for each in SKUS if any(_texts(row, (each,)))]
        # A line of an order is called by its listing and by its product: either may be wrong.
        name = chance.choice(names) if len(names) > 1 and "orderItems" in row else next(iter(names), "")
        return edited(row, (name,), change, once=True) if name else row

    return of


def _of_another(row: Any, rows: Sequence[Any], chance: Random) -> Any:
    others = sorted({text for each in rows for text in _texts(each, SKUS)} - set(_texts(row, SKUS)))
    return _sku(lambda _: chance.choice(others))(row, rows, chance) if others else row


def _later(text: Any, ms: int) -> Any:
    try:
        return format_instant(Instant(parse_instant(text) + ms))
    except (TypeError, ValueError):
        return text


def _in_summer(text: Any) -> Any:
    try:
        moment = datetime.fromtimestamp(parse_instant(text) / 1000, UTC)
    except (TypeError, ValueError):
        return text
    return moment.astimezone(SUMMER).isoformat()


_IN_ONE_ROW: Final[Mapping[Fault, _Change]] = {
    Fault.SKU_RENAMED: _sku(lambda text: f"{text}-renamed"),
    Fault.SKU_TWICE: _of_another,
    Fault.SKU_BLANK: _sku(lambda _: ""),
    Fault.INTEGER_AS_TEXT: _quantity(str),
    Fault.DECIMAL_COMMA: _quantity(lambda number: f"{number},0"),
    Fault.NEGATIVE: _quantity(lambda number: -1 - abs(number) if isinstance(number, int) else number),
    Fault.NULL_QUANTITY: _quantity(lambda _: None),
    Fault.UNKNOWN_STATUS: lambda row, _rows, _chance: edited(
        row, STATUSES, lambda _: "SOMETHING_NEW", once=True
    ),
    Fault.FUTURE_TIMES: lambda row, _rows, _chance: shifted(row, DAY_MS),
}
