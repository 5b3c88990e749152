"""What strangers write is shown without acting: nothing that steers or hides passes, nothing is lost."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.visible import LINES, all_visible, visible

texts = st.text(st.characters())
ACTS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@given(texts)
def test_nothing_that_acts_passes(text: str) -> None:
    assert not [each for each in visible(text) if unicodedata.category(each) in ACTS]


@given(texts)
def test_nothing_is_lost(text: str) -> None:
    """A reader who knows Python's escapes can tell what it was, where it holds no backslash of its own."""
    text = text.replace("\\", "/")
    spelt = visible(text)
    assert spelt.encode("ascii", "backslashreplace").decode("unicode_escape") == text


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_what_prints_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@given(texts)
def test_it_is_the_same_twice(text: str) -> None:
    assert visible(visible(text)) == visible(text)


def test_lines_stay_only_where_they_are_ours() -> None:
    assert visible("a\nb\x1b[2J", LINES) == "a\nb\\x1b[2J"
    assert visible("a\nb") == "a\\nb"


def test_names_and_texts_are_made_visible_at_any_depth() -> None:
    shown = all_visible({"a\x1b": ["\u202eb", ("c\n", {"d": None, "e": 3, "f": True})]})
    assert shown == {"a\\x1b": ["\\u202eb", ["c\\n", {"d": None, "e": 3, "f": True}]]}
