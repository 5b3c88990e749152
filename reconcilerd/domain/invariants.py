"""Checks of our own writes, cheap enough to run on every plan before it is sent (I1, I2, I4, I5, I17).

They recompute from the recorded position what the planner concluded, by the shortest way, and know nothing of
how it got there.
"""

from dataclasses import dataclass

from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.names import Instant
from reconcilerd.domain.plan import GroupPlan
from reconcilerd.domain.room import room_of


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a plan would break."""

    invariant: str
    at: Instant
    what: str


def check_plan(plan: GroupPlan) -> tuple[Violation, ...]:
    """Every violation among what a plan would send; none for a sound plan."""
    position, found = plan.position, []
    room = room_of(position)
    offers = {offer.slot: offer for offer in position.offers}
    raised = {offer.slot: offer.shown or 0 for offer in position.offers}
    for entry in plan.sends:
        offer = offers[entry.slot]
        if entry.target > room.alone(entry.slot):
            found.append(("I1", f"{entry.slot.path}: {entry.target} is more than could ship"))
        if any(component in position.unknown for component, _ in offer.uses):
            found.append(("I4", f"{entry.slot.path}: a component was never counted"))
        if entry.target == 0 and not position.stock:
            found.append(("I5", f"{entry.slot.path}: zero out of nothing known"))
        if not offer.rule.managed or offer.ambiguous or offer.state is not SlotState.BUYABLE:
            found.append(("I17", f"{entry.slot.path}: not ours to write"))
        if not entry.lowers:
            raised[entry.slot] = max(raised[entry.slot], entry.target)
            over = any(
                shelf.taken(raised) > shelf.left
                for shelf in room.shelves
                if any(slot == entry.slot for slot, _ in shelf.use)
            )
            if position.split and over:
                found.append(("I2", f"{entry.slot.path}: raising to {entry.target} shows more than there is"))
    return tuple(Violation(name, position.at, what) for name, what in found)
