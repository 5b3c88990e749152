"""What happened in a stretch of time, from the facts that were written down in it: who said what, which alerts came.

For whoever takes over from another, and for the summary of a day. Pure: it is given the facts, oldest first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconcilerd.domain.facts import (
    AlertChanged,
    AlertStage,
    BreachLifted,
    ConsentGiven,
    EndsMoved,
    EnvelopeApproved,
    EnvelopeRevoked,
    Fact,
    FreezeSet,
    InvariantBroken,
    JobEnded,
    LedgerRestored,
    PlanApplied,
    PolicyAdopted,
    RailLatched,
    SilenceSet,
    SlotPinned,
)
from reconcilerd.domain.names import Instant

OURSELVES = "reconcilerd"
"""By whom what nobody ordered was done."""
TOLD = (
    AlertChanged,
    BreachLifted,
    ConsentGiven,
    EnvelopeApproved,
    EnvelopeRevoked,
    FreezeSet,
    InvariantBroken,
    JobEnded,
    LedgerRestored,
    PlanApplied,
    PolicyAdopted,
    RailLatched,
    SilenceSet,
    SlotPinned,
)
"""The facts that tell it."""
OPEN = frozenset({AlertStage.FIRING, AlertStage.KEEPING})


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that somebody did. ``entry``: of the ledger; ``count``: listings or SKUs that it is about."""

    entry: int
    at: Instant
    by: str
    what: str
    about: str
    reason: str = ""
    until: Instant | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode of an alert; ``began`` and ``ended`` as far as they are known: None where it goes on."""

    key: str
    number: int
    severity: str
    summary: str
    began: Instant
    ended: Instant | None = None

    @property
    def kind(self) -> str:
        return self.key.split("/")[1] if "/" in self.key else self.key

    @property
    def subject(self) -> str:
        return self.key.split("/", 2)[2] if self.key.count("/") > 1 else ""


Written = tuple[int, Instant, Fact]
"""(entry, when written, fact)."""


def deeds(written: Iterable[Written]) -> list[Deed]:
    """What people did, and what the daemon did in their place; listings of one word are counted together.

    What was written down anew because the clock was set back, nobody did.
    """
    found: list[Deed] = []
    written = list(written)
    again = {
        (entry, *word) for entry, _, fact in written if isinstance(fact, EndsMoved) for word in fact.words
    }
    for entry, at, fact in written:
        deed = _deed(entry, at, fact)
        if deed is None or (entry, fact.kind, fact.about) in again:
            continue
        last = found[-1] if found else None
        if last is not None and isinstance(fact, SlotPinned) and _same_word(last, deed):
            found[-1] = replace(last, count=last.count + 1)
        else:
            found.append(deed)
    return found


def _same_word(one: Deed, other: Deed) -> bool:
    return (one.entry, one.what, one.by, one.reason) == (other.entry, other.what, other.by, other.reason)


def _deed(entry: int, at: Instant, fact: Fact) -> Deed | None:
    match fact:
        case EnvelopeApproved() | ConsentGiven():
            what = "approved" if isinstance(fact, EnvelopeApproved) else "agreed, and waits for a second to"
            about = _released(fact)
            return Deed(entry, at, fact.by, what, about, fact.reason, fact.until, len(fact.skus))
        case EnvelopeRevoked():
            return Deed(entry, at, fact.by, "revoked an approval", fact.id, fact.reason)
        case PlanApplied():
            # A reverted pass is written down with the moment: it may be put back again.
            revert, _, of = fact.id.partition(" ")
            what, id_ = (
                ("put back a pass", of.split()[0])
                if revert == "revert" and of
                else ("applied a plan", fact.id)
            )
            return Deed(entry, at, fact.by, what, id_, fact.reason)
        case SlotPinned():
            what, until = ("pinned", fact.until) if fact.on else ("unpinned", None)
            return Deed(entry, at, fact.by, what, fact.slot.path, fact.reason, until)
        case FreezeSet():
            what, until = ("froze", fact.until) if fact.on else ("unfroze", None)
            return Deed(entry, at, fact.by, what, fact.channel or "all channels", fact.reason, until)
        case SilenceSet():
            what, until = ("silenced", fact.until) if fact.on else ("unsilenced", None)
            return Deed(entry, at, fact.by, what, f"{fact.kinds} of {fact.subjects}", fact.reason, until)
        case RailLatched():
            what, until = ("tripped", fact.until) if fact.on else ("reset", None)
            return Deed(entry, at, fact.by or OURSELVES, what, fact.name, fact.reason, until)
        case InvariantBroken():
            why = "; ".join(f"{name}: {what}" for name, what in fact.broken)
            return Deed(entry, at, OURSELVES, "stopped all writes", fact.name, why)
        case JobEnded(ok=False):
            return Deed(entry, at, OURSELVES, "failed at", f"the {fact.name}", fact.why)
        case LedgerRestored():
            return Deed(
                entry, at, fact.by, "restored the ledger", f"from {fact.file}", f"{fact.entries} entries"
            )
        case BreachLifted():
            return Deed(entry, at, fact.by, "lifted a broken invariant", fact.id, fact.reason)
        case _:
            return None


def _released(fact: EnvelopeApproved | ConsentGiven) -> str:
    which = "both ways" if fact.direction == "both" else f"to {fact.direction}"
    some = f"{', '.join(fact.skus[:5])}{' ...' if len(fact.skus) > 5 else ''}"
    return f"{some} {which}, {fact.ceiling} units"


def policies(written: Iterable[Written]) -> list[Deed]:
    """Which revision of the policy was put in force when, and by whom."""
    return [
        Deed(entry, at, fact.by, "adopted", fact.revision)
        for entry, at, fact in written
        if isinstance(fact, PolicyAdopted)
    ]


def episodes(written: Iterable[Written], standing: Iterable[Episode], since: Instant) -> list[Episode]:
    """Every episode of an alert that was open after ``since``, by its beginning. ``standing``: those open now."""
    found: dict[tuple[str, int], Episode] = {(each.key, each.number): each for each in standing}
    for _, _, fact in written:
        if not isinstance(fact, AlertChanged) or fact.stage not in {*OPEN, AlertStage.RESOLVED}:
            continue
        about = fact.key, fact.episode
        began = fact.fired or fact.began or fact.at
        ended = fact.at if fact.stage is AlertStage.RESOLVED else None
        known = found.get(about)
        if known is None or ended is not None:
            found[about] = Episode(*about, fact.severity, fact.summary, began, ended)
    over = (each for each in found.values() if each.ended is None or each.ended > since)
    return sorted(over, key=lambda each: (each.began, each.key))


def lasted(all_: Iterable[Episode], kind: str, since: Instant, now: Instant) -> Mapping[str, int]:
    """By subject: how long (ms) alerts of a kind were open between two moments."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for each in all_:
        if each.kind == kind:
            spans.setdefault(each.subject, []).append(
                (max(each.began, since), min(now if each.ended is None else each.ended, now))
            )
    return {subject: _covered(each) for subject, each in sorted(spans.items())}


def _covered(spans: Iterable[tuple[int, int]]) -> int:
    """How long any of them lasted, each moment once."""
    total = reached = 0
    for begin, end in sorted(spans):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total
