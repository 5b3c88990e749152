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

from reconcilerd.daemon.answers import Answers, error

log = structlog.get_logger("reconcilerd.control")

MAX_LINE = 1_000_000
PATIENCE_S = 600.0


async def serve(path: Path, answers: Answers, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled. A socket left by a dead process is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    listener = await anyio.create_unix_listener(path, mode=0o600)
    turn = anyio.Lock()

    async def one(stream: SocketStream) -> None:
        async with stream:
            try:
                with anyio.fail_after(PATIENCE_S):
                    await _serve_one(stream, answers, turn)
            except (TimeoutError, anyio.BrokenResourceError, anyio.EndOfStream):
                log.info("control_client_left")

    async with listener:
        task_status.started()
        try:
            await listener.serve(one)
        finally:
            path.unlink(missing_ok=True)


async def _serve_one(stream: SocketStream, answers: Answers, turn: anyio.Lock) -> None:
    uid = _peer(stream.extra(SocketAttribute.raw_socket))
    if uid not in {os.getuid(), 0}:
        log.warning("control_refused", uid=uid)
        await stream.send(_line(error("this socket belongs to another user", 4)))
        return
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_LINE:
        line += await stream.receive()
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("not an object")
    except ValueError as malformed:
        await stream.send(_line(error(f"not a request: {malformed}", 2)))
        return
    log.info("control_request", op=str(request.get("op")), uid=uid)
    async with turn:
        await stream.send(_line(await answers.answer(request, by=f"uid {uid}")))


def _peer(raw: socket.socket) -> int:
    """The user id at the other end, from the kernel."""
    credentials = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, default=str).encode() + b"\n"
