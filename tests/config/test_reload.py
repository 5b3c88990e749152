"""What a running daemon takes over from a changed configuration: never a system, a path or a credential."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from reconcilerd.config.load import parse
from reconcilerd.config.reload import changed, needs_restart
from reconcilerd.config.settings import Settings

TEXT = (Path(__file__).parents[2] / "config.toml").read_text("utf-8")


def settings(**sections: dict[str, Any]) -> Settings:
    """The example's settings with some values of its sections replaced."""
    content = tomllib.loads(TEXT)
    for name, values in sections.items():
        content[name] = {**content.get(name, {}), **values}
    return parse(content, "config.toml")


def channel(**values: Any) -> Settings:
    content = tomllib.loads(TEXT)
    content["channels"][1].update(values)
    return parse(content, "config.toml")


def test_the_same_text_changes_nothing() -> None:
    assert changed(settings(), settings()) == []


def test_the_order_of_channels_says_nothing() -> None:
    content = tomllib.loads(TEXT)
    content["channels"].reverse()
    assert changed(settings(), parse(content, "config.toml")) == []


@pytest.mark.parametrize(
    ("after", "key"),
    [
        (settings(limits={"mode": "observe"}), "limits.mode"),
        (settings(ages={"max_age_s": 3600.0}), "ages.max_age_s"),
        (settings(sku_defaults={"safety_stock": 4}), "sku_defaults.safety_stock"),
        (settings(velocity={"window_s": 7200.0}), "velocity.window_s"),
        (settings(alerts={"unresolved_drift_s": 60.0}), "alerts.unresolved_drift_s"),
        (settings(alerts={"slack_webhook": "hook"}), "alerts.slack_webhook"),
        (settings(alerts={"heartbeat_url": "beat"}), "alerts.heartbeat_url"),
        (settings(alerts={"allow_hosts": ["am.internal"]}), "alerts.allow_hosts"),
        (settings(alerts={"mail_least": "info"}), "alerts.mail_least"),
        (settings(alerts={"digest_to": ["mail"]}), "alerts.digest_to"),
        (settings(daemon={"log_level": "debug"}), "daemon.log_level"),
        (channel(cap=7), "channels[shop-eu].cap"),
        (channel(decrease_only=True), "channels[shop-eu].decrease_only"),
    ],
)
def test_policy_limits_and_guards_are_taken_over(after: Settings, key: str) -> None:
    keys = changed(settings(), after)
    assert keys == [key]
    assert needs_restart(keys) == []


@pytest.mark.parametrize(
    ("after", "key"),
    [
        (settings(ledger={"path": "other.db"}), "ledger.path"),
        (settings(daemon={"control_socket": "other.sock"}), "daemon.control_socket"),
        (settings(daemon={"stop_file": "HALT"}), "daemon.stop_file"),
        (settings(alerts={"instance": "tenant-8"}), "alerts.instance"),
        (settings(alerts={"paused_s": 60.0}), "alerts.paused_s"),
        (settings(extensiv={"base_url": "http://127.0.0.1:1/x"}), "extensiv.base_url"),
        (settings(extensiv={"orders_poll_s": 45.0}), "extensiv.orders_poll_s"),
        (channel(base_url="http://127.0.0.1:1/y"), "channels[shop-eu].base_url"),
        (channel(order_key="X-(.+)"), "channels[shop-eu].order_key"),
        (channel(poll_s=90.0), "channels[shop-eu].poll_s"),
    ],
)
def test_systems_paths_and_credentials_are_refused_by_name(after: Settings, key: str) -> None:
    keys = changed(settings(), after)
    assert keys == [key]
    assert needs_restart(keys) == [key]


def test_a_channel_that_comes_goes_or_is_renamed_takes_a_restart() -> None:
    content = tomllib.loads(TEXT)
    del content["channels"][2]
    fewer = parse(content, "config.toml")
    for before, after in ((settings(), fewer), (fewer, settings()), (settings(), channel(name="shop-fr"))):
        assert any(".base_url" in key for key in needs_restart(changed(before, after)))


def test_a_key_that_nobody_thought_of_takes_a_restart() -> None:
    """Everything that is a place, a name of a secret or an interval of a connector's, under whatever section."""
    names = [
        f"{section}.{key}" for section in ("daemon", "ledger", "alerts", "web") for key in ("new", "path")
    ]
    assert needs_restart(names) == names
