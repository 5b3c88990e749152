"""What a person ordered, the decision that follows, its record, and the same decision computed again (I14).

A record holds all that its plans were computed from: the rails, the order, each group's position. So it replays to the
same bytes without the outside, whatever was read, configured or restarted since.
"""

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconcilerd.domain.digest import canonical, digest_of, revive
from reconcilerd.domain.facts import ASIDE, DecisionRecorded
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.invariants import held_if_broken
from reconcilerd.domain.names import Instant, SlotKey
from reconcilerd.domain.plan import Entry, GroupPlan, make_plan
from reconcilerd.domain.position import Position

LEVEL = 3
"""Of zlib: a tenth smaller than 1 at the same cost; 6 would be a fifth smaller again at two and a half times it."""
MAX_BYTES = 256 * 1024 * 1024
"""Bytes that a record may unfold to; a slice of a pass comes to some hundred thousand."""
ABSENT = "(no such field)"
"""What stands on one side where only the other has a field, as after a version that added one."""


@dataclass(frozen=True, slots=True)
class Only:
    """Carry out these corrections as they were planned, and nothing else. ``plan``: the id of whoever planned them."""

    plan: str
    targets: tuple[tuple[SlotKey, int], ...]


@dataclass(frozen=True, slots=True)
class PutBack:
    """Show these numbers again. ``plan``: the id of the pass that is reverted."""

    plan: str
    numbers: tuple[tuple[SlotKey, int], ...]


Order = Only | PutBack


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a decision looks at."""

    rails: Rails
    order: Order | None
    positions: tuple[Position, ...]


def decide(
    position: Position, rails: Rails, order: Order | None = None, like: GroupPlan | None = None
) -> GroupPlan:
    """The plan of one pool group; under an order, whatever else it would send waits for the next pass.

    ``like``: see ``make_plan``. A plan under a person's numbers is like no other.
    """
    match order:
        case None:
            return make_plan(position, rails, like=like)
        case Only():
            targets = dict(order.targets)
            return _send_only(
                make_plan(position, rails, like=like), lambda each: targets.get(each.slot) == each.target
            )
        case PutBack():
            numbers = dict(order.numbers)
            free = replace(rails, pinned=rails.pinned - numbers.keys())
            plan = _send_only(make_plan(position, free, numbers), lambda each: each.slot in numbers)
            return replace(plan, rails=replace(plan.rails, pinned=rails.pinned))


def _send_only(plan: GroupPlan, meant: Callable[[Entry], bool]) -> GroupPlan:
    entries = tuple(
        replace(each, verdict=Verdict.HOLD_NOT_IN_PLAN)
        if each.verdict is Verdict.SEND and not meant(each)
        else each
        for each in plan.entries
    )
    return replace(plan, entries=entries)


def bytes_of(plan: GroupPlan) -> bytes:
    """The canonical bytes of what was decided about one group."""
    return canonical(
        (plan.position.group, plan.allocations, plan.drifts, plan.entries, plan.wants, plan.rails)
    )


def record(
    id_: str,
    at: Instant,
    policy: str,
    program: str,
    rails: Rails,
    order: Order | None,
    plans: Sequence[GroupPlan],
) -> DecisionRecorded:
    """The record of plans that were decided one after another, beginning with ``rails``."""
    inputs = Inputs(rails, order, tuple(plan.position for plan in plans))
    made = [bytes_of(plan) for plan in plans]
    digests = tuple(
        (str(plan.position.group), digest_of(each)) for plan, each in zip(plans, made, strict=True)
    )
    text = b"\n".join([canonical(inputs), *made])
    packed = base64.b64encode(zlib.compress(text, LEVEL)).decode()
    return DecisionRecorded(id_, at, policy, program, digests, packed)


def _unpack(packed: str) -> bytes:
    unpack = zlib.decompressobj()
    text = unpack.decompress(base64.b64decode(packed, validate=True), MAX_BYTES)
    if not unpack.eof:
        raise ValueError("it is cut, or too large")
    return text


@dataclass(frozen=True, slots=True)
class Again:
    """One group of a decision, computed again: what is on record and what came of it now, as canonical bytes."""

    plan: GroupPlan
    recorded: bytes
    computed: bytes

    @property
    def identical(self) -> bool:
        return self.recorded == self.computed


def inputs_on_record(made: DecisionRecorded) -> Inputs:
    """What a decision was computed from. Raises ValueError for a record that is none."""
    return _read(made)[0]


def _read(made: DecisionRecorded) -> tuple[Inputs, list[bytes]]:
    if made.packed.startswith(ASIDE):
        raise ValueError(
            f"what decision {made.id} looked at is not kept any longer; ledger.decisions_days says how long it is"
        )
    try:
        first, *recorded = _unpack(made.packed).split(b"\n")
        inputs: Inputs = revive(Inputs, json.loads(first))
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise ValueError(f"the record of decision {made.id} cannot be read: {error}") from error
    return inputs, recorded


def replay(made: DecisionRecorded) -> Iterator[Again]:
    """Each group of a decision computed again, one after another. Raises ValueError for a record that is none."""
    inputs, recorded = _read(made)
    if [digest for _, digest in made.digests] != [digest_of(each) for each in recorded]:
        raise ValueError(f"the record of decision {made.id} is not what its digests say")
    rails = inputs.rails
    for position, text in zip(inputs.positions, recorded, strict=True):
        plan, _ = held_if_broken(decide(position, rails, inputs.order), rails)
        rails = plan.rails
        yield Again(plan, text, bytes_of(plan))


def first_difference(again: Again) -> tuple[str, Any, Any] | None:
    """Where the two differ first: (path, on record, computed)."""
    return next(_differ(json.loads(again.recorded), json.loads(again.computed), ""), None)


def _differ(before: Any, after: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if type(before) is type(after) is dict:
        for key in sorted(before.keys() | after.keys()):
            inner = f"{where}.{key}" if where else key
            if key in before and key in after:
                yield from _differ(before[key], after[key], inner)
            else:
                yield inner, before.get(key, ABSENT), after.get(key, ABSENT)
    elif type(before) is type(after) is list and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differ(one, other, where if isinstance(other, dict) else f"{where}[{number}]")
    elif type(before) is not type(after) or before != after:
        yield where, before, after
