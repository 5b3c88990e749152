"""``check-config``: everything a start would check, without starting."""

import shutil
import textwrap
from pathlib import Path

import click

from reconcilerd.cli.wiring import wire
from reconcilerd.config.defaults import describe
from reconcilerd.config.rules import KEY_COLUMNS, LISTING_COLUMNS, SKU_COLUMNS
from reconcilerd.domain.policy import Mode
from reconcilerd.domain.registry import RAILS
from reconcilerd.domain.verdicts import MEANS


def check(path: Path) -> int:
    """Load all of it; faults of the file, the rules and the credentials together."""
    plan = wire(path)
    settings, policy = plan.settings, plan.wiring.policy
    click.echo(
        f"{path}: ok. environment {settings.environment}, mode {settings.limits.mode}, "
        f"{len(settings.channels)} channels, {len(settings.pools)} pools, "
        f"{len(policy.skus) + len(policy.offers)} rules, policy {policy.revision}"
    )
    if (
        settings.environment != "simulator"
        and policy.limits.mode is not Mode.OBSERVE
        and not plan.ledger.exists()
    ):
        click.echo(
            f"note: there is no ledger yet, and mode {settings.limits.mode} writes to your stores from the first"
            " reading on; begin with observe"
        )
    return 0


def print_defaults() -> int:
    """Every key with its default, its unit or choices, and under it the reason, within the terminal's width."""
    width = min(100, shutil.get_terminal_size((80, 24)).columns)
    for row in describe():
        _tell(f"{row.key} = {row.default}", row.unit, row.reason, width)
    click.echo("\nThe rails, and the key that sets each; a held correction says which:")
    for rail in RAILS:
        _tell(f"{rail.name}: {rail.key}", "", f"{rail.verdict}: {MEANS[rail.verdict]}", width)
    for title, columns in (
        ("The columns of the rules CSV (an empty cell keeps the default):", KEY_COLUMNS),
        ("In rows without a channel:", SKU_COLUMNS),
        ("In rows with a channel:", LISTING_COLUMNS),
    ):
        click.echo(f"\n{title}")
        for name, (unit, reason) in columns.items():
            _tell(name, unit, reason, width)
    return 0


def _tell(what: str, unit: str, reason: str, width: int) -> None:
    click.echo(what + (f"  ({unit})" if unit else ""))
    for line in textwrap.wrap(reason, width - 4):
        click.echo(f"    {line}")
