"""The whole daemon in virtual time with a ledger in a file, and its answers to a person."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from reconcilerd.daemon.answers import Answers
from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import Mode, Policy
from reconcilerd.ledger.store import Ledger
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.trial.stage import START
from tests.world.stage import Stage, play, policy, small_world
from tests.world.test_restart import Kept

READ_S = 400.0
"""By then everything was read, and what the mode allows is shown."""


@dataclass
class Shop:
    """What a scene asks, and what is so."""

    stage: Stage
    ledger: Ledger
    answers: Answers

    async def ask(self, op: str, **more: Any) -> dict[str, Any]:
        return await self.answers.answer({"op": op, **more}, "uid 7")

    async def plan(self, **more: Any) -> dict[str, Any]:
        told = await self.ask("plan", **more)
        plan: dict[str, Any] = told["plan"]
        return plan

    async def apply(self, plan: Any, reason: str = "it was reviewed") -> dict[str, Any]:
        return await self.ask("apply", plan=plan, reason=reason, apply=True)

    def shown(self, sku: str = "a") -> dict[str, int]:
        return self.stage.shown(sku)

    @property
    def writes(self) -> int:
        return self.stage.world.tally.score.writes


def opened(
    path: Path,
    scene: Callable[[Shop], Awaitable[None]],
    *,
    rules: Policy | None = None,
    world: World | None = None,
    split: bool = True,
    mode: Mode = Mode.GUARDED,
    faults: FaultPlan | None = None,
    start: Instant = START,
    read_s: float = READ_S,
) -> World:
    """Play a scene; a ledger that is there already is taken up again."""
    world = world or small_world(WorldConfig(), split, units=40)

    def prepare(stage: Stage) -> None:
        clock.append(stage.clock)

    async def whole(stage: Stage) -> None:
        async def carry() -> None:
            for executor in stage.built.daemon.executors.values():
                await executor.drained()

        built = stage.built
        answers = Answers(built.daemon, built.stock, built.channels, ledger.history, carry, ledger)
        await anyio.sleep(read_s)
        await scene(Shop(stage, ledger, answers))

    clock: list[Callable[[], Instant]] = []
    with Ledger.open(path, clock=lambda: clock[0]() if clock else start, durable=False) as ledger:
        state = list(ledger.everything())
        journal = Kept(ledger=ledger)
        play(
            world,
            rules or policy(split, mode),
            whole,
            faults,
            journal=journal,
            state=state,
            start=start,
            prepare=prepare,
        )
    return world
