"""One answer of Extensiv's catalogue is wrong in one row, with orders in the air: no number moves by it."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.domain.policy import Limits, Mode
from reconcilerd.simulator.extensiv_api import ExtensivApi
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, empty_shops, play, policy, put_on_sale

Row = dict[str, Any]
SLOW = WorldConfig(import_ms=(600_000, 600_001), ship_ms=(9_000_000, 9_000_001))
"""What is ordered is in Extensiv after ten minutes, and on the shelf for hours."""
NEXT_READING_S = 3_450.0
"""Shortly before the catalogue is read once more."""


def kit_of(sku: str) -> Row:
    items = [{"bundledProductQuantity": 1, "bundledProduct": {"masterSku": sku}}]
    return {"type": "BUNDLE_KIT", "bundle": True, "bundledItems": items}


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize(
    ("feed", "change"),
    [
        ("_products", kit_of("c")),
        ("_products", kit_of("none")),
        ("_listings", {"masterSku": "c"}),
        ("_listings", {"masterSku": "none"}),
        ("_listings", {"masterSku": "nobody"}),
    ],
)
def test_a_wrong_cell_that_comes_once_moves_no_number(
    monkeypatch: pytest.MonkeyPatch, feed: str, change: Row, split: bool
) -> None:
    lies, struck, made = [False], list[int](), getattr(ExtensivApi, feed)

    def answer(self: ExtensivApi, request: Any) -> list[Row]:
        rows: list[Row] = made(self, request)
        mine = [row for row in rows if row["masterSku"] == "a" and row.get("salesChannelId", 101) == 101]
        if not lies[0] or not mine:
            return rows
        lies[0] = False
        struck.append(1)
        return [row | change if row in mine else row for row in rows]

    monkeypatch.setattr(ExtensivApi, feed, answer)
    world = empty_shops(SLOW)
    for sku, units in (("a", 20), ("c", 60), ("none", 0)):
        put_on_sale(world, sku, units, split=split)
    world.start_mirrors()
    wrong: list[tuple[int, list[int]]] = []
    planned: list[CorrectionPlanned] = []

    async def scene(stage: Stage) -> None:
        await anyio.sleep(NEXT_READING_S - 250)
        for number in range(4):
            world.place_order("shop-uk", f"k{number}", [("a", 1)], stage.clock())
        await anyio.sleep(250)
        before, lies[0] = len(stage.journal.facts), True
        for _ in range(60):
            await anyio.sleep(10)
            shown, left = [each.quantity for each in world.items_of("a")], world._left("a")
            if (sum(shown) if split else max(shown)) > left or not any(shown):
                wrong.append((left, shown))
        planned.extend(each for each in stage.journal.facts[before:] if isinstance(each, CorrectionPlanned))

    play(world, replace(policy(split), limits=Limits(mode=Mode.AUTO)), scene)
    assert struck == [1]
    assert wrong == []
    assert [each for each in planned if each.target > each.read] == []
