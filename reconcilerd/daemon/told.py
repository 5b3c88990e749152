"""What is told of the plans of a pass: what they hold, what was cured, large orders; to the ledger, counts and log.

It decides nothing, and no write depends on it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice

import structlog

from reconcilerd.daemon.desk import Desk, sku_on, spelled
from reconcilerd.domain.announcements import LargeOrder
from reconcilerd.domain.facts import PlanMade
from reconcilerd.domain.guards import GOES, Verdict
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.domain.plan import GroupPlan

log = structlog.get_logger("reconcilerd.passes")

Held = tuple[SlotKey, int, int, str]
"""A slot, what it shows, what it should show, and why that waits."""

MAX_HELD_LISTED = 200


@dataclass(slots=True)
class Noted:
    """What is news of one plan; where a bug was met in finding it, what was found before."""

    plan: GroupPlan
    held: tuple[Held, ...] = ()
    anew: frozenset[Held] = frozenset()
    """What of that the last plan of its group did not hold."""
    ended: Sequence[tuple[SlotKey, int]] = ()
    """Drifts that were cured, with their age in ms."""
    large: tuple[LargeOrder, ...] = ()
    """Large orders that were not there at the last look."""


def held_of(plan: GroupPlan) -> tuple[Held, ...]:
    """Everything that a plan holds."""
    return tuple(
        (entry.slot, entry.current, entry.desired, str(entry.verdict))
        for entry in plan.entries
        if entry.verdict not in GOES
    )


def plan_made(id_: str, at: Instant, noted: Sequence[Noted], part_of: str) -> PlanMade:
    """One slice of a pass, counted."""
    verdicts = Counter(entry.verdict for each in noted for entry in each.plan.entries)
    return PlanMade(
        id_,
        at,
        verdicts.total(),
        tuple(sorted((str(verdict), count) for verdict, count in verdicts.items())),
        tuple(islice(chain.from_iterable(each.held for each in noted), MAX_HELD_LISTED)),
        part_of,
    )


def tell_large(desk: Desk, orders: Sequence[LargeOrder]) -> None:
    """Each large order, for the log."""
    for each in orders:
        log.warning(
            "large_order",
            sku=spelled(desk.book, each.component),
            channel=each.channel,
            order=each.order,
            units=each.units,
            available=each.available,
        )


def tell(desk: Desk, noted: Noted) -> None:
    """What one plan sends, holds anew and found cured, for counts and log."""
    for _, _, _, verdict in noted.anew:
        desk.counts.holds[Verdict(verdict)] += 1
    for entry in noted.plan.sends:
        log.info(
            "correction_planned",
            sku=spelled(desk.book, entry.sku),
            channel=entry.slot.channel,
            slot=entry.slot.path,
            shown=entry.current,
            target=entry.target,
            cause=entry.cause,
            because=entry.because,
        )
    for slot, age_ms in noted.ended:
        desk.counts.cure(slot.channel, age_ms)
        sku = sku_on(desk.book, slot)
        log.info("drift_cured", sku=sku, channel=slot.channel, slot=slot.path, age_ms=age_ms)
