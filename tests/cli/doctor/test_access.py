"""What ``doctor`` says of who may use the control socket; and what somebody hears who may not."""

import grp
import os
import socket
from pathlib import Path

import pytest

from reconcilerd.cli import socket_client
from reconcilerd.cli.doctor import access
from reconcilerd.cli.doctor.line import State
from reconcilerd.daemon.peers import Doors, Group
from tests.cli.doctor.test_here import CONFIG, scene_of, states

DAEMON = "[daemon]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG.read_text("utf-8"), "utf-8")
    return tmp_path


def named(readers: str, operators: str = "") -> dict[str, str]:
    return {DAEMON: f'{DAEMON}\nreaders = "{readers}"\noperators = "{operators}"'}


def test_without_groups_it_says_for_whom_the_socket_is(folder: Path) -> None:
    assert states(access.groups(scene_of(folder))) == [State.OK]


def test_a_group_that_is_not_there_is_told_with_how_to_make_it(folder: Path) -> None:
    lines = list(access.groups(scene_of(folder, named("no-such-group", "nor-this-one"))))
    assert [(line.state, line.exit_code) for line in lines] == [(State.FAIL, 2)] * 2
    assert "groupadd --system no-such-group" in lines[0].fix


def test_a_socket_of_another_group_is_told(folder: Path) -> None:
    ours = grp.getgrgid(os.getegid()).gr_name
    scene = scene_of(folder, named(ours))
    assert states(access.groups(scene)) == [State.OK, State.OK]
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "reconcilerd.sock"))
        (folder / "reconcilerd.sock").chmod(0o600)
        assert states(access.groups(scene)) == [State.WARN, State.OK]
        (folder / "reconcilerd.sock").chmod(0o660)
        assert states(access.groups(scene)) == [State.OK, State.OK]


def test_an_operator_who_cannot_reach_the_socket_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        "look": grp.struct_group(("look", "x", 901, ["ann", "bob"])),
        "act": grp.struct_group(("act", "x", 902, ["bob", "eve"])),
    }
    monkeypatch.setattr(access, "doors_of", lambda *names: Doors(*(_group(known[n]) for n in names)))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: next(g for g in known.values() if g.gr_gid == gid))
    lines = list(access.groups(scene_of(folder, named("look", "act"))))
    assert [line.state for line in lines] == [State.OK, State.WARN, State.OK]
    assert lines[1].fix == "usermod -aG look eve"
    assert lines[2].said == "look: ann; change things: bob"


def _group(found: grp.struct_group) -> Group:
    return Group(found.gr_name, found.gr_gid)


@pytest.mark.parametrize("command", [socket_client.answer, socket_client.ask_daemon])
def test_who_may_not_use_the_socket_hears_so_and_not_that_nobody_runs(
    command: object, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: object, _path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    path = folder / "reconcilerd.sock"
    path.touch()
    path.chmod(0o660)
    assert callable(command)
    told = command(folder / "config.toml", {"op": "status"})
    assert told["exit_code"] == 4
    assert (
        f"it is for the group {grp.getgrgid(path.stat().st_gid).gr_name}: usermod" in told["error"]["message"]
    )
    path.chmod(0o600)
    told = command(folder / "config.toml", {"op": "status"})
    assert "it is for the daemon's user and root" in told["error"]["message"]
