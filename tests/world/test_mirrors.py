"""A warehouse that Extensiv only copies is missed when its copy stands still, and not while it is renewed."""

from dataclasses import replace

import pytest

from reconcilerd.simulator.truth import World
from tests.world.noise import KINDS, noisy_policy, noisy_world, trade
from tests.world.stage import Stage, play

HOURS = 3.0


def world_of(*, frozen: bool) -> World:
    world = noisy_world(4)
    if frozen:
        # Once it has been renewed, never again.
        world.at(world.now + 1_000_000, lambda _at: setattr(world, "config", still(world)))
    return world


def still(world: World) -> object:
    return replace(world.config, mirror_ms=10**12)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_copy_that_stands_still_is_told_once_and_one_that_is_renewed_never(frozen: bool) -> None:
    async def scene(stage: Stage) -> None:
        await trade(stage, 4, HOURS)

    stage = play(world_of(frozen=frozen), noisy_policy(KINDS), scene)
    told = [(subject, summary) for kind, subject, summary in stage.alerts.raised if kind == "stale_source"]
    assert {subject for subject, _ in told} == ({"extensiv 2"} if frozen else set())
    if frozen:
        assert told[0][1].startswith("the copied stock of 3pl (2) has not changed for ")
        assert "orders were shipped from there" in told[0][1]
