"""``metrics``: what a running daemon measures, to the terminal or into a file that a node_exporter collects."""

import os
import tempfile
from pathlib import Path

import click

from reconcilerd.cli.options import refuse
from reconcilerd.cli.socket_client import ask_daemon
from reconcilerd.errors import ConfigFault

SUFFIX = ".prom"


def print_metrics(config: Path, textfile: Path | None) -> int:
    """Exit code 8 where no daemon answers, 2 where the configuration does not say where it listens.

    Then a file stays as it is, and its age tells. Raises ConfigFault.
    """
    if textfile is not None and textfile.suffix != SUFFIX:
        raise ConfigFault((f"--textfile {textfile}: node_exporter reads only files that end with {SUFFIX}",))
    answer = ask_daemon(config, {"op": "metrics"})
    if "error" in answer:
        return refuse(answer["error"]["message"], int(answer["exit_code"]), as_json=False)
    if textfile is None:
        click.echo(answer["text"], nl=False)
    else:
        replace(textfile, answer["text"])
    return 0


def replace(file: Path, text: str) -> None:
    """Put the text where a reader finds the old one or the new one, never a part. Raises ConfigFault."""
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as new:
                # Whoever collects it is another user.
                os.fchmod(handle, 0o644)
                new.write(text)
            os.replace(name, file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigFault((f"--textfile {file}: cannot be written: {error.strerror or error}",)) from None
