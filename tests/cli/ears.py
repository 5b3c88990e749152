"""Slack and PagerDuty as far as a test needs them: they keep what they are told, and answer as they are bid."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from typing_extensions import override


@dataclass
class Ears:
    """Slack and PagerDuty at one address; ``says`` is what they answer by the first part of the path."""

    port: int = 0
    tokens: list[str] = field(default_factory=list)
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    says: dict[str, tuple[int, str]] = field(
        default_factory=lambda: {"hook": (200, "ok"), "v2": (202, "{}"), "api": (200, '{"ok": true}')}
    )


@contextmanager
def listening() -> Iterator[Ears]:
    """Somebody who hears and answers, on this machine."""
    made = Ears()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.heard.append((self.path, body))
            made.tokens.append(self.headers.get("Authorization", ""))
            status, said = made.says[self.path.split("/")[1]]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(said.encode())

        @override
        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        server.shutdown()
