"""What commands print as JSON is what their documents say, and every command that prints JSON has one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconcilerd.cli.exits import document_of
from reconcilerd.cli.main import main
from reconcilerd.cli.schema import document, documents
from reconcilerd.simulator.faults import LEVELS, MENU
from tests.cli.commands import ALL, Words, has
from tests.cli.programs import running, trading, wait_until
from tests.cli.test_plans import guarded
from tests.cli.test_run import is_up, stopped

OF_OPTIONS = {"simulate-faults": ("simulate", "--faults", "list")}
"""What a command answers that was asked for something else than it is for."""
THIN: Words = ("reconcile",)
"""Has a parser of its own."""
ANSWERS = sorted(words for words, each in ALL.items() if has(each, "--json") or words == THIN)


def strict(node: Any) -> Any:
    """A document that allows no field which it does not name, so that no field is forgotten in it."""
    match node:
        case {"properties": _}:
            made = {key: strict(each) for key, each in node.items()}
            made["properties"] = {name: strict(each) for name, each in node["properties"].items()}
            return {**made, "additionalProperties": False}
        case dict():
            return {key: strict(each) for key, each in node.items()}
        case list():
            return [strict(each) for each in node]
        case _:
            return node


def faults(name: str, told: Any) -> list[str]:
    """Where an answer is not what its document says."""
    found = Draft202012Validator(strict(document(name))).iter_errors(told)
    return [f"{name}: {each.json_path}: {each.message[:200]}" for each in found]


class Asked:
    """Runs commands in this process, and holds each answer against its document."""

    def __init__(self, config: Path | None = None) -> None:
        self._config = config
        self.seen: set[str] = set()

    def __call__(self, *args: str, code: int | None = None) -> dict[str, Any]:
        out, err = StringIO(), StringIO()
        config = [] if self._config is None else ["--config", str(self._config)]
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main([*args, "--json", *config])
        failed = not out.getvalue()
        told: dict[str, Any] = json.loads(err.getvalue() if failed else out.getvalue())
        known = max((words for words in ALL if args[: len(words)] == words), key=len)
        other = next((each for each, words in OF_OPTIONS.items() if args == words), None)
        name = "error" if failed else other or document_of(known)
        assert faults(name, told) == []
        assert told.get("exit_code", end.value.code) == end.value.code
        assert code in {None, end.value.code}, told
        self.seen.add(name)
        return told


@pytest.mark.parametrize("words", ANSWERS, ids=" ".join)
def test_every_command_that_answers_in_json_has_a_document(words: Words) -> None:
    assert document_of(words) in documents()


@pytest.mark.parametrize("name", documents())
def test_a_document_is_sound_and_whole_and_of_a_command(name: str) -> None:
    said = document(name)
    Draft202012Validator.check_schema(said)
    assert said["title"]
    assert set(said["required"]) >= {"schema"}
    named = {document_of(words) for words in ANSWERS}
    assert name in named | set(OF_OPTIONS) | {"error"}
    text = json.dumps(said)
    for part in said.get("$defs", {}):
        assert f'"#/$defs/{part}"' in text


def test_documents_that_share_a_name_describe_the_same() -> None:
    schemas: dict[str, list[str]] = {}
    for name in documents():
        schemas.setdefault(document(name)["properties"]["schema"]["const"], []).append(name)
    assert [each for each in schemas.values() if len(each) > 1] == [["audit", "reconcile"]]


def test_a_field_that_is_missing_or_too_much_is_found() -> None:
    told = {"frozen": ["all"], "schema": "reconcilerd.unfreeze/1", "exit_code": 0}
    assert faults("unfreeze", told) == []
    for bad in (
        {**told, "more": 1},
        {**told, "frozen": "all"},
        {"frozen": [], "exit_code": 0},
        {**told, "exit_code": "0"},
        {**told, "schema": "reconcilerd.unfreeze/2"},
    ):
        assert len(faults("unfreeze", bad)) == 1, bad


def test_the_list_names_every_document_and_a_slip_is_met_with_the_next_one() -> None:
    asked = Asked()
    listed = asked("schema", code=0)
    assert [each["document"] for each in listed["documents"]] == documents()
    assert "did you mean breaker-reset?" in asked("schema", "breaker", "rest", code=6)["error"]["message"]
    for words in (("breaker", "list"), ("breaker list",), ("breaker",)):
        out = StringIO()
        with redirect_stdout(out), pytest.raises(SystemExit):
            main(["schema", *words])
        assert json.loads(out.getvalue()) == document("breaker")


def test_the_menu_of_faults_is_json_for_who_asks_for_json() -> None:
    told = Asked()("simulate", "--faults", "list", code=0)
    assert told["schema"] == "reconcilerd.simulate-faults/1"
    assert [each["fault"] for each in told["faults"]] == list(MENU)
    assert {each["level"]: each["rates"] for each in told["levels"]} == LEVELS
    out = StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit):
        main(["schema", "simulate", "faults"])
    assert json.loads(out.getvalue()) == document("simulate-faults")


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with trading(tmp_path_factory.mktemp("tenant")) as config:
        guarded(config)
        yield config


ELSEWHERE = {
    "alerts-test",
    "demo",
    "error",
    "schema",
    "alerts-show",
    "apply",
    "pins-lift",
    "envelopes-revoke",
    "breaker-reset",
}
"""Those that need luck or much time here; what they share with others is held below, or in tests of their own."""


def test_real_answers_are_what_their_documents_say(tenant: Path) -> None:
    asked, folder = Asked(tenant), tenant.parent
    with running(folder, "run", "--config", str(tenant)) as daemon:
        wait_until("the daemon to read everything", lambda: is_up(tenant))
        with_a_daemon(asked, folder)
        assert stopped(daemon) == 0
    made = asked("backup", code=0)
    asked("restore", made["file"], "--check", code=0)
    asked("restore", made["file"], "--replace", code=0)
    for words in (("compact",), ("rebuild",), ("verify",)):
        asked("ledger", *words, code=0)
    assert asked("status", code=8)["daemon"] is False
    for command in ("handover", "digest"):
        assert asked(command, code=0)["daemon"] is False
    asked("reload", code=8)
    alone = Asked()
    alone("simulate", "--days", "0.02", code=0)
    alone("simulate", "--faults", "list", code=0)
    asked.seen |= alone.seen
    assert set(documents()) - asked.seen <= ELSEWHERE


def with_a_daemon(asked: Asked, folder: Path) -> None:
    """Everything that is asked of one that runs."""
    for command in ("status", "passes", "envelopes", "pins", "alerts", "reload"):
        asked(command, code=0)
    for command in ("envelopes", "pins", "alerts"):
        asked(command, "list", code=0)
    asked("breaker", "list")
    asked("breaker", "reset", "nothing", "--reason", "why", code=6)
    asked("doctor")
    asked("config", "show", code=0)
    asked("check-config", code=0)
    asked("reconcile", "--all")
    asked("reconcile", "--sku", "no such thing", code=6)
    asked("explain", "--sku", "85123A", "--want", "+5", code=0)
    asked("history", "--sku", "85123A", code=0)
    held(asked, folder)
    asked("freeze", "--reason", "a drill", "--for", "1000s", code=0)
    assert asked("status")["freezes"]
    asked("unfreeze", code=0)
    silenced = asked("alerts", "silence", "--kinds", "*", "--for", "2h", "--reason", "a drill", code=0)
    assert asked("alerts")["silences"]
    asked("alerts", "unsilence", silenced["silence"]["id"], code=0)
    for each in asked("alerts")["alerts"][:1]:
        asked("alerts", "show", each["key"], code=0)
    asked("alerts", "resend", code=0)
    asked("alerts", "test", code=2)
    asked("handover", "--since", "1h", code=0)
    asked("digest", code=0)
    asked("digest", "--send", code=2)
    asked("audit")


def held(asked: Asked, folder: Path) -> None:
    """What waits for a person there is approved, applied, put back and computed again."""
    file = folder / "plan.json"
    plan = asked("plan", "-o", str(file))
    assert json.loads(file.read_text("utf-8")) == plan
    skus = sorted({each["sku"] for each in plan["entries"] if each["verdict"] == "hold_approval"})
    asked("approve", skus[0], "--reason", "why", code=0)
    for each in asked("envelopes", code=0)["envelopes"][:1]:
        asked("envelopes", "revoke", each["id"], "--reason", "why", code=0)
    asked("plan", "-o", str(file), "--sku", skus[-1])
    asked("apply", str(file), "--reason", "why")
    sent = [each["id"] for each in asked("passes")["passes"] if each["sent"]]
    for id_ in sent[:1]:
        asked("replay", id_, code=0)
        asked("revert", "--pass", id_)
        asked("revert", "--pass", id_, "--apply", "--reason", "why")
        if asked("pins")["pins"]:
            asked("pins", "lift", "all", "--reason", "why", code=0)


def test_an_answer_of_each_rare_kind_is_what_its_document_says() -> None:
    """In the shape in which the daemon makes them; see ``tests/daemon`` and ``tests/plans``."""
    one: Mapping[str, Any] = {
        "channel": "shop-uk",
        "listing": "7",
        "sku": "A",
        "from": None,
        "to": 3,
        "shows": None,
        "outcome": "sent, not read back yet",
    }
    held_: Mapping[str, Any] = {"channel": "shop-uk", "listing": "7", "verdict": "hold_approval", "why": "x"}
    step = {"what": "trigger", "accepted": True, "status": None, "latency_ms": 5, "reply": "accepted"}
    rare: Mapping[str, Mapping[str, Any]] = {
        "apply": {"id": "p", "sent": [one], "held": [held_]},
        "pins-lift": {"lifted": ["shop-uk A"]},
        "envelopes-revoke": {"revoked": "e", "used": 0},
        "breaker-reset": {"reset": ["zeros:shop-uk"]},
        "alerts-test": {
            "schema": "reconcilerd.alert-test/1",
            "receivers": [{"receiver": "mail", "steps": [step]}],
        },
    }
    for name, told in rare.items():
        assert faults(name, {"schema": f"reconcilerd.{name}/1", **told, "exit_code": 0}) == []
