"""A ledger put back from a backup that is minutes old, taken while writes were under way: the daemon converges.

What it wrote in the minutes that are lost it does not know; what was open in the backup it never sends again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typing_extensions import override

from reconcilerd.daemon.audit import audit_rest
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent
from reconcilerd.domain.invariants import check_history
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.backups import restore
from reconcilerd.ledger.codec import UnknownFact
from reconcilerd.ledger.copies import copy_of
from reconcilerd.ledger.reader import open_reader
from reconcilerd.trial.stage import START
from tests.crash.test_crash import check_door, check_intents
from tests.crash.theatre import SETTLING_S, SHOPPING_S, Death, Theatre

LOST_S = 300.0
"""So long the daemon trades on after the last that a backup may hold."""


def open_intents(path: Path) -> set[str]:
    """Ids of writes that were written down and not answered."""
    reader = open_reader(path)
    try:
        answered = {fact.slot: fact.id for fact in reader.state(CorrectionSent)}
        return {each.id for each in reader.state(CorrectionPlanned) if answered.get(each.slot) != each.id}
    finally:
        reader.close()


@dataclass
class Photographer(Death):
    """Kills nobody: takes a backup at a request, the ``nth`` while a write is open."""

    path: Path = field(default_factory=Path)
    target: Path = field(default_factory=Path)
    nth: int = 1
    before: bool = True
    open: frozenset[str] = frozenset()
    """Ids of the writes that the backup holds as open."""

    @override
    async def around(self, step: Callable[[], Awaitable[object]]) -> object:
        if self.before:
            self._look()
        done = await step()
        if not self.before:
            self._look()
        return done

    def _look(self) -> None:
        found = open_intents(self.path) if self.steps < self.nth else set()
        self.steps += bool(found)
        if found and self.steps == self.nth:
            self.open = frozenset(found)
            copy_of(self.path, self.target, lambda _: None)


@pytest.mark.parametrize("hostile", [False, True], ids=["calm", "hostile"])
@pytest.mark.parametrize(("nth", "before"), [(1, True), (3, False), (9, True), (14, False)])
def test_a_daemon_on_a_backup_taken_mid_write_converges_and_writes_nothing_twice(
    tmp_path: Path, nth: int, before: bool, hostile: bool
) -> None:
    theatre = Theatre(tmp_path / "ledger.db", hostile=hostile)
    taken = Photographer(path=theatre.path, target=tmp_path / "copy.db", nth=nth, before=before)
    theatre.live(Instant(START + round((SHOPPING_S + LOST_S) * 1000)), requests=taken)
    assert taken.open, "no write was under way: the test proves nothing"

    doors = [each for api in theatre.business.stores.values() for each in api.door]
    restored_at = theatre.clock()
    done = restore(taken.target, theatre.path, theatre.clock, replace=True, by="a test")
    assert open_intents(theatre.path) == taken.open
    whole = open_reader(Path(done.replaced or ""))
    assert whole.latest_seq > done.what.entries, "nothing was lost: the test proves nothing"
    whole.close()

    theatre.faults.rates = {}
    # A person sells and counts on; what the lost minutes wrote is there and unknown.
    theatre.world.receive("a", 1, 7, restored_at)
    built = theatre.live(Instant(restored_at + round(SETTLING_S * 1000)))

    assert theatre.wrong() == {}
    assert not built.daemon.desk.book.words.breaches
    assert [t.slot for t in built.daemon.desk.book.slots.values() if t.write is not None] == []
    reader = open_reader(theatre.path)
    found = reader.verify()
    entries = list(reader.entries())
    assert found.ok, found.why
    facts = ((each.at, [f for f in each.facts if not isinstance(f, UnknownFact)]) for each in entries)
    assert check_history(facts) == ()
    assert audit_rest(built.daemon, reader.everything()) == ()
    reader.close()

    later = [each for api in theatre.business.stores.values() for each in api.door if each.at > restored_at]
    assert later, "nothing was written: the test proves nothing"
    assert not {each.key for each in later} & {each.key for each in doors}, "a write went out a second time"
    planned = [(at, each) for at, each in check_intents(entries) if at > restored_at]
    for api in theatre.business.stores.values():
        for each in [each for each in api.door if each.at <= restored_at]:
            api.door.remove(each)
    check_door(theatre, planned)
