"""Whatever stands under the name of the STOP file stops writes: who put it there in haste meant it."""

import errno
from pathlib import Path
from typing import NoReturn

import pytest

from reconcilerd.cli.wiring import wire

CONFIG = Path(__file__).parents[2] / "config.toml"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.read_text("utf-8"), "utf-8")
    return path


@pytest.mark.parametrize("made", ["file", "folder", "link", "link to nothing", "link to itself"])
def test_it_stops_whatever_it_is_and_is_told_since_when(config: Path, made: str) -> None:
    stop, plan = config.parent / "STOP", wire(config, calls=False)
    around = plan.wiring.around
    assert (plan.wiring.stop_file(), around.stopped_since()) == (False, None)
    if made == "file":
        stop.touch()
    elif made == "folder":
        stop.mkdir()
    else:
        stop.symlink_to({"link": "config.toml", "link to nothing": "nowhere", "link to itself": "STOP"}[made])
    assert plan.wiring.stop_file()
    assert around.stopped_since() is not None
    stop.rmdir() if made == "folder" else stop.unlink()
    assert not plan.wiring.stop_file()


def test_where_nobody_may_look_it_may_be(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    plan = wire(config, calls=False)
    monkeypatch.setattr(Path, "lstat", refused)
    assert plan.wiring.stop_file()


def test_in_a_folder_that_is_none_it_is_not(config: Path) -> None:
    text = config.read_text("utf-8")
    config.write_text(text.replace('stop_file = "STOP" ', 'stop_file = "config.toml/STOP" '), "utf-8")
    assert not wire(config, calls=False).wiring.stop_file()
