"""The control socket answers its owner and the groups that are named; whoever else asks is turned away, and counted."""

import grp
import json
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from reconcilerd.daemon import control, peers
from reconcilerd.daemon.counts import Counts
from reconcilerd.daemon.peers import OWN, Doors, Group, Peer, Right, doors_of, must_be_in, peer_of
from reconcilerd.daemon.requests import LOOKS, is_look
from reconcilerd.domain.names import ChannelName
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, play, policy, small_world
from tests.world.test_rails import answers as answers_of

READERS, OPERATORS = Group("stock-readers", 901), Group("stock-operators", 902)
DOORS = Doors(READERS, OPERATORS)
STRANGER, READER, OPERATOR = (Peer(12_345, frozenset(groups)) for groups in ({7}, {7, 901}, {901, 902}))


class Answering:
    """Stands in for the daemon's answers."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.probes: list[str] = []
        self.asked: list[str] = []

    def probed(self, how: str) -> None:
        self.probes.append(how)

    async def answer(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        self.asked.append(request["op"])
        return {"by": by, **request}


async def ask(
    peer: Peer | None, doors: Doors, path: Path, monkeypatch: pytest.MonkeyPatch, request: dict[str, Any]
) -> tuple[Answering, dict[str, Any]]:
    """What somebody hears. ``peer`` None: this very process."""
    if peer is not None:
        monkeypatch.setattr(control, "peer_of", lambda _socket: peer)
    # Whether the socket can be given to a group is the file system's matter, and not every user's.
    monkeypatch.setattr(os, "chown", lambda *_: None)
    answers = Answering()
    async with anyio.create_task_group() as group:
        await group.start(control.serve, path, answers, doors)
        async with await anyio.connect_unix(path) as stream:
            await stream.send(json.dumps(request).encode() + b"\n")
            told = json.loads(await stream.receive())
        group.cancel_scope.cancel()
    return answers, told


@pytest.mark.parametrize(
    ("peer", "doors", "op", "answered"),
    [
        (None, OWN, "freeze", True),
        (STRANGER, OWN, "status", False),
        (OPERATOR, OWN, "status", False),
        (None, DOORS, "freeze", True),
        (Peer(0, frozenset()), DOORS, "freeze", True),
        (STRANGER, DOORS, "status", False),
        (READER, DOORS, "status", True),
        (READER, DOORS, "freeze", False),
        (READER, DOORS, "nobody knows", False),
        (OPERATOR, DOORS, "status", True),
        (OPERATOR, DOORS, "freeze", True),
        (READER, Doors(READERS), "freeze", False),
        (OPERATOR, Doors(None, OPERATORS), "freeze", True),
        (READER, Doors(None, OPERATORS), "status", False),
    ],
)
async def test_each_may_do_what_is_theirs_and_who_may_not_is_told_and_counted(
    peer: Peer | None,
    doors: Doors,
    op: str,
    answered: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, told = await ask(peer, doors, tmp_path / "control.sock", monkeypatch, {"op": op})
    assert answers.asked == ([op] if answered else [])
    assert answers.counts.turned_away["socket"] == len(answers.probes) == (0 if answered else 1)
    if not answered:
        assert told["exit_code"] == 4
        assert "you are uid 12345" in told["error"]["message"]


async def test_a_refusal_names_the_group_that_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "control.sock"
    _, told = await ask(READER, DOORS, path, monkeypatch, {"op": "freeze"})
    assert told["error"]["message"] == (
        "you are uid 12345 and may look, and freeze does more: that is for its own user or the group stock-operators"
    )
    _, told = await ask(STRANGER, DOORS, path, monkeypatch, {"op": "status"})
    assert "the group stock-readers or the group stock-operators" in told["error"]["message"]


@pytest.mark.parametrize(("doors", "mode"), [(OWN, 0o600), (DOORS, 0o660)])
async def test_the_socket_is_open_to_no_more_than_it_must(
    doors: Doors, mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda _path, uid, gid: given.append((uid, gid)))
    path = tmp_path / "control.sock"
    async with anyio.create_task_group() as group:
        await group.start(control.serve, path, Answering(), doors)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        group.cancel_scope.cancel()
    assert given == ([] if doors is OWN else [(-1, READERS.gid)])


@pytest.mark.parametrize(
    ("request_", "looks"),
    [
        ({"op": "reconcile", "skus": ["a"], "fresh": True}, True),
        ({"op": "reconcile", "skus": ["a"], "fresh": True, "apply": False}, True),
        ({"op": "reconcile", "skus": ["a"], "apply": True}, False),
        ({"op": "reconcile", "skus": ["a"], "apply": "yes"}, False),
        ({"op": "reconcile", "all": True}, True),
        ({"op": "reconcile", "all": True, "fresh": True}, False),
        ({"op": "reconcile", "skus": [], "fresh": True}, False),
        ({"op": "plan", "fresh": True}, False),
        ({"op": "plan", "sku": "a", "fresh": True}, True),
        ({"op": "breaker"}, True),
        ({"op": "breaker", "reset": "tug:x"}, False),
        ({"op": "breaker", "reset": ""}, False),
        ({"op": "digest"}, True),
        ({"op": "digest", "send": True}, False),
        ({"op": ["status"]}, False),
        ({"op": {}}, False),
        ({}, False),
    ],
)
def test_what_changes_something_or_reads_everything_is_no_look(request_: dict[str, Any], looks: bool) -> None:
    assert is_look(request_) is looks


def test_every_request_that_there_is_was_thought_of() -> None:
    """Whoever adds one says here whether it only looks."""
    changes = {
        *("apply", "approve", "audit", "freeze", "reload", "revert", "revoke", "unfreeze", "unpin"),
        *("alert_test", "resend", "silence", "unsilence", "verify"),
    }
    texts = [path.read_text("utf-8") for path in Path(control.__file__).parent.glob("*.py")]
    handled = r'[ {]"(\w+)": (?:self\.[a-z]\w*|lambda _request, _by: .*)[,}]'
    known = {op for text in texts for op in re.findall(handled, text, re.MULTILINE)}
    assert {"status", "apply", "pins", "silence"} <= known
    assert known | {"metrics"} == LOOKS | changes


def test_a_look_leaves_no_trace_of_a_persons_will() -> None:
    """Every request that passes for a look, tried: no freeze, approval or reset is in the ledger after it."""
    before: list[int] = []

    async def scene(stage: Stage) -> None:
        ask_ = answers_of(stage)
        said = {"sku": "a", "skus": ["a"], "id": "x", "channel": ChannelName("shop-uk"), "limit": 3}
        before.append(sum(_is_will(each) for each in stage.journal.facts))
        for op in sorted(LOOKS):
            await ask_.answer({"op": op, **said}, "ops")
        before.append(sum(_is_will(each) for each in stage.journal.facts))

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert before[0] == before[1]


def _is_will(fact: Any) -> bool:
    return hasattr(fact, "by") and hasattr(fact, "reason")


def test_the_kernel_says_who_asks_and_in_which_groups() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
    assert peer.uid == os.geteuid()
    assert peer.groups == {os.getegid(), *os.getgroups()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can put a process into another group")
def test_the_groups_that_a_process_is_in_beside_its_first_one_are_told(tmp_path: Path) -> None:
    """It is by these that people are let in."""
    path = str(tmp_path / "s")
    knock = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({path!r}); s.recv(1)"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        door.settimeout(30)
        with subprocess.Popen([sys.executable, "-c", knock], extra_groups=[901, 902]):
            theirs, _ = door.accept()
            with theirs:
                assert {901, 902} <= peer_of(theirs).groups


def test_in_more_groups_than_can_be_told_the_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SO_PEERGROUPS", 9_999)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
    assert peer.uid == os.geteuid()
    assert os.getegid() in peer.groups


def test_names_are_resolved_at_the_start_and_every_unknown_one_is_told() -> None:
    ours = grp.getgrgid(os.getegid()).gr_name
    assert doors_of(ours, "") == Doors(Group(ours, os.getegid()))
    assert doors_of("", "") == OWN
    with pytest.raises(ConfigFault) as caught:
        doors_of("no-such-readers", "no-such-operators")
    assert [each.partition(":")[0] for each in caught.value.faults] == ["daemon.readers", "daemon.operators"]
    assert "groupadd --system no-such-readers" in caught.value.faults[0]


def test_a_socket_that_cannot_be_given_away_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 990)
    must_be_in(OWN)
    with pytest.raises(ConfigFault, match="SupplementaryGroups=stock-readers"):
        must_be_in(DOORS)
    with pytest.raises(ConfigFault, match=r"daemon\.operators"):
        must_be_in(Doors(None, OPERATORS))
    monkeypatch.setattr(os, "getgroups", lambda: [READERS.gid])
    must_be_in(DOORS)


def test_rights_hold_one_another() -> None:
    assert Right.NOTHING < Right.READ < Right.OPERATE
