"""What trips when a pass is planned: too many unexplained zeros, and a policy that was changed since the last run."""

from typing import Final

import structlog

from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.facts import Fact, PolicyAdopted, RailLatched
from reconcilerd.domain.guards import SOON, Verdict
from reconcilerd.domain.latches import CONFIG_CHANGE, ZEROS, Latches, latch_name
from reconcilerd.domain.names import Sku, SlotKey
from reconcilerd.domain.plan import GroupPlan

log = structlog.get_logger("reconcilerd.trips")

WOULD_CHANGE: Final = SOON | {Verdict.SEND, Verdict.HOLD_CONFIG_CHANGE}
LATCH: Final = latch_name(CONFIG_CHANGE, "policy")


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


class ChangedPolicy:
    """A revision of the policy that has never decided: what it would change is counted before it does."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._would: set[SlotKey] = set()
        self._looked_at: set[Sku] = set()

    @property
    def observing(self) -> bool:
        """Whether the present policy is only looked at: another one decided last."""
        book = self._desk.book
        return book.adopted is not None and book.adopted != book.policy.revision

    def look(self, plan: GroupPlan) -> None:
        """Count what a plan would change beyond what orders explain."""
        if not self.observing:
            return
        self._looked_at.add(plan.position.group)
        for entry in plan.entries:
            waits = entry.unexplained and entry.verdict in WOULD_CHANGE
            (self._would.add if waits else self._would.discard)(entry.slot)

    def begin_anew(self) -> None:
        """Another policy came: what was counted for the one before says nothing of it."""
        self._would.clear()
        self._looked_at.clear()

    async def settle(self) -> None:
        """Once everything was looked at: adopt it, or ask a person. The first policy ever is adopted as it is."""
        book, at = self._desk.book, self._desk.clock()
        latch = book.latches.known.get(LATCH)
        if book.adopted == book.policy.revision:
            if latch is not None and latch.on:
                # The policy that a person was asked about was taken back.
                back = RailLatched(LATCH, False, "reconcilerd", "the policy before is in force again", at)
                await self._desk.take((back,), note="policy")
            return
        # Where there is always news, every group was planned long before there is none.
        if self._desk.busy and not self._looked_at >= book.joins().groups.members.keys():
            return
        asked = latch is not None and latch.reason.startswith(book.policy.revision)
        if latch is not None and latch.on and asked:
            return
        count, most = len(self._would), book.policy.limits.config_change_slots
        facts: list[Fact] = []
        if book.adopted is None or count <= most:
            facts = [PolicyAdopted(book.policy.revision, "reconcilerd", at)]
            if latch is not None and latch.on:
                facts.append(RailLatched(LATCH, False, "reconcilerd", "another policy is in force", at))
        else:
            skus = sorted({book.joins().sku_of[slot] for slot in self._would if slot in book.joins().sku_of})
            evidence = (
                f"{len(skus)} SKUs would change ({count} listings, limit {most}): {', '.join(skus[:5])}"
            )
            reason = f"{book.policy.revision} follows {book.adopted}"
            facts = [RailLatched(LATCH, True, "reconcilerd", reason, at, evidence)]
        log.info("policy_changed", revision=book.policy.revision, before=book.adopted, listings=count)
        self.begin_anew()
        await self._desk.take(facts, note="policy")
