"""What people allowed, or want left alone: approvals and pins, listed and taken away."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any, Protocol

import anyio.lowlevel

from reconcilerd.daemon.consents import limits_told
from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.naming import told_of
from reconcilerd.daemon.refusals import channel_among, error
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    EnvelopeApproved,
    EnvelopeRevoked,
    Fact,
    SlotPinned,
)
from reconcilerd.domain.names import Instant, Sku, after, format_instant
from reconcilerd.ledger.reader import Entry as LedgerEntry
from reconcilerd.ledger.standing import Kept

Request = dict[str, Any]
Op = Callable[[Request, str], Awaitable[dict[str, Any]]]


class Archive(Kept, Protocol):
    """The ledger's entries."""

    def hash_of(self, seq: int) -> bytes | None: ...

    def slices(self, id_: str) -> list[LedgerEntry]: ...

    def history(self, kind: str, about: str, limit: int) -> list[tuple[int, Instant, Fact]]: ...

    def histories(
        self, subjects: Collection[tuple[str, str]], limit: int
    ) -> list[tuple[int, Instant, Fact]]: ...

    def told_since(
        self, kinds: Collection[str], at: Instant
    ) -> Iterator[list[tuple[int, Instant, Fact]]]: ...


class Approvals:
    """Answers requests about approvals and pins."""

    def __init__(self, desk: Desk, archive: Archive, sku: Callable[[str], Sku]) -> None:
        self._desk = desk
        self._archive = archive
        self._sku = sku

    def requests(self) -> dict[str, Op]:
        return {
            "envelopes": self.envelopes,
            "revoke": self.revoke,
            "pins": self.pins,
            "unpin": self.unpin,
        }

    async def envelopes(self, _request: Request, _by: str) -> dict[str, Any]:
        """Every approval that is still in force, or was revoked before its end."""
        words, now = self._desk.book.words, self._desk.clock()
        told = [each for each in words.approvals.values() if each.until > now]
        used = await self._uses(told)
        rows = []
        for each in sorted(told, key=lambda one: (one.at, one.id)):
            gone = words.revoked.get(each.id)
            rows.append(
                {
                    "id": each.id,
                    "skus": list(each.skus),
                    "direction": each.direction,
                    "ceiling": each.ceiling,
                    "limits": limits_told(each),
                    "zeros": each.zeros,
                    "by": each.by,
                    "reason": each.reason,
                    "until": format_instant(each.until),
                    "used": used[each.id],
                    "revoked": None
                    if gone is None
                    else f"{format_instant(gone.at)} by {gone.by}: {gone.reason}",
                }
            )
        return {"envelopes": rows, "exit_code": 0}

    async def _uses(self, approvals: Collection[EnvelopeApproved]) -> Counter[str]:
        """How many corrections went under each approval, by its id.

        Told in pieces by what was written since the first of them, which is a few hours at most: what its listings were
        corrected to before takes no time, and others have their turn in between.
        """
        used = Counter[str]()
        if approvals:
            since = after(min(each.at for each in approvals), -1)
            for piece in self._archive.told_since((CorrectionPlanned.kind,), since):
                used.update(fact.released for _, _, fact in piece if isinstance(fact, CorrectionPlanned))
                await anyio.lowlevel.checkpoint()
        return used

    async def revoke(self, request: Request, by: str) -> dict[str, Any]:
        """Take an approval back, at once: what waits under it in a queue is not sent either."""
        id_, reason = request["id"], request.get("reason", "").strip()
        if not reason:
            return error("a revocation needs a reason: --reason TEXT", 2)
        words, now = self._desk.book.words, self._desk.clock()
        envelope, gone = words.approvals.get(id_), words.revoked.get(id_)
        if envelope is None:
            return error(f"no approval {id_!r} is known; see reconcilerd envelopes", 6)
        if gone is not None:
            return error(f"{id_} was revoked already, {format_instant(gone.at)} by {gone.by}", 6)
        if envelope.until <= now:
            return error(f"{id_} ended by itself, {format_instant(envelope.until)}", 6)
        await self._desk.take((EnvelopeRevoked(id_, by, reason, now),), note="revoke")
        return {"revoked": id_, "used": (await self._uses((envelope,)))[id_], "exit_code": 0}

    async def pins(self, _request: Request, _by: str) -> dict[str, Any]:
        """Every listing that a person wants left at its number."""
        now, joins = self._desk.clock(), self._desk.book.joins()
        rows = [
            {
                **told_of(slot, joins),
                "sku": joins.sku_of.get(slot, ""),
                "shows": self._desk.book.slots[slot].value if slot in self._desk.book.slots else None,
                "by": each.by,
                "reason": each.reason,
                "until": format_instant(each.until),
            }
            for slot, each in sorted(self._desk.book.words.pins.items())
            if each.holds(now)
        ]
        return {"pins": rows, "exit_code": 0}

    async def unpin(self, request: Request, by: str) -> dict[str, Any]:
        """Lift the pins of a SKU (on one channel, if named), or ``all``."""
        reason, channel = request.get("reason", "").strip(), request.get("channel")
        if not reason:
            return error("lifting a pin needs a reason: --reason TEXT", 2)
        now, sku_of = self._desk.clock(), self._desk.book.joins().sku_of
        if channel is not None:
            channel_among(self._desk.book.policy.channels, channel)
        everything = request["sku"] == "all"
        sku = None if everything else self._sku(request["sku"])
        lifted = [
            SlotPinned(slot, False, by, reason, now, now)
            for slot, each in sorted(self._desk.book.words.pins.items())
            if each.holds(now) and (everything or sku_of.get(slot) == sku) and channel in {None, slot.channel}
        ]
        if not lifted:
            where = f" on {channel}" if channel else ""
            return error(f"nothing of {request['sku']!r} is pinned{where}; see reconcilerd pins", 6)
        await self._desk.take(lifted, note="unpin")
        return {
            "lifted": [f"{f.slot.channel} {sku_of.get(f.slot, f.slot.listing)}" for f in lifted],
            "exit_code": 0,
        }
