"""What another policy would do with what a ledger holds: told without network, secrets, or anything written."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from reconcilerd.cli.against import plan_against
from reconcilerd.cli.plan_text import MARK
from reconcilerd.config.load import load
from reconcilerd.config.policy import policy_of
from reconcilerd.domain.facts import Fact
from reconcilerd.domain.names import Instant
from reconcilerd.errors import LedgerFault
from reconcilerd.ledger.store import Ledger
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.trial import stage as trial
from reconcilerd.trial.stage import START, Stage
from tests.cli.programs import run
from tests.world.stage import small_world

CONFIG = Path(__file__).parents[2] / "config.toml"


class Kept:
    """A ledger, written in line."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        return self.ledger.append(facts, note=note)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of a business at rest, and the configuration by which it came to rest."""
    made = tmp_path_factory.mktemp("tenant")
    (made / "base.toml").write_text(CONFIG.read_text("utf-8"), "utf-8")
    now = [START]

    async def scene(stage: Stage[Kept]) -> None:
        for _ in range(90):
            await anyio.sleep(10)
            now[0] = stage.clock()

    with Ledger.open(made / "copy.db", clock=lambda: Instant(now[0]), durable=False) as ledger:
        rules = policy_of(load(made / "base.toml"), made)
        trial.play(small_world(WorldConfig(), split=False, skus=("a", "b")), rules, scene, Kept(ledger))
    return made


def changed(folder: Path, old: str, new: str, name: str = "head.toml") -> Path:
    text = (folder / "base.toml").read_text("utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), "utf-8")
    return folder / name


def told(capsys: pytest.CaptureFixture[str], *args: Path | None) -> tuple[int, str]:
    config, ledger, base = args
    assert config is not None
    assert ledger is not None
    code = plan_against(config, ledger, base, None)
    return code, capsys.readouterr().out


def test_the_policy_by_which_it_came_to_rest_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = folder / "base.toml"
    code, text = told(capsys, base, folder / "copy.db", base)
    assert (code, text.startswith(MARK), "Nothing changes." in text) == (0, True, True)
    assert told(capsys, base, folder / "copy.db", None)[0] == 0


def test_a_changed_policy_shows_each_listing_that_it_would_change(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = changed(folder, "sales_channel_id = 102", "sales_channel_id = 102\ncap = 3")
    code, text = told(capsys, head, folder / "copy.db", folder / "base.toml")
    assert code == 3
    rows = [line for line in text.splitlines() if "shop-eu" in line and line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows] == ["a", "b"]
    assert all("| 3 |" in row for row in rows)
    assert "shop-uk |" not in text


def test_what_is_not_done_any_more_is_told_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = changed(folder, "sales_channel_id = 102", "sales_channel_id = 102\ncap = 3", "capped.toml")
    code, text = told(capsys, folder / "base.toml", folder / "copy.db", base)
    assert code == 3
    assert "Not made any more, 2 corrections of the policy before:" in text


def test_what_waits_for_a_person_is_told_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = changed(folder, "sales_channel_id = 102", "sales_channel_id = 102\ncap = 3")
    text = head.read_text("utf-8")
    assert 'mode = "auto"            #' in text
    head.write_text(text.replace('mode = "auto"            #', 'mode = "observe"         #'), "utf-8")
    code, said = told(capsys, head, folder / "copy.db", folder / "base.toml")
    assert code == 3
    assert "hold" in said


def test_a_ledger_that_is_none_or_empty_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerFault, match="no such file"):
        plan_against(folder / "base.toml", tmp_path / "none.db", None, None)
    with Ledger.open(tmp_path / "empty.db", clock=lambda: START):
        pass
    (tmp_path / "cut.db").touch()
    for name in ("empty.db", "cut.db"):
        with pytest.raises(
            LedgerFault, match="holds nothing yet; name a copy of one that a daemon has written"
        ):
            plan_against(folder / "base.toml", tmp_path / name, None, None)
    (tmp_path / "other.db").write_text("no ledger", "utf-8")
    with pytest.raises(
        LedgerFault, match=r"not a readable ledger .*Nothing was changed: take another backup"
    ):
        plan_against(folder / "base.toml", tmp_path / "other.db", None, None)


def test_the_command_opens_no_socket_needs_no_secret_and_leaves_the_copy_as_it_is(folder: Path) -> None:
    head = changed(folder, "sales_channel_id = 102", "sales_channel_id = 102\ncap = 3")
    live = head.read_text("utf-8").replace('path = "reconcilerd.db"', 'path = "/nowhere/reconcilerd.db"')
    head.write_text(live, "utf-8")
    before = (folder / "copy.db").read_bytes()
    words = ["plan", "--markdown", "--against", "copy.db", "--base", "base.toml", "--config", "head.toml"]
    script = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('network')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from reconcilerd.cli.main import main\n"
        f"main({words!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.count("| shop-eu |") == 2
    assert (folder / "copy.db").read_bytes() == before


def test_it_is_written_to_a_file_that_is_a_plan_or_new(folder: Path) -> None:
    changed(folder, "sales_channel_id = 102", "sales_channel_id = 102\ncap = 3")
    words = ("plan", "--markdown", "--against", "copy.db", "--base", "base.toml", "--config", "head.toml")
    assert run(folder, *words, "-o", "plan.md").returncode == 3
    assert (folder / "plan.md").read_text("utf-8").startswith(MARK)
    (folder / "other.md").write_text("mine", "utf-8")
    done = run(folder, *words, "-o", "other.md")
    assert (done.returncode, (folder / "other.md").read_text("utf-8")) == (2, "mine")
    assert run(folder, "plan", "--against", "copy.db", "--config", "head.toml").returncode == 2
