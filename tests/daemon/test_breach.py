"""A broken invariant stops every write, lowers too, whoever restarts what, until a person says why it may go on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.executors import Executor
from reconcilerd.domain import plan as planning
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, InvariantBroken, Outcome
from reconcilerd.domain.guards import Verdict
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.reader import open_reader
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.trial.stage import START
from tests.connectors.store import Shop, shop
from tests.crash.theatre import Theatre
from tests.daemon.test_readings_and_writes import desk_of, nobody
from tests.simulator.builders import Desk as Business
from tests.simulator.builders import world_of
from tests.world.stage import Stage, play, policy, small_world

BREACH = InvariantBroken("b1", "a", (("I1", "shop-uk: 900 is more than could ship"),), "{}", START)


def ask(stage: Stage, **request: Any) -> Any:
    built = stage.built

    async def carry() -> None:
        """Nothing is queued by what is asked here."""

    answers = Answers(built.daemon, built.stock, built.channels, lambda *_: [], carry)
    return answers.answer(request, "somebody")


def test_nothing_is_written_after_a_breach_until_a_person_lifts_it_with_a_reason() -> None:
    async def scene(stage: Stage) -> None:
        world, daemon = stage.world, stage.built.daemon
        await anyio.sleep(300)
        await daemon.desk.take([BREACH])
        written = world.score.writes
        assert written > 0
        world.damage("a", 60, stage.clock())
        world.set_quantity(stage.item("shop-uk", "b"), 700, stage.clock())
        await anyio.sleep(900)
        assert world.score.writes == written
        assert {v for group in daemon.passes.standing.drifts.values() for _, v in group} == {
            Verdict.HOLD_BREACH
        }
        assert [
            (kind, subject) for kind, subject, _ in stage.alerts.raised if kind == "invariant_broken"
        ] == [("invariant_broken", "plans")]
        status = await ask(stage, op="status")
        assert [each["id"] for each in status["breaches"]] == ["b1"]
        held = await ask(stage, op="breaker")
        assert [each["name"] for each in held["tripped"]] == ["invariant:b1"]
        assert (await ask(stage, op="breaker", reset="invariant:b1"))["exit_code"] == 2
        assert (await ask(stage, op="breaker", reset="invariant:b2", reason="x"))["exit_code"] == 6
        lifted = await ask(stage, op="breaker", reset="invariant:b1", reason="a test put it there")
        assert (lifted["reset"], (await ask(stage, op="breaker"))["tripped"]) == (["invariant:b1"], [])
        await anyio.sleep(600)
        assert set(stage.shown("a").values()) == {world.shippable("a")}
        assert set(stage.shown("b").values()) == {world.shippable("b")}
        assert "invariant_broken" not in {kind for kind, _, _ in stage.alerts.raised}

    play(small_world(WorldConfig(), split=False), policy(split=False), scene)


def test_a_breach_outlives_the_daemon_with_its_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theatre = Theatre(tmp_path / "ledger.db")
    theatre.live(Instant(START + 60_000))
    written = theatre.world.score.writes
    with monkeypatch.context() as patch:
        patch.setattr(planning, "_granted", lambda _p, _r, _o, desired, _s: desired + 500)
        broken = theatre.live(Instant(START + 300_000)).daemon.desk.book.words.breaches
    assert broken
    while_broken = theatre.world.score.writes
    mended = theatre.live(Instant(START + 900_000)).daemon
    assert set(mended.desk.book.words.breaches) == set(broken)
    assert theatre.world.score.writes == while_broken
    assert theatre.wrong()
    reader = open_reader(theatre.path)
    try:
        kept = list(reader.state(InvariantBroken))
    finally:
        reader.close()
    assert {each.id for each in kept} == set(broken)
    for each in kept:
        evidence = dict(json.loads(each.evidence))
        assert evidence["position"][1]["group"] == each.subject
        assert any(entry["target"] >= 500 for _, entry in evidence["entries"])
    assert while_broken - written < 20


def test_what_is_queued_already_is_not_sent_any_more() -> None:
    async def scene(stage: Stage) -> None:
        daemon = stage.built.daemon
        await anyio.sleep(300)
        written, item = stage.world.score.writes, stage.item("shop-uk", "a")
        slot, track = next((s, t) for s, t in daemon.desk.book.slots.items() if s.listing == item.id)
        now = stage.clock()
        queued = CorrectionPlanned("c1", slot, "a", track.value or 0, track.as_of, 1, "lag", "share", now)
        daemon.desk.fold([queued])
        daemon.executors[slot.channel].put([queued])
        daemon.desk.fold([BREACH])
        await anyio.sleep(5)
        assert stage.world.score.writes == written
        answers = [f for f in stage.journal.facts if isinstance(f, CorrectionSent) and f.id == "c1"]
        assert [each.outcome for each in answers] == [Outcome.NOT_SENT]

    play(small_world(WorldConfig(), split=False), policy(split=False), scene)


async def sent_twice(here: Shop, outcome: Outcome) -> tuple[dict[str, InvariantBroken], int]:
    """One correction handed to the executor again after it was answered; the breaches, and the writes at the store."""
    desk = desk_of(here)
    executor = Executor(here.connector, desk, lambda _: None, nobody)
    slot = here.slot("a")
    await here.connector.read_slots([slot], desk.page)
    now = here.wire.desk.clock()
    correction = replace(here.correction("a", 5, 9), based_on=desk.book.slots[slot].as_of, at=now)
    desk.fold([correction])
    desk.fold([CorrectionSent(correction.id, slot, outcome, "", now, now)])
    executor.put([correction])
    await executor.work_once()
    return desk.book.words.breaches, here.wire.desk.world.score.writes


async def test_an_intent_whose_answer_is_unknown_is_not_sent_again() -> None:
    breaches, writes = await sent_twice(shop(Business(world_of({"a": 5}))), Outcome.UNKNOWN)
    assert [name for each in breaches.values() for name, _ in each.broken] == ["I18"]
    assert writes == 0
