"""One question to a running daemon over its unix socket; to its ledger where nobody listens.

Only the standard library is imported until it is known that no daemon answers.
"""

import json
import socket
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE_S = 600.0
AUDIT_S = 6 * 3600.0
"""A whole reading of a large catalogue takes as long as the rate limits have it take."""
DEFAULT = "reconcilerd.sock"
"""As in the settings, which take too long to import here; a test holds the two together."""


class NotReachable(Exception):
    """No daemon answers at the socket."""


def socket_path(config: Path) -> Path | None:
    """The control socket that a config names, without reading the rest of it."""
    try:
        with config.open("rb") as file:
            daemon = tomllib.load(file).get("daemon", {})
    except (OSError, tomllib.TOMLDecodeError):
        return None
    name = daemon.get("control_socket", DEFAULT) if isinstance(daemon, dict) else None
    if not isinstance(name, str) or not name:
        return None
    path = Path(name)
    return path if path.is_absolute() else config.resolve().parent / path


def answer(config: Path, request: dict[str, Any]) -> dict[str, Any]:
    """From the daemon that a config names; where there is none, from the ledger, under its lock if it is written."""
    path = socket_path(config)
    if path is not None and path.exists():
        # A socket nobody listens to is left by a daemon that was killed.
        with suppress(NotReachable):
            return ask(path, request)
    from reconcilerd.cli.offline import answer_offline

    return answer_offline(config, request)


def ask_daemon(config: Path, request: dict[str, Any], patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """From the daemon that a config names, and from nobody else; where none runs, an error with exit code 8."""
    path = socket_path(config)
    try:
        if path is None:
            raise NotReachable(f"{config} names no control socket, or cannot be read")
        return ask(path, request, patience_s)
    except NotReachable as nobody:
        message = f"no daemon answers: {nobody}; start it: systemctl start reconcilerd, or reconcilerd run"
        return {"error": {"message": message, "exit_code": 8}, "exit_code": 8}


def ask(path: Path, request: dict[str, Any], patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """Send one request, return the answer. Raises NotReachable if nobody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience_s)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = connection.makefile("rb").readline()
        except OSError as error:
            raise NotReachable(f"{path}: {error}") from error
    if not answer:
        raise NotReachable(f"{path}: the daemon closed the connection without an answer")
    value: dict[str, Any] = json.loads(answer)
    return value
