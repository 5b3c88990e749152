"""What the daemon says to its service manager, held by a socket of our own in the manager's place."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconcilerd.cli.demo.tenant import write_tenant
from reconcilerd.simulator.shoppers import busy_hour, read_invoices
from tests.cli.programs import PATIENCE_S, run, running, trading, wait_until

WATCHDOG_S = 3.0


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with trading(tmp_path_factory.mktemp("tenant")) as config:
        yield config


@dataclass
class Manager:
    """Keeps every datagram in the order in which it came."""

    here: socket.socket
    heard: list[dict[str, str]] = field(default_factory=list)

    def listen(self) -> bool:
        """Take in what came. It holds ten datagrams, and what comes beyond them is lost. Always True."""
        while True:
            try:
                datagram = self.here.recv(65_536)
            except BlockingIOError:
                return True
            lines = (line.partition("=") for line in datagram.decode().splitlines())
            self.heard.append({name: value for name, _, value in lines})

    def said(self, name: str) -> list[str]:
        """Every value of a variable, in its order."""
        self.listen()
        return [each[name] for each in self.heard if name in each]

    def order(self) -> list[str]:
        """Changes of state as they came."""
        self.listen()
        states = ("READY", "RELOADING", "STOPPING")
        return [name for each in self.heard for name in states if name in each]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here:
        here.bind(str(tmp_path / "notify"))
        here.setblocking(False)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        yield Manager(here)


def env(tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": str(round(WATCHDOG_S * 1_000_000)),
        **more,
    }


def events(config: Path, log: str) -> list[str]:
    lines = (config.parent / log).read_text("utf-8").splitlines()
    return [json.loads(line)["event"] for line in lines if line.startswith("{")]


def lives(manager: Manager, process: "subprocess.Popen[str]") -> bool:
    assert process.poll() is None
    return bool(manager.said("READY"))


def test_a_life_from_ready_over_reloads_to_the_end(tenant: Path, tmp_path: Path, manager: Manager) -> None:
    kept = tenant.read_text("utf-8")
    with running(tenant.parent, "run", "--config", str(tenant), log="life.log", env=env(tmp_path)) as daemon:
        wait_until("it to be ready", lambda: lives(manager, daemon))
        # Ready is who can be asked, and who survives a signal that comes at once.
        assert (tenant.parent / "reconcilerd.sock").exists()
        daemon.send_signal(signal.SIGHUP)
        wait_until("the first reload", lambda: manager.order() == ["READY", "RELOADING", "READY"])
        assert all(value.isdecimal() for value in manager.said("MONOTONIC_USEC"))

        tenant.write_text(kept.replace('mode = "auto"', 'mode = "observe"'), "utf-8")
        done = run(tenant.parent, "reload", "--config", str(tenant))
        assert done.returncode == 0, done.stderr
        assert "limits.mode" in done.stdout
        assert "restart" in done.stdout
        wait_until("writes to be off", lambda: "OFF (observe)" in manager.said("STATUS")[-1])

        faulty = kept.replace('mode = "auto"', "mode = 7")
        elsewhere = f'{kept}\n[ledger]\npath = "elsewhere.db"\n'
        for broken, told in ((faulty, "limits.mode"), (elsewhere, "ledger.path")):
            tenant.write_text(broken, "utf-8")
            done = run(tenant.parent, "reload", "--config", str(tenant))
            assert done.returncode == 2
            assert told in done.stderr
            assert "OFF (observe)" in manager.said("STATUS")[-1]
        tenant.write_text(kept, "utf-8")
        assert run(tenant.parent, "reload", "--config", str(tenant)).returncode == 0
        wait_until("writes to be on", lambda: "ON (auto)" in manager.said("STATUS")[-1])
        assert manager.order()[-2:] == ["RELOADING", "READY"]

        pings = len(manager.said("WATCHDOG"))
        assert pings
        wait_until("it to ping on", lambda: len(manager.said("WATCHDOG")) > pings + 2)
        daemon.terminate()
        assert daemon.wait(PATIENCE_S) == 0
    assert manager.order()[-1] == "STOPPING"
    assert manager.said("EXTEND_TIMEOUT_USEC")
    assert events(tenant, "life.log").count("reload_refused") == 2
    nobody = run(tenant.parent, "reload", "--config", str(tenant))
    assert (nobody.returncode, "no daemon answers" in nobody.stderr) == (8, True)


def test_a_hang_ends_the_pings_and_its_abort_tells_where(
    tenant: Path, tmp_path: Path, manager: Manager
) -> None:
    with running(tenant.parent, "run", "--config", str(tenant), log="hang.log", env=env(tmp_path)) as daemon:
        wait_until("the first pings", lambda: len(manager.said("WATCHDOG")) > 2)
        daemon.send_signal(signal.SIGSTOP)
        time.sleep(0.5)  # what was sent before
        before = len(manager.said("WATCHDOG"))
        time.sleep(WATCHDOG_S)
        assert len(manager.said("WATCHDOG")) == before
        daemon.send_signal(signal.SIGABRT)
        daemon.send_signal(signal.SIGCONT)
        assert daemon.wait(PATIENCE_S) == -signal.SIGABRT
    log = (tenant.parent / "hang.log").read_text("utf-8")
    assert "Fatal Python error: Aborted" in log
    assert "most recent call first" in log


def test_pings_are_for_the_process_that_is_watched(tenant: Path, tmp_path: Path, manager: Manager) -> None:
    other = env(tmp_path, WATCHDOG_PID=str(os.getpid()))
    with running(tenant.parent, "run", "--config", str(tenant), log="other.log", env=other) as daemon:
        wait_until("some standing", lambda: len(manager.said("STATUS")) > 3)
        assert manager.said("WATCHDOG") == []
        daemon.terminate()
        assert daemon.wait(PATIENCE_S) == 0


def test_a_second_signal_stops_at_once_whatever_is_under_way(
    tenant: Path, tmp_path: Path, manager: Manager
) -> None:
    """The stores are halted in the middle of writes: a drain would wait for them."""
    folder = tmp_path / "own"
    folder.mkdir()
    with running(folder, "simulator", "--demo", "--port", "0", log="simulator.log") as simulator:
        assert simulator.stdout is not None
        port = int(simulator.stdout.readline().rsplit(":", 1)[1])
        config = write_tenant(folder, port, busy_hour(read_invoices(None)))
        with running(folder, "run", "--config", str(config), env=env(tmp_path)) as daemon:
            wait_until(
                "something to be written",
                lambda: manager.listen() and "correction_answered" in events(config, "log"),
            )
            simulator.send_signal(signal.SIGSTOP)
            time.sleep(1)  # what was answered before
            daemon.terminate()
            wait_until("the drain", lambda: "STOPPING" in manager.order())
            time.sleep(2)
            assert daemon.poll() is None, "nothing was under way: the test proves nothing"
            daemon.terminate()
            assert daemon.wait(PATIENCE_S) == 0
        assert "stopped_at_once" in events(config, "log")
        assert run(folder, "ledger", "verify", "--config", str(config)).returncode == 0


def test_a_configuration_with_faults_ends_it_with_the_code_that_is_not_tried_again(
    tenant: Path, tmp_path: Path, manager: Manager
) -> None:
    folder = tmp_path / "faulty"
    folder.mkdir()
    config = Path(shutil.copy(tenant, folder))
    config.write_text(config.read_text("utf-8").replace('mode = "auto"', "mode = 7"), "utf-8")
    with running(folder, "run", "--config", str(config), env=env(tmp_path)) as daemon:
        assert daemon.wait(PATIENCE_S) == 2
    assert manager.order() == []
