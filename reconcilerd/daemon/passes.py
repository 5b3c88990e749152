"""Passes: drain the dirty set at their own pace, in slices; plan, write down, hand over.

A plan's intents are folded into the book in the same breath as they are decided, so that no second plan can
overlook them, and are durable before an executor sees them.
"""

from collections import Counter
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Container,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import structlog

from reconcilerd import __version__
from reconcilerd.daemon.awaited import awaited, unread
from reconcilerd.daemon.desk import Awaits, Desk
from reconcilerd.daemon.executors import Executor
from reconcilerd.daemon.exposed import Alarming, alarming
from reconcilerd.daemon.sums import DriftIndex, Judged, PoolUnits
from reconcilerd.daemon.supervisor import ledger_fault
from reconcilerd.daemon.told import Held, Noted, held_of, plan_made, tell, tell_large
from reconcilerd.daemon.trips import ChangedPolicy, zeros_tripped
from reconcilerd.daemon.turns import everybody_else
from reconcilerd.daemon.windows import Windows
from reconcilerd.domain.adaptive import scarcity, stock_against_sales
from reconcilerd.domain.announcements import LargeOrder, large_orders
from reconcilerd.domain.bundles import Groups
from reconcilerd.domain.claims import settle_orders
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    EnvelopeApproved,
    Fact,
    PlanMade,
    RegimeSwitched,
    SlotPinned,
)
from reconcilerd.domain.guards import NEEDS_A_PERSON, SHORT_OF_ALLOWANCE, Rails, Verdict
from reconcilerd.domain.invariants import breach_of, held_if_broken
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.domain.plan import Entry, GroupPlan, exposure, hidden, make_plan, released_by
from reconcilerd.domain.policy import Mode, PoolMode
from reconcilerd.domain.position import Position
from reconcilerd.domain.record import Order, PutBack, decide, record
from reconcilerd.domain.room import Room
from reconcilerd.domain.survey import Surveyor, Weather, dark_sources, weather_of
from reconcilerd.spans import Tracer, no_spans
from reconcilerd.transport.progress import heard, idle, rest

log = structlog.get_logger("reconcilerd.passes")

V = TypeVar("V")

SLICE_GROUPS = 2_000
SLICE_MS = 6
"""Whoever asks for a page while everything is planned waits for a slice."""
FEW_ZEROS = 20
"""Of so many groups at most one is taken to be sold out: of fewer, none but those that were short are put in order."""
MAX_LIVELY = 10
"""Components whose rows are kept fresh for having sold last: as many as one call reads."""
RESTLESS_S = 5.0
WHOLE_TURN = 6
"""Turns from one search for what waits and was not looked at lately to the next."""
LOOKED_LATELY_S = 45.0
"""Time and readings alone end some claims: whatever waits is looked at so often, news or not, and a whole turn."""
SETTLE_TURN = 12
"""Turns from one clearing of settled orders to the next."""
MAX_ANNOUNCED = 20
"""Large orders that are told one by one in a pass; all are logged."""

DARK_LOOK_MS = 300_000
"""While a source is dark everybody is looked at so often: what may have sold there grows, slowly for most."""


@dataclass(slots=True)
class Standing:
    """What the last plan of each pool group left: drifts, holds, exposure. For status and alerts."""

    exposed: PoolUnits = field(default_factory=PoolUnits)
    hidden: PoolUnits = field(default_factory=PoolUnits)
    drifts: dict[Sku, tuple[Judged, ...]] = field(default_factory=dict)
    """By pool group; changed by ``put`` alone."""
    index: DriftIndex = field(default_factory=DriftIndex)
    """The same, counted and ranked."""
    since: dict[ChannelName, dict[SlotKey, Instant]] = field(default_factory=dict)
    """When each present drift was first seen, the oldest of a channel first."""
    alarming: dict[Sku, Alarming] = field(default_factory=dict)
    """The part of what is exposed that a person must know of."""
    hungry: dict[Sku, tuple[SlotKey, ...]] = field(default_factory=dict)
    """Components that are nearly sold out, with their slots to be watched as closely as their stock."""
    lively: dict[Sku, None] = field(default_factory=dict)
    """The few components that sold last, the latest at the end: what of them is hidden would be bought."""
    large: dict[Sku, tuple[LargeOrder, ...]] = field(default_factory=dict)
    """Open orders that are large for what was available."""
    _rooms: dict[Sku, Room] = field(default_factory=dict)
    """That of the last plan of each pool group that waits: they are looked at again and again."""

    def turn_back(self, now: Instant) -> None:
        """The clock went back: what was first seen later than now was seen by now."""
        self.since = {
            name: {slot: min(at, now) for slot, at in since.items()} for name, since in self.since.items()
        }

    def regroup(self, groups: Collection[Sku], joined: Container[SlotKey]) -> None:
        """Forget pool groups that are no more: what they were is part of others. ``joined``: slots that sell a SKU."""
        for group in [each for each in self.drifts if each not in groups]:
            self.put(group, ())
        for kept in (self.exposed, self.alarming, self.hidden, self.large, self._rooms):
            for group in [each for each in kept if each not in groups]:
                del kept[group]
        for since in self.since.values():
            # Where what it sold is gone from the catalogue, no plan will say that its drift has ended.
            for slot in [each for each in since if each not in joined]:
                del since[slot]

    def let_go(self, sold: Container[Sku]) -> None:
        """Read no component ahead that nothing on sale takes: no plan will say that it is hungry no more."""
        for component in [each for each in (*self.hungry, *self.lively) if each not in sold]:
            self.hungry.pop(component, None)
            self.lively.pop(component, None)

    def put(self, group: Sku, now: tuple[Judged, ...]) -> None:
        """These are the drifts of a pool group now."""
        self.index.change(group, self.drifts.get(group, ()), now)
        _keep(self.drifts, group, now)

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
        self.put(group, now)
        for drift, _ in now:
            self.since.setdefault(drift.slot.channel, {}).setdefault(drift.slot, at)
        if self._rooms.get(group) is not plan.room:
            # A plan takes over another's room only where all that these two are made of is the same.
            _keep(self.exposed, group, exposure(plan))
            _keep(self.alarming, group, alarming(plan))
            _keep(self.hidden, group, hidden(plan))
        _keep(self._rooms, group, plan.room if awaited(plan) and not unread(plan) else None)
        for component, hungers in hungry(plan):
            if hungers:
                self.hungry[component] = watched(plan.position, component)
            else:
                self.hungry.pop(component, None)
        for component in (each for each, sold in plan.position.sold if sold):
            self.lively.pop(component, None)
            self.lively[component] = None
        while len(self.lively) > MAX_LIVELY:
            del self.lively[next(iter(self.lively))]
        drifting = {drift.slot for drift, _ in now}
        for offer in plan.position.offers:
            # That of a drift that ended while its pool group became part of another.
            if offer.slot not in drifting and offer.slot not in ended:
                self.since.get(offer.slot.channel, {}).pop(offer.slot, None)
        ages = {slot: at - self.since.get(slot.channel, {}).pop(slot, at) for slot in sorted(ended)}
        shows = {offer.slot: offer.current for offer in plan.position.offers}
        return [(slot, age) for slot, age in ages.items() if shows.get(slot) != ended[slot]]


@dataclass(frozen=True, slots=True)
class Word:
    """A person's word for one pass: what to do, what it releases, what is to be written down with it."""

    order: Order
    releases: tuple[EnvelopeApproved, ...] = ()
    facts: tuple[Fact, ...] = ()
    pin: Callable[[SlotKey, str], SlotPinned] | None = None
    """(slot, id of the correction that is to bring its number)."""

    def pins(self, planned: Collection[CorrectionPlanned]) -> list[Fact]:
        """What keeps the daemon from taking back at once what was sent."""
        return [self.pin(each.slot, each.id) for each in planned] if self.pin else []


def _keep(kept: MutableMapping[Sku, V], group: Sku, value: V | None) -> None:
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
        self.standing = Standing(PoolUnits(self._pool_of), PoolUnits(self._pool_of))
        self.changed_policy = ChangedPolicy(desk)
        self.latest_held: PlanMade | None = None
        """The newest plan with a correction that waits for a person."""
        self.watch: Callable[[GroupPlan, Rails], None] = lambda _plan, _rails: None
        """Is shown every plan, with the rails it was judged by."""
        self.tracer: Tracer = no_spans
        self.finished = desk.clock()
        """When a pass last came to its end."""
        self._under_way: dict[object, Instant] = {}
        """When each pass that is not at its end yet began: a person's word may have one beside the usual one."""
        self.broken: dict[Sku, str] = {}
        """Pool groups that met a bug when they were last planned, or told of, and which."""
        self.announce: Callable[[Sequence[LargeOrder]], Awaitable[None]] = _tell_nobody
        """Told of large orders before anything is handed over that lowers their channels."""
        self.large_pass: Callable[[Mapping[ChannelName, int]], None] = lambda _sent: None
        """Told of a pass that sends more than goes without a canary: how many of each channel."""
        self._held: dict[Sku, frozenset[Held]] = {}
        """What the last plan of each pool group held, so that only news of it is written down."""
        self._groups: Groups | None = None
        self._surveyor = Surveyor(desk.book)
        self._dark = frozenset[str]()
        self._looked_in_the_dark = Instant(0)
        self._plans: dict[Sku, GroupPlan] = {}
        """The last plan of each pool group that waits: most looks find what the last one found."""
        desk.on_turned_back.append(self._turn_back)

    def _turn_back(self, now: Instant) -> None:
        """The clock went back: nothing that was done or seen is yet to come, or who counts from it would be mute."""
        self.finished = min(self.finished, now)
        self._looked_in_the_dark = min(self._looked_in_the_dark, now)
        self._under_way = {turn: min(began, now) for turn, began in self._under_way.items()}
        self.standing.turn_back(now)

    def _pool_of(self, group: Sku) -> str:
        return self._desk.book.policy.sku_rule(group).pool

    @property
    def under_way(self) -> Instant | None:
        """When the oldest pass that is not at its end yet began."""
        return min(self._under_way.values(), default=None)

    @property
    def busy(self) -> bool:
        """Whether any group is still to be looked at. What a pass under way has taken waits at the desk no longer."""
        return self._desk.busy or bool(self._under_way)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            idle()
            groups = await self._desk.groups(SLICE_GROUPS)
            heard()
            await self.one_pass(groups)
            # One checkpoint a pass: readings, answers and signals go first.
            await anyio.lowlevel.checkpoint()

    async def keep_looking(self) -> None:
        """Readings that were asked for may never come, and time alone ends some holds: look again."""
        for turn in count(1):
            await rest(RESTLESS_S)
            self._look_at_the_weather()
            self._desk.ask_again()
            if turn % WHOLE_TURN == 0:
                self._desk.look_again(round(LOOKED_LATELY_S * 1000))
            if turn % SETTLE_TURN == 0:
                settle_orders(self._desk.book, self._desk.clock())

    def _look_at_the_weather(self) -> None:
        """Where a source goes dark, or comes back, what rests and has no news changes too."""
        now = self._desk.clock()
        dark = dark_sources(self._desk.book, now)
        if dark != self._dark or (dark and now - self._looked_in_the_dark >= DARK_LOOK_MS):
            self._dark, self._looked_in_the_dark = dark, now
            self._desk.everybody()

    async def one_pass(self, groups: list[Sku], word: Word | None = None) -> tuple[GroupPlan, ...]:
        """Plan these groups in slices; make intents durable; hand them over. ``word``: as a person ordered."""
        turn = object()
        self._under_way[turn] = self._desk.clock()
        left = list(groups)
        try:
            with self.tracer("pass", "internal", {"pass.groups": len(groups)}) as span:
                plans = await self._one_pass(left, word)
                span.set("pass.sent", sum(len(plan.sends) for plan in plans))
                span.set("pass.drifts", sum(len(plan.drifts) for plan in plans))
        except Exception:
            # Nobody else has in hand what it did not come to.
            self._desk.mark(left)
            raise
        finally:
            del self._under_way[turn]
        self.finished = self._desk.clock()
        return tuple(plans)

    async def _one_pass(self, groups: list[Sku], word: Word | None) -> list[GroupPlan]:
        """``groups``: each is taken out of it once it was planned."""
        plans: list[GroupPlan] = []
        tied: Groups | None = None
        whole = ""
        self._windows.count(self._desk.book)
        if word is None and self._short(groups):
            groups[:] = await self._worst_first(groups)
        while groups:
            self._desk.look_at_the_clock()
            self._regroup()
            if tied is not self._groups:
                # Others had their turn: what was a group then may be a part of a larger one by now.
                tied = self._desk.book.joins().groups
                groups[:] = tied.current(groups)
            began = self._desk.clock()
            done, slice_plans, facts = 0, list[GroupPlan](), list[Fact]()
            weather, rails = weather_of(self._desk.book, began), self._windows.onto(self._rails(), began)
            if word is not None:
                rails = replace(rails, envelopes=(*rails.envelopes, *word.releases))
                facts.extend(self._desk.fold(word.facts))
                word = replace(word, facts=())
            first = rails
            for group in groups:
                done += 1
                try:
                    plan = self._plan_group(group, weather, rails, word, facts)
                except Exception as bug:
                    self._broke(bug, group)
                    rails = self._windows.onto(rails, began)
                    continue
                self.broken.pop(group, None)
                rails = plan.rails
                slice_plans.append(plan)
                if self._desk.clock() - began >= SLICE_MS:
                    break
            del groups[:done]
            plans.extend(slice_plans)
            self._desk.counts.spent("plan", self._desk.clock() - began)
            kept = await self._carry(slice_plans, facts, first, word.order if word else None, whole)
            whole = whole or kept
            heard()
            if groups:
                await everybody_else(self._desk.readers)
            else:
                await anyio.lowlevel.checkpoint()
        await self.changed_policy.settle(self.broken)
        sent = Counter(entry.slot.channel for plan in plans for entry in plan.sends)
        if sent.total() > self._desk.book.policy.limits.canary_over:
            self.large_pass(sent)
        return plans

    def _short(self, groups: list[Sku]) -> bool:
        """Whether the windows may be too full for all that these groups could want: then the order matters."""
        if len(groups) < 2:
            return False
        if any(v in SHORT_OF_ALLOWANCE for group in groups for _, v in self.standing.drifts.get(group, ())):
            return True
        limits, now = self._desk.book.policy.limits, self._desk.clock()
        if len(groups) <= min(FEW_ZEROS, limits.window_slots):
            return False
        spent = [self._windows.spent(channel, now) for channel in self._windows.listings]
        return any(
            len(groups) > limits.window_slots - each.slots
            or 0 < limits.unexplained_zeros - each.zeros < len(groups) // FEW_ZEROS
            for each in spent
        )

    async def _worst_first(self, groups: list[Sku]) -> list[Sku]:
        """These groups with the largest exposure first, so that it gets what a short allowance leaves."""
        exposed: dict[Sku, int] = {}
        began = self._desk.clock()
        weather, rails = weather_of(self._desk.book, began), self._rails()
        for group in groups:
            try:
                exposed[group] = exposure(make_plan(self._surveyor.position(group, weather), rails))
            except Exception:
                exposed[group] = 0  # it is told when it is planned
            if self._desk.clock() - began >= SLICE_MS:
                await everybody_else(self._desk.readers)
                began = self._desk.clock()
        return sorted(groups, key=lambda group: -exposed[group])

    def _regroup(self) -> None:
        joins = self._desk.book.joins()
        now = joins.groups
        if now is not self._groups:
            self._groups = now
            self.standing.regroup(now.members, joins.sku_of)
            self.standing.let_go(joins.sold_as)
            kept: MutableMapping[Sku, Any]
            for kept in (self.broken, self._held):
                for group in [each for each in kept if not joins.sold_from(now.members.get(each, ()))]:
                    del kept[group]
            self._plans = {group: plan for group, plan in self._plans.items() if group in now.members}

    def _plan_group(
        self, group: Sku, weather: Weather, rails: Rails, word: Word | None, facts: list[Fact]
    ) -> GroupPlan:
        """One group's plan. What was folded of it is in ``facts`` whatever breaks: it must be kept, and handed over."""
        order = word.order if word else None
        plan = self._plan_of(group, weather, rails, order)
        if plan.position.pool.mode is PoolMode.ADAPTIVE:
            scarce = self._desk.book.scarce.get(group, False)
            if scarcity(plan.position, scarce=scarce, room=plan.room) != scarce:
                facts.extend(self._desk.fold([RegimeSwitched(group, not scarce, weather.at)]))
                plan = self._plan_of(group, weather, rails, order)
        position = plan.position
        self.watch(plan, rails)
        plan, broken = held_if_broken(plan, rails)
        if broken:
            # A bug, caught before it could do harm: what it was decided from is kept, and nobody writes any more.
            decided = {"position": position, "rails": rails, "entries": plan.entries}
            breach = breach_of(self._new_id(), group, broken, decided, weather.at)
            log.critical("invariant_broken", id=breach.id, group=group, broken=breach.broken)
            facts.extend(self._desk.fold([breach]))
        planned = [self._intent(entry, weather.at, rails) for entry in plan.sends]
        facts.extend(self._desk.fold(word.pins(planned) if word else ()))
        facts.extend(self._desk.fold([*planned, *zeros_tripped(plan, self._desk.book.latches)]))
        for intent in planned:
            self._windows.spend(intent)
        self.changed_policy.look(plan, order)
        skus = {name for offer in position.offers for name, _ in offer.uses}
        # What is on its way begins and ends to be offered by time alone.
        awaits = awaited(plan)
        if self._surveyor.awaits_orders(group) or not self._desk.book.policy.inbound.keys().isdisjoint(skus):
            awaits |= Awaits.TIME
        if not awaits or unread(plan):
            # Of what is at rest nothing is kept: there is much of it, and it is seldom looked at.
            self._plans.pop(group, None)
            self._surveyor.forget(group)
        confirming = any(entry.verdict is Verdict.HOLD_CONFIRM for entry in plan.entries)
        asking = confirming or bool(plan.wants.stock or plan.wants.slots)
        self._desk.wait_for(group, skus, awaits, asking=asking)
        self._desk.want(plan.wants)
        return plan

    def _plan_of(self, group: Sku, weather: Weather, rails: Rails, order: Order | None) -> GroupPlan:
        position = self._surveyor.position(group, weather)
        plan = decide(position, rails, order, self._plans.get(group))
        if not isinstance(order, PutBack):
            self._plans[group] = plan
        return plan

    def _intent(self, entry: Entry, at: Instant, rails: Rails) -> CorrectionPlanned:
        track = self._desk.book.slots[entry.slot]
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
            released=released_by(entry, at, rails.envelopes),
            value=entry.value,
            cures=entry.cures,
            under=tuple((each.id, each.target, each.before, each.based_on, each.sent) for each in track.open),
            judged=track.judged,
        )

    async def _carry(
        self, plans: list[GroupPlan], facts: list[Fact], rails: Rails, order: Order | None, whole: str
    ) -> str:
        """Write down what was folded, then hand it over: nobody else would, whatever bug is met in telling of it.

        ``rails``: as they stood before the first of these plans; ``whole``: the id of the pass that they are part of,
        empty while nothing of it was written down. Returns theirs where it was written down.
        """
        at = plans[0].position.at if plans else self._desk.clock()
        noted = [self._note(plan) for plan in plans]
        made = plan_made(self._new_id(), at, noted, whole)
        told = [each.plan for each in noted if each.anew or each.plan.sends]
        if facts or told:
            revision = self._desk.book.policy.revision
            basis: list[Fact] = []
            with self._left_out(*(plan.position.group for plan in told)):
                basis += [record(made.id, at, revision, __version__, rails, order, told)] if told else []
            began = self._desk.clock()
            await self._desk.keep([*facts, made, *basis], note="plan")
            self._desk.counts.spent("record", self._desk.clock() - began)
            if any(entry.verdict in NEEDS_A_PERSON for plan in plans for entry in plan.entries):
                self.latest_held = made
        with self._left_out(*(each.plan.position.group for each in noted if each.large)):
            await self._announce([order for each in noted for order in each.large])
        intents = [fact for fact in facts if isinstance(fact, CorrectionPlanned)]
        for channel, executor in self._executors.items():
            executor.put([each for each in intents if each.slot.channel == channel])
        for each in noted:
            with self._left_out(each.plan.position.group):
                tell(self._desk, each)
        counts, held = self._desk.counts, any(each.anew for each in noted)
        counts.passes["partial" if self.broken else "held" if held else "ok"] += 1
        counts.last_pass = self._desk.clock()
        if made.slots:
            log.info("pass_done", groups=len(plans), slots=made.slots, **dict(made.verdicts))
        return made.id if facts or told else ""

    @contextmanager
    def _left_out(self, *groups: Sku) -> Iterator[None]:
        """Go on after a bug that is met in this, and tell whose it was. What the ledger says ends everything."""
        try:
            yield
        except Exception as bug:
            if ledger_fault(bug) is not None:
                raise
            self._broke(bug, *groups)

    def _broke(self, bug: Exception, *groups: Sku) -> None:
        """One group that meets a bug must not stop the others."""
        self.broken.update(dict.fromkeys(groups, f"{type(bug).__name__}: {bug}"))
        log.exception("group_broke", group=next(iter(groups), None), of=len(groups))

    def _note(self, plan: GroupPlan) -> Noted:
        """Fold a plan into how things stand; what is news of it."""
        group, noted = plan.position.group, Noted(plan)
        with self._left_out(group):
            noted.held = held_of(plan)
            noted.anew = frozenset(noted.held) - self._held.get(group, frozenset())
            _keep(self._held, group, frozenset(noted.held))
            noted.ended = self.standing.note(plan)
            before = {each.identity for each in self.standing.large.get(group, ())}
            now = tuple(large_orders(plan.position, before))
            _keep(self.standing.large, group, now)
            noted.large = tuple(each for each in now if each.identity not in before)
        return noted

    async def _announce(self, orders: Sequence[LargeOrder]) -> None:
        """Large orders that were not there at the last look: logged and told, in the pass that lowers for them."""
        tell_large(self._desk, orders)
        if orders:
            await self.announce(orders[:MAX_ANNOUNCED])


async def _tell_nobody(orders: Sequence[LargeOrder]) -> None:
    del orders


def held_for_a_person(standing: Standing) -> list[Judged]:
    """Corrections that wait for an approval."""
    return list(standing.index.waiting.values())


def watched(position: Position, component: Sku) -> tuple[SlotKey, ...]:
    """Slots in which a change must be seen sooner than a poll would.

    Those that Extensiv pushes its own number to beside us: each push undoes what we lowered for orders in flight. And
    where every unit is offered by several: each that sells must come off all the others.
    """
    beside = position.limits.mode is Mode.NET
    shared = not position.split and len(position.offers) > 1
    return tuple(
        offer.slot
        for offer in position.offers
        if (offer.pushed if beside else shared and offer.shown) and offer.use_of(component)
    )


def hungry(plan: GroupPlan) -> list[tuple[Sku, bool]]:
    """Every component, and whether it is so nearly sold out that one stock sweep could miss its end."""
    return [
        (component, left <= bound)
        for component, left, bound in stock_against_sales(
            plan.position, plan.position.stock_sweep_ms, room=plan.room
        )
    ]
