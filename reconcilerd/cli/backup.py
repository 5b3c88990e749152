"""``backup`` and ``restore``: copies of the ledger, and one of them put back."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from reconcilerd.cli import render
from reconcilerd.cli.exits import no_utf8
from reconcilerd.cli.options import print_json
from reconcilerd.cli.wall import now
from reconcilerd.cli.who import who
from reconcilerd.cli.wrapping import wrap
from reconcilerd.config.load import load
from reconcilerd.domain.names import format_instant
from reconcilerd.errors import ConfigFault
from reconcilerd.ledger.backups import Made, Restored, back_up, restore
from reconcilerd.ledger.copies import Inspected, inspect
from reconcilerd.ledger.versions import ALL


def make_backup(config: Path, to: Path | None, hourly: int, daily: int, *, as_json: bool) -> int:
    """Back the configured ledger up. Raises ConfigFault, LedgerFault."""
    if why := no_utf8("--to", str(to or "")):
        raise ConfigFault((why,))  # what was copied could not be written down
    settings, folder = load(config), config.parent
    made = back_up(
        folder / settings.ledger.path, to or folder / settings.ledger.backups, now, hourly=hourly, daily=daily
    )
    if as_json:
        print_json(_made(made))
    else:
        backup = made.backup
        removed = f", {len(made.removed)} older removed" if made.removed else ""
        _lines(
            backup.file,
            f"{backup.entries} entries, {_size(backup.bytes)}: the chain holds and the state is their fold",
            f"head {backup.head}",
            f"{made.kept} kept{removed}",
        )
    return 0


def _made(made: Made) -> dict[str, Any]:
    told = asdict(made.backup)
    del told["ledger"]  # a number that tells files apart, and tells a person nothing
    return {
        **told,
        "at": format_instant(made.backup.at),
        "removed": list(made.removed),
        "kept": made.kept,
        "exit_code": 0,
    }


def restore_backup(
    config: Path, file: Path, to: Path | None, *, check: bool, replace: bool, as_json: bool
) -> int:
    """Say what a backup is, or put it in the ledger's place. Raises ConfigFault, LedgerFault, LedgerLocked."""
    if check:
        found = inspect(file)
        if as_json:
            print_json({"file": str(file), **_what(found), "exit_code": 0})
        else:
            _lines(str(file), *_about(found))
        return 0
    done = restore(file, to or config.parent / load(config).ledger.path, now, replace=replace, by=who())
    if as_json:
        put = {"file": str(file), "ledger": done.ledger, "replaced": done.replaced}
        print_json({**put, **_what(done.what), "exit_code": 0})
    else:
        _lines(done.ledger, f"restored from {file}", *_about(done.what), *_aside(done))
        click.echo(
            "\n".join(
                wrap(
                    "Start the daemon now. It reads everything again before it raises anything, and takes writes that "
                    "were under way for unknown until a reading tells.",
                    render.width(),
                )
            )
        )
    return 0


def _what(found: Inspected) -> dict[str, Any]:
    told = asdict(found)
    told["migrations"] = list(told.pop("schema"))
    return {**told, "at": None if found.at is None else format_instant(found.at)}


def _about(found: Inspected) -> list[str]:
    until = "none" if found.at is None else f"the last of {format_instant(found.at)}"
    cut = f", up to {found.anchor} compacted away" if found.anchor else ""
    newest = found.schema[-1] if found.schema else "none"
    step = "" if found.schema == ALL else f"; the next start upgrades it to {ALL[-1]}"
    return [
        f"{found.entries} entries{cut}, {until}, {_size(found.bytes)}: proven",
        f"head {found.head}",
        f"written by reconcilerd {found.program or '(not written down)'}, schema {newest}{step}",
    ]


def _aside(done: Restored) -> list[str]:
    return [] if done.replaced is None else [f"the ledger that was there: {done.replaced}"]


def _lines(title: str, *lines: str) -> None:
    click.echo(title)
    for line in lines:
        click.echo(f"  {line}")


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
