"""The menu of what can go wrong: each fault with a sentence, the moment of a request it strikes at, and which requests.

Whatever is here may befall a request together with anything else that is here. It knows neither seeds nor replies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Ask(StrEnum):
    """What a request is, as far as faults can tell."""

    LIST = "list"
    """A numbered page of a bare array (Extensiv)."""
    WHOLE = "whole"
    """A list that comes in one piece (Extensiv)."""
    POST = "post"
    """A write of Extensiv's."""
    QUERY = "query"
    """A GraphQL query (a store)."""
    MUTATION = "mutation"
    """A GraphQL write (a store)."""


class Moment(StrEnum):
    """When in the life of a request a fault strikes; in this order."""

    WORLD = "world"
    """Just before it is answered, something happens in the business, or to the system's clock."""
    DELAY = "delay"
    INSTEAD = "instead"
    """Another answer is given, and the request has no effect."""
    EFFECT = "effect"
    """A write does something else than it says."""
    ROWS = "rows"
    """The rows that are answered are others."""
    REPLY = "reply"
    """The answer is spoilt on its way, after the effect."""
    LOST = "lost"
    """No answer comes, after the effect."""


class Fault(StrEnum):
    """Every fault by the name that a person writes."""

    FOREIGN_WRITER = "foreign_writer"
    LOST_PUSH = "lost_push"
    ZERO_NOT_PUSHED = "zero_not_pushed"
    SECOND_THOUGHTS = "second_thoughts"
    SPLIT_ORDER = "split_order"
    CLOCK_AHEAD = "clock_ahead"
    CLOCK_BEHIND = "clock_behind"
    SLOW_DRIP = "slow_drip"
    TOO_MANY = "429"
    TOO_MANY_BAD_WAIT = "429_bad_wait"
    TOO_MANY_NO_WAIT = "429_no_wait"
    TOO_MANY_FOR_EVER = "429_for_ever"
    SERVER_ERROR = "5xx"
    SERVER_ERROR_JSON = "500_json"
    UNAVAILABLE = "503_wait"
    TIMEOUT_BEFORE = "timeout_before"
    DROPPED_BEFORE = "dropped_before"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of a fault
    REDIRECT = "redirect"
    LOGIN_PAGE = "login_page"
    THROTTLED = "throttled"
    GRAPHQL_ERROR = "graphql_error"
    USER_ERROR = "user_error"
    KEY_BUSY = "key_busy"
    NOT_APPLIED = "accepted_not_applied"
    DELIVERED_TWICE = "delivered_twice"
    PARTIAL_BATCH = "partial_batch"
    MISSING_PAGE = "missing_page"
    SHIFTED_ROWS = "shifted_rows"
    HALF_A_PAGE = "half_a_page"
    CAPPED_LIMIT = "capped_limit"
    PAGES_SWAPPED = "pages_swapped"
    ROWS_TWICE = "rows_twice"
    ROWS_REORDERED = "rows_reordered"
    SKU_RENAMED = "sku_renamed"
    SKU_TWICE = "sku_twice"
    SKU_BLANK = "sku_blank"
    INTEGER_AS_TEXT = "integer_as_text"
    DECIMAL_COMMA = "decimal_comma"
    NEGATIVE = "negative"
    NULL_QUANTITY = "null_quantity"
    UNKNOWN_STATUS = "unknown_status"
    FUTURE_TIMES = "future_times"
    EQUAL_TIMES = "equal_times"
    LOCAL_TIMES = "local_times"
    STALE_READ = "stale_read"
    STALE_CACHE = "stale_cache"
    TRUNCATED = "truncated_json"
    EMPTY = "empty_200"
    WRONG_LENGTH = "wrong_length"
    GZIP_LIE = "gzip_lie"
    BYTE_ORDER_MARK = "byte_order_mark"
    WRONG_VERSION = "wrong_version"
    TIMEOUT_AFTER = "timeout_after"
    DROPPED_AFTER = "dropped_after"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a fault is, when it strikes, and what it can strike."""

    sentence: str
    moment: Moment
    on: frozenset[Ask]


_ALL: Final = frozenset(Ask)
_READS: Final = frozenset({Ask.LIST, Ask.WHOLE, Ask.QUERY})
_PAGES: Final = frozenset({Ask.LIST})
_ROWS: Final = frozenset({Ask.LIST, Ask.QUERY})
_STORE: Final = frozenset({Ask.QUERY, Ask.MUTATION})
_MUTATION: Final = frozenset({Ask.MUTATION})

_WORLD: Final[Mapping[Fault, tuple[str, frozenset[Ask]]]] = {
    Fault.FOREIGN_WRITER: ("somebody else writes what a listing of the store shows", _STORE),
    Fault.LOST_PUSH: ("the next native push to the store never arrives", _STORE),
    Fault.ZERO_NOT_PUSHED: ("a listing that is sold out shows units again: its zero never came", _STORE),
    Fault.SECOND_THOUGHTS: (
        "a customer of the store takes some units off an order and keeps the rest",
        _STORE,
    ),
    Fault.SPLIT_ORDER: (
        "Extensiv makes two orders of one of the store, which leave at different times",
        _STORE,
    ),
    Fault.CLOCK_AHEAD: ("the system's clock is 90 s ahead for ten minutes", _ALL),
    Fault.CLOCK_BEHIND: ("the system's clock is 90 s behind for ten minutes", _ALL),
}
_INSTEAD: Final[Mapping[Fault, tuple[str, frozenset[Ask]]]] = {
    Fault.TOO_MANY: ("429 that says when to come again", _ALL),
    Fault.TOO_MANY_BAD_WAIT: ("429 whose wait is no number", _ALL),
    Fault.TOO_MANY_NO_WAIT: ("429 that does not say when to come again", _ALL),
    Fault.TOO_MANY_FOR_EVER: ("429 that says to come again in eleven days", _ALL),
    Fault.SERVER_ERROR: ("502 with a page of HTML", _ALL),
    Fault.SERVER_ERROR_JSON: ("500 with a word of JSON", _ALL),
    Fault.UNAVAILABLE: ("503 that says when to come again", _ALL),
    Fault.TIMEOUT_BEFORE: ("no answer within anybody's patience, and no effect", _ALL),
    Fault.DROPPED_BEFORE: ("the connection ends without an answer or an effect", _ALL),
    Fault.EXPIRED_TOKEN: ("every token ends at once, in the middle of a list", _ALL),
    Fault.REDIRECT: ("302 to a page where a person signs in", _ALL),
    Fault.LOGIN_PAGE: ("200 with the HTML of a page where a person signs in", _ALL),
    Fault.THROTTLED: ("200 with the error THROTTLED, and a cost that is too high", _STORE),
    Fault.GRAPHQL_ERROR: ("200 with the error INTERNAL_SERVER_ERROR and no data", _STORE),
    Fault.USER_ERROR: ("200 with a refusal that names no line: the key's first try failed", _MUTATION),
    Fault.KEY_BUSY: ("200 with the word that the same key is still being worked on", _MUTATION),
}
_EFFECT: Final[Mapping[Fault, tuple[str, frozenset[Ask]]]] = {
    Fault.NOT_APPLIED: ("a write is accepted and never applied", _MUTATION),
    Fault.DELIVERED_TWICE: ("a request arrives twice", frozenset({Ask.MUTATION, Ask.POST})),
    Fault.PARTIAL_BATCH: ("the last line of a batch is refused and the others are applied", _MUTATION),
}
_ROW: Final[Mapping[Fault, tuple[str, frozenset[Ask]]]] = {
    Fault.MISSING_PAGE: ("a page comes back empty", _PAGES),
    Fault.SHIFTED_ROWS: ("rows moved by one between two pages", _PAGES),
    Fault.HALF_A_PAGE: ("a page is cut short without a word", _PAGES),
    Fault.CAPPED_LIMIT: ("a page has fewer rows than were asked for, silently", _PAGES),
    Fault.PAGES_SWAPPED: ("another page than the one asked for", _PAGES),
    Fault.ROWS_TWICE: ("every row comes twice", _ROWS),
    Fault.ROWS_REORDERED: ("the rows come in another order", _ROWS),
    Fault.SKU_RENAMED: ("one row has another SKU than before", _ROWS),
    Fault.SKU_TWICE: ("one row has the SKU of another row", _ROWS),
    Fault.SKU_BLANK: ("one row has no SKU", _ROWS),
    Fault.INTEGER_AS_TEXT: ("a quantity comes as text", _ROWS),
    Fault.DECIMAL_COMMA: ("a quantity comes as text with a decimal comma", _ROWS),
    Fault.NEGATIVE: ("a quantity is below zero", _ROWS),
    Fault.NULL_QUANTITY: ("a quantity is null: it was never counted", _ROWS),
    Fault.UNKNOWN_STATUS: ("a status that nobody knows", _ROWS),
    Fault.FUTURE_TIMES: ("the times of a row are a day ahead", _ROWS),
    Fault.EQUAL_TIMES: ("all rows were changed in the same second", _ROWS),
    Fault.LOCAL_TIMES: ("times in the hour that comes twice when summer ends, with their offset", _ROWS),
}
_REPLY: Final[Mapping[Fault, tuple[str, frozenset[Ask]]]] = {
    Fault.STALE_READ: ("a replica answers what was answered before, and does not say so", _READS),
    Fault.STALE_CACHE: ("a cache answers what was answered before, and tells its age", _READS),
    Fault.TRUNCATED: ("the JSON is cut", _ALL),
    Fault.EMPTY: ("200 with nothing in it", _ALL),
    Fault.WRONG_LENGTH: ("the connection ends before as many bytes came as were announced", _ALL),
    Fault.GZIP_LIE: ("said to be gzip, and is not", _ALL),
    Fault.BYTE_ORDER_MARK: ("the JSON begins with a byte order mark", _ALL),
    Fault.WRONG_VERSION: ("answered by another version of the API than the one asked", _STORE),
}
_LOST: Final[Mapping[Fault, tuple[str, frozenset[Ask]]]] = {
    Fault.TIMEOUT_AFTER: ("no answer within anybody's patience, after the effect", _ALL),
    Fault.DROPPED_AFTER: ("the connection ends without an answer, after the effect", _ALL),
}
_DELAY: Final = {Fault.SLOW_DRIP: ("the answer comes drop by drop, over eight seconds", _ALL)}

MENU: Final[Mapping[Fault, Entry]] = MappingProxyType(
    {
        fault: Entry(sentence, moment, on)
        for moment, part in (
            (Moment.WORLD, _WORLD),
            (Moment.DELAY, _DELAY),
            (Moment.INSTEAD, _INSTEAD),
            (Moment.EFFECT, _EFFECT),
            (Moment.ROWS, _ROW),
            (Moment.REPLY, _REPLY),
            (Moment.LOST, _LOST),
        )
        for fault, (sentence, on) in part.items()
    }
)

POSSIBLE: Final[Mapping[Ask, frozenset[Fault]]] = MappingProxyType(
    {ask: frozenset(fault for fault, entry in MENU.items() if ask in entry.on) for ask in Ask}
)
"""What can strike each kind of request."""

MILD: Final[Mapping[Fault, float]] = MappingProxyType(
    {
        Fault.TOO_MANY: 0.002,
        Fault.SERVER_ERROR: 0.004,
        Fault.DROPPED_BEFORE: 0.002,
        Fault.TRUNCATED: 0.001,
    }
)
_RARE: Final = 0.0005
"""What happens in the business or to a clock, and what keeps everybody out for minutes."""
_OFTEN: Final[Mapping[Fault, float]] = {
    Fault.TOO_MANY: 0.01,
    Fault.SERVER_ERROR: 0.01,
    Fault.DROPPED_BEFORE: 0.005,
    Fault.DROPPED_AFTER: 0.005,
    Fault.MISSING_PAGE: 0.01,
    Fault.SHIFTED_ROWS: 0.005,
    Fault.NOT_APPLIED: 0.02,
}
_SELDOM: Final = frozenset(
    {*_WORLD, Fault.TOO_MANY_FOR_EVER, Fault.REDIRECT, Fault.UNKNOWN_STATUS, Fault.LOCAL_TIMES}
)
HOSTILE: Final[Mapping[Fault, float]] = MappingProxyType(
    {fault: _OFTEN.get(fault, _RARE if fault in _SELDOM else 0.002) for fault in MENU}
)
LEVELS: Final[Mapping[str, Mapping[Fault, float]]] = MappingProxyType(
    {"none": MappingProxyType({}), "mild": MILD, "hostile": HOSTILE}
)
LASTS_MS: Final[Mapping[Fault, int]] = MappingProxyType(
    {Fault.CLOCK_AHEAD: 600_000, Fault.CLOCK_BEHIND: 600_000}
)
"""How long what struck once goes on; all else is over with its request."""
LONGEST_MS: Final = max(LASTS_MS.values())
