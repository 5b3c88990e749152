"""``run``: the daemon until SIGTERM or SIGINT, with its ledger, alerts, socket and word to systemd."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import structlog

from reconcilerd.assemble import Assembled, assemble
from reconcilerd.cli.receivers import alarms_of, changes_of, engine_of, heartbeat_of, started
from reconcilerd.cli.wall import now
from reconcilerd.cli.wiring import Plan, wire
from reconcilerd.config.secret import redact
from reconcilerd.daemon.alarms import Alarms
from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.control import serve as serve_control
from reconcilerd.daemon.logs import configure
from reconcilerd.daemon.notify import notify
from reconcilerd.daemon.supervisor import keep_alive
from reconcilerd.domain.facts import AlertChanged, AlertTold, DecisionRecorded, SilenceSet
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.reader import Reader, open_reader
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer
from reconcilerd.transport.post import Poster

log = structlog.get_logger("reconcilerd.run")
LOCK_WAIT_S = 60.0
STATUS_EVERY_S = 5.0


def run_daemon(config: Path) -> int:
    """Run until told to stop. Raises ConfigFault, LedgerFault."""
    plan = wire(config)
    configure(plan.settings.daemon.log_level, now, redact)
    with Ledger.open(plan.ledger, clock=now, wait_s=LOCK_WAIT_S) as ledger:
        try:
            anyio.run(_run, plan, ledger)
        except ExceptionGroup as group:
            fault = _ledger_fault(group)
            if fault is None:
                raise
            log.critical("ledger_failed", why=str(fault))
            raise fault from None
    return 0


def _ledger_fault(group: BaseExceptionGroup[BaseException]) -> LedgerFault | None:
    """What the ledger had to say, however deep in the tasks it was said."""
    for error in group.exceptions:
        inner = _ledger_fault(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(inner, LedgerFault):
            return inner
    return None


async def _run(plan: Plan, ledger: Ledger) -> None:
    stop = anyio.Event()
    async with Writer(ledger) as writer, anyio.create_task_group() as group:
        # Handlers before anything else: a signal that comes early must not kill us half started.
        await group.start(_signals, stop)

        async def journal(facts: Sequence[AlertChanged | AlertTold | SilenceSet]) -> None:
            await writer.append(facts, "alert")

        poster = Poster()
        section, secrets = plan.settings.alerts, plan.alerts
        alerts = engine_of(section, secrets, poster.post, journal, ledger)
        built = assemble(plan.wiring, writer, alerts, ledger.everything(), plan.recent(ledger))
        reader = open_reader(plan.ledger)
        alarms = alarms_of(section, secrets, poster.post, alerts, reader, running=True)
        answers = answers_of(built, reader, alarms)
        group.start_soon(keep_alive, "alerts", alerts.run)

        def why_not() -> str:
            return built.daemon.health.why_not() or alerts.unheard

        heartbeat = heartbeat_of(secrets, poster.post, why_not)
        if heartbeat is not None:
            group.start_soon(keep_alive, "heartbeat", heartbeat.run)
        changes = changes_of(section, secrets, poster.post)
        built.daemon.changed = changes.note
        group.start_soon(keep_alive, "changes", changes.run)
        await group.start(serve_control, plan.socket, answers)
        # Ready is who can be asked and stopped. Whether the sources answer is another matter, and an alert's.
        notify("READY=1")
        group.start_soon(_tell_systemd, built, stop)
        log.info(
            "daemon_started",
            mode=plan.settings.limits.mode,
            policy=plan.wiring.policy.revision,
            ledger=f"{ledger.latest_seq}:{ledger.head_hash.hex()}",
        )
        started(changes, plan.settings, plan.wiring.policy.revision, reader.state(DecisionRecorded))
        await built.daemon.run(stop)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for client in built.clients.values():
                await client.aclose()
            await poster.aclose()
        reader.close()
    log.info("daemon_stopped", ledger=f"{ledger.latest_seq}:{ledger.head_hash.hex()}")


def answers_of(built: Assembled, reader: Reader, alarms: Alarms) -> Answers:
    """Answers from a daemon that runs: its own executors carry out what an answer queues."""

    async def carry() -> None:
        for executor in built.daemon.executors.values():
            await executor.drained()

    return Answers(built.daemon, built.stock, built.channels, reader.history, carry, reader, alarms)


async def _signals(stop: anyio.Event, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            log.info("signal_received", signal=signal.Signals(number).name)
            if number == signal.SIGHUP:
                log.warning("reload_refused", do="restart: a stop drains, and nothing is lost")
            else:
                stop.set()


async def _tell_systemd(built: Assembled, stop: anyio.Event) -> None:
    """Say how it stands every few seconds; and at once, that it stops."""
    while not stop.is_set():
        notify(f"STATUS={_standing(built)}")
        with anyio.move_on_after(STATUS_EVERY_S):
            await stop.wait()
    notify("STOPPING=1", "STATUS=draining")


def _standing(built: Assembled) -> str:
    if not built.daemon.started.is_set():
        return "reading the catalogue"
    standing, rails = built.daemon.passes.standing, built.daemon.rails()
    paused = "STOPPED by file. " if rails.stop else "FROZEN. " if rails.frozen else ""
    paused = "STOPPED by a broken invariant. " if rails.breach else paused
    return (
        f"{paused}{len(standing.drifts)} pool groups differ, "
        f"{sum(standing.exposed.values())} units exposed, {sum(standing.hidden.values())} hidden"
    )
