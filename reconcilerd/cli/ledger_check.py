"""``ledger verify``, ``rebuild`` and ``compact``: the hash chain, the state folded a second way, and less of both."""

from dataclasses import asdict, replace
from pathlib import Path

import anyio
import click

from reconcilerd.cli.options import print_json
from reconcilerd.cli.socket_client import ask_daemon
from reconcilerd.cli.wall import now
from reconcilerd.cli.wiring import looked_at_ms, terms_of
from reconcilerd.config.load import load
from reconcilerd.daemon.keeper import Terms, let_go
from reconcilerd.domain.names import Instant, format_instant, parse_instant
from reconcilerd.ledger.reader import Verification, open_reader
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.writer import Writer


def verify_ledger(config: Path, *, as_json: bool) -> int:
    """Verify the ledger that a configuration names. Exit code 0, or 2 where it is not what was written."""
    path = config.parent / load(config).ledger.path
    found = _verified(path)
    if as_json:
        print_json({**asdict(found), "exit_code": 0 if found.ok else 2})
    elif found.ok:
        cut = f", up to {found.anchor} compacted away" if found.anchor else ""
        click.echo(f"{path}: {found.entries} entries{cut}, the chain holds and the state is their fold")
        click.echo(f"head {found.head}")
    else:
        click.echo(f"{path}: BROKEN at entry {found.first_bad}: {found.why}", err=True)
    if not found.ok:
        # A daemon that runs looks for itself, and tells people. Where none does, whoever asked knows.
        ask_daemon(config, {"op": "verify"})
    return 0 if found.ok else 2


def _verified(path: Path) -> Verification:
    reader = open_reader(path)
    try:
        return reader.verify()
    finally:
        reader.close()


def rebuild_ledger(config: Path, *, as_json: bool) -> int:
    """Fold the state again from the entries, under the ledger's lock. Raises LedgerFault, LedgerLocked."""
    path = config.parent / load(config).ledger.path
    with Ledger.open(path, clock=now) as ledger:
        ledger.rebuild_state()
        if not as_json:
            click.echo(f"{path}: the state is folded anew from {ledger.latest_seq} entries")
    return verify_ledger(config, as_json=as_json)


def compact_ledger(config: Path, before: str | None, *, as_json: bool) -> int:
    """Let go of old entries and records under the ledger's lock, then verify. Raises LedgerFault, LedgerLocked."""
    settings = load(config)
    terms, at = terms_of(settings), now()
    if before is not None:
        terms = replace(terms, entries_ms=at - _moment(before, Instant(at - looked_at_ms(settings))))
    path = config.parent / settings.ledger.path
    with Ledger.open(path, clock=now, by_date=before is not None) as ledger:
        entries, forgotten, records = anyio.run(_let_go, ledger, at, terms)
        freed = ledger.shrink()
    if as_json:
        found = _verified(path)
        went = {
            "entries_gone": entries,
            "forgotten": forgotten,
            "records_gone": records,
            "freed_bytes": freed,
        }
        print_json({**went, **asdict(found), "exit_code": 0 if found.ok else 2})
        return 0 if found.ok else 2
    click.echo(
        f"{path}: {entries} entries went, {forgotten} alerts and others that were over, and what {records} decisions "
        f"looked at; {freed >> 20} MiB are free again"
    )
    return verify_ledger(config, as_json=False)


async def _let_go(ledger: Ledger, at: Instant, terms: Terms) -> tuple[int, int, int]:
    async with Writer(ledger, inline=True) as writer:
        return await let_go(writer, ledger, at, terms)


def _moment(text: str, latest: Instant) -> Instant:
    """A date or a time with zone, not later than a moment. Raises UsageError."""
    try:
        at = parse_instant(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError:
        raise click.UsageError(f"--before: no date (got {text[:40]!a}); write it like 2026-08-01") from None
    if at > latest:
        raise click.UsageError(
            f"--before: the limits look back at what was written since {format_instant(latest)}; name an earlier date"
        )
    return at
