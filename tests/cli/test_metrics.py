"""``metrics``: to the terminal, or into a file that is whole for whoever reads it at any moment."""

import json
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconcilerd.cli.metrics import print_metrics, replace
from reconcilerd.errors import ConfigFault

CONFIG = '[daemon]\ncontrol_socket = "control.sock"\n'


@contextmanager
def answering(folder: Path, answer: dict[str, object]) -> Iterator[Path]:
    """A daemon's socket that gives everybody one answer; the configuration that names it."""
    config = folder / "config.toml"
    config.write_text(CONFIG, "utf-8")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "control.sock"))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.makefile().readline()
                    connection.sendall(json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield config
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def test_it_is_printed_as_it_came(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path, {"text": "a 1\nb 2\n", "exit_code": 0}) as config:
        assert print_metrics(config, None) == 0
    assert capsys.readouterr().out == "a 1\nb 2\n"


def test_a_file_takes_the_place_of_the_old_one_and_anybody_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "reconcilerd.prom"
    file.write_text("old 1\n", "utf-8")
    held = file.open(encoding="utf-8")
    with answering(tmp_path, {"text": "new 1\n", "exit_code": 0}) as config, held:
        assert print_metrics(config, file) == 0
        assert held.read() == "old 1\n"
    assert file.read_text("utf-8") == "new 1\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert {each.name for each in tmp_path.iterdir()} == {"config.toml", "control.sock", "reconcilerd.prom"}


def test_without_a_daemon_the_file_stays_and_its_age_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, file = tmp_path / "config.toml", tmp_path / "reconcilerd.prom"
    config.write_text(CONFIG, "utf-8")
    file.write_text("old 1\n", "utf-8")
    assert print_metrics(config, file) == 8
    assert "no daemon answers" in capsys.readouterr().err
    config.write_text("[daemon", "utf-8")
    assert print_metrics(config, file) == 2
    assert "is no TOML" in capsys.readouterr().err
    assert print_metrics(tmp_path / "nothing.toml", file) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert file.read_text("utf-8") == "old 1\n"


def test_what_the_daemon_refuses_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path, {"error": {"message": "unknown request 'metrics'"}, "exit_code": 2}) as config:
        assert print_metrics(config, tmp_path / "a.prom") == 2
    assert not (tmp_path / "a.prom").exists()
    assert capsys.readouterr().err == "reconcilerd: unknown request 'metrics'\n"


def test_a_name_that_nobody_collects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match=r"only files that end with \.prom"):
        print_metrics(tmp_path / "config.toml", tmp_path / "metrics.txt")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "a.prom"
    folder.mkdir()
    with pytest.raises(ConfigFault, match="cannot be written"):
        replace(folder, "new 1\n")
    with pytest.raises(ConfigFault, match="No such file"):
        replace(tmp_path / "nowhere" / "a.prom", "new 1\n")
    assert [each.name for each in tmp_path.iterdir()] == ["a.prom"]
