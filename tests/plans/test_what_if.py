"""What would make a listing show more, as a person is told it: a number that nobody knows is not nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconcilerd.cli import render
from reconcilerd.domain.plan import make_plan
from tests.cli.test_schemas import faults
from tests.plans.stage import Shop, opened

SCHEMA = "reconcilerd.explain/1"


@pytest.mark.parametrize(
    ("want", "wanted", "said"),
    [
        ("20", 20, "For 20 instead of a number that is unknown"),
        ("+5", None, "What it shows is unknown, so nobody can say what more than that is"),
    ],
)
def test_of_a_listing_whose_number_is_unknown_nobody_says_that_it_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, want: str, wanted: int | None, said: str
) -> None:
    told: dict[str, Any] = {}

    async def scene(shop: Shop) -> None:
        plan = shop.answers._plan(shop.answers._sku("a"))
        offers = tuple(replace(each, read=None, write=None) for each in plan.position.offers)
        unread = make_plan(replace(plan.position, offers=offers), plan.rails)
        monkeypatch.setattr(shop.answers, "_plan", lambda _: unread)
        told.update(await shop.ask("explain", sku="a", channel="shop-uk", want=want))

    opened(tmp_path / "ledger.db", scene, read_s=60)
    [listing] = told["listings"]
    what_if = listing["what_if"]
    assert (what_if["wanted"], what_if["shows"]) == (wanted, None)
    assert bool(what_if["levers"]) is (wanted is not None)
    assert {each["shows"] for each in what_if["levers"] if each["by"] is None} <= {None}
    assert faults("explain", {**told, "schema": SCHEMA}) == []
    for columns in (40, 80, 100):
        text = render.explanation(told, columns)
        assert said in " ".join(text.split())
        assert "instead of 0" not in text
        assert "None" not in text
        assert all(len(line) <= columns for line in text.splitlines() if " slot " not in line)
