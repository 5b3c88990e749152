"""The chain of entries: where something broke, was changed, or comes in an order of its own."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from reconcilerd.domain.facts import OrderStatus, PlanMade
from reconcilerd.domain.names import Instant, Sku
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.store import Ledger
from tests.domain.books import order
from tests.ledger.test_ledger import clock, stock, tampered


@pytest.mark.parametrize("what", ["at = at + 1", "note = 'x'"])
def test_verify_names_the_entry_whose_time_or_note_was_changed(tmp_path: Path, what: str) -> None:
    found = tampered(tmp_path / "l.db", f"update entries set {what} where seq = 2")
    assert (found.ok, found.first_bad) == (False, 2)


def test_what_was_not_written_leaves_no_gap_in_the_chain(tmp_path: Path) -> None:
    bad = replace(stock("a", 1, 1), sku=Sku("\ud800"))
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        with pytest.raises(UnicodeEncodeError):
            ledger.append_all([([stock("b", 1, 1)], ""), ([bad], "")])
        assert ledger.append([stock("c", 1, 1)]) == 1
        assert ledger.verify().ok


def test_a_step_of_compaction_that_broke_leaves_no_gap_in_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock, by_date=True) as ledger:
        for number in range(4):
            ledger.append([stock("a", number, number)])
        made = ledger._compact

        def broken(before: Instant, upto: int) -> int:
            made(before, upto)
            raise LedgerFault("the disk is full")

        monkeypatch.setattr(ledger, "_compact", broken)
        with pytest.raises(LedgerFault):
            ledger.compact(Instant(10_000), 3)
        assert ledger.append([stock("b", 1, 1)]) == 5
        assert ledger.verify().ok


def test_what_a_pass_wrote_is_not_told_of_an_entry_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with Ledger.open(path, clock=clock) as ledger:
        ledger.append([PlanMade("p", Instant(1), 0, (), ())])
    other = sqlite3.connect(path)
    other.executescript("drop trigger entries_never_change; update entries set note = 'x'")
    other.close()
    with closing(open_reader(path)) as reader, pytest.raises(LedgerFault, match="is not what was written"):
        reader.entry_naming("p")


def test_orders_come_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        for number in ("9", "1", "5"):
            ledger.append([order("uk", OrderStatus.OPEN, 1, number=number)])
        assert [each.key.number for each in ledger.orders()] == ["9", "1", "5"]
