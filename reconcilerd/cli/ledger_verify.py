"""``ledger verify``: the hash chain, and the state folded a second way."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from reconcilerd.config.load import load
from reconcilerd.ledger.reader import open_reader


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
    else:
        click.echo(f"{path}: BROKEN at entry {found.first_bad}: {found.why}", err=True)
    return 0 if found.ok else 2
