"""Checks of our own doing, by the shortest way and knowing nothing of how it came about.

The invariants I1 to I20, what each promises and where it is judged, are listed in ``trial.invariants``.

``check_plan``: cheap enough to run on every plan before it is sent; ``check_write``: on every write before it leaves.
``check_history`` and ``check_windows``: over everything that was written down. ``check_rest``: of a pool group that has
come to rest.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconcilerd.domain.allocation import Because, estimated
from reconcilerd.domain.digest import canonical
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    Fact,
    InvariantBroken,
    Outcome,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.guards import GOES, Rails, Spent, Verdict, covers
from reconcilerd.domain.names import ChannelName, Instant, SlotKey
from reconcilerd.domain.plan import Entry, GroupPlan, make_plan
from reconcilerd.domain.policy import Limits, Mode, Publisher
from reconcilerd.domain.position import ORDERED, OfferView, Position
from reconcilerd.domain.promises import declared
from reconcilerd.domain.room import Room, Shelf, room_of
from reconcilerd.domain.slots import SlotTrack
from reconcilerd.domain.terms import ours

MAX_TOLD = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that is, or would be, broken."""

    invariant: str
    at: Instant
    what: str


def breach_of(
    id_: str, subject: str, broken: Sequence[Violation], decided: Mapping[str, object], at: Instant
) -> InvariantBroken:
    """The fact that stops all writes. ``decided``: what it was decided from and what was decided, as evidence."""
    told = tuple((each.invariant, each.what) for each in broken[:MAX_TOLD])
    try:
        evidence = canonical(decided).decode()
    except TypeError:
        # Whatever cannot be put in canonical form must not keep the stop from coming.
        evidence = repr(decided)
    return InvariantBroken(id_, subject, told, evidence, at)


def check_plan(plan: GroupPlan, rails: Rails | None = None) -> tuple[Violation, ...]:
    """Every violation among what a plan would send; none for a sound plan. ``rails``: as they were before it."""
    if not plan.sends:
        return ()
    room = room_of(plan.position)
    found = [each for entry in plan.sends for each in _of_one(plan, room, entry)]
    found += _raised_beyond_room(plan, room)
    found += _counted_twice(plan)
    found += _beyond_rails(plan, rails) if rails is not None else ()
    return tuple(Violation(name, plan.position.at, what) for name, what in found)


def held_if_broken(plan: GroupPlan, rails: Rails) -> tuple[GroupPlan, tuple[Violation, ...]]:
    """A plan as it may be carried out: one that breaks a rule sends nothing, nor does any that is judged after it."""
    broken = check_plan(plan, rails)
    if not broken:
        return plan, ()
    held = tuple(
        replace(each, verdict=Verdict.HOLD_BREACH) if each.verdict is Verdict.SEND else each
        for each in plan.entries
    )
    return replace(plan, entries=held, rails=replace(rails, breach=True)), broken


def check_write(correction: CorrectionPlanned, track: SlotTrack, at: Instant) -> tuple[Violation, ...]:
    """Of one write that is about to leave: its intent stands, was never sent, and is of the newest reading."""
    path, write, found = correction.slot.path, track.write, list[tuple[str, str]]()
    based_on = track.based_on(correction)
    if write is None or (write.id, write.target) != (correction.id, correction.target):
        found.append(("I18", f"{path}: {correction.target} is about to be sent and no intent stands for it"))
    elif write.answered:
        found.append(("I18", f"{path}: intent {correction.id} is about to be sent a second time"))
    if track.as_of > based_on and track.value != correction.read:
        found.append(
            ("I10", f"{path}: about to be sent from {correction.read}, though {track.value} was read")
        )
    return tuple(Violation(name, at, what) for name, what in found)


def _of_one(plan: GroupPlan, room: Room, entry: Entry) -> Iterator[tuple[str, str]]:
    position, path = plan.position, entry.slot.path
    offer = next(each for each in position.offers if each.slot == entry.slot)
    if entry.target > room.alone(entry.slot) + declared(position, offer, room):
        yield "I1", f"{path}: {entry.target} is more than could ship"
    if any(component in position.unknown for component, _ in offer.uses):
        yield "I4", f"{path}: a component was never counted"
        if entry.target == 0:
            yield "I5", f"{path}: zero out of nothing known"
    elif entry.target == 0:
        ideal = next(each.ideal for each in plan.allocations if each.slot == entry.slot)
        if ideal and entry.because is not Because.PUT_BACK:
            yield "I5", f"{path}: zero, though its share is {ideal}"
    if not entry.lowers:
        yield from _of_a_raise(position, offer)
    pushed = offer.pushed or position.channel(offer.slot.channel).publisher is Publisher.EXTENSIV
    foreign = pushed and plan.rails.mode is not Mode.NET
    if not offer.rule.managed or offer.ambiguous or offer.state is not SlotState.BUYABLE or foreign:
        yield "I17", f"{path}: not ours to write"


def _of_a_raise(position: Position, offer: OfferView) -> Iterator[tuple[str, str]]:
    """Everything it was computed from is known, and as fresh as a raise needs (I4) or as anything may be (I11)."""
    at, ages, path = position.at, position.ages, offer.slot.path
    if not position.orders_known or offer.read is None:
        yield "I4", f"{path}: a raise before the open orders and its own number were read"
    components = {component for component, _ in offer.uses}
    rows = [at - row.age_of for row in position.stock if row.sku in components]
    own = at - offer.age_of
    if max(rows, default=0) > ages.stock_ms or own > ages.own_slot_ms:
        yield (
            "I4",
            f"{path}: a raise from readings of {max(rows, default=0)} ms (stock) and {own} ms (its own)",
        )
    peers = [
        at - peer.age_of
        for peer in position.beside(offer)
        if peer.read is not None and not position.channel(peer.slot.channel).dark
    ]
    if max(peers, default=0) > ages.peer_slot_ms:
        yield "I4", f"{path}: a raise beside a listing that was read {max(peers)} ms ago"
    if position.stock_dark or position.channel(offer.slot.channel).dark:
        yield "I11", f"{path}: a raise while the stock or the channel was not read for too long"
    if max(own, *rows, 0) > ages.max_age_ms:
        yield "I11", f"{path}: a raise from a reading that is too old to count as known"


def _raised_beyond_room(plan: GroupPlan, room: Room) -> Iterator[tuple[str, str]]:
    """Raises one after another, each on top of those before it: I2 against stock, I3 against what is kept back."""
    position = plan.position
    shown = estimated(position, {each.slot: each.ideal for each in plan.allocations})
    for entry in plan.sends:
        offer = next(each for each in position.offers if each.slot == entry.slot)
        beside = position.beside(offer)
        if not (position.split or beside) or entry.target <= offer.may_show:
            continue  # lowered, or only compared with what it shows
        before, known = shown[entry.slot], {each.slot: shown[each.slot] for each in beside}
        shown[entry.slot] = max(before, entry.target)
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


def _beyond_rails(plan: GroupPlan, rails: Rails) -> Iterator[tuple[str, str]]:
    """I15: every send, on top of all before it, within what the window allows, unless a person released it."""
    at, limits = plan.position.at, plan.position.limits
    spent: dict[ChannelName, Spent] = dict(rails.spent)
    for entry in (each for each in plan.sends if each.unexplained):
        name, old = entry.slot.channel, spent.get(entry.slot.channel, Spent())
        zero = entry.sold_out and entry.lowers
        now = spent[name] = replace(
            old, slots=old.slots + 1, units=old.units + entry.unexplained, zeros=old.zeros + zero
        )
        size, way = abs(entry.target - entry.current), "lower" if entry.lowers else "raise"
        if any(covers(each, entry.sku, way, size, at, zero=entry.target == 0) for each in rails.envelopes):
            continue
        many = now.slots > limits.window_slots or now.units > limits.window_units
        if many or (zero and now.zeros > limits.unexplained_zeros):
            what = f"{now.slots} listings, {now.units} units and {now.zeros} zeros of {name} in one window"
            yield "I15", f"{entry.slot.path}: {what}"


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


def check_windows(entries: Iterable[tuple[Instant, Iterable[Fact]]], limits: Limits) -> tuple[Violation, ...]:
    """I15: every sliding window of every channel, added up anew from the intents that were written down.

    What went under a person's approval counts towards the others, and is not judged itself.
    """
    found: list[Violation] = []
    listings: dict[ChannelName, set[SlotKey]] = {}
    spent: dict[ChannelName, deque[CorrectionPlanned]] = {}
    for _, facts in entries:
        for fact in facts:
            match fact:
                case SlotObserved():
                    listings.setdefault(fact.slot.channel, set()).add(fact.slot)
                case CorrectionPlanned() if _spends(fact):
                    window = spent.setdefault(fact.slot.channel, deque())
                    window.append(fact)
                    while window[0].at <= fact.at - max(limits.window_ms, limits.zeros_window_ms):
                        window.popleft()
                    if not fact.released:
                        found += _too_wide(window, limits, len(listings.get(fact.slot.channel, ())))
                case _:
                    pass
    return tuple(found)


def _spends(intent: CorrectionPlanned) -> int:
    """Units that orders do not explain; they never explain a raise."""
    return max(intent.unexplained, intent.target - intent.read)


def _too_wide(window: Collection[CorrectionPlanned], limits: Limits, listings: int) -> Iterator[Violation]:
    *_, last = window
    recent = [each for each in window if each.at > last.at - limits.window_ms]
    slots = {each.slot for each in recent}
    zeros = {
        each.slot
        for each in window
        if each.sold_out and each.unexplained and each.at > last.at - limits.zeros_window_ms
    }
    units = sum(_spends(each) for each in recent)
    many = len(slots) > limits.window_slots or units > limits.window_units
    share = len(slots) > limits.window_min_slots and len(slots) * 1000 > limits.window_permille * listings
    if many or share or len(zeros) > limits.unexplained_zeros:
        what = f"{len(slots)} of {listings} listings, {units} units and {len(zeros)} zeros in one window"
        yield Violation("I15", last.at, f"{last.slot.channel}: {what}")


def _outdated(
    plan: CorrectionPlanned, sent: CorrectionSent, readings: Iterable[tuple[Instant, SlotObserved]]
) -> Iterator[Violation]:
    for known, reading in readings:
        newer = reading.as_of > plan.based_on and known < sent.sent
        if newer and reading.quantity != plan.read:
            what = f"{plan.slot.path}: sent from {plan.read}, though {reading.quantity} had been read since"
            yield Violation("I10", sent.sent, what)
            return


def check_rest(plan: GroupPlan, waiting: Collection[SlotKey] = ()) -> tuple[Violation, ...]:
    """A pool group at rest: the same plan again, nothing to send, nothing hidden beyond what policy tolerates.

    What waits for a person, or for what policy forbids now, is told elsewhere. ``waiting``: what did so when its
    readings were fresh; by now they may be old again.
    """
    position, found = plan.position, []
    held = {*waiting, *(entry.slot for entry in plan.entries if entry.verdict not in GOES)}
    found += [("I13", f"{entry.slot.path}: still to be written") for entry in plan.sends]
    if not found and make_plan(position, plan.rails).entries != plan.entries:
        found.append(("I14", f"{position.group}: the same inputs give another plan"))
    for offer, allocation in zip(position.offers, plan.allocations, strict=True):
        short = allocation.ideal - (offer.current or 0)
        if (
            position.split
            and ours(offer)
            and offer.slot not in held
            and short > max(1, allocation.ideal // 4)
        ):
            found.append(
                ("I20", f"{offer.slot.path}: shows {offer.current} of its share of {allocation.ideal}")
            )
    return tuple(Violation(name, position.at, what) for name, what in found)
