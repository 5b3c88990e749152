"""How a command ends: what it raises becomes one sentence, or a JSON object for who asked for JSON, and a code."""

import sys
from collections.abc import Callable
from typing import Any

import click

from reconcilerd.cli.exits import as_error
from reconcilerd.config.secret import redact
from reconcilerd.errors import ConfigFault, Denied, LedgerFault, LedgerLocked, ReconcilerdError


def code_of(error: ReconcilerdError) -> int:
    """The exit code that an error ends a command with."""
    match error:
        case LedgerLocked():
            return 8
        case ConfigFault() | LedgerFault():
            return 2
        case Denied():
            return 4
        case _:
            return 5


def ended(command: Callable[[], Any], *, as_json: bool) -> int:
    """Run a command; its exit code. A bug goes on as it is, unless JSON was asked for."""
    try:
        code = command()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", 130) if as_json else 130
    except click.ClickException as usage:
        if as_json:
            return _say(usage.format_message(), 2)
        usage.show()
        return 2
    except SystemExit:
        # Nobody reads on: click has silenced what is left to say, and calls it an error.
        if "PacifyFlush" not in type(sys.stdout).__name__:
            raise
        return 0
    except ReconcilerdError as trouble:
        return _told(trouble, as_json=as_json)
    except Exception as bug:
        if not as_json:
            raise
        return _say(f"a bug, {type(bug).__name__}: {bug}; run it without --json to see where", 1)
    return code if isinstance(code, int) else 0


def _told(trouble: ReconcilerdError, *, as_json: bool) -> int:
    code = code_of(trouble)
    faults = trouble.faults if isinstance(trouble, ConfigFault) else ()
    if as_json:
        return _say(str(trouble), code, faults)
    if faults:
        click.echo(f"reconcilerd: cannot begin, {len(faults)} fault{'s' * (len(faults) > 1)}:", err=True)
        for fault in faults:
            click.echo(f"  {fault}", err=True)
    else:
        click.echo(f"reconcilerd: {trouble}", err=True)
    return code


def _say(message: str, code: int, faults: tuple[str, ...] = ()) -> int:
    click.echo(as_error(redact(message), code, tuple(map(redact, faults))), err=True)
    return code
