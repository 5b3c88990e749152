"""Commands that look at the installation itself."""

from pathlib import Path

import click

from reconcilerd.cli.options import config_option, json_option


@click.command()
@click.option("--offline", is_flag=True, help="Ask no other system: only this machine is looked at.")
@config_option
@json_option
def doctor(offline: bool, config: Path, as_json: bool) -> int:
    """What keeps this installation from working, each with the fix. Changes and sends nothing.

    Exit code 0: nothing, or only warnings; 2: a person must change something; 4: credentials are refused or lack a
    scope; 5: a system could not be reached.
    """
    from reconcilerd.cli.doctor.command import doctor as examine

    return examine(config, offline=offline, as_json=as_json)


@click.group("config")
def config_group() -> None:
    """The configuration."""


@config_group.command()
@click.option("--effective", is_flag=True, help="Defaults too: all that is in force.")
@config_option
@json_option
def show(effective: bool, config: Path, as_json: bool) -> int:
    """What the file says, each with its line, and the policy it comes to. Secrets are shown by name, never by value."""
    from reconcilerd.cli.effective import show as tell

    return tell(config, whole=effective, as_json=as_json)


@click.command()
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@json_option
def schema(words: tuple[str, ...], as_json: bool) -> int:
    """What the JSON of a COMMAND looks like, as a JSON Schema; without, which there are. "error" is any failure's."""
    from reconcilerd.cli.schema import print_schema

    return print_schema(words, as_json=as_json)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.argument("program", type=click.Choice(["reconcilerd", "reconcile"]), default="reconcilerd")
def completion(shell: str, program: str) -> int:
    """The script that has a shell complete commands, options, channels, and SKUs of a running daemon.

    \b
    bash: reconcilerd completion bash > /etc/bash_completion.d/reconcilerd
    zsh:  reconcilerd completion zsh > "${fpath[1]}/_reconcilerd"
    fish: reconcilerd completion fish > /etc/fish/completions/reconcilerd.fish

    For the short reconcile the same with reconcile behind the shell, into a file of its name.
    """
    from reconcilerd.cli.completing import script

    click.echo(script(shell, program))
    return 0


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.pass_context
def man(context: click.Context, folder: Path) -> int:
    """Write the pages of the manual into DIR: one for the program, one for each command."""
    from reconcilerd.cli.man import write

    root = context.find_root().command
    assert isinstance(root, click.Group)
    return write(root, folder)
