"""``simulate``: what a policy would have done, by trials of the whole daemon in virtual time."""

import gc
import shlex
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import click

from reconcilerd.cli.children import end_with_parent
from reconcilerd.cli.faults import check_script
from reconcilerd.cli.options import print_json, refuse
from reconcilerd.cli.render import width
from reconcilerd.cli.wall import now
from reconcilerd.cli.wrapping import several, wrap
from reconcilerd.config.calendar import Calendar
from reconcilerd.config.load import load
from reconcilerd.config.policy import policy_of
from reconcilerd.config.secret import redact
from reconcilerd.daemon.logs import configure
from reconcilerd.domain.names import Instant, format_instant
from reconcilerd.domain.policy import Mode, Policy
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.faults import faults_of, is_record
from reconcilerd.simulator.shoppers import Invoice, read_invoices, sells
from reconcilerd.trial.market import Market, market, no_numbers
from reconcilerd.trial.run import Outcome, run_trial
from reconcilerd.trial.stage import START, Pacing

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
RARELY = 1_000_000, 20, 50
SAID_EVERY_S = 10.0
SHOWN = 5
"""Violations that are told in full; JSON has all."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be simulated, but for the seed."""

    days: float
    skus: int
    channels: int
    config: Path | None
    faults: str
    orders: Path | None
    record: Path | None = None
    begins: Instant | None = None
    """When the doors open. None: any time will do, unless the policy names dates: then now."""


def run_simulate(ask: Ask, seeds: Sequence[int], *, as_json: bool) -> int:
    """Run every seed. Exit code 0 without a violation, else 3; 130 where it was interrupted after some were played; 2
    where the record could not be written at the end.

    Raises ConfigFault for a bad policy, orders file or record, and for unknown faults.
    """
    script = faults_of(ask.faults)
    make = market_of(ask)
    if ask.record is not None:
        _open_record(ask.record)
    what = make(seeds[0])
    if "@" in ask.faults:
        check_script(script, seeds, {"extensiv", *what.policy.channels})
    ask = replace(ask, begins=what.begins)
    if not as_json:
        for line in _told(ask, seeds, what.policy):
            click.echo(line)
    began_s = time.perf_counter()
    outcomes, broken_off = list[Outcome](), False
    try:
        for outcome in _outcomes(ask, make, seeds):
            outcomes.append(outcome)
            if not as_json and len(seeds) > 1:
                for line in _fit(f"seed {outcome.seed}: {_one(outcome)}", "  "):
                    click.echo(line)
    except KeyboardInterrupt:
        if not outcomes:
            raise
        # Hours may lie in what was played.
        broken_off = True
    result = _result(outcomes, time.perf_counter() - began_s)
    if what.begins != START:
        result["from"] = format_instant(what.begins)
    unwritten = "" if ask.record is None else _write_record(ask.record, outcomes)
    code = 2 if unwritten else 130 if broken_off else 3 if result["violations"] else 0
    if as_json:
        print_json({**result, "exit_code": code})
    else:
        if broken_off:
            click.echo(f"Interrupted: {len(outcomes)} of {len(seeds)} seeds were played.")
        for line in _summary(ask, result):
            click.echo(line)
    # Hours may lie in the figures: they come first, whatever became of the record.
    return refuse(unwritten, code, as_json=as_json) if unwritten else code


def _open_record(path: Path) -> None:
    """See that it can be written before hours are simulated; it may be what strikes, and is not touched yet.

    Raises ConfigFault, also for a file that is there and is no record.
    """
    try:
        if path.is_file() and not is_record(path):
            raise ConfigFault((f"{path} is there and is no record; it is left as it is, name another file",))
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigFault((f"{path}: cannot be written: {error.strerror or error}",)) from error


def _write_record(path: Path, outcomes: Sequence[Outcome]) -> str:
    """Why it could not be written; empty where it was."""
    lines = [each.line(outcome.seed) for outcome in outcomes for each in outcome.faults if each.request]
    try:
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    except OSError as error:
        return f"the record is lost: {path} cannot be written ({error.strerror or error}); name another file"
    return ""


def market_of(ask: Ask) -> Callable[[int], Market]:
    """The business of each seed: under the policy of a configuration, and read as often as it says, or its own."""
    invoices = _last(ask.orders, ask.days)
    made = partial(
        market, skus=ask.skus, channels=ask.channels, invoices=invoices, begins=ask.begins or START
    )
    if ask.config is None:
        return made
    settings = load(ask.config)
    policy = policy_of(settings, ask.config.resolve().parent)
    unknown = ", ".join(repr(each[:40]) for each in no_numbers(policy)[:SHOWN])
    if unknown:
        raise ConfigFault(
            (
                f"{ask.config}: places draw on {unknown}; write warehouses by their numbers in Extensiv, like '1'",
            )
        )
    extensiv = settings.extensiv
    polls: dict[str, float] = {each.name: each.poll_s for each in settings.channels}
    pacing = Pacing(
        max(polls.values()),
        extensiv.orders_poll_s,
        extensiv.stock_poll_s,
        extensiv.catalogue_poll_s,
        extensiv.totals_poll_s,
        polls,
    )
    dated = bool(policy.reserves or policy.inbound or settings.freeze)
    begins = ask.begins or (Instant(now() // HOUR_MS * HOUR_MS) if dated else START)
    return partial(made, policy=policy, pacing=pacing, begins=begins, closed=Calendar(settings.freeze).at)


def _last(orders: Path | None, days: float) -> tuple[Invoice, ...]:
    """The orders of the last days of a file. Raises ConfigFault where they sell nothing that lies on a shelf."""
    if orders is None:
        return ()
    invoices = read_invoices(orders)
    since = invoices[-1].at - days * DAY_MS
    last = tuple(each for each in invoices if each.at > since)
    if not sells(last):
        what = "only postage, fees, and quantities below 0, which cancel or write off"
        raise ConfigFault((f"{orders}: its last {days:g} days sell no product: {what}",))
    return last


def _outcomes(ask: Ask, make: Callable[[int], Market], seeds: Sequence[int]) -> Iterator[Outcome]:
    run = partial(_run, ask, make)
    if len(seeds) == 1:
        yield run(seeds[0])
        return
    # Forked with it: neither a policy nor a calendar travels from process to process.
    with ProcessPoolExecutor(mp_context=get_context("fork"), initializer=_keep, initargs=(run,)) as pool:
        try:
            # Not by its map, which cancels what waits: the pool would fail to say of it that its children are gone.
            for outcome in [pool.submit(_kept, seed) for seed in seeds]:
                yield outcome.result()
        except BaseException:
            # Interrupted: a seed that is half played tells nothing, and may take minutes to its end.
            for child in active_children():
                child.terminate()
            raise


_RUN: list[Callable[[int], Outcome]] = []
"""What the seeds of this process are run by."""


def _keep(run: Callable[[int], Outcome]) -> None:
    end_with_parent()
    # A terminal interrupts all of them; the parent ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _RUN[:] = [run]


def _kept(seed: int) -> Outcome:
    return _RUN[0](seed)


def _run(ask: Ask, make: Callable[[int], Market], seed: int) -> Outcome:
    configure("critical", now, redact)
    # A trial makes much and keeps little: looking for cycles as often as a program at rest does is a tenth of it.
    gc.set_threshold(*RARELY)
    hours = ask.days * 24
    return run_trial(make(seed), seed, hours, ask.faults, Progress(seed, hours))


class Progress:
    """Says on stderr how far a seed is, where that takes long. Every process says it of its own."""

    def __init__(self, seed: int, hours: float, clock_s: Callable[[], float] = time.perf_counter) -> None:
        self._seed, self._hours, self._clock_s = seed, hours, clock_s
        self._began_s = self._said_s = clock_s()

    def __call__(self, passed: float) -> None:
        """So many hours of trade have passed."""
        now_s = self._clock_s()
        if now_s - self._said_s >= SAID_EVERY_S and passed < self._hours:
            self._said_s = now_s
            pace = passed / (now_s - self._began_s)
            click.echo(
                f"  seed {self._seed}: {passed:.1f} of {self._hours:g} h, {pace:.2f} a second", err=True
            )


def _told(ask: Ask, seeds: Sequence[int], policy: Policy) -> list[str]:
    what = f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
    # A file may sell fewer.
    most = "up to " if ask.orders else ""
    sells = f"{most}{several(ask.skus, 'SKU')} on {several(len(policy.channels), 'channel')}, " + (
        f"the orders of {ask.orders}" if ask.orders else "visitors by chance"
    )
    how = f"faults {ask.faults}, mode {policy.limits.mode}, policy {ask.config or 'of its own'}."
    lines = _fit(f"Simulating {what} of {_days(ask.days)}: {sells}, {how}")
    if ask.begins not in {None, START}:
        begins = format_instant(ask.begins or START)
        lines += _fit(f"It begins at {begins}, by the clock of the policy's dates.")
    if policy.limits.mode is Mode.OBSERVE:
        lines += _fit("Mode observe writes nothing: the figures are those of doing nothing.")
    return lines


def _days(days: float) -> str:
    return f"{days:g} day" if days == 1 else f"{days:g} days"


def _fit(text: str, indent: str = "") -> list[str]:
    """Lines that fit the terminal; a path that is longer stays whole."""
    further = f"{indent}  " if indent else ""
    return wrap(text, width(), initial_indent=indent, subsequent_indent=further, break_long_words=False)


def _one(outcome: Outcome) -> str:
    score = outcome.score
    return (
        f"{outcome.hours:.1f} h, {several(score.orders, 'order')}, {score.oversold} oversold, {score.refused} refused, "
        f"{several(len(outcome.violations), 'violation')}"
    )


def _result(outcomes: Sequence[Outcome], took_s: float) -> dict[str, Any]:
    hours = sum(each.hours for each in outcomes)
    scores = [each.score for each in outcomes]
    return {
        "seeds": [each.seed for each in outcomes],
        "simulated_hours": round(hours, 2),
        "settling_hours": round(sum(each.settling for each in outcomes), 2),
        "hours_per_second": round(hours / took_s, 3),
        "orders": sum(each.orders for each in scores),
        "oversold_units": sum(each.oversold for each in scores),
        "refused_sales": sum(each.refused for each in scores),
        "hidden_unit_minutes": round(sum(each.hidden for each in scores) / 60_000),
        "self_made": sum(each.self_made for each in outcomes),
        "corrections": sum(each.writes for each in scores),
        "held": dict(sorted(sum((Counter(each.held) for each in outcomes), Counter[str]()).items())),
        "tripped": dict(sorted(Counter(name for each in outcomes for name in each.tripped).items())),
        "faults": dict(sorted(Counter(str(f.fault) for each in outcomes for f in each.faults).items())),
        "violations": [
            {"invariant": v.invariant, "seed": each.seed, "at": v.at, "what": v.what}
            for each in outcomes
            for v in each.violations
        ],
    }


def _summary(ask: Ask, result: dict[str, Any]) -> list[str]:
    rows = (
        ("orders", result["orders"]),
        ("units oversold", result["oversold_units"]),
        ("units refused while they were shippable", result["refused_sales"]),
        ("hidden unit-minutes", result["hidden_unit_minutes"]),
        ("units shown too many by our own raises", result["self_made"]),
        ("corrections", result["corrections"]),
        ("faults that struck", sum(result["faults"].values())),
        ("listings held at the end", sum(result["held"].values())),
    )
    lines = [line for row in rows for line in _row(*row)]
    lines += _standing_at_the_end(result)
    lines += _row("violations of invariants", len(result["violations"]))
    for each in result["violations"][:SHOWN]:
        lines += _fit(f"{each['invariant']}, seed {each['seed']}: {each['what']}", "    ")
    if result["violations"]:
        lines.append(f"  replays exactly: {_again(ask, result['violations'][0]['seed'])}")
    lines += _fit(
        f"{result['simulated_hours']:g} simulated hours of trade, {result['hours_per_second']:g} a second, and "
        f"{result['settling_hours']:g} to come to rest",
        "  ",
    )
    return lines


def _row(name: str, number: int) -> list[str]:
    """A figure in a column of its own, or behind its name where a terminal is too narrow for that."""
    line = f"  {name:<42}{number:>12,}"
    return [line] if len(line) <= width() else _fit(f"{name}: {number:,}", "  ")


def _standing_at_the_end(result: dict[str, Any]) -> list[str]:
    """What holds listings when all is quiet, and which rails a person would have to reset; nothing where none do."""
    lines: list[str] = []
    if result["held"]:
        lines += _fit("held: " + ", ".join(f"{name} {n:,}" for name, n in result["held"].items()), "    ")
    seeds = len(result["seeds"])
    names = [
        f"{name} in {n:,} of {seeds:,} seeds" if seeds > 1 else name for name, n in result["tripped"].items()
    ]
    if names:
        more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        lines += _fit(f"tripped: {', '.join(names[:SHOWN])}{more}", "    ")
    return lines


def _again(ask: Ask, seed: int) -> str:
    """The command that plays a seed again, each word as a shell takes it."""
    words = ["--seed", seed, "--days", ask.days, "--skus", ask.skus, "--faults", ask.faults]
    # A policy names its own channels.
    words += ["--policy", ask.config] if ask.config else ["--channels", ask.channels]
    words += ["--orders", ask.orders] if ask.orders else []
    words += ["--from", format_instant(ask.begins)] if ask.begins not in {None, START} else []
    return shlex.join(["reconcilerd", "simulate", *map(str, words)])
