"""Passes: drain the dirty set at their own pace, in slices; plan, write down, hand over.

A plan's intents are folded into the book in the same breath as they are decided, so that no second plan can
overlook them, and are durable before an executor sees them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

import anyio
import anyio.lowlevel
import structlog

from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.executors import Executor
from reconcilerd.daemon.windows import Windows
from reconcilerd.domain.allocation import scarcity, stock_against_sales
from reconcilerd.domain.bundles import Groups
from reconcilerd.domain.claims import settle_orders
from reconcilerd.domain.drift import Drift
from reconcilerd.domain.facts import CorrectionPlanned, Fact, PlanMade, RegimeSwitched
from reconcilerd.domain.guards import GOES, NEEDS_A_PERSON, Rails, Verdict
from reconcilerd.domain.invariants import Violation, breach_of, check_plan
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.domain.plan import Entry, GroupPlan, exposure, hidden, make_plan
from reconcilerd.domain.policy import PoolMode
from reconcilerd.domain.position import ClaimKind, Position
from reconcilerd.domain.survey import Weather, position_of, weather_of

log = structlog.get_logger("reconcilerd.passes")

V = TypeVar("V")

SLICE_GROUPS = 2_000
SLICE_MS = 20
MAX_HELD_LISTED = 200
MAX_VIOLATIONS = 1_000
RESTLESS_S = 5.0
WHOLE_TURN = 6

MOVING = frozenset(
    {ClaimKind.SHIPPED, ClaimKind.INFERRED, ClaimKind.BURIED, ClaimKind.DARK, ClaimKind.IN_FLIGHT}
)
"""Claims that end by a reading or by time: their groups are looked at again on every reading."""


@dataclass(slots=True)
class Standing:
    """What the last plan of each pool group left: drifts, holds, exposure. For status and alerts."""

    drifts: dict[Sku, tuple[tuple[Drift, Verdict], ...]] = field(default_factory=dict)
    since: dict[SlotKey, Instant] = field(default_factory=dict)
    """When each present drift was first seen."""
    exposed: dict[Sku, int] = field(default_factory=dict)
    hidden: dict[Sku, int] = field(default_factory=dict)
    hungry: dict[Sku, None] = field(default_factory=dict)

    def regroup(self, groups: Collection[Sku]) -> None:
        """Forget pool groups that are no more: what they were is part of others."""
        for kept in (self.drifts, self.exposed, self.hidden):
            for group in [each for each in kept if each not in groups]:
                del kept[group]

    def note(self, plan: GroupPlan) -> list[tuple[SlotKey, int]]:
        """Fold a plan; the drifts that were cured, with their age in ms: those whose number was changed.

        Where only more became known, as at a first reading, there was no drift.
        """
        group, at = plan.position.group, plan.position.at
        verdicts = {entry.slot: entry.verdict for entry in plan.entries}
        now = tuple((drift, verdicts[drift.slot]) for drift in plan.drifts)
        ended = {drift.slot: drift.observed for drift, _ in self.drifts.get(group, ())}
        for drift, _ in now:
            ended.pop(drift.slot, None)
        _keep(self.drifts, group, now)
        for drift, _ in now:
            self.since.setdefault(drift.slot, at)
        _keep(self.exposed, group, exposure(plan))
        _keep(self.hidden, group, hidden(plan))
        for component, hungers in hungry(plan.position):
            if hungers:
                self.hungry[component] = None
            else:
                self.hungry.pop(component, None)
        ages = {slot: at - self.since.pop(slot, at) for slot in sorted(ended)}
        shows = {offer.slot: offer.current for offer in plan.position.offers}
        return [(slot, age) for slot, age in ages.items() if shows.get(slot) != ended[slot]]


def _keep(kept: dict[Sku, V], group: Sku, value: V) -> None:
    if value:
        kept[group] = value
    else:
        kept.pop(group, None)


class Passes:
    """Plans what the desk marks and hands the result to the executors."""

    def __init__(
        self,
        desk: Desk,
        executors: Mapping[ChannelName, Executor],
        windows: Windows,
        rails: Callable[[], Rails],
        new_id: Callable[[], str],
    ) -> None:
        self._desk = desk
        self._executors = executors
        self._windows = windows
        self._rails = rails
        self._new_id = new_id
        self.standing = Standing()
        self.latest_held: PlanMade | None = None
        """The newest plan with a correction that waits for a person."""
        self.watch: Callable[[GroupPlan, Rails], None] = lambda _plan, _rails: None
        """Is shown every plan, with the rails it was judged by."""
        self.violations: list[Violation] = []
        self.broken: dict[Sku, str] = {}
        """Pool groups whose last plan met a bug, and which."""
        self._held: dict[Sku, frozenset[tuple[SlotKey, int, int, str]]] = {}
        """What the last plan of each pool group held, so that only news of it is written down."""
        self._groups: Groups | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            groups = await self._desk.groups(SLICE_GROUPS)
            await self.one_pass(groups)
            # One checkpoint a pass: readings, answers and signals go first.
            await anyio.lowlevel.checkpoint()

    async def keep_looking(self) -> None:
        """Readings that were asked for may never come, and time alone ends some holds: look again."""
        for turn in count(1):
            await anyio.sleep(RESTLESS_S)
            whole = turn % WHOLE_TURN == 0
            self._desk.restless(everything=whole)
            if whole:
                settle_orders(self._desk.book, self._desk.clock())

    async def one_pass(self, groups: list[Sku]) -> tuple[GroupPlan, ...]:
        """Plan these groups in slices; make intents durable; hand them over."""
        plans: list[GroupPlan] = []
        self._regroup()
        self._windows.listings = Counter(slot.channel for slot in self._desk.book.slots)
        while groups:
            began = self._desk.clock()
            done, slice_plans, facts = 0, list[GroupPlan](), list[Fact]()
            weather, rails = weather_of(self._desk.book, began), self._windows.onto(self._rails(), began)
            for group in groups:
                done += 1
                try:
                    plan, made = self._plan_group(group, weather, rails)
                except Exception as bug:
                    # One group that meets a bug must not stop the others.
                    self.broken[group] = f"{type(bug).__name__}: {bug}"
                    log.exception("group_broke", group=group)
                    continue
                self.broken.pop(group, None)
                rails = plan.rails
                slice_plans.append(plan)
                facts.extend(made)
                if self._desk.clock() - began >= SLICE_MS:
                    break
            groups = groups[done:]
            plans.extend(slice_plans)
            await self._carry(slice_plans, facts, began)
            await anyio.lowlevel.checkpoint()
        return tuple(plans)

    def _regroup(self) -> None:
        now = self._desk.book.joins().groups
        if now is not self._groups:
            self._groups = now
            self.standing.regroup(now.members)

    def _plan_group(self, group: Sku, weather: Weather, rails: Rails) -> tuple[GroupPlan, list[Fact]]:
        book = self._desk.book
        position = position_of(book, group, weather)
        facts: list[Fact] = []
        if position.pool.mode is PoolMode.SHARED and position.pool.scarcity_switch:
            scarce = book.scarce.get(group, False)
            if scarcity(position, scarce=scarce) != scarce:
                facts.extend(self._desk.fold([RegimeSwitched(group, not scarce, weather.at)]))
                position = position_of(book, group, weather)
        plan = make_plan(position, rails)
        self.watch(plan, rails)
        broken = check_plan(plan, rails)
        if broken:
            # A bug, caught before it could do harm: what it was decided from is kept, and nobody writes any more.
            self.violations.extend(broken[: MAX_VIOLATIONS - len(self.violations)])
            decided = {"position": position, "rails": rails, "entries": plan.entries}
            breach = breach_of(self._new_id(), group, broken, decided, weather.at)
            log.critical("invariant_broken", id=breach.id, group=group, broken=breach.broken)
            facts.extend(self._desk.fold([breach]))
            plan = _held_by_breach(plan, rails)
        planned = [self._intent(entry, weather.at) for entry in plan.sends]
        facts.extend(self._desk.fold(planned))
        for intent in planned:
            self._windows.spend(intent)
        moving = any(claim.kind in MOVING for claim in position.claims)
        skus = {name for offer in position.offers for name, _ in offer.uses}
        asking = bool(plan.wants.stock or plan.wants.slots)
        self._desk.wait_for(group, skus, waiting=bool(plan.drifts) or moving, asking=asking)
        self._desk.want(plan.wants)
        return plan, facts

    def _intent(self, entry: Entry, at: Instant) -> CorrectionPlanned:
        return CorrectionPlanned(
            id=self._new_id(),
            slot=entry.slot,
            listing_sku=entry.listing_sku,
            read=entry.read,
            based_on=entry.based_on,
            target=entry.target,
            cause=entry.cause,
            reason=entry.because,
            at=at,
            unexplained=entry.unexplained,
            sold_out=entry.sold_out,
            owed=entry.owed,
            under=tuple(
                (each.id, each.target, each.before, each.based_on, each.sent)
                for each in self._desk.book.slots[entry.slot].open
            ),
        )

    async def _carry(self, plans: list[GroupPlan], facts: list[Fact], at: Instant) -> None:
        verdicts = Counter(entry.verdict for plan in plans for entry in plan.entries)
        held = [e for plan in plans for e in plan.entries if e.verdict not in GOES]
        ended = [each for plan in plans for each in self.standing.note(plan)]
        intents = [fact for fact in facts if isinstance(fact, CorrectionPlanned)]
        made = PlanMade(
            self._new_id(),
            at,
            sum(len(plan.entries) for plan in plans),
            tuple(sorted((str(verdict), count) for verdict, count in verdicts.items())),
            tuple(_held_of(each) for each in held[:MAX_HELD_LISTED]),
        )
        news = [self._holds_anew(plan) for plan in plans]
        if facts or any(news):
            await self._desk.keep([*facts, made], note="plan")
            if any(e.verdict in NEEDS_A_PERSON for e in held):
                self.latest_held = made
        for channel, executor in self._executors.items():
            executor.put([each for each in intents if each.slot.channel == channel])
        self._tell(plans, made, ended)

    def _holds_anew(self, plan: GroupPlan) -> bool:
        """Whether a plan holds something else than the last one of its group."""
        held = frozenset(_held_of(entry) for entry in plan.entries if entry.verdict not in GOES)
        before = self._held.pop(plan.position.group, frozenset())
        if held:
            self._held[plan.position.group] = held
        return bool(held - before)

    def _tell(self, plans: list[GroupPlan], made: PlanMade, ended: list[tuple[SlotKey, int]]) -> None:
        for entry in (e for plan in plans for e in plan.sends):
            log.info(
                "correction_planned",
                sku=entry.sku,
                slot=entry.slot.path,
                shown=entry.current,
                target=entry.target,
                cause=entry.cause,
                because=entry.because,
            )
        for slot, age_ms in ended:
            log.info("drift_cured", slot=slot.path, age_ms=age_ms)
        if made.slots:
            log.info("pass_done", groups=len(plans), slots=made.slots, **dict(made.verdicts))


def _held_by_breach(plan: GroupPlan, rails: Rails) -> GroupPlan:
    """The same plan, sending nothing; nor does any that is judged after it."""
    held = tuple(
        replace(each, verdict=Verdict.HOLD_BREACH) if each.verdict is Verdict.SEND else each
        for each in plan.entries
    )
    return replace(plan, entries=held, rails=replace(rails, breach=True))


def _held_of(entry: Entry) -> tuple[SlotKey, int, int, str]:
    return entry.slot, entry.current, entry.desired, str(entry.verdict)


def held_for_a_person(standing: Standing) -> list[tuple[Drift, Verdict]]:
    """Corrections that wait for an approval."""
    return [each for group in standing.drifts.values() for each in group if each[1] in NEEDS_A_PERSON]


def hungry(position: Position) -> list[tuple[Sku, bool]]:
    """Every component, and whether it is so nearly sold out that one stock sweep could miss its end."""
    return [
        (component, left <= bound)
        for component, left, bound in stock_against_sales(position, position.stock_sweep_ms)
    ]
