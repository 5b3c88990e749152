"""What may come next on a command line: options by the parsers, SKUs by the daemon, channels by the configuration."""

import argparse
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class
from typing_extensions import override

from reconcilerd.cli.options import DEFAULT_CONFIG
from reconcilerd.cli.reconcile_entry import parser
from reconcilerd.cli.socket_client import NotReachable, ask, socket_path, toml_of

MOST: Final = 100
PATIENCE_S: Final = 2.0
"""Who presses a key waits no longer."""
VARIABLES: Final = {"reconcilerd": "_RECONCILERD_COMPLETE", "reconcile": "_RECONCILE_COMPLETE"}


def skus(context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """SKUs that begin so, where a daemon runs."""
    return [CompletionItem(each) for each in _skus(_config(context), incomplete)]


def channels(context: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Channels of the configuration that begin so."""
    return [CompletionItem(each) for each in _channels(_config(context)) if each.startswith(incomplete)]


def _config(context: click.Context) -> Path:
    named = context.params.get("config")
    return named if isinstance(named, Path) else DEFAULT_CONFIG


def _skus(config: Path, begin: str) -> list[str]:
    path = socket_path(config)
    if path is None or not path.exists():
        return []
    try:
        told = ask(path, {"op": "names", "sku": begin, "limit": MOST}, PATIENCE_S)
    except (NotReachable, ValueError):
        return []
    # A shell takes what it is told for words of its own: one that needs quotes would be another thing.
    return [each for each in told.get("names", ()) if shlex.quote(each) == each]


def _channels(config: Path) -> list[str]:
    try:
        found: Any = toml_of(config).get("channels", [])
        names = [each["name"] for each in found]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [each for each in names if isinstance(each, str) and shlex.quote(each) == each]


class Thin(click.Command):
    """``reconcile``, whose words argparse reads: they are completed by its parser."""

    @override
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [
            CompletionItem(option, help=action.help)
            for action in parser()._actions
            for option in action.option_strings
            if option.startswith(incomplete)
        ]


def words(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What may follow the words of ``reconcile`` so far: the value of the last option, else another option."""
    before = list(context.params.get(param.name or "") or ())
    action = _takes_a_value(before[-1]) if before else None
    if action is None:
        return context.command.shell_complete(context, incomplete)
    config = Path(_value_of("--config", before) or DEFAULT_CONFIG)
    match action.dest:
        case "sku":
            return [CompletionItem(each) for each in _skus(config, incomplete)]
        case "channel":
            return [CompletionItem(each) for each in _channels(config) if each.startswith(incomplete)]
        case _:
            return [CompletionItem(incomplete, type="file")]


def _takes_a_value(word: str) -> argparse.Action | None:
    found = (each for each in parser()._actions if word in each.option_strings and each.nargs != 0)
    return next(found, None)


def _value_of(option: str, before: list[str]) -> str | None:
    return next((value for name, value in pairwise(before) if name == option), None)


def script(shell: str, program: str) -> str:
    """What a shell runs to have the words of a program completed."""
    made = get_completion_class(shell)
    assert made is not None, "click knows the three"
    return made(click.Command(program), {}, program, VARIABLES[program]).source()


def answer_thin(command: click.Command, instruction: str) -> int:
    """Answer a shell that asks how the words of ``reconcile`` go on."""
    from click.shell_completion import shell_complete

    return shell_complete(command, {}, "reconcile", VARIABLES["reconcile"], instruction)
