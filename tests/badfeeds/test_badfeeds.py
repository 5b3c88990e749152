"""No bad feed makes us show a unit that is not there, or hide one that is; and everybody is told, and it ends well.

RECONCILERD_BADFEEDS=1 lives through every case; by default through every 23rd of those with three SKUs.
"""

import os

import pytest

from tests.badfeeds.cases import KNOWN, cases, measured, untold, why_not
from tests.badfeeds.feeds import CORPUS, Bad, Feed
from tests.badfeeds.world import Case, judged

EVERY = int(os.environ.get("RECONCILERD_BADFEEDS", "23"))
SOLD = 6
"""Units that are sold in a long case: three of each of two SKUs."""
CHOSEN = list(cases()) if EVERY == 1 else list(cases(sizes=(3,)))[::EVERY]


def marked(case: Case) -> object:
    known = why_not(case)
    marks = [pytest.mark.xfail(reason=known, strict=measured(case))] if known else []
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [marked(case) for case in CHOSEN])
def test_a_bad_feed_publishes_nothing_and_hides_nothing(case: Case) -> None:
    verdict = judged(case)
    if not (verdict.spoilt or case.bad.stale):
        pytest.skip("in its one sweep nothing was there to be spoilt: it proves nothing")
    assert (verdict.published, verdict.hidden) == (0, 0)
    assert verdict.violations == 0
    assert verdict.unshown == 0, f"not as it should be once mended: {verdict.wrong}"
    assert not untold(case, verdict), "nobody was told of the feed"


@pytest.mark.parametrize("split", [True, False])
def test_orders_that_extensiv_has_before_their_channel_tells_them_hide_no_more_than_was_sold(
    split: bool,
) -> None:
    """Whatever the feed says, others are lowered for a sale that is known before its own listing is read again."""
    bad = next(each for each in CORPUS if each.name == "times 100")
    verdict = judged(Case(Feed.ORDERS, bad, long=True, split=split, early=True))
    assert verdict.spoilt
    assert verdict.published == 0
    assert verdict.hidden <= SOLD
    assert verdict.unshown == 0


def test_the_counting_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that believes its stock feed whatever it says is found out, both ways."""
    monkeypatch.setattr("reconcilerd.connectors.extensiv.stock.Stock._unlikely", lambda *_: False)
    monkeypatch.setattr("reconcilerd.domain.guards.SIZE", ())
    halved = Bad("halved", lambda _feed, rows: [{**row, "quantity": row["quantity"] // 2} for row in rows])
    twice = Bad("twice", lambda _feed, rows: [{**row, "quantity": row["quantity"] * 2} for row in rows])
    for bad in (halved, twice):
        spoil = bad.spoil
        fits = Bad(bad.name, lambda feed, rows, spoil=spoil: [_fitting(row) for row in spoil(feed, rows)])  # type: ignore[misc]
        verdict = judged(Case(Feed.STOCK, fits, long=True))
        assert (verdict.hidden > 0) == (bad is halved)
        assert (verdict.published > 0) == (bad is twice)


def _fitting(row: dict[str, object]) -> dict[str, object]:
    return {**row, "availableQuantity": row["quantity"], "allocatedQuantity": 0, "quantityLocked": 0}


def test_what_is_known_to_fail_is_in_the_corpus() -> None:
    assert {name for _, name in KNOWN} <= {bad.name for bad in CORPUS}
