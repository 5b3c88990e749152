"""``check-config``: everything a start would check, without starting."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from reconcilerd.cli.options import print_json
from reconcilerd.cli.render import columns_of
from reconcilerd.cli.wall import now
from reconcilerd.cli.wiring import Plan, wire
from reconcilerd.cli.wrapping import fitted, several, wrap
from reconcilerd.config.dated import INBOUND_COLUMNS, RESERVE_COLUMNS
from reconcilerd.config.defaults import describe
from reconcilerd.config.load import load
from reconcilerd.config.policy import policy_of
from reconcilerd.config.rules import KEY_COLUMNS, LISTING_COLUMNS, SKU_COLUMNS
from reconcilerd.domain.policy import Policy
from reconcilerd.domain.registry import RAILS
from reconcilerd.domain.verdicts import MEANS

PIPED: Final = 80
"""The width of what is said of each key where there is no terminal."""


def check(path: Path, *, as_json: bool) -> int:
    """Load all of it; faults of the file, the rules and the credentials together."""
    plan = wire(path, strict=True)
    notes = _notes(plan)
    if as_json:
        print_json({**_told(path, plan), "notes": notes, "exit_code": 0})
        return 0
    settings, policy = plan.settings, plan.wiring.policy
    _say(
        f"{path}: ok. environment {settings.environment}, mode {settings.limits.mode}, "
        f"{several(len(settings.channels), 'channel')}, {several(len(settings.pools), 'pool')}, "
        f"{several(len(policy.skus) + len(policy.offers), 'rule')}, policy {policy.revision}{_dated(policy)}"
    )
    for note in notes:
        _say(f"note: {note}")
    return 0


def check_without_secrets(path: Path) -> int:
    """The file and the rules; whether there is a credential for each name is not looked at. Raises ConfigFault."""
    settings = load(path)
    policy = policy_of(settings, path.resolve().parent, now())
    _say(
        f"{path}: ok, secrets not looked for. environment {settings.environment}, mode {settings.limits.mode}, "
        f"{several(len(settings.channels), 'channel')}, policy {policy.revision}{_dated(policy)}"
    )
    return 0


def _told(path: Path, plan: Plan) -> dict[str, Any]:
    settings, policy = plan.settings, plan.wiring.policy
    return {
        "file": str(path),
        "environment": settings.environment,
        "mode": settings.limits.mode,
        "channels": [each.name for each in settings.channels],
        "pools": [each.name for each in settings.pools],
        "rules": len(policy.skus) + len(policy.offers),
        "policy": policy.revision,
    }


def _notes(plan: Plan) -> list[str]:
    """What is allowed, and may not be meant."""
    settings, mode = plan.settings, plan.settings.limits.mode
    if settings.environment == "simulator" or mode == "observe" or plan.ledger.exists():
        return []
    return [
        f"there is no ledger yet, and mode {mode} writes to your stores from the first reading on; "
        "begin with observe"
    ]


def _dated(policy: Policy) -> str:
    held = sum(map(len, policy.reserves.values()))
    coming = sum(map(len, policy.inbound.values()))
    said = [f"{held} reserves"] if held else []
    said += [f"{coming} inbound"] if coming else []
    return "".join(f", {each}" for each in said)


def print_defaults() -> int:
    """Every key with its default, its unit or choices, and under it the reason, within the terminal's width."""
    width = columns_of(sys.stdout) or PIPED
    for row in describe():
        _tell(f"{row.key} = {row.default}", row.unit, row.reason, width)
    click.echo()
    _say("The rails, and the key that sets each; a held correction says which:")
    for rail in RAILS:
        _tell(f"{rail.name}: {rail.key}", "", f"{rail.verdict}: {MEANS[rail.verdict]}", width)
    for title, columns in (
        ("The columns of the rules CSV (an empty cell keeps the default):", KEY_COLUMNS),
        ("In rows without a channel:", SKU_COLUMNS),
        ("In rows with a channel:", LISTING_COLUMNS),
        ("The columns of the reserves CSV:", RESERVE_COLUMNS),
        ("The columns of the inbound CSV:", INBOUND_COLUMNS),
    ):
        click.echo()
        _say(title)
        for name, (unit, reason) in columns.items():
            _tell(name, unit, reason, width)
    return 0


def _tell(what: str, unit: str, reason: str, width: int) -> None:
    _say(what + (f"  ({unit})" if unit else ""))
    for line in wrap(reason, width - 4):
        click.echo(f"    {line}")


def _say(text: str) -> None:
    """A line, broken where a terminal is narrower."""
    for line in fitted(text, columns_of(sys.stdout)):
        click.echo(line)
