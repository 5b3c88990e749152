"""``status --watch``: how it stands, again and again: drawn in place on a terminal, a line each time anywhere else."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from reconcilerd.cli import render
from reconcilerd.cli.exits import error_of
from reconcilerd.cli.options import refuse
from reconcilerd.cli.socket_client import ask_daemon
from reconcilerd.domain.visible import all_visible, visible

PATIENCE_S: Final = 10.0
BAD: Final = ("ALERT critical", "ALERT error", "JOB FAILED", "NO DAEMON", "STOPPED", "TRIPPED")
WORTH_A_LOOK: Final = ("ALERT", "FREEZE WINDOW", "FROZEN", "LEDGER", "SILENCE")
"""How lines begin that colour sets off; the words say it without."""

Answer = dict[str, Any]


class Screen(Protocol):
    """Where looks are shown."""

    def show(self, told: Answer) -> None: ...


def watch(config: Path, every_s: float, *, as_json: bool) -> int:
    """Look until interrupted. Whoever is not there at first is not waited for; later it may come back."""
    told = ask_daemon(config, {"op": "status"}, PATIENCE_S)
    if "error" in told:
        return refuse(told["error"]["message"], int(told["exit_code"]), as_json=as_json)
    try:
        with _screen(as_json=as_json, every_s=every_s) as screen:
            while True:
                screen.show(told)
                time.sleep(every_s)
                told = ask_daemon(config, {"op": "status"}, PATIENCE_S)
    except KeyboardInterrupt:
        return 130


@contextmanager
def _screen(*, as_json: bool, every_s: float) -> Iterator[Screen]:
    console = Console(highlight=False)
    if as_json or not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(as_json=as_json)
        return
    drawn = _Drawn(every_s)
    try:
        with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="ellipsis") as live:
            drawn.live = live
            yield drawn
    finally:
        # The screen that was there before is back: how it stood last is worth keeping.
        click.echo("\n".join(drawn.last))


class _Lines:
    """One line a look."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def show(self, told: Answer) -> None:
        if self._as_json:
            click.echo(error_of(told) if "error" in told else json.dumps(told))
        else:
            click.echo(line(all_visible(told)))


class _Drawn:
    """The whole of ``status``, drawn over what was there."""

    live: Live | None = None

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self.last: list[str] = []

    def show(self, told: Answer) -> None:
        """A daemon that does not answer leaves what it said last, and says so above."""
        if "error" in told:
            lines = [f"NO DAEMON ANSWERS: {visible(told['error']['message'])}", "", *self.last]
        else:
            lines = self.last = render.status(all_visible(told), render.width()).splitlines()
        if self.live is not None:
            head = Text(f"reconcilerd status, every {self._every_s:g} s; Ctrl-C ends it\n", "dim")
            text = Text("\n").join([head, *(Text(each, _style(each)) for each in lines)])
            text.no_wrap, text.overflow = True, "ellipsis"
            self.live.update(text, refresh=True)


def _style(text: str) -> str:
    return "bold red" if text.startswith(BAD) else "yellow" if text.startswith(WORTH_A_LOOK) else ""


def line(told: Answer) -> str:
    """How it stands, in one line: whether anything is written, what differs, what is seen, who should look."""
    if "error" in told:
        return f"NO DAEMON ANSWERS: {told['error']['message']}"
    ages = [each["age_s"] for each in told["feeds"]]
    oldest = None if not ages or None in ages else max(ages)
    open_ = sum(each["stage"] in {"firing", "keeping"} for each in told["alerts"])
    counts = {key: sum(each[key] for each in told["channels"]) for key in ("drifts", "held", "queued")}
    return ", ".join(
        [
            f"{told['at']} {_writes(told)}",
            *(f"{name} {count}" for name, count in counts.items()),
            f"exposed {told['exposed_units']}",
            f"hidden {told['hidden_units']}",
            f"oldest feed {render.age(oldest)}",
            f"alerts {open_}",
        ]
    )


def _writes(told: Answer) -> str:
    if told["stopped"] or told["breaches"]:
        return "STOPPED"
    if told["frozen"]:
        return f"FROZEN {'+'.join(told['frozen'])}"
    return f"mode {told['mode']}"
