"""A control socket that answers what a test has it answer: who asks takes it for a daemon."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

Answer = dict[str, Any]


def a_status(**changes: Any) -> Answer:
    """How it stands where all is well, as a daemon says it."""
    return {
        "schema": "reconcilerd.status/1",
        "at": "2026-11-23T14:05:12Z",
        "mode": "auto",
        "stopped": False,
        "daemon": True,
        "frozen": [],
        "freeze_windows": [],
        "tripped": [],
        "freezes": [],
        "breaches": [],
        "ledger": None,
        "skus": 12,
        "feeds": [{"feed": "shop-uk.slots", "complete": True, "age_s": 41, "why": ""}],
        "channels": [{"channel": "shop-uk", "listings": 12, "drifts": 3, "held": 1, "queued": 2}],
        "exposed_units": 4,
        "hidden_units": 5,
        "waiting_for_approval": 0,
        "held_plan": None,
        "half_approved": [],
        "alerts": [],
        "silences": [],
        "jobs": [],
        "findings": {},
        "exit_code": 0,
        **changes,
    }


@contextmanager
def answering(folder: Path, answer: Callable[[int, Answer], Answer]) -> Iterator[Path]:
    """A configuration whose socket answers ``answer(how many were asked before, request)``."""
    asked = 0

    class Handler(socketserver.StreamRequestHandler):
        @override
        def handle(self) -> None:
            nonlocal asked
            told = answer(asked, json.loads(self.rfile.readline()))
            asked += 1
            self.wfile.write(json.dumps(told).encode() + b"\n")

    config = folder / "config.toml"
    config.write_text('[daemon]\ncontrol_socket = "s"\n', "utf-8")
    with socketserver.UnixStreamServer(str(folder / "s"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield config
        finally:
            server.shutdown()
            thread.join(10)
