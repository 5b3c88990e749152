"""Errors as JSON: what a program that asked for JSON is told on standard error, with the exit code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

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


def told(error: ReconcilerdError) -> dict[str, Any]:
    """The shape that the daemon's own answers have; ``faults``: of a configuration, each one."""
    faults = {"faults": list(error.faults)} if isinstance(error, ConfigFault) else {}
    code = code_of(error)
    return {"error": {"message": str(error), "exit_code": code, **faults}, "exit_code": code}


@contextmanager
def json_errors(as_json: bool) -> Iterator[None]:
    """Within it errors of ours are told as JSON, if that was asked for; else they go on as they are."""
    try:
        yield
    except ReconcilerdError as error:
        if not as_json:
            raise
        click.echo(json.dumps(told(error)), err=True)
        raise click.exceptions.Exit(code_of(error)) from None
