"""The past is read beside the daemon that writes, off its loop; a ledger that cannot be read ends no daemon."""

import threading
from pathlib import Path
from uuid import UUID

import pytest
from starlette.requests import Request

from reconcilerd.daemon.turns import Readers
from reconcilerd.domain.facts import PlanMade
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger import reader
from reconcilerd.ledger.store import Ledger
from reconcilerd.web import past
from reconcilerd.web.past import passed_of, past_of
from reconcilerd.web.roles import Role
from reconcilerd.web.sku import NotShown, Row
from reconcilerd.web.views import View, looked, status_of
from tests.ledger.test_ledger import stock


async def test_it_reads_what_a_writer_has_written_on_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def open_reader(path: Path) -> reader.Reader:
        threads.append(threading.get_ident())
        return reader.open_reader(path)

    monkeypatch.setattr(past, "open_reader", open_reader)
    read = past_of(tmp_path / "l.db", Readers())
    with Ledger.open(tmp_path / "l.db", clock=lambda: Instant(9_000), durable=False) as ledger:
        facts = [stock("a", number, number) for number in range(1, 6)] + [stock("b", 7, 1)]
        for fact in facts:
            ledger.append([fact])
        found: list[Row] = await read([("stock", "a@1"), ("stock", "b@1"), ("stock", "c@1")], 2)
        assert [fact for _, _, fact in found] == [facts[4], facts[3], facts[5]]
        assert {at for _, at, _ in found} == {9_000}
    assert threads
    assert threading.get_ident() not in threads


async def test_a_pass_is_found_by_its_id_and_sooner_by_its_entry(tmp_path: Path) -> None:
    ids = [str(UUID(int=number)) for number in (1, 2)]
    with Ledger.open(tmp_path / "l.db", clock=lambda: Instant(9_000), durable=False) as ledger:
        for id_ in ids:
            ledger.append([stock("a", 1, 1), PlanMade(id_, Instant(1), 3, (("send", 3),), ())])
        read = passed_of(tmp_path / "l.db", Readers())
        for entry in (None, 0, 1, 2, 99):
            found = await read(ids[1], entry, 1)
            assert (found.made.id, found.entry.seq, found.why_not) == (
                ids[1],
                2,
                "nothing was decided beyond what holds anyway",
            )
        with pytest.raises(NotShown, match="is in the ledger"):
            await read(str(UUID(int=3)), 1, 1)


async def test_a_ledger_that_cannot_be_read_is_a_page_that_is_not_shown(tmp_path: Path) -> None:
    read = past_of(tmp_path / "none.db", Readers())

    async def look(_request: Request) -> list[Row]:
        return await read([("stock", "a@1")], 1)

    with pytest.raises(LedgerFault):
        await read([("stock", "a@1")], 1)
    with pytest.raises(NotShown, match="there is no ledger yet") as caught:
        await looked(View("x", "", list, look, "/x"), Request({"type": "http", "state": {"role": Role.READ}}))
    assert status_of(caught.value) == 503
