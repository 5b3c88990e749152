"""Checks of who may use the control socket."""

import grp
import stat
from pathlib import Path

from reconcilerd.cli.doctor.line import Line, Lines, Scene, fail, ok, warn
from reconcilerd.daemon.peers import Doors, Group, doors_of
from reconcilerd.errors import ConfigFault


def groups(scene: Scene) -> Lines:
    """Whether the groups are there, whether the socket is theirs, and who may change things."""
    if scene.settings is None:
        return
    said = scene.settings.daemon
    try:
        doors = doors_of(said.readers, said.operators)
    except ConfigFault as fault:
        for each in fault.faults:
            what, _, fix = each.partition("; ")
            yield fail(what, fix or "name a group that is there")
        return
    if doors.socket_group is None:
        yield ok("the socket is for the daemon's own user and root")
        return
    yield _socket(scene.path(said.control_socket), doors.socket_group)
    yield from _members(doors)


def _socket(path: Path, group: Group) -> Line:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ok(f"the socket will be for the group {group.name}")
    if found.st_gid != group.gid or not found.st_mode & stat.S_IWGRP:
        return warn(
            f"is not for the group {group.name} yet",
            "restart the daemon; what it was started with is in force",
            str(path),
        )
    return ok(f"is for the group {group.name}", str(path))


def _members(doors: Doors) -> Lines:
    may_look = set(_in(doors.readers.gid)) if doors.readers else set[str]()
    may_act = set(_in(doors.operators.gid)) if doors.operators else set[str]()
    outside = sorted(may_act - may_look) if doors.readers and doors.operators else []
    if outside:
        name = doors.readers.name if doors.readers else ""
        yield warn(
            f"{', '.join(outside)} may change things, and cannot reach the socket",
            f"usermod -aG {name} {outside[0]}",
        )
    look, act = sorted(may_look - may_act), sorted(may_act - set(outside))
    yield ok(f"look: {', '.join(look) or 'nobody else'}; change things: {', '.join(act) or 'nobody else'}")


def _in(gid: int) -> list[str]:
    """Members as the group lists them; those whose first group it is are not among them."""
    return grp.getgrgid(gid).gr_mem
