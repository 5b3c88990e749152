"""``deploy`` as a command beside the others."""

from pathlib import Path

import click

from reconcilerd.cli.options import Span, config_option


@click.command("deploy")
@click.argument("source")
@click.option(
    "--watch-for", "watch_s", type=Span(), default="10m", show_default=True, help="How long it is judged."
)
@click.option("--unit", default="reconcilerd.service", show_default=True, help="The unit to restart.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/opt/reconcilerd"),
    show_default=True,
    help="The folder of venv and releases.",
)
@click.option(
    "--lock",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Install what it depends on from here, by hashes (requirements.lock).",
)
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Install from the wheels in this folder alone.",
)
@config_option
def deploy(
    source: str, watch_s: float, unit: str, root: Path, lock: Path | None, wheels: Path | None, config: Path
) -> int:
    """Put another version in place of the one that runs, and take it back if it does not do.

    SOURCE is what pip installs: a wheel, or reconcilerd==VERSION. Backs the ledger up, installs beside what runs,
    switches, and watches: it must get ready, stay so, and meet no bug, no broken invariant and no more failing calls
    than before.

    Exit code 0: it stays; 2: refused, nothing was changed; 7: taken back; 1: not even that, act now.
    """
    from reconcilerd.cli.deploy.command import deploy as work

    return work(source, config, unit, root, watch_s, lock, wheels)
