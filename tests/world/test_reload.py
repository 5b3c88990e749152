"""Another policy in a daemon that runs: from its first moment on everything is decided by it, and by it alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from reconcilerd.daemon.audit import rebuilt
from reconcilerd.daemon.executors import Executor
from reconcilerd.daemon.trips import LATCH
from reconcilerd.daemon.windows import Windows
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, JobEnded, Outcome
from reconcilerd.domain.names import Instant, Sku
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import Mode, OfferRule, Percent, Policy, SkuRule
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.ledger.store import Ledger
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, play, policy, shop, small_world
from tests.world.test_restart import Kept

SKUS = ("a", "b")


def another(rules: Policy, chance: Random) -> Policy:
    """A policy of the same systems that says something else of nearly everything."""
    channels = {
        name: replace(
            rule,
            offer=OfferRule(
                normal=Percent(chance.randrange(1001)),
                cap=chance.choice([None, 7]),
                buffer=chance.randrange(4),
            ),
            import_max_ms=chance.choice([300_000, 3_600_000]),
        )
        for name, rule in rules.channels.items()
    }
    return replace(
        rules,
        revision=f"another-{chance.random()}",
        channels=channels,
        skus={Sku("a"): SkuRule(safety_stock=chance.randrange(9), kit=chance.random() < 0.5)},
        default_sku=SkuRule(safety_stock=chance.randrange(9)),
        limits=replace(rules.limits, window_ms=chance.choice([60_000, 7_200_000])),
    )


def turn_to(stage: Stage, rules: Policy, spent: Sequence[CorrectionPlanned] = ()) -> None:
    stage.built.daemon.turn_to(rules, lambda _: (), spent)


@pytest.mark.parametrize("seed", range(4))
def test_after_it_the_daemon_stands_where_a_new_start_would(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)

    async def scene(stage: Stage) -> None:
        daemon = stage.built.daemon
        async with anyio.create_task_group() as group:
            group.start_soon(shop, stage, 25, 3.0, seed, SKUS)
            for _ in range(8):
                await anyio.sleep(chance.uniform(30, 240))
                now = kept.at[0] = stage.clock()
                rules = another(policy(split=bool(seed % 2)), chance)
                wide = max(rules.limits.window_ms, rules.limits.zeros_window_ms)
                recent = ledger.since(CorrectionPlanned, Instant(now - wide))
                turn_to(stage, rules, recent)
                assert list(rebuilt(daemon.desk.book, ledger.everything(), now)) == []
                fresh = Windows(rules.limits.window_ms, rules.limits.zeros_window_ms, daemon.windows.listings)
                for each in recent:
                    fresh.spend(each)
                for name in rules.channels:
                    assert daemon.windows.spent(name, now) == fresh.spent(name, now)
                await anyio.sleep(chance.uniform(0, 20))
                _same_as_if_never_looked_at_before(stage)

    with Ledger.open(tmp_path / "l.db", clock=lambda: kept.at[0], durable=False) as ledger:
        kept = Kept(ledger=ledger)
        world = small_world(
            WorldConfig(seed=seed, mirror_ms=120_000, ship_ms=(60_000, 600_000)), bool(seed % 2)
        )
        stage = play(world, policy(bool(seed % 2)), scene, journal=kept)
        assert stage.world.score.sold > 20
        assert not stage.built.daemon.desk.book.words.breaches


def _same_as_if_never_looked_at_before(stage: Stage) -> None:
    """What passes keep from plan to plan changes none of them."""
    daemon = stage.built.daemon
    weather = weather_of(daemon.desk.book, stage.clock())
    rails = daemon.windows.onto(daemon.rails(), stage.clock())
    for group in daemon.desk.book.joins().groups.members:
        kept = daemon.passes._surveyor.position(group, weather)
        assert (
            make_plan(kept, rails).entries
            == make_plan(position_of(daemon.desk.book, group, weather), rails).entries
        )


def _settled(**limits: Any) -> tuple[Any, Policy]:
    return small_world(WorldConfig(seed=1), split=False), policy(split=False, **limits)


def test_a_small_change_goes_by_itself_and_is_seen_in_the_stores() -> None:
    world, rules = _settled(config_change_slots=50)

    async def scene(stage: Stage) -> None:
        await anyio.sleep(900)
        before = stage.shown("a")
        turn_to(stage, replace(rules, revision="held back", default_sku=SkuRule(safety_stock=10)))
        await anyio.sleep(900)
        assert stage.shown("a") == {store: units - 10 for store, units in before.items()}

    stage = play(world, rules, scene)
    assert stage.built.daemon.desk.book.adopted == "held back"


def test_a_large_change_waits_for_a_person_and_taken_back_it_waits_no_more() -> None:
    world, rules = _settled(config_change_slots=1)

    async def scene(stage: Stage) -> None:
        book = stage.built.daemon.desk.book
        await anyio.sleep(900)
        before = stage.shown("a")
        turn_to(stage, replace(rules, revision="much", default_sku=SkuRule(safety_stock=10)))
        await anyio.sleep(900)
        assert stage.shown("a") == before
        assert book.latches.known[LATCH].on
        turn_to(stage, rules)
        await anyio.sleep(900)
        assert not book.latches.known[LATCH].on
        assert stage.shown("a") == before

    play(world, rules, scene)


def test_what_a_policy_would_have_changed_is_not_held_against_the_one_after_it() -> None:
    """The second comes while the first has been looked at, and not judged yet."""
    world, rules = _settled(config_change_slots=1)
    much = replace(rules, revision="much", default_sku=SkuRule(safety_stock=10))

    async def scene(stage: Stage) -> None:
        daemon = stage.built.daemon
        await anyio.sleep(900)
        turn_to(stage, much)
        weather = weather_of(daemon.desk.book, stage.clock())
        for group in daemon.desk.book.joins().groups.members:
            plan = make_plan(position_of(daemon.desk.book, group, weather), daemon.rails())
            assert plan.entries, "it changes nothing: the test proves nothing"
            daemon.passes.changed_policy.look(plan)
        turn_to(stage, replace(rules, revision="nothing"))
        await anyio.sleep(900)
        assert daemon.desk.book.adopted == "nothing"
        assert LATCH not in daemon.desk.book.latches.known

    play(world, rules, scene)


def test_a_refused_reload_is_an_alert_until_one_is_taken_over() -> None:
    async def scene(stage: Stage) -> None:
        fires: list[bool] = []
        for why in (None, "limits.mode: no such mode", None):
            stage.built.daemon.health.reload_refused = why
            await anyio.sleep(60)
            fires.append("reload_failed" in {kind for kind, _, _ in stage.alerts.raised})
        assert fires == [False, True, False]

    world, rules = _settled()
    play(world, rules, scene)


def test_a_job_that_failed_is_an_alert_until_it_succeeds_and_a_start_does_not_end_it() -> None:
    async def scene(stage: Stage) -> None:
        health, alerts = stage.built.daemon.health, stage.alerts
        failed = JobEnded("backup", False, "the disk is full", stage.clock(), stage.clock())
        # As it stands after a start that found both open: of the audit nobody speaks any more.
        alerts.raised += [("job_failed", "backup", "before"), ("job_failed", "audit", "before")]
        fires: list[list[str]] = []
        for jobs in ({"backup": failed}, {"backup": replace(failed, ok=True, why="")}, {"backup": None}):
            health.jobs = jobs
            await anyio.sleep(60)
            fires.append([subject for kind, subject, _ in alerts.raised if kind == "job_failed"])
        assert fires == [["backup"], [], []]

    world, rules = _settled()
    play(world, rules, scene)


def test_what_the_policy_before_had_planned_does_not_leave_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode goes to observe in the moment in which corrections are handed over: no store hears of one of them."""
    world, rules = _settled()
    look = replace(rules, revision="look", limits=replace(rules.limits, mode=Mode.OBSERVE))
    stages: list[Stage] = []
    handed_over: list[CorrectionPlanned] = []
    put = Executor.put

    def put_and_turn(executor: Executor, corrections: Sequence[CorrectionPlanned]) -> None:
        put(executor, corrections)
        if corrections and stages:
            handed_over.extend(corrections)
            turn_to(stages[0], look)

    async def scene(stage: Stage) -> None:
        await anyio.sleep(900)
        stages.append(stage)
        stage.world.place_order("shop-uk", "7", [("a", 20)], stage.clock())
        await anyio.sleep(900)

    monkeypatch.setattr(Executor, "put", put_and_turn)
    stage = play(world, rules, scene)
    assert handed_over, "nothing was handed over: the test proves nothing"
    mine = {each.id for each in handed_over}
    answers = [each for each in stage.journal.facts if isinstance(each, CorrectionSent) and each.id in mine]
    assert {each.id for each in answers} == mine
    assert {each.outcome for each in answers} == {Outcome.NOT_SENT}
