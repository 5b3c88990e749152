"""``ledger verify`` and ``rebuild``: the hash chain, and the state folded a second way."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from reconcilerd.cli.wall import now
from reconcilerd.config.load import load
from reconcilerd.ledger.reader import open_reader
from reconcilerd.ledger.store import Ledger


def verify_ledger(config: Path, *, as_json: bool) -> int:
    """Verify the ledger that a configuration names. Exit code 0, or 2 where it is not what was written."""
    path = config.parent / load(config).ledger.path
    reader = open_reader(path)
    try:
        found = reader.verify()
    finally:
        reader.close()
    if as_json:
        click.echo(json.dumps(asdict(found)))
    elif found.ok:
        click.echo(f"{path}: {found.entries} entries, the chain holds and the state is their fold")
        click.echo(f"head {found.head}")
    else:
        click.echo(f"{path}: BROKEN at entry {found.first_bad}: {found.why}", err=True)
    return 0 if found.ok else 2


def rebuild_ledger(config: Path) -> int:
    """Fold the state again from the entries, under the ledger's lock. Raises LedgerFault, LedgerLocked."""
    path = config.parent / load(config).ledger.path
    with Ledger.open(path, clock=now) as ledger:
        ledger.rebuild_state()
        click.echo(f"{path}: the state is folded anew from {ledger.latest_seq} entries")
    return verify_ledger(config, as_json=False)
