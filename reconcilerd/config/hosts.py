"""Which hosts alerts may be sent to: public ones, this machine by its own names, and those that are named. Pure.

Whoever can write an address of an alert must not make us speak to what only this machine can reach: the metadata of a
cloud, a router, another tenant.
"""

import socket
from collections.abc import Collection
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from reconcilerd.config.fields import LOOPBACK

_NAT64: Final = IPv6Network("64:ff9b::/96")
_METADATA: Final = frozenset({"metadata.google.internal", "metadata", "instance-data"})
"""Names by which clouds answer their own machines."""


def why_unreachable(host: str, allowed: Collection[str]) -> str:
    """Why nothing may be sent to a host as it is written, if so. A name is looked up when it is spoken to."""
    name = plain(host)
    if name in LOOPBACK or name in allowed:
        return ""
    if name in _METADATA:
        return "is where a cloud tells its machines their secrets"
    address = _literal(name)
    return "" if address is None else why_private(address)


def why_private(address: IPv4Address | IPv6Address) -> str:
    """What keeps an address from being public, if anything does."""
    seen = _inner(address)
    if seen.is_link_local:
        return "is link-local: the metadata of a cloud is there"
    if seen.is_loopback:
        return "is this machine"
    return "" if seen.is_global and not seen.is_multicast else "is no public address"


def plain(host: str) -> str:
    """A host as it is compared: lower case, without the dot at its end; an address in its one short spelling."""
    name = host.casefold().rstrip(".")
    with suppress(ValueError):
        return str(ip_address(name))
    return name


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address leads to, where it does."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        teredo = address.teredo
        return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)
    return address


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """A host that is an address, also as ``127.1`` or ``2130706433``, which the system takes for one too."""
    with suppress(ValueError):
        return ip_address(host)
    with suppress(OSError, UnicodeEncodeError):
        return IPv4Address(socket.inet_aton(host))
    return None
