"""Near misses of a quantity, a SKU, a time; and expected sales in whole numbers."""

import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.bundles import BundleLoop, explode, group
from reconcilerd.domain.facts import ProductObserved, ProductType
from reconcilerd.domain.names import (
    Instant,
    Sku,
    count_of,
    format_instant,
    format_second,
    format_span,
    instant_of,
    parse_instant,
    sku_of,
)
from reconcilerd.domain.quantities import Rate, expected, units


@pytest.mark.parametrize("bad", [True, 1.0, "1", -1, None, 10**9 + 1])
def test_only_whole_numbers_from_zero_are_quantities(bad: object) -> None:
    with pytest.raises(ValueError, match="quantity"):
        units(bad)


@pytest.mark.parametrize("bad", ["", "  ", "a" * 129, "a\nb", "\x00"])
def test_what_is_no_sku(bad: str) -> None:
    with pytest.raises(ValueError, match="not a SKU"):
        sku_of(bad)


@given(st.integers(0, 10**12))
def test_an_instant_survives_its_text(at: int) -> None:
    assert parse_instant(format_instant(Instant(at))) == at


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        instant_of(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


@given(st.integers(0, 10**7), st.integers(0, 10**8), st.integers(0, 3))
def test_expected_sales_round_up_and_agree_with_the_formula(rate: int, window: int, sigmas: int) -> None:
    mu = rate * window / 3_600_000 / 1000
    exact = mu + sigmas * math.sqrt(mu)
    assert exact - 0.01 * (1 + exact / 10**6) <= expected(Rate(rate), window, sigmas) < exact + 1.01


def product(sku: str, *parts: tuple[str, int]) -> ProductObserved:
    kind = ProductType.BUNDLE if parts else ProductType.CORE
    components = tuple((Sku(name), count) for name, count in parts)
    return ProductObserved(Sku(sku), sku, 1, sku, kind, "", True, components, Instant(0))


def test_bundles_explode_over_several_levels() -> None:
    products = {
        p.sku: p
        for p in (
            product("a"),
            product("b"),
            product("k", ("a", 2), ("b", 1)),
            product("kk", ("k", 3), ("a", 1)),
        )
    }
    assert explode(Sku("kk"), products) == ((Sku("a"), 7), (Sku("b"), 3))


def test_a_bundle_that_contains_itself_is_refused() -> None:
    products = {p.sku: p for p in (product("k", ("l", 1)), product("l", ("k", 1)))}
    with pytest.raises(BundleLoop):
        explode(Sku("k"), products)


@given(
    st.lists(st.lists(st.sampled_from("abcdef").map(Sku), min_size=1, max_size=3), max_size=6), st.randoms()
)
def test_groups_do_not_depend_on_the_order_of_ties(ties: list[list[Sku]], chance: object) -> None:
    shuffled = [list(reversed(tie)) for tie in reversed(ties)]
    assert group(ties) == group(shuffled)


def test_a_moment_to_the_second_is_cut_never_rounded() -> None:
    assert format_second(Instant(1_999)) == "1970-01-01T00:00:01Z"
    assert format_second(Instant(2_000)) == "1970-01-01T00:00:02Z"


def test_a_length_of_time_is_said_in_its_two_largest_units() -> None:
    said = {
        -1: "0 s",
        119_999: "119 s",
        120_000: "2 min",
        1_807_000: "30 min",
        3_600_000: "1 h",
        7_500_000: "2 h 5 min",
        86_400_000: "1 d",
        90_000_000: "1 d 1 h",
        86_460_000: "1 d",
    }
    assert {ms: format_span(ms) for ms in said} == said


def test_one_is_no_plural() -> None:
    assert [count_of(each, "unit") for each in (0, 1, 2)] == ["0 units", "1 unit", "2 units"]
