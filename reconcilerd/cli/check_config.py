"""``check-config``: everything a start would check, without starting."""

import os
import shutil
import textwrap
from pathlib import Path

import click

from reconcilerd.config.credentials import credentials, resolve
from reconcilerd.config.defaults import describe
from reconcilerd.config.load import load
from reconcilerd.config.policy import policy_of
from reconcilerd.errors import ConfigFault


def check(path: Path) -> int:
    """Load all of it; faults of the file, the rules and the credentials together."""
    settings = load(path)
    faults: list[str] = []
    for step in (lambda: policy_of(settings, path.parent), lambda: credentials(settings, os.environ)):
        try:
            step()
        except ConfigFault as fault:
            faults.extend(fault.faults)
    for name in (settings.alerts.slack_webhook, settings.alerts.pagerduty_routing_key):
        if name:
            resolve(name, os.environ, "alerts", faults)
    if faults:
        raise ConfigFault(tuple(faults))
    policy = policy_of(settings, path.parent)
    click.echo(
        f"{path}: ok. environment {settings.environment}, mode {settings.limits.mode}, "
        f"{len(settings.channels)} channels, {len(settings.pools)} pools, "
        f"{len(policy.skus) + len(policy.offers)} rules, policy {policy.revision}"
    )
    return 0


def print_defaults() -> int:
    """Every key with its default, its unit or choices, and under it the reason, within the terminal's width."""
    width = min(100, shutil.get_terminal_size((80, 24)).columns)
    for row in describe():
        click.echo(f"{row.key} = {row.default}" + (f"  ({row.unit})" if row.unit else ""))
        for line in textwrap.wrap(row.reason, width - 4):
            click.echo(f"    {line}")
    return 0
