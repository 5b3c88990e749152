"""What a trial wrote down is judged when it is over: its chain, its writes, its windows. A witness sees the rest."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconcilerd.domain.facts import Fact
from reconcilerd.domain.invariants import Violation
from reconcilerd.domain.policy import Limits
from reconcilerd.ledger.store import Ledger
from reconcilerd.trial import run
from reconcilerd.trial.market import market
from reconcilerd.trial.run import run_trial
from reconcilerd.trial.stage import START
from reconcilerd.trial.witness import Witness
from tests.domain.test_invariants import answer, intent, planned, reading

SOUND = (reading(5, 0), intent("i", 1), answer("i", 30))


def found(
    path: Path,
    *facts: Fact,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    change: Callable[[sqlite3.Connection], object] = lambda _: None,
) -> list[str]:
    """What is found of a ledger of these facts, each in an entry of its own. ``change``: around its triggers."""
    with Ledger.open(path, clock=lambda: START, durable=False) as ledger:
        for fact in facts:
            ledger.append([fact])
    with closing(sqlite3.connect(path)) as other:
        other.executescript("drop trigger entries_never_change; drop trigger entries_stay")
        change(other)
        other.commit()
    what = market(1)
    with Ledger.open(path, clock=lambda: START, durable=False) as ledger:
        told = run._written(ledger, replace(what, policy=replace(what.policy, limits=limits)))
    return [each.invariant for each in told]


def test_a_ledger_of_a_write_with_its_intent_is_sound(tmp_path: Path) -> None:
    assert found(tmp_path / "l.db", *SOUND) == []


def test_an_entry_that_was_changed_is_found(tmp_path: Path) -> None:
    def renamed(other: sqlite3.Connection) -> None:
        other.execute("update entries set note = 'another' where seq = 2")

    assert found(tmp_path / "l.db", *SOUND, change=renamed) == ["I7"]


def test_a_write_that_nobody_intended_is_found(tmp_path: Path) -> None:
    assert found(tmp_path / "l.db", *SOUND, answer("other", 40)) == ["I18"]


@pytest.mark.parametrize(("slots", "said"), [(2, []), (1, ["I15"])])
def test_a_window_is_held_against_the_limits_of_the_policy(
    slots: int, said: list[str], tmp_path: Path
) -> None:
    facts = (reading(5, 0), planned(1, 0), planned(2, 5))
    assert found(tmp_path / "l.db", *facts, limits=Limits(window_slots=slots)) == said


def test_a_trial_tells_what_was_found_on_the_way_at_rest_and_of_what_was_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of(name: str) -> Violation:
        return Violation(name, START, "a finding")

    monkeypatch.setattr(Witness, "arrived", lambda self: self._say("I16", "a finding"))
    monkeypatch.setattr(run, "audit_rest", lambda _daemon, _state: (of("I8"),))
    monkeypatch.setattr(run, "_written", lambda _ledger, _what: [of("I7")])
    outcome = run_trial(market(1, skus=1, channels=1), 1, 0.01)
    assert outcome.rested
    assert sorted(each.invariant for each in outcome.violations) == ["I16", "I7", "I8"]


TOLD = ("arrived", "planned", "committed", "wrote", "alerted", "at_rest")


def test_a_witness_is_told_of_whatever_happens_in_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a business whose window is so narrow that one listing is raised, and others wait for a person."""
    told = set[str]()

    def hearing(name: str) -> Callable[..., object]:
        real = getattr(Witness, name)

        def heard(self: Witness, *args: Any, **more: Any) -> object:
            told.add(name)
            return real(self, *args, **more)

        return heard

    for name in TOLD:
        monkeypatch.setattr(Witness, name, hearing(name))
    what = market(1, skus=1)
    narrow = replace(what.policy, limits=replace(what.policy.limits, window_units=5))
    assert run_trial(replace(what, policy=narrow), 1, 0.01).violations == ()
    assert told == set(TOLD)
