"""One value, one text: records as canonical bytes, their digests, and the way back to the records.

A record is ``[name, {field: value}]``, a table sorted pairs, a set a sorted list. Keys are sorted; whole numbers and
decimals only, because a float would not be the same everywhere.
"""

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from json.encoder import encode_basestring_ascii
from types import NoneType, UnionType
from typing import Any, Final, NewType, Union, cast, get_args, get_origin, get_type_hints

LATER: Final = {"later": True}
"""Marks a field that was added: at its default a record has the text that it had before there was the field."""


def canonical(value: Any) -> bytes:
    """The one text of a value. Raises TypeError for a float, or for what is no record."""
    return _text(value).encode()


def _text(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)
    if kind is int:
        return int.__repr__(value)
    if kind is tuple or kind is list:
        return "[" + ",".join([_text(each) for each in value]) + "]"
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    named = _parts(cast("Hashable", kind))
    if named:
        begin, parts, later = named
        if later:
            parts = tuple(each for each in parts if getattr(value, each[0]) != later.get(each[0], _NEVER))
        return begin + ",".join([name + _text(getattr(value, each)) for each, name in parts]) + "}]"
    return _other(value)


def _other(value: Any) -> str:
    match value:
        case Enum():
            return _text(value.value)
        case frozenset() | set():
            return "[" + ",".join(sorted(_text(each) for each in value)) + "]"
        case Mapping():
            pairs = sorted((_text(key), _text(each)) for key, each in value.items())
            return "[" + ",".join(f"[{key},{each}]" for key, each in pairs) + "]"
        case Decimal():
            return f'"{value}"'
        case str() | int():
            return _text(str(value) if isinstance(value, str) else int(value))
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical form: {value!r}")


def digest_of(text: bytes) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(text).hexdigest()


def revive(hint: Any, value: Any) -> Any:
    """The record of type ``hint`` that a plain value was made of. Raises ValueError for what is none.

    A field that was written before it existed has its default; one that this version does not know is refused.
    """
    if isinstance(hint, NewType):
        return revive(hint.__supertype__, value)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Union or origin is UnionType:
        return _one_of(args, value)
    if isinstance(hint, type) and is_dataclass(hint):
        return _record(hint, value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is Decimal:
        return Decimal(value)
    if origin is tuple:
        inner = (args[0],) * len(value) if len(args) == 2 and args[1] is Ellipsis else args
        return tuple(revive(each, one) for each, one in zip(inner, value, strict=True))
    if origin is frozenset:
        return frozenset(revive(args[0], each) for each in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {revive(args[0], key): revive(args[1], each) for key, each in value}
    if type(value) is not hint:
        raise ValueError(f"{value!r} is not of type {hint}")
    return value


def _one_of(hints: tuple[Any, ...], value: Any) -> Any:
    if value is None and NoneType in hints:
        return None
    named = [each for each in hints if is_dataclass(each)]
    if named and isinstance(value, list) and value and isinstance(value[0], str):
        mine = [each for each in named if getattr(each, "__name__", "") == value[0]]
        if mine:
            return revive(mine[0], value)
    rest = [each for each in hints if each is not NoneType and each not in named]
    if len(rest) != 1:
        raise ValueError(f"{value!r} is none of {', '.join(map(str, hints))}")
    return revive(rest[0], value)


def _record(kind: type[Any], value: Any) -> Any:
    name, said = value
    hints = _hints(cast("Hashable", kind))
    if name != kind.__name__ or not said.keys() <= hints.keys():
        raise ValueError(f"{name} with {', '.join(sorted(said.keys() - hints.keys()))} is no {kind.__name__}")
    return kind(**{each: revive(hints[each], one) for each, one in said.items()})


_Parts = tuple[str, tuple[tuple[str, str], ...], Mapping[str, Any]]
_NEVER: Final = object()


@cache
def _parts(kind: Hashable) -> _Parts | None:
    """How the text of a record begins, each field with what stands before its value, sorted, and what is left out."""
    if not is_dataclass(kind):
        return None
    names = sorted(each.name for each in fields(kind) if each.init)
    later = {each.name: each.default for each in fields(kind) if each.metadata.get("later")}
    name = getattr(kind, "__name__", "")
    return f'["{name}",{{', tuple((each, f'"{each}":') for each in names), later


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    known = get_type_hints(cast("type[Any]", kind))
    named = _parts(kind)
    return {name: known[name] for name, _ in (named[1] if named else ())}
