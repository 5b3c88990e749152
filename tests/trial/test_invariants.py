"""Every invariant has a check that runs in a trial, and each check finds out a daemon that breaks what it promises."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import import_module

import pytest

from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.facts import Fact, StockObserved
from reconcilerd.domain.invariants import Violation
from reconcilerd.trial.invariants import INVARIANTS, Where
from reconcilerd.trial.market import market
from reconcilerd.trial.run import WAITED_OUT, Outcome, run_trial
from tests.trial.plants import PLANTS, Business

HOURS, SKUS = 0.4, 3
TWENTY = [f"I{number}" for number in range(1, 21)]


def trial_of(name: str, patch: pytest.MonkeyPatch) -> Outcome:
    """A short business with the daemon that breaks an invariant."""
    plant = PLANTS[name]
    what = plant.where(market(plant.seed, SKUS))
    plant.breaks(patch)
    return run_trial(what, plant.seed, HOURS)


@cache
def unbroken(where: Business, seed: int) -> tuple[Violation, ...]:
    """What is wrong with the daemon as it is, in some business."""
    return run_trial(where(market(seed, SKUS)), seed, HOURS).violations


def test_there_are_twenty_and_each_has_a_plant() -> None:
    assert list(INVARIANTS) == TWENTY
    assert list(PLANTS) == TWENTY


@pytest.mark.parametrize("name", TWENTY)
def test_every_check_exists_and_one_of_each_runs_in_a_trial(name: str) -> None:
    for _, path in INVARIANTS[name].checks:
        module, _, function = path.partition(":")
        found: object = import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
        assert callable(found)
    assert {where for where, _ in INVARIANTS[name].checks} - {Where.WRITE}


@pytest.mark.parametrize("name", TWENTY)
def test_a_daemon_that_breaks_it_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, seed = PLANTS[name].where, PLANTS[name].seed
    assert name not in {each.invariant for each in unbroken(where, seed)}
    found = trial_of(name, monkeypatch).violations
    assert name in {each.invariant for each in found}, sorted({each.invariant for each in found})


def test_what_nobody_could_read_off_the_ledger_the_truth_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Desk.take

    async def misread(self: Desk, facts: Iterable[Fact], note: str = "") -> None:
        wrong = [replace(f, on_hand=f.on_hand + 2) if isinstance(f, StockObserved) else f for f in facts]
        await take(self, wrong, note)

    monkeypatch.setattr(Desk, "take", misread)
    seed = WAITED_OUT
    found = run_trial(market(seed, SKUS), seed, 0.1).violations
    assert {each.invariant for each in found} == {"I12"}
    assert all("at rest" in each.what for each in found)


def test_raises_beyond_what_could_be_read_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trial_of("I6", monkeypatch).self_made > 0


def test_a_slow_channel_is_found_to_delay_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    found = trial_of("I16", monkeypatch).violations
    assert any(each.invariant == "I16" and "shop-3" not in each.what for each in found)
