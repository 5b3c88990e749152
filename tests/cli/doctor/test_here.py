"""What ``doctor`` says of this machine: each line in each of its states."""

import json
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from reconcilerd.cli.doctor import command, here
from reconcilerd.cli.doctor.command import HERE, answer_of, examine, look_at
from reconcilerd.cli.doctor.line import Line, Lines, Scene, State, fail, ok, warn
from reconcilerd.cli.doctor.text import report
from reconcilerd.cli.install_systemd import install
from reconcilerd.config.secret import Secret
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.backups import OVERDUE_MS
from reconcilerd.ledger.disk import Room
from reconcilerd.ledger.store import Ledger
from reconcilerd.ledger.versions import ALL
from tests.cli.programs import run
from tests.ledger.test_ledger import stock

CONFIG = Path(__file__).parents[3] / "config.toml"
AT = Instant(1_700_000_000_000)
NOBODY = "127.0.0.1:1"
"""Where nobody listens, whatever else runs on this machine."""
CANARY = "canary-5f1c90d2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = CONFIG.read_text("utf-8").replace("127.0.0.1:9641", NOBODY)
    (tmp_path / "config.toml").write_text(text, "utf-8")
    (tmp_path / "config.toml").chmod(0o640)
    return tmp_path


def scene_of(folder: Path, more: Mapping[str, str] | None = None, **changed: Any) -> Scene:
    """A scene of a folder's configuration, with texts in it replaced."""
    config = folder / "config.toml"
    for old, new in (more or {}).items():
        text = config.read_text("utf-8")
        assert old in text
        config.write_text(text.replace(old, new), "utf-8")
    seen = look_at(config)
    fields: dict[str, Any] = {"status": None, "now": AT, "root": folder, "env": {}} | changed
    return Scene(**{name: getattr(seen, name) for name in ("config", "faults", "settings", "plan")} | fields)


def written(folder: Path, at: int = AT) -> Path:
    path = folder / "reconcilerd.db"
    with Ledger.open(path, clock=lambda: Instant(at)) as ledger:
        for number in range(20):
            ledger.append([stock("a", number, at + number)])
    return path


def states(lines: Lines) -> list[State]:
    found = list(lines)
    for each in found:
        assert each.said
        assert bool(each.fix) == (each.state is not State.OK), (
            "what is wrong comes with its fix, and nothing else"
        )
        assert bool(each.exit_code) == (each.state is State.FAIL)
    return [each.state for each in found]


def test_what_is_logged_while_it_looks_is_no_part_of_the_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def noisy(_scene: Scene) -> Lines:
        structlog.get_logger("reconcilerd.transport").warning("call_failed", why="over its rate limit")
        yield ok("seen")

    monkeypatch.setattr(command, "HERE", {"noisy": noisy})
    structlog.reset_defaults()  # as a process begins: to standard output
    try:
        command.doctor(folder / "config.toml", offline=True, as_json=True)
    finally:
        structlog.reset_defaults()
    assert [each["said"] for each in json.loads(capsys.readouterr().out)["checks"]] == ["seen"]


def test_a_ledger_that_is_gone_under_a_running_daemon_is_no_first_start(folder: Path) -> None:
    assert states(here.ledger(scene_of(folder))) == [State.OK]
    (line,) = here.ledger(scene_of(folder, status={"mode": "auto"}))
    assert (line.state, line.said) == (State.FAIL, "the daemon runs, and its file is gone")


def test_a_daemon_that_hangs_is_to_be_restarted_and_not_started(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PATIENCE_S", 0.1)
    assert states(here.daemon(scene_of(folder))) == [State.WARN]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listens:
        listens.bind(str(folder / "reconcilerd.sock"))
        listens.listen()
        scene = look_at(folder / "config.toml")
    (line,) = here.daemon(scene)
    assert (line.state, line.said) == (State.FAIL, "listens, and does not answer: it hangs")
    assert line.fix.startswith("systemctl restart reconcilerd")


def test_a_sound_configuration_is_ok_and_every_fault_of_another_is_told(folder: Path) -> None:
    assert states(here.config(scene_of(folder))) == [State.OK]
    broken = scene_of(folder, {"window_slots = 200": "window_slots = 0\nwindow_slotz = 1"})
    said = list(here.config(broken))
    assert states(iter(said)) == [State.FAIL] * 2
    assert "window_slotz" in said[0].said + said[1].said


@pytest.mark.parametrize(
    ("mode", "pushed", "state"),
    [
        ("auto", 1, [State.OK, State.WARN]),
        ("guarded", 1, [State.OK, State.WARN]),
        ("net", 1, [State.OK]),
        ("auto", 0, [State.OK]),
        ("auto", 3, [State.OK]),
    ],
)
def test_a_split_pool_beside_a_channel_that_shows_all_of_it_is_told(
    folder: Path, mode: str, pushed: int, state: list[State]
) -> None:
    publishers = ["extensiv"] * pushed + ["reconcilerd"] * (3 - pushed)
    changed = {
        f'name = "{name}"': f'name = "{name}"\npercent = 30\npublisher = "{publisher}"'
        for name, publisher in zip(("shop-uk", "shop-eu", "shop-us"), publishers, strict=True)
    }
    changed |= {'mode = "auto"': f'mode = "{mode}"', 'mode = "adaptive"': 'mode = "split"'}
    assert states(here.config(scene_of(folder, changed))) == state


def test_a_faulty_configuration_does_not_hide_the_rest_of_the_machine(folder: Path) -> None:
    written(folder).chmod(0o644)
    found = examine(scene_of(folder, {"window_slots = 200": "window_slots = 0"}), offline=False)
    assert {"config", "files"} <= {name for name, line in found if line.state is State.FAIL}


def test_where_nobody_may_look_the_other_checks_still_tell(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(_: Scene) -> Lines:
        raise PermissionError(13, "Permission denied", "/var/lib/somewhere")

    monkeypatch.setitem(HERE, "daemon", hidden)
    found = examine(scene_of(folder), offline=True)
    (line,) = [line for name, line in found if name == "daemon"]
    assert (line.state, line.exit_code) == (State.FAIL, 2)
    assert "/var/lib/somewhere" in line.said
    assert {"files", "disk", "web"} <= {name for name, _ in found}


def test_a_daemon_that_is_not_there_or_tripped_or_stopped_is_a_warning(folder: Path) -> None:
    running = {"mode": "auto", "tripped": []}
    assert states(here.daemon(scene_of(folder))) == [State.WARN]
    assert states(here.daemon(scene_of(folder, status=running))) == [State.OK]
    assert states(here.daemon(scene_of(folder, status=running | {"tripped": ["zeros"]}))) == [
        State.OK,
        State.WARN,
    ]
    (folder / "STOP").touch()
    assert states(here.daemon(scene_of(folder, status=running))) == [State.OK, State.WARN]


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("config.toml", 0o662),
        ("reconcilerd.db", 0o640),
        ("reconcilerd.db-wal", 0o604),
        ("reconcilerd.sock", 0o606),
    ],
)
def test_a_file_that_others_can_use_is_a_failure_that_its_fix_cures(
    folder: Path, name: str, mode: int
) -> None:
    (folder / name).touch(mode=0o600)
    assert states(here.modes(scene_of(folder))) == [State.OK]
    (folder / name).chmod(mode)
    (line,) = here.modes(scene_of(folder))
    assert states(iter([line])) == [State.FAIL]
    assert os.system(line.fix) == 0
    assert stat.S_IMODE((folder / name).stat().st_mode) != mode
    assert states(here.modes(scene_of(folder))) == [State.OK]


def test_a_ledger_is_ok_young_old_or_broken(folder: Path) -> None:
    assert states(here.ledger(scene_of(folder))) == [State.OK]
    (folder / "reconcilerd.db").touch(mode=0o600)  # a first start was cut off
    assert states(here.ledger(scene_of(folder))) == [State.OK]
    path = written(folder)
    assert states(here.ledger(scene_of(folder))) == [State.OK, State.OK]
    path.write_bytes(b"no ledger at all" * 1000)
    assert states(here.ledger(scene_of(folder))) == [State.FAIL]


def test_a_ledger_of_an_older_schema_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(folder)
    monkeypatch.setattr(here, "ALL", (*ALL, "m999_of_tomorrow"))
    assert states(here.ledger(scene_of(folder))) == [State.OK, State.WARN]


@pytest.mark.parametrize(("free", "state"), [(50, State.FAIL), (400, State.WARN), (5_000, State.OK)])
def test_a_disk_is_judged_by_what_is_free(
    folder: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    monkeypatch.setattr(here, "room", lambda _: Room(10_000 << 20, free << 20, 0, 0))
    assert states(here.disk(scene_of(folder))) == [state]


def test_a_folder_that_is_not_there_is_a_failure(folder: Path) -> None:
    assert states(here.disk(scene_of(folder, {'"reconcilerd.db"': '"gone/reconcilerd.db"'}))) == [State.FAIL]


def test_a_backup_is_none_yet_or_late_or_there(folder: Path) -> None:
    assert states(here.backup(scene_of(folder))) == []
    written(folder)
    late = Instant(AT + OVERDUE_MS + 1_000)
    assert states(here.backup(scene_of(folder))) == [State.OK]
    assert states(here.backup(scene_of(folder, now=late))) == [State.WARN]
    made = run(folder, "backup")
    assert made.returncode == 0, made.stderr
    seen = look_at(folder / "config.toml")
    assert states(here.backup(scene_of(folder, now=seen.now))) == [State.OK]
    assert states(here.backup(scene_of(folder, now=Instant(seen.now + OVERDUE_MS + 60_000)))) == [State.WARN]


ROUTING_KEY = "c4n4ry" * 5 + "00"


def test_receivers_are_named_and_nobody_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert states(here.alerts(scene_of(folder))) == [State.WARN]
    monkeypatch.setenv("SLACK_WEBHOOK", f"https://hooks.slack.com/services/{CANARY}")
    monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", ROUTING_KEY)
    both = {"# slack_webhook": "slack_webhook", "# pagerduty_routing_key": "pagerduty_routing_key"}
    (line,) = here.alerts(scene_of(folder, both))
    assert (line.state, line.said) == (State.OK, "pagerduty, slack")


def test_units_are_absent_foreign_deaf_or_ours(folder: Path) -> None:
    assert states(here.systemd(scene_of(folder))) == [State.OK]
    (folder / "run/systemd/system").mkdir(parents=True)
    assert states(here.systemd(scene_of(folder))) == [State.WARN]
    programs = Path("/opt/reconcilerd/venv/bin")
    assert install(folder, programs, dry_run=False) == 0
    assert set(states(here.systemd(scene_of(folder)))) == {State.FAIL}
    (folder / "opt/reconcilerd/venv/bin").mkdir(parents=True)
    (folder / "opt/reconcilerd/venv/bin/reconcilerd").touch()
    unit = folder / "etc/systemd/system/reconcilerd.service"
    assert set(states(here.systemd(scene_of(folder)))) == {State.OK}
    env = {"INVOCATION_ID": "1"}
    assert State.WARN in states(here.systemd(scene_of(folder, env=env)))
    assert State.WARN not in states(here.systemd(scene_of(folder, env=env | {"NOTIFY_SOCKET": "@x"})))
    ours = unit.read_text("utf-8")
    unit.write_text(ours + "# mine\n", "utf-8")
    assert State.WARN in states(here.systemd(scene_of(folder)))
    unit.write_text(ours.replace("Type=notify", "Type=simple"), "utf-8")
    assert State.FAIL in states(here.systemd(scene_of(folder)))


def test_the_page_is_served_or_not_and_its_place_is_not_taken(folder: Path) -> None:
    runs = {"mode": "auto", "tripped": []}
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        scene = scene_of(folder, {NOBODY: address})
        assert states(here.web(scene)) == [State.FAIL]
        assert states(here.web(scene_of(folder, status=runs))) == [State.OK]
    assert states(here.web(scene)) == [State.OK]
    assert states(here.web(scene_of(folder, status=runs))) == [State.WARN]
    assert states(here.web(scene_of(folder, {address: "127.0.0.1:0"}, status=runs))) == [State.OK]
    assert states(here.web(scene_of(folder, {'"127.0.0.1:0"': '""'}))) == [State.OK]


def test_of_a_door_for_webhooks_it_says_who_may_knock_and_whether_it_is_open(folder: Path) -> None:
    assert states(here.webhooks(scene_of(folder))) == []
    door = {
        "[alerts]": f'[webhooks]\nlisten = "{NOBODY}"\n\n[alerts]',
        "sales_channel_id = 102": "sales_channel_id = 102\nwebhooks = {}",
        f'"{NOBODY}"   # metrics': '"127.0.0.1:2"   # metrics',
    }
    (line,) = here.webhooks(scene_of(folder, door))
    assert (line.state, line.about) == (State.OK, NOBODY)
    assert "shop-eu" in line.said
    assert states(here.webhooks(scene_of(folder, status={"mode": "auto"}))) == [State.WARN]


@pytest.mark.parametrize(
    ("lines", "state", "code"),
    [
        ([ok("a")], "ok", 0),
        ([ok("a"), warn("b", "c")], "warn", 0),
        ([fail("a", "b", code=5), fail("a", "b", code=4)], "fail", 4),
        ([fail("a", "b", code=5), fail("a", "b", code=2)], "fail", 2),
        ([fail("a", "b", code=5), warn("a", "b")], "fail", 5),
    ],
)
def test_the_exit_code_is_that_of_the_worst_failure(lines: list[Line], state: str, code: int) -> None:
    answer = answer_of([("check", each) for each in lines])
    assert (answer["state"], answer["exit_code"]) == (state, code)
    assert answer["schema"] == "reconcilerd.doctor/1"
    assert {frozenset(each) for each in answer["checks"]} == {
        frozenset({"check", "about", "state", "said", "fix"})
    }


@pytest.mark.parametrize("columns", [80, 120])
def test_the_report_fits_the_terminal_and_does_not_command_it(columns: int) -> None:
    long = warn("word " * 60 + "\x1b[31m", "fix " * 60, "somewhere")
    text = report(answer_of([("check", long), ("other", ok("fine"))]), columns)
    assert max(map(len, text.splitlines())) <= columns
    assert "\x1b" not in text
    assert "-> fix" in text


def test_secrets_are_in_no_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Secret(CANARY)
    text = json.dumps(answer_of([("check", warn(f"they said {CANARY}", CANARY))]))
    assert CANARY not in text


def test_the_command_looks_offline_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    said = run(folder, "doctor", "--offline", "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    answer = json.loads(said.stdout)
    assert {each["check"] for each in answer["checks"]} <= set(HERE)
    assert sorted(folder.iterdir()) == before


def test_without_a_configuration_it_says_so(tmp_path: Path) -> None:
    said = run(tmp_path, "doctor")
    assert said.returncode == 2
    assert "there is no such file" in said.stdout
