"""``check-config``: everything a start would check, without starting."""

import os
from pathlib import Path

import click

from reconcilerd.config.credentials import credentials, resolve
from reconcilerd.config.load import defaults, load
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
    """Every key with its default and reason; the unit is in the key."""
    for key, default, reason in defaults():
        click.echo(f"{key:<36} {default:<28} {reason}")
    return 0
