"""One trial: a market played to its end, what came of it, and every invariant that a run can show to be broken."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from reconcilerd.daemon.audit import audit_rest
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.invariants import Violation, check_history
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.store import Ledger
from reconcilerd.simulator.faults import FaultPlan, Injected, faults_of
from reconcilerd.simulator.score import Score
from reconcilerd.simulator.virtual_time import VirtualClock
from reconcilerd.trial.market import POLL_MS, Market, open_doors, script
from reconcilerd.trial.stage import START, Pacing, Stage, play

FIRST_READ_S = 600.0
"""Before anything is sold, everything is read once and shown."""
REST_S = 3 * 3600.0
"""How long, after the last visitor, it may take to come to rest."""
QUIET_S = 600.0
LOOK_S = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to. ``hours``: simulated, with reading and coming to rest; the score is of the trade alone."""

    seed: int
    hours: float
    score: Score
    violations: tuple[Violation, ...]
    rested: bool
    faults: tuple[Injected, ...] = ()
    """What struck which request."""


class Kept:
    """The daemon's journal: a ledger that is written in line, since there is no other thread in virtual time."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        return self.ledger.append(facts, note=note)


def run_trial(what: Market, seed: int, hours: float, faults: str = "none") -> Outcome:
    """Play a market for some hours. ``faults``: as ``faults_of`` takes them, while it trades. Raises ConfigFault."""
    clock = VirtualClock(START)
    plan = FaultPlan(seed, script=faults_of(faults).of_seed(seed))
    trial = _Trial(what, seed, hours, faults, plan)
    with (
        TemporaryDirectory(prefix="reconcilerd-trial-") as folder,
        Ledger.open(Path(folder) / "ledger.db", clock=trial.now, durable=False) as ledger,
    ):
        pacing = Pacing(channels_s=_poll_s(what))
        world = open_doors(what)
        stage = play(world, what.policy, trial.scene, Kept(ledger), faults=plan, pacing=pacing, clock=clock)
        found = [*trial.violations, *_written(ledger)]
    assert trial.score is not None
    lived = (stage.world.now - START) / 3_600_000
    return Outcome(seed, lived, trial.score, tuple(found), trial.rested, tuple(plan.done))


def _poll_s(what: Market) -> float:
    return min((rule.poll_ms for rule in what.policy.channels.values()), default=POLL_MS) / 1000


def _written(ledger: Ledger) -> list[Violation]:
    """What is wrong with what was written down: its chain, its state, its writes."""
    verified = ledger.verify()
    found = [] if verified.ok else [Violation("I7", START, verified.why)]
    entries = ((each.at, [f for f in each.facts if hasattr(f, "as_of")]) for each in ledger.entries())
    return [*found, *check_history(entries)]  # type: ignore[arg-type]  # entries of this version only


class _Trial:
    """The scene, and what was noted of it."""

    def __init__(self, what: Market, seed: int, hours: float, faults: str, plan: FaultPlan) -> None:
        self._what, self._seed, self._hours, self._faults, self._plan = what, seed, hours, faults, plan
        self._stage: Stage[Kept] | None = None
        self.score: Score | None = None
        self.violations: tuple[Violation, ...] = ()
        self.rested = False

    def now(self) -> Instant:
        """The ledger's clock, which begins before the stage does."""
        return START if self._stage is None else self._stage.clock()

    async def scene(self, stage: Stage[Kept]) -> None:
        self._stage = stage
        world = stage.world
        await anyio.sleep(FIRST_READ_S)
        world.finish_score(stage.clock())
        world.tally.score = Score()
        self._plan.rates = faults_of(self._faults).rates
        for after_ms, deed in script(self._what, self._seed, self._hours):
            world.at(stage.clock() + after_ms, partial(deed, world))
        await anyio.sleep(self._hours * 3600)
        self.score = world.finish_score(stage.clock())
        world.tally.score = Score()
        self._plan.rates = {}
        self.rested = await rest(stage)
        self.violations = tuple(stage.built.daemon.passes.violations)
        if self.rested:
            self.violations += audit_rest(stage.built.daemon, stage.journal.ledger.everything())
        else:
            text = f"not at rest {REST_S / 3600:g} hours after the last visitor"
            self.violations += (Violation("I12", stage.clock(), text),)


async def rest(stage: Stage[Any]) -> bool:
    """Wait until nothing is left to do for a while; whether that came."""
    daemon, quiet = stage.built.daemon, 0.0
    with anyio.move_on_after(REST_S):
        while True:
            await anyio.sleep(LOOK_S)
            busy = daemon.desk.busy or bool(daemon.passes.standing.drifts)
            busy = busy or not all(each.idle for each in daemon.executors.values())
            quiet = 0.0 if busy else quiet + LOOK_S
            if quiet >= QUIET_S:
                while daemon.desk.busy:
                    await anyio.sleep(0.1)
                return True
    return False
