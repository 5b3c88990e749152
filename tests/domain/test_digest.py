"""One value, one text, and back: what a record is made of comes out as it went in, or is refused."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.digest import canonical, digest_of, revive
from reconcilerd.domain.facts import EnvelopeApproved, Fact
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.domain.policy import MaxUnits, OfferRule, Percent
from reconcilerd.domain.position import Position
from reconcilerd.domain.record import Inputs
from tests.domain.strategies import FEWER, offer_rules, positions
from tests.near_misses.samples import FACTS


class Colour(StrEnum):
    """An enumeration of texts."""

    RED = "red"


class Number(int):
    """A whole number of a kind of its own."""


class Text(str):
    """A text of a kind of its own."""

    __slots__ = ()


class Size(Enum):
    """An enumeration of numbers."""

    BIG = 3


@dataclass(frozen=True)
class Thing:
    """Every kind of value that a record may hold."""

    name: str
    count: int
    sure: bool
    price: Decimal
    colour: Colour
    slot: SlotKey | None
    rule: Percent | MaxUnits
    pair: tuple[str, int]
    many: tuple[int, ...]
    some: frozenset[str]
    table: Mapping[ChannelName, int]
    later: int = 7


@st.composite
def things(draw: st.DrawFn) -> Thing:
    """Any of them."""
    text, number = st.text(max_size=5), st.integers()
    slots = st.builds(SlotKey, text.map(ChannelName), text, text)
    units = st.integers(0, 1000)
    return Thing(
        draw(text),
        draw(number),
        draw(st.booleans()),
        draw(st.decimals(allow_nan=False, allow_infinity=False)),
        Colour.RED,
        draw(st.none() | slots),
        draw(units.map(Percent) | units.map(MaxUnits)),
        (draw(text), draw(number)),
        tuple(draw(st.lists(number, max_size=3))),
        draw(st.frozensets(text, max_size=3)),
        draw(st.dictionaries(text.map(ChannelName), number, max_size=3)),
        draw(number),
    )


SOUND = Thing(
    "a",
    1,
    True,
    Decimal("1.50"),
    Colour.RED,
    None,
    Percent(5),
    ("a", 1),
    (1, 2),
    frozenset("ab"),
    {ChannelName("uk"): 1},
)


def plain(value: Any) -> Any:
    """As it comes back from a file."""
    return json.loads(canonical(value))


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner) | st.frozensets(st.text()),
    max_leaves=8,
))  # fmt: skip
def test_a_value_has_one_text_that_reads_as_json(value: Any) -> None:
    text = canonical(value)
    assert canonical(value) == text
    again = json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True, ensure_ascii=True)
    assert again.encode() == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_in_which_a_table_was_filled_does_not_matter(table: dict[str, int]) -> None:
    assert canonical(dict(reversed(table.items()))) == canonical(table)
    assert canonical(frozenset(reversed(list(table)))) == canonical(frozenset(table))


@pytest.mark.parametrize("value", [1.5, (1, 2.0), {"a": float("nan")}, object(), b"x"])
def test_a_float_or_a_stranger_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        canonical(value)


@pytest.mark.parametrize(
    ("special", "as_well"),
    [
        (Number(5), 5),
        (Text("é"), "é"),
        (Colour.RED, "red"),
        (Size.BIG, 3),
        ([1, 2], (1, 2)),
        ({"a"}, frozenset("a")),
    ],
)
def test_a_kind_of_its_own_is_the_value_that_it_is(special: Any, as_well: Any) -> None:
    assert canonical(special) == canonical(as_well)


def test_the_digest_is_the_same_in_every_process() -> None:
    code = (
        "from reconcilerd.domain.digest import *;"
        "print(digest_of(canonical({'b': frozenset('xyz'), 'a': (1, None, True)})))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert said == {digest_of(canonical({"b": frozenset("xyz"), "a": (1, None, True)}))}


@given(things())
def test_a_record_comes_back_as_it_was(thing: Thing) -> None:
    assert revive(Thing, plain(thing)) == thing
    assert canonical(revive(Thing, plain(thing))) == canonical(thing)


@FEWER
@given(positions(), offer_rules())
def test_so_does_a_position_and_whatever_it_holds(where: Position, rule: OfferRule) -> None:
    assert revive(Position, plain(where)) == where
    assert revive(OfferRule, plain(rule)) == rule


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.kind)
def test_so_does_every_fact_by_its_own_name_among_all_of_them(fact: Fact) -> None:
    assert revive(type(fact), plain(fact)) == fact
    assert revive(Fact, plain(fact)) == fact


def with_said(**said: Any) -> Any:
    """The plain form of a sound record in which these fields say something else; None: they are not there."""
    name, kept = plain(SOUND)
    changed = {**kept, **said}
    return [name, {key: each for key, each in changed.items() if key not in said or each is not None}]


def test_a_field_that_is_not_there_yet_has_its_default() -> None:
    assert revive(Thing, with_said(later=None)) == replace(SOUND, later=7)
    with pytest.raises(TypeError, match="name"):
        revive(Thing, with_said(name=None))


def test_a_field_that_was_added_is_in_no_text_while_it_says_nothing() -> None:
    """A record from before it replays to the same bytes."""
    sku, at = Sku("a"), Instant(1)
    before = (
        b'["EnvelopeApproved",{"at":1,"by":"ops","ceiling":9,"direction":"both","id":"e","reason":"x",'
        b'"skus":["a"],"until":2,"zeros":true}]'
    )
    old = EnvelopeApproved("e", (sku,), "both", 9, "ops", "x", at, Instant(2))
    assert canonical(old) == before
    assert revive(EnvelopeApproved, json.loads(before)) == old
    new = replace(old, limits=((sku, 3, 9),))
    assert b'"limits":[["a",3,9]]' in canonical(new)
    assert revive(EnvelopeApproved, plain(new)) == new


def test_a_field_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="Thing with weight is no Thing"):
        revive(Thing, with_said(weight=3))
    with pytest.raises(ValueError, match="is no Thing"):
        revive(Thing, ["Other", plain(SOUND)[1]])


@pytest.mark.parametrize(
    "said",
    [
        {"count": "1"},
        {"count": True},
        {"count": 1.0},
        {"sure": 1},
        {"name": 5},
        {"colour": "blue"},
        {"pair": ["a"]},
        {"pair": ["a", 1, 2]},
        {"many": ["1"]},
        {"some": [1]},
        {"table": [["uk", "1"]]},
        {"slot": 5},
        {"slot": ["Thing", {}]},
        {"rule": 5},
        {"rule": ["Other", {"permille": 5}]},
        {"rule": ["Percent", {"units": 5}]},
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_refused(said: dict[str, Any]) -> None:
    assert revive(Thing, with_said()) == SOUND
    with pytest.raises(ValueError, match=r"."):
        revive(Thing, with_said(**said))


@pytest.mark.parametrize("hint", [str | int, Percent | str | int])
def test_a_value_that_may_be_of_several_plain_kinds_is_refused(hint: Any) -> None:
    """Nobody could tell which of them it was."""
    with pytest.raises(ValueError, match="none of"):
        revive(hint, "5")


def test_nothing_that_decides_is_left_out_of_a_record() -> None:
    """Every field of a record comes back: one that took no part in its making would be lost."""
    seen: set[type] = set()

    def look(kind: Any) -> None:
        if is_dataclass(kind) and isinstance(kind, type) and kind not in seen:
            seen.add(kind)
            assert all(each.init for each in fields(kind)), kind
            waiting = list(get_type_hints(kind).values())
            while waiting:
                hint = waiting.pop()
                waiting.extend(get_args(hint))
                look(hint)

    look(Inputs)
    assert len(seen) > 12
