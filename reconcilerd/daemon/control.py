"""The control socket: one JSON line in, one out, on a unix socket for its owner, root, and groups that are named."""

import json
import os
from pathlib import Path
from typing import Any

import anyio
import structlog
from anyio.abc import SocketAttribute, SocketStream

from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.peers import OWN, Doors, Right, peer_of
from reconcilerd.daemon.refusals import error
from reconcilerd.daemon.requests import is_look
from reconcilerd.errors import LedgerFault

log = structlog.get_logger("reconcilerd.control")

MAX_LINE = 32_000_000
"""Bytes of a request: a plan of the whole catalogue is the longest."""
MAX_CLIENTS = 16
LINE_S = 10.0
"""How long a client may take to say its line."""
TAKE_S = 30.0
"""How long it may take to read the answer."""
ACCEPT_AGAIN_S = 1.0
READS_FIRST = frozenset({"fresh", "apply"})
PLAN = "plan"
"""Requests that read or write first, as every plan may, wait for one another; a freeze waits for nobody."""


async def serve(
    path: Path, answers: Answers, doors: Doors = OWN, *, task_status: Any = anyio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled. A socket left by a dead process is replaced. Raises LedgerFault."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    listener = await anyio.create_unix_listener(path, mode=0o600)
    if doors.socket_group is not None:
        # Whoever is in no group that is let in is kept out by the file system already.
        os.chown(path, -1, doors.socket_group.gid)
        path.chmod(0o660)
    turn, places = anyio.Lock(), anyio.CapacityLimiter(MAX_CLIENTS)

    async def one(stream: SocketStream) -> None:
        async with stream, places:
            try:
                await _serve_one(stream, answers, doors, turn)
            except (TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
                log.info("control_client_left")
            except LedgerFault:
                raise
            except Exception:
                log.exception("control_request_broke")

    async with listener:
        task_status.started()
        try:
            while True:
                try:
                    await listener.serve(one)
                except OSError as error:
                    # Too many open files, for instance: the next client may find a place again.
                    log.warning("control_accept_failed", why=error.strerror)
                    await anyio.sleep(ACCEPT_AGAIN_S)
        finally:
            path.unlink(missing_ok=True)


async def _serve_one(stream: SocketStream, answers: Answers, doors: Doors, turn: anyio.Lock) -> None:
    peer = peer_of(stream.extra(SocketAttribute.raw_socket))
    uid, right = peer.uid, doors.right_of(peer)
    if right is Right.NOTHING:
        _refused(answers, uid, "")
        await _send(stream, error(f"this socket is for {doors.told(Right.READ)}; you are uid {uid}", 4))
        return
    line = bytearray()
    with anyio.fail_after(LINE_S):
        while not line.endswith(b"\n") and len(line) < MAX_LINE:
            line += await stream.receive()
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("not an object")
    except (ValueError, RecursionError) as malformed:
        await _send(stream, error(f"not a request: {malformed}", 2))
        return
    if right is Right.READ and not is_look(request):
        op = str(request.get("op"))[:40]
        _refused(answers, uid, op)
        why = f"you are uid {uid} and may look, and {op} does more: that is for {doors.told(Right.OPERATE)}"
        await _send(stream, error(why, 4))
        return
    log.info("control_request", op=str(request.get("op")), uid=uid)
    if request.get("op") == PLAN or any(request.get(each) for each in READS_FIRST):
        async with turn:
            answer = await answers.answer(request, by=f"uid {uid}")
    else:
        answer = await answers.answer(request, by=f"uid {uid}")
    await _send(stream, answer)


async def _send(stream: SocketStream, answer: dict[str, Any]) -> None:
    with anyio.fail_after(TAKE_S):
        await stream.send(json.dumps(answer, default=str).encode() + b"\n")


def _refused(answers: Answers, uid: int, op: str) -> None:
    log.warning("control_refused", uid=uid, op=op)
    answers.counts.turned_away["socket"] += 1
    answers.probed(f"uid {uid}" + (f", who may only look, with {op!a}" if op else ""))
