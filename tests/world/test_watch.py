"""The watch over the whole daemon: silent for a day of trade and faults, and sure of each task that hangs."""

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest
from typing_extensions import override

from reconcilerd.cli import run
from reconcilerd.connectors.port import Channel
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import ChannelName, Sku
from reconcilerd.domain.plan import Wants
from reconcilerd.simulator.faults import HOSTILE, FaultPlan
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.transport.progress import SLACK_S, WORK_S
from tests.world.stage import Journal, Stage, play, policy, shop, small_world

LONGEST_S = 2 * WORK_S + SLACK_S
UK = ChannelName("shop-uk")
WATCHDOG_S = 60.0


async def for_ever(*_args: Any, **_more: Any) -> Any:
    await anyio.sleep_forever()


async def found(stage: Stage, seconds: float) -> set[str]:
    """Everybody who was ever found hanging within so long."""
    names: set[str] = set()
    for _ in range(round(seconds / 5)):
        await anyio.sleep(5)
        names.update(stage.built.daemon.watch.hanging())
    return names


@pytest.mark.parametrize("faults", [FaultPlan(), FaultPlan(3, HOSTILE)], ids=["well", "hostile"])
def test_nobody_hangs_in_a_day_of_trade_whatever_fails(faults: FaultPlan) -> None:
    async def scene(stage: Stage) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(shop, stage, 6 * 60, 0.5, 5)
            hung.update(await found(stage, 6 * 3_600))

    hung: set[str] = set()
    stage = play(small_world(WorldConfig(seed=5), split=False), policy(split=False), scene, faults)
    assert stage.world.score.sold > 10
    assert hung == set()


def _sweep(stage: Stage) -> None:
    stage.built.channels[UK].sweep = for_ever  # type: ignore[method-assign]


def _stock(stage: Stage) -> None:
    stage.built.stock.read_stock = for_ever  # type: ignore[method-assign]


def _write(stage: Stage) -> None:
    channel: Channel = stage.built.channels[UK]
    channel.write = for_ever  # type: ignore[method-assign]


def _health(stage: Stage) -> None:
    stage.built.daemon.health.check = for_ever  # type: ignore[method-assign]


def _passes(stage: Stage) -> None:
    stage.built.daemon.passes.one_pass = for_ever  # type: ignore[method-assign]


class Stuck(Journal):
    """A disk that never answers, once it is told to."""

    stuck = False

    @override
    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        if self.stuck:
            await anyio.sleep_forever()
        return await super().append(facts, note)


def _ledger(stage: Stage) -> None:
    assert isinstance(stage.journal, Stuck)
    stage.journal.stuck = True


@pytest.mark.parametrize(
    ("hang", "name"),
    [
        (_sweep, "poll shop-uk.slots"),
        (_sweep, "poll shop-uk.orders"),
        (_stock, "stock reader"),
        (_write, "executor shop-uk"),
        (_health, "health"),
        (_passes, "passes"),
        (_ledger, "ledger writer"),
    ],
)
def test_each_task_that_hangs_is_found_by_name(hang: Callable[[Stage], None], name: str) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(600)
        assert stage.built.daemon.watch.hanging() == []
        hang(stage)
        stage.world.place_order("shop-eu", "7", [("a", 90)], stage.clock())
        stage.built.daemon.desk.want(Wants(stock=frozenset({Sku("a")})))
        assert name in await found(stage, 600 + LONGEST_S)

    play(small_world(WorldConfig(seed=5), split=False), policy(split=False), scene, journal=Stuck())


def test_while_a_task_hangs_systemd_hears_that_it_does_and_no_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(run._tell_systemd, stage.built, anyio.Event())
            await anyio.sleep(600)
            well = list(said)
            _health(stage)
            await anyio.sleep(600 + LONGEST_S)
            said.clear()
            await anyio.sleep(600)
            group.cancel_scope.cancel()
        assert sum("WATCHDOG=1" in each for each in well) >= 600 / WATCHDOG_S
        assert not any("HANGS" in each for each in well)
        assert said
        assert all("STATUS=HANGS: health" in each and "WATCHDOG" not in each for each in said)

    said: list[str] = []
    monkeypatch.setenv("WATCHDOG_USEC", str(round(WATCHDOG_S * 1_000_000)))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setattr(run, "notify", lambda *lines: said.append("\n".join(lines)))
    play(small_world(WorldConfig(seed=5), split=False), policy(split=False), scene)
