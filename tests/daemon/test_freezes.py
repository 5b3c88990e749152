"""A freeze says why: who finds nothing written at night has that sentence to go by."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from reconcilerd.cli import commands
from reconcilerd.daemon.answers import LONGEST_REASON
from reconcilerd.domain.facts import FreezeSet
from reconcilerd.domain.names import after
from reconcilerd.trial.stage import START
from tests.cli.test_schemas import faults
from tests.plans.stage import Shop, opened


def frozen(tmp_path: Path, *asked: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """What was answered to each request, and what is frozen afterwards."""
    told: list[dict[str, Any]] = []
    left: list[str] = []

    async def scene(shop: Shop) -> None:
        told.extend([await shop.ask(**each) for each in asked])
        left.extend(sorted(shop.stage.built.daemon.rails().frozen))

    opened(tmp_path / "ledger.db", scene, read_s=1.0)
    return told, left


@pytest.mark.parametrize("reason", [None, "", "  \t", "\n"])
@pytest.mark.parametrize("channel", [None, "shop-uk"])
def test_without_a_reason_nothing_is_frozen(tmp_path: Path, reason: str | None, channel: str | None) -> None:
    (told,), left = frozen(tmp_path, {"op": "freeze", "reason": reason, "channel": channel})
    assert told["error"]["message"] == "a freeze needs a reason: --reason TEXT"
    assert (told["exit_code"], left) == (2, [])


def test_a_reason_is_a_sentence_and_no_book(tmp_path: Path) -> None:
    longest = "x" * LONGEST_REASON
    (book, sentence), left = frozen(
        tmp_path,
        {"op": "freeze", "reason": f"{longest}x"},
        {"op": "freeze", "channel": "shop-uk", "reason": f" {longest}\n"},
    )
    assert book["error"]["message"] == "--reason takes at most 1,000 characters, not 1,001"
    assert book["exit_code"] == 2
    assert (sentence["frozen"], sentence["exit_code"]) == (["shop-uk"], 0)
    assert left == ["shop-uk"]


def test_to_go_on_takes_no_reason(tmp_path: Path) -> None:
    (_, told), left = frozen(tmp_path, {"op": "freeze", "reason": "a count"}, {"op": "unfreeze"})
    assert (told, left) == ({"frozen": [], "exit_code": 0}, [])


@pytest.mark.parametrize("longer_s", [None, 7_200.0])
def test_a_shorter_freeze_ends_no_longer_one_whoever_says_it_and_over_a_restart(
    tmp_path: Path, longer_s: float | None
) -> None:
    """Who freezes for an hour beside a stock-take without an end has not said that the stock-take is over."""
    path = tmp_path / "ledger.db"

    async def scene(shop: Shop) -> None:
        await shop.answers.answer(
            {"op": "freeze", "channel": "shop-uk", "for_s": longer_s, "reason": "stock-take"}, "ann"
        )
        first = said(await shop.ask("status"))
        told = checked(await shop.ask("freeze", channel="shop-uk", for_s=60.0, reason="a look"))
        assert (told["changed"], told["freeze"]["by"]) == (False, "ann")
        assert said(await shop.ask("status")) == first
        assert [(each.by, each.reason) for each in shop.ledger.state(FreezeSet)] == [("ann", "stock-take")]
        await anyio.sleep(120)
        assert shop.stage.built.daemon.rails().frozen == {"shop-uk"}

    async def again(shop: Shop) -> None:
        assert shop.stage.built.daemon.rails().frozen == {"shop-uk"}
        await shop.ask("unfreeze", channel="shop-uk")
        told = checked(await shop.ask("freeze", channel="shop-uk", for_s=60.0, reason="a look"))
        assert (told["changed"], told["freeze"]["by"], told["freeze"]["reason"]) == (True, "uid 7", "a look")
        await anyio.sleep(120)
        assert shop.stage.built.daemon.rails().frozen == frozenset(), "an unfreeze came between"

    opened(path, scene, read_s=1.0)
    opened(path, again, read_s=1.0, start=after(START, 600_000))


def test_a_longer_freeze_takes_the_place_of_a_shorter_one_and_is_whose_it_is(tmp_path: Path) -> None:
    told, left = frozen(
        tmp_path,
        {"op": "freeze", "channel": "shop-uk", "for_s": 60.0, "reason": "a look"},
        {"op": "freeze", "channel": "shop-uk", "for_s": 3600.0, "reason": "stock-take"},
        {"op": "freeze", "channel": "shop-uk", "reason": "until we know"},
        {"op": "freeze", "channel": "shop-uk", "reason": "another"},
    )
    assert [checked(each)["freeze"]["reason"] for each in told] == [
        "a look",
        "stock-take",
        "until we know",
        "until we know",
    ]
    assert [each["changed"] for each in told] == [True, True, True, False]
    assert (told[-1]["freeze"]["until"], left) == (None, ["shop-uk"])


def test_all_and_one_channel_are_frozen_each_for_its_own_time(tmp_path: Path) -> None:
    told, left = frozen(
        tmp_path,
        {"op": "freeze", "reason": "all"},
        {"op": "freeze", "channel": "shop-uk", "for_s": 60.0, "reason": "one"},
    )
    assert [each["changed"] for each in told] == [True, True]
    assert left == ["", "shop-uk"]


def test_what_a_freeze_says_names_its_end_and_whose_word_it_is(tmp_path: Path) -> None:
    (first, second), _ = frozen(
        tmp_path,
        {"op": "freeze", "channel": "shop-uk", "reason": "stock-take"},
        {"op": "freeze", "channel": "shop-uk", "for_s": 60.0, "reason": "a look"},
    )
    since = first["freeze"]["at"]
    assert commands._frozen(first, 100) == (
        "frozen: shop-uk\nshop-uk: until somebody lifts it, by uid 7: stock-take"
    )
    assert " ".join(commands._frozen(second, 100).split()) == (
        f"frozen: shop-uk Nothing was changed: shop-uk is frozen since {since} already: "
        "until somebody lifts it, by uid 7: stock-take "
        "To end it sooner: reconcilerd unfreeze --channel shop-uk"
    )
    assert all(len(line) <= 40 for line in commands._frozen(second, 40).splitlines())


def checked(told: dict[str, Any]) -> dict[str, Any]:
    """An answer that is what its document says."""
    assert faults("freeze", {**told, "schema": "reconcilerd.freeze/1"}) == []
    return told


def said(status: dict[str, Any]) -> list[dict[str, Any]]:
    freezes: list[dict[str, Any]] = status["freezes"]
    return freezes
