"""What commands share: where the configuration is, and an answer as JSON or as text with its exit code."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem
from typing_extensions import override

from reconcilerd.cli.exits import as_error, document_of, error_of
from reconcilerd.domain.visible import LINES, all_visible, visible

DEFAULT_CONFIG: Final = Path(os.environ.get("RECONCILERD_CONFIG", "config.toml"))
config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file (also RECONCILERD_CONFIG).",
)


def _skus(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from reconcilerd.cli.completing import skus

    return skus(context, param, incomplete)


def _channels(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from reconcilerd.cli.completing import channels

    return channels(context, param, incomplete)


sku_option = partial(click.option, "--sku", shell_complete=_skus)
channel_option = partial(click.option, "--channel", shell_complete=_channels)
json_option = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")


def show(answer: dict[str, Any], as_json: bool, text: Callable[[dict[str, Any], int], str]) -> int:
    """Print an answer; its exit code. ``text``: the answer within so many columns."""
    if "error" in answer:
        return fail(answer, as_json=as_json)
    if as_json:
        print_json(answer)
    else:
        from reconcilerd.cli.render import width

        click.echo(text(all_visible(answer), width()))
    return int(answer["exit_code"])


def print_json(answer: Mapping[str, Any]) -> None:
    """An answer as JSON; one that names no schema is given that of the command that runs."""
    context = click.get_current_context(silent=True)
    words = context.command_path.split()[1:] if context is not None else []
    named = {} if "schema" in answer or not words else {"schema": f"reconcilerd.{document_of(words)}/1"}
    click.echo(json.dumps({**named, **answer}, indent=2))


def refuse(message: str, code: int, *, as_json: bool) -> int:
    """Print why a command does not do what was asked; its exit code."""
    click.echo(as_error(message, code) if as_json else _refusal(message), err=True)
    return code


def fail(answer: Mapping[str, Any], *, as_json: bool) -> int:
    """Print the error that an answer is; its exit code."""
    click.echo(error_of(answer) if as_json else _refusal(str(answer["error"]["message"])), err=True)
    return int(answer["exit_code"])


def _refusal(message: str) -> str:
    from reconcilerd.cli.render import columns_of, refusal

    return refusal(visible(message, LINES), columns_of(sys.stderr))


UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Span(click.ParamType[float]):
    """``90s``, ``30m``, ``2h``, ``1d``: seconds."""

    name = "TIME"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises UsageError for what is no such time."""
        found = re.fullmatch(r"([0-9]{1,7})([smhd])", str(value))
        if found is None or not int(found[1]):
            self.fail(f"{str(value)[:60]!r} is no time; write it like 30m, 2h or 1d", param, ctx)
        return float(found[1]) * UNITS[found[2]]


class Units(click.ParamType[str]):
    """``20``, or ``+5`` for so many more."""

    name = "UNITS"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Raises UsageError for what is no such number."""
        from reconcilerd.domain.quantities import MAX_UNITS

        sign = "+" if str(value).startswith("+") else ""
        digits = str(value).removeprefix("+").lstrip("0")
        # Python itself refuses to read one of thousands of digits.
        if not digits.isdecimal() or len(digits) > len(str(MAX_UNITS)) or int(digits) > MAX_UNITS:
            said = (
                f"{str(value)[:60]!r} is no number of units from 1 to {MAX_UNITS:,}; write it like 20 or +5"
            )
            self.fail(said, param, ctx)
        return f"{sign}{int(digits)}"
