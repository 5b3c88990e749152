"""The unit files as systemd reads them: nothing to complain of, and little exposed; installed as they are shipped."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reconcilerd.cli.install_systemd import FOLDERS, files, shipped

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
ALL = [*SERVICES, *sorted(path.name for path in UNITS.glob("*.timer"))]
MOST_EXPOSED = 15
"""Of 100, as ``systemd-analyze security`` counts: 1.5 of 10."""
PROGRAM = "/opt/reconcilerd/venv/bin/reconcilerd"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All units beside one another, with a program that exists."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here; install systemd to check the unit files")
    made = tmp_path_factory.mktemp("units")
    for name in ALL:
        text = (UNITS / name).read_text("utf-8")
        (made / name).write_text(text.replace(PROGRAM, "/bin/true"), "utf-8")
    return made


def instance(name: str) -> str:
    return name.replace("@.", "@tenant.")


@pytest.mark.parametrize("name", ALL)
def test_systemd_has_nothing_to_say_about_a_unit(folder: Path, name: str) -> None:
    """By what it prints: for values that it ignores it returns 0."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=yes", instance(name)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    mine = [line for line in (done.stdout + done.stderr).splitlines() if "reconcilerd" in line]
    assert mine == []
    assert done.returncode == 0


@pytest.mark.parametrize("name", SERVICES)
def test_little_is_exposed(folder: Path, name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("name", ["reconcilerd.service", "reconcilerd-audit.service"])
def test_a_value_that_systemd_would_ignore_is_found(folder: Path, name: str, tmp_path: Path) -> None:
    """What the check above would miss if it went by the exit code."""
    bad = tmp_path / name
    bad.write_text((folder / name).read_text("utf-8").replace("UMask=0077", "UMask=0x77"), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(bad)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "reconcilerd" in done.stderr


@pytest.mark.parametrize("name", ALL)
def test_a_unit_names_only_units_that_are_shipped(name: str) -> None:
    text = (UNITS / name).read_text("utf-8")
    for named in re.findall(r"reconcilerd[\w-]*(?:@(?:%[in])?)?\.(?:service|timer)", text):
        assert re.sub(r"%[in]", "", named) in ALL


@pytest.mark.parametrize(
    "name", [name for name in ALL if "@" in name and "failed" not in name and "recovered" not in name]
)
def test_a_tenant_has_all_that_the_single_one_has(name: str) -> None:
    """The two say the same but for who they are and where their things lie."""
    single, tenant = ((UNITS / each).read_text("utf-8") for each in (name.replace("@", ""), name))
    apart = ("#", "User=", "Group=", "DynamicUser=", "SupplementaryGroups=")
    lines = [
        [line for line in text.splitlines() if not line.startswith(apart)]
        for text in (single, without_name(tenant))
    ]
    assert lines[0] == lines[1]


def without_name(text: str) -> str:
    """A tenant's unit without its tenant."""
    for word in ("failed", "recovered"):
        text = text.replace(f"reconcilerd-tenant-{word}@%i", f"reconcilerd-{word}@%n")
    return re.sub(r" \(%i\)|[-/@]%i", "", text)


def test_what_is_installed_is_what_is_shipped(tmp_path: Path) -> None:
    named = {place: name for name, place in FOLDERS.items()}
    for each in files(tmp_path, Path(PROGRAM).parent):
        place = each.path.relative_to(tmp_path).as_posix()
        shipped_as = named.get(place, place.removeprefix("etc/systemd/system/"))
        assert each.text == (UNITS / shipped_as).read_text("utf-8")


def test_commands_are_those_of_the_place_where_the_program_is(tmp_path: Path) -> None:
    made = files(tmp_path, Path("/srv/here/bin"))
    assert len(made) == len([path for path in shipped().rglob("*") if path.is_file()])
    assert not [each.path for each in made if "/opt/" in each.text]
    assert sum("/srv/here/bin/reconcilerd" in each.text for each in made) == len(SERVICES)
