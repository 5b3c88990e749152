"""``reconcilerd doctor``: the table of checks, and the command that goes through it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import anyio
import click

from reconcilerd.cli import render
from reconcilerd.cli.doctor import access, here, there
from reconcilerd.cli.doctor.line import Line, Lines, Scene, State, fail
from reconcilerd.cli.doctor.text import report
from reconcilerd.cli.options import print_json
from reconcilerd.cli.socket_client import NoAnswer, NotReachable, ask, socket_path
from reconcilerd.cli.wall import now
from reconcilerd.cli.wiring import wire
from reconcilerd.config.load import salvage
from reconcilerd.config.secret import redact
from reconcilerd.daemon.logs import configure
from reconcilerd.errors import ConfigFault

SCHEMA: Final = "reconcilerd.doctor/1"
PATIENCE_S: Final = 10.0
HERE: Final[Mapping[str, Callable[[Scene], Lines]]] = {
    "config": here.config,
    "daemon": here.daemon,
    "files": here.modes,
    "access": access.groups,
    "ledger": here.ledger,
    "disk": here.disk,
    "backup": here.backup,
    "alerts": here.alerts,
    "web": here.web,
    "webhooks": here.webhooks,
    "systemd": here.systemd,
}
"""The checks of this machine, in the order in which they are told; those of the systems follow."""
WORST: Final = (2, 4, 5)


def look_at(config: Path) -> Scene:
    """Read the configuration as a start would, and ask the daemon how it is."""
    plan, faults = None, tuple[str, ...]()
    try:
        plan = wire(config)
    except ConfigFault as fault:
        faults = fault.faults
    status, hangs = _status_of(config)
    settings = plan.settings if plan else salvage(config)
    return Scene(config, faults, settings, plan, status, now(), hangs)


def _status_of(config: Path) -> tuple[Mapping[str, Any] | None, bool]:
    """What the daemon says of itself, if it does; whether one listens and says nothing."""
    path = socket_path(config)
    try:
        told = (
            ask(path, {"op": "status"}, PATIENCE_S) if path is not None else {"error": "it names no socket"}
        )
    except NoAnswer:
        return None, True
    except NotReachable:
        return None, False
    return None if "error" in told else told, False


def examine(scene: Scene, *, offline: bool) -> list[tuple[str, Line]]:
    """Every finding with the name of its check."""
    found = [(name, line) for name, check in HERE.items() for line in _seen(check, scene)]
    if not offline and scene.plan is not None:
        found += anyio.run(there.examine, scene, scene.plan)
    return found


def _seen(check: Callable[[Scene], Lines], scene: Scene) -> Lines:
    """What a check finds; where we may not look, that, so that the other checks still tell."""
    try:
        yield from check(scene)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        yield fail(
            f"{where}cannot be looked at ({error.strerror or error})",
            "run doctor as the daemon's user, or as root",
        )


def answer_of(found: list[tuple[str, Line]]) -> dict[str, Any]:
    """The answer that is printed; its exit code is that of the worst failure."""
    codes = {line.exit_code for _, line in found if line.state is State.FAIL}
    states = {line.state for _, line in found}
    return {
        "schema": SCHEMA,
        "state": str(
            next(each for each in (State.FAIL, State.WARN, State.OK) if each in states or each is State.OK)
        ),
        "checks": [line.told(name) for name, line in found],
        "exit_code": next((code for code in WORST if code in codes), 0),
    }


def doctor(config: Path, *, offline: bool, as_json: bool) -> int:
    """Look, and tell."""
    # Whatever is logged meanwhile would stand in the middle of the answer.
    configure("critical", now, redact)
    answer = answer_of(examine(look_at(config), offline=offline))
    if as_json:
        print_json(answer)
    else:
        click.echo(report(answer, render.width()))
    return int(answer["exit_code"])
