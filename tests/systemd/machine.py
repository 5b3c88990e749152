"""A machine of its own with a real systemd, on which the wheel is installed as a user would install it.

Needs root and a tool that boots one (``start``, ``exec CMD...``, ``stop``; its folder is named by ``S``): see
``RECONCILERD_THROWAWAY_SYSTEMD``.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.programs import PATIENCE_S

ROOT = Path(__file__).parents[2]
TOOL = Path(
    os.environ.get("RECONCILERD_THROWAWAY_SYSTEMD", ROOT.parent / "shared" / "tools" / "throwaway-systemd")
)
PYTHON = "/usr/bin/python3"
BIN = "/opt/reconcilerd/venv/bin"


@dataclass(frozen=True)
class Machine:
    """Commands run as root inside."""

    folder: str

    def run(
        self, *command: str, stdin: str = "", timeout_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(TOOL), "exec", *command],
            env={**os.environ, "S": self.folder},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def do(self, line: str, stdin: str = "", timeout_s: float = PATIENCE_S) -> str:
        """Run a line of shell that must succeed; what it printed."""
        try:
            done = self.run("bash", "-c", line, stdin=stdin, timeout_s=timeout_s)
        except subprocess.TimeoutExpired:
            told = self.run("bash", "-c", "systemctl list-jobs; journalctl --no-pager -o cat -n 60").stdout
            raise AssertionError(f"{line}: not done within {timeout_s} s\n{told}") from None
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str, mode: str = "0644", owner: str = "root:root") -> None:
        place = shlex.quote(path)
        self.do(f"install -D -m {mode} -o {owner.replace(':', ' -g ')} /dev/stdin {place}", stdin=text)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        text = self.do(f"systemctl show {unit} -p {','.join(names)}")
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def pid(self, unit: str) -> int:
        return int(self.show(unit, "MainPID")["MainPID"])

    def says(self, unit: str, text: str, times: int = 1, patience_s: float = PATIENCE_S) -> str:
        """Wait until a unit said this so often; all that it said. Of an ended process the journal takes it later."""
        end = time.monotonic() + patience_s
        while (told := self.journal("-u", unit)).count(text) < times:
            assert time.monotonic() < end, (
                f"not {times} times {text!r}:\n{told[-4000:]}\n--- all:\n{self.journal()[-4000:]}"
            )
            time.sleep(0.3)
        return told

    def journal(self, *matches: str) -> str:
        """What was said so far, that of processes which have ended too."""
        return self.do(f"journalctl --sync && journalctl --no-pager -o cat {shlex.join(matches)}")

    def until(self, unit: str, patience_s: float = PATIENCE_S, **wanted: str) -> dict[str, str]:
        """Wait until properties have these values."""
        end = time.monotonic() + patience_s
        while (found := self.show(unit, *wanted)) != wanted:
            assert time.monotonic() < end, (
                f"{unit}: {found}, not {wanted}\n{self.journal('-u', unit)[-3000:]}"
            )
            time.sleep(0.3)
        return found


@contextmanager
def machine() -> Iterator[Machine]:
    """Boot one, install the wheel and its units. Skips, loudly, where that cannot be."""
    if not TOOL.is_file():
        pytest.skip(f"NOT TESTED under a real systemd: no {TOOL}; set RECONCILERD_THROWAWAY_SYSTEMD")
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED under a real systemd: that takes root")
    if not Path("/lib/systemd/systemd").exists() or not Path(PYTHON).exists():
        pytest.skip(
            f"NOT TESTED under a real systemd: it takes the packages systemd and python3-venv ({PYTHON})"
        )
    with Path("/var/tmp/reconcilerd-systemd.lock").open("w", encoding="utf-8") as turn:
        # Such machines share a control group: one at a time.
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield from _booted()


def _booted() -> Iterator[Machine]:
    # Not under /tmp: inside, that is empty.
    wheels = Path(tempfile.mkdtemp(prefix="reconcilerd-wheels-", dir="/var/tmp"))
    folder = tempfile.mkdtemp(prefix="reconcilerd-systemd-")
    made = Machine(folder)
    try:
        _built(wheels)
        started = subprocess.run(
            [str(TOOL), "start"],
            env={**os.environ, "S": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
        assert started.returncode == 0, started.stdout + Path(folder, "log").read_text("utf-8")
        made.do(f"{PYTHON} -m venv /opt/reconcilerd/venv")
        made.do(f"{BIN}/pip install -q --no-index --find-links {wheels} reconcilerd", timeout_s=300)
        yield made
    finally:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([str(TOOL), "stop"], env={**os.environ, "S": folder}, timeout=60, check=False)
        shutil.rmtree(wheels, ignore_errors=True)
        with suppress(OSError):
            Path(folder).rmdir()  # never what is in it: a machine that did not stop still has its root there


def _built(wheels: Path) -> None:
    """The wheel of this checkout, from a copy of what git knows, and those of all that it depends on."""
    done = subprocess.run(
        [PYTHON, "-m", "pip", "wheel", "-q", "-w", str(wheels), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "-w", str(wheels), str(ROOT)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stderr
