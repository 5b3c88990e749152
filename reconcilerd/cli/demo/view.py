"""What a person sees of the demo: an introduction, a live table (or plain lines where nobody watches), the score."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reconcilerd.assemble import Assembled
from reconcilerd.cli import render
from reconcilerd.cli.wrapping import wrap
from reconcilerd.daemon.audit import CHECKED
from reconcilerd.domain.guards import GOES

PLAIN_EVERY_S = 5.0
LABEL = 10


class Seen(Protocol):
    """What the view needs of the watch."""

    @property
    def truth(self) -> dict[str, Any]: ...
    @property
    def found(self) -> set[str]: ...

    def open_drifts(self) -> list[dict[str, Any]]: ...


class View:
    """Speaks to standard output; to standard error where the output is to be JSON."""

    def __init__(self, *, quiet: bool) -> None:
        self._err = quiet
        self._columns = render.width()
        self._console = Console(stderr=quiet, width=self._columns, highlight=False)
        self._live: Live | None = None
        self._said_s = 0.0

    def say(self, text: str) -> None:
        """One line, or several where it is too long."""
        for line in wrap(text, self._columns, subsequent_indent=" " * LABEL) or [""]:
            click.echo(line, err=self._err)

    def tell(self, text: str) -> None:
        """The same, above the table where one is drawn."""
        if self._live is None:
            self.say(text)
        else:
            self._live.console.print(Text(text))

    def introduce(self, told: Sequence[tuple[str, str]]) -> None:
        for about, text in told:
            self.say(f"{about + ':':<{LABEL}}{text}")

    @contextmanager
    def live(self) -> Iterator[None]:
        """A table that is drawn anew in place, where there is a terminal to draw it on."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def show(self, built: Assembled, seen: Seen, elapsed_s: float, seconds: int) -> None:
        """How it stands now."""
        rows, share = _rows(built, seen), min(1.0, elapsed_s / seconds)
        phase = "draining" if seen.truth["over"] else f"{share:4.0%}"
        told = (
            f"{seen.truth['played']}/{seen.truth['invoices']} orders, {len(seen.truth['drifts'])} drifts put in, "
            f"{len(seen.found)} found, {len(seen.open_drifts())} open"
        )
        if self._live is not None:
            bar = ProgressBar(total=1.0, completed=share, width=min(40, self._columns - 20))
            head = Table.grid(padding=(0, 1))
            head.add_row(Text(phase), bar)
            self._live.update(Group(head, Text(told), _table(rows)), refresh=True)
        elif elapsed_s >= self._said_s + PLAIN_EVERY_S:
            self._said_s = elapsed_s
            self.say(f"{phase}  {told}")
            for row in rows:
                self.say(
                    f"       {row[0]}: "
                    + ", ".join(
                        f"{v} {k.removesuffix(' left')}" for k, v in zip(HEAD[1:], row[1:], strict=True)
                    )
                )


HEAD = ("store", "listings", "differ", "held", "corrections", "tokens left")


def _rows(built: Assembled, seen: Seen) -> list[tuple[str, ...]]:
    standing, slots = built.daemon.passes.standing, built.daemon.desk.book.slots
    drifts = [each for group in standing.drifts.values() for each in group]
    rows = []
    for name in built.channels:
        mine = [verdict for drift, verdict in drifts if drift.slot.channel == name]
        held = sum(verdict not in GOES for verdict in mine)
        listings = sum(slot.channel == name for slot in slots)
        tokens = built.clients[name].lane("graphql").tokens_left
        written = seen.truth["writes_by_store"].get(name, 0)
        rows.append((str(name), *map(str, (listings, len(mine), held, written, f"{tokens:.0f}"))))
    return rows


def _table(rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in HEAD:
        table.add_column(name, justify="left" if name == HEAD[0] else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def summary(result: dict[str, Any], config: Path) -> list[str]:
    """The score, within 80 columns but for commands to paste."""

    def row(name: str, key: str) -> str:
        return f"  {name:<42}{result[key]['with']:>12}{result[key]['without']:>16}"

    drifts, cure = result["drifts"], result["time_to_cure_s"]
    lines = [
        "",
        f"  {'':<42}{'corrected':>12}{'native push':>16}",
        row("units oversold", "oversold_units"),
        row("units refused while they were shippable", "refused_sales"),
        row("  of these, units a split kept for others", "refused_by_split"),
        row("hidden unit-hours", "hidden_unit_hours"),
        *wrap(
            "Native push shows one unit in every store at once and sells it there too; who will not oversell must "
            "now and then refuse a sale that another store could still have made.",
            78,
            initial_indent="  ",
            subsequent_indent="  ",
        ),
        "",
        f"  drifts: {drifts['injected']} injected, {drifts['found']} found, {drifts['cured']} cured",
    ]
    for cause, counts in sorted(result["drifts_by_cause"].items()):
        lines.append(f"    {cause:<24} {counts['cured']} of {counts['injected']} cured")
    if result["drifts_within_tolerance"]:
        small = result["drifts_within_tolerance"]
        lines.append(f"    {small} of them so small that policy leaves the numbers as they are")
    lines.append(
        f"  time to cure: p50 {cure['p50']} s, p99 {cure['p99']} s; {result['corrections']} corrections"
    )
    for each in result["resets"]:
        reset = f"reset, as a person would: {each['name']}, {each['why']} ({each['evidence']})"
        lines += wrap(reset, 78, initial_indent="  ", subsequent_indent="    ")
    for name, traffic in result["requests"].items():
        lines.append(f"  {name:<10} {traffic['sent']:>6} requests, {traffic['throttled']} throttled")
    if result["unmapped_skus"]:
        unmapped = f"sold but mapped to no SKU (reported): {', '.join(result['unmapped_skus'])}"
        lines += wrap(unmapped, 78, initial_indent="  ", subsequent_indent="    ")
    lines.append(f"  violations of invariants {_ranges(CHECKED)}: {len(result['violations'])}")
    for each in result["violations"][:5]:
        lines.append(f"    {each['invariant']}: {each['what']}")
    lines.append(f"  {_end(result)}")
    for each in result["remaining"][:5]:
        left = f"{each['sku']} on {each['channel']}: {each['shown']} -> {each['desired']} ({each['verdict']})"
        lines += wrap(left, 78, initial_indent="    ", subsequent_indent="      ")
    return [*lines, "", "Next:", *_next(result, config)]


def _end(result: dict[str, Any]) -> str:
    if result["converged"]:
        return "converged"
    if result["remaining"]:
        return "NOT CONVERGED: differences remain"
    return "NOT CONVERGED: it was still at work when its time was over"


def _ranges(names: Sequence[str]) -> str:
    """``I1-I10, I13`` for names that are a letter and a number, in order."""
    numbers = [int(name[1:]) for name in names]
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    pairs = zip(starts, ends, strict=True)
    return ", ".join(f"I{first}" if first == last else f"I{first}-I{last}" for first, last in pairs)


def _next(result: dict[str, Any], config: Path) -> list[str]:
    sku, where = result["cured_sku"] or "SKU", os.path.relpath(config)
    program = os.path.relpath(sys.argv[0]) if os.sep in sys.argv[0] else sys.argv[0]
    return [
        f"  {program} explain --sku {sku} --config {where}",
        f"  {program} history --sku {sku} --config {where}",
        f"  {program} check-config --config your.toml   # your tenant: see README",
    ]
