"""The jobs that the daemon does by the clock, as ``[schedule]`` of the configuration says, and how each is done."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, Final

import anyio

from reconcilerd.cli.wall import now
from reconcilerd.config.calendar import next_of
from reconcilerd.config.secret import redact
from reconcilerd.config.settings import ScheduleSection
from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.schedule import Ended, Job, Schedule
from reconcilerd.domain.facts import JobEnded

BY: Final = "the schedule"
BACKUP_S: Final = 3_600.0
OURS: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What a program of ours must not take for its own."""


def schedule_of(
    section: ScheduleSection, config: Path, answers: Answers, before: Iterable[JobEnded], journal: Ended
) -> Schedule:
    """Those that the configuration names; none by default."""
    works = {
        "audit": partial(_audit, answers),
        "backup": partial(_backup, config),
        "digest": partial(_digest, answers),
    }
    jobs = [
        Job(name, partial(next_of, cron, section.timezone), work)
        for name, work in works.items()
        if (cron := getattr(section, name)) is not None
    ]
    return Schedule(jobs, before, journal, now)


async def _audit(answers: Answers) -> str:
    """As the command does it: differences are a finding, and no failure."""
    told = await answers.answer({"op": "audit"}, BY)
    if "error" in told:
        return str(told["error"]["message"])
    return "; ".join(f"{feed} was not read: {why}" for feed, why in sorted(told["unread"].items()))


async def _digest(answers: Answers) -> str:
    told = await answers.answer({"op": "digest", "send": True}, BY)
    if "error" in told:
        return str(told["error"]["message"])
    refused = [each for each in told["sent"] or () if not each["accepted"]]
    return "; ".join(f"{each['receiver']} did not take it: {each['reply']}" for each in refused)


async def _backup(config: Path) -> str:
    """In a process of its own: to prove a copy takes the processor for long, and here nobody else may wait for it."""
    command = [sys.executable, "-m", "reconcilerd.cli.main", "backup", "--json", "--config", str(config)]
    env = {name: value for name, value in os.environ.items() if name not in OURS}
    with anyio.move_on_after(BACKUP_S):
        done = await anyio.run_process(
            command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, check=False, env=env, start_new_session=True
        )
        return "" if done.returncode == 0 else why_of(done.returncode, done.stderr)
    return f"it took longer than {BACKUP_S / 60:.0f} min, and was ended"


def why_of(code: int, said: bytes) -> str:
    """What a program of ours said when it failed."""
    text = said.decode("utf-8", "replace").strip()
    last: Sequence[str] = text.splitlines()[-1:]
    try:
        told: Any = json.loads(last[0]) if last else None
        return redact(str(told["error"]["message"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return redact(f"exit code {code}: {''.join(last)[:200]}")
