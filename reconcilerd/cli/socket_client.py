"""One question to a running daemon over its unix socket; to its ledger where nobody listens.

Only the standard library is imported until it is known that no daemon answers.
"""

import grp
import json
import os
import socket
import stat
import tomllib
from getpass import getuser
from pathlib import Path
from typing import Any

from reconcilerd.cli.exits import no_utf8

PATIENCE_S = 600.0
QUICK_S = 30.0
QUICK = frozenset(
    {"status", "breaker", "alerts", "alert", "silence", "unsilence", "freeze", "unfreeze"}
    | {"passes", "pins", "envelopes", "names"}
)
"""What takes a daemon no time, whatever it holds: one that does not answer these hangs, and somebody waits."""
AUDIT_S = 6 * 3600.0
"""A whole reading of a large catalogue takes as long as the rate limits have it take."""
SPOKEN = {"sku": "SKU", "skus": "SKU", "reset": "name"}
"""What people call a field of a request, where it has another name."""
DEFAULT = "reconcilerd.sock"
"""As in the settings, which take too long to import here; a test holds the two together."""


HANGS = (
    "it hangs or is very busy, and may still do what was asked; under systemd its watchdog restarts what hangs, "
    "else: systemctl restart reconcilerd, which loses nothing"
)


CUT_OFF = (
    "what it was asked may be done, wholly or in part, and is not done again; look first: reconcilerd status, "
    "reconcilerd passes, reconcilerd envelopes"
)


class NotReachable(Exception):
    """No daemon answers at the socket."""


class NotForUs(NotReachable):
    """A daemon listens there, and not to us."""


class NoAnswer(NotReachable):
    """A daemon listens there and took the question: whether it did what was asked is not known."""


class Ended(NotReachable):
    """A daemon took the question, and ended before it answered: whether it did what was asked is not known."""


def socket_path(config: Path) -> Path | None:
    """The control socket: RECONCILERD_SOCKET, else the one that a config names, without reading the rest of it.

    Whoever may use the socket need not be let into the configuration.
    """
    if said := os.environ.get("RECONCILERD_SOCKET"):
        return Path(said)
    try:
        daemon = toml_of(config).get("daemon", {})
    except (OSError, ValueError, RecursionError):
        return None
    name = daemon.get("control_socket", DEFAULT) if isinstance(daemon, dict) else None
    if not isinstance(name, str) or not name:
        return None
    path = Path(name)
    return path if path.is_absolute() else config.resolve().parent / path


def toml_of(config: Path) -> dict[str, Any]:
    """A configuration as it is written, unchecked. Raises OSError, ValueError, RecursionError."""
    return tomllib.loads(config.read_bytes().decode("utf-8-sig"))


def answer(config: Path, request: dict[str, Any]) -> dict[str, Any]:
    """From the daemon that a config names; where there is none, from the ledger, under its lock if it is written."""
    if why := _unspeakable(request):
        return _error(why, 2)
    path = socket_path(config)
    if path is not None and not _is_missing(path):
        try:
            return ask(path, request, QUICK_S if request.get("op") in QUICK else PATIENCE_S)
        except NotForUs as closed:
            return _error(str(closed), 4)
        except NoAnswer as hangs:
            return _error(f"{hangs}; {HANGS}", 8)
        except Ended as ended:
            from reconcilerd.daemon.requests import is_look

            if not is_look(request):
                return _error(f"{ended}; {CUT_OFF}", 8)
        except NotReachable:
            pass  # a socket nobody listens to is left by a daemon that was killed
    from reconcilerd.cli.offline import answer_offline

    return answer_offline(config, request)


def ask_daemon(config: Path, request: dict[str, Any], patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """From the daemon that a config names, and from nobody else; where none runs, an error with exit code 8."""
    path = socket_path(config)
    try:
        if path is None:
            return _no_socket(config)
        return ask(path, request, patience_s)
    except NotForUs as closed:
        return _error(str(closed), 4)
    except NoAnswer as hangs:
        return _error(f"{hangs}; {HANGS}", 8)
    except NotReachable as nobody:
        return _error(
            f"no daemon answers: {nobody}; start it: systemctl start reconcilerd, or reconcilerd run", 8
        )


def _unspeakable(request: dict[str, Any]) -> str:
    """Why a request can be asked of nobody: some text in it that a command line brought is none."""
    words = (
        (name, word)
        for name, value in request.items()
        for word in (value if isinstance(value, list) else [value])
        if isinstance(word, str)
    )
    return next((why for name, word in words if (why := no_utf8(SPOKEN.get(name, name), word))), "")


def _no_socket(config: Path) -> dict[str, Any]:
    """Why a configuration does not say where the daemon listens."""
    try:
        toml_of(config)
    except OSError as error:
        why = f"{config} cannot be read ({error.strerror})"
    except (ValueError, RecursionError) as error:
        why = f"{config} is no TOML: {error}"
    else:
        why = f"{config} names no control socket"
    return _error(f"{why}; correct it, or say where the daemon listens by RECONCILERD_SOCKET", 2)


def _error(message: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "exit_code": code}, "exit_code": code}


def _is_missing(path: Path) -> bool:
    """Whether there is surely nothing: a folder that we may not look into may hold anything."""
    try:
        path.lstat()
    except PermissionError:
        return False
    except OSError:
        return True
    return False


def _for_whom(path: Path) -> str:
    """What to do about a socket that we may not use."""
    try:
        found = path.stat()
        group = grp.getgrgid(found.st_gid).gr_name if found.st_mode & stat.S_IWGRP else ""
    except (OSError, KeyError):
        group = ""
    if group:
        return f"it is for the group {group}: usermod -aG {group} {getuser()}, then log in again"
    return (
        "it is for the daemon's user and root: use sudo, or have daemon.readers name a group that you are in"
    )


def ask(path: Path, request: dict[str, Any], patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """Send one request, return the answer. Raises NotReachable if nobody listens there, NotForUs if not to us.

    NoAnswer if somebody does, and says nothing for so long; Ended if they took it and are gone.
    """
    asked = False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience_s)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            asked = True
            # Closed here: what interrupts a file that is closed by being forgotten is lost.
            with connection.makefile("rb") as lines:
                answer = lines.readline()
        except PermissionError as error:
            raise NotForUs(f"{path}: you may not use this socket; {_for_whom(path)}") from error
        except TimeoutError as error:
            raise NoAnswer(
                f"{path}: a daemon listens, and has not answered for {patience_s:.0f} s"
            ) from error
        except OSError as error:
            if not asked:
                raise NotReachable(f"{path}: {error}") from error
            answer = b""
    if not answer.endswith(b"\n"):
        raise Ended(f"{path}: the daemon closed the connection before it answered")
    value: dict[str, Any] = json.loads(answer)
    return value
