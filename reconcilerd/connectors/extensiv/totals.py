"""The totals of stock of one reading: what each SKU has at all places together."""

from reconcilerd.connectors.extensiv import rows
from reconcilerd.connectors.extensiv.walk import Walk
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.domain.facts import Fact, StockTotalObserved
from reconcilerd.domain.names import Sku


def totals_of(walk: Walk) -> tuple[list[Fact], dict[Sku, StockTotalObserved]]:
    """What is to be told of a reading of totals, and each by its SKU."""
    facts: list[Fact] = []
    totals: dict[Sku, StockTotalObserved] = {}
    for row, asked in walk.rows:
        made = parsed(lambda row=row, asked=asked: rows.stock_total(row, asked))  # type: ignore[misc]
        if isinstance(made, Rejected):
            facts.append(rows.rejected("totals", row, made.why, asked))
        else:
            totals[made.sku] = made
            facts.append(made)
    return facts, totals


def pair_of(total: StockTotalObserved) -> tuple[int, int]:
    """On hand, and locked."""
    return total.on_hand, total.locked
