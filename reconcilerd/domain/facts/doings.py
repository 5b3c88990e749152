"""What we concluded and did, and what people said: inferences, corrections, approvals, plans, alerts."""

from dataclasses import dataclass, field
from typing import ClassVar

from reconcilerd.domain.digest import LATER
from reconcilerd.domain.facts.made import Limit, Made, OfSlot, Release, Standing
from reconcilerd.domain.facts.reasons import (
    CorrectionEnd,
    Outcome,
)
from reconcilerd.domain.names import FeedName, Instant, Sku, SlotKey
from reconcilerd.domain.quantities import units


@dataclass(frozen=True, slots=True)
class SaleInferred:
    """A fall between two readings that no order explains yet (rule 4). Held until ``through`` passes ``to``."""

    kind: ClassVar[str] = "inferred"
    slot: SlotKey
    since: Instant
    to: Instant
    fall: int
    cap: int

    @property
    def about(self) -> str:
        return f"{self.slot.path}/{self.to}"

    @property
    def as_of(self) -> Instant:
        return self.to


@dataclass(frozen=True, slots=True)
class SalesBuried:
    """A window in which sales could not be seen: under a write that is not compare-and-set, or a foreign rise.

    ``most``: what it can have sold unseen at most (channel units); None: nobody can say.
    """

    kind: ClassVar[str] = "buried"
    slot: SlotKey
    since: Instant
    to: Instant
    most: int | None = None

    def __post_init__(self) -> None:
        if self.most is not None:
            units(self.most)

    @property
    def about(self) -> str:
        return f"{self.slot.path}/{self.to}"

    @property
    def as_of(self) -> Instant:
        return self.to


@dataclass(frozen=True, slots=True)
class LevelDoubted(OfSlot):
    """A reading moved a number by more than our writes, orders and sales account for (rule 4).

    ``before``: what it was at ``since``; None: the doubt has ended. ``at``: when it last jumped, or a compare of ours
    failed.
    """

    kind: ClassVar[str] = "doubted"
    slot: SlotKey
    before: int | None
    since: Instant
    at: Instant


@dataclass(frozen=True, slots=True)
class CorrectionPlanned(OfSlot):
    """The intent of one write, durable before its effect. ``based_on`` is the reading it was computed from."""

    kind: ClassVar[str] = "correction"
    id: str
    slot: SlotKey
    listing_sku: str
    read: int
    based_on: Instant
    target: int
    cause: str
    reason: str
    at: Instant
    unexplained: int = 0
    """Units of the change that orders do not account for: what it spends of the sliding window."""
    sold_out: bool = False
    """Whether it sets the slot to zero because nothing at all is left for it."""
    owed: int = 0
    """How far below zero the channel's number was (``read`` is 0 then)."""
    under: tuple[tuple[str, int, int, Instant, Instant], ...] | None = None
    """Earlier writes of the slot that may still have their effect: id, target, read, based on, planned."""
    released: str = ""
    """The approval, or the plan file, under which it goes."""
    value: int = 0
    """What the unexplained units are worth, in hundredths of the currency; 0 where no price is known."""
    cures: bool = False
    """Whether it lowers a number beyond what could ship."""
    judged: tuple[Instant, int, int] | None = None
    """Where readings came under the earlier ones: when it was read before these, its number, how far below zero."""

    @property
    def compared(self) -> int:
        """The channel's own number that it was computed from; may be below zero."""
        return self.read - self.owed

    def __post_init__(self) -> None:
        units(self.read, "read quantity")
        units(self.target, "target")


@dataclass(frozen=True, slots=True)
class CorrectionSent(OfSlot):
    """What the channel answered to one planned write; ``still``: which of the slot's may have their effect after it.

    ``took``: the last one that it took at once (number before, number written, sent, answered), where this was not it.
    """

    kind: ClassVar[str] = "sent"
    id: str
    slot: SlotKey
    outcome: Outcome
    detail: str
    sent: Instant
    at: Instant
    still: tuple[str, ...] | None = None
    took: tuple[int, int, Instant, Instant] | None = None


@dataclass(frozen=True, slots=True)
class CorrectionSettled(OfSlot):
    """How a correction ended, by a reading or by the channel's own word."""

    kind: ClassVar[str] = "settled"
    id: str
    slot: SlotKey
    end: CorrectionEnd
    at: Instant
    read: int | None = None
    still: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EnvelopeApproved(Release):
    """A person's release of held corrections: which SKUs, which way, up to what (``ceiling`` a slot), until when.

    ``limits``: how far each SKU's own corrections went when they were released; ``direction`` and ``ceiling`` then sum
    them up. ``zeros``: whether they agreed that a listing may come to zero under it. Entries from before this was asked
    released zeros too, and replay so.
    """

    kind: ClassVar[str] = "envelope"
    id: str
    skus: tuple[Sku, ...]
    direction: str
    ceiling: int
    by: str
    reason: str
    at: Instant
    until: Instant
    zeros: bool = True
    limits: tuple[Limit, ...] = field(default=(), metadata=LATER)

    @property
    def about(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class ConsentGiven(Release):
    """The first of two people agreed to what an approval would release; alone this releases nothing.

    ``id``: of the approval that comes of it if somebody else agrees before ``until``. ``zeros``: the listings (by
    their paths) that could come to zero under it.
    """

    kind: ClassVar[str] = "consent"
    id: str
    channel: str
    skus: tuple[Sku, ...]
    direction: str
    ceiling: int
    zeros: tuple[str, ...]
    by: str
    reason: str
    at: Instant
    until: Instant
    limits: tuple[Limit, ...] = field(default=(), metadata=LATER)

    @property
    def about(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class EnvelopeRevoked(Made):
    """A person took an approval back, before its time was over."""

    kind: ClassVar[str] = "revoked"
    id: str
    by: str
    reason: str
    at: Instant

    @property
    def about(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class SlotPinned(Standing):
    """A person wants a listing left at its number until ``until``, or (``on`` False) no longer.

    ``correction``: the one that is to bring the number; where that comes to nothing, so does the pin. Empty: none is.
    """

    kind: ClassVar[str] = "pin"
    slot: SlotKey
    on: bool
    by: str
    reason: str
    at: Instant
    until: Instant
    correction: str = ""

    @property
    def about(self) -> str:
        return self.slot.path


@dataclass(frozen=True, slots=True)
class PlanApplied(Made):
    """A person had a plan of theirs carried out: ``id`` is the plan file's, or of the pass that was reverted."""

    kind: ClassVar[str] = "applied"
    id: str
    digest: str
    by: str
    reason: str
    at: Instant

    @property
    def about(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class FreezeSet(Standing):
    """Writes to ``channel`` (all, if empty) stopped or allowed again by a person."""

    kind: ClassVar[str] = "freeze"
    channel: str
    on: bool
    by: str
    reason: str
    at: Instant
    until: Instant | None = None

    @property
    def about(self) -> str:
        return self.channel


@dataclass(frozen=True, slots=True)
class RailLatched(Standing):
    """A rail tripped and stays so (``on``), until ``until`` or until somebody (``by``) releases it with a reason.

    ``name`` is the rail and what it holds: ``zeros:shop-uk``, ``all-changed:extensiv.stock``.
    """

    kind: ClassVar[str] = "rail"
    name: str
    on: bool
    by: str
    reason: str
    at: Instant
    evidence: str = ""
    until: Instant | None = None

    @property
    def about(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class EndsMoved(Made):
    """The clock was set back: these words stand, from the entry of this on, as long as they may by the clock since.

    ``words``: (kind, about) of each. They are in the same entry, and nobody said them anew.
    """

    kind: ClassVar[str] = "moved"
    words: tuple[tuple[str, str], ...]
    at: Instant

    @property
    def about(self) -> str:
        return "words"


@dataclass(frozen=True, slots=True)
class ReadingKept(Made):
    """What a row said before a reading that is under suspicion; ``subject`` is the row's own ``about``.

    ``at``: when it began to say something else; ``under``: when the newest suspicion began that it is kept for.
    """

    kind: ClassVar[str] = "kept"
    feed: FeedName
    subject: str
    value: int
    at: Instant
    allocated: int = 0
    under: Instant = Instant(0)

    @property
    def about(self) -> str:
        return f"{self.feed}|{self.subject}"


@dataclass(frozen=True, slots=True)
class PolicyAdopted(Made):
    """From here on this revision of the policy decides."""

    kind: ClassVar[str] = "adopted"
    revision: str
    by: str
    at: Instant

    @property
    def about(self) -> str:
        return "policy"


@dataclass(frozen=True, slots=True)
class InvariantBroken(Made):
    """A rule that our own doing broke, caught before it was sent: nothing is written until a person lifts it.

    ``subject``: the pool group that was planned, or the slot that was to be written.
    """

    kind: ClassVar[str] = "breach"
    id: str
    subject: str
    broken: tuple[tuple[str, str], ...]
    """(invariant, what) of each rule."""
    evidence: str
    """What it was decided from, and what was decided, in canonical bytes."""
    at: Instant

    @property
    def about(self) -> str:
        return self.id

    @property
    def name(self) -> str:
        """The name under which a person finds it, beside the rails that tripped."""
        return f"invariant:{self.id}"


@dataclass(frozen=True, slots=True)
class BreachLifted(Made):
    """A person looked at a broken invariant (``id``), and lets writes go on."""

    kind: ClassVar[str] = "breach_lifted"
    id: str
    by: str
    reason: str
    at: Instant

    @property
    def about(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class RegimeSwitched(Made):
    """A pool group of a shared pool turned split under scarcity, or back."""

    kind: ClassVar[str] = "regime"
    group: str
    scarce: bool
    at: Instant

    @property
    def about(self) -> str:
        return self.group


@dataclass(frozen=True, slots=True)
class PlanMade(Made):
    """One slice of a pass: how many slots it judged, what it sent and what it holds, by verdict."""

    kind: ClassVar[str] = "plan"
    id: str
    at: Instant
    slots: int
    verdicts: tuple[tuple[str, int], ...]
    held: tuple[tuple[SlotKey, int, int, str], ...]
    """(slot, shown, wanted, verdict) of each held correction, bounded by ``max_held``."""
    part_of: str = ""
    """The id of the first slice of the same pass that was written down; empty: it is that one."""

    @property
    def whole(self) -> str:
        """The id of the pass."""
        return self.part_of or self.id

    @property
    def about(self) -> str:
        return "plan"  # earlier ones are history, not state


ASIDE = "sha256:"
"""Opens what stands in a decision's record for bytes that are kept elsewhere, and not as long."""


@dataclass(frozen=True, slots=True)
class JobEnded(Made):
    """The daemon did a job by the clock, from ``began`` to ``at``. ``name``: audit, backup, digest."""

    kind: ClassVar[str] = "job"
    name: str
    ok: bool
    why: str
    began: Instant
    at: Instant

    @property
    def about(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class DecisionRecorded(Made):
    """All that a plan was computed from, and a digest of what came of it, so that anyone can compute it again.

    Its inputs are the fold of every entry before the one that holds it.
    """

    kind: ClassVar[str] = "decision"
    id: str
    """The plan's."""
    at: Instant
    policy: str
    """Revision of the policy then in force; what it says of these groups is in the inputs."""
    program: str
    """Which version of this program decided."""
    digests: tuple[tuple[str, str], ...]
    """(pool group, SHA-256 of the canonical bytes of its plan), in the order in which they were decided."""
    packed: str
    """Canonical bytes, deflated, in base 64: a line of the inputs (rails, what a person ordered, every position), then
    a line for the plan of each group. Where the ledger does not keep them any longer: ``ASIDE`` and their digest.
    """

    @property
    def about(self) -> str:
        return "decision"  # earlier ones are history, not state


@dataclass(frozen=True, slots=True)
class LedgerRestored(Made):
    """A person put a backup in the ledger's place: what was written after it was made is not in here."""

    kind: ClassVar[str] = "restored"
    file: str
    """The backup."""
    entries: int
    head: str
    """Of the backup: entries in it, and the hash of the last one."""
    replaced: str
    """Where the ledger is that was there; empty: there was none."""
    by: str
    at: Instant

    @property
    def about(self) -> str:
        return "ledger"


@dataclass(frozen=True, slots=True)
class LedgerAnchored(Made):
    """The ledger goes on from here without its oldest entries: what proves the rest, and what they said, is in this."""

    kind: ClassVar[str] = "anchor"
    through: int
    """Entries up to this one may be gone."""
    hash: str
    """Of that entry: what the next one chains to."""
    base: str
    """A digest of the state as it was after that entry, which the ledger keeps instead."""
    records: int
    """What decisions of entries up to this one looked at may be gone."""
    at: Instant

    @property
    def about(self) -> str:
        return "ledger"
