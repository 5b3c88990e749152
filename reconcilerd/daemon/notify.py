"""Tells systemd how we are, by its datagram protocol; silent where there is no systemd.

systemd kills a service that it has not heard ``WATCHDOG=1`` of for too long, so that is said only while everything
gets on. See sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
from collections.abc import Mapping

PINGS = 3
"""How often within the watchdog's time we say that we live: one may be late."""
LONGEST_STATUS = 400
TURNING_POINTS = frozenset({"READY=1", "RELOADING=1", "STOPPING=1"})
"""Said once: for these we wait while the manager's queue is full."""
PATIENCE_S = 1.0


def notify(*lines: str, env: Mapping[str, str] = os.environ) -> None:
    """Send state lines such as ``READY=1``. Raises nothing: systemd's absence is no fault."""
    address = env.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        # A manager that does not read must not hold us up; what else it missed is said again.
        connection.settimeout(0.0 if TURNING_POINTS.isdisjoint(lines) else PATIENCE_S)
        try:
            connection.sendto("\n".join(lines).encode(), address)
        except OSError:
            return


def status(text: str) -> str:
    """The line that people read first. What would end it early is left out."""
    return f"STATUS={' '.join(text.split())[:LONGEST_STATUS]}"


def reloading(monotonic_us: int) -> tuple[str, str]:
    """A reload begins. The moment lets systemd tell this reload from an older one."""
    return "RELOADING=1", f"MONOTONIC_USEC={monotonic_us}"


def extend(seconds: float) -> str:
    """Starting or stopping may take so much longer from now on, whatever the unit says."""
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}"


def ping_every_s(env: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """How often the watchdog wants to hear of us (seconds); None: it does not, or it watches another process."""
    if env.get("WATCHDOG_PID") not in {None, "", str(pid if pid is not None else os.getpid())}:
        return None
    said = env.get("WATCHDOG_USEC", "")
    if not said.isdecimal() or int(said) == 0:
        return None
    return int(said) / 1_000_000 / PINGS
