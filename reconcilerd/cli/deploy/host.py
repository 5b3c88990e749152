"""The machine that is deployed to: releases beside one another, a link to the one in use, and its unit."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reconcilerd.cli.deploy.gates import Look, look_of
from reconcilerd.errors import ConfigFault

KEPT: Final = 3
"""Releases that stay: the one in use and two to go back to."""
LONG_S: Final = 1_800.0
"""Installing, or proving a large ledger."""
SHORT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The last of what it said, for people."""
        return " ".join((self.err.strip() or self.out.strip()).split())[-500:]


def run(words: Sequence[str], timeout_s: float = SHORT_S) -> Done:
    """Run a command to its end. One that does not end in time, or is not there, has failed."""
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            words, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Done(127, "", f"{words[0]}: {error}")
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Host:
    """``root``: /opt/reconcilerd. ``link``: what units start."""

    root: Path
    config: Path
    unit: str
    ledger: Path
    python: str = "/usr/bin/python3"

    @property
    def link(self) -> Path:
        return self.root / "venv"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    def current(self) -> Path:
        """The release in use. Raises ConfigFault where nothing is installed."""
        if not (self.link / "bin/python").exists():
            raise ConfigFault((f"{self.link}: nothing is installed there; begin as the README says",))
        return self.link.resolve() if self.link.is_symlink() else self.link

    def build(self, name: str, source: str, lock: Path | None, wheels: Path | None) -> Path:
        """A release of its own from what pip installs. Raises ConfigFault; then nothing is left of it."""
        made = self.releases / name
        local = ["--no-index", "--find-links", str(wheels)] if wheels else []
        pip = [str(made / "bin/python"), "-m", "pip", "install", "--quiet", *local]
        steps = [[self.python, "-m", "venv", str(made)]]
        if lock is not None:
            steps.append([*pip, "--require-hashes", "-r", str(lock)])
        steps.append([*pip, *(["--no-deps"] if lock else []), source])
        for step in steps:
            done = run(step, LONG_S)
            if done.code:
                shutil.rmtree(made, ignore_errors=True)
                raise ConfigFault((f"cannot install {source}: {done.said}",))
        return made

    def ask(self, release: Path, *words: str, timeout_s: float = LONG_S) -> Done:
        """A command of one release, by its own interpreter: scripts of a folder that was moved start another one's."""
        program = [str(release / "bin/python"), "-m", "reconcilerd.cli.main"]
        return run([*program, *words, "--config", str(self.config)], timeout_s)

    def switch(self, release: Path) -> None:
        """Have the link lead to a release. A folder in its place becomes a release first."""
        if self.link.is_dir() and not self.link.is_symlink():
            self.releases.mkdir(exist_ok=True)
            self.link.rename(self.releases / "first")
            release = self.releases / "first" if release == self.link else release
        fresh = self.root / "venv.next"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.path.relpath(release, self.root))
        fresh.replace(self.link)

    def moved(self, release: Path) -> Path:
        """Where a release is that was the folder itself."""
        return self.releases / "first" if release == self.link else release

    def put_units(self, release: Path) -> Done:
        """Put a release's own units in place; the program they start is behind the link."""
        program = [str(release / "bin/python"), "-m", "reconcilerd.cli.main", "install-systemd"]
        done = run([*program, "--bin", str(self.link / "bin")])
        if done.code == 0:
            done = run(["systemd-sysusers"])
        return run(["systemctl", "daemon-reload"]) if done.code == 0 else done

    def start(self) -> Done:
        run(["systemctl", "reset-failed", self.unit])
        return run(["systemctl", "start", self.unit], LONG_S)

    def stop(self) -> Done:
        return run(["systemctl", "stop", self.unit])

    def look(self, release: Path) -> Look:
        """How the daemon stands now."""
        at_s = time.monotonic()
        shown = run(["systemctl", "show", self.unit, "-p", "ActiveState,NRestarts"]).out
        said = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        restarts = int(said.get("NRestarts") or 0)
        state = said.get("ActiveState", "unknown")
        if state not in {"active", "reloading"}:
            return Look(at_s, state == "activating", restarts, f"the unit is {state}")
        metrics, status = self.ask(release, "metrics", timeout_s=30), self.status(release)
        if metrics.code or status is None:
            return Look(at_s, True, restarts, f"it does not answer: {metrics.said[:200]}")
        found = look_of(at_s, restarts, metrics.out, time.time())  # noqa: TID251 - of the machine, as feeds are stamped
        return replace(found, broken="an invariant was broken") if status.get("breaches") else found

    def status(self, release: Path) -> dict[str, Any] | None:
        done = self.ask(release, "status", "--json", timeout_s=30)
        try:
            told = json.loads(done.out)
        except ValueError:
            return None
        return told if isinstance(told, dict) and told.get("daemon") else None

    def forget_old(self, *keep: Path) -> None:
        """Let all but the newest releases go."""
        found = sorted(self.releases.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
        for each in found[KEPT:]:
            if each not in keep:
                shutil.rmtree(each, ignore_errors=True)
