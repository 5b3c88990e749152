"""``run``: the daemon until SIGTERM or SIGINT, with its ledger, alerts, socket and word to systemd."""

import signal
import socket as sockets
from pathlib import Path
from typing import Any

import anyio
import structlog

from reconcilerd.alerting.receivers import PagerDuty, Slack
from reconcilerd.alerting.router import Receiver, Router
from reconcilerd.assemble import Assembled, assemble
from reconcilerd.cli.wall import now
from reconcilerd.cli.wiring import Plan, wire
from reconcilerd.config.secret import redact
from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.control import serve as serve_control
from reconcilerd.daemon.logs import configure
from reconcilerd.daemon.notify import notify
from reconcilerd.daemon.supervisor import keep_alive
from reconcilerd.domain.facts import AlertChanged
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer
from reconcilerd.transport.post import Poster

log = structlog.get_logger("reconcilerd.run")
LOCK_WAIT_S = 60.0
STATUS_EVERY_S = 10.0


def run_daemon(config: Path) -> int:
    """Run until told to stop. Raises ConfigFault, LedgerFault."""
    plan = wire(config)
    configure(plan.settings.daemon.log_level, now, redact)
    with Ledger.open(plan.ledger, clock=now, wait_s=LOCK_WAIT_S) as ledger:
        anyio.run(_run, plan, ledger)
    return 0


async def _run(plan: Plan, ledger: Ledger) -> None:
    stop = anyio.Event()
    async with Writer(ledger) as writer, anyio.create_task_group() as group:
        # Handlers before anything else: a signal that comes early must not kill us half started.
        await group.start(_signals, stop)

        async def journal(alert: AlertChanged) -> None:
            await writer.append((alert,), "alert")

        standing = list(ledger.state(AlertChanged))
        poster = Poster()
        alerts = Router(_receivers(plan, poster), journal, now, standing)
        built = assemble(plan.wiring, writer, alerts, list(ledger.everything()))
        reader = open_reader(plan.ledger)
        answers = answers_of(built, reader.history)
        group.start_soon(keep_alive, "alerts", alerts.run)
        await group.start(serve_control, plan.socket, answers)
        group.start_soon(_tell_systemd, built)
        log.info("daemon_started", mode=plan.settings.limits.mode, policy=plan.wiring.policy.revision)
        await built.daemon.run(stop)
        notify("STOPPING=1")
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for client in built.clients.values():
                await client.aclose()
            await poster.aclose()
        reader.close()
    log.info("daemon_stopped")


def answers_of(built: Assembled, history: Any) -> Answers:
    """Answers from a daemon that runs: its own executors carry out what an answer queues."""

    async def carry() -> None:
        for executor in built.daemon.executors.values():
            await executor.drained()

    return Answers(built.daemon, built.stock, built.channels, history, carry)


async def _signals(stop: anyio.Event, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("signal_received", signal=signal.Signals(number).name)
            stop.set()


async def _tell_systemd(built: Assembled) -> None:
    await built.daemon.started.wait()
    notify("READY=1")
    while True:
        standing = built.daemon.passes.standing
        rails = built.daemon.rails()
        paused = "STOPPED by file. " if rails.stop else "FROZEN. " if rails.frozen else ""
        notify(
            f"STATUS={paused}{len(standing.drifts)} pool groups differ, "
            f"{sum(standing.exposed.values())} units exposed, {sum(standing.hidden.values())} hidden"
        )
        await anyio.sleep(STATUS_EVERY_S)


def _receivers(plan: Plan, poster: Poster) -> list[Receiver]:
    made: list[Receiver] = []
    if "slack_webhook" in plan.alerts:
        made.append(Slack(plan.alerts["slack_webhook"].reveal(), poster.post))
    if "pagerduty_routing_key" in plan.alerts:
        key, url = plan.alerts["pagerduty_routing_key"].reveal(), plan.settings.alerts.pagerduty_url
        made.append(PagerDuty(url, key, sockets.gethostname(), poster.post))
    return made
