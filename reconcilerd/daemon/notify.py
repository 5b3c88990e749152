"""Tells systemd how we are, by its datagram protocol; silent where there is no systemd."""

import os
import socket


def notify(*lines: str) -> None:
    """Send state lines such as ``READY=1``. Raises nothing: systemd's absence is no fault."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.sendto("\n".join(lines).encode(), address)
        except OSError:
            return
