"""``handover`` and ``digest``: what the next one on duty must know, and what a day came to."""

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


@click.command()
@since_option("24h")
@click.option("--send", is_flag=True, help="Send it to those receivers that alerts.digest_to names.")
@config_option
@json_option
def digest(since_s: float, send: bool, config: Path, as_json: bool) -> int:
    """What a day came to: drifts found and cured, exposure, what waits, what sells unmapped, slow feeds, alerts.

    Exit code 0: told, and with --send taken by everybody; 2: nobody is to get it; 5: somebody did not take it.
    """
    from reconcilerd.cli import shift_text

    request = {"op": "digest", "since_s": since_s, "send": send}
    return show(answer(config, request), as_json, shift_text.digest)
