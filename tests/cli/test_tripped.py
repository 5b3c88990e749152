"""``breaker list`` as a person reads it: within the columns, the command that resets it whole on its line."""

import pytest

from reconcilerd.cli import render
from reconcilerd.daemon.breakers import Tripped, matching, told
from reconcilerd.domain.names import Instant

SLOT = "tug-of-war:shop-uk/gid://shopify/InventoryItem/10/gid://shopify/Location/101"
HELD = [
    Tripped(
        "all-changed:extensiv.stock",
        Instant(1_764_000_000_123),
        "a reading that cannot be believed as it is",
        "412 of 430 rows changed beyond what orders explain",
    ),
    Tripped(
        SLOT, Instant(1_764_000_000_000), "another hand changes it", "3 times", Instant(1_764_021_600_000)
    ),
    Tripped("zeros:shop-uk", Instant(1_764_000_000_000), "too many zeros", ""),
]


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_every_line_but_a_command_fits(columns: int) -> None:
    text = render.tripped({"tripped": [told(each) for each in HELD]}, columns)
    lines = text.splitlines()
    assert not [
        line for line in lines if len(line) > columns and "/" not in line and "breaker reset" not in line
    ]
    for each in HELD:
        assert f"           reconcilerd breaker reset {each.name} --reason TEXT" in lines
    assert "2025-11-24T16:00:00Z, until 2025-11-24T22:00:00Z" in " ".join(text.split())
    assert lines[-1] == "3 tripped."


def test_nothing_tripped_is_said_so() -> None:
    assert render.tripped({"tripped": []}, 80) == "Nothing is tripped."


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (SLOT, [SLOT]),
        ("tug-of-war:shop-uk", [SLOT]),
        ("tug-of-war", []),
        ("zeros:shop-uk", ["zeros:shop-uk"]),
        ("zeros:shop", []),
        ("", []),
    ],
)
def test_a_reset_names_one_rail_or_those_of_single_listings_of_a_channel(name: str, found: list[str]) -> None:
    assert [each.name for each in matching(name, HELD)] == found
