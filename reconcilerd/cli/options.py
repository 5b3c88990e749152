"""Options that many commands share."""

import os
from pathlib import Path

import click

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(os.environ.get("RECONCILERD_CONFIG", "config.toml")),
    show_default=True,
    help="The configuration file (also RECONCILERD_CONFIG).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
