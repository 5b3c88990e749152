"""A version that does not do is taken back; what can be refused is refused before anything stops."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.cli.deploy.gates import GRACE_S, UNREADY_S, Look, fault, look_of
from reconcilerd.cli.deploy.host import KEPT, Done, Host
from reconcilerd.cli.deploy.steps import Deployment, NotBack, Wanted
from reconcilerd.errors import ConfigFault

FINE = Look(0.0, True, 0, calls=100)
OLD, NEW = Path("/r/old"), Path("/r/new")


@dataclass
class Rig:
    """A machine whose answers a test sets; what was done to it, in order."""

    folder: Path
    looks: Callable[[Path, float], Look] = lambda _release, at_s: replace(FINE, at_s=at_s)
    fails: set[str] = field(default_factory=set)
    """Steps that fail: ``new check-config``, ``stop``, ``start new`` ..."""
    upgrades: bool = False
    """The new version changes the ledger, and the old one cannot read it then."""
    running: Path | None = OLD
    link: Path = OLD
    ledger_of: Path = OLD
    did: list[str] = field(default_factory=list)
    now_s: float = 0.0

    @property
    def ledger(self) -> Path:
        return self.folder / "l.db"

    def _done(self, step: str) -> Done:
        self.did.append(step)
        return Done(1, "", f"{step} failed") if step in self.fails else Done(0, "/b/backup.db\n", "")

    def current(self) -> Path:
        return OLD

    def moved(self, release: Path) -> Path:
        return release

    def build(self, name: str, source: str, lock: Path | None, wheels: Path | None) -> Path:
        if self._done("build").code:
            raise ConfigFault(("cannot install",))
        return NEW

    def ask(self, release: Path, *words: str, timeout_s: float = 1) -> Done:
        if words[0] == "restore" and words[1] == str(self.ledger):
            unreadable = release == OLD and self.ledger_of == NEW
            return Done(2, "", "written by a newer reconcilerd") if unreadable else Done(0, "", "")
        done = self._done(f"{release.name} {words[0]}")
        if words[0] == "restore" and "--replace" in words and not done.code:
            self.did[-1] += f" {Path(words[1]).name}"
            self.ledger_of = OLD
        return done

    def switch(self, release: Path) -> None:
        assert self.running is None, "never under a daemon that runs"
        self.link = release

    def put_units(self, release: Path) -> Done:
        return self._done(f"units {release.name}")

    def start(self) -> Done:
        done = self._done(f"start {self.link.name}")
        if not done.code:
            self.running = self.link
        if self.link == NEW and self.upgrades:
            (self.folder / "l.db.m009").touch()
            self.ledger_of = NEW
        return done

    def stop(self) -> Done:
        done = self._done("stop")
        self.running = self.running if done.code else None
        return done

    def look(self, release: Path) -> Look:
        return self.looks(release, self.now_s)

    def forget_old(self, *keep: Path) -> None:
        assert set(keep) == {OLD, NEW}
        self.did.append("forget")

    def rest(self, seconds: float) -> None:
        self.now_s += seconds


def deployed(rig: Rig, watch_s: float = 600) -> str:
    return Deployment(rig, Wanted("new", "x.whl", watch_s), lambda _: None, rig.rest)()


def only_new(look: Look) -> Callable[[Path, float], Look]:
    return lambda release, at_s: replace(look if release == NEW else FINE, at_s=at_s)


def test_one_that_does_stays_after_it_was_watched_for_as_long_as_was_said(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert deployed(rig) == ""
    assert (rig.running, rig.link) == (NEW, NEW)
    assert rig.now_s >= 600
    assert rig.did == [
        "build", "new check-config", "old backup", "new restore", "stop", "units new", "start new", "forget",
    ]  # fmt: skip


@pytest.mark.parametrize("step", ["build", "new check-config", "old backup", "new restore", "stop"])
def test_what_can_be_refused_is_refused_while_the_old_one_runs(step: str, tmp_path: Path) -> None:
    """Among them a downgrade: the older version cannot read the backup."""
    rig = Rig(tmp_path, fails={step})
    with pytest.raises(ConfigFault):
        deployed(rig)
    assert (rig.running, rig.link) == (OLD, OLD)


BAD = {
    "ended": Look(0, False, 0),
    "never ready": replace(FINE, why="the catalogue is not read yet"),
    "calls fail": replace(FINE, failed=50),
    "a bug": replace(FINE, broken="2 pool groups meet a bug"),
    "restarted": replace(FINE, restarts=0),
}


@pytest.mark.parametrize("how", sorted(BAD))
@pytest.mark.parametrize("upgrades", [False, True])
def test_one_that_does_not_do_is_taken_back_with_the_ledger_that_the_old_one_reads(
    how: str, upgrades: bool, tmp_path: Path
) -> None:
    (tmp_path / "l.db.m008").touch()  # of an upgrade long ago
    rig = Rig(tmp_path, only_new(BAD[how]), upgrades=upgrades)
    if how == "restarted":
        rig.looks = lambda release, at_s: replace(FINE, at_s=at_s, restarts=int(release == NEW and at_s > 60))
    assert deployed(rig)
    assert (rig.running, rig.link, rig.ledger_of) == (OLD, OLD, OLD)
    put_back = [each for each in rig.did if each.startswith("old restore")]
    assert put_back == (["old restore l.db.m009"] if upgrades else [])


@pytest.mark.parametrize("step", ["units new", "start new"])
def test_one_that_does_not_start_is_taken_back_at_once(step: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, fails={step}, upgrades=True)
    assert "does not start" in deployed(rig)
    assert (rig.running, rig.ledger_of, rig.now_s) == (OLD, OLD, 0)


@pytest.mark.parametrize("step", ["start old", "units old", "old restore"])
def test_where_not_even_the_old_one_comes_back_a_person_is_called(step: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, only_new(BAD["a bug"]), fails={step}, upgrades=True)
    with pytest.raises(NotBack):
        deployed(rig)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), min_size=1, max_size=40))
def test_readiness_may_fail_for_a_while_and_no_longer(steps: list[tuple[bool, int]]) -> None:
    """Held against the rule said the other way round: the time since it was last ready, or since the start."""
    looks, at_s = [Look(0, True, 0, "starts")], 0.0
    since, was_ready = 0.0, False
    for ready, pause in steps:
        at_s += pause
        looks.append(Look(at_s, True, 0, "" if ready else "stale: x"))
        since, was_ready = (at_s, True) if ready else (since, was_ready)
        expected = not ready and at_s - since > (UNREADY_S if was_ready else GRACE_S)
        assert bool(fault(looks, None)) == expected
        if expected:
            return


@pytest.mark.parametrize(("ready_again_s", "stays"), [(635, True), (None, False)])
def test_a_hiccup_when_the_watch_ends_is_waited_out_as_any_other(
    ready_again_s: float | None, stays: bool, tmp_path: Path
) -> None:
    def looks(release: Path, at_s: float) -> Look:
        stale = release == NEW and at_s >= 595 and (ready_again_s is None or at_s < ready_again_s)
        return replace(FINE, at_s=at_s, why="stale: stock" if stale else "")

    rig = Rig(tmp_path, looks)
    assert (deployed(rig) == "") is stays
    assert rig.link == (NEW if stays else OLD)


@pytest.mark.parametrize(
    ("before", "now", "goes_back"),
    [
        ((0, 100), (20, 100), False),
        ((0, 100), (21, 100), True),
        ((40, 100), (75, 100), False),
        ((0, 5), (9, 19), False),
    ],
)
def test_calls_may_fail_as_they_did_before(
    before: tuple[int, int], now: tuple[int, int], goes_back: bool
) -> None:
    """When a vendor is down, going back mends nothing."""
    old, new = (replace(FINE, failed=failed, calls=calls) for failed, calls in (before, now))
    assert bool(fault([new], old)) is goes_back


METRICS = """\
# HELP reconcilerd_ready x
reconcilerd_ready 1.0
reconcilerd_groups_broken 0.0
reconcilerd_feed_last_complete_timestamp_seconds{feed="orders",source="shop-uk"} 990.0
reconcilerd_feed_last_complete_timestamp_seconds{feed="stock",source="extensiv"} 100.0
reconcilerd_feed_max_age_seconds{feed="orders",source="shop-uk"} 60.0
reconcilerd_feed_max_age_seconds{feed="stock",source="extensiv"} 1800.0
reconcilerd_api_requests_total{code_class="2xx",error_type="",operation="o",source="shop-uk"} 90.0
reconcilerd_api_requests_total{code_class="5xx",error_type="try_later",operation="o",source="shop-uk"} 6.0
reconcilerd_api_requests_total{code_class="none",error_type="try_later",operation="o",source="shop-uk"} 4.0
process_resident_memory_bytes 1.0
"""


def test_metrics_are_read_as_they_are_written() -> None:
    assert look_of(5, 2, METRICS, 1_000) == Look(5, True, 2, "", 100, 10)
    assert look_of(5, 2, METRICS, 1_100).why == "stale: orders"
    assert (
        look_of(5, 2, METRICS.replace("ready 1.0", "ready 0.0"), 1_000).why == "the catalogue is not read yet"
    )
    assert "3 pool groups" in look_of(5, 2, METRICS.replace("broken 0.0", "broken 3.0"), 1_000).broken
    assert look_of(5, 2, "", 1_000).why


def test_a_link_is_switched_in_one_step_and_a_folder_in_its_place_becomes_a_release(tmp_path: Path) -> None:
    host = Host(tmp_path, tmp_path / "c.toml", "x.service", tmp_path / "l.db")
    with pytest.raises(ConfigFault, match="nothing is installed"):
        host.current()
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").touch()
    old = host.current()
    for number in range(5):
        made = tmp_path / f"releases/{number}"
        (made / "bin").mkdir(parents=True)
        (made / "bin/python").touch()
        os.utime(made, (number, number))
        host.switch(made)
        assert host.link.is_symlink()
        assert host.current() == made
    assert host.moved(old) == tmp_path / "releases/first"
    assert (host.moved(old) / "bin/python").exists()
    host.forget_old(tmp_path / "releases/0")
    left = {each.name for each in host.releases.iterdir()}
    assert {"0", "4"} <= left
    assert len(left) == KEPT + 1
