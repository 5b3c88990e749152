"""Where secrets come from: $CREDENTIALS_DIRECTORY, a file only we can read, or the environment. Nowhere else."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconcilerd.config.secret import Secret
from reconcilerd.config.settings import Auth, Settings
from reconcilerd.errors import ConfigFault

BUILT_IN_ID = "simulator"
BUILT_IN_SECRET = "simulator-secret"  # noqa: S105 - valid on loopback only, against the simulator


@dataclass(frozen=True, slots=True)
class Pair:
    client_id: Secret
    client_secret: Secret


def credentials(settings: Settings, env: Mapping[str, str]) -> dict[str, Pair]:
    """Client credentials by system name. Raises ConfigFault naming every one that is missing."""
    auths: dict[str, Auth] = {"extensiv": settings.extensiv.auth}
    auths |= {channel.name: channel.auth for channel in settings.channels}
    faults: list[str] = []
    found: dict[str, Pair] = {}
    for system, auth in auths.items():
        if settings.environment == "simulator" and not auth.client_id:
            found[system] = Pair(Secret(BUILT_IN_ID), Secret(BUILT_IN_SECRET))
            continue
        values = [
            resolve(name, env, f"{system}.auth", faults) for name in (auth.client_id, auth.client_secret)
        ]
        if values[0] is not None and values[1] is not None:
            found[system] = Pair(values[0], values[1])
    if faults:
        raise ConfigFault(tuple(faults))
    return found


def resolve(name: str, env: Mapping[str, str], where: str, faults: list[str]) -> Secret | None:
    """One secret by name: ``NAME`` (credentials directory, then environment), ``file:PATH`` or ``env:NAME``."""
    if name.startswith("env:"):
        value = env.get(name[4:])
        return _kept(value, f"{where}: the environment has no {name[4:]}", faults)
    if name.startswith("file:"):
        return _from_file(Path(name[5:]), where, faults)
    folder = env.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / name).is_file():
        return _from_file(Path(folder) / name, where, faults)
    looked = f"{folder}/{name}" if folder else "$CREDENTIALS_DIRECTORY (not set)"
    upper = name.upper().replace("-", "_")
    return _kept(
        env.get(upper),
        f"{where}: no credential {name!r}; looked at {looked} and the environment's {upper}",
        faults,
    )


def _from_file(path: Path, where: str, faults: list[str]) -> Secret | None:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            faults.append(f"{where}: {path} can be read by others; run: chmod 600 {path}")
            return None
        return _kept(path.read_text("utf-8").strip(), f"{where}: {path} is empty", faults)
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{where}: {path} cannot be read: {error}")
        return None


def _kept(value: str | None, fault: str, faults: list[str]) -> Secret | None:
    if value:
        return Secret(value)
    faults.append(fault)
    return None
