"""What a person, or a pass at large, changed is noted; what corrects a little is not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio

from reconcilerd.domain.facts import RailLatched
from reconcilerd.domain.policy import Mode
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, play, policy, small_world
from tests.world.test_rails import answers


async def ask(stage: Stage, **request: Any) -> None:
    assert (await answers(stage).answer(request, "uid 7"))["exit_code"] == 0


def noted_of(stage: Stage) -> list[str]:
    noted: list[str] = []

    def note(what: str, details: Mapping[str, str]) -> None:
        assert all(isinstance(each, str) for each in details.values())
        noted.append(what)

    stage.built.daemon.changed = note
    return noted


def test_what_a_person_lets_go_on_is_noted_and_a_freeze_is_not() -> None:
    async def scene(stage: Stage) -> None:
        noted = noted_of(stage)
        await anyio.sleep(400)
        await ask(stage, op="freeze", reason="stock-take")
        assert noted == []
        await ask(stage, op="unfreeze")
        desk = stage.built.daemon.desk
        await desk.take([RailLatched("zeros:shop-uk", True, "", "many", desk.clock())])
        await ask(stage, op="breaker", reset="zeros:shop-uk", reason="they are sold out")
        assert noted == ["uid 7 allowed writes to all channels again", "uid 7 reset zeros:shop-uk"]

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_a_pass_that_corrects_many_is_noted_and_one_that_corrects_few_is_not() -> None:
    async def scene(stage: Stage) -> None:
        noted.append(noted_of(stage))
        await anyio.sleep(900)

    noted: list[list[str]] = []
    rules = policy(split=True, mode=Mode.AUTO)
    for over in (0, 1_000):
        limits = replace(rules.limits, canary_over=over)
        play(small_world(WorldConfig(), split=True), replace(rules, limits=limits), scene)
    assert any(each.startswith("a pass corrects ") and "shop-uk" in each for each in noted[0])
    assert noted[1] == []
