"""The command. Everything it needs is imported before it begins: the program it runs from may be moved meanwhile."""

import fcntl
import os
import time
from pathlib import Path

import click

from reconcilerd.cli.deploy.host import Host
from reconcilerd.cli.deploy.steps import Deployment, NotBack, Wanted
from reconcilerd.cli.wall import now
from reconcilerd.config.load import load
from reconcilerd.domain.names import format_instant
from reconcilerd.errors import ConfigFault


def deploy(
    source: str, config: Path, unit: str, root: Path, watch_s: float, lock: Path | None, wheels: Path | None
) -> int:
    """Exit code 0: deployed; 7: taken back; 1: not even that; 2: refused before anything changed (ConfigFault)."""
    if os.geteuid() != 0:
        raise ConfigFault(("a deployment stops and starts the unit: run it as root",))
    host = Host(root, config, unit, config.resolve().parent / load(config).ledger.path)
    host.releases.mkdir(parents=True, exist_ok=True)
    turn = os.open(host.releases, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigFault((f"{host.releases}: another deployment is under way; let it end",)) from None
    name = format_instant(now()).replace(":", "").replace(".", "")
    work = Deployment(host, Wanted(name, source, watch_s, lock, wheels), _say, time.sleep)
    try:
        why = work()
    except NotBack as worst:
        click.echo(f"reconcilerd: NOBODY RUNS, act now: {worst}", err=True)
        return 1
    finally:
        os.close(turn)
    if why:
        click.echo(f"reconcilerd: taken back, the version before runs: {why}", err=True)
        return 7
    _say(f"deployed: {source} was watched for {watch_s:.0f} s and stays")
    return 0


def _say(text: str) -> None:
    click.echo(f"{format_instant(now())} {text}")
