"""``handover``: what the next one on duty must know."""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import click

from reconcilerd.cli.options import Span, config_option, json_option, show
from reconcilerd.cli.socket_client import answer

P = ParamSpec("P")
Command = Callable[P, int]


def since_option(usual: str) -> Callable[[Command[P]], Command[P]]:
    """How far back it is looked."""
    return click.option(
        "--since", "since_s", type=Span(), default=usual, show_default=True, help="So long ago, at most 31d."
    )


@click.command()
@since_option("8h")
@config_option
@json_option
def handover(since_s: float, config: Path, as_json: bool) -> int:
    """What the next one on duty must know: holds, freezes, approvals, pins, silences, and what happened since.

    Without a daemon it is told from the ledger.
    """
    from reconcilerd.cli import shift_text

    return show(answer(config, {"op": "handover", "since_s": since_s}), as_json, shift_text.handover)
