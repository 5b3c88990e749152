"""What compaction takes away, and what it must not: the state, the book, the proof, and young records."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from reconcilerd.cli.render import history
from reconcilerd.daemon.keeper import Terms, let_go
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    EXTENSIV,
    DecisionRecorded,
    Fact,
    LedgerAnchored,
    LedgerRestored,
    OrderStatus,
    SilenceSet,
)
from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import Mode
from reconcilerd.domain.record import replay
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger import store
from reconcilerd.ledger.fold import Held, SetDigest
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer
from reconcilerd.trial.stage import START
from tests.domain.books import order
from tests.ledger.test_ledger import stock
from tests.near_misses.samples import FACTS
from tests.plans.stage import Shop, opened
from tests.plans.test_replay import check
from tests.world.stage import policy, shop

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
LATE = Instant(START + 30 * DAY_MS)
THEN = Instant(START + 3_600_000)
"""When the hour has passed."""


@cache
def traded() -> bytes:
    """A ledger of an hour of trade, as the bytes of its file."""

    async def hour(one: Shop) -> None:
        await one.ask("approve", id="held", reason="go on")
        await shop(one.stage, 40, 1.0, 3, ("a", "b"))
        chance = Random(1)
        for _ in range(4):
            item = chance.choice(one.stage.world.items_of("a"))
            one.stage.world.set_quantity(item, chance.randint(0, 60), one.stage.clock())
            await anyio.sleep(200)
        one.stage.world.receive("b", 1, 30, one.stage.clock())
        await one.ask("reconcile", skus=["b"], fresh=True)
        await one.apply(await one.plan(sku="b"))
        await one.ask("freeze", channel="shop-eu", reason="a stock-take")
        await anyio.sleep(60)

    with TemporaryDirectory() as folder:
        path = Path(folder) / "l.db"
        opened(path, hour, mode=Mode.GUARDED)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "l.db"
    path.write_bytes(traded())
    return path


def without_anchor(ledger: Ledger) -> list[Fact]:
    return [fact for fact in ledger.everything() if not isinstance(fact, LedgerAnchored)]


def loaded(facts: list[Fact]) -> Book:
    book = Book(policy(split=True), awake_since=LATE)
    book.load(facts, LATE)
    return book


def writing(path: Path, at: Instant = LATE) -> Ledger:
    return Ledger.open(path, clock=lambda: at, durable=False)


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_compacted_ledger_gives_the_same_state_and_book_as_the_whole_one_and_so_does_its_rebuild(
    data: DataObject,
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "l.db"
        path.write_bytes(traded())
        with writing(path) as ledger:
            # One of every kind too: open intents, latches, approvals in force, plans that were applied.
            for fact in data.draw(st.permutations([each for each in FACTS if each.kind != "anchor"])):
                ledger.append([fact, stock("more", 1, 1)])
            whole, last = without_anchor(ledger), ledger.latest_seq
            kinds = {fact.kind for fact in whole}
            assert {
                "envelope",
                "freeze",
                "applied",
                "correction",
                "sent",
                "order",
                "slot",
                "stock",
                "inferred",
            } <= kinds
            book = loaded(whole)
            for upto in sorted(data.draw(st.lists(st.integers(1, last), min_size=1, max_size=4))):
                while ledger.compact(Instant(LATE + 1), upto):
                    pass
                assert without_anchor(ledger) == whole
                if data.draw(st.booleans()):
                    ledger.drop_records(LATE)
                ledger.rebuild_state()
                assert without_anchor(ledger) == whole
                assert loaded(list(ledger.everything())) == book
                assert ledger.verify().ok
                assert min(entry.seq for entry in ledger.entries()) == upto + 1
                (oldest,) = ledger._connection.execute("select min(seq) from records").fetchone()
                assert oldest is None or oldest > upto, "a record without its entry"


def test_a_daemon_goes_on_from_a_compacted_ledger_and_decides_by_what_can_be_proven(path: Path) -> None:
    with writing(path, THEN) as ledger:
        upto = ledger.latest_seq - 40
        while ledger.compact(LATE, upto):
            pass
        cut = ledger.latest_seq

    async def on(one: Shop) -> None:
        told = await one.ask("history", sku="a", limit=500)
        ends = history(told, 80).splitlines()[-2:]
        assert f"#{told['compacted']} were compacted away" in " ".join(ends)
        await one.ask("unfreeze", channel="shop-eu")
        await shop(one.stage, 20, 1.0, 4, ("a", "b"))

    opened(path, on, start=THEN)
    with writing(path) as ledger:
        assert ledger.latest_seq > cut + 20
        assert ledger.verify().ok
    assert check(path) > 0


def decisions(ledger: Ledger) -> Iterator[tuple[int, DecisionRecorded]]:
    for entry in ledger.entries():
        for fact in entry.facts:
            if isinstance(fact, DecisionRecorded):
                yield entry.seq, fact


def test_what_decisions_looked_at_goes_before_their_entries_and_only_that(path: Path) -> None:
    with writing(path, THEN) as ledger:
        state, before = without_anchor(ledger), list(decisions(ledger))
        times = {entry.seq: entry.at for entry in ledger.entries()}
        middle = before[len(before) // 2][0]
        entries = ledger.latest_seq
        while ledger.drop_records(times[middle]):
            pass
        assert ledger.verify().ok
        assert without_anchor(ledger) == state
        assert ledger.latest_seq > entries
        for (seq, made), (_, now) in zip(before, decisions(ledger), strict=True):
            named = ledger.entry_naming(made.id)
            assert named is not None
            assert now in named.facts
            if times[seq] < times[middle]:
                with pytest.raises(ValueError, match="not kept any longer"):
                    list(replay(now))
            else:
                assert now == made
                assert all(each.identical for each in replay(now))


def test_what_a_young_decision_looked_at_stays_though_the_clock_went_back_after_it(tmp_path: Path) -> None:
    """Records go from the oldest entry on, and no further than to the first that is young."""
    times = iter([1_000, 5_000, 2_000, *[6_000] * 4])
    with Ledger.open(tmp_path / "l.db", clock=lambda: Instant(next(times)), durable=False) as ledger:
        for name in ("old", "young", "back"):
            ledger.append([DecisionRecorded(name, Instant(1), "f00d", "0.1.0", (), f"packed of {name}")])
        assert ledger.drop_records(Instant(3_000)) == 1
        assert ledger.drop_records(Instant(3_000)) == 0
        assert [made.packed for _, made in decisions(ledger)][1:] == ["packed of young", "packed of back"]
        assert ledger.verify().ok


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("delete from records where seq = ?", "is missing"),
        ("update records set packed = packed || 'x' where seq = ?", "not what was written"),
    ],
)
def test_a_record_that_is_gone_too_early_or_spoilt_is_found(path: Path, sql: str, why: str) -> None:
    with writing(path) as ledger:
        seq = next(decisions(ledger))[0]
    with closing(sqlite3.connect(path)) as other:
        with pytest.raises(sqlite3.IntegrityError):
            other.execute(sql, (seq,))
        other.executescript("drop trigger records_stay; drop trigger records_never_change")
        other.execute(sql, (seq,))
        other.commit()
    reader = open_reader(path)
    found = reader.verify()
    reader.close()
    assert (found.ok, found.first_bad) == (False, seq)
    assert why in found.why


def test_large_records_stand_beside_the_chain_and_not_in_it(path: Path) -> None:
    with writing(path) as ledger:
        largest = max(len(made.packed) for _, made in decisions(ledger))
        bodies = ledger._connection.execute(
            "select max(length(body)) from entries where instr(body, '\"decision\"')"
        ).fetchone()[0]
        assert largest > 500
        for seq, made in decisions(ledger):
            (body,) = ledger._connection.execute("select body from entries where seq = ?", (seq,)).fetchone()
            assert made.packed.encode() not in bytes(body)
        assert bodies


@pytest.mark.parametrize("steps", [(2, 5_000), (256, 30)])
async def test_a_day_of_compaction_goes_in_steps_that_let_writers_in(
    path: Path, monkeypatch: pytest.MonkeyPatch, steps: tuple[int, int]
) -> None:
    monkeypatch.setattr("reconcilerd.daemon.keeper.REST_S", 0.0)
    monkeypatch.setattr(store, "STEP_ENTRIES", steps[0])
    monkeypatch.setattr(store, "STEP_ROWS", steps[1])
    sizes: list[int] = []

    with writing(path) as ledger:
        compact, last = ledger.compact, ledger.latest_seq

        def counted(before: Instant, upto: int) -> int:
            sizes.append(compact(before, upto))
            return sizes[-1]

        monkeypatch.setattr(ledger, "compact", counted)
        async with Writer(ledger) as writer, anyio.create_task_group() as group:

            async def trade() -> None:
                for number in range(20):
                    await writer.append([stock("new", number, int(LATE) + number)])

            group.start_soon(trade)
            gone, _, _ = await let_go(writer, ledger, LATE, Terms(0, 0))
        assert gone == sum(sizes) == last
        assert len(sizes) > 8
        assert max(sizes) <= steps[0]
        found = ledger.verify()
        assert (found.ok, found.anchor) == (True, last)


def test_what_is_younger_than_asked_stays(path: Path) -> None:
    with writing(path, THEN) as ledger:
        times = [entry.at for entry in ledger.entries()]
        middle = sorted(times)[len(times) // 2]
        upto = ledger.latest_seq
        while ledger.compact(middle, upto):
            pass
        assert min(entry.at for entry in ledger.entries()) == middle


@pytest.mark.parametrize("wrote", [False, True], ids=["at once", "after it wrote by that clock"])
async def test_a_clock_that_is_ahead_for_a_while_costs_no_history(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, wrote: bool
) -> None:
    monkeypatch.setattr("reconcilerd.daemon.keeper.REST_S", 0.0)
    at, terms = [THEN], Terms(90 * DAY_MS, 14 * DAY_MS)
    with Ledger.open(path, clock=lambda: at[0], durable=False) as ledger:
        ledger.append([SilenceSet("x", True, "*", "*", "ops", "so", THEN, Instant(THEN + 30 * DAY_MS))])
        entries, made, state = list(ledger.entries()), list(decisions(ledger)), without_anchor(ledger)
        at[0] = Instant(THEN + 400 * DAY_MS)
        async with Writer(ledger, inline=True) as writer:
            if wrote:
                await writer.append([stock("ahead", 1, at[0])])
            assert await let_go(writer, ledger, at[0], terms) == (0, 0, 0)
            at[0] = Instant(THEN + 600_000)
            assert await let_go(writer, ledger, at[0], terms) == (0, 0, 0)
        assert list(ledger.entries())[: len(entries)] == entries
        assert list(decisions(ledger)) == made
        assert [fact for fact in without_anchor(ledger) if fact.about != "ahead@1"] == state


def test_a_clock_that_is_ahead_for_a_while_ends_nothing_that_is_to_end_later(tmp_path: Path) -> None:
    """Their entries went long ago; the silence holds for another month, and Extensiv's clock is ahead of ours."""
    at = [THEN]
    with Ledger.open(tmp_path / "l.db", clock=lambda: at[0], durable=False) as ledger:
        silence = SilenceSet("x", True, "*", "*", "ops", "so", THEN, Instant(THEN + 30 * DAY_MS))
        ended = order(EXTENSIV, OrderStatus.SHIPPED, THEN + DAY_MS)
        ledger.append([silence, ended])
        at[0] = Instant(THEN + 1_000)
        assert ledger.compact(at[0], ledger.latest_seq) == 1
        kept, at[0] = without_anchor(ledger), Instant(THEN + 400 * DAY_MS)
        before = Instant(at[0] - 90 * DAY_MS)
        assert ledger.forget(before) == 0
        assert ledger.ended_orders(before) == {}
        assert without_anchor(ledger) == kept == [ended, silence]


def hourly(ledger: Ledger, clock: list[Instant], hours: int) -> None:
    """A decision an hour, for so many hours."""
    for _ in range(hours):
        clock[0] = Instant(clock[0] + HOUR_MS)
        name = str(ledger.latest_seq + 1)
        ledger.append([DecisionRecorded(name, clock[0], "f00d", "0.1.0", (), f"packed of {name}")])


def let_go_of_all_before(ledger: Ledger, before: Instant) -> tuple[list[Instant], list[Instant]]:
    """When the entries were written whose records stay, and those that stay themselves, but for anchors."""
    while ledger.drop_records(before):
        pass
    rows = ledger._connection.execute("select at from records join entries using (seq) order by seq")
    records = [Instant(at) for (at,) in rows]
    upto = ledger.latest_seq
    while ledger.compact(before, upto):
        pass
    assert ledger.verify().ok
    return records, [entry.at for entry in ledger.entries() if not entry.note.startswith("compacted")]


@pytest.mark.parametrize("by_date", [False, True], ids=["of its own", "a person named the date"])
@pytest.mark.parametrize("hours", [1, 5])
def test_what_a_clock_that_was_a_year_ahead_wrote_holds_back_nothing_that_follows(
    tmp_path: Path, hours: int, *, by_date: bool
) -> None:
    """Or the disk would fill for a year."""
    at = [THEN]
    with Ledger.open(tmp_path / "l.db", clock=lambda: at[0], durable=False, by_date=by_date) as ledger:
        hourly(ledger, at, 24)
        at[0] = Instant(at[0] + 365 * DAY_MS)
        hourly(ledger, at, hours)
        at[0] = Instant(at[0] - 365 * DAY_MS)
        hourly(ledger, at, 240)
        before = Instant(at[0] - 2 * DAY_MS)
        lately = [Instant(before + hour * HOUR_MS) for hour in range(49)]
        assert let_go_of_all_before(ledger, before) == (lately, lately)


@pytest.mark.parametrize("by_date", [False, True], ids=["of its own", "a person named the date"])
@pytest.mark.parametrize("hours", [1, 5])
def test_what_a_clock_that_was_far_behind_wrote_frees_nothing_that_went_before_it(
    tmp_path: Path, hours: int, *, by_date: bool
) -> None:
    """A machine that boots in 1970 until it has asked for the time."""
    at = [THEN]
    with Ledger.open(tmp_path / "l.db", clock=lambda: at[0], durable=False, by_date=by_date) as ledger:
        hourly(ledger, at, 96)
        right, at[0] = at[0], Instant(0)
        hourly(ledger, at, hours)
        at[0] = Instant(right + hours * HOUR_MS)
        hourly(ledger, at, 24)
        before = Instant(at[0] - 2 * DAY_MS)
        for kept in let_go_of_all_before(ledger, before):
            young = [each for each in kept if each > DAY_MS]
            assert len(young) in {49 - hours, 50 - hours}
            assert before - HOUR_MS <= young[0] <= before


def test_a_person_who_names_a_date_keeps_what_is_younger_however_much_a_clock_that_was_behind_wrote_after_it(
    tmp_path: Path,
) -> None:
    at = [THEN]
    with Ledger.open(tmp_path / "l.db", clock=lambda: at[0], durable=False, by_date=True) as ledger:
        hourly(ledger, at, 10)
        right, at[0] = at[0], Instant(0)
        hourly(ledger, at, 30)
        at[0] = right
        hourly(ledger, at, 5)
        whole = ledger.latest_seq
        entries, records = let_go_of_all_before(ledger, Instant(THEN - DAY_MS))
        assert (len(entries), len(records)) == (whole, whole)


def test_a_young_ledger_keeps_all_though_it_was_mostly_written_by_a_clock_that_was_behind(
    tmp_path: Path,
) -> None:
    at = [THEN]
    with Ledger.open(tmp_path / "l.db", clock=lambda: at[0], durable=False) as ledger:
        hourly(ledger, at, 5)
        at[0] = Instant(0)
        hourly(ledger, at, 20)
        at[0] = Instant(THEN + 25 * HOUR_MS)
        records, entries = let_go_of_all_before(ledger, Instant(at[0] - 2 * DAY_MS))
        assert (len(records), len(entries)) == (25, 25)


def test_a_machine_that_boots_in_1970_time_and_again_keeps_what_is_young_by_its_right_dates(
    tmp_path: Path,
) -> None:
    """Each such start counts for a step that was not lived through; together they would come to days."""
    at = [THEN]
    with Ledger.open(tmp_path / "l.db", clock=lambda: at[0], durable=False) as ledger:
        chance = Random(1)
        for _ in range(40):
            hourly(ledger, at, chance.randint(5, 17))
            right, at[0] = at[0], Instant(chance.randint(0, HOUR_MS))
            hourly(ledger, at, 1)
            at[0] = Instant(right + HOUR_MS)
        before = Instant(at[0] - 10 * DAY_MS)
        written = [entry.at for entry in ledger.entries()]
        for kept in let_go_of_all_before(ledger, before):
            assert kept[-100:] == written[-100:]
            assert {each for each in written if each >= before} <= set(kept)
            assert len(kept) < len(written) * 0.7


async def test_a_date_that_a_person_named_holds_whatever_was_lived_through_since(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcilerd.daemon.keeper.REST_S", 0.0)
    late = Instant(THEN + 400 * DAY_MS)
    for by_date in (False, True):
        with Ledger.open(path, clock=lambda: late, durable=False, by_date=by_date) as ledger:
            async with Writer(ledger, inline=True) as writer:
                before = ledger.latest_seq
                gone, _, _ = await let_go(writer, ledger, late, Terms(90 * DAY_MS, 14 * DAY_MS))
            assert gone == before * by_date
            assert ledger.verify().ok


def test_a_ledger_is_not_compacted_over_an_entry_that_is_missing(tmp_path: Path) -> None:
    """What shows that it is would go."""
    at = [Instant(0)]
    with Ledger.open(tmp_path / "l.db", clock=lambda: at[0], durable=False) as ledger:
        for day in (1, 11, 21):
            at[0] = Instant(day * DAY_MS)
            ledger.append([stock("a", day, at[0])])
        ledger._connection.executescript("drop trigger entries_stay; delete from entries where seq = 2")
        with pytest.raises(LedgerFault, match=r"entry 2 is missing; run: reconcilerd ledger verify"):
            ledger.compact(Instant(2 * DAY_MS), 3)


def test_an_anchor_takes_the_place_of_the_one_before_however_the_clock_moves(tmp_path: Path) -> None:
    """The clock goes back after the first one, and on again before the second one is written."""
    times = iter([1_000, 2_000, *[5_000] * 3, *[3_000] * 2, 6_000])
    with Ledger.open(tmp_path / "l.db", clock=lambda: Instant(next(times)), durable=False) as ledger:
        for as_of in (1_000, 2_000):
            ledger.append([stock("a", 1, as_of)])
        for upto in (1, 2):
            assert ledger.compact(LATE, upto) == 1
            assert ledger.anchor is not None
            assert ledger.anchor.through == upto
            assert ledger.verify().ok


def test_a_step_that_fails_takes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with writing(path) as ledger:
        entries, head = ledger.latest_seq, ledger.head_hash

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(ledger, "_fold_into_base", full)
        with pytest.raises(LedgerFault, match="disk is full"):
            ledger.compact(LATE, entries)
        assert (ledger.latest_seq, ledger.head_hash, ledger.anchor) == (entries, head, None)
        assert ledger.append([stock("a", 1, 1)]) == entries + 1
        assert ledger.verify().ok


def test_what_went_gives_its_room_back(path: Path) -> None:
    before = path.stat().st_size
    with writing(path) as ledger:
        assert ledger.shrink() == 0
        upto = ledger.latest_seq
        while ledger.compact(LATE, upto):
            pass
        assert ledger.shrink() > 0
        assert ledger.verify().ok
    assert path.stat().st_size < before * 0.8


def test_a_backup_of_a_compacted_ledger_is_proven_like_any_other(path: Path, tmp_path: Path) -> None:
    from reconcilerd.ledger.backups import back_up, restore

    with writing(path) as ledger:
        ledger.compact(LATE, 10)
        made = back_up(path, tmp_path / "b", lambda: LATE, hourly=1, daily=1)
        restore(Path(made.backup.file), tmp_path / "new.db", lambda: LATE, replace=False, by="a test")
        with writing(tmp_path / "new.db") as restored:
            same = [fact for fact in without_anchor(restored) if not isinstance(fact, LedgerRestored)]
            assert same == without_anchor(ledger)
            assert restored.anchor == ledger.anchor


rows = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b\0"]), st.text(max_size=2)),
    st.builds(Held, st.integers(1, 9), st.integers(0, 9), st.integers(0, 9), st.binary(max_size=3)),
    max_size=5,
)


@given(rows, rows)
def test_the_digest_of_a_set_is_kept_up_row_by_row_and_tells_sets_apart(
    one: dict[tuple[str, str], Held], other: dict[tuple[str, str], Held]
) -> None:
    digest = SetDigest.of(one.items())
    assert SetDigest.read(digest.text) == digest
    for key, held in one.items():
        digest.remove(key, held)
    for key, held in reversed(list(other.items())):
        digest.add(key, held)
    assert digest == SetDigest.of(other.items())
    assert (SetDigest.of(one.items()) == digest) == (one == other)
