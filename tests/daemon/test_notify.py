"""The datagrams that systemd is told by, and who is watched."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.daemon.notify import LONGEST_STATUS, notify, ping_every_s, status

PID = os.getpid()


@pytest.mark.parametrize("abstract", [False, True])
def test_state_arrives_as_one_datagram(tmp_path: Path, abstract: bool) -> None:
    name = f"@reconcilerd-test-{PID}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        notify("READY=1", status("a line"), env={"NOTIFY_SOCKET": name})
        assert manager.recv(4096).decode() == "READY=1\nSTATUS=a line"


def test_a_manager_that_is_away_or_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    notify("READY=1", env={})
    notify("READY=1", env={"NOTIFY_SOCKET": name})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        for _ in range(5_000):  # far more than its queue holds
            notify("WATCHDOG=1", env={"NOTIFY_SOCKET": name})


def test_what_is_said_once_waits_until_a_full_queue_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcilerd.daemon.notify.PATIENCE_S", 60.0)
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, ThreadPoolExecutor(1) as pool:
        manager.bind(name)
        manager.settimeout(20)
        for _ in range(5_000):
            notify("WATCHDOG=1", env={"NOTIFY_SOCKET": name})
        told = pool.submit(notify, "STOPPING=1", env={"NOTIFY_SOCKET": name})
        with pytest.raises(TimeoutError):
            told.result(0.2)
        while (said := manager.recv(4096)) != b"STOPPING=1":
            assert said == b"WATCHDOG=1"


@given(st.text())
def test_a_status_is_one_line_whatever_it_says(text: str) -> None:
    line = status(text)
    assert "\n" not in line
    assert len(line) <= LONGEST_STATUS + len("STATUS=")


@given(st.integers(1, 10**9), st.integers(1, 2**22))
def test_the_watchdog_hears_more_than_once_in_its_time_and_only_of_the_process_it_watches(
    usec: int, pid: int
) -> None:
    env = {"WATCHDOG_USEC": str(usec)}
    every_s = ping_every_s(env, pid)
    assert every_s is not None
    assert every_s * 2 < usec / 1_000_000
    assert ping_every_s({**env, "WATCHDOG_PID": str(pid)}, pid) == every_s
    assert ping_every_s({**env, "WATCHDOG_PID": str(pid + 1)}, pid) is None


@pytest.mark.parametrize("said", ["", "0", "-5", "1.5", "soon"])
def test_without_a_time_there_is_no_watchdog(said: str) -> None:
    assert ping_every_s({"WATCHDOG_USEC": said}, PID) is None
    assert ping_every_s({}, PID) is None
