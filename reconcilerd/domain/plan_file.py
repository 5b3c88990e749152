"""A plan as a file: what a person reviews, and what ``apply`` holds against the world as it is by then.

Knows no disk. Every value is text, a whole number or nothing. ``digest`` is over all the rest, so that a plan that was
edited is not taken for the one that was reviewed. Each pool group brings the inputs that decided it, by name, so that
what moved can be told, from what to what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from reconcilerd.domain.digest import canonical, digest_of
from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.guards import MEANS, NEEDS_A_PERSON, Verdict
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey, after, format_instant, parse_instant
from reconcilerd.domain.plan import Entry, GroupPlan
from reconcilerd.domain.position import KEPT_FROM_RAISES, ORDERED, Claim, Position
from reconcilerd.domain.quantities import MAX_UNITS

SCHEMA = "reconcilerd.plan"
VERSION = 1
MAX_ENTRY = 2**63 - 1
"""The last number that a ledger can give an entry."""
KINDS: Mapping[type, str] = MappingProxyType({int: "whole number", str: "text", list: "list", dict: "table"})
WRITTEN = frozenset({Verdict.SEND}) | NEEDS_A_PERSON
"""What ``apply`` carries out: whoever applies a plan approves it."""

T = TypeVar("T")
Inputs = Mapping[str, str | int]


class BadPlan(ValueError):
    """Not a plan that this version can read."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One correction of a plan file."""

    slot: SlotKey
    sku: Sku
    group: Sku
    shown: int
    target: int
    verdict: str

    @property
    def written(self) -> bool:
        return self.verdict in WRITTEN


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan file that was read. ``entry`` and ``hash``: where the ledger stood."""

    id: str
    made_at: Instant
    entry: int
    hash: str
    policy: str
    inputs: Mapping[Sku, Inputs]
    entries: tuple[Planned, ...]
    digest: str
    genuine: bool
    """Whether the digest is that of its content."""


def inputs_of(position: Position) -> dict[str, str | int]:
    """What decided the targets of one pool group, by name: what listings show, stock, orders, regime.

    Ages are left out: they decide when something may be sent, not what.
    """
    found: dict[str, str | int] = {"pool": "split" if position.split else "shared"}
    for offer in position.offers:
        where = f"{offer.slot.channel} listing {offer.slot.listing}"
        if position.elsewhere(offer):
            where += f" at {offer.slot.place}"
        found[f"{where} shows"] = _or_unknown(offer.current)
        if offer.shown != offer.current:
            found[f"{where} may show"] = _or_unknown(offer.shown)
        if offer.state is not SlotState.BUYABLE or offer.ambiguous or offer.pushed:
            marks = [str(offer.state), *["ambiguous"] * offer.ambiguous, *["native push"] * offer.pushed]
            found[f"{where} is"] = ", ".join(marks)
    for row in position.stock:
        where = f"{row.sku} at {row.location}"
        found[f"{where}: on hand"] = row.on_hand
        found[f"{where}: unavailable"] = row.unavailable
        found[f"{where}: allocated"] = row.allocated
    for component in sorted({claim.component for claim in position.claims}):
        claims = [claim for claim in position.claims if claim.component == component]
        found.update((f"{component}: {what}", units) for what, units in _claimed(claims))
    for sku in position.unknown:
        found[f"{sku}: stock"] = "unknown"
    return found


def _or_unknown(value: int | None) -> str | int:
    return "unknown" if value is None else value


def _claimed(claims: Sequence[Claim]) -> list[tuple[str, int]]:
    """Units by what takes them; orders are orders, whoever has heard of them."""
    found: dict[str, int] = {}
    for claim in claims:
        name = (
            "ordered"
            if claim.kind in ORDERED
            else "kept back"
            if claim.kind in KEPT_FROM_RAISES
            else claim.kind
        )
        found[name.replace("_", " ")] = found.get(name.replace("_", " "), 0) + claim.units
    return sorted(found.items())


def fingerprint(inputs: Inputs) -> str:
    """A digest of what decided a group."""
    return digest_of(canonical(inputs))


def moved(before: Inputs, now: Inputs) -> list[str]:
    """What is not as it was, from what to what."""
    return [
        f"{name} {was} -> {is_}"
        for name in sorted(before.keys() | now.keys())
        if (was := _of(before, name)) != (is_ := _of(now, name))
    ]


def _of(inputs: Inputs, name: str) -> str | int:
    """What is told only where it is out of the ordinary is ordinary where it is not told."""
    if name.endswith(" may show"):
        return inputs.get(name, inputs.get(name.replace(" may show", " shows"), 0))
    return inputs.get(name, str(SlotState.BUYABLE) if name.endswith(" is") else 0)


def document(
    id_: str,
    at: Instant,
    good_for_ms: int,
    ledger: tuple[int, str],
    policy: tuple[str, str],
    scope: Mapping[str, str | None],
    plans: Sequence[GroupPlan],
    incomplete: Sequence[str] = (),
) -> dict[str, Any]:
    """The plan of these groups as it is written to a file. ``policy``: revision and mode; ``incomplete``: what it
    cannot say.
    """
    channel = scope.get("channel")
    entries = [
        _entry_of(plan.position.group, entry)
        for plan in plans
        for entry in plan.entries
        if channel is None or entry.slot.channel == channel
    ]
    used = {each["group"] for each in entries}
    inputs = {plan.position.group: inputs_of(plan.position) for plan in plans if plan.position.group in used}
    said: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "id": id_,
        "made_at": format_instant(at),
        "expires_at": format_instant(after(at, good_for_ms)),
        "ledger": {"entry": ledger[0], "hash": ledger[1]},
        "policy": policy[0],
        "mode": policy[1],
        "scope": dict(scope),
        "counts": _counts(entries),
        "incomplete": list(incomplete),
        "entries": [{**each, "fingerprint": fingerprint(inputs[each["group"]])} for each in entries],
        "inputs": inputs,
    }
    return {**said, "digest": digest_of(canonical(said))}


def _entry_of(group: Sku, entry: Entry) -> dict[str, Any]:
    return {
        "group": group,
        "slot": [entry.slot.channel, entry.slot.listing, entry.slot.place],
        "sku": entry.sku,
        "listing_sku": entry.listing_sku,
        "read": entry.read,
        "based_on": format_instant(entry.based_on),
        "shown": entry.current,
        "desired": entry.desired,
        "target": entry.target,
        "verdict": str(entry.verdict),
        "means": MEANS[entry.verdict],
        "cause": str(entry.cause),
        "because": str(entry.because),
    }


def _counts(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    verdicts = [each["verdict"] for each in entries]
    return {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}


def read_document(value: Any) -> PlanFile:
    """The plan that a document holds. Raises BadPlan with what is wrong with it."""
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise BadPlan(f"it is no plan: its schema is not {SCHEMA!r}")
    version = _take_whole(value, "version", 1)
    if version > VERSION:
        raise BadPlan(f"it was written by a newer reconcilerd (version {version}, this one reads {VERSION})")
    try:
        said = digest_of(canonical({key: each for key, each in value.items() if key != "digest"}))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadPlan(f"it is damaged: {error}") from None
    ledger = _take(value, "ledger", dict)
    entries = tuple(_read_entry(each, number) for number, each in enumerate(_take(value, "entries", list)))
    return PlanFile(
        id=_take(value, "id", str),
        made_at=_time(value, "made_at"),
        entry=_take_whole(ledger, "entry", 0, most=MAX_ENTRY, where="ledger"),
        hash=_take(ledger, "hash", str, "ledger"),
        policy=_take(value, "policy", str),
        inputs={Sku(group): _take_inputs(each) for group, each in _take(value, "inputs", dict).items()},
        entries=entries,
        digest=_take(value, "digest", str),
        genuine=value.get("digest") == said,
    )


def _read_entry(value: Any, number: int) -> Planned:
    where = f"entries[{number}]"
    if not isinstance(value, dict):
        raise BadPlan(f"it is damaged: {where} is no table")
    slot = _take(value, "slot", list, where)
    if len(slot) != 3 or not all(isinstance(each, str) for each in slot):
        raise BadPlan(f"it is damaged: {where}.slot is no channel, listing and place")
    return Planned(
        SlotKey(ChannelName(slot[0]), slot[1], slot[2]),
        Sku(_take(value, "sku", str, where)),
        Sku(_take(value, "group", str, where)),
        _take_whole(value, "shown", -MAX_UNITS, MAX_UNITS, where),
        _take_whole(value, "target", 0, MAX_UNITS, where),
        _take(value, "verdict", str, where),
    )


def _take_inputs(value: Any) -> dict[str, str | int]:
    if not isinstance(value, dict):
        raise BadPlan("it is damaged: inputs hold no tables")
    return value


def _take(value: Mapping[str, Any], key: str, kind: type[T], where: str = "") -> T:
    found = value.get(key)
    if type(found) is not kind:
        name = f"{where}.{key}" if where else key
        raise BadPlan(f"it is damaged: {name} is {'missing' if found is None else f'no {KINDS[kind]}'}")
    return found


def _take_whole(
    value: Mapping[str, Any], key: str, least: int, most: int = MAX_ENTRY, where: str = ""
) -> int:
    found = _take(value, key, int, where)
    if not least <= found <= most:
        name = f"{where}.{key}" if where else key
        raise BadPlan(f"it is damaged: {name} is not from {least} to {most}")
    return found


def _time(value: Mapping[str, Any], key: str) -> Instant:
    try:
        return parse_instant(_take(value, key, str))
    except (ValueError, OverflowError):
        raise BadPlan(f"it is damaged: {key} is no time") from None
