"""What a decision looked at is not kept for ever: its record says so, and how long it would have been."""

import pytest

from reconcilerd.domain.facts import ASIDE, DecisionRecorded, LedgerAnchored
from reconcilerd.domain.names import Instant
from reconcilerd.domain.record import inputs_on_record, replay

GONE = DecisionRecorded("d1", Instant(5), "p", "v", (("a", "00"),), f"{ASIDE}{'0' * 64}")


def test_a_record_that_is_gone_is_told_apart_from_one_that_is_damaged() -> None:
    with pytest.raises(ValueError, match="d1 looked at is not kept any longer"):
        list(replay(GONE))
    with pytest.raises(ValueError, match=r"ledger\.decisions_days"):
        inputs_on_record(GONE)


def test_there_is_one_anchor_and_a_newer_one_takes_its_place() -> None:
    older, newer = (LedgerAnchored(n, "", "", n, Instant(n)) for n in (1, 2))
    assert (older.kind, older.about) == (newer.kind, newer.about)
    assert older.as_of < newer.as_of
