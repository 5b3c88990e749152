"""Every command that there is, from the parser itself."""

from collections.abc import Iterator

import click

from reconcilerd.cli.program import whole

Words = tuple[str, ...]
PROGRAM = whole()


def commands(group: click.Group = PROGRAM, words: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """Every command and group by its words."""
    for name, each in group.commands.items():
        yield (*words, name), each
        if isinstance(each, click.Group):
            yield from commands(each, (*words, name))


ALL = dict(commands())


def has(command: click.Command, option: str) -> bool:
    return any(option in each.opts for each in command.params)
