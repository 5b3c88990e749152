"""Answers without a daemon: from the ledger alone, or under its lock where something is read or written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import structlog
from structlog.typing import EventDict

from reconcilerd.alerting.engine import Receiver
from reconcilerd.alerting.slack import Answer, Post
from reconcilerd.assemble import Assembled, assemble
from reconcilerd.cli.receivers import alarms_of, engine_of, receivers_of
from reconcilerd.cli.wall import now
from reconcilerd.cli.who import who
from reconcilerd.cli.wiring import Plan, wire
from reconcilerd.config.secret import redact
from reconcilerd.daemon.alarms import Alarms, try_receivers
from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.desk import Journal
from reconcilerd.daemon.health import Nobody
from reconcilerd.daemon.logs import configure
from reconcilerd.daemon.plans import unreadable
from reconcilerd.daemon.pollers import read_once
from reconcilerd.daemon.refusals import error
from reconcilerd.domain.facts import AlertChanged, AlertTold, Fact, SilenceSet
from reconcilerd.domain.plan_file import BadPlan, read_document
from reconcilerd.errors import ConfigFault, Denied, LedgerFault, LedgerLocked, ReconcilerdError
from reconcilerd.ledger.reader import Reader, open_reader
from reconcilerd.ledger.releases import standing
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer
from reconcilerd.transport.post import Poster

WRITES = frozenset({"approve", "freeze", "unfreeze", "revoke", "unpin", "silence", "unsilence"})

CALLS = frozenset({"apply", "alert_test", "resend"})
"""Requests that call others, whatever their fields say."""
FROM_THE_LEDGER = frozenset({"status", "handover", "digest"})
"""Answers that say whether a daemon gave them."""


def answer_offline(config: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request by ourselves. Raises ConfigFault, LedgerFault, LedgerLocked."""
    try:
        if request["op"] == "apply":
            read_document(request["plan"])  # what is damaged is told before anything else is read
        plan = wire(config, calls=_calls(request))
        configure("error", now, redact)
        structlog.configure(processors=[_only_bugs, *structlog.get_config()["processors"]])
        if request["op"] == "alert_test":
            return anyio.run(_try_receivers, plan, request)
        if any(request.get(each) for each in ("fresh", "apply", "reset")) or request["op"] in WRITES:
            with Ledger.open(plan.ledger, clock=now) as ledger:
                return anyio.run(_under_lock, plan, ledger, request)
        reader = open_reader(plan.ledger)
        try:
            told = anyio.run(_from_ledger, plan, reader, request)
        finally:
            reader.close()
        if "error" not in told and request["op"] in FROM_THE_LEDGER:
            return {
                **told,
                "daemon": False,
                "exit_code": 8 if request["op"] == "status" else told["exit_code"],
            }
        return told
    except BadPlan as bad:
        return unreadable(bad)
    except ConfigFault as fault:
        told = error("\n  ".join(("the configuration has faults:", *fault.faults)), 2)
        return {**told, "error": {**told["error"], "faults": list(fault.faults)}}
    except LedgerLocked as locked:
        return error(str(locked), 8)
    except LedgerFault as fault:
        return error(str(fault), 2)
    except Denied as denied:
        return error(str(denied), 4)
    except ReconcilerdError as trouble:
        return error(str(trouble), 5)


def _only_bugs(_logger: Any, method: str, event: EventDict) -> EventDict:
    """Drop what the answer tells: rails that trip while it is made are its holds, not lines of a log beside it."""
    if method == "error" and not event.get("exc_info"):
        raise structlog.DropEvent
    return event


def _calls(request: dict[str, Any]) -> bool:
    """Whether a system or a receiver is asked or told for it; if not, only the ledger is looked at or written."""
    return request["op"] in CALLS or any(request.get(each) for each in ("fresh", "apply", "send"))


async def _from_ledger(plan: Plan, reader: Reader, request: dict[str, Any]) -> dict[str, Any]:
    built = assemble(plan.wiring, _Nowhere(), Nobody(), standing(reader, now()), plan.recent(reader))
    await _plan_everything(built)
    answers = _answers(built, reader, _alarms(plan, reader, _Nowhere()))
    answers.readings.on = False
    return await answers.answer(request, who())


async def _under_lock(plan: Plan, ledger: Ledger, request: dict[str, Any]) -> dict[str, Any]:
    async with Writer(ledger) as writer:
        built = assemble(plan.wiring, writer, Nobody(), standing(ledger, now()), plan.recent(ledger))
        try:
            if request.get("fresh") or request.get("apply"):
                await _read_what_is_missing(built)
            await _plan_everything(built)
            return await _answers(built, ledger, _alarms(plan, ledger, writer)).answer(request, who())
        finally:
            with anyio.CancelScope(shield=True):
                for client in built.clients.values():
                    await client.aclose()


async def _read_what_is_missing(built: Assembled) -> None:
    """Without a daemon nobody keeps the feeds fresh: read what a decision needs."""
    desk = built.daemon.desk
    for source in (built.stock, *built.channels.values()):
        for feed in source.feeds:
            if feed != "extensiv.totals":
                _, trouble = await read_once(source, feed, desk, whole=feed not in desk.book.swept_whole)
                if isinstance(trouble, Denied):
                    raise trouble


async def _plan_everything(built: Assembled) -> None:
    """Fill the standing (drifts, exposure) without handing anything to an executor."""
    from reconcilerd.domain.plan import make_plan
    from reconcilerd.domain.survey import position_of, weather_of

    daemon = built.daemon
    weather = weather_of(daemon.desk.book, now())
    for group in daemon.desk.book.joins().groups.members:
        position = position_of(daemon.desk.book, group, weather)
        if position.offers:
            plan = make_plan(position, daemon.rails())
            daemon.passes.standing.note(plan)
            daemon.passes.changed_policy.look(plan)


async def _try_receivers(plan: Plan, request: dict[str, Any]) -> dict[str, Any]:
    def make(post: Post) -> list[Receiver]:
        return receivers_of(plan.settings.alerts, plan.alerts, post, now)

    return await try_receivers(make, _posting(plan), request, who(), now())


def _posting(plan: Plan) -> Post:
    """Posts by a client of its own each time: most commands send none."""

    async def post(url: str, body: object, headers: Mapping[str, str]) -> Answer:
        poster = Poster(plan.settings.alerts.allow_hosts)
        try:
            return await poster.post(url, body, headers)
        finally:
            await poster.aclose()

    return post


def _alarms(plan: Plan, ledger: Reader, journal: Journal) -> Alarms:
    """Alerts as the ledger holds them; nobody is told but by a test."""

    async def keep(facts: Sequence[AlertChanged | AlertTold | SilenceSet]) -> None:
        await journal.append(facts, "alert")

    section, secrets, post = plan.settings.alerts, plan.alerts, _posting(plan)
    engine = engine_of(section, secrets, post, keep, ledger)
    return alarms_of(section, secrets, post, engine, ledger, running=False)


def _answers(built: Assembled, reader: Reader, alarms: Alarms) -> Answers:
    async def carry() -> None:
        for executor in built.daemon.executors.values():
            while not executor.idle:
                await executor.work_once()

    return Answers(built.daemon, built.stock, built.channels, reader.history, carry, reader, alarms)


class _Nowhere:
    """Nothing is written where nothing was asked to be."""

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:  # noqa: ARG002
        return 0
