"""Where secrets come from: $CREDENTIALS_DIRECTORY, a file only we can read, or the environment. Nowhere else."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconcilerd.config.secret import Secret
from reconcilerd.config.settings import Auth, Settings
from reconcilerd.errors import ConfigFault

BUILT_IN_ID: Final = "simulator"
BUILT_IN_SECRET: Final = "simulator-secret"  # noqa: S105 - valid on loopback only, against the simulator
MAX_BYTES: Final = 65_536

_PREFIXES: Final = ("", "reconcilerd_", "alerts_")
"""What systemd puts before the names of credentials that it loads from a whole folder, as our units have it do."""
_ANYONE_ELSE: Final = stat.S_IRWXG | stat.S_IRWXO
_STRANGERS: Final = stat.S_IRWXO
"""In $CREDENTIALS_DIRECTORY the group's bits are the mask of the access list by which systemd lets us in."""


@dataclass(frozen=True, slots=True)
class Pair:
    client_id: Secret
    client_secret: Secret


def credentials(settings: Settings, env: Mapping[str, str]) -> dict[str, Pair | Secret]:
    """Client credentials, or a static token, by system name. Raises ConfigFault naming every one that is missing."""
    auths: list[tuple[str, str, Auth]] = [("extensiv", "extensiv", settings.extensiv.auth)]
    auths += [(each.name, f"channels[{number}]", each.auth) for number, each in enumerate(settings.channels)]
    faults: list[str] = []
    found: dict[str, Pair | Secret] = {}
    unnamed = False
    for system, where, auth in auths:
        if settings.environment == "simulator" and auth.mode == "client_credentials" and not auth.client_id:
            found[system] = Pair(Secret(BUILT_IN_ID, public=True), Secret(BUILT_IN_SECRET))
            continue
        names = (auth.token,) if auth.mode == "static_token" else (auth.client_id, auth.client_secret)
        if not all(names):
            unnamed = True  # a fault of the configuration itself, which is told where it is read
            continue
        if auth.mode == "static_token":
            token = resolve(auth.token, env, f"{where}.auth.token", faults)
            if token is not None:
                found[system] = token
            continue
        ours = resolve(auth.client_id, env, f"{where}.auth.client_id", faults)
        secret = resolve(auth.client_secret, env, f"{where}.auth.client_secret", faults)
        if ours is not None and secret is not None:
            found[system] = Pair(ours, secret)
    if faults or unnamed:
        raise ConfigFault(tuple(faults))
    return found


def signing_secrets(
    settings: Settings, found: Mapping[str, Pair | Secret], env: Mapping[str, str], faults: list[str]
) -> dict[str, tuple[Secret, ...]]:
    """The secrets that may sign the webhooks of each channel that sends any, the present one first."""
    made: dict[str, tuple[Secret, ...]] = {}
    for number, each in enumerate(settings.channels):
        if each.webhooks is None:
            continue
        where, ours = f"channels[{number}].webhooks", found.get(each.name)
        named = {"secret": each.webhooks.secret, "old_secret": each.webhooks.old_secret}
        secrets = [resolve(name, env, f"{where}.{key}", faults) for key, name in named.items() if name]
        if not each.webhooks.secret and isinstance(ours, Pair):
            secrets.insert(0, ours.client_secret)
        made[each.name] = tuple(secret for secret in secrets if secret is not None)
    return made


def resolve(name: str, env: Mapping[str, str], where: str, faults: list[str]) -> Secret | None:
    """One secret by name: ``NAME`` (credentials directory, then environment), ``file:PATH`` or ``env:NAME``.

    None if there is none; then ``faults`` has one more, opened by ``where``.
    """
    if name.startswith("env:"):
        return _kept(
            env.get(name[4:]), f"{where}: the environment has no {name[4:]}, or it is empty", where, faults
        )
    if name.startswith("file:"):
        return _from_file(Path(name[5:]), _ANYONE_ELSE, where, faults)
    folder = env.get("CREDENTIALS_DIRECTORY")
    for known in (f"{folder}/{prefix}{name}" for prefix in _PREFIXES if folder):
        if os.path.lexists(known):
            return _from_file(Path(known), _STRANGERS, where, faults)
    looked = f"{folder}/{name}" if folder else "$CREDENTIALS_DIRECTORY (not set)"
    upper = name.upper().replace("-", "_").replace(".", "_")
    missing = (
        f"{where}: no credential {name!r}; looked at {looked} and the environment's {upper}; "
        "or name a file with file:/PATH, a variable with env:NAME"
    )
    return _kept(env.get(upper), missing, where, faults)


def _from_file(path: Path, forbidden: int, where: str, faults: list[str]) -> Secret | None:
    try:
        # Looked at through the opened file: what was checked is what is read. A pipe must not make us wait.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                faults.append(f"{where}: {path} is not a plain file")
                return None
            if mode & forbidden:
                faults.append(f"{where}: {path} can be read by others; run: chmod 600 {path}")
                return None
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            faults.append(f"{where}: {path} is larger than {MAX_BYTES} bytes; it should hold one secret")
            return None
        return _kept(raw.decode("utf-8").strip(), f"{where}: {path} is empty", where, faults)
    except UnicodeDecodeError:
        faults.append(f"{where}: {path} is not text (UTF-8)")
    except FileNotFoundError:
        faults.append(f"{where}: {path}: there is no such file")
    except (OSError, ValueError) as error:
        faults.append(f"{where}: {path} cannot be read: {getattr(error, 'strerror', None) or error}")
    return None


def _kept(value: str | None, missing: str, where: str, faults: list[str]) -> Secret | None:
    if not value:
        faults.append(missing)
        return None
    if not value.isprintable():
        faults.append(
            f"{where}: the secret has control characters or more than one line; it is one line of text"
        )
        return None
    return Secret(value)
