"""Whoever compares every SKU holds up nobody, though it takes minutes and the catalogue changes meanwhile."""

import anyio
import anyio.lowlevel
import pytest

from reconcilerd.daemon import turns
from reconcilerd.daemon.turns import Readers, steps
from reconcilerd.domain.names import Sku
from reconcilerd.simulator.truth import WorldConfig
from tests.web.stage import answers_of
from tests.world.stage import Stage, play, policy, small_world


async def test_between_two_steps_everybody_else_has_a_turn() -> None:
    had = 0

    async def somebody_else() -> None:
        nonlocal had
        while True:
            had += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(somebody_else)
        await anyio.lowlevel.checkpoint()
        began = had
        seen = [(item, had - began) async for item in steps(range(6), 2)]
        group.cancel_scope.cancel()
    assert seen == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]


async def test_who_reads_on_a_thread_finishes_before_the_next_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 60)
    readers, done = Readers(), list[str]()

    async def read(name: str, long: int) -> None:
        with readers.one():
            for _ in range(long):
                await anyio.lowlevel.checkpoint()
            done.append(name)

    for _ in range(2):
        done.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(read, "a page", 2 * turns.TURNS)
            group.start_soon(read, "another", 3 * turns.TURNS)
            await anyio.lowlevel.checkpoint()
            await turns.everybody_else(readers)
            done.append("the next slice")
        assert done == ["a page", "another", "the next slice"]


async def test_a_pass_waits_for_no_reading_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 0.0)
    readers = Readers()
    with readers.one():
        await turns.everybody_else(readers)
    assert not await readers.finish()


def test_every_sku_is_compared_with_turns_in_between_and_none_that_lost_its_listings_meanwhile() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        book, answers, had = stage.built.daemon.desk.book, answers_of(stage.built, stage.journal), 0

        async def somebody_else() -> None:
            nonlocal had
            while True:
                had += 1
                if had == 3:
                    book.joins().slots_of.pop(Sku("e"))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(somebody_else)
            told = await answers.answer({"op": "reconcile", "all": True}, "test")
            group.cancel_scope.cancel()
        assert told["looked_at"] == 5
        assert had >= 5

    play(small_world(WorldConfig(), split=True, skus="abcdef"), policy(split=True), scene)
