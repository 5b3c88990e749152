"""The daemon and the baseline in the same world, counted: harm loud (oversold) and quiet (hidden), and effort."""

from dataclasses import dataclass

import anyio

from reconcilerd.daemon.audit import stopped
from reconcilerd.domain.invariants import Violation
from reconcilerd.simulator.truth import World
from tests.world.baseline import only_reads, write_by_hand
from tests.world.noise import (
    HOURS,
    POLL_S,
    WARM_UP_S,
    noisy_faults,
    noisy_policy,
    noisy_world,
    trade,
)
from tests.world.stage import Stage, play


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run came to. ``hidden`` and ``exposed`` in unit-minutes."""

    sold: int = 0
    oversold: int = 0
    refused: int = 0
    hidden: float = 0.0
    exposed: float = 0.0
    writes: int = 0
    violations: tuple[Violation, ...] = ()

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.sold + other.sold,
            self.oversold + other.oversold,
            self.refused + other.refused,
            self.hidden + other.hidden,
            self.exposed + other.exposed,
            self.writes + other.writes,
            self.violations + other.violations,
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """The same world twice: corrected by the daemon, and by the baseline."""

    daemon: Figures = Figures()
    baseline: Figures = Figures()

    def __add__(self, other: "Pair") -> "Pair":
        return Pair(self.daemon + other.daemon, self.baseline + other.baseline)


def compare(seed: int, hours: float = HOURS) -> Pair:
    """One world of noise, run twice."""
    return Pair(by_daemon(seed, hours), by_baseline(seed, hours))


def by_daemon(seed: int, hours: float = HOURS) -> Figures:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(WARM_UP_S)
        await trade(stage, seed, hours)

    world = noisy_world(seed)
    stage = play(world, noisy_policy(), scene, noisy_faults(seed), POLL_S)
    return _figures(world, tuple(stopped(stage.built.daemon.desk.book)))


def by_baseline(seed: int, hours: float = HOURS) -> Figures:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(WARM_UP_S)
        async with anyio.create_task_group() as group:
            group.start_soon(write_by_hand, stage)
            await trade(stage, seed, hours)
            group.cancel_scope.cancel()

    world = noisy_world(seed)
    play(world, noisy_policy(), scene, noisy_faults(seed), POLL_S, prepare=only_reads)
    return _figures(world, ())


def _figures(world: World, violations: tuple[Violation, ...]) -> Figures:
    score = world.finish_score(world.now)
    return Figures(
        sold=score.sold,
        oversold=score.oversold,
        refused=score.refused,
        hidden=score.hidden / 60_000,
        exposed=score.exposed / 60_000,
        writes=score.writes,
        violations=violations,
    )
