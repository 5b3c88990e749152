"""``status --watch``: drawn in place on a terminal, lines anywhere else, and over without a trace."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from reconcilerd.cli.socket_client import ask, socket_path
from reconcilerd.cli.watch import line
from tests.cli.pretended import a_status, answering
from tests.cli.programs import PATIENCE_S, run
from tests.cli.test_schemas import faults

COMMAND = [sys.executable, "-m", "reconcilerd.cli.main", "status", "--watch", "--every", "1s"]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STEERING = re.compile(r"\x1b\[[?0-9;]*[A-Za-ln-z]")
ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


def worse(**changes: Any) -> dict[str, Any]:
    return a_status(
        frozen=["all"],
        freezes=[{"channel": "all", "by": "uid 7", "reason": "stock-take \x1b[31m", "until": None}],
        **changes,
    )


@pytest.fixture(autouse=True)
def _can_be_interrupted() -> Iterator[None]:
    """A suite in the background of a shell ignores SIGINT, and what it starts would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Terminal:
    """A program on a terminal of its own; what it draws is kept."""

    def __init__(self, config: Path, columns: int, env: Mapping[str, str]) -> None:
        self._here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, "--config", str(config)],
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
            env={"PATH": "/usr/bin:/bin", "TERM": "xterm-256color", **env},
        )
        os.close(there)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                got = os.read(self._here, 65_536)
            except OSError:
                return
            if not got:
                return
            self.text += got.decode()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(10)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        self._reader.join(10)
        os.close(self._here)


@contextmanager
def terminal(
    folder: Path, columns: int = 80, env: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[Terminal, threading.Event]]:
    """The program on a terminal; the event is set once it has looked three times, and was answered twice."""
    looked = threading.Event()

    def answer(before: int, _: dict[str, Any]) -> dict[str, Any]:
        if before >= 2:
            looked.set()
        return a_status() if before == 0 else worse()

    with answering(folder, answer) as config:
        made = Terminal(config, columns, env)
        try:
            yield made, looked
        finally:
            made.close()


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_it_is_drawn_in_place_and_leaves_the_last_look_behind(
    tmp_path: Path, columns: int
) -> None:
    with terminal(tmp_path, columns) as (made, looked):
        assert looked.wait(PATIENCE_S)
        assert made.interrupt() == 130
    text = made.text
    assert "Traceback" not in text
    assert (text.count(ALTERNATE), text.count(BACK)) == (1, 1)
    assert text.rindex(SHOWN) > text.rindex(HIDDEN)
    drawn, _, left = text.partition(BACK)
    assert drawn.count("mode auto · 12 SKUs") >= 2
    assert "FROZEN" not in drawn[: drawn.index("mode auto")]
    assert "FROZEN: all, by uid 7: stock-take \\x1b[31m" in STEERING.sub("", COLOUR.sub("", left))
    lines = COLOUR.sub("", STEERING.sub("", left)).splitlines()
    assert max(map(len, lines)) <= columns


def test_an_interrupt_while_an_answer_is_put_away_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(self: socket.SocketIO) -> None:
        closed(self)
        if threading.current_thread() is ours:
            raise KeyboardInterrupt

    closed, ours = socket.SocketIO.close, threading.current_thread()
    with answering(tmp_path, lambda _before, _: a_status()) as config:
        path = socket_path(config)
        assert path is not None
        with monkeypatch.context() as patch:
            patch.setattr(socket.SocketIO, "close", close)
            with pytest.raises(KeyboardInterrupt):
                ask(path, {"op": "status"})


def test_nothing_is_coloured_where_nobody_wants_colour(tmp_path: Path) -> None:
    with terminal(tmp_path, env={"NO_COLOR": "1"}) as (made, looked):
        assert looked.wait(PATIENCE_S)
        made.interrupt()
    codes = {each for each in COLOUR.findall(made.text) if re.search(r"[;\[](3[0-7]|9[0-7]|38)", each)}
    assert codes == set()
    assert ALTERNATE in made.text


def test_a_terminal_that_cannot_be_drawn_on_gets_lines(tmp_path: Path) -> None:
    with terminal(tmp_path, env={"TERM": "dumb"}) as (made, looked):
        assert looked.wait(PATIENCE_S)
        assert made.interrupt() == 130
    assert "\x1b" not in made.text
    assert made.text.count("2026-11-23T14:05:12Z") >= 2


@pytest.mark.parametrize("as_json", [False, True])
def test_elsewhere_it_is_a_line_a_look(tmp_path: Path, as_json: bool) -> None:
    """The daemon goes away in between, and is told so."""
    gone = {"error": {"message": "the daemon stops", "exit_code": 8}, "exit_code": 8}
    answers = [a_status(), gone, worse()]
    with answering(tmp_path, lambda before, _: answers[min(before, 2)]) as config:
        command = [*COMMAND, "--config", str(config), *(["--json"] if as_json else [])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            lines = [process.stdout.readline() for _ in range(3)]
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 130
            assert process.stderr.read() == ""
    if as_json:
        told = [json.loads(each) for each in lines]
        assert [
            faults(name, each) for name, each in zip(("status", "error", "status"), told, strict=True)
        ] == [[]] * 3
    else:
        assert lines == [
            "2026-11-23T14:05:12Z mode auto, drifts 3, held 1, queued 2, exposed 4, hidden 5, "
            "oldest feed 41 s, alerts 0\n",
            "NO DAEMON ANSWERS: the daemon stops\n",
            "2026-11-23T14:05:12Z FROZEN all, drifts 3, held 1, queued 2, exposed 4, hidden 5, "
            "oldest feed 41 s, alerts 0\n",
        ]


def test_a_feed_that_was_never_read_has_no_age() -> None:
    feeds = [{"feed": "a", "age_s": None}, {"feed": "b", "age_s": 3}]
    assert "oldest feed never" in line(a_status(feeds=feeds))
    assert "STOPPED" in line(a_status(stopped=True))


def test_who_is_not_there_at_first_is_not_waited_for(tmp_path: Path) -> None:
    done = run(tmp_path, "status", "--watch")
    assert (done.returncode, "config.toml cannot be read" in done.stderr) == (2, True)
    (tmp_path / "config.toml").write_text("[daemon]\ncontrol_socket = 'nobody.sock'\n", "utf-8")
    done = run(tmp_path, "status", "--watch")
    assert (done.returncode, "no daemon answers" in done.stderr) == (8, True)


@pytest.mark.parametrize(
    "args", [("--every", "2s"), ("--watch", "--every", "0s"), ("--watch", "--every", "2")]
)
def test_a_pace_that_is_none_is_refused(tmp_path: Path, args: tuple[str, ...]) -> None:
    assert run(tmp_path, "status", *args).returncode == 2
