"""Connections of alerts: a name is looked up once, every address of it judged, and one of those connected to.

A name that pointed elsewhere when it was looked at cannot point inwards a moment later.
"""

import socket
from collections.abc import Collection, Iterable
from ipaddress import ip_address

import anyio
import httpcore2
from typing_extensions import override

from reconcilerd.config.fields import LOOPBACK
from reconcilerd.config.hosts import plain, why_private, why_unreachable
from reconcilerd.errors import TryLater


async def addresses_of(host: str, port: int, allowed: Collection[str]) -> list[str]:
    """Where a host may be reached. Raises TryLater where it may not, or has no address."""
    name = plain(host)
    why = why_unreachable(name, allowed)
    if why:
        raise TryLater(_refused(host, why))
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TryLater(f"{host} has no address") from None
    # A black hole behind IPv6 is more common than one behind IPv4.
    addresses = [str(where[0]) for *_, where in sorted(found, key=lambda each: each[0] != socket.AF_INET)]
    if name in LOOPBACK or name in allowed:
        return addresses
    for each in addresses:
        why = why_private(ip_address(each.partition("%")[0]))
        if why:
            raise TryLater(_refused(f"{host} ({each})", why))
    return addresses


def _refused(host: str, why: str) -> str:
    return f"{host} {why}; nothing is sent there unless alerts.allow_hosts names it"


class Guarded(httpcore2.AsyncNetworkBackend):
    """Connects only where alerts may go."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = allowed
        self._inner = httpcore2.AnyIOBackend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raises ConnectError, ConnectTimeout."""
        try:
            addresses = await addresses_of(host, port, self._allowed)
        except TryLater as refused:
            raise httpcore2.ConnectError(str(refused)) from None
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    @override
    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)
