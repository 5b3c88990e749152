"""What is answered and done while no daemon runs, on a machine where its secrets are systemd's."""

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from reconcilerd.cli.offline import WRITES, answer_offline
from reconcilerd.cli.wall import now
from reconcilerd.connectors.shopify.client import Shopify
from reconcilerd.domain.facts import CorrectionPlanned
from reconcilerd.domain.names import Instant
from reconcilerd.ledger.store import Ledger
from tests.ledger.test_ledger import clock, stock
from tests.plans.stage import Shop, opened

CONFIG = Path(__file__).parents[2] / "config.toml"


@pytest.fixture
def unlent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose every secret is lent to the daemon alone, beside a ledger that it wrote."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    text = CONFIG.read_text("utf-8")
    for old, new in (
        ('client_auth = "post" }', 'client_auth = "post", client_id = "an-id", client_secret = "a-secret" }'),
        ("[alerts]\n", '[alerts]\nslack_webhook = "slack-webhook"\npagerduty_routing_key = "pager"\n'),
        ("[web]\n", '[web]\nread_token = "web-token"\n'),
    ):
        assert old in text
        text = text.replace(old, new)
    config = tmp_path / "config.toml"
    config.write_text(text, "utf-8")
    with Ledger.open(tmp_path / "reconcilerd.db", clock=clock) as ledger:
        ledger.append([stock("a", 7, 1)])
    return config


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "status"},
        {"op": "alerts"},
        {"op": "handover"},
        {"op": "breaker"},
        {"op": "freeze", "reason": "nothing runs"},
        {"op": "unfreeze"},
        {"op": "silence", "kinds": "bug", "for_s": 60, "reason": "known"},
    ],
    ids=lambda each: each["op"],
)
def test_the_ledger_is_read_and_written_without_any_secret(unlent: Path, request_: dict[str, Any]) -> None:
    """When the daemon is down somebody looks first of all what there was, and stops writes second."""
    told = answer_offline(unlent, request_)
    assert "error" not in told
    assert told["exit_code"] == (8 if request_["op"] == "status" else 0)


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "reconcile", "skus": ["a"], "fresh": True},
        {"op": "alert_test"},
        {"op": "digest", "send": True},
    ],
    ids=lambda each: each["op"],
)
def test_what_calls_somebody_names_the_secrets_it_lacks(unlent: Path, request_: dict[str, Any]) -> None:
    told = answer_offline(unlent, request_)
    assert told["exit_code"] == 2
    assert any("an-id" in each for each in told["error"]["faults"])
    assert any("slack-webhook" in each for each in told["error"]["faults"])


def test_a_plan_from_the_ledger_alone_has_nothing_read(unlent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon reads first what is too old to decide by; without one nobody has the credentials for it."""
    ledger, lost = unlent.parent / "reconcilerd.db", list[CorrectionPlanned]()
    ledger.unlink()

    async def scene(shop: Shop) -> None:
        slot = next(each for each in shop.stage.built.daemon.desk.book.slots if each.channel == "shop-uk")
        at = shop.stage.clock()
        lost.append(CorrectionPlanned("an-id", slot, "a", 0, at, 20, "lag", "share", at))

    opened(ledger, scene, start=Instant(now() - 600_000))
    with Ledger.open(ledger, clock=now) as again:
        again.append(lost)  # whoever meant to send it was killed
    asked = list[str]()

    async def read(*_: object) -> None:
        asked.append("listings")

    monkeypatch.setattr(Shopify, "read_slots", read)
    told = answer_offline(unlent, {"op": "plan"})
    assert told["plan"]["counts"]["hold_pending"] == 1
    assert asked == []


def test_a_log_beside_the_answer_tells_of_bugs_alone(
    unlent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rail that trips while a plan is made is told by what it holds, to a person and to a program."""
    answer_offline(unlent, {"op": "plan"})
    log = structlog.get_logger("reconcilerd.sweeping")
    log.error("reading_doubted", feed="extensiv.stock", rail="nearly everything", why="9 of 9 changed")
    assert capsys.readouterr().err == ""
    log.error("sweep_bug", exc_info=ZeroDivisionError("oh"))
    log.critical("invariant_broken", id="x")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == [
        "sweep_bug",
        "invariant_broken",
    ]


def test_no_word_of_a_person_needs_a_secret() -> None:
    assert {"freeze", "unfreeze", "approve", "silence"} <= WRITES
