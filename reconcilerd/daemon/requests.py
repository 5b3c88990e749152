"""What a request may say: each field by its name, and what it must be. Anything else is refused, never guessed.

Knows no request by itself: which fields one needs, and what they may name, it says itself.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

MOST_ROWS = 10_000
"""The longest list that a request may ask for."""

Request = dict[str, Any]
Kind = tuple[Callable[[Any], bool], str]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST_ROWS


def _is_seconds(value: Any) -> bool:
    return type(value) in {int, float} and isfinite(value) and value > 0


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


TEXT: Kind = _is_text, "text"
FLAG: Kind = _is_flag, "true or false"
FIELDS: Mapping[str, Kind] = {
    **dict.fromkeys(("op", "sku", "want", "id", "pass", "reset", "reason"), TEXT),
    **dict.fromkeys(("key", "kinds", "subjects", "receiver", "severity"), TEXT),
    **dict.fromkeys(("all", "fresh", "apply", "resolve", "send", "zero"), FLAG),
    # A blank one would name them all.
    "channel": (lambda value: _is_text(value) and bool(value.strip()), "text that names one"),
    "skus": (_is_texts, "a list of texts"),
    "limit": (_is_count, f"a whole number from 1 to {MOST_ROWS:,}"),
    **dict.fromkeys(("for_s", "since_s"), (_is_seconds, "a number of seconds above 0")),
    # A document has a reader of its own.
    "plan": (lambda _: True, "a plan"),
}
"""Every field of any request, whether it is what it must be, and the words for that."""
LOOKS: Final = frozenset(
    {"status", "reconcile", "explain", "history", "metrics", "plan", "passes", "envelopes", "pins", "names"}
    | {"breaker", "alerts", "alert", "handover", "digest"}
)
"""Requests that only look, unless a field says otherwise; all others change something, those nobody thought of too."""

CHANGES: Final = ("apply", "reset", "send")
"""Fields that say otherwise."""


def is_look(said: Request) -> bool:
    """Whether a request changes nothing, here or anywhere, and has no more read than what it names."""
    op = said.get("op")
    if not isinstance(op, str) or op not in LOOKS or any(_says(said, each) for each in CHANGES):
        return False
    return not _says(said, "fresh") or bool(said.get("sku") or said.get("skus"))


def _says(said: Request, field: str) -> bool:
    """Anything but no: whether it is a yes at all is judged later."""
    return said.get(field) is not None and said[field] is not False


def parse(said: Request) -> Request:
    """The fields that are said (null says nothing), each of its kind. Raises ValueError that names what is wrong.

    A field that nobody knows may be a misspelled one, and a request without it would mean another thing.
    """
    request = {name: value for name, value in said.items() if value is not None}
    for name, value in request.items():
        if name not in FIELDS:
            raise ValueError(f"no field {name!r} is known; known: {', '.join(sorted(FIELDS))}")
        fits, words = FIELDS[name]
        if not fits(value):
            raise ValueError(f"{name} must be {words}, not {value!r:.80}")
    return request
