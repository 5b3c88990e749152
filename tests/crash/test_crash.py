"""Stopped dead at any step, the daemon starts again, finds out what became of its writes, and converges.

RECONCILERD_CRASHES=1 tries every step; by default every 41st of each kind.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from reconcilerd.assemble import Assembled
from reconcilerd.daemon.audit import audit_rest, stopped
from reconcilerd.domain.facts import CorrectionPlanned, CorrectionSent
from reconcilerd.domain.invariants import check_history
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.codec import UnknownFact
from reconcilerd.ledger.reader import Entry, open_reader
from reconcilerd.trial.stage import START
from tests.crash.theatre import SETTLING_S, SHOPPING_S, Death, Theatre

EVERY = int(os.environ.get("RECONCILERD_CRASHES", "41"))


@cache
def undisturbed(*, hostile: bool = False) -> tuple[int, int]:
    """How many commits and requests the scene takes if nobody dies; it ends with everything right."""
    with TemporaryDirectory() as folder:
        theatre = Theatre(Path(folder) / "ledger.db", hostile=hostile)
        commits, requests = Death(), Death()
        built = theatre.whole(commits, requests)
        assert theatre.world.score.sold == 8
        assert (len(theatre.faults.done) > 5) == hostile
        check_all(theatre, built)
        return commits.steps, requests.steps


def check_all(theatre: Theatre, built: Assembled) -> None:
    """I6 to I10 and I18, and that the business is where it would be without any death."""
    reader = open_reader(theatre.path)
    try:
        found = reader.verify()
        assert found.ok, found
        entries = list(reader.entries())
        planned = check_intents(entries)
        check_door(theatre, planned)
        facts = ((each.at, [f for f in each.facts if not isinstance(f, UnknownFact)]) for each in entries)
        assert check_history(facts) == ()
        assert audit_rest(built.daemon, reader.everything()) == ()
    finally:
        reader.close()
    assert theatre.wrong() == {}
    assert stopped(built.daemon.desk.book) == []
    assert [t.slot for t in built.daemon.desk.book.slots.values() if t.write is not None] == []


def check_intents(entries: Sequence[Entry]) -> list[tuple[Instant, CorrectionPlanned]]:
    """Each intent once, each answer to one that was written down before."""
    planned: dict[str, tuple[Instant, CorrectionPlanned]] = {}
    for entry in entries:
        for fact in entry.facts:
            if isinstance(fact, CorrectionPlanned):
                assert fact.id not in planned, "one id for two intents"
                planned[fact.id] = (entry.at, fact)
            elif isinstance(fact, CorrectionSent):
                assert fact.id in planned, "an answer to what was never written down"
    return list(planned.values())


def check_door(theatre: Theatre, planned: Sequence[tuple[Instant, CorrectionPlanned]]) -> None:
    """Each write at a store's door has an intent of its own, from before."""
    meant: dict[tuple[str, str, int], list[Instant]] = defaultdict(list)
    for at, each in planned:
        meant[each.slot.channel, each.slot.listing, each.target].append(at)
    written = [each for api in theatre.business.stores.values() for each in api.door]
    assert written
    for one in sorted(written, key=lambda one: one.at):
        mine = meant[one.store, one.item, one.quantity]
        assert mine, f"nobody meant to write {one}"
        assert mine.pop(0) <= one.at


def die(theatre: Theatre, kind: str, death: Death, again: Death | None = None) -> None:
    if kind == "commits":
        built = theatre.whole(commits=death, again=None if again is None else (again, None))
    else:
        built = theatre.whole(requests=death, again=None if again is None else (None, again))
    assert death.dead, "nobody died: the test proves nothing"
    check_all(theatre, built)


def steps_of(kind: str, number: int, *, hostile: bool) -> range:
    """Every step, or a sample of them that differs from test to test, so that together they try more."""
    steps = undisturbed(hostile=hostile)[kind == "requests"]
    assert steps > 40
    return range(1 + 7 * number % EVERY, steps + 1, EVERY)


@pytest.mark.timeout(7200 if EVERY < 10 else 900)
@pytest.mark.parametrize("hostile", [False, True], ids=["calm", "hostile"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["commits", "requests"])
def test_death_at_any_step_loses_nothing_and_ends_where_no_death_ends(
    kind: str, after: bool, hostile: bool, tmp_path: Path
) -> None:
    for k in steps_of(kind, after + 2 * hostile, hostile=hostile):
        try:
            die(Theatre(tmp_path / f"{k}.db", hostile=hostile), kind, Death(at=k, after=after))
        except (AssertionError, ExceptionGroup) as error:
            error.add_note(f"killed {'after' if after else 'before'} step {k} of {kind}")
            raise


@pytest.mark.timeout(7200 if EVERY < 10 else 900)
@pytest.mark.parametrize("kind", ["commits", "requests"])
def test_death_while_it_starts_again_loses_nothing_either(kind: str, tmp_path: Path) -> None:
    for k in steps_of(kind, 4, hostile=False):
        again = Death(at=1 + k % 12, after=k % 2 == 0)
        try:
            die(Theatre(tmp_path / f"{k}.db"), kind, Death(at=k, after=True), again)
            assert again.dead, "nobody died while it started: the test proves nothing"
        except (AssertionError, ExceptionGroup) as error:
            error.add_note(f"killed after step {k} of {kind}, and again at step {again.at} of the next life")
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
