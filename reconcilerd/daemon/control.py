"""The control socket: one JSON line in, one out, on a unix socket that only its owner (and root) may use."""

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

import anyio
import structlog
from anyio.abc import SocketAttribute, SocketStream

from reconcilerd.daemon.answers import Answers
from reconcilerd.daemon.refusals import error
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


async def serve(path: Path, answers: Answers, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled. A socket left by a dead process is replaced. Raises LedgerFault."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    listener = await anyio.create_unix_listener(path, mode=0o600)
    turn, places = anyio.Lock(), anyio.CapacityLimiter(MAX_CLIENTS)

    async def one(stream: SocketStream) -> None:
        async with stream, places:
            try:
                await _serve_one(stream, answers, turn)
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


async def _serve_one(stream: SocketStream, answers: Answers, turn: anyio.Lock) -> None:
    uid = _peer(stream.extra(SocketAttribute.raw_socket))
    if uid not in {os.getuid(), 0}:
        log.warning("control_refused", uid=uid)
        answers.counts.turned_away["socket"] += 1
        answers.probed(f"uid {uid}")
        await _send(stream, error("this socket belongs to another user", 4))
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


def _peer(raw: socket.socket) -> int:
    """The user id at the other end, from the kernel."""
    credentials = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)
