"""Runs the demo: the daemon runs as it would for a tenant; only the business's lags are seconds for minutes."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import click

from reconcilerd.assemble import Assembled, assemble
from reconcilerd.cli.demo.tenant import told, write_tenant
from reconcilerd.cli.demo.view import View, summary
from reconcilerd.cli.options import print_json
from reconcilerd.cli.simulator import child
from reconcilerd.cli.wall import now
from reconcilerd.cli.wiring import Plan, wire
from reconcilerd.config.secret import redact
from reconcilerd.daemon.audit import IN_ITS_TURN, audit_rest, stopped
from reconcilerd.daemon.breakers import Tripped, tripped
from reconcilerd.daemon.health import Nobody
from reconcilerd.daemon.logs import configure
from reconcilerd.domain.invariants import Violation, check_history
from reconcilerd.domain.latches import CANARY, QUARANTINE, TUG, ZEROS
from reconcilerd.domain.names import FeedName
from reconcilerd.errors import ReconcilerdError
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer
from reconcilerd.simulator.shoppers import busy_hour, read_invoices
from reconcilerd.transport.fetch import Fetcher

DRAIN_S = 60.0
QUIET_S = 4.0
LAST_LOOK_S = 60.0
LOOK_S = 0.5
TOLERATED_AFTER_MS = 10_000
"""Two polls and a margin: what the daemon has not called a drift by then, it will not."""
RESET_BY_A_PERSON = frozenset({CANARY, QUARANTINE, TUG, ZEROS})
"""Rails that what the demo puts in may trip, and that hold until a person says. The demo has to be that person."""
LOOKED_AT_MS = 3_000
"""For how long a rail that tripped is left to be looked at."""
FEEDS = {
    "v1/inventory": "stock",
    "v1.1/orders": "orders",
    "v1.1/products": "products",
    "v1/listings": "listings",
    "v1/productstocks/total": "totals",
}
"""Which feed a page of Extensiv belongs to."""


@dataclass(slots=True)
class Watched:
    """What was seen of the run from outside the daemon."""

    found: set[str] = field(default_factory=set)
    tolerated: set[str] = field(default_factory=set)
    """Drifts so small that policy leaves them: the pool is sound and the daemon has nothing to do."""
    read_again: dict[str, int] = field(default_factory=dict)
    """Spoilt pages, and when their feed was next read whole."""
    resets: list[Tripped] = field(default_factory=list)
    """Rails that tripped and were reset."""
    truth: dict[str, Any] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    converged: bool = False

    def open_drifts(self) -> list[dict[str, Any]]:
        return [each for each in self.truth["drifts"] if self.cured_at(each) is None and not self.left(each)]

    def left(self, drift: dict[str, Any]) -> bool:
        return _name(drift) in self.tolerated

    def cured_at(self, drift: dict[str, Any]) -> int | None:
        cured: int | None = drift["cured"] if not drift["feed"] else self.read_again.get(_name(drift))
        return cured


def run_demo(seconds: int, seed: int, orders: Path | None, *, as_json: bool) -> int:
    """Run it. Exit code 0 only if it converged without a violation, else 3."""
    with at_hand(orders) as file:
        return _run(seconds, seed, file, as_json=as_json)


def _run(seconds: int, seed: int, orders: Path | None, *, as_json: bool) -> int:
    view = View(quiet=as_json)
    folder = Path.cwd() / "reconcilerd-demo"
    invoices = busy_hour(read_invoices(orders))
    with _business(seconds, seed, orders) as port:
        config = write_tenant(folder, port, invoices)
        configure("critical", now, redact)
        view.introduce(told(seconds, seed, invoices, port))
        plan = wire(config)
        with Ledger.open(plan.ledger, clock=now) as ledger:
            built, watched = anyio.run(_play, plan, ledger, seconds, port, view)
            verified = ledger.verify()
            entries = ((each.at, _facts(each.facts)) for each in ledger.entries())
            watched.violations += check_history(entries)
    if not verified.ok:
        watched.violations.append(Violation("I7", now(), verified.why))
    result = _result(built, watched)
    code = 0 if result["converged"] and not result["violations"] else 3
    if as_json:
        print_json({**result, "exit_code": code})
    else:
        for line in summary(result, config):
            click.echo(line)
    return code


@contextmanager
def at_hand(orders: Path | None) -> Iterator[Path | None]:
    """A file of orders that can be read twice, here and by the business: a pipe gives what it holds a single time."""
    if orders is None or orders.is_file():
        yield orders
        return
    with TemporaryDirectory(prefix="reconcilerd-demo-") as folder:
        kept = Path(folder) / orders.name
        kept.write_bytes(orders.read_bytes())
        yield kept


@contextmanager
def _business(seconds: int, seed: int, orders: Path | None) -> Iterator[int]:
    """The child process; yields its port."""
    read_end, write_end = os.pipe()
    process = multiprocessing.get_context("fork").Process(
        target=child, args=(write_end, float(seconds), seed, orders), daemon=True
    )
    process.start()
    os.close(write_end)
    try:
        with os.fdopen(read_end) as pipe:
            line = pipe.readline()
        if not line:
            raise ReconcilerdError(
                "the simulated business did not start; run `reconcilerd simulator` to see why"
            )
        yield int(line)
    finally:
        process.terminate()
        process.join(5)


async def _play(plan: Plan, ledger: Ledger, seconds: int, port: int, view: View) -> tuple[Assembled, Watched]:
    watched = Watched()
    fetcher = Fetcher(f"http://127.0.0.1:{port}")
    async with Writer(ledger) as writer, anyio.create_task_group() as group:
        built = assemble(plan.wiring, writer, Nobody())
        stop = anyio.Event()
        group.start_soon(built.daemon.run, stop)
        view.say("Reading everything once ...")
        await _first_read(built)
        await fetcher.post("/scene/start")
        with view.live(), anyio.move_on_after(seconds + DRAIN_S):
            await _watch(built, fetcher, watched, seconds, view)
        watched.truth = await fetcher.get("/scene/truth")
        watched.converged = watched.converged and await _last_look(built)
        if watched.converged:
            await _judge(built, ledger, watched)
        else:
            watched.violations += stopped(built.daemon.desk.book)
        stop.set()
        await anyio.sleep(0.2)
        group.cancel_scope.cancel()
    with anyio.CancelScope(shield=True):
        await fetcher.aclose()
        for client in built.clients.values():
            await client.aclose()
    return built, watched


async def _first_read(built: Assembled) -> None:
    """Until every feed was read once and nothing is left to correct that can be."""
    await built.daemon.started.wait()
    desk = built.daemon.desk
    wanted = {feed for source in (built.stock, *built.channels.values()) for feed in source.feeds}
    with anyio.move_on_after(60):
        while not wanted <= desk.book.sweeps.keys():
            await anyio.sleep(0.1)
        quiet = 0.0
        while quiet < 1.0:
            await anyio.sleep(0.25)
            quiet = quiet + 0.25 if _at_rest(built) else 0.0


async def _last_look(built: Assembled) -> bool:
    """Have everything looked at once more, and what comes of it done: time alone may just have allowed a raise.

    Whether it is done: on a busy machine the time for it may run out in the middle of a write.
    """
    built.daemon.desk.everybody()
    with anyio.move_on_after(LAST_LOOK_S):
        while built.daemon.passes.busy or not _at_rest(built):
            await anyio.sleep(0.01)
        return True
    return False


async def _judge(built: Assembled, ledger: Ledger, watched: Watched) -> None:
    """What is wrong where all is at rest. What a reading or time has allowed just now is done before it is judged."""
    # Nothing may await between the last look and here: what stands must not move while it is judged.
    found = audit_rest(built.daemon, ledger.everything())
    watched.violations += [each for each in found if each.invariant not in IN_ITS_TURN]
    if any(each.invariant in IN_ITS_TURN for each in found):
        watched.converged = await _last_look(built)
        if watched.converged:
            watched.violations += audit_rest(built.daemon, ledger.everything())


def _at_rest(built: Assembled) -> bool:
    daemon = built.daemon
    return not daemon.passes.standing.drifts and all(each.idle for each in daemon.executors.values())


async def _watch(built: Assembled, fetcher: Fetcher, watched: Watched, seconds: int, view: View) -> None:
    """Follow the run until it is over and quiet."""
    began, quiet = now(), 0.0
    while quiet < QUIET_S:
        await anyio.sleep(LOOK_S)
        with suppress(ReconcilerdError):
            watched.truth = await fetcher.get("/scene/truth")
        _note(built, watched)
        for rail in await _reset(built):
            watched.resets.append(rail)
            view.tell(f"{rail.name} tripped: {rail.why} ({rail.evidence}). Reset, as a person would")
        rest = watched.truth["over"] and _at_rest(built) and not watched.open_drifts()
        quiet = quiet + LOOK_S if rest else 0.0
        view.show(built, watched, (now() - began) / 1000, seconds)
    watched.converged = True


async def _reset(built: Assembled) -> list[Tripped]:
    """Reset what waits for a person. Circuits and doubted readings end by themselves; a broken invariant must stay."""
    daemon, at = built.daemon, now()
    found = [
        each
        for each in tripped(daemon.desk.book, daemon.circuits, at)
        if each.rail in RESET_BY_A_PERSON and at - each.since >= LOOKED_AT_MS
    ]
    if found:
        await daemon.reset(found, "demo", "the drift that the demo puts in")
    return found


def _note(built: Assembled, watched: Watched) -> None:
    """What the daemon has found by now, as it says so itself."""
    drifting = set(built.daemon.passes.standing.drifts)
    sweeps = built.daemon.desk.book.sweeps
    for drift in watched.truth["drifts"]:
        name, sku = _name(drift), str(drift["sku"]).casefold()
        if drift["feed"]:
            whole = sweeps.get(FeedName(f"extensiv.{FEEDS.get(drift['feed'], '')}"))
            if whole is not None and whole.ended > drift["at"]:
                watched.found.add(name)
                watched.read_again.setdefault(name, whole.ended)
        elif sku in drifting or drift["cured"] is not None:
            watched.found.add(name)
        elif now() - drift["at"] > TOLERATED_AFTER_MS and drift["fits"]:
            watched.tolerated.add(name)


def _result(built: Assembled, watched: Watched) -> dict[str, Any]:
    truth = watched.truth
    times = [(watched.cured_at(d), d["at"]) for d in truth["drifts"]]
    cured = sorted((at - began) / 1000 for at, began in times if at is not None)
    by_cause: dict[str, dict[str, int]] = {}
    for drift in truth["drifts"]:
        row = by_cause.setdefault(drift["harm"], {"injected": 0, "found": 0, "cured": 0})
        row["injected"] += 1
        row["found"] += _name(drift) in watched.found | watched.tolerated
        row["cured"] += watched.cured_at(drift) is not None or watched.left(drift)
    pair = {"with": truth["with"], "without": truth["without"]}
    return {
        "orders": truth["with"]["orders"],
        "oversold_units": {side: score["oversold"] for side, score in pair.items()},
        "refused_sales": {side: score["refused"] for side, score in pair.items()},
        "refused_by_split": {side: score["refused_split"] for side, score in pair.items()},
        "hidden_unit_hours": {side: round(score["hidden"] / 3_600_000, 2) for side, score in pair.items()},
        "drifts": {key: sum(row[key] for row in by_cause.values()) for key in ("injected", "found", "cured")},
        "drifts_by_cause": by_cause,
        "drifts_within_tolerance": sum(
            watched.cured_at(d) is None and watched.left(d) for d in truth["drifts"]
        ),
        "time_to_cure_s": {"p50": _percentile(cured, 0.5), "p99": _percentile(cured, 0.99)},
        "requests": {
            name: {"sent": client.traffic.sent, "throttled": truth["throttled"].get(name, 0)}
            for name, client in built.clients.items()
        },
        "corrections": truth["with"]["writes"],
        "resets": [
            {"name": each.name, "why": each.why, "evidence": each.evidence} for each in watched.resets
        ],
        "unmapped_skus": truth["unmapped"],
        "violations": [{"invariant": v.invariant, "at": v.at, "what": v.what} for v in watched.violations],
        "converged": watched.converged,
        "remaining": _remaining(built),
        "cured_sku": next((d["sku"] for d in truth["drifts"] if d["cured"]), None),
    }


def _remaining(built: Assembled) -> list[dict[str, Any]]:
    """What differs at the end, and why it is left so."""
    return [
        {
            "sku": drift.sku,
            "channel": drift.slot.channel,
            "shown": drift.observed,
            "desired": drift.desired,
            "verdict": str(verdict),
        }
        for group in built.daemon.passes.standing.drifts.values()
        for drift, verdict in group
    ]


def _facts(facts: Any) -> Any:
    """Those that this version knows."""
    return [each for each in facts if hasattr(each, "kind")]


def _name(drift: dict[str, Any]) -> str:
    return f"{drift['at']}{drift['slot']}{drift['feed']}"


def _percentile(values: list[float], share: float) -> float | None:
    return round(values[min(len(values) - 1, int(share * len(values)))], 2) if values else None
