"""A daemon that starts again knows what the old one knew, and does not wait for those it can do without."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.responses import Response
from typing_extensions import override

from reconcilerd.assemble import assemble
from reconcilerd.daemon.audit import rebuilt
from reconcilerd.daemon.windows import Windows
from reconcilerd.domain.facts import CorrectionPlanned, Fact, SlotObserved, SlotState
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.ledger.store import Ledger
from reconcilerd.simulator.extensiv_api import ExtensivApi
from reconcilerd.simulator.faults import MILD, FaultPlan
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.trial.stage import START, Heard, wire
from tests.world.stage import Journal, Stage, play, policy, shop, small_world


@dataclass
class Kept(Journal):
    """A journal that is also a ledger."""

    ledger: Ledger | None = None
    at: list[Instant] = field(default_factory=lambda: [START])

    @override
    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        assert self.ledger is not None
        self.ledger.append(facts, note=note)
        return await super().append(facts, note)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("split", [True, False])
def test_a_book_loaded_from_the_ledger_stands_where_the_running_one_stands(
    tmp_path: Path, seed: int, split: bool
) -> None:
    async def scene(stage: Stage) -> None:
        stage.world.stores["shop-eu"].read_lag_ms = 3_000
        kept.at.append(stage.clock())
        async with anyio.create_task_group() as group:
            group.start_soon(shop, stage, 30, 2.0, seed, ("a", "b"))
            group.start_soon(_meddle, stage)
            for _ in range(60):
                await anyio.sleep(31)
                now = kept.at[0] = stage.clock()
                book, running = stage.built.daemon.desk.book, stage.built.daemon.windows
                assert list(rebuilt(book, ledger.everything(), now)) == []
                fresh = Windows(running.window_ms, running.zeros_ms, running.listings)
                for each in ledger.since(CorrectionPlanned, Instant(now - running.zeros_ms)):
                    fresh.spend(each)
                for name in book.policy.channels:
                    assert fresh.spent(name, now) == running.spent(name, now)

    with Ledger.open(tmp_path / "l.db", clock=lambda: kept.at[0], durable=False) as ledger:
        kept = Kept(ledger=ledger)
        world = small_world(WorldConfig(seed=seed, mirror_ms=120_000, ship_ms=(60_000, 600_000)), split)
        stage = play(world, policy(split), scene, FaultPlan(seed, MILD), journal=kept)
        assert stage.world.score.sold > 20


async def _meddle(stage: Stage) -> None:
    """Somebody else writes, and things break on the shelf."""
    for number in range(12):
        await anyio.sleep(140)
        item = stage.world.items_of("ab"[number % 2])[number % 3]
        stage.world.set_quantity(item, max(0, item.quantity + (4, -2)[number % 2]), stage.clock())
        stage.world.damage("a", 1, stage.clock())


def test_a_restart_while_extensiv_is_away_still_lowers_what_is_sold(monkeypatch: pytest.MonkeyPatch) -> None:
    async def first(stage: Stage) -> None:
        await anyio.sleep(400)
        known.extend(stage.journal.facts)

    async def second(stage: Stage) -> None:
        await anyio.sleep(100)
        for number in range(6):
            stage.world.place_order("shop-uk", f"{number}", [("a", 2)], stage.clock())
        await anyio.sleep(900)
        raised.extend(kind for kind, subject, _ in stage.alerts.raised if subject == "extensiv")

    known: list[Fact] = []
    raised: list[str] = []
    world = small_world(WorldConfig(), split=False, units=20)
    ended = play(world, policy(split=False), first)
    assert set(world_shown(world).values()) == {20}
    away(monkeypatch)
    stage = play(world, policy(split=False), second, state=known, start=ended.world.now)
    assert set(stage.shown("a").values()) == {8}


def world_shown(world: Any) -> dict[str, int]:
    return {item.store: item.quantity for item in world.items_of("a")}


def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extensiv answers 503 to everything."""

    async def gone(scope: Any, receive: Any, send: Any) -> None:
        await Response("away", 503)(scope, receive, send)

    monkeypatch.setattr(ExtensivApi, "app", lambda _: gone)


async def test_a_start_recalls_how_often_and_how_high_a_listing_was_written_lately() -> None:
    """Sold out when it stops, it may be raised to what it showed before; and no restart renews its attempts."""
    slot, at = SlotKey(ChannelName("shop-uk"), "item", "place"), Instant(START - 60_000)
    seen = SlotObserved(slot, "a", "A", 0, SlotState.BUYABLE, False, at, at)
    written = [
        CorrectionPlanned(f"c{each}", slot, "a", 0, at, 900 - each, "", "", Instant(at + each))
        for each in range(3)
    ]
    gone = replace(written[0], slot=replace(slot, listing="gone"))
    wiring = wire(policy(split=True), VirtualClock(START), lambda: in_process_transport(None))  # type: ignore[arg-type]
    built = assemble(wiring, Journal(), Heard(), [seen, written[-1]], [*written, gone])
    habits = built.daemon.desk.book.slots[slot].habits
    assert (habits.attempts(START), habits.last_good) == (3, 900)
