"""The thin entry finds the daemon where the settings put it, without importing them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reconcilerd.cli import offline, socket_client
from reconcilerd.config.settings import DaemonSection


def test_where_the_configuration_says_nothing_the_default_holds(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('environment = "simulator"\n', "utf-8")
    assert DaemonSection().control_socket == socket_client.DEFAULT
    assert socket_client.socket_path(config) == tmp_path / socket_client.DEFAULT


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[daemon]\ncontrol_socket = "/run/r.sock"', "/run/r.sock"),
        ("not = = toml", None),
        ("[daemon]\ncontrol_socket = 3", None),
    ],
)
def test_a_socket_is_named_or_there_is_none(tmp_path: Path, text: str, named: str | None) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text, "utf-8")
    assert socket_client.socket_path(config) == (Path(named) if named else None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a = \n", "is no TOML: Invalid value (at line 1, column 5)"),
        (b"a = '\xff'\n", "is no TOML: 'utf-8' codec can't decode"),
        (b"a = " + b"[" * 20_000, "is no TOML: "),
        (b"[daemon]\ncontrol_socket = 3\n", "names no control socket"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_configuration_that_says_no_socket_is_not_taken_for_a_daemon_that_does_not_run(
    tmp_path: Path, text: bytes | None, said: str
) -> None:
    config = tmp_path / "config.toml"
    if text is not None:
        config.write_bytes(text)
    told = socket_client.ask_daemon(config, {"op": "reload"})
    assert f"{config} {said}" in told["error"]["message"]
    assert told["exit_code"] == 2


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("\ufeff[daemon]\ncontrol_socket = 'here'\n", "utf-8")
    assert socket_client.socket_path(config) == tmp_path / "here"


@contextmanager
def hanging(folder: Path) -> Iterator[Path]:
    """The configuration of a daemon that is stopped: its socket takes every question, and nothing comes back."""
    config = folder / "config.toml"
    config.write_text("", "utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listens:
        listens.bind(str(folder / socket_client.DEFAULT))
        listens.listen()
        yield config


def test_a_daemon_that_hangs_is_told_from_one_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is answered from the ledger then: "no daemon runs" would be untrue, and starting one no help."""
    monkeypatch.setattr(socket_client, "QUICK_S", 0.05)
    monkeypatch.setattr(socket_client, "PATIENCE_S", 0.1)
    with hanging(tmp_path) as config:
        quick = socket_client.answer(config, {"op": "status"})
        others = [
            socket_client.answer(config, {"op": "reconcile"}),
            socket_client.ask_daemon(config, {"op": "reload"}, 0.1),
        ]
    for told in (quick, *others):
        assert told["exit_code"] == 8
        assert "a daemon listens, and has not answered" in told["error"]["message"]
        assert "systemctl restart reconcilerd" in told["error"]["message"]
        assert "start it" not in told["error"]["message"]


def test_what_takes_no_time_is_not_waited_for_as_a_reading_is() -> None:
    """Somebody sits before it at night."""
    assert socket_client.QUICK_S <= 30 < socket_client.PATIENCE_S
    assert {"status", "alerts", "freeze"} <= socket_client.QUICK
    assert not {"reconcile", "audit", "apply", "plan"} & socket_client.QUICK


@contextmanager
def ending(folder: Path, answer: bytes) -> Iterator[Path]:
    """The configuration of a daemon that takes one question and ends in the middle of it."""
    config = folder / "config.toml"
    config.write_text("", "utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listens:
        listens.bind(str(folder / socket_client.DEFAULT))
        listens.listen()

        def end() -> None:
            connection, _ = listens.accept()
            with connection, connection.makefile("rb") as lines:
                lines.readline()
                connection.sendall(answer)

        taken = threading.Thread(target=end)
        taken.start()
        yield config
        taken.join(5)


CHANGES = [
    {"op": "apply", "apply": True, "plan": {}, "reason": "x"},
    {"op": "revert", "apply": True, "pass": "x", "reason": "x"},
    {"op": "breaker", "reset": "x", "reason": "x"},
    {"op": "reconcile", "skus": ["a"], "apply": True},
]


@pytest.mark.parametrize("request_", CHANGES, ids=lambda each: str(each["op"]))
@pytest.mark.parametrize("answer", [b"", b'{"exit_code": 0, "id'], ids=["nothing", "half an answer"])
def test_what_a_daemon_took_and_did_not_answer_is_not_done_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: dict[str, Any], answer: bytes
) -> None:
    """Asked anew, an applied plan is "applied already" and a reset rail is none: neither is what became of it."""
    monkeypatch.setattr(offline, "answer_offline", lambda *_: pytest.fail("it was asked again"))
    with ending(tmp_path, answer) as config:
        told = socket_client.answer(config, request_)
    assert told["exit_code"] == 8
    assert "may be done, wholly or in part" in told["error"]["message"]
    assert "reconcilerd passes" in told["error"]["message"]


def test_what_only_looks_is_answered_from_the_ledger_when_the_daemon_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "answer_offline", lambda _, asked: {"from": asked["op"], "exit_code": 8})
    with ending(tmp_path, b"") as config:
        assert socket_client.answer(config, {"op": "status"})["from"] == "status"
