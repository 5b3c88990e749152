"""A witness of a trial: told of every entry of the ledger, every plan, every request and every write, as they happen.

It keeps who said what when, asks the arithmetic about recorded inputs and the oracle about the truth, and notes what
was wrong. It changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from reconcilerd.daemon.sweeping import VOID
from reconcilerd.domain.alerts import system_of
from reconcilerd.domain.change import Closed
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    Fact,
    FindingKind,
    FindingRaised,
    InvariantBroken,
    ListingDeclared,
    OrderObserved,
    Outcome,
    PlanMade,
    RegimeSwitched,
    SlotObserved,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.feeds import STOCK_FEED
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.invariants import Violation
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.domain.plan import GroupPlan
from reconcilerd.domain.policy import Mode, Policy
from reconcilerd.domain.position import ClaimKind, Position, StockView
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.menu import LONGEST_MS
from reconcilerd.simulator.stores import Item
from reconcilerd.simulator.truth import World
from reconcilerd.trial.arithmetic import Found, of_inputs, of_sends
from reconcilerd.trial.blame import TROUBLE_MS, Blame, Readings
from reconcilerd.trial.oracle import Oracle
from reconcilerd.trial.owner import not_while_closed, of_policy

MOST_TOLD = 200
"""Violations kept of one run: a daemon that goes on breaking one rule has been found out."""
PLAN_WITHIN_MS = 60_000
"""Far longer than planning takes in virtual time: news that waits longer was forgotten."""
SENT_WITHIN_MS = 60_000
"""The same for a write whose channel has no trouble of its own."""
SAMPLED = 50
"""One plan in so many is decided twice more, and with a unit more."""
EVIDENCE = {
    "credentials_refused": "failed reading, nor refused write",
    "exposure": "number",
    "unresolved_drift": "number",
    "held_plan": "held correction",
    "unmapped_sku": "such listing",
    "unreadable_rows": "such row",
    "invariant_broken": "breach",
}
"""What of its subject must have been written down before an alert of a kind may be raised."""


def _evidence(fact: Fact) -> Iterator[tuple[str, str]]:
    """The alerts, by kind and subject, for which a fact is evidence."""
    match fact:
        case SweepRead(complete=False):
            yield "credentials_refused", system_of(fact.feed)
        case CorrectionSent() if fact.outcome is not Outcome.APPLIED:
            yield "credentials_refused", fact.slot.channel
        case SlotObserved():
            yield "exposure", "stock"
            yield "unresolved_drift", fact.slot.channel
        case PlanMade():
            for slot, *_ in fact.held:
                yield "held_plan", slot.channel
        case FindingRaised(what=FindingKind.UNMAPPED_SKU):
            yield "unmapped_sku", fact.subject.partition(":")[0]
        case FindingRaised(what=FindingKind.REJECTED_ROW):
            yield "unreadable_rows", fact.subject.partition(":")[0]
        case InvariantBroken():
            yield "invariant_broken", "plans"
        case _:
            pass


@dataclass
class Witness:
    """``violations``: what was wrong."""

    world: World
    policy: Policy
    clock: Callable[[], Instant]
    faults: FaultPlan
    seed: int = 0
    in_force: Callable[[Instant], object] = lambda _: None
    """What holds at a moment by the calendar alone: when it changes, that is news."""
    closed: Callable[[Instant], tuple[Closed, ...]] = lambda _: ()
    """The freeze windows that are open at a moment."""
    violations: list[Violation] = field(default_factory=list)
    steps: int = 0
    news_at: Instant = Instant(0)
    """When the truth or the calendar last changed by anybody but us, as far as ``look`` has seen."""
    _tried: dict[str, Instant] = field(default_factory=dict)
    _void: set[str] = field(default_factory=set)
    """Feeds whose last reading was doubted as a whole: they are read less and less often."""
    _read: dict[str, SlotObserved | StockObserved] = field(default_factory=dict)
    _before: dict[str, SlotObserved | StockObserved] = field(default_factory=dict)
    """What each row and slot was read as, and what before that."""
    _evident: set[tuple[str, str]] = field(default_factory=set)
    """Kind and subject of each alert for which there is evidence."""
    _intents: dict[str, CorrectionPlanned] = field(default_factory=dict)
    """Written down, and not answered or at a door yet."""
    _open: dict[tuple[SlotKey, int], list[str]] = field(default_factory=dict)
    """The same, by slot and target."""
    _planned: set[str] = field(default_factory=set)
    _unplanned: dict[str, Instant] = field(default_factory=dict)
    """News of what was ever planned, and since when no plan has looked at it."""
    _written: dict[SlotKey, tuple[Instant, int]] = field(default_factory=dict)
    _stood: tuple[dict[str, tuple[int, ...]], dict[SlotKey, int]] = field(default_factory=lambda: ({}, {}))
    _held: object = None
    _said: set[tuple[str, str]] = field(default_factory=set)
    _delivered: dict[tuple[SlotKey, int], Instant] = field(default_factory=dict)
    """When each write was last let in for an intent."""
    oracle: Oracle = field(init=False)
    _readings: Readings = field(init=False)
    _blame: Blame = field(init=False)
    _spelt: dict[str, str] = field(default_factory=dict)
    """How the business writes each SKU."""
    _chance: Random = field(init=False)

    def __post_init__(self) -> None:
        self._readings = Readings(self.faults)
        self.oracle = Oracle(
            self.world, self.policy, self._readings.began, contradicted=self._readings.contradicted
        )
        self._blame = Blame(self.oracle)
        self._chance = Random(f"witness {self.seed}")

    @property
    def self_made(self) -> int:
        """Eaches that our raises showed too much, by what could be read."""
        return self._blame.units

    def committed(self, facts: Iterable[Fact]) -> None:
        """An entry goes to the ledger."""
        self.steps += 1
        now = self.clock()
        for fact in facts:
            self._evident.update(_evidence(fact))
            match fact:
                case SlotObserved() | StockObserved():
                    self._newest(fact)
                    if isinstance(fact, SlotObserved) and self.oracle.misnames(fact):
                        # A listing of a SKU that nobody knows belongs to no plan; somebody is told of it.
                        self._unplanned.pop(fact.about, None)
                    else:
                        self._news(fact.about, now)
                case OrderObserved():
                    self.oracle.read_order(fact)
                    for line in fact.lines:
                        # What its listing is called at the moment does not matter: it is sold from these.
                        for shelf in self.oracle.shelves_of(fact.key.channel, line.listing_sku):
                            self._news(shelf, now)
                case ListingDeclared():
                    self.oracle.read_listing(fact)
                case RegimeSwitched():
                    self.oracle.turned(fact)
                case SweepRead():
                    self._sweep(fact)
                case CorrectionPlanned():
                    self._intents[fact.id] = fact
                    self._open.setdefault(_door(fact), []).append(fact.id)
                case CorrectionSent():
                    self._answered(fact)
                case _:
                    pass
        self._overdue(now)

    def arrived(self) -> None:
        """A request is about to reach a vendor."""
        self.steps += 1
        self._overdue(self.clock())

    def planned(self, plan: GroupPlan, rails: Rails) -> None:
        """A plan was made; nothing of it is sent yet."""
        self.steps += 1
        for key in _keys_of(plan.position):
            self._planned.add(key)
            self._unplanned.pop(key, None)
        self._divided_as(plan.position)
        self._hear(self._of_the_ledger(plan.position))
        self._hear(self.oracle.conservation(plan.position))
        self._hear(of_sends(plan))
        self._hear(of_policy(plan, self.policy))
        self._hear(not_while_closed(plan, self._closed_for_long()))
        if self._chance.randrange(SAMPLED) == 0:
            self._hear(of_inputs(plan, rails))
        self._blame.planned(plan)

    def _divided_as(self, position: Position) -> None:
        """Count what is shown of a group as its pool offers it now: each unit on one listing, or on all at once."""
        skus = {each for offer in position.offers for each in (offer.sku, *dict(offer.uses))}
        if len(self._spelt) < len(self.world.products):
            self._spelt = {name.casefold(): name for name in self.world.products}
        for sku in sorted(skus & self._spelt.keys()):
            if self.world.products[self._spelt[sku]].split is not position.split:
                self.world.switch(self._spelt[sku], split=position.split, now=self.clock())

    def wrote(self, item: Item, quantity: int, now: Instant) -> None:
        """A write of ours is taken at a store's door."""
        self.steps += 1
        where = f"{item.store}/{item.sku}"
        wanted = item.slot, quantity
        fits = self._open.get(wanted)
        if fits:
            self._close(fits[-1])
            self._delivered[wanted] = now
        elif now - self._delivered.get(wanted, Instant(0)) > SENT_WITHIN_MS:
            # An absolute write may be delivered again while its answer is waited for: it repeats harmlessly.
            self._say("I18", f"{where}: {quantity} was written, and no open intent says so")
        self._blame.wrote(item, quantity)
        rule = self.policy.offer_rule(Sku(item.sku.casefold()), ChannelName(item.store))
        if not rule.managed or (item.push and self.policy.limits.mode is not Mode.NET):
            self._say("I17", f"{where}: written, and not ours")
        for window in self._closed_for_long():
            if window.channel in {"", item.store} and not window.allow:
                self._say("I17", f"{where}: {quantity} was written within a freeze window")
        self._written[item.slot] = now, quantity

    def alerted(self, kind: str, subject: str) -> None:
        """Somebody was told of something."""
        needed = EVIDENCE.get(kind)
        if needed is not None and (kind, subject) not in self._evident:
            self._say("I18", f"{kind} of {subject} was raised, and no {needed} of it was written down")

    def look(self) -> None:
        """Note when the truth last changed; our own writes are no news."""
        left, shown = self.oracle.standing()
        known, seen = self._stood
        ours = {slot: quantity for slot, (_, quantity) in self._written.items()}
        held, self._held = self._held, self.in_force(self.clock())
        if (
            held != self._held
            or left != known
            or any(n not in {seen.get(slot), ours.get(slot)} for slot, n in shown.items())
        ):
            self.news_at = self.clock()
        self._stood = left, shown

    def at_rest(
        self, since: Instant, heard_s: float, held_until: Mapping[SlotKey, Instant], *, whole: bool
    ) -> None:
        """Nothing was left to do since a moment, so nothing was written but for news that could not be read earlier.

        ``heard_s``: how long that may take. ``held_until``: listings that a rail held for a time, and when they were
        free again at the latest. ``whole``: all was waited out, so what is shown is what there is.
        """
        for slot, (at, quantity) in self._written.items():
            if at > max(since, self.news_at + heard_s * 1000, held_until.get(slot, since)):
                self._say("I13", f"{slot.path}: {quantity} was written at rest")
        if whole:
            self._hear(self.oracle.shows_what_there_is())

    def _closed_for_long(self) -> tuple[Closed, ...]:
        """Freeze windows that opened long enough ago for whatever was decided before to be done."""
        now = self.clock()
        before = self.closed(Instant(now - SENT_WITHIN_MS))
        return tuple(each for each in self.closed(now) if each in before)

    def _newest(self, fact: SlotObserved | StockObserved) -> None:
        old = self._read.get(fact.about)
        if old is not None and old.as_of > fact.as_of:
            self._say("I7", f"{fact.about}: read at {fact.as_of}, news after what was read at {old.as_of}")
        if old is not None:
            self._before[fact.about] = old
        self._read[fact.about] = fact

    def _news(self, key: str, now: Instant) -> None:
        if key in self._planned:
            self._unplanned.setdefault(key, now)

    def _overdue(self, now: Instant) -> None:
        for key, since in list(self._unplanned.items()):
            if now - since <= PLAN_WITHIN_MS:
                break  # the others are younger
            self._say("I8", f"{key}: news {(now - since) // 1000} s ago, and no plan since")
            del self._unplanned[key]

    def _sweep(self, fact: SweepRead) -> None:
        channel, last = ChannelName(fact.feed.rpartition(".")[0]), self._tried.get(fact.feed)
        rule = self.policy.channels.get(channel)
        if (
            rule is not None
            and last is not None
            and not self._troubled(channel, last)
            and fact.feed not in self._void
        ):
            gap = fact.began - last
            if gap > 2 * rule.poll_ms + SENT_WITHIN_MS:
                self._say("I16", f"{fact.feed}: not read for {gap // 1000} s, without trouble of its own")
        self._tried[fact.feed] = fact.began
        (self._void.add if fact.why.startswith(VOID) else self._void.discard)(fact.feed)
        self._readings.note(fact)
        if fact.complete and fact.feed == STOCK_FEED:
            self.oracle.left_out = frozenset(fact.unread)

    def _answered(self, fact: CorrectionSent) -> None:
        intent = self._close(fact.id)
        late = fact.at - intent.at if intent is not None else fact.at - fact.sent
        if late > SENT_WITHIN_MS and not self._troubled(fact.slot.channel, Instant(fact.at - late)):
            self._say("I16", f"{fact.slot.path}: answered {late // 1000} s after it was planned")

    def _close(self, id_: str) -> CorrectionPlanned | None:
        """Take an intent off those that may still come to a door."""
        intent = self._intents.pop(id_, None)
        if intent is not None:
            self._open[_door(intent)].remove(id_)
        return intent

    def _troubled(self, system: str, since: Instant) -> bool:
        """Whether a system had trouble of its own since shortly before a moment."""
        ended = since - TROUBLE_MS
        began = ended - LONGEST_MS
        for each in reversed(self.faults.done):
            if each.at < began:
                return False
            if each.system == system and each.until >= ended:
                return True
        return False

    def _of_the_ledger(self, position: Position) -> Found:
        """I6, I7: what a plan looks at is the fold of what was written down, and nothing older.

        But for rows under suspicion, whose earlier number counts as well.
        """
        doubted = {
            (c.component, place)
            for c in position.claims
            if c.kind is ClaimKind.DOUBTED
            for place in c.locations
        }
        for row in (each for each in position.stock if (each.sku, each.location) not in doubted):
            told = self._read.get(f"{row.sku}@{row.location}")
            before = self._before.get(f"{row.sku}@{row.location}")
            if isinstance(told, StockObserved) and _counts(told) != _counts(row):
                older = isinstance(before, StockObserved) and _counts(before) == _counts(row)
                what = f"{told.about}: planned with {_counts(row)}, read last were {_counts(told)}"
                yield "I7" if older or row.as_of < told.as_of else "I6", what
        for offer in position.offers:
            if offer.slot.path in self._read and offer.as_of < self._read[offer.slot.path].as_of:
                yield (
                    "I7",
                    f"{offer.slot.path}: planned from what was read at {offer.as_of}, older than the news",
                )

    def _hear(self, found: Iterable[tuple[str, str]]) -> None:
        for invariant, what in found:
            self._say(invariant, what)

    def _say(self, invariant: str, what: str) -> None:
        if len(self.violations) < MOST_TOLD and (invariant, what) not in self._said:
            self._said.add((invariant, what))
            self.violations.append(Violation(invariant, self.clock(), what))


def _door(intent: CorrectionPlanned) -> tuple[SlotKey, int]:
    return intent.slot, intent.target


def _counts(row: StockObserved | StockView) -> tuple[int, int, int]:
    return row.on_hand, row.unavailable, row.allocated


def _keys_of(position: Position) -> Iterable[str]:
    """What a plan has looked at, by the names under which news of it comes."""
    for row in position.stock:
        yield f"{row.sku}@{row.location}"
    for offer in position.offers:
        yield offer.slot.path
        yield f"{offer.slot.channel}:{offer.listing_sku}"
