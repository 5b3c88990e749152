"""Who is at the other end of the control socket, by the kernel's word, and what they may ask.

The daemon's own user and root may everything. Members of two groups that the configuration names may read, or operate.
"""

import grp
import os
import pwd
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from reconcilerd.errors import ConfigFault

SO_PEERGROUPS: Final = 59
"""Linux's number, of which Python has no name."""
MOST: Final = 1024
"""Bytes that Python takes of such an answer: 256 groups."""


class Right(IntEnum):
    """What somebody may do; each holds the one before."""

    NOTHING = 0
    READ = 1
    OPERATE = 2


@dataclass(frozen=True, slots=True)
class Peer:
    """A process at the other end: its user, and all groups that it was in when it connected."""

    uid: int
    groups: frozenset[int]


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    gid: int


@dataclass(frozen=True, slots=True)
class Doors:
    """The groups that are let in. None: only the daemon's own user and root are."""

    readers: Group | None = None
    operators: Group | None = None

    @property
    def socket_group(self) -> Group | None:
        """To whom the socket belongs: whoever is not in it cannot even knock."""
        return self.readers or self.operators

    def right_of(self, peer: Peer) -> Right:
        """What a process may do."""
        if peer.uid in {os.geteuid(), 0} or _in(self.operators, peer):
            return Right.OPERATE
        return Right.READ if _in(self.readers, peer) else Right.NOTHING

    def told(self, right: Right) -> str:
        """Who has a right, in words."""
        named = [self.operators] if right is Right.OPERATE else [self.readers, self.operators]
        found = dict.fromkeys(each.name for each in named if each is not None)
        return " or ".join(("its own user", *(f"the group {name}" for name in found)))


OWN: Final = Doors()
"""For the daemon's own user and root alone."""


def _in(group: Group | None, peer: Peer) -> bool:
    return group is not None and group.gid in peer.groups


def doors_of(readers: str, operators: str, look: Callable[[str], grp.struct_group] = grp.getgrnam) -> Doors:
    """The groups by their names. Raises ConfigFault for those that this machine does not know, all at once."""
    faults: list[str] = []
    found = {
        key: _group(key, name, look, faults) for key, name in (("readers", readers), ("operators", operators))
    }
    if faults:
        raise ConfigFault(tuple(faults))
    return Doors(found["readers"], found["operators"])


def _group(key: str, name: str, look: Callable[[str], grp.struct_group], faults: list[str]) -> Group | None:
    if not name:
        return None
    try:
        return Group(name, look(name).gr_gid)
    except KeyError:
        faults.append(
            f"daemon.{key}: this machine has no group {name!r}; the shipped ones are made by systemd-sysusers, "
            f"others by: groupadd --system {name}"
        )
        return None


def must_be_in(doors: Doors) -> None:
    """Raises ConfigFault where we cannot give the socket to the group that it is for."""
    group = doors.socket_group
    if group is None or os.geteuid() == 0 or group.gid in {os.getegid(), *os.getgroups()}:
        return
    raise ConfigFault(
        (
            f"daemon.{'readers' if doors.readers else 'operators'}: the daemon's user is not in the group "
            f"{group.name!r}, so it cannot give it the socket; under systemd: SupplementaryGroups={group.name}",
        )
    )


def peer_of(raw: socket.socket) -> Peer:
    """The process at the other end, from the kernel."""
    told = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, gid = struct.unpack("3i", told)
    try:
        packed = raw.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MOST)
        more = frozenset(struct.unpack(f"{len(packed) // 4}I", packed))
    except OSError:
        # In more groups than that, or a kernel before 4.13: by what the machine knows of the user.
        more = _groups_of(uid, gid)
    return Peer(uid, more | {gid})


def _groups_of(uid: int, gid: int) -> frozenset[int]:
    with suppress(KeyError):
        return frozenset(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    return frozenset()
