"""``backup``, ``restore`` and ``ledger compact`` as a person runs them: beside a daemon, and without one."""

import json
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconcilerd.cli.wiring import terms_of
from reconcilerd.config.load import load
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.store import Ledger
from tests.cli.programs import COLUMNS, PATIENCE_S, run, running, trading, wait_until
from tests.ledger.test_ledger import stock

CONFIG = Path(__file__).parents[2] / "config.toml"
DAYS = 139


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tenant with a ledger of two years ago, an entry a day, and nobody running."""
    (tmp_path / "config.toml").write_text(CONFIG.read_text("utf-8"), "utf-8")
    at = [Instant(int(datetime(2024, 11, 1, tzinfo=UTC).timestamp() * 1000))]
    with Ledger.open(tmp_path / "reconcilerd.db", clock=lambda: at[0]) as ledger:
        for number in range(DAYS):
            ledger.append([stock("a", number, at[0])])
            at[0] = Instant(at[0] + 86_400_000)
    return tmp_path


def test_a_backup_beside_the_daemon_is_put_back_once_it_has_stopped(tmp_path: Path) -> None:
    with trading(tmp_path) as config:
        named = ("--config", str(config))
        with running(tmp_path, "run", *named) as daemon:
            wait_until(
                "the daemon to write", lambda: run(tmp_path, "ledger", "verify", *named).returncode == 0
            )
            made = run(tmp_path, "backup", *named, "--json")
            assert made.returncode == 0, made.stderr
            backup = json.loads(made.stdout)
            told = run(tmp_path, "restore", backup["file"], "--check", "--json", *named)
            assert json.loads(told.stdout)["head"] == backup["head"]
            refused = run(tmp_path, "restore", backup["file"], "--replace", *named)
            assert refused.returncode == 8
            assert f"process {daemon.pid}" in refused.stderr
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(PATIENCE_S) == 0
        put = run(tmp_path, "restore", backup["file"], "--replace", "--json", *named)
        assert put.returncode == 0, put.stderr
        assert json.loads(put.stdout)["entries"] == backup["entries"]
        found = json.loads(run(tmp_path, "ledger", "verify", "--json", *named).stdout)
        assert (found["ok"], found["entries"]) == (True, backup["entries"] + 1), (
            "the restore is an entry itself"
        )
        done = run(tmp_path, "handover", "--since", "1h", *named)
        assert "restored the ledger" in " ".join(done.stdout.split())


def test_what_is_said_fits_the_terminal_but_for_paths_and_hashes(folder: Path) -> None:
    made = run(folder, "backup")
    assert made.returncode == 0, made.stderr
    file = next((folder / "backups").iterdir())
    for said in (made, run(folder, "restore", str(file), "--check"), run(folder, "ledger", "verify")):
        words = [
            line
            for line in said.stdout.splitlines()
            if not line.startswith(("/", "  head", "reconcilerd.db"))
        ]
        assert max(map(len, words), default=0) <= COLUMNS, said.stdout


def test_a_restore_over_a_ledger_is_refused_and_says_how(folder: Path) -> None:
    run(folder, "backup")
    file = next((folder / "backups").iterdir())
    said = run(folder, "restore", str(file))
    assert said.returncode == 2
    assert "--replace" in said.stderr
    put = run(folder, "restore", str(file), "--to", "elsewhere.db")
    assert put.returncode == 0, put.stderr
    assert (folder / "elsewhere.db").exists()


def test_old_entries_go_and_the_rest_is_verified(folder: Path) -> None:
    """That nobody wrote for long since counts for little: of what was lived through, the last ninety days stay."""
    said = run(folder, "ledger", "compact")
    assert said.returncode == 0, said.stderr
    assert "50 entries went" in said.stdout
    assert "up to 50 compacted away" in said.stdout
    again = json.loads(run(folder, "ledger", "compact", "--json").stdout)
    assert (again["ok"], again["entries_gone"], again["anchor"]) == (True, 0, 50)
    assert load(folder / "config.toml").ledger.keep_days < 700


@pytest.mark.parametrize(("before", "why"), [("2999-01-01", "look back"), ("soon", "like 2026-08-01")])
def test_a_date_that_cannot_be_is_refused(folder: Path, before: str, why: str) -> None:
    said = run(folder, "ledger", "compact", "--before", before)
    assert said.returncode == 2
    assert why in said.stderr


@pytest.mark.parametrize("window_days", [1, 365])
def test_what_a_start_looks_back_at_is_kept_whatever_the_days_say(folder: Path, window_days: int) -> None:
    config, day = folder / "config.toml", 86_400_000
    short = f"[limits]\nzeros_window_s = {window_days * 86_400.0}"
    config.write_text(config.read_text("utf-8").replace("[limits]", short), "utf-8")
    terms = terms_of(load(config))
    assert terms.entries_ms > window_days * day
    assert terms.entries_ms >= 90 * day
