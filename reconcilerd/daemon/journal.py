"""Log events as entries of systemd's journal, each key a field: ``journalctl RECONCILER_SKU=MUG-RED``.

The native protocol: one datagram an entry, or one sealed memory file where the datagram would be too large. Spoken only
where our standard error is the journal's own (``$JOURNAL_STREAM``); everywhere else a line of JSON does.
"""

import array
import contextlib
import errno
import fcntl
import json
import os
import re
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TextIO

SOCKET: Final = "/run/systemd/journal/socket"
PREFIX: Final = "RECONCILER_"
LONGEST_NAME: Final = 64
SEND_BUFFER: Final = 8 * 2**20
PRIORITY: Final = MappingProxyType({"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2})
BESIDE: Final = frozenset({"event", "level", "at", "exception"})
"""Keys that the message does not repeat: they are its name, the entry's own fields, or too long."""
MESSAGE_IDS: Final[Mapping[str, str]] = {
    "daemon_started": "d32e2e40a0a8420eade5bbe3b57971d9",
    "daemon_stopped": "8840dd015c68434081e3b608846504a2",
    "ledger_failed": "5eceac9070c74a0493bcc998a04150c6",
    "task_hangs": "3ec8d56224a341949f45d0635d95e37a",
    "task_broke": "34fc97f807ef42c0b17d53b332c36f6c",
    "config_reloaded": "b76ced8d89054d139035a379cc5e178d",
    "reload_refused": "1b70df36aae145a0acd17b9b7bf6bca5",
    "policy_changed": "73f6900c4474467283e5b6829b236265",
    "invariant_broken": "00125ba4982442ada1990f534c75d46e",
    "reading_doubted": "5729129113da4373ba870284ae5a0e0f",
    "canary_stopped": "5548873b1d644c228115b53a9eb369fd",
    "circuit_opened": "dca43f5abaef45ddab00aa5b0a3b31b1",
    "circuit_closed": "9613b60a10b94562a56800d80ae9c5ec",
    "clock_went_back": "2f9084c39e1f4d10b09f5198d7ec93c1",
    "alert_raised": "0697f372714d4df2989b204289c4acf3",
    "alert_resolved": "60d553ec976646a48fcac79f017a6c1f",
    "correction_planned": "f2b21a9d24da4e5390b0b2022ae9ab3c",
    "correction_answered": "ce0b1280175b4f629535219e6244cabd",
    "drift_cured": "cc8fedbb0e0f461aaa0b564057a93e28",
}
"""Of events that a monitor may wait for; an id once given is never changed: ``journalctl MESSAGE_ID=...``."""
_NO_FIELD: Final = re.compile("[^A-Z0-9_]")
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def is_ours(stream: TextIO, env: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream is the one that systemd connected to the journal: then the journal reads us anyway."""
    said = env.get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False  # no file is behind it
    return said == f"{found.st_dev}:{found.st_ino}"


def fields_of(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The journal's fields of one event whose values are plain and redacted; what is None has no field."""
    text = {key: _text(key, value) for key, value in event.items() if value is not None}
    name, level = text.get("event", ""), text.get("level", "info")
    beside = [f"{key}={value}" for key, value in text.items() if key not in BESIDE and value]
    failed = text.get("exception", "")
    message = " ".join([name, *beside]) + (f"\n{failed}" if failed else "")
    found = [
        ("MESSAGE", message),
        ("PRIORITY", str(PRIORITY.get(level, 6))),
        ("SYSLOG_IDENTIFIER", "reconcilerd"),
    ]
    if name in MESSAGE_IDS:
        found.append(("MESSAGE_ID", MESSAGE_IDS[name]))
    return found + [(field_name(key), value) for key, value in text.items() if key not in {"event", "level"}]


def _text(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if key == "exception" and isinstance(value, Sequence):
        return "\n".join(line for each in value for line in _trace(each))
    return json.dumps(value, ensure_ascii=False, default=str)


def _trace(broke: Mapping[str, Any]) -> list[str]:
    """One exception as people read it: where, innermost last, then what."""
    frames = [
        f"  {each.get('filename')}:{each.get('lineno')} in {each.get('name')}" for each in broke["frames"]
    ]
    return [*frames, f"{broke.get('exc_type')}: {broke.get('exc_value')}"]


def field_name(key: str) -> str:
    """A key as the journal allows it: capitals, digits and underscores, at most 64."""
    return (PREFIX + _NO_FIELD.sub("_", key.upper()))[:LONGEST_NAME]


def entry_of(fields: list[tuple[str, str]]) -> bytes:
    """Fields as the protocol has them: ``NAME=value``, or name, length and value where the value has several lines."""
    parts = []
    for name, value in fields:
        raw = value.encode("utf-8", "replace")
        if b"\n" in raw:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(raw)) + raw + b"\n")
        else:
            parts.append(name.encode() + b"=" + raw + b"\n")
    return b"".join(parts)


class Journal:
    """The way to the journal. What it does not take goes to ``instead`` as a line, with its priority before it."""

    def __init__(self, path: str = SOCKET, instead: TextIO | None = None) -> None:
        self._path = path
        self._instead = instead or sys.stderr
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        # Nobody may wait for a journal that does not read.
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def close(self) -> None:
        self._socket.close()

    def write(self, fields: list[tuple[str, str]]) -> None:
        """Write one entry. Raises nothing: a log that cannot be written stops nobody."""
        entry = entry_of(fields)
        try:
            self._socket.sendto(entry, self._path)
        except OSError as error:
            if error.errno not in {errno.EMSGSIZE, errno.ENOBUFS} or not self._send_file(entry):
                self._say_instead(fields)

    def _send_file(self, entry: bytes) -> bool:
        """An entry as a sealed file in memory: nobody can change it while it is read. Whether it was taken."""
        try:
            file = os.memfd_create("reconcilerd-journal", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        except OSError:
            return False
        try:
            with os.fdopen(os.dup(file), "wb") as out:
                out.write(entry)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
            self._socket.sendmsg([], beside, 0, self._path)
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(file)

    def _say_instead(self, fields: list[tuple[str, str]]) -> None:
        said = dict(fields)
        first = said["MESSAGE"].splitlines()[0] if said["MESSAGE"] else ""
        with contextlib.suppress(OSError, ValueError):
            print(f"<{said['PRIORITY']}>{first}", file=self._instead, flush=True)
