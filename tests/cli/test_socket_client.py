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
