"""Whoever compares every SKU holds up nobody, though it takes minutes and the catalogue changes meanwhile."""

import anyio
import anyio.lowlevel

from reconcilerd.daemon.turns import steps
from reconcilerd.domain.names import Sku
from reconcilerd.simulator.truth import WorldConfig
from tests.web.stage import answers_of
from tests.world.stage import Stage, play, policy, small_world


async def test_between_two_steps_everybody_else_has_a_turn() -> None:
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(somebody_else)
        await anyio.lowlevel.checkpoint()
        began = turns
        seen = [(item, turns - began) async for item in steps(range(6), 2)]
        group.cancel_scope.cancel()
    assert seen == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]


def test_every_sku_is_compared_with_turns_in_between_and_none_that_lost_its_listings_meanwhile() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        book, answers, turns = stage.built.daemon.desk.book, answers_of(stage.built, stage.journal), 0

        async def somebody_else() -> None:
            nonlocal turns
            while True:
                turns += 1
                if turns == 3:
                    book.joins().slots_of.pop(Sku("e"))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(somebody_else)
            told = await answers.answer({"op": "reconcile", "all": True}, "test")
            group.cancel_scope.cancel()
        assert told["looked_at"] == 5
        assert turns >= 5

    play(small_world(WorldConfig(), split=True, skus="abcdef"), policy(split=True), scene)
