"""Whether what a decision looked at is what the facts before it say: stock rows, and what listings showed.

Readings that change nothing are not written down, so how old an input was is on record with the decision alone; what
it said is the newest fact of its subject, or the target of a write that a channel has taken since.
"""

from collections.abc import Iterator

from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent, Outcome, SlotObserved, StockObserved
from reconcilerd.domain.names import SlotKey
from reconcilerd.domain.position import Position, StockView
from reconcilerd.ledger.reader import Reader

WRITES_BACK = 1_000
"""How many answers of a slot are looked through for the last write that was taken."""


def unproven(reader: Reader, seq: int, position: Position) -> Iterator[str]:
    """What of a position the entries before ``seq`` do not say. Raises LedgerFault."""
    for row in position.stock:
        yield from _row(reader, seq, row)
    for offer in position.offers:
        said = _numbers(reader, seq, offer.slot)
        if offer.read not in said:
            known = ", ".join("nothing" if each is None else str(each) for each in said) or "nothing"
            yield f"{offer.slot.path}: {offer.read} was taken for what it shows; the facts say {known}"


def _row(reader: Reader, seq: int, row: StockView) -> Iterator[str]:
    about = f"{row.sku}@{row.location}"
    fact = next((each for _, _, each in reader.before("stock", about, seq, 1)), None)
    used = (row.on_hand, row.unavailable, row.allocated)
    said = (fact.on_hand, fact.unavailable, fact.allocated) if isinstance(fact, StockObserved) else None
    if used != said:
        yield f"stock {about}: (on hand, unavailable, allocated) {used} was used; the facts say {said}"


def _numbers(reader: Reader, seq: int, slot: SlotKey) -> list[int | None]:
    """What the last reading that was news said, and the target of the last write that was taken."""
    read = [f.quantity for _, _, f in reader.before("slot", slot.path, seq, 1) if isinstance(f, SlotObserved)]
    taken = next(
        (
            fact.id
            for _, _, fact in reader.before("sent", slot.path, seq, WRITES_BACK)
            if isinstance(fact, CorrectionSent) and fact.outcome is Outcome.APPLIED
        ),
        None,
    )
    if taken is None:
        return list(read)
    plans = (fact for _, _, fact in reader.before("correction", slot.path, seq, WRITES_BACK))
    return [*read, *(f.target for f in plans if isinstance(f, CorrectionPlanned) and f.id == taken)]
