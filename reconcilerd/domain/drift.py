"""Where a listing does not show what it should, and why: every drift has exactly one cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconcilerd.domain.allocation import Allocation
from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.names import Sku, SlotKey
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.domain.terms import ours


class Cause(StrEnum):
    LAG = "lag"
    """Stock or orders moved and the listing has not followed yet."""
    NATIVE_PUSH = "native_push"
    FOREIGN_WRITER = "foreign_writer"
    POLICY = "policy"
    MAPPING = "mapping"
    UNITS = "units"
    SLOT_OFF = "slot_off"
    SUPPRESSED = "suppressed"
    REJECTED = "rejected"
    BUNDLE = "bundle"
    STALE_SOURCE = "stale_source"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Drift:
    """One listing that shows something else than it should (channel units)."""

    slot: SlotKey
    sku: Sku
    observed: int
    desired: int
    ideal: int
    cause: Cause

    @property
    def difference(self) -> int:
        return self.desired - self.observed


def diff(position: Position, allocations: Sequence[Allocation]) -> tuple[Drift, ...]:
    """Every listing whose present number (reading less orders known since) is not the desired one."""
    drifts = []
    for offer, allocation in zip(position.offers, allocations, strict=True):
        if offer.current is None:
            continue
        wrong = offer.current != allocation.desired if ours(offer) else offer.current > allocation.ideal
        if wrong or (offer.write or 0) > allocation.desired:
            drifts.append(
                Drift(
                    offer.slot,
                    offer.sku,
                    offer.current,
                    allocation.desired,
                    allocation.ideal,
                    cause_of(position, offer, allocation),
                )
            )
    return tuple(drifts)


def cause_of(position: Position, offer: OfferView, allocation: Allocation) -> Cause:
    """The first cause that holds, from what nobody can correct to what we expect anyway."""
    match offer.state:
        case SlotState.INACTIVE | SlotState.NOT_ONLINE:
            return Cause.SLOT_OFF
        case SlotState.UNPUBLISHED | SlotState.UNTRACKED:
            return Cause.SUPPRESSED
        case SlotState.BUYABLE:
            pass
    if offer.ambiguous:
        return Cause.MAPPING
    if offer.pushed:
        return Cause.NATIVE_PUSH
    if offer.refused:
        return Cause.REJECTED
    if position.stock_dark or position.channel(offer.slot.channel).dark:
        return Cause.STALE_SOURCE
    each = offer.rule.units_per_sale
    if each > 1 and offer.current in {allocation.ideal * each, allocation.desired * each}:
        return Cause.UNITS
    if offer.surprise:
        return Cause.FOREIGN_WRITER
    if offer.write is not None or offer.last_written is not None or position.claims:
        return Cause.LAG
    if len(offer.uses) > 1:
        return Cause.BUNDLE
    return Cause.POLICY if position.split else Cause.UNEXPLAINED
