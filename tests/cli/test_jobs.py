"""Jobs that the daemon does by the clock do what their commands do, and say why they failed."""

import json
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from reconcilerd.cli import jobs
from reconcilerd.cli.jobs import schedule_of, why_of
from reconcilerd.config.settings import ScheduleSection
from reconcilerd.daemon.schedule import Schedule
from reconcilerd.domain.facts import JobEnded
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.backups import last_backup
from reconcilerd.ledger.store import Ledger
from tests.cli.programs import run

ROOT = Path(__file__).parents[2]


class Said:
    """Answers as a test has them; ``asked``: what was asked."""

    def __init__(self, **told: Any) -> None:
        self._told = told
        self.asked: list[tuple[dict[str, Any], str]] = []

    async def answer(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        self.asked.append((request, by))
        return self._told


async def nowhere(_: object) -> None:
    """Nothing is kept."""


def scheduled(answers: Said, config: Path = Path("config.toml"), **schedule: Any) -> Schedule:
    return schedule_of(ScheduleSection(**schedule), config, answers, (), nowhere)  # type: ignore[arg-type]


def done(schedule: Schedule) -> str:
    """Do the one job there is; why it failed."""
    [job] = schedule._jobs
    return anyio.run(job.work)


def tenant(folder: Path) -> Path:
    config = folder / "config.toml"
    config.write_text((ROOT / "config.toml").read_text("utf-8"), "utf-8")
    with Ledger.open(folder / "reconcilerd.db", clock=lambda: Instant(1_000)) as ledger:
        ledger.append([JobEnded("audit", True, "", Instant(1), Instant(2))])
    return config


def test_nothing_is_done_by_the_clock_unless_the_configuration_says_so() -> None:
    assert scheduled(Said()).known == {}
    every = scheduled(Said(), audit="30 4 * * *", backup="0 * * * *", digest="0 8 * * *")
    assert set(every.known) == {"audit", "backup", "digest"}


def test_differences_that_an_audit_finds_are_no_failure_and_what_was_not_read_is() -> None:
    answers = Said(unread={}, exit_code=3)
    assert done(scheduled(answers, audit="30 4 * * *")) == ""
    assert answers.asked == [({"op": "audit"}, "the schedule")]
    late = Said(unread={"shop-uk.slots": "no answer"}, exit_code=5)
    assert done(scheduled(late, audit="30 4 * * *")) == "shop-uk.slots was not read: no answer"
    failed = Said(error={"message": "never read", "exit_code": 5}, exit_code=5)
    assert done(scheduled(failed, audit="30 4 * * *")) == "never read"


def test_a_digest_that_somebody_did_not_take_is_a_failure() -> None:
    taken = {"receiver": "mail", "accepted": True, "reply": "accepted"}
    answers = Said(sent=[taken], exit_code=0)
    assert done(scheduled(answers, digest="0 8 * * *")) == ""
    assert answers.asked == [({"op": "digest", "send": True}, "the schedule")]
    refused = Said(sent=[taken, {"receiver": "slack", "accepted": False, "reply": "gone"}], exit_code=5)
    assert done(scheduled(refused, digest="0 8 * * *")) == "slack did not take it: gone"


def test_a_backup_is_made_and_proven_while_the_loop_goes_on(tmp_path: Path) -> None:
    config = tenant(tmp_path)
    [job] = scheduled(Said(), config, backup="0 * * * *")._jobs
    ticks = 0

    async def main() -> str:
        nonlocal ticks
        async with anyio.create_task_group() as group:

            async def tick() -> None:
                nonlocal ticks
                while True:
                    ticks += 1
                    await anyio.lowlevel.checkpoint()

            group.start_soon(tick)
            why = await job.work()
            group.cancel_scope.cancel()
        return why

    assert anyio.run(main) == ""
    assert ticks > 100, "the loop stood still meanwhile"
    assert last_backup(tmp_path / "reconcilerd.db") is not None


def test_why_a_backup_failed_is_what_the_command_says(tmp_path: Path) -> None:
    config = tenant(tmp_path)
    (tmp_path / "backups").write_text("", "utf-8")
    why = done(scheduled(Said(), config, backup="0 * * * *"))
    said = json.loads(run(tmp_path, "backup", "--json", "--config", str(config)).stderr)
    assert why == said["error"]["message"]
    assert "backups: is a file" in why


def test_one_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BACKUP_S", 0.0)
    assert "was ended" in done(scheduled(Said(), tenant(tmp_path), backup="0 * * * *"))


@pytest.mark.parametrize(
    "said", [b"", b"{", b"7\n", b'{"error": 7}', b"\xff\xfe", b"Traceback\nKeyError: 'x'\n"]
)
def test_a_program_that_says_nothing_of_use_is_told_by_its_code(said: bytes) -> None:
    assert why_of(1, said).startswith("exit code 1: ")


def test_a_daemon_does_by_the_clock_what_was_due_and_says_how_it_ended(tmp_path: Path) -> None:
    """In a process of its own, as in a container: what was missed is caught up after a start."""
    from tests.cli.programs import running, trading, wait_until
    from tests.cli.test_run import ask, stopped

    with trading(tmp_path, harmed=False) as config:
        with config.open("a", encoding="utf-8") as file:
            file.write('\n[schedule]\naudit = "0 0 1 1 *"\nbackup = "0 * * * *"\n')
        with Ledger.open(tmp_path / "reconcilerd.db", clock=lambda: Instant(1_000)) as ledger:
            ledger.append([JobEnded("backup", False, "the disk was full", Instant(1), Instant(2))])
        with running(tmp_path, "run", "--config", str(config)) as daemon:

            def jobs_told() -> dict[str, Any]:
                told = ask(config, "status")[1]
                return {each["job"]: each for each in told.get("jobs", ())} if told.get("daemon") else {}

            wait_until(
                "the failure of before to be told", lambda: jobs_told().get("backup", {}).get("ok") is False
            )
            assert jobs_told()["audit"]["ended"] is None
            shown = run(tmp_path, "status", "--config", str(config)).stdout
            assert "JOB FAILED: the backup" in shown
            assert "jobs: audit done never yet\n" in shown
            wait_until("the backup to be caught up", lambda: jobs_told()["backup"]["ok"], 150)
            assert stopped(daemon) == 0
        assert last_backup(tmp_path / "reconcilerd.db") is not None
