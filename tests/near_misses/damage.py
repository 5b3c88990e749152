"""Slight damage: what a value, a row or a text becomes when one thing about it is wrong, each by its name."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

Path = tuple[str | int, ...]


class _Gone:
    """What was there and is not."""

    @override
    def __repr__(self) -> str:
        return "GONE"


GONE: Final = _Gone()
HUGE: Final = 10**30
FAR_DAY: Final = "0001-01-01T00:00:00+23:59"


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A row with one thing wrong: where, what stands there now (GONE: nothing), the whole of it."""

    path: Path
    value: Any
    row: Any


def paths(value: object, so_far: Path = ()) -> list[Path]:
    """Every place in a row."""
    found = [so_far] if so_far else []
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        found += paths(inner, (*so_far, step))
    return found


def at(row: Any, path: Path) -> Any:
    for step in path:
        row = row[step]
    return row


def near_misses_of(value: Any) -> list[Any]:
    """What almost is this value."""
    always = [
        None,
        True,
        False,
        [],
        {},
        "",
        [value],
        {"value": value},
        float("nan"),
        float("inf"),
        "x",
        5.5,
        -1,
    ]
    match value:
        case bool():
            more: list[Any] = [not value, str(value), str(value).lower(), int(value), "yes", "0"]
        case int():
            digits = "".join(chr(0x660 + int(each)) for each in str(abs(value)))
            more = [str(value), float(value), -value, value + 10**10, HUGE, digits, f"{value},0", f"{value} "]
            more += [value + 1, 0, f"{value}\0", f"\ufeff{value}", f"{value}e0", f"+{value}"]
        case str():
            more = [
                value.upper(),
                value.lower(),
                f"{value} ",
                f" {value}",
                f"\ufeff{value}",
                f"{value}\0",
                5,
                5.0,
            ]
            more += [value[:-1], value[1:], value * 200, value.removesuffix("Z"), FAR_DAY, "\ud800"]
        case list():
            more = [value * 2, value[1:], tuple_of(value), "[]"]
        case _:
            more = [[value], "{}", 1]
    return always + more


def tuple_of(value: list[Any]) -> dict[str, Any]:
    """A list as some servers write it: an object by number."""
    return {str(number): each for number, each in enumerate(value)}


def damaged(row: Any) -> Iterator[Spoilt]:
    """The row with one place spoilt, in every way and at every place."""
    for path in paths(row):
        for value in [GONE, *near_misses_of(at(row, path))]:
            spoilt = deepcopy(row)
            holder = at(spoilt, path[:-1])
            if value is GONE:
                del holder[path[-1]]
            else:
                holder[path[-1]] = value
            yield Spoilt(path, value, spoilt)
        if isinstance(path[-1], str):
            for other in {path[-1].upper(), path[-1] + " ", path[-1].swapcase()} - {path[-1]}:
                spoilt = deepcopy(row)
                holder = at(spoilt, path[:-1])
                holder[other] = holder.pop(path[-1])
                yield Spoilt(path, GONE, spoilt)


NUMBERS: Final = (
    "5", "5 ", " 5", "05", "5.0", "5.5", "5,0", "1.000", "1,000", "+5", "-5", "--5", "5-", "٥", "５", "5²", "²", "5e0",
    "5E2", "0x5", "0b1", "5_0", "1 000", "NaN", "nan", "inf", "-inf", "1e999", "five", "True", "true", "null", "None",
    "5\0", "\ufeff5", "5\u200b", "5\u00a0", "9" * 12, "9" * 40, "9" * 5000, "'5'", '"5"', "=5", "5%", "5;6", "[5]",
)  # fmt: skip
"""Texts where a whole number belongs."""


def cuts(data: bytes) -> Iterator[bytes]:
    """The bytes as they are when the line breaks, each step, and with what editors and networks add."""
    yield from (data[:end] for end in range(len(data)))
    yield b"\xef\xbb\xbf" + data
    yield data + b"\0"
    yield b"\0" + data
    yield data + data
    yield data + b","
    yield data.replace(b'"', b"'")
    yield data.replace(b":", b"=")
    yield data.decode().encode("utf-16")
    yield data.replace(b"e", b"\xff", 1)
    for depth in (200, 100_000):
        yield b"[" * depth + data + b"]" * depth
