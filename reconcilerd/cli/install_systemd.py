"""``install-systemd``: the units that ship with the program, put where systemd finds them."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from reconcilerd.errors import ConfigFault

SHIPPED: Final = "/opt/reconcilerd/venv/bin/"
HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - where no unit can look
UNITS: Final = "etc/systemd/system"
FOLDERS: Final = {
    "sysusers.conf": "etc/sysusers.d/reconcilerd.conf",
    "tmpfiles.conf": "etc/tmpfiles.d/reconcilerd.conf",
}
NEXT: Final = """\
next:
  systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload
  configuration: /etc/reconcilerd/config.toml (0640 root:reconcilerd)
  credentials, one file each: /etc/reconcilerd/credentials/, those of alerts:
    /etc/reconcilerd/alert-credentials/
  systemctl enable --now reconcilerd.service
  systemctl enable --now reconcilerd-{audit,backup,digest}.timer
several tenants: the same under /etc/reconcilerd/NAME/ (at most 19 characters),
  systemctl enable --now reconcilerd@NAME.service
  systemctl enable --now reconcilerd-{audit,backup,digest}@NAME.timer"""


@dataclass(frozen=True, slots=True)
class File:
    """A file and where it belongs."""

    path: Path
    text: str


def shipped() -> Path:
    """Where the units are: in the package, or beside it in a checkout. Raises ConfigFault."""
    package = Path(__file__).parent / "units"
    checkout = Path(__file__).parents[2] / "systemd"
    for folder in (package, checkout):
        if (folder / "reconcilerd.service").is_file():
            return folder
    raise ConfigFault((f"the units are not where they belong: {package}; install reconcilerd again",))


def files(root: Path, programs: Path) -> list[File]:
    """Every shipped file as it is installed under ``root``, its commands being those in ``programs``."""
    folder = shipped()
    made = []
    for each in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = each.relative_to(folder).as_posix()
        text = each.read_text("utf-8").replace(SHIPPED, f"{programs.as_posix()}/")
        made.append(File(root / FOLDERS.get(name, f"{UNITS}/{name}"), text))
    return made


def install(root: Path, programs: Path | None, *, dry_run: bool) -> int:
    """Write what differs, and say what was done and what is next. ``programs``: where they are, else beside this one.

    Raises ConfigFault.
    """
    # Not resolved: in a venv the interpreter is a link to one that knows none of our packages.
    programs = programs or Path(sys.executable).absolute().parent
    if programs.name == "reconcilerd" and not programs.is_dir():
        programs = programs.parent  # the program itself was named, not its folder
    hidden = next((each for each in HIDDEN if programs.is_relative_to(each)), None)
    if hidden is not None:
        fault = (
            f"the program is in {programs}, and the units see nothing of {hidden} (ProtectHome, PrivateTmp); install "
            "it into /opt/reconcilerd/venv and run install-systemd from there, or say where it will be with --bin"
        )
        if not dry_run:
            raise ConfigFault((fault,))
        click.echo(f"warning: {fault}", err=True)
    for each in files(root, programs):
        _one(each, dry_run=dry_run)
    click.echo(NEXT)
    return 0


def _one(file: File, *, dry_run: bool) -> None:
    try:
        before = file.path.read_text("utf-8")
    except FileNotFoundError:
        before = None
    except (OSError, ValueError) as error:
        raise ConfigFault((f"{file.path}: cannot be read: {error}",)) from None
    what = "new" if before is None else "as it is" if before == file.text else "changed"
    if dry_run:
        click.echo(f"# {file.path} ({what})")
        click.echo(file.text)
        return
    if before != file.text:
        try:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            if before is not None:
                file.path.with_name(f"{file.path.name}.before").write_text(before, "utf-8")
            file.path.write_text(file.text, "utf-8")
            file.path.chmod(0o644)
        except OSError as error:
            raise ConfigFault(
                (f"{file.path}: cannot be written: {error.strerror}; run it as root",)
            ) from None
    click.echo(f"{what:9}{file.path}")
