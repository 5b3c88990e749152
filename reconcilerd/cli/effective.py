"""``config show``: what is in force, and which line of the file, or which default, says so. Secrets by name only."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from reconcilerd.cli import render
from reconcilerd.cli.wrapping import wrap
from reconcilerd.config.effective import Value, policy_told, values_of
from reconcilerd.config.load import load
from reconcilerd.config.policy import policy_of
from reconcilerd.config.secret import redact
from reconcilerd.config.settings import Settings
from reconcilerd.domain.policy import Policy

SCHEMA: Final = "reconcilerd.config/1"


def show(config: Path, *, whole: bool, as_json: bool) -> int:
    """Print it. ``whole``: defaults too. Raises ConfigFault."""
    settings = load(config)
    policy = policy_of(settings, config.resolve().parent)
    text = config.read_bytes().decode("utf-8-sig")
    values = [each for each in values_of(settings, text, os.environ) if whole or each.line is not None]
    if as_json:
        click.echo(redact(json.dumps(answer_of(config, values, settings, policy), indent=2)))
    else:
        click.echo(redact("\n".join(lines_of(config, values, settings, policy, render.width()))))
    return 0


def answer_of(config: Path, values: list[Value], settings: Settings, policy: Policy) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "schema": SCHEMA,
        "file": str(config),
        "policy": policy_told(settings, policy),
        "values": [
            {
                "key": each.key,
                "value": each.value if each.value is None else _plain(each.value),
                "line": each.line,
                "default": each.line is None,
                **({} if each.named is None else {"secret_found": each.named}),
            }
            for each in values
        ],
        "exit_code": 0,
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | list | dict) else str(value)


def lines_of(
    config: Path, values: list[Value], settings: Settings, policy: Policy, columns: int
) -> Iterator[str]:
    """As a person reads it: where each value is from comes last, in a column of its own where there is room."""
    for each in values:
        shown = json.dumps(_plain(each.value), ensure_ascii=False) if each.value is not None else "none"
        if each.named is not None:
            shown = f"{each.value}{'' if each.named else ' (none is found by what stands there)'}"
        origin = "default" if each.line is None else f"{config.name}:{each.line}"
        text, room = f"{each.key} = {_safe(shown)}", columns - len(origin) - 2
        if len(text) <= room:
            yield f"{text:<{room}}  {origin}"
        else:
            yield from wrap(text, columns, subsequent_indent="    ")
            yield f"{origin:>{columns}}"
    told = policy_told(settings, policy)
    yield ""
    yield f"policy {told['revision']}, mode {told['mode']}"
    for channel in told["channels"]:
        lowers = ", lowered only" if channel["decrease_only"] else ""
        rules = f"{channel['listings_with_rules']} listings with rules of their own"
        yield f"  channel {channel['channel']}: published by {channel['publisher']}{lowers}, {rules}"
    for pool in told["pools"]:
        default = ", the default" if pool["default"] else ""
        yield f"  pool {pool['pool']}: {pool['mode']}{default}, {pool['skus_by_rule']} SKUs by rule"
    yield f"  {told['reserves']} reserves, {told['inbound']} inbound"


def _safe(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
