"""Checks of our own doing, by the shortest way and knowing nothing of how it came about.

The invariants, by the names that the code, the tests and the demo use:
I1 no target is above what could ship. I2 no union of locations of a split pool is shown beyond its stock by our raises.
I3 a raise stays within the headroom that all may still be showing leaves. I4 a raise uses only known, fresh inputs.
I5 zero is published only for a known reason. I6 balances are the fold of the ledger. I7 entries never change, older
readings never overwrite newer. I8 every input is followed by a plan. I9 an order counts once. I10 a write is not sent
from a reading that is known to be outdated. I11 too old means unknown. I12 it converges. I13 at rest it writes nothing.
I14 the same inputs give the same plan. I15 what orders do not explain is bounded per channel and window. I16 a slow
channel delays no other. I17 only what is ours is written. I18 every write has one intent before it. I19 shares are
monotone and exact. I20 nothing that policy would offer stays hidden at rest.

``check_plan``: cheap enough to run on every plan before it is sent. ``check_history``: over everything that was
written down. ``check_rest``: of a pool group that has come to rest.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconcilerd.domain.allocation import estimated
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, Fact, Outcome, SlotObserved, SlotState
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.domain.plan import Entry, GroupPlan, make_plan
from reconcilerd.domain.position import ORDERED, Position
from reconcilerd.domain.promises import declared
from reconcilerd.domain.room import Room, Shelf, room_of
from reconcilerd.domain.terms import ours


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that is, or would be, broken."""

    invariant: str
    at: Instant
    what: str


def check_plan(plan: GroupPlan) -> tuple[Violation, ...]:
    """Every violation among what a plan would send; none for a sound plan."""
    room = room_of(plan.position) if plan.sends else plan.room
    found = [each for entry in plan.sends for each in _of_one(plan, room, entry)]
    found += _raised_beyond_room(plan, room)
    found += _counted_twice(plan)
    return tuple(Violation(name, plan.position.at, what) for name, what in found)


def _of_one(plan: GroupPlan, room: Room, entry: Entry) -> Iterator[tuple[str, str]]:
    position, path = plan.position, entry.slot.path
    offer = next(each for each in position.offers if each.slot == entry.slot)
    if entry.target > room.alone(entry.slot) + declared(position, offer, room):
        yield "I1", f"{path}: {entry.target} is more than could ship"
    if any(component in position.unknown for component, _ in offer.uses):
        yield "I4", f"{path}: a component was never counted"
        if entry.target == 0:
            yield "I5", f"{path}: zero out of nothing known"
    if not offer.rule.managed or offer.ambiguous or offer.state is not SlotState.BUYABLE:
        yield "I17", f"{path}: not ours to write"


def _raised_beyond_room(plan: GroupPlan, room: Room) -> Iterator[tuple[str, str]]:
    """Raises one after another, each on top of those before it: I2 against stock, I3 against what is kept back."""
    position = plan.position
    shown = estimated(position, {each.slot: each.ideal for each in plan.allocations})
    for entry in plan.sends:
        if entry.lowers or not position.split:
            continue
        before, known = shown[entry.slot], dict(shown)
        shown[entry.slot] = max(before, entry.target)
        offer = next(each for each in position.offers if each.slot == entry.slot)
        # What it showed before a doubtful reading is counted for others; its own raise is what tests the reading.
        known[entry.slot] = max(before if offer.doubted is None else offer.may_show, entry.target)
        mine = [shelf for shelf in room.shelves if any(slot == entry.slot for slot, _ in shelf.use)]
        if any(shelf.taken(known) > shelf.left + _declared(position, shelf) for shelf in mine):
            yield "I2", f"{entry.slot.path}: raising to {entry.target} shows more than there is"
        elif any(shelf.taken(known) > shelf.left_for_raises + _declared(position, shelf) for shelf in mine):
            yield "I3", f"{entry.slot.path}: raising from {before} to {entry.target} exceeds the headroom"


def _declared(position: Position, shelf: Shelf) -> int:
    """What a person has declared may be shown of a shelf beyond what it holds: 0 unless somebody did."""
    inside = {slot for slot, _ in shelf.use}
    offers = [offer for offer in position.offers if offer.slot in inside]
    units = position.pool.overcommit if any(offer.rule.minimum for offer in offers) else 0
    return units + (shelf.coming_left if any(offer.sells_past_zero for offer in offers) else 0)


def _counted_twice(plan: GroupPlan) -> Iterator[tuple[str, str]]:
    seen: set[tuple[object, str, str]] = set()
    for claim in plan.position.claims:
        key = (claim.channel, claim.about, claim.component)
        if claim.kind in ORDERED and claim.about and key in seen:
            yield "I9", f"order {claim.about} of {claim.channel} is subtracted twice from {claim.component}"
        seen.add(key)


def check_history(entries: Iterable[tuple[Instant, Iterable[Fact]]]) -> tuple[Violation, ...]:
    """Writes without an intent, or with two, and writes against a reading that was known to be outdated.

    ``entries``: everything written down, in order, each with the moment it was.
    """
    found: list[Violation] = []
    planned: dict[str, CorrectionPlanned] = {}
    answered: set[str] = set()
    read: dict[SlotKey, list[tuple[Instant, SlotObserved]]] = {}
    for at, facts in entries:
        for fact in facts:
            match fact:
                case SlotObserved():
                    read.setdefault(fact.slot, []).append((at, fact))
                case CorrectionPlanned():
                    if fact.id in planned:
                        found.append(Violation("I18", at, f"{fact.slot.path}: intent {fact.id} twice"))
                    planned[fact.id] = fact
                case CorrectionSent():
                    if fact.id not in planned or fact.id in answered:
                        what = f"{fact.slot.path}: an answer to {fact.id}, which has no open intent"
                        found.append(Violation("I18", at, what))
                    elif fact.outcome is not Outcome.NOT_SENT:
                        found += _outdated(planned[fact.id], fact, read.get(fact.slot, []))
                    answered.add(fact.id)
                case _:
                    pass
    return tuple(found)


def _outdated(
    plan: CorrectionPlanned, sent: CorrectionSent, readings: Iterable[tuple[Instant, SlotObserved]]
) -> Iterator[Violation]:
    for known, reading in readings:
        newer = reading.as_of > plan.based_on and known < sent.sent
        if newer and reading.quantity != plan.read:
            what = f"{plan.slot.path}: sent from {plan.read}, though {reading.quantity} had been read since"
            yield Violation("I10", sent.sent, what)
            return


def check_rest(plan: GroupPlan) -> tuple[Violation, ...]:
    """A pool group at rest: the same plan again, nothing to send, nothing hidden beyond what policy tolerates."""
    position, found = plan.position, []
    found += [("I13", f"{entry.slot.path}: still to be written") for entry in plan.sends]
    if not found and make_plan(position, plan.rails).entries != plan.entries:
        found.append(("I14", f"{position.group}: the same inputs give another plan"))
    for offer, allocation in zip(position.offers, plan.allocations, strict=True):
        short = allocation.ideal - (offer.current or 0)
        if position.split and ours(offer) and short > max(1, allocation.ideal // 4):
            found.append(
                ("I20", f"{offer.slot.path}: shows {offer.current} of its share of {allocation.ideal}")
            )
    return tuple(Violation(name, position.at, what) for name, what in found)
