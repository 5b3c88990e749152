"""Rules and dashboard ask only for what the daemon measures, and say what is to be done; promtool has the last word."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from reconcilerd.cli.export import export_monitoring
from reconcilerd.domain.names import Instant
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.web.exposition import text
from tests.web.stage import sources_of, with_backup
from tests.world.stage import Stage, play, policy, small_world

SHIPPED = files("reconcilerd.web.monitoring")
RULES, GOALS = (SHIPPED / "rules.yml").read_text("utf-8"), (SHIPPED / "slo.yml").read_text("utf-8")
TESTS = (SHIPPED / "rules_test.yml").read_text("utf-8")
DASHBOARD = json.loads((SHIPPED / "dashboard.json").read_text("utf-8"))
OF_PROMETHEUS = {"up"}
ROWS = [
    "Are we safe",
    "Each system: rate, errors, duration",
    "Rate limits",
    "Corrections and holds",
    "Process and ledger",
]
METRIC = re.compile(r"\b(?:reconcilerd|process)[a-z0-9_:]*[a-z0-9_](?=[{\[ )\n]|$)")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus"
)


def promtool(*args: str) -> str:
    done = subprocess.run(["promtool", *args], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expressions(inside: Any) -> Iterator[str]:
    """Every expression of a dashboard, wherever it stands."""
    if isinstance(inside, dict):
        if isinstance(inside.get("expr"), str):
            yield inside["expr"]
        for each in inside.values():
            yield from expressions(each)
    elif isinstance(inside, list):
        for each in inside:
            yield from expressions(each)


@pytest.fixture(scope="module")
def exposed() -> str:
    """What a daemon with a backup exposes."""
    told: list[bytes] = []

    async def scene(stage: Stage) -> None:
        sources = with_backup(sources_of(stage.built), Instant(1))
        sources.alerts.deliveries["slack", "ok"] = 1  # type: ignore[index]
        told.append(await text(sources))

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    return told[0].decode()


@pytest.fixture(scope="module")
def known(exposed: str) -> set[str]:
    """Every name that may be asked for: exposed by the daemon, or recorded by a rule."""
    samples = {re.split(r"[{ ]", line)[0] for line in exposed.splitlines() if not line.startswith("#")}
    return samples | set(re.findall(r"record: (\S+)", RULES + GOALS)) | OF_PROMETHEUS


def asked(expression: str) -> set[str]:
    return {name for name in METRIC.findall(expression) if name != "reconcilerd"}


@needs_promtool
def test_every_alert_fires_when_it_is_due_and_not_before() -> None:
    promtool("check", "rules", str(SHIPPED / "rules.yml"), str(SHIPPED / "slo.yml"))
    promtool("test", "rules", str(SHIPPED / "rules_test.yml"))


@needs_promtool
def test_a_rule_that_waits_otherwise_than_it_says_is_found_out(tmp_path: Path) -> None:
    """The tests of the rules are worth something: each ``for`` and each threshold is held by one."""
    (tmp_path / "slo.yml").write_text('{"groups": []}', "utf-8")
    places = [*re.finditer(r"for: \d+[mh]", RULES), *re.finditer(r" (?:>=?|==) \d+(?:\.\d+)?", RULES)]
    unheld = []
    for place in places:
        changed = "for: 700h" if place[0].startswith("for") else " > 1e15"
        (tmp_path / "rules.yml").write_text(RULES[: place.start()] + changed + RULES[place.end() :], "utf-8")
        (tmp_path / "rules_test.yml").write_text(only_of(alert_at(place.start())), "utf-8")
        done = subprocess.run(
            ["promtool", "test", "rules", str(tmp_path / "rules_test.yml")],
            capture_output=True,
            check=False,
            timeout=300,
        )
        if done.returncode == 0:
            unheld.append(RULES[place.start() - 80 : place.end()])
    assert len(places) > 30
    assert unheld == []


def alert_at(position: int) -> str:
    """The alert that a place in the rules belongs to."""
    return str(re.findall(r"- alert: (\w+)", RULES[:position])[-1])


def only_of(alert: str) -> str:
    """The file of tests with those of one alert alone: the others take most of the time."""
    head, *tests = re.split(r"(?=\n  - name: )", TESTS)
    kept = [each for each in tests if each.startswith(f"\n  - name: {alert}\n")]
    assert kept
    return head + "".join(kept) + "\n"


def test_every_alert_has_a_test_a_severity_a_summary_and_a_runbook() -> None:
    alerts = re.findall(r"- alert: (\w+)(.*?)(?=- alert:|- name:|\Z)", RULES, re.DOTALL)
    assert len(alerts) >= 20
    assert len({name for name, _ in alerts}) == len(alerts)
    for name, body in alerts:
        assert re.search(r"severity: (critical|error|warning|info)\}", body), name
        assert re.search(r"\n +summary: \S", body), name
        assert re.search(r"\n +runbook: reconcilerd runbook [a-z_]+\n", body), name
        assert f"alertname: {name}\n" in TESTS, name
        assert f"alertname: {name}, exp_alerts: []" in TESTS, name


def test_rules_ask_only_for_what_is_measured(known: set[str]) -> None:
    for line in (RULES + GOALS + TESTS).splitlines():
        expression = line.partition("record: ")[0].partition("runbook:")[0].partition("summary:")[0]
        if not expression.lstrip().startswith(("#", "- name:", "- alert:")):
            assert asked(expression) <= known, line


def test_the_dashboard_asks_only_for_what_is_measured(known: set[str]) -> None:
    found = list(expressions(DASHBOARD))
    assert len(found) > 40
    for expression in found:
        assert asked(expression)
        assert asked(expression) <= known, expression
    for variable in DASHBOARD["templating"]["list"]:
        assert asked(variable.get("definition", "")) <= known


def test_labels_that_rules_and_dashboard_ask_for_are_there(exposed: str) -> None:
    there = {"job", "instance", *re.findall(r"(\w+)=\"", exposed)}
    texts = [RULES, GOALS, *expressions(DASHBOARD)]
    for each in texts:
        for labels in re.findall(r"(?:by|on) \(([^)]*)\)", each):
            assert set(labels.split(", ")) <= there, labels
        for selector in re.findall(r"(?:reconcilerd|process)[a-z0-9_:]*\{([^}]*)\}", each):
            assert set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector)) <= there, selector


def test_the_dashboard_answers_in_the_order_of_the_questions() -> None:
    panels = DASHBOARD["panels"]
    assert [each["title"] for each in panels if each["type"] == "row"] == ROWS
    assert len({each["id"] for each in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells


@needs_promtool
def test_every_expression_of_the_dashboard_parses(tmp_path: Path) -> None:
    # JSON is YAML, so a rules file can be written without a library for it.
    rules = [
        {"record": f"dashboard:expression:{number}", "expr": plain(expression)}
        for number, expression in enumerate(expressions(DASHBOARD))
    ]
    file = tmp_path / "dashboard.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    promtool("check", "rules", str(file))


def plain(expression: str) -> str:
    """As Grafana sends it."""
    return expression.replace("$__rate_interval", "5m").replace("$job", "reconcilerd")


@needs_promtool
def test_what_is_exposed_follows_the_rules_of_prometheus(exposed: str) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposed,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_promtool
def test_the_example_of_how_to_scrape_works(tmp_path: Path) -> None:
    export_monitoring(tmp_path, force=False)
    promtool("check", "config", str(tmp_path / "prometheus.yml"))


def test_the_goals_are_recorded_by_the_names_they_are_told_under() -> None:
    told = set(re.findall(r"`(reconcilerd:[\w:]+)`", (SHIPPED / "SLO.md").read_text("utf-8")))
    recorded = set(re.findall(r"record: (reconcilerd:\S+_28d)", GOALS))
    assert told == recorded


def test_export_writes_everything_once_and_nothing_over_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "monitoring"
    assert export_monitoring(folder, force=False) == 0
    names = {"rules.yml", "rules_test.yml", "slo.yml", "SLO.md", "dashboard.json", "prometheus.yml"}
    assert {each.name for each in folder.iterdir()} == names
    assert capsys.readouterr().out.split() == sorted(str(folder / name) for name in names)
    (folder / "rules.yml").write_text("mine", "utf-8")
    (folder / "slo.yml").unlink()
    with pytest.raises(ConfigFault, match="is there already; --force"):
        export_monitoring(folder, force=False)
    assert (folder / "rules.yml").read_text("utf-8") == "mine"
    assert not (folder / "slo.yml").exists()
    assert export_monitoring(folder, force=True) == 0
    assert (folder / "rules.yml").read_text("utf-8") == RULES


def test_export_to_what_is_no_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ConfigFault, match="cannot be written"):
        export_monitoring(tmp_path / "file" / "monitoring", force=False)
