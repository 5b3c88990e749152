"""The runbooks that are shipped with the package: one for each kind of alert."""

import sys
from importlib.resources import files

import click

from reconcilerd.cli import alert_text, render
from reconcilerd.cli.options import refuse
from reconcilerd.cli.wrapping import reflowed
from reconcilerd.config.nearest import nearest
from reconcilerd.domain.alerts import KINDS


def text_of(kind: str) -> str:
    """The runbook of a kind. Raises FileNotFoundError."""
    return (files("reconcilerd") / "runbooks" / f"{kind}.md").read_text("utf-8")


def print_runbook(kind: str | None) -> int:
    """One runbook, or all kinds there are. Exit code 6 for a kind that nobody knows."""
    if kind is None:
        rows = [(name, each.severity, each.means) for name, each in sorted(KINDS.items())]
        click.echo(alert_text.kinds(rows, render.width()))
        return 0
    if kind not in KINDS:
        close = nearest(kind, KINDS)
        hint = f"; did you mean {close}?" if close is not None else "; reconcilerd runbook lists all"
        return refuse(f"no kind of alert is called {kind[:80]!r}{hint}", 6, as_json=False)
    click.echo(reflowed(text_of(kind).rstrip(), render.columns_of(sys.stdout)))
    return 0
