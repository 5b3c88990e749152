"""What trips when a pass is planned: too many unexplained zeros, and a policy that was changed since the last run."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

import structlog

from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.facts import Fact, PolicyAdopted, RailLatched
from reconcilerd.domain.feeds import STOCK_FEED, slots_feed
from reconcilerd.domain.guards import (
    Change,
    Guard,
    Verdict,
    decrease_only,
    known_supply,
    observe_only,
    ownership,
)
from reconcilerd.domain.latches import CONFIG_CHANGE, ZEROS, Latches, latch_name
from reconcilerd.domain.names import ChannelName, Sku, SlotKey
from reconcilerd.domain.plan import Entry, GroupPlan
from reconcilerd.domain.record import Order, PutBack
from reconcilerd.domain.size import guarded_mode

log = structlog.get_logger("reconcilerd.trips")

LATCH: Final = latch_name(CONFIG_CHANGE, "policy")
TOLD: Final = 5
"""SKUs that are named in what a person is asked about."""

REFUSALS: Final[Mapping[Verdict, str]] = MappingProxyType(
    {
        Verdict.HOLD_MODE: "observe writes nothing, and another mode is another policy",
        Verdict.HOLD_APPROVAL: "guarded has a person asked for each by itself, and another mode is another policy",
        Verdict.HOLD_NOT_OURS: "it is not managed, and another rule is another policy",
        Verdict.HOLD_NATIVE_PUSH: "Extensiv publishes it until a person has it otherwise",
        Verdict.HOLD_AMBIGUOUS: "nobody can say what it sells until a person keeps one",
        Verdict.HOLD_SLOT_OFF: "it is off until somebody puts it on sale, and changes nothing for buyers till then",
        Verdict.HOLD_UNTRACKED: "the channel keeps no number of it",
        Verdict.HOLD_DECREASE_ONLY: "the channel is never raised, and another setting is another policy",
        Verdict.HOLD_UNKNOWN: "Extensiv has no row of it: what it should show is not known under any policy",
    }
)
"""Holds that say nothing of when a correction will go: they stand as long as the policy does, or end for one listing by
what somebody does to that.

Whatever else holds a correction is over some time, by itself (readings, circuits, freeze windows, pins) or by one word
for all (the STOP file, a freeze, a breach), and everything goes with it: so it counts.
"""
_BOTH: Final[tuple[Guard, ...]] = (observe_only, guarded_mode, ownership)


def zeros_tripped(plan: GroupPlan, latches: Latches) -> list[RailLatched]:
    """The latches of channels on which one more unexplained zero met the limit."""
    at, limits = plan.position.at, plan.position.limits
    met = {entry.slot.channel: entry for entry in plan.entries if entry.verdict is Verdict.HOLD_ZEROS}
    return [
        RailLatched(
            latch_name(ZEROS, channel),
            True,
            "reconcilerd",
            "too many listings would be set to zero without orders that explain it",
            at,
            f"{limits.unexplained_zeros} within {limits.zeros_window_ms // 60_000} min, then {entry.sku}",
        )
        for channel, entry in sorted(met.items())
        if latch_name(ZEROS, channel) not in latches.on(at)
    ]


def would_change(plan: GroupPlan, entry: Entry, *, stock_read: bool = True) -> bool:
    """Whether a correction goes beyond what orders explain, and goes once all is over that holds it for now.

    ``stock_read``: all stock was read once. Before that, stock that nobody knows is only not read yet.
    """
    # A raise that has no room yet is one of no units for now; orders explain none.
    if not entry.unexplained and (entry.lowers or entry.desired <= entry.current):
        return False
    offer = next(each for each in plan.position.offers if each.slot == entry.slot)
    change = Change(plan.position, offer, entry.current, entry.target, entry.sold_out, entry.cures)
    guards = [*_BOTH, *([] if entry.lowers else [decrease_only]), *([known_supply] if stock_read else [])]
    # Its verdict names the first that holds, as a STOP file; behind that it may be none of ours.
    return not any(guard(change, plan.rails) in REFUSALS for guard in guards)


class ChangedPolicy:
    """A revision of the policy that has never decided: what it would change is counted before it does."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._found: dict[Sku, frozenset[SlotKey]] = {}
        """What would change of each pool group that was looked at."""
        self._unread = frozenset[ChannelName]()
        """Channels that nobody had read whole by then."""

    @property
    def observing(self) -> bool:
        """Whether the present policy is only looked at: another one decided last."""
        book = self._desk.book
        return book.adopted is not None and book.adopted != book.policy.revision

    def look(self, plan: GroupPlan, order: Order | None = None) -> None:
        """Count what a plan would change beyond what orders explain. ``order``: what a person had it made for."""
        # Of what the policy wants a person's numbers say nothing.
        if not self.observing or isinstance(order, PutBack):
            return
        self._mind_first_readings()
        read = STOCK_FEED in self._desk.book.swept_whole
        self._found[plan.position.group] = frozenset(
            entry.slot for entry in plan.entries if would_change(plan, entry, stock_read=read)
        )

    def begin_anew(self) -> None:
        """Another policy came: what was counted for the one before says nothing of it."""
        self._found.clear()

    async def settle(self, broken: Collection[Sku] = ()) -> None:
        """Once everything was looked at: adopt it, or ask a person. The first policy ever is adopted as it is.

        A channel that was never read is waited for, as its listings take their shares from all others: for as long as
        a reading may be old, within which whatever can be read is read whole. ``broken``: pool groups whose last plan
        met a bug. Waiting for these, or for a channel that is down, could last for ever, and nobody would be told why;
        so each listing of theirs counts as one that would change.
        """
        book, at = self._desk.book, self._desk.clock()
        latch = book.latches.known.get(LATCH)
        if book.adopted == book.policy.revision:
            if latch is not None and latch.on:
                # The policy that a person was asked about was taken back.
                back = RailLatched(LATCH, False, "reconcilerd", "the policy before is in force again", at)
                await self._desk.take((back,), note="policy")
            return
        asked = latch is not None and latch.reason.startswith(book.policy.revision)
        if latch is not None and latch.on and asked:
            return
        if self.observing:
            self._mind_first_readings()
            if self._unread and at - book.awake_since <= book.policy.ages.max_age_ms:
                return
            if not self._all_looked_at(broken):
                return
        joins, unjudged = book.joins(), self._unjudged(broken)
        sku_of, unlisted = joins.sku_of, {sku: names for sku, names in joins.unlisted.items() if names}
        would = {slot for found in self._found.values() for slot in found if slot in sku_of}
        would.update(slot for group in unjudged for slot in self._listings(group))
        # What nobody has read is one listing of each channel that has it.
        count = len(would) + sum(len(names) for names in unlisted.values())
        most = book.policy.limits.config_change_slots
        facts: list[Fact] = []
        if book.adopted is None or count <= most:
            facts = [PolicyAdopted(book.policy.revision, "reconcilerd", at)]
            if latch is not None and latch.on:
                facts.append(RailLatched(LATCH, False, "reconcilerd", "another policy is in force", at))
        else:
            skus = sorted({*unlisted, *(sku_of[slot] for slot in would)})
            evidence = (
                f"{len(skus)} SKUs would change ({count} listings, limit {most}): {', '.join(skus[:TOLD])}"
            )
            if unjudged:
                evidence += f"; {len(unjudged)} not judged, and counted whole: {', '.join(unjudged[:TOLD])}"
            if self._unread:
                evidence += f"; never read: {', '.join(sorted(self._unread))}"
            reason = f"{book.policy.revision} follows {book.adopted}"
            facts = [RailLatched(LATCH, True, "reconcilerd", reason, at, evidence)]
        log.info(
            "policy_changed",
            revision=book.policy.revision,
            before=book.adopted,
            listings=count,
            not_judged=len(unjudged),
        )
        self.begin_anew()
        await self._desk.take(facts, note="policy")

    def _all_looked_at(self, broken: Collection[Sku]) -> bool:
        """Whether every pool group with listings was; what nobody has in hand to look at is marked."""
        left = (
            group
            for group in self._desk.book.joins().groups.members
            if group not in self._found and group not in broken and self._listings(group)
        )
        # Most times one is enough to know, and the others need not be searched for.
        first = next(left, None)
        if first is None:
            return True
        if not self._desk.busy:
            # A pass under way may have them; but should one be forgotten, nothing would ever be settled.
            self._desk.mark([first, *left])
        return False

    def _mind_first_readings(self) -> None:
        """What was looked at before a channel was first read whole is to be looked at again: it has more listings."""
        book = self._desk.book
        unread = frozenset(name for name in book.policy.channels if slots_feed(name) not in book.swept_whole)
        if unread != self._unread:
            self._unread = unread
            self.begin_anew()

    def _unjudged(self, broken: Collection[Sku]) -> list[Sku]:
        """Pool groups that were not looked at for a bug, or of which some listings were never read."""
        joins = self._desk.book.joins()
        never = (sku for sku, names in joins.unlisted.items() if names)
        parts = {component for sku in never for component, _ in joins.uses.get(sku, ())}
        some = {*(group for group in broken if group not in self._found), *joins.groups.current(parts)}
        return sorted(group for group in some if group in joins.groups.members)

    def _listings(self, group: Sku) -> list[SlotKey]:
        """The listings of a pool group that we may write: at places that are ours, and mapped there still."""
        joins, channels = self._desk.book.joins(), self._desk.book.policy.channels
        return [
            slot
            for sku in joins.sold_from(joins.groups.members[group])
            for slot in joins.slots_of[sku]
            if slot not in joins.lapsing and slot.place in channels[slot.channel].places
        ]
