"""Who corrects: the daemon, three programs by hand, and one that knows the truth. One run of each in one world."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
from typing_extensions import override

from reconcilerd.daemon.audit import stopped
from reconcilerd.daemon.desk import Awaits
from reconcilerd.domain.adaptive import scarcity
from reconcilerd.domain.facts import Fact, RegimeSwitched, SweepRead
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import Instant, LocationName, Sku
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import PoolMode
from reconcilerd.domain.position import Claim, ClaimKind, OfferView, Position, StockView
from reconcilerd.domain.survey import position_of, weather_of
from reconcilerd.simulator.score import Score
from reconcilerd.simulator.truth import World
from reconcilerd.simulator.virtual_time import VirtualClock
from reconcilerd.trial import stage as trial
from reconcilerd.trial.blame import Blame, Readings
from reconcilerd.trial.oracle import Oracle
from reconcilerd.trial.stage import START
from tests.oversell.untold import Untold
from tests.oversell.worlds import Setting
from tests.world.baseline import blind, buffered, correction, in_flight, only_reads, send, write_by_hand
from tests.world.noise import WARM_UP_S, noisy_faults, trade
from tests.world.stage import Journal, Stage

OURS, IN_FLIGHT, OMNISCIENT = "reconcilerd", "in-flight", "omniscient"
BY_HAND: dict[str, Callable[..., Coroutine[None, None, None]]] = {
    "blind": partial(write_by_hand, counted=blind, with_stock=True),
    IN_FLIGHT: partial(write_by_hand, counted=in_flight),
    "buffer-2": partial(write_by_hand, counted=buffered),
}
POLICIES = (OURS, *BY_HAND, OMNISCIENT)
MEANS = {
    OURS: "the daemon itself",
    "blind": "at each stock sweep: its share of what Extensiv calls available",
    IN_FLIGHT: "at each poll: its share of the stock less all orders that Extensiv or a channel shows",
    "buffer-2": "the same, and two units of every SKU never offered",
    OMNISCIENT: "the daemon's rules on the truth, at each of its events; the same slow writes",
}


@dataclass(frozen=True, slots=True)
class Run:
    """What one policy came to in one world with one seed. ``hidden``: unit-minutes.

    ``self_made``: eaches raised above min(headroom, shippable), by all that could be read when their inputs were.
    """

    world: str
    policy: str
    seed: int
    oversold: int
    self_made: int
    refused: int
    hidden: float
    writes: int
    sold: int
    self_made_in_effect: int = 0
    """Eaches that raises offered beyond the truth when they took effect, whoever could have known."""
    broken: tuple[str, ...] = ()
    """Invariants that the daemon itself saw broken."""
    untold: float = 0.0
    """Those of the hidden unit-minutes of which no system told."""


def named(setting: Setting, policy: str) -> str:
    """How a policy is called in a world's rows: the daemon by what it was told to do there."""
    if policy != OURS:
        return policy
    return f"{OURS}-{'net' if setting.pushed else setting.pool}"


def run(setting: Setting, policy: str, seed: int) -> Run:
    """Play one world to its end. The same three arguments give the same figures, in any process."""
    told: list[Score] = []
    world, rules, faults = setting.world(seed), setting.policy(), noisy_faults(seed)
    readings = Readings(faults)
    blame = Blame(Oracle(world, rules, readings.began))
    untold = Untold(world)
    world.watch = lambda item, quantity, _now: blame.wrote(item, quantity)

    def prepare(stage: Stage) -> None:
        stage.built.daemon.passes.watch = lambda plan, _rails: blame.planned(plan)
        if policy != OURS:
            only_reads(stage)

    async def scene(stage: Stage) -> None:
        await anyio.sleep(WARM_UP_S)
        # What was shown before anything had been read is nobody's doing.
        stage.world.finish_score(stage.clock())
        stage.world.tally.score, blame.units = Score(), 0
        async with anyio.create_task_group() as group:
            group.start_soon(untold.watch)
            if policy == OMNISCIENT:
                group.start_soon(Omniscient(stage, blame).work)
            elif policy != OURS:
                group.start_soon(partial(BY_HAND[policy], stage, judge=blame.decided))
            await trade(stage, seed, setting.hours, setting.kinds, quiet=setting.quiet)
            group.cancel_scope.cancel()
        told.append(stage.world.finish_score(stage.clock()))

    journal: Journal = _Told(world=world, readings=readings)
    stage = trial.play(
        world,
        rules,
        scene,
        journal,
        faults=faults,
        pacing=setting.pacing(),
        prepare=prepare,
        clock=VirtualClock(START),
    )
    score = told[0]
    return Run(
        world=setting.name,
        policy=named(setting, policy),
        seed=seed,
        oversold=score.oversold,
        self_made=blame.units,
        self_made_in_effect=score.self_made,
        refused=score.refused,
        hidden=score.hidden / 60_000,
        writes=score.writes,
        sold=score.sold,
        untold=untold.minutes,
        broken=tuple(str(each) for each in stopped(stage.built.daemon.desk.book)),
    )


@dataclass
class _Told(Journal):
    """A journal that tells the truth when an adaptive pool turns: what is hidden goes by what policy would offer.

    And the judge of raises, what was read whole.
    """

    world: World = field(kw_only=True)
    readings: Readings = field(kw_only=True)

    @override
    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        for fact in facts:
            if isinstance(fact, SweepRead):
                self.readings.note(fact)
            elif isinstance(fact, RegimeSwitched):
                turn(self.world, fact.group, scarce=fact.scarce, now=fact.at)
        return await super().append(facts, note)


def turn(world: World, group: str, *, scarce: bool, now: Instant) -> None:
    """A pool is split from now on, or shared again, with all that bundles tie to it."""
    tied, size = {group}, 0
    while size != len(tied):
        size = len(tied)
        for sku in world.products:
            if not tied.isdisjoint({sku, *world.uses(sku)}):
                tied |= {sku, *world.uses(sku)}
    for sku in sorted(tied):
        world.switch(sku, split=scarce, now=max(now, world.now))


class Omniscient:
    """Decides by the daemon's own rules, on what is true and not on what was read, whenever anything was read."""

    def __init__(self, stage: Stage, blame: Blame) -> None:
        self._stage, self._blame = stage, blame
        self._scarce: dict[Sku, bool] = {}

    async def work(self) -> None:
        """For ever: at each event of the daemon, look at what is true and write."""
        desk = self._stage.built.daemon.desk
        desk.everybody()
        while True:
            for group in await desk.groups(10_000):
                members = desk.book.joins().groups.members.get(group, (group,))
                desk.wait_for(group, members, ~Awaits.NOTHING, asking=False)
                await self._correct(group)

    async def _correct(self, group: Sku) -> None:
        stage, book = self._stage, self._stage.built.daemon.desk.book
        stage.world.advance(stage.clock())
        position = self._true(position_of(book, group, weather_of(book, stage.clock())))
        rails = Rails(position.limits.mode)
        plan = make_plan(position, rails)
        self._blame.planned(plan)
        offers = {offer.slot: offer for offer in position.offers}
        wanted = [correction(offers[each.slot], each.read, each.target, position.at) for each in plan.sends]
        if wanted:
            await send(stage, wanted)

    def _true(self, read: Position) -> Position:
        """The position as it would be if everything were known at once."""
        world, components = self._stage.world, {row.sku for row in read.stock}
        rows = tuple(
            StockView(Sku(sku), LocationName(str(place)), each.on_hand, each.locked, 0, read.at, read.at)
            for (sku, place), each in world.bins.items()
            if sku in components
        )
        everywhere = frozenset(row.location for row in rows)
        taken = (
            (sku, sum(row.sellable for row in rows if row.sku == sku) - world.shippable(sku))
            for sku in sorted(components)
        )
        position = replace(
            read,
            stock=rows,
            claims=tuple(
                Claim(ClaimKind.COMMITTED, sku, units, everywhere) for sku, units in taken if units > 0
            ),
            offers=tuple(self._true_offer(offer, read.at) for offer in read.offers),
            channels=tuple(
                replace(each, through=read.at, swept=True, dark=False, unmatched=False)
                for each in read.channels
            ),
            unlisted=(),
            orders_known=True,
            storm=False,
            stock_dark=False,
        )
        return replace(position, split=self._is_split(position))

    def _true_offer(self, offer: OfferView, now: Instant) -> OfferView:
        item = self._stage.world.stores[offer.slot.channel].items[offer.slot.listing]
        return replace(
            offer,
            read=item.quantity,
            as_of=now,
            age_of=now,
            known_since=0,
            write=max(item.coming, default=None),
            replaced=0,
            refused=0,
            not_before=Instant(0),
            suspect=False,
        )

    def _is_split(self, position: Position) -> bool:
        if position.pool.mode is not PoolMode.ADAPTIVE:
            return position.pool.mode is PoolMode.SPLIT
        group, before = position.group, self._scarce.get(position.group, False)
        now = scarcity(replace(position, split=before), scarce=before)
        if now != before:
            self._scarce[group] = now
            turn(self._stage.world, group, scarce=now, now=position.at)
        return now
