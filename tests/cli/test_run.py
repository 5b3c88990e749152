"""The daemon beside the simulator, as processes: killed at random moments, asked, stopped."""

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.cli.programs import COLUMNS, PATIENCE_S, run, running, trading, wait_until

KILLS = 2
"""With hundreds of listings; ``tests/crash/test_kills.py`` kills more often, a smaller one."""


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A configuration for a pretend business that is served and trades."""
    with trading(tmp_path_factory.mktemp("tenant")) as config:
        yield config


def ask(config: Path, *args: str) -> tuple[int, dict[str, Any]]:
    done = run(config.parent, *args, "--json", "--config", str(config))
    return done.returncode, json.loads(done.stdout or done.stderr)


def is_up(config: Path) -> bool:
    """Whether a daemon answers, and has read everything itself."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(config.parent / "reconcilerd.sock"))
        connection.sendall(b'{"op": "status"}\n')
        told = json.loads(connection.makefile().readline())
    except OSError:
        return False
    finally:
        connection.close()
    young = [feed for feed in told["feeds"] if feed["age_s"] is not None and feed["age_s"] < 20]
    read = {feed["feed"].rpartition(".")[2] for feed in young}
    return {"slots", "orders", "stock"} <= read and all(each["listings"] > 400 for each in told["channels"])


def stopped(process: "subprocess.Popen[str]") -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_S)


def test_killed_at_random_moments_it_loses_nothing_and_goes_on(tenant: Path) -> None:
    chance = Random(11)
    entries = 0
    for _ in range(KILLS):
        with running(tenant.parent, "run", "--config", str(tenant)) as daemon:
            time.sleep(chance.uniform(1.0, 9.0))
            assert daemon.poll() is None, (tenant.parent / "log").read_text("utf-8")[-2000:]
            daemon.kill()
            daemon.wait(PATIENCE_S)
        done = run(tenant.parent, "ledger", "verify", "--config", str(tenant))
        if not entries and "there is no ledger yet" in done.stderr:
            continue  # on a busy machine it may be killed before it makes one
        assert done.returncode == 0, done.stdout + done.stderr
        now = int(done.stdout.split(": ")[1].split(" ")[0])
        assert now >= entries
        entries = now
    assert entries
    with running(tenant.parent, "run", "--config", str(tenant)) as daemon:
        wait_until("the daemon to read everything", lambda: is_up(tenant))
        code, sheet = ask(tenant, "reconcile", "--sku", "85123A")
        assert code in {0, 3}, sheet
        assert [row["channel"] for row in sheet["skus"][0]["channels"]] == ["shop-eu", "shop-uk", "shop-us"]
        code, refused = ask(tenant, "reconcile", "--sku", "no such thing")
        assert (code, refused["error"]["exit_code"]) == (6, 6)
        assert stopped(daemon) == 0
    assert run(tenant.parent, "ledger", "verify", "--config", str(tenant)).returncode == 0
    lines = [json.loads(line) for line in (tenant.parent / "log").read_text("utf-8").splitlines() if line]
    assert lines[-1]["event"] == "daemon_stopped"
    assert not [line for line in lines if line["level"] in {"error", "critical"}]


def test_what_is_asked_while_it_runs_fits_the_terminal(tenant: Path) -> None:
    with running(tenant.parent, "run", "--config", str(tenant)) as daemon:
        wait_until("the daemon to read everything", lambda: is_up(tenant))
        for command in (
            ("reconcile", "--sku", "85123A", "--fresh"),
            ("reconcile", "--all"),
            ("status",),
            ("explain", "--sku", "85123A"),
            ("history", "--sku", "85123A"),
        ):
            done = run(tenant.parent, *command, "--config", str(tenant))
            assert done.returncode in {0, 3}, done.stderr
            assert not [line for line in done.stdout.splitlines() if len(line) > COLUMNS and "/" not in line]
        frozen = run(tenant.parent, "freeze", "--reason", "a test", "--config", str(tenant))
        assert frozen.stdout.startswith("frozen: all\nall: until somebody lifts it, by ")
        assert "FROZEN: all" in run(tenant.parent, "status", "--config", str(tenant)).stdout
        assert run(tenant.parent, "unfreeze", "--config", str(tenant)).stdout == "frozen: nothing\n"
        applied = run(tenant.parent, "reconcile", "--sku", "85123A", "--apply", "--config", str(tenant))
        assert (applied.returncode, applied.stdout) == (2, "")
        assert "add --yes where nobody can answer" in applied.stderr
        assert stopped(daemon) == 0


def test_without_a_daemon_it_reads_and_corrects_by_itself(tenant: Path) -> None:
    code, sheet = ask(tenant, "reconcile", "--sku", "22086", "--fresh")
    assert code in {0, 3}, sheet
    assert max(row["age_s"] for row in sheet["skus"][0]["channels"]) < 30
    code, done = ask(tenant, "reconcile", "--sku", "22086", "--apply", "--yes")
    assert code in {0, 3, 7}, done
    assert done["applied"] is True
    status = run(tenant.parent, "status", "--config", str(tenant))
    assert (status.returncode, status.stdout.splitlines()[0]) == (
        8,
        "NO DAEMON RUNS: this is what the ledger holds",
    )
    assert run(tenant.parent, "approve", "held", "--reason", "x", "--config", str(tenant)).returncode in {
        0,
        6,
    }


def _raw(config: Path, said: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(config.parent / "reconcilerd.sock"))
        connection.sendall(said)
        return connection.makefile("rb").readline()


def test_no_client_can_hurt_the_daemon_or_stand_before_the_brake(tenant: Path) -> None:
    with running(tenant.parent, "run", "--config", str(tenant), log="sockets.log") as daemon:
        wait_until("the daemon to read everything", lambda: is_up(tenant))
        for bad in (
            b"\xff\xfe\n",
            b"[" * 200_000 + b"\n",
            b'{"op": "\\ud800"}\n',
            b'{"op": "freeze", "reason": "\\ud800"}\n',
            b'{"op": "approve", "id": 5, "reason": {}}\n',
            b'{"op": "reconcile", "skus": "85123A"}\n',
            b"7\n",
        ):
            answer = json.loads(_raw(tenant, bad))
            assert answer["exit_code"] in {2, 6}, (bad[:40], answer)
        idle = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        try:
            for each in idle:
                each.connect(str(tenant.parent / "reconcilerd.sock"))
            # These ask for much and read nothing.
            for each in idle[:2]:
                each.sendall(b'{"op": "reconcile", "all": true, "fresh": true}\n')
            assert run(tenant.parent, "freeze", "--reason", "now", "--config", str(tenant)).returncode == 0
            assert run(tenant.parent, "unfreeze", "--config", str(tenant)).returncode == 0
        finally:
            for each in idle:
                each.close()
        daemon.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert daemon.poll() is None, "a hang-up is no reason to end"
        assert stopped(daemon) == 0


def test_a_ledger_that_fails_ends_the_daemon_with_one_sentence(tenant: Path) -> None:
    folder = tenant.parent / "damaged"
    folder.mkdir()
    config = Path(shutil.copy(tenant, folder))
    shutil.copy(tenant.parent / "rules.csv", folder)
    with running(folder, "run", "--config", str(config)) as daemon:
        wait_until("the daemon to read everything", lambda: is_up(config))
        assert stopped(daemon) == 0
    with sqlite3.connect(folder / "reconcilerd.db") as database:
        database.execute("update state set payload = x'7b' where kind = 'slot'")
    database.close()
    done = run(folder, "run", "--config", str(config))
    assert done.returncode == 2
    assert "cannot be read" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert run(folder, "ledger", "rebuild", "--config", str(config)).returncode == 0
    with running(folder, "run", "--config", str(config)) as daemon:
        wait_until("the daemon to read everything", lambda: is_up(config))
        assert stopped(daemon) == 0


def test_a_port_that_is_taken_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "simulator", "--port", port)
    assert done.returncode == 2
    assert f"port {port}: Address already in use; name another with --port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["check-config --defaults", "--help"])
def test_who_stops_reading_is_no_bug(tmp_path: Path, command: str) -> None:
    line = f"{sys.executable} -m reconcilerd.cli.main {command} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--sku", "a", "--all"), "exclude each other"),
        (("--sku", " "), "blank"),
        ((), "say which"),
    ],
)
def test_reconcile_asks_for_what_it_needs(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    done = run(tmp_path, "reconcile", *args)
    assert (done.returncode, said in done.stderr) == (2, True)


def test_faults_of_the_configuration_hide_none_of_the_files_that_it_names(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "config.toml").read_text("utf-8")
    secret = tmp_path / "secret"
    for old, new in (
        ('mode = "auto"', 'mode = "autoo"'),
        ('# rules_csv = "rules.csv"', 'rules_csv = "rules.csv"'),
        ("[alerts]", f'[alerts]\nslack_webhook = "file:{secret}"'),
    ):
        assert old in text
        text = text.replace(old, new)
    secret.write_text("a secret", "utf-8")
    secret.chmod(0o644)
    (tmp_path / "config.toml").write_text(text, "utf-8")
    (tmp_path / "rules.csv").write_text("sku,channel,percent\nA,shop-ukk,5\n", "utf-8")
    done = run(tmp_path, "check-config")
    said = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert "did you mean 'auto'?" in said
    assert "did you mean 'shop-uk'?" in said
    assert "can be read by others" in said
