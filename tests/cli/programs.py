"""Our own programs as processes of their own, as a person or systemd starts them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from reconcilerd.cli.demo.tenant import write_tenant
from reconcilerd.simulator.shoppers import busy_hour, read_invoices

COLUMNS = 80
PATIENCE_S = 400.0
"""For what does not come. A busy machine needs much of it for what takes seconds elsewhere."""


def _command(*args: str) -> list[str]:
    return [sys.executable, "-m", "reconcilerd.cli.main", *args]


def _env(folder: Path) -> dict[str, str]:
    return {"COLUMNS": str(COLUMNS), "PATH": "/usr/bin:/bin", "HOME": str(folder)}


def run(folder: Path, *args: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        _command(*args),
        cwd=folder,
        env=_env(folder),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@contextmanager
def running(
    folder: Path, *args: str, log: str = "log", env: Mapping[str, str] = MappingProxyType({})
) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on; whatever happens, it is ended. Its log is a file in the folder."""
    with (folder / log).open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            _command(*args),
            cwd=folder,
            env=_env(folder) | dict(env),
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        if process.stdout is not None:
            process.stdout.close()


def wait_until(what: str, true: object, patience_s: float = PATIENCE_S) -> None:
    """Wait until ``true()`` holds. Fails loudly, with what was waited for."""
    assert callable(true)
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, f"waited {patience_s} s for {what}"
        time.sleep(0.2)


@contextmanager
def trading(folder: Path, *, harmed: bool = True) -> Iterator[Path]:
    """A pretend business that is served and trades; the configuration of a tenant of it.

    ``harmed``: things go wrong there, as in the demo.
    """
    demo = ["--demo"] if harmed else []
    with running(folder, "simulator", *demo, "--port", "0", log="simulator.log") as simulator:
        assert simulator.stdout is not None
        port = int(simulator.stdout.readline().rsplit(":", 1)[1])
        yield write_tenant(folder, port, busy_hour(read_invoices(None)))
