"""Every value of a TOML file is found on the line where a reader would look for it."""

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.config.places import leaves, lines_of

CONFIG = Path(__file__).parents[2] / "config.toml"
VALUES = (
    "1",
    '"a # b"',
    "[1, 2]",
    "[\n  1,  # ] no end\n  2,\n]",
    '"""\nb = 1\n[c]\n"""',
    "'''\n\"\"\"\n'''",
    "{ x = 1, y = { z = [] } }",
    "[{ x = 1 }, { x = 2 }]",
    "[]",
    "{}",
)
names = st.sampled_from(["a", "b", '"c.d"', "'e]'"])
values = st.sampled_from(VALUES)
bodies = st.dictionaries(names, values, max_size=3)


@st.composite
def files(draw: st.DrawFn) -> str:
    """Tables, lists of tables and tables within those, comments and empty lines between."""
    parts = [_body(draw(bodies))]
    for name in draw(st.lists(st.sampled_from(["t", "u", '"v w"']), unique=True)):
        if draw(st.booleans()):
            parts.append(f"[{name}]\n" + _body(draw(bodies)))
            continue
        for _ in range(draw(st.integers(1, 3))):
            parts.append(f"[[ {name} ]]  # one\n" + _body(draw(bodies)))
            if draw(st.booleans()):
                parts.append(f"[{name}.sub]\n" + _body(draw(bodies)))
                parts += [f"[[{name}.list]]\n" + _body(draw(bodies)) for _ in range(draw(st.integers(0, 2)))]
    return draw(st.sampled_from(["\n", "\n\n", "\n# [x]\n"])).join(parts)


def _body(entries: dict[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in entries.items())


@given(text=files(), windows=st.booleans())
def test_every_value_has_a_line_that_names_its_key_or_its_table(text: str, windows: bool) -> None:
    text = text.replace("\n", "\r\n") if windows else text
    found, lines = lines_of(text), text.splitlines()
    for path, _ in leaves(tomllib.loads(text)):
        if not path:
            continue
        said = lines[found[path] - 1]
        assert any(str(key) in said for key in path), (path, said)


@given(text=files())
def test_values_of_one_table_stand_in_the_order_of_its_lines(text: str) -> None:
    found = lines_of(text)
    paths = list(leaves(tomllib.loads(text)))
    for (one, _), (other, _) in pairwise(paths):
        if one[:-1] == other[:-1]:
            assert found[one] <= found[other]


def test_the_example_has_each_value_where_it_is_written() -> None:
    text = CONFIG.read_text("utf-8")
    found = lines_of(text)
    assert {path for path, _ in leaves(tomllib.loads(text))} <= set(found)
    lines = text.splitlines()
    for path, line in found.items():
        if len(path) > 1 and isinstance(path[-1], str) and "auth" not in path and "places" not in path:
            assert lines[line - 1].lstrip("[").startswith(path[-1]) or path[-1] in lines[line - 1]


@pytest.mark.parametrize("text", ["", "\n", "# only words"])
def test_a_file_without_values_has_no_lines(text: str) -> None:
    assert lines_of(text) == {}
