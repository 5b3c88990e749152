"""A real Chromium, driven over the pipe that it offers to whoever starts it: no library, no port."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

ONTO_3_AND_4 = """
import fcntl, os, sys
ours = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]]
for number, each in enumerate(ours, 3):
    os.dup2(each, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads from descriptor 3 and writes to 4."""


def program() -> str:
    """Where it is. Skips, loudly, where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("NO CHROMIUM HERE: nobody looks at the pages as a browser does; apt-get install chromium")
    return found


class Tab:
    """One page of it. Not for several threads."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._number = 0
        self._rest = b""
        self.seen: deque[dict[str, Any]] = deque(maxlen=1_000)
        """Events that came, the oldest first."""
        self._session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command's result; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (told := self._next()).get("id") != self._number:
            self.seen.append(told)
        assert "error" not in told, (method, told["error"])
        result: dict[str, Any] = told["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._read, 1 << 16)
            assert more, "Chromium went away"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(line)
        return told

    def wait_for(self, event: str) -> None:
        """Until an event came since the last ``open``."""
        while all(each.get("method") != event for each in self.seen):
            self.seen.append(self._next())

    def look_like(self, width: int, height: int, scheme: str, *, scripts: bool = True) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", features=features)
        self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)

    def open(self, url: str) -> None:
        self.seen.clear()
        self.ask("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def value(self, expression: str) -> Any:
        told = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    @property
    def complaints(self) -> list[str]:
        """What the browser would write to its console: blocked by the policy, not found, thrown."""
        said = [
            each["params"]["entry"]["text"] for each in self.seen if each.get("method") == "Log.entryAdded"
        ]
        thrown = [
            str(each["params"]) for each in self.seen if each.get("method") == "Runtime.exceptionThrown"
        ]
        return said + thrown

    def picture(self, path: Path) -> None:
        """The whole page, however long."""
        data = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))


@contextmanager
def tab() -> Iterator[Tab]:
    """A tab of a Chromium of its own, that ends with it."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()

    with TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        run = [sys.executable, "-c", ONTO_3_AND_4, str(theirs_in), str(theirs_out), program()]
        command = [*run, *options, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        child = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            made = Tab(ours_in, ours_out)
            yield made
            made._session = ""
            made.ask("Browser.close")
            child.wait(60)
        finally:
            child.kill()
            child.wait()
            os.close(ours_in)
            os.close(ours_out)
