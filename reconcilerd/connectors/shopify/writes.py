"""Compare-and-set corrections: what is sent, under which key, and what each refusal means for each line.

Only an error that speaks of a line refuses that line. A call that is refused whole, by a locked store or by a proxy
on the way, did nothing and says nothing of its lines: they count as not sent, and the store is left alone for a while.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from reconcilerd.config.secret import redact
from reconcilerd.connectors.port import Withholding, WriteAnswer
from reconcilerd.connectors.shopify.graphql import GraphQL
from reconcilerd.domain.facts import CorrectionPlanned, Outcome
from reconcilerd.domain.names import SlotKey
from reconcilerd.errors import (
    Denied,
    MalformedReply,
    OutcomeUnknown,
    ReconcilerdError,
    Refused,
    TryLater,
    Withheld,
)
from reconcilerd.transport.lane import MAX_GATE_MS, Priority
from reconcilerd.transport.progress import rest
from reconcilerd.transport.refusals import NotThere, TurnedAway

_SPACE: Final = uuid.UUID("5f9b7a52-0d3f-4a8e-9a54-7a1b6f0c2d11")
MAX_ROUNDS: Final = 12
MOST_A_CALL: Final = 250
HOT_BATCH: Final = 3
"""A slot whose number moved under us shares a call with few others, so that it fails few with it."""
HOT_FOR: Final = 8
"""How many answered writes a slot stays hot after a compare failed."""
BUSY_TRIES: Final = 5
BUSY_S: Final = 0.5
MOST_IN_VAIN: Final = 9
"""Halving the largest call so often ends with a single line: what is refused whole once more is not about lines."""
REST_S: Final = (5.0, 30.0)
"""How long the store is left alone once it refused a call whole, and at most when it does so again and again."""

_BUSY: Final = "IDEMPOTENCY_CONCURRENT_REQUEST"
_NEW_KEY: Final = frozenset({"IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"})
_STALE: Final = "CHANGE_FROM_QUANTITY_STALE"

Answers = dict[str, WriteAnswer]


@dataclass(slots=True)
class _Job:
    """What all batches of one ``send`` have in common."""

    run: str
    withheld: Withholding
    answers: Answers = field(default_factory=dict)
    in_vain: int = 0
    """How many calls in a row were refused whole."""
    refused: ReconcilerdError | None = None
    """The last such refusal that nothing could be made of."""


class Writes:
    """Sends batches of corrections to one store. A batch is atomic there: one stale line fails it whole."""

    def __init__(self, graphql: GraphQL) -> None:
        self._graphql = graphql
        self._hot: dict[SlotKey, int] = {}
        self._rests_until_s = 0.0
        self._rests = 0
        """How often in a row the store was left alone."""

    async def send(
        self, corrections: Sequence[CorrectionPlanned], run: str, withheld: Withholding
    ) -> tuple[WriteAnswer, ...]:
        """One answer for each correction. Raises Denied if none of them was sent."""
        await self._rested()
        job = _Job(run, withheld)
        answers, why = job.answers, ""
        for batch in self._batches(corrections):
            try:
                await self._batch(batch, job, 0)
            except Denied as error:
                if not answers:
                    raise
                # What went before has its answers; the next call meets the same refusal and tells of it.
                why = str(error)
                break
            except (Refused, TurnedAway) as error:
                job.refused, why = error, str(error)
                break
        if job.refused is not None:
            self._leave_alone(job.refused)
        _settle([each for each in corrections if each.id not in answers], Outcome.NOT_SENT, why, answers)
        self._warm(answers.values())
        return tuple(answers[each.id] for each in corrections)

    async def _rested(self) -> None:
        left_s = self._rests_until_s - anyio.current_time()
        if left_s > 0:
            await rest(left_s)

    def _leave_alone(self, error: ReconcilerdError) -> None:
        """Ask nothing of the store for a while: longer each time, and as long as it said."""
        first_s, longest_s = REST_S
        told_s = (error.after_ms or 0) / 1000 if isinstance(error, TurnedAway) else 0.0
        most_s = min(longest_s, first_s * 2.0 ** min(self._rests, 20))
        self._rests_until_s = anyio.current_time() + min(MAX_GATE_MS / 1000, max(most_s, told_s))
        self._rests += 1

    def _batches(self, corrections: Sequence[CorrectionPlanned]) -> Iterator[list[CorrectionPlanned]]:
        """Hot slots apart and few at a time; one slot never twice in a call, the later of two in a later call."""
        waiting = list(corrections)
        while waiting:
            taken: dict[SlotKey, CorrectionPlanned] = {}
            for each in waiting:
                taken.setdefault(each.slot, each)
            hot = [each for each in taken.values() if each.slot in self._hot]
            calm = [each for each in taken.values() if each.slot not in self._hot]
            for some, size in ((calm, MOST_A_CALL), (hot, HOT_BATCH)):
                yield from (some[at : at + size] for at in range(0, len(some), size))
            sent = {id(each) for each in taken.values()}
            waiting = [each for each in waiting if id(each) not in sent]

    def _warm(self, answers: Iterable[WriteAnswer]) -> None:
        for answer in answers:
            slot = answer.correction.slot
            if answer.outcome is Outcome.STALE:
                self._hot[slot] = HOT_FOR
            elif slot in self._hot:
                self._hot[slot] -= 1
                if not self._hot[slot]:
                    del self._hot[slot]

    async def _batch(self, batch: list[CorrectionPlanned], job: _Job, attempt: int) -> None:
        """Send until every line has its answer; each new content or new try goes under a key of its own."""
        answers = job.answers
        while batch:
            if attempt >= MAX_ROUNDS:
                _settle(batch, Outcome.NOT_SENT, "refused too often; planned anew", answers)
                return
            try:
                errors = await self._patiently(batch, job, attempt)
            except (NotThere, TurnedAway):
                raise
            except (TryLater, OutcomeUnknown, MalformedReply) as error:
                # It may have had its effect before it broke: only a reading can tell.
                _settle(batch, Outcome.UNKNOWN, str(error), answers)
                return
            except Withheld as error:
                _settle(batch, Outcome.NOT_SENT, str(error), answers)
                return
            except Refused as error:
                job.in_vain += 1
                if job.in_vain > MOST_IN_VAIN:
                    raise
                if len(batch) == 1:
                    job.refused = error
                    _settle(batch, Outcome.NOT_SENT, str(error), answers)
                    return
                # It names no line, and yet it may be for one that the rest is refused: then it is found.
                attempt += 1
                middle = len(batch) // 2
                await self._batch(batch[:middle], job, attempt)
                batch = batch[middle:]
                continue
            job.in_vain = self._rests = 0
            codes = {str(error.get("code")) for error in errors}
            if not errors:
                _settle(batch, Outcome.APPLIED, "", answers)
                return
            attempt += 1
            if codes & _NEW_KEY:
                continue
            named = _named(errors, len(batch))
            if named:
                _settle_named(batch, named, answers)
                batch = [each for i, each in enumerate(batch) if i not in named]
            elif len(batch) == 1:
                outcome = Outcome.STALE if codes == {_STALE} else Outcome.REFUSED
                _settle(batch, outcome, _said(errors), answers)
                return
            else:
                # Nobody says which line it was: halve until it stands alone.
                middle = len(batch) // 2
                await self._batch(batch[:middle], job, attempt)
                batch = batch[middle:]

    async def _patiently(
        self, batch: Sequence[CorrectionPlanned], job: _Job, attempt: int
    ) -> list[dict[str, Any]]:
        """Ask again under the same key while the store still works on the first. Raises OutcomeUnknown at the end."""
        for tried in range(BUSY_TRIES):
            try:
                errors = await self._once(batch, job, attempt)
            except (Denied, Refused, TurnedAway, Withheld) as error:
                if tried:
                    raise OutcomeUnknown(f"the store worked on it when {error}") from error
                raise
            if all(error.get("code") != _BUSY for error in errors):
                return errors
            await anyio.sleep(BUSY_S * 2**tried)
        raise OutcomeUnknown(f"the store still works on the same write after {BUSY_TRIES} tries")

    async def _once(
        self, batch: Sequence[CorrectionPlanned], job: _Job, attempt: int
    ) -> list[dict[str, Any]]:
        key = uuid.uuid5(_SPACE, "|".join([str(attempt), *(each.id for each in batch)]))
        variables = {
            "key": str(key),
            "input": {
                "name": "available",
                "reason": "correction",
                "referenceDocumentUri": f"gid://reconcilerd/Reconcile/{job.run}",
                "quantities": [
                    {
                        "inventoryItemId": each.slot.listing,
                        "locationId": each.slot.place,
                        "quantity": each.target,
                        "changeFromQuantity": each.compared,
                    }
                    for each in batch
                ],
            },
        }
        priority = Priority.LOWER if any(c.target < c.read for c in batch) else Priority.RAISE
        # The key makes a repeat harmless, so a broken connection may be tried again under it.
        data, _ = await self._graphql.run(
            "set_quantities", variables, priority, guess=10, withheld=job.withheld
        )
        payload = data.get("inventorySetQuantities")
        errors = payload.get("userErrors") if isinstance(payload, dict) else None
        if not isinstance(errors, list) or not all(isinstance(each, dict) for each in errors):
            raise MalformedReply("set_quantities: an answer that does not say what was refused")
        return errors


def _named(errors: Sequence[dict[str, Any]], size: int) -> dict[int, dict[str, Any]]:
    """Lines by their index in ``field``: input, quantities, INDEX, ..."""
    named: dict[int, dict[str, Any]] = {}
    for error in errors:
        match error.get("field"):
            case [_, "quantities", index, *_] if str(index).isdecimal() and int(index) < size:
                named[int(index)] = error
    return named


def _settle_named(
    batch: Sequence[CorrectionPlanned], named: dict[int, dict[str, Any]], answers: Answers
) -> None:
    for index, error in named.items():
        stale = error.get("code") == _STALE
        _settle([batch[index]], Outcome.STALE if stale else Outcome.REFUSED, _said([error]), answers)


def _settle(batch: Sequence[CorrectionPlanned], outcome: Outcome, detail: str, answers: Answers) -> None:
    for each in batch:
        answers[each.id] = WriteAnswer(each, outcome, detail)


def _said(errors: Sequence[dict[str, Any]]) -> str:
    return redact("; ".join(f"{error.get('code')}: {error.get('message')}" for error in errors))[:300]
