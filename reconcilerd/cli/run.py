"""``run``: the daemon until SIGTERM or SIGINT, with its ledger, alerts, socket and word to systemd."""

import faulthandler
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import structlog
from anyio import to_thread

from reconcilerd.assemble import Assembled, assemble
from reconcilerd.cli.jobs import schedule_of
from reconcilerd.cli.machine import backed_up
from reconcilerd.cli.outward import Outward
from reconcilerd.cli.receivers import started
from reconcilerd.cli.reload import Reload
from reconcilerd.cli.wall import now
from reconcilerd.cli.wiring import Plan, terms_of, wire
from reconcilerd.config.secret import redact
from reconcilerd.daemon.alarms import Alarms
from reconcilerd.daemon.answers import Answers, Handler
from reconcilerd.daemon.control import serve as serve_control
from reconcilerd.daemon.keeper import keep
from reconcilerd.daemon.logs import configure
from reconcilerd.daemon.notify import extend, notify, ping_every_s, status
from reconcilerd.daemon.peers import Doors, doors_of, must_be_in
from reconcilerd.daemon.status_line import status_line
from reconcilerd.daemon.supervisor import keep_alive, ledger_fault, watch_the_loop
from reconcilerd.domain.facts import AlertChanged, AlertTold, DecisionRecorded, JobEnded, SilenceSet
from reconcilerd.ledger.reader import Reader, open_reader
from reconcilerd.ledger.releases import standing
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer
from reconcilerd.web.meters import on_socket
from reconcilerd.web.sources import Sources

log = structlog.get_logger("reconcilerd.run")
LOCK_WAIT_S = 60.0
STATUS_EVERY_S = 5.0
READING_S = 600.0
"""How long the ledger may take to be read at a start."""
DRAIN_SLACK_S = 15.0
"""What closing takes beyond the drain."""


def run_daemon(config: Path) -> int:
    """Run until told to stop. Raises ConfigFault, LedgerFault."""
    plan = wire(config)
    configure(plan.settings.daemon.log_level, now, redact)
    doors = doors_of(plan.settings.daemon.readers, plan.settings.daemon.operators)
    must_be_in(doors)
    # The watchdog's SIGABRT then tells where every thread stood.
    faulthandler.enable()
    notify(status("waiting for the ledger"), extend(LOCK_WAIT_S + READING_S))
    url = plan.settings.tracing.otlp_url
    with ExitStack() as last, Ledger.open(plan.ledger, clock=now, wait_s=LOCK_WAIT_S) as ledger:
        if url is not None:
            from reconcilerd.web.tracing import traced_to

            tracer, end = traced_to(url)
            last.callback(end)
            plan = replace(plan, wiring=replace(plan.wiring, tracer=tracer))
        try:
            anyio.run(_run, plan, ledger, config, doors)
        except ExceptionGroup as group:
            fault = ledger_fault(group)
            if fault is None:
                raise
            log.critical("ledger_failed", why=str(fault))
            raise fault from None
    return 0


async def _run(plan: Plan, ledger: Ledger, config: Path, doors: Doors) -> None:
    stop, at_once, hang_up = anyio.Event(), anyio.CancelScope(), _HangUp()
    async with anyio.create_task_group() as group:
        # Handlers before anything else, and until the end: no signal must kill us half started or half closed.
        await group.start(_signals, stop, at_once, hang_up)
        await _live(plan, ledger, config, doors, stop, at_once, hang_up)
        group.cancel_scope.cancel()
    log.info("daemon_stopped", ledger=f"{ledger.latest_seq}:{ledger.head_hash.hex()}")


async def _live(
    plan: Plan,
    ledger: Ledger,
    config: Path,
    doors: Doors,
    stop: anyio.Event,
    at_once: anyio.CancelScope,
    hang_up: "_HangUp",
) -> None:
    async with Writer(ledger) as writer, anyio.create_task_group() as group:
        notify(status("reading the ledger"), extend(READING_S))

        async def journal(facts: Sequence[AlertChanged | AlertTold | SilenceSet]) -> None:
            await writer.append(facts, "alert")

        outward = Outward(plan, journal, ledger)
        alerts = outward.engine
        built = assemble(plan.wiring, writer, alerts, standing(ledger, now()), plan.recent(ledger))
        built.daemon.health.surroundings.astray = lambda: ledger.astray
        reader = open_reader(plan.ledger)
        reload = Reload(config, plan, built, reader, outward)
        sources = Sources(
            built.daemon,
            built.clients,
            alerts,
            plan.ledger,
            writer.commits,
            partial(backed_up, plan.ledger),
            lambda: built.daemon.health.reload_refused is None,
            reload.in_force,
        )
        answers = answers_of(built, reader, outward.alarms(reader), {"metrics": on_socket(sources)})
        schedule = schedule_of(
            plan.settings.schedule,
            config,
            answers,
            ledger.state(JobEnded),
            partial(writer.append, note="job"),
        )
        built.daemon.health.jobs = schedule.known
        answers.reload = reload
        answers.prove = partial(_proven, plan.ledger)
        group.start_soon(keep_alive, "keeper", partial(keep, writer, ledger, now, terms_of(plan.settings)))

        group.start_soon(keep_alive, "schedule", schedule.run)

        def why_not() -> str:
            return built.daemon.health.why_not() or alerts.unheard

        outward.start(group, built, answers, why_not)
        await group.start(serve_control, plan.socket, answers, doors)
        # Ready is who can be asked and stopped. Whether the sources answer is another matter, and an alert's.
        notify("READY=1", status(status_line(built.daemon)))
        if plan.settings.web.listen:
            # Whoever serves nothing does not carry a web server in memory.
            from reconcilerd.cli.page import start_page

            start_page(group, plan, sources, answers)
        if plan.settings.webhooks.listen:
            from reconcilerd.cli.hooks import start_hooks

            start_hooks(group, plan, built.daemon)
        group.start_soon(keep_alive, "loop", partial(watch_the_loop, built.daemon.desk.counts.loop_lag))
        group.start_soon(_tell_systemd, built, stop)
        group.start_soon(hang_up.reload_by, reload)
        group.start_soon(_close_incident, config)
        log.info(
            "daemon_started",
            mode=plan.settings.limits.mode,
            policy=plan.wiring.policy.revision,
            ledger=f"{ledger.latest_seq}:{ledger.head_hash.hex()}",
        )
        started(outward.changes, plan.settings, plan.wiring.policy.revision, reader.state(DecisionRecorded))
        with at_once:
            await built.daemon.run(stop)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for client in built.clients.values():
                await client.aclose()
            await outward.aclose()
        reader.close()


async def _proven(ledger: Path) -> str:
    """Why a ledger is not what was written, read by a connection of its own; empty where it is."""

    def verify() -> str:
        with closing(open_reader(ledger)) as reader:
            found = reader.verify()
        return "" if found.ok else found.why

    return await to_thread.run_sync(verify, abandon_on_cancel=True)


def answers_of(
    built: Assembled,
    reader: Reader,
    alarms: Alarms | None,
    more: Mapping[str, Handler] = MappingProxyType({}),
) -> Answers:
    """Answers from a daemon that runs: its own executors carry out what an answer queues."""

    async def carry() -> None:
        for executor in built.daemon.executors.values():
            await executor.drained()

    return Answers(built.daemon, built.stock, built.channels, reader.history, carry, reader, alarms, more)


class _HangUp:
    """SIGHUP asks for a reload. One that comes before the daemon is ready is heeded then; several are one."""

    def __init__(self) -> None:
        self._came = anyio.Event()

    def came(self) -> None:
        self._came.set()

    async def reload_by(self, reload: Reload) -> None:
        """Reload whenever it came, until cancelled."""
        while True:
            await self._came.wait()
            self._came = anyio.Event()
            try:
                await reload()
            except Exception:
                # A bug in a reload is no reason to end what runs.
                log.exception("reload_broke")


async def _signals(
    stop: anyio.Event,
    at_once: anyio.CancelScope,
    hang_up: _HangUp,
    *,
    task_status: Any = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            log.info("signal_received", signal=signal.Signals(number).name)
            if number == signal.SIGHUP:
                hang_up.came()
            elif stop.is_set():
                # What is under way is left as it is: its intent is written down, and the next start reads it back.
                log.warning("stopped_at_once")
                at_once.cancel()
            else:
                stop.set()


async def _close_incident(config: Path) -> None:
    """That our unit had failed was told by the unit itself; that it runs again, only we can."""
    unit = os.environ.get("RECONCILERD_UNIT")
    if unit:
        from reconcilerd.cli.last_word import recovered

        await to_thread.run_sync(recovered, config, unit, abandon_on_cancel=True)


async def _tell_systemd(built: Assembled, stop: anyio.Event) -> None:
    """Say how it stands every few seconds, that it lives while every task gets on, and at once that it stops."""
    ping_s, watch, hung = ping_every_s(), built.daemon.watch, list[str]()
    every_s = min(STATUS_EVERY_S, ping_s or STATUS_EVERY_S)
    told_stop = False
    while True:
        hanging = watch.hanging()
        if hanging and hanging != hung:
            log.critical("task_hangs", tasks=hanging, do="the watchdog restarts us; report this with the log")
        hung = hanging
        lines = [status(f"HANGS: {', '.join(hanging)}" if hanging else status_line(built.daemon))]
        if not hanging and ping_s is not None:
            lines.append("WATCHDOG=1")
        if stop.is_set():
            queued = sum(each.queued for each in built.daemon.executors.values())
            lines[0] = status(f"draining, {queued} corrections wait")
            if not told_stop:
                lines = ["STOPPING=1", *lines, extend(built.daemon.drain_s + DRAIN_SLACK_S)]
            told_stop = True
        notify(*lines)
        with anyio.move_on_after(every_s):
            await (anyio.sleep_forever() if told_stop else stop.wait())
