"""One trial: a market played to its end, what came of it, and every invariant that a run can show to be broken."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from reconcilerd.daemon.audit import IN_ITS_TURN, audit_rest, stopped, waits
from reconcilerd.daemon.breakers import tripped
from reconcilerd.daemon.daemon import Daemon
from reconcilerd.daemon.passes import LOOKED_LATELY_S, RESTLESS_S, WHOLE_TURN
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.guards import GOES, SHORT_OF_ALLOWANCE, Verdict
from reconcilerd.domain.invariants import Violation, check_history, check_windows
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.domain.policy import Policy, SkuRule
from reconcilerd.ledger.codec import UnknownFact
from reconcilerd.ledger.store import Ledger
from reconcilerd.simulator.faults import FaultPlan, Injected, faults_of
from reconcilerd.simulator.score import Score
from reconcilerd.simulator.virtual_time import VirtualClock
from reconcilerd.trial.bound import heard_within_s, settles_within_s
from reconcilerd.trial.market import NOTHING_SHOWN, WIDE, Market, open_doors, script
from reconcilerd.trial.stage import Stage, play
from reconcilerd.trial.witness import Witness

ENDS_BY_TIME = SHORT_OF_ALLOWANCE | {Verdict.HOLD_ATTEMPTS, Verdict.HOLD_TUG_OF_WAR, Verdict.HOLD_REFUSED}
"""Holds that end without any news: rails that count over a while, and those that leave a listing alone for a time."""
FIRST_READ_S = 600.0
"""Before anything is sold, everything is read once and shown."""
QUIET_S = 600.0
LOOK_S = 10.0
IN_ITS_TURN_S = LOOKED_LATELY_S + WHOLE_TURN * RESTLESS_S + 2 * LOOK_S
NEVER = 3
"""Bounds after which the calendar's own comings and goings are no excuse any more."""
WAITED_OUT = 4
"""One seed in so many is looked at until all that could still be news to the daemon has been read."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to. ``hours``: of trade, which alone is scored; ``settling``: of reading first, and of coming
    to rest.
    """

    seed: int
    hours: float
    settling: float
    score: Score
    violations: tuple[Violation, ...]
    rested: bool
    self_made: int = 0
    """Eaches raised above min(headroom, shippable), computed from all that could be read when the inputs were read."""
    faults: tuple[Injected, ...] = ()
    """What struck which request."""
    held: Mapping[str, int] = field(default_factory=dict[str, int])
    """Listings that still differ at the end, by what holds them: somebody's word, or what policy forbids."""
    tripped: tuple[str, ...] = ()
    """Rails that hold at the end, by the names under which a person resets them."""


class Kept:
    """The daemon's journal: a ledger that is written in line, since there is no other thread in virtual time."""

    def __init__(self, ledger: Ledger, witness: Witness) -> None:
        self.ledger = ledger
        self._witness = witness

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        self._witness.committed(facts)
        return self.ledger.append(facts, note=note)


def run_trial(
    what: Market,
    seed: int,
    hours: float,
    faults: str = "none",
    traded: Callable[[float], None] = lambda _hours: None,
) -> Outcome:
    """Play a market for some hours. ``faults``: as ``faults_of`` takes them, while it trades. Raises ConfigFault.

    ``traded``: told at every request how many of them have passed.
    """
    clock = VirtualClock(what.begins)
    strikes = faults_of(faults)
    plan = FaultPlan(seed, script=strikes.of_seed(seed), coming=strikes.rates)
    trial = _Trial(what, seed, hours, plan, traded)
    with (
        TemporaryDirectory(prefix="reconcilerd-trial-") as folder,
        Ledger.open(Path(folder) / "ledger.db", clock=trial.now, durable=False) as ledger,
    ):
        stage = play(
            trial.world,
            what.policy,
            trial.scene,
            Kept(ledger, trial.witness),
            faults=plan,
            pacing=what.pacing,
            prepare=trial.prepare,
            clock=clock,
            arrived=trial.arrived,
            closed=what.closed,
        )
        found = [*trial.violations, *trial.witness.violations, *_written(ledger, what)]
    assert trial.score is not None
    lived = (stage.world.now - what.begins) / 3_600_000
    return Outcome(
        seed,
        hours,
        lived - hours,
        trial.score,
        tuple(found),
        trial.rested,
        trial.witness.self_made,
        tuple(plan.done),
        held=trial.held,
        tripped=trial.tripped,
    )


class _Unkept:
    """A journal that nobody will read."""

    def __init__(self) -> None:
        self._entries = 0

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:  # noqa: ARG002
        self._entries += 1
        return self._entries


def in_step(what: Market) -> Mapping[tuple[str, str, str], int]:
    """What listings (store, place, SKU) show by policy before anybody has come: asked of the daemon, past all rails.

    A business does not begin with empty shelves online: rails that bound a day's changes would keep it so for hours.
    """

    async def scene(_stage: Stage[_Unkept]) -> None:
        await anyio.sleep(FIRST_READ_S)

    world = open_doors(replace(what, config=replace(what.config, write_lost=0.0)))
    clock = VirtualClock(what.begins)
    play(world, _unrailed(what.policy), scene, _Unkept(), pacing=what.pacing, clock=clock)
    return {
        (name, level.place, level.sku): level.quantity
        for name, store in world.stores.items()
        for level in store.levels
    }


def _unrailed(policy: Policy) -> Policy:
    """The shares of a policy, and nothing that holds a write back."""

    def free(rule: SkuRule) -> SkuRule:
        return replace(rule, protected=False)

    limits = replace(WIDE, attempts=10**6)
    channels = {name: replace(rule, decrease_only=False) for name, rule in policy.channels.items()}
    skus = {sku: free(rule) for sku, rule in policy.skus.items()}
    return replace(
        policy,
        limits=limits,
        channels=channels,
        skus=skus,
        default_sku=free(policy.default_sku),
        sentinels=(),
    )


def _written(ledger: Ledger, what: Market) -> list[Violation]:
    """What is wrong with what was written down: its chain, its state, its writes."""
    verified = ledger.verify()
    found = [] if verified.ok else [Violation("I7", what.begins, verified.why)]
    entries = [
        (each.at, [f for f in each.facts if not isinstance(f, UnknownFact)]) for each in ledger.entries()
    ]
    return [*found, *check_history(entries), *check_windows(entries, what.policy.limits)]


class _Trial:
    """The scene, and what was noted of it."""

    def __init__(
        self,
        what: Market,
        seed: int,
        hours: float,
        plan: FaultPlan,
        traded: Callable[[float], None],
    ) -> None:
        self._what, self._seed, self._hours, self._plan = what, seed, hours, plan
        self._traded = traded
        self._opened_s: float | None = None
        """Since when it trades, while it does, by the loop's clock."""
        self._stage: Stage[Kept] | None = None
        self.world = open_doors(what, in_step(what) if what.in_step else NOTHING_SHOWN)
        self.witness = Witness(self.world, what.policy, self.now, plan, seed, what.in_force, what.closed)
        self.score: Score | None = None
        self.violations: tuple[Violation, ...] = ()
        self.rested = False
        self.held: Mapping[str, int] = {}
        self.tripped: tuple[str, ...] = ()

    def now(self) -> Instant:
        """The ledger's clock, which begins before the stage does."""
        return self._what.begins if self._stage is None else self._stage.clock()

    def prepare(self, stage: Stage[Kept]) -> None:
        """Let the witness see everything."""
        self._stage = stage
        stage.world.watch = self.witness.wrote
        stage.alerts.watch = self.witness.alerted
        stage.built.daemon.passes.watch = self.witness.planned

    def arrived(self) -> None:
        """A request is about to reach a vendor."""
        self.witness.arrived()
        if self._opened_s is not None:
            # No timer of its own: each moves the moments of all others by a little, and with them what chance does.
            self._traded((anyio.current_time() - self._opened_s) / 3600)

    async def scene(self, stage: Stage[Kept]) -> None:
        world = stage.world
        await anyio.sleep(FIRST_READ_S)
        world.finish_score(stage.clock())
        world.tally.score = Score()
        self._plan.rates = self._plan.coming
        for after_ms, deed in script(self._what, self._seed, self._hours):
            world.at(stage.clock() + after_ms, partial(deed, world))
        self._opened_s = anyio.current_time()
        passed = 0.0
        while passed < self._hours:
            hour = min(1.0, self._hours - passed)
            await anyio.sleep(hour * 3600)
            passed += hour
        self._opened_s = None
        self.score = world.finish_score(stage.clock())
        world.tally.score = Score()
        self._plan.rates = {}
        self.rested = await _rest(
            stage,
            self.witness,
            settles_within_s(self._what.policy, self._what.pacing),
            heard_within_s(self._what.policy, self._what.pacing),
            whole=self._seed % WAITED_OUT == 0,
        )
        if self.rested:
            found = audit_rest(stage.built.daemon, stage.journal.ledger.everything())
            self.violations = tuple(each for each in found if each.invariant not in IN_ITS_TURN)
            if found != self.violations:
                # What time alone has ended just now is looked at in its turn, written and read back.
                await anyio.sleep(IN_ITS_TURN_S)
                self.violations += audit_rest(stage.built.daemon, stage.journal.ledger.everything())
        else:
            drifts = sum(len(each) for each in stage.built.daemon.passes.standing.drifts.values())
            since_s = (stage.clock() - self.witness.news_at) // 1000
            text = f"{drifts} listings still differ {since_s} s after the last news"
            late = Violation("I12", stage.clock(), text)
            self.violations = (*stopped(stage.built.daemon.desk.book), late)
        self._end(stage.built.daemon)

    def _end(self, daemon: Daemon) -> None:
        drifts = [each for group in daemon.passes.standing.drifts.values() for each in group]
        by_slot = {drift.slot: verdict for drift, verdict in drifts if verdict not in GOES}
        self.held = Counter(map(str, by_slot.values()))
        desk = daemon.desk
        self.tripped = tuple(each.name for each in tripped(desk.book, daemon.circuits, desk.clock()))


async def _rest(stage: Stage[Kept], witness: Witness, bound_s: float, heard_s: float, *, whole: bool) -> bool:
    """Wait until nothing is left to do for a while; whether that came within the bound after the last news.

    ``whole``: wait besides until all news must have been read, and look at what is shown then.
    """
    daemon, clock, quiet_since = stage.built.daemon, stage.clock, stage.clock()
    began, looks, held_until = quiet_since, 0, dict[SlotKey, Instant]()
    witness.look()
    while True:
        await anyio.sleep(LOOK_S)
        witness.look()
        soon = Instant(clock() + round(2 * LOOK_S * 1000))
        held_until |= dict.fromkeys(_held_for_a_time(daemon), soon)
        never = clock() - began > NEVER * bound_s * 1000
        late = never or clock() - witness.news_at > bound_s * 1000
        looks = looks + 1 if _busy(daemon) else 0
        if looks:
            quiet_since = clock()
            # What waits for a person is read again now and then, and waits on by the next look.
            if never or (late and looks > 1):
                return False
        elif clock() - quiet_since >= QUIET_S * 1000 and (late or not whole):
            while daemon.passes.busy:
                await anyio.sleep(0.1)
            # What waits for a person may hide, or show, what it likes.
            whole = whole and not daemon.passes.standing.drifts
            witness.at_rest(quiet_since, heard_s, held_until, whole=whole)
            return True


def _busy(daemon: Daemon) -> bool:
    """Whether anything is left to do that does not wait for a person, or for what policy forbids now."""
    groups = daemon.passes.standing.drifts.values()
    idle = all(each.idle for each in daemon.executors.values())
    goes = any(len(waits(group)) < len({drift.slot for drift, _ in group}) for group in groups)
    return daemon.passes.busy or not idle or goes


def _held_for_a_time(daemon: Daemon) -> Iterator[SlotKey]:
    """Every listing whose pool group has something held that time alone will let go."""
    joins = daemon.desk.book.joins()
    for group, drifts in daemon.passes.standing.drifts.items():
        if any(verdict in ENDS_BY_TIME for _, verdict in drifts):
            sold = joins.sold_from(joins.groups.members.get(group, ()))
            yield from (slot for sku in sold for slot in joins.slots_of[sku])
