"""Extensiv's own channel allocation rules, as worked examples: Shop 100 %, Amazon 50 %, eBay at most 25."""

from typing import Any

import pytest

from reconcilerd.domain.allocation import allocate
from reconcilerd.domain.names import LocationName, Sku
from reconcilerd.domain.policy import BundleMode, MaxUnits, OfferRule, Percent, Rule
from reconcilerd.domain.position import Position
from tests.domain.builders import EVERYWHERE, A, B, claim, offer, position, row

SHOP, AMAZON, EBAY = Percent(1000), Percent(500), MaxUnits(25)


def three(
    a: int, b: int, *, amazon: Rule = AMAZON, low: tuple[Rule, Rule, Rule] | None = None, **more: Any
) -> Position:
    rules = {"shop": SHOP, "amazon": amazon, "ebay": EBAY}
    places = more.pop("places", {})
    lows = dict(zip(rules, low, strict=True)) if low else {}
    offers = [
        offer(name, rule, locations=places.get(name, EVERYWHERE), low_stock=lows.get(name))
        for name, rule in rules.items()
    ]
    return position(offers, more.pop("rows", [row(A, a), row(B, b)]), **more)


def targets(where: Position) -> tuple[int, int, int]:
    found = {each.slot.channel: each.ideal for each in allocate(where)}
    return tuple(found[name] for name in ("shop", "amazon", "ebay"))  # type: ignore[index, return-value]


ONLY_A: frozenset[LocationName] = frozenset({A})


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param(three(60, 40), (100, 50, 25), id="1 plain"),
        pytest.param(three(60, 40, places={"amazon": ONLY_A}), (100, 30, 25), id="2 channel excludes B"),
        pytest.param(three(60, 40, excluded={"x": frozenset({B})}), (60, 30, 25), id="3 product excludes B"),
        pytest.param(three(12, 8), (20, 10, 20), id="4 available falls to 20"),
        pytest.param(
            three(6, 4, low=(Percent(500), MaxUnits(2), Percent(0)), min_level=10),
            (5, 2, 0),
            id="5 at minimum",
        ),
        pytest.param(
            three(8, 0, low=(SHOP, SHOP, SHOP), min_level=10), (8, 8, 8), id="6 minimum rules at 100 %"
        ),
        pytest.param(three(7, 0, amazon=Percent(330)), (7, 2, 7), id="7 a third of seven"),
        pytest.param(
            three(0, 0, rows=[row(A, 50, unavailable=5, allocated=12)]),
            (33, 16, 25),
            id="8 allocated and locked",
        ),
        pytest.param(three(0, 0), (0, 0, 0), id="9 nothing"),
        pytest.param(three(60, 40, claims=[claim(3)]), (97, 48, 25), id="11 three sold"),
        pytest.param(
            three(60, 40, low=(SHOP, MaxUnits(5), SHOP), min_level=120),
            (100, 5, 100),
            id="12 minimum level raised",
        ),
    ],
)
def test_the_worked_examples(where: Position, expected: tuple[int, int, int]) -> None:
    assert targets(where) == expected


@pytest.mark.parametrize(
    ("mode", "expected"), [(BundleMode.PER_WAREHOUSE, (3, 1, 3)), (BundleMode.POOLED, (5, 2, 5))]
)
def test_a_bundle_is_what_its_components_allow(mode: BundleMode, expected: tuple[int, int, int]) -> None:
    uses = ((Sku("x"), 2), (Sku("y"), 1))
    offers = [
        offer(name, rule, uses=uses, sku="kit")
        for name, rule in (("shop", SHOP), ("amazon", AMAZON), ("ebay", EBAY))
    ]
    rows = [row(A, 9), row(A, 3, "y"), row(B, 1), row(B, 5, "y")]
    assert targets(position(offers, rows, bundles=mode)) == expected


def test_the_default_is_extensivs_default() -> None:
    assert OfferRule().normal == Percent(1000)
    assert allocate(position([offer("any")], [row(A, 7)]))[0].ideal == 7
