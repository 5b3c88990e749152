"""What ``install-systemd`` writes, says and refuses."""

from pathlib import Path

import pytest

from reconcilerd.cli.install_systemd import HIDDEN, install, shipped
from reconcilerd.errors import ConfigFault

BIN = Path("/srv/reconcilerd/bin")


def test_it_writes_every_file_once_and_says_what_is_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(tmp_path, BIN, dry_run=False) == 0
    first = capsys.readouterr().out
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == len([path for path in shipped().rglob("*") if path.is_file()])
    assert all(str(path) in first for path in made)
    assert {path.stat().st_mode & 0o777 for path in made} == {0o644}
    assert "systemctl enable --now" in first
    assert not [line for line in first.splitlines() if len(line) > 80 and str(tmp_path) not in line]
    install(tmp_path, BIN, dry_run=False)
    again = capsys.readouterr().out
    assert "new " not in again
    assert again.count("as it is") == len(made)


def test_what_somebody_changed_is_kept_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path, BIN, dry_run=False)
    unit = tmp_path / "etc/systemd/system/reconcilerd.service"
    shipped_text = unit.read_text("utf-8")
    unit.write_text("mine", "utf-8")
    capsys.readouterr()
    install(tmp_path, BIN, dry_run=False)
    assert f"changed  {unit}" in capsys.readouterr().out
    assert unit.read_text("utf-8") == shipped_text
    assert unit.with_name("reconcilerd.service.before").read_text("utf-8") == "mine"


def test_a_dry_run_prints_all_of_it_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, BIN, dry_run=True)
    said = capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert f"ExecStart={BIN}/reconcilerd run" in said
    assert f"# {tmp_path}/etc/sysusers.d/reconcilerd.conf (new)" in said


@pytest.mark.parametrize("folder", HIDDEN)
def test_a_program_that_the_units_could_not_see_is_refused(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = Path(folder) / "venv" / "bin"
    with pytest.raises(ConfigFault, match="/opt/reconcilerd/venv"):
        install(tmp_path, programs, dry_run=False)
    assert list(tmp_path.iterdir()) == []
    install(tmp_path, programs, dry_run=True)
    assert "warning" in capsys.readouterr().err


def test_the_program_may_be_named_as_well_as_its_folder(tmp_path: Path) -> None:
    for root, programs in (("a", "/opt/shop/bin"), ("b", "/opt/shop/bin/reconcilerd")):
        install(tmp_path / root, Path(programs), dry_run=False)
    one, other = ((tmp_path / each / "etc/systemd/system/reconcilerd.service").read_text() for each in "ab")
    assert one == other
    assert "ExecStart=/opt/shop/bin/reconcilerd run" in one


def test_a_root_that_is_none_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("", "utf-8")
    with pytest.raises(ConfigFault, match="etc/systemd"):
        install(tmp_path, BIN, dry_run=False)
