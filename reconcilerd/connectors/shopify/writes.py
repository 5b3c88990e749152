"""Compare-and-set corrections: what is sent, under which key, and what each refusal means for each line."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from reconcilerd.connectors.port import WriteAnswer
from reconcilerd.connectors.shopify.graphql import GraphQL
from reconcilerd.domain.facts import CorrectionPlanned, Outcome
from reconcilerd.domain.names import SlotKey
from reconcilerd.errors import OutcomeUnknown, Refused, TryLater
from reconcilerd.transport.lane import Priority

_SPACE: Final = uuid.UUID("5f9b7a52-0d3f-4a8e-9a54-7a1b6f0c2d11")
MAX_ROUNDS: Final = 12
HOT_BATCH: Final = 3
_AGAIN_SAME_KEY: Final = "IDEMPOTENCY_CONCURRENT_REQUEST"
_AGAIN_NEW_KEY: Final = "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"
_STALE: Final = "CHANGE_FROM_QUANTITY_STALE"


class Writes:
    """Sends batches of corrections to one store. A batch is atomic there: one stale line fails it whole."""

    def __init__(self, graphql: GraphQL) -> None:
        self._graphql = graphql
        self._hot: set[SlotKey] = set()
        """Slots whose last compare failed: they sell while we write, and would fail a large batch again."""

    async def send(self, corrections: Sequence[CorrectionPlanned], run: str) -> tuple[WriteAnswer, ...]:
        """One answer for each correction."""
        answers: dict[str, WriteAnswer] = {}
        calm = [each for each in corrections if each.slot not in self._hot]
        hot = [each for each in corrections if each.slot in self._hot]
        await self._batch(calm, run, 0, answers)
        for start in range(0, len(hot), HOT_BATCH):
            await self._batch(hot[start : start + HOT_BATCH], run, 0, answers)
        for answer in answers.values():
            if answer.outcome is Outcome.STALE:
                self._hot.add(answer.correction.slot)
            elif answer.outcome is Outcome.APPLIED:
                self._hot.discard(answer.correction.slot)
        return tuple(answers[each.id] for each in corrections)

    async def _batch(
        self, batch: list[CorrectionPlanned], run: str, attempt: int, answers: dict[str, WriteAnswer]
    ) -> None:
        while batch:
            if attempt >= MAX_ROUNDS:
                _settle(batch, Outcome.NOT_SENT, "refused too often; planned anew", answers)
                return
            try:
                errors = await self._once(batch, run, attempt)
            except TryLater as error:
                _settle(batch, Outcome.UNKNOWN, str(error), answers)
                return
            except OutcomeUnknown as error:
                _settle(batch, Outcome.UNKNOWN, str(error), answers)
                return
            except Refused as error:
                _settle(batch, Outcome.REFUSED, str(error), answers)
                return
            codes = {str(error.get("code")) for error in errors}
            if not errors:
                _settle(batch, Outcome.APPLIED, "", answers)
                return
            attempt += 0 if _AGAIN_SAME_KEY in codes else 1
            if codes & {_AGAIN_SAME_KEY, _AGAIN_NEW_KEY}:
                attempt += _AGAIN_SAME_KEY in codes and attempt >= MAX_ROUNDS - 1
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
                await self._batch(batch[:middle], run, attempt, answers)
                batch = batch[middle:]

    async def _once(self, batch: Sequence[CorrectionPlanned], run: str, attempt: int) -> list[dict[str, Any]]:
        key = uuid.uuid5(_SPACE, "|".join([str(attempt), *(each.id for each in batch)]))
        variables = {
            "key": str(key),
            "input": {
                "name": "available",
                "reason": "correction",
                "referenceDocumentUri": f"gid://reconcilerd/Reconcile/{run}",
                "quantities": [
                    {
                        "inventoryItemId": each.slot.listing,
                        "locationId": each.slot.place,
                        "quantity": each.target,
                        "changeFromQuantity": each.read,
                    }
                    for each in batch
                ],
            },
        }
        priority = Priority.LOWER if any(c.target < c.read for c in batch) else Priority.RAISE
        # The key makes a repeat harmless, so a broken connection may be tried again under it.
        data, _ = await self._graphql.run("set_quantities", variables, priority, guess=10)
        payload = data.get("inventorySetQuantities") or {}
        errors: list[dict[str, Any]] = payload.get("userErrors") or []
        return errors


def _named(errors: Sequence[dict[str, Any]], size: int) -> dict[int, dict[str, Any]]:
    """Lines by their index in ``field``: input, quantities, INDEX, ..."""
    named: dict[int, dict[str, Any]] = {}
    for error in errors:
        for part in error.get("field") or ():
            if str(part).isdigit() and int(part) < size:
                named[int(part)] = error
    return named


def _settle_named(
    batch: Sequence[CorrectionPlanned], named: dict[int, dict[str, Any]], answers: dict[str, WriteAnswer]
) -> None:
    for index, error in named.items():
        stale = error.get("code") == _STALE
        _settle([batch[index]], Outcome.STALE if stale else Outcome.REFUSED, _said([error]), answers)


def _settle(
    batch: Sequence[CorrectionPlanned], outcome: Outcome, detail: str, answers: dict[str, WriteAnswer]
) -> None:
    for each in batch:
        answers[each.id] = WriteAnswer(each, outcome, detail)


def _said(errors: Sequence[dict[str, Any]]) -> str:
    return "; ".join(f"{error.get('code')}: {error.get('message')}" for error in errors)[:300]
