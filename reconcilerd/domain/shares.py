"""How units are divided among those who may take them: the divisor method of D'Hondt, exact and in whole units.

Knows room and weights, and nothing of rules: who may take how much, and in which order, is decided above.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconcilerd.domain.names import SlotKey
from reconcilerd.domain.room import Room, Shown

_FINE = 1_000_000
"""Steps per unit of weight when levels are searched; what ties within a step goes by name."""


@dataclass(frozen=True, slots=True)
class Taker:
    """One claimant in a split: takes steps of ``step`` eaches by weight, up to ``cap`` steps."""

    slot: SlotKey
    weight: int
    cap: int
    step: int = 1


def fill(room: Room, takers: Sequence[Taker], start: Shown) -> dict[SlotKey, int]:
    """Give out room by weight from ``start`` up to each cap: the divisor method of D'Hondt under constraints.

    More room never lowers anybody's number within one SKU, and the order of takers does not matter.
    """
    given = dict(start)
    active = {t.slot: t for t in takers if t.weight > 0 and given.get(t.slot, 0) < t.cap}
    for slot in active:
        given.setdefault(slot, 0)
    active = {slot: t for slot, t in active.items() if room.headroom(slot, given, raising=False) >= 1}
    room = room.of(active)
    while active:
        high = max(
            (min(t.cap, given[s] + max(0, room.headroom(s, given, raising=False))) + 1)
            * t.step
            * _FINE
            // t.weight
            for s, t in active.items()
        )
        level = _highest_level(room, active, given, high + 1)
        given = _at_level(active, given, level)
        by_priority = sorted(
            active.values(), key=lambda t: (-(t.weight * _FINE // (t.step * (given[t.slot] + 1))), t.slot)
        )
        stuck = []
        for taker in by_priority:
            grown = {**given, taker.slot: given[taker.slot] + 1}
            if grown[taker.slot] > taker.cap or not room.fits(grown):
                stuck.append(taker.slot)
            elif _risen(taker, given, level + 1) > given[taker.slot]:
                given = grown
        for slot in stuck:
            del active[slot]
    return given


def _highest_level(room: Room, active: Mapping[SlotKey, Taker], given: Shown, high: int) -> int:
    """The highest level below ``high`` at which what everybody has risen to fits."""
    fits = room.rising({slot: given[slot] for slot in active}, given)
    takers = [(given[s], t.cap, t.weight, t.step * _FINE) for s, t in active.items()]
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if fits([max(now, min(cap, middle * weight // step)) for now, cap, weight, step in takers]):
            low = middle
        else:
            high = middle - 1
    return low


def _risen(taker: Taker, given: Shown, level: int) -> int:
    return max(given[taker.slot], min(taker.cap, level * taker.weight // (taker.step * _FINE)))


def _at_level(active: Mapping[SlotKey, Taker], given: Shown, level: int) -> dict[SlotKey, int]:
    return {**given, **{slot: _risen(taker, given, level) for slot, taker in active.items()}}
