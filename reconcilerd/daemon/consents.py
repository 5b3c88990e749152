"""Approvals that are given by a press of a button: what would be released is shown first, zeros take two people.

What the first of two agreed to is a fact: it releases nothing, survives a restart, and is over after a while.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.drift import Drift
from reconcilerd.domain.facts import ConsentGiven, EnvelopeApproved, Limit
from reconcilerd.domain.guards import covers
from reconcilerd.domain.names import Instant, Sku, after, format_instant
from reconcilerd.domain.verdicts import LATCHED, Verdict

ENVELOPE_MS = 2 * 3_600_000
"""How long an approval releases what it names."""

Held = tuple[Drift, Verdict]
Row = tuple[Sku, str, int, int, Verdict]
"""SKU, listing, what it shows, what it should show, why it waits."""


def limits_of(held: Iterable[tuple[Sku, int, int]]) -> tuple[Limit, ...]:
    """How far the corrections of each SKU go, and an approval of them lets it; ``held``: SKU, what is shown, desired.

    A person has seen these: that one SKU may fall by hundreds says nothing of the others.
    """
    limits: dict[Sku, Limit] = {}
    for sku, shown, desired in held:
        _, lower, rise = limits.get(sku, (sku, 0, 0))
        limits[sku] = (sku, max(lower, shown - desired), max(rise, desired - shown))
    return tuple(sorted(limits.values()))


def limits_told(release: EnvelopeApproved) -> list[dict[str, Any]]:
    """As an answer has them; none of an approval from before each SKU had its own."""
    return [{"sku": sku, "lower": lower, "raise": rise} for sku, lower, rise in release.limits]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an approval of a channel's held corrections would release as they are now."""

    channel: str
    rows: tuple[Row, ...]
    skus: tuple[Sku, ...]
    direction: str
    ceiling: int
    zeros: tuple[str, ...]

    @property
    def limits(self) -> tuple[Limit, ...]:
        return limits_of((sku, shows, desired) for sku, _, shows, desired, _ in self.rows)

    @property
    def mark(self) -> str:
        """The same for the same corrections, and for no others."""
        said = json.dumps([self.channel, self.rows, self.zeros]).encode()
        return hashlib.sha256(said).hexdigest()[:32]

    def mark_of(self, consent: ConsentGiven) -> str:
        """This proposal's mark, if it is what somebody agreed to; else none."""
        same = (self.skus, self.direction, self.ceiling, self.limits, self.zeros)
        agreed = (consent.skus, consent.direction, consent.ceiling, consent.limits, consent.zeros)
        return self.mark if same == agreed else ""


def proposal_of(
    channel: str, held: Sequence[Held], shown: Callable[[Sku], Iterable[tuple[str, int]]]
) -> Proposal:
    """``shown``: every listing of a SKU, on any channel (its path, what it shows): an approval goes by SKU.

    Among the zeros is each listing that shows no more than the approval lets its SKU fall: what is a small lower now
    may be one to nothing before the approval is over.
    """
    mine = [
        (drift, verdict)
        for drift, verdict in held
        if drift.slot.channel == channel and verdict not in LATCHED and drift.difference
    ]
    skus = tuple(sorted({drift.sku for drift, _ in mine}))
    ways = {"lower" if drift.difference < 0 else "raise" for drift, _ in mine}
    ceiling = max((abs(drift.difference) for drift, _ in mine), default=0)
    limits = limits_of((drift.sku, drift.observed, drift.desired) for drift, _ in mine)
    return Proposal(
        channel=channel,
        rows=tuple(
            sorted(
                (drift.sku, drift.slot.path, drift.observed, drift.desired, verdict)
                for drift, verdict in mine
            )
        ),
        skus=skus,
        direction=ways.pop() if len(ways) == 1 else "both",
        ceiling=ceiling,
        zeros=tuple(sorted(may_end(limits, shown))),
    )


def may_end(
    limits: Iterable[tuple[Sku, int, int]], shown: Callable[[Sku], Iterable[tuple[str, int]]]
) -> set[str]:
    """Listings, by path, that an approval with these limits lets go to nothing."""
    return {path for sku, lower, _ in limits for path, value in shown(sku) if 0 < value <= lower}


def still_means(consent: ConsentGiven, now: Proposal) -> bool:
    """Whether what the first agreed to is still what would be released: fewer and less may be, more may not."""
    mine = [row for row in now.rows if row[0] in consent.skus]
    within = all(
        (most := consent.most(sku, "lower" if desired < shows else "raise")) is not None
        and abs(desired - shows) <= most
        for sku, _, shows, desired, _ in mine
    )
    to_zero = {path for _, path, shows, desired, _ in mine if desired == 0 < shows}
    return bool(mine) and within and to_zero <= set(consent.zeros)


class Said(StrEnum):
    """What came of an agreement."""

    APPROVED = "approved"
    WAITS = "waits"
    """For somebody else."""
    SAME_PERSON = "same person"
    MOVED = "moved"
    """What waits is not what was shown."""
    ALREADY = "already"
    """All of it is approved."""
    LATE = "late"
    """Nobody else agreed in time, or who agreed first may not approve any more."""
    OVER = "over"
    """Nothing waits any more."""


class Consents:
    """What people agree to by pressing buttons."""

    def __init__(
        self,
        desk: Desk,
        held: Callable[[], Sequence[Held]],
        changed: Callable[[str, Mapping[str, str]], None],
        agree_within_ms: int,
        approvers: Collection[str],
    ) -> None:
        """``held``: what waits for a person now. ``changed``: tells what a person changed at large.

        ``approvers``: who may approve. Who may not any more agreed to nothing.
        """
        self._desk = desk
        self._held = held
        self._changed = changed
        self._within_ms = agree_within_ms
        self._approvers = approvers

    def proposal(self, channel: str) -> Proposal:
        """As things are now."""
        return proposal_of(channel, self._held(), self._shown)

    def waiting(self, channel: str) -> list[ConsentGiven]:
        """What waits for a second person on a channel, the newest last."""
        half = self._desk.book.words.half_approved(self._desk.clock())
        return [each for each in half if each.channel == channel and each.by in self._approvers]

    async def agree(self, channel: str, mark: str, by: str, reason: str) -> Said:
        """Somebody agrees to what they were shown (``mark``), or to what somebody else agreed to (its id)."""
        now, clock = self.proposal(channel), self._desk.clock()
        if not now.rows:
            return Said.OVER
        if self._approved(now, clock):
            return Said.ALREADY
        given = next((each for each in self.waiting(channel) if mark in {each.id, now.mark_of(each)}), None)
        if given is not None:
            return await self._second(given, now, by, reason, clock)
        if mark in self._desk.book.words.consents:
            return Said.LATE
        if mark != now.mark:
            return Said.MOVED
        id_ = f"{channel}-{clock}"
        if not now.zeros:
            await self._approve(id_, now, by, reason, clock, zeros=False)
            return Said.APPROVED
        until = after(clock, self._within_ms)
        consent = ConsentGiven(
            id_,
            channel,
            now.skus,
            now.direction,
            now.ceiling,
            now.zeros,
            by,
            reason,
            clock,
            until,
            now.limits,
        )
        await self._desk.take((consent,), note="consent")
        return Said.WAITS

    async def _second(self, given: ConsentGiven, now: Proposal, by: str, reason: str, clock: Instant) -> Said:
        if by == given.by:
            return Said.SAME_PERSON
        if not still_means(given, now) or not may_end(given.limits, self._shown) <= set(given.zeros):
            return Said.MOVED
        both = f"{given.by} and {by}"
        await self._approve(given.id, given, both, reason, clock, zeros=bool(given.zeros))
        return Said.APPROVED

    def _approved(self, now: Proposal, clock: Instant) -> bool:
        """Whether approvals in force release all of it."""
        in_force = self._desk.book.words.in_force(clock)
        return all(
            any(
                covers(
                    each,
                    sku,
                    "lower" if desired < shows else "raise",
                    abs(desired - shows),
                    clock,
                    zero=desired == 0,
                )
                for each in in_force
            )
            for sku, _, shows, desired, _ in now.rows
        )

    async def _approve(
        self,
        id_: str,
        what: Proposal | ConsentGiven,
        by: str,
        reason: str,
        now: Instant,
        *,
        zeros: bool,
    ) -> None:
        envelope = EnvelopeApproved(
            id=id_,
            skus=what.skus,
            direction=what.direction,
            ceiling=what.ceiling,
            by=by,
            reason=reason,
            at=now,
            until=after(now, ENVELOPE_MS),
            zeros=zeros,
            limits=what.limits,
        )
        await self._desk.take((envelope,), note="approve")
        self._changed(f"{by} approved {len(what.skus)} SKUs under {id_}", {"why": reason})

    def _shown(self, sku: Sku) -> Iterable[tuple[str, int]]:
        book = self._desk.book
        for slot in book.joins().slots_of.get(sku, ()):
            value = book.slots[slot].value if slot in book.slots else None
            if value is not None:
                yield slot.path, value


def told(waiting: Collection[ConsentGiven]) -> list[dict[str, Any]]:
    """What waits for a second person, as a person is shown it."""
    return [
        {
            "id": each.id,
            "channel": each.channel,
            "skus": list(each.skus),
            "zeros": len(each.zeros),
            "by": each.by,
            "at": format_instant(each.at),
            "until": format_instant(each.until),
        }
        for each in waiting
    ]
