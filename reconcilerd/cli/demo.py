"""``demo``: a simulated business in a child process over real HTTP, the real daemon here, and the score.

The daemon runs as it would for a tenant, from a configuration written into the demo's folder; only the lags of
the business are scaled from minutes to seconds.
"""

import json
import multiprocessing
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import click

from reconcilerd.assemble import Assembled, assemble
from reconcilerd.cli import render
from reconcilerd.cli.simulator import child
from reconcilerd.cli.wall import now
from reconcilerd.cli.wiring import Plan, wire
from reconcilerd.config.secret import redact
from reconcilerd.daemon.logs import configure
from reconcilerd.errors import ReconcilerdError
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer
from reconcilerd.simulator.scene import DRIFT_SHARE, MENU
from reconcilerd.simulator.shoppers import STORES, busy_hour, is_split, read_invoices
from reconcilerd.transport.fetch import Fetcher

DRAIN_S = 60.0
QUIET_S = 4.0
TOLERATED_AFTER_MS = 10_000
"""Two polls and a margin: what the daemon has not called a drift by then, it will not."""
SHARES = {"shop-uk": 50, "shop-eu": 30, "shop-us": 20}


@dataclass(slots=True)
class Watched:
    """What was seen of the run from outside the daemon."""

    found: set[str] = field(default_factory=set)
    tolerated: set[str] = field(default_factory=set)
    """Drifts so small that policy leaves them: the pool is sound and the daemon has nothing to do."""
    truth: dict[str, Any] = field(default_factory=dict)
    converged: bool = False


def run_demo(seconds: int, seed: int, orders: Path | None, *, as_json: bool) -> int:
    """Run it. Exit code 0 only if it converged without a violation, else 3."""
    say = _sayer(as_json)
    folder = Path.cwd() / "reconcilerd-demo"
    with _business(seconds, seed, orders) as port:
        config = _write_config(folder, port, orders)
        configure("critical", now, redact)
        _introduce(say, seconds, seed, orders, port)
        plan = wire(config)
        with Ledger.open(plan.ledger, clock=now) as ledger:
            result = anyio.run(_play, plan, ledger, seconds, port, say)
            verified = ledger.verify()
    if not verified.ok:
        result["violations"].append({"invariant": "I7", "what": verified.why})
    ok = result["converged"] and not result["violations"]
    if as_json:
        click.echo(json.dumps(result))
    else:
        _summary(result, config)
    return 0 if ok else 3


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


def _write_config(folder: Path, port: int, orders: Path | None) -> Path:
    """A configuration as a tenant would write it, and rules that put a third of the SKUs into the split pool."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("reconcilerd.db", "reconcilerd.db-wal", "reconcilerd.db-shm"):
        (folder / name).unlink(missing_ok=True)
    base = f"http://127.0.0.1:{port}"
    lines = [
        'environment = "simulator"',
        'rules_csv = "rules.csv"',
        "[extensiv]",
        f'base_url = "{base}/extensiv"',
        "orders_poll_s = 2\nstock_poll_s = 15",
        f'auth = {{ token_url = "{base}/extensiv/oauth/token" }}',
    ]
    for name, channel in STORES:
        shop = f"{base}/shopify/{name}"
        lines += [
            "[[channels]]",
            f'name = "{name}"\nkind = "shopify"\nbase_url = "{shop}"\nsales_channel_id = {channel}',
            f'places = {{ "gid://shopify/Location/{channel}" = ["1", "2"] }}',
            "poll_s = 4\norder_lag_s = 1.5\nimport_max_s = 10\napply_max_s = 5",
            f'auth = {{ token_url = "{shop}/admin/oauth/access_token", client_auth = "post" }}',
        ]
    lines += [
        '[[pools]]\nname = "shared"\nmode = "shared"\ndefault = true',
        '[[pools]]\nname = "split"\nmode = "split"',
        "[locations.2]\nmirror = true\nmirror_max_s = 20",
        '[limits]\nmode = "auto"\nwindow_slots = 5000\nwindow_percent = 100.0\nwindow_units = 1000000',
        "unexplained_zeros = 200",
        "[ages]\nstock_s = 20\nown_slot_s = 10\npeer_slot_s = 15\nmax_age_s = 90",
    ]
    config = folder / "config.toml"
    config.write_text("\n".join(lines) + "\n", "utf-8")
    codes = {line.code for invoice in busy_hour(read_invoices(orders)) for line in invoice.lines}
    rows = ["sku,channel,pool,percent,cap,buffer,safety_stock"]
    for number, code in enumerate(sorted({code.casefold() for code in codes if is_split(code)})):
        rows.append(f"{code},,split,,,,{1 if number % 10 == 0 else ''}")
        rows += [f"{code},{name},,{share},,," for name, share in SHARES.items()]
    for code in sorted({code.casefold() for code in codes if not is_split(code)})[::10]:
        rows.append(f"{code},shop-us,,,12,1,")
    (folder / "rules.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return config


def _introduce(say: Callable[[str], None], seconds: int, seed: int, orders: Path | None, port: int) -> None:
    invoices = busy_hour(read_invoices(orders))
    lines = sum(len(each.lines) for each in invoices)
    back = sum(1 for each in invoices for line in each.lines if each.cancels or line.write_off)
    say(f"Business: Extensiv and three Shopify stores (Plus plan) over HTTP on 127.0.0.1:{port}, seed {seed}")
    say(
        f"Orders:   {len(invoices)} real invoices, {lines} lines ({back} cancelled or written off), in {seconds} s"
    )
    say("Pools:    shared (every store up to 100 %; each tenth capped at 12 on shop-us, buffer 1)")
    say("          split 50/30/20 % for a third of the SKUs, a tenth of them with safety stock 1")
    say(
        "Units:    eaches, one a sale. Lags: import 1-6 s, order lists 0-1 s, 3PL copy 10 s, shipping 15-60 s"
    )
    say(
        "Daemon:   mode auto, polls 4 s (orders in Extensiv 2 s, stock 15 s), window 5000 listings, 200 zeros"
    )
    say(f"Drift:    {', '.join(each.value for each in MENU)}; until {DRIFT_SHARE:.0%} of the time")


async def _play(
    plan: Plan, ledger: Ledger, seconds: int, port: int, say: Callable[[str], None]
) -> dict[str, Any]:
    watched = Watched()
    fetcher = Fetcher(f"http://127.0.0.1:{port}")
    async with Writer(ledger) as writer, anyio.create_task_group() as group:
        built = assemble(plan.wiring, writer, _Silent())
        stop = anyio.Event()
        group.start_soon(built.daemon.run, stop)
        say("Reading everything once ...")
        await _first_read(built)
        await fetcher.post("/scene/start")
        with anyio.move_on_after(seconds + DRAIN_S):
            await _watch(built, fetcher, watched, seconds, say)
        watched.truth = await fetcher.get("/scene/truth")
        stop.set()
        await anyio.sleep(0.2)
        group.cancel_scope.cancel()
    with anyio.CancelScope(shield=True):
        await fetcher.aclose()
        for client in built.clients.values():
            await client.aclose()
    return _result(built, watched)


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


def _at_rest(built: Assembled) -> bool:
    daemon = built.daemon
    return not daemon.passes.standing.drifts and all(each.idle for each in daemon.executors.values())


async def _watch(
    built: Assembled, fetcher: Fetcher, watched: Watched, seconds: int, say: Callable[[str], None]
) -> None:
    """Follow the run until it is over and quiet."""
    began, said, quiet = now(), 0, 0.0
    while quiet < QUIET_S:
        await anyio.sleep(0.5)
        with suppress(ReconcilerdError):
            watched.truth = await fetcher.get("/scene/truth")
        drifting = set(built.daemon.passes.standing.drifts)
        for drift in watched.truth["drifts"]:
            sku = str(drift["sku"]).casefold()
            if sku in drifting or drift["cured"] is not None:
                watched.found.add(_name(drift))
            elif now() - drift["at"] > TOLERATED_AFTER_MS and drift["fits"]:
                watched.tolerated.add(_name(drift))
        open_ = [d for d in watched.truth["drifts"] if not d["cured"] and _name(d) not in watched.tolerated]
        rest = watched.truth["over"] and _at_rest(built) and not open_
        quiet = quiet + 0.5 if rest else 0.0
        elapsed = (now() - began) // 1000
        if elapsed >= said + 5:
            said = elapsed
            _live(built, watched, elapsed, seconds, say)
    watched.converged = True


def _live(built: Assembled, watched: Watched, elapsed: int, seconds: int, say: Callable[[str], None]) -> None:
    truth, standing = watched.truth, built.daemon.passes.standing
    per = []
    for name in built.channels:
        drifts = sum(d.slot.channel == name for group in standing.drifts.values() for d, _ in group)
        tokens = built.clients[name].lane("graphql").tokens_left
        listings = sum(slot.channel == name for slot in built.daemon.desk.book.slots)
        per.append(f"{name}: {listings} listings, {drifts} differ, {tokens:.0f} tokens left")
    done = min(100, 100 * elapsed // seconds)
    phase = "draining" if truth["over"] else f"{done:3d} %"
    say(f"{phase}  {truth['played']}/{truth['invoices']} orders, {truth['with']['writes']} corrections")
    for line in per:
        say(f"       {line}")


def _result(built: Assembled, watched: Watched) -> dict[str, Any]:
    truth = watched.truth
    cured = sorted((d["cured"] - d["at"]) / 1000 for d in truth["drifts"] if d["cured"])
    by_cause: dict[str, dict[str, int]] = {}
    for drift in truth["drifts"]:
        row = by_cause.setdefault(drift["fault"], {"injected": 0, "found": 0, "cured": 0})
        row["injected"] += 1
        row["found"] += _name(drift) in watched.found | watched.tolerated
        row["cured"] += drift["cured"] is not None or _name(drift) in watched.tolerated
    pair = {"with": truth["with"], "without": truth["without"]}
    violations = [
        {"invariant": v.invariant, "at": v.at, "what": v.what} for v in built.daemon.passes.violations
    ]
    return {
        "orders": truth["with"]["orders"],
        "oversold_units": {side: score["oversold"] for side, score in pair.items()},
        "refused_sales": {side: score["refused"] for side, score in pair.items()},
        "hidden_unit_hours": {side: round(score["hidden"] / 3_600_000, 2) for side, score in pair.items()},
        "drifts": {key: sum(row[key] for row in by_cause.values()) for key in ("injected", "found", "cured")},
        "drifts_by_cause": by_cause,
        "drifts_within_tolerance": sum(
            d["cured"] is None and _name(d) in watched.tolerated for d in truth["drifts"]
        ),
        "feeds_spoilt": truth["spoilt"],
        "time_to_cure_s": {"p50": _percentile(cured, 0.5), "p99": _percentile(cured, 0.99)},
        "requests": {
            name: {"sent": client.traffic.sent, "throttled": truth["throttled"].get(name, 0)}
            for name, client in built.clients.items()
        },
        "corrections": truth["with"]["writes"],
        "unmapped_skus": truth["unmapped"],
        "violations": violations,
        "converged": watched.converged,
        "cured_sku": next((d["sku"] for d in truth["drifts"] if d["cured"]), None),
    }


def _name(drift: dict[str, Any]) -> str:
    return f"{drift['at']}{drift['slot']}"


def _percentile(values: list[float], share: float) -> float | None:
    return round(values[min(len(values) - 1, int(share * len(values)))], 2) if values else None


def _summary(result: dict[str, Any], config: Path) -> None:
    """The score, within 80 columns."""

    def row(name: str, key: str) -> str:
        return f"  {name:<42}{result[key]['with']:>12}{result[key]['without']:>16}"

    click.echo("")
    click.echo(f"  {'':<42}{'corrected':>12}{'native push':>16}")
    click.echo(row("units oversold", "oversold_units"))
    click.echo(row("sales refused while units were shippable", "refused_sales"))
    click.echo(row("hidden unit-hours", "hidden_unit_hours"))
    click.echo("")
    drifts = result["drifts"]
    click.echo(f"  drifts: {drifts['injected']} injected, {drifts['found']} found, {drifts['cured']} cured")
    if result["drifts_within_tolerance"]:
        click.echo(
            f"    {result['drifts_within_tolerance']} of them small enough that policy leaves them as they are"
        )
    for cause, counts in sorted(result["drifts_by_cause"].items()):
        click.echo(f"    {cause:<24} {counts['cured']} of {counts['injected']} cured")
    for text in result["feeds_spoilt"]:
        click.echo(f"    feed spoilt: {text}")
    cure = result["time_to_cure_s"]
    click.echo(
        f"  time to cure: p50 {cure['p50']} s, p99 {cure['p99']} s; {result['corrections']} corrections"
    )
    for name, traffic in result["requests"].items():
        click.echo(f"  {name:<10} {traffic['sent']:>6} requests, {traffic['throttled']} throttled")
    if result["unmapped_skus"]:
        click.echo(f"  sold but mapped to no SKU (reported): {', '.join(result['unmapped_skus'])}")
    click.echo(f"  violations of I1, I2, I4, I5, I7, I17: {len(result['violations'])}")
    click.echo(f"  {'converged' if result['converged'] else 'NOT CONVERGED: differences remain'}")
    sku = result["cured_sku"] or "SKU"
    where = os.path.relpath(config)
    program = os.path.relpath(sys.argv[0]) if os.sep in sys.argv[0] else sys.argv[0]
    click.echo("\nNext:")
    click.echo(f"  {program} explain --sku {sku} --config {where}")
    click.echo(f"  {program} history --sku {sku} --config {where}")
    click.echo(f"  {program} check-config --config your.toml   # your tenant: see README")


def _sayer(as_json: bool) -> Callable[[str], None]:
    columns = render.width()

    def say(text: str) -> None:
        for line in textwrap.wrap(text, columns, subsequent_indent="          ", drop_whitespace=False) or [
            ""
        ]:
            click.echo(line.rstrip(), err=as_json)

    return say


class _Silent:
    """The demo watches the daemon itself; nobody is paged."""

    async def raise_(self, *_args: object) -> None: ...

    async def resolve(self, kind: str, subject: str) -> None: ...
