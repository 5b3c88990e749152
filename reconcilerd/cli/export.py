"""``export monitoring``: writes out the rules, their tests, the dashboard and the goals that ship with the program."""

from importlib.resources import files
from pathlib import Path

import click

from reconcilerd.domain.visible import visible
from reconcilerd.errors import ConfigFault


def export_monitoring(folder: Path, *, force: bool) -> int:
    """All files, or none. Raises ConfigFault for those that are there already, unless ``force``."""
    shipped = {
        each.name: each.read_bytes()
        for each in files("reconcilerd.web.monitoring").iterdir()
        if each.is_file() and not each.name.endswith(".py")
    }
    try:
        there = [name for name in sorted(shipped) if (folder / name).exists()]
        if there and not force:
            raise ConfigFault(
                tuple(f"{folder / name}: is there already; --force writes over it" for name in there)
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in sorted(shipped.items()):
            (folder / name).write_bytes(content)
            click.echo(visible(str(folder / name)))
    except OSError as error:
        raise ConfigFault((f"{folder}: cannot be written: {error.strerror or error}",)) from None
    return 0
