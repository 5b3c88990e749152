"""The program as its commands hang in it. ``run`` is here: a daemon carries no other command in memory for months."""

from pathlib import Path

import click
from typing_extensions import override

from reconcilerd import __version__
from reconcilerd.cli.exits import EXITS
from reconcilerd.cli.options import config_option


class Program(click.Group):
    """The other commands are imported as soon as one of them, or the list of all, is asked for."""

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            whole()
        return super().get_command(ctx, cmd_name)

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        whole()
        return super().list_commands(ctx)


@click.group(cls=Program, epilog=EXITS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="reconcilerd")
def cli() -> None:
    """Keeps the quantities that channels show in step with Extensiv Order Manager."""


@cli.command()
@config_option
def run(config: Path) -> int:
    """Run the daemon until SIGTERM or SIGINT."""
    from reconcilerd.cli.lean import DRAWING, without

    with without(*DRAWING):
        from reconcilerd.cli.run import run_daemon

    return run_daemon(config)


def whole() -> click.Group:
    """The program with all its commands."""
    import reconcilerd.cli.commands  # noqa: F401 - they hang themselves in

    return cli
