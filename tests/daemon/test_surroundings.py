"""What is around the daemon: each thing is told when it is so, no longer when it is not, and with what to do."""

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.daemon.surroundings import (
    PROBED_MS,
    WINDOW_MS,
    Around,
    Calls,
    FileState,
    Lately,
    Surroundings,
    Word,
)
from reconcilerd.domain.alerts import KINDS
from reconcilerd.domain.facts import FreezeSet
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.backups import AHEAD_MS
from reconcilerd.ledger.backups import OVERDUE_MS as BACKUP_MS
from reconcilerd.trial.stage import START

HOUR_MS = 3_600_000
OURS = FileState(0o600, 7, 7)


@dataclass
class Machine:
    """A machine whose state a test sets."""

    now: Instant = START
    calls: dict[str, Calls] = field(default_factory=lambda: {"shop-uk": Calls()})
    stopped: Instant | None = None
    files: dict[str, FileState | None] = field(default_factory=lambda: {"/l.db": OURS, "/c.toml": OURS})
    free: float | None = 50.0
    backup: Instant | None = START
    freezes: list[FreezeSet] = field(default_factory=list)
    surroundings: Surroundings = field(init=False)

    def __post_init__(self) -> None:
        around = Around(
            lambda: self.stopped,
            lambda: dict(self.files),
            lambda: self.free,
            lambda: self.backup,
            4 * HOUR_MS,
        )
        self.surroundings = Surroundings(around, lambda: self.calls)
        assert self.told() == {}

    def told(self, after_ms: int = 0) -> dict[tuple[str, str], Word]:
        """What is on after so long, by kind and subject; every word names a kind and says what to do."""
        self.now = Instant(self.now + after_ms)
        self.backup = self.now if self.backup is not None and after_ms < BACKUP_MS else self.backup
        words = list(self.surroundings.look(self.now, self.freezes))
        assert {each.kind for each in words} <= KINDS.keys()
        on = [each for each in words if each.on]
        assert all(each.text and each.do for each in on)
        off = {(each.kind, each.subject) for each in words if not each.on}
        assert not off & {(each.kind, each.subject) for each in on}
        return {(each.kind, each.subject): each for each in on}


def test_many_failed_calls_are_told_until_they_are_few_again() -> None:
    machine = Machine()
    machine.calls["shop-uk"] = Calls(10, 2)
    assert "2 of 10 calls to shop-uk" in machine.told(60_000)["channel_errors", "shop-uk"].text
    machine.calls["shop-uk"] = Calls(10, 1)
    assert Machine(calls={"shop-uk": Calls()}).told(1) == {}
    machine.calls["shop-uk"] = Calls(110, 2)
    assert machine.told(60_000) == {}


def test_few_calls_and_few_failures_prove_nothing() -> None:
    for calls in (Calls(9, 9, 9), Calls(1000, 199, 100)):
        machine = Machine()
        machine.calls["shop-uk"] = calls
        assert machine.told(60_000) == {}


def test_calls_turned_away_for_their_number_are_told_beside_those_that_fail() -> None:
    machine = Machine()
    machine.calls["shop-uk"] = Calls(100, 0, 11)
    assert set(machine.told(60_000)) == {("rate_limited", "shop-uk")}
    assert machine.told(WINDOW_MS + 30_000) == {}


@given(
    st.lists(
        st.tuples(st.integers(0, 200_000), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=80
    )
)
def test_only_what_the_window_saw_is_counted(steps: list[tuple[int, int, int]]) -> None:
    lately, now, calls = Lately(), START, Calls()
    seen: list[tuple[Instant, Calls]] = []
    for wait_ms, sent, failed in steps:
        now = Instant(now + wait_ms)
        calls = Calls(calls.sent + sent + failed, calls.unanswered + failed)
        seen.append((now, calls))
        found = lately.note(now, calls)
        whole = [each for at, each in seen if at <= now - WINDOW_MS]
        least = calls.since(whole[-1]) if whole else calls.since(seen[0][1])
        # All of the window counts.
        assert found.sent >= least.sent
        assert found.unanswered >= least.unanswered
        assert found.sent >= found.unanswered >= 0
    lately.note(Instant(now + 3 * WINDOW_MS), calls)
    assert lately.note(Instant(now + 4 * WINDOW_MS), calls) == Calls()


def test_counters_that_begin_anew_and_a_clock_that_goes_back_count_nothing() -> None:
    lately = Lately()
    lately.note(START, Calls(500, 400))
    assert lately.note(Instant(START + 20_000), Calls(3, 3)) == Calls()
    assert lately.note(Instant(START - 90_000), Calls(9, 9)) == Calls()


def test_a_freeze_is_told_after_hours_until_it_ends() -> None:
    machine = Machine()
    machine.freezes = [FreezeSet("shop-uk", True, "uid 7", "stock-take", START)]
    assert machine.told(4 * HOUR_MS - 1_000) == {}
    word = machine.told(1_000)["paused_too_long", "shop-uk"]
    assert "stock-take" in word.text
    assert word.do == "reconcilerd unfreeze --channel shop-uk"
    machine.freezes = [replace(machine.freezes[0], on=False)]
    off = list(machine.surroundings.look(machine.now, machine.freezes))
    assert Word(False, "paused_too_long", "shop-uk", "") in off
    assert machine.told() == {}


def test_a_stop_file_is_told_as_early_as_ever_though_the_clock_was_set_back_after_it_was_made() -> None:
    machine = Machine()
    machine.stopped = START
    machine.now = Instant(START - 12 * HOUR_MS)
    machine.backup = None
    for after_ms, told in ((0, False), (4 * HOUR_MS - 1, False), (1, True)):
        assert (("paused_too_long", "STOP") in machine.told(after_ms)) is told
    machine.stopped = None
    machine.told()
    machine.stopped = machine.now
    assert ("paused_too_long", "STOP") not in machine.told(4 * HOUR_MS - 1), "it is another one"


def test_a_young_ledger_needs_no_backup_yet_though_the_clock_was_set_back() -> None:
    machine = Machine(backup=None)
    machine.now = Instant(START - 12 * HOUR_MS)
    assert machine.told() == {}
    assert machine.told(BACKUP_MS) == {}
    assert set(machine.told(1)) == {("storage", "backup")}


def test_an_attempt_is_told_no_longer_though_the_clock_was_set_back() -> None:
    machine = Machine()
    machine.surroundings.probed("socket", "uid 9")
    machine.surroundings.widened("shop-uk", "write_orders")
    both = {("access_probe", "socket"), ("access_probe", "scopes of shop-uk")}
    assert both <= machine.told().keys()
    machine.now = Instant(START - 12 * HOUR_MS)
    assert both <= machine.told().keys()
    assert both <= machine.told(PROBED_MS).keys()
    assert not both & machine.told(1).keys()


def test_a_stop_file_is_told_by_its_own_age_and_a_whole_freeze_beside_it() -> None:
    machine = Machine(stopped=None)
    machine.stopped = Instant(START - 4 * HOUR_MS)
    machine.freezes = [FreezeSet("", True, "uid 7", "", Instant(START - 9 * HOUR_MS))]
    assert set(machine.told()) == {("paused_too_long", "STOP"), ("paused_too_long", "all")}
    machine.stopped, machine.freezes = None, []
    assert machine.told() == {}


def test_an_attempt_to_get_in_is_told_with_how_often_and_ends() -> None:
    machine = Machine()
    machine.surroundings.probed("control socket", "uid 33")
    machine.surroundings.probed("control socket", "uid 34")
    word = machine.told()["access_probe", "control socket"]
    assert word.text == "2 refused attempts at the control socket, the last by uid 34"
    assert machine.told(PROBED_MS) != {}
    assert machine.told(1) == {}


def test_a_file_whose_owner_or_mode_changes_is_told_until_it_is_as_it_was() -> None:
    for changed in (replace(OURS, mode=0o666), replace(OURS, owner=0), replace(OURS, group=0), None):
        machine = Machine()
        machine.files["/l.db"] = changed
        assert "/l.db: " in machine.told()["access_probe", "files"].text
        machine.files["/l.db"] = OURS
        assert machine.told() == {}


def test_a_full_disk_is_told_and_an_unknown_one_is_not() -> None:
    machine = Machine(free=5.0)
    machine.free = 4.9
    assert "4.9 %" in machine.told()["storage", "disk"].text
    machine.free = None
    assert machine.told() == {}


def test_an_old_backup_is_told_and_one_that_never_was_after_a_day() -> None:
    machine = Machine()
    assert machine.told(BACKUP_MS + 1)["storage", "backup"].text.endswith("26 h old")
    machine.backup = machine.now
    assert machine.told() == {}
    never = Machine(backup=None)
    assert never.told(BACKUP_MS) == {}
    assert never.told(1)["storage", "backup"].text == "there is no backup of the ledger"


def test_a_backup_that_is_dated_ahead_is_no_new_one() -> None:
    """By a clock that was wrong: it would keep everybody quiet until that day."""
    machine = Machine()
    machine.backup = Instant(machine.now + BACKUP_MS + AHEAD_MS)
    assert machine.told(BACKUP_MS) == {}
    machine.backup = Instant(machine.now + BACKUP_MS + 400 * 24 * HOUR_MS)
    assert "9600 h ahead" in machine.told(BACKUP_MS)["storage", "backup"].text


def test_where_nothing_can_be_seen_nothing_is_told() -> None:
    words = Surroundings(Around()).look(START, [])
    assert not [each for each in words if each.on]


def test_scopes_that_came_are_told_once_and_end_by_themselves() -> None:
    machine = Machine()
    machine.surroundings.widened("shop-uk", "write_products")
    word = machine.told()["access_probe", "scopes of shop-uk"]
    assert "write_products" in word.text
    assert machine.told(PROBED_MS - 1) == {("access_probe", "scopes of shop-uk"): word}
    assert machine.told(2) == {}
    assert machine.told(HOUR_MS) == {}


def test_why_readings_do_not_end_is_told_of_what_their_calls_meet() -> None:
    machine = Machine()
    assert machine.surroundings.met("shop-uk") == machine.surroundings.met("nobody") == ""
    machine.calls["shop-uk"] = Calls(20, 0, 15)
    machine.told(1)
    assert machine.surroundings.met("shop-uk") == "15 of the last 20 calls were turned away for their number"
    machine.calls["shop-uk"] = Calls(400, 100, 15)
    machine.told(1)
    assert machine.surroundings.met("shop-uk") == "100 of the last 400 calls failed"


def test_a_ledger_whose_file_is_gone_is_told_until_it_is_back() -> None:
    machine = Machine()
    machine.surroundings.astray = lambda: "/l.db is gone"
    word = machine.told()["storage", "ledger file"]
    assert word.text.startswith("/l.db is gone: ")
    assert "move the file back" in word.do
    machine.surroundings.astray = str
    assert machine.told() == {}


def test_a_ledger_that_is_not_what_was_written_is_told_until_it_is() -> None:
    machine = Machine()
    machine.surroundings.broken_ledger = "entry 7: it is not what was written"
    assert "entry 7" in machine.told()["storage", "ledger"].text
    assert ("storage", "ledger") in machine.told(HOUR_MS)
    machine.surroundings.broken_ledger = ""
    assert machine.told() == {}
