"""What a unit that failed says, and to whom, whatever state its configuration is in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcilerd.alerting.pagerduty import dedup_key
from reconcilerd.cli.last_word import happened, incident_of, is_daemon, notify_failure, post, recovered
from reconcilerd.domain.alerts import alert_key
from tests.cli.ears import Ears, listening

HOOK = "the-hook-that-nobody-may-see"
KEY = "the-key-that-nobody-may-see"
TOKEN = "xoxb-the-token-that-nobody-may-see"
UNIT = "reconcilerd.service"


@pytest.fixture
def ears() -> Iterator[Ears]:
    with listening() as made:
        yield made


def tenant(folder: Path, ears: Ears, config: str | None = None) -> tuple[Path, dict[str, str]]:
    """A configuration and the environment of a unit that was given the alert credentials as a folder."""
    credentials = folder / "credentials"
    credentials.mkdir()
    for name, value in (
        ("alerts_slack-webhook", f"http://127.0.0.1:{ears.port}/hook/{HOOK}"),
        ("alerts_pagerduty-routing-key", KEY),
        ("alerts_slack-bot-token", TOKEN),
    ):
        (credentials / name).write_text(value, "utf-8")
        (credentials / name).chmod(0o440)
    text = config or (
        f'[alerts]\nslack_webhook = "slack-webhook"\npagerduty_routing_key = "pagerduty-routing-key"\n'
        f'pagerduty_url = "http://127.0.0.1:{ears.port}"\n'
    )
    (folder / "config.toml").write_text(text, "utf-8")
    return folder / "config.toml", {"CREDENTIALS_DIRECTORY": str(credentials)}


def test_everybody_is_told_what_failed_how_and_what_to_do(tmp_path: Path, ears: Ears) -> None:
    config, env = tenant(tmp_path, ears)
    env |= {"MONITOR_UNIT": UNIT, "MONITOR_SERVICE_RESULT": "watchdog", "MONITOR_EXIT_STATUS": "ABRT"}
    assert notify_failure(config, "whatever", env) == 0
    told = dict(ears.heard)
    assert set(told) == {f"/hook/{HOOK}", "/v2/enqueue"}
    for text in (told[f"/hook/{HOOK}"]["text"], told["/v2/enqueue"]["payload"]["summary"]):
        for part in (UNIT, "watchdog", "ABRT", f"journalctl -u {UNIT}", f"systemctl start {UNIT}"):
            assert part in text
    assert told["/v2/enqueue"]["event_action"] == "trigger"


def test_its_incident_is_closed_by_the_key_that_opened_it(tmp_path: Path, ears: Ears) -> None:
    config, env = tenant(tmp_path, ears)
    notify_failure(config, UNIT, env)
    notify_failure(config, UNIT, env)
    recovered(config, UNIT, env)
    events = [body for path, body in ears.heard if path == "/v2/enqueue"]
    assert [each["event_action"] for each in events] == ["trigger", "trigger", "resolve"]
    assert {(each["dedup_key"], each["routing_key"]) for each in events} == {(incident_of(UNIT), KEY)}
    assert incident_of(UNIT) != incident_of("reconcilerd@other.service")


@pytest.mark.parametrize("broken", ["not = = toml", "alerts = 7", "[alerts]\nslack_webhook = 5\n"])
def test_a_configuration_that_ended_the_daemon_does_not_silence_it(
    tmp_path: Path, ears: Ears, broken: str
) -> None:
    config, env = tenant(tmp_path, ears, broken)
    notify_failure(config, UNIT, env)
    config.unlink()
    (tmp_path / "credentials" / "alerts_pagerduty-routing-key").unlink()
    assert notify_failure(config, UNIT, env) == 0
    assert f"/hook/{HOOK}" in dict(ears.heard)


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ({"hook": (503, "")}, 5),
        ({"hook": (429, "")}, 5),
        ({"hook": (404, "no_service")}, 2),
        ({"hook": (200, "invalid_token")}, 2),
        ({"v2": (400, "")}, 2),
        ({"v2": (500, "")}, 5),
        ({"v2": (500, ""), "hook": (404, "")}, 5),
    ],
)
def test_who_did_not_take_it_is_tried_again_unless_that_is_useless(
    tmp_path: Path, ears: Ears, says: dict[str, tuple[int, str]], code: int
) -> None:
    ears.says |= says
    config, env = tenant(tmp_path, ears)
    assert notify_failure(config, UNIT, env) == code
    assert len(ears.heard) == 2, "one that refuses must not silence the other"


def test_no_receiver_is_no_failure_and_a_lost_credential_is(
    tmp_path: Path, ears: Ears, capsys: pytest.CaptureFixture[str]
) -> None:
    config, env = tenant(tmp_path, ears, '[alerts]\nslack_webhook = ""\n')
    assert notify_failure(config, UNIT, env) == 0
    assert "nobody is to be told" in capsys.readouterr().err
    config.write_text('[alerts]\nslack_webhook = "hook-of-yore"\n', "utf-8")
    assert notify_failure(config, UNIT, env) == 2
    assert "hook-of-yore" in capsys.readouterr().err


def test_nothing_it_prints_holds_a_secret(
    tmp_path: Path, ears: Ears, capsys: pytest.CaptureFixture[str]
) -> None:
    config, env = tenant(tmp_path, ears)
    port, ears.port = ears.port, 1  # where nobody listens
    for number, text in enumerate(
        ("", f"http://127.0.0.1:{port}/hook/{HOOK}", f"ftp://host/{HOOK}", f"//{HOOK}")
    ):
        (tmp_path / "credentials" / "alerts_slack-webhook").chmod(0o600)
        (tmp_path / "credentials" / "alerts_slack-webhook").write_text(text or f"http://127.0.0.1:1/{HOOK}")
        ears.says["hook"] = (500, f"no such thing as {text}" if number % 2 else "")
        notify_failure(config, UNIT, env)
    said = "".join(capsys.readouterr())
    assert said
    assert HOOK not in said
    assert KEY not in said


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "x"])
def test_a_secret_goes_nowhere_but_over_https(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        post(url, {}, {})


def test_only_a_daemon_that_is_down_keeps_nothing_in_step() -> None:
    for unit, down in (
        (UNIT, True),
        ("reconcilerd@shop.service", True),
        ("reconcilerd-backup.service", False),
    ):
        assert is_daemon(unit) is down
        assert ("in step" in happened(unit, {})) is down


JOBS = ("reconcilerd-audit.service", "reconcilerd-backup.service", "reconcilerd-digest.service")


@pytest.mark.parametrize("job", JOBS)
def test_a_job_that_succeeds_after_it_failed_closes_its_incident_and_no_other(
    tmp_path: Path, ears: Ears, job: str
) -> None:
    config, env = tenant(tmp_path, ears)
    for each in JOBS:
        assert notify_failure(config, each, env) == 0
    assert recovered(config, "whatever", env | {"MONITOR_UNIT": job}) == 0
    events = [body for path, body in ears.heard if path == "/v2/enqueue"]
    open_ = {each["dedup_key"] for each in events if each["event_action"] == "trigger"}
    assert len(open_) == len(JOBS)
    [closed] = [each["dedup_key"] for each in events if each["event_action"] == "resolve"]
    assert closed == incident_of(job)
    assert closed in open_
    assert len([path for path, _ in ears.heard if path != "/v2/enqueue"]) == len(JOBS), "Slack hears no end"


def test_a_job_of_a_timer_and_of_the_daemon_itself_are_one_incident() -> None:
    for job in ("audit", "backup", "digest"):
        told = dedup_key("here", alert_key("job_failed", job))
        assert incident_of(f"reconcilerd-{job}.service", "here") == told
        assert incident_of(f"reconcilerd-{job}@shop.service", "here") == told


def test_tenants_that_share_a_name_do_not_close_one_anothers_incidents() -> None:
    units = ["reconcilerd-backup.service", "reconcilerd-backup@a.service", "reconcilerd-backup@b.service"]
    assert len({incident_of(each) for each in units}) == len(units)


def test_what_cannot_be_closed_now_is_tried_again_and_where_nobody_is_told_nothing_is(
    tmp_path: Path, ears: Ears
) -> None:
    config, env = tenant(tmp_path, ears)
    ears.says["v2"] = (500, "")
    assert recovered(config, JOBS[0], env) == 5
    config.write_text('[alerts]\nslack_webhook = "slack-webhook"\n', "utf-8")
    assert recovered(config, JOBS[0], env) == 0
    assert len(ears.heard) == 1


def bot(ears: Ears, more: str = "") -> str:
    """A configuration in which only a bot's token is named."""
    return (
        f'[alerts]\nslack_bot_token = "slack-bot-token"\nslack_channel = "C0123ABCD"\n'
        f'slack_api_url = "http://127.0.0.1:{ears.port}/api"\n{more}'
    )


def test_where_only_a_bot_is_named_slack_is_told_by_it(tmp_path: Path, ears: Ears) -> None:
    config, env = tenant(tmp_path, ears, bot(ears))
    assert notify_failure(config, UNIT, env) == 0
    [(path, body)] = ears.heard
    assert (path, body["channel"], ears.tokens) == ("/api/chat.postMessage", "C0123ABCD", [f"Bearer {TOKEN}"])
    assert f"systemctl start {UNIT}" in body["text"]


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ((200, '{"ok": false, "error": "not_in_channel"}'), 2),
        ((200, '{"ok": false, "error": "ratelimited"}'), 5),
        ((200, "<html>"), 5),
        ((200, "7"), 2),
        ((429, ""), 5),
        ((503, ""), 5),
        ((403, ""), 2),
    ],
)
def test_what_a_bot_is_not_taken_at_its_word_for_is_a_failure(
    tmp_path: Path, ears: Ears, capsys: pytest.CaptureFixture[str], says: tuple[int, str], code: int
) -> None:
    ears.says["api"] = says
    config, env = tenant(tmp_path, ears, bot(ears))
    assert notify_failure(config, UNIT, env) == code
    assert TOKEN not in "".join(capsys.readouterr())


def test_a_bot_without_a_channel_says_so_and_the_others_are_told(
    tmp_path: Path, ears: Ears, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[alerts]\nslack_bot_token = "slack-bot-token"\npagerduty_routing_key = "pagerduty-routing-key"\n'
    config, env = tenant(tmp_path, ears, text + f'pagerduty_url = "http://127.0.0.1:{ears.port}"\n')
    assert notify_failure(config, UNIT, env) == 2
    assert [path for path, _ in ears.heard] == ["/v2/enqueue"]
    assert "no channel to speak in" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.google.internal", "10.0.0.8", "[fd00::1]"])
def test_it_speaks_to_no_host_that_alerts_may_not_go_to(
    tmp_path: Path, ears: Ears, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    text = bot(ears).replace(f"http://127.0.0.1:{ears.port}", f"https://{host}")
    config, env = tenant(tmp_path, ears, text)
    assert notify_failure(config, UNIT, env) == 5
    assert "alerts.allow_hosts" in capsys.readouterr().err
    assert ears.heard == []
