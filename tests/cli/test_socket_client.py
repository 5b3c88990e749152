"""The thin entry finds the daemon where the settings put it, without importing them."""

from pathlib import Path

import pytest

from reconcilerd.cli import socket_client
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
