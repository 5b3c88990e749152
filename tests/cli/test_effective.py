"""``config show``: all that is in force, from where, and never a secret."""

import json
from pathlib import Path

import pytest

from reconcilerd.cli.effective import show
from reconcilerd.cli.main import main
from reconcilerd.config.defaults import describe
from reconcilerd.config.effective import UNIT
from reconcilerd.config.load import load
from reconcilerd.config.places import leaves
from reconcilerd.errors import (
    ConfigFault,
    Denied,
    LedgerFault,
    LedgerLocked,
    ReconcilerdError,
    Refused,
    TryLater,
)
from tests.cli.programs import run

CONFIG = Path(__file__).parents[2] / "config.toml"
CANARY = "canary-5f1c90d2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = CONFIG.read_text("utf-8").replace("# slack_webhook", "slack_webhook")
    text = text.replace("# read_token", "read_token")
    rules = "sku,channel,pool,percent\nMUG,,split,\nMUG,shop-uk,,50\nMUG,shop-eu,,25\nMUG,shop-us,,25\n"
    (tmp_path / "rules.csv").write_text(rules, "utf-8")
    (tmp_path / "config.toml").write_text(text.replace("# rules_csv", "rules_csv"), "utf-8")
    return tmp_path


def test_every_key_is_told_once_with_its_line_or_as_a_default(folder: Path) -> None:
    said = run(folder, "config", "show", "--effective", "--json")
    assert said.returncode == 0, said.stderr
    answer = json.loads(said.stdout)
    assert answer["schema"] == "reconcilerd.config/1"
    keys = [each["key"] for each in answer["values"]]
    assert len(keys) == len(set(keys)) == len(list(leaves(load(folder / "config.toml").model_dump())))
    lines = (folder / "config.toml").read_text("utf-8").splitlines()
    for each in answer["values"]:
        assert each["default"] == (each["line"] is None)
        if each["line"] is not None:
            assert each["key"].rpartition(".")[2] in lines[each["line"] - 1] or "places" in each["key"]
    only = json.loads(run(folder, "config", "show", "--json").stdout)
    assert only["values"] == [each for each in answer["values"] if not each["default"]]


def test_the_policy_is_told_by_channel_and_pool(folder: Path) -> None:
    policy = json.loads(run(folder, "config", "show", "--json").stdout)["policy"]
    by_rule = {each["pool"]: each["skus_by_rule"] for each in policy["pools"]}
    assert by_rule == {"shared": 0, "split": 1}
    assert {each["channel"]: each["listings_with_rules"] for each in policy["channels"]}["shop-uk"] == 1


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("where", ["environment", "in place of the name", "nowhere"])
def test_no_secret_is_shown_and_its_name_only_where_it_is_one(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    where: str,
    as_json: bool,
) -> None:
    config = folder / "config.toml"
    if where == "environment":
        monkeypatch.setenv("SLACK_WEBHOOK", CANARY)
    if where == "in place of the name":
        config.write_text(config.read_text("utf-8").replace('"slack-webhook"', f'"{CANARY}"'), "utf-8")
    assert show(config, whole=True, as_json=as_json) == 0
    said = capsys.readouterr().out
    assert CANARY not in said
    assert ("slack-webhook" in said) == (where == "environment")
    assert "***" in said


def test_all_keys_that_name_secrets_are_known_as_such() -> None:
    named = {row.key for row in describe() if row.unit == UNIT}
    assert {"extensiv.auth.client_secret", "channels[].auth.token", "web.read_token"} <= named
    assert {
        row.key for row in describe() if row.key.startswith("alerts.") and row.key.endswith("_key")
    } <= named


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_the_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert show(folder / "config.toml", whole=True, as_json=False) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


def test_faults_are_told_as_json_to_who_asked_for_json(folder: Path) -> None:
    config = folder / "config.toml"
    config.write_text(config.read_text("utf-8").replace("window_slots = 200", "window_slots = 0"), "utf-8")
    said = run(folder, "config", "show", "--json")
    assert (said.returncode, said.stdout) == (2, "")
    answer = json.loads(said.stderr)
    assert answer["exit_code"] == answer["error"]["exit_code"] == 2
    assert "window_slots" in answer["error"]["faults"][0]
    plain = run(folder, "config", "show")
    assert plain.returncode == 2
    assert plain.stderr.startswith("reconcilerd: cannot begin")


@pytest.mark.parametrize(
    "error",
    [ConfigFault(("a",)), LedgerFault("b"), LedgerLocked("c"), Denied("d"), TryLater("e"), Refused("f")],
)
def test_an_error_ends_a_command_with_one_code_whoever_reads_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: ReconcilerdError
) -> None:
    def broken(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr("reconcilerd.cli.effective.show", broken)
    codes = set()
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit) as left:
            main(["config", "show", *more])
        codes.add(left.value.code)
    assert codes == {json.loads(capsys.readouterr().err.splitlines()[-1])["exit_code"]}
