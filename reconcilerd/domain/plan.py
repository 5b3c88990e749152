"""All corrections of one pass for one pool group: every entry SEND or HOLD with its reason. Immutable.

Lowers are judged first, then raises one after another, each seeing what was granted before it, so that no
order of arrival at the channels ever shows more than there is (I2, I3).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from reconcilerd.domain.allocation import Allocation, Because, allocate, estimated
from reconcilerd.domain.change import fresh_zero
from reconcilerd.domain.drift import Cause, Drift, cause_of, diff
from reconcilerd.domain.facts import EnvelopeApproved
from reconcilerd.domain.guards import NEEDS_A_PERSON, Change, Rails, Verdict, covers, judge, stale_peers
from reconcilerd.domain.names import Instant, Sku, SlotKey
from reconcilerd.domain.orders import RECORD_MS
from reconcilerd.domain.position import ClaimKind, OfferView, Position
from reconcilerd.domain.room import Room, room_of
from reconcilerd.domain.terms import ours

Wished = Mapping[SlotKey, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One listing's correction, sent or held. ``read`` less ``owed``, at ``based_on``, is what a compare compares."""

    slot: SlotKey
    sku: Sku
    listing_sku: str
    read: int
    based_on: Instant
    current: int
    desired: int
    target: int
    lowers: bool
    verdict: Verdict
    cause: Cause
    because: Because
    unexplained: int
    sold_out: bool
    owed: int = 0
    value: int = 0
    cures: bool = False


@dataclass(frozen=True, slots=True)
class Wants:
    """Readings that would let held raises go: SKUs whose stock rows, and slots, to read now."""

    stock: frozenset[Sku] = frozenset()
    slots: frozenset[SlotKey] = frozenset()

    def __or__(self, other: "Wants") -> "Wants":
        return Wants(self.stock | other.stock, self.slots | other.slots)


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What to do about one pool group now."""

    position: Position
    allocations: tuple[Allocation, ...]
    drifts: tuple[Drift, ...]
    entries: tuple[Entry, ...]
    wants: Wants
    rails: Rails
    """The rails after all that is sent."""
    room: Room

    @property
    def sends(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.verdict is Verdict.SEND)


def make_plan(
    position: Position, rails: Rails, wished: Wished | None = None, like: GroupPlan | None = None
) -> GroupPlan:
    """Allocate, compare, judge. Total and deterministic: the same position and rails give the same plan.

    ``wished``: numbers that a person wants instead of the shares; every other listing is left as it is.
    ``like``: another plan, best the group's last one. Its room and shares are taken over where they are the same.
    """
    room, allocations = _shares(position, like)
    room = room.lending({each.slot: each.beyond for each in allocations if each.beyond})
    if wished is not None:
        allocations = _instead(position, room, allocations, wished)
    drifts = diff(position, allocations)
    entries: list[Entry] = []
    wants = Wants(stock=_perhaps_twice(position))
    shown = estimated(position, {each.slot: each.ideal for each in allocations}) if drifts else {}
    # Where two are in doubt each waits for the other, and none would ever be written.
    several = sum(each.doubted is not None for each in position.offers) > 1
    proofs = _proofs(position, allocations, entries) if wished is None else ()
    for drift, lowers in chain(_in_order(position, drifts), proofs):
        offer = next(each for each in position.offers if each.slot == drift.slot)
        allocation = next(each for each in allocations if each.slot == drift.slot)
        target = drift.desired if lowers else _granted(position, room, offer, drift.desired, shown)
        sold_out = target == 0 and room.alone(offer.slot) == 0
        cures = lowers and _shows_too_much(position, room, offer, shown)
        change = Change(position, offer, drift.observed, target, sold_out, cures)
        verdict = judge(change, rails)
        if verdict is Verdict.SEND and not lowers and not room.whole:
            verdict = Verdict.HOLD_TOO_WIDE
        if (
            verdict is Verdict.SEND
            and not lowers
            and target <= drift.observed < drift.desired
            and not (several and _proves(position, offer))
        ):
            verdict = Verdict.HOLD_HEADROOM
        if verdict is Verdict.SEND:
            rails = rails.after(change)
            # A lower counts only once it is seen; a raise counts from the moment it may be sent.
            shown[offer.slot] = max(shown[offer.slot], target)
        wants = wants | _wanted(position, offer, verdict, lowers=change.lowers)
        entries.append(_entry(offer, allocation, drift, change, verdict))
    return GroupPlan(position, allocations, drifts, tuple(entries), wants, rails, room)


def _shares(position: Position, like: GroupPlan | None) -> tuple[Room, tuple[Allocation, ...]]:
    """The room there is and what each listing should show of it; ``like``: see ``make_plan``."""
    if like is None or not position.alike(like.position):
        room = room_of(position)
        return room, allocate(position, room)
    bare = like.room.lending({})
    room = bare if position.claims == like.position.claims else room_of(position)
    return room, like.allocations if room == bare else allocate(position, room)


def _instead(
    position: Position, room: Room, allocations: Sequence[Allocation], wished: Wished
) -> tuple[Allocation, ...]:
    """The wished numbers, as far as there is stock for them, and of all others the present one."""
    shows = {offer.slot: offer.current for offer in position.offers}
    return tuple(
        replace(each, desired=min(wished[each.slot], room.alone(each.slot)), because=Because.PUT_BACK)
        if each.slot in wished
        else replace(each, desired=next(n for n in (shows[each.slot], each.desired) if n is not None))
        for each in allocations
    )


def _shows_too_much(position: Position, room: Room, offer: OfferView, shown: dict[SlotKey, int]) -> bool:
    """Whether what a listing shows takes part in showing more than could ship."""
    mine = {each.slot: shown[each.slot] for each in (offer, *position.beside(offer))}
    return room.headroom(offer.slot, mine, raising=False) < 0


def _perhaps_twice(position: Position) -> frozenset[Sku]:
    """Components with a row read so shortly before a shipment's record that it may lack the units already.

    Clocks differ and records have whole seconds; the next reading of the row tells.
    """
    return frozenset(
        claim.component
        for claim in position.claims
        for row in position.stock
        if claim.shipped is not None
        and row.sku == claim.component
        and row.location in claim.locations
        and claim.shipped - RECORD_MS < row.as_of <= claim.shipped
    )


def _in_order(position: Position, drifts: Sequence[Drift]) -> list[tuple[Drift, bool]]:
    """Lowers before raises, what shows too much by most first; raises by how far below their share they are.

    So none waits on chance, and what a short allowance leaves is the least exposure.
    """
    writes = {offer.slot: offer.write or 0 for offer in position.offers}
    marked = [(each, each.desired < each.observed or writes[each.slot] > each.desired) for each in drifts]
    return sorted(marked, key=lambda pair: (not pair[1], _urgency(*pair), pair[0].slot))


def _urgency(drift: Drift, lowers: bool) -> int:
    return drift.desired - drift.observed if lowers else drift.observed - drift.ideal


def _granted(
    position: Position, room: Room, offer: OfferView, desired: int, shown: dict[SlotKey, int]
) -> int:
    """The part of a raise that has headroom now (I3)."""
    # Its own raise rests on its reading: should that be wrong, the compare fails.
    base = shown[offer.slot] if offer.doubted is None else offer.may_show
    others = {each.slot: shown[each.slot] for each in position.beside(offer)}
    spare = room.headroom(offer.slot, {**others, offer.slot: base}, raising=True)
    return min(desired, base + max(0, spare))


def _proofs(
    position: Position, allocations: Sequence[Allocation], entries: Sequence[Entry]
) -> Iterator[tuple[Drift, bool]]:
    """What is to be written as it is, for a doubt that holds others back: made once all ``entries`` were judged."""
    waiting = {each.slot for each in entries if each.verdict is Verdict.HOLD_HEADROOM}
    held_back = (position.beside(offer) for offer in position.offers if offer.slot in waiting)
    beside = {each.slot for some in held_back for each in some}
    if not beside:
        return
    judged = {each.slot for each in entries}
    by_slot = sorted(zip(position.offers, allocations, strict=True), key=lambda pair: pair[0].slot)
    for offer, allocation in by_slot:
        if offer.slot not in beside or offer.slot in judged:
            continue
        if ours(offer) and offer.current and _proves(position, offer):
            cause = cause_of(position, offer, allocation)
            yield Drift(offer.slot, offer.sku, offer.current, offer.current, allocation.ideal, cause), False


def _proves(position: Position, offer: OfferView) -> bool:
    """Whether to write what it shows already would end its doubt, since that compares. Zero is not written for that."""
    compares = position.channel(offer.slot.channel).compare_and_set
    return compares and bool(offer.current) and offer.doubted is not None


def _wanted(position: Position, offer: OfferView, verdict: Verdict, *, lowers: bool) -> Wants:
    """What must be read for this verdict to end. All that a raise needs is asked for at once."""
    at, ages = position.at, position.ages
    match verdict:
        case Verdict.HOLD_CONFIRM:
            # Readings closer together than the gap would count as one.
            due = {
                row.sku
                for row in position.stock
                if offer.use_of(row.sku) and at - row.age_of >= position.limits.confirm_gap_ms
            }
            return Wants(stock=frozenset(due))
        case _ if lowers and verdict in NEEDS_A_PERSON:
            # A zero that a few more readings say may be explained by orders, and then nobody needs to be asked.
            due = {
                row.sku
                for row in position.stock
                if offer.use_of(row.sku)
                and row.location in offer.locations - position.excluded_of(row.sku)
                and fresh_zero(position, row)
                and position.limits.confirm_gap_ms <= at - row.age_of <= ages.max_age_ms
            }
            return Wants(stock=frozenset(due))
        case Verdict.HOLD_REREAD:
            return Wants(slots=frozenset({offer.slot}))
        case Verdict.HOLD_PENDING:
            # Only a reading ends a write whose answer never came; until it is due, nobody needs to ask.
            return Wants(slots=frozenset({offer.slot})) if at - offer.age_of > ages.own_slot_ms else Wants()
        case Verdict.HOLD_STOCK_STALE | Verdict.HOLD_OWN_STALE | Verdict.HOLD_PEER_STALE:
            components = {component for component, _ in offer.uses}
            old = {
                row.sku for row in position.stock if row.sku in components and at - row.age_of > ages.stock_ms
            }
            slots = {peer.slot for peer in stale_peers(position, offer)}
            # Asked for beside the rows it will still be young with them, and not at every look until they come.
            if at - offer.age_of > (ages.own_slot_ms // 2 if old else ages.own_slot_ms):
                slots.add(offer.slot)
            return Wants(frozenset(old), frozenset(slots))
        case _:
            return Wants()


def once_agreed(plan: GroupPlan) -> Wants:
    """What must be read for the raises of a plan that wait for a person to go as soon as he agrees."""
    offers = {offer.slot: offer for offer in plan.position.offers}
    wants = Wants()
    for entry in plan.entries:
        if not entry.lowers and entry.verdict in NEEDS_A_PERSON:
            wants = wants | _wanted(plan.position, offers[entry.slot], Verdict.HOLD_OWN_STALE, lowers=False)
    return wants


def released_by(entry: Entry, at: Instant, envelopes: Sequence[EnvelopeApproved]) -> str:
    """The id of the newest approval that covers a correction; empty for none."""
    direction, size = "lower" if entry.lowers else "raise", abs(entry.target - entry.current)
    zero = entry.target == 0
    found = (e.id for e in reversed(envelopes) if covers(e, entry.sku, direction, size, at, zero=zero))
    return next(found, "")


def _entry(offer: OfferView, allocation: Allocation, drift: Drift, change: Change, verdict: Verdict) -> Entry:
    proof = change.target == drift.observed and not change.lowers
    return Entry(
        slot=offer.slot,
        sku=offer.sku,
        listing_sku=offer.listing_sku,
        read=offer.read if offer.read is not None else 0,
        based_on=offer.as_of,
        current=drift.observed,
        desired=drift.desired,
        target=change.target,
        lowers=change.lowers,
        verdict=verdict,
        cause=drift.cause,
        because=Because.COMPARED if proof else allocation.because,
        unexplained=change.unexplained,
        sold_out=change.sold_out,
        owed=offer.owed,
        value=change.value,
        cures=change.cures,
    )


def exposure(plan: GroupPlan, *, banded: bool = True) -> int:
    """Units shown beyond what could leave today: split, the worst shelf; shared, the worst single listing.

    What was declared to be shown beyond that (overcommit, inbound) is none, nor is anything beside stock that was
    never read: unknown is not zero. ``banded``: also counts what a dead band lets be; without it, what is left is
    what the policy wants lowered.
    """
    position, room = plan.position, plan.room
    if any(claim.kind is ClaimKind.SAFETY for claim in position.claims):
        unsafe = tuple(claim for claim in position.claims if claim.kind is not ClaimKind.SAFETY)
        room = room_of(replace(position, claims=unsafe)).lending(room.beyond)
    bounded = frozenset[SlotKey]()
    if position.unknown:
        room = room.without(_unread(position))
        bounded = frozenset(slot for shelf in room.shelves for slot, _ in shelf.use)
    shown = {offer.slot: offer.shown or 0 for offer in position.offers}
    if position.split:
        return max(0, room.excess(shown))
    counted = {
        offer.slot: (shown[offer.slot] - room.alone(offer.slot)) * offer.rule.units_per_sale
        for offer, allocation in zip(position.offers, plan.allocations, strict=True)
        if (banded or allocation.because is not Because.DEAD_BAND)
        and (not position.unknown or offer.slot in bounded)
    }
    sums = (
        room.excess({each.slot: shown[each.slot] for each in listing})
        for listing in position.spread()
        if all(each.slot in counted for each in listing)
    )
    return max(0, max(chain(counted.values(), sums), default=0))


def _unread(position: Position) -> frozenset[Sku]:
    """What a shelf may be called of which nobody knows what it holds: such components, and bundles with one of them."""
    unread = frozenset(position.unknown)
    return unread | {
        offer.sku
        for offer in position.offers
        if len(offer.uses) > 1 and any(component in unread for component, _ in offer.uses)
    }


def hidden(plan: GroupPlan) -> int:
    """Units policy would offer that no listing shows (eaches): split, the sum; shared, the worst single listing, at all
    its places.

    What lies on no shelf is not hidden, nor is anything where zero does not stop sales.
    """
    position, room = plan.position, plan.room
    short = {
        offer.slot: (allocation.ideal - allocation.beyond - (offer.current or 0)) * offer.rule.units_per_sale
        for offer, allocation in zip(position.offers, plan.allocations, strict=True)
        if ours(offer) and not offer.sells_past_zero
    }
    if not position.split:
        for listing in position.spread():
            # What one place shows too much, another need not.
            together = sum(short.pop(each.slot, 0) for each in listing)
            short[listing[0].slot] = together
        return max(0, max(short.values(), default=0))
    shown = {offer.slot: offer.shown or 0 for offer in position.offers}
    return max(0, min(sum(max(0, each) for each in short.values()), room.free(shown)))
