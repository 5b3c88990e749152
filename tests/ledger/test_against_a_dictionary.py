"""The ledger against a list and a dictionary: appended to, broken off, reopened, tampered with, they agree."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from reconcilerd.domain.facts import Fact, FindingKind, FindingRaised, SalesBuried, StockObserved
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, SlotKey
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.codec import encode
from reconcilerd.ledger.lived import aged, reaches
from reconcilerd.ledger.reader import Reader, open_reader
from reconcilerd.ledger.store import Ledger

Key = tuple[str, str]
moments = st.integers(0, 12).map(Instant)
skus = st.sampled_from("ab").map(Sku)
facts = st.one_of(
    st.builds(
        StockObserved,
        skus,
        st.just(LocationName("1")),
        st.integers(0, 3),
        st.just(0),
        st.just(0),
        moments,
        moments,
    ),
    st.builds(
        SalesBuried,
        st.just(SlotKey(ChannelName("uk"), "item", "p")),
        moments,
        st.sampled_from([5, 9]).map(Instant),
    ),
    st.builds(
        FindingRaised,
        st.just(FindingKind.BLANK_SKU),
        st.sampled_from(["", "é\0'", '"\\']),
        st.text(max_size=3),
        moments,
    ),
)
pages = st.lists(facts, max_size=4)


class Broken(RuntimeError):
    """The power went."""


class AgainstADictionary(RuleBasedStateMachine):
    """``written``: every entry as a list. ``state``: the newest of each subject, with the entry that holds it.

    ``gone``: so many of the oldest entries were compacted away.
    """

    @initialize()
    def create(self) -> None:
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "l.db"
        self.now = 5
        self.gone = 0
        self.written: list[tuple[int, str, tuple[Fact, ...]]] = []
        self.state: dict[Key, tuple[Fact, int]] = {}
        self.ledger = self._open(self.path)
        self.beside = open_reader(self.path)

    def _open(self, path: Path) -> Ledger:
        return Ledger.open(path, clock=lambda: Instant(self.now), durable=False)

    def _keep(self, page: Sequence[Fact], note: str) -> None:
        if not page:
            return
        self.written.append((self.now, note, tuple(page)))
        for fact in page:
            old = self.state.get((fact.kind, fact.about))
            if old is None or fact.as_of >= old[0].as_of or old[0].as_of > self.now:
                self.state[fact.kind, fact.about] = (fact, len(self.written))

    @rule(page=pages, note=st.text(max_size=3))
    def append(self, page: list[Fact], note: str) -> None:
        told = self._told(note)
        assert self.ledger.append(page, note=note) == len(self.written) + bool(page)
        self._keep(page, told)

    def _told(self, note: str) -> str:
        """The note as it is written, with what is to be said of the clock."""
        before = self.now < (self.written[-1][0] if self.written else 0)
        gone_back = f" (the clock went back {self.written[-1][0] - self.now} ms)" if before else ""
        return f"{note}{gone_back}".strip() if gone_back else note

    @rule(before=st.integers(0, 15), upto=st.integers(0, 60))
    def compact(self, before: int, upto: int) -> None:
        """The oldest entries go, as far as asked; nothing else changes but for the anchor."""
        going = max(0, min(upto, self._old(before)) - self.gone)
        told = self._told(f"compacted up to entry {self.gone + going}")
        assert self.ledger.compact(Instant(before), upto) == going
        anchor = self.ledger.anchor
        if going:
            assert anchor is not None
            self.gone += going
            self._keep([anchor], told)
        assert (anchor.through if anchor else 0) == self.gone

    def _old(self, before: int) -> int:
        """The last entry that may go, however the clock went."""
        first, last = self.gone + 1, len(self.written)
        if first > last:
            return 0

        def at(seq: int) -> int:
            return self.written[seq - 1][0]

        through = reaches(first, last, lambda seq: at(seq) < before)
        return min(through, aged(Instant(before), Instant(self.now), first, last, at))

    @precondition(lambda self: len(self.written) > self.gone)
    @rule(after=st.booleans())
    def the_power_goes_while_it_compacts(self, after: bool) -> None:
        """All of a step or nothing, in what lies on the disk."""
        head = self.ledger._seq, self.ledger._hash, self.ledger._at
        left = Path(self.folder.name) / f"left{len(list(Path(self.folder.name).iterdir()))}.db"
        with suppress(Broken), self.ledger._immediate():
            self.ledger._compact(Instant(99), len(self.written))
            if after:
                self.ledger._connection.execute("commit")
            for end in ("", "-wal"):
                shutil.copy(f"{self.path}{end}", f"{left}{end}")
            raise Broken
        if after:
            told = self._told(f"compacted up to entry {len(self.written)}")
            self.gone, anchor = len(self.written), self.ledger.anchor
            assert anchor is not None
            self._keep([anchor], told)
        else:
            self.ledger._seq, self.ledger._hash, self.ledger._at = head
        with self._open(left) as found:
            self._agrees(found)

    @precondition(lambda self: self.gone)
    @rule(
        change=st.sampled_from(
            [
                "update base set payload = x'7b7d' where THIS",
                "update base set at = at + 1 where THIS",
                "update base set seq = seq + 1 where THIS",
                "delete from base where THIS",
                "delete from base",
                "update state set payload = cast(payload || ' ' as blob) where kind = 'anchor'",
                "delete from state where kind = 'anchor'",
            ]
        ),
        data=st.data(),
    )
    def whoever_changes_what_was_carried_over_is_found(self, change: str, data: st.DataObject) -> None:
        copy = Path(self.folder.name) / f"copy{len(list(Path(self.folder.name).iterdir()))}.db"
        target = sqlite3.connect(copy)
        self.ledger._connection.backup(target)
        keys = target.execute("select kind, about from base order by kind, about").fetchall()
        key = data.draw(st.sampled_from(keys))
        if "THIS" in change:
            target.execute(change.replace("THIS", "kind = ? and about = ?"), key)
        else:
            target.execute(change)
        target.commit()
        target.close()
        reader = open_reader(copy)
        assert not reader.verify().ok
        reader.close()

    @rule(batch=st.lists(pages, min_size=1, max_size=3))
    def append_several_at_once(self, batch: list[list[Fact]]) -> None:
        self.now = max(self.now, self.written[-1][0] if self.written else 0)
        numbers = self.ledger.append_all([(page, "") for page in batch])
        for number, page in zip(numbers, batch, strict=True):
            self._keep(page, "")
            assert number == len(self.written)

    @rule(at=st.integers(0, 15))
    def the_clock_says(self, at: int) -> None:
        self.now = at

    @rule(batch=st.lists(pages, min_size=1, max_size=2))
    def the_power_goes_before_the_commit(self, batch: list[list[Fact]]) -> None:
        """What lies on the disk then is opened as it is; the living ledger goes on as if nothing had been asked."""
        head = self.ledger._seq, self.ledger._hash, self.ledger._at
        left = Path(self.folder.name) / f"left{len(list(Path(self.folder.name).iterdir()))}.db"
        with suppress(Broken), self.ledger._immediate():
            for page in batch:
                self.ledger._append_one(page, "")
            for end in ("", "-wal"):
                shutil.copy(f"{self.path}{end}", f"{left}{end}")
            raise Broken
        self.ledger._seq, self.ledger._hash, self.ledger._at = head
        with self._open(left) as after:
            self._agrees(after)

    @rule(batch=pages)
    def something_cannot_be_written(self, batch: list[Fact]) -> None:
        """All of a step, or nothing of it."""
        with pytest.raises(TypeError):
            self.ledger.append_all([(batch, "sound"), ([_Unwritable()], "not")])  # type: ignore[list-item]

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = self._open(self.path)

    @rule()
    def rebuild(self) -> None:
        self.ledger.rebuild_state()

    @precondition(lambda self: self.written)
    @rule(
        sql=st.sampled_from(
            [
                "update entries set note = 'x'",
                "delete from entries",
                "update entries set at = 0",
                "delete from entries where seq = (select min(seq) from entries)",
            ]
        )
    )
    def nobody_changes_an_entry(self, sql: str) -> None:
        with pytest.raises(sqlite3.IntegrityError):
            self.ledger._connection.execute(sql)

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def whoever_goes_around_the_triggers_is_found(self, data: st.DataObject) -> None:
        """In a copy: one entry changed anywhere, and the proof names it."""
        copy = Path(self.folder.name) / f"copy{len(list(Path(self.folder.name).iterdir()))}.db"
        target = sqlite3.connect(copy)
        self.ledger._connection.backup(target)
        seq = data.draw(st.integers(self.gone + 1, len(self.written)))
        change = data.draw(st.sampled_from(["note = note || '!'", "at = at + 1", "body = x'5b5d'"]))
        target.execute("drop trigger entries_never_change")
        target.execute(f"update entries set {change} where seq = ?", (seq,))
        target.commit()
        target.close()
        reader = open_reader(copy)
        found = reader.verify()
        reader.close()
        assert (found.ok, found.first_bad) == (False, seq)

    @precondition(lambda self: self.state)
    @rule(data=st.data(), limit=st.integers(1, 6))
    def the_history_of_a_subject(self, data: st.DataObject, limit: int) -> None:
        """Newest first, from the entry that holds its state, one for each entry that named it."""
        key = data.draw(st.sampled_from(sorted(self.state)))
        _, seq = self.state[key]
        found = self.ledger.history(*key, limit)
        assert found == self._walk(key, seq)[:limit]

    @rule(data=st.data(), limit=st.integers(1, 6))
    def the_histories_of_several(self, data: st.DataObject, limit: int) -> None:
        """Each as it is alone; from an entry that names a subject, what came before it."""
        known = sorted(self.state)
        keys = data.draw(st.lists(st.sampled_from([*known, ("stock", "nobody")]), unique=True))
        alone = [row for key in keys for row in self.ledger.history(*key, limit)]
        assert self.ledger.histories(keys, limit) == alone
        for key in keys:
            walked = self._walk(key, self.state[key][1]) if key in self.state else []
            for number, (seq, _, _) in enumerate(walked):
                there = seq > self.gone
                before = walked[number + 1 :][:limit] if there else []
                assert self.ledger.histories([key], limit, before=seq) == before

    def _walk(self, key: Key, seq: int) -> list[tuple[int, int, Fact]]:
        """From each entry to the one that held the state when it was written."""
        walked: list[tuple[int, int, Fact]] = []
        while seq:
            at, _, page = self.written[seq - 1]
            walked.append((seq, at, [fact for fact in page if (fact.kind, fact.about) == key][-1]))
            if seq <= self.gone:
                break  # what held at the anchor is the last that is known
            seq = self._holding(key, seq - 1)
        return walked

    def _holding(self, key: Key, upto: int) -> int:
        held: tuple[int, int] | None = None
        for seq, (at, _, page) in enumerate(self.written[:upto], 1):
            for fact in page:
                if (fact.kind, fact.about) == key and (held is None or fact.as_of >= held[0] or held[0] > at):
                    held = int(fact.as_of), seq
        return held[1] if held else 0

    @rule(data=st.data())
    def what_was_known_at_an_entry(self, data: st.DataObject) -> None:
        after = data.draw(st.integers(0, len(self.written)))
        entries = list(self.ledger.entries(after))
        assert [(e.seq, int(e.at), e.note, e.facts) for e in entries] == [
            (seq, *entry) for seq, entry in enumerate(self.written, 1) if seq > max(after, self.gone)
        ]

    @rule(at=st.integers(0, 15))
    def what_was_written_since(self, at: int) -> None:
        later = []
        for written, _, page in reversed(self.written[self.gone :]):
            if written <= at:
                break
            later.append([fact for fact in page if isinstance(fact, StockObserved)])
        assert self.ledger.since(StockObserved, Instant(at)) == [f for page in later[::-1] for f in page]

    @rule()
    def all_of_it_is_proven(self) -> None:
        self._agrees(self.ledger)
        self._agrees(self.beside)

    @invariant()
    def whoever_reads_beside_it_sees_every_step_at_once(self) -> None:
        if hasattr(self, "ledger"):
            assert self.beside.latest_seq == self.ledger.latest_seq == len(self.written)

    def _agrees(self, reader: Reader) -> None:
        assert reader.latest_seq == len(self.written)
        found: dict[Key, Any] = {(fact.kind, fact.about): fact for fact in reader.everything()}
        assert found == {key: fact for key, (fact, _) in self.state.items()}
        for key, (fact, _) in self.state.items():
            assert reader.one(*key) == fact
        proof = reader.verify()
        assert (proof.ok, proof.entries, proof.anchor) == (True, len(self.written), self.gone), proof.why

    @override
    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        try:
            self.all_of_it_is_proven()
        finally:
            self.beside.close()
            self.ledger.close()
            self.folder.cleanup()


class _Unwritable:
    """Something that has no bytes."""

    kind, about, as_of = "stock", "x", Instant(0)


TestAgainstADictionary = AgainstADictionary.TestCase
TestAgainstADictionary.settings = settings(
    max_examples=max(15, settings.default.max_examples // 10),  # type: ignore[union-attr]
    stateful_step_count=25,
)


class ReadBeside(RuleBasedStateMachine):
    """A reader that stays in one moment sees a beginning of what is written, never a part of a step."""

    @initialize()
    def create(self) -> None:
        self.folder = TemporaryDirectory()
        path = Path(self.folder.name) / "l.db"
        self.ledger = Ledger.open(path, clock=lambda: Instant(1), durable=False)
        self.beside = open_reader(path)
        self.seen: int | None = None

    @rule(batch=st.lists(st.lists(facts, min_size=1, max_size=2), min_size=1, max_size=3))
    def append(self, batch: list[list[Fact]]) -> None:
        self.ledger.append_all([(page, "") for page in batch])

    @precondition(lambda self: self.seen is None)
    @rule()
    def begin_to_read(self) -> None:
        self.beside._connection.execute("begin")
        self.seen = self.beside.latest_seq

    @precondition(lambda self: self.seen is not None)
    @rule()
    def read_on(self) -> None:
        mine = list(self.beside.entries())
        assert len(mine) == self.seen
        assert mine == list(self.ledger.entries())[: self.seen]
        state = {(fact.kind, fact.about): encode(fact) for fact in self.beside.everything()}
        assert set(state) == {(f.kind, f.about) for e in mine for f in e.facts if hasattr(f, "as_of")}

    @precondition(lambda self: self.seen is not None)
    @rule()
    def end_reading(self) -> None:
        self.beside._connection.execute("rollback")
        self.seen = None
        assert self.beside.latest_seq == self.ledger.latest_seq

    @precondition(lambda self: self.seen is None)
    @rule()
    def cannot_write(self) -> None:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            self.beside._connection.execute("delete from state")
        self.beside._connection.rollback()

    @override
    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.beside.close()
            self.ledger.close()
            self.folder.cleanup()


TestReadBeside = ReadBeside.TestCase
TestReadBeside.settings = settings(
    max_examples=max(15, settings.default.max_examples // 10),  # type: ignore[union-attr]
    stateful_step_count=15,
)


def test_a_folder_instead_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerFault, match=str(tmp_path)):
        Ledger.open(tmp_path, clock=lambda: Instant(1))
