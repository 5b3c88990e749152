"""Who interrupts a simulation of several seeds reads nothing of the threads that met the end of its processes."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from multiprocessing import active_children
from typing import NoReturn

import pytest

from reconcilerd.cli import simulate
from reconcilerd.cli.simulate import Ask
from reconcilerd.simulator.score import Score
from reconcilerd.trial.market import Market, market
from reconcilerd.trial.run import Outcome

ASK = Ask(days=1, skus=1, channels=1, config=None, faults="none", orders=None)
SEEDS = range(1, 257)
"""More than are played at once, by far: most of them wait."""


def plays_but_the_first_for_long(ask: Ask, make: Callable[[int], Market], seed: int) -> Outcome:
    if seed > 1:
        time.sleep(300)
    return Outcome(seed, 1.0, 0.0, Score(), (), rested=True)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.ExceptHookArgs]]:
    """What threads ended with that nobody caught: it would be told on stderr, with a traceback."""
    found: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    monkeypatch.setattr(simulate, "_run", plays_but_the_first_for_long)
    yield found
    assert active_children() == []


def interrupted(self: Future[Outcome], timeout: float | None = None) -> NoReturn:
    raise KeyboardInterrupt


def test_an_interrupt_while_an_outcome_is_waited_for_ends_all_processes_and_breaks_no_thread(
    broken: list[threading.ExceptHookArgs], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = simulate._outcomes(ASK, market, SEEDS)
    assert next(outcomes).seed == 1
    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    assert [each.exc_type for each in broken] == []


def test_an_interrupt_while_an_outcome_is_told_ends_them_as_well(
    broken: list[threading.ExceptHookArgs],
) -> None:
    outcomes = simulate._outcomes(ASK, market, SEEDS)
    assert isinstance(outcomes, Generator)
    assert next(outcomes).seed == 1
    outcomes.close()
    assert [each.exc_type for each in broken] == []
