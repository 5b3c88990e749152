"""``reconcilerd reconcile``: the thin ``reconcile``, which has a parser of its own, as a command beside the others."""

import click

from reconcilerd.cli.completing import Thin, words


@click.command(
    "reconcile",
    cls=Thin,
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED, shell_complete=words)
def reconcile(args: tuple[str, ...]) -> int:
    """The same as the ``reconcile`` command."""
    from reconcilerd.cli.reconcile_entry import main as reconcile_main

    return reconcile_main(list(args))
