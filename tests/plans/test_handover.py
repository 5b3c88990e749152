"""Whoever takes over is told what holds and what happened, from a daemon and from its ledger."""

import textwrap
from pathlib import Path
from typing import Any

import anyio
import pytest

from reconcilerd.cli import shift_text
from reconcilerd.daemon.handover import LONGEST_S
from reconcilerd.domain.facts import FACT_TYPES, PlanMade
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.reader import STEP, open_reader
from tests.cli.test_schemas import faults
from tests.plans.stage import Shop, opened


def told(said: dict[str, Any]) -> dict[str, Any]:
    """An answer that is what its document says, and fits the terminal."""
    assert faults("handover", said) == []
    for columns in (80, 100):
        lines = shift_text.handover(said, columns).splitlines()
        assert not [line for line in lines if len(line) > columns and " " in line.strip()]
    return said


def whats(said: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["what"], each["by"], each["reason"]) for each in said["done"]]


def test_what_people_said_since_is_told_with_who_and_why_and_what_still_holds(tmp_path: Path) -> None:
    async def scene(shop: Shop) -> None:
        held = told(await shop.ask("handover"))
        assert held["waiting_for_approval"] == sum(each["count"] for each in held["holds"]) > 0
        await shop.ask("freeze", channel="shop-uk", for_s=3600, reason="stock-take")
        await anyio.sleep(3700)
        assert (await shop.ask("approve", id="held", reason="counted by hand"))["exit_code"] == 0
        await shop.ask("freeze", channel="shop-uk", reason="until we know")
        said = told(await shop.ask("handover", since_s=1800))
        assert [each["reason"] for each in said["freezes"]] == ["until we know"]
        assert said["freezes"][0]["until"] is None
        assert ("froze", "uid 7", "until we know") in whats(said)
        assert ("froze", "uid 7", "stock-take") not in whats(said)
        assert ("approved", "uid 7", "counted by hand") in whats(said)
        assert [each["reason"] for each in said["approvals"]] == ["counted by hand"]
        assert said["complete"] is True
        longer = told(await shop.ask("handover", since_s=8 * 3600))
        assert ("froze", "uid 7", "stock-take") in whats(longer)
        assert [each["by"] for each in longer["policies"]] == ["reconcilerd"]
        text = shift_text.handover(longer, 80)
        for part in ("FROZEN        1", "until somebody lifts it", "APPROVED      1", "PINNED        none"):
            assert part in text

    opened(tmp_path / "ledger.db", scene)


def test_an_older_ledger_than_is_asked_for_says_that_it_is_not_all() -> None:
    text = " ".join(
        textwrap.dedent(shift_text.handover({**_nothing(), "complete": False, "daemon": False}, 80)).split()
    )
    assert "not all of it is told" in text
    assert text.startswith("NO DAEMON RUNS")


def _nothing() -> dict[str, Any]:
    lists = (
        "holds",
        "half_approved",
        "approvals",
        "pins",
        "freezes",
        "freeze_windows",
        "tripped",
        "alerts",
        "silences",
        "done",
    )
    more = ("policies", "alerts_opened", "alerts_closed")
    at = "2026-11-28T21:04:26.869Z"
    said: dict[str, Any] = {name: [] for name in (*lists, *more)}
    said |= {"at": at, "since": at, "mode": "auto", "policy": "f00d", "stopped": True, "complete": True}
    return {**said, "daemon": True, "waiting_for_approval": 0, "held_plan": None, "done_left_out": 0}


@pytest.mark.parametrize("since_s", [LONGEST_S + 1, 1e12])
def test_a_stretch_that_is_too_long_is_refused(tmp_path: Path, since_s: float) -> None:
    async def scene(shop: Shop) -> None:
        said = await shop.ask("handover", since_s=since_s)
        assert (said["exit_code"], "31 days" in said["error"]["message"]) == (2, True)

    opened(tmp_path / "ledger.db", scene, read_s=60)


def test_what_was_written_after_a_moment_is_found_by_its_kind_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    async def scene(shop: Shop) -> None:
        await anyio.sleep(7_200)
        assert shop.ledger.latest_seq > STEP, "one piece proves nothing"

    opened(path, scene)
    reader = open_reader(path)
    try:
        every = [(each.seq, each.at, fact) for each in reader.entries() for fact in each.facts]
        middle = every[len(every) // 2][1]
        for kinds in ({"sweep", "plan"}, {"freeze"}, {PlanMade.kind}, set(FACT_TYPES) - {"decision"}):
            for since in (Instant(0), middle, every[-1][1]):
                pieces = list(reader.told_since(kinds, since))
                wanted = [each for each in every if each[1] > since and each[2].kind in kinds]
                assert [each for piece in pieces for each in piece] == wanted
    finally:
        reader.close()
