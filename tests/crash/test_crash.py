"""Stopped dead at any step, the daemon starts again, finds out what became of its writes, and converges.

RECONCILERD_CRASHES=1 tries every step; by default every 29th of each kind.
"""

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.reader import open_reader
from reconcilerd.trial.stage import START
from tests.crash.theatre import SETTLING_S, SHOPPING_S, Death, Theatre

EVERY = int(os.environ.get("RECONCILERD_CRASHES", "29"))


@cache
def undisturbed() -> tuple[int, int]:
    """How many commits and requests the scene takes if nobody dies; it ends with everything right."""
    with TemporaryDirectory() as folder:
        theatre = Theatre(Path(folder) / "ledger.db")
        commits, requests = Death(), Death()
        theatre.whole(commits, requests)
        assert theatre.world.score.sold == 8
        assert theatre.wrong() == {}
        return commits.steps, requests.steps


def check(theatre: Theatre, kind: str, death: Death) -> None:
    built = theatre.whole(commits=death) if kind == "commits" else theatre.whole(requests=death)
    assert death.dead, "nobody died: the test proves nothing"
    reader = open_reader(theatre.path)
    try:
        found = reader.verify()
        assert found.ok, found
        planned: set[str] = set()
        for entry in reader.entries():
            for fact in entry.facts:
                if isinstance(fact, CorrectionPlanned):
                    assert fact.id not in planned, "one id for two intents"
                    planned.add(fact.id)
                elif isinstance(fact, CorrectionSent):
                    assert fact.id in planned, "an answer to what was never written down"
    finally:
        reader.close()
    assert theatre.wrong() == {}
    assert built.daemon.passes.violations == []
    assert [t.slot for t in built.daemon.desk.book.slots.values() if t.write is not None] == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["commits", "requests"])
def test_death_at_any_step_loses_nothing_and_ends_where_no_death_ends(
    kind: str, after: bool, tmp_path: Path
) -> None:
    commits, requests = undisturbed()
    steps = commits if kind == "commits" else requests
    assert steps > 40
    for k in range(1, steps + 1, EVERY):
        try:
            check(Theatre(tmp_path / f"{k}.db"), kind, Death(at=k, after=after))
        except AssertionError as error:
            error.add_note(f"killed {'after' if after else 'before'} step {k} of {steps} {kind}")
            raise


@pytest.mark.parametrize("room", [0, 3, 10, 20])
def test_a_full_disk_ends_the_daemon_with_nothing_sent_that_is_not_written_down(
    room: int, tmp_path: Path
) -> None:
    theatre = Theatre(tmp_path / "ledger.db")
    shopping = Instant(START + round(SHOPPING_S * 1000))
    with pytest.raises(ExceptionGroup) as raised:
        theatre.live(shopping, room=room)
    assert raised.group_contains(LedgerFault, match="disk is full")
    reader = open_reader(theatre.path)
    try:
        assert reader.verify().ok
        planned = sum(isinstance(f, CorrectionPlanned) for entry in reader.entries() for f in entry.facts)
    finally:
        reader.close()
    assert theatre.world.score.writes <= planned
    theatre.live(Instant(shopping + round(SETTLING_S * 1000)))
    assert theatre.wrong() == {}
