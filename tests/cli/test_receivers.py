"""Who is told is what the configuration says, and what cannot work is said before the start, all of it at once."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.cli.receivers import heartbeat_of, receivers_of, secrets_of
from reconcilerd.config.load import parse
from reconcilerd.config.settings import AlertsSection, MailSection
from reconcilerd.domain.names import Instant
from tests.cli.programs import run
from tests.config.test_config import ROOT, content, faults_of

SIGNING = "whsec_" + base64.b64encode(b"k" * 24).decode()
SOUND = {
    "SLACK_WEBHOOK": "https://hooks.slack.com/services/T0/B0/x",
    "PAGERDUTY_ROUTING_KEY": "k" * 32,
    "PAGERDUTY_OLD_ROUTING_KEY": "o" * 32,
    "WEBHOOK_URL": "https://alerts.example/in?sig=1",
    "WEBHOOK_SECRET": SIGNING,
    "HEARTBEAT_URL": "https://hc.example/uuid",
    "MAIL_PASSWORD": "swordfish-1",
}
MAIL = {
    "server": "mail.example",
    "user": "stock",
    "password": "mail_password",
    "sender": "stock@example.com",
    "recipients": ["ops@example.com"],
}
NAMED = {
    "instance": "tenant-7",
    "slack_webhook": "slack_webhook",
    "pagerduty_routing_key": "pagerduty_routing_key",
    "pagerduty_old_routing_key": "pagerduty_old_routing_key",
    "alertmanager_url": "http://127.0.0.1:9093",
    "webhook_url": "webhook_url",
    "webhook_secret": "webhook_secret",
    "heartbeat_url": "heartbeat_url",
}


BUTTONS: dict[str, Any] = {
    "slack_webhook": "",
    "slack_bot_token": "bot",
    "slack_channel": "C0123ABCD",
    "slack_app_token": "app",
    "slack_team": "T0123ABCD",
    "people": {"approve": ["U0123ABCD"]},
}


def alerts_of(**changes: Any) -> AlertsSection:
    changed = content()
    changed["alerts"] = NAMED | {"mail": dict(MAIL)} | changes
    return parse(changed, "config.toml").alerts


async def post(*_: object) -> Any:
    raise AssertionError("nothing is sent")


def clock() -> Instant:
    return Instant(0)


def made(alerts: AlertsSection) -> dict[str, Any]:
    faults: list[str] = []
    secrets = secrets_of(alerts, SOUND, faults)
    assert faults == []
    assert heartbeat_of(secrets, post, str) is not None
    return {each.name: each for each in receivers_of(alerts, secrets, post, clock)}


def test_everybody_who_is_named_is_told_from_the_severity_that_is_named() -> None:
    receivers = made(alerts_of(slack_least="info", pagerduty_least="error", repeat_s=3600))
    assert {name: each.pace.least for name, each in receivers.items()} == {
        "slack": "info",
        "pagerduty": "error",
        "alertmanager": "info",
        "webhook": "warning",
        "mail": "error",
    }
    assert receivers["slack"].pace.repeat_ms == 3_600_000
    assert receivers["pagerduty"].pace.repeat_ms is None
    assert receivers["alertmanager"].pace.repeat_ms < 300_000


def test_a_receiver_of_text_is_told_which_daemon_speaks() -> None:
    """The wiring: each of those that people read names the instance of the configuration."""
    for name in ("slack", "mail"):
        assert vars(made(alerts_of())[name])["_instance"] == "tenant-7"


def test_nobody_is_told_where_nobody_is_named() -> None:
    alerts = AlertsSection()
    assert secrets_of(alerts, SOUND, []) == {}
    assert receivers_of(alerts, {}, post, clock) == []
    assert heartbeat_of({}, post, str) is None


@given(st.sets(st.sampled_from(sorted(SOUND))))
def test_each_secret_that_is_missing_is_a_fault_of_its_own(missing: set[str]) -> None:
    faults: list[str] = []
    env = {key: value for key, value in SOUND.items() if key not in missing}
    secrets_of(alerts_of(), env, faults)
    told = {each.split(":")[0].removeprefix("alerts.").upper().replace(".", "_") for each in faults}
    assert told == missing


BAD = {
    "SLACK_WEBHOOK": (
        "http://hooks.slack.com/services/T0/B0/x",
        "hooks.slack.com/services",
        "https://u:p@h/x",
    ),
    "PAGERDUTY_ROUTING_KEY": ("k" * 31, "k" * 31 + "-"),
    "PAGERDUTY_OLD_ROUTING_KEY": ("k" * 33,),
    "WEBHOOK_URL": ("http://alerts.example/in", "ftp://alerts.example", "https://h/x#y"),
    "WEBHOOK_SECRET": ("plain-secret", "whsec_c2hvcnQ=", "whsec_!!"),
    "HEARTBEAT_URL": ("https://hc.example/uuid?rid=1", "http://hc.example/uuid"),
}


@pytest.mark.parametrize(("name", "bad"), [(name, bad) for name, all_ in BAD.items() for bad in all_])
def test_a_secret_that_cannot_work_is_refused_and_not_repeated(name: str, bad: str) -> None:
    faults: list[str] = []
    secrets_of(alerts_of(), SOUND | {name: bad}, faults)
    assert len(faults) == 1
    assert faults[0].startswith(f"alerts.{name.lower()}: the secret ")
    assert bad not in faults[0]


def test_an_address_on_this_machine_may_be_plain() -> None:
    faults: list[str] = []
    secrets_of(alerts_of(), SOUND | {"SLACK_WEBHOOK": "http://127.0.0.1:80/x"}, faults)
    assert faults == []


@pytest.mark.parametrize("name", ["SLACK_WEBHOOK", "WEBHOOK_URL", "HEARTBEAT_URL"])
@pytest.mark.parametrize("host", ["169.254.169.254", "10.1.2.3", "metadata.google.internal", "2852039166"])
def test_an_address_that_leads_inwards_is_refused_unless_its_host_is_named(name: str, host: str) -> None:
    env, faults = SOUND | {name: f"https://{host}/x"}, list[str]()
    secrets_of(alerts_of(), env, faults)
    assert [each.startswith(f"alerts.{name.lower()}: ") and "allow_hosts" in each for each in faults] == [
        True
    ]
    faults.clear()
    secrets_of(alerts_of(allow_hosts=[host]), env, faults)
    assert faults == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alertmanager_url": "https://10.0.0.7:9093"}, "alerts.alertmanager_url: 10.0.0.7 is no public"),
        ({"slack_api_url": "https://169.254.169.254/api"}, "alerts.slack_api_url: 169.254.169.254 is link"),
        ({"webhook_secret": ""}, "alerts.webhook_url: needs alerts.webhook_secret"),
        ({"webhook_url": ""}, "alerts.webhook_secret: needs alerts.webhook_url"),
        ({"pagerduty_routing_key": ""}, "alerts.pagerduty_old_routing_key: needs"),
        ({"alertmanager_url": "http://am.example"}, "alerts.alertmanager_url: http:// is refused"),
        ({"slack_bot_token": "bot", "slack_channel": "C0123ABCD"}, "alerts.slack_bot_token: beside"),
        ({"slack_webhook": "", "slack_bot_token": "bot"}, "alerts.slack_bot_token: needs"),
        ({"slack_channel": "C0123ABCD"}, "alerts.slack_channel: needs"),
        (BUTTONS | {"slack_bot_token": ""}, "alerts.slack_app_token: needs alerts.slack_bot_token"),
        (BUTTONS | {"slack_team": ""}, "alerts.slack_app_token: needs alerts.slack_team"),
        (BUTTONS | {"people": {}}, "alerts.people: nobody may do anything"),
        (BUTTONS | {"slack_app_token": ""}, "alerts.people: needs alerts.slack_app_token"),
        (BUTTONS | {"slack_app_token": ""}, "alerts.slack_team: needs alerts.slack_app_token"),
        (BUTTONS | {"slack_team": "example"}, "alerts.slack_team: the id of a workspace"),
        (BUTTONS | {"people": {"approve": ["@ann"]}}, "alerts.people.approve[0]: the id of a person"),
        (BUTTONS | {"people": {"aprove": ["U0123ABCD"]}}, "did you mean 'approve'"),
        (BUTTONS | {"agree_within_s": 5}, "alerts.agree_within_s: "),
        ({"slack_channel": "#stock"}, "alerts.slack_channel: the id of a channel"),
        ({"slack_least": "fatal"}, "alerts.slack_least: "),
        ({"instance": "https://x"}, "alerts.instance: "),
        ({"repeat_s": 60}, "alerts.repeat_s: "),
        ({"mail": MAIL | {"password": ""}}, "alerts.mail.password: is missing"),
        ({"mail": MAIL | {"user": ""}}, "alerts.mail.user: is missing"),
        ({"mail": MAIL | {"tls": False}}, "alerts.mail.tls: "),
        ({"mail": MAIL | {"sender": "a@b.c\nBcc: x@y.z"}}, "alerts.mail.sender: "),
        ({"mail": MAIL | {"recipients": []}}, "alerts.mail.recipients: "),
        ({"mail": {"server": "mail.example"}}, "alerts.mail.sender: is missing"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], said: str) -> None:
    changed = content()
    changed["alerts"] = NAMED | {"mail": dict(MAIL)} | changes
    assert [each for each in faults_of(changed) if said in each]


def test_mail_on_this_machine_may_go_without_tls_and_log_in() -> None:
    mail = MAIL | {"server": "localhost", "user": "", "password": "", "tls": False}
    assert isinstance(alerts_of(mail=mail).mail, MailSection)


def test_check_config_tells_every_receiver_that_cannot_work_at_once(tmp_path: Path) -> None:
    text = (ROOT / "config.toml").read_text("utf-8")
    secrets = {"slack": "http://hooks.slack.com/x", "page": "short", "sign": "whsec_c2hvcnQ="}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret, "utf-8")
        (tmp_path / name).chmod(0o600)
    text = text.replace(
        "[alerts]",
        f'[alerts]\nslack_webhook = "file:{tmp_path}/slack"\npagerduty_routing_key = "file:{tmp_path}/page"\n'
        f'webhook_secret = "file:{tmp_path}/sign"\nheartbeat_url = "heartbeat-url"',
    )
    (tmp_path / "config.toml").write_text(text, "utf-8")
    done = run(tmp_path, "check-config")
    assert done.returncode == 2
    for key in ("slack_webhook", "pagerduty_routing_key", "webhook_secret", "heartbeat_url"):
        assert f"alerts.{key}: " in done.stderr
    assert not [each for each in secrets.values() if each in done.stderr]


def test_a_changed_pace_changes_no_other() -> None:
    plain, slow = made(alerts_of()), made(alerts_of(group_interval_s=900))
    assert replace(slow["mail"].pace, interval_ms=300_000) == plain["mail"].pace
    assert slow["pagerduty"].pace == plain["pagerduty"].pace


@pytest.mark.parametrize(("token", "faults"), [("xapp-1-2-three", 0), ("xoxb-1-2-three", 1)])
def test_buttons_take_the_token_of_an_app_and_come_with_the_bots_messages(token: str, faults: int) -> None:
    alerts, found = alerts_of(**BUTTONS), list[str]()
    secrets = secrets_of(alerts, SOUND | {"BOT": "xoxb-1", "APP": token}, found)
    assert [each.startswith("alerts.slack_app_token: the secret ") for each in found] == [True] * faults
    assert token not in str(found)
    for channels in (("shop-uk",), ()):
        receivers: dict[str, Any] = {
            each.name: each for each in receivers_of(alerts, secrets, post, clock, channels)
        }
        assert receivers["slack"]._acts_on == channels


@pytest.mark.parametrize(("token", "faults"), [("xoxb-1-2-three", 0), ("xoxp-1-2-three", 1)])
def test_a_bot_speaks_in_place_of_the_webhook(token: str, faults: int) -> None:
    alerts = alerts_of(
        slack_webhook="", slack_bot_token="bot", slack_channel="C0123ABCD", slack_least="error"
    )
    found: list[str] = []
    secrets = secrets_of(alerts, SOUND | {"BOT": token}, found)
    assert len(found) == faults
    receivers = {each.name: each for each in receivers_of(alerts, secrets, post, clock)}
    assert type(receivers["slack"]).__name__ == "SlackBot"
    assert receivers["slack"].pace.least == "error"
